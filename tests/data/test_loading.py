"""`load_images`: every kind of file and folder, the cache, and what the reader is told."""

import gzip
import json
import multiprocessing
import os
import pickle
import re
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_lib import ImageSet, available_datasets, load_images
from dcgan_lib.data import cache
from dcgan_lib.data import decoding as picture

PROJECT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = np.arange(40) % 10


@pytest.fixture
def root(tmp_path):
    return tmp_path / "pictures"


@pytest.fixture
def no_decoding(monkeypatch):
    """A function that makes every decoding from then on an error."""

    def forbid(*arguments):
        raise AssertionError("decoded once more")

    return lambda: monkeypatch.setattr(cache, "build", forbid)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)


def tree(root, layout="{split}/{label}/{n:02}.png", pictures=COLOUR[:6], split="train"):
    """Pictures in two classes of the same size; returns the root."""
    for n, pixels in enumerate(pictures):
        save(root / layout.format(split=split, label="ab"[2 * n // len(pictures)], n=n), pixels)
    return root


def pixels_of(images):
    return images.images.permute(0, 2, 3, 1).numpy()


def caches(home):
    """The names of all caches, finished or not, without their locks."""
    names = sorted(path.name for path in (home / "cache").iterdir())
    return [name for name in names if not name.endswith(".lock")]


# The digits, and what every set has in common


def test_digits():
    train, test = load_images("digits"), load_images("digits", split="test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.shape == (1437, 1, 32, 32) and train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64 and train.labels[:10].tolist() == list(range(10))
    assert train.classes == tuple("0123456789") and train.skipped == []
    assert (train.channels, train.size, train.name) == (1, 32, "digits")
    assert train.images.min() == 0 and train.images.max() == 255
    assert repr(train) == "ImageSet 'digits': 1437 images of 1x32x32, 10 classes"
    assert load_images("digits", size=64).images.shape == (1437, 1, 64, 64)


def test_storage_is_nhwc(root):
    images = load_images("folder", root=tree(root)).images
    assert images.permute(0, 2, 3, 1).is_contiguous()
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_changes_to_the_tensor_stay_in_memory(root):
    tree(root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_images("folder", root=root).images.zero_()
    np.testing.assert_array_equal(pixels_of(load_images("folder", root=root)), COLOUR[:6])


def test_subset():
    images = load_images("digits", limit=20)
    part = images.subset([3, 1, -1])
    assert len(part) == 3 and part.classes == images.classes
    torch.testing.assert_close(part.images, images.images[[3, 1, 19]])
    assert part.labels.tolist() == images.labels[[3, 1, 19]].tolist()
    assert part.images.permute(0, 2, 3, 1).is_contiguous()
    assert part.fingerprint != images.fingerprint
    assert part.fingerprint == images.subset(torch.tensor([3, 1, 19])).fingerprint
    mask = images.labels == images.labels[0]
    assert torch.equal(images.subset(mask).labels, images.labels[mask])


def test_a_set_from_a_tensor_alone():
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    images = ImageSet(pixels)
    assert repr(images) == "ImageSet 'images': 2 images of 3x4x4, no labels"
    assert images.labels is None and images.classes == () and images.skipped == []
    nhwc = pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert (
        ImageSet(nhwc).fingerprint == images.fingerprint
    )  # of the pixels, however they are stored
    others = [
        ImageSet(pixels + 1),
        ImageSet(pixels.reshape(6, 1, 4, 4)),
        ImageSet(pixels, torch.tensor([0, 1]), ("a", "b")),
        ImageSet(pixels, torch.tensor([1, 0]), ("a", "b")),
        ImageSet(pixels, torch.tensor([1, 0]), ("a", "c")),
        images.subset([1, 0]),
    ]
    assert len({images.fingerprint, *(each.fingerprint for each in others)}) == 7
    assert ImageSet(pixels, fingerprint="mine").fingerprint == "mine"
    images.skipped.append(("x", "y"))
    assert ImageSet(pixels).skipped == []


U8 = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ([U8.float()], TypeError, "images is torch.float32, not a tensor of torch.uint8: give pix"),
        ([U8.numpy()], TypeError, "images is uint8, not a tensor .*torch.from_numpy"),
        ([[1, 2]], TypeError, "images is list, not a tensor"),
        ([U8[0]], ValueError, r"shape \(3, 4, 4\), not \(N, C, H, W\) with C = 1 or 3 and H = W"),
        ([U8.permute(0, 2, 3, 1)], ValueError, r"shape \(2, 4, 4, 3\), not"),
        ([U8[..., 1:]], ValueError, r"shape \(2, 3, 4, 3\), not .* crop the images to squares"),
        ([U8, torch.tensor([0])], ValueError, r"labels is torch.int64 of shape \(1,\): give"),
        ([U8, torch.tensor([0.0, 1])], ValueError, "labels is torch.float32 of shape"),
        ([U8, torch.tensor([0, 1])], ValueError, "each a position among the 0 classes"),
        ([U8, torch.tensor([0, 2]), ("a", "b")], ValueError, "each a position among the 2 classes"),
        ([U8, torch.tensor([0, -1]), ("a", "b")], ValueError, "each a position among the 2 class"),
        ([U8, [0, 1], ("a", "b")], ValueError, "labels is list"),
    ],
)
def test_a_set_that_is_no_set(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        ImageSet(*arguments)


def test_limit(root):
    tree(root, pictures=COLOUR, layout="train/{n:02}.png")
    few, more = (load_images("folder", root=root, limit=n) for n in (5, 15))
    originals = [image.tobytes() for image in COLOUR]
    positions = [originals.index(image.tobytes()) for image in pixels_of(few)]
    assert len(few) == 5 and positions == sorted(positions) != [0, 1, 2, 3, 4]
    assert {image.tobytes() for image in pixels_of(few)} < {
        image.tobytes() for image in pixels_of(more)
    }
    everything = load_images("folder", root=root)
    assert load_images("folder", root=root, limit=1000).fingerprint == everything.fingerprint


def test_a_limit_counts_readable_images(root):
    """Others stand in for damaged ones, and a smaller choice is still part of a larger one."""
    tree(root, pictures=COLOUR, layout="train/{n:02}.png")
    pictures = sorted((root / "train").iterdir())
    for path in pictures[: len(COLOUR) // 2]:
        path.write_bytes(b"nonsense")
    chosen = [load_images("folder", root=root, limit=n) for n in (3, 6, 1000)]
    good = [image.tobytes() for image in COLOUR[len(COLOUR) // 2 :]]
    found = [[good.index(image.tobytes()) for image in pixels_of(images)] for images in chosen]
    assert [len(some) for some in found] == [3, 6, len(good)] and set(found[0]) < set(found[1])
    assert found[2] == list(range(len(good))) and len(chosen[2].skipped) == len(COLOUR) // 2
    assert load_images("folder", root=root, limit=np.int64(3)).fingerprint == chosen[0].fingerprint


def test_limit_and_labels(root):
    tree(root, pictures=COLOUR)
    (root / "train/a/00.png").write_bytes(b"nonsense")
    everything = load_images("folder", root=root)
    label_of = {
        image.tobytes(): int(label)
        for image, label in zip(pixels_of(everything), everything.labels)
    }
    some = load_images("folder", root=root, limit=len(everything) - 1)
    assert [label_of[image.tobytes()] for image in pixels_of(some)] == some.labels.tolist()


def test_limit_is_taken_before_decoding(root, monkeypatch):
    tree(root, pictures=COLOUR)
    decoded = []
    monkeypatch.setattr(picture, "decode", lambda path, *how: decoded.append(path) or COLOUR[0])
    load_images("folder", root=root, limit=4)
    assert len(decoded) == 4


def test_import_is_light():
    code = "import sys, dcgan_lib.data; print({'sklearn', 'torchvision'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT
    ).stdout
    assert found.strip() == "set()"


# Layouts of a folder


def test_classes(root):
    tree(root)
    save(root / "test/a/0.png", COLOUR[6])
    save(root / "test/b/0.png", COLOUR[7])
    train, test = (
        load_images("folder", root=str(root)),
        load_images("folder", root=root, split="test"),
    )
    assert train.classes == test.classes == ("a", "b")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1] and test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(pixels_of(train), COLOUR[:6])
    np.testing.assert_array_equal(pixels_of(test), COLOUR[6:8])


@pytest.mark.parametrize("layout", ["train/{n}.png", "{n}.png"])
def test_flat(root, layout):
    images = load_images("folder", root=tree(root, layout))
    assert images.labels is None and images.classes == ()
    np.testing.assert_array_equal(pixels_of(images), COLOUR[:6])
    assert repr(images) == "ImageSet 'folder': 6 images of 3x32x32, no labels"
    assert images.subset([0]).labels is None


def test_classes_without_a_split(root):
    tree(root, "{label}/{n}.png")
    assert load_images("folder", root=root).classes == ("a", "b")
    with pytest.raises(FileNotFoundError, match="no folder 'test' in .*; found: a, b"):
        load_images("folder", root=root, split="test")


def test_another_split_is_not_taken_for_a_class(root):
    tree(root, split="test")
    with pytest.raises(FileNotFoundError, match="no folder 'train' in .*; found: test"):
        load_images("folder", root=root)
    assert len(load_images("folder", root=root, split="test")) == 6


def test_a_split_of_any_name(root):
    tree(root, split="val")
    assert len(load_images("folder", root=root, split="val")) == 6


def test_what_is_not_an_image_is_told(root):
    tree(root)
    (root / "train/a/notes.txt").write_text("notes")
    (root / "train/a/gone.png").symlink_to(root / "nowhere.png")
    (root / "train/a/deeper").mkdir()
    (root / "train/list.csv").write_text("list")
    (root / "train/a/.hidden.png").write_bytes(b"hidden")
    (root / "train/.git").mkdir()
    images = load_images("folder", root=root)
    assert len(images) == 6 and images.classes == ("a", "b")
    assert images.skipped == [
        ("train/a/deeper", "a folder, which is not searched"),
        ("train/a/gone.png", "not a file"),
        ("train/a/notes.txt", "not the suffix of an image"),
        ("train/list.csv", "beside the class folders"),
    ]


def test_an_empty_class_is_told(root):
    """It keeps its number, so that the splits agree."""
    tree(root)
    (root / "train/aa").mkdir()
    images = load_images("folder", root=root)
    assert images.classes == ("a", "aa", "b") and images.labels.tolist() == [0, 0, 0, 2, 2, 2]
    assert images.skipped == [("train/aa", "a class without any image")]


def test_links_that_lead_nowhere(root):
    """A link to itself or to nowhere is told; it does not stop a folder, wherever it lies."""
    tree(root)
    for where in ("train/a/loop.png", "train/loop.png", "loop.png"):
        (root / where).symlink_to(Path(where).name)
    (root / "train/a/gone.png").symlink_to(root / "nowhere.png")
    images = load_images("folder", root=root)
    np.testing.assert_array_equal(pixels_of(images), COLOUR[:6])
    assert images.skipped == [
        ("train/a/gone.png", "not a file"),
        ("train/a/loop.png", "not a file"),
        ("train/loop.png", "beside the class folders"),
    ]


# Bad files


def claiming(png, side):
    """The bytes of a small PNG file whose header claims side x side pixels."""
    header = b"IHDR" + struct.pack(">II", side, side) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def test_bad_files_are_skipped(root):
    tree(root)
    folder = root / "train/a"
    whole = (folder / "00.png").read_bytes()
    (folder / "corrupt.png").write_bytes(whole[:60] + bytes(200))
    (folder / "empty.jpg").touch()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_text("<html>Not found</html>")
    (folder / "drawing.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n")
    (folder / "bomb.png").write_bytes(claiming(whole, 8_000))
    (folder / "larger bomb.png").write_bytes(claiming(whole, 100_000))
    save(folder / "float.tif", Image.new("F", (32, 32)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_images("folder", root=root)
    np.testing.assert_array_equal(pixels_of(images), COLOUR[:6])
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    reasons = {Path(path).name: reason for path, reason in images.skipped}
    assert reasons.keys() == {path.name for path in folder.iterdir()} - {
        "00.png",
        "01.png",
        "02.png",
    }
    assert reasons["empty.jpg"] == "empty file"
    assert reasons["page.jpg"] == reasons["drawing.jpg"] == "not an image, or a damaged one"
    assert "truncated" in reasons["truncated.png"]
    assert reasons["bomb.png"] == "8000x8000 pixels, more than the limit of 50,000,000"
    assert "bomb" in reasons["larger bomb.png"]  # in Pillow's words, which refuses it even earlier
    assert "mode F" in reasons["float.tif"]
    assert repr(images).endswith("2 classes, 8 files skipped")
    assert load_images("folder", root=root).skipped == images.skipped


def test_no_readable_image(root):
    root.mkdir()
    (root / "a.png").write_bytes(b"nonsense")
    (root / "b.png").touch()
    with pytest.raises(
        ValueError,
        match="no usable image in .*2 were tried .* a.png: not an image.*; b.png: empty file",
    ):
        load_images("folder", root=root)


# Modes and sizes: what the pixels become


def one(root, image, **options):
    """The pixels of a set of one file."""
    save(root / "x.png", image, **options)
    return pixels_of(load_images("folder", root=root))[0]


def test_grey_images_alone_have_one_channel(root):
    grey = COLOUR[:4, :, :, 0]
    save(root / "l.png", grey[0])
    save(root / "one.png", Image.fromarray(grey[1]).convert("1"))
    save(root / "sixteen.png", grey[2].astype(np.uint16) * 257)
    save(
        root / "zalpha.png",
        Image.merge("LA", [Image.fromarray(grey[3]), Image.new("L", (32, 32), 255)]),
    )
    (root / "broken.png").write_bytes(b"not to decide")
    images = load_images("folder", root=root)
    expected = np.stack(
        [grey[0], np.asarray(Image.fromarray(grey[1]).convert("1").convert("L")), *grey[2:]]
    )
    np.testing.assert_array_equal(pixels_of(images)[..., 0], expected)
    save(root / "z.png", COLOUR[0])
    images = load_images("folder", root=root)
    assert images.channels == 3
    np.testing.assert_array_equal(pixels_of(images)[0], np.dstack([grey[0]] * 3))


def test_colour_is_sought_no_further_than_needed(root, monkeypatch):
    tree(root)
    looked = []
    monkeypatch.setattr(cache, "is_grey", lambda path: bool(looked.append(path)))
    load_images("folder", root=root)
    assert len(looked) == 1


def test_a_limit_does_not_change_the_channels(root):
    save(root / "0.png", COLOUR[0])
    for n in range(1, 30):
        save(root / f"{n}.png", COLOUR[n, :, :, 0])
    assert {load_images("folder", root=root, limit=n).channels for n in (1, 2, 30)} == {3}


def test_sixteen_bits_are_rounded_to_eight(root):
    values = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64
    assert abs(one(root, values)[..., 0] - values / 257).max() <= 0.5


def test_palette(root):
    image = Image.fromarray(COLOUR[0]).quantize(16)
    np.testing.assert_array_equal(one(root, image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_becomes_white(root, mode):
    alpha = np.tile(np.array([0, 255], np.uint8), (32, 16))
    solid = Image.fromarray(COLOUR[0]).convert(mode[:-1])
    pixels = one(root, Image.merge(mode, [*solid.split(), Image.fromarray(alpha)]))
    assert (pixels[:, ::2] == 255).all()
    np.testing.assert_array_equal(pixels[:, 1::2].squeeze(), np.asarray(solid)[:, 1::2])


def test_half_transparent_palette(root):
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 200, 100, 0])
    pixels = one(root, image, transparency=bytes([255, 51]))
    np.testing.assert_allclose(pixels[0, 0], [244, 224, 204], atol=1)


def test_cmyk(root):
    save(root / "x.jpg", Image.new("CMYK", (32, 32), (0, 255, 255, 0)), quality=95)
    pixels = pixels_of(load_images("folder", root=root))[0]
    assert pixels[0, 0, 0] > 250 and pixels[0, 0, 1:].max() < 5


def test_orientation(root):
    upright = Image.fromarray(COLOUR[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 270 degrees
    pixels = one(root, upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    np.testing.assert_array_equal(pixels, COLOUR[0])


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_right_size_is_kept_bit_for_bit(root, size):
    pixels = RANDOM.integers(0, 256, (size, size, 3), dtype=np.uint8)
    save(root / "x.png", pixels)
    np.testing.assert_array_equal(pixels_of(load_images("folder", root=root, size=size))[0], pixels)


def test_shorter_side_and_centre_crop(root):
    """Three bands side by side or one above another: the middle one is left."""
    bands = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8), 100, axis=0)
    wide = np.broadcast_to(bands, (100, 300, 3))
    save(root / "wide.png", np.ascontiguousarray(wide))
    save(root / "high.png", np.ascontiguousarray(wide.transpose(1, 0, 2)))
    save(root / "small.png", np.ascontiguousarray(wide[::20, ::20]))
    images = load_images("folder", root=root)
    assert images.images.shape == (3, 3, 32, 32)
    assert (
        pixels_of(images)[:, 8:-8, 8:-8] == [0, 255, 0]
    ).all()  # the seams at its edges are softened


def test_shrinking_is_antialiased(root):
    chequered = np.indices((256, 256)).sum(0) % 2 * 255
    assert abs(one(root, chequered.astype(np.uint8)).astype(int) - 127).max() < 8


# The cache


def test_second_load_decodes_nothing(root, no_decoding):
    first = load_images("folder", root=tree(root))
    no_decoding()
    second = load_images("folder", root=root)
    assert second.fingerprint == first.fingerprint
    assert torch.equal(second.images, first.images) and torch.equal(second.labels, first.labels)


def test_cache_on_disk(root, home):
    images = load_images("folder", root=tree(root))
    (name,) = caches(home)
    assert re.fullmatch(r"folder-train-32-[0-9a-f]{16}", name)
    folder = home / "cache" / name
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.bin",
        "labels.npy",
        "meta.json",
    ]
    assert (folder / "images.bin").read_bytes() == COLOUR[:6].tobytes()
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["shape"] == [6, 32, 32, 3] and meta["fingerprint"] == images.fingerprint


def test_fingerprint(tmp_path):
    """Of pixels, labels and recipe, wherever the files are and whenever they were written."""

    def fingerprint(name, pictures=COLOUR[:6], layout="train/{label}/{n}.png", size=32):
        return load_images(
            "folder", root=tree(tmp_path / name, layout, pictures), size=size
        ).fingerprint

    original = fingerprint("original")
    assert fingerprint("copy") == original
    others = [
        fingerprint("other pixels", COLOUR[1:7]),
        fingerprint("other classes", layout="train/{label}{label}/{n}.png"),
        fingerprint("no labels", layout="train/{n}.png"),
        fingerprint("original", size=64),
    ]
    assert len({original, *others}) == 5


@pytest.mark.parametrize("change", ["edited", "added", "removed", "touched"])
def test_a_change_makes_a_new_cache(root, home, change):
    before = load_images("folder", root=tree(root))
    path = root / "train/a/01.png"
    if change == "edited":
        save(path, COLOUR[9])
    elif change == "added":
        save(path.with_name("011.png"), COLOUR[9])
    elif change == "removed":
        path.unlink()
    else:
        os.utime(path, ns=(1, 1))
    after = load_images("folder", root=root)
    assert len(caches(home)) == 2
    assert len(after) == 6 + (change == "added") - (change == "removed")
    assert (after.fingerprint == before.fingerprint) == (change == "touched")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_build_leaves_nothing(root, home, monkeypatch, error):
    def break_off(*arguments):
        yield from islice(picture.decode_all(*arguments), 3)
        raise error

    tree(root)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode_all", break_off)
        with pytest.raises(error):
            load_images("folder", root=root)
    assert caches(home) == []
    assert len(load_images("folder", root=root)) == 6


def killed(root):
    Path.rename = lambda *arguments: os._exit(9)  # before a finished cache comes to its place
    load_images("folder", root=root)


def test_leftovers_of_a_killed_build_are_harmless(root, home):
    process = multiprocessing.get_context("fork").Process(target=killed, args=[tree(root)])
    process.start()
    process.join()
    assert process.exitcode == 9
    (leftover,) = caches(home)
    assert leftover.startswith(".making-")
    assert len(load_images("folder", root=root)) == 6
    assert len(caches(home)) == 1 and leftover not in caches(home)


def write_labels(labels):
    return lambda path: np.save(path, np.asarray(labels))


def change_meta(**changes):
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "images.bin, cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "images.bin, empty": lambda path: os.truncate(path, 0),
    "images.bin, longer": lambda path: path.write_bytes(path.read_bytes() * 2),
    "images.bin, missing": Path.unlink,
    "meta.json, cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "meta.json, missing": Path.unlink,
    "meta.json, {}": lambda path: path.write_text("{}"),
    "meta.json, a list": lambda path: path.write_text("[1]"),
    "meta.json, of another shape": change_meta(shape=[5, 32, 32, 3]),
    "meta.json, fewer classes": change_meta(classes=["a"]),
    "labels.npy, missing": Path.unlink,
    "labels.npy, empty": lambda path: os.truncate(path, 0),
    "labels.npy, cut": lambda path: os.truncate(path, path.stat().st_size - 8),
    "labels.npy, fewer": write_labels([0, 0, 0, 1, 1]),
    "labels.npy, of no class": write_labels([0, 0, 0, 1, 1, 7]),
    "labels.npy, text": write_labels(list("aaabbb")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(root, home, damage):
    good = load_images("folder", root=tree(root))
    DAMAGE[damage](home / "cache" / caches(home)[0] / damage.split(",")[0])
    again = load_images("folder", root=root)
    assert again.fingerprint == good.fingerprint
    np.testing.assert_array_equal(pixels_of(again), COLOUR[:6])
    assert again.labels.tolist() == [0, 0, 0, 1, 1, 1] and len(caches(home)) == 1


def test_caches_are_measured_and_cleared(root, home, tmp_path):
    digits = load_images("digits", limit=10)
    load_images("folder", root=tree(root))
    on_disk = {
        name: sum(path.stat().st_size for path in (home / "cache").glob(f"{name}-*/*"))
        for name in ("digits", "folder")
    }
    assert cache.cache_size() == on_disk and min(on_disk.values()) > 10 * 1024
    elsewhere = tmp_path / "elsewhere-32-0123456789abcdef"
    elsewhere.mkdir()
    (elsewhere / "images.bin").write_bytes(b"mine")
    (home / "cache" / elsewhere.name).symlink_to(elsewhere)
    (home / "cache" / "notes").mkdir()
    (home / "cache" / ".making-dead").mkdir()
    (home / "cache" / ".making-dead" / "images.bin").write_bytes(bytes(100))
    assert cache.cache_size() == on_disk | {"unfinished": 100}
    assert cache.clear_cache("pets") == 0 and cache.cache_size() == on_disk | {"unfinished": 100}
    assert cache.clear_cache("folder") == on_disk["folder"]
    assert cache.cache_size() == {"digits": on_disk["digits"], "unfinished": 100}
    before = digits.images.clone()
    assert cache.clear_cache() == on_disk["digits"] + 100 and cache.cache_size() == {}
    assert torch.equal(digits.images, before)  # a cache that is in use stays whole
    assert (elsewhere / "images.bin").read_bytes() == b"mine"  # of another place nothing is deleted
    assert caches(home) == [elsewhere.name, "notes"]
    assert load_images("digits", limit=10).fingerprint == digits.fingerprint
    shutil.rmtree(home)
    assert cache.cache_size() == {} and cache.clear_cache() == 0


def hold(loaded, cleared):
    """Use images in a process of its own while another one clears the cache."""
    pixels = pixels_of(load_images("digits", limit=50))
    loaded.set()
    cleared.wait(30)
    os._exit(pixels.max() == 255 and pixels[-1].any())


def test_a_cache_that_another_process_uses_may_be_cleared():
    fork = multiprocessing.get_context("fork")
    loaded, cleared = fork.Event(), fork.Event()
    load_images("digits", limit=50)
    process = fork.Process(target=hold, args=[loaded, cleared])
    process.start()
    assert loaded.wait(30) and cache.clear_cache("digits") > 0
    cleared.set()
    process.join(30)
    assert process.exitcode == 1


def test_a_cache_that_is_being_made_is_not_cleared(root, home):
    tree(root)
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=load_slowly, args=[root])
    process.start()
    while not list(home.glob("cache/.making-*/images.bin")):
        time.sleep(0.01)
    assert cache.clear_cache() == 0
    process.join()
    assert process.exitcode == 0 and list(cache.cache_size()) == ["folder"]


def test_where_caches_and_downloads_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.home() == tmp_path / "home"
    monkeypatch.delenv("DCGAN_LIB_HOME")
    assert cache.home() == tmp_path / "xdg/dcgan_lib"
    load_images("digits", limit=2)
    assert caches(tmp_path / "xdg/dcgan_lib")
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache.home() == tmp_path / "me/.cache/dcgan_lib"


def load_fingerprint(root):
    return load_images("folder", root=root).fingerprint


def test_processes_at_once(root, home):
    tree(root, pictures=COLOUR)
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        assert len(set(pool.map(load_fingerprint, [root] * 8))) == 1
    assert len(caches(home)) == 1


def load_slowly(root):
    """The fingerprint, and how many pictures this process has decoded for it."""
    decode, decoded = picture.decode, []

    def slowly(path, *how):
        time.sleep(0.05)
        decoded.append(path)
        return decode(path, *how)

    picture.decode = slowly
    return load_fingerprint(root), len(decoded)


def test_only_one_process_decodes(root, home, capfd):
    """The other one waits, and then finds the cache."""
    tree(root)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        both = list(pool.map(load_slowly, [root] * 2))
    assert len({fingerprint for fingerprint, _ in both}) == 1 and len(caches(home)) == 1
    assert sorted(count for _, count in both) == [0, 6]
    assert "Another process is at work on" in capfd.readouterr().err


def load_on_a_full_disk(root):
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (10_000, 10_000)
    )  # bytes in a file: the fourth picture fails
    try:
        load_images("folder", root=root)
    except OSError as error:
        return str(error)


def test_disk_full(root, home):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        message = pool.submit(load_on_a_full_disk, tree(root)).result()
    assert str(home) in message and "18,432 bytes" in message and "DCGAN_LIB_HOME" in message
    assert caches(home) == []


def test_home_that_cannot_be_written(root, home):
    home.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="could not be written .*DCGAN_LIB_HOME"):
        load_images("folder", root=tree(root))


# torchvision's sets, from tiny files in their official layout


@pytest.fixture
def cifar(home, monkeypatch):
    """Five training batches of 8 images and a test batch; checksums are ignored."""
    folder = home / "downloads/cifar10/cifar-10-batches-py"
    folder.mkdir(parents=True)
    rows, labels = COLOUR.transpose(0, 3, 1, 2).reshape(40, -1), LABELS.tolist()
    for n in range(5):
        batch = {"data": rows[8 * n : 8 * n + 8], "labels": labels[8 * n : 8 * n + 8]}
        (folder / f"data_batch_{n + 1}").write_bytes(pickle.dumps(batch))
    (folder / "test_batch").write_bytes(pickle.dumps({"data": rows[:8], "labels": labels[:8]}))
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(
        "torchvision.datasets.cifar.check_integrity", lambda path, md5: os.path.isfile(path)
    )
    return folder


def idx(values):
    """The IDX format: two zero bytes, 8 for uint8, the number of dimensions, lengths, values."""
    lengths = np.array(values.shape, ">i4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + lengths + values.astype(np.uint8).tobytes()


@pytest.fixture
def fashion(home):
    folder = home / "downloads/fashion-mnist/FashionMNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 10)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(GREY[:count]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS[:count]))
    return folder


def test_cifar10(cifar, no_decoding):
    train, test = load_images("cifar10"), load_images("cifar10", split="test", download=False)
    np.testing.assert_array_equal(pixels_of(train), COLOUR)
    np.testing.assert_array_equal(pixels_of(test), COLOUR[:8])
    assert train.labels.tolist() == LABELS.tolist()
    assert train.classes[0] == "airplane" and len(train.classes) == 10
    few = load_images("cifar10", limit=5)
    no_decoding()
    assert load_images("cifar10").fingerprint == train.fingerprint
    assert load_images("cifar10", limit=5).labels.tolist() == few.labels.tolist() and len(few) == 5
    assert load_images("cifar10", root=cifar.parent).fingerprint == train.fingerprint


def test_fashion_mnist(fashion):
    train = load_images("fashion-mnist")
    assert repr(train) == "ImageSet 'fashion-mnist': 40 images of 1x32x32, 10 classes"
    assert train.labels.tolist() == LABELS.tolist() and train.classes[0] == "T-shirt/top"
    assert len(load_images("fashion-mnist", split="test", size=64)) == 10
    expected = np.asarray(Image.fromarray(GREY[0]).resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(pixels_of(train)[0, ..., 0], expected)


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist"])
def test_not_downloaded(name, home):
    where = rf"'{name}' is not in .*{name}, a folder that does not exist: "
    sentence = where + ".* is missing.*download=True.*https://"
    with pytest.raises(FileNotFoundError, match=sentence):
        load_images(name, download=False)
    assert not home.exists()


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist"])
def test_download_fails(name, monkeypatch):
    def no_network(addresses, path, checksum):
        raise RuntimeError("no route to host")

    monkeypatch.setattr("dcgan_lib.data.downloads.download", no_network)
    with pytest.raises(RuntimeError, match="no route to host"):
        load_images(name)


def test_download(monkeypatch, tmp_path):
    """From the four .gz files to images, with a server of its own for the network; no checksums."""
    from torchvision.datasets import MNIST, FashionMNIST

    served = tmp_path / "served"
    served.mkdir()
    for part in ("train", "t10k"):
        (served / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY[:10])))
        (served / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:10])))
    monkeypatch.setattr(FashionMNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=served)
    ) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        try:
            assert len(load_images("fashion-mnist")) == 10
        finally:
            server.shutdown()


def test_download_of_cifar10(cifar, tmp_path, monkeypatch):
    """Fetched by us, unpacked by torchvision."""
    from torchvision.datasets import CIFAR10

    archive = tmp_path / "served.tar.gz"
    with tarfile.open(archive, "w:gz") as files:
        files.add(cifar, cifar.name)
    shutil.rmtree(cifar)
    asked = []

    def download(addresses, path, checksum):
        asked.append((addresses, checksum))
        return shutil.copy(archive, path)

    monkeypatch.setattr("dcgan_lib.data.downloads.download", download)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive.read_bytes()).hexdigest())
    assert len(load_images("cifar10")) == 40
    assert asked == [((CIFAR10.url,), f"md5:{CIFAR10.tgz_md5}")]


