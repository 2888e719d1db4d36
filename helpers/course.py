"""Seeds, threads, quiet start, settings; the only reader of environment variables.

Settings a reader can make, all through environment variables:

====================  ==========================================================================
``FASHION_MNIST_DIR``  folder with the four original Fashion-MNIST files
``COURSE_DATA``        ``wardrobe``: use the drawn stand-in; ``fashion-mnist``: never fall back to it; ``mnist``, or
                       the path of images of your own
``COURSE_TRAIN``       ``1``: ``load_or_train`` trains every model from scratch, opens no stored one
``KERAS_BACKEND``      another Keras backend; ``tensorflow`` is the default and the tested one
``KERAS_HOME``         Keras' own folder, in whose cache the data set may lie already; ``~/.keras`` by default
====================  ==========================================================================
"""

import contextlib
import ctypes
import functools
import gc
import logging
import numbers
import os
import platform
import sys
import tempfile
import threading
from pathlib import Path


def _root():
    """Find the folder of the course: the repository, or the current folder where only the package is installed."""
    beside = Path(__file__).resolve().parent.parent
    return beside if (beside / "data" / "checkpoints").is_dir() else Path.cwd()


ROOT = _root()
DATA = ROOT / "data"
FASHION_MNIST = "fashion-mnist"  # the slug of the data set that the course's claims are about
DATA_NAMES = ("wardrobe", FASHION_MNIST, "mnist")  # what can be opened by name


@contextlib.contextmanager
def _quiet_stderr():
    """Point file descriptor 2 elsewhere, and play back what was said there if something fails.

    TensorFlow's C++ code writes to the descriptor before Python could ask it to be silent. Where standard error is
    closed, nobody listens.
    """
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as aside:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _let_streams_say_what_they_can():
    """Write "?" for a sign that a stream cannot show, such as the "·" of `begin`, instead of ending in an error."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


_let_streams_say_what_they_can()


@contextlib.contextmanager
def quietly():
    """Let TensorFlow work without a word within the block, such as an export; what it said is shown if that fails."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with _quiet_stderr():
            yield
    finally:
        logger.setLevel(level)


