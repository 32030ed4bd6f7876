"""Trainings killed with signal 9 and started again; prints a pair for each.

The pair says whether it was killed and whether it ended as the quiet one.

    python kills.py FOLDER random 20     # 20 kills at random moments
    python kills.py FOLDER every         # one kill before every change of the run folder

PyTorch is imported once: the parent forks a child for each training, and trains nothing itself.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from dcgan_lib import ImageSet, TrainConfig, train
from dcgan_lib.training import run

run.READ_EVERY, run.SAVE_EVERY = 3, 0  # a checkpoint nearly always in the making
PIXELS = torch.randint(
    0, 256, (96, 32, 32, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)
IMAGES = ImageSet(PIXELS.permute(0, 3, 1, 2), None, (), "noise", "noise", [])
CONFIG = dict(
    image_size=32, channels=1, width=8, batch_size=16, ema=0.9, flip=True, precision="fp32"
)


def start(run_dir, epochs, dies_at=None):
    """A training in a process of its own, which may kill itself before the n-th change."""
    pid = os.fork()
    if pid:
        return pid
    torch.set_num_threads(1)
    changes = itertools.count(1)

    def deadly(change):
        def changed(*args, **kwargs):
            if next(changes) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            change(*args, **kwargs)

        return changed

    os.replace, os.unlink = deadly(os.replace), deadly(os.unlink)
    train(IMAGES, TrainConfig(epochs=epochs, **CONFIG), run_dir, device="cpu", progress=False)
    os._exit(0)


def was_killed(pid):
    """Whether a training ended by a signal; it must have ended well otherwise."""
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, "a training failed"
    return os.WIFSIGNALED(status)


def digest(run_dir):
    """Of the weights, and of the history without its last column, the speed."""
    lines = Path(f"{run_dir}/history.csv").read_text().splitlines()
    metrics = "".join(line.rpartition(",")[0] for line in lines).encode()
    return hashlib.sha256(Path(f"{run_dir}/weights.pt").read_bytes() + metrics).hexdigest()


def ends_as_the_quiet_one(run_dir, epochs):
    return not was_killed(start(run_dir, epochs)) and digest(run_dir) == digest(
        f"{run_dir}/../quiet"
    )


def kill_at_random(folder, times, epochs=8):
    begin = time.monotonic()
    was_killed(start(f"{folder}/quiet", epochs))
    took, draw = time.monotonic() - begin, random.Random(0)
    for number in range(times):
        run_dir = f"{folder}/random{number}"
        pid = start(run_dir, epochs)
        time.sleep(draw.uniform(0, 0.7 * took))
        os.kill(pid, signal.SIGKILL)
        yield was_killed(pid), ends_as_the_quiet_one(run_dir, epochs)


def kill_at_every_change(folder, epochs=1):
    was_killed(start(f"{folder}/quiet", epochs))
    for number in itertools.count(1):
        run_dir = f"{folder}/change{number}"
        if not was_killed(start(run_dir, epochs, number)):
            return
        yield True, ends_as_the_quiet_one(run_dir, epochs)


if __name__ == "__main__":
    folder, how, *times = sys.argv[1:]
    print(
        json.dumps(
            list(
                kill_at_random(folder, int(*times))
                if how == "random"
                else kill_at_every_change(folder)
            )
        )
    )
