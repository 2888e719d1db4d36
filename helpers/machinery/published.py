"""The four published files of Fashion-MNIST, and how to know them.

Only a file whose checksum agrees is used. Any other ends in a `DataError` that says what is wrong with it and what
to do: cut off, swapped, another data set, unpacked, a web page.
"""

import hashlib
import math
import os
import struct
import urllib.error
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NAME = "Fashion-MNIST"

SLUG = "fashion-mnist"


class DataError(RuntimeError):
    """The data are missing, damaged or foreign. The text names the file, the fault and the remedy.

    Its first line carries no path of the machine, so that it can be quoted in a notebook.
    """


class UnreachableError(DataError):
    """The data are not on this machine, and no mirror delivered them.

    Args:
        message: Text of the error.
        reasons: What each kind of failure was, once, as texts.
    """

    def __init__(self, message, reasons=()):
        super().__init__(message)
        self.reasons = list(reasons)


@dataclass(frozen=True)
class File:
    """One published file, and all that is needed to recognise it.

    Attributes:
        name: File name, as published.
        size: Length in bytes of the file as published (compressed).
        md5: Published MD5 sum of the compressed file, in hexadecimal.
        content_md5: MD5 sum of what is inside; it recognises the right content packed by another gzip.
        magic: First four bytes inside, read as a big-endian number: 2051 for images, 2049 for labels.
        shape: Shape of the uint8 array inside: (n, 28, 28) or (n,).
    """

    name: str
    size: int
    md5: str
    content_md5: str
    magic: int
    shape: tuple

    @property
    def content_size(self):
        """Length in bytes once unpacked: header and one byte for each pixel or label."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
CLASSES = 10


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
MNIST_FILES = (
    File(
        name="train-images-idx3-ubyte.gz",
        size=9_912_422,
        md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
        content_md5="6bbc9ace898e44ae57da46a324031adb",
        magic=IMAGES_MAGIC,
        shape=(60_000, 28, 28),
    ),
    File(
        name="train-labels-idx1-ubyte.gz",
        size=28_881,
        md5="d53e105ee54ea40749a09fcbcd1e9432",
        content_md5="a25bea736e30d166cdddb491f175f624",
        magic=LABELS_MAGIC,
        shape=(60_000,),
    ),
    File(
        name="t10k-images-idx3-ubyte.gz",
        size=1_648_877,
        md5="9fb629c4189551a2d022fa330f9573f3",
        content_md5="2646ac647ad5339dbf082846283269ea",
        magic=IMAGES_MAGIC,
        shape=(10_000, 28, 28),
    ),
    File(
        name="t10k-labels-idx1-ubyte.gz",
        size=4_542,
        md5="ec29112dd5afa0611ce80d1b7f02629c",
        content_md5="27ae3e4e09519cfbb04c329615203637",
        magic=LABELS_MAGIC,
        shape=(10_000,),
    ),
)
MNIST_MD5 = frozenset(digest for file in MNIST_FILES for digest in (file.md5, file.content_md5))


def verify(directory):
    """Check the four files in a folder. Nothing is returned: what is wrong is raised.

    Args:
        directory: Folder to check.

    Raises:
        DataError: The first fault found, with file and remedy.
    """
    for file in FILES:
        read(Path(directory) / file.name, file, parse=False)


def fault(path, what, remedy=None):
    """Make the error that says what is wrong, where, and what to do.

    Args:
        path: Path of the file.
        what: What is wrong with it, the rest of a sentence that begins with its name.
        remedy: What the reader should do; None says how to get the published file.

    Returns:
        A `DataError`.
    """
    if remedy is None:
        remedy = (
            f"{_download_again(path)}; or put the published file in its place "
            "(data/README.md lists names, sizes and MD5 sums)."
        )
    return DataError(f"{path.name} {what}.\nFolder: {path.parent}\nRemedy: {remedy}")


def _download_again(path):
    # fetch replaces what is wrong, in any folder, so this remedy holds wherever the file lies.
    return f"data.fetch({str(path.parent)!r}) downloads it again"


def located(path):
    """Path at which a published file lies, packed or unpacked; where it is missing, that of the packed one.

    Args:
        path: Path that the packed file has.
    """
    bare = path.with_suffix("")
    for place in (path, bare, bare / bare.name):  # 7-Zip makes a folder
        if os.path.isfile(place):
            return place
    return path


def is_there(path):
    """Whether something lies where a published file belongs, packed or unpacked, right or wrong.

    Args:
        path: Path that the packed file has.
    """
    return os.path.exists(path) or os.path.exists(path.with_suffix(""))


def content_md5(*pieces):
    """MD5 sum, in hexadecimal, of what a file holds; it guards against accidents only.

    Args:
        *pieces: Bytes or arrays that follow one another.
    """
    # Systems under FIPS rules refuse MD5 unless an argument says that it guards against accidents only.
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def holds(file, array):
    """Whether an array is what a published file holds.

    Args:
        file: A `File`.
        array: Array uint8.
    """
    head = struct.pack(f">{1 + array.ndim}I", file.magic, *array.shape)
    return array.shape == file.shape and content_md5(head, np.ascontiguousarray(array)) == file.content_md5


def read(path, file, parse=True):
    """The array in one file, checked; or only the check.

    The file may have been unpacked on the way, by a browser or by 7-Zip: it then lies without its ending, in a folder
    of that name, or still under the packed name. Size and MD5 as published settle it. Where they do not agree, the
    tests run from the outside in, so that each fault gets its own words, and the MD5 of the content decides at the end.

    Args:
        path: Path at which the file lies.
        file: The `File` it must be.
        parse: Whether to return the array; False stops as soon as the file is known to be right.

    Returns:
        Array uint8 of shape ``file.shape``; None with ``parse=False``.

    Raises:
        DataError: The file is not what it must be.
    """
    path = located(path)
    packed = _bytes(path)
    digest = content_md5(packed)
    is_published = len(packed) == file.size and digest == file.md5
    if is_published and not parse:
        return None
    is_unpacked = packed[:4] in (struct.pack(">I", magic) for magic in (IMAGES_MAGIC, LABELS_MAGIC))
    if not is_published:
        _recognise(path, file, packed, digest, is_unpacked)
    content = packed if is_unpacked else _unpack(path, file, packed)
    array = _parse(path, file, content)
    if not is_published:
        digest = content_md5(content)
        if digest in MNIST_MD5:
            raise _is_mnist(path)
        if digest != file.content_md5:
            raise fault(
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
            raise fault(path, "is not a file", f"remove what has this name; then {_download_again(path)}.")
        with open(path, "rb") as stream:
            packed = stream.read(longest + 1)
    except OSError as error:
        remedy = "allow reading this file and its folder, or use another copy of the four files."
        raise fault(path, f"cannot be read ({reason(error)})", remedy) from error
    if len(packed) > longest:
        raise fault(path, f"is too long: more than {longest:,} bytes")
    return packed


def _missing(path):
    return fault(
        path,
        "is missing",
        f"put the four {NAME} files into this folder (data/README.md lists them); or {_download_again(path)}.",
    )


def _is_mnist(path):
    return fault(
        path,
        f"is MNIST (handwritten digits), not {NAME}: the names are the same",
        f"keep {NAME} in a folder of its own; here, {_download_again(path)}.",
    )


def _is_swapped(path, other):
    return fault(
        path,
        f"is swapped: it holds what belongs in {other.name}",
        f"give both files their right names; or {_download_again(path)}.",
    )


def _recognise(path, file, packed, digest, is_unpacked):
    """Name the likely mix-ups that can be recognised without unpacking."""
    if digest in MNIST_MD5:
        raise _is_mnist(path)
    for other in FILES:
        if other is not file and digest == other.md5:
            raise _is_swapped(path, other)
    if not packed:
        raise fault(path, f"is cut off: it is empty, expected {file.size:,} bytes")
    if packed[:2] == b"\x1f\x8b"[: len(packed)] or is_unpacked:
        return
    if packed.lstrip()[:1] == b"<":
        raise fault(path, "is not a gzip file but a web page, perhaps the log-in page of a network")
    raise fault(path, f"is not a gzip file: it starts with the bytes {packed[:4].hex(' ')}")


def _unpack(path, file, packed):
    """The bytes inside, at most one more than there should be, so that no file can fill the memory."""
    stream = zlib.decompressobj(wbits=31)  # 31: a gzip header, and its checksum verified at the end
    try:
        content = stream.decompress(packed, file.content_size + 1)
    except zlib.error as error:
        raise fault(path, f"is damaged: gzip says {error}") from error
    if len(content) <= file.content_size and not stream.eof:
        raise fault(path, f"is cut off: it ends after {len(packed):,} bytes, {file.size:,} were published")
    return content


def _parse(path, file, content):
    """The array inside, uint8 of shape ``file.shape``, after a check of header, length and labels."""
    if len(content) < 4:
        raise fault(path, "is not an IDX file: its content is shorter than a header")
    (magic,) = struct.unpack_from(">I", content)
    if magic not in (IMAGES_MAGIC, LABELS_MAGIC):
        raise fault(path, f"is not an IDX file of bytes: magic number {magic}, expected {file.magic}")
    axes = magic & 0xFF
    start = 4 + 4 * axes
    if len(content) < start:
        raise fault(path, "is cut off inside: its IDX header is not complete")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    if (magic, shape) != (file.magic, file.shape):
        for other in FILES:
            if (magic, shape) == (other.magic, other.shape):
                raise _is_swapped(path, other)
        raise fault(
            path,
            f"has the wrong shape: {_size(shape)} {_kind(magic)}, expected {_size(file.shape)} {_kind(file.magic)}",
        )
    if len(content) != file.content_size:
        # Beyond the limit nothing was unpacked, so the true surplus is unknown.
        found = f"{len(content):,}" if len(content) < file.content_size else "more"
        raise fault(path, f"is damaged: its header promises {file.content_size:,} bytes, there are {found}")
    array = np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    if magic == LABELS_MAGIC and array.size and array.max() >= CLASSES:
        raise fault(path, f"has a label {array.max()}, but labels run from 0 to {CLASSES - 1}")
    return array


def _kind(magic):
    return "images" if magic == IMAGES_MAGIC else "labels"


def _size(shape):
    return " x ".join(f"{n:,}" for n in shape)


def is_right(path, file):
    """Whether a path holds the published file.

    Args:
        path: Path at which the file lies.
        file: The `File` it must be.
    """
    try:
        read(path, file, parse=False)
    except DataError:
        return False
    return True


def reason(error):
    """An exception in a few words, without a path of the machine."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return reason(error.reason)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