# Libraries read these when they are imported, so they are set before anything else. Two independent operations must
# not run side by side, else their sums arrive in any order and two runs with one seed differ in the last bits. Threads
# inside one operation do no such harm.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@functools.cache
def _glibc():
    """The GNU C library, or None on a system that has another."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None


def _keep_large_arrays_apart():
    """Let the C library ask the system for each array of 4 MB or more, and return it as soon as it is free.

    Left alone it learns to cut them out of one large piece, which then has holes and only grows.
    """
    if _glibc() is not None:
        threshold = -3  # M_MMAP_THRESHOLD, glibc's number of this option
        _glibc().mallopt(threshold, 1 << 22)


@functools.cache
def start_keras():
    """Import Keras quietly, once, and return it. `helpers.machinery.backend` calls this for all who compute with it."""
    _keep_large_arrays_apart()
    with _quiet_stderr():
        try:
            import keras
        except ImportError as error:
            raise ImportError(f"{error}. {_where_the_backend_is_named()}", name=error.name) from error
    if keras.backend.backend() == "tensorflow":
        _let_idle_threads_sleep()
    gc.freeze()  # what was imported stays, so no collection of garbage need look through it any more
    # TensorFlow counts the compilations of all models as one, and from the fifth model on warns of too many.
    logging.getLogger("tensorflow").addFilter(_not_about_retracing)
    return keras


def _where_the_backend_is_named():
    """Sentence that says who asked for a backend that is not there."""
    name = os.environ.get("KERAS_BACKEND", "")
    who = f"KERAS_BACKEND is {name!r}" if name else f"{keras_home() / 'keras.json'} may name another backend"
    return f"The course computes with Keras on TensorFlow; {who}. Set KERAS_BACKEND=tensorflow, or install the other."


def _let_idle_threads_sleep():
    """TensorFlow's threads spin for a while when they find no work, which costs a small net a tenth of its CPU time.

    There is an option, but none in Python for it to be set by, so it goes in the configuration that TensorFlow reads
    with its first operation. Where a version has no such place, threads spin on.
    """
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        from tensorflow.compat.v1 import ConfigProto
        from tensorflow.python.eager import context

        context.context()._config = ConfigProto(experimental={"disable_thread_spinning": True})


def _not_about_retracing(record):
    return "retracing" not in record.getMessage()


def begin(seed=1, threads=None, operations=None):
    """Start a notebook: seed Python, NumPy and Keras, and print versions and device.

    From then on the notebook gives back after each cell the memory that the cell no longer needs.

    Args:
        seed: Integer from 0; the same seed gives the same numbers on the same machine.
        threads: Number of threads that share one operation of TensorFlow; None takes one for each core. With 1 dense
            nets train in less time, not only with less work: their products are so small that threads would mostly wait
            for one another.
        operations: Number of TensorFlow's operations that may run at the same time; None leaves it to TensorFlow. On
            two cores, ``threads=1, operations=2`` trains a convolutional net with a little less work, though in no less
            time: two gradients side by side wait for each other less often than two threads that share one.

    Raises:
        ValueError: The argument ``threads`` or ``operations`` is not a whole number from 1.
        RuntimeError: TensorFlow has begun to compute with other numbers.
    """
    keras = start_keras()
    _use_threads(threads=threads, operations=operations)
    keras.utils.set_random_seed(seed)
    name = keras.backend.backend()
    # TensorFlow is imported by then; the backend module knows its own version.
    version = getattr(sys.modules.get(name), "__version__", "")
    print(
        f"Latent Wardrobe · Python {platform.python_version()} · Keras {keras.__version__} "
        f"on {name} {version} · {device()} · seed {seed}"
    )
    if "IPython" in sys.modules:
        _give_back_memory_after_each_cell()


def give_back_memory():
    """Return to the system the memory that is free, where the C library offers it (glibc, so on Linux).

    What a training, a picture or a table needed for a moment is kept otherwise for later use, hundreds of megabytes in
    the course of a notebook.
    """
    gc.collect()
    if _glibc() is not None:
        _glibc().malloc_trim(0)


@functools.cache
def _give_back_memory_after_each_cell():
    from IPython import get_ipython

    gc.collect()
    gc.freeze()  # the notebook's other imports
    shell = get_ipython()
    if shell is not None:
        shell.events.register("post_run_cell", lambda result: give_back_memory())


def _use_threads(**counts):
    for name, n in counts.items():
        if n is not None and (not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1):
            raise ValueError(f"{name} is {n!r}; expected a whole number from 1, or None.")
    if start_keras().backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for name, n in counts.items():
        what = {"threads": "intra_op_parallelism_threads", "operations": "inter_op_parallelism_threads"}[name]
        if n in (None, getattr(tf.config.threading, f"get_{what}")()):
            continue  # such as when the reader runs the first cell again
        try:
            getattr(tf.config.threading, f"set_{what}")(int(n))
        except RuntimeError as error:
            raise RuntimeError(
                "TensorFlow has begun to compute and keeps its threads. Restart the kernel and run this cell first."
            ) from error


_stand_in = None


def use(dataset):
    """Say which data set the notebook is about: ``dataset = course.use(data.load())``.

    The course's claims are about Fashion-MNIST. Where another data set stands in for it, figures and tables carry its
    name from here on, and a claim that fails does not stop the notebook. This is the one place where that is decided.

    Args:
        dataset: A `data.Dataset`.

    Returns:
        The same data set.
    """
    global _stand_in
    _stand_in = dataset.name if dataset.slug != FASHION_MNIST else None
    return dataset


def stand_in():
    """Return the name of the data set that stands in for Fashion-MNIST, as `use` recorded it, or None."""
    return _stand_in


def claim(statement, holds, always=False):
    """State what an experiment has shown, and stop the notebook if it has not.

    The course's claims are about Fashion-MNIST. On the drawn wardrobe one that fails is named as
    such, and the notebook goes on.

    Args:
        statement: A sentence that can be true or false.
        holds: Whether it is true, worked out from what was measured.
        always: Whether a failure stops the notebook on the stand-in too, because the statement does not depend on the
            data.

    Raises:
        AssertionError: The statement does not hold.
    """
    if holds:
        print(f"Checked: {statement}")
    elif _stand_in and not always:
        print(f"Not so on {_stand_in}; the claim is about Fashion-MNIST: {statement}")
    else:
        raise AssertionError(f"This run does not support the claim: {statement}")


def device():
    """Name the device that will do the work, for people: ``"CPU, 2 cores"`` or ``"GPU"``."""
    return "GPU" if _has_gpu() else f"CPU, {cores()} cores"


def fast_precision():
    """The ``precision`` in which this computer trains a large net fastest, for `models.conv_vae` and the like.

    Returns:
        The text "mixed_bfloat16" where the processor is known to multiply matrices in bfloat16 (Linux says so for x86),
        which halves the work; else "float32". Without such instructions bfloat16 is many times slower.
    """
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text("utf-8").split()
        if {"avx512_bf16", "amx_bf16"} & set(flags):
            return "mixed_bfloat16"
    return "float32"


def _has_gpu():
    # keras.distribution lists devices on TensorFlow and JAX only; other backends are not tested.
    with contextlib.suppress(NotImplementedError, AttributeError, ValueError, RuntimeError):  # JAX's, without a GPU
        return bool(start_keras().distribution.list_devices("gpu"))
    return False


def cores():
    """Number of processor cores this process may use, as an int."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_environment = threading.Lock()


