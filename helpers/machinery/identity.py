"""What decides an outcome, as plain data: two such descriptions are compared field by field."""

import functools
import hashlib
import inspect
import types

import numpy as np


def digest(array):
    """SHA-256 of an array's numbers, shape and type, as text.

    Args:
        array: Array of any shape.
    """
    array = np.ascontiguousarray(array)
    found = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    found.update(array.reshape(-1).view("uint8").data)
    return found.hexdigest()


def first_alike(levels):
    """For each image, the index of the first image that equals it in every pixel: its own where there is none before.

    Args:
        levels: Grey levels, uint8 (n, 28, 28) or (n, 28, 28, 1).

    Returns:
        Indices, int64 (n,).
    """
    rows = np.ascontiguousarray(levels).reshape(len(levels), 28 * 28)
    words = rows.view("uint64")  # eight pixels each
    weights = 2 * np.random.default_rng(1).integers(1 << 62, size=words.shape[1], dtype="uint64") + 1
    # Equal images have equal sums; the few others that have them too are told apart below.
    _, place, count = np.unique(words @ weights, return_inverse=True, return_counts=True)
    found, first = np.arange(len(rows)), {}
    for i in np.flatnonzero(count[place] > 1):
        found[i] = first.setdefault(rows[i].tobytes(), i)
    return found


def differences(there, here, path=()):
    """Fields in which two descriptions differ, each as a few words, the first three of them.

    Args:
        there: Dict, list or plain value that was stored.
        here: The same of today.
        path: Names that lead to it.

    Returns:
        List of texts such as "recipe.epochs is 2 there and 4 here"; empty where the two are equal.
    """
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = (dict(enumerate(side)) for side in (there, here))
    if isinstance(there, dict) and isinstance(here, dict):
        texts = []
        for name in {**there, **here}:
            longer = (*path, str(name))
            if name in there and name in here:
                texts += differences(there[name], here[name], longer)
            else:
                where = "there and missing here" if name in there else "here and missing there"
                texts.append(f"{'.'.join(longer)} is {where}")
        return texts[:3]
    return [] if there == here else [f"{'.'.join(path)} is {_short(there)} there and {_short(here)} here"]


def _short(value):
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:12]}...{text[-4:]}"


def of_function(function):
    """Describe a function by what it does: its code, and the values that its code reads beside its arguments.

    Args:
        function: A function written in Python, or a `functools.partial` of one.

    Returns:
        Dict that JSON can hold.

    Raises:
        ValueError: It is no such function, or reads a value that cannot be compared with that of another day.
    """
    return _described(function, set())


def _described(value, seen):
    if isinstance(value, functools.partial):
        parts = {"function": value.func, "arguments": list(value.args), "keywords": dict(value.keywords)}
        return {name: _described(part, seen) for name, part in parts.items()}
    if isinstance(value, types.FunctionType):
        if id(value) in seen:  # it calls itself
            return value.__qualname__
        seen = seen | {id(value)}
        known = inspect.getclosurevars(value)
        read = {**known.nonlocals, **{name: value.__globals__[name] for name in known.globals}}
        return {
            "name": value.__qualname__,
            "code": hashlib.sha256(repr(_code(value.__code__)).encode()).hexdigest(),
            "defaults": _described([value.__defaults__, value.__kwdefaults__], seen),
            "reads": {name: _described(found, seen) for name, found in sorted(read.items())},
        }
    if isinstance(value, (types.ModuleType, type, types.BuiltinFunctionType, np.ufunc)):
        return getattr(value, "__name__", repr(value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return digest(value)
    if isinstance(value, (list, tuple)):
        return [_described(item, seen) for item in value]
    if isinstance(value, dict):
        return {str(name): _described(item, seen) for name, item in value.items()}
    raise ValueError(
        f"{value!r} is a {type(value).__name__}: whether it is the same on another day cannot be told. "
        "Write a function that reads numbers, texts, arrays and other functions."
    )


def _code(code):
    """What a function does, without where it stands: its operations, constants and names."""
    constants = [_code(constant) if isinstance(constant, types.CodeType) else constant for constant in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames
