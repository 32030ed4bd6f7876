"""Two Gaussians moved apart in the page have the losses that Python computes."""

import json

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from test_browser import CHROMIUM, FLAGS, pytestmark  # noqa: F401

from dcgan_lib import figures

TOLERANCE = 1e-9


def test_the_best_loss_is_that_of_theory():
    assert figures.best_discriminator(0)["loss"] == pytest.approx(2 * np.log(2))
    assert figures.best_discriminator(12)["jsd"] == pytest.approx(np.log(2), abs=1e-7)
    losses = [figures.best_discriminator(d)["loss"] for d in range(13)]
    assert losses == sorted(losses, reverse=True)


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM, "no Chromium on this machine: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_figure(chromium, tmp_path):
    """open_figure(**window): a page of the figure; page.troubles has its errors."""
    contexts = []

    def open_page(**window):
        file = tmp_path / "apart.html"
        head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        body = figures.gaussians_apart(2.0, "Two bells.")._repr_html_()
        file.write_text(f"<!doctype html>{head}<body>{body}")
        contexts.append(chromium.new_context(**window))
        page = contexts[-1].new_page()
        page.troubles = []
        page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("figure[data-state]")
        return page

    yield open_page
    for context in contexts:
        context.close()


def assert_as_in_python(page):
    state = json.loads(page.locator("figure").get_attribute("data-state"))
    for name, value in figures.best_discriminator(state["distance"]).items():
        assert state[name] == pytest.approx(value, abs=TOLERANCE)
    assert page.troubles == []
    return state["distance"]


def test_the_mouse_moves_them_apart(open_figure):
    page = open_figure(viewport={"width": 1280, "height": 900})
    assert assert_as_in_python(page) == 2
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    box = page.get_by_role("slider", name="distance").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    assert 7 < assert_as_in_python(page) < 11
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before


def test_the_keyboard_moves_them_and_plays(open_figure):
    page = open_figure(viewport={"width": 1280, "height": 900})
    page.get_by_role("slider", name="distance").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert assert_as_in_python(page) == pytest.approx(2.5)
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "JSON.parse(document.querySelector('figure').dataset.state).distance > 3"
    )
    page.get_by_role("button", name="Pause").click()
    assert 3 < assert_as_in_python(page) < 12


def test_a_finger_moves_them_on_a_telephone(open_figure):
    page = open_figure(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = page.get_by_role("slider", name="distance").bounding_box()
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    assert assert_as_in_python(page) > 8
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
