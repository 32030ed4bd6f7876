"""Training against a plain textbook loop, and what happens when it is stopped, misused or breaks down."""

import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from dcgan_lib import Discriminator, Generator, Run, TrainConfig, sample, to_float, train, training_step
from dcgan_lib import training
from dcgan_lib.training import COLUMNS, METRICS, to_uint8

SMALL = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=2, precision="fp32")


def run_small(images, folder, config=SMALL, **kwargs):
    return train(images, config, folder, device="cpu", progress=False, **kwargs)


def same_weights(one, other):
    pairs = [(one.generator, other.generator), (one.discriminator, other.discriminator)]
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x.state_dict().values(), y.state_dict().values()))


def textbook_step(generator, discriminator, opt_g, opt_d, real, z):
    """The step as the tutorials write it: sigmoid, BCELoss, labels of ones and zeros, D trained along in the G step."""
    loss, ones, zeros = nn.BCELoss(), torch.ones(len(real)), torch.zeros(len(real))
    discriminator.zero_grad()
    d_real = discriminator(real).sigmoid()
    loss_real = loss(d_real, ones)
    loss_real.backward()
    fake = generator(z)
    d_fake = discriminator(fake.detach()).sigmoid()
    loss_fake = loss(d_fake, zeros)
    loss_fake.backward()
    opt_d.step()
    generator.zero_grad()
    d_again = discriminator(fake).sigmoid()
    loss_g = loss(d_again, ones)
    loss_g.backward()
    opt_g.step()
    return [x.item() for x in (loss_real + loss_fake, loss_g, d_real.mean(), d_fake.mean(), d_again.mean())]


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_step_equals_the_textbook_step(make_images, kernel_size):
    images = to_float(make_images(64).images)
    sides = []
    for fused in (False, True):
        g, d = Generator(32, 1, width=8, kernel_size=kernel_size), Discriminator(32, 1, 8, kernel_size)
        sides.append((g, d, *(torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999), fused=fused) for n in (g, d))))
    stream = torch.Generator().manual_seed(0)
    for _ in range(10):
        real, z = images[torch.randperm(64, generator=stream)[:16]], torch.randn(16, 100, generator=stream)
        torch.testing.assert_close(training_step(*sides[1], real, z), torch.tensor(textbook_step(*sides[0], real, z)),
                                   rtol=1e-4, atol=1e-5)  # fmt: skip
    for plain, ours in zip(sides[0][:2], sides[1][:2]):
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_what_a_run_leaves(make_images, tmp_path):
    images = make_images(100)
    run = run_small(images, tmp_path / "run")
    assert {p.name for p in run.dir.iterdir()} == {"config.json", "checkpoint.pt", "weights.pt", "history.csv", "samples"}
    steps = 2 * (100 // 16)
    assert set(run.history) == set(COLUMNS) and all(len(column) == steps for column in run.history.values())
    assert list(run.history["epoch"]) == [1] * 6 + [2] * 6
    assert all(0 < run.history[name].min() for name in METRICS) and run.history["images_per_second"].min() > 0
    assert all(run.history[name].max() < 1 for name in METRICS[2:])
    pictures = run.samples()
    assert pictures.shape == (3, 64, 1, 32, 32) and not torch.equal(pictures[0], pictures[2])
    assert torch.equal(pictures[-1], to_uint8(sample(run.generator, 64, SMALL.seed)))
    assert same_weights(run, Run.load(run.dir)) and not run.generator.training


def test_colour_and_bf16(make_images, tmp_path):
    run = run_small(make_images(32, channels=3), tmp_path, replace(SMALL, channels=3, epochs=1, precision="bf16"))
    assert run.samples().shape == (2, 64, 3, 32, 32) and run.generator.head[0].weight.dtype == torch.float32


def test_seed_decides_all(make_images, tmp_path):
    state = torch.get_rng_state()
    one, same = (run_small(make_images(), tmp_path / name) for name in "ab")
    other = run_small(make_images(), tmp_path / "c", replace(SMALL, seed=1))
    assert same_weights(one, same) and not same_weights(one, other)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"


def test_finished_run_is_returned_as_it_is(make_images, tmp_path, monkeypatch):
    run = run_small(make_images(), tmp_path)
    monkeypatch.setattr(training, "training_step", None)  # calling it would fail
    assert same_weights(run, run_small(make_images(), tmp_path))


@pytest.mark.parametrize("after", [1, 6, 9])
def test_interrupted_run_ends_with_the_same_weights(make_images, tmp_path, monkeypatch, after):
    whole = run_small(make_images(), tmp_path / "whole")
    step, calls = training.training_step, []

    def interrupted_step(*args):
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args)

    monkeypatch.setattr(training, "training_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt, match=f"after step {after} of 12; the same call goes on"):
        run_small(make_images(), tmp_path / "stopped")
    with pytest.raises(FileNotFoundError, match="not finished"):
        Run.load(tmp_path / "stopped")
    run = run_small(make_images(), tmp_path / "stopped")
    assert len(calls) == 12 and same_weights(run, whole)
    for name in METRICS:
        assert list(run.history[name]) == list(whole.history[name])


def test_more_epochs_are_added(make_images, tmp_path):
    whole = run_small(make_images(), tmp_path / "whole", replace(SMALL, epochs=3))
    run_small(make_images(), tmp_path / "grown")
    assert same_weights(run_small(make_images(), tmp_path / "grown", replace(SMALL, epochs=3)), whole)
    with pytest.raises(ValueError, match="config.epochs: 3 there, 2 here"):
        run_small(make_images(), tmp_path / "grown")


def test_trains_in_a_thread_where_no_signal_arrives(make_images, tmp_path):
    thread = threading.Thread(target=run_small, args=(make_images(), tmp_path))
    thread.start()
    thread.join()
    assert Run.load(tmp_path).history["epoch"][-1] == 2


def test_other_configuration_is_refused_and_nothing_is_touched(make_images, tmp_path):
    run_small(make_images(), tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match="config.lr: 0.0002 there, 0.001 here.*another folder"):
        run_small(make_images(), tmp_path, replace(SMALL, lr=1e-3))
    with pytest.raises(ValueError, match="data.fingerprint"):
        run_small(make_images(seed=5), tmp_path)
    with pytest.raises(FileExistsError, match="holds a run already"):
        run_small(make_images(), tmp_path, resume=False)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_weights_without_a_configuration_are_not_overwritten(make_images, tmp_path):
    (tmp_path / "weights.pt").write_text("somebody's")
    with pytest.raises(ValueError, match="no config.json"):
        run_small(make_images(), tmp_path)
    assert (tmp_path / "weights.pt").read_text() == "somebody's"


def test_loss_that_is_no_number_stops_with_a_sentence(make_images, tmp_path):
    with pytest.raises(FloatingPointError, match="epoch 1: a loss is not a number.*learning rate than 1e"):
        run_small(make_images(), tmp_path, replace(SMALL, lr=1e30))
    assert not (tmp_path / "weights.pt").exists()


def test_images_that_do_not_fit(make_images, tmp_path):
    with pytest.raises(ValueError, match="10 images, fewer than one batch of 16; choose a batch_size of at most 10"):
        run_small(make_images(10), tmp_path)
    with pytest.raises(ValueError, match="1 channels and 64 pixels.*channels=1 and image_size=64"):
        run_small(make_images(size=64), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name,damage", [("checkpoint.pt", b"PK"), ("config.json", b"{"), ("weights.pt", b"")])
def test_damaged_files_are_named(make_images, tmp_path, name, damage):
    run_small(make_images(), tmp_path)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        run_small(make_images(), tmp_path)


def test_full_disk_keeps_the_last_checkpoint(make_images, tmp_path, monkeypatch):
    run_small(make_images(), tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def no_space(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(OSError, match="checkpoint.pt: No space left on device; what was there before is unchanged"):
        run_small(make_images(), tmp_path, replace(SMALL, epochs=3))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_no_run_here(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in"):
        Run.load(tmp_path)


@pytest.mark.parametrize("wrong", [dict(precision="fp16"), dict(batch_size=1), dict(epochs=0), dict(batch_size=2.5)])
def test_configurations_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        TrainConfig(**wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_gpu_run_equals_the_cpu_run_at_first(make_images, tmp_path):
    cpu = run_small(make_images(), tmp_path / "cpu", replace(SMALL, epochs=1))
    gpu = train(make_images(), replace(SMALL, epochs=1), tmp_path / "gpu", device="cuda", progress=False)
    for name in METRICS:
        assert gpu.history[name][0] == pytest.approx(cpu.history[name][0], rel=1e-3)
