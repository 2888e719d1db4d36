"""The recipe: what is logged, in which order images come, when it stops, and that it can be interrupted."""

import dataclasses
import functools
import hashlib
import io
import itertools
import re
import signal
import sys
import threading

import keras
import numpy as np
import pytest
from support import KINDS, fresh_python, small_autoencoder, small_vae

from helpers import baselines, classifier, course, data, metrics, models, training
from helpers.machinery import files, interrupts, progress

QUICK = {"batch_size": 64, "learning_rate": 5e-3, "verbose": False}
PARTS = ("train", "validation")
STILL = {"batch_size": 64, "learning_rate": 1e-12, "schedule": "constant", "verbose": False}


def weights(model):
    return np.concatenate([array.ravel() for array in model.weight_arrays().values()])


def assert_same(model, history, other, other_history):
    """Bit for bit, with no allowance."""
    np.testing.assert_array_equal(weights(model), weights(other))
    assert history == other_history


class Script(keras.callbacks.Callback):
    """Put given values into the logs in the place of those measured, and keep each epoch's weights."""

    def __init__(self, **columns):
        super().__init__()
        self.columns, self.weights = columns, []

    def on_epoch_end(self, epoch, logs=None):
        logs |= {name: float(values[epoch]) for name, values in self.columns.items()}
        self.weights.append(weights(self.model))


class Interrupt(keras.callbacks.Callback):
    """Raise in the middle of an epoch, counted from 0."""

    def __init__(self, epoch):
        super().__init__()
        self.when, self.now = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, step, logs=None):
        if self.now == self.when:
            raise KeyboardInterrupt


# --------------------------------------------------------------------------------------------------
# What is logged


@pytest.fixture(scope="module", params=models.LIKELIHOODS)
def trained(request, tiny):
    """A VAE of each likelihood after a training with KL warm-up, and its history."""
    vae = small_vae(request.param, beta=2.0)
    return vae, training.fit(vae, tiny, epochs=6, kl_warmup_epochs=4, **QUICK)


def test_every_likelihood_learns(trained):
    _, history = trained
    for name in ("reconstruction", "val_reconstruction"):
        assert history[name][-1] < history[name][0]
        assert np.isfinite(history[name]).all()


@pytest.mark.parametrize("prefix", ["", "val_"])
def test_logged_total_is_the_sum_of_its_logged_parts_in_each_epoch(trained, prefix):
    _, history = trained
    reconstruction, kl, loss, bound = (
        np.array(history[prefix + name]) for name in ("reconstruction", "kl", "loss", "negative_elbo")
    )
    assert (kl > 0).all()
    np.testing.assert_allclose(loss, reconstruction + np.array(history["beta"]) * kl, rtol=1e-5)
    np.testing.assert_allclose(bound, reconstruction + kl, rtol=1e-5)


def test_beta_rises_in_equal_steps_not_from_zero_to_the_models_own(trained):
    vae, history = trained
    np.testing.assert_allclose(history["beta"], 2 * np.array([0.05, 0.2875, 0.525, 0.7625, 1, 1]), rtol=1e-5)
    assert float(vae.beta) == 2.0


def test_every_column_of_the_history_has_one_float_an_epoch(trained):
    _, history = trained
    assert set(history) == {
        prefix + name for prefix in ("", "val_") for name in ("loss", "reconstruction", "kl", "negative_elbo")
    } | {"beta"}
    for values in history.values():
        assert [type(value) for value in values] == [float] * 6


def test_logged_validation_kl_is_the_average_over_the_whole_set(trained, tiny):
    vae, history = trained
    mean, log_var = (part.astype("float64") for part in vae.encode(tiny.validation.images))
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    assert history["val_kl"][-1] == pytest.approx(kl.mean(), rel=1e-5)
    assert abs(np.mean([kl[:500].mean(), kl[500:].mean()]) / kl.mean() - 1) > 1e-4, "a mean of batches would differ"


def test_logged_validation_error_is_the_average_over_the_whole_set(tiny):
    model = small_autoencoder()
    history = training.fit(model, tiny, epochs=2, **QUICK)
    squares = np.square(tiny.validation.images - model.reconstruct(tiny.validation.images), dtype="float64")
    assert history["val_mse"][-1] == pytest.approx(squares.mean(), rel=1e-5)
    assert history["val_loss"][-1] == pytest.approx(784 * squares.mean(), rel=1e-5)
    assert set(history) == {"loss", "mse", "val_loss", "val_mse"}


def test_logged_training_error_is_the_average_over_the_epoch_not_the_last_batch(tiny):
    model = small_autoencoder()
    history = training.fit(model, tiny, epochs=1, **STILL)  # so slow that the weights stand still
    squares = np.square(tiny.train.images - model.reconstruct(tiny.train.images)).mean(axis=(1, 2, 3))
    assert history["mse"] == [pytest.approx(squares.mean(), rel=1e-5)]
    order = np.random.default_rng([1, 0]).permutation(300)
    batches = [squares[order[i : i + 64]].mean() for i in range(0, 300, 64)]
    assert abs(batches[-1] / squares.mean() - 1) > 1e-3
    assert abs(np.mean(batches) / squares.mean() - 1) > 1e-4, "batches of unlike size must not count alike"


