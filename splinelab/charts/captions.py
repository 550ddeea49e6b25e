"""A figure: a chart under a takeaway and over a caption."""

import textwrap

import altair as alt

from splinelab.errors import InputError

__all__ = ["figure", "headed"]


def figure(
    chart: alt.TopLevelMixin, takeaway: str, caption: str, *, holds: bool | None = None
) -> alt.TopLevelMixin:
    """Put the takeaway above a described chart, and the caption under it.

    In a notebook both stand in the picture's title; the book's pages set them as text and number the figure.

    Parameters
    ----------
    chart
        Any Altair chart that carries a description (see :func:`describe`).
    takeaway
        What the picture shows, as a sentence.
    caption
        What was drawn: quantity, nets, images, what the intervals are of.
    holds
        Whether the data bear the takeaway out, computed by the cell. Where they do not, as with other
        parameters than the book's, the figure says so instead of repeating the sentence as a fact.
    """
    takeaway, caption = headed(takeaway, caption, holds)
    title = alt.TitleParams(
        textwrap.wrap(takeaway, 80), subtitle=textwrap.wrap(caption, 100), anchor="start", fontSize=14
    )
    return chart.properties(title=title, usermeta={"takeaway": takeaway, "caption": caption})


def headed(takeaway: str, caption: str, holds: bool | None) -> tuple[str, str]:
    """Takeaway and caption in one line each; the takeaway marked where the data do not bear it out."""
    takeaway, caption = " ".join(takeaway.split()), " ".join(caption.split())
    if not takeaway or not caption:
        raise InputError("A figure needs a takeaway and a caption: say in a sentence what it shows, of what.")
    return (f"Not on these data: {takeaway}" if holds is not None and not holds else takeaway), caption
