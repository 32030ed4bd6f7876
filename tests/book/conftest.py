"""What the tests of pages and of live figures share."""

import pytest
from browser import CHROMIUM, FLAGS
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM, "no Chromium on this machine: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    """new_page(**window): an empty page; errors in its console are in page.troubles."""
    contexts = []

    def new(**window):
        contexts.append(chromium.new_context(**window))
        page = contexts[-1].new_page()
        page.troubles = []
        page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        return page

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def open_figure(new_page, tmp_path):
    """open_figure(figure, **window): a page of this figure alone, opened as a file."""

    def opened(figure, **window):
        file = tmp_path / "figure.html"
        head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        file.write_text(f"<!doctype html>{head}<body>{figure._repr_html_()}")
        page = new_page(**window)
        page.goto(file.as_uri())
        return page

    return opened
