"""Trainings that break down, stand still or do not fit, and what is said of them."""

from dataclasses import replace

import pytest
import torch
from small_runs import SMALL, run_small

from dcgan_lib import TrainConfig, TrainingFailed, train
from dcgan_lib.training import health, loop
from dcgan_lib.training import run as run_module


def test_loss_that_is_no_number_stops_with_a_sentence(make_images, tmp_path):
    with pytest.raises(
        FloatingPointError, match="epoch 1: a loss is not a number.*learning rate than 1e"
    ):
        run_small(make_images(), tmp_path, replace(SMALL, lr=1e30))
    assert not (tmp_path / "weights.pt").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_fp32_is_advised_only_to_those_who_have_it_not(make_images, tmp_path, precision):
    with pytest.raises(FloatingPointError) as raised:
        run_small(make_images(), tmp_path, replace(SMALL, lr=1e30, precision=precision))
    assert ("precision='fp32'" in str(raised.value)) == (precision != "fp32")


def test_what_the_curves_showed_is_said_and_the_last_good_state_stays(
    make_images, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_module, "SAVE_EVERY", 0)
    step, calls = loop.training_step, []

    def breaking_step(generator, *args, **kw):
        calls.append(1)
        metrics = step(generator, *args, **kw)
        if len(calls) == 9:  # the loss of this step is still a number, the weights after it are not
            generator.head[0].weight.data.fill_(float("nan"))
        return metrics

    monkeypatch.setattr(loop, "training_step", breaking_step)
    with pytest.raises(
        FloatingPointError,
        match="epoch 2: a .* is not a number. Before, over .* steps: loss_d .*d_real",
    ):
        run_small(make_images(), tmp_path)
    assert len(torch.load(tmp_path / "checkpoint.pt")["history"]) == 6, (
        "the state after the first epoch"
    )
    monkeypatch.setattr(loop, "training_step", step)
    assert run_small(make_images(), tmp_path).history["epoch"][-1] == 2


@pytest.mark.parametrize(
    "metrics,words",
    [
        ([1e-4, 9.0, 1.0, 0.0, 0.0], "tells every generated image from every real"),
        ([1.386, 0.693, 0.5, 0.5, 0.5], "gives every image.*the same answer"),
    ],
)
def test_a_discriminator_without_a_contest_stops_the_run(
    make_images, tmp_path, monkeypatch, metrics, words
):
    monkeypatch.setattr(health, "NO_CONTEST", 6)
    monkeypatch.setattr(loop, "training_step", lambda *args, **kw: torch.tensor(metrics))
    with pytest.raises(
        TrainingFailed,
        match=f"standstill in epoch 1: for 6 steps.*{words}.*loss_g {metrics[1]:.3g}",
    ):
        run_small(make_images(), tmp_path)


def test_a_memory_too_small_names_a_batch_that_fits(make_images, tmp_path, monkeypatch):
    step = loop.training_step

    def hungry_step(*args, **kw):
        if len(args[4]) > 4:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return step(*args, **kw)

    monkeypatch.setattr(loop, "training_step", hungry_step)
    with pytest.raises(
        MemoryError,
        match="memory of cpu is too small for batch_size=16 .*too much.*; batch_size=4 fits",
    ):
        run_small(make_images(), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_too_small_names_a_batch_that_fits(make_images, tmp_path):
    free = torch.cuda.mem_get_info()[0]
    taken = torch.empty(free - 2**30, dtype=torch.uint8, device="cuda")
    images = make_images(4096, size=64, channels=3)
    config = TrainConfig(image_size=64, width=128, batch_size=4096, epochs=1)
    with pytest.raises(MemoryError, match="batch_size=4096 .*; batch_size=[0-9]+ fits"):
        train(images, config, tmp_path, device="cuda", progress=False)
    del taken
