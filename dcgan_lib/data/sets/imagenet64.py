"""`imagenet64`: all of ImageNet at 64 pixels, in ten batches of 1.6 GB; after registration, by hand."""

import pickle
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from dcgan_lib.data.files import Archive, not_there, place, provide, reading, stamp
from dcgan_lib.data.image_set import Contents, Dataset, Source

PARTS = {
    "train": ["train_part1", "train_part2"],
    "test": ["val"],
}  # the publishers' archives of a split
BATCHES = {"train": [f"train_data_batch_{n}" for n in range(1, 11)], "test": ["val_data"]}
CLASSES = 1000


def imagenet64(root, split, download):
    """Downsampled ImageNet (Chrabaszcz et al. 2017): 1,281,167 training and 50,000 validation images.

    "test" is the validation images. The batches lie in the root or in folders of it, as the pickled files or
    as .npz; the authors' zips are unpacked. Those that are there are taken, and the others are told in
    `.skipped`. A class is named by the authors' number, 1 to 1000, in the order of their map_clsloc.txt.
    """
    root = place(root, "imagenet64")
    for part in PARTS[split]:
        for stem in (f"Imagenet64_{part}", f"Imagenet64_{part}_npz"):
            if (root / f"{stem}.zip").is_file():
                archive = Archive(f"{stem}.zip", f"{stem}/**/*_data*", into=stem)
                provide(
                    "imagenet64",
                    root,
                    [archive],
                    download,
                    lambda file: f"get {file} anew from {IMAGENET64.page}",
                )
    there = {batch: find(root, batch) for batch in BATCHES[split]}
    paths = [path for path in there.values() if path]
    if not paths:
        zips = " and ".join(f"Imagenet64_{part}.zip" for part in PARTS[split])
        raise not_there(
            "imagenet64",
            root,
            BATCHES[split][0],
            f"To get it, register at {IMAGENET64.page}, get {zips} (64x64), "
            f"and put the zips or the batches in them into {root}",
        )

    def read():
        missing = [(batch, "this batch is missing") for batch, path in there.items() if not path]
        labels = [read_labels(root / path) for path in paths]
        pictures = Batches([root / path for path in paths], [len(some) for some in labels])
        return Contents(
            pictures, np.concatenate(labels), tuple(str(n + 1) for n in range(CLASSES)), missing
        )

    return Source(root, [stamp(root, path) for path in paths], read)


def find(root, batch):
    """Where a batch lies below the root, as a string, or None."""
    found = [
        path
        for name in (batch, f"{batch}.npz")
        for folder in ("", "*/", "*/*/")
        for path in root.glob(folder + name)
    ]
    return next((path.relative_to(root).as_posix() for path in found if path.is_file()), None)


def read_labels(path):
    """The labels of a batch, made 0 to 999."""
    with reading(path):
        labels = np.asarray(load(path)["labels"], np.int64) - 1
        if labels.ndim != 1 or not len(labels) or labels.min() < 0 or labels.max() >= CLASSES:
            raise ValueError("its labels are not numbers from 1 to 1000")
    return labels


class Batches(Sequence):
    """The images of several batches, one after another; a batch is in memory while its images are asked for.

    Parameters
    ----------
    paths : list of Path
    counts : list of int
        How many images each has.
    """

    def __init__(self, paths, counts):
        self.paths, self.starts = paths, [0, *accumulate(counts)]
        self.number, self.rows = None, None

    def __len__(self):
        return self.starts[-1]

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect(self.starts, index) - 1
        if number != self.number:
            self.number, self.rows = None, None  # the old batch goes before the new one comes
            self.rows = read_rows(self.paths[number], self.starts[number + 1] - self.starts[number])
            self.number = number
        row = self.rows[index - self.starts[number]]
        return row.reshape(3, 64, 64).transpose(1, 2, 0).copy()  # a view would keep the whole batch


def read_rows(path, count):
    """The images of a batch, uint8 (count, 12288): all red, then all green, then all blue values."""
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
        try:
            return ArraysOnly(file, encoding="latin1").load()
        except pickle.UnpicklingError as error:
            raise ValueError(str(error)) from error


class ArraysOnly(pickle.Unpickler):
    """A pickle can run any program. This reader knows what numpy arrays are made of, and refuses all else."""

    def find_class(self, module, name):
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("numpy", "ndarray"):
            return None  # it only stands there to be handed to the next, and is not to be called
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return lambda *arguments: np.ndarray(
                (0,), np.uint8
            )  # filled afterwards, whatever shape was claimed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays are allowed")


IMAGENET64 = Dataset(
    name="imagenet64",
    source=imagenet64,
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
