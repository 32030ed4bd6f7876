"""What a data set is made from: its facts, how its files come to the disk, and which are images."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from dcgan_lib.data import downloads as network
from dcgan_lib.data.archives import extract
from dcgan_lib.data.cache import home
from dcgan_lib.data.decoding import SUFFIXES

File = tuple[str, int, int]  # path below the root, bytes, nanoseconds of the last change


@dataclass(frozen=True)
class Dataset:
    """A data set: the function that finds its files, and the facts for the book's table.

    Parameters
    ----------
    name : str
        What `load_images` calls it.
    source : callable
        (root, split, download, **options) -> Source. Its keyword-only parameters are the options
        that only this data set has.
    splits : tuple of str
        The splits that it has; () where they are the reader's own.
    title, page, licence : str
        Its full name, where it is published, and the licence in its authors' words.
    images : int or None
        How many there are in all splits together; None where that is the reader's own affair.
    pixels, labels : str
        The original size of an image, and what the labels are.
    papers : tuple of str
        Those of the two papers that used it: "gomez", "singh".
    get : str
        How it comes to the reader's disk.
    """

    name: str
    source: Callable[..., "Source"]
    splits: tuple[str, ...]
    title: str
    page: str
    licence: str
    images: int | None
    pixels: str
    labels: str
    papers: tuple[str, ...]
    get: str


@dataclass(frozen=True)
class Source:
    """One split of a data set as it lies on disk, nothing decoded yet.

    Parameters
    ----------
    root : Path
        The folder below which its files lie.
    listing : list of (path, bytes, nanoseconds)
        Every file with its size and time of change. When they change, a new cache is made.
    read : callable
        () -> Contents, which is called only where there is no cache.
    skipped : list of (path, reason), default []
        Files that are known not to be images before anything is read.
    """

    root: Path
    listing: list[File]
    read: Callable[[], "Contents"]
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Contents:
    """What a `Source` holds, known once its lists and annotations have been read.

    Parameters
    ----------
    pictures : sequence
        Paths below the root, or uint8 arrays (H, W) or (H, W, 3). An array may be made at the
        moment when it is asked for. Every picture is asked for once, in order.
    labels : sequence of int, or None
        Positions in `classes`, one a picture.
    skipped : list of (path, reason)
        What the lists left out.
    classes : tuple of str, default ()
        The names of the classes; () without labels.
    """

    pictures: Sequence | np.ndarray
    labels: Sequence | np.ndarray | None
    skipped: list[tuple[str, str]]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """A file as its publishers hand it out.

    Parameters
    ----------
    name : str
        The name of the file, which lies in the root of the data set.
    holds : str
        What is there once it is unpacked, below the root: a path, or a pattern for one.
    folders : tuple of str, default ()
        The addresses, up to its name, where it can be fetched; () if only a reader can get it,
        through a form or from a drive.
    checksum : str or None, default None
        "md5:..." or "sha256:..." where it is known.
    """

    name: str
    holds: str
    folders: tuple[str, ...] = ()
    checksum: str | None = None


def data_folder(root: str | Path | None, name: str) -> Path:
    """The folder of a data set: the reader's `root`, or one of its own among the downloads."""
    return (Path(root).expanduser() if root else home() / "downloads" / name).resolve()


def provide(
    dataset: Dataset,
    root: str | Path | None,
    download: bool,
    archives: Iterable[Archive],
    by_hand: str,
    inner: str = "",
) -> Path:
    """The folder of a data set, with all `archives` unpacked that were in it or on the network.

    It is the folder `inner` of the root where there is one. `by_hand` is the part of a sentence
    that says what a reader can do; "{files}" in it stands for the missing archives, "{page}" for
    the page of the data set and "{root}" for the folder. FileNotFoundError is raised with it where
    an archive is missing and cannot or may not be downloaded.
    """
    root = data_folder(root, dataset.name)
    if inner and (root / inner).is_dir():
        root /= inner
    missing = [archive for archive in archives if not any(root.glob(archive.holds))]
    lacking = [archive.name for archive in missing if not (root / archive.name).is_file()]
    cure = by_hand.format(files=" and ".join(lacking), page=dataset.page, root=root)
    for archive in missing:
        packed = root / archive.name
        if archive.name in lacking:
            if not (download and archive.folders):
                choice = "Take download=True, or" if archive.folders else "To get it,"
                raise not_there(dataset.name, root, archive.holds, f"{choice} {cure}")
            try:
                addresses = [f"{folder}{archive.name}" for folder in archive.folders]
                network.download(addresses, packed, archive.checksum)
            except RuntimeError as error:
                raise RuntimeError(f"{error} By hand: {cure}.") from error
        extract(packed, root, archive.holds)
    return root


