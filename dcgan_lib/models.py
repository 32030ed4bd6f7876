"""The two networks of a DCGAN (Radford et al. 2015, section 3), in the sizes that the book uses.

A picture of 64 pixels is four halvings away from a map of 4x4, so both networks have four hidden blocks; at 32
pixels they have three, at 128 five. Width doubles whenever the picture halves. With a kernel of 3 there are twice as
many blocks, as in the network that the original paper trained on ImageNet: before each halving, one keeps the size.
"""

import torch
from torch import nn

from dcgan_lib.utils.random import rng

HALVINGS = {32: 3, 64: 4, 128: 5}
# Padding that makes a convolution of stride 2 halve the picture exactly, and the rows that its transpose must
# add to double it exactly: (padding, output padding) for each kernel size.
PADDING = {3: (1, 1), 4: (1, 0), 5: (2, 1)}


def _check(image_size, channels, latent_dim, width, kernel_size):
    if image_size not in HALVINGS:
        raise ValueError(
            f"image_size is {image_size!r}; the networks are built for {list(HALVINGS)} pixels"
        )
    if kernel_size not in PADDING:
        raise ValueError(
            f"kernel_size is {kernel_size!r}; the papers use 3, 4 and 5, choose one of them"
        )
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels!r}; grey images have 1, colour images 3")
    for name, value in (("latent_dim", latent_dim), ("width", width)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")


def _steps(image_size, channels, width, kernel_size):
    """(maps before, maps after, stride) of the discriminator's blocks; the generator takes them backwards."""
    strides = (1, 2) if kernel_size == 3 else (2,)
    after = [
        (width * 2**halving, stride)
        for halving in range(HALVINGS[image_size])
        for stride in strides
    ]
    return [
        (before, maps, stride)
        for before, (maps, stride) in zip([channels, *(maps for maps, _ in after)], after)
    ]


@torch.no_grad()
def _initialise(network, stream):
    """Convolution weights from N(0, 0.02), BatchNorm scales from N(1, 0.02), shifts 0 (Radford et al., 4)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.normal_(0.0, 0.02, generator=stream)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1.0, 0.02, generator=stream)


def _layer(kind, *args, **kwargs):
    # skip_init leaves the weights unset: PyTorch's own initialisation would draw from the global generator.
    return nn.utils.skip_init(kind, *args, bias=False, **kwargs)


class Generator(nn.Module):
    """Draws images from latent vectors (Table 1 of gomez, right column, at the default sizes).

    Each hidden block is a transposed convolution, BatchNorm and ReLU. The first turns a latent vector into a map
    of 4x4, every later one doubles the picture. `head` is the last transposed convolution and Tanh.

    Parameters
    ----------
    image_size : {32, 64, 128}
        Side of the images in pixels.
    channels : {1, 3}
    latent_dim : int
    width : int
        Maps in the last hidden block; the block before it has twice as many, and so on.
    kernel_size : {3, 4, 5}
        Of all layers but the first, which always has a kernel of 4: it makes the map of 4x4. 3 doubles their number.
    seed : int
        Seeds the initial weights.

    Examples
    --------
    >>> Generator(image_size=32, channels=1)(torch.zeros(5, 100)).shape
    torch.Size([5, 1, 32, 32])
    """

    def __init__(
        self, image_size=64, channels=3, latent_dim=100, width=64, kernel_size=4, *, seed=0
    ):
        super().__init__()
        _check(image_size, channels, latent_dim, width, kernel_size)
        self.latent_dim = latent_dim
        padding, output_padding = PADDING[kernel_size]
        *hidden, last = [
            _layer(
                nn.ConvTranspose2d,
                before,
                after,
                kernel_size,
                stride=stride,
                padding=padding,
                output_padding=output_padding if stride == 2 else 0,
            )
            for after, before, stride in reversed(_steps(image_size, channels, width, kernel_size))
        ]
        first = _layer(nn.ConvTranspose2d, latent_dim, hidden[0].in_channels, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))
            for layer in (first, *hidden)
        )
        self.head = nn.Sequential(last, nn.Tanh())
        _initialise(self, rng(seed, "generator weights"))

    def forward(self, z):
        """Latents (N, latent_dim) or (N, latent_dim, 1, 1) to images (N, channels, H, W) in [-1, 1]."""
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

    Each block is a convolution, BatchNorm (except in the first) and LeakyReLU of slope 0.2. `head` is
    a convolution over the whole last map. It returns logits: the papers' sigmoid is part of the loss, where it
    can be computed without overflow.

    Parameters
    ----------
    image_size : {32, 64, 128}
    channels : {1, 3}
    width : int
        Maps in the first block; their number doubles whenever the picture halves.
    kernel_size : {3, 4, 5}
        Kernel of the blocks; 3 doubles their number.
    seed : int
        Seeds the initial weights.

    Examples
    --------
    >>> Discriminator(image_size=32, channels=1)(torch.zeros(5, 1, 32, 32)).shape
    torch.Size([5])
    """

    def __init__(self, image_size=64, channels=3, width=64, kernel_size=4, *, seed=0):
        super().__init__()
        _check(image_size, channels, 1, width, kernel_size)
        self.image_size, self.channels = image_size, channels
        self.width, self.kernel_size = width, kernel_size
        self.blocks = nn.ModuleList()
        for before, after, stride in _steps(image_size, channels, width, kernel_size):
            layer = _layer(
                nn.Conv2d,
                before,
                after,
                kernel_size,
                stride=stride,
                padding=PADDING[kernel_size][0],
            )
            norm = [nn.BatchNorm2d(after)] if len(self.blocks) else []
            self.blocks.append(nn.Sequential(layer, *norm, nn.LeakyReLU(0.2, inplace=True)))
        self.head = _layer(nn.Conv2d, after, 1, 4)
        _initialise(self, rng(seed, "discriminator weights"))

    def forward(self, *batches):
        """Images (N, channels, H, W) in [-1, 1] to logits (N,); above 0 means "real".

        Several batches give as many tensors of logits, the same as one call after the other: they share the
        convolutions, which is faster, but BatchNorm sees each batch alone.
        """
        expected = (self.channels, self.image_size, self.image_size)
        for images in batches:
            if tuple(images.shape[1:]) != expected:
                raise ValueError(
                    f"images have shape {tuple(images.shape)}; this discriminator takes "
                    f"(N, {', '.join(map(str, expected))})"
                )
        if len(batches) == 1:
            x = batches[0]
            for block in self.blocks:
                x = block(x)
            return self.head(x).flatten()
        sizes, x = [len(images) for images in batches], torch.cat(batches)
        for layer in (layer for block in self.blocks for layer in block):
            apart = isinstance(layer, nn.BatchNorm2d)
            x = torch.cat([layer(part) for part in x.split(sizes)]) if apart else layer(x)
        return self.head(x).flatten().split(sizes)


def count_parameters(network):
    """Number of trained parameters; BatchNorm's running statistics are not trained and do not count."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def layer_table(network):
    """What each block does to the shape, as rows for a table.

    Parameters
    ----------
    network : Generator or Discriminator

    Returns
    -------
    list of dict
        Keys `block`, `layers`, `output` (channels, height, width) and `parameters`; the last row is the head.
    """
    if isinstance(network, Generator):
        x = torch.zeros(1, network.latent_dim, 1, 1)
    else:
        x = torch.zeros(1, network.channels, network.image_size, network.image_size)
    was_training = network.training
    network.eval()  # one image has no batch statistics, and none may be recorded
    rows = []
    for i, block in enumerate([*network.blocks, network.head]):
        x = block(x.to(next(block.parameters()).device))
        layers = list(block) if isinstance(block, nn.Sequential) else [block]
        convolution = layers[0]
        names = [
            "{0}x{0} {1}, stride {2}".format(
                convolution.kernel_size[0],
                "convTrans" if isinstance(convolution, nn.ConvTranspose2d) else "conv",
                convolution.stride[0],
            )
        ]
        names += [type(layer).__name__.removesuffix("2d") for layer in layers[1:]]
        rows.append(
            {
                "block": "head" if i == len(network.blocks) else str(i + 1),
                "layers": ", ".join(names),
                "output": tuple(x.shape[1:]),
                "parameters": count_parameters(block),
            }
        )
    network.train(was_training)
    return rows
