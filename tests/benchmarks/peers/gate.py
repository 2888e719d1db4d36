"""A training in a process of its own, a few steps at a time, each time when it is told to.

So several ways to train take turns on one computer, and none shares threads or memory with another. Nothing but
the standard library and NumPy is needed here: PyTorch may live in an environment of its own.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

_BATCH = 500


class Gate:
    """The child's side. It answers on what was standard output; prints of libraries go to standard error.

    Args:
        kit: a `Kit`.
        elbo: function without arguments, the negative ELBO on the test images. May be set later.
    """

    def __init__(self, kit, elbo=None):
        self.kit, self.elbo = kit, elbo
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def open(self, epoch):
        """Before an epoch, counted from 0: wait for a turn."""
        self._epoch, self._begun = epoch, 0
        self._wait()

    def passed(self, done):
        """So many steps of the epoch are done. Where a turn is over, answer, and wait for the next one.

        The clock counts the work of all threads of this process, and stands while the ELBO is measured.
        """
        whole = self.kit.steps
        turns = min(self.kit.about["turns"], whole)
        if done * turns // whole == self._begun * turns // whole:
            return
        answer = {"cpu": time.process_time() - self._cpu, "wall": time.perf_counter() - self._wall}
        answer |= {"steps": done - self._begun, "epoch_over": done == whole, "elbo": None}
        if done == whole and self.kit.watched(self._epoch):
            answer["elbo"] = self.elbo()
        print(json.dumps(answer), file=self._answers)
        self._begun = done
        if done < whole:
            self._wait()

    def _wait(self):
        if not sys.stdin.readline():
            sys.exit()  # the benchmark is gone
        self._cpu, self._wall = time.process_time(), time.perf_counter()


class Kit:
    """What all ways to train have in common, read from a folder: data, order, rates, first weights.

    Attributes:
        about: dict: batch_size, epochs, turns (of an epoch), seed, watch, arguments of the net, ...
        images, test: float32 (n, 28, 28, 1).
        rates: learning rate of each step, float32.
        weights: first weights by name and in the order of the course's models, and a probe: a code with its logits.
    """

    def __init__(self, folder):
        folder = Path(folder)
        self.about = json.loads((folder / "about.json").read_text())
        self.images, self.test = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "test"))
        self.rates = np.load(folder / "rates.npy")
        with np.load(folder / "weights.npz", allow_pickle=False) as weights:
            self.weights = dict(weights)

    @property
    def epochs(self):
        return self.about["epochs"]

    @property
    def steps(self):
        """Of an epoch."""
        return -(-len(self.images) // self.about["batch_size"])

    def watched(self, epoch):
        """Whether the test ELBO is asked for after an epoch, counted from 0."""
        return self.about["watch"] or epoch == self.epochs - 1

    def orders(self, epoch):
        """The images' order in an epoch, cut into batches: the course's own."""
        order = np.random.default_rng([self.about["seed"], epoch]).permutation(len(self.images))
        size = self.about["batch_size"]
        return [order[i : i + size] for i in range(0, len(order), size)]


def negative_elbo(images, encode, decode):
    """Negative ELBO at beta = 1 in nats per image, one code an image, the same noise for everybody.

    Args:
        images: (n, 28, 28, 1).
        encode: images to (z_mean, z_log_var), NumPy.
        decode: z to logits, NumPy, any shape with the batch first.

    Returns:
        float.
    """
    noise, total = np.random.default_rng(1), 0.0
    for i in range(0, len(images), _BATCH):
        x = np.array(images[i : i + _BATCH])
        z_mean, z_log_var = encode(x)
        z = z_mean + np.exp(z_log_var / 2) * noise.standard_normal(z_mean.shape).astype("float32")
        logits, x = decode(z).reshape(len(x), -1), x.reshape(len(x), -1)
        total += np.sum(np.logaddexp(0, logits) - x * logits, dtype="float64")
        total += 0.5 * np.sum(np.square(z_mean) + np.exp(z_log_var) - 1 - z_log_var, dtype="float64")
    return total / len(images)
