"""Readers of a person's own data: folders of pictures, CSV, .npz, .npy, idx files, Parquet, and zips of these.

Well-kept libraries decode. Sizes are bounded before anything is unpacked, nothing is written but what a zip unpacks to
in a temporary folder, and every fault ends in a `DataError` with file, fault and remedy.
"""

import collections
import contextlib
import dataclasses
import json
import math
import os
import re
import struct
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.machinery import files, pictures
from helpers.machinery.published import IMAGES_MAGIC, LABELS_MAGIC, DataError, fault, reason

MAX_BYTES = 1 << 28  # of the pixels of a data set, and of each file that holds them
MAX_FILES = 200_000
MAX_CLASSES = 1_000
ROWS = 4_000  # of a table or of pictures in Parquet that are in memory at once
SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation"}
SPLITS |= {"validation": "validation", "test": "test", "testing": "test", "t10k": "test"}
WHOLE = "whole"  # the name of the one part of a source that comes without splits
FORMATS = "a folder of pictures, four idx files, .csv, .npz, .npy, .parquet, or a .zip of one of these"


@dataclasses.dataclass
class Found:
    """What a source holds.

    Attributes:
        kind: What the source is, in words, without a path.
        parts: Dict of split name (or `WHOLE`) to (levels uint8 (n, 28, 28), labels (n,) or None), labels as found.
        class_names: Tuple of str where the source names its classes and labels are indices of them; else None.
        notes: Sentences on what was done on the way in.
        sizes: Counter of (height, width) before.
    """

    kind: str
    parts: dict = dataclasses.field(default_factory=dict)
    class_names: tuple | None = None
    notes: list = dataclasses.field(default_factory=list)
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
        to_28: Function that takes a PIL image and returns values (28, 28, 1).
        labels: Path of a file with labels, or None.
        invert: Whether images of 28 x 28 pixels are negated.
        skip_broken: Whether pictures that cannot be read are left out instead of ending in an error.
    """

    to_28: object
    labels: Path | None = None
    invert: bool = False
    skip_broken: bool = False

    def levels_of(self, image):
        """A decoded picture as levels uint8 (28, 28): as it is where it has that size, else by `to_28`.

        Args:
            image: A PIL image.
        """
        if image.size == (28, 28):
            return self.inverted(np.asarray(image if image.mode == "L" else pictures.grey(image)))
        return np.rint(self.to_28(image)[..., 0] * 255).astype("uint8")

    def inverted(self, levels):
        """Levels of images of 28 x 28 pixels, negated where that was asked for."""
        return 255 - levels if self.invert else levels


def read(path, reading):
    """Read a source.

    Args:
        path: Path of a file or a folder.
        reading: A `Reading`.

    Returns:
        A `Found`.

    Raises:
        DataError: There is no such source, it is damaged, or not of a known kind.
    """
    if not os.path.exists(path):
        raise fault(path, "does not exist", "correct the path; a relative one starts in the notebook's folder.")
    if os.path.isdir(path):
        return _folder(path, reading)
    if not os.path.isfile(path):
        raise fault(path, "is neither a file nor a folder", f"name {FORMATS}.")
    for pattern, reader in READERS.items():
        if re.fullmatch(pattern, path.name, re.IGNORECASE):
            return reader(path, reading)
    raise fault(path, "is of a kind that is not known", f"name {FORMATS}.")


def _content(path):
    """All bytes of a file, unless there are too many."""
    try:
        return files.read_bytes(path, "Use another copy of it.", MAX_BYTES)
    except files.DamagedFile as error:
        raise fault(path, str(error).removeprefix(f"{path.name} ").split(". ")[0], "use another copy.") from error
    except FileNotFoundError as error:
        raise fault(path, "does not exist", "put it there, or name another.") from error


# --------------------------------------------------------------------------------------------------
# Arrays


def _levels(array, path, what, reading, found):
    """Images of any layout as levels uint8 (n, 28, 28)."""
    if array.dtype.kind not in "biuf":
        raise fault(path, f"holds {what} of type {array.dtype}", "store grey levels, numbers from 0 to 255.")
    if array.ndim == 2 and math.isqrt(array.shape[1]) ** 2 == array.shape[1]:
        array = array.reshape(len(array), math.isqrt(array.shape[1]), -1)
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3, 4):
        array = np.moveaxis(array, 1, 3)  # channels first, as PyTorch keeps them
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (3, 4)) or 0 in array.shape:
        raise fault(
            path, f"holds {what} of shape {array.shape}", "images have shape (n, h, w), (n, h, w, 1) or (n, h, w, 3)."
        )
    found.sizes[array.shape[1:3]] += len(array)
    levels = _to_bytes(array, path, what)
    if levels.shape[1:] == (28, 28):
        return reading.inverted(levels)
    return np.stack(
        [_picture(Image.fromarray(picture), f"{what}[{i}]", path, reading) for i, picture in enumerate(levels)]
    )


def _to_bytes(array, path, what):
    """Numbers as grey levels, uint8: values in [0, 1] are stretched, those of 16 bits lose their lower byte."""
    if array.dtype == np.uint8 and array.max() > 1:
        return array
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise fault(path, f"holds {what} that are not finite (NaN or infinity)", "look for a division by zero.")
    if low < 0:
        raise fault(path, f"holds {what} from {low:g} to {high:g}", "bring them to grey levels, 0 to 255.")
    if high <= 1:
        return np.rint(array.astype("float32") * 255).astype("uint8")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise fault(
            path,
            f"holds {what} from {low:g} to {high:g} that are no whole numbers",
            "store grey levels from 0 to 255, or values in [0, 1].",
        )
    if high <= 255:
        return array.astype("uint8")
    if array.dtype == np.uint16:
        return (array // 257).astype("uint8")
    raise fault(path, f"holds {what} from {low:g} to {high:g}", "bring them to grey levels, 0 to 255.")


def _picture(image, name, path, reading):
    """A decoded picture as levels uint8 (28, 28): as it is where it has that size, else by `to_28`."""
    try:
        return reading.levels_of(image)
    except DataError as error:
        what = f"has in {name} a picture that {_in_short(error)}"
        raise fault(path, what, "mend it, or leave it out.") from error


def _in_short(error):
    """What is wrong with a picture, the rest of a sentence that begins with its name."""
    return str(error).splitlines()[0].rstrip(".")


def _one_each(labels, n, path):
    """Labels (n,) of an array of them."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:  # as MedMNIST keeps them
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise fault(path, f"has labels of shape {labels.shape}", "give one label an image; argmax(axis=1) of one-hot.")
    if len(labels) != n:
        raise fault(path, f"has {n:,} images but {len(labels):,} labels", "give one label an image.")
    return labels


