"""The latent explorer: a map of latents through which the reader walks, in the page."""

import torch
from torch import Tensor

from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.figures.live import Live, sprite
from dcgan_lib.figures.plots import sample_grid
from dcgan_lib.models import Generator
from dcgan_lib.sampling import generate, slerp

SHEET = 300_000  # values of all pictures together, so that a page stays light


def latent_map(corners: Tensor, points: int = 9) -> Tensor:
    """Latents on a square map between four corners, each on an arc between others (`slerp`).

    The upper edge leads from the first corner to the second, the lower edge from the third to the
    fourth, and each column from its upper end to its lower end.

    Parameters
    ----------
    corners : Tensor of shape (4, latent_dim)
    points : int, default 9
        Of each row and of each column.

    Returns
    -------
    Tensor of shape (points * points, latent_dim)
        Row by row.

    Examples
    --------
    >>> from dcgan_lib import latent
    >>> latent_map(latent(4), points=3).shape
    torch.Size([9, 100])
    """
    t = torch.linspace(0, 1, points)
    upper, lower = slerp(corners[0], corners[1], t), slerp(corners[2], corners[3], t)
    columns = [slerp(top, bottom, t) for top, bottom in zip(upper, lower)]
    return torch.stack(columns, dim=1).flatten(0, 1)


def latent_explorer(
    generator: Generator, corners: Tensor, points: int = 9, caption: str = ""
) -> Live:
    """A map of latents to walk on by mouse, touch or arrow keys, and the picture of each place.

    Parameters
    ----------
    generator : Generator
    corners : Tensor of shape (4, latent_dim)
        Upper left, upper right, lower left and lower right.
    points : int, default 9
        Places in each row and column, at most; fewer where large pictures would fill the page.
    caption : str, default ""

    Examples
    --------
    >>> from dcgan_lib import Generator, latent
    >>> latent_explorer(Generator(image_size=32, channels=1), latent(4), points=3)
    A map of 3 by 3 latents: the corners are random, the places between them lie on arcs.
    """
    values = generate(generator, corners[:1]).numel()
    points = max(2, min(points, int((SHEET / values) ** 0.5)))
    z = latent_map(corners, points)
    pixels = to_uint8(generate(generator, z)).permute(0, 2, 3, 1).numpy()
    data = {
        "points": points,
        "size": pixels.shape[1],
        "lengths": [round(length, 1) for length in z.norm(dim=1).tolist()],
        "tiles": sprite(pixels, points),
    }
    about = (
        f"A map of {points} by {points} latents: the corners are random, "
        "the places between them lie on arcs."
    )
    return Live("latents", data, about, caption, _still(generator, corners))


def _still(generator, corners):
    """What paper shows: five places of each row and column."""

    return sample_grid(generate(generator, latent_map(corners, 5)), columns=5)
