"""The conditional VAE: its contract with Keras and the course, its likelihoods, leakage, pictures by class, style."""

import copy
import pickle
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.stats import norm
from support import smooth_images, tiny_dataset

from helpers import checkpoints, conditional, data, losses, metrics, models, training, wardrobe

X, Y = smooth_images(24, seed=3), (np.arange(24) % 10).astype("int64")
DENSE = {"latent_dim": 2, "hidden": (16,)}
CONV = {"latent_dim": 2, "filters": (4, 6, 8), "hidden": (16,)}
MODELS = {
    "dense": lambda **more: models.dense_conditional_vae(**DENSE, **more),
    "conv": lambda **more: models.conv_conditional_vae(**CONV, **more),
    "decoder only": lambda **more: models.dense_conditional_vae(**DENSE, label_to="decoder", **more),
    "learned prior": lambda **more: moved(models.dense_conditional_vae(**DENSE, prior="learned", **more)),
    "label dropout": lambda **more: models.dense_conditional_vae(**DENSE, label_dropout=0.3, **more),
}
every_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())


def moved(model):
    """The same model, its prior p(z | y) no longer that of its first step."""
    generator = np.random.default_rng(8)
    model.prior.set_weights([0.7 * generator.standard_normal(w.shape) for w in model.prior.get_weights()])
    return model


@pytest.fixture(scope="module")
def tiny():
    return tiny_dataset()


# --------------------------------------------------------------------------------------------------
# What Keras' users may do


@every_model
def test_numpy_in_numpy_out(build):
    model = build()
    z_mean, z_log_var = model.encode(X, Y)
    assert z_mean.shape == z_log_var.shape == (24, 2) and z_mean.dtype == np.float32
    images = model.reconstruct(X, Y), model.decode(z_mean, Y), model.sample(24, seed=1), model.sample(24, 1, labels=3)
    for some in images:
        assert (some.shape, some.dtype) == ((24, 28, 28, 1), np.float32) and 0 <= some.min() <= some.max() <= 1
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(model.sample(20, seed=1, labels=np.arange(20) % 10), model.sample(20, seed=1))
    np.testing.assert_allclose(model.decode_on_batch(z_mean, Y.astype("int32")), images[1], atol=1e-6)
    split = data.Split(X, Y)
    np.testing.assert_array_equal(model.code(split), z_mean)
    assert model.sample(0, seed=1).shape == (0, 28, 28, 1) and model.encode(X[:0], Y[:0])[0].shape == (0, 2)


@every_model
def test_each_class_is_decoded_by_itself(build):
    model, z = build(), np.ones((1, 2))
    pictures = np.concatenate([model.decode(z, label) for label in range(10)])
    np.testing.assert_allclose(model.decode(np.repeat(z, 10, axis=0), np.arange(10)), pictures, atol=1e-6)
    distances = np.abs(pictures[:, None] - pictures).max(axis=(2, 3, 4)) + np.eye(10)
    assert distances.min() > 1e-3, "the decoder sees the class"


def folded(model, label):
    """An ordinary VAE with the column of a label moved into the biases of the layers that see it."""
    vae = models.dense_vae(**DENSE, seed=1)
    for part, inputs in (("encoder", 784), ("decoder", 2)):
        kernel, bias, *others = getattr(model, part).get_weights()
        if len(kernel) > inputs:
            bias, kernel = bias + (kernel[inputs + label] if label >= 0 else 0), kernel[:inputs]
        getattr(vae, part).set_weights([kernel, bias, *others])
    return vae


