"""What makes a training step fast or spreads it over devices; the loop is correct without it."""

from collections.abc import Callable
from functools import partial

import torch

from dcgan_lib.training.fast import processes
from dcgan_lib.training.fast.convolutions import use_weight_gradient_by_product
from dcgan_lib.training.fast.graph import GraphedStep
from dcgan_lib.training.fast.memory import keep_freed_memory


def accelerate(step: partial, device: torch.device, *, exact: bool = False) -> Callable:
    """Set up whatever this device and these processes allow.

    Parameters
    ----------
    step : partial of `training_step`
        With networks, optimizers and options; what remains to give is (real, z).
    device : torch.device
    exact : bool, default False
        Compute float32 as float32, without TF32.

    Returns
    -------
    callable
        (real, z) -> metrics, the same numbers up to rounding.
    """
    keep_freed_memory()
    for network in step.args[:2]:
        if processes.count() > 1:
            processes.train_together(network)
        if step.keywords["bf16"] and device.type == "cpu":
            use_weight_gradient_by_product(network)
    if device.type != "cuda":
        return step
    launched: Callable = step
    # A graph holds neither the messages of several processes nor the decisions of a scaler.
    if processes.count() == 1 and not step.keywords["scaler"].is_enabled():
        for optimizer in step.args[2:]:
            optimizer.param_groups[0]["capturable"] = True
        launched = GraphedStep(step)

    @torch.backends.cudnn.flags(
        enabled=True,
        benchmark=True,
        deterministic=torch.backends.cudnn.deterministic,
        allow_tf32=not exact,
    )
    def tuned(real, z):
        with torch.cuda.device(device):
            return launched(real, z)

    return tuned
