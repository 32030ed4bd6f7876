"""Training killed at any moment, and training shared by processes: the weights must be those of one quiet run."""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from dcgan_lib import Run

# A parent that forks a child for each training, so that PyTorch is imported once; it trains nothing itself.
KILLS = """
import hashlib, itertools, os, random, signal, sys, time
import torch
from dcgan_lib import ImageSet, TrainConfig, train, training

training.READ_EVERY, training.SAVE_EVERY = 3, 0  # a checkpoint nearly always in the making
folder, kills = sys.argv[1], int(sys.argv[2])
pixels = torch.randint(0, 256, (96, 32, 32, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
images = ImageSet(pixels.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
config = TrainConfig(image_size=32, channels=1, width=8, batch_size=16, epochs=int(sys.argv[3]), ema=0.9, flip=True, precision="fp32")


def child(run_dir, dies_at=None):
    # A training in a process of its own, which kills itself before the n-th change of the folder.
    pid = os.fork()
    if not pid:
        torch.set_num_threads(1)
        if dies_at is not None:
            calls = []

            def deadly(change):
                def changed(*args, **kwargs):
                    calls.append(1)
                    if len(calls) == dies_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    change(*args, **kwargs)
                return changed

            os.replace, os.unlink = deadly(os.replace), deadly(os.unlink)
        train(images, config, run_dir, device="cpu", progress=False)
        os._exit(0)
    return pid


def digest(run_dir):
    # Of the weights, and of the history without its last column, the speed.
    lines = open(run_dir + "/history.csv").read().splitlines()
    metrics = "".join(line.rpartition(",")[0] for line in lines).encode()
    return hashlib.sha256(open(run_dir + "/weights.pt", "rb").read() + metrics).hexdigest()


start = time.monotonic()
os.waitpid(child(folder + "/whole"), 0)
took = time.monotonic() - start
draw, outcomes = random.Random(0), []
if not kills:  # at every change of the folder, just before it
    for n in itertools.count(1):
        run_dir = f"{folder}/at{n}"
        if not os.WIFSIGNALED(os.waitpid(child(run_dir, n), 0)[1]):
            break
        _, status = os.waitpid(child(run_dir), 0)
        outcomes.append((True, status, digest(run_dir) == digest(folder + "/whole")))
    kills = len(outcomes)
for number in range(kills if not outcomes else 0):
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


def trainings(folder, kills, epochs):
    command = [sys.executable, "-c", KILLS, str(folder), str(kills), str(epochs)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout.splitlines()[-1]


def test_kill_9_at_any_moment_changes_nothing(tmp_path):
    kills = int(os.environ.get("KILLS", 6))
    said = trainings(tmp_path, kills, 8)
    assert said.endswith(f"{kills} of {kills} with the same weights"), said
    assert int(said.split()[0]) > kills // 2, "most runs ended before they were killed"


def test_kill_9_at_every_change_of_the_folder_changes_nothing(tmp_path):
    """The moments that a random kill seldom meets: between two files that belong together."""
    said = trainings(tmp_path, 0, 1)
    killed, same, of = (int(word) for word in re.findall("[0-9]+", said))
    assert killed == same == of and killed > 7, said


@pytest.fixture
def launch(tmp_path):
    """launch(runs, processes): the command line on a small file of parameters; processes=None without torchrun."""
    parameters = {"dataset": "digits", "limit": 64, "image_size": 32, "width": 8, "batch_size": 16, "epochs": 10,
                  "precision": "fp32", "per_class": 3}  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(parameters))

    def start(runs, processes=None, *more, script=None):
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        program = [str(script)] if script else ["-m", "dcgan_lib.train"]
        command = [sys.executable, *(torchrun if processes else []), *program,
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

    script = tmp_path / "often.py"  # saves at every reading, so that there is something to go on from
    script.write_text("from dcgan_lib import training\ntraining.SAVE_EVERY, training.READ_EVERY = 0, 1\n"
                      "from dcgan_lib.train import main\nmain()\n")
    killed, folder = launch("killed", 2, script=script), tmp_path / "killed" / "tiny" / "dcgan"
    while not (folder / "samples" / "epoch_002.png").exists() and killed.poll() is None:
        time.sleep(0.01)
    # torchrun gives its workers sessions of their own, so each is killed by its number.
    workers = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    for pid in (killed.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    killed.communicate()
    assert len(workers) == 2 and (folder / "checkpoint.pt").exists() and not (folder / "weights.pt").exists()
    finish(launch("killed", 2))
    assert digest(folder / "weights.pt") == digest(tmp_path / "shared/tiny/dcgan/weights.pt")


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
