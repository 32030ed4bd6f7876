"""What does each guideline of a DCGAN do? One thing changed at a time, three seeds, the same data.

    python benchmarks/ablation.py [--dataset fashion] [--seeds 0 1 2] [--epochs 8] [--only NAME ...]

Every variant is the book's default network with one guideline of Radford et al. (2015, section 3)
broken, trained by the package's own step. Written are results/ablation-NAME.json (for every
variant and seed the measures below) and results/ablation-NAME.png (eight drawings of each variant,
a row a variant, in the record's order, of the first seed).

The judge is a small classifier that is trained on the labels and that no generator ever meets:

- `frechet`: distance between its last hidden layer's mean and covariance over drawn images and
  over test images; `floor` is the same distance between training images and test images.
- `classes`: the exponential of the entropy of the classes that it sees in the drawings; 10 where
  all ten are drawn equally often, 1 where all drawings are of one class.
- `gap`: D(x) - D(G(z)) before the update, mean over the last epoch. Near 1, D always wins.
"""

import argparse
from copy import deepcopy
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

from dcgan_lib import (
    TrainConfig,
    environment,
    has_bf16,
    latent,
    load_images,
    rng,
    sample,
    to_float,
    to_uint8,
    training_step,
    write_record,
)
from dcgan_lib.records import RESULTS
from dcgan_lib.training.loop import move_average

DRAWN, SHOWN = 2000, 8


def convolutions(network):
    kinds = nn.Conv2d, nn.ConvTranspose2d
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def replace(network, kind, make):
    """Put make(layer) where a layer of this kind was."""
    for parent in network.modules():
        for name, layer in list(parent.named_children()):
            if isinstance(layer, kind):
                setattr(parent, name, make(layer))


def without_batchnorm(network):
    """BatchNorm goes; its learned shift stays as the convolution's bias."""
    for block in network.blocks:
        if any(isinstance(layer, nn.BatchNorm2d) for layer in block):
            block[0].bias = nn.Parameter(torch.zeros(block[0].out_channels))
    replace(network, nn.BatchNorm2d, lambda _: nn.Identity())


def resized(layer, stream):
    """A 3x3 convolution that keeps the size, with weights from N(0, 0.02)."""
    new = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=False)
    nn.init.normal_(new.weight, 0, 0.02, generator=stream)
    return new


def batchnorm_everywhere(g, d, _):
    d.blocks[0].insert(1, nn.BatchNorm2d(d.width))
    g.head.insert(1, nn.BatchNorm2d(d.channels))


def pooling_in_d(_, d, seed):
    stream = rng(seed, "3x3")
    for block in d.blocks:
        block[0] = resized(block[0], stream)
        block.append(nn.MaxPool2d(2))


def upsampling_in_g(g, _, seed):
    stream = rng(seed, "3x3")
    for block in [*g.blocks[1:], g.head]:
        block[0] = nn.Sequential(nn.Upsample(scale_factor=2), resized(block[0], stream))


def fully_connected(g, d, seed):
    """A hidden layer of 512 units between the latent and the maps, and between maps and logit."""
    stream, numbers = rng(seed, "fully connected"), d.head.in_channels * 16
    into = [nn.Flatten(), nn.Linear(g.latent_dim, 512), nn.BatchNorm1d(512), nn.ReLU()]
    first = nn.ConvTranspose2d(512, g.blocks[0][0].out_channels, 4, bias=False)
    g.blocks[0][0] = nn.Sequential(*into, nn.Unflatten(1, (512, 1, 1)), first)
    out = [nn.Linear(numbers, 512), nn.BatchNorm1d(512), nn.LeakyReLU(0.2), nn.Linear(512, 1)]
    d.head = nn.Sequential(nn.Flatten(), *out)
    for layer in (into[1], first, out[0], out[3]):
        nn.init.normal_(layer.weight, 0, 0.02, generator=stream)


def pytorchs_weights(g, d, seed):
    torch.manual_seed(seed)
    for layer in [*convolutions(g), *convolutions(d)]:
        layer.reset_parameters()


def no_batchnorm(g, d, _):
    without_batchnorm(g)
    without_batchnorm(d)


# name -> change(generator, discriminator, seed), in place
VARIANTS = {
    "DCGAN": lambda g, d, seed: None,
    "max-pooling in D": pooling_in_d,
    "resize and convolve in G": upsampling_in_g,
    "no BatchNorm in G": lambda g, d, seed: without_batchnorm(g),
    "no BatchNorm in D": lambda g, d, seed: without_batchnorm(d),
    "no BatchNorm at all": no_batchnorm,
    "BatchNorm everywhere": batchnorm_everywhere,
    "fully connected layers": fully_connected,
    "LeakyReLU in G": lambda g, d, seed: replace(g, nn.ReLU, lambda _: nn.LeakyReLU(0.2)),
    "sigmoid after G": lambda g, d, seed: replace(g, nn.Tanh, lambda _: nn.Sigmoid()),
    "nothing after G": lambda g, d, seed: replace(g, nn.Tanh, lambda _: nn.Identity()),
    "ReLU in D": lambda g, d, seed: replace(d, nn.LeakyReLU, lambda _: nn.ReLU()),
    "PyTorch's weights": pytorchs_weights,
    "kernel 5": lambda g, d, seed: None,  # set in the configuration
}


