"""The moving image: by mouse, finger and keys it tells the logit that Python computes."""

import pytest
import torch
from browser import needs_chromium, state

from dcgan_lib import Discriminator, figures, load_images, to_float

pytestmark = needs_chromium

TOLERANCE = 1e-3  # the page has logits of three decimals
FAR = 6


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Discriminator(image_size=32, channels=1, width=8)
    with torch.no_grad():  # the weights of an untrained network say "zero" to everything
        for weights in network.parameters():
            weights.mul_(4)
    return network.eval()


def expected(network, image, right, down):
    """Logit of an image that was rolled; the chosen images have equal edges on all sides."""
    with torch.no_grad():
        return network(to_float(image[None]).roll((down, right), (2, 3))).item()


@pytest.mark.parametrize("touch", [False, True])
def test_the_page_tells_the_logit_at_the_place(open_figure, network, touch):
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 12:20, 12:20] = load_images("fashion").images[:2, :, 12:20, 12:20]
    figure = figures.moving_logits(network, images, ["first", "second"], apart=2)
    window = {"width": 390, "height": 844} if touch else {"width": 1280, "height": 900}
    page = open_figure(figure, viewport=window, has_touch=touch)

    def check(image, right, down):
        now = state(page)
        assert [now[name] for name in ("image", "right", "down")] == [image, right, down]
        wanted = expected(network, images[image], right, down)
        assert now["logit"] == pytest.approx(wanted, abs=TOLERANCE)
        moves = (-2, 0, 2)
        nine = [expected(network, images[image], right + x, down + y) for x in moves for y in moves]
        assert now["mean"] == pytest.approx(sum(nine) / 9, abs=TOLERANCE)

    check(0, 0, 0)
    page.locator("select").select_option("1")
    check(1, 0, 0)
    map_ = page.get_by_role("application")
    box = map_.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= window["width"]
    step = box["width"] / (2 * FAR + 1)
    place = box["x"] + (2 + FAR + 0.5) * step, box["y"] + (-3 + FAR + 0.5) * step
    page.touchscreen.tap(*place) if touch else page.mouse.click(*place)
    check(1, 2, -3)
    map_.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    check(1, 1, -1)
    page.get_by_role("button", name="Back to the middle").click()
    check(1, 0, 0)
    assert page.troubles == []


def test_logits_over_places_are_those_of_moved_images(network):
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 10:20, 8:22] = 200
    logits = figures.moved_logits(network, images, far=3)
    assert logits.shape == (1, 7, 7)
    for right, down in ((0, 0), (3, 0), (0, -2), (-1, 3)):
        wanted = expected(network, images[0], right, down)
        assert logits[0, down + 3, right + 3] == pytest.approx(wanted, abs=1e-5)
