"""Execute the chapters: each text notebooks/NN_slug.md gives NN_slug.ipynb beside it.

python book/make_notebooks.py           # all chapters in order, fresh runs
python book/make_notebooks.py 06 07     # these only, with the runs that are there
python book/make_notebooks.py --check   # executes nothing: are the pairs in step?
"""

import argparse
import base64
import hashlib
import io
import shutil
import sys
from pathlib import Path

import jupytext
import nbformat
import yaml
from jupytext.cli import jupytext as jupytext_program
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
PNG, FEW_COLOURS = "image/png", 4096

SETUP = """\
import sys

if "google.colab" in sys.modules:
    %pip install -q "dcgan_lib @ git+{url}"

import dcgan_lib

print(dcgan_lib.device_report())"""


def setup_source():
    """The first code cell of every chapter, with the address that `_config.yml` keeps."""
    return SETUP.format(**yaml.safe_load((ROOT / "_config.yml").read_text())["repository"])


def chapters(names=()):
    """The chapters' .md files in reading order, or those whose name begins with one of `names`."""
    everything = sorted(NOTEBOOKS.glob("[0-9a][0-9]_*.md"))
    unknown = [name for name in names if not any(md.name.startswith(name) for md in everything)]
    if unknown:
        known = ", ".join(md.stem for md in everything) or "none"
        sys.exit(f"no chapter begins with {', '.join(unknown)}; {NOTEBOOKS} holds {known}")
    return [md for md in everything if not names or md.name.startswith(tuple(names))]


def tags(cell):
    return cell.metadata.get("tags", [])


def kept_metadata(cell):
    """The metadata that a text may give a cell.

    These are its tags, its caption, and the folding of a solution in JupyterLab and in Colab.
    """
    return {
        key: cell.metadata[key]
        for key in ("tags", "mystnb", "jupyter", "cellView")
        if key in cell.metadata
    }


def renew_setup(md):
    """Write the current set-up cell into a chapter's text, and touch nothing else in it."""
    found = [cell.source for cell in jupytext.read(md).cells if "setup" in tags(cell)]
    if len(found) != 1 or not found[0]:
        sys.exit(
            f"{md.name} has {len(found)} cells tagged `setup` with code in them; "
            "it needs exactly one"
        )
    if found[0] != setup_source():
        md.write_text(md.read_text().replace(found[0], setup_source(), 1))


def smaller(png):
    """The same picture, as base64, with a palette where that cannot be seen.

    Plots and grey images have few colours; a coloured image would show steps.
    """
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        picture = picture.convert("RGB")
    if picture.getcolors(FEW_COLOURS):
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return min(png, base64.b64encode(file.getvalue()).decode(), key=len)


