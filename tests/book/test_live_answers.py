"""The rows of answers in the page are those of Python, by mouse, keyboard and touch."""

from functools import partial

import numpy as np
import pytest
import torch
from browser import needs_chromium, picture, state

from dcgan_lib import figures

pytestmark = needs_chromium

draw = np.random.default_rng(0)
TRUTH = np.arange(20) % 4
ANSWERS = {
    source: {way: draw.integers(0, 4, (3, 20)) for way in ("plain", "balanced")}
    for source in ("trained", "random numbers")
}
ANSWERS["trained"]["plain"][0] = 0
SMALL = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def open_rows(open_figure):
    images = torch.from_numpy(draw.integers(0, 255, (20, 1, 8, 8), dtype=np.uint8))
    classes = ("a", "b", "c", "d")
    return partial(
        open_figure, figures.answer_rows(images, TRUTH, ANSWERS, [1e-4, 0.1, 10], classes)
    )


def assert_same(page, source, way, price):
    now = state(page)
    assert (now["source"], now["way"], now["price"]) == (source, way, price)
    given = ANSWERS[source][way][price]
    assert (now["hits"], now["classes"]) == ((given == TRUTH).sum(), len(np.unique(given)))
    assert f"Classes answered: {now['classes']} of 4" in page.locator(".live-note").inner_text()


def test_by_keyboard_and_mouse(open_rows):
    page = open_rows(viewport={"width": 1280, "height": 900})
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


def test_by_touch_on_a_telephone(open_rows):
    page = open_rows(**SMALL)
    box = page.locator("input[type=range]").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert_same(page, "trained", "plain", 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []
