"""Files that are either whole or not there: write beside, flush to the disk, rename."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write(file)` on a new binary file, and put it at `path` once all of it is on the disk.

    A power cut, a full disk or a kill leaves the old file as it was.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def save(path: str | Path, state: dict) -> None:
    """Save a dict of tensors, numbers and strings."""
    content = io.BytesIO()
    torch.save(state, content)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def load(path: str | Path) -> dict:
    """Load what `save` wrote, onto the CPU. Only data is read; code in the file is never run.

    Raises
    ------
    ValueError
        The file is damaged, even by a single bit: torch.load does not compare the checksums that
        torch.save writes, so they are compared here.
    """
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in many ways
        raise ValueError(
            f"{path} is damaged or was not written by dcgan_lib ({error}); delete it to start "
            "afresh"
        ) from error
