"""The step and the loop against plain textbook code and the first edition's numbers."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import SMALL, run_small, same_weights
from torch import nn
from torch.nn.functional import softplus
from training_speed import textbook_step

from dcgan_lib import (
    Discriminator,
    Generator,
    Run,
    generate,
    latent,
    rng,
    sample,
    to_float,
    to_uint8,
    train,
    training_step,
)
from dcgan_lib.training import fast, loop
from dcgan_lib.training.health import METRICS
from dcgan_lib.utils.device import autocast_dtype

FIRST_EDITION = Path(__file__).parents[1] / "first_edition"


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_ten_steps_in_float64_equal_those_of_the_first_edition(kernel_size):
    golden = json.loads((FIRST_EDITION / "ten_steps.json").read_text())[str(kernel_size)]
    networks = Generator(32, 1, 100, 8, kernel_size), Discriminator(32, 1, 8, kernel_size)
    networks = [network.double() for network in networks]
    adams = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in networks]
    for number, expected in enumerate(golden["metrics"]):
        stream = rng(0, f"golden {number}")
        pixels = torch.randint(0, 256, (16, 1, 32, 32), generator=stream, dtype=torch.uint8)
        z = latent(16, seed=number).double()
        found = training_step(*networks, *adams, to_float(pixels).double(), z).tolist()
        assert found == pytest.approx(expected, rel=1e-6)
    for letter, network in zip("GD", networks):
        for name, value in network.state_dict().items():
            expected = golden["weights"][f"{letter}.{name}"]
            assert [value.double().sum().item(), value.double().norm().item()] == pytest.approx(
                expected, rel=1e-5, abs=1e-6
            )


def two_sides(dtype, kernel_size=4, **options):
    """The same networks and optimizers twice: as tutorials have them, and as `train` has them."""
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
        sides.append([*networks, *adams])
    return sides


def flat(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def batches(make_images, steps, dtype):
    images, stream = to_float(make_images(64).images), torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows, z = torch.randperm(64, generator=stream)[:16], torch.randn(16, 100, generator=stream)
        yield images[rows].to(dtype), z.to(dtype)


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_fifty_steps_equal_the_textbook_loop(make_images, kernel_size):
    """In float64, where rounding has no time to grow; in fp32 equal loops drift apart by it."""
    textbook, ours = two_sides(torch.float64, kernel_size)
    for real, z in batches(make_images, 50, torch.float64):
        expected = torch.tensor(textbook_step(*textbook, real.contiguous(), z), dtype=torch.float64)
        torch.testing.assert_close(training_step(*ours, real, z), expected, rtol=1e-5, atol=0)
    for plain, mine in zip(textbook[:2], ours[:2]):
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(
                mine.state_dict()[name], value, rtol=1e-5, atol=1e-9, msg=name
            )


def test_gradients_that_a_caller_left_do_not_count(make_images):
    clean, littered = (two_sides(torch.float64)[1] for _ in range(2))
    for network in littered[:2]:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    for real, z in batches(make_images, 2, torch.float64):
        assert torch.equal(training_step(*clean, real, z), training_step(*littered, real, z))


def test_no_gradient_is_kept_between_steps(make_images):
    _, ours = two_sides(torch.float32)
    real, z = next(batches(make_images, 1, torch.float32))
    training_step(*ours, real, z, d_steps=2)
    assert all(p.grad is None for network in ours[:2] for p in network.parameters())


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_each_of_fifty_fp32_steps_equals_the_textbook_step(make_images, kernel_size):
    """In fp32, both sides starting each step from the textbook's weights.

    With plain gradient descent: Adam divides by the size of a gradient, which turns rounding around
    zero into updates of full length.
    """
    textbook, ours = two_sides(torch.float32, kernel_size)
    strayed = []
    for side in (textbook, ours):
        side[2:] = [torch.optim.SGD(network.parameters(), 0.01) for network in side[:2]]
    for real, z in batches(make_images, 50, torch.float32):
        for theirs, mine in zip(textbook[:2], ours[:2]):
            mine.load_state_dict(theirs.state_dict())
        start = [flat(network) for network in textbook[:2]]
        expected = torch.tensor(textbook_step(*textbook, real.contiguous(), z))
        torch.testing.assert_close(training_step(*ours, real, z), expected, rtol=1e-3, atol=1e-4)
        for before, plain, other in zip(start, textbook[:2], ours[:2]):
            update = flat(plain) - before
            strayed.append((flat(other) - flat(plain)).norm() / update.norm())
    # A sum that rounds to the other side of a ReLU's kink can change a gradient by percents.
    assert torch.stack(strayed).median() < 1e-4 and max(strayed) < 0.2


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


def test_more_updates_of_d_use_other_images_and_latents(make_images, tmp_path, monkeypatch):
    seen, step = [], loop.training_step
    watched = lambda *args, **kw: seen.append(args[4:6]) or step(*args, **kw)  # noqa: E731
    monkeypatch.setattr(loop, "training_step", watched)
    run = run_small(make_images(), tmp_path, replace(SMALL, d_steps=3, epochs=1))
    assert len(run.history["epoch"]) == 96 // 16 // 3 == len(seen)
    for kind in zip(*seen, strict=True):
        rows = torch.cat(kind).flatten(1)
        assert len(rows) == 96 == len(torch.unique(rows, dim=0)), "something was seen twice"


def test_several_updates_of_d_are_as_many_steps_of_d_and_one_of_g(make_images):
    """`d_steps=2` against the two updates written out."""
    by_hand, ours = two_sides(torch.float64)
    real, z = next(batches(make_images, 1, torch.float64))
    generator, discriminator, opt_g, opt_d = by_hand
    for x, latents in zip(real.chunk(2), z.chunk(2)):
        fake = generator(latents)
        loss_d = softplus(-discriminator(x)).mean() + softplus(discriminator(fake.detach())).mean()
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
    loss_g = softplus(-discriminator(fake)).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    metrics = training_step(*ours, real, z, d_steps=2)
    torch.testing.assert_close(
        metrics[:2], torch.stack([loss_d, loss_g]).detach(), rtol=1e-9, atol=0
    )


def test_average_of_the_generator(make_images, tmp_path, monkeypatch):
    """Against the definition, written out after every step."""
    step, expected = loop.training_step, {}

    def watched(generator, *args, **kw):
        if not expected:
            expected.update({name: value.clone() for name, value in generator.state_dict().items()})
        metrics = step(generator, *args, **kw)
        for name, value in generator.state_dict().items():
            if value.is_floating_point():
                expected[name] = 0.9 * expected[name] + 0.1 * value
        return metrics

    monkeypatch.setattr(loop, "training_step", watched)
    run = run_small(make_images(), tmp_path, replace(SMALL, ema=0.9))
    for name, value in run.generator.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    assert torch.equal(run.samples()[-1], to_uint8(sample(run.generator, 64, SMALL.seed)))


def test_a_run_knows_its_prior(make_images, tmp_path):
    """`sample` draws from the latents that the generator was trained with."""
    z = latent(1000, 100, 0, "uniform")
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1 and abs(z.std() - 3**-0.5) < 0.01
    run = run_small(make_images(), tmp_path, replace(SMALL, latents="uniform", epochs=1))
    drawn = generate(run.generator, latent(64, 100, SMALL.seed, "uniform"))
    assert torch.equal(sample(run.generator, 64, SMALL.seed), drawn)
    assert torch.equal(run.samples()[-1], to_uint8(drawn))


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


def test_trains_in_a_thread_where_no_signal_arrives(make_images, tmp_path):
    thread = threading.Thread(target=run_small, args=(make_images(), tmp_path))
    thread.start()
    thread.join()
    assert Run.load(tmp_path).history["epoch"][-1] == 2


def test_a_step_that_fails_leaves_the_discriminator_free(make_images):
    _, ours = two_sides(torch.float32)
    real, z = next(batches(make_images, 1, torch.float32))
    ours[2].step = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        training_step(*ours, real, z)
    assert all(p.requires_grad for p in ours[1].parameters())


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
    monkeypatch.setattr(fast, "GraphedStep", lambda step: step)
    single = train(make_images(), config, tmp_path / "single", device="cuda", progress=False)
    for name in METRICS:
        assert graphed.history[name] == pytest.approx(single.history[name], rel=1e-2), name


@pytest.mark.parametrize("d_steps", [1, 2])
def test_float16_with_a_scaler_skips_a_step_that_overflows(make_images, d_steps):
    """The number format of Colab's T4, on the CPU: as far from float32 as rounding explains."""
    exact, half = two_sides(torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    for real, z in batches(make_images, 3, torch.float32):
        expected = training_step(*exact, real, z, d_steps=d_steps)
        found = training_step(*half, real, z, scaler=scaler, d_steps=d_steps)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)
    before = [p.detach().clone() for p in half[0].parameters()]
    huge = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    training_step(*half, real, z, scaler=huge)
    assert all(torch.equal(p, q) for p, q in zip(half[0].parameters(), before))
    assert huge.get_scale() < 2.0**60, "the next step tries a smaller scale"


