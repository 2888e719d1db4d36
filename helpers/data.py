"""Fashion-MNIST: find, fetch, verify, split.

``load()`` looks in ``FASHION_MNIST_DIR``, in ``data/fashion-mnist/``, in Keras' cache, in the folder of Debian's
package, and then asks the mirrors. Only files whose checksum agrees are used; any other file ends in a
``DataError`` that says what is wrong with it and what to do. Where there are no files and no network, the drawn
wardrobe stands in.
"""

import contextlib
import errno
import gzip
import hashlib
import math
import os
import queue
import secrets
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from helpers import course, wardrobe
from helpers.dataset import CLASS_NAMES, Dataset, Split

NAME = "Fashion-MNIST"
SLUG = "fashion-mnist"

# The split of the 60,000 published training images. Every number of the course rests on these two.
VALIDATION_SIZE = 5_000
SPLIT_SEED = 20170825  # the day the data set's paper appeared


STAND_IN = (
    f"No {NAME} on this machine, and no mirror answers: the course goes on with the drawn wardrobe. "
    "For the real set, connect once and run this cell again, or put the four files into data/fashion-mnist/ "
    "(data/README.md lists them)."
)


class DataError(RuntimeError):
    """The data are missing, damaged or foreign. The text names the file, the fault and the remedy.

    Its first line carries no path of the machine, so that it can be quoted in a notebook.
    """


class UnreachableError(DataError):
    """The data are not on this machine, and no mirror delivered them."""


# --------------------------------------------------------------------------------------------------
# The four published files


