"""Faults on purpose: kills, full disks, damaged and hostile files, images that are none, an interrupted kernel.

What belongs to one helper alone stands in that helper's tests. Here are the faults that all of them have to survive.
"""

import ast
import contextlib
import copy
import dataclasses
import errno
import functools
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import types
import zipfile

import keras
import nbformat
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel
from support import KINDS, shelve, small_autoencoder, small_conv_vae, small_vae, tiny_dataset
from test_data import Tiny
from test_sweeps import inline
from test_training import LONG, Interrupt, assert_same

from helpers import (
    baselines,
    checkpoints,
    classifier,
    course,
    data,
    metrics,
    models,
    plotting,
    priors,
    sweeps,
    training,
    widgets,
)
from helpers.machinery import files, published, state, weights

# --------------------------------------------------------------------------------------------------
# Kills

# 53 steps an epoch, a prime above 50: so each step is a call of its own, and a moment to be killed.
STEPS = 53
KILLED = {**LONG, "batch_size": 5}
BUILD = {"dense": small_vae, "conv": small_conv_vae, **KINDS}


def fit(model, **kwargs):
    """The training that is killed; an autoencoder has no KL to warm up."""
    recipe = KILLED if model.is_variational else {**KILLED, "kl_warmup_epochs": 0}
    return training.fit(model, few(), **recipe, **kwargs)


def few():
    """Images for `STEPS` batches."""
    return tiny_dataset(train=STEPS * KILLED["batch_size"])


def moments(n, seed):
    """n random moments in order, as (epoch, step); the step after an epoch's last is the writing of its state."""
    draws = random.Random(seed)
    writing = (draws.randrange(KILLED["epochs"]), STEPS)
    others = [(epoch, step) for epoch in range(KILLED["epochs"]) for step in range(STEPS)]
    return sorted([writing, *draws.sample(others, n - 1)])


class Kill(keras.callbacks.Callback):
    """End this process without a word at a moment of a training."""

    def __init__(self, epoch, step):
        super().__init__()
        self.moment, self.now = (epoch, step), None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, step, logs=None):
        if (self.now, step) == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, STEPS) == self.moment:
            files.open = open_to_die


