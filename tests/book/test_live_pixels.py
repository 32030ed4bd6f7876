"""The pixel reader: by mouse, finger and keys it reads what the tensor holds."""

import json

import pytest
import torch
from playwright.sync_api import sync_playwright
from test_browser import CHROMIUM, FLAGS, pytestmark  # noqa: F401

from dcgan_lib import figures, load_images, to_float

TOLERANCE = 1e-6  # JavaScript divides in 64 bits, torch in 32


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM, "no Chromium on this machine: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_figure(chromium, tmp_path):
    """open_figure(figure, **window): its page, opened as a file."""
    contexts = []

    def open_page(figure, **window):
        file = tmp_path / "figure.html"
        head = "<!doctype html><meta charset='utf-8'>"
        head += "<meta name='viewport' content='width=device-width'>"
        file.write_text(f"{head}<body>{figure._repr_html_()}")
        contexts.append(chromium.new_context(**window))
        page = contexts[-1].new_page()
        page.troubles = []
        page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def assert_reads(page, images, image, row, column):
    state = json.loads(page.locator("figure").get_attribute("data-state"))
    assert [state[name] for name in ("image", "row", "column")] == [image, row, column]
    assert state["stored"] == images[image, :, row, column].tolist()
    wanted = to_float(images)[image, :, row, column].tolist()
    assert state["floats"] == pytest.approx(wanted, abs=TOLERANCE)
    return page.locator("[role=status]").inner_text()


def middle(page, row, column, size):
    """Where on the page the middle of a pixel of the enlarged image is."""
    box = page.locator("canvas").first.bounding_box()
    step = box["width"] / size
    return box["x"] + (column + 0.5) * step, box["y"] + (row + 0.5) * step


def test_a_mouse_and_the_keys_read_any_pixel_of_any_garment(open_figure):
    chosen = load_images("fashion").subset(range(10))
    figure = figures.pixel_reader(chosen.images, chosen.classes, caption="Garments.")
    page = open_figure(figure, viewport={"width": 1280, "height": 900})
    assert "Row 16, column 16: stored as" in assert_reads(page, chosen.images, 0, 16, 16)
    for row, column in ((0, 0), (31, 31), (20, 7)):
        page.mouse.move(*middle(page, row, column, 32))
        assert_reads(page, chosen.images, 0, row, column)
    page.locator("select").first.select_option(label="Ankle boot")
    page.locator("canvas").first.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert_reads(page, chosen.images, 9, 21, 8)
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert_reads(page, chosen.images, 9, 21, 0)
    page.locator("select").nth(1).select_option("seen")
    assert_reads(page, chosen.images, 9, 21, 0)
    assert page.troubles == []


def test_a_finger_reads_all_three_colours_on_a_telephone(open_figure):
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=stream, dtype=torch.uint8)
    window = dict(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_figure(figures.pixel_reader(images), **window)
    page.touchscreen.tap(*middle(page, 40, 51, 64))
    assert "green" in assert_reads(page, images, 0, 40, 51)
    page.locator("select").nth(2).select_option(label="blue")
    page.locator("select").first.select_option("2")
    assert_reads(page, images, 2, 40, 51)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_a_page_stays_small_and_a_place_outside_is_refused():
    large = torch.zeros(40, 3, 128, 128, dtype=torch.uint8)
    figure = figures.pixel_reader(large)
    assert len(figure.data["names"]) == 6 and len(figure._repr_html_()) < 500_000
    with pytest.raises(ValueError, match="rows and columns 0 to 127"):
        figures.pixel_reader(large, place=(128, 0))
