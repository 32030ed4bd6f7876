"""A real Chromium for the tests of pages and of live figures."""

import json
import os
import shutil

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"),
    reason="no Chromium on this machine: apt install chromium",
)


def state(page):
    """What a live figure says of itself."""
    return json.loads(page.locator("figure").get_attribute("data-state"))


def picture(page):
    """The pixels of the figure's first canvas, as text to compare."""
    return page.evaluate("document.querySelector('canvas').toDataURL()")
