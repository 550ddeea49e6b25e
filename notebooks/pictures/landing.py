"""The landing page's picture."""

import altair as alt

from pictures.maps import code_map, map_table
from splinelab import clustering, data, protocol
from splinelab.recording import record

__all__ = ["landing"]


def landing() -> alt.TopLevelMixin:
    """Held-out digits as a long-trained net (zoo: GA-mse, seed 0) sees them: by codes, by activations."""
    dataset = data.mnist5k()
    images = protocol.evaluation_images(dataset)["held-out"]
    recording = record(protocol.nets("GA-mse", [0], dataset)[0], images)
    looks = protocol.views(recording)
    clusters = clustering.cluster(recording.codes, "kmeans", k=11)
    shown = {"spline codes": looks["codes"], "linear outputs": looks["linear"], "pixels": images.flat}
    return code_map(map_table(shown, images, clusters, protocol.logit_margin(recording.output)))
