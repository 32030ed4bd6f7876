"""Every published data set, from a handful of images in its official layout, and without them."""

import io
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from dcgan_lib import available_datasets, describe_datasets, load_images
from dcgan_lib.data import cache
from dcgan_lib.data import decoding as picture
from dcgan_lib.data.sets.imagenet64 import ArraysOnly

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("asked the network")

    monkeypatch.setattr("dcgan_lib.data.downloads.download", refuse)


def save(path, pixels=PIXELS[0], **options):
    """An image file, of the kind that its name says or that `format` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pixels_of(images):
    return images.images.permute(0, 2, 3, 1).numpy()


def packed(path, root, *members):
    """A zip of files and folders below a root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            for file in [root / member, *sorted((root / member).rglob("*"))]:
                archive.write(file, file.relative_to(root))


# One function a data set makes it below a root: (how many images each split has, the classes)


def make_pets(root):
    breeds = ["Abyssinian", "great_pyrenees", "pug"]
    lists = {"trainval": [], "test": []}
    for i in range(12):
        name = f"{breeds[i % 3]}_{100 + i}"
        save(root / f"images/{name}.jpg", PIXELS[i], quality=95)
        lists["trainval" if i < 7 else "test"].append(f"{name} {i % 3 + 1} {1 + (i % 3 > 0)} 1")
    save(root / "images/pug_99.jpg", PIXELS[12], format="GIF")  # in no list; a GIF for all its name
    for part, lines in lists.items():
        write(root / f"annotations/{part}.txt", "\n".join(lines) + "\n")
    write(root / "annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n")
    return {"train": 7, "test": 5, "all": 13}, ("Abyssinian", "great pyrenees", "pug")


