"""What the tests of the command line share."""

import signal

import pytest


@pytest.fixture(autouse=True)
def signals():
    """The command installs handlers of its own, for a program that ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
