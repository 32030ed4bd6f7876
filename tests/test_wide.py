"""Weight gradients as matrix products, against PyTorch's own."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from dcgan_lib import Discriminator, Generator
from dcgan_lib.wide import MANY, use_matrix_products

LAYERS = {"convolution": lambda k, p, op: (nn.Conv2d(MANY, 8, k, 2, p, bias=False), MANY),
          "transposed": lambda k, p, op: (nn.ConvTranspose2d(8, MANY, k, 2, p, op, bias=False), 8)}  # fmt: skip


@pytest.mark.parametrize("kernel,padding,output_padding", [(4, 1, 0), (5, 2, 1)])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gradients_equal_those_of_pytorch(kind, kernel, padding, output_padding, dtype):
    plain, maps = LAYERS[kind](kernel, padding, output_padding)
    plain = plain.double()
    ours = nn.Sequential(deepcopy(plain))
    use_matrix_products(ours)
    assert type(ours[0]) is not type(plain), "the layer is not one of the wide ones"
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(3, maps, 8, 8, generator=stream, dtype=torch.float64)
    one, other = x.clone().requires_grad_(), x.contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = plain(one)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = ours(other if dtype is torch.float64 else other.float())
    assert found.dtype == dtype
    grad = torch.randn(expected.shape, generator=stream, dtype=torch.float64)
    expected.backward(grad)
    found.backward(grad.to(dtype))
    close = dict(rtol=1e-9, atol=1e-9) if dtype is torch.float64 else dict(rtol=0.05, atol=0.02 * MANY**0.5)
    torch.testing.assert_close(found.double(), expected, **close)
    torch.testing.assert_close(other.grad, one.grad, **close)
    torch.testing.assert_close(ours[0].weight.grad, plain.weight.grad, **close)
    relative = (ours[0].weight.grad - plain.weight.grad).norm() / plain.weight.grad.norm()
    assert relative < (1e-12 if dtype is torch.float64 else 0.02)


def test_frozen_weights_get_no_gradient():
    layer = nn.Sequential(LAYERS["convolution"](4, 1, 0)[0])
    use_matrix_products(layer)
    layer.requires_grad_(False)
    x = torch.randn(2, MANY, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer[0].weight.grad is None


def test_weights_are_saved_under_the_same_names():
    for network in (Generator(64, 3), Discriminator(64, 3)):
        before = network.state_dict()
        use_matrix_products(network)
        assert list(before) == list(network.state_dict())
