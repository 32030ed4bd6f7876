"""Weight gradients as one matrix product, for convolutions of many maps on small pictures.

The gradient of a convolution's weights is a product of two matrices: the windows that the kernel sees, a row each,
and the gradients of what it made of them. On CPUs the library's own bf16 routine for it is slow where the maps are many
and the pictures small; writing the windows out and multiplying is faster there.
"""

import torch
from torch import nn
from torch.nn.functional import pad

MANY = 128  # maps on the picture's side, from which on the product is faster; below it is not

AT_ONCE = 64  # images whose windows are written out together: they overlap, and take four times their pictures' memory


def windows(pictures, kernel, stride, padding):
    """What the kernel sees at each place: (N, C, H, W) to (N * places, kernel * kernel * C)."""
    x = pad(pictures.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))  # NHWC
    n, height, width, maps = x.shape
    down, right = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    image, row, column, one = x.stride()
    seen = x.as_strided((n, down, right, kernel, kernel, maps), (image, row * stride, column * stride, row, column, one))
    return seen.reshape(n * down * right, -1)


class _Convolution(torch.autograd.Function):
    """A convolution or its transpose, with that gradient of the weights."""

    @staticmethod
    def forward(ctx, x, weight, layer):
        ctx.save_for_backward(x, weight)
        ctx.shape = layer.stride, layer.padding, (1, 1), layer.transposed, layer.output_padding, 1
        return torch.convolution(x, weight, None, *ctx.shape)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        (stride, _), (padding, _), _, transposed, _, _ = ctx.shape
        grad_x = None
        if ctx.needs_input_grad[0]:
            only_x = (True, False, False)
            grad_x = torch.ops.aten.convolution_backward(grad, x, weight, None, *ctx.shape, only_x)[0]
        if not ctx.needs_input_grad[1]:
            return grad_x, None, None
        # A transposed convolution goes from the places to the picture, so the two change sides.
        picture, places = (grad, x) if transposed else (x, grad)
        maps, kernel = weight.shape[1:3]
        product = weight.new_zeros(len(weight), maps * kernel**2, dtype=torch.promote_types(grad.dtype, torch.float32))
        for some, of_them in zip(places.permute(0, 2, 3, 1).split(AT_ONCE), picture.split(AT_ONCE)):
            product += some.reshape(-1, len(weight)).t() @ windows(of_them, kernel, stride, padding)
        product = product.to(weight.dtype)
        return grad_x, product.view(-1, kernel, kernel, maps).permute(0, 3, 1, 2), None


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


def use_matrix_products(network):
    """Make the wide layers of a network compute their weight gradients in this way, in place."""
    for layer in network.modules():
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            continue
        if layer.bias is not None or layer.groups > 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros":
            continue  # none of ours
        if type(layer) is nn.Conv2d and layer.in_channels >= MANY:
            layer.__class__ = _Conv2d
        elif type(layer) is nn.ConvTranspose2d and layer.out_channels >= MANY:
            layer.__class__ = _ConvTranspose2d
