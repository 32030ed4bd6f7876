"""The rendered book: strict builds, nothing from elsewhere, every link and picture in place."""

import re
import shutil
from urllib.parse import unquote, urlsplit

import build
import nbformat
import pytest
from bs4 import BeautifulSoup
from make_notebooks import NOTEBOOKS

CHAPTERS = build.chapter_names()


def soups(pages):
    """(file, parsed page) of every page."""
    for file in sorted(pages.rglob("*.html")):
        if "_static" not in file.parts:
            yield file, BeautifulSoup(file.read_text(), "html.parser")


def page_of(pages, chapter):
    return BeautifulSoup(
        (pages / "notebooks" / chapter).with_suffix(".html").read_text(), "html.parser"
    )


def test_the_committed_notebooks_make_a_book_without_a_warning(book):
    clean, pages = book
    assert clean
    for name in ("index", "genindex", "book/intro", "book/glossary", "book/references"):
        assert (pages / f"{name}.html").is_file()
    for chapter in CHAPTERS:
        assert page_of(pages, chapter).h1


def test_a_run_makes_a_book_of_its_own(coloured_run, tmp_path):
    assert build.build(coloured_run / "notebooks", tmp_path / "book")
    for chapter in CHAPTERS:
        page = page_of(tmp_path / "book", chapter)
        assert not page.find(class_="tag_injected-parameters")
        assert 'dataset = "folder"' in page.find(class_="tag_parameters").get_text()
        for code in page.select(".cell_input"):
            assert str(coloured_run.parents[1]) not in code.get_text()


DECLARED = """\
dataset = "digits"        # any of dcgan_lib.available_datasets()
root = None               # where the images are, for "folder"
run_dir = None            # the run folder
rates = [
    0.1,
    0.2,
]                         # some numbers
seed = 0
epochs = 25               # passes over the images"""
INJECTED = f"""\
# Parameters
dataset = "folder"
root = "/home/somebody/pictures"
run_dir = "{build.ROOT}/runs/mine"
seed = 7
rates = [0.5, float('nan')]"""
SHOWN = """\
dataset = "folder"        # any of dcgan_lib.available_datasets()
root = "pictures"         # where the images are, for "folder"
run_dir = "runs/mine"     # the run folder
rates = [0.5, float('nan')]  # some numbers
seed = 7
epochs = 25               # passes over the images"""


def test_a_page_shows_the_parameters_of_its_run_once_and_printed_lines_in_one_piece(tmp_path):
    """As papermill writes them: a second cell of parameters, local paths, output in pieces."""
    v4 = nbformat.v4
    pieces = [("stdout", "one\n"), ("stderr", "a warning\n"), ("stdout", "two\n")]
    outputs = [v4.new_output("stream", name=name, text=text) for name, text in pieces]
    outputs += [v4.new_output("display_data", {"text/plain": "a picture"}), outputs[0]]
    cells = [
        v4.new_code_cell(DECLARED, metadata={"tags": ["parameters"]}),
        v4.new_code_cell(INJECTED, metadata={"tags": ["injected-parameters"]}),
        v4.new_code_cell("print()", outputs=outputs),
    ]
    notebook = v4.new_notebook(cells=cells, metadata={"papermill": {"output_path": "/home/x"}})
    for folder in ("run", "staged"):
        (tmp_path / folder).mkdir()
    for chapter in CHAPTERS:
        nbformat.write(notebook, tmp_path / "run" / chapter)
    build.stage(tmp_path / "staged", tmp_path / "run")
    for chapter in CHAPTERS:
        staged = nbformat.read(tmp_path / "staged" / "notebooks" / chapter, as_version=4)
        assert [cell.source for cell in staged.cells] == [SHOWN, "print()"]
        told = [out.get("text", "picture") for out in staged.cells[-1].outputs]
        assert told == ["one\ntwo\n", "picture", "one\n"]
        assert "/home" not in nbformat.writes(staged)


def test_a_warning_fails_the_build(tmp_path):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=shutil.ignore_patterns("runs"))
    path = tmp_path / "notebooks" / CHAPTERS[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("See {numref}`fig-that-nobody-drew`."))
    nbformat.write(notebook, path)
    assert not build.build(tmp_path / "notebooks", tmp_path / "book")


def test_a_missing_chapter_and_a_folder_of_something_else_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=CHAPTERS[0]):
        build.build(tmp_path, tmp_path / "book")
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(SystemExit, match="something else"):
        build.build(NOTEBOOKS, tmp_path)
    assert (tmp_path / "precious.txt").exists()


def test_no_page_fetches_anything_from_another_host(book):
    fetched = {
        "script": "src",
        "link": "href",
        "img": "src",
        "iframe": "src",
        "source": "src",
        "video": "src",
    }
    for file, soup in soups(book[1]):
        for tag, attribute in fetched.items():
            for element in soup.find_all(tag, {attribute: True}):
                assert not urlsplit(element[attribute]).netloc, f"{file.name}: {element}"
    for sheet in (book[1] / "_static").rglob("*.css"):
        assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", sheet.read_text()), (
            sheet.name
        )


def test_formulas_are_set_by_a_script_of_the_package_and_only_pages_with_formulas_load_it(book):
    assert not list((build.ROOT / "book").rglob("*mathjax*"))
    loading = set()
    for file, soup in soups(book[1]):
        scripts = soup.find_all("script", src=re.compile("mathjax"))
        assert len(scripts) == bool(soup.select(".math")), file.name
        for script in scripts:
            loading.add(file.stem)
            assert (file.parent / urlsplit(script["src"]).path).resolve().is_file()
    assert "03_architecture" in loading
    assert loading.isdisjoint({"intro", "datasets", "references", "genindex", "search"})


def test_every_link_inside_the_book_leads_to_a_page_and_to_a_place_on_it(book):
    _, pages = book
    places = {
        file: {element["id"] for element in soup.find_all(id=True)} for file, soup in soups(pages)
    }
    for file, soup in soups(pages):
        for link in soup.find_all("a", href=True):
            target = urlsplit(link["href"])
            if target.scheme or target.netloc:
                continue
            goal = (file.parent / unquote(target.path)).resolve() if target.path else file
            assert goal.exists(), f"{file.name}: {link['href']}"
            if target.fragment and goal in places:
                assert unquote(target.fragment) in places[goal], f"{file.name}: {link['href']}"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_pictures_keep_their_captions_and_descriptions(book, chapter):
    page = page_of(book[1], chapter)
    assert all(image.get("alt") for image in page.article.find_all("img")), (
        "a picture without a description"
    )
    for cell in nbformat.read(NOTEBOOKS / chapter, as_version=4).cells:
        if not any("image/png" in out.get("data", {}) for out in cell.get("outputs", [])):
            continue
        figure = page.find("figure", id=cell.metadata.mystnb.figure.name)
        assert figure and figure.find("img")["alt"] == cell.metadata.mystnb.image.alt
        assert figure.find("figcaption").get_text(strip=True).startswith("Fig.")


@pytest.mark.parametrize("chapter", [name for name in CHAPTERS if name[0].isdigit()])
def test_solutions_and_answers_are_hidden_until_asked_for(book, chapter):
    page = page_of(book[1], chapter)
    solutions = page.find_all(class_="tag_solution")
    assert solutions and all(solution.find("details") for solution in solutions)
    assert not page.find("details", open=True)
