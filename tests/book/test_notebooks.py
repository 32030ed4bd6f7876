"""The chapters as texts.

Pairs are in step, parameters reach their cells, pictures are described, exercises are solved.
"""

import ast
import dis
import re

import jupytext
import nbformat
import pytest
from build import chapter_names
from IPython.core.inputtransformer2 import TransformerManager
from make_notebooks import NOTEBOOKS, chapters, pair_problems, renew_setup, setup_source, tags
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from dcgan_lib.commands.batch import find_chapters
from dcgan_lib.commands.parameters import read_parameters

CHAPTERS = chapters()
PARAMS = NOTEBOOKS.parent / "params"
each_chapter = pytest.mark.parametrize("md", CHAPTERS, ids=lambda md: md.stem)
each_numbered_chapter = pytest.mark.parametrize(
    "md", [md for md in CHAPTERS if md.name[0].isdigit()], ids=lambda md: md.stem
)
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def code_cells(md):
    return [cell for cell in jupytext.read(md).cells if cell.cell_type == "code"]


def names(source, operations):
    """Names that a cell's code, with its functions, touches by one of these bytecode operations."""

    def walk(code):
        for step in dis.get_instructions(code):
            if step.opname in operations:
                yield step.argval
        for constant in code.co_consts:
            if hasattr(constant, "co_code"):
                yield from walk(constant)

    return set(walk(compile(TransformerManager().transform_cell(source), "cell", "exec")))


def section(md, title):
    """The text between the heading `## title` and the next of its level."""
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", md.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{md.name} has no section `## {title}`"
    return found[1]


@each_chapter
def test_text_and_executed_notebook_are_in_step(md):
    assert pair_problems(md) == []


def test_every_kind_of_difference_is_noticed(tmp_path):
    """Each change to a copy of a good pair must be seen, or the test above is worth nothing."""
    good = CHAPTERS[0]
    md, ipynb = tmp_path / good.name, tmp_path / good.with_suffix(".ipynb").name
    whole = nbformat.read(good.with_suffix(".ipynb"), as_version=4)

    def found(change):
        copy = nbformat.from_dict(whole)
        md.write_text(good.read_text())
        change(copy, [cell for cell in copy.cells if cell.cell_type == "code"])
        nbformat.write(copy, ipynb)
        return " ".join(pair_problems(md))

    def edit_text(*_):
        md.write_text(
            good.read_text().replace("\n## Exercises", "\nOne more sentence.\n\n## Exercises")
        )

    def edit_caption(*_):
        md.write_text(good.read_text().replace("caption: ", "caption: Not ", 1))

    def edit_setup(*_):
        md.write_text(good.read_text().replace("github.com/", "github.com/someone-else/", 1))

    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    assert found(lambda book, code: None) == ""
    assert ": source of" in found(edit_text)
    assert ": caption of" in found(edit_caption)
    assert "set-up cell" in found(edit_setup)
    assert ": tags of" in found(lambda book, code: code[1].metadata.update(tags=["other"]))
    assert ": folding of" in found(lambda book, code: code[-1].metadata.pop("cellView"))
    assert ": folding of" in found(lambda book, code: code[-1].metadata.pop("jupyter"))
    assert ": kind of" in found(lambda book, code: code[0].update(cell_type="raw"))
    assert "cells" in found(lambda book, code: book.cells.pop())
    assert "not executed" in found(lambda book, code: code[-1].update(execution_count=None))
    assert "not executed" in found(lambda book, code: code[2].update(execution_count=99))
    assert "error" in found(lambda book, code: code[-1].outputs.append(error))
    ipynb.unlink()
    assert "has no" in " ".join(pair_problems(md))


def test_the_set_up_cell_follows_the_address(tmp_path):
    md = tmp_path / CHAPTERS[0].name
    text = CHAPTERS[0].read_text()
    md.write_text(text.replace(setup_source(), "import sys\n\nprint('an older cell')"))
    assert md.read_text() != text
    renew_setup(md)
    assert md.read_text() == text


def test_the_book_holds_every_chapter_in_order():
    assert chapter_names() == [md.with_suffix(".ipynb").name for md in CHAPTERS]


@each_chapter
def test_set_up_comes_first_and_parameters_are_plain_literals(md):
    code = code_cells(md)
    assert "setup" in tags(code[0])
    tagged = [cell for cell in code if "parameters" in tags(cell)]
    assert len(tagged) == 1
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.Assign) and len(statement.targets) == 1
        ast.literal_eval(statement.value)


def test_a_parameter_has_the_same_default_in_all_chapters():
    seen = {}
    for path, declared in find_chapters().items():
        for name, default in declared.items():
            assert seen.setdefault(name, default) == default, f"{name} in {path.name}"


