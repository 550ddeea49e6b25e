"""The Altair theme: no background, quiet axes, colours that the colour-blind can tell apart.

Every colour keeps a contrast of about 3:1 or more against white and against the book's dark page, because the
same picture is shown on both. Okabe & Ito, *Color universal design* (2008), for a few groups; Petroff,
*Accessible color sequences for data visualization* (2021), for the ten digits.
"""

BLUE, VERMILION, GREEN = "#0b7cc1", "#d55e00", "#009e73"
PINK, ORANGE, SKY, GREY = "#cc79a7", "#d99000", "#3fa3dc", "#888888"

#: For up to seven groups, in this order.
PALETTE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, GREY)

#: One colour per digit 0 to 9.
DIGITS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#9a4fc8",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

#: Text in pictures: the page's stylesheet replaces this grey with the page's own text colour.
INK = "#767676"

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"


def config() -> dict:
    """The theme as a Vega-Lite ``config`` object."""
    words = {"labelColor": INK, "titleColor": INK, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "background": "transparent",
        "aria": False,  # one description for the picture, not one for each of 5,000 points
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None, "continuousWidth": 460, "continuousHeight": 290},
        "title": {
            "anchor": "start",
            "color": INK,
            "fontSize": 14,
            "fontWeight": 600,
            "offset": 10,
            "subtitleColor": INK,
            "subtitleFontSize": 12,
        },
        "axis": {
            "domainColor": GREY,
            "domainOpacity": 0.6,
            "gridColor": GREY,
            "gridOpacity": 0.18,
            "labelFontSize": 11,
            "labelLimit": 220,
            "tickColor": GREY,
            "tickOpacity": 0.6,
            "tickSize": 4,
            **words,
            "titlePadding": 8,
        },
        "axisBand": {"grid": False},
        "header": {
            "labelFontSize": 12,
            **words,
        },
        "legend": {
            "labelFontSize": 11,
            "labelLimit": 260,
            **words,
            "symbolSize": 70,
        },
        "range": {
            "category": list(PALETTE),
            "ordinal": {"scheme": "viridis"},
            "ramp": {"scheme": "viridis"},
            "heatmap": {"scheme": "viridis"},
            "diverging": {"scheme": "blueorange"},
        },
        "mark": {"color": BLUE},
        "line": {"strokeWidth": 2},
        "rule": {"color": GREY},
        "text": {"color": INK, "fontSize": 11},
        "point": {"filled": True, "size": 50},
    }