@pytest.mark.parametrize("kind, label", [("dense", 0), ("dense", 9), ("decoder only", 4), ("label dropout", -1)])
def test_a_label_is_a_bias_of_the_first_layers(kind, label):
    """The same sums by another way: a VAE without labels, one for each class."""
    model = MODELS[kind]()
    vae, view = folded(model, label), model.of_class(label)
    for one, other in zip(view.encode(X), vae.encode(X), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(view.reconstruct(X), vae.reconstruct(X), atol=1e-5)
    np.testing.assert_allclose(view.sample(5, seed=2), vae.sample(5, seed=2), atol=1e-5)
    labels = np.full(24, label)
    for compiled in (model, vae):
        compiled.compile("sgd")
    found = model.evaluate((X, labels), verbose=0, return_dict=True)
    for name, value in vae.evaluate(X, verbose=0, return_dict=True).items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_training_moves_only_the_rows_of_labels_that_were_seen():
    model = MODELS["dense"]()
    before = model.decoder.get_weights()[0].copy()
    model.compile(keras.optimizers.SGD(1e-3))
    model.fit((X, np.full(24, 7)), verbose=0)
    changed = np.abs(model.decoder.get_weights()[0] - before).max(axis=1) > 0
    assert changed.tolist() == [True, True, *(label == 7 for label in range(10))]


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        part = slice(8 * i, 8 * i + 8)
        return ((X[part], Y[part]),)


SOURCES = {
    "arrays": lambda: {"x": (X, Y)},
    "list": lambda: {"x": [X, Y]},
    "labels of a column": lambda: {"x": (X, Y[:, None])},
    "tensors": lambda: {"x": (tf.constant(X), tf.constant(Y))},
    "targets": lambda: {"x": (X, Y), "y": X},
    "dataset": lambda: {"x": tf.data.Dataset.from_tensor_slices(((X, Y),)).batch(8)},
    "dataset with targets": lambda: {"x": tf.data.Dataset.from_tensor_slices(((X, Y), X)).batch(8)},
    "sequence": lambda: {"x": Sequence()},
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_data_gives_the_same_training(source):
    histories = []
    for make in (SOURCES["arrays"], SOURCES[source]):
        model, given = MODELS["dense"](), make()
        model.compile("sgd", run_eagerly=True)
        model.optimizer.learning_rate = 1e-4
        batches = {"batch_size": 8} if isinstance(given["x"], (tuple, list)) else {}
        histories.append(model.fit(**given, **batches, shuffle=False, verbose=0).history)
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], rel=1e-5), name


def test_validation_metrics_and_weights_are_keras_own():
    model = MODELS["learned prior"]()
    model.compile("adam", metrics=["mae"])
    history = model.fit(
        (X, Y), X, validation_data=((X, Y), X), sample_weight=np.ones(24), validation_batch_size=5, verbose=0
    ).history
    assert {"loss", "kl", "mae", "val_negative_elbo", "val_mae"} <= set(history)
    assert len(model.fit((X, Y), X, validation_split=0.25, verbose=0).history["val_loss"]) == 1
    nothing = model.evaluate((X, Y), X, sample_weight=np.zeros(24), verbose=0, return_dict=True)
    assert nothing["loss"] == nothing["kl"] == 0
    assert model.predict((X, Y), verbose=0)["x_hat"].shape == X.shape
    assert model.train_on_batch((X, Y), return_dict=True)["loss"] > 0
    assert model.test_on_batch((X, Y), return_dict=True)["loss"] > 0


COPIES = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "clone_model": keras.models.clone_model,
    "json": lambda model: keras.models.model_from_json(model.to_json()),
}


@pytest.mark.parametrize("kind, way", [("learned prior", way) for way in COPIES] + [(kind, "file") for kind in MODELS])
def test_copies_are_the_same_model(kind, way, tmp_path):
    model = MODELS[kind]()
    model.compile("adam")
    model.fit((X, Y), verbose=0)
    if way == "file":
        model.save(tmp_path / "model.keras")
        made = keras.saving.load_model(tmp_path / "model.keras")
        settings = {"shuffle": False, "verbose": 0, "batch_size": 8}
        np.testing.assert_array_equal(made.reconstruct(X, Y), model.reconstruct(X, Y))
        histories = [one.fit((X, Y), **settings).history for one in (made, model)]
        assert histories[0] == histories[1], "optimizer and noise go on too"
    else:
        made = COPIES[way](model)
        made.set_weights(model.get_weights())
    assert type(made) is models.ConditionalVAE
    np.testing.assert_array_equal(made.reconstruct(X, Y), model.reconstruct(X, Y))
    np.testing.assert_array_equal(made.sample(10, seed=1), model.sample(10, seed=1))
    assert (made.classes, made.label_dropout, made.prior is None) == (10, model.label_dropout, model.prior is None)


def test_it_can_be_exported(tmp_path):
    model = MODELS["learned prior"]()
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    found = loaded.serve([tf.constant(X), tf.constant(Y, "float32")])["z_mean"]
    np.testing.assert_allclose(found, model.code(X, Y), atol=1e-5)


