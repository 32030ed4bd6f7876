"""Test images in a row for each answer: a reader sees at a glance which classes are answered."""

import numpy as np
import torch
from torch import Tensor

from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.figures.live import Live, sprite


def answer_rows(
    images: Tensor,
    truth: np.ndarray,
    answers: dict[str, dict[str, np.ndarray]],
    prices: np.ndarray,
    names: tuple[str, ...],
    caption: str = "",
) -> Live:
    """A live figure: each image stands in the row of the class that a classifier gave it.

    The reader moves C, and chooses the input and the training of the classifier.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8, or float in [-1, 1].
    truth : array of shape (N,)
        The right answers.
    answers : dict
        Input -> training -> array of shape (len(prices), N): what was answered with each C.
    prices : array
        The values of C, rising.
    names : tuple of str
        Of the classes.
    caption : str, default ""

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> images, answered = load_images("digits").images[:2], np.array([[0, 0], [0, 1]])
    >>> answer_rows(images, [0, 1], {"pixels": {"plain": answered}}, [0.1, 1], ("zero", "one"))
    2 test images, each in the row of the class that a classifier answered.
    """
    shown = images if images.dtype == torch.uint8 else to_uint8(images)
    data = {
        "sprite": sprite(shown.permute(0, 2, 3, 1).numpy(), 10),
        "side": int(shown.shape[2]),
        "truth": np.asarray(truth).tolist(),
        "answers": {
            source: {way: np.asarray(given).tolist() for way, given in ways.items()}
            for source, ways in answers.items()
        },
        "prices": [float(f"{price:.3g}") for price in prices],
        "names": list(names),
    }
    about = f"{len(shown)} test images, each in the row of the class that a classifier answered."
    return Live("answer_rows", data, about, caption)