NAMES = {  # of arrays of images, with those of their labels
    "{}_images": "{}_labels",
    "images_{}": "labels_{}",
    "x_{}": "y_{}",
    "{}_x": "{}_y",
    "x{}": "y{}",
    "images": "labels",
    "image": "label",
    "x": "y",
    "data": "target",
    "arr_0": "arr_1",
}


def _pairs(names):
    """(split, name of images, name of labels or None) for each array of images among names."""
    lower = {name.lower(): name for name in names}
    for images, labels in NAMES.items():
        splits = SPLITS if "{}" in images else {"": WHOLE}
        here = [(split, images.format(word), labels.format(word)) for word, split in splits.items()]
        pairs = [(split, lower[x], lower.get(y)) for split, x, y in here if x in lower]
        if pairs:
            return pairs
    return []


def _npz(path, reading):
    try:
        arrays = files.arrays_in(_content(path), path.name, "", MAX_BYTES)
    except files.DamagedFile as error:
        what = str(error).removeprefix(f"{path.name} ").rstrip(". ")
        raise fault(path, what, "store plain arrays with np.savez, as uint8 if they are large.") from error
    pairs = _pairs(arrays)
    if not pairs:
        names = ", ".join(list(arrays)[:8]) or "none"
        raise fault(
            path,
            f"names no array as images (it has: {names})",
            "name them x_train, y_train, x_test, y_test; or train_images, train_labels, ...; or images, labels.",
        )
    found = Found("an .npz file")
    for split, images, labels in pairs:
        levels = _levels(arrays[images], path, images, reading, found)
        found.parts[split] = levels, None if labels is None else _one_each(arrays[labels], len(levels), path)
    return found