REFUSALS = {
    "images alone": (lambda m: m.fit(X), r"fit\(\(images, labels\)\)"),
    "labels as targets": (lambda m: m.fit(X, Y), r"targets have shape \(24,\)|fit\(\(images, labels\)\)"),
    "too few labels": (lambda m: m.fit((X, Y[:5])), r"labels are int64 of shape \(5,\).*each of 24 images"),
    "labels as shares": (lambda m: m.fit((X, Y / 10)), "labels are float64"),
    "one-hot labels": (lambda m: m.fit((X, np.eye(10, dtype=int)[Y])), r"of shape \(24, 10\)"),
    "no such class": (lambda m: m.fit((X, Y + 1)), "labels run from 1 to 10; class indices go from 0 to 9"),
    "bytes": (lambda m: m.fit(((255 * X).astype("uint8"), Y)), "Divide grey levels by 255"),
    "validation": (lambda m: m.fit((X, Y), validation_data=(X, Y)), "validation_data: "),
    "no label of encode": (lambda m: m.encode(X), "labels are missing"),
    "hidden label": (lambda m: m.decode(np.zeros((1, 2)), models.NO_LABEL), "label_dropout above 0"),
    "no class of that number": (lambda m: m.of_class(10), "class indices go from 0 to 9"),
    "no class of that name": (lambda m: m.of_class("Bag"), "expected one class index"),
    "number of samples": (lambda m: m.sample(-1, seed=1), "n is -1"),
    "predict without labels": (lambda m: m.predict(X), r"fit\(\(images, labels\)\)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_with_a_sentence(name):
    action, words = REFUSALS[name]
    model = MODELS["dense"]()
    model.compile("sgd")
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"(?s){words}"):
        action(model)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


PARTS = {
    "decoder without label": (lambda m: {"decoder": models.dense_decoder(2, ())}, r"a label, \(\), comes second"),
    "encoder of labels alone": (lambda m: {"encoder": m.prior}, "expected one image"),
    "prior of another size": (
        lambda m: {"prior": models.dense_conditional_vae(3, (4,), prior="learned").prior},
        r"prior takes \(\) and gives \(3,\)",
    ),
    "label_dropout": (lambda m: {"label_dropout": 1.0}, "label_dropout is 1.0"),
    "classes": (lambda m: {"classes": 0}, "classes is 0"),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_do_not_fit_are_refused(name):
    change, words = PARTS[name]
    model = MODELS["learned prior"]()
    with pytest.raises(ValueError, match=words):
        models.ConditionalVAE(**{"encoder": model.encoder, "decoder": model.decoder} | change(model))


@pytest.mark.parametrize("argument", ["label_to", "prior", "classes"])
def test_arguments_of_the_functions_are_looked_at(argument):
    for build, sizes in ((models.dense_conditional_vae, DENSE), (models.conv_conditional_vae, CONV)):
        with pytest.raises(ValueError, match=f"{argument} is 'x'"):
            build(**sizes, **{argument: "x"})


# --------------------------------------------------------------------------------------------------
# The learned prior, and labels that are hidden


def test_kl_to_another_normal_is_that_of_the_closed_form_and_of_an_integral():
    generator = np.random.default_rng(4)
    m, v, pm, pv = generator.standard_normal((4, 3, 2)).astype("float32")
    found = np.asarray(losses.kl(*losses.relative_to(m, v, pm, pv)))
    ratio = np.exp(v - pv) + (m - pm) ** 2 / np.exp(pv)
    np.testing.assert_allclose(found, 0.5 * (ratio - 1 - (v - pv)).sum(axis=1), rtol=1e-5)
    grid = np.linspace(-30, 30, 60_001)
    q, p = norm(m[0, 0], np.exp(v[0, 0] / 2)), norm(pm[0, 0], np.exp(pv[0, 0] / 2))
    integral = np.sum(q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid))) * (grid[1] - grid[0])
    one = losses.kl(*losses.relative_to(m[:1, :1], v[:1, :1], pm[:1, :1], pv[:1, :1]))
    assert float(one[0]) == pytest.approx(integral, rel=1e-4)


