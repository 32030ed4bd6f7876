"""The folder of a run: what it holds, what goes on from it, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import SMALL, run_small, same_weights

from dcgan_lib import ImageSet, Run, run_folder, sample, to_uint8
from dcgan_lib.training import loop
from dcgan_lib.training.health import METRICS
from dcgan_lib.training.run import COLUMNS

FIRST_EDITION = Path(__file__).parents[1] / "first_edition"


def test_a_run_of_the_first_edition_is_read_returned_and_extended(tmp_path):
    folder = shutil.copytree(FIRST_EDITION / "run", tmp_path / "run")
    run = Run.load(folder)
    assert run.config.epochs == 2 and len(run.history["loss_d"]) == 12 and len(run.samples()) == 3
    assert torch.equal(run.samples()[-1], to_uint8(sample(run.generator, 64, run.config.seed)))
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (96, 32, 32, 1), generator=stream, dtype=torch.uint8)
    images = ImageSet(pixels.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
    assert same_weights(run_small(images, folder, run.config), run)
    longer = run_small(images, folder, replace(run.config, epochs=3))
    anew = run_small(images, tmp_path / "anew", replace(run.config, epochs=3))
    for name in METRICS:
        np.testing.assert_allclose(longer.history[name], anew.history[name], rtol=1e-4)


def test_different_runs_have_different_folders(make_images):
    images, other = make_images(), make_images(seed=1)
    names = {
        run_folder(images, SMALL),
        run_folder(other, SMALL),
        run_folder(images, replace(SMALL, kernel_size=5)),
        run_folder(images, replace(SMALL, seed=1)),
    }
    assert len(names) == 4
    assert run_folder(images, SMALL) == run_folder(images, replace(SMALL, epochs=9))
    assert run_folder(images, SMALL, "elsewhere").parent == Path("elsewhere")


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


def test_finished_run_is_returned_as_it_is(make_images, tmp_path, monkeypatch):
    run = run_small(make_images(), tmp_path)
    monkeypatch.setattr(loop, "training_step", None)  # calling it would fail
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
    step, calls = loop.training_step, []

    def interrupted_step(*args, **kw):
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), number)
        return step(*args, **kw)

    monkeypatch.setattr(loop, "training_step", interrupted_step)
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
    grown = run_small(make_images(), tmp_path / "grown", replace(SMALL, epochs=3))
    assert same_weights(grown, whole)
    with pytest.raises(ValueError, match="config.epochs: 3 there, 2 here"):
        run_small(make_images(), tmp_path / "grown")


def test_an_extension_that_is_stopped_leaves_the_finished_run(make_images, tmp_path, monkeypatch):
    """Until three epochs are done, the run of two is there, for `Run.load` and the first call."""
    whole = run_small(make_images(), tmp_path / "whole", replace(SMALL, epochs=3))
    finished = run_small(make_images(), tmp_path / "grown")
    step = loop.training_step

    def interrupted_step(*args, **kw):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(*args, **kw)

    monkeypatch.setattr(loop, "training_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt, match="after step 13 of 18"):
        run_small(make_images(), tmp_path / "grown", replace(SMALL, epochs=3))
    monkeypatch.setattr(loop, "training_step", None)
    for run in (Run.load(tmp_path / "grown"), run_small(make_images(), tmp_path / "grown")):
        assert same_weights(run, finished) and run.config.epochs == 2
        assert len(run.history["epoch"]) == 12 and len(run.samples()) == 3
    monkeypatch.setattr(loop, "training_step", step)
    grown = run_small(make_images(), tmp_path / "grown", replace(SMALL, epochs=3))
    assert same_weights(grown, whole) and len(Run.load(tmp_path / "grown").history["epoch"]) == 18


def test_a_checkpoint_that_cannot_be_read_costs_no_finished_run(make_images, tmp_path):
    finished = run_small(make_images(), tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(ValueError, match="checkpoint.pt is damaged"):
        run_small(make_images(), tmp_path, replace(SMALL, epochs=3))
    assert same_weights(finished, run_small(make_images(), tmp_path))


def test_fewer_epochs_than_an_extension_has_done(make_images, tmp_path):
    run_small(make_images(), tmp_path, replace(SMALL, epochs=1))
    run_small(make_images(), tmp_path, replace(SMALL, epochs=3))
    (tmp_path / "weights.pt").unlink()
    setting = json.loads((tmp_path / "config.json").read_text())
    setting["config"]["epochs"] = 1
    (tmp_path / "config.json").write_text(json.dumps(setting))
    with pytest.raises(
        ValueError, match="trained for 18 steps already, more than the 12 of epochs=2"
    ):
        run_small(make_images(), tmp_path)


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


SLOWLY = """
import sys, time
from small_runs import SMALL, run_small
from dcgan_lib import ImageSet
from dcgan_lib.training import loop
import torch