@contextlib.contextmanager
def threads_of_children(n):
    """Let processes that are started within the block compute with ``n`` threads each.

    They inherit environment variables, and the libraries read those once, when they are imported.
    What the reader has set stays.

    Args:
        n: Number of threads, an int of at least 1.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    with _environment:
        added = [name for name in names if name not in os.environ]
        os.environ.update(dict.fromkeys(added, str(n)))
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def in_notebook():
    """True inside a Jupyter kernel, where output is rich; False in a terminal or a test."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def path_of(path):
    """A path that a reader wrote, as a Path: "~" is the home, and quotes around the whole are no part of it.

    Args:
        path: Text or Path.
    """
    text = os.fspath(path)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return Path(os.path.expanduser(text))  # unlike pathlib's, never fails for want of a home


def data_directory():
    """Folder named by ``FASHION_MNIST_DIR`` as a Path, or None where it is not set.

    A relative one is looked for in the current folder, which for a notebook is its own, and then in that of the course.
    """
    value = os.environ.get("FASHION_MNIST_DIR", "").strip()
    return _here_or_in_the_course(path_of(value)) if value else None


def _here_or_in_the_course(path):
    return ROOT / path if not path.is_absolute() and not os.path.exists(path) else path


def data_choice():
    """Data set named by ``COURSE_DATA``: a name of `DATA_NAMES`, the Path of images, or None where it is not set.

    Raises:
        ValueError: It is neither a name nor a path where something lies.
    """
    value = os.environ.get("COURSE_DATA", "").strip()
    if value in ("", *DATA_NAMES):
        return value or None
    path = _here_or_in_the_course(path_of(value))
    if not os.path.exists(path):
        names = ", ".join(DATA_NAMES)
        raise ValueError(f"COURSE_DATA is {value!r}; set it to {names}, or the path of your images, or not at all.")
    return path


def keras_home():
    """Keras' cache folder as a Path: ``KERAS_HOME`` or ``~/.keras``."""
    value = os.environ.get("KERAS_HOME", "").strip()
    return path_of(value or "~/.keras")


def train_from_scratch():
    """True where ``COURSE_TRAIN=1`` asks to train every model instead of opening stored weights."""
    value = os.environ.get("COURSE_TRAIN", "").strip()
    if value not in ("", "0", "1"):
        raise ValueError(f"COURSE_TRAIN is {value!r}; set it to 1 (train everything) or 0 (open stored weights).")
    return value == "1"
