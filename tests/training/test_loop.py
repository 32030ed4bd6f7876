"""Training against a plain textbook loop, and what happens when it is stopped, misused or breaks down."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn
from training_speed import textbook_step

from dcgan_lib import (
    Discriminator,
    Generator,
    Run,
    TrainConfig,
    generate,
    latent,
    sample,
    to_float,
    train,
    training_step,
)
from dcgan_lib.training.batches import Batches
from dcgan_lib.training.run import COLUMNS, METRICS
from dcgan_lib.data.pixels import to_uint8
from dcgan_lib.training import health as trouble
from dcgan_lib.training import loop as training
from dcgan_lib.training import players
from dcgan_lib.training.step import Graphed

SMALL = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=2, precision="fp32")


def run_small(images, folder, config=SMALL, **kwargs):
    return train(images, config, folder, device="cpu", progress=False, **kwargs)


def same_weights(one, other):
    pairs = [(one.generator, other.generator), (one.discriminator, other.discriminator)]
    return all(
        torch.equal(a, b)
        for x, y in pairs
        for a, b in zip(x.state_dict().values(), y.state_dict().values())
    )


def two_sides(dtype, kernel_size=4, **options):
    """The same networks and optimizers twice: as the tutorials have them, and as `train` has them."""
    sides = []
    for order, fused in ((torch.contiguous_format, False), (torch.channels_last, True)):
        networks = (
            Generator(32, 1, width=8, kernel_size=kernel_size),
            Discriminator(32, 1, 8, kernel_size),
        )
        networks = [network.to(dtype=dtype, memory_format=order) for network in networks]
        adams = [
            torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999), fused=fused, **options)
            for n in networks
        ]
        sides.append((*networks, *adams))
    return sides


def batches(make_images, steps, dtype):
    images, stream = to_float(make_images(64).images), torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows, z = torch.randperm(64, generator=stream)[:16], torch.randn(16, 100, generator=stream)
        yield images[rows].to(dtype), z.to(dtype)


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_fifty_steps_equal_the_textbook_loop(make_images, kernel_size):
    """In float64, where rounding has no time to grow: two fp32 loops drift apart by it, however equal their code."""
    textbook, ours = two_sides(torch.float64, kernel_size)
    for real, z in batches(make_images, 50, torch.float64):
        expected = torch.tensor(textbook_step(*textbook, real.contiguous(), z), dtype=torch.float64)
        torch.testing.assert_close(training_step(*ours, real, z), expected, rtol=1e-5, atol=0)
    for plain, fast in zip(textbook[:2], ours[:2]):
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(
                fast.state_dict()[name], value, rtol=1e-5, atol=1e-9, msg=name
            )


def test_gradients_are_neither_taken_over_nor_kept(make_images):
    """What a caller left in `.grad` does not count, and no gradient takes memory between the steps."""
    clean, littered = (two_sides(torch.float64)[1] for _ in range(2))
    for network in littered[:2]:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    for real, z in batches(make_images, 2, torch.float64):
        assert torch.equal(training_step(*clean, real, z), training_step(*littered, real, z))
    assert all(
        p.grad is None for network in (*clean[:2], *littered[:2]) for p in network.parameters()
    )


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_each_of_fifty_fp32_steps_equals_the_textbook_step(make_images, kernel_size):
    """In fp32, both sides starting each step from the textbook's weights and optimizer states."""
    textbook, ours = two_sides(torch.float32, kernel_size)
    for real, z in batches(make_images, 50, torch.float32):
        for theirs, mine in zip(textbook[:2], ours[:2]):
            mine.load_state_dict(theirs.state_dict())
        for theirs, mine in zip(textbook[2:], ours[2:]):
            for p, q in zip(theirs.param_groups[0]["params"], mine.param_groups[0]["params"]):
                # A fused Adam goes through memory as it lies: its averages need the order of the weights.
                mine.state[q] = {
                    name: torch.empty_like(q).copy_(x) if x.ndim else x.clone()
                    for name, x in theirs.state[p].items()
                }
        expected = torch.tensor(textbook_step(*textbook, real.contiguous(), z))
        torch.testing.assert_close(training_step(*ours, real, z), expected, rtol=1e-5, atol=1e-6)
        for plain, fast in zip(textbook[:2], ours[:2]):
            theirs, mine = (
                torch.cat([p.detach().flatten() for p in n.parameters()]) for n in (plain, fast)
            )
            assert (mine - theirs).norm() < 1e-4 * theirs.norm()


