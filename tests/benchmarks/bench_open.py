"""`data.open` of 60,000 images, and what the reader library alone takes for the same bytes: CSV, PNG folder, idx."""

import contextlib
import functools
import gzip
import io
import os
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from table import Row

from helpers import data

N = 60_000
ROUNDS = 3  # how often each is measured, in turns; the best counts


def rows(options):
    """One row for each kind of source: seconds of CPU, and on the clock."""
    images, labels = made()
    with tempfile.TemporaryDirectory() as folder:
        for kind, (write, alone) in KINDS.items():
            place = Path(folder) / kind
            place.mkdir()
            path = write(place, images, labels)
            found = {"ours": [], "alone": []}
            for _ in range(ROUNDS):
                found["alone"].append(measure(functools.partial(alone, path)))
                found["ours"].append(measure(functools.partial(data.open, path, verbose=False)))
            (cpu, wall), (other, other_wall) = min(found["ours"]), min(found["alone"])
            what = f"open {len(images):,} images, {kind} / the reader library alone"
            yield Row(what, cpu, "CPU s", wall, other, other_wall, least=1 / 1.5)


def made():
    """Blobs of random size and place: they pack about as well as garments. uint8 (n, 28, 28) and labels (n,)."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:28, :28].astype("float32")
    images = np.empty((N, 28, 28), "uint8")
    for i in range(0, N, 2_000):
        at, size = rng.uniform(8, 20, (2, 2_000, 1, 1)), rng.uniform(4, 10, (2_000, 1, 1))
        blob = 255 * np.exp(-((((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2) ** 2))
        images[i : i + 2_000] = np.where(blob > 8, blob * rng.uniform(0.8, 1, (2_000, 28, 28)), 0)[: N - i]
    return images, np.arange(N) % 10


def measure(action):
    """(CPU seconds, seconds)."""
    began, before = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        action()
    return time.process_time() - before, time.perf_counter() - began


def write_csv(place, images, labels):
    path = place / "images.csv"
    table = np.column_stack([labels, images.reshape(len(images), -1)])
    pd.DataFrame(table, columns=["label", *(f"pixel{i}" for i in range(1, 785))]).to_csv(path, index=False)
    return path


def write_pictures(place, images, labels):
    for k in range(10):
        (place / str(k)).mkdir()
    for i, (image, k) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(place / str(k) / f"{i}.png")
    return place


def read_pictures(place):
    folders = sorted(entry.path for entry in os.scandir(place))
    return np.stack(
        [
            np.asarray(Image.open(os.path.join(folder, name)))
            for folder in folders
            for name in sorted(os.listdir(folder))
        ]
    )


def write_idx(place, images, labels, pack):
    for kind, array in (("images", images), ("labels", labels.astype("uint8"))):
        content = struct.pack(f">{1 + array.ndim}I", {3: 2051, 1: 2049}[array.ndim], *array.shape) + array.tobytes()
        name = f"train-{kind}-idx{array.ndim}-ubyte"
        (place / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(content, 6) if pack else content)
    return place


def read_idx(place):
    arrays = {}
    for path in place.iterdir():
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            arrays[path.name] = np.frombuffer(file.read(), np.uint8, offset=16 if "images" in path.name else 8)
    return arrays


KINDS = {
    "CSV (pandas)": (write_csv, pd.read_csv),
    "a folder of PNG (Pillow)": (write_pictures, read_pictures),
    "idx, packed (gzip, numpy)": (functools.partial(write_idx, pack=True), read_idx),
    "idx, unpacked (numpy)": (functools.partial(write_idx, pack=False), read_idx),
}
