"""How much faster two local workers finish a sweep than one.

Eight small trainings. A worker alone may use all cores, two share them. The time of a sweep is all of it: starting
the processes, importing Keras in each, reading the data, training, measuring.
"""

import tempfile
import time

from table import Row

from helpers import data, sweeps

ROUNDS = 2  # how often each is measured, in turns; the best counts
LEAST = 1 / 0.65  # two workers must not take more than 0.65 of one worker's time


def configs(slug, epochs=12):
    """Eight small trainings that differ in size of the code and seed."""
    base = {
        "model": "dense_vae",
        "arguments": {"hidden": [128, 64]},
        "recipe": {"epochs": epochs},
        "data": {"slug": slug, "train": 20_000, "validation": 2_000},
    }
    return sweeps.grid(base, {"arguments.latent_dim": [2, 5, 10, 20], "seed": [1, 2]})


def measure(trials, workers):
    """Wall seconds of a sweep from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        table = sweeps.run(trials, folder=folder, workers=workers, verbose=False)
        seconds = time.monotonic() - began
    assert (table["status"] == "done").all(), table["error"].tolist()
    return seconds


def rows(options):
    """One row: two workers, and beside it one."""
    trials = configs(data.load(verbose=False).slug)
    seconds = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, found in seconds.items():
            found.append(measure(trials, workers))
    yield Row(f"a sweep of {len(trials)}: two workers / one", min(seconds[2]), "s", other=min(seconds[1]), least=LEAST)