@dataclass(frozen=True)
class File:
    """One published file, and all that is needed to recognise it.

    Attributes:
        name: file name, as published.
        size: length in bytes of the file as published (compressed).
        md5: published MD5 sum of the compressed file, in hexadecimal.
        content_md5: MD5 sum of what is inside; it recognises the right content packed by another gzip.
        magic: first four bytes inside, read as a big-endian number: 2051 for images, 2049 for labels.
        shape: shape of the array inside, uint8: (n, 28, 28) or (n,).
    """

    name: str
    size: int
    md5: str
    content_md5: str
    magic: int
    shape: tuple

    @property
    def content_size(self):
        """Length in bytes once unpacked: header and one byte a pixel or label."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049

# Always in this order: training images, training labels, test images, test labels.
FILES = (
    File(
        name="train-images-idx3-ubyte.gz",
        size=26_421_880,
        md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        content_md5="f4a8712d7a061bf5bd6d2ca38dc4d50a",
        magic=IMAGES_MAGIC,
        shape=(60_000, 28, 28),
    ),
    File(
        name="train-labels-idx1-ubyte.gz",
        size=29_515,
        md5="25c81989df183df01b3e8a0aad5dffbe",
        content_md5="9018921c3c673c538a1fc5bad174d6f9",
        magic=LABELS_MAGIC,
        shape=(60_000,),
    ),
    File(
        name="t10k-images-idx3-ubyte.gz",
        size=4_422_102,
        md5="bef4ecab320f06d8554ea6380940ec79",
        content_md5="8181f5470baa50b63fa0f6fddb340f0a",
        magic=IMAGES_MAGIC,
        shape=(10_000, 28, 28),
    ),
    File(
        name="t10k-labels-idx1-ubyte.gz",
        size=5_148,
        md5="bb300cfdad3c16e7a12a480ee83cd310",
        content_md5="15d484375f8d13e6eb1aabb0c3f46965",
        magic=LABELS_MAGIC,
        shape=(10_000,),
    ),
)

# MNIST, the handwritten digits, has the same file names and shapes, so it is the likeliest mix-up.
# MD5 sums of its four files, packed and unpacked.
MNIST_MD5 = frozenset(
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    )
)

# Asked in this order. Two of them are out of reach in some countries and schools.
MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

# Where `apt install dataset-fashion-mnist` puts the four files, on Debian and its descendants such as Ubuntu: the same
# content, packed by another gzip.
DEBIAN = Path("/usr/share/datasets") / SLUG

_HOME = f"data/{SLUG}"
_CHUNK = 1 << 16
_STALE = 24 * 3600  # seconds after which a part left by a killed process is swept away


def load(directory=None, verbose=True):
    """Fashion-MNIST, found or fetched, verified and split; the drawn wardrobe where that cannot be.

    ``COURSE_DATA=wardrobe`` chooses the drawings on purpose, ``COURSE_DATA=fashion-mnist`` refuses them.

    Args:
        directory: folder with the four files; it then is the only place looked at. None: the search
            order of ``find``, then a download to ``data/fashion-mnist/``.
        verbose: print one line that says what was found where, and show the progress of a download.

    Returns:
        Dataset with 55,000 training, 5,000 validation and 10,000 test images. The split is fixed. Its
        ``name`` says which data these are.

    Raises:
        DataError: a file is damaged or foreign, a folder cannot be written, or, with
            ``COURSE_DATA=fashion-mnist``, no mirror could be reached.
    """
    place = None
    if directory is not None or course.data_choice() != wardrobe.SLUG:
        place = _found_or_fetched(directory, verbose)
    course.use_stand_in(wardrobe.NAME if place is None else None)
    if place is None:
        return wardrobe.load(verbose)
    images, labels, test_images, test_labels = (_read(place.directory / file.name, file) for file in FILES)
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=VALIDATION_SIZE, stratify=labels, random_state=SPLIT_SEED
    )
    dataset = Dataset(
        name=NAME,
        slug=SLUG,
        class_names=CLASS_NAMES,
        train=_split(images[train], labels[train]),
        validation=_split(images[validation], labels[validation]),
        test=_split(test_images, test_labels),
        source=place.source,
    )
    if verbose:
        print(dataset)
    return dataset


def _found_or_fetched(directory, verbose):
    """The Place of the four files, None where they are nowhere and the stand-in is allowed."""
    place = find(directory, verbose=verbose)
    if place is not None:
        return place
    try:
        _ask_mirrors(MIRRORS)
        target = fetch(course.DATA / SLUG, verbose=verbose)
    except UnreachableError:
        if course.data_choice() == SLUG:
            raise
        print(STAND_IN)  # always: which data are in use must be visible
        return None
    return Place(target, f"{_HOME} (downloaded now)")


def _split(pixels, labels):
    """uint8 (n, 28, 28) and uint8 (n,), to a Split."""
    # The type is named because 255 as a plain number would make float64 of it, twice the memory.
    images = np.divide(pixels[..., np.newaxis], 255, dtype=np.float32)
    return Split(images, labels.astype(np.int64))


# --------------------------------------------------------------------------------------------------
# Find


class Place(NamedTuple):
    """A folder with the four verified files, and the kind of place it is, in words."""

    directory: Path
    source: str


def find(directory=None, verbose=True):
    """The first place that holds the four files, each verified.

    Order: the folder given or, without one, ``FASHION_MNIST_DIR``; ``data/fashion-mnist/``; Keras' cache; the
    folder of Debian's package ``dataset-fashion-mnist``, ``/usr/share/datasets/fashion-mnist/``. Debian comes last
    because its files are packed anew, so that each has to be unpacked before it is known to be right.
    A folder that the reader named must be right; nothing else is tried instead of it. Keras' cache and Debian's
    folder belong to others: if a file in them is wrong, a line says so and the search goes on.

    Args:
        directory: The folder to look at, and the only one; None searches.
        verbose: Prints that line.

    Returns:
        Place, or None if the files are nowhere (or some of them are still missing in our own folder).

    Raises:
        DataError: a named folder does not exist or lacks a file, or a file in it, or in
            ``data/fashion-mnist/``, is damaged or foreign.
    """
    if directory is not None:
        way_out = "Or name another folder, or none to search for the files."
        return _named(Path(directory), "the given folder", way_out)
    directory = course.data_directory()
    if directory is not None:
        return _named(directory, "FASHION_MNIST_DIR", "Or unset FASHION_MNIST_DIR to search for the files.")

    home = course.DATA / SLUG
    # A download that was interrupted leaves some files whole and some missing: only the latter are fetched.
    if all([_is_there(home, file) for file in FILES]):
        return Place(home, _HOME)

    others = Place(course.keras_home() / "datasets" / SLUG, "Keras' cache"), Place(DEBIAN, "Debian's package")
    for place in others:
        if not any(os.path.exists(place.directory / file.name) for file in FILES):
            continue
        try:
            verify(place.directory)
        except DataError as error:
            if verbose:
                print(f"{place.source} is passed over: {str(error).splitlines()[0]}")
        else:
            return place
    return None


def _named(directory, source, way_out):
    # os.path answers where pathlib raises for folders that this user may not enter.
    if not os.path.isdir(directory):
        what = "is not a folder" if os.path.exists(directory) else "does not exist"
        raise DataError(
            f"Wrong path for {source}: it {what}.\nFolder: {directory}\n"
            f"Remedy: correct it, so that it leads to {FILES[0].name} and its three companions. {way_out}"
        )
    try:
        verify(directory)
    except DataError as error:
        raise DataError(f"In {source}: {error} {way_out}") from error
    return Place(directory, source)


def _is_there(directory, file):
    """Whether our own folder holds the file; raises DataError where it holds something else."""
    path = directory / file.name
    if not os.path.exists(path) and not os.path.exists(_unpacked(path)):
        return False
    _read(path, file, parse=False)
    return True


def packed_files(wear):
    """The four files as they are stored: gzip bytes by name.

    Where the drawn wardrobe stands in, its garments are packed in the same format, so that everything
    about the format can still be tried; only the checksums differ.

    Args:
        wear: the Dataset that ``load`` gave.

    Returns:
        dict of the names in ``FILES`` to bytes.
    """
    if wear.slug == SLUG:
        directory = find(verbose=False).directory
        return {file.name: (directory / file.name).read_bytes() for file in FILES}
    trained_on = [np.concatenate(pair) for pair in zip(_bytes_of(wear.train), _bytes_of(wear.validation), strict=True)]
    contents = [*trained_on, *_bytes_of(wear.test)]
    heads = [
        struct.pack(f">{1 + array.ndim}I", file.magic, *array.shape)
        for file, array in zip(FILES, contents, strict=True)
    ]
    return {
        file.name: gzip.compress(head + array.tobytes(), compresslevel=1, mtime=0)
        for file, head, array in zip(FILES, heads, contents, strict=True)
    }


def _bytes_of(split):
    """A split's images as uint8 (n, 28, 28) and its labels as uint8 (n,)."""
    return np.rint(split.images[..., 0] * 255).astype("uint8"), split.labels.astype("uint8")


