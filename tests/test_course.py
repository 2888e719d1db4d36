"""Start, settings and the order of floors."""

import ast
import json
import os
import random
import subprocess
import sys
import types
from concurrent import futures
from pathlib import Path

import keras
import numpy as np
import pytest
from support import fresh_python

from helpers import course

SOURCES = sorted((course.ROOT / "helpers").rglob("*.py"))
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(course.ROOT / "helpers")))


@every_source
def test_environment_variables_are_read_in_course_only(path):
    names = {
        node.attr if isinstance(node, ast.Attribute) else node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Attribute, ast.alias))
    }
    assert bool(names & {"environ", "getenv", "putenv"}) == (path.stem == "course")


@pytest.mark.parametrize("name", ["data", "wardrobe", "plotting", "priors", "baselines", "seeds", "machinery.files"])
def test_what_needs_no_tensorflow_does_not_import_it(name):
    done = fresh_python(f"import sys, helpers.{name}; print('tensorflow' in sys.modules, 'keras' in sys.modules)")
    assert (done.returncode, done.stdout.split()) == (0, ["False", "False"]), done.stderr


def test_import_works_where_standard_error_is_closed(tmp_path):
    code = "import os, sys; os.close(2); sys.stderr = None; from helpers import models; print(models.dense_vae().name)"
    done = fresh_python(code)
    assert (done.returncode, done.stdout.split()) == (0, ["vae"])


def test_begin_seeds_all_three_generators_and_names_the_versions(capsys):
    def draws(seed):
        course.begin(seed)
        numpy_draw = np.random.random()  # noqa: NPY002  the old generator is what is seeded
        return random.random(), numpy_draw, float(keras.random.normal((), seed=keras.random.SeedGenerator()))

    first = draws(3)
    assert draws(3) == first
    assert all(a != b for a, b in zip(draws(4), first, strict=True))
    printed = capsys.readouterr().out
    for part in (sys.version.split()[0], keras.__version__, "tensorflow", "CPU", "seed 3"):
        assert part in printed or (part == "CPU" and "GPU" in printed)


THREADS = """
import tensorflow as tf
import numpy as np
from helpers import course
course.begin(threads=1, operations=3)
course.begin(threads=np.int64(1), operations=3)
a = tf.random.normal((2000, 2000))
float(tf.reduce_sum(a @ a))
for other in ({"threads": 2}, {"operations": 2}):
    try:
        course.begin(**other)
    except RuntimeError as error:
        counts = tf.config.threading
        print(counts.get_intra_op_parallelism_threads(), counts.get_inter_op_parallelism_threads(), error)
"""


def test_begin_takes_so_many_threads_and_says_when_it_is_too_late():
    done = fresh_python(THREADS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 3 TensorFlow has begun to compute") == 2


@pytest.mark.parametrize("name", ["threads", "operations"])
@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True])
def test_begin_refuses_what_is_no_number_of_threads(name, number):
    with pytest.raises(ValueError, match=f"{name} is .*whole number from 1"):
        course.begin(**{name: number})


def test_claim_states_what_holds_and_stops_at_what_does_not(capsys):
    course.claim("water is wet", True)
    assert "water is wet" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="snow is black"):
        course.claim("snow is black", False)


def test_on_the_stand_in_only_claims_about_the_data_may_fail(capsys, monkeypatch):
    monkeypatch.setattr(course, "_stand_in", "drawings")
    course.claim("snow is black", False)
    assert capsys.readouterr().out == "Not so on drawings; the claim is about Fashion-MNIST: snow is black\n"
    with pytest.raises(AssertionError, match="one is two"):
        course.claim("one is two", False, always=True)


@pytest.mark.parametrize("value, path", [(None, None), ("", None), (" ", None), ("/x/y", Path("/x/y"))])
def test_data_directory(monkeypatch, value, path):
    if value is None:
        monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    else:
        monkeypatch.setenv("FASHION_MNIST_DIR", value)
    assert course.data_directory() == path


def test_home_sign_is_understood(monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", "~/dataset")
    assert course.data_directory() == Path.home() / "dataset"


def test_keras_home(monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "/k")
    assert course.keras_home() == Path("/k")
    monkeypatch.delenv("KERAS_HOME")
    assert course.keras_home() == Path.home() / ".keras"


@pytest.mark.parametrize("value, answer", [("1", True), ("0", False), ("", False)])
def test_train_from_scratch(monkeypatch, value, answer):
    monkeypatch.setenv("COURSE_TRAIN", value)
    assert course.train_from_scratch() is answer


def test_train_from_scratch_refuses_other_words(monkeypatch):
    monkeypatch.setenv("COURSE_TRAIN", "yes")
    with pytest.raises(ValueError, match="COURSE_TRAIN is 'yes'; set it to 1"):
        course.train_from_scratch()


def test_this_is_not_a_notebook():
    assert not course.in_notebook()
    assert course.cores() >= 1


def test_what_was_said_while_quiet_is_played_back_on_failure(capfd):
    with course._quiet_stderr():
        os.write(2, b"chatter")
    with pytest.raises(RuntimeError), course._quiet_stderr():
        os.write(2, b"the cause")
        raise RuntimeError
    assert capfd.readouterr().err == "the cause"


def test_import_is_quiet_and_leaves_one_thread_between_operations():
    code = "import helpers.models, tensorflow; print(tensorflow.config.threading.get_inter_op_parallelism_threads())"
    done = fresh_python(f"import os; {code}; print(os.environ['TF_NUM_INTEROP_THREADS'])")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-1] == "1"


