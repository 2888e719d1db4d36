"""Keras on JAX and on PyTorch: shipped models, measures, trainings and sliders work there too (a scheduled test)."""

import importlib.util
import json
import os

import pytest
from support import fresh_python

WORK = """
import json, sys
import numpy as np
from support import small_conv_vae, small_vae, small_autoencoder, smooth_images, tiny_dataset
from helpers import checkpoints, classifier, course, metrics, training, widgets
course.begin()
images, found = smooth_images(60, seed=1), {}
for name in ("dense_ae_18", "dense_vae_10", "conv_vae_2"):
    model = checkpoints.load(name)
    found[name] = [model.code(images).tolist(), model.reconstruct(images)[:5].tolist()]
    if model.is_variational:
        found[f"{name} ELBO"] = metrics.elbo_per_image(model, images, seed=1)[0].tolist()
found["classifier"] = classifier.load().features(images).tolist()
found["slider"] = len(widgets.picture_of(checkpoints.load("dense_vae_10"), np.zeros(10)))
dataset = tiny_dataset()
model = small_autoencoder()
found["training"] = training.fit(model, dataset, epochs=2, batch_size=100, verbose=False)
for model in (small_vae("optimal_gaussian"), small_conv_vae()):
    history = training.fit(model, dataset, epochs=2, batch_size=100, verbose=False, patience=1, state=sys.argv[1])
    assert np.isfinite(history["loss"]).all() and len(history["val_kl"]) == 2
    import os; os.remove(sys.argv[1])
model.fit(images, epochs=1, verbose=0)
model.evaluate(images, verbose=0)
checkpoints.RUNS = __import__("pathlib").Path(sys.argv[1]).parent
checkpoints.save(model, "mine")
assert np.array_equal(checkpoints.load("mine").reconstruct(images), model.reconstruct(images))
print(json.dumps(found))
"""


def work(backend, folder):
    """What the course computes on a backend: numbers by name."""
    os.environ["KERAS_BACKEND"] = backend
    try:
        done = fresh_python(WORK, folder / f"{backend}.npz")
    finally:
        del os.environ["KERAS_BACKEND"]
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.nightly
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_course_works_on_another_backend(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: python -m pip install {backend}")
    usual, other = work("tensorflow", tmp_path), work(backend, tmp_path)
    assert usual.keys() == other.keys()
    for name, values in usual.items():
        if name == "slider":
            assert abs(other[name] - values) < 40, "bytes of one picture"
        elif name == "training":
            for part, numbers in values.items():
                assert other[name][part] == pytest.approx(numbers, rel=0.02), f"{part}: its own first weights"
        else:
            for one, another in zip(flat(values), flat(other[name]), strict=True):
                assert another == pytest.approx(one, rel=1e-4, abs=1e-4), name


def flat(values):
    """Numbers of nested lists."""
    return [number for value in values for number in flat(value)] if isinstance(values, list) else [values]
