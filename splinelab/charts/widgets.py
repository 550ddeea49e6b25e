"""Sliders that work without a kernel: every frame is drawn beforehand, the browser only picks one."""

import base64
from collections.abc import Sequence

import altair as alt
import ipywidgets
from IPython.display import display

from splinelab.charts import renderer
from splinelab.charts.captions import headed
from splinelab.errors import InputError

#: What the book's page needs to know about a slider: the widgets to link and the words that stand for it.
MIME = "application/vnd.splinelab.frames+json"


def frames(
    images: Sequence[bytes | alt.TopLevelMixin],
    labels: Sequence[str],
    *,
    description: str,
    title: str = "",
    start: int = 0,
    takeaway: str = "",
    caption: str = "",
    holds: bool | None = None,
) -> None:
    """Show a slider over precomputed pictures.

    Parameters
    ----------
    images
        PNG bytes or Altair charts, one per frame.
    labels
        What the slider says at each frame.
    description
        The sentence that stands for the figure where it cannot be seen.
    title
        The slider's own label.
    start
        Index of the frame shown first, and where no slider can run (GitHub, print, no JavaScript).
    takeaway, caption, holds
        As in :func:`splinelab.charts.figure`.
    """
    if not images or len(images) != len(labels):
        raise InputError(
            f"Got {len(images)} frames and {len(labels)} labels; give at least one frame, and each its label."
        )
    if not description.strip():
        raise InputError("The description is empty; say in a sentence what the frames show.")
    if len(set(labels)) != len(labels):
        raise InputError("Two frames share a label; give each its own, or the slider cannot tell them apart.")
    if not 0 <= start < len(images):
        raise InputError(f"start is {start}; expected a frame's index, 0 to {len(images) - 1}.")
    names = ("takeaway", "caption")
    told = dict(zip(names, headed(takeaway, caption, holds), strict=True)) if takeaway else {}
    drawn = [image if isinstance(image, bytes) else _draw(image) for image in images]
    pictures = [
        ipywidgets.Image(value=data, format="png", layout={"object_fit": "contain"}) for data in drawn
    ]
    stack = ipywidgets.Stack(pictures, selected_index=start)
    slider = ipywidgets.SelectionSlider(
        options=list(labels),
        index=start,
        description=title,
        style={"description_width": "initial"},
        layout={"width": "min(460px, 95%)"},
    )
    ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
    box = ipywidgets.VBox([slider, stack])
    display(
        {
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": box.model_id,
            },
            MIME: {
                "model_id": box.model_id,
                "image_id": pictures[start].model_id,
                "description": " ".join(description.split()),
                **told,
            },
            "image/png": base64.b64encode(drawn[start]).decode("ascii"),
            "text/plain": f"[slider over {len(drawn)} frames] {' '.join(description.split())}",
        },
        raw=True,
    )


def _draw(chart: alt.TopLevelMixin) -> bytes:
    return renderer.png(renderer.tidy(chart.to_dict()))
