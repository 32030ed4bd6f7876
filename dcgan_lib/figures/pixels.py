"""An image enlarged, and beside it the numbers behind its pixels."""

import base64
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dcgan_lib.data.pixels import to_float
from dcgan_lib.figures.colours import GENERATOR, PAPER
from dcgan_lib.figures.live import Live

ROOM = 300_000  # bytes of pixels in a page, a third less than the letters that they take there
AROUND = 3  # pixels that are shown on each side of the chosen one


def pixel_reader(
    images: Tensor, names: Sequence[str] = (), place: tuple[int, int] = (16, 16), caption: str = ""
) -> Live:
    """A live figure that reads the pixels of images, as they are stored and as networks see them.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8; as many of them as fit into 300,000 bytes, and at least one.
    names : sequence of str, default ()
        One for each image, for the list to choose from; by default they have numbers.
    place : (row, column), default (16, 16)
        The pixel that is read first.
    caption : str, default ""

    Examples
    --------
    >>> import torch
    >>> pixel_reader(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    An image of 32 by 32 pixels, enlarged, and the number behind any pixel of it.
    """
    images = images[: max(1, ROOM // images[0].numel())]
    count, channels, size, _ = images.shape
    if not (0 <= place[0] < size and 0 <= place[1] < size):
        raise ValueError(f"place is {place}; the images have rows and columns 0 to {size - 1}")
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    data = {
        "pixels": base64.b64encode(pixels).decode(),
        "names": [str(name) for name in names[:count]] or [f"image {i}" for i in range(count)],
        "size": size,
        "channels": channels,
        "place": list(place),
        "around": AROUND,
    }
    about = f"An image of {size} by {size} pixels, enlarged, and the number behind any pixel of it."
    return Live("pixels", data, about, caption, _still(images[0], place))


def _still(image: Tensor, place: tuple[int, int]) -> Figure:
    """The image with a frame around the place, and the numbers within the frame."""
    size, side = image.shape[1], 2 * AROUND + 1
    top, left = (min(max(0, x - AROUND), size - side) for x in place)
    picture, seen = image.permute(1, 2, 0).numpy(), to_float(image[0])
    figure, axes = plt.subplots(1, 2, figsize=(5.4, 2.9), facecolor=PAPER, layout="constrained")
    for axis, part in zip(axes, (picture, picture[top : top + side, left : left + side])):
        axis.imshow(part.squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
    frame = (left - 0.5, top - 0.5)
    axes[0].add_patch(Rectangle(frame, side, side, fill=False, color=GENERATOR, linewidth=2))
    for i in range(side):
        for j in range(side):
            value = seen[top + i, left + j].item()
            ink = "black" if value > 0 else "white"
            number = int(image[0, top + i, left + j])
            axes[1].text(j, i, number, color=ink, ha="center", va="center", fontsize=11)
    plt.close(figure)
    return figure
