"""What the blocks of a discriminator make of an image, and the 16 numbers that each map becomes."""

import base64
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from dcgan_lib.data.pixels import to_float
from dcgan_lib.features.extraction import block_maps
from dcgan_lib.figures.colours import DISCRIMINATOR, PAPER
from dcgan_lib.figures.live import Live, sprite
from dcgan_lib.models import Discriminator

ROOM = 220_000  # bytes of numbers in a page, a third less than the letters that they take there
SIDE = 32  # places of a map in the page, at most; a larger map is pooled, which keeps its maxima


def map_explorer(
    images: Tensor,
    names: Sequence[str],
    networks: dict[str, Discriminator],
    count: int = 16,
    caption: str = "",
) -> Live:
    """Choose an image, a block and one of its maps, and see the 4x4 maxima that are kept of it.

    A map's colours keep one scale for all images, so that a map that answers one image and not
    another looks different on the two.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        uint8; as many of them are shown as the page can carry, and at least one.
    names : sequence of str
        What is in each image.
    networks : dict of Discriminator
        Networks of the same shape by their names, such as "trained" and "untrained".
    count : int, default 16
        How many maps of each block are shown: the first ones.
    caption : str, default ""

    Examples
    --------
    >>> import torch
    >>> network = Discriminator(image_size=32, channels=1)
    >>> map_explorer(torch.zeros(2, 1, 32, 32, dtype=torch.uint8), ["a", "b"], {"new": network})
    16 maps of each of 3 blocks, for 2 images, and the 4x4 maxima of each map.
    """
    maps = {name: _first_maps(network, images, count) for name, network in networks.items()}
    each = images[0].numel() + sum(m[0].numel() for blocks in maps.values() for m in blocks)
    shown = max(1, min(len(images), ROOM // each))
    packed, scales = [], {}
    for name, blocks in maps.items():
        tops = [block[:shown].abs().amax((0, 2, 3)).clamp(min=1e-6) for block in blocks]
        scales[name] = [[float(f"{x:.5g}") for x in top.tolist()] for top in tops]
        for block, top in zip(blocks, tops):
            levels = block[:shown] / top[:, None, None] * 127
            packed.append((levels.round().clamp(-127, 127) + 127).byte().flatten())
    first = next(iter(maps.values()))
    data = {
        "images": sprite(images[:shown].permute(0, 2, 3, 1).numpy(), shown),
        "names": [str(name) for name in names[:shown]],
        "size": images.shape[-1],
        "networks": list(maps),
        "blocks": [[block.shape[1], block.shape[-1]] for block in first],
        "start": int(first[0][0].amax((1, 2)).argmax()),  # the map that answers most
        "scales": scales,
        "maps": base64.b64encode(torch.cat(packed).numpy().tobytes()).decode(),
    }
    words = f"{shown} image{'s' * (shown > 1)}"
    about = (
        f"{count} maps of each of {len(first)} blocks, for {words}, and the 4x4 maxima of each map."
    )
    return Live("maps", data, about, caption, _still(images[0], [block[0] for block in first]))


@torch.no_grad()
def _first_maps(network, images, count):
    """The first maps of every block, in evaluation mode; the network stays as it is."""
    training = network.training
    device = next(network.parameters()).device
    blocks = block_maps(network.eval(), to_float(images.to(device)))
    network.train(training)
    firsts = [block[:, :count].float().cpu() for block in blocks]
    return [adaptive_max_pool2d(m, SIDE) if m.shape[-1] > SIDE else m for m in firsts]


def _still(image: Tensor, blocks: list[Tensor]) -> Figure:
    """The image, one map of each block, and below each map its maxima."""
    colours = LinearSegmentedColormap.from_list("answers", ["#8a5a2b", "#ffffff", DISCRIMINATOR])
    figure, axes = plt.subplots(
        2, len(blocks) + 1, figsize=(5.4, 3.2), facecolor=PAPER, layout="constrained"
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[1, 0].axis("off")
    axes[0, 0].imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255)
    axes[0, 0].set_title("image", fontsize=11)
    for number, (column, block) in enumerate(zip(axes.T[1:], blocks), 1):
        strongest = block[block.abs().amax((1, 2)).argmax()]
        top = strongest.abs().max().item() or 1.0
        for axis, part in zip(column, (strongest, adaptive_max_pool2d(strongest[None], 4)[0])):
            axis.imshow(part.numpy(), cmap=colours, vmin=-top, vmax=top)
        column[0].set_title(f"block {number}", fontsize=11)
        column[1].set_title("maxima", fontsize=11)
    plt.close(figure)
    return figure
