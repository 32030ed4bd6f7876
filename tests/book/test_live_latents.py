"""The latent explorer: by mouse, finger and keys it shows Python's image of the place chosen."""

import numpy as np
import pytest
import torch
from browser import needs_chromium, state

from dcgan_lib import Generator, figures, generate, latent, to_uint8

pytestmark = needs_chromium

POINTS = 9


def lively(channels, size=32):
    """A small generator whose images differ; an untrained one draws nearly the same grey."""
    torch.manual_seed(0)
    network = Generator(image_size=size, channels=channels, width=8)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


@pytest.fixture
def open_explorer(open_figure):
    """open_explorer(generator, **window): the page of its explorer, once it has drawn."""

    def opened(generator, **window):
        explorer = figures.latent_explorer(generator, latent(4, seed=3), POINTS, "A map.")
        page = open_figure(explorer, **window)
        page.wait_for_selector("figure[data-state]")
        return page

    return opened


def place(page):
    return state(page)["column"], state(page)["row"]


def shown(page, size=32):
    """The colours at the middles of all pixels of the picture, as its canvas has them."""
    points = page.evaluate(
        """(size) => {
            const c = document.querySelectorAll("canvas")[1], found = [];
            const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) {
                const x = Math.floor((j + 0.5) * c.width / size);
                const y = Math.floor((i + 0.5) * c.height / size);
                found.push(...pixels.slice(4 * (y * c.width + x), 4 * (y * c.width + x) + 3));
            }
            return found;
        }""",
        size,
    )
    return np.array(points).reshape(size, size, 3)


def python_image(generator, column, row, points=POINTS):
    z = figures.latent_map(latent(4, seed=3), points)[row * points + column]
    return to_uint8(generate(generator, z[None]))[0].permute(1, 2, 0).expand(-1, -1, 3).numpy()


def assert_equal_image(page, generator):
    """Within one grey level: images of one latent and of 81 at once may round differently."""
    wanted = python_image(generator, *place(page)).astype(int)
    assert wanted.std() > 5, "an even picture would prove nothing"
    assert abs(shown(page) - wanted).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mouse_drags_the_ring_and_the_picture_is_the_generators(open_explorer, channels):
    generator = lively(channels)
    page = open_explorer(generator, viewport={"width": 1280, "height": 900})
    assert place(page) == (4, 4)
    assert_equal_image(page, generator)
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 140, box["y"] + 140)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 100, steps=4)
    page.mouse.up()
    assert place(page) == (6, 3)
    assert_equal_image(page, generator)
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    assert place(page) == (6, 3), "a mouse that is not pressed moves nothing"
    page.mouse.click(box["x"] + 10, box["y"] + 270)
    assert place(page) == (0, 8)
    assert_equal_image(page, generator)
    length = figures.latent_map(latent(4, seed=3))[8 * 9].norm().item()
    assert state(page)["length"] == pytest.approx(length, abs=0.05)
    assert page.troubles == []


def test_the_arrow_keys_walk_and_stop_at_the_edge(open_explorer):
    generator = lively(1)
    page = open_explorer(generator, viewport={"width": 1280, "height": 900})
    page.keyboard.press("Tab")
    for key in ["ArrowRight"] * 6 + ["ArrowUp"] * 2 + ["ArrowLeft"] + ["ArrowDown"]:
        page.keyboard.press(key)
    assert place(page) == (7, 3)
    assert "column 8, row 4 of 9" in page.locator("[role=status]").inner_text()
    assert_equal_image(page, generator)
    assert page.troubles == []


def test_a_finger_taps_and_plays_on_a_telephone(open_explorer):
    generator = lively(1)
    page = open_explorer(
        generator, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    box = page.locator("canvas").first.bounding_box()
    page.touchscreen.tap(box["x"] + 248, box["y"] + 32)
    assert place(page) == (8, 0)
    assert_equal_image(page, generator)
    page.get_by_role("button", name="Play").tap()
    page.wait_for_function("document.querySelector('figure').dataset.state.includes('\"row\":0')")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Pause").tap()
    stopped = place(page)
    page.wait_for_timeout(400)
    assert place(page) == stopped
    assert_equal_image(page, generator)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_the_corners_are_the_latents_given_and_the_rest_keeps_their_length():
    corners = latent(4, seed=3)
    square = figures.latent_map(corners).unflatten(0, (9, 9))
    found = torch.stack([square[0, 0], square[0, -1], square[-1, 0], square[-1, -1]])
    torch.testing.assert_close(found, corners)
    lengths, ends = square.norm(dim=2), corners.norm(dim=1)
    assert ends.min() - 1e-3 < lengths.min() and lengths.max() < ends.max() + 1e-3


def test_large_pictures_get_fewer_places_and_a_page_stays_light():
    explorer = figures.latent_explorer(lively(3, size=64), latent(4))
    assert explorer.data["points"] == 4
    assert len(explorer.data["tiles"]) < 450_000
    assert figures.latent_explorer(lively(1), latent(4), points=1).data["points"] == 2
