"""Trials for test_sweeps.py, in a module of their own so that a new process can import them."""

import os
import signal
import time

from support import tiny_dataset

from helpers import sweeps
from helpers.machinery import files

CONFIGS = [{"x": x} for x in range(1, 7)]
SLOW = [{"x": x, "pause": 0.25} for x in range(1, 9)]
LOG = "log.txt"  # beside the trials' folders: a line for each beginning and each end


def note(state, word, x):
    with open(state.parents[1] / LOG, "a") as log:
        log.write(f"{word} {x} {os.getpid()}\n")


def square(config, state, midway=None):
    """A trial that takes no time, or ``pause`` seconds."""
    note(state, "begin", config["x"])
    if midway:
        midway(state)
    time.sleep(config.get("pause", 0))
    note(state, "end", config["x"])
    return {"square": config["x"] ** 2}


def square_or_raise(config, state):
    """`square`, but it raises at x = 3 as long as there is a file named "trap" beside the trials' folders."""
    if config["x"] == 3 and (state.parents[1] / "trap").exists():
        raise LookupError("three is\nnot allowed")
    return square(config, state)


class Odd(Exception):
    """An exception that can be pickled, but not made again from its pickle."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def odd(config, state):
    """A trial that raises `Odd`."""
    raise Odd("one", "three")


def square_or_die(config, state):
    """`square`, but the first process to come to x = 3 kills itself."""
    return square(config, state, _die_once if config["x"] == 3 else None)


def tiny_training(config, state):
    """`sweeps.train_and_measure` on a tiny data set; with seed 2 the first process dies after an epoch."""
    sweeps._dataset = lambda slug: tiny_dataset()
    write = files.write_arrays

    def write_and_die(path, arrays):
        write(path, arrays)
        _die_once(state)

    files.write_arrays = write_and_die if config["seed"] == 2 else write
    try:
        return sweeps.train_and_measure(config, state)
    finally:
        files.write_arrays = write


def _die_once(state):
    died = state.parents[1] / "died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
