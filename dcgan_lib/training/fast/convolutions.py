"""The gradient of a convolution's weights by another route, where a CPU's own bf16 routine is slow.

With many maps on small images that gradient is a product of two matrices: the windows that the
kernel sees, a row each, and the gradients of what it made of them. To write the windows out and
multiply is faster than the library's routine, most of all on processors with AMX; how much, the
records of training speed in `results/` tell.
"""

from functools import partial

import torch
from torch import nn

MANY_MAPS = 128  # maps on the image's side, from which on the product is faster; below it is not
PLACES = 1024  # whose windows are written out together: they take four times the memory


def use_weight_gradient_by_product(network: nn.Module) -> None:
    """Make a network's convolutions of many maps take this route, in place."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is None:
            maps = layer.out_channels if layer.transposed else layer.in_channels
            plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            if maps >= MANY_MAPS and plain:
                layer.forward = partial(_forward, layer)


def windows(images, kernel, stride, padding):
    """What the kernel sees at each place: (N, C, H, W) to (N * places, kernel * kernel * C)."""
    around = (0, 0, padding, padding, padding, padding)
    x = nn.functional.pad(images.permute(0, 2, 3, 1), around)  # NHWC
    seen = x.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (N, rows, columns, C, k, k)
    return seen.permute(0, 1, 2, 4, 5, 3).reshape(seen.shape[:3].numel(), -1)


def weight_gradient(image, places, weight, stride, padding):
    """Gradient of a convolution's weights, (out, in, kernel, kernel) as they are."""
    out, maps, kernel, _ = weight.shape
    product = weight.new_zeros(
        out, maps * kernel**2, dtype=torch.promote_types(weight.dtype, torch.float32)
    )
    at_once = max(1, PLACES // places[0, 0].numel())
    pairs = zip(places.permute(0, 2, 3, 1).split(at_once), image.split(at_once), strict=True)
    for some_places, their_images in pairs:
        product += some_places.reshape(-1, out).t() @ windows(their_images, kernel, stride, padding)
    return product.to(weight.dtype).view(out, kernel, kernel, maps).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """A convolution, or its transpose, of many maps."""

    @staticmethod
    def forward(ctx, x, weight, layer):
        ctx.save_for_backward(x, weight)
        ctx.geometry = (
            layer.stride,
            layer.padding,
            (1, 1),
            layer.transposed,
            layer.output_padding,
            1,
        )
        return torch.convolution(x, weight, None, *ctx.geometry)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        (stride, _), (padding, _), _, transposed, *_ = ctx.geometry
        needs_x, needs_weight, _ = ctx.needs_input_grad
        grad_x, _, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, *ctx.geometry, (needs_x, False, False)
        )
        # A transposed convolution goes from the places to the image, so the two change sides.
        image, places = (grad, x) if transposed else (x, grad)
        grad_weight = (
            weight_gradient(image, places, weight, stride, padding) if needs_weight else None
        )
        return grad_x, grad_weight, None


def _forward(layer, x, output_size=None):
    weight = layer.weight
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    return _Convolution.apply(x, weight, layer)
