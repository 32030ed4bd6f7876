"""The map explorer: by mouse, finger and keys it shows the numbers that Python pools."""

import numpy as np
import pytest
import torch
from browser import needs_chromium, state
from torch.nn.functional import adaptive_max_pool2d

from dcgan_lib import Discriminator, block_maps, figures, to_float

pytestmark = needs_chromium

NAMES = ["Sneaker", "Bag", "Coat"]
TOLERANCE = 1 / 200  # of a map's own scale: a page has its numbers in one byte each


def networks(size, channels):
    return {
        name: Discriminator(size, channels, 16, seed=seed)
        for seed, name in enumerate(("trained", "untrained"))
    }


def images(size, channels):
    numbers = torch.Generator().manual_seed(0)
    shape = 3, channels, size, size
    return torch.randint(0, 256, shape, generator=numbers, dtype=torch.uint8)


@pytest.fixture
def open_explorer(open_figure):
    """open_explorer(size, channels, **window): its page, once it has drawn."""

    def opened(size=32, channels=1, **window):
        explorer = figures.map_explorer(images(size, channels), NAMES, networks(size, channels))
        page = open_figure(explorer, **window)
        page.wait_for_selector("figure[data-state]")
        return page

    return opened


def assert_shows(page, image, network, block, number, size=32, channels=1):
    """The page's 16 numbers are the maxima of the map that Python computes."""
    now = state(page)
    assert [now[key] for key in ("image", "network", "block", "map")] == [
        image,
        network,
        block,
        number,
    ]
    discriminator = networks(size, channels)[network].eval()
    with torch.no_grad():
        maps = block_maps(discriminator, to_float(images(size, channels)))[block][:, number]
    wanted = adaptive_max_pool2d(maps, 4)[image].flatten().numpy()
    scale = maps.abs().max().item()
    np.testing.assert_allclose(now["values"], wanted, atol=TOLERANCE * scale)
    return page.locator("[role=status]").inner_text()


def test_a_mouse_chooses_image_block_network_and_map(open_explorer):
    page = open_explorer(viewport={"width": 1280, "height": 900})
    start = figures.map_explorer(images(32, 1), NAMES, networks(32, 1)).data["start"]
    said = assert_shows(page, 0, "trained", 0, start)
    assert f"Sneaker, trained network, block 1, map {start + 1}" in said
    image, block, network = page.locator("select").all()
    image.select_option(label="Coat")
    block.select_option(label="block 3")
    network.select_option("untrained")
    assert "16 numbers become 16" in assert_shows(page, 2, "untrained", 2, start)
    box = page.locator("canvas").last.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 0.75)
    assert_shows(page, 2, "untrained", 2, 10)
    assert page.get_by_role("slider").input_value() == "11"
    assert page.troubles == []


def test_the_keys_reach_everything(open_explorer):
    page = open_explorer(64, 3, viewport={"width": 1280, "height": 900})
    page.locator("select").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert_shows(page, 1, "trained", 1, 14, 64, 3)
    assert page.troubles == []


def test_a_finger_chooses_a_map_on_a_telephone(open_explorer):
    page = open_explorer(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = page.locator("canvas").last.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 1.5 / 4, box["y"] + box["height"] * 2.5 / 4)
    assert_shows(page, 0, "trained", 0, 9)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_maps_of_large_images_keep_their_maxima_and_their_weight_in_bounds():
    many = images(128, 3).repeat(4, 1, 1, 1)
    network = Discriminator(128, 3, 16)
    before = [value.clone() for value in network.state_dict().values()]
    explorer = figures.map_explorer(many, NAMES * 4, {"new": network})
    assert max(side for _, side in explorer.data["blocks"]) == 32
    assert len(explorer.data["maps"]) + len(explorer.data["images"]) < 300_000
    assert network.training, "the network is left in its mode"
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values()))
