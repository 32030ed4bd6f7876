"""What do failures of training look like, beside a control that learns? Three seeds each.

    python benchmarks/failures.py [--seeds 0 1 2] [--epochs 8]

A small DCGAN is trained on some images of `fashion`, once as it should be (the control), and with
one thing broken at a time. Written are results/failures-fashion.json (thinned curves and, for each
kind and seed, the measures below) and results/failures-fashion.png (ten drawings of each kind of
the first seed, a row a kind, in the record's order).

- `frechet`, `classes`: by the judge of `ablation.py`, a classifier that no generator ever meets.
- `loss_d`, `loss_g`: means over the last epoch.
- `among`, `alone`: mean D(G(z)) of 32 drawings that share their batch with 32 real images, and of
  the same drawings in a batch of their own, with BatchNorm in training mode.
"""

import argparse
from copy import deepcopy

import numpy as np
import torch
from ablation import effective_classes, frechet, in_parts, judge_of, sheet
from torch.nn.functional import softplus

from dcgan_lib import (
    TrainConfig,
    environment,
    generate,
    latent,
    load_images,
    rng,
    sample,
    to_float,
    to_uint8,
    training_step,
    write_record,
)
from dcgan_lib.models import move_average
from dcgan_lib.records import RESULTS

IMAGES, WIDTH, BATCH, LR, EMA = 2000, 16, 32, 2e-3, 0.99
DRAWN, SHOWN, POINTS = 2000, 10, 62


def mixed_step(generator, discriminator, opt_g, opt_d, real, z):
    """A step in which real and drawn images pass the discriminator in one batch."""
    fake = generator(z)
    on_real, on_fake = discriminator(torch.cat([real, fake.detach()])).chunk(2)
    loss_d = softplus(-on_real).mean() + softplus(on_fake).mean()
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()
    judged = discriminator(torch.cat([real, fake])).chunk(2)[1]
    loss_g = softplus(-judged).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    answers = (x.sigmoid().mean() for x in (on_real, on_fake, judged))
    return torch.stack([loss_d, loss_g, *answers]).detach()


def saturating_step(generator, discriminator, opt_g, opt_d, real, z):
    """A step in which the generator minimises log(1 - D(G(z))); the loss told is the usual one."""
    fake = generator(z)
    on_real, on_fake = discriminator(real), discriminator(fake.detach())
    loss_d = softplus(-on_real).mean() + softplus(on_fake).mean()
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()
    judged = discriminator(fake)
    opt_g.zero_grad()
    (-softplus(judged)).mean().backward()
    opt_g.step()
    answers = (x.sigmoid().mean() for x in (on_real, on_fake, judged))
    return torch.stack([loss_d, softplus(-judged).mean(), *answers]).detach()


KINDS = {
    "control": {},
    "D 50 times faster": {"d": 50},
    "D 50 times slower": {"d": 1 / 50},
    "both 50 times faster": {"g": 50, "d": 50},
    "real and fake in one batch": {"step": mixed_step},
    "saturating loss": {"step": saturating_step},
    "D 4 times faster": {"d": 4},
    "D 4 times slower": {"d": 1 / 4},
}


def trained(images, config, step=training_step, g=1, d=1):
    """The averaged generator, the discriminator, and the metrics of every step."""
    generator, discriminator = config.networks()
    average = deepcopy(generator)
    opt_g, opt_d = (
        torch.optim.Adam(network.parameters(), config.lr * rate, config.betas, fused=True)
        for network, rate in ((generator, g), (discriminator, d))
    )
    pixels, order = to_float(images.images), rng(config.seed, "order of the images")
    steps, rows = len(images) // config.batch_size, []
    z = latent(config.epochs * steps * config.batch_size, seed=config.seed, purpose="failures")
    z = iter(z.split(config.batch_size))
    for _ in range(config.epochs):
        for batch in torch.randperm(len(images), generator=order).split(config.batch_size)[:steps]:
            rows.append(step(generator, discriminator, opt_g, opt_d, pixels[batch], next(z)))
            move_average(average, generator, config.ema)
    return average, generator, discriminator, torch.stack(rows)


@torch.no_grad()
def company(generator, discriminator, real):
    """Mean D(G(z)) among real images, and of the same images alone."""
    fake = generate(generator, latent(BATCH, purpose="company"))
    twin = deepcopy(discriminator).train()
    among, alone = twin(torch.cat([real, fake]))[BATCH:], twin(fake)
    return [round(float(x.sigmoid().mean()), 4) for x in (among, alone)]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(arguments)
    every, test_images = (load_images("fashion", split=part, size=32) for part in ("train", "test"))
    images = every.subset(range(IMAGES))
    judge, test = judge_of(every), to_float(test_images.images)
    real = in_parts(judge.hidden, test)
    right = in_parts(judge, test).argmax(1) == torch.as_tensor(test_images.labels)

    def quality(generator):
        drawn = sample(generator, DRAWN).clamp(-1, 1)
        classes = effective_classes(in_parts(judge, drawn).argmax(1), len(every.classes))
        distance = frechet(in_parts(judge.hidden, drawn), real)
        return drawn, {"frechet": round(distance, 2), "classes": round(classes, 2)}

    settings = dict(image_size=32, channels=1, width=WIDTH, batch_size=BATCH, lr=LR, ema=EMA)
    settings["epochs"] = options.epochs
    record = {
        "environment": environment(),
        "data": {"name": every.name, "fingerprint": every.fingerprint, "images": IMAGES},
        "config": settings,
        "drawn": DRAWN,
        "judge": {
            "accuracy": round(float(right.float().mean()), 4),
            "floor": round(
                frechet(in_parts(judge.hidden, to_float(every.images[:DRAWN])), real), 2
            ),
            "untrained": quality(TrainConfig(**settings).networks()[0])[1]["frechet"],
        },
        "kinds": {},
    }
    print(record["judge"], flush=True)
    pictures = {}
    for seed in options.seeds:
        for kind, broken in KINDS.items():
            config = TrainConfig(**settings, seed=seed)
            average, generator, discriminator, metrics = trained(images, config, **broken)
            drawn, row = quality(average)
            last = metrics[-(IMAGES // BATCH) :].mean(0)
            among, alone = company(generator, discriminator, to_float(images.images[:BATCH]))
            row |= {"loss_d": round(float(last[0]), 3), "loss_g": round(float(last[1]), 3)}
            row |= {"among": among, "alone": alone}
            parts = np.array_split(metrics.numpy(), min(POINTS, len(metrics)))
            curves = np.array([part.mean(0) for part in parts]).round(2)
            names = ("loss_d", "loss_g", "d_real", "d_fake")
            row["curves"] = {name: curves[:, i].tolist() for i, name in enumerate(names)}
            record["kinds"].setdefault(kind, []).append({"seed": seed, **row})
            pictures.setdefault(kind, to_uint8(drawn[:SHOWN]))
            print(seed, kind, {k: v for k, v in row.items() if k != "curves"}, flush=True)
            sheet(pictures.values()).save(RESULTS / "failures-fashion.png", optimize=True)
            write_record(RESULTS / "failures-fashion.json", record)


if __name__ == "__main__":
    main()
