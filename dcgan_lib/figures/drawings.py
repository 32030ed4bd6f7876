"""Drawings of the book: what a network, a step or an idea looks like, as SVG within the page."""

from html import escape
from pathlib import Path

SVG = Path(__file__).parent / "svg"


class Drawing:
    """An SVG with a caption: shown in a notebook and in the book, words elsewhere.

    Parameters
    ----------
    svg : str
        One `<svg>` element with a viewBox and without width and height, in which letters of 12
        units or more can be read on a telephone when the viewBox is at most 380 wide.
    about : str
        What a sighted reader takes away from it.
    caption : str, default ""
    """

    def __init__(self, svg: str, about: str, caption: str = ""):
        self.svg, self.about, self.caption = svg, about, caption

    def _repr_html_(self):
        # The page's own colour of captions, light in dark mode, would not show on this background.
        caption = f'<figcaption style="color:#22252a">{escape(self.caption)}</figcaption>'
        caption = caption if self.caption else ""
        box = "background:#fafaf7;color:#22252a;border:1px solid #dcdcd6;border-radius:8px"
        style = f"{box};padding:12px;margin:1em 0;max-width:720px"
        about = escape(self.about, quote=True)
        return (
            f'<figure class="drawing" style="{style}"><div role="img" aria-label="{about}">'
            f"{self.svg}</div>{caption}</figure>"
        )

    def __repr__(self):
        return self.about


def drawing(name: str, about: str, caption: str = "") -> Drawing:
    """One of the package's drawings, by the name of its file in `svg/`.

    Examples
    --------
    >>> drawing("game", "Two networks and the arrows between them.")
    Two networks and the arrows between them.
    """
    path = SVG / f"{name}.svg"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in SVG.glob("*.svg")))
        raise ValueError(f"there is no drawing {name!r}; known: {known}")
    return Drawing(path.read_text(encoding="utf-8"), about, caption)