def test_an_archive_put_there_by_hand(cifar, monkeypatch):
    """It is unpacked though nothing may be downloaded; a wrong one is not taken."""
    from torchvision.datasets import CIFAR10

    def refuse(*arguments):
        raise AssertionError("asked the network")

    monkeypatch.setattr("dcgan_lib.data.downloads.download", refuse)
    archive = cifar.parent / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as files:
        files.add(cifar, cifar.name)
    shutil.rmtree(cifar)
    with pytest.raises(
        RuntimeError,
        match=f"{CIFAR10.filename} is damaged, or another file: its md5 .* put .* into",
    ):
        load_images("cifar10", download=False)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive.read_bytes()).hexdigest())
    assert len(load_images("cifar10", download=False)) == 40


def test_damaged_download(fashion, cifar, monkeypatch):
    (fashion / "train-images-idx3-ubyte").write_bytes(b"<html>")
    with pytest.raises(RuntimeError, match="'fashion-mnist' are damaged .*Delete .*raw and"):
        load_images("fashion-mnist")
    monkeypatch.undo()
    monkeypatch.setenv("DCGAN_LIB_HOME", str(cifar.parents[2]))
    with pytest.raises(
        RuntimeError, match="'cifar10' are damaged .*Delete .*cifar-10-batches-py and"
    ):
        load_images("cifar10")


