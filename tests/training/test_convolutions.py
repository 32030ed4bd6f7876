"""The faster routines for convolutions, against PyTorch's own."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from dcgan_lib import Discriminator, Generator
from dcgan_lib.training.fast import convolutions
from dcgan_lib.training.fast.convolutions import MANY_MAPS, use_weight_gradient_by_product

GEOMETRIES = [
    (3, 1, 1),
    (4, 1, 0),
    (5, 2, 1),
]  # kernel, padding, output padding of a transposed one
LAYERS = {
    "convolution": lambda maps, k, p, op: nn.Conv2d(maps, 8, k, 2, p, bias=False),
    "transposed": lambda maps, k, p, op: nn.ConvTranspose2d(8, maps, k, 2, p, op, bias=False),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("maps", [MANY_MAPS])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_results_and_gradients_equal_those_of_pytorch(monkeypatch, kind, maps, geometry, dtype):
    monkeypatch.setattr(
        convolutions, "PLACES", 2 * 4 * 4
    )  # three images, of 4x4 or 8x8 places: in pieces
    plain = LAYERS[kind](maps, *geometry).double()
    ours = nn.Sequential(deepcopy(plain))
    use_weight_gradient_by_product(ours)
    assert "forward" in vars(ours[0]), "the layer takes the library's routine"
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(3, plain.in_channels, 8, 8, generator=stream, dtype=torch.float64)
    one, other = (
        x.clone().requires_grad_(),
        x.contiguous(memory_format=torch.channels_last).requires_grad_(),
    )
    expected = plain(one)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = ours(other if dtype is torch.float64 else other.float())
    assert found.dtype == dtype
    grad = torch.randn(expected.shape, generator=stream, dtype=torch.float64)
    expected.backward(grad)
    found.backward(grad.to(dtype))
    close = (
        dict(rtol=1e-9, atol=1e-9)
        if dtype is torch.float64
        else dict(rtol=0.05, atol=0.02 * MANY_MAPS**0.5)
    )
    torch.testing.assert_close(found.double(), expected, **close)
    torch.testing.assert_close(other.grad, one.grad, **close)
    torch.testing.assert_close(ours[0].weight.grad, plain.weight.grad, **close)
    relative = (ours[0].weight.grad - plain.weight.grad).norm() / plain.weight.grad.norm()
    assert relative < (1e-12 if dtype is torch.float64 else 0.02)


@pytest.mark.parametrize("maps", [MANY_MAPS])
def test_frozen_weights_get_no_gradient(maps):
    layer = nn.Sequential(LAYERS["convolution"](maps, 4, 1, 0))
    use_weight_gradient_by_product(layer)
    layer.requires_grad_(False)
    x = torch.randn(2, maps, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer[0].weight.grad is None


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_whole_networks_with_their_first_and_last_layers(kernel_size):
    """The layers of stride 1, from the latent and to the logit, are among those of many maps."""
    for network, x in (
        (Generator(32, 1, kernel_size=kernel_size), torch.randn(4, 100)),
        (Discriminator(32, 1, kernel_size=kernel_size), torch.randn(4, 1, 32, 32)),
    ):
        plain, ours = network.double(), deepcopy(network)
        use_weight_gradient_by_product(ours)
        changed = [module for module in ours.modules() if "forward" in vars(module)]
        assert len(changed) >= 2 and list(plain.state_dict()) == list(ours.state_dict())
        for net in (plain, ours):
            net(x.double()).square().sum().backward()
        for p, q in zip(plain.parameters(), ours.parameters()):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-7, atol=1e-9)


def test_layers_of_other_kinds_are_left_alone():
    """With a bias, in groups, or of few maps."""
    layers = nn.Sequential(
        nn.Conv2d(MANY_MAPS, 8, 3),
        nn.Conv2d(MANY_MAPS, MANY_MAPS, 3, groups=2, bias=False),
        nn.Conv2d(3, 8, 3, bias=False),
        nn.ConvTranspose2d(8, 3, 5, 2, 2, bias=False),
        nn.ConvTranspose2d(8, 3, 8, 2, 3, bias=False),
        nn.Conv2d(16, 8, 4, 2, 1, bias=False),
    )
    use_weight_gradient_by_product(layers)
    assert not any("forward" in vars(layer) for layer in layers)
