"""The loader: where it looks, what it accepts, and what it says about each fault.

Most tests use a tiny data set of the same layout, in a folder of the test, and a server on this machine in the
mirrors' place. No test touches the network. Tests of the real files are skipped where those are absent.
"""

import dataclasses
import errno
import functools
import gzip
import hashlib
import http.server
import os
import pickle
import re
import shutil
import ssl
import struct
import threading
import time
import tracemalloc
import urllib.error
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support import tiny_dataset

from helpers import course, data, wardrobe
from helpers.machinery import download, files, published

DATA_DIRECTORY = course.data_directory

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = range(4)


# --------------------------------------------------------------------------------------------------
# A tiny data set


def idx(array, magic=None, shape=None):
    """The bytes of an IDX file; header and array may be made to disagree."""
    magic = magic if magic is not None else {3: 2051, 1: 2049}[array.ndim]
    shape = array.shape if shape is None else shape
    return struct.pack(f">I{len(shape)}I", magic, *shape) + array.astype(np.uint8).tobytes()


def pack(content, level=9):
    return gzip.compress(content, level, mtime=0)


def md5(content):
    return hashlib.md5(content).hexdigest()


class Tiny:
    """Sixty training and twenty test images; ``packed`` holds the published bytes of each file."""

    def __init__(self, root):
        rng = np.random.default_rng(0)
        self.arrays = []
        for n in (60, 20):
            self.arrays += [rng.integers(0, 256, (n, 28, 28)), rng.permutation(np.arange(n) % 10)]
        self.contents = [idx(array) for array in self.arrays]
        self.packed = [pack(content) for content in self.contents]
        self.files = tuple(
            dataclasses.replace(file, size=len(packed), md5=md5(packed), content_md5=md5(content), shape=array.shape)
            for file, packed, content, array in zip(data.FILES, self.packed, self.contents, self.arrays, strict=True)
        )
        self.names = [file.name for file in self.files]
        self.home = root / "data" / "fashion-mnist"
        self.cache = root / "keras" / "datasets" / "fashion-mnist"
        self.debian = root / "usr" / "share" / "datasets" / "fashion-mnist"
        self.elsewhere = root / "elsewhere"

    def place(self, folder, which=range(4)):
        folder.mkdir(parents=True, exist_ok=True)
        for i in which:
            (folder / self.names[i]).write_bytes(self.packed[i])
        return folder

    def spoil(self, folder, i, content):
        """All four files, one of them with other bytes."""
        self.place(folder)
        (folder / self.names[i]).write_bytes(content)
        return folder


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The tiny set in the real one's place; nothing is found anywhere until a test puts it there."""
    tiny = Tiny(tmp_path)
    monkeypatch.setattr(published, "FILES", tiny.files)
    monkeypatch.setattr(download, "MIRRORS", ())
    monkeypatch.setattr(data, "VALIDATION_SIZE", 10)
    monkeypatch.setattr(data, "DEBIAN", tiny.debian)
    monkeypatch.setattr(course, "DATA", tmp_path / "data")
    monkeypatch.setattr(course, "keras_home", lambda: tmp_path / "keras")
    monkeypatch.setattr(course, "data_directory", lambda: None)
    monkeypatch.setattr(course, "data_choice", lambda: "fashion-mnist")
    return tiny


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def check_message(error, *words):
    """The message says each of the words, has a remedy, and shows no path in its first line."""
    text = str(error.value)
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    assert re.search(r"^Remedy: \S.*\.$", text, re.MULTILINE), text
    assert not re.search(r"(^|[\s'\"(])(/|[A-Z]:\\)", text.splitlines()[0]), text


# --------------------------------------------------------------------------------------------------
# What load returns


def test_shapes_types_and_range(tiny):
    dataset = data.load(tiny.place(tiny.elsewhere), verbose=False)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50, 10, 20)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.images.dtype == np.float32
        assert split.images.shape == (len(split), 28, 28, 1)
        assert split.labels.dtype == np.int64
        assert split.labels.shape == (len(split),)
        assert split.images.min() >= 0
        assert split.images.max() <= 1
    assert dataset.name == "Fashion-MNIST"
    assert dataset.slug == "fashion-mnist"
    assert len(dataset.class_names) == 10


def test_pixels_are_divided_by_255_and_keep_their_place(tiny):
    dataset = data.load(tiny.place(tiny.elsewhere), verbose=False)
    assert np.array_equal(dataset.test.images[..., 0] * np.float32(255), tiny.arrays[TEST_IMAGES])
    assert np.array_equal(dataset.test.labels, tiny.arrays[TEST_LABELS])
    pairs = {(image.tobytes(), label) for image, label in zip(*tiny.arrays[:2], strict=True)}
    for split in (dataset.train, dataset.validation):
        pixels = np.rint(split.images[..., 0] * 255).astype(tiny.arrays[IMAGES].dtype)
        found = {(image.tobytes(), label) for image, label in zip(pixels, split.labels, strict=True)}
        assert len(found) == len(split)
        assert found <= pairs
        pairs -= found
    assert not pairs  # train and validation together are the published training file


def test_validation_is_stratified_and_the_split_is_fixed(tiny):
    tiny.place(tiny.home)
    first, second = data.load(verbose=False), data.load(verbose=False)
    assert np.bincount(first.validation.labels, minlength=10).tolist() == [1] * 10
    assert np.array_equal(first.validation.images, second.validation.images)
    assert np.array_equal(first.train.images, second.train.images)


