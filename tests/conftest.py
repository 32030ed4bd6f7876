"""Images made on the spot, for every test of the package."""

import pytest
import torch


@pytest.fixture
def make_images():
    """make_images(n, size, channels, classes): bright squares on a noisy ground, one position a class."""
    from dcgan_lib import ImageSet

    def make(n=96, size=32, channels=1, classes=4, seed=0):
        stream = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 60, (n, size, size, channels), generator=stream, dtype=torch.uint8)
        labels = torch.arange(n) % classes
        for i, label in enumerate(labels.tolist()):
            top = label * size // classes
            pixels[i, top : top + size // 4, 4 : size // 2] += 150
        names = tuple(f"class {c}" for c in range(classes))
        return ImageSet(pixels.permute(0, 3, 1, 2), labels, names, "squares", f"squares-{n}-{size}-{channels}-{seed}", [])

    return make