def open_to_die(path, mode):
    """Open a file whose first writing kills this process when half is written."""

    def write(content):
        file.write(content[: len(content) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    file = open(path, mode)  # noqa: SIM115  closed by the kill
    return contextlib.nullcontext(types.SimpleNamespace(write=write))


VICTIM = """
import json, sys
import test_faults as faults
net, state, moment = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
kill = faults.Kill(*moment)
faults.fit(faults.BUILD[net](), state=state, callbacks=[kill])
"""


def victim(*arguments):
    """Run `VICTIM` in a new Python, without the settings that this one made for itself; return its exit status.

    But with as many threads: their number decides about the last bits.
    """
    threads = "TF_NUM_INTRAOP_THREADS"
    environ = {name: value for name, value in os.environ.items() if name == threads or not name.startswith("TF_")}
    environ["PYTHONPATH"] = str(course.ROOT)
    command = [sys.executable, "-c", VICTIM, *map(str, arguments)]
    return subprocess.run(command, cwd=course.ROOT / "tests", env=environ, timeout=300).returncode


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("net", "kills"),
    [
        ("dense", 2),
        ("conv", 1),  # in the midst of writing its state
        pytest.param("dense", 5, marks=pytest.mark.nightly),
        pytest.param("conv", 2, marks=pytest.mark.nightly),
        *(pytest.param(kind, 2, marks=pytest.mark.nightly) for kind in KINDS),
    ],
)
def test_training_killed_again_and_again_ends_with_the_same_bits(tmp_path, net, kills):
    state, undisturbed, resumed = tmp_path / "state.npz", BUILD[net](), BUILD[net]()
    for moment in moments(kills, seed=8):
        assert victim(net, state, json.dumps(moment)) == -signal.SIGKILL
    assert len(list(tmp_path.glob(".state.npz.*.partial"))) == 1, "one kill came in the midst of writing"
    history = fit(undisturbed)
    assert_same(resumed, fit(resumed, state=state), undisturbed, history)


# --------------------------------------------------------------------------------------------------
# Disks


@contextlib.contextmanager
def files_of_at_most(size):
    """A real limit of the system: a file that grows beyond it fails in the middle of a write."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_checkpoint(folder, tiny, n):
    model = checkpoints.plan("toy_ae").build()
    model.decoder.get_layer("logits").bias.assign(np.random.default_rng(n).random(784))
    shelve(model, "toy_ae", folder, {"loss": [float(n)]})


def save_state(folder, tiny, n):
    """The first call is interrupted in the second epoch, the next one goes on from there."""
    interrupt = [Interrupt(1)] if n == 1 else []
    with contextlib.suppress(KeyboardInterrupt):
        training.fit(
            small_autoencoder(), tiny, state=folder / "state.npz", epochs=2, callbacks=interrupt, verbose=False
        )


def square(config, state):
    return {"square": config["x"] ** 2}


def save_sweep(folder, tiny, n):
    inline([{"x": n, "long": "x" * 3000}], folder, square)


def save_result(folder, tiny, n):
    files.write_sealed(folder / "result.json", {"rows": [{"n": n, "long": "x" * 3000}], "recipe": {}})


SAVES = {"checkpoint": save_checkpoint, "state": save_state, "sweep": save_sweep, "result": save_result}
every_save = pytest.mark.parametrize("save", SAVES.values(), ids=SAVES.keys())


def content_of(folder):
    """Bytes of all files in a folder, but for the locks of trials, which a next run takes again."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def refused(save, folder, tiny):
    """Save, and see that the error names a file, its folder and a remedy, and that all in the folder is as it was."""
    before = content_of(folder) if folder.is_dir() else {}
    with pytest.raises(files.UnwritableFile) as caught:
        save(folder, tiny, 2)
    assert (content_of(folder) if folder.is_dir() else {}) == before
    said = str(caught.value)
    assert os.path.basename(caught.value.filename) in said.splitlines()[0] and " cannot be written (" in said
    assert f"Folder: {folder}" in said and "\nRemedy: " in said and said.endswith("then run it again.")
    return caught.value


@every_save
def test_disk_that_is_full_in_the_middle_of_a_write_keeps_the_old_file(shelf, tmp_path, tiny, save):
    folder = tmp_path / "place"
    save(folder, tiny, 1)
    before = content_of(folder)
    with files_of_at_most(2000):
        error = refused(save, folder, tiny)
    assert error.errno == errno.EFBIG and "make room on the disk" in str(error)
    save(folder, tiny, 2)
    assert content_of(folder) != before


# One after the other, what a writer asks of the system.
CALLS = ["tempfile.mkstemp", "os.fsync", "os.chmod", "os.replace"]
ERRORS = {errno.ENOSPC: "make room", errno.EROFS: "allow writing", errno.EACCES: "allow writing"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("save", [save_checkpoint, save_sweep, save_result])
def test_each_refusal_of_the_system_keeps_the_old_file(shelf, tmp_path, tiny, monkeypatch, save, number, call):
    """Simulated, because tests that run as root may write everywhere."""

    def refuse(*arguments, **settings):
        raise OSError(number, os.strerror(number))

    folder = tmp_path / "place"
    save(folder, tiny, 1)
    with monkeypatch.context() as patch:
        patch.setattr(f"helpers.machinery.files.{call}", refuse)
        error = refused(save, folder, tiny)
    assert error.errno == number and ERRORS[number] in str(error)


@every_save
def test_file_in_the_place_of_a_folder_is_said(shelf, tmp_path, tiny, save):
    (tmp_path / "place").write_text("not a folder")
    with pytest.raises(files.UnwritableFile, match="remove the file that stands where the folder should be"):
        save(tmp_path / "place" / "inner", tiny, 1)
    assert (tmp_path / "place").read_text() == "not a folder"


def test_new_weights_get_no_name_before_their_manifest_is_whole(shelf, tmp_path, tiny, monkeypatch):
    """The manifest comes second; where the disk is full by then, the old pair must still be one."""
    save_checkpoint(shelf, tiny, 1)
    before, fsync, synced = content_of(shelf), os.fsync, []

    def full_at_the_second(handle):
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full_at_the_second)
        refused(save_checkpoint, shelf, tiny)
    assert content_of(shelf) == before
    assert checkpoints.load("toy_ae") is not None


def test_kill_between_the_two_names_of_a_checkpoint_costs_nothing(shelf, tiny, monkeypatch):
    """The weights are there, their manifest is not yet, and neither is a model of that name."""
    replace = os.replace

    def die_at_the_manifest(aside, path):
        if str(path).endswith("toy_ae.json"):
            raise SystemExit
        replace(aside, path)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", die_at_the_manifest)
        with pytest.raises(SystemExit):
            checkpoints.load_or_train("toy_ae", tiny)
    folder = checkpoints.runs_of(tiny)
    assert sorted(path.name for path in folder.iterdir()) == ["toy_ae.npz", "toy_ae.state.npz"]
    again = checkpoints.load_or_train("toy_ae", tiny)
    assert sorted(path.name for path in folder.iterdir()) == ["toy_ae.json", "toy_ae.npz"]
    assert checkpoints.load("toy_ae", "tiny").latent_dim == again.latent_dim


def test_trials_that_are_finished_survive_a_full_disk(tmp_path):
    configs, begun = [{"x": 1}, {"x": 2, "long": "x" * 3000}], []

    def noted(config, state):
        begun.append(config["x"])
        return square(config, state)

    with files_of_at_most(2000), pytest.raises(files.UnwritableFile):
        inline(configs, tmp_path, noted)
    table = inline(configs, tmp_path, noted)
    assert table["square"].tolist() == [1, 4] and table["status"].tolist() == ["done"] * 2
    assert begun == [1, 2, 2]


def test_what_killed_writers_left_is_swept_after_a_day(tmp_path):
    old, young, other = (tmp_path / name for name in (".a.json.1.partial", ".a.json.2.partial", ".b.json.1.partial"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * files._STALE,) * 2)
    files.write_json(tmp_path / "a.json", {})
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", young.name, other.name}


def nest(depth):
    content = []
    for _ in range(depth):
        content = [content]
    return content


def test_what_would_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "some.json"
    monkeypatch.setattr(files, "_MAX_TEXT", 20_000)
    files.write_json(path, nest(64))
    assert files.read_json(path, "") == nest(64)
    for content, words in ((nest(65), "deep"), ("x" * 20_000, "are read again"), (1 << 64, "too large a number")):
        with pytest.raises(ValueError, match=words):
            files.write_json(path, content)
        path.write_text(json.dumps(content))
        with pytest.raises(files.DamagedFile, match="some.json is damaged"):
            files.read_json(path, "")
        path.unlink()
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------
# Damaged and hostile files

SORTS = ["images", "labels", "checkpoint", "manifest", "classifier", "classifier manifest", "result", "state", "trial"]
every_sort = pytest.mark.parametrize("sort", SORTS)
CASES = 120  # generated for each sort of file; the hostile ones come on top
GENERATED = {"database": None, "derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck)}
# Bytes of memory that opening any of these small files may take. A state may hold a long history.
PEAK = {sort: 8 << 20 for sort in SORTS} | {"state": 64 << 20}


class Store:
    """A stored file of each sort, made by the course's own writers, and what opens it.

    Attributes:
        path: dict of sort to path.
        original: dict of sort to bytes.
        opened: dict of sort to what is in it.
    """

    def __init__(self, folder):
        shelf, garments = folder / "shipped" / course.FASHION_MNIST, folder / "garments"
        self.folder, self.garments = folder, Tiny(folder)
        self.path = {
            "images": garments / self.garments.names[0],
            "labels": garments / self.garments.names[1],
            "checkpoint": shelf / "toy_ae.npz",
            "manifest": shelf / "toy_ae.json",
            "classifier": shelf / "classifier.npz",
            "classifier manifest": shelf / "classifier.json",
            "result": folder / course.FASHION_MNIST / "some.json",
            "state": folder / "state.npz",
            "trial": folder / "trial" / "result.json",
        }

    def stand_in(self, patch):
        """Let the helpers look for their files here."""
        sizes, recipe = {"latent_dim": 2, "hidden": [16]}, {"epochs": 1, "batch_size": 100}
        plan = checkpoints.Plan("a toy", "dense_autoencoder", sizes, recipe)
        patch.setattr(checkpoints, "PLANS", {"toy_ae": plan})
        patch.setattr(weights, "SHIPPED", self.folder / "shipped")
        patch.setattr(published, "FILES", self.garments.files)
        patch.setattr(data, "VALIDATION_SIZE", 10)

    def make(self):
        self.garments.place(self.path["images"].parent)
        self.model, self.classifier = checkpoints.plan("toy_ae").build(), classifier.build()
        history, shelf = {"loss": [0.1 + 0.2, 1e-7]}, self.path["checkpoint"].parent
        shelve(self.model, "toy_ae", shelf, history, {"mse": 0.5})
        about = {"configuration": classifier.configuration(course.FASHION_MNIST), "metrics": {"accuracy": 0.9}}
        weights.store(self.classifier, self.path["classifier"], about, 16)
        rows = [{"model": "a", "mse": 0.5, "seed": 1}, {"model": "b", "mse": 0.25, "seed": 2}]
        files.write_sealed(self.path["result"], {"data": "fashion-mnist", "recipe": {"epochs": 3}, "rows": rows})
        inline([{"x": 3}], self.folder / "sweep", square)
        sweeps.folder_of({"x": 3}, self.folder / "sweep").rename(self.path["trial"].parent)
        self.student, self.recipe = small_autoencoder(), training.Recipe(epochs=3, patience=1)
        self.dataset = tiny_dataset()
        setting = dataclasses.asdict(self.recipe) | {"state": self.path["state"], "verbose": False}
        with contextlib.suppress(KeyboardInterrupt):
            training.fit(self.student, self.dataset, callbacks=[Interrupt(2)], **setting)
        self.student.compile(training._optimizer(self.recipe, 3))  # as a training does, of three steps an epoch
        self.student.optimizer.build(self.student.trainable_variables)
        self.original = {sort: path.read_bytes() for sort, path in self.path.items()}
        self.opened = {sort: self.open(sort) for sort in self.path}

    def open(self, sort):
        """What is in a file, as numbers, texts and arrays."""
        if sort in ("images", "labels"):
            dataset = data.load(self.path[sort].parent, verbose=False)
            splits = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
            return {part: {"images": split.images, "labels": split.labels} for part, split in splits.items()}
        if sort == "checkpoint":
            weights.restore(self.model, self.path[sort], checkpoints.manifest("toy_ae"), checkpoints._REMEDY)
            return self.model.weight_arrays()
        if sort == "classifier":
            remedy = "Get the file again (git checkout)."
            weights.restore(self.classifier, self.path[sort], classifier.manifest(), remedy)
            return self.classifier.weight_arrays()
        if sort == "manifest":
            return checkpoints.manifest("toy_ae")
        if sort == "classifier manifest":
            return classifier.manifest()
        if sort == "result":
            table, recipe = checkpoints.result("some", folder=self.folder)
            return {"rows": table.to_dict("records"), "recipe": recipe}
        if sort == "trial":
            return sweeps.read(self.path[sort].parent)
        described = functools.partial(training._description, self.student, self.dataset, None, None)
        memory = state.State(self.student, self.recipe, self.path[sort], described)
        stop = training._early_stopping(self.student, self.recipe)
        epoch = memory.open()
        memory.restore(stop)
        values = [keras.ops.convert_to_numpy(variable) for variable in memory.variables()]
        return {"epoch": epoch, "history": memory.history, "weights": values, "best": [stop.best, stop.best_weights]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        store.stand_in(patch)
        store.make()
    return store


@pytest.fixture
def store(made, monkeypatch):
    """All files whole."""
    made.stand_in(monkeypatch)
    for sort, content in made.original.items():
        made.path[sort].write_bytes(content)
    return made


def same(one, other):
    """Whether two nests of dicts, lists, arrays and numbers are equal."""
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def opens_or_tells(store, sort):
    """Open a file of a sort within bounds of memory; return what is in it, or None where one clear error was raised."""
    tracemalloc.start()
    try:
        return store.open(sort)
    except (files.DamagedFile, data.DataError) as error:
        said = str(error)
        assert store.path[sort].name in said
        assert any(way in said for way in ("git checkout", "Delete it", "Remedy: ", "Run the sweep again")), said
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < PEAK[sort], f"{peak / 1e6:.0f} MB to open {len(store.original[sort]) / 1e3:.0f} kB"


def generated(cases, strategy):
    """Call a function with so many generated cases, the same in each run, and see that they were so many."""

    def run(function):
        count = 0

        def counted(case):
            nonlocal count
            count += 1
            function(case)

        settings(max_examples=cases, **GENERATED)(given(strategy)(counted))()
        assert count >= cases, f"only {count} cases"

    return run


places, chunks = st.integers(0, 1 << 40), st.binary(max_size=40)


def damage(content, case):
    """A file's bytes with one kind of damage at a place."""
    kind, place, length, chunk, flips = case
    at = place % (len(content) + 1)
    if kind == "cut":
        return content[:at]
    if kind == "flipped":
        content = bytearray(content)
        for where, bit in flips:
            content[where % len(content)] ^= 1 << bit
        return bytes(content)
    if kind == "overwritten":
        return content[:at] + chunk + content[at + len(chunk) :]
    if kind == "zeros":  # a block that the disk never wrote
        return content[:at] + bytes(length) + content[at + length :]
    if kind == "lost":
        return content[:at] + content[at + length :]
    if kind == "inserted":
        return content[:at] + chunk + content[at:]
    if kind == "longer":
        return content + chunk * length
    return chunk


KINDS = ["cut", "flipped", "overwritten", "zeros", "lost", "inserted", "longer", "other"]
damages = st.tuples(
    st.sampled_from(KINDS),
    places,
    st.integers(1, 600),
    chunks,
    st.lists(st.tuples(places, st.integers(0, 7)), min_size=1, max_size=3),
)


@every_sort
def test_any_damage_is_told_or_does_not_matter(store, sort):
    @generated(CASES, damages)
    def damaged(case):
        store.path[sort].write_bytes(damage(store.original[sort], case))
        found = opens_or_tells(store, sort)
        assert found is None or same(found, store.opened[sort])


@every_sort
def test_one_wrong_bit_anywhere_is_told_or_does_not_matter(store, sort):
    """Every byte of a text, and 400 places spread over what is packed."""
    original, draws = store.original[sort], random.Random(8)
    step = 1 if store.path[sort].suffix == ".json" else max(1, len(original) // 400)
    for at in range(0, len(original), step):
        flipped = bytearray(original)
        flipped[at] ^= 1 << draws.randrange(8)
        store.path[sort].write_bytes(flipped)
        found = opens_or_tells(store, sort)
        if isinstance(found, dict):  # a wrong letter in the name of the seal leaves a field that nobody reads
            found = {name: found[name] for name in store.opened[sort] if name in found}
        assert found is None or same(found, store.opened[sort]), f"byte {at}"


@pytest.mark.parametrize(("sort", "other"), list(itertools.permutations(SORTS, 2)))
def test_swapped_names_are_told(store, sort, other):
    store.path[sort].write_bytes(store.original[other])
    assert opens_or_tells(store, sort) is None


@every_sort
def test_folder_in_the_place_of_a_file_is_told(store, sort):
    path = store.path[sort]
    path.unlink()
    path.mkdir()
    try:
        assert opens_or_tells(store, sort) is None
    finally:
        path.rmdir()


@contextlib.contextmanager
def at_most_a_minute():
    """Fail where something would wait for ever."""

    def ring(*arguments):
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system knows no such things")
@every_sort
def test_pipe_and_device_in_the_place_of_a_file_are_told(store, sort):
    """Who opens the one waits for ever, and the other has no end."""
    path = store.path[sort]
    for put in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
        path.unlink()
        put(path)
        with at_most_a_minute():
            assert opens_or_tells(store, sort) is None
    path.unlink()


# What a `.npy` header may claim. The shapes range from right to a terabyte and beyond what an integer holds.
SHAPES = ["()", "(3,)", "(784, 16)", "(1000000000000,)", "(0, 99999999999)", f"({2**63},)", f"({2**70}, 2)", "(-1,)"]
SHAPES += ["(-784, -16)", "(True,)", "(1.5,)", "None", "3", "(1,) * 70", f"({'1, ' * 70})", "'ab'"]
DTYPES = [
    "'<f4'",
    "'>f4'",
    "'<f2'",
    "'<f8'",
    "'|i1'",
    "'<i8'",
    "'<c8'",
    "'|O'",
    "'O'",
    "'|S9'",
    "'<U3'",
    "'<U999999999'",
]
DTYPES += ["'|V8'", "'<M8[s]'", "[('a', '<f4')]", "('<f4', (1000000,))", "'f4, O'", "'no'", "7", "'<f16'"]
HEADERS = [
    "{}",
    "[1, 2]",
    "",
    "(" * 5000,
    "[" * 9000,
    "9" * 9000,
    "{'a': 1",
    "{[]: 1}",
]
HEADERS += [
    "__import__('os').abort()",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
    "\t{'descr': 1L}",
]
headers = st.one_of(
    st.builds(
        "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
        st.sampled_from(DTYPES),
        st.sampled_from(["False", "True", "2", "'no'"]),
        st.sampled_from(SHAPES),
    ),
    st.sampled_from(HEADERS),
)


def npy(header, version, claimed, body):
    """A `.npy` file of any header, which may claim another length; the body is bytes, or a number of zeros."""
    text = header.encode("latin1") + b"\n"
    body = bytes(body) if isinstance(body, int) else body
    size = struct.pack("<H" if version == (1, 0) else "<I", claimed if claimed is not None else len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + body


arrays = st.tuples(
    headers,
    st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)]),
    st.sampled_from([None, None, None, 0, 65535]),
    st.one_of(st.binary(max_size=60), st.sampled_from([12, 784 * 16 * 2, 784 * 16 * 4, 300_000])),
)
entries = st.tuples(
    st.one_of(
        st.integers(0, 20), st.sampled_from(["about", "../../evil", "v0", "b0", "", "a" * 300, "x/scale", "\u2603"])
    ),
    st.one_of(arrays, st.binary(max_size=60)),
    st.sampled_from(
        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    ),
    st.sampled_from([".npy"] * 8 + ["", ".txt"]),
)
# Sizes and flags of the first entry in the zip file's directory, as the file claims them.
claims = st.sampled_from(
    [{}] * 6 + [{24: 0}, {24: 2**31 - 1}, {24: 2**32 - 1}, {20: 2**31}, {8: 1}, {42: 2**31}, {16: 7}]
)
hostile = st.tuples(st.booleans(), st.lists(entries, min_size=1, max_size=3), claims)


def hostile_npz(original, case):
    """An `.npz` file whose checksums are right; it is the original but for some entries, or has no others."""
    keeps, changed, claimed = case
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    names = list(parts)
    parts, ways = parts if keeps else {}, {}
    for key, content, way, ending in changed:
        name = names[key % len(names)] if isinstance(key, int) else key + ending
        parts[name], ways[name] = content if isinstance(content, bytes) else npy(*content), way
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, ways.get(name))
    content = bytearray(packed.getvalue())
    for field, value in claimed.items():
        at = content.index(b"PK\x01\x02") + field
        content[at : at + 4] = struct.pack("<I", value)
    return bytes(content)


@pytest.mark.parametrize("sort", ["checkpoint", "classifier", "state"])
def test_hostile_arrays_are_told_though_their_checksums_are_right(store, sort):
    model = {"checkpoint": store.model, "classifier": store.classifier}.get(sort)

    @generated(CASES, hostile)
    def attacked(case):
        content = hostile_npz(store.original[sort], case)
        store.path[sort].write_bytes(content)
        if model is not None:
            manifest = store.path[sort].with_suffix(".json")
            about = files.read_json(manifest, "") | {"sha256": hashlib.sha256(content).hexdigest()}
            files.write_sealed(manifest, about)
            before = model.weight_arrays()
        found = opens_or_tells(store, sort)
        if found is None and model is not None:
            assert same(model.weight_arrays(), before), "all or none"
        elif model is not None:
            assert all(np.isfinite(array).all() for array in found.values())


@pytest.mark.parametrize(
    "header", ["'<f4', (-1,)", "'|S4', (3,)", "'|V4', (3,)", "'<M8[s]', (3,)", "'<c8', (3,)", "'|O', (3,)"]
)
def test_array_of_no_size_or_of_another_kind_is_told(tmp_path, header):
    """With as many bytes as it promises, so that nothing else is wrong."""
    path, (dtype, shape) = tmp_path / "some.npz", header.split(", ", 1)
    size = 3 * (4 if dtype == "'<f4'" else np.dtype(dtype.strip("'")).itemsize)
    with zipfile.ZipFile(path, "w") as archive:
        text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"
        archive.writestr("x.npy", npy(text, (1, 0), None, size))
    with pytest.raises(files.DamagedFile, match=r"some\.npz is damaged or not an \.npz file of plain arrays"):
        files.read_arrays(path, "Delete it.")


@pytest.mark.parametrize("sort", ["checkpoint", "classifier", "state"])
@pytest.mark.parametrize("promised", [None, 1000], ids=["honest", "lying"])
def test_zip_bomb_costs_no_memory(store, monkeypatch, sort, promised):
    """Sixty megabytes of zeros in sixty kilobytes; or the same, said to be one kilobyte."""
    name = "encoder/00/hidden_1/kernel" if sort == "checkpoint" else "v0"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (15000000,), }"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", npy(header, (1, 0), None, bytes(60_000_000)))
    content = bytearray(packed.getvalue())
    assert len(content) < 100_000
    if promised is not None:
        struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, promised)
    store.path[sort].write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    manifest = files.read_json(store.path["manifest"], "") | {"sha256": digest}
    monkeypatch.setattr(checkpoints, "manifest", lambda name: manifest)
    monkeypatch.setattr(classifier, "manifest", lambda: manifest)
    assert opens_or_tells(store, sort) is None


