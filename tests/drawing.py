"""Charts as a reader gets them."""

import io

from PIL import Image

from splinelab.charts import renderer


def drawn(chart) -> dict:
    """The tidied spec of a chart that Vega could draw."""
    spec = renderer.tidy(chart.to_dict())
    assert Image.open(io.BytesIO(renderer.png(spec))).width > 100
    assert len(spec["description"]) > 30
    return spec
