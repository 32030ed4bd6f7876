"""The files of a published data set: where they are kept, how they get there, and which of them a list names."""

from contextlib import contextmanager
from dataclasses import dataclass
from os import scandir
from pathlib import Path

from dcgan_lib.data import downloads as network
from dcgan_lib.data.archives import extract
from dcgan_lib.data.cache import home
from dcgan_lib.data.decoding import SUFFIXES


@dataclass(frozen=True)
class Archive:
    """A file as its publishers hand it out.

    Parameters
    ----------
    name : str
        Of the file, which lies in the root of the data set.
    holds : str
        What is there once it is unpacked, below the root: a path, or a pattern for one.
    addresses : tuple of str
        Where it can be fetched from; () where only a reader can get it, through a form or a drive.
    checksum : str or None
        "md5:..." or "sha256:...", where it is known.
    into : str
        The folder below the root that it is unpacked into, and that `holds` then begins with; "" is the root.
    """

    name: str
    holds: str
    addresses: tuple[str, ...] = ()
    checksum: str | None = None
    into: str = ""


def place(root, name):
    """The folder of a data set: the reader's `root`, or one of its own among the downloads."""
    return (Path(root).expanduser() if root else home() / "downloads" / name).resolve()


def provide(name, root, archives, download, by_hand):
    """Unpack what is not unpacked yet, from archives in `root` or from the network.

    Raises FileNotFoundError where an archive is missing and cannot or may not be fetched; `by_hand` makes of the
    names of files the part of its sentence that says what to do with them.
    """
    missing = [archive for archive in archives if not any(root.glob(archive.holds))]
    lacking = [archive.name for archive in missing if not (root / archive.name).is_file()]
    for archive in missing:
        packed = root / archive.name
        if not packed.is_file():
            if not (download and archive.addresses):
                choice = "Take download=True, or" if archive.addresses else "To get it,"
                raise not_there(
                    name, root, archive.holds, f"{choice} {by_hand(' and '.join(lacking))}"
                )
            try:
                network.download(archive.addresses, packed, archive.checksum)
            except RuntimeError as error:
                raise RuntimeError(f"{error} By hand: {by_hand(' and '.join(lacking))}.") from error
        extract(packed, root / archive.into, archive.holds.removeprefix(f"{archive.into}/"))


def not_there(name, root, missing, cure):
    """The error for a data set that is not on the disk."""
    which = root if root.is_dir() else f"{root}, a folder that does not exist"
    return FileNotFoundError(f"{name!r} is not in {which}: {missing} is missing. {cure}.")


def files_below(root, folder):
    """[(path below the root, bytes, nanoseconds)] of all files in a folder and its folders, but the hidden ones.

    In alphabetical order of the paths. The sizes and times tell when a file has changed. Links to folders are
    not followed.
    """
    if not (root / folder).is_dir():
        raise incomplete(root / folder, root)
    found, folders = [], [folder]
    while folders:
        here = folders.pop()
        before = f"{here}/" if here else ""
        with scandir(root / here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_file():
                    stat = entry.stat()
                    found.append((before + entry.name, stat.st_size, stat.st_mtime_ns))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(before + entry.name)
    return sorted(found)


def stamp(root, path):
    """(path below the root, bytes, nanoseconds) of one file."""
    if not (root / path).is_file():
        raise incomplete(root / path, root)
    stat = (root / path).stat()
    return path, stat.st_size, stat.st_mtime_ns


def incomplete(path, root):
    """The error for a data set of which a part is there."""
    return FileNotFoundError(
        f"{path} is missing, so this copy of the data set is not complete. Remove the folders that were unpacked "
        f"in {root}, and unpack it or load it anew."
    )


def images_among(listing):
    """(the paths in a listing that have the suffix of an image, the others with the reason)."""
    images = [path for path, _, _ in listing if path.lower().endswith(SUFFIXES)]
    known = set(images)
    return images, [
        (path, "not the suffix of an image") for path, _, _ in listing if path not in known
    ]


def those_there(named, listing):
    """Divide the (path, label) that a list names: (paths on disk, their labels, the others with the reason).

    A path that a list makes up, even one out of the root, is simply not among those on disk.
    """
    there = {path for path, _, _ in listing}
    found = [(path, label) for path, label in named if path in there]
    missing = [(path, "missing, though a list names it") for path, _ in named if path not in there]
    return [path for path, _ in found], [label for _, label in found], missing


@contextmanager
def reading(path):
    """Tell which file it was when a list, an annotation or a batch is not what it should be."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise RuntimeError(
            f"{path} is damaged, or not the file of that name ({type(error).__name__}: {error}). Put the "
            "original in its place."
        ) from error
