"""The two networks of a DCGAN (Radford et al. 2015, section 3), in the sizes that the book uses.

An image of 64 pixels is four halvings away from a map of 4x4, so each network has four blocks for
it; at 32 pixels there are three, at 128 five. The number of maps doubles whenever the image
halves. With a kernel of 3 there are twice as many blocks, as in the network that the original
paper trained on ImageNet: before each block that halves the image stands one that keeps its size.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from dcgan_lib.utils.random import rng

HALVINGS = {32: 3, 64: 4, 128: 5}
# For each kernel size, the padding with which a convolution of stride 2 halves the image exactly,
# and the rows and columns that its transpose must add at the end to double it exactly.
PADDING, OUTPUT_PADDING = {3: 1, 4: 1, 5: 2}, {3: 1, 4: 0, 5: 1}


class Generator(nn.Module):
    """Draws images from latent vectors (Table 1 of gomez, right column, at the default sizes).

    Each block is a transposed convolution, BatchNorm and ReLU. The first block turns a latent
    vector into maps of 4x4, and the later ones double their size (with a kernel of 3, every
    second one does). `head` is the last transposed convolution and Tanh.

    Parameters
    ----------
    image_size : {32, 64, 128}, default 64
        Height and width of the images in pixels.
    channels : {1, 3}, default 3
        1 for grey images, 3 for colour.
    latent_dim : int, default 100
    width : int, default 64
        Maps in the last block; the block before it has twice as many, and so on.
    kernel_size : {3, 4, 5}, default 4
        Of all layers but the first, whose kernel is always 4, because it makes the map of 4x4.
        3 doubles the number of blocks.
    latents : {"normal", "uniform"}, default "normal"
        The prior of the latent vectors that the network is trained with; `sample` draws from it.
    seed : int, default 0
        Decides the initial weights.

    Raises
    ------
    ValueError
        A size that the networks are not built for.

    Examples
    --------
    >>> Generator(image_size=32, channels=1)(torch.zeros(5, 100)).shape
    torch.Size([5, 1, 32, 32])
    """

    def __init__(
        self,
        image_size: int = 64,
        channels: int = 3,
        latent_dim: int = 100,
        width: int = 64,
        kernel_size: int = 4,
        *,
        latents: str = "normal",
        seed: int = 0,
    ):
        super().__init__()
        check_sizes(image_size, channels, latent_dim, width, kernel_size)
        self.latent_dim, self.latents = latent_dim, latents
        # The discriminator's layers in reverse order, each of them turned around.
        *hidden, last = [
            _layer(nn.ConvTranspose2d, maps_in, maps_out, kernel_size, stride)
            for maps_out, maps_in, stride in reversed(
                _layer_sizes(image_size, channels, width, kernel_size)
            )
        ]
        first = _layer(nn.ConvTranspose2d, latent_dim, hidden[0].in_channels, 4, 1, padding=0)
        self.blocks = nn.ModuleList(
            nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))
            for layer in (first, *hidden)
        )
        self.head = nn.Sequential(last, nn.Tanh())
        _initialise(self, rng(seed, "generator weights"))

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent_dim) or (N, latent_dim, 1, 1) to images (N, channels, H, W)."""
        if z.shape[1:].numel() != self.latent_dim:
            raise ValueError(
                f"latents have shape {tuple(z.shape)}; this generator takes (N, {self.latent_dim})"
            )
        x = z.reshape(len(z), self.latent_dim, 1, 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Discriminator(nn.Module):
    """Tells real images from generated ones (Table 1 of gomez, left column, at the default sizes).

    Each block is a convolution, BatchNorm (except in the first) and LeakyReLU of slope 0.2.
    `head` is a convolution over the whole last map. The network returns logits: the papers'
    sigmoid is part of the loss, where it can be computed without overflow.

    Parameters
    ----------
    image_size : {32, 64, 128}, default 64
    channels : {1, 3}, default 3
    width : int, default 64
        Maps in the first block; their number doubles whenever the image halves.
    kernel_size : {3, 4, 5}, default 4
        Of the blocks; 3 doubles their number.
    seed : int, default 0
        Decides the initial weights.

    Raises
    ------
    ValueError
        A size that the networks are not built for.

    Examples
    --------
    >>> Discriminator(image_size=32, channels=1)(torch.zeros(5, 1, 32, 32)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        image_size: int = 64,
        channels: int = 3,
        width: int = 64,
        kernel_size: int = 4,
        *,
        seed: int = 0,
    ):
        super().__init__()
        check_sizes(image_size, channels, 1, width, kernel_size)
        self.image_size, self.channels = image_size, channels
        self.width, self.kernel_size = width, kernel_size
        self.blocks = nn.ModuleList()
        for maps_in, maps_out, stride in _layer_sizes(image_size, channels, width, kernel_size):
            layer = _layer(nn.Conv2d, maps_in, maps_out, kernel_size, stride)
            norm = [nn.BatchNorm2d(maps_out)] if len(self.blocks) else []
            self.blocks.append(nn.Sequential(layer, *norm, nn.LeakyReLU(0.2, inplace=True)))
        self.head = _layer(nn.Conv2d, maps_out, 1, 4, 1, padding=0)
        _initialise(self, rng(seed, "discriminator weights"))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1] to logits (N,); above 0 means "real"."""
        expected = (self.channels, self.image_size, self.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"images have shape {tuple(images.shape)}; this discriminator takes "
                f"(N, {', '.join(map(str, expected))})"
            )
        x = images
        for block in self.blocks:
            x = block(x)
        return self.head(x).flatten()


def _layer_sizes(image_size, channels, width, kernel_size):
    """(maps in, maps out, stride) of the discriminator's blocks, from the image on."""
    sizes, maps_in = [], channels
    for halving in range(HALVINGS[image_size]):
        for stride in (1, 2) if kernel_size == 3 else (2,):
            sizes.append((maps_in, width * 2**halving, stride))
            maps_in = width * 2**halving
    return sizes


def _layer(kind, maps_in, maps_out, kernel_size, stride, padding=None):
    """A convolution without bias whose weights are not set yet.

    BatchNorm subtracts the mean of each map, so a bias before it would have no effect; the first
    and the last layer go without one as the original program does. `skip_init` leaves the weights
    unset, because PyTorch's own initialisation draws from the global random generator.
    """
    options = {"stride": stride, "padding": PADDING[kernel_size] if padding is None else padding}
    if kind is nn.ConvTranspose2d and stride == 2:
        options["output_padding"] = OUTPUT_PADDING[kernel_size]
    return nn.utils.skip_init(kind, maps_in, maps_out, kernel_size, bias=False, **options)


@torch.no_grad()
def _initialise(network, stream):
    """Weights from N(0, 0.02), BatchNorm's scales from N(1, 0.02), as in Radford's program."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.normal_(0.0, 0.02, generator=stream)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1.0, 0.02, generator=stream)


def check_sizes(image_size, channels, latent_dim, width, kernel_size):
    """Raise ValueError, in a sentence, for sizes that the networks are not built for."""
    if image_size not in HALVINGS:
        raise ValueError(
            f"image_size is {image_size!r}; the networks are built for {list(HALVINGS)} pixels"
        )
    if kernel_size not in PADDING:
        raise ValueError(
            f"kernel_size is {kernel_size!r}; the papers use 3, 4 and 5, choose one of them"
        )
    if channels not in (1, 3) or channels is True:
        raise ValueError(f"channels is {channels!r}; grey images have 1, colour images 3")
    for name, value in (("latent_dim", latent_dim), ("width", width)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")


def count_parameters(network: nn.Module) -> int:
    """Count the trained parameters, which BatchNorm's running statistics are not.

    Examples
    --------
    >>> count_parameters(Generator())
    3576704
    """
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, for weights and BatchNorm's statistics.

    Nothing happens where `average` is the network itself.
    """
    if average is not network:
        ours, theirs = (
            [values for values in net.state_dict().values() if values.is_floating_point()]
            for net in (average, network)
        )
        torch._foreach_lerp_(ours, theirs, 1 - decay)


@torch.no_grad()
def layer_table(network: Generator | Discriminator) -> list[dict]:
    """What each block does to the shape, as rows for a table (Table 1 of gomez).

    Parameters
    ----------
    network : Generator or Discriminator

    Returns
    -------
    list of dict
        With the keys `block`, `layers`, `output` (channels, height, width) and `parameters`; the
        last row is the head.

    Examples
    --------
    >>> layer_table(Discriminator())[0]["output"]
    (64, 32, 32)
    """
    shape = (
        (network.latent_dim, 1, 1)
        if isinstance(network, Generator)
        else (network.channels, network.image_size, network.image_size)
    )
    network = deepcopy(network).to("meta")  # shapes without numbers, and without a trace
    x, rows = torch.empty(1, *shape, device="meta"), []
    for number, block in enumerate([*network.blocks, network.head], 1):
        x = block(x)
        convolution, *others = block if isinstance(block, nn.Sequential) else [block]
        kind = "convTrans" if isinstance(convolution, nn.ConvTranspose2d) else "conv"
        kernel, stride = convolution.kernel_size[0], convolution.stride[0]
        names = [type(layer).__name__.removesuffix("2d") for layer in others]
        rows.append(
            {
                "block": "head" if number > len(network.blocks) else str(number),
                "layers": ", ".join([f"{kernel}x{kernel} {kind}, stride {stride}", *names]),
                "output": tuple(x.shape[1:]),
                "parameters": count_parameters(block),
            }
        )
    return rows
