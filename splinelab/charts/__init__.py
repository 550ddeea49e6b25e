"""One theme and one renderer for every chart, and sliders that need no kernel.

>>> import splinelab.charts as charts
>>> charts.use()
>>> import altair, pandas
>>> table = pandas.DataFrame({"step": [1, 10, 100], "accuracy": [0.1, 0.5, 0.9]})
>>> chart = altair.Chart(table).mark_line().encode(x="step", y="accuracy")
>>> chart = charts.describe(chart, "Accuracy rises from .1 to .9 over 100 steps.")
>>> sorted(chart._repr_mimebundle_())
['application/vnd.vegalite.v6+json', 'image/png', 'text/plain']
"""

from splinelab.charts.captions import figure
from splinelab.charts.renderer import describe, svg, use
from splinelab.charts.theme import BLUE, DIGITS, GREEN, GREY, ORANGE, PALETTE, PINK, SKY, VERMILION
from splinelab.charts.widgets import frames

__all__ = [
    "BLUE",
    "DIGITS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "PINK",
    "SKY",
    "VERMILION",
    "describe",
    "figure",
    "frames",
    "svg",
    "use",
]
