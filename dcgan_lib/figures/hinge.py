"""A linear L2-SVM in a plane of images, for the reader to play with its C."""

import numpy as np
import torch
from torch import Tensor

from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.figures.live import Live, sprite


def margin(
    images: Tensor,
    points: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, str],
    caption: str = "",
) -> Live:
    """A live figure: images in a plane, and the line that a linear L2-SVM draws between them.

    The reader moves C and may give one image the wrong label; the page fits the line anew.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8, or float in [-1, 1].
    points : array of shape (N, 2)
        Where each image stands: two features of it, each with mean 0 and deviation 1.
    labels : array of shape (N,)
        +1 for the first class, -1 for the second.
    names : tuple of two str
        Of the classes.
    caption : str, default ""

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> images = load_images("digits").images[:4]
    >>> points = np.array([[-1.0, 0.5], [1.0, 0.2], [-0.5, -1.0], [1.2, 0.3]])
    >>> margin(images, points, np.array([1, -1, 1, -1]), ("0", "1"))
    4 images of the classes 0 and 1 in a plane, and a line between them with its margins.
    """
    shown = images if images.dtype == torch.uint8 else to_uint8(images)
    data = {
        "sprite": sprite(shown.permute(0, 2, 3, 1).numpy(), 10),
        "side": int(shown.shape[2]),
        "points": np.round(points, 4).tolist(),
        "labels": np.asarray(labels).tolist(),
        "names": list(names),
    }
    about = (
        f"{len(shown)} images of the classes {names[0]} and {names[1]} in a plane, "
        "and a line between them with its margins."
    )
    return Live("margin", data, about, caption)
