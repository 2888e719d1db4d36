"""How the cost of training grows with the number of images and with the size of the code.

The exponent is the slope in a double logarithmic plot: 1 where twice as much costs twice as much, 0 where it costs
nothing more. What counts is the median after the first epoch; all sizes take turns.
"""

import tempfile
from pathlib import Path

import numpy as np
import race
from table import Row

IMAGES = [55_000 // 8, 55_000 // 4, 55_000 // 2, 55_000]
LATENTS = {"dense_vae_10": ([2, 8, 32, 128], 12_800), "conv_vae_32": ([2, 16, 128], 1_920)}
EPOCHS = 4


def rows(options):
    """A row for each size, then the exponent."""
    yield from measure("images of dense_vae_10", {n: ("dense_vae_10", n, {}) for n in IMAGES}, options)
    for name, (sizes, images) in LATENTS.items():
        kits = {size: (name, images, {"arguments": {"latent_dim": size}}) for size in sizes}
        yield from measure(f"latents of {name}", kits, options)


def measure(what, kits, options):
    """Train one net at several sizes."""
    with tempfile.TemporaryDirectory() as folder:
        runners = {}
        for size, (name, images, changes) in kits.items():
            kit = race.kit(Path(folder, str(size)), name, images, EPOCHS, **changes)
            runners[size] = race.ours(kit, options.threads)
        results = race.run(runners)
    for size, result in results.items():
        yield Row(f"an epoch, {size:,} {what}", result.epoch[0], "CPU s", result.epoch[1])
    slope = np.polyfit(np.log(list(results)), np.log([result.epoch[0] for result in results.values()]), 1)[0]
    yield Row(f"exponent, {what}", float(slope), "")