def not_there(name: str, root: Path, missing: str, cure: str) -> FileNotFoundError:
    """The error for a data set that is not on the disk."""
    which = root if root.is_dir() else f"{root}, a folder that does not exist"
    return FileNotFoundError(f"{name!r} is not in {which}: {missing} is missing. {cure}.")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The part of a sentence that names what is nearest to a misspelt word, or ""."""
    near = get_close_matches(str(word), known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


# Which files there are


def look_into(root: Path, folder: str = "") -> tuple[list[File], list[str], list[str]]:
    """(files, folders, others) in a folder below the root, in alphabetical order, no hidden ones.

    All of them are paths below the root, and a file has its size and time, which tell when it has
    changed. Links are followed. The others are neither files nor folders: a pipe, or a link to
    nowhere or to itself.
    """
    files, folders, others = [], [], []
    before = f"{folder}/" if folder else ""
    shown = [entry for entry in os.scandir(root / folder) if not entry.name.startswith(".")]
    for entry in sorted(shown, key=lambda entry: entry.name):
        path = before + entry.name
        if entry.is_symlink() and not os.path.exists(entry):
            others.append(path)
        elif entry.is_file():
            files.append((path, entry.stat().st_size, entry.stat().st_mtime_ns))
        else:
            (folders if entry.is_dir() else others).append(path)
    return files, folders, others


def files_in(root: Path, *paths: str) -> list[File]:
    """Files below the root, and in alphabetical order all files in folders and in their folders.

    Hidden ones are left out, and links to folders in a folder are not followed.
    """
    found = []
    for path in paths:
        place = root / path
        if place.is_dir():
            files, folders, _ = look_into(root, path)
            inner = [folder for folder in folders if not (root / folder).is_symlink()]
            found += sorted(files + files_in(root, *inner))
        elif place.is_file():
            found.append((path, place.stat().st_size, place.stat().st_mtime_ns))
        else:
            raise FileNotFoundError(
                f"{place} is missing, so this copy of the data set is not complete. Remove the "
                f"folders that were unpacked in {root}, and unpack it or load it anew."
            )
    return found


# Which of them are images of a split, with their labels; the others with the reason


def is_image(path: str) -> bool:
    """Whether a file is taken for an image, which its suffix decides."""
    return path.lower().endswith(SUFFIXES)


def contents_of(
    listing: Iterable[File],
    named: Collection[str] | None = None,
    label_of: Callable[[str], int | None] = lambda path: 0,
    unlabelled: str = "",
    classes: tuple[str, ...] = (),
) -> Contents:
    """The images of a split, and the reason for each file that is none of them.

    They are all images in the listing, or those that a list has `named`: a path that a list makes
    up, even one out of the root, is simply not on the disk. `unlabelled` is the reason for those
    of which `label_of(path)` is None. There are no labels without `classes`.
    """
    there = {path: None for path, _, _ in listing}
    if named is None:
        named = there
        skipped = {path: "not the suffix of an image" for path in there if not is_image(path)}
    else:
        skipped = {path: "missing, though a list names it" for path in named if path not in there}
    labels = {path: label_of(path) for path in named if path not in skipped}
    skipped |= {path: unlabelled for path, label in labels.items() if label is None}
    paths = [path for path in named if path not in skipped]
    known = [labels[path] for path in paths] if classes else None
    return Contents(paths, known, list(skipped.items()), classes)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file it was when a list, an annotation or a batch is not what it should be."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise RuntimeError(
            f"{path} is damaged, or not the file of that name ({type(error).__name__}: {error}). "
            "Put the original in its place."
        ) from error


def read_list(path: Path, parse: Callable) -> list:
    """`parse(*words)` of every line of a list; empty lines and comments after # are left out."""
    with reading(path):
        rows = [line.partition("#")[0].split() for line in path.read_text().splitlines()]
        return [parse(*words) for words in rows if words]
