"""What the machine can do: where to train, in which number format, with what memory."""

import ctypes
import mmap
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path

import torch


def default_device():
    """The fastest device here: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device):
    """Whether the device multiplies bf16 matrices in hardware, so that bf16 is faster and not merely possible."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.device(device).type == "cpu" and bf16_unit() is not None


def bf16_unit():
    """What multiplies bf16 matrices in this processor, "AMX" or the slower "AVX-512", or None."""
    units = {"AMX": "_is_amx_tile_supported", "AVX-512": "_is_avx512_bf16_supported"}
    return next(
        (unit for unit, supported in units.items() if getattr(torch.cpu, supported, bool)()), None
    )


def device_name(device):
    """A device for a record: the name of the GPU, or of the processor and of its unit for bf16."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # Linux alone has the file, and not every processor's has the line
        found = re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
        name = found[1] if found else name
    return f"{name}, bf16 by {bf16_unit()}" if bf16_unit() else name


def keep_freed_memory():
    """Let glibc keep what a training step frees for the next step, instead of handing it back to the system.

    Every step needs the same buffers. By default glibc maps each large one anew and unmaps it again, and the system
    has to clear every page. Nothing happens where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(
            M_MMAP_THRESHOLD, 2**25
        )  # older versions take no more
        mallopt(M_TRIM_THRESHOLD, 2**30)


def give_back_freed_memory():
    """Hand back to the system what was freed and kept so far. Nothing happens where there is no glibc."""
    if sys.platform.startswith("linux") and (
        trim := getattr(ctypes.CDLL(None), "malloc_trim", None)
    ):
        trim(0)


def give_back_pages(tensor):
    """Let the system take back the memory of a tensor that is mapped from a file; its pages are read again on need.

    Nothing that was written to the tensor is lost. Nothing happens outside of Linux.
    """
    if sys.platform.startswith("linux"):
        MADV_PAGEOUT = 21  # linux/mman.h, since 5.4; unknown to an older kernel, which does nothing
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + tensor.nbytes - start
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_PAGEOUT)


def forget_peak_memory():
    """Let `peak_memory_mb` count from here on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb():
    """The largest memory of this process since `forget_peak_memory`, in MB; None outside of Linux.

    Pages of mapped files count while they are in memory.
    """
    try:
        return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    except (OSError, TypeError):
        return None