def test_the_loss_pays_the_kl_to_the_learned_prior():
    model = MODELS["learned prior"]()
    model.compile("sgd")
    z_mean, z_log_var = model.encode(X, Y)
    mean, log_var = (np.asarray(part) for part in model.prior(Y))
    ratio = np.exp(z_log_var - log_var) + (z_mean - mean) ** 2 / np.exp(log_var)
    by_hand = 0.5 * (ratio - 1 - (z_log_var - log_var)).sum(axis=1).mean()
    assert model.evaluate((X, Y), verbose=0, return_dict=True)["kl"] == pytest.approx(by_hand, rel=1e-4)
    assert conditional.elbo(model, X, Y).kl.value == pytest.approx(by_hand, rel=1e-4)


def test_samples_of_a_class_come_from_its_own_prior():
    model = MODELS["learned prior"]()
    noise = np.random.default_rng(5).standard_normal((40_000, 2))
    codes = model.from_noise(noise, 6)
    mean, log_var = (np.asarray(part)[0] for part in model.prior(np.array([6])))
    np.testing.assert_allclose(codes.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.log(codes.var(axis=0)), log_var, atol=0.03)


def test_a_learned_prior_begins_at_the_standard_normal_and_is_trained():
    model = models.dense_conditional_vae(**DENSE, prior="learned")
    assert not any(np.abs(weight).max() for weight in model.prior.get_weights())
    model.compile("adam")
    model.fit((X, Y), epochs=2, verbose=0)
    assert all(np.abs(weight).max() > 0 for weight in model.prior.get_weights())
    assert {key.split("/")[0] for key in model.weight_arrays()} == {"encoder", "decoder", "prior", "sigma"}


def test_hidden_labels_are_the_share_that_was_asked_for_and_none_in_evaluation():
    model, seen = MODELS["label dropout"](), []
    spy = model._decoder_logits
    model._decoder_logits = lambda inputs, training: seen.append(np.asarray(inputs[1])) or spy(inputs, training)
    many = np.zeros((4_000, 28, 28, 1), "float32"), np.full(4_000, 5)
    model(many, training=True)
    model(many, training=False)
    assert set(seen[0]) == {models.NO_LABEL, 5} and np.mean(seen[0] == models.NO_LABEL) == pytest.approx(0.3, abs=0.03)
    assert set(seen[1]) == {5}


# --------------------------------------------------------------------------------------------------
# The course's recipe and its shelf


@pytest.mark.parametrize(
    "build", [MODELS["conv"], lambda: models.dense_conditional_vae(**DENSE, prior="learned", label_dropout=0.3)]
)
def test_the_recipe_trains_on_labels_and_goes_on_after_an_interruption(build, tiny, tmp_path):
    settings = {"epochs": 3, "batch_size": 100, "verbose": False}
    whole = build()
    history = training.fit(whole, tiny, **settings)
    assert history["loss"][-1] < history["loss"][0] and np.isfinite(history["val_kl"]).all()

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    parted = build()
    with pytest.raises(KeyboardInterrupt):
        training.fit(parted, tiny, state=tmp_path / "state.npz", callbacks=[Stop()], **settings)
    again = build()
    assert training.fit(again, tiny, state=tmp_path / "state.npz", **settings) == history
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_of_other_labels_is_refused(tiny, tmp_path):
    model = MODELS["dense"]()
    training.fit(model, tiny, epochs=1, state=tmp_path / "state.npz", verbose=False)
    turned = data.Split(tiny.train.stored, tiny.train.labels[::-1].copy())
    other = data.Dataset(**{**vars(tiny), "train": turned})
    with pytest.raises(Exception, match="another training.*labels"):
        training.fit(MODELS["dense"](), other, epochs=1, state=tmp_path / "state.npz", verbose=False)


def test_batches_bring_each_image_its_own_label(tiny):
    def flipped(images, generator):
        return images[:, ::-1]

    for transform in (None, flipped):
        for targets in (None, tiny.train):
            batches = training.Batches(tiny.train, 64, 1, 0, targets, transform, with_labels=True)
            by_tensorflow = iter(batches.for_fit())
            for i in range(6):
                rows = batches.rows(i)
                wanted = tiny.train.images[rows] if transform is None else tiny.train.images[rows][:, ::-1]
                for (images, labels), *given in (batches[i], next(by_tensorflow)):
                    np.testing.assert_array_equal(labels, tiny.train.labels[rows])
                    np.testing.assert_allclose(images, wanted)
                    assert len(given) == (targets is not None)
                    for target in given:
                        np.testing.assert_allclose(target, tiny.train.images[rows])