step = loop.training_step
loop.training_step = lambda *args, **kw: (time.sleep(0.1), step(*args, **kw))[1]
pixels = torch.load(sys.argv[1])
run_small(ImageSet(pixels, None, (), "squares", sys.argv[2], []), sys.argv[3])
"""


def test_the_same_run_in_another_program_is_waited_for(make_images, tmp_path, capfd, monkeypatch):
    """Two notebooks that share a run may be executed side by side."""
    images, folder = make_images(), tmp_path / "run"
    torch.save(images.images.contiguous(), tmp_path / "pixels.pt")
    arguments = [str(tmp_path / "pixels.pt"), images.fingerprint, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    other = subprocess.Popen([sys.executable, "-c", SLOWLY, *arguments], env=environment)
    while not (folder / "samples" / "epoch_000.png").exists():
        assert other.poll() is None
        time.sleep(0.01)
    with pytest.raises(ValueError, match="config.lr: 0.0002 there, 0.001 here"):  # not waited for
        run_small(images, folder, replace(SMALL, epochs=2, lr=1e-3))
    monkeypatch.setattr(loop, "training_step", None)  # calling it would fail
    run = run_small(images, folder)
    assert other.wait() == 0 and len(run.history["epoch"]) == 12
    assert f"Another process is at work on {folder}: waiting for it" in capfd.readouterr().err


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


FULL_DISK = """
import resource, sys
from dataclasses import replace
import torch
from dcgan_lib import ImageSet, TrainConfig, train

stream = torch.Generator().manual_seed(0)
pixels = torch.randint(0, 256, (64, 32, 32, 1), generator=stream, dtype=torch.uint8)
images = ImageSet(pixels.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
config = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=1, precision="fp32")
train(images, config, sys.argv[1], device="cpu", progress=False)
before = open(sys.argv[1] + "/checkpoint.pt", "rb").read()
# No file may be larger: as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
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


@pytest.mark.parametrize("field", ["newer", "samples", "history", "config"])
def test_what_a_newer_version_or_damage_left_is_told_in_a_sentence(make_images, tmp_path, field):
    run_small(make_images(), tmp_path)
    setting = json.loads((tmp_path / "config.json").read_text())
    if field == "newer":
        setting["config"]["loss"] = "hinge"
        (tmp_path / "config.json").write_text(json.dumps(setting))
        with pytest.raises(ValueError, match="written by a newer dcgan_lib: it has loss"):
            Run.load(tmp_path)
    elif field == "config":
        for damage in ("{}", "[]", '{"config": 3, "data": {}}'):
            (tmp_path / "config.json").write_text(damage)
            with pytest.raises(ValueError, match="config.json is damaged"):
                Run.load(tmp_path)
    elif field == "samples":
        (tmp_path / "samples" / "epoch_001.png").write_bytes(b"no picture")
        with pytest.raises(ValueError, match="epoch_001.png is missing or damaged"):
            Run.load(tmp_path).samples()
    else:
        for damage in ("", "epoch,loss_d\n1,x\n"):
            (tmp_path / "history.csv").write_text(damage)
            with pytest.raises(ValueError, match="history.csv is missing or damaged"):
                Run.load(tmp_path)


def test_a_single_bit_that_flipped_in_the_weights_is_noticed(make_images, tmp_path):
    run_small(make_images(), tmp_path)
    content = bytearray((tmp_path / "weights.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(ValueError, match="weights.pt is damaged"):
        Run.load(tmp_path)


def test_a_checkpoint_cut_at_any_length_is_told_in_a_sentence(make_images, tmp_path):
    run_small(make_images(), tmp_path)
    whole = (tmp_path / "weights.pt").read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        (tmp_path / "weights.pt").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="weights.pt is damaged"):
            Run.load(tmp_path)
