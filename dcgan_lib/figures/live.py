"""Figures that the reader can play, and questions that mark themselves.

Each is a piece of HTML with its own script and its own data. It needs no kernel, no network and no
other file, so the same cell output is alive in the rendered book, in JupyterLab and in Colab.
A script in `scripts/` is one function of the same name, which gets the figure's element and the
data, and builds what it needs from native buttons, sliders and a canvas.
"""

import base64
import io
import json
from hashlib import sha256
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

SCRIPTS = Path(__file__).parent / "scripts"


class Live:
    """A live figure or a question: HTML in a notebook and in the book, words elsewhere.

    Parameters
    ----------
    script : str
        Name of the file in `scripts/` and of the function in it, which is called as
        `script(element, data)`.
    data : dict
        What the script works on, as plain values.
    about : str
        What the figure shows, for readers who cannot see it and where no script runs.
    caption : str, default ""
    still : Figure, optional
        A picture in place of the live figure, for paper and for readers without scripts.
    """

    def __init__(
        self, script: str, data: dict, about: str, caption: str = "", still: Figure | None = None
    ):
        self.script, self.data, self.about = script, data, about
        self.caption, self.still = caption, still

    def _repr_html_(self):
        data = json.dumps(self.data).replace("</", "<\\/")
        identity = "live-" + sha256((self.script + data).encode()).hexdigest()[:10]
        code = (SCRIPTS / "common.js").read_text() + (SCRIPTS / f"{self.script}.js").read_text()
        style = (SCRIPTS / "live.css").read_text()
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            f'<figure class="live live-{self.script}" id="{identity}" role="group" '
            f'aria-label="{escape(self.about, quote=True)}"><style>{style}</style>'
            f'<div class="live-still">{self._still_html()}</div><div class="live-body"></div>'
            f"{caption}<script>(function () {{\n{code}\n"
            f'{self.script}(liveFigure("{identity}"), {data});\n}})();</script></figure>'
        )

    def _still_html(self):
        if self.still is None:
            return f"<p>{escape(self.about)}</p>"
        file = io.BytesIO()
        self.still.savefig(file, format="png", dpi=110)
        return f'<img alt="{escape(self.about, quote=True)}" src="{data_url(file)}">'

    def __repr__(self):
        return self.about


def data_url(file: io.BytesIO, kind: str = "png") -> str:
    """The address under which a page holds these bytes of a picture within itself."""
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()


def sprite(images: np.ndarray, columns: int, quality: int | None = None) -> str:
    """One picture of uint8 images (N, H, W, C) in rows, as an address within the page.

    A script finds image i at column i % columns and row i // columns, without margins. With a
    `quality` of up to 95 it is a JPEG, which takes a third of the letters and is nearly the same.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(rows * height, columns * width, channels).squeeze())
    file = io.BytesIO()
    if quality:
        picture.save(file, "JPEG", quality=quality, subsampling=0)
        return data_url(file, "jpeg")
    picture.save(file, "PNG", optimize=True)
    return data_url(file)


def quiz(question: str, answers: list[str], right: int, why: str) -> Live:
    """A question that marks itself: the reader picks until the answer is right, then reads why.

    Parameters
    ----------
    question : str
    answers : list of str
        In the order in which they are shown.
    right : int
        Position of the right answer, from 0.
    why : str
        Shown once the right answer is picked.

    Examples
    --------
    >>> quiz("What is 2 + 2?", ["3", "4"], 1, "Count on your fingers.")
    Question: What is 2 + 2?
    """
    if not 0 <= right < len(answers):
        raise ValueError(f"right is {right}; there are {len(answers)} answers, counted from 0")
    data = {"question": question, "answers": answers, "right": right, "why": why}
    return Live("quiz", data, f"Question: {question}")
