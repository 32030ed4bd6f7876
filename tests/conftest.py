"""What tests share: images made on the spot, a run of all chapters, and a rendered book."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import build
import make_notebooks
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from PIL import Image

# A shell that starts the tests in the background lets them ignore Ctrl-C; the programs under test
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Downloads and caches of a test stay in its own folder, never in the reader's."""
    monkeypatch.setenv("DCGAN_LIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make_images():
    """make_images(n, size, channels, classes): bright squares on noise, one position a class."""
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


def pytest_collection_modifyitems(items):
    """Whatever needs a run of all chapters is slow; the stored notebooks are tested in any case."""
    for item in items:
        if "coloured_run" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def make_once(tmp_path_factory, worker_id):
    """make_once(name, make): a folder that `make(folder)` fills, once for all parallel processes.

    `make` may return anything that JSON can hold; (that, the folder) is returned.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent

    def once(name, make):
        folder, done = shared / name, shared / f"{name}.json"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                done.write_text(json.dumps(make(folder)))
        return json.loads(done.read_text()), folder

    return once


@pytest.fixture(scope="session")
def coloured_run(make_once):
    """The run folder of all chapters, through the command line, on a few coloured pictures."""
    return make_once("coloured", run_chapters_on_coloured_pictures)[1] / "runs" / "coloured"


def run_chapters_on_coloured_pictures(folder):
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


@pytest.fixture(scope="session")
def book(make_once):
    """(whether the strict build was clean, the folder of pages) of the committed notebooks."""
    return make_once("book", partial(build.build, make_notebooks.NOTEBOOKS))