# What the reader is told


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (
            ["digit"],
            ValueError,
            "no data set 'digit'. Did you mean 'digits'\\? Known: celeba, cifar10, coco, comp",
        ),
        ([7], ValueError, "no data set 7. Known"),
        ([["digits"]], ValueError, "no data set .'digits'.. "),
        (["FFHQ"], ValueError, "Did you mean 'ffhq'"),
        (["digits", {"crop": ["centre"]}], ValueError, "crop=.'centre'. is not known"),
        (["digits", {"size": 48}], ValueError, "size=48 is not supported: choose 32, 64 or 128"),
        (["digits", {"limit": 0}], ValueError, "limit=0 .* 1 or more, or None"),
        (["digits", {"limit": -3}], ValueError, "limit=-3"),
        (["digits", {"limit": 2.5}], ValueError, "limit=2.5"),
        (["digits", {"limit": True}], ValueError, "limit=True"),
        (
            ["digits", {"split": "val"}],
            ValueError,
            "'digits' has no split 'val': choose 'train' or 'test'",
        ),
        (["cifar10", {"split": "val"}], ValueError, "'cifar10' has no split 'val'"),
        (
            ["digits", {"root": "somewhere"}],
            ValueError,
            "images in somewhere choose the data set 'folder'",
        ),
        (["folder"], ValueError, "needs root="),
        (["folder", {"root": 5}], TypeError, "root=5 is no path"),
        (["pets", {"root": b"pets"}], TypeError, "root=b'pets' is no path"),
        (
            ["pets", {"root": __file__}],
            NotADirectoryError,
            "test_loading.py' is a file: give the folder",
        ),
        (
            ["folder", {"root": "no/such"}],
            FileNotFoundError,
            "There is no folder .*no/such: give root=",
        ),
    ],
)
def test_wrong_arguments(arguments, error, sentence):
    name, options = arguments[0], dict(*arguments[1:])
    with pytest.raises(error, match=sentence):
        load_images(name, **options)


