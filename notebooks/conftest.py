"""For `pytest --nbval notebooks`: what comes on stderr is not compared.

The stored notebooks hold no progress bars.
"""


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
