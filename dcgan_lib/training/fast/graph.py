"""A training step as one CUDA graph: the GPU gets one launch instead of hundreds."""

import logging

import torch


class GraphedStep:
    """Record a step once and replay it ever after.

    The first calls run as they are, on a stream of their own, so that every buffer exists before
    the recording. Their updates count like all others. Where the recording fails, one line in the
    log says so and the steps go on as they are. The inputs must keep their shapes.
    """

    WARM_UP = 3

    def __init__(self, step):
        self.step, self.calls, self.graph, self.stream = step, 0, None, None

    def __call__(self, *inputs):
        self.calls += 1
        if self.calls == self.WARM_UP + 1:
            self._record(inputs)
        if self.graph is None:
            return self._on_own_stream(*inputs)
        for buffer, tensor in zip(self.inputs, inputs, strict=True):
            buffer.copy_(tensor)
        self.graph.replay()
        return self.output.clone()  # the next replay writes over it

    def _on_own_stream(self, *inputs):
        self.stream = self.stream or torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            output = self.step(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return output

    def _record(self, inputs):
        self.inputs, graph = [tensor.clone() for tensor in inputs], torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.output = self.step(*self.inputs)
            self.graph = graph
        except RuntimeError as error:
            logging.getLogger(__name__).warning(
                "no CUDA graph (%s); steps are launched one by one", str(error).splitlines()[0]
            )