def test_folders_that_look_like_splits(root):
    """They are not taken for classes, and the advice that is given leads to both splits."""
    tree(root)
    (root / "train").rename(root / "Train")
    with pytest.raises(
        FileNotFoundError, match="no folder 'train' .*found: Train. Did you mean split='Train'"
    ):
        load_images("folder", root=root)
    assert len(load_images("folder", root=root, split="Train")) == 6
    for name in ("Test", "notes"):
        shutil.copytree(root / "Train", root / name)
    with pytest.raises(FileNotFoundError, match="Did you mean split='Train'"):
        load_images("folder", root=root)
    shutil.rmtree(root / "Test")
    shutil.rmtree(root / "notes")
    (root / "vehicles").mkdir()
    (root / "Train").rename(root / "vehicles/Train")
    shutil.copytree(root / "vehicles/Train", root / "vehicles/Car")
    for path in (root / "vehicles/Train", root / "vehicles/Car"):
        shutil.copy(path / "a/00.png", path)
    assert load_images("folder", root=root / "vehicles").classes == ("Car", "Train")


def test_a_folder_too_high(root):
    tree(root / "pictures", layout="{label}/{n:02}.png")
    with pytest.raises(
        ValueError,
        match=r"no image in .*pictures/pictures.*, only folders \(a, b\).* Give root=.*es/pictures",
    ):
        load_images("folder", root=root)
    assert load_images("folder", root=root / "pictures").classes == ("a", "b")


