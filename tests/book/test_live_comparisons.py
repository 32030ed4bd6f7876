"""The margin and the coins in the page agree with Python's solver and Python's exact test."""

import numpy as np
import pytest
import torch
from browser import needs_chromium, picture, state
from scipy.stats import binomtest

from dcgan_lib import L2SVM, figures

pytestmark = needs_chromium

TOLERANCE = 1e-4  # of weights; the page and the package minimise in different ways


def plane():
    """20 pictures of two classes, their places, and +1 or -1."""
    draw = np.random.default_rng(0)
    side = np.repeat([1, -1], 10)
    points = draw.normal(size=(20, 2)) + 0.7 * side[:, None]
    return torch.randint(0, 255, (20, 1, 8, 8), dtype=torch.uint8), points, side


def assert_same_line(page, points, side):
    now = state(page)
    side = side.copy()
    if now["swapped"]:
        side[now["odd"]] *= -1
    svm = L2SVM(C=now["C"], tol=1e-12).fit(np.round(points, 4), side)
    ours = [*svm.coef_[0], svm.intercept_[0]]
    np.testing.assert_allclose([*now["w"], now["b"]], ours, rtol=TOLERANCE, atol=TOLERANCE)
    assert now["mistakes"] == (svm.predict(np.round(points, 4)) != side).sum()
    return now


def test_the_margin_by_mouse_and_keyboard_is_the_packages(open_figure):
    images, points, side = plane()
    page = open_figure(
        figures.margin(images, points, side, ("a", "b")), viewport={"width": 1280, "height": 900}
    )
    assert assert_same_line(page, points, side)["C"] == pytest.approx(0.1)
    before = picture(page)
    page.locator("input[type=range]").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert assert_same_line(page, points, side)["C"] == pytest.approx(1)
    assert picture(page) != before
    page.get_by_role("button", name="Mislabel one image").click()
    assert assert_same_line(page, points, side)["swapped"]
    page.keyboard.press("Enter")  # the button has the focus
    assert not assert_same_line(page, points, side)["swapped"]
    for key in ("Home", "End"):
        page.locator("input[type=range]").press(key)
        assert_same_line(page, points, side)
    assert page.troubles == []


def test_the_coins_by_mouse_and_keyboard_are_scipys(open_figure):
    page = open_figure(figures.coins(15, 5), viewport={"width": 1280, "height": 900})
    assert state(page)["p"] == pytest.approx(binomtest(15, 20).pvalue, abs=1e-9)
    first, second = page.locator("input[type=range]").all()
    first.press("ArrowRight")
    second.press("Home")
    assert (state(page)["a"], state(page)["b"]) == (16, 0)
    assert state(page)["p"] == pytest.approx(binomtest(16, 16).pvalue, abs=1e-9)
    first.press("Home")
    assert state(page)["p"] == 1, "no case at all decides nothing"
    page.reload()
    page.wait_for_selector("figure[data-state]")
    before = picture(page)
    page.get_by_role("button", name="1,000 times").click()
    page.get_by_role("button", name="1,000 times").click()
    now = state(page)
    assert now["flips"] == 2000 and abs(now["odd"] / 2000 - now["p"]) < 0.02
    assert picture(page) != before
    page.get_by_role("button", name="Forget").click()
    assert picture(page) == before
    assert page.troubles == []


def test_both_work_by_touch_on_a_telephone(open_figure):
    telephone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = open_figure(figures.coins(95, 66, ("trained", "untrained")), **telephone)
    page.get_by_role("button", name="1,000 times").tap()
    assert state(page)["flips"] == 1000
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    images, points, side = plane()
    page = open_figure(figures.margin(images, points, side, ("a", "b")), **telephone)
    page.get_by_role("button", name="Mislabel one image").tap()
    assert assert_same_line(page, points, side)["swapped"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_a_table_is_turned_on_its_side():
    row = {"method": "KNN", "input": "pixels", "per_class": 20, "accuracy": 0.5, "spread": 0.012}
    rows = [row, {**row, "input": "trained", "method": "SVM", "accuracy": None, "spread": None}]
    assert figures.pivot(rows, 20) == [
        {"method": "KNN", "pixels": "50.0 ± 1.2", "trained": "-"},
        {"method": "SVM", "pixels": "-", "trained": "not run"},
    ]
    with pytest.raises(ValueError, match="'all' labels"):
        figures.pivot(rows)
