"""Arrays and tables on disk: written aside and renamed, read without pickles, checked.

A reader either sees a whole file or none, also after a kill, a full disk or a crash. What a file
unpacks to is known before it is unpacked, so no file can fill the memory.
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

MAX_BYTES = 1 << 28  # bytes of all arrays in a file, where its reader does not know better
_MAX_TEXT = 1 << 24  # bytes of a JSON file
_MAX_ENTRIES = 10_000
_MAX_DEPTH = 64  # lists within lists in a JSON file
_SEAL = "seal"
_STALE = 24 * 3600  # seconds after which what a killed process left half-written is swept away
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)


class DamagedFile(RuntimeError):
    """A file is cut off, changed, or not what its name says. The message says what to do."""


class UnwritableFile(OSError):
    """A file cannot be written: the disk is full, or its folder is read-only or no folder.

    Nothing half-written stays, and an old file of that name is as it was.
    """

    def __str__(self):
        path = Path(self.filename)
        if self.errno in DISK_FULL:
            remedy = "make room on the disk"
        elif self.errno in _NO_FOLDER:
            remedy = "remove the file that stands where the folder should be"
        else:
            remedy = "allow writing there"
        return (
            f"{path.name} cannot be written ({self.strerror}). What was there before is unchanged.\n"
            f"Folder: {path.parent}\nRemedy: {remedy}, then run it again."
        )


@contextlib.contextmanager
def _unwritable(path):
    """Turn what the system says against writing a file into `UnwritableFile`."""
    try:
        yield
    except OSError as error:
        raise UnwritableFile(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def _is_about_writing(error, part):
    """Whether an error of a caller's block is one of writing its part, and not of whatever else it does."""
    if isinstance(error, UnwritableFile):
        return False
    return error.filename == part if error.filename is not None else error.errno in (*DISK_FULL, errno.EIO, errno.EROFS)


def make_folder(path):
    """Make a folder, and those above it, where it does not exist.

    Raises:
        UnwritableFile: The folder cannot be made.
    """
    with _unwritable(path):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def written_aside(path):
    """Give a temporary path beside ``path``; rename it into place if all went well, else remove it.

    Args:
        path: Path at which the file is to stand. Folders above it are made.

    Yields:
        Path of the part to write to.

    Raises:
        UnwritableFile: The folder cannot be written, or the disk is full; nothing half-written stays. Other errors of
            the block are raised as they are.
    """
    path = Path(path)
    with _unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with _unwritable(path):
            os.close(handle)
        try:
            yield Path(name)
        except OSError as error:
            if not _is_about_writing(error, name):
                raise
            with _unwritable(path):
                raise
        with _unwritable(path):
            with open(name, "rb+") as file:
                os.fsync(file.fileno())  # else a power cut can leave the new name on an empty file
            os.chmod(name, 0o644)
            os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to hear of
            Path(name).unlink(missing_ok=True)
        raise


def _sweep(path):
    """Remove what killed processes have left of earlier writings; a young one may belong to a process at work."""
    with contextlib.suppress(OSError):  # its owner, or another sweeper, was faster
        for part in path.parent.iterdir():
            is_ours = part.name.startswith(f".{path.name}.") and part.name.endswith(".partial")
            if is_ours and time.time() - part.stat().st_mtime > _STALE:
                part.unlink()


def write_together(contents):
    """Write several files. All are whole on the disk before the first gets its name, so a full disk changes none.

    Args:
        contents: Dict of path to bytes. Files are named in this order: the last file is there only if all are.

    Raises:
        UnwritableFile: One of them cannot be written.
    """
    with contextlib.ExitStack() as asides:  # which are left, and so renamed, in the reverse order
        for path in reversed(contents):
            part = asides.enter_context(written_aside(path))
            with _unwritable(path), open(part, "wb") as file:
                file.write(contents[path])
                file.flush()
                os.fsync(file.fileno())