def _array(path):
    try:
        return files.plain_array(_content(path))
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 what a file made to do harm provokes in numpy is not foreseeable
        raise fault(path, f"is damaged or no .npy file of plain numbers ({error})", "store it with np.save.") from error


def _labels_beside(path):
    """Path of the labels that lie beside an array of images, or None."""
    stem = path.stem.lower()
    for images, labels in [(".+", None), *NAMES.items()]:
        for word in ("", *SPLITS):
            if labels is None:
                wanted = f"{stem}_labels"
            elif images.format(word) == stem:
                wanted = labels.format(word)
            else:
                continue
            for other in path.parent.iterdir():
                if other != path and other.suffix.lower() in (".npy", ".csv") and other.stem.lower() == wanted:
                    return other
    beside = path.parent / "labels.npy"
    return beside if beside != path and beside.is_file() else None


def _npy(path, reading):
    found = Found("an .npy file")
    levels = _levels(_array(path), path, "images", reading, found)
    beside = reading.labels or _labels_beside(path)
    labels = None
    if beside is not None:
        labels = _one_each(_array(beside) if beside.suffix.lower() == ".npy" else _column(beside), len(levels), beside)
    found.parts[WHOLE] = levels, labels
    return found


def _column(path):
    """The one column of a CSV file of labels."""
    table = _table(path)
    values = [chunk.iloc[:, -1].to_numpy() for chunk in table]
    return np.concatenate(values)


# --------------------------------------------------------------------------------------------------
# idx

IDX = r"(.*?)(train|t10k|test|val|validation)?[-_]?(images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?"


def idx_files(folder):
    """Paths of idx files in a folder by (split, "images" or "labels"); packed or not, under either spelling.

    Args:
        folder: Folder to look into.
    """
    there = {}
    for name in sorted(os.listdir(folder)):
        match = re.fullmatch(IDX, name, re.IGNORECASE)
        path = folder / name
        if match and path.is_dir():  # 7-Zip makes a folder
            path = path / name
        if match and path.is_file():
            there.setdefault((SPLITS.get((match[2] or "").lower(), WHOLE), match[3].lower()), path)
    return there


def _idx_folder(folder, there, reading):
    found = Found("idx files")
    for split in dict.fromkeys(split for split, _ in there):
        missing = {"images", "labels"} - {kind for other, kind in there if other == split}
        if "images" in missing:
            path = there[split, "labels"]
            raise fault(path, "lies there without its images", "put the file with the images beside it.")
        levels = _levels(_idx(there[split, "images"], 3), there[split, "images"], "images", reading, found)
        if missing and len(there) > 1:
            raise fault(
                there[split, "images"], "lies there without its labels", "put the file with the labels beside it."
            )
        labels = None
        if not missing:
            path = there[split, "labels"]
            labels = _one_each(_idx(path, 1), len(levels), path)
        found.parts[split] = levels, labels
    return found


def _idx_file(path, reading):
    match = re.fullmatch(IDX, path.name, re.IGNORECASE)
    there = idx_files(path.parent)
    family = {key: other for key, other in there.items() if other.name.startswith(match[1])}
    return _idx_folder(path.parent, family, reading)


