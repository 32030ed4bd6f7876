"""Images made on the spot, for every test of the package; a run and a built book, for those of the notebooks."""

import signal
import subprocess
import sys
from pathlib import Path

import build
import make_notebooks
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

# A shell that starts the tests in the background lets them ignore Ctrl-C, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Downloads and caches of a test stay in its own folder, never in the reader's."""
    monkeypatch.setenv("DCGAN_LIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make_images():
    """make_images(n, size, channels, classes): bright squares on a noisy ground, one position a class."""
    from dcgan_lib import ImageSet

    def make(n=96, size=32, channels=1, classes=4, seed=0):
        stream = torch.Generator().manual_seed(seed)
        pixels = torch.randint(
            0, 60, (n, size, size, channels), generator=stream, dtype=torch.uint8
        )
        labels = torch.arange(n) % classes
        for i, label in enumerate(labels.tolist()):
            top = label * size // classes
            pixels[i, top : top + size // 4, 4 : size // 2] += 150
        names = tuple(f"class {c}" for c in range(classes))
        return ImageSet(
            pixels.permute(0, 3, 1, 2),
            labels,
            names,
            "squares",
            f"squares-{n}-{size}-{channels}-{seed}",
            [],
        )

    return make


@pytest.fixture(scope="session")
def coloured_run(tmp_path_factory):
    """The run folder of the real chapters, through the command line, on a small tree of coloured pictures."""
    folder = tmp_path_factory.mktemp("coloured")
    hues = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}
    draw = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 12)):
        for name, hue in hues.items():
            (folder / "pictures" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(
                    np.array(hue) + draw.integers(-40, 40, (32, 32, 3)), 0, 255
                ).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "pictures" / split / name / f"{i}.png")
    sizes = {
        "image_size": 32,
        "width": 8,
        "batch_size": 16,
        "epochs": 1,
        "start_epochs": 1,
        "per_class": 10,
        "seed": 1,
    }
    parameters = {"dataset": "folder", "root": str(folder / "pictures"), **sizes}
    (folder / "coloured.yaml").write_text(yaml.safe_dump(parameters))
    command = [
        "-m",
        "dcgan_lib",
        "batch",
        str(folder / "coloured.yaml"),
        "--runs",
        str(folder / "runs"),
    ]
    subprocess.run([sys.executable, *command], cwd=ROOT)
    return folder / "runs" / "coloured"


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """(whether the strict build was clean, the folder of pages) of the committed notebooks."""
    pages = tmp_path_factory.mktemp("book") / "html"
    return build.build(make_notebooks.NOTEBOOKS, pages), pages
