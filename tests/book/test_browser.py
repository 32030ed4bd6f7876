"""The book in a real browser: no error, nothing from elsewhere, pictures drawn, buttons work."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import build
import pytest
import yaml
from browser import needs_chromium

CHAPTERS = [name.removesuffix(".ipynb") for name in build.chapter_names()]
PAGES = [
    "book/intro",
    *(f"notebooks/{name}" for name in CHAPTERS),
    "book/datasets",
    "book/glossary",
    "book/references",
]

pytestmark = needs_chromium


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(book):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=book[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def visit(new_page, address):
    """visit(page, **window): the page when it is loaded; what went wrong is in page.troubles."""

    def visited(path, **window):
        page = new_page(**window)
        page.on("requestfailed", lambda request: page.troubles.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:"))
                or page.troubles.append(f"elsewhere: {request.url}")
            ),
        )
        page.on(
            "response",
            lambda response: (
                response.ok
                or response.status == 304
                or page.troubles.append(f"{response.status}: {response.url}")
            ),
        )
        page.goto(f"{address}/{path}.html")
        page.wait_for_load_state("networkidle")
        return page

    return visited


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_without_trouble_and_draws_all_it_has(visit, path):
    page = visit(path, viewport={"width": 1280, "height": 900})
    assert page.troubles == []
    widths = page.eval_on_selector_all(
        "article img", "images => images.map(i => i.complete ? i.naturalWidth : 0)"
    )
    assert all(width > 0 for width in widths)
    if path not in ("book/datasets", "book/glossary", "book/references"):
        assert widths, "a page of this kind has a picture"
    formulas = page.locator("article .math")
    assert formulas.count() == page.locator("article .math mjx-container").count(), (
        "a formula was not set"
    )
    assert page.locator("mjx-merror, article .problematic").count() == 0
    hidden = page.eval_on_selector_all(
        ".cell_input pre",
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)",
    )
    assert not hidden, f"this code runs out of its box: {hidden[0]}"
    # One header: the theme's own second one stays away.
    assert page.locator(".bd-header").count() == 0 or not page.locator(".bd-header").is_visible()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_telephone(visit, path, scheme):
    page = visit(path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.troubles == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.eval_on_selector_all(
        "article > section *",
        "all => all.filter(e => e.getBoundingClientRect().right > 391 && "
        "!e.closest('pre, .math, mjx-container, .cell_output, "
        ".pst-scrollable-table-container')).map(e => e.outerHTML)",
    )
    assert not wide, wide[0][:300]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_leads_to_colab_and_can_be_downloaded(visit, chapter):
    page = visit(f"notebooks/{chapter}")
    repository = yaml.safe_load((build.ROOT / "_config.yml").read_text())["repository"]
    path = repository["url"].removeprefix("https://github.com/")
    expected = f"https://colab.research.google.com/github/{path}/blob/{repository['branch']}/notebooks/{chapter}.ipynb"
    assert page.locator("a[href*='colab']").evaluate_all("all => all.map(a => a.href)") == [
        expected
    ]
    source = page.locator(
        "a[href$='.ipynb'][download], a.btn-download-source-button"
    ).first.get_attribute("href")
    answer = page.request.get(f"{page.url.rsplit('/', 1)[0]}/{source}")
    assert answer.ok and answer.json()["nbformat"] == 4


def test_the_switch_turns_the_page_dark_and_figures_keep_their_colours(visit):
    page = visit(
        f"notebooks/{CHAPTERS[0]}", viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    for _ in range(3):  # automatic, light, dark, in the theme's order
        page.locator("button.theme-switch-button").first.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    page.wait_for_function(f"{background} !== '{light}'")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    figure = page.locator("article figure img").first
    assert figure.evaluate("image => getComputedStyle(image).filter") == "none"
    assert page.troubles == []


def test_a_solution_opens_when_it_is_asked_for(visit):
    page = visit(f"notebooks/{CHAPTERS[0]}")
    solution = page.locator("details:has(> summary:has-text('Show solution'))").first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible()


def test_a_question_marks_itself(visit):
    page = visit(f"notebooks/{CHAPTERS[0]}")
    question = page.locator("figure.live-quiz").first
    for answer in question.locator("input").all():
        answer.check()
        verdict = question.get_attribute("data-verdict")
        assert question.locator(f"strong.{verdict}").is_visible()
        if verdict == "right":
            return
    raise AssertionError("no answer is right")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_output_is_cut_on_a_telephone(visit, chapter):
    page = visit(f"notebooks/{chapter}", viewport={"width": 390, "height": 844})
    cut = page.evaluate(
        """() => [...document.querySelectorAll(
            ".cell_output pre, .cell_output .text_html, figure.live, figure.drawing")]
            .filter(it => !it.closest("details:not([open])") && it.scrollWidth > it.clientWidth + 1)
            .map(it => `${it.scrollWidth} in ${it.clientWidth}: ${it.innerText.slice(0, 60)}`)"""
    )
    assert cut == []


def test_the_search_finds_a_chapter(visit):
    page = visit("search", viewport={"width": 1280, "height": 900})
    page.goto(f"{page.url}?q=discriminator")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a[href*='notebooks/']").count() > 0
    assert page.troubles == []
