"""Arrays and tables on disk: written aside and renamed, read without pickles, checked.

Floor 0. A reader either sees a whole file or none, also after a kill, a full disk or a crash.
"""

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np


class DamagedFile(RuntimeError):
    """A file is cut off, changed, or not what its name says. The message says what to do."""


@contextlib.contextmanager
def written_aside(path):
    """Give a temporary path beside ``path``; rename it into place if all went well, else remove it.

    Raises:
        OSError: the folder cannot be written, or the disk is full; nothing half-written stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut can leave the new name on an empty file
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_arrays(path, arrays):
    """Write a dict of name to numpy array as a compressed ``.npz`` without pickles."""
    with written_aside(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_arrays(path, remedy):
    """Read a ``.npz`` file, all of it, without pickles.

    Args:
        path: the file.
        remedy: sentence for the error: what the reader should do.

    Returns:
        dict of name to numpy array.

    Raises:
        DamagedFile: cut off, changed, not an ``.npz`` file, or one that holds pickles.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("a single array, not an archive")
        with stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DamagedFile(f"{path.name} is damaged or not an .npz file of plain arrays ({error}). {remedy}") from error


def write_json(path, content):
    """Write ``content`` as indented JSON; not-a-number is refused, because JSON has no word for it."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def read_json(path, remedy):
    """Read JSON.

    Args:
        path: the file.
        remedy: sentence for the error: what the reader should do.

    Raises:
        DamagedFile: not JSON.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedFile(f"{path.name} is damaged: it is not JSON ({error}). {remedy}") from error
