"""Render the book, strictly: any warning is an error.

python book/build.py                                      # the committed notebooks -> _build/html
python book/build.py --notebooks runs/fashion/notebooks    # a run's -> runs/fashion/book
"""

import argparse
import ast
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml
from make_notebooks import NOTEBOOKS, ROOT, clean_outputs, tags


def chapter_names():
    """File names of the chapters' notebooks, in the order of `_toc.yml`."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    files = [Path(chapter["file"]) for part in parts for chapter in part["chapters"]]
    return [file.name for file in files if file.suffix == ".ipynb"]


def show_parameters(notebook):
    """Write the values that papermill injected into the chapter's own cell of parameters.

    The cell that papermill added is removed, and the comments beside the parameters stay. Of an
    absolute path the page shows only the part below the project's folder, or else the last name.
    """
    used = {}
    for cell in [cell for cell in notebook.cells if "injected-parameters" in tags(cell)]:
        notebook.cells.remove(cell)
        used |= {name: as_shown(value) for name, value in assignments(cell.source)}
    for cell in [cell for cell in notebook.cells if "parameters" in tags(cell)]:
        lines = cell.source.splitlines()
        for name, value in reversed(assignments(cell.source)):
            if name in used:
                first, last = lines[value.lineno - 1], lines[value.end_lineno - 1]
                shown = first[: value.col_offset] + used[name]
                if comment := last[value.end_col_offset :].lstrip():
                    column = max(len(last) - len(comment), len(shown) + 2)
                    shown = shown.ljust(column) + comment
                lines[value.lineno - 1 : value.end_lineno] = [shown]
        cell.source = "\n".join(lines)


def assignments(source):
    """(name, value as a syntax tree) of every `name = value` in a cell of parameters."""
    return [(line.targets[0].id, line.value) for line in ast.parse(source).body]


def as_shown(value):
    """The text of a value; an absolute path is cut."""
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return ast.unparse(value)
    path = Path(value.value)
    if path.is_absolute():
        path = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    return json.dumps(str(path) if value.value else "", ensure_ascii=False)


def stage(folder, notebooks):
    """Put into `folder` what Jupyter Book reads: settings, pages, and the notebooks of one run."""
    missing = [name for name in chapter_names() if not (notebooks / name).exists()]
    if missing:
        sys.exit(
            f"{notebooks} has no {', '.join(missing)}; "
            "run the chapters first (make notebooks, make book)"
        )
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "book", folder / "book")
    (folder / "notebooks").mkdir()
    for name in chapter_names():
        notebook = nbformat.read(notebooks / name, as_version=4)
        clean_outputs(notebook)
        notebook.metadata.pop("papermill", None)  # it names folders of the machine
        show_parameters(notebook)
        nbformat.write(notebook, folder / "notebooks" / name)


def build(notebooks, out):
    """Render `notebooks` into the folder `out`, which may hold an older book.

    Returns True when there was no warning.
    """
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
        # Standard output names pages in the temporary folder; warnings come on stderr.
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
