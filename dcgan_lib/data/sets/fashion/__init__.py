"""`fashion`: 8,000 images of Fashion-MNIST in the package itself; no download.

`train.png` and `test.png` are contact sheets of 100 columns, 28 pixels an image. The columns go
through the ten classes again and again, in the order of `CLASSES`, so a sheet is its own list of
labels: open one in any viewer.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from dcgan_lib.data.files import Contents, Dataset, Source, files_in

HERE = Path(__file__).parent
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PIXELS, COLUMNS, MARGIN = 28, 100, 2


def source(root, split, download) -> Source:
    """Grey images of clothes, 600 of each class to train on and 200 to test (Xiao et al. 2017).

    They were chosen at random from the official files of the same split. A margin of two black
    pixels makes 32 of their 28, so that at this size no pixel is interpolated.
    """
    if root is not None:
        raise ValueError(
            f"'fashion' takes no root: for the images in {root} choose the data set 'folder'."
        )
    sheet = f"{split}.png"

    def read():
        with Image.open(HERE / sheet) as picture:
            pixels = np.asarray(picture)
        cells = pixels.reshape(-1, PIXELS, COLUMNS, PIXELS).swapaxes(1, 2)
        images = cells.reshape(-1, PIXELS, PIXELS)
        margins = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
        return Contents(np.pad(images, margins), np.arange(len(images)) % len(CLASSES), [], CLASSES)

    return Source(HERE, files_in(HERE, sheet), read)


DATASET = Dataset(
    name="fashion",
    source=source,
    splits=("train", "test"),
    title="Fashion-MNIST, 8,000 images of it",
    page="https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    images=8000,
    pixels="28x28",
    labels="10 classes",
    papers=(),
    get="ships with this package",
)
