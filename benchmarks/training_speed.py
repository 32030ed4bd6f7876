"""How fast a training step is, rung by rung, against the loop that tutorials copy.

    python benchmarks/training_speed.py               # the ladder: one process, variants in turn
    python benchmarks/training_speed.py --processes   # whole processes in turn, loading included
    python benchmarks/training_speed.py --out results/training-speed-cpu.json

Medians count. The textbook loop stands below in full: fp32, PyTorch's default order, sigmoid and
BCELoss, a discriminator that collects gradients while the generator learns, and five questions to
the device in each step. On a GPU PyTorch's own settings hold for it, with which "fp32"
convolutions are computed in TF32; ours let cuDNN choose the fastest routine, as `train` does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dcgan_lib import (
    Discriminator,
    Generator,
    TrainConfig,
    environment,
    train,
    training_step,
    write_record,
)
from dcgan_lib.training.fast.convolutions import use_weight_gradient_by_product
from dcgan_lib.training.fast.graph import GraphedStep
from dcgan_lib.training.fast.memory import keep_freed_memory
from dcgan_lib.utils import device as machine

SHAPES = ((64, 4), (64, 5), (32, 4), (32, 5))  # pixels, kernel
WIDTH, BATCH = 64, 128
EPOCHS = 10  # of the whole programs, as in the CIFAR-10 run of the training chapter


def textbook_step(generator, discriminator, opt_g, opt_d, real, z):
    """One step as the tutorials write it; returns five numbers."""
    loss, ones, zeros = nn.BCELoss(), real.new_ones(len(real)), real.new_zeros(len(real))
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
    return [
        x.item()
        for x in (loss_real + loss_fake, loss_g, d_real.mean(), d_fake.mean(), d_again.mean())
    ]


def players(size, kernel, device, order=torch.contiguous_format, fused=None, capturable=False):
    """Networks and optimizers of the papers, anew."""
    networks = Generator(size, 3, 100, WIDTH, kernel), Discriminator(size, 3, WIDTH, kernel)
    networks = [network.to(device, memory_format=order) for network in networks]
    adams = [
        torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999), fused=fused, capturable=capturable)
        for n in networks
    ]
    return (*networks, *adams)


def ladder(size, kernel, device):
    """name -> a function that does one step; each rung adds one thing to the rung before."""
    stream = torch.Generator().manual_seed(0)
    real = (torch.rand(BATCH, 3, size, size, generator=stream) * 2 - 1).to(device)
    z, last = (
        torch.randn(BATCH, 100, generator=stream).to(device),
        real.contiguous(memory_format=torch.channels_last),
    )
    bf16, cpu = machine.has_bf16(device), device == "cpu"

    def rung(step, real, *extra, routines=False, graph=False, tuned=False, **options):
        given = players(size, kernel, device, **options)
        if routines:
            for network in given[:2]:
                use_weight_gradient_by_product(network)

        def plain(real, z):
            return step(*given, real, z, *extra)

        advance = GraphedStep(plain) if graph else plain

        def one_step():
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=tuned, deterministic=False, allow_tf32=True
            ):
                return advance(real, z)

        return one_step

    order = dict(order=torch.channels_last, fused=True, tuned=True)
    rungs = {
        "textbook loop": rung(textbook_step, real),
        "no questions, D frozen in the G step": rung(training_step, real),
        "channels_last, fused Adam": rung(training_step, last, **order),
    }
    if bf16:
        rungs["bf16"] = rung(training_step, last, True, **order)
    if bf16 and cpu:
        rungs["weight gradients of many maps by a product"] = rung(
            training_step, last, True, routines=True, **order
        )
    if device == "cuda":
        rungs["one CUDA graph"] = rung(
            training_step, last, bf16, graph=True, capturable=True, **order
        )
    return rungs


def flops_an_image(size, kernel):
    """Floating-point operations of one step that does nothing twice, an image."""
    given = players(size, kernel, "cpu")
    with FlopCounterMode(display=False) as counter:
        training_step(*given, torch.zeros(4, 3, size, size), torch.zeros(4, 100))
    return counter.get_total_flops() / 4


def peak_flops(device):
    """Operations a second of the fastest product of large matrices, in bf16 where there is it."""
    kind, best = torch.bfloat16 if machine.has_bf16(device) else torch.float32, 0
    for side in (1024, 2048, 4096) + ((8192, 16384) if device == "cuda" else ()):
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        for _ in range(6):
            seconds = clock(partial(torch.matmul, a, b), device)
            best = max(best, 2 * side**3 / seconds)
    return best


def clock(action, device):
    """Seconds that an action takes, until the device has finished."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def run_often(step, times):
    for _ in range(times):
        step()


def race(steps, device, rounds, repeat):
    """Median seconds of each step, taken in turn, and of the paired ratios to the first."""
    times = {name: [] for name in steps}
    for number in range(rounds + 4):  # the first four warm up: the capture of a graph is the fourth
        for name, step in steps.items():
            seconds = clock(partial(run_often, step, repeat), device) / repeat
            if number >= 4:
                times[name].append(seconds)
    first = next(iter(times.values()))
    return {
        name: (median(taken), median(a / b for a, b in zip(first, taken)))
        for name, taken in times.items()
    }