def test_the_textbook_loop_with_the_options_of_other_programs(make_images):
    """Label smoothing and weight decay against PyTorch's own losses and optimizer."""
    textbook, ours = two_sides(torch.float64, weight_decay=1e-3)
    for real, z in batches(make_images, 5, torch.float64):
        generator, discriminator, opt_g, opt_d = textbook
        loss, ones = nn.BCEWithLogitsLoss(), torch.ones(len(real), dtype=torch.float64)
        fake = generator(z)
        loss_d = loss(discriminator(real), 0.9 * ones) + loss(
            discriminator(fake.detach()), 0 * ones
        )
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        loss_g = loss(discriminator(fake), ones)
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        metrics = training_step(*ours, real, z, real_label=0.9)
        torch.testing.assert_close(
            metrics[:2], torch.stack([loss_d, loss_g]).detach(), rtol=1e-9, atol=0
        )


def test_several_batches_in_one_call_are_as_many_calls():
    one, other = (Discriminator(32, 3, 8).double() for _ in range(2))
    a, b = torch.randn(8, 3, 32, 32).double(), torch.randn(4, 3, 32, 32).double() + 1
    together, apart = one(a, b), (other(a), other(b))
    for x, y in zip(together, apart):
        torch.testing.assert_close(x, y)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], value, msg=name)


def test_more_updates_of_d_use_other_images_and_latents(make_images, tmp_path, monkeypatch):
    seen = []
    step, early = players.training_step, players.discriminator_step
    monkeypatch.setattr(
        players, "training_step", lambda *args: seen.append((args[4], args[5])) or step(*args)
    )
    monkeypatch.setattr(
        players, "discriminator_step", lambda *args: seen.append((args[2], args[3])) or early(*args)
    )
    run = run_small(make_images(), tmp_path, replace(SMALL, d_steps=3, epochs=1))
    assert len(run.history["epoch"]) == 96 // 16 // 3 and len(seen) == 6
    firsts = torch.cat([real for real, _ in seen])
    assert len(torch.unique(firsts.flatten(1), dim=0)) == 96, "an image was seen twice in an epoch"


def test_flips_mirror_half_of_the_images(make_images):
    images = make_images(512)
    plain, mirrored = (
        Batches(images, replace(SMALL, batch_size=512, flip=flip), torch.device("cpu")).at(0)[0]
        for flip in (False, True)
    )
    same = (plain == mirrored).flatten(1).all(dim=1)
    assert 200 < same.sum() < 312
    assert torch.equal(plain[~same].flip(3), mirrored[~same])


def test_average_of_the_generator(make_images, tmp_path, monkeypatch):
    """Against the definition, written out: after every step, average = decay * average + (1 - decay) * generator."""
    step, expected = players.training_step, {}

    def watched(generator, *args):
        if not expected:
            expected.update({name: value.clone() for name, value in generator.state_dict().items()})
        metrics = step(generator, *args)
        for name, value in generator.state_dict().items():
            if value.is_floating_point():
                expected[name] = 0.9 * expected[name] + 0.1 * value
        return metrics

    monkeypatch.setattr(players, "training_step", watched)
    run = run_small(make_images(), tmp_path, replace(SMALL, ema=0.9))
    for name, value in run.generator.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    assert torch.equal(run.samples()[-1], to_uint8(sample(run.generator, 64, SMALL.seed)))