# --------------------------------------------------------------------------------------------------
# Memory

HOLES = """
from pathlib import Path
from helpers import course

def resident():  # pages of memory that this process holds
    return int(Path("/proc/self/statm").read_text().split()[1])

course._keep_large_arrays_apart()
blocks = [bytearray(1_000_000) for _ in range(200)]
full = resident()
del blocks[:-1]  # the last one stands behind the hole
course.give_back_memory()
print(full - resident())
"""


@pytest.mark.skipif(course._glibc() is None, reason="only glibc gives memory back")
def test_memory_goes_back_to_the_system():
    done = fresh_python(HOLES)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * os.sysconf("SC_PAGE_SIZE") > 150e6


def test_a_notebook_gives_memory_back_after_each_cell(monkeypatch):
    IPython = pytest.importorskip("IPython")
    handlers, asked = {}, []
    events = types.SimpleNamespace(register=lambda name, handler: handlers.update({name: handler}))
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(events=events))
    monkeypatch.setattr(course.gc, "freeze", lambda: None)
    monkeypatch.setattr(course, "give_back_memory", lambda: asked.append(True))
    course._give_back_memory_after_each_cell.__wrapped__()
    handlers["post_run_cell"](None)
    assert asked == [True]


def test_signs_that_an_output_cannot_show_become_question_marks():
    code = "from helpers import course; course.begin()"
    command = [sys.executable, "-c", code]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(course.ROOT)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Latent Wardrobe ? Python 3.")


@pytest.mark.parametrize("said_by", ["keras.json", "KERAS_BACKEND"])
def test_backend_that_is_not_there_is_told_with_who_asked_for_it(tmp_path, said_by):
    environ = {**os.environ, "PYTHONPATH": str(course.ROOT), "KERAS_HOME": str(tmp_path)}
    environ.pop("KERAS_BACKEND", None)
    if said_by == "keras.json":
        (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    else:
        environ["KERAS_BACKEND"] = "jax"
    command = [sys.executable, "-c", "import helpers.models"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode
    last = done.stderr.strip().splitlines()[-1]
    assert said_by in last and "Set KERAS_BACKEND=tensorflow" in last


GLOBALS = """
import sys, json
import keras
config = json.loads(sys.argv[1])
if "floatx" in config:
    keras.config.set_floatx(config["floatx"])
if "image_data_format" in config:
    keras.config.set_image_data_format(config["image_data_format"])
if "policy" in config:
    keras.config.set_dtype_policy(config["policy"])
import numpy as np
from support import small_conv_vae, small_vae, smooth_images, tiny_dataset
from helpers import checkpoints, classifier, metrics, training
images = smooth_images(60, seed=1)
found = {}
for name in ("dense_ae_18", "conv_vae_2"):
    model = checkpoints.load(name)
    found[name] = [float(x.sum(dtype="float64")) for x in (model.code(images), model.reconstruct(images))]
found["classifier"] = float(np.abs(classifier.load().features(images)).sum(dtype="float64"))
for model in (small_vae("continuous_bernoulli"), small_conv_vae(likelihood="optimal_gaussian")):
    found[model.name + model.likelihood] = training.fit(model, tiny_dataset(), epochs=1, verbose=False)
model = small_vae()
model.compile(keras.optimizers.SGD(1e-4))
found["fit"] = model.fit(images, epochs=2, shuffle=False, verbose=0).history
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "setting",
    [
        {"image_data_format": "channels_first", "floatx": "float64"},
        pytest.param({"floatx": "float16"}, marks=pytest.mark.nightly),
        pytest.param({"policy": "mixed_bfloat16"}, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_readers_keras_json_changes_nothing(setting):
    """Models, measures and trainings take their own types and formats, whatever Keras is set to."""
    with futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda setting: fresh_python(GLOBALS, json.dumps(setting)), [{}, setting]))
    assert [each.returncode for each in done] == [0, 0], done[0].stderr + done[1].stderr
    usual, found = (json.loads(each.stdout) for each in done)
    for name, values in usual.items():
        if isinstance(values, dict):
            for part, numbers in values.items():
                assert found[name][part] == pytest.approx(numbers, rel=1e-4, abs=1e-3), (name, part)
        else:
            assert found[name] == pytest.approx(values, rel=1e-5), name