def clean_outputs(notebook):
    """Keep what a static page can show, and each stretch of printed lines in one piece.

    Live widgets go, and so do progress bars and warnings on stderr. Pictures are made small.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kept = []
            for out in cell.outputs:
                if out.get("name") == "stderr" or WIDGET in out.get("data", {}):
                    continue
                if PNG in out.get("data", {}):
                    out.data[PNG] = smaller(out.data[PNG])
                if kept and out.output_type == kept[-1].output_type == "stream":
                    kept[-1].text += out.text
                else:
                    kept.append(out)
            cell.outputs = kept


def make_reproducible(notebook):
    """Keep only the metadata that the text decides.

    A second execution then changes nothing but results, and a save in JupyterLab changes nothing:
    what is kept is exactly what jupytext keeps.
    """
    language = {
        key: value for key, value in notebook.metadata.language_info.items() if key != "version"
    }
    notebook.metadata = {
        "jupytext": {"default_lexer": "ipython3"},
        "kernelspec": notebook.metadata.kernelspec,
        "language_info": language,
    }
    seen = set()
    for cell in notebook.cells:
        cell.metadata = kept_metadata(cell)
        text, copies = f"{cell.cell_type} {cell.source}", 0
        while (name := hashlib.sha1(f"{text} {copies}".encode()).hexdigest()[:8]) in seen:
            copies += 1
        seen.add(name)
        cell.id = name


def execute(md):
    """Run one chapter and write its .ipynb.

    A chapter that fails ends the program with a sentence, and its old .ipynb stays.
    """
    notebook = jupytext.read(md)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with tqdm(total=len(code), desc=md.stem, unit="cell") as bar:
        client = NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute()
        except (CellExecutionError, DeadKernelError) as error:
            number = client.code_cells_executed
            first = code[number - 1].source.splitlines()[0]
            reason = (
                f"{error.ename}: {error.evalue}"
                if isinstance(error, CellExecutionError)
                else str(error)
            )
            bar.close()
            sys.exit(
                f"{md.stem} stopped in code cell {number} ({first!r}) with {reason}\n"
                f"{md.with_suffix('.ipynb').name} is left as it was"
            )
    clean_outputs(notebook)
    make_reproducible(notebook)
    nbformat.validate(notebook)
    aside = md.with_suffix(".ipynb.part")
    nbformat.write(notebook, aside)
    aside.replace(md.with_suffix(".ipynb"))
    jupytext_program(["--quiet", "--sync", str(md)])  # the text as jupytext writes it


def draw_cover(run_dir):
    """Draw the picture of the introduction and the README.

    It shows samples of the training chapter's run before, during and after training.
    """
    from dcgan_lib import Run, figures

    samples = Run.load(run_dir).samples()
    epochs = (0, len(samples) // 4, len(samples) - 1)
    figure = figures.sample_grid(
        *samples[list(epochs)], titles=[f"epoch {epoch}" for epoch in epochs]
    )
    figure.savefig(ROOT / "book" / "_static" / "samples.png", dpi=150)


def folding(cell):
    return cell.metadata.get("jupyter"), cell.metadata.get("cellView")


def pair_problems(md):
    """Sentences on what differs between a chapter's text and its notebook; none when in step.

    Only the first cell that differs is named: after an extra cell, all others differ as well.
    """
    ipynb = md.with_suffix(".ipynb")
    if not ipynb.exists():
        return [f"{md.name} has no {ipynb.name}; `make notebooks` writes it"]
    text, executed = jupytext.read(md).cells, nbformat.read(ipynb, as_version=4).cells
    problems = []
    if len(text) != len(executed):
        problems.append(f"{md.name} has {len(text)} cells, {ipynb.name} has {len(executed)}")
    for number, (ours, theirs) in enumerate(zip(text, executed), 1):
        parts = {
            "kind": (ours.cell_type, theirs.cell_type),
            "source": (ours.source, theirs.source),
            "tags": (tags(ours), tags(theirs)),
            "caption": (ours.metadata.get("mystnb"), theirs.metadata.get("mystnb")),
            "folding": (folding(ours), folding(theirs)),
        }
        if differing := [part for part, (a, b) in parts.items() if a != b]:
            problems.append(
                f"{md.stem}, cell {number}: "
                f"{' and '.join(differing)} of the .md and the .ipynb differ"
            )
            break
    code = [cell for cell in executed if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        problems.append(f"{ipynb.name} was not executed from its first cell to its last, in order")
    if any(out.output_type == "error" for cell in code for out in cell.outputs):
        problems.append(f"{ipynb.name} holds the output of an error")
    if [cell.source for cell in text if "setup" in tags(cell)] != [setup_source()]:
        problems.append(
            f"{md.name}: the set-up cell is not the one made from the address in _config.yml"
        )
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "chapter", nargs="*", help="first letters of chapters, such as 04; all by default"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare each .md with its .ipynb and execute nothing"
    )
    options = parser.parse_args()
    chosen = chapters(options.chapter)
    if options.check:
        problems = [problem for md in chosen for problem in pair_problems(md)]
        print("\n".join(problems) or f"{len(chosen)} pairs in step")
        sys.exit(bool(problems))
    for md in chosen:
        renew_setup(md)
    if not options.chapter:
        shutil.rmtree(
            NOTEBOOKS / "runs", ignore_errors=True
        )  # stored results come from this code, not an older run
    for md in chosen:
        execute(md)
    if not options.chapter:
        (run_dir,) = (NOTEBOOKS / "runs").glob("*/dcgan")  # the only one: all chapters share it
        draw_cover(run_dir)


if __name__ == "__main__":
    main()
