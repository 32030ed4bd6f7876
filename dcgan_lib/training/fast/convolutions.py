"""Convolutions by other routes, where a CPU's own bf16 routines are slow.

Many maps on small pictures: the gradient of the weights is a product of two matrices, the windows that the kernel sees,
a row each, and the gradients of what it made of them. Writing the windows out and multiplying is faster.

Few maps, the colours of a picture: the library pads a transposed convolution to sixteen of them. An ordinary
convolution that makes the four pixels of each 2x2 square side by side is faster (Shi et al. 2016, section 3.2). A
discriminator needs the same on its way back, for the gradient of its pictures.
"""

import torch
from torch import nn
from torch.nn.functional import pad, pixel_shuffle

MANY = 128  # maps on the picture's side, from which on the product is faster; below it is not
FEW = 3
AT_ONCE = 1024  # places whose windows are written out together: they overlap, and take four times their pictures' memory


def windows(pictures, kernel, stride, padding):
    """What the kernel sees at each place: (N, C, H, W) to (N * places, kernel * kernel * C)."""
    x = pad(pictures.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))  # NHWC
    n, height, width, maps = x.shape
    down, right = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    image, row, column, one = x.stride()
    seen = x.as_strided(
        (n, down, right, kernel, kernel, maps),
        (image, row * stride, column * stride, row, column, one),
    )
    return seen.reshape(n * down * right, -1)


def weight_gradient(picture, places, weight, stride, padding):
    """Gradient of the weights of a convolution from a picture to places, (out, in, kernel, kernel) like them."""
    out, maps, kernel, _ = weight.shape
    product = weight.new_zeros(
        out, maps * kernel**2, dtype=torch.promote_types(weight.dtype, torch.float32)
    )
    images = max(1, AT_ONCE // places[0, 0].numel())
    for some, of_them in zip(places.permute(0, 2, 3, 1).split(images), picture.split(images)):
        product += some.reshape(-1, out).t() @ windows(of_them, kernel, stride, padding)
    return product.to(weight.dtype).view(out, kernel, kernel, maps).permute(0, 3, 1, 2)


def doubled(x, weight, padding):
    """A transposed convolution of stride 2 to twice the size: (N, C, H, W) to (N, few, 2H, 2W)."""
    maps, few, kernel, _ = weight.shape
    # Pixel 2u + a of a row is the sum over d of x[u + d] times the kernel's row a + padding - 2d: three rows for each a.
    weight = (
        pad(weight, (2 - padding, 4 + padding - kernel) * 2).view(maps, few, 3, 2, 3, 2).flip(2, 4)
    )
    weight = weight.permute(1, 3, 5, 0, 2, 4).reshape(4 * few, maps, 3, 3)
    four = torch.conv2d(x, weight.contiguous(memory_format=torch.channels_last), padding=1)
    return pixel_shuffle(four, 2).contiguous(memory_format=torch.channels_last)


class _Convolution(torch.autograd.Function):
    """A convolution or its transpose, of many maps or few."""

    @staticmethod
    def forward(ctx, x, weight, layer):
        ctx.save_for_backward(x, weight)
        ctx.shape = layer.stride, layer.padding, (1, 1), layer.transposed, layer.output_padding, 1
        ctx.many = weight.shape[1] >= MANY
        if layer.transposed and not ctx.many:
            return doubled(x, weight, layer.padding[0])
        return torch.convolution(x, weight, None, *ctx.shape)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        (stride, _), (padding, _), _, transposed, _, _ = ctx.shape
        needs_x, needs_weight, _ = ctx.needs_input_grad

        def library(*which):
            return torch.ops.aten.convolution_backward(
                grad, x, weight, None, *ctx.shape, (*which, False)
            )[:2]

        grad_x = grad_weight = None
        if needs_x:
            to_pictures = not ctx.many and not transposed
            grad_x = doubled(grad, weight, padding) if to_pictures else library(True, False)[0]
        if needs_weight:
            # A transposed convolution goes from the places to the picture, so the two change sides.
            picture, places = (grad, x) if transposed else (x, grad)
            grad_weight = (
                weight_gradient(picture, places, weight, stride, padding)
                if ctx.many
                else library(False, True)[1]
            )
        return grad_x, grad_weight, None


def _forward(layer, x, output_size=None):
    weight = layer.weight
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(kind), weight.to(kind)
    return _Convolution.apply(x, weight, layer)


class _Conv2d(nn.Conv2d):
    forward = _forward


class _ConvTranspose2d(nn.ConvTranspose2d):
    forward = _forward


def _of_factor_two(layer):
    """Whether a layer halves the sides of a picture (even ones), or doubles them, with a kernel of at most 6."""
    more = layer.kernel_size[0] - 2 * layer.padding[0] + layer.output_padding[0]
    return (
        layer.stride == (2, 2)
        and layer.kernel_size[0] <= 6
        and more in ((2,) if layer.transposed else (1, 2))
    )


def use_fast_routines(network):
    """Make a network's layers of many maps and of few take these routes, in place."""
    for layer in network.modules():
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            continue
        if (
            layer.bias is not None
            or layer.groups > 1
            or layer.dilation != (1, 1)
            or layer.padding_mode != "zeros"
        ):
            continue  # none of ours
        maps = layer.out_channels if layer.transposed else layer.in_channels
        if maps >= MANY or (maps <= FEW and _of_factor_two(layer)):
            layer.__class__ = _ConvTranspose2d if layer.transposed else _Conv2d
