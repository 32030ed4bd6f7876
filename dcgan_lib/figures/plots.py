"""Plots and grids of images, in the book's look."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.figures.colours import DISCRIMINATOR, FADED, GENERATOR, PAPER, STYLE

PICTURE = {"frame_on": False, "xticks": [], "yticks": []}  # axes that show pixels and nothing else


def _subplots(*args, **kwargs):
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(*args, layout="constrained", **kwargs)
    plt.close(figure)  # so that the notebook shows the returned figure once, not twice
    return figure, axes


def _pixels(images):
    """uint8 (N, H, W, C) from images (N, C, H, W), either uint8 or float in [-1, 1]."""
    images = torch.as_tensor(images)
    images = images if images.dtype == torch.uint8 else to_uint8(images)
    return images.permute(0, 2, 3, 1).numpy()


def tile(images, columns):
    """One picture with the images in rows, 2 pixels of paper between them."""
    pixels = _pixels(images)
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    canvas = np.empty((rows * columns, height + 2, width + 2, 3), np.uint8)
    canvas[:] = [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)]
    canvas[:count, :height, :width] = pixels
    canvas = canvas.reshape(rows, columns, height + 2, width + 2, 3).swapaxes(1, 2)
    return canvas.reshape(rows * (height + 2), columns * (width + 2), 3)[:-2, :-2]


def sample_grid(*groups: Tensor, titles: Sequence[str] = (), columns: int = 8) -> Figure:
    """Images in a grid; several groups stand side by side, each under its title.

    Parameters
    ----------
    *groups : Tensor of shape (N, C, H, W)
        uint8, or float in [-1, 1].
    titles : sequence of str
    columns : int
        Images in a row of a group.
    """
    tiles = [tile(images, min(columns, len(images))) for images in groups]
    widths = [grid.shape[1] for grid in tiles]
    height = 5.2 * max(grid.shape[0] for grid in tiles) / sum(widths)
    figure, axes = _subplots(
        1,
        len(tiles),
        figsize=(5.4, height + (0.4 if titles else 0.1)),
        squeeze=False,
        width_ratios=widths,
        subplot_kw=PICTURE,
    )
    for axis, grid in zip(axes[0], tiles):
        axis.imshow(grid)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=12)
    return figure


def image_row(images: Tensor, titles: Sequence[str], columns: int = 5) -> Figure:
    """Single images, each under its own title."""
    rows = -(-len(images) // columns)
    size = 5.4, 1.45 * rows * 5 / columns
    figure, axes = _subplots(rows, columns, figsize=size, squeeze=False, subplot_kw=PICTURE)
    for axis, pixels, title in zip(axes.flat, _pixels(images), titles):
        axis.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
    return figure


def smooth(values, window):
    """Mean over `window` steps around each step, and over fewer at both ends."""
    sums = np.convolve(values, np.ones(window), "same")
    return sums / np.convolve(np.ones(len(values)), np.ones(window), "same")


def _curves(history, lines, ylabel):
    figure, axis = _subplots(figsize=(5.4, 3.4))
    steps = np.arange(1, len(history["epoch"]) + 1)
    window = min(len(steps), max(1, len(steps) // 50))
    for name, label, colour, dashes in lines:
        axis.plot(steps, history[name], color=colour, alpha=0.22, linewidth=0.8)
        axis.plot(steps, smooth(history[name], window), color=colour, linestyle=dashes, label=label)
    axis.set(xlabel=f"step (bold: mean over {window})", ylabel=ylabel, xlim=(1, max(2, len(steps))))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=len(lines), frameon=False)
    return figure, axis


def loss_curves(history: dict) -> Figure:
    """Loss of both networks at every step, and smoothed (gomez, Figure 5; singh, Figure 2)."""
    lines = [
        ("loss_d", "discriminator", DISCRIMINATOR, "-"),
        ("loss_g", "generator", GENERATOR, "-"),
    ]
    figure, axis = _curves(history, lines, "loss")
    axis.set_ylim(bottom=0)
    return figure


def probability_curves(history: dict) -> Figure:
    """Mean answers of D: on real images, and on generated ones before and after its update."""
    lines = [
        ("d_real", "D(x)", DISCRIMINATOR, "-"),
        ("d_fake_before", "D(G(z)) before", GENERATOR, "-"),
        ("d_fake_after", "after", FADED, "--"),
    ]
    figure, axis = _curves(history, lines, "probability of being real")
    axis.axhline(0.5, color="#444444", linewidth=0.8)
    axis.set_ylim(0, 1)
    return figure


def feature_map_picture(image: Tensor, maps: Sequence[Tensor], count: int = 8) -> Figure:
    """One image, and the first `count` maps of each block, one row a block.

    Parameters
    ----------
    image : Tensor of shape (C, H, W)
    maps : list of Tensor of shape (maps, height, width)
        From `dcgan_lib.features.extraction.block_maps`, for this image. Each map is scaled to its
        own range.
    """
    widths = [1, 0.2, *[1] * count]  # the image, a gap, the maps
    figure, axes = _subplots(
        len(maps),
        count + 2,
        figsize=(5.4, 0.85 * len(maps)),
        squeeze=False,
        width_ratios=widths,
        subplot_kw=PICTURE,
    )
    axes[0, 0].imshow(_pixels(image[None])[0].squeeze(), cmap="gray", vmin=0, vmax=255)
    for number, (row, block) in enumerate(zip(axes, maps), 1):
        for axis, one in zip(row[2:], block):
            axis.imshow(one.detach().numpy(), cmap="viridis")
        row[2].set_title(
            " ", fontsize=9
        )  # keeps the height of the words, which are wider than one map
        words = f"block {number}: {len(block)} maps of {block.shape[1]}x{block.shape[2]}"
        row[2].annotate(words, (0, 1.08), xycoords="axes fraction", fontsize=9).set_in_layout(False)
    return figure


def confusion_picture(confusion: ArrayLike, classes: Sequence[str]) -> Figure:
    """Which class is taken for which: a row, which adds up to one, for each true class.

    Parameters
    ----------
    confusion : counts of shape (classes, classes)
        As `classification_table` gives it.
    classes : sequence of str
        Their names, shown with the shares of 3% and more where there are at most 20.
    """
    counts = np.asarray(confusion, float)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure, axis = _subplots(figsize=(5.4, 5.2))
    axis.grid(False)  # its lines would cut the fields
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 20:
        axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=11)
        axis.set_yticks(range(len(classes)), classes, fontsize=11)
        for true, answer in np.argwhere(shares >= 0.03):
            words, light = f"{100 * shares[true, answer]:.0f}", shares[true, answer] > 0.5
            colour = "white" if light else "#22252a"
            axis.text(answer, true, words, ha="center", va="center", fontsize=11, color=colour)
    axis.set(xlabel="answer (numbers: % of the true class)", ylabel="true class")
    return figure
