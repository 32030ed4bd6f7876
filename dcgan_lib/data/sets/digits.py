"""`digits`: the 1,797 handwritten digits that ship with scikit-learn; no download."""

from pathlib import Path

import numpy as np

from dcgan_lib.data.files import Contents, Dataset, Source

TRAIN = 1437  # images, four fifths of all


def source(root, split, download) -> Source:
    """Grey digits of 8x8 pixels, 0 to 16 made 0 to 255 (the test part of Alpaydin and Kaynak 1998).

    "train" is the first 1,437 images and "test" the last 360. The images stand in the order of
    their writers, so the test digits are by other hands than the training digits, but for one
    writer whom the cut divides.
    """
    if root is not None:
        raise ValueError(
            f"'digits' takes no root: for the images in {root} choose the data set 'folder'."
        )

    def read():
        from sklearn.datasets import load_digits

        part = slice(TRAIN) if split == "train" else slice(TRAIN, None)
        data = load_digits()
        pictures = np.rint(data.images[part] * (255 / 16)).astype(np.uint8)
        return Contents(pictures, data.target[part], [], tuple("0123456789"))

    return Source(root=Path(), listing=[], read=read)


DATASET = Dataset(
    name="digits",
    source=source,
    splits=("train", "test"),
    title="Handwritten digits of scikit-learn",
    page="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    licence="CC BY 4.0",
    images=1797,
    pixels="8x8",
    labels="10 digits",
    papers=(),
    get="ships with scikit-learn",
)
