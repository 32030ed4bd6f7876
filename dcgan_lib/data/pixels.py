"""Pixels as they are stored, 0 to 255, and as the networks want them, -1 to 1."""

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """Scale pixels from 0...255 to the range of tanh, [-1, 1] (singh, section 4).

    Parameters
    ----------
    images : Tensor of any shape
        uint8; it is not changed.

    Returns
    -------
    Tensor of the same shape
        float32, in new memory.

    Examples
    --------
    >>> to_float(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Scale images from [-1, 1] back to whole pixel values 0...255.

    Parameters
    ----------
    images : Tensor of any shape
        Floating point; values outside [-1, 1] are clipped.

    Returns
    -------
    Tensor of the same shape
        uint8, rounded.

    Examples
    --------
    >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return images.add(1).mul(127.5).round().clamp(0, 255).byte()
