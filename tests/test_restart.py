"""Training killed at any moment, and training shared by processes: the weights must be those of one quiet run."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from dcgan_lib import Run

# A parent that forks a child for each training, so that PyTorch is imported once; it trains nothing itself.
KILLS = """
import hashlib, os, random, signal, sys, time
import torch
from dcgan_lib import ImageSet, TrainConfig, train, training

training.READ_EVERY, training.SAVE_EVERY = 3, 0  # a checkpoint nearly always in the making
folder, kills = sys.argv[1], int(sys.argv[2])
pixels = torch.randint(0, 256, (96, 32, 32, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
images = ImageSet(pixels.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
config = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=8, ema=0.9, flip=True, precision="fp32")


def child(run_dir):
    pid = os.fork()
    if not pid:
        torch.set_num_threads(1)
        train(images, config, run_dir, device="cpu", progress=False)
        os._exit(0)
    return pid


def digest(run_dir):
    return hashlib.sha256(open(run_dir + "/weights.pt", "rb").read()).hexdigest()


start = time.monotonic()
os.waitpid(child(folder + "/whole"), 0)
took = time.monotonic() - start
draw, outcomes = random.Random(0), []
for number in range(kills):
    run_dir = f"{folder}/killed{number}"
    pid = child(run_dir)
    time.sleep(draw.uniform(0, 0.7 * took))
    os.kill(pid, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    _, status = os.waitpid(child(run_dir), 0)
    outcomes.append((killed, status, digest(run_dir) == digest(folder + "/whole")))
print(outcomes)
print(sum(killed for killed, _, _ in outcomes), "killed;",
      sum(same and not status for _, status, same in outcomes), "of", kills, "with the same weights")
"""


def test_kill_9_at_any_moment_changes_nothing(tmp_path):
    kills = int(os.environ.get("KILLS", 6))
    found = subprocess.run([sys.executable, "-c", KILLS, str(tmp_path), str(kills)], capture_output=True, text=True)
    assert found.stdout.endswith(f"{kills} of {kills} with the same weights\n"), found.stdout + found.stderr
    assert int(found.stdout.splitlines()[-1].split()[0]) > kills // 2, "most runs ended before they were killed"


@pytest.fixture
def launch(tmp_path):
    """launch(runs, processes): the command line on a small file of parameters; processes=None without torchrun."""
    parameters = {"dataset": "digits", "limit": 64, "image_size": 32, "width": 8, "batch_size": 16, "epochs": 10,
                  "precision": "fp32", "per_class": 3}  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(parameters))

    def start(runs, processes=None, *more):
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        command = [sys.executable, "-m", *(torchrun if processes else []), "dcgan_lib.train",
                   "--params", str(tmp_path / "tiny.yaml"), "--runs", str(tmp_path / runs), "--device", "cpu", *more]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, start_new_session=True, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

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
    # The same batches, and BatchNorm over all of them: only the order of sums differs, and training amplifies it.
    for name in ("loss_d", "loss_g", "d_real", "d_fake_before", "d_fake_after"):
        assert two.history[name][:10] == pytest.approx(one.history[name][:10], rel=1e-3), name

    killed = launch("killed", 2)
    checkpoint = tmp_path / "killed" / "tiny" / "dcgan" / "samples" / "epoch_001.png"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0, 0.2))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    finish(launch("killed", 2))
    assert digest(tmp_path / "killed/tiny/dcgan/weights.pt") == digest(tmp_path / "shared/tiny/dcgan/weights.pt")


def test_the_command_line_says_what_is_wrong(launch, tmp_path):
    def refusal(*more, processes=None):
        process = launch("wrong", processes, *more)
        output = process.communicate(timeout=60)[0]
        assert process.returncode != 0
        return output

    assert "no parameter 'epoch'; did you mean epochs?" in refusal("-p", "epoch", "3")
    assert "digitz" in refusal("-p", "dataset", "digitz")
    assert not (tmp_path / "wrong").exists()


def test_processes_that_cannot_share_a_batch_equally(launch):
    output = launch("odd", 2, "-p", "batch_size", "15").communicate(timeout=60)[0]
    assert "2 processes cannot share equally; choose a multiple of 2" in output


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine")
def test_two_gpus_train_what_one_trains(launch, tmp_path):
    for runs, processes in (("alone", None), ("shared", 2)):
        finish(launch(runs, processes, "--device", "cuda"))
    one, two = (Run.load(tmp_path / runs / "tiny" / "dcgan") for runs in ("alone", "shared"))
    assert two.history["loss_d"][:5] == pytest.approx(one.history["loss_d"][:5], rel=1e-2)
