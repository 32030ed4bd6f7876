"""The rows of answers in the page are those of Python, by mouse, keyboard and touch."""

import json

import numpy as np
import pytest
import torch
from playwright.sync_api import sync_playwright
from test_browser import CHROMIUM, FLAGS, pytestmark  # noqa: F401

from dcgan_lib import figures

draw = np.random.default_rng(0)
TRUTH = np.arange(20) % 4
ANSWERS = {
    source: {way: draw.integers(0, 4, (3, 20)) for way in ("plain", "balanced")}
    for source in ("trained", "random numbers")
}
ANSWERS["trained"]["plain"][0] = 0
SMALL = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def open_figure(tmp_path):
    """open_figure(**window): the figure's page, opened as a file; page.troubles has its errors."""
    assert CHROMIUM, "no Chromium on this machine: apt install chromium"
    images = torch.from_numpy(draw.integers(0, 255, (20, 1, 8, 8), dtype=np.uint8))
    figure = figures.answer_rows(images, TRUTH, ANSWERS, [1e-4, 0.1, 10], ("a", "b", "c", "d"))
    file = tmp_path / "figure.html"
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    file.write_text(f"<!doctype html>{head}<body>{figure._repr_html_()}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def open_page(**window):
            page = browser.new_context(**window).new_page()
            page.troubles = []
            page.on("console", lambda m: m.type == "error" and page.troubles.append(m.text))
            page.on("pageerror", lambda error: page.troubles.append(str(error)))
            page.goto(file.as_uri())
            page.wait_for_selector("figure[data-state]")
            return page

        yield open_page
        browser.close()


def assert_same(page, source, way, price):
    now = json.loads(page.locator("figure").get_attribute("data-state"))
    assert (now["source"], now["way"], now["price"]) == (source, way, price)
    given = ANSWERS[source][way][price]
    assert (now["hits"], now["classes"]) == ((given == TRUTH).sum(), len(np.unique(given)))
    assert f"Classes answered: {now['classes']} of 4" in page.locator(".live-note").inner_text()


def picture(page):
    return page.evaluate("document.querySelector('canvas').toDataURL()")


def test_by_keyboard_and_mouse(open_figure):
    page = open_figure(viewport={"width": 1280, "height": 900})
    assert_same(page, "trained", "plain", 0)
    before = picture(page)
    page.locator("input[type=range]").press("ArrowRight")
    assert_same(page, "trained", "plain", 1)
    assert picture(page) != before
    page.locator("select").first.select_option("random numbers")
    assert_same(page, "random numbers", "plain", 1)
    page.locator("select").last.select_option("balanced")
    box = page.locator("input[type=range]").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert_same(page, "random numbers", "balanced", 2)
    assert page.troubles == []


def test_by_touch_on_a_telephone(open_figure):
    page = open_figure(**SMALL)
    box = page.locator("input[type=range]").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert_same(page, "trained", "plain", 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []
