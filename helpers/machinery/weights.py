"""Weights on disk: two files for each model, its numbers and its manifest, written together and read all or none.

Matrices are stored in half precision, or as eight-bit whole numbers with one scale per column; vectors stay float32.
"""

import hashlib
import math
import platform
import tempfile
from pathlib import Path

import numpy as np

from helpers import course
from helpers.machinery import files
from helpers.machinery.backend import keras

SHIPPED = course.DATA / "checkpoints"  # a folder for each data set


def store(model, path, about, bits):
    """Write the two files of a model: its weights, rounded, and its manifest. The model itself stays as it is.

    Args:
        model: Any object with ``weight_arrays`` and ``weight_variables``.
        path: Path of the weights; the manifest lies beside them.
        about: The manifest as a dict; versions and the SHA-256 of the weights are added.
        bits: Number of bits, 16 or 8, as for `round_weights`.

    Raises:
        files.DamagedFile: A weight is not finite, or too large for half precision; nothing is written.
        files.UnwritableFile: The files cannot be written.
    """
    arrays = _packed(model.weight_arrays(), bits)
    _check(model, _unpacked(arrays), f"{path.name}: what was to be stored", "")
    packed = files.packed_arrays(arrays)
    about = {**about, "versions": versions(), "sha256": hashlib.sha256(packed).hexdigest()}
    # The manifest comes last: where it lies, the weights are there too.
    files.write_together({path: packed, path.with_suffix(".json"): files.json_bytes(files.sealed(about))})


def versions():
    """What a model was stored with, as a dict."""
    return {"python": platform.python_version(), "keras": keras.__version__, "backend": keras.backend.backend()}


def write_keras(model, file):
    """Write a whole model in Keras' format.

    Args:
        model: A Keras model.
        file: Open binary file. Keras itself names files by their suffix, which a part written aside does not have.

    Raises:
        NotImplementedError: A layer has no ``get_config``.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)  # else its empty state is missed as the file is opened
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        file.write(path.read_bytes())


def round_weights(model, bits=16):
    """Round a model's matrices in place, as `save` stores them.

    Args:
        model: A model of the course.
        bits: 16 for half precision; 8 for whole numbers from -127 to 127 times one scale per column (last axis).
    """
    assign(model, _unpacked(_packed(model.weight_arrays(), bits)), "the model itself")


_SCALE = "/scale"  # of the scales beside eight-bit numbers


def _packed(arrays, bits):
    """Arrays as they are stored. Vectors and scalars stay float32: they are too small to be worth a rounding."""
    packed = {}
    for key, array in arrays.items():
        if array.ndim < 2:
            packed[key] = array.astype("float32")
        elif bits == 16:
            packed[key] = array.astype("float16")
        else:
            # A scale of few binary digits: times 127 it is exact, so that to pack twice changes nothing.
            digits, exponent = np.frexp(np.abs(array).max(axis=tuple(range(array.ndim - 1))) / 127)
            scale = np.where(digits > 0, np.ldexp(np.ceil(digits * 4096) / 4096, exponent), 1).astype("float32")
            packed |= {key: np.rint(array / scale).astype("int8"), key + _SCALE: scale}
    return packed


def _unpacked(packed):
    """float32 arrays from stored ones; what is neither packed so nor a float is left for `assign` to refuse."""
    arrays = {}
    for key, array in packed.items():
        scale = packed.get(key + _SCALE, np.zeros(0))
        with np.errstate(over="ignore", invalid="ignore"):  # `assign` refuses what becomes infinite
            if (array.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, array.shape[-1:]):
                array = array * scale
            if not key.endswith(_SCALE):
                arrays[key] = array.astype("float32") if array.dtype.kind == "f" else array
    return arrays


def read_manifest(path, configuration, remedy):
    """Read the manifest of a model.

    Args:
        path: Path of the manifest.
        configuration: What the code says of the model, a dict; the manifest must say the same.
        remedy: Sentence for the error that says what the reader should do.

    Returns:
        The manifest as a dict.

    Raises:
        files.DamagedFile: The manifest is damaged, or describes another model.
        FileNotFoundError: There is no such file.
    """
    about = files.read_json(path, remedy)
    if not isinstance(about, dict) or about.get("configuration") != configuration:
        raise files.DamagedFile(f"{path.name} describes another model than the code builds. {remedy}")
    return about


def restore(model, path, about, remedy):
    """Put the stored weights that a manifest describes into a model, all or none.

    Args:
        model: The model as its plan builds it.
        path: Path of the weights.
        about: The manifest as a dict.
        remedy: Sentence for the error that says what the reader should do.

    Raises:
        files.DamagedFile: The weights are missing or damaged, or are not those of the manifest.
    """
    if not path.exists():
        raise files.DamagedFile(f"{path.name} is missing beside its manifest. {remedy}")
    # float32 is the widest form in which numbers are stored; the rest is for names and packing.
    max_bytes = (1 << 20) + 4 * sum(math.prod(variable.shape) for variable in model.weight_variables().values())
    content = files.read_bytes(path, remedy, max_bytes)
    if hashlib.sha256(content).hexdigest() != about.get("sha256"):
        raise files.DamagedFile(f"{path.name} is not the file its manifest describes (SHA-256 differs). {remedy}")
    assign(model, _unpacked(files.arrays_in(content, path.name, remedy, max_bytes)), path.name, remedy)


def assign(model, arrays, source, remedy=""):
    """Put stored arrays into a model, all or none.

    Args:
        model: The model as its plan builds it.
        arrays: Dict of arrays as `weight_arrays` returns it.
        source: Name of the file, for the error.
        remedy: Sentence for the error that says what the reader should do.

    Raises:
        files.DamagedFile: Names, shapes or values do not fit.
    """
    _check(model, arrays, source, remedy)
    for key, variable in model.weight_variables().items():
        variable.assign(arrays[key])


def _check(model, arrays, source, remedy):
    """Raise DamagedFile unless arrays have the names and shapes of a model's weights, and finite values."""
    variables = model.weight_variables()
    if set(arrays) != set(variables):
        raise files.DamagedFile(f"{source} holds other layers than the model. {remedy}")
    for key, variable in variables.items():
        array = arrays[key]
        if array.shape != tuple(variable.shape) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise files.DamagedFile(f"{source}: {key} does not fit the model (shape {array.shape}). {remedy}")
