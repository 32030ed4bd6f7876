"""Several devices, one training: processes that share every batch (torchrun starts them).

Each process takes its share of the batch. BatchNorm normalises over the whole batch, as on one
device, and the gradients are averaged over the processes as soon as they are there. So the number
of devices does not change what is trained, and the loop is the same for one process and for many.
"""

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.nn.functional import all_reduce


def join(device: str | None = None) -> str:
    """Enter the group of processes that torchrun started; returns the device of this one."""
    number = int(os.environ["LOCAL_RANK"])
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if not on_cpu:
        there = torch.cuda.device_count()
        if int(os.environ["LOCAL_WORLD_SIZE"]) > there:
            raise ValueError(
                f"there are {there} GPUs here, fewer than processes; start one for each"
            )
        torch.cuda.set_device(number)
    # The first process may decode images for long.
    dist.init_process_group("gloo" if on_cpu else "nccl", timeout=timedelta(hours=12))
    return "cpu" if on_cpu else f"cuda:{number}"


def check_joined() -> None:
    """Refuse to train in a process of torchrun's that has not joined the others."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        raise RuntimeError(
            "torchrun started several processes, but none has joined the others: call "
            "dcgan_lib.training.fast.processes.join() first"
        )


def leave() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files and shows the progress."""
    return not dist.is_initialized() or dist.get_rank() == 0


def share_of(batch: torch.Tensor) -> torch.Tensor:
    """This process's share of a batch, which all processes know."""
    return batch[dist.get_rank() :: dist.get_world_size()] if dist.is_initialized() else batch


def in_any(condition: bool) -> bool:
    """Whether a condition holds in any process; all of them get the same answer."""
    device = "cuda" if count() > 1 and dist.get_backend() == "nccl" else "cpu"
    return bool(mean(torch.tensor(float(bool(condition)), device=device)) > 0)


def mean(metrics: torch.Tensor) -> torch.Tensor:
    """The average of a tensor over the processes."""
    if count() > 1:
        dist.all_reduce(metrics)
        metrics /= count()
    return metrics


def wait() -> None:
    """Wait until every process has come this far."""
    in_any(False)


def train_together(network: torch.nn.Module) -> None:
    """Make a network train over the batches of all processes, in place.

    Gradients are averaged as soon as each is complete; the order in which that happens is the
    same in every process, because their graphs are.
    """
    for module in network.modules():
        if type(module) is torch.nn.BatchNorm2d:
            module.__class__ = _WholeBatchNorm2d
    for parameter in network.parameters():
        parameter.register_post_accumulate_grad_hook(_average_gradient)


def _average_gradient(parameter):
    mean(parameter.grad)


class _WholeBatchNorm2d(torch.nn.BatchNorm2d):
    """BatchNorm over the shares of all processes; PyTorch's own SyncBatchNorm needs CUDA."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = all_reduce(x.float().sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = all_reduce(centred.float().square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
