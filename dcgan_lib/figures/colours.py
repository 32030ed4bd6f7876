"""The book's colours, and matplotlib in them: imported by every figure, importing none."""

GENERATOR, DISCRIMINATOR, FADED = "#c4570e", "#1f6aa5", "#8a8f98"
PAPER = "#fafaf7"
STYLE = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "figure.dpi": 160,
    "font.size": 12,
    "axes.grid": True,
    "grid.color": "#dcdcd6",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "image.interpolation": "nearest",
}
