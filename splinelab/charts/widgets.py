"""Sliders that need no kernel and no widget library: all frames are drawn before, the browser picks one."""

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence

import altair as alt
from IPython.display import display
from PIL import Image

from splinelab.charts import renderer
from splinelab.charts.captions import headed
from splinelab.errors import InputError

#: What the book's page needs to know about a slider: the words that stand for it. The frames are in its HTML.
MIME = "application/vnd.splinelab.frames+json"
SCALE = 1.5  # pixels of a drawn frame for each pixel on the page

#: The script waits for nothing but the figure that it stands in; a page that forbids scripts shows one frame.
FIGURE = """\
<div class="sl-slider" id="{name}">
<label style="display:none;flex-wrap:wrap;align-items:center;gap:.2rem .8rem"><span>{title}</span>
<input type="range" min="0" max="{last}" value="{start}" style="width:min(24rem,90%);height:2.75rem">
<output style="font-weight:600">{label}</output></label>
<img alt="{description}" src="{picture}" style="display:block;max-width:100%;height:auto" width="{width}">
<script type="application/json">{content}</script>
<script>
(() => {{
  const box = document.getElementById("{name}");
  const {{ labels, pictures }} = JSON.parse(box.querySelector("script").textContent);
  const slider = box.querySelector("input");
  slider.parentElement.style.display = "flex";
  const show = () => {{
    box.querySelector("img").src = pictures[slider.value];
    box.querySelector("output").textContent = labels[slider.value];
    slider.setAttribute("aria-valuetext", labels[slider.value]);
  }};
  slider.addEventListener("input", show);
  show();
}})();
</script>
</div>"""


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
    images : PNG bytes or Altair charts, one per frame.
    labels : what the slider says at each frame.
    description : the sentence that stands for the figure where it cannot be seen.
    title : the slider's own label.
    start : index of the frame shown first, and where no slider can run (GitHub, print, no JavaScript).
    takeaway, caption, holds : as in :func:`splinelab.charts.figure`.
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
    description = " ".join(description.split())
    names = ("takeaway", "caption")
    told = dict(zip(names, headed(takeaway, caption, holds), strict=True)) if takeaway else {}
    heading = f"<p><strong>{html.escape(told['takeaway'])}</strong></p>" if told else ""
    under = f"<p>{html.escape(told['caption'])}</p>" if told else ""
    slider = _figure([_drawn(image) for image in images], list(labels), title or "frame", description, start)
    first = images[start]
    still = first if isinstance(first, bytes) else renderer.png(_spec(first))
    display(
        {
            MIME: {"description": description, "labels": list(labels), **told},
            "text/html": heading + slider + under,
            "image/png": base64.b64encode(still).decode("ascii"),
            "text/plain": f"[slider over {len(images)} frames] {description}",
        },
        raw=True,
    )


def slider_html(bundle: str) -> str:
    """The slider alone, out of the HTML that `frames` shows."""
    return bundle[bundle.index('<div class="sl-slider"') : bundle.index("</div>") + len("</div>")]


def _figure(drawn: list[tuple[str, int]], labels: list[str], title: str, description: str, start: int) -> str:
    pictures = [address for address, _ in drawn]
    content = json.dumps({"labels": labels, "pictures": pictures}, ensure_ascii=False).replace("</", "<\\/")
    return FIGURE.format(
        name="f" + hashlib.sha256((description + content).encode()).hexdigest()[:10],
        title=html.escape(title),
        last=len(labels) - 1,
        start=start,
        label=html.escape(labels[start]),
        description=html.escape(description, quote=True),
        picture=pictures[start],
        width=drawn[start][1],
        content=content,
    )


def _drawn(image: bytes | alt.TopLevelMixin) -> tuple[str, int]:
    """A frame as a data address, and its width on the page in pixels."""
    data = image if isinstance(image, bytes) else renderer.png(_spec(image), SCALE)
    width = Image.open(io.BytesIO(data)).width
    address = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return address, width if isinstance(image, bytes) else round(width / SCALE)


def _spec(chart: alt.TopLevelMixin) -> dict:
    return renderer.tidy(chart.to_dict())
