"""An image that the reader moves, and how the discriminator's logit changes with its place."""

from collections.abc import Sequence
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from dcgan_lib.data.pixels import to_float
from dcgan_lib.figures.colours import DISCRIMINATOR, FADED, PAPER
from dcgan_lib.figures.live import Live, sprite
from dcgan_lib.models import Discriminator

SHEET = 300_000  # values of all pictures together, so that a page stays light


@torch.no_grad()
def moved_logits(discriminator: Discriminator, images: Tensor, far: int = 6) -> np.ndarray:
    """The discriminator's logit for every image at every place of a square.

    Parameters
    ----------
    discriminator : Discriminator
        A copy in evaluation mode is asked.
    images : uint8 Tensor of shape (N, C, H, W)
    far : int, default 6
        Images move by up to so many pixels, down and to the right and back; the reflection of what
        is at an edge enters there.

    Returns
    -------
    ndarray of shape (N, 2 * far + 1, 2 * far + 1)
        Rows go from up to down, columns from left to right; images stand still in the middle.

    Examples
    --------
    >>> network = Discriminator(image_size=32, channels=1)
    >>> moved_logits(network, torch.zeros(2, 1, 32, 32, dtype=torch.uint8), far=1).shape
    (2, 3, 3)
    """
    network, side = deepcopy(discriminator).cpu().float().eval(), images.shape[-1]
    wide = pad(to_float(images), [far] * 4, mode="reflect")
    places = range(2 * far, -1, -1)
    rows = [
        [network(wide[:, :, y : y + side, x : x + side]).flatten() for x in places] for y in places
    ]
    return torch.stack([torch.stack(row) for row in rows]).permute(2, 0, 1).numpy()


def moving_logits(
    discriminator: Discriminator,
    images: Tensor,
    names: Sequence[str] = (),
    apart: int = 1,
    far: int = 6,
    caption: str = "",
) -> Live:
    """A live figure: the reader moves an image by mouse, touch or keys, and reads the logit.

    A map shows the logits of all places, with a frame around nine of them, and the mean over these.

    Parameters
    ----------
    discriminator : Discriminator
    images : uint8 Tensor of shape (N, C, H, W)
        As many of them as fit into a light page, and at least one.
    names : sequence of str, default ()
        One for each image; by default they have numbers.
    apart : int, default 1
        Pixels between the nine places.
    far : int, default 6
        The largest move, in pixels.
    caption : str, default ""

    Examples
    --------
    >>> network = Discriminator(image_size=32, channels=1)
    >>> moving_logits(network, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    1 image to be moved by up to 6 pixels, and the logit of the discriminator at every place.
    """
    wide = pad(images.float(), [far] * 4, mode="reflect").byte()
    count = min(len(images), max(1, SHEET // wide[0].numel()))
    logits = moved_logits(discriminator, images[:count], far)
    data = {
        "sprite": sprite(wide[:count].permute(0, 2, 3, 1).numpy(), count),
        "names": [str(name) for name in names[:count]] or [f"image {i}" for i in range(count)],
        "size": images.shape[-1],
        "far": far,
        "apart": apart,
        "logits": np.round(logits.astype(float), 3).tolist(),
    }
    about = (
        f"{count} image{'s' * (count > 1)} to be moved by up to {far} pixels, "
        "and the logit of the discriminator at every place."
    )
    return Live("moving", data, about, caption, _still(images[0], logits[0], far))


def _still(image: Tensor, logits: np.ndarray, far: int) -> Figure:
    """The image, and its logit when it moves to the left and to the right."""
    figure, axes = plt.subplots(
        1, 2, figsize=(5.4, 2.5), width_ratios=(1, 1.8), facecolor=PAPER, layout="constrained"
    )
    axes[0].imshow(image.permute(1, 2, 0).squeeze().numpy(), cmap="gray", vmin=0, vmax=255)
    axes[0].set(xticks=[], yticks=[])
    axes[1].set_facecolor(PAPER)
    axes[1].axhline(0, color=FADED, linewidth=1)
    axes[1].plot(range(-far, far + 1), logits[far], "o-", color=DISCRIMINATOR)
    axes[1].set_xlabel("pixels to the right", fontsize=11)
    axes[1].set_ylabel("logit", fontsize=11)
    plt.close(figure)
    return figure
