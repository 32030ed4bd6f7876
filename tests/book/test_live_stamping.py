"""The stamping figure ends as torch does; the drawing holds the layers of its networks."""

import re

import numpy as np
import pytest
import torch
from browser import needs_chromium, state
from torch.nn.functional import conv_transpose2d

from dcgan_lib import Discriminator, Generator, figures, layer_table

pytestmark = needs_chromium

TOLERANCE = 1e-6  # JavaScript adds in 64 bits, torch in 32


def assert_equals_torch(found, kernel, stride, padding, weight=None):
    assert [found[name] for name in ("kernel", "stride", "padding")] == [kernel, stride, padding]
    weight = torch.ones(kernel, kernel) if weight is None else weight
    ones = torch.ones(1, 1, 4, 4)
    wanted = conv_transpose2d(ones, weight[None, None], stride=stride, padding=padding)[0, 0]
    np.testing.assert_allclose(found["output"], wanted, atol=TOLERANCE)


def test_a_mouse_stamps_all_and_the_end_is_torchs_for_every_setting(open_figure):
    page = open_figure(figures.stamping(5, 2), viewport={"width": 1280, "height": 900})
    stamps = np.zeros((11, 11))
    stamps[:5, :5] = 1
    np.testing.assert_array_equal(state(page)["output"], stamps)
    page.get_by_role("button", name="Next stamp").click()
    stamps[:5, 2:7] += 1
    np.testing.assert_array_equal(state(page)["output"], stamps)
    sliders = page.locator("input[type=range]")
    for kernel in range(2, 7):
        for stride in range(1, 4):
            for padding in range(3):
                for slider, value in zip(sliders.all(), (kernel, stride, padding)):
                    slider.fill(str(value))
                assert state(page)["done"] == 0
                page.get_by_role("button", name="All").click()
                assert_equals_torch(state(page), kernel, stride, padding)
    said = page.locator("[role=status]")
    for slider, value in zip(sliders.all(), (5, 2, 2)):
        slider.fill(str(value))
    page.get_by_role("button", name="All").click()
    assert "covered 4, 6 or 9 times" in said.inner_text()
    sliders.first.fill("4")
    page.get_by_role("button", name="All").click()
    assert "every pixel is covered 4 times" in said.inner_text()
    assert page.troubles == []


def test_the_keyboard_moves_a_slider_chooses_weights_and_stamps(open_figure):
    page = open_figure(figures.stamping(4, 2), viewport={"width": 1280, "height": 900})
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.get_by_label("weights").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("button", name="All").focus()
    page.keyboard.press("Enter")
    assert state(page)["weights"] == "even"
    assert_equals_torch(state(page), 5, 2, 0, figures.even_kernel(5, 2))
    assert "all sums are 1" in page.locator("[role=status]").inner_text()
    page.locator("label:has-text('input') select").select_option("numbers")
    page.get_by_role("button", name="Next stamp").press("Space")
    assert state(page)["output"][2][2] == pytest.approx(2 * float(figures.even_kernel(5, 2)[2, 2]))
    assert page.troubles == []


def test_a_finger_plays_it_on_a_telephone(open_figure):
    window = dict(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_figure(figures.stamping(4, 2, 1), **window)
    page.get_by_role("button", name="Play").tap()
    page.wait_for_function("JSON.parse(document.querySelector('figure').dataset.state).done == 3")
    page.get_by_role("button", name="Pause").tap()
    stopped = state(page)["done"]
    page.wait_for_timeout(700)
    assert state(page)["done"] == stopped
    page.get_by_role("button", name="All").tap()
    assert_equals_torch(state(page), 4, 2, 1)
    page.get_by_role("button", name="Clear").tap()
    assert not np.any(state(page)["output"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


@pytest.mark.parametrize("kernel, stride", [(2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (4, 3)])
def test_even_weights_are_even_inside_and_counts_are_not_unless_the_stride_divides(kernel, stride):
    weight = figures.even_kernel(kernel, stride)[None, None]
    sums = conv_transpose2d(torch.ones(1, 1, 8, 8), weight, stride=stride)[0, 0]
    inside = slice(kernel, -kernel)
    torch.testing.assert_close(sums[inside, inside], torch.ones_like(sums[inside, inside]))
    counts = figures.overlap_counts(kernel, stride, size=8)[inside, inside]
    assert (len(counts.unique()) == 1) == (kernel % stride == 0)


@pytest.mark.parametrize("size, kernel", [(32, 4), (64, 5), (32, 3)])
def test_the_drawing_holds_every_layer_and_shape_and_is_wide_enough(open_figure, size, kernel):
    networks = [
        build(size, 3, width=32, kernel_size=kernel) for build in (Generator, Discriminator)
    ]
    drawing = figures.network_drawing(*networks, "Both networks.")
    page = open_figure(drawing, viewport={"width": 390, "height": 844})
    words = [text.replace(" × ", "x") for text in page.locator("svg text").all_text_contents()]  # noqa: RUF001
    for network in networks:
        for row in layer_table(network):
            assert "x".join(map(str, row["output"])) in words
            first = ", ".join(row["layers"].split(", ")[:2]).replace("x", "×", 1)  # noqa: RUF001
            assert first in words
    outside = page.evaluate(
        """() => [...document.querySelectorAll("svg text")].filter(text => {
            const word = text.getBoundingClientRect();
            const whole = document.querySelector("svg").getBoundingClientRect();
            return word.left < whole.left || word.right > whole.right + 1;
        }).map(text => text.textContent)"""
    )
    assert not outside
    assert (
        page.locator("svg text").first.evaluate("text => text.getBoundingClientRect().height") > 11
    )
    assert page.troubles == []


def test_networks_that_are_no_mirrors_are_refused():
    with pytest.raises(ValueError, match="in reverse"):
        figures.network_drawing(Generator(32, 1, width=32), Discriminator(32, 1, width=16))
    with pytest.raises(ValueError, match="kernel is 9"):
        figures.stamping(kernel=9)
    assert re.search("4 by 4", repr(figures.stamping()))