def test_arrays_cannot_be_damaged_by_a_cell(tiny):
    dataset = data.load(tiny.place(tiny.elsewhere), verbose=False)
    for split in (dataset.train, dataset.validation, dataset.test, dataset.head(train=3).train):
        for array in (split.images, split.labels, split.flat):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


@pytest.mark.parametrize("kind", ["levels", "values"])
def test_chosen_images_are_new_arrays_that_may_be_written_to(kind):
    """scikit-image and others refuse arrays that are read-only."""
    levels = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1), dtype="uint8")
    split = data.Split(levels if kind == "levels" else levels / np.float32(255), np.array([0, 1, 0, 1, 2]))
    before = split.images.copy()
    for chosen in (split.take([0, 2]), split.take(split.labels == 1), split.of_class(0)):
        chosen[:] = 0
    np.testing.assert_array_equal(split.images, before)


def test_flat_is_a_view_and_head_the_first_images(tiny):
    train = data.load(tiny.place(tiny.elsewhere), verbose=False).train
    assert train.flat.shape == (50, 784)
    assert np.shares_memory(train.flat, train.images)
    assert np.array_equal(train.head(3).images, train.images[:3])
    assert np.array_equal(train.head(3).labels, train.labels[:3])


def test_levels_and_values_are_the_same_images():
    levels = np.arange(784 * 2).astype("uint8").reshape(2, 28, 28, 1)
    split = data.Split(levels, np.zeros(2, np.int64))
    assert split.levels.dtype == np.uint8 and np.array_equal(split.levels, levels)
    assert split.images.dtype == np.float32 and np.array_equal(split.images, levels / np.float32(255))
    again = data.Split(split.images, split.labels)
    assert np.array_equal(again.levels, levels) and np.array_equal(again.images, split.images)
    copied = pickle.loads(pickle.dumps(split))
    assert np.array_equal(copied.images, split.images) and np.array_equal(copied.labels, split.labels)


def test_values_of_a_large_split_are_kept_while_somebody_holds_them(monkeypatch):
    levels, labels = np.ones((20, 28, 28, 1), np.uint8), np.zeros(20, np.int64)
    for kept in (20, 19):
        monkeypatch.setattr("helpers.dataset.KEPT", kept)
        split = data.Split(levels, labels)
        held = split.images
        assert split.images is held and split.flat.base is held
        asked = weakref.ref(held)
        del held
        assert (asked() is not None) == (kept == 20)
        assert np.array_equal(split.images, levels / np.float32(255))


def test_of_class_gives_all_images_of_one_class(tiny):
    train = data.load(tiny.place(tiny.elsewhere), verbose=False).train
    assert np.array_equal(train.of_class(np.int64(3)), train.images[train.labels == 3])
    assert sum(len(train.of_class(k)) for k in range(10)) == len(train)


@pytest.mark.parametrize("k", [-1, 10, 1.0, "Bag", True, None])
def test_of_class_refuses_what_is_no_class(tiny, k):
    train = data.load(tiny.place(tiny.elsewhere), verbose=False).train
    with pytest.raises(ValueError, match=r"no class .*0 \(T-shirt/top\) to 9 \(Ankle boot\)"):
        train.of_class(k)


def test_dataset_head_shortens_what_is_named_and_keeps_the_rest(tiny):
    dataset = data.load(tiny.place(tiny.elsewhere), verbose=False)
    small = dataset.head(train=7, test=2)
    assert (len(small.train), len(small.validation), len(small.test)) == (7, 10, 2)
    assert np.array_equal(small.train.images, dataset.train.images[:7])
    assert small.source == dataset.source
    assert len(dataset.train) == 50


def test_dataset_without_a_class_trains_on_the_others_and_tests_on_all():
    dataset = tiny_dataset(train=30, validation=20, test=10)
    rest = dataset.without(7)
    assert rest.train.labels.tolist() == [k for k in range(10) if k != 7] * 3
    assert len(rest.validation) == 18 and 7 not in rest.validation.labels
    assert np.array_equal(rest.train.images[7], dataset.train.images[8]), "image 7 is gone, the next takes its place"
    assert rest.test is dataset.test and len(dataset.train) == 30
    with pytest.raises(ValueError, match="no class 10: class indices are whole numbers, 0 .* to 9"):
        dataset.without(10)


@pytest.mark.parametrize("n", [0, -1, 51, 2.0, True, "5"])
def test_head_refuses_what_is_no_number_of_images(tiny, n):
    dataset = data.load(tiny.place(tiny.elsewhere), verbose=False)
    with pytest.raises(ValueError, match=r"train: Cannot take the first .* 1 to 50"):
        dataset.head(train=n)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((2, 28, 28, 1)), np.zeros(2, np.int64), "images must be float32"),
        (np.zeros((2, 28, 28), np.float32), np.zeros(2, np.int64), "images must be float32"),
        (np.zeros((2, 28, 28, 1), np.float32), np.zeros(2, np.int32), "labels must be int64"),
        (np.zeros((2, 28, 28, 1), np.float32), np.zeros(3, np.int64), "labels must be int64"),
    ],
)
def test_split_refuses_other_shapes_and_types(images, labels, words):
    with pytest.raises(ValueError, match=words):
        data.Split(images, labels)


def test_split_leaves_the_callers_arrays_writable():
    images = np.zeros((2, 28, 28, 1), np.float32)
    data.Split(images, np.zeros(2, np.int64))
    images[0] = 1


# --------------------------------------------------------------------------------------------------
# Search order


