"""One training step: the textbook's update, with less work and no waiting.

The step is the papers' (gomez, section 3.4): the discriminator learns from a real batch and a generated batch, kept
apart so that BatchNorm cannot give the answer away; then the generator learns from the discriminator's verdict on
the same generated batch.
"""

import logging

import torch
from torch.nn.functional import softplus

from dcgan_lib.models import Discriminator


def autocast(tensor, bf16):
    """A new context for each update: it caches the weights' bf16 copies, which the update makes stale."""
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=bf16)


def full(logits):
    """Out of bf16, so that losses are not."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits


def generated(generator, z, bf16=False):
    """A batch from the generator, with its graph."""
    with autocast(z, bf16):
        return generator(z)


def judged(discriminator, real, fake):
    """Logits of both batches: in one pass by a `Discriminator`, which keeps BatchNorm apart, in two by any other."""
    if isinstance(getattr(discriminator, "module", discriminator), Discriminator):
        return discriminator(real, fake)
    return discriminator(real), discriminator(fake)


def update(optimizer, loss):
    """One update by the gradients of this loss alone, which are not kept."""
    optimizer.zero_grad(set_to_none=True)  # what a caller may have left
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(
        set_to_none=True
    )  # until the next step they would take as much memory as the weights


def discriminator_step(discriminator, opt_d, real, fake, bf16=False, real_label=1.0):
    """One update of the discriminator, in place; returns the loss, and the logits of both batches."""
    with autocast(real, bf16):
        real_logits, fake_logits = (
            full(logits) for logits in judged(discriminator, real, fake.detach())
        )
    # softplus(-x) is -log(sigmoid(x)): binary cross-entropy from logits, which cannot overflow. A label below 1
    # asks for some of the other answer, softplus(x), which is softplus(-x) + x.
    loss = (softplus(-real_logits) + (1 - real_label) * real_logits).mean() + softplus(
        fake_logits
    ).mean()
    update(opt_d, loss)
    return loss, real_logits, fake_logits


def generator_step(discriminator, opt_g, fake, bf16=False):
    """One update of the generator, in place, from a generated batch with its graph; returns the loss and the logits."""
    discriminator = getattr(
        discriminator, "module", discriminator
    )  # no gradients of D, so none to average
    discriminator.requires_grad_(False)  # G needs the gradient through D, not D's own
    try:
        with autocast(fake, bf16):
            logits = full(discriminator(fake))
        loss = softplus(-logits).mean()
        update(opt_g, loss)
    finally:
        discriminator.requires_grad_(True)
    return loss, logits


def training_step(generator, discriminator, opt_g, opt_d, real, z, bf16=False, real_label=1.0):
    """One update of the discriminator, then one of the generator, in place.

    Parameters
    ----------
    generator, discriminator : Module
    opt_g, opt_d : Optimizer
    real : Tensor of shape (N, C, H, W)
        Real images in [-1, 1].
    z : Tensor of shape (N, latent_dim)
        Latents of the generated batch, which serves both updates.
    bf16 : bool
        Compute the convolutions in bf16.
    real_label : float
        What D is asked to answer for real images; below 1 is one-sided label smoothing (Salimans et al. 2016, 3.4).

    Returns
    -------
    Tensor of shape (5,)
        Loss of D, loss of G, mean D(x), mean D(G(z)) before and after the update of D; still on the device, so
        that nobody waits for it.
    """
    fake = generated(generator, z, bf16)
    loss_d, *logits = discriminator_step(discriminator, opt_d, real, fake, bf16, real_label)
    loss_g, again = generator_step(discriminator, opt_g, fake, bf16)
    with torch.no_grad():
        return torch.stack([loss_d, loss_g, *(x.sigmoid().mean() for x in (*logits, again))])


class Graphed:
    """A step replayed as one CUDA graph: the device gets one launch instead of hundreds.

    The first calls run as they are, on a stream of their own, so that every buffer exists before the capture. Their
    updates count like all others. Where the capture fails, one line in the log says so and steps go on as they are.
    The inputs must keep their shapes.
    """

    WARM_UP = 3

    def __init__(self, step):
        self.step, self.calls, self.graph, self.stream = step, 0, None, None

    def __call__(self, *inputs):
        self.calls += 1
        if self.calls <= self.WARM_UP:
            return self._aside(*inputs)
        if self.calls == self.WARM_UP + 1:
            self._capture(inputs)
        if self.graph is None:
            return self.step(*inputs)
        for buffer, tensor in zip(self.inputs, inputs):
            buffer.copy_(tensor)
        self.graph.replay()
        return self.output.clone()  # the next replay writes over it

    def _aside(self, *inputs):
        self.stream = self.stream or torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            output = self.step(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return output

    def _capture(self, inputs):
        self.inputs, graph = [tensor.clone() for tensor in inputs], torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.output = self.step(*self.inputs)
            self.graph = graph
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            logging.getLogger(__name__).warning(
                "no CUDA graph (%s); steps are launched one by one", reason
            )
