"""Damaged and odd inputs: each ends in a clear error or in a treatment that is documented; nothing is written.

`make test` tries 60 of them, a scheduled run 500.
"""

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import course, data

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "YCbCr")
FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}


def damaged(draw, content):
    """Bytes of a file, whole or with one of the usual faults."""
    kind = draw(st.sampled_from(("whole", "whole", "cut", "flipped", "empty", "longer", "zeros", "page")))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "flipped":
        changed = bytearray(content)
        for step in range(draw(st.integers(1, 20))):
            if changed:
                changed[(at + 37 * step) % len(changed)] ^= draw(st.integers(1, 255))
        return bytes(changed)
    other = {"empty": b"", "longer": content + b"\0" * 50, "zeros": bytes(len(content)), "page": b"<html></html>"}
    return other.get(kind, content)


@st.composite
def picture_file(draw):
    """(ending, bytes) of a picture of any mode and small size."""
    mode, ending = draw(st.sampled_from(MODES)), draw(st.sampled_from(sorted(FORMATS)))
    width, height = draw(st.sampled_from(((28, 28), (1, 1), (40, 20), (1, 90), (64, 64))))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    levels = np.full((height, width), draw(st.sampled_from((0, 128, 255))), "uint8")
    if draw(st.booleans()):
        levels[height // 4 : -(height // 4) or None, width // 4 :] = rng.integers(0, 256)
    if draw(st.booleans()):
        levels = rng.integers(0, 256, (height, width), dtype="uint8")
    picture = (
        Image.fromarray(levels.astype("uint16") * 257) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    )
    stream, options = io.BytesIO(), {}
    if draw(st.booleans()) and ending in ("gif", "webp", "png", "tif") and mode not in ("F", "CMYK", "I;16", "YCbCr"):
        options = {"save_all": True, "append_images": [picture.copy()]}
    try:
        picture.save(stream, FORMATS[ending], **options)
    except (OSError, ValueError, KeyError):  # Pillow does not write this mode in this format
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "PNG")
    return draw(st.sampled_from((ending, ending, "png"))), damaged(draw, stream.getvalue())


@st.composite
def folder(draw):
    """Files of a folder of pictures, by relative path."""
    names = draw(
        st.lists(st.sampled_from(("", "a/", "b/", "c/", "train/a/", "test/a/", "a/deep/")), min_size=1, max_size=3)
    )
    files = {}
    for name in names:
        for i in range(draw(st.integers(0, 6))):
            ending, content = draw(picture_file())
            files[f"{name}{i}.{ending}"] = content
    if draw(st.booleans()):
        files["notes.txt"] = files[".DS_Store"] = b"notes"
    return files


@st.composite
def arrays(draw):
    """Images and labels of many shapes and types, rarely fitting."""
    n = draw(st.integers(0, 12))
    shape = draw(
        st.sampled_from(((28, 28), (28, 28, 1), (28, 28, 3), (3, 28, 28), (784,), (783,), (9, 9), (5, 7, 2), ()))
    )
    kind = draw(
        st.sampled_from(("uint8", "uint16", "int64", "float32", "float64", "bool", "complex64", "<U3", "object"))
    )
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    images = rng.integers(0, 256, (n, *shape)) * draw(st.sampled_from((1, 1, 0, 255, -1, 1 / 255)))
    if draw(st.integers(0, 4)) == 0:
        images = np.where(images == images.max(initial=0), draw(st.sampled_from((np.nan, np.inf, -7.0))), images)
    with np.errstate(all="ignore"):
        images = images.astype(kind) if kind != "object" else images.astype(object)
    labels = rng.integers(-1, 4, max(0, n + draw(st.sampled_from((0, 0, 0, 1, -1)))))
    labels = labels.astype(draw(st.sampled_from(("int64", "uint8", "float32", "<U2"))))
    if labels.dtype.kind == "f" and draw(st.booleans()):
        labels = labels + np.float32(0.5)
    return images, draw(st.sampled_from((labels, labels, labels[:, None])))


def npz_bytes(images, labels, names):
    stream = io.BytesIO()
    with np.errstate(all="ignore"):
        np.savez(stream, **dict(zip(names, (images, labels), strict=True)))
    return stream.getvalue()


@st.composite
def array_file(draw):
    images, labels = draw(arrays())
    if draw(st.booleans()):
        names = draw(st.sampled_from((("images", "labels"), ("x_train", "y_train"), ("a", "b"), ("x", "labels"))))
        return {"some.npz": damaged(draw, npz_bytes(images, labels, names))}
    files = {}
    for name, array in (("some.npy", images), ("some_labels.npy", labels)):
        stream = io.BytesIO()
        np.save(stream, array)
        files[name] = damaged(draw, stream.getvalue())
    return files


