"""Two Gaussians moved apart in the page have the losses that Python computes."""

from functools import partial

import numpy as np
import pytest
from browser import needs_chromium, state

from dcgan_lib import figures

pytestmark = needs_chromium

TOLERANCE = 1e-9


def test_the_best_loss_is_that_of_theory():
    assert figures.best_discriminator(0)["loss"] == pytest.approx(2 * np.log(2))
    assert figures.best_discriminator(12)["jsd"] == pytest.approx(np.log(2), abs=1e-7)
    losses = [figures.best_discriminator(d)["loss"] for d in range(13)]
    assert losses == sorted(losses, reverse=True)


@pytest.fixture
def open_bells(open_figure):
    return partial(open_figure, figures.gaussians_apart(2.0, "Two bells."))


def assert_as_in_python(page):
    now = state(page)
    for name, value in figures.best_discriminator(now["distance"]).items():
        assert now[name] == pytest.approx(value, abs=TOLERANCE)
    assert page.troubles == []
    return now["distance"]


def test_the_mouse_moves_them_apart(open_bells):
    page = open_bells(viewport={"width": 1280, "height": 900})
    assert assert_as_in_python(page) == 2
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    box = page.get_by_role("slider", name="distance").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    assert 7 < assert_as_in_python(page) < 11
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before


def test_the_keyboard_moves_them_and_plays(open_bells):
    page = open_bells(viewport={"width": 1280, "height": 900})
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


def test_a_finger_moves_them_on_a_telephone(open_bells):
    page = open_bells(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = page.get_by_role("slider", name="distance").bounding_box()
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    assert assert_as_in_python(page) > 8
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
