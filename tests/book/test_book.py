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
    injected = page_of(tmp_path / "book", CHAPTERS[-1]).find(class_="tag_injected-parameters")
    assert 'dataset = "folder"' in injected.get_text()


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


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_solutions_and_answers_are_hidden_until_asked_for(book, chapter):
    page = page_of(book[1], chapter)
    solutions = page.find_all(class_="tag_solution")
    assert solutions and all(solution.find("details") for solution in solutions)
    assert not page.find("details", open=True)