def one_process(device, rounds, shapes):
    """The ladder at every shape: rows for a record."""
    keep_freed_memory()
    peak, rows = peak_flops(device), []
    for size, kernel in shapes:
        work = flops_an_image(size, kernel)
        found = race(ladder(size, kernel, device), device, rounds, 20 if device == "cuda" else 1)
        for name, (seconds, ratio) in found.items():
            speed = BATCH / seconds
            rows.append(
                {
                    "pixels": size,
                    "kernel": kernel,
                    "rung": name,
                    "images_per_second": speed,
                    "ratio": ratio,
                    "gflops": work * speed / 1e9,
                    "share_of_peak": work * speed / peak,
                }
            )
            print(
                f"{size} px, kernel {kernel}: {speed:10,.1f} images/s  {ratio:5.2f}x  "
                f"{work * speed / 1e9:8,.0f} GFLOP/s "
                f"{work * speed / peak:4.0%} of peak  {name}",
                flush=True,
            )
    return {"peak_gflops": peak / 1e9, "ladder": rows}


def textbook_loader(root, size):
    """Batches as the tutorials load them: ImageFolder, and a DataLoader with two workers."""
    from torchvision import datasets, transforms

    recipe = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
    return torch.utils.data.DataLoader(
        datasets.ImageFolder(root, recipe),
        BATCH,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )


def textbook_process(root, size, kernel, steps):
    """A textbook program: such a loader, and the loop."""
    device, loader = machine.default_device(), textbook_loader(root, size)
    given, done = players(size, kernel, device), 0
    while done < steps:
        for real, _ in loader:
            textbook_step(*given, real.to(device), torch.randn(BATCH, 100, device=device))
            done += 1
            if done == steps:
                break


def our_process(root, size, kernel, steps):
    """Ours: decode into a new cache, then `train` with its sample pictures and checkpoints."""
    from dcgan_lib import load_images

    images = load_images("folder", root=root, size=size)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            image_size=size,
            width=WIDTH,
            kernel_size=kernel,
            batch_size=BATCH,
            epochs=steps // (len(images) // BATCH),
        )
        train(images, config, folder, progress=False)


def write_pictures(folder, size, count):
    """JPEG pictures of noise and shapes for the two programs to decode."""
    from PIL import Image

    stream = torch.Generator().manual_seed(0)
    (folder / "train" / "one").mkdir(parents=True)
    for number in range(count):
        coarse = torch.rand(1, 3, 8, 8, generator=stream)
        picture = (
            nn.functional.interpolate(coarse, size=size, mode="bicubic")
            .clamp(0, 1)[0]
            .mul(255)
            .byte()
        )
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(
            folder / "train" / "one" / f"{number:05}.jpg"
        )


def whole_processes(rounds, shapes, steps):
    """Two programs in turn, each in its own process: images a second, ratio, largest memory."""
    rows = []
    for size, kernel in shapes:
        found = {"textbook": [], "ours": []}
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(Path(folder), size, steps * BATCH // EPOCHS)
            for number in range(rounds):
                for name in found:
                    command = [
                        sys.executable,
                        __file__,
                        "--one",
                        name,
                        folder,
                        str(size),
                        str(kernel),
                        str(steps),
                    ]
                    environment = {
                        **os.environ,
                        "DCGAN_LIB_HOME": f"{folder}/cache{number}",
                    }  # decoded every time
                    output = subprocess.run(
                        command, env=environment, capture_output=True, text=True, check=True
                    ).stdout
                    found[name].append(json.loads(output.splitlines()[-1]))
        ratio = median(b[0] / a[0] for a, b in zip(found["textbook"], found["ours"]))
        row = {"pixels": size, "kernel": kernel, "steps": steps, "epochs": EPOCHS, "ratio": ratio}
        for name, runs in found.items():
            row[name] = {
                "images_per_second": median(speed for speed, _ in runs),
                "peak_memory_mb": median(memory for _, memory in runs),
            }
        rows.append(row)
        print(
            f"{size} px, kernel {kernel}: textbook {row['textbook']}, ours {row['ours']}: "
            f"{ratio:.2f}x",
            flush=True,
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--processes", action="store_true", help="whole programs, loading of images included"
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each variant is timed (7)")
    parser.add_argument(
        "--steps", type=int, default=240, help=f"steps of a whole program, in {EPOCHS} epochs (240)"
    )
    parser.add_argument("--pixels", type=int, choices=(32, 64), help="one size only")
    parser.add_argument("--kernel", type=int, choices=(4, 5), help="one kernel only")
    parser.add_argument("--out", type=Path, help="add the results to this JSON record")
    parser.add_argument("--one", nargs=5, metavar="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, root, *numbers = options.one
        program = textbook_process if name == "textbook" else our_process
        start = time.perf_counter()  # from the first file that is opened to the last step
        program(f"{root}/train" if name == "textbook" else root, *map(int, numbers))
        speed = int(numbers[-1]) * BATCH / (time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if torch.cuda.is_available():
            memory = torch.cuda.max_memory_allocated() / 2**20
        print(json.dumps([speed, memory]))
        return
    shapes = [
        (pixels, kernel)
        for pixels, kernel in SHAPES
        if options.pixels in (None, pixels) and options.kernel in (None, kernel)
    ]
    record = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    record |= {"environment": environment(), "batch_size": BATCH, "width": WIDTH}
    if options.processes:
        others = [
            row
            for row in record.get("processes", [])
            if (row["pixels"], row["kernel"]) not in shapes
        ]
        record["processes"] = others + whole_processes(options.rounds, shapes, options.steps)
    else:
        record |= one_process(machine.default_device(), options.rounds, shapes)
    if options.out:
        write_record(options.out, record)


if __name__ == "__main__":
    main()