def test_a_float16_run_goes_on_with_its_scale(make_images, tmp_path):
    config = replace(SMALL, precision="fp16")
    whole = run_small(make_images(), tmp_path / "whole", config)
    run_small(make_images(), tmp_path / "parts", replace(config, epochs=1))
    saved = torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)
    assert saved["scaler"]["scale"] < 2.0**16, "the first steps overflow and are skipped"
    assert same_weights(run_small(make_images(), tmp_path / "parts", config), whole)


def test_a_float16_run_goes_on_from_a_checkpoint_without_a_scale(make_images, tmp_path):
    """`auto` is another format on another device, whose checkpoint has no scaler."""
    config = replace(SMALL, precision="fp16")
    run_small(make_images(), tmp_path, replace(config, epochs=1))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del saved["scaler"]
    torch.save(saved, tmp_path / "checkpoint.pt")
    assert run_small(make_images(), tmp_path, config).history["epoch"][-1] == 2


@pytest.mark.parametrize(
    "precision,capability,bf16,expected",
    [
        ("auto", (7, 5), False, torch.float16),
        ("auto", (8, 0), True, torch.bfloat16),
        ("auto", (6, 1), False, torch.float32),
        ("fp32", (7, 5), False, torch.float32),
    ],
)
def test_number_format_of_a_gpu(monkeypatch, precision, capability, bf16, expected):
    """A T4 is (7, 5): tensor cores for float16, and neither bf16 nor TF32."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert autocast_dtype(precision, "cuda") == expected
