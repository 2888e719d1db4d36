"""Fixtures of all tests: the real data set where it lies on this machine, a small made-up one, empty shelves."""

import gc

import pytest
from support import tiny_dataset

from helpers import checkpoints, course, data, wardrobe
from helpers.machinery import weights


@pytest.fixture(autouse=True)
def stored_weights_count(monkeypatch):
    """A reader's COURSE_TRAIN=1 must not change what is tested."""
    monkeypatch.delenv("COURSE_TRAIN", raising=False)


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection():
    """Each training ends with a collection of garbage; it need not look through imports and what TensorFlow keeps."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def dataset():
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
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(checkpoints, "RUNS", tmp_path / "runs")
    return tmp_path / "shipped" / course.FASHION_MNIST