def test_a_plan_is_trained_stored_and_opened(tiny, tmp_path, monkeypatch):
    recipe = {"epochs": 2, "batch_size": 100}
    plan = checkpoints.Plan(
        "toy", "dense_conditional_vae", {**DENSE, "hidden": [16], "prior": "learned"}, recipe, bits=8
    )
    monkeypatch.setattr(checkpoints, "PLANS", {"toy": plan})
    monkeypatch.setattr(checkpoints, "RUNS", tmp_path)
    assert checkpoints.names() == [] and checkpoints.names(conditional=True) == ["toy"]
    model = checkpoints.load_or_train("toy", tiny)
    opened = checkpoints.load("toy", tiny)
    np.testing.assert_array_equal(opened.reconstruct(tiny.test), model.reconstruct(tiny.test))
    second = checkpoints.trained_with_seed("toy", tiny, 2, verbose=False)
    assert not np.array_equal(second.reconstruct(tiny.test), model.reconstruct(tiny.test))
    monkeypatch.setattr(training, "fit", None)  # what is stored is not trained again
    again = checkpoints.trained_with_seed("toy", tiny, 2)
    np.testing.assert_array_equal(again.reconstruct(tiny.test), second.reconstruct(tiny.test))
    assert not list(tmp_path.rglob("*.state.npz"))


# --------------------------------------------------------------------------------------------------
# Likelihoods


@every_model
def test_joint_less_marginal_is_the_cross_entropy_of_the_model_as_a_classifier(build):
    model = build()
    table = conditional.likelihoods_per_image(conditional.log_likelihoods(model, X, samples=2), Y)
    np.testing.assert_allclose(table.joint - table.marginal, table.cross_entropy, rtol=0, atol=1e-4)
    assert (table.joint - table.conditional).tolist() == pytest.approx([np.log(10)] * 24)
    assert (table.cross_entropy >= 0).all()


def test_likelihoods_by_hand():
    log_p = np.log([[0.2, 0.6, 0.2], [0.5, 0.25, 0.25]]) - 700  # exp() of which is 0
    found = conditional.likelihoods_per_image(log_p, [1, 2])
    np.testing.assert_allclose(found.conditional, 700 - np.log([0.6, 0.25]))
    np.testing.assert_allclose(found.joint, 700 - np.log([0.2, 0.25 / 3]))
    np.testing.assert_allclose(found.marginal, 700 - np.log([1 / 3, 1 / 3]))
    np.testing.assert_allclose(found.cross_entropy, -np.log([0.6, 0.25]))
    assert found.accuracy.tolist() == [1, 0]
    assert conditional.likelihoods(log_p, [1, 2])["accuracy"].value == 0.5
    with pytest.raises(ValueError, match="log_p has shape"):
        conditional.likelihoods_per_image(log_p, [1])


def test_bounds_are_those_of_each_class_by_itself():
    model = MODELS["dense"]()
    found = conditional.log_likelihoods(model, X, samples=3)
    tight = conditional.log_likelihoods(model, X, samples=300, importance_weighted=True)
    for label in (0, 8):
        reconstruction, kl = metrics.elbo_per_image(folded(model, label), X, samples=3)
        np.testing.assert_allclose(found[:, label], -reconstruction - kl, rtol=1e-5)
    assert found.shape == tight.shape == (24, 10) and tight.mean() >= found.mean() - 0.1
    bound = conditional.elbo(model, X, Y, samples=3)
    own = found[np.arange(24), Y]
    assert bound.negative_elbo.value == pytest.approx(-own.mean(), abs=1.0), "other draws of the same codes"
    assert conditional.measure(model, SimpleNamespace(test=data.Split(X, Y)))["joint_negative_elbo"] == pytest.approx(
        conditional.elbo(model, X, Y).negative_elbo.value + np.log(10)
    )


# --------------------------------------------------------------------------------------------------
# Leakage


