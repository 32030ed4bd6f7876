"""The images of Fashion-MNIST in the package, held against the official files."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_lib import load_images

OFFICIAL = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
SPLITS = {"train": ("train", 600), "test": ("t10k", 200)}


def official(split):
    """(images, labels) of all official images of a split."""
    if not OFFICIAL.is_dir():
        pytest.skip("the official files are not here: apt-get install dataset-fashion-mnist")
    name, _ = SPLITS[split]
    images = gzip.decompress((OFFICIAL / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((OFFICIAL / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8)


def chosen(labels, count):
    """Positions of `count` images a class, at random: one of each class, then the next of each."""
    stream = np.random.RandomState(0)  # its numbers are promised never to change
    by_class = [stream.permutation(np.flatnonzero(labels == c))[:count] for c in range(10)]
    return np.stack(by_class, axis=1).flatten()


@pytest.mark.parametrize("split", SPLITS)
def test_equal_to_the_official_files(split):
    pixels, labels = official(split)
    positions = chosen(labels, SPLITS[split][1])
    images = load_images("fashion", split=split)
    inside = images.images[:, 0, 2:-2, 2:-2].numpy()
    assert np.array_equal(inside, pixels[positions])
    assert np.array_equal(images.labels.numpy(), labels[positions])
    assert len(np.unique(positions)) == len(images)


@pytest.mark.parametrize("split", SPLITS)
def test_balanced_and_with_a_black_margin(split):
    images = load_images("fashion", split=split)
    assert len(images.classes) == 10
    assert torch.bincount(images.labels).tolist() == [SPLITS[split][1]] * 10
    margin = images.images.clone()
    margin[:, :, 2:-2, 2:-2] = 0
    assert not margin.any()
    assert images.images[:, 0, 2:-2, 2:-2].flatten(1).any(dim=1).all()


def test_no_root_is_taken(tmp_path):
    with pytest.raises(ValueError, match="'fashion' takes no root"):
        load_images("fashion", root=tmp_path)


def write_sheets(folder):
    """Write train.png and test.png anew from the official files."""
    for split, (_, count) in SPLITS.items():
        pixels, labels = official(split)
        cells = pixels[chosen(labels, count)].reshape(-1, 100, 28, 28).swapaxes(1, 2)
        sheet = Image.fromarray(cells.reshape(-1, 100 * 28))
        sheet.save(Path(folder) / f"{split}.png", optimize=True)