def test_zip_file_of_too_many_entries_is_told_before_they_are_listed(tmp_path):
    path, packed = tmp_path / "some.npz", io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(files._MAX_ENTRIES + 1):
            archive.writestr(f"{i}.npy", b"")
    path.write_bytes(packed.getvalue())
    with pytest.raises(files.DamagedFile, match="some.npz is damaged.*more than 10,000 entries"):
        files.read_arrays(path, "Delete it.")


@pytest.mark.parametrize("read", [files.read_arrays, files.read_json])
def test_file_of_a_terabyte_is_told_without_reading_it(tmp_path, read):
    path = tmp_path / "some.npz"
    with open(path, "wb") as file:
        try:
            file.truncate(1 << 40)  # a hole, which takes no room
        except OSError:
            pytest.skip("this disk knows no files with holes")
    monitor = tmp_path / "small.json"
    monitor.write_text("{}")
    with pytest.raises(files.DamagedFile, match="some.npz is damaged: it has more than .* bytes. Delete it."):
        read(path, "Delete it.", *([1000] if read is files.read_arrays else []))


# What a number, a text or a list in a JSON file may be replaced by, as it stands in the file.
WILD = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 5000,
    "9" * 400,
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "-1",
    "0.5",
]
WILD += [
    "[" * 40 + "]" * 40,
    "[" * 900 + "]" * 900,
    "[" * 100_000,
    '"\\ud800"',
    '"' + "x" * 100_000 + '"',
    "1" + "0" * 300 + ".5",
]
WILD += [
    '{"a":' * 500 + "1" + "}" * 500,
    "\"__import__('os').abort()\"",
    "[1,2]",
    '[{"a": 1}]',
    '{"__class__": "os.system"}',
]
MARK = "replace me"