def test_order_of_places(tiny, monkeypatch, capsys):
    tiny.place(tiny.debian)
    assert data.load().source == "Debian's package"
    tiny.place(tiny.cache)
    assert data.load().source == "Keras' cache"
    tiny.place(tiny.home)
    assert data.load().source == "data/fashion-mnist"
    named = tiny.place(tiny.elsewhere)
    monkeypatch.setattr(course, "data_directory", lambda: named)
    assert data.load().source == "FASHION_MNIST_DIR"
    assert data.load(tiny.home).source == "the given folder"
    lines = capsys.readouterr().out.splitlines()
    counts = ": 50 train, 10 validation, 20 test"
    assert lines == [
        f"Fashion-MNIST, from {source}{counts}"
        for source in (
            "Debian's package",
            "Keras' cache",
            "data/fashion-mnist",
            "FASHION_MNIST_DIR",
            "the given folder",
        )
    ]


def test_find_says_none_when_the_files_are_nowhere(tiny):
    assert data.find() is None


def test_silence_on_request(tiny, capsys):
    data.load(tiny.place(tiny.elsewhere), verbose=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("source", ["FASHION_MNIST_DIR", "the given folder"])
@pytest.mark.parametrize("state", ["absent", "a file", "empty", "damaged"])
def test_a_named_folder_is_never_skipped(tiny, monkeypatch, source, state):
    tiny.place(tiny.home)  # good files elsewhere must not hide the reader's mistake
    folder, words = tiny.elsewhere, ()
    if state == "absent":
        words = ("Wrong path", "does not exist")
    elif state == "a file":
        folder.write_text("")
        words = ("Wrong path", "is not a folder")
    elif state == "empty":
        folder.mkdir()
        words = (tiny.names[IMAGES], "is missing")
    else:
        tiny.spoil(folder, TEST_LABELS, tiny.packed[TEST_LABELS][:-3])
        words = (tiny.names[TEST_LABELS], "cut off")
    variable, argument = (folder, None) if source == "FASHION_MNIST_DIR" else (None, folder)
    monkeypatch.setattr(course, "data_directory", lambda: variable)
    with pytest.raises(data.DataError) as error:
        data.load(argument)
    check_message(error, source, str(tiny.elsewhere), *words)
    if state in ("empty", "damaged"):
        assert isinstance(error.value.__cause__, data.DataError)


@pytest.mark.parametrize("place, source", [("cache", "Keras' cache"), ("debian", "Debian's package")])
def test_bad_files_of_others_are_passed_over_in_one_line(tiny, capsys, server, place, source):
    folder = getattr(tiny, place)
    tiny.spoil(folder, TEST_IMAGES, tiny.packed[TEST_IMAGES][:500])
    before = {name: (folder / name).read_bytes() for name in names_in(folder)}
    assert data.find() is None
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert f"{source} is passed over: {tiny.names[TEST_IMAGES]} is cut off" in lines[0]
    assert str(folder) not in lines[0]
    assert data.find(verbose=False) is None
    assert capsys.readouterr().out == ""
    # It belongs to others, so nothing in it is touched, even while the files are fetched to our folder.
    data.fetch(mirrors=[server.url("good")], verbose=False)
    assert data.load(verbose=False).source == "data/fashion-mnist"
    assert {name: (folder / name).read_bytes() for name in names_in(folder)} == before


@pytest.mark.parametrize("place", ["cache", "debian"])
def test_incomplete_files_of_others_are_passed_over(tiny, capsys, place):
    tiny.place(getattr(tiny, place), [IMAGES, LABELS])
    assert data.find() is None
    assert f"{tiny.names[TEST_IMAGES]} is missing" in capsys.readouterr().out


def test_debian_is_looked_at_where_keras_cache_is_bad(tiny, capsys):
    tiny.spoil(tiny.cache, LABELS, tiny.packed[LABELS][:-1])
    tiny.place(tiny.debian)
    assert data.find() == (tiny.debian, "Debian's package")
    assert capsys.readouterr().out.startswith("Keras' cache is passed over: ")


def test_debian_packs_the_same_content_by_another_gzip(tiny):
    tiny.debian.mkdir(parents=True)
    for name, content in zip(tiny.names, tiny.contents, strict=True):
        (tiny.debian / name).write_bytes(pack(content, level=1))
    found = data.load(verbose=False)
    assert found.source == "Debian's package"
    np.testing.assert_array_equal(np.rint(found.test.images[..., 0] * 255), tiny.arrays[TEST_IMAGES])


def test_a_damaged_file_in_our_own_folder_is_an_error(tiny):
    tiny.place(tiny.cache)
    tiny.spoil(tiny.home, LABELS, tiny.packed[LABELS][:-1])
    with pytest.raises(data.DataError) as error:
        data.load()
    check_message(error, tiny.names[LABELS], "cut off", "data.fetch")


# --------------------------------------------------------------------------------------------------
# Faults of a file, one by one


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def wrong_shape(tiny):
    return pack(idx(np.zeros((60, 32, 32))))


def wrong_count(tiny):
    return pack(idx(np.zeros((59, 28, 28))))


def huge_shape(tiny):
    return pack(idx(np.zeros((60, 28, 28)), shape=(2**32 - 1, 2**32 - 1, 2**32 - 1)))


FAULTS = {
    "empty": (IMAGES, lambda t: b"", "is cut off: it is empty"),
    "cut off": (IMAGES, lambda t: t.packed[IMAGES][:1000], "is cut off: it ends after 1,000 bytes"),
    "last byte lost": (LABELS, lambda t: t.packed[LABELS][:-1], "is cut off"),
    "first byte only": (LABELS, lambda t: b"\x1f", "is cut off"),
    "text": (IMAGES, lambda t: b"hello, world", "is not a gzip file: it starts with the bytes 68 65 6c 6c"),
    "web page": (IMAGES, lambda t: b"\n<!DOCTYPE html><html></html>", "but a web page"),
    "labels under the images' name": (IMAGES, lambda t: t.packed[LABELS], "holds what belongs in train-labels"),
    "images under the labels' name": (LABELS, lambda t: t.packed[IMAGES], "holds what belongs in train-images"),
    "test under training's name": (IMAGES, lambda t: t.packed[TEST_IMAGES], "holds what belongs in t10k-images"),
    "swapped and packed again": (LABELS, lambda t: pack(t.contents[IMAGES], 1), "belongs in train-images"),
    "test packed again": (IMAGES, lambda t: pack(t.contents[TEST_IMAGES], 1), "belongs in t10k-images"),
    "wrong shape": (IMAGES, wrong_shape, "wrong shape: 60 x 32 x 32 images, expected 60 x 28 x 28 images"),
    "wrong count": (IMAGES, wrong_count, "wrong shape: 59 x 28 x 28 images, expected 60 x 28 x 28 images"),
    "huge declared shape": (IMAGES, huge_shape, "wrong shape"),
    "no IDX file": (IMAGES, lambda t: pack(b"some text"), "is not an IDX file"),
    "float IDX file": (IMAGES, lambda t: pack(b"\0\0\x0d\x03"), "magic number 3331, expected 2051"),
    "nothing inside": (IMAGES, lambda t: pack(b""), "is not an IDX file"),
    "half a header": (IMAGES, lambda t: pack(t.contents[IMAGES][:9]), "header is not complete"),
    "too few pixels": (IMAGES, lambda t: pack(t.contents[IMAGES][:-1]), "promises 47,056 bytes, there are 47,055"),
    "too many pixels": (IMAGES, lambda t: pack(t.contents[IMAGES] + b"\0"), "promises 47,056 bytes, there are more"),
    "damaged inside": (IMAGES, lambda t: flipped(t.packed[IMAGES], 5000), "is damaged: gzip says"),
    "damaged checksum": (IMAGES, lambda t: flipped(t.packed[IMAGES], -8), "is damaged: gzip says"),
    "label out of range": (LABELS, lambda t: pack(idx(np.full(60, 10))), "a label 10, but labels run from 0 to 9"),
    "another data set": (IMAGES, lambda t: pack(idx(np.ones((60, 28, 28)))), "content is not Fashion-MNIST's"),
    "too long": (IMAGES, lambda t: bytes(200_000), "is too long"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(tiny, fault):
    i, content, words = FAULTS[fault]
    tiny.spoil(tiny.home, i, content(tiny))
    before = names_in(tiny.home)
    for look in (data.load, lambda: data.verify(tiny.home)):
        with pytest.raises(data.DataError) as error:
            look()
        check_message(error, words, str(tiny.home))
        assert str(error.value).startswith(tiny.names[i])
    assert names_in(tiny.home) == before


def test_every_remedy_by_fetch_works(tiny, server):
    """The call that a message proposes, taken from the message, cures the folder."""
    for i, content, _ in FAULTS.values():
        tiny.spoil(tiny.elsewhere, i, content(tiny))
        with pytest.raises(data.DataError) as error:
            data.verify(tiny.elsewhere)
        call = re.search(r"data\.fetch\('(.*?)'\)", str(error.value))
        assert call, str(error.value)
        data.fetch(call[1], mirrors=[server.url("good")], verbose=False)
        data.verify(tiny.elsewhere)


def test_missing_file(tiny):
    tiny.place(tiny.elsewhere, [IMAGES, LABELS, TEST_IMAGES])
    with pytest.raises(data.DataError) as error:
        data.load(tiny.elsewhere)
    check_message(error, f"{tiny.names[TEST_LABELS]} is missing", "data/README.md")


@pytest.mark.parametrize("where", ["home", "elsewhere"])
@pytest.mark.parametrize("form", ["bare", "in a folder of its name", "under the packed name"])
def test_files_that_were_unpacked_on_the_way_are_right(tiny, where, form):
    """A browser unpacks a file and keeps its name, another drops the ending, 7-Zip makes a folder."""
    wanted = data.load(tiny.place(getattr(tiny, where)), verbose=False)
    folder = getattr(tiny, where)
    for name, content in zip(tiny.names, tiny.contents, strict=True):
        packed, bare = folder / name, (folder / name).with_suffix("")
        packed.unlink()
        place = {"bare": bare, "in a folder of its name": bare / bare.name, "under the packed name": packed}[form]
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    found = data.load(None if where == "home" else folder, verbose=False)
    assert found.train.digest == wanted.train.digest and found.test.digest == wanted.test.digest
    if where == "home":
        assert [gzip.decompress(packed) for packed in data.packed_files(found).values()] == tiny.contents


@pytest.mark.parametrize("form", ["bare", "packed name"])
def test_unpacked_file_with_other_content_is_told(tiny, form):
    folder = tiny.place(tiny.elsewhere, [LABELS, TEST_IMAGES, TEST_LABELS])
    name = tiny.names[IMAGES] if form == "packed name" else tiny.names[IMAGES].removesuffix(".gz")
    content = bytearray(tiny.contents[IMAGES])
    content[100] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(data.DataError) as error:
        data.load(folder)
    check_message(error, f"{name} is well formed, but its content is not", "downloads it again")


def test_what_is_missing_is_named_where_no_mirror_answers(tiny, drawings, capsys, monkeypatch):
    """Three of the four files are there; neither the stand-in's line nor the error speaks of the first of them."""
    tiny.place(tiny.home, [IMAGES, LABELS, TEST_IMAGES])
    assert data.load(verbose=False) is drawings
    said = capsys.readouterr().out
    assert f"put {tiny.names[TEST_LABELS]} beside the other 3 into data/fashion-mnist/" in said
    assert tiny.names[IMAGES] not in said
    monkeypatch.setattr(course, "data_choice", lambda: "fashion-mnist")
    with pytest.raises(data.UnreachableError, match=tiny.names[TEST_LABELS]) as error:
        data.load(verbose=False)
    assert tiny.names[IMAGES] not in str(error.value)


def test_reason_why_no_mirror_answers_is_said(tiny, drawings, capsys, monkeypatch):
    def refuse(request, timeout):
        raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "certificate verify failed: unable to get issuer"))

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    monkeypatch.setattr(download, "MIRRORS", ["https://one.example/", "https://two.example/"])
    assert data.load(verbose=False) is drawings
    said = capsys.readouterr().out
    assert said.count("certificate verify failed") == 1 and "put the four files into" in said
    with pytest.raises(data.UnreachableError, match="SSL_CERT_FILE"):
        download.ask_mirrors()


@pytest.mark.parametrize("form", ["~/{name}", '"{path}"', "'{path}'", "{relative}"])
def test_paths_as_readers_write_them(tiny, monkeypatch, tmp_path, form):
    folder = tiny.place(tiny.elsewhere)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    monkeypatch.setattr(course, "ROOT", folder.parent)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    path = form.format(name=folder.name, path=folder, relative=folder.name)
    monkeypatch.setenv("FASHION_MNIST_DIR", path)
    monkeypatch.setattr(course, "data_directory", DATA_DIRECTORY)
    assert data.load(verbose=False).source == "FASHION_MNIST_DIR"
    if "relative" not in form:
        assert len(data.load(path, verbose=False).train) == 50
    assert not list(Path().iterdir()), "no folder named ~ appears"


def test_right_content_packed_by_another_gzip_is_right(tiny):
    folder = tiny.spoil(tiny.elsewhere, IMAGES, pack(tiny.contents[IMAGES], level=0))
    assert (folder / tiny.names[IMAGES]).read_bytes() != tiny.packed[IMAGES]
    assert len(data.load(folder, verbose=False).train) == 50


@pytest.mark.parametrize("again", [False, True], ids=["as published", "packed again"])
def test_mnist_is_recognised(tiny, monkeypatch, again):
    digits = idx(np.full((60, 28, 28), 7))
    known = md5(digits) if again else md5(pack(digits))
    monkeypatch.setattr(published, "MNIST_MD5", frozenset([known]))
    folder = tiny.spoil(tiny.elsewhere, IMAGES, pack(digits))
    with pytest.raises(data.DataError) as error:
        data.load(folder)
    check_message(error, tiny.names[IMAGES], "is MNIST (handwritten digits), not Fashion-MNIST")


def test_published_sums_of_mnist_are_the_ones_known():
    assert {
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    } <= published.MNIST_MD5
    assert not published.MNIST_MD5 & {sum for file in data.FILES for sum in (file.md5, file.content_md5)}


def test_a_folder_in_a_files_place(tiny):
    tiny.place(tiny.home, [LABELS, TEST_IMAGES, TEST_LABELS])
    (tiny.home / tiny.names[IMAGES]).mkdir()
    with pytest.raises(data.DataError) as error:
        data.load()
    check_message(error, f"{tiny.names[IMAGES]} is not a file", "remove what has this name")


def test_an_unreadable_file(tiny, monkeypatch):
    tiny.place(tiny.home)

    def refuse(path, mode="r"):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(published, "open", refuse, raising=False)
    with pytest.raises(data.DataError) as error:
        data.load()
    check_message(error, f"{tiny.names[IMAGES]} cannot be read (Permission denied)", "allow reading")
    assert isinstance(error.value.__cause__, PermissionError)


def test_a_small_file_that_unpacks_to_a_huge_one_costs_no_memory(tiny):
    bomb = pack(tiny.contents[IMAGES][:16] + bytes(20_000_000))
    assert len(bomb) < 30_000
    tiny.spoil(tiny.elsewhere, IMAGES, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(data.DataError, match="there are more"):
            data.load(tiny.elsewhere)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# --------------------------------------------------------------------------------------------------
# Mirrors


class Server(http.server.ThreadingHTTPServer):
    """Mirrors on this machine; the first part of the address chooses how one behaves."""

    daemon_threads = True

    def __init__(self, tiny):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = dict(zip(tiny.names, tiny.packed, strict=True))
        self.asked = []
        self.stop = threading.Event()
        self.meeting = threading.Barrier(2)

    def url(self, behaviour):
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/"

    def handle_error(self, request, client_address):
        """Clients hang up on bad mirrors here; that is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        behaviour = self.path.split("/")[1]
        if behaviour == "silent":
            self.server.stop.wait(20)
        self.send_response(404 if behaviour == "absent" else 200)
        self.end_headers()

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.asked.append((behaviour, name))
        getattr(self, behaviour)(self.server.content[name])

    def log_message(self, *args):
        pass

    def answer(self, content, length=None):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def good(self, content):
        self.answer(content, len(content))

    def no_length(self, content):
        self.answer(content)

    def truncated(self, content):
        self.answer(content[:100], len(content))

    def truncated_no_length(self, content):
        self.answer(content[:100])

    def wrong(self, content):
        self.answer(flipped(content, 50), len(content))

    def page(self, content):
        self.answer(b"<html>log in</html>", 19)

    def endless(self, content):
        self.answer(content)
        while not self.server.stop.is_set():
            self.wfile.write(bytes(10_000))

    def slow(self, content):
        self.answer(b"", len(content))
        for i in range(400):  # eight seconds, far beyond the limit, and not for ever if the limit fails
            if self.server.stop.wait(0.02):
                break
            self.wfile.write(content[i : i + 1])

    def silent(self, content):
        self.server.stop.wait(20)

    def stalled(self, content):
        self.answer(content[:100], len(content))
        self.server.stop.wait(20)

    def absent(self, content):
        self.send_error(404)

    def moved(self, content):
        self.send_response(302)
        self.send_header("Location", self.path.replace("moved", "good"))
        self.end_headers()

    def garbage(self, content):
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def together(self, content):
        self.server.meeting.wait(5)
        self.good(content)

    def labels_only(self, content):
        (self.good if "labels" in self.path else self.absent)(content)


@pytest.fixture
def server(tiny):
    server = Server(tiny)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


BAD_MIRRORS = {
    "truncated": "100 ",
    "truncated_no_length": "cut off, 100 of",
    "wrong": "wrong content, MD5",
    "page": "offers 19 bytes instead of",
    "endless": "sends more than",
    "slow": "too slow",
    "silent": "no answer in time",
    "stalled": "no answer in time, after 100 bytes",
    "absent": "HTTP 404",
    "garbage": "this is not HTTP",
}

# Where a mirror makes us wait, the wait is short; elsewhere long, so that a busy machine fails no test.
PATIENCE = {name: {"timeout": 1.0, "limit": 1.5} for name in ("slow", "silent", "stalled")}


@pytest.mark.parametrize("behaviour", BAD_MIRRORS)
def test_a_bad_mirror_is_named_and_leaves_nothing(tiny, server, behaviour):
    start = time.monotonic()
    with pytest.raises(data.DataError) as error:
        data.fetch(mirrors=[server.url(behaviour)], verbose=False, **PATIENCE.get(behaviour, {}))
    assert time.monotonic() - start < 6
    check_message(error, tiny.names[IMAGES], f"127.0.0.1:{server.server_port}: ", BAD_MIRRORS[behaviour])
    check_message(error, "FASHION_MNIST_DIR", "data/fashion-mnist/")
    assert error.value.__cause__ is not None
    assert names_in(tiny.home) == []


@pytest.mark.parametrize("behaviour", BAD_MIRRORS)
def test_the_next_mirror_is_asked(tiny, server, capfd, behaviour):
    data.fetch(mirrors=[server.url(behaviour), server.url("good")], **PATIENCE.get(behaviour, {}))
    data.verify(tiny.home)
    assert names_in(tiny.home) == sorted(tiny.names)
    captured = capfd.readouterr()
    assert BAD_MIRRORS[behaviour] in captured.err  # a mirror that fails is visible
    assert captured.out.startswith("Downloading Fashion-MNIST to data/fashion-mnist: ")
    # A mirror that failed once is not asked again while another one works.
    assert [name for asked, name in server.asked if asked == behaviour] == tiny.names[:1]


@pytest.mark.parametrize("behaviour", ["good", "no_length", "moved"])
def test_load_downloads_what_is_nowhere(tiny, server, monkeypatch, capsys, behaviour):
    monkeypatch.setattr(download, "MIRRORS", (server.url(behaviour),))
    assert data.load().source == "data/fashion-mnist (downloaded now)"
    assert names_in(tiny.home) == sorted(tiny.names)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert tiny.names[IMAGES] in captured.err  # the progress bar
    asked = len(server.asked)
    assert data.load(verbose=False).source == "data/fashion-mnist"
    assert len(server.asked) == asked


def test_a_mirror_without_its_last_slash(tiny, server):
    data.fetch(mirrors=[server.url("good").rstrip("/")], verbose=False)
    data.verify(tiny.home)


def test_mirrors_may_complete_each_other(tiny, server):
    data.fetch(mirrors=[server.url("labels_only"), server.url("good")], verbose=False)
    data.verify(tiny.home)


def test_only_missing_files_are_fetched(tiny, server, monkeypatch):
    tiny.place(tiny.home, [IMAGES, TEST_LABELS])
    monkeypatch.setattr(download, "MIRRORS", (server.url("good"),))
    data.load(verbose=False)
    assert [name for _, name in server.asked] == [tiny.names[LABELS], tiny.names[TEST_IMAGES]]


def test_fetch_touches_no_network_when_all_is_there(tiny, server, capsys):
    tiny.place(tiny.home)
    assert data.fetch(mirrors=[server.url("good")]) == tiny.home
    assert server.asked == []
    assert capsys.readouterr().out == ""


def test_no_network_lists_each_mirror_with_its_reason(tiny, server, monkeypatch):
    closed = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    port = closed.server_port
    closed.server_close()
    mirrors = (f"http://127.0.0.1:{port}/a/", server.url("absent"), "no address at all")
    monkeypatch.setattr(download, "MIRRORS", mirrors)
    with pytest.raises(data.DataError) as error:
        data.load(verbose=False)
    check_message(error, f"127.0.0.1:{port}: Connection refused", "HTTP 404", "no address at all: unknown url type")
    check_message(error, "put them into data/fashion-mnist/", "set FASHION_MNIST_DIR", "data/README.md")
    assert names_in(tiny.home) == []


def test_no_mirror_at_all(tiny):
    with pytest.raises(data.DataError) as error:
        data.load(verbose=False)
    check_message(error, tiny.names[IMAGES], "no mirror was given")


@pytest.fixture
def drawings(tiny, monkeypatch):
    """A small Dataset that stands in for the drawn wardrobe, which may now be used."""
    tiny.place(tiny.elsewhere)
    small = dataclasses.replace(data.load(tiny.elsewhere, verbose=False), name="drawings", slug="wardrobe")
    monkeypatch.setattr(wardrobe, "load", lambda verbose=True: small)
    monkeypatch.setattr(course, "data_choice", lambda: None)
    monkeypatch.setattr(course, "_stand_in", None)
    return small


def test_drawings_stand_in_where_no_mirror_answers(tiny, drawings, capsys):
    assert data.load(verbose=False) is drawings
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "drawn wardrobe" in line
    assert "data/fashion-mnist/" in line
    assert names_in(tiny.home) == []


def test_drawings_stand_in_where_every_mirror_fails_later(tiny, drawings, server, monkeypatch):
    monkeypatch.setattr(download, "MIRRORS", (server.url("absent"),))
    assert data.load(verbose=False) is drawings


@pytest.mark.parametrize("behaviour", ["slow", "silent", "absent"])
def test_no_drawings_where_one_mirror_works(tiny, drawings, server, monkeypatch, behaviour):
    monkeypatch.setattr(download, "MIRRORS", (server.url(behaviour), server.url("good")))
    monkeypatch.setattr(data, "fetch", functools.partial(data.fetch, timeout=1.0, limit=1.5))
    assert data.load(verbose=False).name == "Fashion-MNIST"


def test_damaged_files_are_an_error_and_never_replaced_by_drawings(tiny, drawings):
    tiny.spoil(tiny.home, IMAGES, b"nothing")
    with pytest.raises(data.DataError, match=tiny.names[IMAGES]):
        data.load(verbose=False)


def test_drawings_can_be_chosen(tiny, drawings, monkeypatch):
    tiny.place(tiny.home)
    assert data.load(verbose=False).slug == "fashion-mnist"
    monkeypatch.setattr(course, "data_choice", lambda: "wardrobe")
    assert data.load(verbose=False) is drawings
    assert data.load(tiny.home, verbose=False).slug == "fashion-mnist"  # a named folder is meant


def test_claims_know_what_they_are_about(tiny, drawings, capsys, monkeypatch):
    monkeypatch.setattr(course, "_stand_in", None)
    stand_in, real = data.load(verbose=False), data.load(tiny.place(tiny.home), verbose=False)
    assert course.stand_in() is None, "opening a data set decides nothing"
    assert course.use(stand_in) is stand_in
    course.claim("trousers have two legs", False)
    assert "Not so on drawings" in capsys.readouterr().out
    course.use(real)
    with pytest.raises(AssertionError, match="two legs"):
        course.claim("trousers have two legs", False)


def test_mirrors_that_never_answer_are_given_up(tiny, server):
    with pytest.raises(data.UnreachableError) as error:
        download.ask_mirrors([server.url("silent")] * 3, seconds=0.3)
    check_message(error, "no answer")


def test_packed_files_are_the_files(tiny):
    dataset = data.load(tiny.place(tiny.home), verbose=False)
    assert list(data.packed_files(dataset).values()) == tiny.packed


def test_packed_drawings_have_the_format_of_the_files(tiny, drawings):
    contents = [gzip.decompress(packed) for packed in data.packed_files(drawings).values()]
    assert [len(content) for content in contents] == [len(content) for content in tiny.contents]
    assert contents[TEST_IMAGES] == tiny.contents[TEST_IMAGES]
    assert contents[LABELS][:8] == tiny.contents[LABELS][:8]


def test_two_downloads_at_once_do_not_harm_each_other(tiny, server):
    # The server answers the first file only when both have asked for it, so both are under way together.
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(data.fetch, mirrors=[server.url("together"), server.url("good")], verbose=False)
            for _ in range(2)
        ]
        for run in runs:
            assert run.result(timeout=30) == tiny.home
    data.verify(tiny.home)
    assert names_in(tiny.home) == sorted(tiny.names)
    assert server.asked.count(("together", tiny.names[IMAGES])) == 2


def stop_while_receiving(monkeypatch, error):
    pieces = download.received

    def interrupted(*args):
        yield next(pieces(*args))
        raise error

    monkeypatch.setattr(download, "received", interrupted)


def stop_at(name):
    def patch(monkeypatch, error):
        def fail(*args):
            raise error

        monkeypatch.setattr(data.os, name, fail)

    return patch


@pytest.mark.parametrize("moment", [stop_while_receiving, stop_at("fsync"), stop_at("replace")])
def test_an_interrupt_leaves_nothing_half_written(tiny, server, monkeypatch, moment):
    moment(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        data.fetch(mirrors=[server.url("good")], verbose=False)
    assert names_in(tiny.home) == []


@pytest.mark.parametrize("moment", [stop_at("fsync"), stop_at("replace")])
def test_a_full_disk(tiny, server, monkeypatch, moment):
    moment(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(data.DataError) as error:
        data.fetch(mirrors=[server.url("good"), server.url("good")], verbose=False)
    check_message(error, "The disk is full: Fashion-MNIST needs", "make room", str(tiny.home))
    assert error.value.__cause__.errno == errno.ENOSPC
    assert names_in(tiny.home) == []
    assert len(server.asked) == 1  # no other mirror can help


def test_a_folder_that_cannot_be_written(tiny, server, monkeypatch):
    # Simulated, because tests that run as root may write everywhere.
    def refuse(dir, **_):
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(data.DataError) as error:
        data.fetch(mirrors=[server.url("good")], verbose=False)
    check_message(error, "cannot be written", "Read-only file system", "FASHION_MNIST_DIR", str(tiny.home))
    assert isinstance(error.value.__cause__, OSError)
    assert server.asked == []  # known before anything is downloaded
    assert names_in(tiny.home) == []


def test_a_folder_that_cannot_be_made(tiny, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(data.DataError) as error:
        data.fetch(tmp_path / "file" / "fashion-mnist", mirrors=[server.url("good")], verbose=False)
    check_message(error, "cannot be written", "Not a directory")
    assert server.asked == []


def test_a_rename_that_is_refused_leaves_nothing(tiny, server, monkeypatch):
    stop_at("replace")(monkeypatch, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(data.DataError) as error:
        data.fetch(mirrors=[server.url("good")], verbose=False)
    check_message(error, "cannot be written", "Permission denied")
    assert names_in(tiny.home) == []


def test_a_rename_refused_because_another_process_was_faster(tiny, server, monkeypatch):
    def faster(part, path):
        shutil.copyfile(part, path)
        raise PermissionError(errno.EACCES, "in use by another process")

    monkeypatch.setattr(data.os, "replace", faster)
    data.fetch(mirrors=[server.url("good")], verbose=False)
    data.verify(tiny.home)
    assert names_in(tiny.home) == sorted(tiny.names)


def test_old_parts_of_killed_processes_are_swept(tiny, server):
    tiny.home.mkdir(parents=True)
    old, young, other = (
        tiny.home / name
        for name in (f".{tiny.names[0]}.1-ab.partial", f".{tiny.names[0]}.2-cd.partial", "notes.partial")
    )
    for path in (old, young, other):
        path.write_bytes(b"part")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * files._STALE,) * 2)
    data.fetch(mirrors=[server.url("good")], verbose=False)
    assert not old.exists()
    assert young.exists()  # its process may be at work
    assert other.exists()  # not ours


def test_a_fetched_file_is_as_readable_as_any_other(tiny, server, tmp_path):
    data.fetch(mirrors=[server.url("good")], verbose=False)
    (tmp_path / "plain").write_text("")
    expected = (tmp_path / "plain").stat().st_mode
    assert {(tiny.home / name).stat().st_mode for name in tiny.names} == {expected}


# --------------------------------------------------------------------------------------------------
# Records


def test_the_readme_lists_the_records_of_the_loader():
    text = (course.ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for file in data.FILES:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{file.name}`")]
        assert f"{file.size:,}" in line
        assert file.md5 in line
        assert f"{file.shape[0]:,}" in line
        assert str(file.magic) in line
    for mirror in download.MIRRORS:
        assert mirror in text


# --------------------------------------------------------------------------------------------------
# The real files


@pytest.fixture(scope="module")
def real_place():
    place = data.find(verbose=False)
    if place is None:
        pytest.skip("the real files are absent: neither FASHION_MNIST_DIR, data/fashion-mnist/ nor a package has them")
    return place


@pytest.fixture(scope="module")
def dataset(real_place):
    return data.load(verbose=False)


def test_real_splits(dataset):
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (55_000, 5_000, 10_000)
    assert np.bincount(dataset.train.labels).tolist() == [5_500] * 10
    assert np.bincount(dataset.validation.labels).tolist() == [500] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1_000] * 10


def test_real_pixels(dataset):
    published = np.concatenate([dataset.train.images, dataset.validation.images])
    assert published.dtype == np.float32
    assert (published.min(), published.max()) == (0, 1)
    assert published.mean(dtype=np.float64) == pytest.approx(0.286, abs=5e-4)


def test_real_train_and_validation_share_nothing_and_lack_nothing(dataset, real_place):
    pixels = published.read(real_place.directory / data.FILES[IMAGES].name, data.FILES[IMAGES])
    halves = [np.rint(split.images[..., 0] * 255).astype(np.uint8) for split in (dataset.train, dataset.validation)]

    def sums(images):
        return sorted(zlib.crc32(np.ascontiguousarray(image)) for image in images)

    assert sum(int(half.sum()) for half in halves) == int(pixels.sum())
    assert sums(np.concatenate(halves)) == sums(pixels)


def test_real_split_is_fixed(dataset):
    """Every stored number rests on this split; if this fails, all of them have to be made anew."""
    sums = [
        [zlib.crc32(split.images), zlib.crc32(split.labels.astype("<i8"))]
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert sums == [
        [0x8707BA88, 0x6B76C540],
        [0xD9CF937D, 0x2B541D40],
        [0x75E9A691, 0x573905E5],
    ]


def test_real_files_load_in_seconds_and_within_memory(real_place):
    tracemalloc.start()
    try:
        start = time.process_time()
        data.load(real_place.directory, verbose=False)
        assert time.process_time() - start < 10
        assert tracemalloc.get_traced_memory()[1] < 400e6
    finally:
        tracemalloc.stop()


def test_the_names_of_the_classes_are_right(dataset):
    """What a garment looks like, against its name: a list in another order would fail."""
    means = {name: dataset.test.of_class(k).mean(axis=0)[..., 0] for k, name in enumerate(dataset.class_names)}

    def most(share):
        return max(means, key=lambda name: share(means[name]))

    assert most(lambda image: -image.sum()) == "Sandal"  # little but straps
    assert most(lambda image: image.sum()) == "Coat"
    assert most(lambda image: image[:, 12:16].sum() / image.sum()) == "Dress"  # narrow and upright
    assert most(lambda image: -image[:8].sum() / image.sum()) == "Sneaker"  # low
    assert most(lambda image: image[:, 14:].sum() / image.sum()) == "Ankle boot"  # the shaft stands at the right
    assert most(lambda image: image[4:24, 8:12].mean() - image[14:24, 13:15].mean()) == "Trouser"  # two legs