def trained(variant, images, config):
    """The averaged generator of a variant, and the gap of its last epoch."""
    generator, discriminator = config.networks()
    VARIANTS[variant](generator, discriminator, config.seed)
    generator.to(memory_format=torch.channels_last)
    discriminator.to(memory_format=torch.channels_last)
    average = deepcopy(generator)
    opt_g, opt_d = (
        torch.optim.Adam(network.parameters(), config.lr, config.betas, fused=True)
        for network in (generator, discriminator)
    )
    pixels, order = to_float(images.images), rng(config.seed, "order of the images")
    steps, gaps = len(images) // config.batch_size, []
    z = latent(config.epochs * steps * config.batch_size, seed=config.seed, purpose="ablation")
    z = iter(z.split(config.batch_size))
    for epoch in range(config.epochs):
        for batch in torch.randperm(len(images), generator=order).split(config.batch_size)[:steps]:
            real = pixels[batch].contiguous(memory_format=torch.channels_last)
            metrics = training_step(
                generator, discriminator, opt_g, opt_d, real, next(z), bf16=has_bf16("cpu")
            )
            move_average(average, generator, config.ema)
            if epoch == config.epochs - 1:
                gaps.append(float(metrics[2] - metrics[3]))
    return average, float(np.mean(gaps))


class Judge(nn.Module):
    """A small classifier; `hidden` is what the Fréchet distance looks at."""

    def __init__(self, channels, classes):
        super().__init__()
        self.hidden = nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * 64, 64), nn.ReLU()),
        )
        self.classes = nn.Linear(64, classes)

    def forward(self, x):
        return self.classes(self.hidden(x))


def judge_of(images, epochs=6):
    torch.manual_seed(0)
    judge, x, y = (
        Judge(images.channels, len(images.classes)),
        to_float(images.images),
        images.labels,
    )
    y = torch.as_tensor(y)
    optimizer = torch.optim.Adam(judge.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            cross_entropy(judge(x[batch]), y[batch]).backward()
            optimizer.step()
    return judge.eval()


@torch.no_grad()
def in_parts(network, x):
    return torch.cat([network(part) for part in x.split(500)])


def frechet(one, other):
    """||m1 - m2||^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of vectors."""
    (m1, c1), (m2, c2) = ((x.mean(0), torch.cov(x.T)) for x in (one.double(), other.double()))
    root = torch.linalg.eigvals(c1 @ c2).real.clamp(min=0).sqrt().sum()
    return float((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * root)


def effective_classes(answers, classes):
    share = torch.bincount(answers, minlength=classes) / len(answers)
    return float(torch.exp(-torch.xlogy(share, share).sum()))


def sheet(rows):
    """One picture of uint8 images, a row for each tensor (N, C, H, W)."""
    lines = [torch.cat(list(row), dim=2) for row in rows]
    pixels = torch.cat(lines, dim=1).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args(arguments)
    train_images, test_images = (
        load_images(options.dataset, split=split, size=32, limit=options.limit)
        for split in ("train", "test")
    )
    judge, test = judge_of(train_images), to_float(test_images.images)
    real = in_parts(judge.hidden, test)
    right = in_parts(judge, test).argmax(1) == torch.as_tensor(test_images.labels)
    floor = frechet(in_parts(judge.hidden, to_float(train_images.images[: len(test)])), real)
    print(f"judge: {right.float().mean():.3f} right, floor {floor:.2f}", flush=True)
    rows, pictures = {}, {}
    for seed in options.seeds:
        for variant in options.only:
            config = TrainConfig(
                image_size=32,
                channels=train_images.channels,
                width=options.width,
                kernel_size=5 if variant == "kernel 5" else 4,
                batch_size=32,
                lr=4e-4,
                ema=0.99,
                epochs=options.epochs,
                seed=seed,
            )
            start = perf_counter()
            generator, gap = trained(variant, train_images, config)
            drawn = sample(generator, DRAWN, seed).clamp(-1, 1)
            answers = in_parts(judge, drawn).argmax(1)
            row = {
                "seed": seed,
                "frechet": round(frechet(in_parts(judge.hidden, drawn), real), 2),
                "classes": round(effective_classes(answers, len(train_images.classes)), 2),
                "gap": round(gap, 3),
                "seconds": round(perf_counter() - start, 1),
            }
            rows.setdefault(variant, []).append(row)
            pictures.setdefault(variant, to_uint8(drawn[:SHOWN]))
            print(variant, row, flush=True)
    sheet(pictures.values()).save(RESULTS / f"ablation-{options.dataset}.png", optimize=True)
    write_record(
        RESULTS / f"ablation-{options.dataset}.json",
        {
            "environment": environment(),
            "data": {"name": train_images.name, "fingerprint": train_images.fingerprint},
            "config": {"width": options.width, "batch_size": 32, "lr": 4e-4, "ema": 0.99}
            | {"epochs": options.epochs, "image_size": 32},
            "drawn": DRAWN,
            "judge": {"accuracy": round(float(right.float().mean()), 4), "floor": round(floor, 2)},
            "variants": rows,
        },
    )


if __name__ == "__main__":
    main()
