"""A training in a process of its own, epoch by epoch, each epoch when it is told to.

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
    """The child's side. It answers on what was standard output; prints of libraries go to standard error."""

    def __init__(self):
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def wait(self):
        """Wait for the next turn, then start the clock."""
        if not sys.stdin.readline():
            sys.exit()  # the benchmark is gone
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self, elbo):
        """Stop the clock, which has counted the work of all threads of this process; only then ask for the ELBO.

        Args:
            elbo: function without arguments, or None where nobody wants to know.
        """
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        print(json.dumps({"cpu": cpu, "wall": wall, "elbo": elbo and elbo()}), file=self._answers)


class Kit:
    """What all ways to train have in common, read from a folder: data, order, rates, first weights.

    Attributes:
        about: dict: batch_size, epochs, seed, watch, arguments of the net, ...
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