@contextlib.contextmanager
def locked(path, waiting):
    """Let one process at a time be within the block; a lock ends with its process, however that ends.

    Windows, and some disks on networks, have no such locks: there processes do the same work side by side.

    Args:
        path: Path of the lock, a file that stays empty and is removed at the end.
        waiting: Words to print where another process is within.
    """
    make_folder(path.parent)
    with contextlib.ExitStack() as held:
        mine = False
        while not mine:
            with _unwritable(path):
                handle = held.enter_context(open(path, "ab"))
            try:
                import fcntl

                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(waiting, flush=True)
                    fcntl.flock(handle, fcntl.LOCK_EX)
                mine = os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
            except FileNotFoundError:  # its owner has removed it meanwhile: make another
                continue
            except (ImportError, OSError):  # no locks here
                break
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # on Windows another process may have it open
                path.unlink()


def write_arrays(path, arrays):
    """Write arrays as a compressed ``.npz`` without pickles.

    Args:
        path: Path of the file.
        arrays: Dict of name to numpy array.

    Raises:
        UnwritableFile: The file cannot be written.
    """
    write_together({path: packed_arrays(arrays)})


def packed_arrays(arrays):
    """The bytes of a compressed ``.npz`` file."""
    # In memory, because a zip file on a full disk complains a second time when it is closed.
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def read_bytes(path, remedy, max_bytes=MAX_BYTES):
    """All bytes of a file, unless there are too many.

    Args:
        path: Path of the file.
        remedy: Sentence for the error that says what the reader should do.
        max_bytes: Largest number of bytes that the file may have.

    Raises:
        DamagedFile: It cannot be read, is longer, or is no file.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device may have no end
            raise DamagedFile(f"{path.name} is damaged: it is not a file. {remedy}")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, max_bytes) + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(f"{path.name} is damaged: it cannot be read ({error.strerror}). {remedy}") from error
    if len(content) > max_bytes:
        raise DamagedFile(f"{path.name} is damaged: it has more than {max_bytes:,} bytes. {remedy}")
    return content


def read_arrays(path, remedy, max_bytes=MAX_BYTES):
    """Read a ``.npz`` file, all of it, without pickles.

    Args:
        path: Path of the file.
        remedy: Sentence for the error that says what the reader should do.
        max_bytes: Largest number of bytes that the arrays may have together.

    Returns:
        Dict of name to numpy array.

    Raises:
        DamagedFile: The file is cut off, changed, not an ``.npz`` file, one that holds pickles, or one too large.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    return arrays_in(read_bytes(path, remedy, max_bytes), path.name, remedy, max_bytes)


def arrays_in(content, name, remedy, max_bytes=MAX_BYTES):
    """The arrays of an ``.npz`` file from its bytes; otherwise like `read_arrays`.

    Args:
        content: Bytes of the file.
        name: Name of the file, for the error.
        remedy: Sentence for the error that says what the reader should do.
        max_bytes: Largest number of bytes that the arrays may have together.
    """
    try:
        return _unzipped(content, max_bytes)
    # What a file made to do harm provokes in zipfile and numpy is not foreseeable: SyntaxError, struct.error, ...
    except Exception as error:  # noqa: BLE001
        raise DamagedFile(f"{name} is damaged or not an .npz file of plain arrays ({error}). {remedy}") from error


