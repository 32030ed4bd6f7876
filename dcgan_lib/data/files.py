"""The files of a data set: where they lie, how they get there, and which of them a list names."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from os import scandir
from pathlib import Path
from stat import S_ISDIR, S_ISREG

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
        The name of the file, which lies in the root of the data set.
    holds : str
        What is there once it is unpacked, below the root: a path, or a pattern for one.
    addresses : tuple of str, default ()
        Where it can be fetched; () if only a reader can get it, through a form or from a drive.
    checksum : str or None, default None
        "md5:..." or "sha256:..." where it is known.
    into : str, default ""
        The folder below the root that it is unpacked into, and that `holds` begins with. By default
        it is the root.
    """

    name: str
    holds: str
    addresses: tuple[str, ...] = ()
    checksum: str | None = None
    into: str = ""


def data_folder(root: str | Path | None, name: str) -> Path:
    """The folder of a data set: the reader's `root`, or one of its own among the downloads."""
    return (Path(root).expanduser() if root else home() / "downloads" / name).resolve()


def provide(
    name: str,
    root: Path,
    archives: Iterable[Archive],
    download: bool,
    by_hand: Callable[[str], str],
) -> None:
    """Unpack what is not unpacked yet, from archives in `root` or from the network.

    `by_hand` takes the names of the missing archives and returns the part of a sentence that says
    what a reader can do to get them. FileNotFoundError is raised with it where an archive is
    missing and cannot or may not be downloaded.
    """
    missing = [archive for archive in archives if not any(root.glob(archive.holds))]
    lacking = [archive.name for archive in missing if not (root / archive.name).is_file()]
    cure = by_hand(" and ".join(lacking))
    for archive in missing:
        packed = root / archive.name
        if archive.name in lacking:
            if not (download and archive.addresses):
                choice = "Take download=True, or" if archive.addresses else "To get it,"
                raise not_there(name, root, archive.holds, f"{choice} {cure}")
            try:
                network.download(archive.addresses, packed, archive.checksum)
            except RuntimeError as error:
                raise RuntimeError(f"{error} By hand: {cure}.") from error
        extract(packed, root / archive.into, archive.holds.removeprefix(f"{archive.into}/"))


def not_there(name: str, root: Path, missing: str, cure: str) -> FileNotFoundError:
    """The error for a data set that is not on the disk."""
    which = root if root.is_dir() else f"{root}, a folder that does not exist"
    return FileNotFoundError(f"{name!r} is not in {which}: {missing} is missing. {cure}.")


def incomplete(path: Path, root: Path) -> FileNotFoundError:
    """The error for a data set of which a part is on the disk."""
    return FileNotFoundError(
        f"{path} is missing, so this copy of the data set is not complete. Remove the folders that "
        f"were unpacked in {root}, and unpack it or load it anew."
    )


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The part of a sentence that names what is nearest to a misspelt word, or ""."""
    near = get_close_matches(str(word), known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


# Which files there are


def look_into(folder: Path) -> tuple[list[tuple[str, int, int]], list[str], list[str]]:
    """(files, folders, others) in a folder, each in alphabetical order, without hidden ones.

    A file is (name, bytes, nanoseconds): its size and time tell when it has changed. Links are
    followed. The others are names of what is neither: a pipe, or a link to nowhere or to itself.
    """
    files, folders, others = [], [], []
    with scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in sorted(shown, key=lambda entry: entry.name):
        try:
            found = entry.stat()
        except OSError:
            others.append(entry.name)
            continue
        if S_ISREG(found.st_mode):
            files.append((entry.name, found.st_size, found.st_mtime_ns))
        else:
            (folders if S_ISDIR(found.st_mode) else others).append(entry.name)
    return files, folders, others


def files_below(root: Path, folder: str) -> list[tuple[str, int, int]]:
    """[(path below the root, bytes, nanoseconds)] of all files in a folder and in its folders.

    They are in alphabetical order. Hidden ones are left out, and links to folders are not followed.
    """
    if not (root / folder).is_dir():
        raise incomplete(root / folder, root)
    found, folders = [], [folder]
    while folders:
        here = folders.pop()
        before = f"{here}/" if here else ""
        files, inner, _ = look_into(root / here)
        found += [(before + name, size, time) for name, size, time in files]
        folders += [before + name for name in inner if not (root / before / name).is_symlink()]
    return sorted(found)


def stamp(root: Path, path: str) -> tuple[str, int, int]:
    """(path below the root, bytes, nanoseconds) of one file."""
    if not (root / path).is_file():
        raise incomplete(root / path, root)
    found = (root / path).stat()
    return path, found.st_size, found.st_mtime_ns


# Which of them are images of a split, with their labels; the others with the reason


def images_among(listing):
    """(the paths in a listing that have the suffix of an image, the others with the reason)."""
    paths = [path for path, _, _ in listing]
    others = [path for path in paths if not path.lower().endswith(SUFFIXES)]
    images = [path for path in paths if path.lower().endswith(SUFFIXES)]
    return images, [(path, "not the suffix of an image") for path in others]


def on_disk(named, listing):
    """(paths, labels, the others with the reason) of the (path, label) that a list names.

    A path that a list makes up, even one out of the root, is simply not on the disk.
    """
    there = {path for path, _, _ in listing}
    found = [(path, label) for path, label in named if path in there]
    missing = [(path, "missing, though a list names it") for path, _ in named if path not in there]
    return [path for path, _ in found], [label for _, label in found], missing


def labelled(paths, label_of, reason):
    """(paths, labels, the others with this reason); `label_of(path)` gives a label or None."""
    labels = [label_of(path) for path in paths]
    known = [(path, label) for path, label in zip(paths, labels) if label is not None]
    others = [(path, reason) for path, label in zip(paths, labels) if label is None]
    return [path for path, _ in known], [label for _, label in known], others


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
