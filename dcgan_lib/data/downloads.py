"""One file from the network: whole and checked, or not there. What a broken connection brought is kept."""

import hashlib
import json
import os
import re
import shutil
import sys
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead
from itertools import chain
from pathlib import Path
from urllib import request
from urllib.error import HTTPError

from tqdm import tqdm

from dcgan_lib.utils.locks import lock

TIMEOUT = 30  # seconds in which a server must say something
CHUNK = 1 << 18  # bytes
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


class Unserved(Exception):
    """Why an address did not give the file."""


def download(addresses, path, checksum):
    """Fetch one file from the first address that gives it whole and right.

    Each address is asked once, in order, with no pause and no second round: the next call is the next try. (Once
    more from its first byte, if it answers a Range wrongly, or if what an earlier call left turns out to be wrong.)

    The bytes come into NAME.part beside the file, which is flushed to the disk, checked and renamed when whole. An
    interruption of any kind leaves NAME.part, and the next call goes on there: from any address where the checksum is
    known; without one only from the same address, and only if its ETag or Last-Modified says that the file is still
    the same. Of two processes that want the same file one fetches it and the other waits.

    Proxies are taken from the environment. Redirects are followed on the web alone. A web page in place of a file is
    refused, as is an answer that is too short.

    Parameters
    ----------
    addresses : list of str
        http or https addresses of the same file.
    path : str or path
        Where the file shall be. If it is there already, and its checksum is right, nothing is fetched.
    checksum : str or None
        "md5:..." or "sha256:..." of the whole file, in hexadecimal digits. Where its publisher gives none, only its
        length is checked, and an answer that does not tell its length is refused.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    RuntimeError
        No address gave the file, each with its reason; or it cannot be written.
    """
    path = Path(path)
    try:
        if path.is_file() and not fault(path, checksum):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(path):
            return fetch_first(addresses, path, checksum)
    except OSError as error:
        raise RuntimeError(
            f"{path} cannot be read or written ({error.strerror or error}). Choose a folder where it can."
        ) from error


def fetch_first(addresses, path, checksum):
    """The body of `download`, for the one process that may write."""
    reasons = []
    if path.is_file():
        why = fault(path, checksum)
        if not why:  # another process was faster
            return path
        reasons.append(f"{path}: {why}")
    for address in addresses:
        try:
            fetch(address, path, checksum)
        except Unserved as error:
            reasons.append(f"{address}: {error}")
        else:
            os.replace(beside(path), path)
            note_of(path).unlink(missing_ok=True)
            return path
    kept = beside(path).stat().st_size
    raise RuntimeError(
        f"{path.name} could not be downloaded. {'; '.join(reasons)}. Try again"
        + (f": {kept:,} bytes are here, and it goes on from there." if kept else ".")
        + f" Or fetch it by hand and put it at {path}."
    )


def beside(path):
    """Where a file is kept until it is whole."""
    return path.with_name(f"{path.name}.part")


def note_of(path):
    """Where it is told from which address the beginning came, and what to compare with If-Range."""
    return path.with_name(f"{path.name}.part.json")


def read_note(path):
    try:
        return json.loads(note_of(path).read_text())
    except (OSError, ValueError):  # none, or cut off by a kill
        return {"address": None, "validator": None}