def slots(content, path=()):
    """Paths of all parts of a nest of dicts and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(slot for key, value in items for slot in slots(value, (*path, key)))]


def hostile_json(content, case):
    """JSON text in which one part is replaced by something wild, sealed again in the way of its sort if it can be."""
    which, wild, seals = case
    path = slots(content)[which % len(slots(content))]
    if not path:
        return wild
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = MARK
    text = json.dumps(content).replace(f'"{MARK}"', wild)
    if seals:
        with contextlib.suppress(ValueError, RecursionError, AttributeError):
            parsed = json.loads(text)
            for name in {"seal", "sha256"} & set(parsed) if "trial" in content else {"seal"} & set(parsed):
                del parsed[name]
                parsed[name] = files.seal(parsed)
            text = json.dumps(parsed)
    return text


@pytest.mark.parametrize("sort", ["manifest", "classifier manifest", "result", "trial"])
def test_hostile_texts_are_told_or_are_plain_content(store, sort):
    original = json.loads(store.original[sort])

    @generated(CASES, st.tuples(places, st.sampled_from(WILD), st.booleans()))
    def attacked(case):
        store.path[sort].write_text(hostile_json(original, case), encoding="utf-8", newline="")
        found = opens_or_tells(store, sort)
        json.dumps(found)  # nothing but what JSON has words for, and no deeper than it can go


def test_sealed_files_without_sense_are_set_aside_and_the_trial_runs_again(tmp_path):
    """They fit their checksum, so that only their content is wrong."""
    inline([{"x": 3}], tmp_path, square)
    path = sweeps.folder_of({"x": 3}, tmp_path) / "result.json"
    whole = {"trial": "square", "config": {"x": 3}, "result": {"square": 9}}
    for harm in ({"config": [3]}, {"config": None}, {"result": [9]}, {"trial": 7}, {"result": "9"}, {"more": 1}):
        content = whole | harm
        files.write_json(path, {**content, "sha256": files.seal(content)})
        with pytest.warns(RuntimeWarning, match="is damaged.* set aside as result.damaged.json"):
            table = inline([{"x": 3}], tmp_path, square)
        assert table["square"].tolist() == [9]


# What is said beside the arrays of a training's state, each saying impossible with the right key.
SAYINGS = [
    lambda about: about.update(epoch=0),
    lambda about: about.update(epoch=99),
    lambda about: about.update(epoch="1"),
    lambda about: about.update(epoch=True),
    lambda about: about.pop("epoch"),
    lambda about: about.update(history=[]),
    lambda about: about["history"].update(loss=[]),
    lambda about: about["history"].update(loss="ab"),
    lambda about: about["history"].update(loss=[1.0, None]),
    lambda about: about["history"].update(extra=[1.0] * 9),
    lambda about: about.pop("stop"),
    lambda about: about.update(stop=[]),
    lambda about: about["stop"].update(wait=None),
    lambda about: about["stop"].update(stopped="no"),
    lambda about: about["stop"].update(best="low"),
]


@pytest.mark.parametrize("change", SAYINGS)
def test_state_that_contradicts_itself_is_told(store, change):
    arrays = files.read_arrays(store.path["state"], "")
    about = json.loads(str(arrays["about"]))
    change(about)
    files.write_arrays(store.path["state"], arrays | {"about": np.array(json.dumps(about))})
    with pytest.raises(files.DamagedFile, match=r"state\.npz is damaged.*Delete it to train from the beginning"):
        store.open("state")


@pytest.mark.parametrize("about", ["", "[]", "7", "null", "[" * 100_000, "9" * 5000])
def test_state_that_says_nothing_is_told(store, about):
    arrays = files.read_arrays(store.path["state"], "")
    files.write_arrays(store.path["state"], arrays | {"about": np.array(about)})
    with pytest.raises(files.DamagedFile, match=r"state\.npz .*Delete it"):
        store.open("state")


@pytest.mark.parametrize("name", ["v0", "v1", "b0"])
@pytest.mark.parametrize(
    "harm", [lambda a: a[..., :-1], lambda a: a.astype("float64"), lambda a: a.astype("<U8"), None]
)
def test_state_whose_arrays_do_not_fit_changes_nothing(store, name, harm):
    before = store.open("state")
    arrays = files.read_arrays(store.path["state"], "")
    if harm is None:
        del arrays[name]
    else:
        arrays[name] = harm(arrays[name])
    files.write_arrays(store.path["state"], arrays)
    with pytest.raises(files.DamagedFile, match=r"state\.npz is damaged: its parts do not fit"):
        store.open("state")
    assert same(
        [keras.ops.convert_to_numpy(v) for v in store.student.variables],
        before["weights"][: len(store.student.variables)],
    )


# What stands in the header of a data file, with the checksum of the file made to agree: (magic, sizes).
IDX = [(2051, (2**31, 28, 28)), (2051, (2**32 - 1,) * 3), (2051, (0, 0, 0)), (2051, (60, 28, 29)), (2049, (47040,))]
IDX += [(2051, (60, 784, 1)), (0, ()), (0x0D03, (60, 28, 28)), (2**32 - 1, (1,)), (2051, (59, 28, 28)), (2303, ())]


@pytest.mark.parametrize(("magic", "sizes"), IDX)
def test_data_file_that_promises_too_much_is_told_though_its_checksum_is_right(store, monkeypatch, magic, sizes):
    pixels = gzip.decompress(store.original["images"])[16:]
    sign_images(store, monkeypatch, struct.pack(f">I{len(sizes)}I", magic, *sizes) + pixels)
    assert opens_or_tells(store, "images") is None


def sign_images(store, monkeypatch, content, packed=None):
    """Put other training images in place, and let their published sums be those of the new file."""
    packed = gzip.compress(content, mtime=0) if packed is None else packed
    known = {"size": len(packed), "md5": hashlib.md5(packed).hexdigest()}
    signed = dataclasses.replace(store.garments.files[0], **known, content_md5=hashlib.md5(content).hexdigest())
    monkeypatch.setattr(published, "FILES", (signed, *store.garments.files[1:]))
    store.path["images"].write_bytes(packed)


def test_any_damage_to_a_data_file_is_told_though_its_checksum_is_right(store, monkeypatch):
    inside, packs = gzip.decompress(store.original["images"]), st.booleans()

    @generated(CASES, st.tuples(damages, packs))
    def damaged(case):
        case, outside = case
        content = damage(inside, case)
        sign_images(store, monkeypatch, content, damage(store.original["images"], case) if outside else None)
        found = opens_or_tells(store, "images")
        assert found is None or found["train"]["images"].shape == (50, 28, 28, 1)


# --------------------------------------------------------------------------------------------------
# Images that are none

RIGHT = np.random.default_rng(3).random((4, 28, 28, 1), dtype="float32")
WRONG = {
    "one NaN": (np.where(np.arange(4)[:, None, None, None] == 2, np.nan, RIGHT), "not finite"),
    "infinite": (np.full((4, 28, 28, 1), -np.inf), "not finite"),
    "too large for float32": (np.full((4, 28, 28, 1), 1e300), "not finite"),
    "grey levels": (np.rint(255 * RIGHT).astype("uint8"), "Divide grey levels by 255"),
    "negative": (RIGHT - 1, "expected \\[0, 1\\]"),
    "flat": (RIGHT.reshape(4, 784), "reshape"),
    "channels first": (RIGHT.transpose(0, 3, 1, 2), "expected \\(n, 28, 28, 1\\)"),
    "complex": (RIGHT.astype("complex64"), "type complex64"),
    "texts": (RIGHT.astype(str), "type <U"),
    "objects": (RIGHT.astype(object), "type object"),
    "dates": (np.zeros((4, 28, 28, 1), "datetime64[s]"), "type datetime64"),
    "a list of uneven rows": ([[1.0], [1.0, 2.0]], "uneven"),
    "nothing": (None, "type object"),
}
built = functools.cache(lambda make: make())
TAKERS = {
    "encode": lambda images: built(small_autoencoder).encode(images),
    "encode of a VAE": lambda images: built(small_vae).encode(images),
    "reconstruct": lambda images: built(small_conv_vae).reconstruct(images),
    "elbo": lambda images: metrics.elbo(built(small_vae), images),
    "log likelihood": lambda images: metrics.log_likelihood(built(small_vae), images, samples=2),
    "mutual information": lambda images: metrics.mutual_information(built(small_vae), images),
    "dead units": lambda images: metrics.dead_units(built(small_autoencoder), images),
    "entropy floor": metrics.entropy_floor,
    "binarise": metrics.binarise,
    "PCA": lambda images: baselines.PCA(images, 2),
    "widgets": lambda images: widgets.encode(built(small_vae), images),
    "classifier": lambda images: built(classifier.build).features(images),
}
every_taker = pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS.keys())


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("images", "words"), WRONG.values(), ids=WRONG.keys())
@every_taker
def test_wrong_images_are_refused_in_words_wherever_they_come_in(take, images, words):
    with pytest.raises(ValueError, match=words):
        take(images)


def views(images):
    """The same images, each time lying in memory in another way."""
    wide = np.zeros((len(images), 28, 28, 2), "float32")
    wide[..., :1] = images
    sparse = np.zeros((2 * len(images), 28, 28, 1), "float32")
    sparse[::2] = images
    backwards = images[::-1, ::-1, ::-1].copy()
    frozen = images.copy()
    frozen.flags.writeable = False
    return {
        "a channel of two": wide[..., :1],
        "every second": sparse[::2],
        "reversed": backwards[::-1, ::-1, ::-1],
        "Fortran order": np.asfortranarray(images),
        "read-only": frozen,
        "other byte order": images.astype(">f4"),
        "one image again and again": np.broadcast_to(images[:1], images.shape),
    }


def plain(result):
    return [np.asarray(part) for part in result] if isinstance(result, tuple) else [np.asarray(result)]


@pytest.mark.parametrize("name", views(RIGHT))
@pytest.mark.parametrize("taker", ["encode", "encode of a VAE", "reconstruct", "binarise", "widgets", "classifier"])
def test_images_may_lie_in_memory_as_they_like(taker, name):
    view = views(RIGHT)[name]
    assert (
        name in ("read-only", "other byte order") or not view.flags.c_contiguous or name == "one image again and again"
    )
    found, wanted = (plain(TAKERS[taker](images)) for images in (view, np.ascontiguousarray(view, "float32")))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()


def with_images(tiny, part, images):
    return dataclasses.replace(tiny, **{part: data.Split(images, np.zeros(len(images), "int64"))})


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.full((64, 28, 28, 1), np.nan, "float32"), "not finite"),
        (np.full((64, 28, 28, 1), 200, "float32"), "Divide grey levels by 255"),
        (np.full((64, 28, 28, 1), -1, "float32"), "expected \\[0, 1\\]"),
        (np.zeros((0, 28, 28, 1), "float32"), "there are no images"),
    ],
    ids=["NaN", "grey levels", "negative", "empty"],
)
@pytest.mark.parametrize("train", [training.fit, classifier.train])
def test_training_refuses_wrong_images_before_its_first_step(tiny, monkeypatch, train, part, images, words):
    monkeypatch.setattr(keras.Model, "fit", lambda *arguments, **settings: pytest.fail("it began"))
    arguments = [small_vae()] if train is training.fit else []
    with pytest.raises(ValueError, match=f"{part}: .*{words}"):
        train(*arguments, with_images(tiny, part, images), verbose=False, epochs=1)


@pytest.mark.parametrize("labels", [-1, 10])
def test_classifier_refuses_labels_of_no_class(tiny, labels):
    dataset = dataclasses.replace(tiny, train=data.Split(tiny.train.images, np.full(300, labels)))
    with pytest.raises(ValueError, match=f"train: labels run from {labels} to {labels}; expected 0 to 9"):
        classifier.train(dataset, epochs=1, verbose=False)


def test_training_on_a_view_ends_with_the_same_bits(tiny):
    one, other = small_vae(), small_vae()
    backwards = data.Split(tiny.train.images[::-1].copy()[::-1], tiny.train.labels)
    assert not backwards.images.flags.c_contiguous
    setting = {"epochs": 1, "batch_size": 64, "verbose": False}
    history = training.fit(one, tiny, **setting)
    assert_same(other, training.fit(other, dataclasses.replace(tiny, train=backwards), **setting), one, history)


# --------------------------------------------------------------------------------------------------
# Latent sizes 0 and 1, and data of one class

BUILDERS = {
    "dense_autoencoder": {"hidden": (16,)},
    "linear_autoencoder": {},
    "dense_vae": {"hidden": (16,)},
    "conv_autoencoder": {"filters": (2, 3, 4), "hidden": (5,)},
    "conv_vae": {"filters": (2, 3, 4), "hidden": (5,)},
}
every_builder = pytest.mark.parametrize("name", BUILDERS)


@every_builder
@pytest.mark.parametrize("latent_dim", [0, -1, 1.0, "2", None])
def test_code_of_no_size_is_refused(name, latent_dim):
    with pytest.raises(ValueError, match="latent_dim is .*expected a whole number from 1"):
        getattr(models, name)(latent_dim, **BUILDERS[name])


@every_builder
def test_code_of_one_number_works_from_the_first_step_to_the_sliders(tiny, drawn, name):
    model = getattr(models, name)(1, **BUILDERS[name])
    history = training.fit(model, tiny, epochs=1, verbose=False)
    assert np.isfinite(history["loss"]).all()
    images, labels = tiny.test.images, tiny.test.labels
    assert model.code(images).shape == (120, 1)
    assert model.reconstruct(images).shape == images.shape and model.sample(3, seed=1).shape == (3, 28, 28, 1)
    if model.is_variational:
        bound = metrics.elbo(model, images)
        assert bound.negative_elbo.value == pytest.approx(bound.reconstruction.value + bound.kl.value)
        assert np.isfinite(metrics.log_likelihood(model, images[:5], samples=3).value)
        assert metrics.kl_per_latent(model, images).shape == (1,) and metrics.active_units(model, images) in (0, 1)
    else:
        assert metrics.dead_units(model, images) in (0, 1)
    assert all(np.isfinite(value) for value in metrics.measure(model, tiny).values())
    codes = model.code(images)
    for sampler in (priors.FittedGaussian(codes), priors.GaussianMixture(codes, components=2)):
        assert sampler.sample(5, seed=1).shape == (5, 1)
    assert 0 <= metrics.linear_probe(codes, labels, codes, labels).value <= 1
    space = widgets.survey(model, images)
    ranges = np.stack([space.low, space.high], axis=1)
    for figure in (
        plotting.plot_traversal(model, codes[0], space.order, ranges),
        plotting.plot_interpolation(model, images[0], images[1]),
        plotting.plot_reconstruction({"it": model}, images[:4]),
        plotting.plot_generation({"it": model}, n=4),
    ):
        assert figure.axes
    sliders = widgets.latent_sliders(model, drawn)
    sliders.random()
    sliders.reset()
    assert sliders.z.shape == (1,)
    with pytest.raises(ValueError, match="a map needs latent_dim 2"):
        plotting.plot_latent_map(model, tiny.test, tiny.class_names)
    with pytest.raises(ValueError, match="a map needs two latents"):
        widgets.latent_pad(model, drawn)


@pytest.fixture(scope="module")
def trousers(tiny):
    """All images are of one class."""
    splits = {part: getattr(tiny, part) for part in ("train", "validation", "test")}
    return dataclasses.replace(tiny, **{k: data.Split(s.images, np.ones_like(s.labels)) for k, s in splits.items()})


def test_data_of_one_class_can_be_trained_measured_and_drawn(tiny, trousers):
    one, other = small_vae(), small_vae()
    setting = {"epochs": 1, "batch_size": 64, "verbose": False}
    assert_same(one, training.fit(one, trousers, **setting), other, training.fit(other, tiny, **setting))
    assert all(np.isfinite(value) for value in metrics.measure(one, trousers).values())
    assert plotting.plot_latent_map(one, trousers.test, trousers.class_names).axes
    assert plotting.plot_codes_and_prior({"it": one}, trousers.test, trousers.class_names).axes
    garment_classifier, _ = classifier.train(trousers, epochs=1, verbose=False)
    assert classifier.measure(garment_classifier, trousers)["accuracy"] == 1


@pytest.mark.parametrize("probe", [metrics.nearest_neighbours_accuracy, metrics.linear_probe])
def test_probes_of_one_class_say_why_not(trousers, probe):
    """Every answer would be right, and data without labels are of one class too."""
    codes, labels = small_vae().code(trousers.test.images), trousers.test.labels
    with pytest.raises(ValueError, match="two classes or more"):
        probe(codes, labels, codes, labels)


# --------------------------------------------------------------------------------------------------
# A kernel interrupted in a notebook's training cell

TRAINS = re.compile(r"\btraining\.fit\(")
LIVE = [path for path in sorted((course.ROOT / "notebooks").glob("*.ipynb")) if TRAINS.search(path.read_text("utf-8"))]

# Told by the first training after some steps, so that the interrupt does not come too early; it would go on for long,
# so that it does not come too late.
TELL = """
from pathlib import Path as _Path
import keras as _keras
from helpers import training as _training
class _Tell(_keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        _Path({told!r}).touch()
_fit = _training.fit
def _long(*arguments, callbacks=(), **recipe):
    _training.fit = _fit
    return _fit(*arguments, callbacks=[*callbacks, _Tell()], **recipe | {{"epochs": 500}})
_training.fit = _long
"""


def names_in(source):
    """(names that a cell binds, names that it takes from cells before)."""
    nodes = list(ast.walk(ast.parse(source)))
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    imports = [alias for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) for alias in n.names]
    bound |= {(alias.asname or alias.name).split(".")[0] for alias in imports}
    return bound, {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - bound


def needed_for_training(path):
    """Sources of the cells that a notebook's first training cell rests on, and its own."""
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    first = next(i for i, source in enumerate(sources) if TRAINS.search(source))
    needed, kept = names_in(sources[first])[1], []
    for source in reversed(sources[:first]):
        bound, read = names_in(source)
        if bound & needed or "course.begin(" in source:
            kept.insert(0, source)
            needed |= read
    return kept, sources[first]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT")
@pytest.mark.parametrize(
    "path",
    # One in each run, the others in the scheduled one: a kernel for each takes ten seconds and more.
    [pytest.param(path, marks=[] if i == 0 else [pytest.mark.nightly], id=path.stem) for i, path in enumerate(LIVE)],
)
def test_interrupted_training_cell_can_be_run_again(tmp_path, path):
    before, training_cell = needed_for_training(path)
    told = tmp_path / "training is under way"
    manager, client = start_new_kernel(cwd=str(path.parent))

    def run(source):
        return client.execute_interactive(source, timeout=600, output_hook=lambda message: None)["content"]

    try:
        for source in (*before, TELL.format(told=str(told))):
            assert run(source)["status"] == "ok", source
        reply = {}
        thread = threading.Thread(target=lambda: reply.update(run(training_cell)))
        thread.start()
        while not told.exists() and thread.is_alive():
            time.sleep(0.05)
        while thread.is_alive():  # Python ignores one that comes while it removes an object
            manager.interrupt_kernel()
            thread.join(5)
        assert reply.get("ename") == "KeyboardInterrupt", reply
        assert run(training_cell)["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
