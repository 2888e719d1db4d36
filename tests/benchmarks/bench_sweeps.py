"""How much faster two local workers finish a sweep than one: `python tests/benchmarks/bench_sweeps.py`.

Eight small trainings. A worker alone may use all cores, two share them. The time of a sweep is all of it: starting
the processes, importing Keras in each, reading the data, training, measuring. Run it on an idle machine with two
cores; "cpu" tells how many cores the benchmark had on average, so a busy machine shows.
"""

import argparse
import os
import tempfile
import time

from helpers import course, data, sweeps

LIMIT = 0.65


def configs(slug, epochs):
    """Eight small trainings that differ in size of the code and seed."""
    base = {
        "model": "dense_vae",
        "arguments": {"hidden": [128, 64]},
        "recipe": {"epochs": epochs},
        "data": {"slug": slug, "train": 20_000, "validation": 2_000},
    }
    return sweeps.grid(base, {"arguments.latent_dim": [2, 5, 10, 20], "seed": [1, 2]})


def measure(trials, workers):
    """Wall seconds of a sweep from nothing, and CPU seconds of its processes."""
    with tempfile.TemporaryDirectory() as folder:
        began, before = time.monotonic(), os.times()
        table = sweeps.run(trials, folder=folder, workers=workers, verbose=False)
        seconds, after = time.monotonic() - began, os.times()
    assert (table["status"] == "done").all(), table["error"].tolist()
    return seconds, sum(after[2:4]) - sum(before[2:4])


def main():
    """Print the seconds of each round and the ratio of the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured, in turns; the best counts")
    parser.add_argument("--epochs", type=int, default=12)
    chosen = parser.parse_args()
    trials = configs(data.load().slug, chosen.epochs)
    print(f"{len(trials)} trials of {chosen.epochs} epochs, {course.cores()} cores")
    best = {}
    for _ in range(chosen.rounds):
        for workers in (1, 2):
            seconds, cpu = measure(trials, workers)
            print(f"{workers} worker{'s' * (workers > 1)}: {seconds:6.1f} s, cpu {cpu / seconds:.2f} cores", flush=True)
            best[workers] = min(seconds, best.get(workers, seconds))
    ratio = best[2] / best[1]
    print(f"two workers / one worker: {ratio:.2f} (at most {LIMIT} asked: {'met' if ratio <= LIMIT else 'missed'})")


if __name__ == "__main__":
    main()
