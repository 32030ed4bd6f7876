"""Pixels as they are stored, 0 to 255, and as the networks want them, -1 to 1."""


def to_float(images):
    """Pixels as the networks want them: uint8 0...255 to float32 in [-1, 1], any shape (singh, section 4)."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images):
    """The way back: [-1, 1] to uint8 0...255, rounded."""
    return images.add(1).mul(127.5).round().clamp(0, 255).byte()