def fault(path, checksum):
    """What is wrong with a file's bytes, or None."""
    if checksum is None:
        return None
    kind, _, expected = checksum.partition(":")
    with open(path, "rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()
    return None if found == expected.lower() else f"its {kind} is {found}, not {expected}"


# Holding a file


def wait_for(file, name):
    """Lock an open file; where another process holds it, say so and wait. Closing it, or a kill, lets go of it."""
    if lock(file, wait=False) is False:
        print(f"Another process is at work on {name}: waiting for it.", file=sys.stderr)
        lock(file)


@contextmanager
def only_writer(path):
    """Hold the .part file of `path`, so that no second process writes it. It is made if need be, and not left empty."""
    part = beside(path)
    while True:
        file = open(part, "ab")
        if os.name == "nt":
            file.close()  # Windows does not rename an open file
            break
        wait_for(file, part)
        if same_file(file, part):
            break
        file.close()  # who held it has renamed it
    try:
        yield
    finally:
        if part.exists() and part.stat().st_size == 0:
            part.unlink()
            note_of(path).unlink(missing_ok=True)
        file.close()


def same_file(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


# One address


def fetch(address, path, checksum):
    """Complete the .part file of `path` from one address; `Unserved` where that fails. A wrong one is emptied."""
    resumed = transfer(address, path, checksum is not None)
    why = fault(beside(path), checksum)
    if why and resumed:  # the beginning, from an earlier call, may be to blame
        os.truncate(beside(path), 0)
        transfer(address, path, True)
        why = fault(beside(path), checksum)
    if why:
        os.truncate(beside(path), 0)
        raise Unserved(why)


def transfer(address, path, known):
    """Bring the .part file to its full length; returns whether its beginning was there before.

    `known` says that there is a checksum to find out mistakes: then any beginning is good enough to go on with.
    """
    part, note = beside(path), read_note(path)
    size = part.stat().st_size
    validator = note["validator"] if note["address"] == address else None
    start = size if known or validator else 0
    answer = ask(address, start, validator)
    if start and answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{start}":
        answer.close()
        return True  # it was whole already
    if start and not goes_on(answer, start, validator):
        start = 0
        if answer.status != 200:
            answer.close()
            answer = ask(address, 0, None)
    with answer:
        length = length_of(answer, start)
        if length is None and not answer.chunked and not known:
            raise Unserved(
                "the server does not tell the length, so that a part could not be told from the whole"
            )
        pieces = read(answer)
        head = next(pieces, b"")
        if not head:
            raise Unserved("the answer was empty")
        refuse_page(answer, b"" if start else head, path)
        if length is not None and length - size > (free := shutil.disk_usage(part.parent).free):
            raise no_room(path, length - size, f"only {free:,} bytes are free")
        try:
            bar = tqdm(
                None,
                f"Downloading {path.name}",
                length,
                unit="B",
                unit_scale=True,
                delay=1,
                initial=start,
            )
            with bar, open(part, "r+b") as out:
                out.truncate(start)
                out.seek(start)
                if not start:
                    note = {"address": address, "validator": validator_of(answer)}
                    note_of(path).write_text(json.dumps(note))
                for piece in chain([head], pieces):
                    out.write(piece)
                    bar.update(len(piece))
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            missing = None if length is None else length - part.stat().st_size
            raise no_room(path, missing, error.strerror or error) from error
    size = part.stat().st_size
    if length is not None and size != length:
        raise Unserved(f"the connection broke off after {size:,} of {length:,} bytes")
    return start > 0


def ask(address, start, validator):
    """The answer of a server, from byte `start` on if it can do that and its file is still the same."""
    headers = {"User-Agent": "dcgan_lib"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    try:
        return web().open(request.Request(address, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if start and error.code == 416:
            return error
        error.close()
        raise Unserved(
            f"the server answered {error.code} {' '.join(str(error.reason).split())}"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise Unserved(reason(error)) from error


def web():
    """An opener as urllib's own, but without its handlers for local files and FTP, which a redirect could reach."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.UnknownHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def goes_on(answer, start, validator):
    """Whether an answer is the rest, from byte `start` on, of the file whose beginning is here."""
    if answer.status != 206 or content_range(answer)[0] != start:
        return False
    return not validator or validator_of(answer) in (
        None,
        validator,
    )  # some servers do not know If-Range


def length_of(answer, start):
    """The length of the whole file in bytes, or None if the server does not tell it."""
    if answer.status == 200:
        return answer.length
    if not start:
        raise Unserved(f"the server answered {answer.status} {answer.reason}, not the file")
    return content_range(answer)[1] or (None if answer.length is None else start + answer.length)


def content_range(answer):
    """(first byte, length of the whole file) as an answer of 206 tells them; None for what is not told."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers["Content-Range"] or "")
    if not match:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def validator_of(answer):
    """What stands for this version of the file in If-Range: the ETag unless it is a weak one, or the date."""
    tag = answer.headers["ETag"]
    return tag if tag and not tag.startswith("W/") else answer.headers["Last-Modified"]


def refuse_page(answer, head, path):
    """A host whose file is gone often answers 200 and a page that says so."""
    page = answer.headers.get_content_type() in (
        "text/html",
        "application/xhtml+xml",
    ) or PAGE.match(head)
    if page and path.suffix.lower() not in (".html", ".htm"):
        raise Unserved("the server answered a web page, not the file")


def read(answer):
    """Yield what a server sends: a first piece long enough to see what it is, then each as it arrives."""
    try:
        piece = answer.read(512)
        while piece:
            yield piece
            piece = answer.read1(CHUNK)
    except IncompleteRead as error:
        raise Unserved("the connection broke off") from error
    except (OSError, HTTPException) as error:
        raise Unserved(reason(error)) from error


def reason(error):
    """In a few words why there was no answer."""
    cause = getattr(error, "reason", error)  # urllib wraps what happened
    if isinstance(cause, TimeoutError):
        return f"the server said nothing for {TIMEOUT} seconds"
    what = " ".join(str(getattr(cause, "strerror", None) or cause).split()) or type(cause).__name__
    return (
        f"the server gave no proper answer ({what})" if isinstance(cause, HTTPException) else what
    )


def no_room(path, missing, why):
    """The error for a disk that does not take the file."""
    need = "" if missing is None else f" {missing:,} more bytes are needed in {path.parent}."
    return RuntimeError(
        f"{path} cannot be written ({why}).{need} Make room and try again: what is here is kept."
    )