def make_celeba(root):
    names = [f"{i:06}.jpg" for i in range(1, 11)]
    for i, name in enumerate(names):
        save(root / "img_align_celeba" / name, np.resize(PIXELS, (218, 178, 3)) // (i + 1))
    parts = [0] * 6 + [1] + [2] * 3
    write(
        root / "list_eval_partition.txt",
        "".join(f"{name} {part}\n" for name, part in zip(names, parts)),
    )
    rows = [f"{name} {-1 if i % 2 else ' 1'} -1\n" for i, name in enumerate(names)]
    write(root / "list_attr_celeba.txt", f"{len(names)}\nSmiling Wavy_Hair \n" + "".join(rows))
    return {"train": 6, "valid": 1, "test": 3, "all": 10}, ()


def make_tiny_imagenet(root):
    root /= "tiny-imagenet-200"
    numbers = ["n02", "n01", "n03"]
    write(root / "wnids.txt", "\n".join(numbers) + "\n")
    write(
        root / "words.txt",
        "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane, derrick\nn04\tno class\n",
    )
    for i, number in enumerate(numbers * 2):
        save(root / f"train/{number}/images/{number}_{i}.JPEG", PIXELS[i], format="JPEG")
        write(root / f"train/{number}/{number}_boxes.txt", "n01_0.JPEG\t0\t0\t62\t62\n")
    for i in range(4):
        save(root / f"val/images/val_{i}.JPEG", PIXELS[i], format="JPEG")
        save(root / f"test/images/test_{i}.JPEG", PIXELS[i], format="JPEG")
    rows = [f"val_{i}.JPEG\t{numbers[i % 3]}\t0\t32\t44\t62\n" for i in range(4)]
    write(root / "val/val_annotations.txt", "".join(rows))
    return {"train": 6, "test": 4}, ("crane", "goldfish", "crane, derrick")


ROWS = RANDOM.integers(0, 256, (24, 3 * 64 * 64), dtype=np.uint8)
NUMBERS = [1, 1000, 7] * 8


def write_batch(path, first, last, kind="pickle"):
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = {"data": ROWS[first:last], "labels": NUMBERS[first:last], "mean": ROWS.mean(0)}
    if kind == "npz":
        np.savez(path.with_name(path.name + ".npz"), **batch)
    else:
        path.write_bytes(pickle.dumps(batch, protocol=3))  # as the authors' files are


def make_imagenet64(root, kind="pickle"):
    for n in range(10):
        write_batch(root / f"train_data_batch_{n + 1}", 2 * n, 2 * n + 2, kind)
    write_batch(root / "val_data", 20, 24, kind)
    return {"train": 20, "test": 4}, tuple(str(n) for n in range(1, 1001))


def make_ffhq(root):
    for n in (0, 999, 1000, 59_999, 60_000, 69_999):
        save(
            root / f"thumbnails128x128/{n // 1000 * 1000:05}/{n:05}.png",
            np.resize(PIXELS, (128, 128, 3)),
        )
    return {"train": 4, "test": 2, "all": 6}, ()


def cell(rows):
    """What MATLAB calls a cell array."""
    array = np.empty((len(rows), len(rows[0])), object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


def make_compcars(root):
    paths = [
        f"{make}/{model}/{year}/{make}{model}.jpg"
        for make, model, year in [
            (1, 4, 2010),
            (1, 5, "unknown"),
            (3, 6, 2014),
            (3, 6, 2015),
            (2, 7, 2009),
        ]
    ]
    for i, path in enumerate(paths):
        save(root / "data/image" / path, PIXELS[i])
    write(root / "data/train_test_split/classification/train.txt", "\n".join(paths[:3]) + "\n")
    write(root / "data/train_test_split/classification/test.txt", "\n".join(paths[3:]) + "\n")
    (root / "data/misc").mkdir()
    savemat(
        root / "data/misc/make_model_name.mat", {"make_names": cell([["Audi "], ["BWM"], ["Benz"]])}
    )
    return {"train": 3, "test": 2, "all": 5}, ("Audi", "BWM", "Benz")


def make_coco(root):
    """Nine images with annotations, one without, and one that the file does not know."""
    rows, annotations = [], []
    for i in range(11):
        save(root / f"val2017/{i:012}.jpg", PIXELS[i], quality=95)
        if i < 10:
            rows.append({"id": i, "file_name": f"{i:012}.jpg"})
        if i < 9:  # largest: a cup; most: dogs; first: a person
            for category, area in ((1, 5.0), (47, 90.5), (18, 20.0), (18, 60.0)):
                annotations.append(
                    {"image_id": i, "category_id": category, "area": area, "iscrowd": 0}
                )
    categories = [{"id": 47, "name": "cup"}, {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    data = {"images": rows, "annotations": annotations, "categories": categories}
    write(root / "annotations/instances_val2017.json", json.dumps(data))
    stuff = [{"image_id": i, "category_id": 183 if i % 2 else 92, "area": 1.0} for i in range(10)]
    categories = [{"id": 92, "name": "banner"}, {"id": 183, "name": "other"}]
    data = {"images": rows, "annotations": stuff, "categories": categories}
    write(root / "annotations/stuff_val2017.json", json.dumps(data))
    return {"train": 7, "test": 2, "all": 9}, ("person", "dog", "cup")


MAKE = {
    "celeba": make_celeba,
    "coco": make_coco,
    "compcars": make_compcars,
    "ffhq": make_ffhq,
    "imagenet64": make_imagenet64,
    "pets": make_pets,
    "tiny-imagenet": make_tiny_imagenet,
}


@pytest.mark.parametrize("name", MAKE)
def test_official_layout(name, tmp_path, no_network, monkeypatch):
    root = tmp_path / "root"
    counts, classes = MAKE[name](root)
    about = next(row for row in describe_datasets() if row["name"] == name)
    assert tuple(counts) == about["splits"]
    first = {}
    for split, count in counts.items():
        images = first[split] = load_images(name, root=root, split=split, size=64)
        assert (
            images.images.shape == (count, 3, 64, 64)
            and images.classes == classes
            and images.name == name
        )
        assert (images.labels is None) == (classes == ())
        if classes:
            assert len(
                images.labels
            ) == count and 0 <= images.labels.min() <= images.labels.max() < len(classes)
    monkeypatch.setattr(cache, "build", lambda *arguments: pytest.fail("decoded once more"))
    for split, images in first.items():
        again = load_images(name, root=str(root), split=split, size=64)
        assert again.fingerprint == images.fingerprint and again.skipped == images.skipped
    with pytest.raises(ValueError, match=f"'{name}' has no split 'val': choose 'train'"):
        load_images(name, root=root, split="val")


@pytest.mark.parametrize("name", MAKE)
def test_in_the_downloads(name, home, no_network):
    """Without a root the files are looked for where downloads go."""
    counts, _ = MAKE[name](home / "downloads" / name)
    assert len(load_images(name)) == counts["train"]


# Bad files: each is skipped and told, nothing else changes


def bad_files(folder, like):
    """Five bad files in a folder, named as `like` says: {path: what the reason says}."""
    good = io.BytesIO()
    Image.fromarray(PIXELS[30]).save(good, "PNG")
    good = good.getvalue()
    header = b"IHDR" + struct.pack(">II", 9_000, 9_000) + good[24:29]
    bomb = good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]
    contents = [
        (good[:60] + bytes(200), ""),
        (good[: len(good) // 2], "truncated"),
        (b"", "empty file"),
        (b"<html>Not found</html>", "not an image"),
        (bomb, "9000x9000 pixels, more than the limit"),
    ]
    for n, (content, _) in enumerate(contents):
        path = folder / like.format(n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {like.format(n): reason for n, (_, reason) in enumerate(contents)}


WHERE = {  # name: folder of the bad files below the root, their names, the split that they are in
    "celeba": ("img_align_celeba", "9{:05}.jpg", "all"),
    "coco": ("val2017", "9{:011}.jpg", "all"),
    "compcars": ("data/image/2/8/2001", "bad{}.jpg", "all"),
    "ffhq": ("thumbnails128x128/05000", "0500{}.png", "train"),
    "pets": ("images", "pug_20{}.jpg", "all"),
    "tiny-imagenet": ("tiny-imagenet-200/train/n01/images", "n01_9{}.JPEG", "train"),
    "folder": ("train/b", "9{}.jpg", "train"),
}


@pytest.mark.parametrize("name", WHERE)
def test_bad_files_are_skipped(name, tmp_path):
    root = tmp_path / "root"
    if name == "folder":
        for i in range(4):
            save(root / f"train/{'ab'[i % 2]}/{i}.png", PIXELS[i])
    else:
        MAKE[name](root)
    folder, like, split = WHERE[name]
    good = load_images(name, root=root, split=split)
    reasons = bad_files(root / folder, like)
    if name == "coco":
        path = root / "annotations/instances_val2017.json"
        data = json.loads(path.read_text())
        for n, bad in enumerate(reasons, 100):
            data["images"].append({"id": n, "file_name": bad})
            data["annotations"].append({"image_id": n, "category_id": 1, "area": 1.0})
        path.write_text(json.dumps(data))
    images = load_images(name, root=root, split=split)
    assert images.fingerprint == good.fingerprint  # the same pixels and the same labels
    told = {
        Path(path).name: reason for path, reason in images.skipped if Path(path).name in reasons
    }
    assert told.keys() == reasons.keys()
    assert all(reason in told[path] for path, reason in reasons.items())
    assert all(
        (root / path).is_file() or (root / "tiny-imagenet-200" / path).is_file()
        for path, _ in images.skipped
    )
    assert len(images.skipped) == len(good.skipped) + 5


# What is particular to each


def test_pets(tmp_path):
    make_pets(tmp_path)
    train = load_images("pets", root=tmp_path)
    assert train.labels.tolist() == [i % 3 for i in range(7)]
    everything = load_images("pets", root=tmp_path, split="all")
    assert everything.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 5  # in the order of the files
    np.testing.assert_array_equal(
        pixels_of(everything)[-1],
        np.asarray(Image.open(tmp_path / "images/pug_99.jpg").convert("RGB")),
    )
    (tmp_path / "images/pug_102.jpg").unlink()
    (tmp_path / "images/Abyssinian_100.mat").write_bytes(b"MATLAB")
    save(tmp_path / "images/unicorn_1.jpg")
    assert load_images("pets", root=tmp_path).skipped == [
        ("images/pug_102.jpg", "missing, though a list names it")
    ]
    assert load_images("pets", root=tmp_path, split="all").skipped == [
        ("images/Abyssinian_100.mat", "not the suffix of an image"),
        ("images/unicorn_1.jpg", "of a breed that no list names"),
    ]


def test_a_link_to_itself_is_no_image(tmp_path):
    make_pets(tmp_path)
    (tmp_path / "images/pug_102.jpg").unlink()
    (tmp_path / "images/pug_102.jpg").symlink_to("pug_102.jpg")
    assert load_images("pets", root=tmp_path).skipped == [
        ("images/pug_102.jpg", "missing, though a list names it")
    ]


def test_pets_as_torchvision_leaves_them(tmp_path, no_network):
    make_pets(tmp_path / "oxford-iiit-pet")
    assert len(load_images("pets", root=tmp_path, split="test")) == 5


def test_celeba_attribute(tmp_path):
    make_celeba(tmp_path / "celeba")  # as torchvision leaves it
    images = load_images("celeba", root=tmp_path, attribute="Smiling")
    assert images.classes == ("not Smiling", "Smiling") and images.labels.tolist() == [
        1,
        0,
        1,
        0,
        1,
        0,
    ]
    hair = load_images("celeba", root=tmp_path, split="all", attribute="Wavy_Hair")
    assert hair.labels.tolist() == [0] * 10 and hair.fingerprint != images.fingerprint
    with pytest.raises(
        ValueError,
        match="no attribute 'smiling'. Did you mean 'Smiling'\\? It has: Smiling, Wavy_Hair",
    ):
        load_images("celeba", root=tmp_path, attribute="smiling")


def test_celeba_without_lists(tmp_path):
    make_celeba(tmp_path)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    assert len(load_images("celeba", root=tmp_path, split="all")) == 10
    with pytest.raises(
        FileNotFoundError,
        match="list_eval_partition.txt is missing. To get it, get list_eval_partition.txt from",
    ):
        load_images("celeba", root=tmp_path)


def test_tiny_imagenet(tmp_path):
    make_tiny_imagenet(tmp_path)
    assert load_images("tiny-imagenet", root=tmp_path).labels.tolist() == [
        1,
        1,
        0,
        0,
        2,
        2,
    ]  # by file, n01 first
    test = load_images("tiny-imagenet", root=tmp_path / "tiny-imagenet-200", split="test")
    assert test.labels.tolist() == [0, 1, 2, 0]
    assert test.skipped == []


@pytest.mark.parametrize("kind", ["pickle", "npz"])
def test_imagenet64(tmp_path, kind):
    make_imagenet64(tmp_path, kind)
    train = load_images("imagenet64", root=tmp_path, size=64)
    np.testing.assert_array_equal(
        pixels_of(train), ROWS[:20].reshape(-1, 3, 64, 64).transpose(0, 2, 3, 1)
    )
    assert train.labels.tolist() == [n - 1 for n in NUMBERS[:20]] and train.classes[999] == "1000"
    few = load_images("imagenet64", root=tmp_path, size=64, limit=7)
    assert {image.tobytes() for image in pixels_of(few)} < {
        image.tobytes() for image in pixels_of(train)
    }


def test_imagenet64_with_some_batches(tmp_path):
    write_batch(tmp_path / "part2/train_data_batch_10", 5, 8, "npz")
    write_batch(tmp_path / "train_data_batch_2", 0, 5)
    images = load_images("imagenet64", root=tmp_path, size=64)
    assert images.labels.tolist() == [n - 1 for n in NUMBERS[:8]]
    assert (
        len(images.skipped) == 8
        and ("train_data_batch_1", "this batch is missing") in images.skipped
    )


def test_imagenet64_holds_one_batch_at_a_time(tmp_path, monkeypatch):
    from dcgan_lib.data.sets import imagenet64

    make_imagenet64(tmp_path)
    asked, read = [], imagenet64.read_rows
    monkeypatch.setattr(
        imagenet64, "read_rows", lambda path, count: asked.append(path.name) or read(path, count)
    )
    load_images("imagenet64", root=tmp_path)
    assert asked == [f"train_data_batch_{n}" for n in range(1, 11)]


class Calls:
    """Pickled, a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


EVIL = {
    "runs a program": Calls(os.system, "touch evil"),
    "makes an object": Path("evil"),
    "names a function": len,
    "calls a type": Calls(np.ndarray, (10**12,)),
}


@pytest.mark.parametrize("how", EVIL)
def test_pickles_hold_arrays_alone(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    batch = {"data": ROWS[:2], "labels": [1, 2], "mean": EVIL[how]}
    (tmp_path / "val_data").write_bytes(pickle.dumps(batch, protocol=3))
    with pytest.raises(
        RuntimeError, match="val_data is damaged.* only arrays are allowed|NoneType"
    ):
        load_images("imagenet64", root=tmp_path, split="test")
    assert not (tmp_path / "evil").exists()


def test_a_pickle_cannot_claim_memory():
    """An array of a terabyte, promised and never delivered."""
    function, _, _ = np.zeros(1).__reduce__()
    claim = pickle.dumps(Calls(function, np.ndarray, (10**12,), b"b"), protocol=3)
    assert ArraysOnly(io.BytesIO(claim), encoding="latin1").load().nbytes == 0


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"<html>",
        {"data": ROWS[:2]},
        {"data": ROWS[:2, :100], "labels": [1, 2]},
        {"data": ROWS[:3], "labels": [1, 2]},
        {"data": ROWS[:2] / 2, "labels": [1, 2]},
        {"data": ROWS[:2], "labels": [0, 1]},
        {"data": ROWS[:2], "labels": [1, 1001]},
    ],
)
@pytest.mark.parametrize("name", ["val_data", "val_data.npz"])
def test_damaged_batches(tmp_path, batch, name):
    path = tmp_path / name
    if isinstance(batch, bytes):
        path.write_bytes(batch)
    elif path.suffix:
        np.savez(path, **batch)
    else:
        path.write_bytes(pickle.dumps(batch, protocol=3))
    with pytest.raises(
        RuntimeError,
        match=f"{name} is damaged, or not the file of that name .* original in its place",
    ):
        load_images("imagenet64", root=tmp_path, split="test")


@pytest.mark.parametrize("layout", ["thumbnails128x128/{n}.png", "{n}.png", "{folder}/{n}.png"])
def test_ffhq_layouts(tmp_path, no_network, layout):
    for n in (1, 2, 65_000):
        save(
            tmp_path / layout.format(n=f"{n:05}", folder=f"{n // 1000 * 1000:05}"),
            np.resize(PIXELS, (128, 128, 3)),
        )
    save(tmp_path / layout.format(n="cover", folder="00000"))
    images = load_images("ffhq", root=tmp_path, size=128)
    assert images.images.shape == (2, 3, 128, 128)
    assert images.skipped == [(layout.format(n="cover", folder="00000"), "not named by a number")]
    assert len(load_images("ffhq", root=tmp_path, split="test")) == 1


def test_compcars(tmp_path):
    make_compcars(tmp_path)
    assert load_images("compcars", root=tmp_path).labels.tolist() == [0, 0, 2]
    assert load_images("compcars", root=tmp_path, split="all").labels.tolist() == [0, 0, 1, 2, 2]
    (tmp_path / "data/misc/make_model_name.mat").write_bytes(b"not MATLAB's")
    images = load_images("compcars", root=tmp_path)
    assert images.classes == ("1", "2", "3") and images.labels.tolist() == [0, 0, 2]
    (tmp_path / "data/train_test_split/classification/test.txt").unlink()
    with pytest.raises(
        FileNotFoundError,
        match="classification/test.txt, which says what is test, is missing. .* take split='all'",
    ):
        load_images("compcars", root=tmp_path, split="test")


def test_compcars_under_surveillance(tmp_path):
    paths = ["1/a.jpg", "1/b.jpg", "2/c.jpg", "10/d.jpg"]
    for i, path in enumerate(paths):
        save(tmp_path / "sv_data/image" / path, PIXELS[i])
    write(tmp_path / "sv_data/train_surveillance.txt", "1/a.jpg\n10/d.jpg\n../../secret.jpg\n")
    images = load_images("compcars", root=tmp_path, surveillance=True)
    assert images.classes == ("1", "2", "10") and images.labels.tolist() == [0, 2]
    assert images.skipped == [("sv_data/image/../../secret.jpg", "missing, though a list names it")]
    rows = [["Audi", f"Audi A{n}", np.array([[100 + n]])] for n in range(1, 11)]
    savemat(tmp_path / "sv_data/sv_make_model_name.mat", {"sv_make_model_name": cell(rows)})
    images = load_images("compcars", root=tmp_path, split="all", surveillance=True)
    assert images.classes[9] == "Audi A10" and images.labels.tolist() == [
        0,
        0,
        9,
        1,
    ]  # in the order of the files


def test_a_list_cannot_reach_out_of_the_root(tmp_path):
    root = tmp_path / "root"
    make_pets(root)
    save(tmp_path / "secret.jpg")
    with open(root / "annotations/trainval.txt", "a") as file:
        file.write("../../secret 1 1 1\n")
    images = load_images("pets", root=root)
    assert len(images) == 7 and images.skipped == [
        ("images/../../secret.jpg", "missing, though a list names it")
    ]


@pytest.mark.parametrize(
    ("rule", "name"), [("largest", "cup"), ("frequent", "dog"), ("first", "person")]
)
def test_coco_labels(tmp_path, rule, name):
    make_coco(tmp_path)
    images = load_images("coco", root=tmp_path, split="all", label=rule)
    assert {images.classes[label] for label in images.labels} == {name}
    assert images.skipped == [
        (f"val2017/{n:012}.jpg", "no annotation in annotations/instances_val2017.json")
        for n in (9, 10)
    ]


def test_coco_stuff(tmp_path):
    make_coco(tmp_path)
    images = load_images("coco", root=tmp_path, split="all", annotations="stuff")
    assert (
        images.classes == ("banner", "other")
        and images.labels.tolist() == [0, 1] * 5
        and len(images.skipped) == 1
    )


def test_coco_split(tmp_path):
    make_coco(tmp_path)

    def pixels(split, **options):
        return {
            image.tobytes()
            for image in pixels_of(load_images("coco", root=tmp_path, split=split, **options))
        }

    train, test, everything = pixels("train"), pixels("test"), pixels("all")
    assert len(test) == 2 and train | test == everything and not train & test
    fewer = pixels("all", images=6)
    assert fewer < everything and pixels("train", images=6) | pixels("test", images=6) == fewer
    assert len(pixels("test", images=6)) == 2
    from dcgan_lib.data.sets.coco import choose

    assert [len(choose(5000, split, 4992)) for split in ("all", "test")] == [
        4992,
        999,
    ]  # gomez's numbers


# Missing files


BY_HAND = {
    "celeba": [
        "img_align_celeba is missing",
        "img_align_celeba.zip and list_eval_partition.txt from the drive",
        "mmlab",
    ],
    "compcars": [
        "data/image is missing",
        "data.zip with all of its parts",
        "put the folder data into",
    ],
    "ffhq": [
        "thumbnails128x128 is missing",
        "thumbnails128x128.zip",
        "github.com/NVlabs/ffhq-dataset",
    ],
    "imagenet64": [
        "train_data_batch_1 is missing",
        "Imagenet64_train_part1.zip and Imagenet64_train_part2.zip",
        "register",
    ],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name, home, no_network):
    with pytest.raises(FileNotFoundError) as error:
        load_images(name)
    sentence = str(error.value)
    where = f"'{name}' is not in {home / 'downloads' / name}, a folder that does not exist: "
    assert where in sentence and "To get it, " in sentence
    assert all(words in sentence for words in BY_HAND[name]) and sentence.count(str(home)) == 2
    assert not home.exists()


@pytest.mark.parametrize("name", ["coco", "pets", "tiny-imagenet"])
def test_not_downloaded(name, home, no_network):
    with pytest.raises(
        FileNotFoundError,
        match=rf"'{name}' is not in .*is missing. Take download=True, or put .* from http",
    ):
        load_images(name, download=False)
    assert not home.exists()


def serve(monkeypatch, served):
    """Stand in for the network, with the files of a folder; returns what was asked for."""
    asked = []

    def download(addresses, path, checksum):
        asked.append((path.name, addresses, checksum))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((served / path.name).read_bytes())
        return path

    monkeypatch.setattr("dcgan_lib.data.downloads.download", download)
    return asked


def test_download_of_coco(tmp_path, monkeypatch):
    """Three zips, of which two share a folder; each is fetched once."""
    make_coco(tmp_path)
    served = tmp_path / "served"
    packed(served / "val2017.zip", tmp_path, "val2017")
    packed(served / "annotations_trainval2017.zip", tmp_path, "annotations/instances_val2017.json")
    packed(
        served / "stuff_annotations_trainval2017.zip", tmp_path, "annotations/stuff_val2017.json"
    )
    asked = serve(monkeypatch, served)
    assert len(load_images("coco", split="all")) == 9
    assert len(load_images("coco", split="all", annotations="stuff")) == 10
    assert len(load_images("coco", split="test")) == 2
    assert [name for name, _, _ in asked] == [
        "val2017.zip",
        "annotations_trainval2017.zip",
        "stuff_annotations_trainval2017.zip",
    ]
    assert all(
        address.endswith(f"/{name}") for name, addresses, _ in asked for address in addresses
    )


def test_download_of_pets(tmp_path, monkeypatch):
    make_pets(tmp_path / "made")
    served = tmp_path / "served"
    served.mkdir()
    for name in ("images", "annotations"):
        with tarfile.open(served / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "made" / name, name)
    asked = serve(monkeypatch, served)
    assert len(load_images("pets", root=tmp_path / "pets")) == 7
    assert [(name, len(addresses), checksum[:4]) for name, addresses, checksum in asked] == [
        ("images.tar.gz", 2, "md5:"),
        ("annotations.tar.gz", 2, "md5:"),
    ]


def test_download_of_tiny_imagenet(tmp_path, monkeypatch):
    make_tiny_imagenet(tmp_path)
    packed(tmp_path / "served/tiny-imagenet-200.zip", tmp_path, "tiny-imagenet-200")
    asked = serve(monkeypatch, tmp_path / "served")
    assert (
        len(load_images("tiny-imagenet")) == 6
        and len(load_images("tiny-imagenet", split="test")) == 4
    )
    assert len(asked) == 1


def test_a_failed_download_is_told_and_leaves_no_cache(home, monkeypatch):
    def fail(addresses, path, checksum):
        raise RuntimeError(
            f"{path.name} could not be fetched from {addresses[0]}: the server answered a web page."
        )

    monkeypatch.setattr("dcgan_lib.data.downloads.download", fail)
    for name in ("coco", "pets", "tiny-imagenet"):
        with pytest.raises(
            RuntimeError,
            match="could not be fetched from https://.*web page. By hand: put .* into",
        ):
            load_images(name)
    assert not (home / "cache").exists()


@pytest.mark.parametrize("name", ["ffhq", "imagenet64", "celeba"])
def test_another_archive_leaves_nothing_behind(name, tmp_path, no_network):
    """The right one in its place is then unpacked."""
    MAKE[name](tmp_path / "made")
    stem = {
        "ffhq": "thumbnails128x128",
        "imagenet64": "Imagenet64_train_part1",
        "celeba": "img_align_celeba",
    }[name]
    inside = {"imagenet64": [f"train_data_batch_{n}" for n in range(1, 6)]}.get(name, [stem])
    save(tmp_path / "holiday/1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    for path in (tmp_path / "made").glob("*.txt"):
        shutil.copy(path, root)
    before = sorted(root.rglob("*"))
    packed(root / f"{stem}.zip", tmp_path, "holiday")
    for _ in range(2):
        with pytest.raises(
            RuntimeError, match=f"{stem}.zip is another archive: .* is not in it. Delete"
        ):
            load_images(name, root=root)
    (root / f"{stem}.zip").unlink()
    left = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    assert left == before
    packed(root / f"{stem}.zip", tmp_path / "made", *inside)
    assert len(load_images(name, root=root)) > 1


def test_celeba_unpacked_one_folder_too_deep(tmp_path, no_network):
    """The sentence says what was looked for, and what lies there."""
    make_celeba(tmp_path)
    inner = tmp_path / "img_align_celeba/img_align_celeba"
    inner.mkdir()
    for path in inner.parent.glob("*.jpg"):
        path.rename(inner / path.name)
    there = "the first is img_align_celeba/img_align_celeba/000001.jpg"
    with pytest.raises(
        ValueError,
        match=f"'train' of 'celeba' .*a list names it; and others. Of 11 files there, {there}",
    ):
        load_images("celeba", root=tmp_path)


def test_coco_without_its_images(tmp_path, no_network):
    make_coco(tmp_path)
    for path in (tmp_path / "val2017").iterdir():
        path.unlink()
    with pytest.raises(
        ValueError, match="'all' of 'coco' has no usable image .* missing, though a list names it"
    ):
        load_images("coco", root=tmp_path, split="all")


def test_ffhq_without_the_images_of_a_split(tmp_path, no_network):
    make_ffhq(tmp_path)
    for number in (60_000, 69_999):
        (tmp_path / f"thumbnails128x128/{number // 1000 * 1000:05}/{number:05}.png").unlink()
    with pytest.raises(
        ValueError, match="split 'test' of 'ffhq' .* Of 4 files there, the first is .*00000.png"
    ):
        load_images("ffhq", root=tmp_path, split="test")


def test_tiny_imagenet_without_a_folder(tmp_path, no_network):
    make_tiny_imagenet(tmp_path)
    shutil.rmtree(tmp_path / "tiny-imagenet-200/train")
    with pytest.raises(
        FileNotFoundError, match="tiny-imagenet-200/train is missing, so .* not complete. Remove"
    ):
        load_images("tiny-imagenet", root=tmp_path)


def test_zips_by_hand(tmp_path, no_network):
    """What a drive gave is unpacked where it lies."""
    made, roots = tmp_path / "made", tmp_path / "roots"
    counts = {name: MAKE[name](made / name)[0] for name in ("celeba", "ffhq", "imagenet64")}
    packed(roots / "celeba/img_align_celeba.zip", made / "celeba", "img_align_celeba")
    packed(roots / "ffhq/thumbnails128x128.zip", made / "ffhq", "thumbnails128x128")
    batches = [f"train_data_batch_{n}" for n in range(1, 11)]
    packed(roots / "imagenet64/Imagenet64_train_part1.zip", made / "imagenet64", *batches[:5])
    packed(roots / "imagenet64/Imagenet64_train_part2.zip", made / "imagenet64", *batches[5:])
    for path in (made / "celeba").glob("*.txt"):
        path.rename(roots / "celeba" / path.name)
    for name, count in counts.items():
        assert len(load_images(name, root=roots / name)) == count["train"]


def test_an_archive_of_something_else(tmp_path, no_network):
    make_ffhq(tmp_path)
    packed(tmp_path / "tiny-imagenet-200.zip", tmp_path, "thumbnails128x128")
    with pytest.raises(
        RuntimeError,
        match="is another archive: tiny-imagenet-200 is not in it. Delete it, and fetch",
    ):
        load_images("tiny-imagenet", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("celeba", "list_eval_partition.txt"),
        ("coco", "annotations/instances_val2017.json"),
        ("pets", "annotations/test.txt"),
        ("tiny-imagenet", "tiny-imagenet-200/words.txt"),
    ],
)
def test_damaged_lists(tmp_path, name, path):
    MAKE[name](tmp_path)
    (tmp_path / path).write_text("<!doctype html>\n<title>Sorry</title>\n")
    with pytest.raises(
        RuntimeError, match=f"{Path(path).name} is damaged, or not the file of that name"
    ):
        load_images(name, root=tmp_path)


# Options and facts


def test_options_are_part_of_the_recipe(tmp_path):
    make_coco(tmp_path)
    sets = [
        load_images("coco", root=tmp_path, split="all", label=rule)
        for rule in ("largest", "frequent", "first")
    ]
    assert len({images.fingerprint for images in sets}) == 3
    assert (
        load_images("coco", root=tmp_path, split="all").fingerprint == sets[0].fingerprint
    )  # the default, unsaid


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "coco",
            {"lable": "first"},
            "'coco' has no option 'lable'. Did you mean 'label'\\? It has: annotations, label, im",
        ),
        ("digits", {"attribute": "Smiling"}, "'digits' has no option 'attribute'. It has: none."),
        ("digits", {"spilt": "test"}, "no option 'spilt'. Did you mean 'split'\\?"),
        (
            "digits",
            {"crop": "center"},
            "crop='center' is not known: choose 'centre', 'square', 'celeba'.",
        ),
        ("coco", {"label": "last"}, "label='last' is not a rule of 'coco': choose 'largest'"),
        ("coco", {"annotations": "panoptic"}, "annotations='panoptic' is not known to 'coco'"),
        ("coco", {"images": 1}, "images=1 is not a number of images to split"),
    ],
)
def test_wrong_options(name, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_images(name, **options)


def test_facts():
    rows = describe_datasets()
    assert [row["name"] for row in rows] == available_datasets()
    for row in rows:
        assert (
            row["licence"]
            and row["get"]
            and (row["page"].startswith("https://") or row["name"] == "folder")
        )
        assert not {"source"} & row.keys()
    used = {
        paper: [row["name"] for row in rows if paper in row["papers"]]
        for paper in ("gomez", "singh")
    }
    assert used["gomez"] == ["coco", "compcars", "ffhq", "pets"]
    assert used["singh"] == ["celeba", "cifar10", "imagenet64", "tiny-imagenet"]
    json.dumps(rows)


# The ways to make a picture square


def a_picture(path, width, height):
    """A red frame of 20 pixels around blue; returns the root."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 255
    pixels[20:-20, 20:-20] = [0, 0, 255]
    save(path / "x.png", pixels)
    return path


def test_crops(tmp_path):
    root = a_picture(tmp_path / "root", 178, 218)
    image = Image.open(root / "x.png")
    expected = {
        "centre": image.resize((64, 64), Image.Resampling.BICUBIC, box=(0, 20, 178, 198)),
        "square": image.resize((64, 64), Image.Resampling.BICUBIC),
        "celeba": image.crop((35, 55, 143, 163)).resize((64, 64), Image.Resampling.BICUBIC),
    }
    images = {crop: load_images("folder", root=root, size=64, crop=crop) for crop in expected}
    for crop, pixels in expected.items():
        np.testing.assert_array_equal(pixels_of(images[crop])[0], np.asarray(pixels))
    assert (pixels_of(images["celeba"])[0] == [0, 0, 255]).all()  # nothing of the frame
    assert len({each.fingerprint for each in images.values()}) == 3
    assert load_images("folder", root=root, size=64).fingerprint == images["centre"].fingerprint


def test_small_pictures_have_no_celeba_crop(tmp_path):
    root = a_picture(tmp_path / "root", 178, 218)
    save(root / "small.png", np.resize(PIXELS, (107, 300, 3)))
    save(root / "just.png", np.resize(PIXELS, (108, 300, 3)))
    images = load_images("folder", root=root, crop="celeba")
    assert len(images) == 2 and images.skipped == [
        ("small.png", "300x107 pixels, less than the crop of 108; another crop takes it")
    ]
    assert len(load_images("folder", root=root)) == 3


def test_arrays_too_small_for_the_crop_are_told():
    with pytest.raises(
        ValueError, match="no usable image .* image 0: 8x8 pixels, less than the crop of 108"
    ):
        load_images("digits", crop="celeba")


def test_fingerprints_of_the_default_are_for_ever(tmp_path):
    """Runs remember the fingerprint of their images, so those of the first edition must stay."""
    assert (
        load_images("digits").fingerprint
        == "243014b4a9fc793a1a96f67cf35799c7b3ecb2f7a7e737af78a6c0f0962c6ed3"
    )


# Killed builds


def slow_build(root, pause):
    """Make a cache on one core, with a rest before each picture, in a process of its own."""
    decode = picture.decode

    def slowly(*arguments):
        time.sleep(pause)
        return decode(*arguments)

    picture.decode, os.cpu_count = slowly, lambda: 1
    load_images("folder", root=root)
    os._exit(0)


def start(root, pause=0.001):
    process = multiprocessing.get_context("fork").Process(target=slow_build, args=[root, pause])
    process.start()
    return process


def leftovers(home):
    return list((home / "cache").glob(".making-*"))


def test_kills_at_random_moments(tmp_path, home):
    root = tmp_path / "root"
    for n in range(200):
        save(root / f"{'ab'[n % 2]}/{n:03}.png", PIXELS[n % 40])
    begin = time.monotonic()
    start(root).join()
    took = time.monotonic() - begin
    quiet = load_images("folder", root=root)
    draw, killed, left = Random(0), 0, 0
    for _ in range(10):
        shutil.rmtree(home)
        process = start(root)
        time.sleep(draw.uniform(0, took))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        left += bool(leftovers(home))
        images = load_images("folder", root=root)
        assert images.fingerprint == quiet.fingerprint and (images.images == quiet.images).all()
    assert killed and left  # some in the middle of a cache


def test_only_what_the_dead_left_is_removed(tmp_path, home):
    """One build is killed; of two others at work, neither touches what belongs to the other."""
    for name in ("dead", "alive", "third"):
        for n in range(200):
            save(tmp_path / name / f"{n:03}.png", PIXELS[n % 40])

    def new_folder(others=()):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if found := set(leftovers(home)) - set(others):
                return found
            time.sleep(0.005)
        raise AssertionError("no cache was begun")

    dead = start(tmp_path / "dead", pause=0.01)
    of_the_dead = new_folder()
    dead.kill()
    dead.join()
    alive = start(tmp_path / "alive", pause=0.01)
    of_the_living = new_folder(of_the_dead)
    load_images("folder", root=tmp_path / "third")
    assert alive.is_alive() and set(leftovers(home)) == of_the_living and of_the_dead
    alive.join()
    assert alive.exitcode == 0 and len(list((home / "cache").glob("[!.]*"))) == 2
