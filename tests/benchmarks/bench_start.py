"""Import to first picture: a fresh process opens a trained VAE, decodes one code and writes a PNG."""

import os
import subprocess
import sys
import tempfile
import time

from table import Row

ROUNDS = 5  # how often each is measured, in turns; the best counts
OURS = """
import numpy as np
from helpers import checkpoints, widgets
vae = checkpoints.load("dense_vae_10")
open("first.png", "wb").write(widgets.picture_of(vae, np.zeros(10)))
"""
# A decoder saved and opened by Keras, `predict`, a figure: what most notebooks do.
USUAL = """
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt, numpy as np, tensorflow as tf
decoder = tf.keras.models.load_model("decoder.keras")
plt.imshow(decoder.predict(np.zeros((1, 10)), verbose=0)[0, :, :, 0], cmap="gray_r")
plt.savefig("first.png")
"""
SAVE = """
from helpers import checkpoints
checkpoints.load("dense_vae_10").decoder.save("decoder.keras")
"""


def rows(options):
    """One row: seconds from the start of Python."""
    with tempfile.TemporaryDirectory() as folder:
        measure(SAVE, folder)
        found = {OURS: [], USUAL: []}
        for _ in range(ROUNDS):
            for program, times in found.items():
                times.append(measure(program, folder))
        (cpu, wall), (other, other_wall) = min(found[OURS]), min(found[USUAL])
        yield Row("import to first picture / Keras' usual way", cpu, "CPU s", wall, other, other_wall)


def measure(program, folder):
    """(CPU seconds, seconds) of a process."""
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - began
