"""The toy game in the page plays exactly the game that `toy_path` plays in Python."""

import json

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from test_browser import CHROMIUM, FLAGS, pytestmark  # noqa: F401

from dcgan_lib import figures

TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM, "no Chromium on this machine: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_game(chromium, tmp_path):
    """open_game(**window): the page of the game, opened as a file; page.troubles has its errors."""
    contexts = []

    def open_page(**window):
        file = tmp_path / "game.html"
        head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        game = figures.live_toy_game("A game.")
        file.write_text(f"<!doctype html>{head}<body>{game._repr_html_()}")
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


def state(page):
    return json.loads(page.locator("figure").get_attribute("data-state"))


def assert_plays_like_python(page, **settings):
    now = state(page)
    ours = [*now["w"], now["shift"], now["scale"]]
    theirs = figures.toy_path(now["round"], **settings)[-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
    return now


def picture(page):
    return page.evaluate("document.querySelector('canvas').toDataURL()")


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
