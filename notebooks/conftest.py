"""`pytest --nbval notebooks`: the stored notebooks hold no progress bars, so what comes on stderr is not compared."""


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
