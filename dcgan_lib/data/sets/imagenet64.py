"""`imagenet64`: all of ImageNet at 64 pixels in ten batches of 1.6 GB; registered, by hand."""

import pickle
from collections.abc import Sequence

import numpy as np

from dcgan_lib.data.archives import extract
from dcgan_lib.data.files import (
    Contents,
    Dataset,
    Source,
    data_folder,
    files_in,
    not_there,
    reading,
)

ZIPS = {"train": ["Imagenet64_train_part1", "Imagenet64_train_part2"], "test": ["Imagenet64_val"]}
FILES = {"train": [f"train_data_batch_{n}" for n in range(1, 11)], "test": ["val_data"]}
CLASSES = 1000


def source(root, split, download) -> Source:
    """Downsampled ImageNet (Chrabaszcz et al. 2017): 1,281,167 images, and 50,000 for validation.

    "test" is the validation images. The batches lie in the root or in folders of it, as the pickled
    files or as .npz; the authors' zips are unpacked. Those that are there are taken, and the others
    are told in `.skipped`. A class is named by the authors' number, 1 to 1000, in the order of
    their map_clsloc.txt.
    """
    root = data_folder(root, "imagenet64")
    for stem in [f"{stem}{kind}" for stem in ZIPS[split] for kind in ("", "_npz")]:
        packed, folder = root / f"{stem}.zip", root / stem
        if packed.is_file() and not any(folder.glob("**/*_data*")):
            extract(packed, folder, "**/*_data*")
    there = {name: find(root, name) for name in FILES[split]}
    paths = [path for path in there.values() if path]
    if not paths:
        zips = " and ".join(f"{stem}.zip" for stem in ZIPS[split])
        cure = (
            f"To get it, register at {DATASET.page}, get {zips} (64x64), and put the zips or the "
            f"batches in them into {root}"
        )
        raise not_there("imagenet64", root, FILES[split][0], cure)

    def read():
        missing = [(name, "this batch is missing") for name, path in there.items() if not path]
        labels = [read_labels(root / path) for path in paths]
        pictures = BatchImages([root / path for path in paths], [len(some) for some in labels])
        classes = tuple(str(number) for number in range(1, CLASSES + 1))
        return Contents(pictures, np.concatenate(labels), missing, classes)

    return Source(root, files_in(root, *paths), read)


def find(root, name):
    """Where a batch lies below the root, as a string, or None."""
    patterns = [folder + file for file in (name, f"{name}.npz") for folder in ("", "*/", "*/*/")]
    found = [path for pattern in patterns for path in root.glob(pattern) if path.is_file()]
    return found[0].relative_to(root).as_posix() if found else None


def read_labels(path):
    """The labels of a batch, made 0 to 999."""
    with reading(path):
        labels = np.asarray(load(path)["labels"], np.int64) - 1
        if labels.ndim != 1 or not len(labels) or labels.min() < 0 or labels.max() >= CLASSES:
            raise ValueError("its labels are not numbers from 1 to 1000")
    return labels


class BatchImages(Sequence):
    """The images of several batch files, one after another, with one file at a time in memory.

    Parameters
    ----------
    paths : list of Path
    counts : list of int
        How many images each file has.
    """

    def __init__(self, paths, counts):
        self.paths, self.counts, self.ends = paths, counts, np.cumsum(counts)
        self.number, self.rows = None, None  # of the file that is in memory

    def __len__(self):
        return int(self.ends[-1])

    def __getitem__(self, index):
        index = range(len(self))[index]
        number = np.searchsorted(self.ends, index, side="right")
        if number != self.number:
            self.rows = None  # the old file goes before the new one comes
            self.number, self.rows = number, read_rows(self.paths[number], self.counts[number])
        row = self.rows[index - self.ends[number]]  # counted from the end of the file
        return row.reshape(3, 64, 64).transpose(1, 2, 0).copy()  # a view would keep the whole file


def read_rows(path, count):
    """The images of a batch, uint8 (count, 12288): all red values, then green, then blue."""
    with reading(path):
        rows = load(path)["data"]
        if rows.dtype != np.uint8 or rows.shape != (count, 3 * 64 * 64):
            raise ValueError(
                f"its images are {rows.dtype} {rows.shape}, not uint8 ({count}, 12288)"
            )
    return rows


def load(path):
    """What a batch holds under "data" and "labels". Of an .npz only what is asked for is read."""
    if path.suffix == ".npz":
        return np.load(path, allow_pickle=False)
    with open(path, "rb") as file:
        return ArraysOnly(file, encoding="latin1").load()


class ArraysOnly(pickle.Unpickler):
    """A reader of pickles that knows what numpy arrays are made of, and refuses all else.

    A pickle can run any program.
    """

    def find_class(self, module, name):
        allowed = {
            "dtype": np.dtype,
            "ndarray": None,  # it is only handed to the next function, and not to be called
            # The array is filled afterwards; until then it is empty, whatever shape is claimed.
            "_reconstruct": lambda *claimed: np.ndarray((0,), np.uint8),
        }
        if module.partition(".")[0] != "numpy" or name not in allowed:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, and only arrays are allowed"
            )
        return allowed[name]


DATASET = Dataset(
    name="imagenet64",
    source=source,
    splits=("train", "test"),
    title="Downsampled ImageNet, 64 pixels",
    page="https://image-net.org/download-images.php",
    licence="ImageNet's terms: non-commercial research and educational purposes",
    images=1331167,
    pixels="64x64",
    labels="1,000 words, by number",
    papers=("singh",),
    get="by hand, after registration (13 GB)",
)