@st.composite
def table(draw):
    cells = st.one_of(st.integers(0, 255), st.sampled_from(("", "shoe", "-3", "1e9", "0.5", "nan", '"', "é", "70000")))
    columns = draw(st.sampled_from((785, 785, 784, 783, 786, 3)))
    lines = [",".join(["label", *(f"pixel{i}" for i in range(1, columns))])] if draw(st.booleans()) else []
    for i in range(draw(st.integers(0, 8))):
        row = [i % 2, *([draw(st.integers(0, 255))] * (columns - 1))]
        if draw(st.integers(0, 3)) == 0:
            row[draw(st.integers(0, columns - 1))] = draw(cells)
        lines.append(",".join(map(str, row[: draw(st.sampled_from((columns, columns, columns - 1)))])))
    content = "\n".join(lines).encode()
    if draw(st.booleans()):
        return {"some.csv.gz": damaged(draw, gzip.compress(content, mtime=0))}
    return {"some.csv": damaged(draw, content)}


@st.composite
def idx(draw):
    n = draw(st.integers(0, 9))
    shape = draw(st.sampled_from(((n, 28, 28), (n, 28, 28), (n, 3, 3), (2**31, 2**31, 4))))
    images = struct.pack(">4I", draw(st.sampled_from((2051, 2051, 2052, 0))), *shape) + bytes(range(256)) * (
        n * 784 // 256
    )
    labels = struct.pack(">2I", 2049, n) + bytes(i % 3 for i in range(n))
    spelling = draw(st.sampled_from(("train-{}-idx{}-ubyte", "t10k-{}.idx{}-ubyte", "{}-idx{}-ubyte")))
    files = {spelling.format("images", 3): damaged(draw, images), spelling.format("labels", 1): damaged(draw, labels)}
    if draw(st.booleans()):
        files = {f"{name}.gz": damaged(draw, gzip.compress(content, mtime=0)) for name, content in files.items()}
    return files


@st.composite
def source(draw):
    """Files of a source by name, of any kind; some packed into a zip."""
    files = draw(st.one_of(folder(), array_file(), table(), idx()))
    if draw(st.integers(0, 4)) == 0:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(draw(st.sampled_from(("", "deep/", "../"))) + name, content)
        files = {"some.zip": damaged(draw, stream.getvalue())}
    return files


def try_one(place, files, skip_broken):
    """Open the files; whatever comes out, it is a sound data set or a clear error, and nothing else has changed."""
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = {path: path.is_file() and path.read_bytes() for path in place.rglob("*")}
    path = place / next(iter(files)) if len(files) == 1 and "/" not in next(iter(files)) else place
    try:
        dataset = data.open(path, skip_broken=skip_broken, verbose=False)
    except data.DataError as error:
        text = str(error)
        assert re.search(r"^Remedy: \S.*\.$", text, re.MULTILINE), text
        assert str(place) not in text.splitlines()[0] and len(text.splitlines()[0]) < 400, text
    else:
        for split in (dataset.train, dataset.validation, dataset.test):
            assert len(split) and split.stored.dtype == np.uint8
            assert split.labels.min() >= 0 and split.labels.max() < len(dataset.class_names)
    after = {path: path.is_file() and path.read_bytes() for path in place.rglob("*")}
    assert after == before, "something was written"


def try_many(place, count):
    """Try as many generated sources, and return the largest memory that the process has used, in bytes."""
    number = 0

    @settings(
        max_examples=count,
        deadline=20_000,  # milliseconds: what takes longer hangs
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(source(), st.booleans())
    def run(files, skip_broken):
        nonlocal number
        number += 1
        try_one(place / str(number), {**files} or {"empty.txt": b""}, skip_broken)

    run()
    return {"tried": number, "bytes": peak_memory()}


def peak_memory():
    """Largest memory of this process in bytes; 0 where the system does not say so in Linux' way.

    The figure of `resource` is no use: it begins with that of the process which started this one.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.nightly)])
def test_odd_and_damaged_inputs(count, tmp_path):
    """In a process of its own, so that its memory is that of `data.open` alone."""
    code = "import json, sys; from pathlib import Path; import test_odd_inputs as t; " + (
        "print(json.dumps(t.try_many(Path(sys.argv[1]), int(sys.argv[2]))))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path), str(count)]
    here = Path(__file__).parent
    environ = {
        "PYTHONPATH": f"{course.ROOT}:{':'.join(p for p in sys.path if p)}",
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tried"] >= count and found["bytes"] < 1e9
    print(found)
