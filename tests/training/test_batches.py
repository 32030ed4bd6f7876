"""The order of the images, and large sets that are mapped from a file."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan_lib import ImageSet, TrainConfig
from dcgan_lib.training import batches
from dcgan_lib.training.batches import Batches
from dcgan_lib.training.fast import processes
from dcgan_lib.training.fast.memory import give_back_pages

CONFIG = TrainConfig(image_size=32, channels=1, batch_size=16, epochs=2)
CPU = torch.device("cpu")


@pytest.fixture
def mapped(tmp_path):
    """4,000 images of 32 pixels in a file; every image has its number in its first two pixels."""
    pixels = np.zeros((4000, 32, 32, 1), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 1, 0] = np.divmod(np.arange(4000), 256)
    pixels.tofile(tmp_path / "images.bin")
    images = torch.from_numpy(
        np.memmap(tmp_path / "images.bin", np.uint8, mode="c", shape=pixels.shape)
    )
    return ImageSet(images.permute(0, 3, 1, 2), None, (), "numbers", "numbers", [])


def numbers(batch):
    high, low = ((batch[:, 0, 0, column] + 1) * 127.5 for column in (0, 1))
    return (high.round() * 256 + low.round()).int().tolist()


def seen(images, epoch):
    served = Batches(images, CONFIG, CPU)
    steps = len(images) // CONFIG.batch_size
    return [
        number
        for step in range(epoch * steps, (epoch + 1) * steps)
        for number in numbers(served.at(step)[0])
    ]


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(mapped):
    first, second = seen(mapped, 0), seen(mapped, 1)
    assert sorted(first) == sorted(second) == list(range(4000))
    assert first != second


def test_a_large_set_is_seen_once_too_and_in_windows(mapped, monkeypatch):
    monkeypatch.setattr(batches, "LARGE", 1)
    monkeypatch.setattr(batches, "FILE_BLOCK", 64)
    monkeypatch.setattr(batches, "WINDOW", 4)
    given_back = []
    monkeypatch.setattr(batches, "give_back_pages", given_back.append)
    order = seen(mapped, 0)
    assert sorted(order) == list(range(4000)) and order != sorted(order)
    for start in range(0, 3 * 256, 256):
        assert (
            len({number // 64 for number in order[start : start + 256]}) <= 5
        )  # 4, and 5 beside the short last block
    assert len(given_back) == -(-4000 // 256)
    assert order == seen(mapped, 0) and order != seen(mapped, 1)


def test_a_batch_does_not_depend_on_those_before(mapped, monkeypatch):
    monkeypatch.setattr(batches, "LARGE", 1)
    one, other = Batches(mapped, CONFIG, CPU), Batches(mapped, CONFIG, CPU)
    for step in range(20):
        expected = one.at(step)
    for tensor, same in zip(expected, other.at(19)):
        assert torch.equal(tensor, same)


def test_processes_share_a_batch_without_overlap(mapped, monkeypatch):
    config, shares = replace(CONFIG, flip=True), []
    whole = Batches(mapped, config, CPU).at(7)
    for rank in (0, 1):
        monkeypatch.setattr(processes, "share_of", lambda batch, rank=rank: batch[rank::2])
        shares.append(Batches(mapped, config, CPU).at(7))
    for tensor, first, second in zip(whole, *shares):
        assert torch.equal(tensor, torch.stack([first, second], dim=1).flatten(0, 1))


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux tells a process's memory in /proc, and takes it back",
)
def test_pages_are_given_back_and_nothing_is_lost(tmp_path):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(2**28)
    tensor = torch.from_numpy(np.memmap(tmp_path / "large.bin", np.uint8, mode="c"))
    tensor[:5000] = 7
    before = resident()
    tensor[::4096].sum()
    assert resident() - before > 0.9 * 2**28
    give_back_pages(tensor)
    assert resident() - before < 0.1 * 2**28
    assert (tensor[:5000] == 7).all() and not tensor[5000:].any()


def test_flips_mirror_half_of_the_images(make_images):
    images = make_images(512)
    plain, mirrored = (
        Batches(images, replace(CONFIG, batch_size=512, flip=flip), torch.device("cpu")).at(0)[0]
        for flip in (False, True)
    )
    same = (plain == mirrored).flatten(1).all(dim=1)
    assert 200 < same.sum() < 312
    assert torch.equal(plain[~same].flip(3), mirrored[~same])


def test_images_that_do_not_fit(make_images):
    with pytest.raises(
        ValueError, match="10 images, fewer than one batch of 16; choose a batch_size of at most 10"
    ):
        Batches(make_images(10), CONFIG, CPU)
    with pytest.raises(ValueError, match="1 channels and 64 pixels.*channels=1 and image_size=64"):
        Batches(make_images(size=64), CONFIG, CPU)
