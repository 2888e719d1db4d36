"""Fetch the four files from the mirrors: each verified before it gets its name."""

import contextlib
import hashlib
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from tqdm import tqdm

from helpers import course
from helpers.machinery import files, published
from helpers.machinery.published import NAME, SLUG, DataError, UnreachableError, is_right, reason

# Asked in this order. Two of them are out of reach in some countries and schools.
MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

_CHUNK = 1 << 16  # bytes in a piece

HOME = f"data/{SLUG}"


def fetch(target=None, mirrors=None, timeout=10.0, limit=300.0, verbose=True):
    """Download the files that are missing or wrong in a folder, each verified before it gets its name.

    A part is written beside its final place under a name of its own and removed whatever happens, so several
    processes may fetch into one folder at once.

    Args:
        target: Folder to fill, made if needed; None for ``data/fashion-mnist/``.
        mirrors: Base addresses, asked in turn; None for ``MIRRORS``.
        timeout: Seconds to wait for a connection, and for each next piece of data.
        limit: Seconds that one mirror may take for one file.
        verbose: Whether to say what is downloaded, show a progress bar, and name each mirror that fails.

    Returns:
        Path of the folder, now with the four verified files.

    Raises:
        DataError: The folder cannot be written, the disk is full, or no mirror delivered a file.
    """
    target = course.DATA / SLUG if target is None else course.path_of(target)
    mirrors = list(MIRRORS if mirrors is None else mirrors)
    wanted = [file for file in published.FILES if not is_right(target / file.name, file)]
    if not wanted:
        return target
    if verbose:
        where = HOME if target == course.DATA / SLUG else "the given folder"
        print(f"Downloading {NAME} to {where}: {_megabytes(sum(file.size for file in wanted))}.")
    try:
        files.make_folder(target)
    except files.UnwritableFile as error:
        raise _unwritable(target, error) from error
    failed = set()
    for file in wanted:
        if is_right(target / file.name, file):
            continue  # another process was faster
        failures = []
        for mirror in sorted(mirrors, key=failed.__contains__):  # those that failed before come last
            try:
                _download(mirror, file, target, timeout, limit, verbose)
            except MirrorError as error:
                failed.add(mirror)
                failures.append(error)
                if verbose:
                    tqdm.write(f"{file.name}: {error}", file=sys.stderr)
            else:
                break
        else:
            raise _nowhere(file, failures) from (failures[-1] if failures else None)
    return target


