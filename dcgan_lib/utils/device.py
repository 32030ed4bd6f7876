"""What the machine can do: where to compute, in which number format, with how much memory."""

import platform
import re
from contextlib import suppress
from pathlib import Path

import torch


def default_device() -> str:
    """Name the fastest device of this machine: "cuda", "mps" or "cpu".

    Everything in the package that takes `device=None` computes there.

    Examples
    --------
    >>> default_device() in ("cuda", "mps", "cpu")
    True
    """
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device: str | torch.device) -> bool:
    """Tell whether a device multiplies bf16 matrices in hardware, so that bf16 is faster there.

    Examples
    --------
    >>> has_bf16("cpu") in (True, False)
    True
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.device(device).type == "cpu" and bf16_unit() is not None


def autocast_dtype(precision: str, device: str | torch.device) -> torch.dtype:
    """The number format of the convolutions for `TrainConfig.precision` on a device.

    "auto" is bf16 where the hardware has it. A GPU with neither bf16 nor TF32, such as Colab's T4,
    gets float16 on its tensor cores, which are older; everything else gets float32.
    """
    formats = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision != "auto":
        return formats[precision]
    if has_bf16(device):
        return torch.bfloat16
    with_tensor_cores, with_tf32 = (7, 0), (8, 0)
    if (
        torch.device(device).type == "cuda"
        and with_tensor_cores <= torch.cuda.get_device_capability(device) < with_tf32
    ):
        return torch.float16
    return torch.float32


def bf16_unit() -> str | None:
    """What multiplies bf16 matrices in this processor: "AMX", the slower "AVX-512", or None."""
    units = {"AMX": "_is_amx_tile_supported", "AVX-512": "_is_avx512_bf16_supported"}
    there = (unit for unit, supported in units.items() if getattr(torch.cpu, supported, bool)())
    return next(there, None)


def device_name(device: str | torch.device) -> str:
    """A device for a record: the GPU's name, or the processor's and its unit for bf16."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError, TypeError):  # Linux alone has the file, and not every processor the line
        name = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())[1]
    return f"{name}, bf16 by {bf16_unit()}" if bf16_unit() else name


def forget_peak_memory() -> None:
    """Let `peak_memory_mb` count from here on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float | None:
    """The largest memory of this process since `forget_peak_memory`; None outside of Linux.

    Pages of mapped files count while they are in memory.
    """
    try:
        return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    except (OSError, TypeError):
        return None
