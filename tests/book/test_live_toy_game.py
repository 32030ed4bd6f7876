"""The toy game in the page plays exactly the game that `toy_path` plays in Python."""

from functools import partial

import numpy as np
import pytest
from browser import needs_chromium, picture, state

from dcgan_lib import figures

pytestmark = needs_chromium

TOLERANCE = 1e-9


@pytest.fixture
def open_game(open_figure):
    return partial(open_figure, figures.live_toy_game("A game."))


def assert_plays_like_python(page, **settings):
    now = state(page)
    ours = [*now["w"], now["shift"], now["scale"]]
    theirs = figures.toy_path(now["round"], **settings)[-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
    return now


def test_rounds_by_mouse_end_where_python_ends(open_game):
    page = open_game(viewport={"width": 1280, "height": 900})
    before = picture(page)
    page.get_by_role("button", name="Step").click()
    assert assert_plays_like_python(page)["round"] == 1
    assert picture(page) != before
    for _ in range(10):
        page.get_by_role("button", name="100 rounds").click()
    assert assert_plays_like_python(page)["round"] == 1001
    assert "Round 1,001: shift 2.0" in page.locator(".live-note").inner_text()
    page.get_by_role("button", name="Reset").click()
    assert state(page)["round"] == 0 and picture(page) == before
    assert page.troubles == []


def test_play_and_pause(open_game):
    page = open_game(viewport={"width": 1280, "height": 900})
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("JSON.parse(document.querySelector('figure').dataset.state).round > 20")
    page.get_by_role("button", name="Pause").click()
    now = assert_plays_like_python(page)["round"]
    page.wait_for_timeout(300)
    assert state(page)["round"] == now
    assert page.troubles == []


@pytest.mark.parametrize(
    ("game", "hundreds", "settings", "stuck"),
    [
        ("collapse", 1, dict(mean=3.0), lambda shift, scale: abs(scale) < 0.01),
        ("stall", 1, dict(mean=4.0), lambda shift, scale: shift < 3.9 and scale > 0.6),
        ("chase", 5, dict(decay=0.0), lambda shift, scale: abs(scale) < 0.05),
    ],
)
def test_each_game_of_the_menu_is_python_s(open_game, game, hundreds, settings, stuck):
    """To the digit at first; a discriminator that jumps to and fro lets rounding errors grow."""
    page = open_game(viewport={"width": 1280, "height": 900})
    page.get_by_role("combobox", name="game").select_option(game)
    assert state(page)["round"] == 0
    for _ in range(hundreds):
        page.get_by_role("button", name="100 rounds").click()
    assert assert_plays_like_python(page, **settings)["round"] == 100 * hundreds
    for _ in range(20 - hundreds):
        page.get_by_role("button", name="100 rounds").click()
    now, theirs = state(page), figures.toy_path(2000, **settings)[-1]
    assert now["round"] == 2000
    assert stuck(now["shift"], now["scale"]) and stuck(*theirs[3:])
    assert page.troubles == []


def test_the_keyboard_reaches_every_slider(open_game):
    page = open_game(viewport={"width": 1280, "height": 900})
    keys = {
        "real mean": "ArrowRight",
        "real deviation": "ArrowRight",
        "learning rate of D": "ArrowLeft",
        "learning rate of G": "ArrowLeft",
        "decay of D": "ArrowRight",
    }
    for name, key in keys.items():
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press(key)
    page.get_by_role("button", name="100 rounds").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    settings = dict(mean=2.5, deviation=0.6, lr_d=0.045, lr_g=0.045, decay=0.11)
    assert state(page)["set"] == pytest.approx(settings)
    assert assert_plays_like_python(page, **settings)["round"] == 200
    assert page.troubles == []


def test_a_finger_plays_it_on_a_telephone(open_game):
    page = open_game(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="100 rounds").tap()
    page.get_by_role("button", name="Step").tap()
    assert assert_plays_like_python(page)["round"] == 101
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []
