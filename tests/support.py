"""What several tests build on: small models, a made-up data set, a fresh Python.

A fresh Python that a test has started in this folder can import it too.
"""

import dataclasses
import os
import subprocess
import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from helpers import checkpoints, course, data, models
from helpers.dataset import CLASS_NAMES
from helpers.machinery.backend import keras


def smooth_images(n, seed):
    """Random images without sharp edges, float32 (n, 28, 28, 1) from 0 to 1."""
    noise = np.random.default_rng(seed).standard_normal((n, 28, 28))
    smooth = gaussian_filter(noise, sigma=(0, 4, 4))
    return (1 / (1 + np.exp(-20 * smooth)))[..., None].astype("float32")


def tiny_dataset(train=300, validation=520, test=120):
    """A data set of smooth images. Neither 300 nor 520 is a multiple of the batch sizes in use."""
    splits = {
        part: data.Split(smooth_images(n, seed), np.arange(n) % 10)
        for seed, (part, n) in enumerate({"train": train, "validation": validation, "test": test}.items())
    }
    return data.Dataset(name="Tiny", slug="tiny", class_names=CLASS_NAMES, source="a formula", **splits)


def small_vae(likelihood="bernoulli", **changes):
    """A VAE of 2 latents that trains in a second or two."""
    return models.dense_vae(**{"latent_dim": 2, "hidden": (16,), "likelihood": likelihood, **changes})


def small_conv_vae(**changes):
    """A convolutional VAE of 2 latents with few channels."""
    return models.conv_vae(**{"latent_dim": 2, "filters": (4, 6, 8), "hidden": (16,), **changes})


def small_autoencoder(**changes):
    """An autoencoder of 2 codes that trains in a second or two."""
    return models.dense_autoencoder(**{"latent_dim": 2, "hidden": (16,), **changes})


def shelve(model, name, folder, history=None, numbers=None):
    """Put a model on a shelf as if it had been trained on `tiny_dataset` under the folder's name."""
    dataset = dataclasses.replace(tiny_dataset(), slug=folder.name)
    checkpoints.store(model, name, history or {}, dataset, numbers, folder)


def fresh_python(code, *arguments):
    """Run code in a new Python in this folder, without the settings that this one made for itself."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ["PYTHONPATH"] = str(course.ROOT)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=course.ROOT / "tests",
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A layer of a reader's own."""

    def call(self, x):
        return 2 * x


def own_parts():
    """An autoencoder of parts that no function of the course makes; the same first weights each time."""
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(3, 3, 2),
            keras.layers.Flatten(),
            Doubled(),
            keras.layers.Dense(2),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.layers.Dense(784, kernel_regularizer="l2"),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Activation("sigmoid", name="x_hat"),
        ]
    )
    return models.Autoencoder(encoder, decoder, reconstruction="bernoulli")


# Every kind of model that the course builds, and one of parts of a reader's own.
KINDS = {
    "dense_autoencoder": lambda: models.dense_autoencoder(3, (16,), "tanh", "relu", reconstruction="bernoulli"),
    "linear_autoencoder": lambda: models.linear_autoencoder(3),
    **{
        f"dense_vae {likelihood}": lambda likelihood=likelihood: models.dense_vae(
            3, (16,), likelihood=likelihood, beta=0.3, sigma=0.2, seed=4
        )
        for likelihood in models.LIKELIHOODS
    },
    "conv_autoencoder": lambda: models.conv_autoencoder(3, (2, 3, 4), (5,)),
    "conv_vae": lambda: models.conv_vae(3, (2, 3, 4), (5,), blocks=2),
    "conv_vae mixed": lambda: models.conv_vae(3, (2, 3, 4), (5,), precision="mixed_bfloat16"),
    "dense_vae mixed": lambda: models.dense_vae(3, (16,), precision="mixed_bfloat16"),
    "own parts": own_parts,
}