@each_chapter
def test_every_parameter_reaches_its_cells(md):
    """The later cells see papermill's values: each is used somewhere and overwritten nowhere."""
    notebook = load_notebook_node(str(md.with_suffix(".ipynb")))
    before = {}
    exec(next(cell.source for cell in notebook.cells if "parameters" in tags(cell)), before)
    defaults = {name: value for name, value in before.items() if name != "__builtins__"}
    given = {name: f"{name} as papermill gives it" for name in defaults}
    cells = [
        cell for cell in parameterize_notebook(notebook, given).cells if cell.cell_type == "code"
    ]
    place = next(i for i, cell in enumerate(cells) if "injected-parameters" in tags(cell))
    assert "parameters" in tags(cells[place - 1])
    exec(cells[place - 1].source, after := {})
    exec(cells[place].source, after)
    assert {name: after[name] for name in given} == given

    used, loads = set(), ("LOAD_NAME", "LOAD_GLOBAL")
    for cell in cells[: place - 1]:
        assert not names(cell.source, loads) & set(given), (
            "a parameter is used before papermill sets it"
        )
    for cell in cells[place + 1 :]:
        overwritten = names(cell.source, ("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME")) & set(given)
        assert not overwritten, f"{overwritten} set again in the cell {cell.source!r}"
        used |= names(cell.source, loads) if "solution" not in tags(cell) else set()
    assert set(given) <= used, f"{set(given) - used} declared and never used"


@each_chapter
def test_cells_are_short_and_treat_small_runs_like_large_ones(md):
    for cell in code_cells(md):
        limit = 60 if FOLDED & set(tags(cell)) else 25
        assert len(cell.source.splitlines()) <= limit, cell.source
        assert "smoke" not in cell.source.lower()


@each_chapter
def test_no_widget_that_talks_back(md):
    """There is no output widget, such as `interact` makes.

    It answers the program that executes the notebook while that listens for the kernel, and now
    and then the program waits for ever. Sliders with `observe` and an Image widget are safe.
    """
    for cell in code_cells(md):
        assert not re.search(r"\binteract\w*\(|\bOutput\(", cell.source), cell.source


def test_pictures_have_a_caption_a_name_and_words_for_those_who_cannot_see_them():
    labels = []
    for md in CHAPTERS:
        for cell in nbformat.read(md.with_suffix(".ipynb"), as_version=4).cells:
            outputs = [out.data for out in cell.get("outputs", []) if "data" in out]
            if not any("image/png" in data for data in outputs):
                continue
            assert len(outputs) == 1, (
                f"{md.stem}: one picture a cell, or the caption is repeated: {cell.source}"
            )
            told = cell.metadata.get("mystnb", {})
            figure, image = told.get("figure", {}), told.get("image", {})
            assert len(figure.get("caption", "")) > 20, f"{md.stem}: no caption: {cell.source}"
            assert len(image.get("alt", "")) > 20, f"{md.stem}: no alternative text: {cell.source}"
            labels.append(figure.get("name"))
    assert None not in labels and len(set(labels)) == len(labels) > 0


@each_chapter
def test_lines_in_view_fit_a_laptop(md):
    for cell in code_cells(md):
        if not FOLDED & set(tags(cell)):
            assert all(len(line) <= 72 for line in cell.source.splitlines()), cell.source


@each_numbered_chapter
def test_a_card_at_the_head_and_takeaways_at_the_end(md):
    text = md.read_text()
    assert ":class: chapter-card" in text[: text.index("```{code-cell}")]
    for words in ("**The question.**", "**Time.**", "**You should know.**", "fterwards you can"):
        assert words in text
    assert ":::{admonition} Takeaways" in text


@each_chapter
def test_claims_are_checked_in_words_of_the_page(md):
    for cell in code_cells(md):
        if "claim" in tags(cell):
            assert cell.source.startswith("# claim: ") and "holds:" in cell.source, cell.source
            assert "remove-cell" in tags(cell)


@each_numbered_chapter
def test_questions_mark_themselves_and_exercises_are_solved(md):
    assert section(md, "Check yourself").count("figures.quiz(") >= 3
    exercises = re.split(r"^### ", section(md, "Exercises"), flags=re.MULTILINE)[1:]
    assert 3 <= len(exercises) <= 5
    for exercise in exercises:
        solved = re.findall(r"^:?tags: \[(.*solution.*)\]", exercise, re.MULTILINE)
        assert solved, f"no cell tagged `solution` in {exercise.splitlines()[0]}"
        assert all("hide-cell" in tag for tag in solved), (
            f"a solution in view in {exercise.splitlines()[0]}"
        )
    assert section(md, "Where next").strip()


def test_the_file_of_the_built_in_data_says_what_the_chapters_have_by_themselves():
    """So that a training from the file and the chapters meet in one run."""
    defaults = {name: value for found in find_chapters().values() for name, value in found.items()}
    values = read_parameters(PARAMS / "fashion.yaml", [])
    assert values == {name: defaults[name] for name in values}
