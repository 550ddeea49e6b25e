"""The landing page's picture: the same held-out digits in four embeddings, as HTML that needs no chart library."""

import base64
import html
import io
import json

import numpy as np
from PIL import Image
from scipy.spatial import ConvexHull
from sklearn.decomposition import PCA

from splinelab import clustering, data, protocol
from splinelab.charts.theme import DIGITS
from splinelab.codes import SplineCodes
from splinelab.data import Dataset
from splinelab.recording import record

__all__ = ["landing"]

SIDE, EDGE, GRADES = 200, 12, 8
VIEWS = {
    "codes": "spline codes",
    "linear": "linear outputs",
    "post-ReLU": "post-ReLU activations",
    "pixels": "pixels",
}
VIRIDIS = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725")


def landing() -> str:
    """Held-out digits as a long-trained net (zoo: GA-mse, seed 0) sees them, four views side by side."""
    dataset = data.mnist5k()
    images = protocol.evaluation_images(dataset)["held-out"]
    recording = record(protocol.nets("GA-mse", [0], dataset)[0], images)
    looks = {**protocol.views(recording), "pixels": images.flat}
    clusters = clustering.cluster(recording.codes, "kmeans", k=11)
    margin = protocol.logit_margin(recording.output)
    unsure, purity = protocol.least_pure(clusters, images.labels)
    group = _majority(clusters, images.labels)
    group[unsure] = 10
    places = [_places(looks[view]) for view in VIEWS]
    words = (
        f"{int(unsure.sum())} of {len(unsure)} images lie in a cluster that is no digit's: its largest digit has "
        f"{purity:.0%} of it, its median margin is {np.median(margin[unsure]):.2f}, elsewhere it is "
        f"{np.median(margin[~unsure]):.2f}."
    )
    rows = zip(images.labels, group, margin, unsure, strict=True)
    classes = [f"d{d} k{k} m{_grade(m)}{' sl-unsure' * int(doubt)}" for d, k, m, doubt in rows]
    panels = "".join(
        _panel(name, points, classes, unsure, len(unsure))
        for name, points in zip(VIEWS.values(), places, strict=True)
    )
    told = {"digit": images.labels.tolist(), "margin": np.round(margin, 2).tolist()}
    return (
        f'<figure class="sl-landing" role="group" aria-label="{html.escape(_description(words))}">'
        f'{_modes()}<div class="sl-panels">{panels}</div>{_legends(words)}'
        f'<script type="application/json">{json.dumps(told, separators=(",", ":"))}</script>'
        f'<div class="sl-peek" hidden><i style="background-image:url({_sprite(images)})"></i><span></span></div>'
        '<script src="../_static/landing.js" defer></script></figure>'
    )


def _places(points: SplineCodes | np.ndarray) -> np.ndarray:
    """The first two principal components, in pixels of a panel; both axes of one scale."""
    points = points.bits() if isinstance(points, SplineCodes) else points
    plane = PCA(2, svd_solver="full").fit_transform(np.asarray(points, np.float64))
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2
    return SIDE / 2 + (plane - middle) / np.abs(plane - middle).max() * (SIDE / 2 - EDGE)


def _majority(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each image's cluster, named after its largest digit."""
    largest = {cluster: np.bincount(labels[clusters == cluster]).argmax() for cluster in np.unique(clusters)}
    return np.array([largest[cluster] for cluster in clusters])


def _grade(margin: float) -> int:
    return min(int(max(margin, 0) * GRADES), GRADES - 1)


def _panel(name: str, points: np.ndarray, classes: list[str], unsure: np.ndarray, count: int) -> str:
    dots = "".join(
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
        for kind, (x, y) in zip(classes, points, strict=True)
    )
    hull = points[unsure][ConvexHull(points[unsure]).vertices]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in hull)
    label = f"{count} images placed by {name}; the {int(unsure.sum())} of the uncertain cluster are ringed and outlined"
    return (
        f'<div class="sl-panel"><svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">{dots}'
        f'<polygon class="sl-outline" points="{outline}"/></svg><b>{name}</b></div>'
    )


def _modes() -> str:
    modes = {"digit": "digit", "cluster": "cluster of codes", "margin": "how sure the net is"}
    choices = "".join(
        f'<label><input type="radio" name="landing" value="{mode}"{" checked" if mode == "digit" else ""}>'
        f"{words}</label>"
        for mode, words in modes.items()
    )
    return f'<div class="sl-modes" role="radiogroup" aria-label="colour">colour: {choices}</div>'


def _legends(words: str) -> str:
    digits = "".join(f'<span><i class="d{digit}"></i>{digit}</span>' for digit in range(10))
    clusters = "".join(f'<span><i class="k{digit}"></i>mostly {digit}</span>' for digit in range(10))
    grades = "".join(f'<i class="m{grade}"></i>' for grade in range(GRADES))
    return (
        f'<div class="sl-legend" data-mode="digit">{digits}</div>'
        f'<div class="sl-legend" data-mode="cluster">{clusters}<span><i class="k10"></i>no digit</span></div>'
        f'<div class="sl-legend" data-mode="margin"><span>margin 0, unsure {grades} 1, sure</span></div>'
        f'<p class="sl-uncertain"><span class="sl-dash"></span> Ringed, within the dashed outline: {html.escape(words)}</p>'
    )


def _description(words: str) -> str:
    return (
        f"Held-out digits as points, placed by the first two principal components of their {', '.join(VIEWS.values())}. "
        + words
    )


def _sprite(images: Dataset) -> str:
    """All images in one PNG of 16 greys, 25 in a row."""
    pictures = np.asarray(images.images)[:, 0]
    high = -(-len(pictures) // 25)
    filled = np.zeros((high * 25, *pictures.shape[1:]))
    filled[: len(pictures)] = pictures
    sheet = filled.reshape(high, 25, *pictures.shape[1:]).swapaxes(1, 2).reshape(high * pictures.shape[1], -1)
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.round(sheet * 255))).quantize(16).save(file, "PNG", optimize=True, bits=4)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def colours() -> str:
    """The style sheet of the points: a fill for each digit, cluster and grade of the margin."""
    rules = [f".sl-landing .d{digit} {{ --digit: {colour}; }}" for digit, colour in enumerate(DIGITS)]
    rules += [f".sl-landing .k{digit} {{ --cluster: {colour}; }}" for digit, colour in enumerate(DIGITS)]
    rules += [".sl-landing .k10 { --cluster: var(--pst-color-text-base); }"]
    rules += [f".sl-landing .m{grade} {{ --margin: {colour}; }}" for grade, colour in enumerate(VIRIDIS)]
    return f"<style>{' '.join(rules)}</style>"
