"""Files that are either whole or not there: write beside, flush to the disk, rename."""

import os
import pickle
from pathlib import Path

import torch


def write_atomically(path, write):
    """Call `write(file)` on a new binary file and put it at `path` only when all of it is on the disk.

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


def save(path, state):
    """Save a dict of tensors, numbers and strings."""

    def write(file):
        try:
            torch.save(state, file)
        except (
            RuntimeError
        ) as error:  # about positions in a file; what the disk said stands behind it
            raise error.__context__ if isinstance(error.__context__, OSError) else error

    write_atomically(path, write)


def load(path):
    """Load what `save` wrote, onto the CPU; only data is read, code in the file is never run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} is damaged or was not written by dcgan_lib; delete it to start afresh"
        ) from error
