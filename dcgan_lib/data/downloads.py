"""One file from the network: whole and checked, or not there. A broken download is resumed."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError

from tqdm import tqdm

from dcgan_lib.utils.locks import only_process

TIMEOUT = 30  # seconds of silence after which a server is given up
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


def download(addresses: Iterable[str], path: str | Path, checksum: str | None) -> Path:
    """Fetch one file from the first address that gives it whole and right.

    The bytes arrive in NAME.part beside the file, which is flushed to the disk, checked and then
    renamed. Where the checksum is known, an interrupted download keeps that part, and the next call
    goes on from there, from any of the addresses. Without a checksum every call starts afresh.

    Each address is asked once, in order; the next call is the next try. A web page in place of the
    file is refused, as is an answer that is too short. Redirects are followed to http and https
    alone, and proxies are taken from the environment. Of two processes that want the same file, one
    fetches it and the other waits.

    Parameters
    ----------
    addresses : iterable of str
        The http or https addresses of the same file.
    path : str or Path
        Where the file shall be. If it is there already with the right checksum, nothing is fetched.
    checksum : str or None
        "md5:..." or "sha256:..." in hexadecimal digits. None where the publisher gives none: then
        the server must tell the length of the file, and the length alone is checked.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    RuntimeError
        No address gave the file (the message has the reason for each), or it cannot be written.

    Examples
    --------
    >>> download(["https://example.org/images.zip"], "images.zip", None)  # doctest: +SKIP
    PosixPath('images.zip')
    """
    path, reasons = Path(path), []
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_process(path):
            if path.is_file():
                why = mismatch(path, checksum)
                if not why:
                    return path
                reasons.append(f"{path}: {why}")
            for address in addresses:
                try:
                    fetch(address, part, checksum)
                except (OSError, HTTPException) as error:
                    reasons.append(f"{address}: {reason(error)}")
                else:
                    os.replace(part, path)
                    return path
            kept = part.stat().st_size if checksum and part.exists() else 0
    except OSError as error:
        raise RuntimeError(
            f"{path} cannot be read or written ({error.strerror or error}). "
            "Choose a folder where it can."
        ) from error
    again = f": {kept:,} bytes are here, and it goes on from there." if kept else "."
    raise RuntimeError(
        f"{path.name} could not be downloaded. {'; '.join(reasons)}. Try again{again} "
        f"Or fetch it by hand and put it at {path}."
    )


def mismatch(path, checksum):
    """What is wrong with the bytes of a file, in a few words, or None."""
    if checksum is None:
        return None
    kind, _, expected = checksum.partition(":")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    found = digest.hexdigest()
    return None if found == expected.lower() else f"its {kind} is {found}, not {expected}"


def fetch(address, part, checksum):
    """Complete the .part file from one address and check it; wrong bytes are not kept."""
    here = part.stat().st_size if checksum and part.exists() else 0
    if here and not mismatch(part, checksum):  # an earlier call was killed before the renaming
        return
    for start in dict.fromkeys([here, 0]):  # afresh where going on from `here` leads to nothing
        try:
            transfer(address, part, checksum, start)
        except HTTPError as error:
            if not start or error.code != 416:  # 416: there is no such range
                raise
            continue
        why = mismatch(part, checksum)
        if not why:
            return
        part.unlink()
    raise URLError(why)


def transfer(address, part, checksum, start):
    """Bring the .part file to its full length, from byte `start` on if the server can do that.

    Whether the server sends the right bytes is not asked here, as only a known checksum can tell.
    """
    headers = {"User-Agent": "dcgan_lib"} | ({"Range": f"bytes={start}-"} if start else {})
    refuse_other_schemes(address)
    web = request.build_opener(WebRedirects)
    with web.open(request.Request(address, headers=headers), timeout=TIMEOUT) as answer:
        if answer.status == 200:  # the whole file, whatever was asked for
            start = 0
        elif not start:
            raise URLError(f"the server answered {answer.status} {answer.reason}, not the file")
        length = None if answer.length is None else start + answer.length
        if length is None and not checksum and not answer.chunked:
            raise URLError(
                "the server does not tell the length, so a part could pass for the whole"
            )
        piece = answer.read(512)  # enough to see what it is
        if not piece:
            raise URLError("the answer was empty")
        if "html" in answer.headers.get_content_type() or (not start and WEB_PAGE.match(piece)):
            raise URLError("the server answered a web page, not the file")
        free, missing = shutil.disk_usage(part.parent).free, (length or 0) - start
        if missing > free:
            raise URLError(f"{missing:,} more bytes are needed, and only {free:,} are free")
        title = f"Downloading {part.stem}"
        bar = tqdm(None, title, length, unit="B", unit_scale=True, delay=1, initial=start)
        with bar, open(part, "ab" if start else "wb") as out:
            while piece:
                bar.update(out.write(piece))
                piece = answer.read1(1 << 18)
            out.flush()
            os.fsync(out.fileno())
    size = part.stat().st_size
    if length not in (None, size):
        raise URLError(f"the connection broke off after {size:,} of {length:,} bytes")


class WebRedirects(request.HTTPRedirectHandler):
    """Follows redirects to the web alone."""

    def redirect_request(self, asked, answer, code, message, headers, address):
        refuse_other_schemes(address)
        return super().redirect_request(asked, answer, code, message, headers, address)


def refuse_other_schemes(address):
    """urllib would open local files and FTP as well."""
    if not address.startswith(("http://", "https://")):
        raise URLError(f"{address} is not an address on the web")


def reason(error):
    """Why an address did not give the file, in a few words."""
    if isinstance(error, HTTPError):
        return f"the server answered {error.code} {' '.join(str(error.reason).split())}"
    cause = getattr(error, "reason", error)  # urllib wraps what happened
    if isinstance(cause, TimeoutError):
        return f"the server said nothing for {TIMEOUT} seconds"
    what = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return (
        f"the server gave no proper answer ({what})" if isinstance(cause, HTTPException) else what
    )
