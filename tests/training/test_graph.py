"""A step as one CUDA graph, with a stand-in for CUDA's graphs on a machine without them."""

import pytest
import torch

from dcgan_lib.training.fast.graph import GraphedStep


class FakeGraph:
    """Stands in for CUDA's graphs on a machine without them: what is recorded is called again."""

    def __init__(self, fails=False):
        self.fails = fails

    def __call__(self, graph):
        return self

    def __enter__(self):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore words")

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_is_captured_once_and_falls_back_where_it_cannot_be(monkeypatch, caplog, fails):
    replays, seen = [], []
    monkeypatch.setattr(
        torch.cuda,
        "CUDAGraph",
        lambda: type("Graph", (), {"replay": lambda self: replays.append(1)})(),
    )
    monkeypatch.setattr(torch.cuda, "graph", FakeGraph(fails))
    monkeypatch.setattr(GraphedStep, "_on_own_stream", lambda self, *inputs: self.step(*inputs))

    def step(x):
        seen.append(x)
        return x + 1

    graphed = GraphedStep(step)
    for number in range(6):
        graphed(torch.full((2,), float(number)))
    if fails:
        assert len(seen) == 6 and not replays
        assert [record.message for record in caplog.records] == [
            "no CUDA graph (operation not permitted when stream is capturing); "
            "steps are launched one by one"
        ]
    else:
        assert len(seen) == GraphedStep.WARM_UP + 1 and len(replays) == 3
        assert torch.equal(seen[-1], torch.full((2,), 5.0)), (
            "the last batch is in the captured buffer"
        )