def verify(directory):
    """Check the four files in a folder. Nothing is returned: what is wrong is raised.

    Args:
        directory: folder to check.

    Raises:
        DataError: the first fault found, with file and remedy.
    """
    for file in FILES:
        _read(Path(directory) / file.name, file, parse=False)


# --------------------------------------------------------------------------------------------------
# Verify and parse one file


def _fault(path, what, remedy=None):
    """A DataError: what is wrong, where, and what to do."""
    if remedy is None:
        remedy = (
            f"{_anew(path)}; or put the published file in its place (data/README.md lists names, sizes and MD5 sums)."
        )
    return DataError(f"{path.name} {what}.\nFolder: {path.parent}\nRemedy: {remedy}")


def _anew(path):
    # fetch replaces what is wrong, in any folder, so this remedy holds wherever the file lies.
    return f"data.fetch({str(path.parent)!r}) downloads it anew"


def _unpacked(path):
    return path.with_suffix("")


def _md5(content):
    # Systems under FIPS rules refuse MD5 unless told that it guards against accidents only.
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _read(path, file, parse=True):
    """The array in one file, checked; or only the check.

    Size and MD5 as published settle it. Where they do not agree, the tests run from the outside in, so that
    each fault gets its own words, and the MD5 of the content decides at the end.

    Args:
        path: where the file lies.
        file: the File it must be.
        parse: False stops as soon as the file is known to be right.

    Returns:
        uint8 array of shape ``file.shape``; None with ``parse=False``.

    Raises:
        DataError: the file is not what it must be.
    """
    packed = _bytes(path)
    digest = _md5(packed)
    is_published = len(packed) == file.size and digest == file.md5
    if is_published and not parse:
        return None
    if not is_published:
        _recognise(path, file, packed, digest)
    content = _unpack(path, file, packed)
    array = _parse(path, file, content)
    if not is_published:
        digest = _md5(content)
        if digest in MNIST_MD5:
            raise _is_mnist(path)
        if digest != file.content_md5:
            raise _fault(
                path,
                f"is well formed, but its content is not {NAME}'s (MD5 {digest}, "
                f"expected {file.content_md5}): another data set of the same shape, or altered",
            )
    return array if parse else None


