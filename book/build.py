"""Render the book, strictly: any warning is an error.

python book/build.py                                      # the committed notebooks -> _build/html
python book/build.py --notebooks runs/digits/notebooks    # a run's -> runs/digits/book
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml
from make_notebooks import NOTEBOOKS, ROOT, drop_dead_outputs


def chapter_names():
    """File names of the chapters' notebooks, in the order of `_toc.yml`."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    files = [Path(chapter["file"]) for part in parts for chapter in part["chapters"]]
    return [file.name for file in files if file.suffix == ".ipynb"]


def stage(folder, notebooks):
    """Put together in `folder` what the page builder reads: settings, pages, and the notebooks of one run."""
    missing = [name for name in chapter_names() if not (notebooks / name).exists()]
    if missing:
        sys.exit(
            f"{notebooks} has no {', '.join(missing)}; run the chapters first (make notebooks, make book)"
        )
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "book", folder / "book")
    (folder / "notebooks").mkdir()
    for name in chapter_names():
        notebook = nbformat.read(notebooks / name, as_version=4)
        drop_dead_outputs(notebook)
        nbformat.write(notebook, folder / "notebooks" / name)


def build(notebooks, out):
    """Render `notebooks` into the folder `out`, which may hold an older book; True when nothing was amiss."""
    if out.exists() and any(out.iterdir()) and not (out / ".buildinfo").exists():
        sys.exit(f"{out} holds something else than a book; choose another folder with --out")
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder), notebooks)
        command = [
            Path(sys.executable).with_name("jupyter-book"),
            "build",
            folder,
            "-W",
            "-n",
            "--keep-going",
            "--all",
        ]
        # Its standard output names pages in the temporary folder; its warnings come on the other stream.
        clean = subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
        html = Path(folder) / "_build" / "html"
        if html.exists():
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(html, out)
    return clean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--notebooks", type=Path, help="folder of executed chapters; the committed ones by default"
    )
    parser.add_argument("--out", type=Path, help="where the pages go")
    options = parser.parse_args()
    default = (
        options.notebooks.resolve().parent / "book"
        if options.notebooks
        else ROOT / "_build" / "html"
    )
    out = (options.out or default).resolve()
    if not build(options.notebooks or NOTEBOOKS, out):
        sys.exit("the book has warnings (above), and a warning counts as an error")
    print(f"\nThe book is ready: open {out / 'index.html'} in a browser")


if __name__ == "__main__":
    main()