def test_linear_autoencoder_comes_near_pca(tiny):
    """Images of five stripes, each with a grey of its own; two codes can keep two of them."""
    generator = np.random.default_rng(4)
    images = np.zeros((200, 28, 28, 1), "float32")
    for stripe, brightest in enumerate([1, 0.9, 0.3, 0.2, 0.1]):
        images[:, 5 * stripe : 5 * stripe + 5] = generator.uniform(0, brightest, (200, 1, 1, 1))
    toy = dataclasses.replace(tiny, train=data.Split(images, np.zeros(200, "int64")))
    model = models.linear_autoencoder(2)
    training.fit(model, toy, epochs=40, batch_size=20, learning_rate=1e-2, verbose=False)
    best = metrics.mse(images, baselines.PCA(images, 2).reconstruct(images)).value
    assert best <= metrics.mse(images, model.reconstruct(images)).value <= 1.03 * best


# --------------------------------------------------------------------------------------------------
# Recipe and order


@pytest.mark.parametrize(
    "change, words",
    [
        ({"schedule": "step"}, "choose 'cosine' or 'constant'"),
        ({"epochs": 0}, "epochs is 0; expected a whole number from 1"),
        ({"epochs": 2.0}, "epochs is 2.0; expected a whole number"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number from 1"),
        ({"batch_size": "many"}, "batch_size is 'many'"),
        ({"learning_rate": 0}, "positive"),
        ({"learning_rate": -1e-3}, "learning_rate is -0.001; expected a number from 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"warmup_epochs": float("inf")}, "warmup_epochs is inf"),
        ({"kl_start": -1}, "kl_start is -1"),
        ({"kl_warmup_epochs": 1.5}, "kl_warmup_epochs is 1.5; expected a whole number from 0"),
        ({"patience": -1}, "patience is -1"),
        ({"seed": None}, "seed is None; expected a whole number"),
        ({"optimizer": keras.optimizers.Adam()}, "optimizer is a Adam; give the name of one"),
    ],
)
def test_wrong_recipe_is_refused_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        training.Recipe(**change)


def test_misspelt_field_is_refused(tiny):
    with pytest.raises(ValueError, match="no argument 'epoch'; did you mean epochs?"):
        training.fit(small_autoencoder(), tiny, epoch=3)


def test_cosine_rises_then_falls_to_a_hundredth():
    rate = training.Recipe(epochs=10, learning_rate=2e-3, warmup_epochs=1).rate(steps_per_epoch=100)
    values = np.array([float(rate(step)) for step in range(0, 1001, 10)])
    assert values[[0, 5, 10, -1]] == pytest.approx([1e-4, 1.05e-3, 2e-3, 2e-5], rel=1e-3)
    assert (np.diff(values[:11]) > 0).all() and (np.diff(values[10:]) < 0).all()
    assert values[55] == pytest.approx((2e-3 + 2e-5) / 2, rel=1e-2), "half-way down, half the rate"


@pytest.mark.parametrize(
    "recipe, first",
    [
        ({"schedule": "constant"}, 2e-3),
        ({"warmup_epochs": 0}, 2e-3),
        ({"warmup_epochs": 0.5}, 1e-4),
        ({"warmup_epochs": 99, "epochs": 2}, 1e-4),
    ],
)
def test_rate_of_the_first_step(recipe, first):
    rate = training.Recipe(learning_rate=2e-3, **recipe).rate(10)
    assert float(rate(0) if callable(rate) else rate) == pytest.approx(first)


def test_optimizer_has_the_named_kind_and_the_recipes_rate(tiny):
    model, seen = small_autoencoder(), []
    look = keras.callbacks.LambdaCallback(on_train_end=lambda logs: seen.append(model.optimizer))
    recipe = {"epochs": 1, "optimizer": "sgd", "batch_size": 100, "learning_rate": 0.125}
    training.fit(model, tiny, callbacks=[look], verbose=False, **recipe)
    assert isinstance(seen[0], keras.optimizers.SGD)
    assert int(seen[0].iterations) == 3
    assert float(seen[0].learning_rate) == pytest.approx(0.00125), "all the way down the cosine"


def test_afterwards_keras_own_fit_goes_on_learning(tiny):
    """Left compiled with a schedule at its end, the model would take steps of a hundredth."""
    model = small_autoencoder()
    training.fit(model, tiny, epochs=1, optimizer="sgd", batch_size=100, learning_rate=0.125, verbose=False)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.125
    assert not int(model.optimizer.iterations)


def test_afterwards_the_model_is_compiled_as_its_reader_had_compiled_it(tiny):
    model, optimizer = small_vae(), keras.optimizers.SGD(1e-4)
    model.compile(optimizer, metrics=["mae"])
    history = training.fit(model, tiny, epochs=1, verbose=False)
    assert "mae" not in history, "the metrics of one compile are not those of another"
    assert model.optimizer is optimizer
    assert "mae" in model.evaluate(tiny.test.images, return_dict=True, verbose=0)


@pytest.mark.parametrize("exception", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_training_leaves_nothing_behind_either(tiny, exception):
    def stop(*arguments):
        raise exception

    model = small_vae(beta=2.0)
    with pytest.raises(exception):
        training.fit(
            model,
            tiny,
            epochs=2,
            kl_warmup_epochs=2,
            verbose=False,
            callbacks=keras.callbacks.LambdaCallback(on_epoch_end=stop),
        )
    assert float(model.beta) == 2.0 and not model.pixels_are_checked
    assert float(model.optimizer.learning_rate) == pytest.approx(2e-3)


@pytest.mark.parametrize(
    "callback", [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)]
)
def test_callbacks_that_set_the_rate_need_a_constant_schedule(tiny, callback):
    model = small_autoencoder()
    with pytest.raises(ValueError, match=f"{type(callback).__name__} sets the learning rate.*schedule='constant'"):
        training.fit(model, tiny, callbacks=[callback], verbose=False, epochs=1)
    training.fit(model, tiny, callbacks=[callback], verbose=False, epochs=1, schedule="constant")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"model": keras.Sequential([keras.layers.Dense(1)])}, "model is a Sequential; expected a models.Autoencoder"),
        ({"dataset": "fashion-mnist"}, "dataset is a str; expected a data.Dataset, such as data.load"),
        ({"callbacks": ["early"]}, "callbacks holds a str"),
        ({"transform": 3}, "transform is a int"),
        ({"targets": "clean"}, "targets is a str; expected a data.Dataset"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused_in_words(tiny, change, words):
    with pytest.raises(ValueError, match=words):
        training.fit(**{"model": small_autoencoder(), "dataset": tiny, **change}, epochs=1, verbose=False)


def test_a_warm_up_of_the_kl_is_refused_where_there_is_none(tiny):
    with pytest.raises(ValueError, match="kl_warmup_epochs is for a VAE"):
        training.fit(small_autoencoder(), tiny, epochs=2, kl_warmup_epochs=1)


def test_a_split_is_no_data_set(tiny):
    with pytest.raises(ValueError, match="dataset is a Split; expected a data.Dataset"):
        training.fit(small_autoencoder(), tiny.train, epochs=1)


# --------------------------------------------------------------------------------------------------
# Targets and transforms


def darker(images, generator):
    return images * generator.uniform(0.5, 1, (len(images), 1, 1, 1)).astype("float32")


def noisy(images, generator):
    return images + generator.normal(0, 0.5, images.shape).astype("float32")


def seen_batches(monkeypatch, **arguments):
    """Batches that a model is trained on: lists of (images, targets or None)."""
    seen, model = [], small_autoencoder()
    compute = model.compute_loss

    def spy(x, y, y_pred, sample_weight, training):
        if training:
            seen.append((x.numpy(), None if y is None else y.numpy()))
        return compute(x, y, y_pred, sample_weight, training)

    monkeypatch.setattr(model, "compute_loss", spy)
    compile_model = model.compile
    monkeypatch.setattr(
        model, "compile", lambda *a, **k: compile_model(*a, **{**k, "run_eagerly": True, "steps_per_execution": 1})
    )
    training.fit(model, verbose=False, **arguments)
    return seen


def test_augmented_images_are_their_own_targets_and_new_in_each_epoch(tiny, monkeypatch):
    seen = seen_batches(monkeypatch, dataset=tiny, transform=darker, epochs=2, batch_size=100)
    assert len(seen) == 6 and all(target is None for _, target in seen)
    brightness = {round(float(x.mean()), 6) for x, _ in seen}
    assert len(brightness) == 6
    order = training.Batches(tiny.train, 100, 1).order(1)[:100]
    wanted = darker(tiny.train.take(order), np.random.default_rng((1, 1, 0)))
    np.testing.assert_array_equal(seen[3][0], wanted)


def test_targets_are_those_of_their_images(tiny, monkeypatch):
    seen = seen_batches(monkeypatch, dataset=tiny, targets=tiny, transform=noisy, epochs=1, batch_size=100)
    rows = training.Batches(tiny.train, 100, 1).order(0)
    for i, (x, y) in enumerate(seen):
        clean = tiny.train.take(rows[100 * i : 100 * i + 100])
        np.testing.assert_array_equal(y, clean)
        assert 0.4 < (x - clean).std() < 0.6


def test_targets_without_a_transform_come_from_another_data_set(tiny, monkeypatch):
    other = dataclasses.replace(
        tiny, **{part: data.Split(1 - getattr(tiny, part).images, getattr(tiny, part).labels) for part in PARTS}
    )
    for x, y in seen_batches(monkeypatch, dataset=tiny, targets=other, epochs=1, batch_size=100):
        np.testing.assert_allclose(x, 1 - y, atol=1e-6)


def test_a_denoising_autoencoder_learns_to_denoise(tiny):
    """It comes nearer to the clean images than the noisy ones are, and is watched on the same task."""
    model = small_autoencoder(latent_dim=8, hidden=(64,))
    history = training.fit(model, tiny, targets=tiny, transform=noisy, epochs=25, batch_size=50, verbose=False)
    images = tiny.test.images
    changed = noisy(images, np.random.default_rng(5))
    restored = model.predict(changed, verbose=0)["x_hat"]
    assert np.square(restored - images).mean() < 0.4 * np.square(np.clip(changed, 0, 1) - images).mean()
    assert history["val_mse"][-1] == pytest.approx(np.square(restored - images).mean(), rel=0.3)


def test_validation_images_stay_as_they_are_where_images_are_augmented(tiny):
    model = small_autoencoder()
    history = training.fit(model, tiny, transform=darker, epochs=1, verbose=False)
    wanted = metrics.mse(tiny.validation.images, model.reconstruct(tiny.validation.images)).value
    assert history["val_mse"][-1] == pytest.approx(wanted, rel=1e-4)


def wider(images, generator):
    return np.repeat(images, 2, axis=1)


def brighter(images, generator):
    return images + 1


def undefined(images, generator):
    return images * np.nan


def by_chance(images, generator):
    return images * np.random.default_rng().random()


@pytest.mark.parametrize(
    "transform, words",
    [
        (wider, r"transform: it gives \(128, 56, 28, 1\) for images \(128, 28, 28, 1\)"),
        (brighter, r"transform: images run from .* expected \[0, 1\]"),
        (undefined, "transform: images hold values that are not finite"),
        (by_chance, "called twice with equal generators it gives different images"),
    ],
)
def test_transform_that_gives_something_else_is_refused_before_the_training(tiny, transform, words):
    with pytest.raises(ValueError, match=words):
        training.fit(small_autoencoder(), tiny, transform=transform, epochs=1, verbose=False)


def test_targets_of_another_number_are_refused(tiny):
    with pytest.raises(ValueError, match="targets.train has 200 images; expected one for each of the 300 images"):
        training.fit(small_autoencoder(), tiny, targets=tiny.head(train=200), epochs=1, verbose=False)


def test_denoising_resumes_with_the_same_bits(tiny, tmp_path):
    setting = {"targets": tiny, "transform": noisy, "epochs": 3, **QUICK}
    whole, cut, again = small_vae(), small_vae(), small_vae()
    history = training.fit(whole, tiny, **setting)
    with pytest.raises(KeyboardInterrupt):
        training.fit(cut, tiny, state=tmp_path / "state.npz", callbacks=[Interrupt(1)], **setting)
    assert_same(again, training.fit(again, tiny, state=tmp_path / "state.npz", **setting), whole, history)


def numbered(n):
    """n images, each filled with its own number."""
    return np.arange(n, dtype="float32").repeat(784).reshape(n, 28, 28, 1)


def order_of(batches, epoch):
    """Numbers of the images of an epoch, batch after batch."""
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    return [batches[step][0][:, 0, 0, 0].astype(int).tolist() for step in steps]


def test_fit_gets_the_same_batches_in_the_same_order():
    batches = training.Batches(numbered(50), 16, seed=1, first_epoch=2)
    steps = 2 * batches.steps_per_epoch + 1
    given = [np.array(part) for (part,) in itertools.islice(batches.for_fit(), steps)]
    for index, part in enumerate(given):
        np.testing.assert_array_equal(part, batches[index][0])


def test_each_epoch_shows_every_image_once():
    batches = training.Batches(numbered(50), 16, seed=1)
    for epoch in range(3):
        parts = order_of(batches, epoch)
        assert [len(part) for part in parts] == [16, 16, 16, 2]
        assert sorted(sum(parts, [])) == list(range(50))


def test_order_depends_on_seed_and_epoch_alone():
    batches = training.Batches(numbered(50), 16, seed=1)
    orders = [order_of(batches, epoch) for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert order_of(batches, 1) == orders[1], "looking back changes nothing"
    assert order_of(training.Batches(numbered(50), 16, seed=1, first_epoch=2), 0) == orders[2]
    assert order_of(training.Batches(numbered(50), 16, seed=2), 0) != orders[0]


# --------------------------------------------------------------------------------------------------
# Repeatability

FIT = """
import hashlib, sys
from support import KINDS, small_vae, tiny_dataset
from helpers import training
model = small_vae(seed=int(sys.argv[1]))
training.fit(model, tiny_dataset(), epochs=2, batch_size=64, kl_warmup_epochs=1, verbose=False)
digest = hashlib.sha256(b"".join(array.tobytes() for array in model.weight_arrays().values()))
print(digest.hexdigest())
"""


def test_same_seed_gives_the_same_bits_in_a_fresh_process(tiny):
    run = fresh_python(FIT, 1)
    assert (run.returncode, run.stderr) == (0, "")
    model, other = small_vae(seed=1), small_vae(seed=2)
    for each in (model, other):
        training.fit(each, tiny, epochs=2, batch_size=64, kl_warmup_epochs=1, verbose=False)
    here, there = (
        hashlib.sha256(b"".join(array.tobytes() for array in each.weight_arrays().values())).hexdigest()
        for each in (model, other)
    )
    assert run.stdout == here + "\n"
    assert here != there


def test_seed_of_the_order_changes_the_outcome(tiny):
    one, other = small_autoencoder(), small_autoencoder()
    training.fit(one, tiny, epochs=1, seed=1, **QUICK)
    training.fit(other, tiny, epochs=1, seed=2, **QUICK)
    assert not np.array_equal(weights(one), weights(other))


# --------------------------------------------------------------------------------------------------
# Interruption

LONG = {"epochs": 5, "kl_warmup_epochs": 3, "patience": 4, **QUICK}


@pytest.fixture(scope="module")
def uninterrupted(tiny):
    vae = small_vae()
    return vae, training.fit(vae, tiny, **LONG)


@pytest.mark.parametrize("epoch", [1, 4], ids=["in the warm-up", "after it"])
def test_resumed_training_ends_as_if_nothing_had_happened(tiny, tmp_path, uninterrupted, epoch):
    state, vae = tmp_path / "state.npz", small_vae()
    with pytest.raises(KeyboardInterrupt):
        training.fit(vae, tiny, state=state, callbacks=[Interrupt(epoch)], **LONG)
    assert float(vae.beta) == 1.0, "an interrupted warm-up leaves the model's own beta"
    again = small_vae()
    assert_same(again, training.fit(again, tiny, state=state, **LONG), *uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_state_of_a_finished_training_gives_its_outcome_again(tiny, tmp_path):
    state, first, again = tmp_path / "state.npz", small_autoencoder(), small_autoencoder()
    history = training.fit(first, tiny, state=state, epochs=2, **QUICK)
    assert_same(again, training.fit(again, tiny, state=state, epochs=2, **QUICK), first, history)


def test_state_of_an_early_stopped_training_gives_its_outcome_again(tiny, tmp_path):
    state, first, again = tmp_path / "state.npz", small_autoencoder(), small_autoencoder()
    setting = {"state": state, "epochs": 6, "patience": 1, **QUICK}
    script = Script(val_loss=[3, 2, 4, 1, 1, 1])
    history = training.fit(first, tiny, callbacks=[script], **setting)
    assert history["val_loss"] == [3, 2, 4]
    assert_same(again, training.fit(again, tiny, **setting), first, history)
    np.testing.assert_array_equal(weights(again), script.weights[1])


def test_resumed_early_stopping_waits_on_from_where_it_was(tiny, tmp_path):
    state, setting = tmp_path / "state.npz", {"epochs": 8, "patience": 2, **QUICK}

    def script():
        return Script(val_loss=[3, 2, 4, 4, 1, 1, 1, 1])

    whole, stopped = small_autoencoder(), small_autoencoder()
    history = training.fit(whole, tiny, callbacks=[script()], **setting)
    assert history["val_loss"] == [3, 2, 4, 4], "two epochs without a better one than the second"
    with pytest.raises(KeyboardInterrupt):
        training.fit(stopped, tiny, state=state, callbacks=[script(), Interrupt(3)], **setting)
    again = small_autoencoder()
    assert_same(again, training.fit(again, tiny, state=state, callbacks=[script()], **setting), whole, history)


def inverted(split):
    return data.Split(1 - split.images, split.labels)


GAIN = 1.0


def scaled(images, generator, gain=1.0):
    return images * np.float32(gain * GAIN)


def shaded(images, generator):
    return images * np.float32(0.9)


# All that decides the outcome of a training, one field at a time: what is changed, and the field that the error names.
IDENTITY = {
    **{
        f"recipe.{name}": {"recipe": {name: value}}
        for name, value in {
            "epochs": 9,
            "batch_size": 50,
            "optimizer": "sgd",
            "learning_rate": 1e-3,
            "schedule": "constant",
            "warmup_epochs": 0.5,
            "kl_warmup_epochs": 1,
            "kl_start": 0.5,
            "patience": 3,
            "seed": 2,
        }.items()
    },
    "model.likelihood": {"model": {"likelihood": "gaussian"}},
    "model.sigma": {"model": {"sigma": 0.1}},
    "model.beta": {"model": {"beta": 100.0}},
    "model.seed": {"model": {"seed": 2}, "fields": "first weights|model"},
    "model.encoder.activation": {"model": {"activation": "tanh"}, "fields": "activation"},
    "model.encoder.units": {"model": {"hidden": (8,)}, "fields": "model.*units|model.*shape|first weights"},
    "model.kind": {"build": small_autoencoder, "fields": "model"},
    "model.trainable": {"freeze": True, "fields": "trainable"},
    "data.train": {"data": lambda tiny: tiny.head(train=200)},
    "data.validation": {"data": lambda tiny: tiny.head(validation=500)},
    "data.images.train": {"data": lambda tiny: dataclasses.replace(tiny, train=inverted(tiny.train))},
    "data.images.validation": {"data": lambda tiny: dataclasses.replace(tiny, validation=inverted(tiny.validation))},
    "data.targets.train": {"targets": lambda tiny: dataclasses.replace(tiny, train=inverted(tiny.train))},
    "data.transform.name": {"transform": shaded, "fields": "data.transform"},
    "data.transform.keywords.gain": {"transform": functools.partial(scaled, gain=0.5)},
    "data.transform.function.reads.GAIN": {"gain": 0.5},
    "first weights": {"shift": 0.125},
    "versions.keras": {"keras": "3.0.0"},
}


def test_names_that_keras_counts_up_do_not_make_another_training(tiny, tmp_path):
    """A cell that builds a model of a reader's own is run again: its layers then have other names."""
    state, build = tmp_path / "state.npz", KINDS["own parts"]
    first, again = build(), build()
    assert first.encoder.name != again.encoder.name
    training.fit(first, tiny, epochs=1, state=state, **QUICK)
    training.fit(again, tiny, epochs=1, state=state, **QUICK)
    np.testing.assert_array_equal(weights(again), weights(first))


@pytest.mark.parametrize("layers", [3, [16, 8], [{"config": 5}], [{"name": ["a"]}]])
def test_a_state_may_be_kept_of_layers_that_use_words_of_keras(tiny, tmp_path, layers):
    """A block of a reader's own calls its sizes "layers"; a state of other sizes is refused with the field's name."""

    class Block(keras.layers.Layer):
        sizes = layers

        def call(self, x):
            return x

        def get_config(self):
            return {**super().get_config(), "layers": self.sizes}

    def build():
        x = keras.Input((28, 28, 1), name="x")
        encoder = keras.Model(x, keras.layers.Dense(2)(Block(name="block")(keras.layers.Flatten()(x))))
        return models.Autoencoder(encoder, models.dense_decoder(2, (4,)))

    state = tmp_path / "state.npz"
    training.fit(build(), tiny, epochs=1, state=state, **QUICK)
    Block.sizes = "other"
    with pytest.raises(files.DamagedFile, match="layers"):
        training.fit(build(), tiny, epochs=1, state=state, **QUICK)


@pytest.mark.parametrize("field", IDENTITY)
def test_state_is_refused_where_one_thing_that_decides_the_outcome_differs(tiny, tmp_path_factory, monkeypatch, field):
    change = IDENTITY[field]
    recipe = {"epochs": 1, **QUICK}
    arguments = {"targets": tiny, "transform": functools.partial(scaled, gain=1.0)}
    state = tmp_path_factory.getbasetemp() / "state of another.npz"
    if not state.exists():
        training.fit(small_vae(), tiny, state=state, **arguments, **recipe)
    before = state.read_bytes()
    model = change.get("build", lambda: small_vae(**change.get("model", {})))()
    model.encoder.get_layer("hidden_1").trainable = "freeze" not in change
    if "shift" in change:
        bias = model.encoder.get_layer("hidden_1").bias
        bias.assign(bias + change["shift"])
    if "keras" in change:
        monkeypatch.setattr(keras, "__version__", change["keras"])
    monkeypatch.setitem(globals(), "GAIN", change.get("gain", 1.0))
    for name in ("targets", "transform"):
        if name in change:
            arguments[name] = change[name](tiny) if name == "targets" else change[name]
    dataset = change.get("data", lambda tiny: tiny)(tiny)
    if "data" in change and "head" in change["data"].__code__.co_names:
        arguments["targets"] = dataset
    words = (
        rf"state of another\.npz was written by another training: .*({change.get('fields', re.escape(field))}).* there"
    )
    with pytest.raises(files.DamagedFile, match=words + ".*Delete it to train again, or name another file"):
        training.fit(model, dataset, state=state, **arguments, **{**recipe, **change.get("recipe", {})})
    assert state.read_bytes() == before


def test_every_field_of_the_recipe_is_tried():
    assert {field.name for field in dataclasses.fields(training.Recipe)} == {
        name.removeprefix("recipe.") for name in IDENTITY if name.startswith("recipe.")
    }


def test_equal_settings_in_numpys_numbers_are_the_same_training(tiny, tmp_path):
    state, first, again = tmp_path / "state.npz", small_vae(), small_vae()
    history = training.fit(first, tiny, state=state, epochs=2, **QUICK)
    numpys = {name: np.array(value)[()] if name != "verbose" else value for name, value in QUICK.items()}
    assert_same(again, training.fit(again, tiny, state=state, epochs=np.int64(2), **numpys), first, history)


def test_levels_and_their_values_are_the_same_images(tiny):
    levels = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1), dtype="uint8")
    split, floats = data.Split(levels, np.arange(5)), data.Split(levels / np.float32(255), np.arange(5))
    assert split.digest == floats.digest != data.Split(levels[::-1], np.arange(5)).digest
    assert data.Split(floats.images * np.float32(0.999), np.arange(5)).digest != split.digest


def test_cell_that_is_run_again_goes_on_with_its_half_trained_model(tiny, tmp_path):
    """Its weights are no more those it began with; those are remembered beside the model."""
    state, model, whole = tmp_path / "state.npz", small_vae("optimal_gaussian"), small_vae("optimal_gaussian")
    history = training.fit(whole, tiny, **LONG)
    with pytest.raises(KeyboardInterrupt):
        training.fit(model, tiny, state=state, callbacks=[Interrupt(1)], **LONG)
    assert_same(model, training.fit(model, tiny, state=state, **LONG), whole, history)


def test_what_cannot_be_described_keeps_no_state(tiny, tmp_path):
    thing = object()

    def reads_a_thing(images, generator):
        return images if thing else images

    with pytest.raises(ValueError, match="No state can be kept with this transform.*cannot be told"):
        training.fit(small_vae(), tiny, transform=reads_a_thing, state=tmp_path / "state.npz", **{"epochs": 1, **QUICK})
    assert not (tmp_path / "state.npz").exists()
    training.fit(small_vae(), tiny, transform=reads_a_thing, epochs=1, **QUICK)


def foreign(path):
    np.savez(path, something=np.zeros(3))


@pytest.mark.parametrize("fault", [lambda path: path.write_bytes(b"PK"), foreign], ids=["damaged", "foreign"])
def test_damaged_state_says_what_to_do(tiny, tmp_path, fault):
    fault(tmp_path / "state.npz")
    with pytest.raises(files.DamagedFile, match=r"state\.npz.*Delete it"):
        training.fit(small_autoencoder(), tiny, state=tmp_path / "state.npz", **QUICK)


# --------------------------------------------------------------------------------------------------
# Early stopping and NaN


def test_early_stopping_waits_for_the_warm_up_and_goes_back_to_the_best_weights(tiny):
    """The bound is best in the first epoch, under a small beta; that one must not be chosen."""
    vae = small_vae()
    script = Script(val_negative_elbo=[1, 9, 9, 9, 8, 7, 8, 8, 0, 0], val_loss=range(10, 0, -1))
    history = training.fit(vae, tiny, epochs=10, kl_warmup_epochs=4, patience=2, callbacks=[script], **QUICK)
    assert len(history["loss"]) == 8, "two epochs without a better bound than the sixth's"
    np.testing.assert_array_equal(weights(vae), script.weights[5])


def test_warm_up_longer_than_the_training_ends_with_the_last_weights(tiny):
    vae, script = small_vae(), Script(val_negative_elbo=[1, 2, 3])
    history = training.fit(vae, tiny, epochs=3, kl_warmup_epochs=5, patience=1, callbacks=[script], **QUICK)
    assert len(history["loss"]) == 3
    np.testing.assert_array_equal(weights(vae), script.weights[-1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_no_number_ends_the_training_with_advice(tiny, bad):
    model = small_vae()
    model.decoder.get_layer("logits").bias.assign(np.full(784, bad))
    with pytest.raises(FloatingPointError, match="epoch 1.*Lower learning_rate.*\\[0, 1\\]"):
        training.fit(model, tiny, epochs=3, **QUICK)


# --------------------------------------------------------------------------------------------------
# Progress


def test_progress_of_a_vae_shows_epoch_parts_beta_and_time_left(tiny, capsys):
    history = training.fit(small_vae(), tiny, epochs=2, kl_warmup_epochs=1, **{**QUICK, "verbose": True})
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines):
        assert re.search(rf"epoch +{epoch + 1}/2 ", line)
        for word, column in (("reconstruction", "reconstruction"), ("KL", "kl"), ("beta", "beta")):
            shown = re.search(rf"{word} +([\d.]+)", line).group(1)
            assert float(shown) == pytest.approx(history[column][epoch], abs=0.006)
        shown = re.search(r"validation +([\d.]+)", line).group(1)
        assert float(shown) == pytest.approx(history["val_negative_elbo"][epoch], abs=0.006)
        assert re.search(r"\d+ (s|min) left", line)


def test_progress_of_an_autoencoder_shows_its_error(tiny, capsys):
    history = training.fit(small_autoencoder(), tiny, epochs=1, **{**QUICK, "verbose": True})
    assert f"MSE {history['mse'][0]:.5f} · validation {history['val_mse'][0]:.5f}" in capsys.readouterr().err


def test_quiet_training_prints_nothing(tiny, capfd):
    training.fit(small_autoencoder(), tiny, epochs=1, **QUICK)
    assert tuple(capfd.readouterr()) == ("", "")


def test_terminal_has_a_bar_with_the_time_left(tiny, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    training.fit(small_autoencoder(), tiny, epochs=1, **{**QUICK, "verbose": True})
    assert re.search(r"epoch +1/1 █+░* loss [\d.]+ · \d+ s left", sys.stderr.getvalue())


def test_notebook_gets_one_output_whose_last_state_holds_no_time(tiny, monkeypatch):
    shown = []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/plain"])

    def display(content, raw, display_id):
        assert raw and display_id and not shown
        shown.append(content["text/plain"])
        return Handle()

    monkeypatch.setattr(course, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    training.fit(small_vae(), tiny, epochs=2, **{**QUICK, "verbose": True})
    assert "left" in shown[0]
    assert len(shown[-1].splitlines()) == 2 and "left" not in shown[-1] and "█" not in shown[-1]


@pytest.mark.parametrize(
    "seconds, words", [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5400, "90 min"), (6000, "1 h 40 min")]
)
def test_clock(seconds, words):
    assert progress.clock(seconds) == words


def test_snapshots_decode_the_same_codes_before_and_in_training(tiny):
    vae, z = small_vae(), np.float32([[0, 0], [1, -1]])
    untrained = vae.decode(z)
    snapshots = training.Snapshots(z, epochs=[1, 3])
    training.fit(vae, tiny, epochs=3, callbacks=[snapshots], **QUICK)
    assert list(snapshots.rows) == ["untrained", "epoch 1", "epoch 3"]
    np.testing.assert_array_equal(snapshots.rows["untrained"], untrained)
    np.testing.assert_array_equal(snapshots.rows["epoch 3"], vae.decode(z))
    assert not np.array_equal(snapshots.rows["epoch 1"], snapshots.rows["epoch 3"])


# --------------------------------------------------------------------------------------------------
# Interrupts wait for the end of a call


class Press(keras.callbacks.Callback):
    """Press Ctrl-C at a moment of the first epoch, some times in a row, and note what is reached."""

    def __init__(self, moment, times=1):
        super().__init__()
        self.reached, self.epochs = 0, 0
        setattr(self, moment, lambda *_, **__: self.press(times))

    def press(self, times):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
            self.reached += 1

    def kernel(self):
        return keras.ops.convert_to_numpy(self.model.trainable_weights[0]).copy()

    def on_epoch_begin(self, epoch, logs=None):
        self.first = self.kernel() if epoch == 0 else self.first
        self.epochs += 1


@pytest.mark.parametrize("moment", ["on_train_batch_begin", "on_test_batch_begin", "on_epoch_end", "on_train_end"])
@pytest.mark.parametrize("where", ["model", "classifier"])
def test_interrupt_waits_for_the_end_of_a_call_and_is_not_lost(tiny, monkeypatch, moment, where):
    usual, press = signal.getsignal(signal.SIGINT), Press(moment)
    with pytest.raises(KeyboardInterrupt):
        if where == "model":
            training.fit(small_vae(), tiny, epochs=1 if moment == "on_train_end" else 3, callbacks=[press], **QUICK)
        else:
            fit = keras.Model.fit

            def with_press(self, *arguments, callbacks, **settings):
                return fit(self, *arguments, callbacks=[press, *callbacks], **settings)

            monkeypatch.setattr(keras.Model, "fit", with_press)
            classifier.train(tiny, epochs=1 if moment == "on_train_end" else 3, verbose=False)
    assert press.reached == 1, "it came at once, in the middle of a call"
    assert press.epochs == (2 if moment == "on_epoch_end" else 1)
    assert np.any(press.kernel() != press.first)
    assert signal.getsignal(signal.SIGINT) is usual


def test_interrupts_as_a_callback_alone_do_nothing(tiny):
    training.fit(small_vae(), tiny, epochs=1, callbacks=[interrupts.Interrupts()], **QUICK)


def test_second_interrupt_does_not_wait(tiny):
    press = Press("on_train_batch_begin", times=2)
    with pytest.raises(KeyboardInterrupt):
        training.fit(small_vae(), tiny, epochs=1, callbacks=[press], **QUICK)
    assert press.reached == 1
    np.testing.assert_array_equal(press.kernel(), press.first)


def test_interrupt_goes_to_the_handler_that_was_there(tiny):
    seen = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        history = training.fit(small_vae(), tiny, epochs=1, callbacks=[Press("on_train_batch_begin", 2)], **QUICK)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert len(history["loss"]) == 1 and seen and set(seen) == {signal.SIGINT}


def test_interrupts_are_left_alone_where_they_are_ignored_or_go_elsewhere(tiny):
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = training.fit(small_vae(), tiny, epochs=1, callbacks=[Press("on_train_batch_begin")], **QUICK)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(training.fit(small_vae(), tiny, epochs=1, **QUICK)))
    thread.start()
    thread.join()
    assert seen == [history]