def _unzipped(content, max_bytes):
    if content.count(b"PK\x01\x02") > _MAX_ENTRIES:  # each costs far more memory than its bytes here
        raise ValueError(f"more than {_MAX_ENTRIES:,} entries")
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > max_bytes + 1000 * len(entries):
            raise ValueError(f"it unpacks to more than {max_bytes:,} bytes")
        for entry in entries:
            key, kind = os.path.splitext(entry.filename)
            if kind != ".npy" or key in arrays:
                raise ValueError(f"{entry.filename!r} is no array, or there twice")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{entry.filename!r} is packed by another method")
            with archive.open(entry) as file:
                # Asked for the promised size, zipfile unpacks no more, and compares the checksum at its end.
                arrays[key] = plain_array(file.read(entry.file_size))
    return arrays


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def plain_array(packed):
    """An array from the bytes of a ``.npy`` file. Its size is compared with theirs before any memory is taken.

    Args:
        packed: Bytes of the file.

    Raises:
        Exception: Whatever numpy finds wrong with them, and ValueError where they hold no plain numbers or text.
    """
    file = io.BytesIO(packed)
    shape, is_fortran, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.kind not in "biufU" or dtype.names or dtype.subdtype:
        raise ValueError(f"it holds {dtype}, not plain numbers or text")
    if math.prod(shape) * dtype.itemsize != len(packed) - file.tell():
        raise ValueError(f"{len(packed) - file.tell():,} bytes for an array of shape {shape}")
    flat = np.frombuffer(bytearray(packed), dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C")


def write_json(path, content):
    """Write ``content`` as indented JSON; not-a-number is refused, because JSON has no word for it.

    Args:
        path: Path of the file.
        content: What JSON can hold.

    Raises:
        ValueError: JSON cannot hold the content, or it is too long or too deep to be read again.
        UnwritableFile: The file cannot be written.
    """
    write_together({path: json_bytes(content)})


def json_bytes(content):
    """The bytes of an indented JSON file; ValueError where `read_json` would not take them."""
    text = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    if len(text) > _MAX_TEXT:
        raise ValueError(f"this would be {len(text):,} bytes of JSON; at most {_MAX_TEXT:,} are read again.")
    _parsed(text)
    return text


def write_sealed(path, content):
    """`write_json` for a dict, with a checksum that `read_json` verifies and takes away.

    Args:
        path: Path of the file.
        content: Dict without a field "seal".
    """
    write_json(path, sealed(content))


def sealed(content):
    """A dict as JSON gives it back, with its checksum as a field "seal"."""
    content = json.loads(json.dumps(content, allow_nan=False))  # numbers as keys become texts
    return {**content, _SEAL: seal(content)}


def seal(content):
    """SHA-256 of what a dict says, whatever the order of its fields, in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(path, remedy, is_sealed=False):
    """Read JSON, and verify the seal where there is one.

    Args:
        path: Path of the file.
        remedy: Sentence for the error that says what the reader should do.
        is_sealed: Whether to refuse also a file without a seal.

    Returns:
        What the file holds, without the seal.

    Raises:
        DamagedFile: The file is not JSON, or not what `write_sealed` wrote.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    text = read_bytes(path, remedy, _MAX_TEXT)
    try:
        content = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path.name} is damaged: it is not JSON ({error}). {remedy}") from error
    has_seal = isinstance(content, dict) and _SEAL in content
    if (has_seal and content.pop(_SEAL) != seal(content)) or (is_sealed and not has_seal):
        raise DamagedFile(f"{path.name} is damaged: its content does not fit its seal. {remedy}")
    return content


def _parsed(text):
    content = json.loads(text.decode("utf-8"), parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    if _depth(content) > _MAX_DEPTH:
        raise ValueError(f"lists within lists, more than {_MAX_DEPTH} deep")
    # Half of a character, which JSON can escape, is no text: pandas cannot hold it where pyarrow is installed.
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def _finite(text):
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no finite number")
    return float(text)


def _whole(text):
    if len(text) > 20 or abs(int(text)) >= 1 << 64:  # numpy and pandas know no larger ones
        raise ValueError(f"{text[:20]}... is too large a number")
    return int(text)


def _depth(content):
    level, depth = [content], 0
    while level := [
        part
        for whole in level
        if isinstance(whole, (dict, list))
        for part in (whole.values() if isinstance(whole, dict) else whole)
    ]:
        depth += 1
    return depth