def _idx(path, axes):
    """The array in an idx file of bytes, packed or not."""
    content = _content(path)
    if content[:2] == b"\x1f\x8b":
        stream = zlib.decompressobj(wbits=31)
        try:
            content = stream.decompress(content, MAX_BYTES + 1)
        except zlib.error as error:
            raise fault(path, f"is damaged: gzip says {error}", "use another copy of it.") from error
        if len(content) > MAX_BYTES:
            raise fault(path, f"unpacks to more than {MAX_BYTES:,} bytes", "use a smaller file.")
        if not stream.eof:
            raise fault(path, "is cut off", "use another copy of it.")
    start = 4 + 4 * axes
    expected = {3: IMAGES_MAGIC, 1: LABELS_MAGIC}[axes]
    if len(content) < start or struct.unpack_from(">I", content)[0] != expected:
        kind = {3: "images", 1: "labels"}[axes]
        raise fault(
            path,
            f"is no idx file of {kind}: it begins with {content[:4].hex(' ') or 'nothing'}",
            f"it should begin with the number {expected}; use another copy of it.",
        )
    shape = struct.unpack_from(f">{axes}I", content, 4)
    if math.prod(shape) != len(content) - start:
        raise fault(
            path,
            f"is damaged: its header promises {math.prod(shape):,} bytes, there are {len(content) - start:,}",
            "use another copy of it.",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


# --------------------------------------------------------------------------------------------------
# CSV

LABEL_COLUMNS = ("label", "labels", "class", "target", "y")


def _table(path):
    """Chunks of a CSV file as DataFrames, whose columns are numbers where the file has no header."""
    import pandas as pd  # its import takes half a second

    size = path.stat().st_size
    if size > 4 * MAX_BYTES:
        raise fault(path, f"is too large: {size:,} bytes", f"at most {4 * MAX_BYTES:,} are read; split it.")
    packed = path.suffix.lower() == ".gz"
    try:
        head = pd.read_csv(path, nrows=1, header=None, dtype=str, compression="gzip" if packed else None)
        header = 0 if any(not _is_number(cell) for cell in head.iloc[0]) else None
        unpacked = 0
        options = {"header": header, "chunksize": ROWS, "compression": "gzip" if packed else None}
        with pd.read_csv(path, **options) as chunks:
            for chunk in chunks:
                unpacked += chunk.size
                if unpacked > 1.1 * MAX_BYTES:
                    raise fault(path, f"holds more than {MAX_BYTES:,} pixels", "split it.")
                yield chunk
    except DataError:
        raise
    except (ValueError, OSError, EOFError, zlib.error, OverflowError, MemoryError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise fault(path, f"is no table that pandas can read ({said[:120]})", "write it again as CSV.") from error


def _is_number(text):
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _csv(path, reading):
    found = Found("a CSV file")
    found.parts[WHOLE] = _csv_part(path, reading, found)
    return found


def _csv_part(path, reading, found):
    pixels, labels, done, label_column = [], [], 0, None
    for chunk in _table(path):
        if not len(chunk):
            break
        if label_column is None:
            label_column = _label_column(chunk, path)
        if label_column != "":
            labels.append(chunk.pop(label_column).to_numpy())
        pixels.append(_pixels(chunk, path, done))
        done += len(chunk)
    if not done:
        raise fault(path, "has no rows", "write a row for each image: label, pixel1 ... pixel784.")
    levels = _levels(np.concatenate(pixels), path, "pixels", reading, found)
    return levels, np.concatenate(labels) if labels else None


def _label_column(chunk, path):
    """The column with labels, "" where there is none; and whether the others can be pixels."""
    named = [column for column in chunk.columns if str(column).strip().lower() in LABEL_COLUMNS]
    columns = len(chunk.columns)
    if len(named) > 1:
        raise fault(path, f"has more than one column of labels: {', '.join(named)}", "keep one of them.")
    if not named and math.isqrt(columns) ** 2 != columns and math.isqrt(columns - 1) ** 2 == columns - 1 > 1:
        named = [chunk.columns[0]]  # without a header, or with names of its own, labels come first
    pixels = columns - len(named)
    if math.isqrt(pixels) ** 2 != pixels or pixels < 16:
        missing = _gap(chunk.columns)
        what = f"; {missing} is missing" if missing else ""
        raise fault(
            path,
            f"has {pixels:,} pixel columns, expected 784{what}",
            "write a row for each image: label, pixel1 ... pixel784.",
        )
    return named[0] if named else ""


def _gap(columns):
    """Name of the first numbered column that is missing, or ""."""
    numbered = [re.fullmatch(r"(.*?)(\d+)", str(column)) for column in columns]
    numbered = [(match[1], int(match[2])) for match in numbered if match]
    for (stem, number), (_, following) in zip(numbered, numbered[1:], strict=False):
        if following != number + 1:
            return f"{stem}{number + 1}"
    return ""


def _pixels(chunk, path, done):
    """Pixels of some rows: uint8 where they are grey levels, else float32; a cell that is none is named."""
    values = chunk.to_numpy()
    if values.dtype == object or (values.dtype.kind == "f" and np.isnan(values).any()):
        import pandas as pd

        numbers = chunk.apply(pd.to_numeric, errors="coerce").to_numpy("float64")
        row, column = np.argwhere(~np.isfinite(numbers))[0] if not np.isfinite(numbers).all() else (0, 0)
        cell = chunk.iloc[row, column]
        said = "is empty" if cell is None or cell != cell else f"holds {str(cell)[:20]!r}"
        raise fault(
            path,
            f"has in row {done + row + 1:,}, column {chunk.columns[column]}, a pixel that {said}",
            "write a number from 0 to 255 there, or leave the row out.",
        )
    if values.dtype.kind not in "biuf":
        raise fault(path, f"has pixels of type {values.dtype}", "write numbers from 0 to 255.")
    wrong = (values < 0) | (values > 65_535)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise fault(
            path,
            f"has in row {done + row + 1:,}, column {chunk.columns[column]}, a pixel of {values[row, column]:g}",
            "write numbers from 0 to 255.",
        )
    if values.dtype.kind == "f":
        return values.astype("float32")
    return values.astype("uint8" if values.max() <= 255 else "uint16")


# --------------------------------------------------------------------------------------------------
# Folders


def _folder(folder, reading):
    entries = _listed(folder)
    there = idx_files(folder)
    if there:
        return _idx_folder(folder, there, reading)
    tables = [name for name, is_folder in entries if not is_folder and re.fullmatch(TABLES, name, re.IGNORECASE)]
    folders = [name for name, is_folder in entries if is_folder]
    images = [name for name, is_folder in entries if not is_folder and _is_picture(name)]
    if tables and not images:
        return _tables(folder, tables, reading)
    splits = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    if splits and len(splits) == len(folders) and not images:
        return _given_splits(folder, splits, reading)
    if len(folders) == 1 and not images and not any(_is_picture(name) for name, _ in _listed(folder / folders[0])):
        return _folder(folder / folders[0], reading)
    found = Found("a folder of pictures")
    found.parts[WHOLE] = _pictures(folder, reading, found)
    return found


def _listed(folder):
    """(name, whether it is a folder) of what lies in a folder, sorted; hidden files and pipes are passed over."""
    try:
        with os.scandir(folder) as entries:
            listed = [(e.name, e.is_dir()) for e in entries if e.name[0] not in "._" and (e.is_dir() or e.is_file())]
    except OSError as error:
        raise fault(folder, f"cannot be read ({reason(error)})", "allow reading it, or name another.") from error
    if len(listed) > MAX_FILES:
        raise fault(folder, f"holds more than {MAX_FILES:,} files", "name a smaller folder.")
    return sorted(listed)


def _is_picture(name):
    return os.path.splitext(name)[1].lower() in pictures.ENDINGS


def _given_splits(folder, splits, reading):
    found, classes = Found("a folder of pictures"), []
    for name in splits:
        classes += [sub for sub, is_folder in _listed(folder / name) if is_folder and sub not in classes]
    found.class_names = tuple(sorted(classes)) or None
    for name, split in splits.items():
        if split in found.parts:
            raise fault(folder / name, f"is a second folder for {split}", "keep one of them.")
        found.parts[split] = _pictures(folder / name, reading, found)
    return found


def _pictures(folder, reading, found):
    """Levels and labels of the pictures in a folder: one sub-folder a class, or pictures without labels."""
    entries = _listed(folder)
    classes = [name for name, is_folder in entries if is_folder]
    loose = [name for name, is_folder in entries if not is_folder and _is_picture(name)]
    if classes and loose:
        raise fault(
            folder,
            f"holds pictures ({loose[0]}) beside folders ({classes[0]})",
            "put each picture into the folder of its class, or all into one folder.",
        )
    others = [name for name, is_folder in entries if not is_folder and not _is_picture(name)]
    if classes and found.class_names is None:
        found.class_names = tuple(classes)
    levels, labels = [], []
    for name in classes or [""]:
        inner = _listed(folder / name) if classes else entries
        wanted = [other for other, is_folder in inner if not is_folder and _is_picture(other)]
        others += [other for other, is_folder in inner if classes and (is_folder or not _is_picture(other))]
        if not wanted:
            heic = any(other.lower().endswith((".heic", ".heif")) for other, _ in inner)
            remedy = f"put pictures there ({', '.join(sorted(pictures.ENDINGS))})"
            remedy += "; HEIC, which telephones write, has to be exported as JPEG." if heic else ", or name another."
            raise fault(folder / name, "holds no pictures", remedy)
        levels += (read := _decoded(folder / name, wanted, reading, found))
        if classes:
            labels += [found.class_names.index(name)] * len(read)
    if others:
        found.notes.append(f"{len(others):,} files that are no pictures were passed over, such as {others[0]}.")
    if not levels:
        raise fault(folder, "holds no picture that can be read", "put other pictures there.")
    return np.stack(levels), np.array(labels) if classes else None


def _decoded(folder, names, reading, found):
    """Levels uint8 (28, 28) of pictures."""
    if len(names) > MAX_FILES:
        raise fault(folder, f"holds more than {MAX_FILES:,} pictures", "name a smaller folder.")
    levels, broken = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            path = os.path.join(folder, name)
            try:
                image = pictures.decode_quietly(path)
                found.sizes[image.height, image.width] += 1
                levels.append(reading.levels_of(image))
            except DataError as error:
                what = _in_short(error)
                if not reading.skip_broken:
                    remedy = "mend or remove it; or data.open(..., skip_broken=True) goes on without it."
                    raise fault(Path(path), what, remedy) from error
                broken.append(name)
    if broken:
        some = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
        found.notes.append(f"{len(broken):,} pictures could not be read and were left out: {some}.")
    return levels


def _tables(folder, names, reading):
    """One file, or one file a split, such as fashion-mnist_train.csv and fashion-mnist_test.csv."""
    splits = {}
    for name in names:
        words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word in SPLITS]
        splits.setdefault(SPLITS[words[-1]] if words else WHOLE, []).append(name)
    kinds = {Path(name).suffix.lower() for name in names}
    if len(names) == 1 or kinds == {".npy"}:
        chosen = [name for name in names if not re.search(r"label|(^|_)y", name.lower())]
        if kinds == {".npy"} and len(chosen) > 1:
            return _npy_parts(folder, names, reading)
        return read(folder / (chosen or names)[0], reading)
    if WHOLE in splits or len(kinds) > 1:
        raise fault(
            folder,
            f"holds several files: {', '.join(names[:5])}",
            "name one of them; or call them ..._train and ..._test.",
        )
    whole = None
    for split, members in splits.items():
        parts = [read(folder / name, reading) for name in sorted(members)]
        whole = whole or Found(parts[0].kind + "s", class_names=parts[0].class_names)
        for part in parts:
            whole.notes += part.notes
            whole.sizes.update(part.sizes)
            if WHOLE not in part.parts or part.class_names != whole.class_names:
                raise fault(folder / members[0], "does not fit the other files", "name it by itself.")
        levels, labels = zip(*(part.parts[WHOLE] for part in parts), strict=True)
        if any(values is None for values in labels) and any(values is not None for values in labels):
            raise fault(folder / members[0], "has no labels, but others have", "give all of them labels, or none.")
        whole.parts[split] = np.concatenate(levels), None if labels[0] is None else np.concatenate(labels)
    return whole


def _npy_parts(folder, names, reading):
    stems = {Path(name).stem: folder / name for name in names}
    found = Found(".npy files")
    pairs = _pairs(stems)
    if not pairs:
        raise fault(folder, f"holds several arrays: {', '.join(names[:5])}", "name one of them.")
    for split, images, labels in pairs:
        path = stems[images]
        levels = _levels(_array(path), path, "images", reading, found)
        found.parts[split] = levels, None if labels is None else _one_each(_array(stems[labels]), len(levels), path)
    return found


# --------------------------------------------------------------------------------------------------
# Parquet and zip


def _parquet(path, reading):
    """A Parquet file with encoded pictures, in the layout of public data hubs: columns image and label."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise fault(
            path, "needs the package pyarrow", "install it with .venv/bin/python -m pip install pyarrow."
        ) from error
    found = Found("a Parquet file")
    levels, labels = [], []
    try:
        with parquet.ParquetFile(path) as table:
            meta = table.metadata
            unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if unpacked > MAX_BYTES or meta.num_rows > MAX_FILES:
                raise fault(
                    path,
                    f"unpacks to {unpacked:,} bytes in {meta.num_rows:,} rows",
                    f"at most {MAX_BYTES:,} bytes and {MAX_FILES:,} rows are read.",
                )
            names = [name for name in table.schema_arrow.names if name.lower() in ("image", "img", "picture")]
            label = [name for name in table.schema_arrow.names if name.lower() in LABEL_COLUMNS]
            if len(names) != 1:
                raise fault(
                    path,
                    f"has no column of pictures (it has: {', '.join(table.schema_arrow.names[:8])})",
                    "name it image.",
                )
            found.class_names = _names_in(table.schema_arrow.metadata, label)
            for batch in table.iter_batches(ROWS, columns=names + label[:1]):
                levels += _encoded(batch.column(names[0]).to_pylist(), len(levels), path, reading, found)
                if label:
                    labels += batch.column(label[0]).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, NotImplementedError, KeyError, TypeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise fault(path, f"is damaged or no Parquet file ({said[:120]})", "use another copy of it.") from error
    if not levels:
        raise fault(path, "holds no pictures", "name another file.")
    if labels and any(value is None for value in labels):
        raise fault(path, "lacks the label of some pictures", "give each a label, or leave the column out.")
    found.parts[WHOLE] = np.stack(levels), _one_each(labels, len(levels), path) if labels else None
    return found


def _names_in(metadata, label):
    """Class names that data hubs write beside a column of labels, or None."""
    with contextlib.suppress(KeyError, TypeError, ValueError, IndexError, AttributeError):
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label[0]]["names"]
        if names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def _encoded(cells, done, path, reading, found):
    levels = []
    for i, cell in enumerate(cells, start=done):
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise fault(
                path, f"has in row {i + 1:,} no encoded picture", "store the bytes of a PNG or JPEG file there."
            )
        try:
            image = pictures.decode(content)
        except DataError as error:
            raise fault(path, f"has in row {i + 1:,} a picture that {error}", "leave this row out.") from error
        found.sizes[image.height, image.width] += 1
        levels.append(_picture(image, f"row {i + 1:,}", path, reading))
    return levels


def _zip(path, reading):
    """Unpacked to a temporary folder, which is read and removed."""
    with tempfile.TemporaryDirectory(prefix="wardrobe") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir() and _is_wanted(entry.filename)]
                size = sum(entry.file_size for entry in entries)
                if size > MAX_BYTES or len(entries) > MAX_FILES:
                    raise fault(
                        path,
                        f"unpacks to {size:,} bytes in {len(entries):,} files",
                        f"at most {MAX_BYTES:,} bytes and {MAX_FILES:,} files are unpacked.",
                    )
                for entry in entries:
                    if re.search(r"\.(zip|tar|tgz|7z|rar)$", entry.filename, re.IGNORECASE):
                        raise fault(path, f"holds an archive itself: {entry.filename}", "unpack it and name that.")
                    archive.extract(entry, folder)  # never outside of the folder, whatever the name says
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            RuntimeError,
            ValueError,
            struct.error,
            NotImplementedError,
        ) as error:
            if isinstance(error, DataError):
                raise
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise fault(path, f"is damaged, locked or no zip file ({said[:120]})", "pack it again.") from error
        try:
            found = read(Path(folder), reading)
        except DataError as error:
            inner = str(error).splitlines()
            what = inner[0].replace(Path(folder).name, "the folder").rstrip(".")
            remedy = inner[-1].removeprefix("Remedy: ")
            raise fault(path, f"holds something that cannot be used: {what}", remedy) from error
        found.kind = f"{found.kind}, zipped"
        return found


def _is_wanted(name):
    parts = Path(name).parts
    return bool(parts) and not any(part.startswith((".", "__MACOSX")) for part in parts)


TABLES = r".*\.(csv|csv\.gz|npz|npy|parquet)"
READERS = {
    IDX: _idx_file,
    r".*\.csv(\.gz)?": _csv,
    r".*\.npz": _npz,
    r".*\.npy": _npy,
    r".*\.(parquet|pq)": _parquet,
    r".*\.zip": _zip,
}
