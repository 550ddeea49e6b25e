"""What is measured during training beside accuracy: how well pair distances part the classes."""

from collections.abc import Callable

from torch import nn

from splinelab.data import Dataset, stratified_split
from splinelab.distances import pairwise, separability
from splinelab.recording import record

__all__ = ["pair_auc"]


def pair_auc(heldout: Dataset, *, images: int = 500) -> Callable[[nn.Module], dict[str, float]]:
    """A probe: the ROC-AUC of different-class against same-class pairs, in four distances.

    The pairs are all pairs of `images` fixed, stratified images of `heldout`. Columns:
    `auc_jaccard` and `auc_hamming` on spline codes, `auc_cosine_linear` on all linear outputs side by
    side (before the ReLUs, with the logits), `auc_cosine_relu` on all ReLU outputs side by side.
    """
    chosen = heldout.take(stratified_split(heldout, min(images, len(heldout)), seed=0).train)

    def probe(net: nn.Module) -> dict[str, float]:
        seen = record(net, chosen.images)
        spaces = {
            "auc_jaccard": (seen.codes, "jaccard"),
            "auc_hamming": (seen.codes, "hamming"),
            "auc_cosine_linear": (seen.stack("pre", output=True), "cosine"),
            "auc_cosine_relu": (seen.stack("post"), "cosine"),
        }
        return {
            name: separability(pairwise(space, metric=metric), chosen.labels).auc
            for name, (space, metric) in spaces.items()
        }

    return probe
