"""The share of this computer's matrix products that training reaches.

Operations of a training are counted from the layers' shapes: two for each multiply-add, once forward and twice
backward (towards the weights and towards the input), less the input of the first layer, which needs no gradient.
Activations, losses and Adam are work too, but count nothing here, so that the share of a small net is small.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bench_training
import race
from table import Row

from helpers import checkpoints, models

# net: images an epoch, epochs
NETS = {"dense_vae_10": (25_600, 5), "conv_vae_32": (6_400, 4)}


def rows(options):
    """The peak, and the share of it for each net."""
    peak = {}
    for dtype in ("float32", "bfloat16"):
        peak[dtype] = matmul(dtype, options.threads)
        yield Row(f"matrix product, {dtype}", peak[dtype] / 1e9, "GF/CPU s")
    for name, (images, epochs) in NETS.items():
        needed = operations(checkpoints.plan(name).build()) * images
        with tempfile.TemporaryDirectory() as folder:
            kit = race.kit(Path(folder, "kit"), name, images, epochs)
            runners = {
                precision: race.ours(kit, options.threads, precision) for precision in bench_training.precisions()
            }
            results = race.run(runners)
        for precision, result in results.items():
            reached = needed / result.epoch[0]
            dtype = precision.removeprefix("mixed_")
            yield Row(f"{name}, {precision}", reached / 1e9, "GF/CPU s")
            yield Row(f"{name}, {precision}: share of the product's", 100 * reached / peak[dtype], "%")


def matmul(dtype, threads):
    """Operations per CPU second."""
    variables = {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, race.PEERS / "matmul.py", dtype]
    return float(subprocess.run(command, env=os.environ | variables, capture_output=True, check=True).stdout)


def operations(model):
    """Floating-point operations that training needs for one image."""
    encoder, decoder = models.stages(model.encoder), models.stages(model.decoder)
    first = next(row["multiply_adds"] for row in encoder if row["multiply_adds"])
    return 2 * (3 * sum(row["multiply_adds"] for row in encoder + decoder) - first)
