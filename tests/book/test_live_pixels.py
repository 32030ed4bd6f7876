"""The pixel reader: by mouse, finger and keys it reads what the tensor holds."""

import pytest
import torch
from browser import needs_chromium, state

from dcgan_lib import figures, load_images, to_float

pytestmark = needs_chromium

TOLERANCE = 1e-6  # JavaScript divides in 64 bits, torch in 32


def assert_reads(page, images, image, row, column):
    now = state(page)
    assert [now[name] for name in ("image", "row", "column")] == [image, row, column]
    assert now["stored"] == images[image, :, row, column].tolist()
    wanted = to_float(images)[image, :, row, column].tolist()
    assert now["floats"] == pytest.approx(wanted, abs=TOLERANCE)
    return page.locator("[role=status]").inner_text()


def middle(page, row, column, size):
    """Where on the page the middle of a pixel of the enlarged image is."""
    box = page.locator("canvas").first.bounding_box()
    step = box["width"] / size
    return box["x"] + (column + 0.5) * step, box["y"] + (row + 0.5) * step


def test_a_mouse_and_the_keys_read_any_pixel_of_any_garment(open_figure):
    chosen = load_images("fashion").subset(range(10))
    figure = figures.pixel_reader(chosen.images, chosen.classes, caption="Garments.")
    page = open_figure(figure, viewport={"width": 1280, "height": 900})
    assert "Row 16, column 16: stored as" in assert_reads(page, chosen.images, 0, 16, 16)
    for row, column in ((0, 0), (31, 31), (20, 7)):
        page.mouse.move(*middle(page, row, column, 32))
        assert_reads(page, chosen.images, 0, row, column)
    page.locator("select").first.select_option(label="Ankle boot")
    page.locator("canvas").first.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert_reads(page, chosen.images, 9, 21, 8)
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert_reads(page, chosen.images, 9, 21, 0)
    page.locator("select").nth(1).select_option("seen")
    assert_reads(page, chosen.images, 9, 21, 0)
    assert page.troubles == []


def test_a_finger_reads_all_three_colours_on_a_telephone(open_figure):
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=stream, dtype=torch.uint8)
    window = dict(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = open_figure(figures.pixel_reader(images), **window)
    page.touchscreen.tap(*middle(page, 40, 51, 64))
    assert "green" in assert_reads(page, images, 0, 40, 51)
    page.locator("select").nth(2).select_option(label="blue")
    page.locator("select").first.select_option("2")
    assert_reads(page, images, 2, 40, 51)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.troubles == []


def test_a_page_stays_small_and_a_place_outside_is_refused():
    large = torch.zeros(40, 3, 128, 128, dtype=torch.uint8)
    figure = figures.pixel_reader(large)
    assert len(figure.data["names"]) == 6 and len(figure._repr_html_()) < 500_000
    with pytest.raises(ValueError, match="rows and columns 0 to 127"):
        figures.pixel_reader(large, place=(128, 0))
