"""A transposed convolution at work: every input value stamps its kernel, overlaps add."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import conv_transpose2d

from dcgan_lib.figures.colours import PAPER
from dcgan_lib.figures.live import Live

KERNELS, STRIDES, PADDINGS = (2, 6), (1, 3), (0, 2)  # least and largest on the sliders
SIZE = 4  # of the input


def overlap_counts(kernel: int, stride: int, padding: int = 0, size: int = SIZE) -> Tensor:
    """How many stamps cover each output pixel of a transposed convolution.

    Parameters
    ----------
    kernel, stride : int
    padding : int, default 0
        Pixels cut off each side.
    size : int, default 4
        Height and width of the input.

    Returns
    -------
    Tensor of shape (n, n)
        Whole numbers, with n = (size - 1) * stride - 2 * padding + kernel.

    Examples
    --------
    >>> overlap_counts(kernel=2, stride=1, size=2).tolist()
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    """
    ones, stamp = torch.ones(1, 1, size, size), torch.ones(1, 1, kernel, kernel)
    return conv_transpose2d(ones, stamp, stride=stride, padding=padding)[0, 0].round().int()


def even_kernel(kernel: int, stride: int) -> Tensor:
    """Weights whose stamps add up to one everywhere inside.

    A box as wide as the stride covers every pixel once, whatever it is blurred with; so a blurred
    box does too. Where the kernel is smaller than the stride no weights can: its stamps leave gaps.

    Examples
    --------
    >>> (even_kernel(3, 2)[1] * 4).tolist()
    [2.0, 4.0, 2.0]
    """
    blur = max(1, kernel - stride + 1)
    line = torch.zeros(kernel)
    for shift in range(blur):
        line[shift : shift + stride] += 1 / blur
    return line[:, None] * line


def stamping(kernel: int = 4, stride: int = 2, padding: int = 0, caption: str = "") -> Live:
    """A live transposed convolution, one stamp at a time; kernel, stride and padding on sliders.

    Parameters
    ----------
    kernel : int, default 4
        2 to 6, to begin with.
    stride : int, default 2
        1 to 3, to begin with.
    padding : int, default 0
        0 to 2, to begin with.
    caption : str, default ""

    Examples
    --------
    >>> stamping(kernel=5)  # doctest: +ELLIPSIS
    A transposed convolution from 4 by 4: each input value stamps a kernel of 5 by 5 ...
    """
    limits = {"kernel": KERNELS, "stride": STRIDES, "padding": PADDINGS}
    chosen = {"kernel": kernel, "stride": stride, "padding": padding}
    for name, value in chosen.items():
        low, high = limits[name]
        if not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; the figure takes {low} to {high}")
    about = (
        f"A transposed convolution from {SIZE} by {SIZE}: each input value stamps a kernel of "
        f"{kernel} by {kernel} on the output, {stride} pixels from the last; overlaps add."
    )
    data = {**chosen, **{f"{name}s": limit for name, limit in limits.items()}, "size": SIZE}
    return Live("stamping", data, about, caption, overlap_picture([(kernel, stride)]))


def overlap_picture(pairs: list[tuple[int, int]], size: int = SIZE) -> Figure:
    """The counts of several (kernel, stride) side by side, the number on every pixel."""
    figure, axes = plt.subplots(
        1,
        len(pairs),
        figsize=(5.4, 5.4 / len(pairs) + 0.4),
        facecolor=PAPER,
        layout="constrained",
        squeeze=False,
    )
    for axis, (kernel, stride) in zip(axes[0], pairs):
        counts = overlap_counts(kernel, stride, size=size).numpy()
        axis.imshow(counts, cmap="Oranges", vmin=0, vmax=1.5 * int(counts.max()))
        for row, line in enumerate(counts.tolist()):
            for column, count in enumerate(line):
                axis.text(column, row, count, ha="center", va="center", fontsize=11)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"kernel {kernel}, stride {stride}", fontsize=12)
    plt.close(figure)
    return figure
