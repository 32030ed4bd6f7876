"""Training killed at any moment, or shared by processes, ends with the weights of one quiet run."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from dcgan_lib import Run


def kills(folder, *how):
    """(was it killed, did it end as the quiet run) for every training that tests/kills.py kills."""
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), str(folder), *how]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_kill_9_at_any_moment_changes_nothing(tmp_path):
    found = kills(tmp_path, "random", os.environ.get("KILLS", "6"))
    assert all(same for _, same in found), found
    assert sum(killed for killed, _ in found) > len(found) / 2, (
        "most runs ended before they were killed"
    )


def test_kill_9_at_every_change_of_the_folder_changes_nothing(tmp_path):
    """The moments that a random kill seldom meets: between two files that belong together."""
    found = kills(tmp_path, "every")
    assert len(found) > 7 and all(same for _, same in found), found


@pytest.fixture
def launch(tmp_path):
    """launch(runs, processes): the command on a small file; processes=None without torchrun."""
    parameters = {
        "dataset": "digits",
        "limit": 64,
        "image_size": 32,
        "width": 8,
        "batch_size": 16,
        "epochs": 10,
        "precision": "fp32",
        "per_class": 3,
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(parameters))

    def start(runs, processes=None, *more, script=None):
        torchrun = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(processes),
        ]
        program = [str(script)] if script else ["-m", "dcgan_lib"]
        command = [
            sys.executable,
            *(torchrun if processes else []),
            *program,
            "train",
            str(tmp_path / "tiny.yaml"),
            "--runs",
            str(tmp_path / runs),
            "--device",
            "cpu",
            *more,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return start


def finish(process):
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    return output


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_processes_train_what_one_trains_and_survive_a_kill(launch, tmp_path):
    alone = finish(launch("alone"))
    assert "not used in training: per_class" in alone and alone.count("trained: ") == 1
    shared = finish(launch("shared", 2))
    assert shared.count("trained: ") == 1, "one process reports"
    one, two = (Run.load(tmp_path / runs / "tiny" / "dcgan") for runs in ("alone", "shared"))
    # The same batches, and BatchNorm over all of them: only the order of sums differs.
    for name in ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after"):
        assert two.history[name][:10] == pytest.approx(one.history[name][:10], rel=1e-3), name

    script = (
        tmp_path / "often.py"
    )  # saves at every reading, so that there is something to go on from
    script.write_text(
        "from dcgan_lib.training import run\nrun.SAVE_EVERY, run.READ_EVERY = 0, 1\n"
        "from dcgan_lib.__main__ import main\nmain()\n"
    )
    killed, folder = launch("killed", 2, script=script), tmp_path / "killed" / "tiny" / "dcgan"
    while not (folder / "samples" / "epoch_002.png").exists() and killed.poll() is None:
        time.sleep(0.01)
    # torchrun gives its workers sessions of their own, so each is killed by its number.
    workers = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    for pid in (killed.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    killed.communicate()
    assert (
        len(workers) == 2
        and (folder / "checkpoint.pt").exists()
        and not (folder / "weights.pt").exists()
    )
    finish(launch("killed", 2))
    assert digest(folder / "weights.pt") == digest(tmp_path / "shared/tiny/dcgan/weights.pt")


def test_the_command_line_says_what_is_wrong(launch, tmp_path):
    def refusal(*more):
        process = launch("wrong", None, *more)
        output = process.communicate(timeout=60)[0]
        assert process.returncode != 0
        return output

    assert "no parameter 'epoch'; did you mean epochs?" in refusal("-p", "epoch", "3")
    assert "digitz" in refusal("-p", "dataset", "digitz")
    assert "crop='round' is not known: choose 'centre'" in refusal("-p", "crop", "round")
    assert not (tmp_path / "wrong").exists()


def test_processes_that_cannot_share_a_batch_equally(launch):
    output = launch("odd", 2, "-p", "batch_size", "15").communicate(timeout=60)[0]
    assert "2 processes cannot share equally; choose a multiple of 2" in output


@pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine"
)
def test_two_gpus_train_what_one_trains(launch, tmp_path):
    for runs, processes in (("alone", None), ("shared", 2)):
        finish(launch(runs, processes, "--device", "cuda"))
    one, two = (Run.load(tmp_path / runs / "tiny" / "dcgan") for runs in ("alone", "shared"))
    assert two.history["loss_d"][:5] == pytest.approx(one.history["loss_d"][:5], rel=1e-2)