def test_uniform_latents(make_images, tmp_path):
    z = latent(1000, 100, 0, "uniform")
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1 and abs(z.std() - 3**-0.5) < 0.01
    run = run_small(make_images(), tmp_path, replace(SMALL, latents="uniform", epochs=1))
    drawn = generate(run.generator, latent(64, 100, SMALL.seed, "uniform"))
    assert torch.equal(run.samples()[-1], to_uint8(drawn))


def test_what_a_run_leaves(make_images, tmp_path):
    images = make_images(100)
    run = run_small(images, tmp_path / "run")
    assert {p.name for p in run.dir.iterdir()} == {
        "config.json",
        "checkpoint.pt",
        "weights.pt",
        "history.csv",
        "samples",
    }
    steps = 2 * (100 // 16)
    assert set(run.history) == set(COLUMNS) and all(
        len(column) == steps for column in run.history.values()
    )
    assert list(run.history["epoch"]) == [1] * 6 + [2] * 6
    assert (
        all(run.history[name].min() > 0 for name in METRICS)
        and run.history["images_per_second"].min() > 0
    )
    assert all(run.history[name].max() < 1 for name in METRICS[2:])
    pictures = run.samples()
    assert pictures.shape == (3, 64, 1, 32, 32) and not torch.equal(pictures[0], pictures[2])
    assert torch.equal(pictures[-1], to_uint8(sample(run.generator, 64, SMALL.seed)))
    assert same_weights(run, Run.load(run.dir)) and not run.generator.training


def test_colour_and_bf16(make_images, tmp_path):
    run = run_small(
        make_images(32, channels=3),
        tmp_path,
        replace(SMALL, channels=3, epochs=1, precision="bf16"),
    )
    assert (
        run.samples().shape == (2, 64, 3, 32, 32)
        and run.generator.head[0].weight.dtype == torch.float32
    )


def test_seed_decides_all(make_images, tmp_path):
    state = torch.get_rng_state()
    one, same = (run_small(make_images(), tmp_path / name) for name in "ab")
    other = run_small(make_images(), tmp_path / "c", replace(SMALL, seed=1))
    assert same_weights(one, same) and not same_weights(one, other)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"


def test_finished_run_is_returned_as_it_is(make_images, tmp_path, monkeypatch):
    run = run_small(make_images(), tmp_path)
    monkeypatch.setattr(players, "training_step", None)  # calling it would fail
    assert same_weights(run, run_small(make_images(), tmp_path))


FULL = replace(SMALL, ema=0.9, flip=True, real_label=0.9, weight_decay=1e-5, latents="uniform")


@pytest.mark.parametrize(
    "after,number,config",
    [(1, signal.SIGINT, SMALL), (6, signal.SIGINT, FULL), (9, signal.SIGTERM, SMALL)],
)
def test_interrupted_run_ends_with_the_same_weights(
    make_images, tmp_path, monkeypatch, after, number, config
):
    whole = run_small(make_images(), tmp_path / "whole", config)
    step, calls = players.training_step, []

    def interrupted_step(*args):
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), number)
        return step(*args)

    monkeypatch.setattr(players, "training_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt, match=f"after step {after} of 12; the same call goes on"):
        run_small(make_images(), tmp_path / "stopped", config)
    with pytest.raises(FileNotFoundError, match="not finished"):
        Run.load(tmp_path / "stopped")
    run = run_small(make_images(), tmp_path / "stopped", config)
    assert len(calls) == 12 and same_weights(run, whole)
    for name in METRICS:
        assert list(run.history[name]) == list(whole.history[name])


def test_more_epochs_are_added(make_images, tmp_path):
    whole = run_small(make_images(), tmp_path / "whole", replace(SMALL, epochs=3))
    run_small(make_images(), tmp_path / "grown")
    assert same_weights(
        run_small(make_images(), tmp_path / "grown", replace(SMALL, epochs=3)), whole
    )
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
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    step, calls = players.training_step, []

    def breaking_step(generator, *args):
        calls.append(1)
        metrics = step(generator, *args)
        if len(calls) == 9:  # the loss of this step is still a number, the weights after it are not
            generator.head[0].weight.data.fill_(float("nan"))
        return metrics

    monkeypatch.setattr(players, "training_step", breaking_step)
    with pytest.raises(
        FloatingPointError,
        match="epoch 2: a .* is not a number. Before, over .* steps: loss_d .*d_real",
    ):
        run_small(make_images(), tmp_path)
    assert len(torch.load(tmp_path / "checkpoint.pt")["history"]) == 6, (
        "the state after the first epoch"
    )
    monkeypatch.setattr(players, "training_step", step)
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
    monkeypatch.setattr(trouble, "DEAD_AFTER", 6)
    monkeypatch.setattr(players, "training_step", lambda *args: torch.tensor(metrics))
    with pytest.raises(
        FloatingPointError,
        match=f"standstill in epoch 1: for 6 steps.*{words}.*loss_g {metrics[1]:.3g}",
    ):
        run_small(make_images(), tmp_path)


def test_a_memory_too_small_names_a_batch_that_fits(make_images, tmp_path, monkeypatch):
    step = players.training_step

    def hungry_step(*args):
        if len(args[4]) > 4:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return step(*args)

    monkeypatch.setattr(players, "training_step", hungry_step)
    with pytest.raises(
        MemoryError,
        match="memory of cpu is too small for batch_size=16 .*too much.*; batch_size=4 fits",
    ):
        run_small(make_images(), tmp_path)


def test_images_that_do_not_fit(make_images, tmp_path):
    with pytest.raises(
        ValueError, match="10 images, fewer than one batch of 16; choose a batch_size of at most 10"
    ):
        run_small(make_images(10), tmp_path)
    with pytest.raises(ValueError, match="1 channels and 64 pixels.*channels=1 and image_size=64"):
        run_small(make_images(size=64), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name,damage", [("checkpoint.pt", b"PK"), ("config.json", b"{"), ("weights.pt", b"")]
)
def test_damaged_files_are_named(make_images, tmp_path, name, damage):
    run_small(make_images(), tmp_path)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        run_small(
            make_images(), tmp_path, replace(SMALL, epochs=3 if name == "checkpoint.pt" else 2)
        )


def test_a_finished_run_needs_no_checkpoint(make_images, tmp_path):
    run = run_small(make_images(), tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    assert same_weights(run, run_small(make_images(), tmp_path))
    with pytest.raises(ValueError, match="no checkpoint.pt from which more epochs could go on"):
        run_small(make_images(), tmp_path, replace(SMALL, epochs=3))
    assert same_weights(run, Run.load(tmp_path))


def test_two_programs_do_not_train_in_one_folder(make_images, tmp_path, monkeypatch):
    step = players.training_step

    def impatient_step(*args):
        with pytest.raises(ValueError, match="another program is training in"):
            run_small(make_images(), tmp_path)
        return step(*args)

    monkeypatch.setattr(players, "training_step", impatient_step)
    run_small(make_images(), tmp_path, replace(SMALL, epochs=1))


def test_a_call_that_came_to_nothing_leaves_the_folder_free(make_images, tmp_path):
    with pytest.raises(ValueError, match="kernel_size is 7"):
        run_small(make_images(), tmp_path, replace(SMALL, kernel_size=7))
    with pytest.raises(FloatingPointError, match="Nothing was saved in"):
        run_small(make_images(), tmp_path, replace(SMALL, lr=1e30))
    assert run_small(make_images(), tmp_path).history["epoch"][-1] == 2


def test_processes_that_have_not_joined_are_refused(make_images, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="call dcgan_lib.training.fast.processes.join"):
        run_small(make_images(), tmp_path)


def test_a_step_that_fails_leaves_the_discriminator_free(make_images):
    _, ours = two_sides(torch.float32)
    real, z = next(batches(make_images, 1, torch.float32))
    ours[2].step = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        training_step(*ours, real, z)
    assert all(p.requires_grad for p in ours[1].parameters())


FULL_DISK = """
import resource, sys
from dataclasses import replace
import torch
from dcgan_lib import ImageSet, TrainConfig, train

pixels = torch.randint(0, 256, (64, 32, 32, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
images = ImageSet(pixels.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
config = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=1, precision="fp32")
train(images, config, sys.argv[1], device="cpu", progress=False)
before = open(sys.argv[1] + "/checkpoint.pt", "rb").read()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file may be larger: as on a full disk
try:
    train(images, replace(config, epochs=2), sys.argv[1], device="cpu", progress=False)
except OSError as error:
    print(error)
print("unchanged:", before == open(sys.argv[1] + "/checkpoint.pt", "rb").read())
"""


def test_full_disk_keeps_the_last_checkpoint(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    said, unchanged = found.stdout.splitlines()
    assert "checkpoint.pt: File too large; what was there before is unchanged" in said, found
    assert unchanged == "unchanged: True"
    assert not list(tmp_path.glob(".*.part"))


def test_no_run_here(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        dict(precision="fp16"),
        dict(batch_size=1),
        dict(epochs=0),
        dict(batch_size=2.5),
        dict(d_steps=0),
        dict(latents="cauchy"),
        dict(ema=1.0),
        dict(real_label=2.0),
    ],
)
def test_configurations_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        TrainConfig(**wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_gpu_run_equals_the_cpu_run_at_first(make_images, tmp_path):
    cpu = run_small(make_images(), tmp_path / "cpu", replace(SMALL, epochs=1))
    gpu = train(
        make_images(), replace(SMALL, epochs=1), tmp_path / "gpu", device="cuda", progress=False
    )
    for name in METRICS:
        assert gpu.history[name][0] == pytest.approx(cpu.history[name][0], rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_one_graph_trains_what_single_launches_train(make_images, tmp_path, monkeypatch):
    config = replace(SMALL, ema=0.9, flip=True, d_steps=2)
    graphed = train(make_images(), config, tmp_path / "graphed", device="cuda", progress=False)
    monkeypatch.setattr(training, "Graphed", lambda step: step)
    single = train(make_images(), config, tmp_path / "single", device="cuda", progress=False)
    for name in METRICS:
        assert graphed.history[name] == pytest.approx(single.history[name], rel=1e-2), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_too_small_names_a_batch_that_fits(make_images, tmp_path):
    free = torch.cuda.mem_get_info()[0]
    taken = torch.empty(free - 2**30, dtype=torch.uint8, device="cuda")
    images = make_images(4096, size=64, channels=3)
    config = TrainConfig(image_size=64, width=128, batch_size=4096, epochs=1)
    with pytest.raises(MemoryError, match="batch_size=4096 .*; batch_size=[0-9]+ fits"):
        train(images, config, tmp_path, device="cuda", progress=False)
    del taken


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
    monkeypatch.setattr(Graphed, "_aside", lambda self, *inputs: self.step(*inputs))

    def step(x):
        seen.append(x)
        return x + 1

    graphed = Graphed(step)
    for number in range(6):
        graphed(torch.full((2,), float(number)))
    if fails:
        assert len(seen) == 6 and not replays
        assert [record.message for record in caplog.records] == [
            "no CUDA graph (operation not permitted when stream is capturing); steps are launched one by one"
        ]
    else:
        assert len(seen) == Graphed.WARM_UP + 1 and len(replays) == 3
        assert torch.equal(seen[-1], torch.full((2,), 5.0)), (
            "the last batch is in the captured buffer"
        )