def _bytes(path):
    """The whole file, unless it is absent, unreadable or far too long."""
    # A published file packed without compression is the longest that can still be right.
    longest = max(max(file.size, file.content_size + file.content_size // 100) for file in FILES) + 4096
    try:
        if not path.exists():
            raise _missing(path)
        if not path.is_file():
            raise _fault(path, "is not a file", f"remove what has this name; then {_anew(path)}.")
        with open(path, "rb") as stream:
            packed = stream.read(longest + 1)
    except OSError as error:
        remedy = "allow reading this file and its folder, or use another copy of the four files."
        raise _fault(path, f"cannot be read ({_reason(error)})", remedy) from error
    if len(packed) > longest:
        raise _fault(path, f"is too long: more than {longest:,} bytes")
    return packed


def _missing(path):
    unpacked = _unpacked(path)
    if unpacked.exists():
        return _fault(
            path,
            f"is missing; {unpacked.name} lies there, unpacked",
            f"pack it again (gzip {unpacked.name}); or {_anew(path)}.",
        )
    return _fault(
        path,
        "is missing",
        f"put the four {NAME} files into this folder (data/README.md lists them); or {_anew(path)}.",
    )


def _is_mnist(path):
    return _fault(
        path,
        f"is MNIST (handwritten digits), not {NAME}: the names are the same",
        f"keep {NAME} in a folder of its own; here, {_anew(path)}.",
    )


def _is_swapped(path, other):
    return _fault(
        path,
        f"is swapped: it holds what belongs in {other.name}",
        f"give both files their right names; or {_anew(path)}.",
    )


def _recognise(path, file, packed, digest):
    """Name the likely mix-ups that can be told without unpacking."""
    if digest in MNIST_MD5:
        raise _is_mnist(path)
    for other in FILES:
        if other is not file and digest == other.md5:
            raise _is_swapped(path, other)
    if not packed:
        raise _fault(path, f"is cut off: it is empty, expected {file.size:,} bytes")
    if packed[:2] == b"\x1f\x8b"[: len(packed)]:
        return
    if packed[:4] == struct.pack(">I", file.magic):
        raise _fault(
            path,
            "is not a gzip file: it is unpacked, but still has the name of a packed one",
            f"name it {_unpacked(path).name} and pack it again (gzip {_unpacked(path).name}); or {_anew(path)}.",
        )
    if packed.lstrip()[:1] == b"<":
        raise _fault(path, "is not a gzip file but a web page, perhaps the log-in page of a network")
    raise _fault(path, f"is not a gzip file: it starts with the bytes {packed[:4].hex(' ')}")


def _unpack(path, file, packed):
    """The bytes inside, at most one more than there should be, so that no file can fill the memory."""
    stream = zlib.decompressobj(wbits=31)  # 31: a gzip header, and its checksum verified at the end
    try:
        content = stream.decompress(packed, file.content_size + 1)
    except zlib.error as error:
        raise _fault(path, f"is damaged: gzip says {error}") from error
    if len(content) <= file.content_size and not stream.eof:
        raise _fault(path, f"is cut off: it ends after {len(packed):,} bytes, {file.size:,} were published")
    return content


def _parse(path, file, content):
    """The array inside, uint8 of shape ``file.shape``, after a look at header, length and labels."""
    if len(content) < 4:
        raise _fault(path, "is not an IDX file: its content is shorter than a header")
    (magic,) = struct.unpack_from(">I", content)
    if magic not in (IMAGES_MAGIC, LABELS_MAGIC):
        raise _fault(path, f"is not an IDX file of bytes: magic number {magic}, expected {file.magic}")
    axes = magic & 0xFF
    start = 4 + 4 * axes
    if len(content) < start:
        raise _fault(path, "is cut off inside: its IDX header is not complete")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    if (magic, shape) != (file.magic, file.shape):
        for other in FILES:
            if (magic, shape) == (other.magic, other.shape):
                raise _is_swapped(path, other)
        raise _fault(
            path,
            f"has the wrong shape: {_size(shape)} {_kind(magic)}, expected {_size(file.shape)} {_kind(file.magic)}",
        )
    if len(content) != file.content_size:
        # Beyond the limit nothing was unpacked, so the true surplus is unknown.
        found = f"{len(content):,}" if len(content) < file.content_size else "more"
        raise _fault(path, f"is damaged: its header promises {file.content_size:,} bytes, there are {found}")
    array = np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    if magic == LABELS_MAGIC and array.size and array.max() >= len(CLASS_NAMES):
        raise _fault(path, f"has a label {array.max()}, but labels run from 0 to {len(CLASS_NAMES) - 1}")
    return array


def _kind(magic):
    return "images" if magic == IMAGES_MAGIC else "labels"


def _size(shape):
    return " x ".join(f"{n:,}" for n in shape)


# --------------------------------------------------------------------------------------------------
# Fetch


def fetch(target=None, mirrors=None, timeout=10.0, limit=300.0, verbose=True):
    """Download the files that are missing or wrong in a folder, each verified before it gets its name.

    A part is written beside its final place under a name of its own and removed whatever happens, so several
    processes may fetch into one folder at once.

    Args:
        target: folder to fill, made if needed; None for ``data/fashion-mnist/``.
        mirrors: base addresses, asked in turn; None for ``MIRRORS``.
        timeout: seconds to wait for a connection, and for each next piece of data.
        limit: seconds that one mirror may take for one file.
        verbose: say what is downloaded, show a progress bar, and name each mirror that fails.

    Returns:
        Path of the folder, now with the four verified files.

    Raises:
        DataError: the folder cannot be written, the disk is full, or no mirror delivered a file.
    """
    target = course.DATA / SLUG if target is None else Path(target)
    mirrors = list(MIRRORS if mirrors is None else mirrors)
    wanted = [file for file in FILES if not _is_right(target / file.name, file)]
    if not wanted:
        return target
    if verbose:
        where = _HOME if target == course.DATA / SLUG else "the given folder"
        print(f"Downloading {NAME} to {where}: {_megabytes(sum(file.size for file in wanted))}.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        _sweep(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    failed = set()
    for file in wanted:
        if _is_right(target / file.name, file):
            continue  # another process was faster
        failures = []
        for mirror in sorted(mirrors, key=failed.__contains__):  # those that failed before come last
            try:
                _download(mirror, file, target, timeout, limit, verbose)
            except _MirrorError as error:
                failed.add(mirror)
                failures.append(error)
                if verbose:
                    tqdm.write(f"{file.name}: {error}", file=sys.stderr)
            else:
                break
        else:
            raise _nowhere(file, failures) from (failures[-1] if failures else None)
    return target


def _ask_mirrors(mirrors, seconds=6.0):
    """Ask all mirrors at once whether they are there; return as soon as one answers.

    Without a network some systems let each request hang until its time is over. One after the other, a
    reader would wait for minutes.

    Raises:
        UnreachableError: none answered in so many seconds.
    """
    answers = queue.SimpleQueue()

    def ask(mirror):
        try:
            request = urllib.request.Request(mirror.rstrip("/") + "/" + FILES[0].name, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError as error:
            error.close()  # an answer too, if not the best; `fetch` will say more
            answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(_MirrorError(f"{urlsplit(mirror).netloc or mirror}: {_reason(error)}"))
        else:
            answers.put(None)

    for mirror in mirrors:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    deadline, failures = time.monotonic() + seconds, []
    while len(failures) < len(mirrors):
        try:
            failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            failures.append(_MirrorError(f"the others: no answer in {seconds:g} seconds"))
            break
        if failure is None:
            return
        failures.append(failure)
    raise _nowhere(FILES[0], failures)


class _MirrorError(Exception):
    """One mirror could not deliver one file; the next may."""


def _is_right(path, file):
    try:
        _read(path, file, parse=False)
    except DataError:
        return False
    return True


def _sweep(target):
    """Remove parts that a killed process left long ago; a young one may belong to a process at work."""
    for file in FILES:
        for part in target.glob(f"{file.name}.*.partial"):
            try:
                if time.time() - part.stat().st_mtime > _STALE:
                    part.unlink()
            except FileNotFoundError:
                continue  # its owner, or another sweeper, was faster


def _download(mirror, file, target, timeout, limit, verbose):
    """Fetch one file from one mirror, verify it and give it its name."""
    path = target / file.name
    part = target / f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
    try:
        try:
            # Opened before the mirror is asked: a folder that cannot be written is known at once.
            pieces = contextlib.closing(_pieces(mirror, file, timeout, limit, verbose))
            with open(part, "xb") as stream, pieces as arriving:
                for piece in arriving:
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        except OSError as error:
            # On Windows a file that another process reads cannot be replaced; then it is already right.
            if not _is_right(path, file):
                raise _unwritable(target, error) from error
    finally:
        # Asked first, because a read-only file system refuses to remove even what is not there.
        if os.path.exists(part):
            part.unlink(missing_ok=True)


def _pieces(mirror, file, timeout, limit, verbose):
    """The published bytes of one file, piece by piece; raises _MirrorError unless they are all right."""
    url = mirror.rstrip("/") + "/" + file.name
    host = urlsplit(url).netloc or mirror
    digest = hashlib.md5(usedforsecurity=False)
    got = 0
    looks = {"desc": file.name, "unit": "B", "unit_scale": True, "leave": False}
    bar = tqdm(total=file.size, disable=not verbose, file=sys.stderr, **looks)
    deadline = time.monotonic() + limit
    with bar:
        try:
            response = urllib.request.urlopen(url, timeout=min(timeout, limit))
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is a response too, with an open connection
            raise _MirrorError(f"{host}: {_reason(error)}") from error
        with response:
            promised = response.headers.get("Content-Length")
            if promised is not None and promised != str(file.size):
                raise _MirrorError(f"{host}: offers {promised} bytes instead of {file.size:,}")
            while True:
                if time.monotonic() > deadline:
                    raise _MirrorError(f"{host}: too slow, {got:,} of {file.size:,} bytes in {limit:g} s")
                try:
                    # read1 returns what has arrived; read would wait until the piece is full.
                    piece = response.read1(min(_CHUNK, file.size + 1 - got))
                except (OSError, HTTPException, ValueError) as error:
                    raise _MirrorError(f"{host}: {_reason(error)}, after {got:,} bytes") from error
                if not piece:
                    break
                got += len(piece)
                if got > file.size:
                    raise _MirrorError(f"{host}: sends more than the {file.size:,} bytes published")
                digest.update(piece)
                bar.update(len(piece))
                yield piece
    if got < file.size:
        raise _MirrorError(f"{host}: cut off, {got:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.md5:
        raise _MirrorError(f"{host}: wrong content, MD5 {digest.hexdigest()} instead of {file.md5}")


def _reason(error):
    """An exception in a few words, without a path of the machine."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _unwritable(target, error):
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        what = f"The disk is full: {NAME} needs {_megabytes(sum(file.size for file in FILES))}"
        remedy = "make room"
    else:
        what = f"{NAME} cannot be written to its folder ({_reason(error)})"
        remedy = "allow writing there"
    return DataError(
        f"{what}.\nFolder: {target}\n"
        f"Remedy: {remedy}, or put the four files elsewhere (data/README.md lists them) and set "
        "FASHION_MNIST_DIR to that folder."
    )


def _nowhere(file, failures):
    reasons = "".join(f"\n  {failure}" for failure in failures) or "\n  (no mirror was given)"
    return UnreachableError(
        f"{file.name} is not on this machine, and no mirror delivered it:{reasons}\n"
        f"Remedy: connect to the network and call data.load() again; or get the four {NAME} files by hand "
        f"(data/README.md lists them), and put them into {_HOME}/ or set FASHION_MNIST_DIR to their folder."
    )


def _megabytes(size):
    return f"{size / 1e6:.0f} MB"
