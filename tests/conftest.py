"""Data for the tests: the real set where it lies on this machine, and a small made-up one.

This file can also be imported by a fresh Python that a test has started in this folder.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers import checkpoints, course, data, models, wardrobe


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
    return data.Dataset(name="Tiny", slug="tiny", class_names=data.CLASS_NAMES, source="a formula", **splits)


def small_vae(likelihood="bernoulli", **changes):
    """A VAE of 2 latents that trains in a second or two."""
    return models.dense_vae(**{"latent_dim": 2, "hidden": (16,), "likelihood": likelihood, **changes})


def small_conv_vae(**changes):
    """A convolutional VAE of 2 latents with few channels."""
    return models.conv_vae(**{"latent_dim": 2, "filters": (4, 6, 8), "hidden": (16,), **changes})


def small_autoencoder(**changes):
    """An autoencoder of 2 codes that trains in a second or two."""
    return models.dense_autoencoder(**{"latent_dim": 2, "hidden": (16,), **changes})


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


@pytest.fixture(autouse=True)
def stored_weights_count(monkeypatch):
    """A reader's COURSE_TRAIN=1 must not change what is tested."""
    monkeypatch.delenv("COURSE_TRAIN", raising=False)


@pytest.fixture(scope="session")
def wear():
    """Fashion-MNIST itself; what no one has is not downloaded for a test."""
    place = data.find(verbose=False)
    if place is None:
        pytest.skip("the real data are absent: FASHION_MNIST_DIR is not set and there is no data/fashion-mnist/")
    return data.load(place.directory, verbose=False)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The drawn wardrobe with its whole test split and hardly any other images."""
    sizes = {"train": 10, "validation": 10, "test": 10_000}
    return wardrobe.load(verbose=False, sizes=sizes, directory=tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def tiny():
    """A made-up data set: 300 training, 520 validation and 120 test images."""
    return tiny_dataset()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Toy plans, and empty folders in the place of the shipped weights and of the reader's own.

    Returns:
        The folder of what is shipped for the data set of the course.
    """
    sizes, recipe = {"latent_dim": 2, "hidden": [16]}, {"epochs": 1, "batch_size": 100}
    plans = {
        "toy_ae": checkpoints.Plan("a toy autoencoder", "dense_autoencoder", sizes, recipe),
        "toy_vae": checkpoints.Plan("a toy VAE", "dense_vae", sizes, recipe),
        "toy_conv_vae": checkpoints.Plan(
            "a toy with convolutions",
            "conv_vae",
            {"latent_dim": 2, "filters": [2, 3, 4], "hidden": [5]},
            recipe,
            bits=8,
        ),
    }
    monkeypatch.setattr(checkpoints, "PLANS", plans)
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(checkpoints, "RUNS", tmp_path / "runs")
    return tmp_path / "shipped" / checkpoints.DEFAULT