def test_codes_without_the_class_leak_nothing_and_codes_with_it_all():
    generator = np.random.default_rng(6)
    labels = np.arange(4_000) % 10
    noise = generator.standard_normal((4_000, 3))
    halves = slice(0, 2_000), slice(2_000, 4_000)

    def leak(codes):
        (a, b), (c, d) = ((codes[half], labels[half]) for half in halves)
        return {name: estimate.value for name, estimate in conditional.leakage(a, b, c, d).items()}

    none = leak(noise)
    assert (
        none["linear_probe"] < 0.14 and none["nearest_neighbours_accuracy"] < 0.14 and -0.1 < none["information"] < 0.02
    )
    told = leak(noise + 40 * np.eye(3)[labels % 3] * (1 + labels[:, None]))
    assert told["linear_probe"] > 0.9 and told["information"] > 0.9 * np.log(10)


def test_information_is_that_of_two_normals():
    """Two classes 1.5 standard deviations apart: the mutual information by an integral."""
    generator = np.random.default_rng(7)
    labels = np.arange(20_000) % 2
    codes = generator.standard_normal((20_000, 2)) + 1.5 * labels[:, None] * [1, 0]
    grid = np.linspace(-8, 10, 20_001)
    densities = np.stack([norm.pdf(grid), norm.pdf(grid, 1.5)])
    mixture = densities.mean(axis=0)
    exact = np.mean([np.sum(d * np.log(d / mixture)) for d in densities]) * (grid[1] - grid[0])
    found = conditional.leakage(codes[:10_000], labels[:10_000], codes[10_000:], labels[10_000:])["information"]
    assert abs(found.value - exact) < 4 * found.standard_error + 0.002 and exact > 0.2


def test_codes_are_in_units_of_the_prior():
    model = MODELS["learned prior"]()
    z_mean, z_log_var = model.encode(X, Y)
    mean, log_var = (np.asarray(part) for part in model.prior(Y))
    np.testing.assert_allclose(conditional.codes_of(model, X, Y), (z_mean - mean) / np.exp(log_var / 2), rtol=1e-4)
    many = np.repeat(X[:1], 4_000, axis=0)
    drawn = conditional.codes_of(model, many, np.full(4_000, Y[0]), drawn=True)
    np.testing.assert_allclose(np.log(drawn.var(axis=0)), (z_log_var - log_var)[0], atol=0.1)


# --------------------------------------------------------------------------------------------------
# Pictures of a class


class Painter:
    """A classifier that reads the class off a picture's first pixel: its features are the first two."""

    def classify(self, images):
        return np.rint(images[:, 0, 0, 0] * 10).astype("int64")

    def features(self, images):
        return images[:, 0, :2, 0]


def painted(labels, spread, seed):
    """Pictures whose first pixel says the class, and whose second varies."""
    images = np.zeros((len(labels), 28, 28, 1), "float32")
    images[:, 0, 0, 0] = labels / 10
    images[:, 0, 1, 0] = 0.5 + spread * np.random.default_rng(seed).uniform(-1, 1, len(labels))
    return images


def test_accuracy_and_diversity_of_a_class():
    labels = np.arange(1_000) % 10
    errs = labels.copy()
    errs[labels == 4] = np.where(np.arange(100) < 20, 6, 4)  # the classifier takes a fifth of real coats for shirts
    real = SimpleNamespace(images=painted(errs, 0.4, 1), labels=labels)
    dataset = SimpleNamespace(test=real, class_names=data.CLASS_NAMES)
    asked = labels.copy()
    asked[labels == 4] = np.where(np.arange(100) < 60, 6, 4)
    table = conditional.judge_classes(painted(asked, 0.2, 2), labels, dataset, Painter())
    assert table.accuracy["Coat"] == pytest.approx(0.4) and table.ceiling["Coat"] == pytest.approx(0.8)
    assert table.share_of_ceiling["Coat"] == pytest.approx(0.5)
    assert table.accuracy["all"] == pytest.approx(0.94) and table.accuracy.drop(["Coat", "all"]).eq(1).all()
    assert table.diversity["Bag"] == pytest.approx(0.5, abs=0.1)
    same = conditional.judge_classes(painted(labels, 0, 2), labels, dataset, Painter())
    assert same.diversity["Bag"] == pytest.approx(0, abs=1e-6)


def test_generated_pictures_take_the_place_of_training_images(tiny):
    labels = np.arange(240) % 10
    made = conditional.as_training_data(painted(labels, 0.3, 3), labels, tiny)
    assert (len(made.train), len(made.validation)) == (220, 20) and made.test is tiny.test
    for split in (made.train, made.validation):
        np.testing.assert_array_equal(Painter().classify(split.images), split.labels)
    assert not np.array_equal(made.train.labels, np.arange(220) % 10), "shuffled"