def ask_mirrors(mirrors=None, seconds=6.0, wanted=published.FILES[0]):
    """Ask all mirrors at once whether they are there; return as soon as one answers.

    Without a network some systems let each request hang until its time is over. One after the other, a
    reader would wait for minutes.

    Args:
        mirrors: Base addresses; None for `MIRRORS`.
        seconds: Seconds to wait for the first answer.
        wanted: The `published.File` that is missing, for the error.

    Raises:
        UnreachableError: No mirror answered in that time.
    """
    mirrors = list(MIRRORS if mirrors is None else mirrors)
    answers = queue.SimpleQueue()

    def ask(mirror):
        try:
            request = urllib.request.Request(mirror.rstrip("/") + "/" + published.FILES[0].name, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError as error:
            error.close()  # an answer too, if not the best; `fetch` will say more
            answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(MirrorError(f"{urlsplit(mirror).netloc or mirror}: {reason(error)}"))
        else:
            answers.put(None)

    for mirror in mirrors:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    deadline, failures = time.monotonic() + seconds, []
    while len(failures) < len(mirrors):
        try:
            failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            failures.append(MirrorError(f"the others: no answer in {seconds:g} seconds"))
            break
        if failure is None:
            return
        failures.append(failure)
    raise _nowhere(wanted, failures)


class MirrorError(Exception):
    """One mirror could not deliver one file; the next may."""


def _download(mirror, file, target, timeout, limit, verbose):
    """Fetch one file from one mirror, verify it and give it its name."""
    path = target / file.name
    try:
        # Opened before the mirror is asked: a folder that cannot be written is known at once.
        pieces = contextlib.closing(received(mirror, file, timeout, limit, verbose))
        with files.written_aside(path) as part, open(part, "wb") as stream, pieces as arriving:
            for piece in arriving:
                stream.write(piece)
    except files.UnwritableFile as error:
        # On Windows a file that another process reads cannot be replaced; then it is already right.
        if not is_right(path, file):
            raise _unwritable(target, error) from error


def received(mirror, file, timeout, limit, verbose):
    """Receive one published file from one mirror, piece by piece.

    Args:
        mirror: Base address.
        file: The `published.File`.
        timeout: Seconds to wait for a connection, and for each next piece of data.
        limit: Seconds that the mirror may take.
        verbose: Whether to show a progress bar.

    Yields:
        Bytes.

    Raises:
        MirrorError: Not all of them are right.
    """
    url = mirror.rstrip("/") + "/" + file.name
    host = urlsplit(url).netloc or mirror
    digest = hashlib.md5(usedforsecurity=False)
    got = 0
    options = {"desc": file.name, "unit": "B", "unit_scale": True, "leave": False}
    bar = tqdm(total=file.size, disable=not verbose, file=sys.stderr, **options)
    deadline = time.monotonic() + limit
    with bar:
        try:
            response = urllib.request.urlopen(url, timeout=min(timeout, limit))
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is a response too, with an open connection
            raise MirrorError(f"{host}: {reason(error)}") from error
        with response:
            promised = response.headers.get("Content-Length")
            if promised is not None and promised != str(file.size):
                raise MirrorError(f"{host}: offers {promised} bytes instead of {file.size:,}")
            while True:
                if time.monotonic() > deadline:
                    raise MirrorError(f"{host}: too slow, {got:,} of {file.size:,} bytes in {limit:g} s")
                try:
                    # read1 returns what has arrived; read would wait until the piece is full.
                    piece = response.read1(min(_CHUNK, file.size + 1 - got))
                except (OSError, HTTPException, ValueError) as error:
                    raise MirrorError(f"{host}: {reason(error)}, after {got:,} bytes") from error
                if not piece:
                    break
                got += len(piece)
                if got > file.size:
                    raise MirrorError(f"{host}: sends more than the {file.size:,} bytes published")
                digest.update(piece)
                bar.update(len(piece))
                yield piece
    if got < file.size:
        raise MirrorError(f"{host}: cut off, {got:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.md5:
        raise MirrorError(f"{host}: wrong content, MD5 {digest.hexdigest()} instead of {file.md5}")


def _unwritable(target, error):
    if error.errno in files.DISK_FULL:
        what = f"The disk is full: {NAME} needs {_megabytes(sum(file.size for file in published.FILES))}"
        remedy = "make room"
    else:
        what = f"{NAME} cannot be written to its folder ({reason(error)})"
        remedy = "allow writing there"
    return DataError(
        f"{what}.\nFolder: {target}\n"
        f"Remedy: {remedy}, or put the four files elsewhere (data/README.md lists them) and set "
        "FASHION_MNIST_DIR to that folder."
    )


def _nowhere(file, failures):
    lines = "".join(f"\n  {failure}" for failure in failures) or "\n  (no mirror was given)"
    hint = (
        "This network shows a certificate of its own: set SSL_CERT_FILE to the file with it, which whoever runs the "
        "network has. "
        if "certificate" in lines.lower()
        else ""
    )
    return UnreachableError(
        f"{file.name} is not on this machine, and no mirror delivered it:{lines}\n"
        f"Remedy: {hint}Connect to the network and call data.load() again; or get the four {NAME} files by hand "
        f"(data/README.md lists them), and put them into {HOME}/ or set FASHION_MNIST_DIR to their folder.",
        dict.fromkeys(str(failure).partition(": ")[2] for failure in failures),
    )


def _megabytes(size):
    return f"{size / 1e6:.0f} MB"