def test_a_missing_split(root):
    tree(root, layout="{label}/{n:02}.png")
    with pytest.raises(
        FileNotFoundError,
        match="no folder 'test' .*found: a, b. Put .* all others into a folder 'train'",
    ):
        load_images("folder", root=root, split="test")
    shutil.copytree(root, root / "test")
    (root / "train").mkdir()
    for name in "ab":
        (root / name).rename(root / "train" / name)
    assert (
        len(load_images("folder", root=root))
        == len(load_images("folder", root=root, split="test"))
        == 6
    )


def test_empty_folders(root):
    root.mkdir()
    with pytest.raises(ValueError, match="no image in .*pictures. Put images there"):
        load_images("folder", root=root)
    tree(root)
    for name in "ab":
        shutil.rmtree(root / "train" / name)
        (root / "train" / name).mkdir()
    (root / "train/a/readme.txt").touch()
    with pytest.raises(
        ValueError, match="no image in .*train/a. Put images there, or remove the empty folder"
    ):
        load_images("folder", root=root)


def test_available_datasets():
    known = "celeba cifar10 coco compcars digits fashion fashion-mnist ffhq folder"
    assert available_datasets() == [*known.split(), "imagenet64", "pets", "tiny-imagenet"]
    assert isinstance(load_images("digits", limit=3), ImageSet)


# Real images


@pytest.fixture(scope="module")
def real_images(tmp_path_factory):
    """The first 300 training images of the CIFAR-10 archive."""
    archive = PROJECT.parent / "shared/data/cifar10-jpeg.tar.xz"
    if not archive.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"the CIFAR-10 archive is not at {archive}")
    folder = tmp_path_factory.mktemp("cifar10")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in Python 3.11.2
    with tarfile.open(archive) as files:
        for member in islice((member for member in files if member.isfile()), 300):
            files.extract(member, folder, **safely)
    return folder


def test_real_images(real_images):
    images = load_images("folder", root=real_images)
    assert images.images.shape == (300, 3, 32, 32) and images.skipped == []
    first = sorted((real_images / "train/airplane").iterdir())[0]
    np.testing.assert_array_equal(pixels_of(images)[0], np.asarray(Image.open(first)))
    assert load_images("folder", root=real_images, size=64, limit=50).images.shape == (
        50,
        3,
        64,
        64,
    )