# --------------------------------------------------------------------------------------------------
# Style


def test_transfer_keeps_the_code_and_changes_the_class():
    for kind in ("dense", "learned prior"):
        model, new = MODELS[kind](), (Y + 3) % 10
        found = conditional.transfer(model, X, Y, new)
        pairs = zip(Y, new, X, strict=True)
        by_class = [model.of_class(b).decode(model.of_class(a).code(x[None]))[0] for a, b, x in pairs]
        np.testing.assert_allclose(found, by_class, atol=1e-5)
        np.testing.assert_allclose(conditional.transfer(model, X, Y, Y), model.reconstruct(X, Y), atol=1e-5)


def test_baselines_are_garments_of_the_new_class(tiny):
    new = np.arange(24) % 10
    nearest = conditional.nearest_of_class(X, new, tiny.train)
    for x, label, found in zip(X, new, nearest, strict=True):
        garments = tiny.train.images[tiny.train.labels == label]
        best = np.square(garments - x).sum(axis=(1, 2, 3)).argmin()
        np.testing.assert_array_equal(found, garments[best])
    mean = conditional.mean_of_class(new, tiny.train)
    np.testing.assert_allclose(mean[13], tiny.train.images[tiny.train.labels == 3].mean(axis=0), atol=1e-6)


def test_style_kept_is_a_correlation_and_for_choices_an_agreement_above_chance():
    generator = np.random.default_rng(9)
    n = 3_000
    labels, new = generator.integers(0, 10, (2, n))
    source = pd.DataFrame({name: generator.uniform(size=n) for name in ("shade", "sleeve")})
    source["pattern"] = generator.integers(0, 6, n)
    half = generator.random(n) < 0.5
    result = pd.DataFrame({"shade": source.shade + source.shade.std() * generator.standard_normal(n)})
    tops = np.isin(labels, [0, 2, 3, 4, 6]) & np.isin(new, [0, 2, 3, 4, 6])
    result["sleeve"] = np.where(tops, source.sleeve, generator.uniform(size=n))
    result["pattern"] = np.where(half, source.pattern, generator.integers(0, 6, n))
    flat = result.assign(shade=0.5, sleeve=0.1, pattern=2)
    table = conditional.style_kept(source, {"transfer": result, "mean": flat}, labels, new)
    assert table.transfer["shade"] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert table.transfer["sleeve"] == pytest.approx(1.0), "only pairs count whose classes have sleeves"
    assert table.transfer["pattern"] == pytest.approx(0.5, abs=0.05)
    assert table["mean"].tolist() == pytest.approx([0, 0, 0], abs=0.03)


@pytest.fixture(scope="module")
def drawings():
    images, labels, table = wardrobe.draw(1_000, seed=5)
    images = images.astype("float32") / 255
    for image, pattern in zip(images, table.pattern, strict=True):
        image[:3, 4 * pattern : 4 * pattern + 4] = 1  # a mark that can be read after a few steps
    return images, labels, table


def test_a_reader_reads_what_was_drawn(drawings):
    images, labels, table = drawings
    names = ("shade", "x", "sleeve", "pattern")
    found = conditional.FactorReader(names).fit(images[:800], table[:800], epochs=6).read(images[800:])
    truth = table[800:].reset_index(drop=True)
    assert list(found) == list(names)
    kept = conditional.style_kept(truth[list(found)], {"reader": found}, labels[800:], labels[800:]).reader
    assert kept["shade"] > 0.7 and kept["x"] > 0.5 and kept["pattern"] > 0.8
    assert found.x.between(-1, 1).all() and set(found.pattern) <= set(range(6))


def test_a_reader_of_no_such_factor_is_refused():
    with pytest.raises(ValueError, match="Unknown factor 'colour'"):
        conditional.FactorReader(("colour",))


def test_a_predictor_that_is_sure_and_wrong_keeps_the_bound_finite():
    labels = np.arange(400) % 2
    codes = np.stack([labels * 1000.0, np.random.default_rng(1).standard_normal(400)], axis=1)
    found = conditional.leakage(codes[:200], labels[:200], codes[200:], 1 - labels[200:])
    assert np.isfinite(found["information"].value) and found["information"].value < 0
