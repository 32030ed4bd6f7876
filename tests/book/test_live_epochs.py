"""The film of training: it plays, pauses and follows the slider, and shows the run's own pixels."""

import numpy as np
import pytest
import torch
from browser import needs_chromium, state

from dcgan_lib import figures

pytestmark = needs_chromium

EPOCHS, COUNT = 5, 16


@pytest.fixture(scope="module")
def samples():
    numbers = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (EPOCHS + 1, 64, 1, 32, 32), generator=numbers, dtype=torch.uint8)


@pytest.fixture
def open_player(open_figure, samples):
    """open_player(images, **window): the page of their player, once it has drawn."""

    def opened(images=samples, **window):
        steps = np.repeat(np.arange(1, EPOCHS + 1), 3)
        history = {"epoch": steps, "loss_d": 1 / steps, "loss_g": np.sqrt(steps)}
        page = open_figure(figures.epoch_player(images, history, caption="A film."), **window)
        page.wait_for_selector("figure[data-state]")
        return page

    return opened


def epoch(page):
    return state(page)["epoch"]


def shown(page, columns):
    """Grey levels at the middles of all pixels of all images, as the canvas has them."""
    points = page.evaluate(
        """([columns, count]) => {
            const c = document.querySelector("canvas"), found = [];
            const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            const tile = c.width / columns, inner = tile - 4;
            for (let n = 0; n < count * 1024; n++) {
                const k = n >> 10, i = (n >> 5) & 31, j = n & 31;
                const x = Math.floor((k % columns) * tile + 2 + (j + 0.5) * inner / 32);
                const y = Math.floor(Math.floor(k / columns) * tile + 2 + (i + 0.5) * inner / 32);
                found.push(pixels[4 * (y * c.width + x)]);
            }
            return found;
        }""",
        [columns, COUNT],
    )
    return np.array(points).reshape(COUNT, 32, 32)


def test_play_runs_to_the_last_epoch_and_shows_its_pixels(open_player, samples):
    page = open_player(viewport={"width": 1280, "height": 900})
    assert epoch(page) == EPOCHS, "the result is seen first"
    page.get_by_role("button", name="Play").click()
    assert epoch(page) == 0, "pressed at the end it begins at the beginning"
    page.wait_for_function("document.querySelector('figure').dataset.state.includes('\"epoch\":5')")
    assert page.get_by_role("button", name="Play").is_visible(), "it stopped by itself"
    np.testing.assert_array_equal(shown(page, 8), samples[-1, :COUNT, 0].numpy())
    assert page.troubles == []


def test_the_slider_follows_the_keys_and_pauses(open_player, samples):
    page = open_player(viewport={"width": 1280, "height": 900})
    page.get_by_role("button", name="Play").click()
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert epoch(page) == EPOCHS
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(700)
    assert epoch(page) == EPOCHS - 1, "a moved slider pauses the film"
    assert "4 of 5" in page.locator("output").inner_text()
    np.testing.assert_array_equal(shown(page, 8), samples[-2, :COUNT, 0].numpy())
    assert page.troubles == []


def test_a_finger_plays_and_pauses_on_a_telephone(open_player, samples):
    page = open_player(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Play").tap()
    page.wait_for_function(
        "!document.querySelector('figure').dataset.state.includes('\"epoch\":0')"
    )
    page.get_by_role("button", name="Pause").tap()
    now = epoch(page)
    page.wait_for_timeout(700)
    assert epoch(page) == now
    np.testing.assert_array_equal(shown(page, 4), samples[now, :COUNT, 0].numpy())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_large_images_and_long_runs_become_light_enough(open_player):
    smooth = torch.rand(41, 64, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 255
    big = torch.nn.functional.interpolate(smooth.flatten(0, 1), 64).byte().unflatten(0, (41, 64))
    noise = torch.randint(0, 256, big.shape, dtype=torch.uint8)
    for images in (big, noise):
        player = figures.epoch_player(images)
        assert len(player.data["sheet"]) < 330_000 and player.data["side"] == 32
        assert player.data["epochs"][0] == 0 and player.data["epochs"][-1] == 40
    page = open_player(big)
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    wanted = torch.nn.functional.avg_pool2d(big[-1, :COUNT].float(), 2)[:, 0].numpy()
    assert abs(shown(page, 4 if page.viewport_size["width"] < 520 else 8) - wanted).mean() < 3
    assert epoch(page) == 40 and page.troubles == []
