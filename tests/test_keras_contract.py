"""What a Keras user may do with a model: it works and equals a plain Keras model, or is refused with a sentence.

The list follows Keras' own documentation of Model (compile, fit, evaluate, predict, the methods on batches), of its
callbacks, optimizers, data sources, saving and export, and its tests of the trainer. Not covered: what other packages
do (orbax, TensorBoard's server), several devices, and ``fit`` on PyTorch or JAX, for which there is a scheduled test.
Each case is done to a model of the course and to a reference that is built here of Keras' parts alone, with the same
weights and the same noise; what came of it has to be the same. Steps run eagerly, where nothing else is said.
"""

import copy
import csv
import importlib.util
import json
import pickle
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import smooth_images

from helpers import losses, models

X, OTHER = smooth_images(24, seed=3), smooth_images(24, seed=4)
WEIGHTS = np.random.default_rng(5).uniform(0, 3, 24).astype("float32")
BETA = 0.7


def parts(variational, penalty=None, dropout=False, **dense):
    """An encoder and a decoder of plain Keras layers, always the same."""
    start = iter(keras.initializers.GlorotUniform(seed=seed) for seed in range(10))

    def layer(units, **more):
        return keras.layers.Dense(units, kernel_initializer=next(start), **{**dense, **more})

    x = keras.Input((28, 28, 1))
    h = layer(8, activation="tanh")(keras.layers.Flatten()(x))
    if dropout:
        h = keras.layers.Dropout(0.3, seed=1)(h)
    codes = [layer(2, dtype="float32", **(penalty or {}))(h) for _ in range(2 if variational else 1)]
    encoder = keras.Model(x, codes if variational else codes[0])
    z = keras.Input((2,))
    logits = keras.layers.Reshape((28, 28, 1))(layer(784, dtype="float32")(layer(8, activation="tanh")(z)))
    decoder = keras.Model(z, keras.layers.Activation("sigmoid", name="x_hat", dtype="float32")(logits))
    return encoder, decoder


class Reference(keras.Model):
    """The same model in the usual way of Keras: losses from `compile` and `add_loss`, and nothing overridden."""

    def __init__(self, encoder, decoder, variational, beta=BETA):
        super().__init__()
        self.beta = beta
        self.encoder, self.decoder, self.variational = encoder, decoder, variational
        self.noise = keras.random.SeedGenerator(1)
        self.build((None, 28, 28, 1))

    def build(self, input_shape):
        self.built = True

    def call(self, x, training=None):
        z = self.encoder(x, training=training)
        if self.variational:
            mean, log_var = z
            self.add_loss(self.beta * keras.ops.mean(losses.kl(mean, log_var)))
            z = mean + keras.ops.exp(0.5 * log_var) * keras.random.normal(keras.ops.shape(mean), seed=self.noise)
        return self.decoder(z, training=training)


def reference_loss(variational):
    """Loss of each image, which Keras weighs and averages."""
    return losses.bernoulli if variational else losses.squared_error


class Pair:
    """A model of the course and its reference, to which the same is done.

    Weights of images do not reach a KL that is added by `add_loss`; cases with weights leave it out (``beta`` 0).
    """

    def __init__(self, variational, beta=BETA, **options):
        self.variational = variational
        encoder, decoder = parts(variational, **options)
        self.ours = (
            models.VAE(encoder, decoder, beta=beta, seed=1) if variational else models.Autoencoder(encoder, decoder)
        )
        self.reference = Reference(*parts(variational, **options), variational, beta)
        self.beta = beta
        self.reference.set_weights(self.shared(self.ours))

    def shared(self, model):
        """Weights of encoder and decoder."""
        return [*model.encoder.get_weights(), *model.decoder.get_weights()]

    def compile(self, optimizer="sgd", rate=1e-3, **settings):
        """Compile both; an optimizer is a name, or a function that makes one."""
        made = [optimizer() if callable(optimizer) else keras.optimizers.get(optimizer) for _ in range(2)]
        for one in made:
            if isinstance(optimizer, str):
                one.learning_rate = rate
        for model, one in ((self.ours, made[0]), (self.reference, made[1])):
            own = {name: value() if callable(value) else value for name, value in settings.items()}
            loss = {} if model is self.ours else {"loss": reference_loss(self.variational)}
            model.compile(one, **{"run_eagerly": True, **loss, **own})
        return self

    def fit(self, x=X, y=None, *, theirs=None, **settings):
        """Train both. The reference needs its targets, and some sources in another form (``theirs``)."""
        settings = {"batch_size": 8, "epochs": 1, "shuffle": False, "verbose": 0, **settings}
        settings = {name: value for name, value in settings.items() if value is not None}
        of_reference = {**settings, **(theirs or {})}
        source = of_reference.pop("x", x)
        target = of_reference.pop("y", (source if y is None else y) if is_array(source) else None)
        a = self.ours.fit(x, y, **settings).history
        b = self.reference.fit(source, target, **of_reference).history
        self.compare(a, b)
        return a

    def compare(self, a, b):
        """Figures that both have, and the weights, are the same."""
        assert set(b) <= set(a)
        for name in b:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-6, err_msg=name)
        for one, other in zip(self.shared(self.ours), self.shared(self.reference), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5)


def is_array(x):
    return isinstance(x, (np.ndarray, list)) or tf.is_tensor(x)


CASES = {}


def case(name, both=True, **conditions):
    """Register a function of a `Pair`-maker as a case for autoencoder and VAE."""

    def register(function):
        for variational in (False, True) if both else (False,):
            CASES[f"{name}-{'vae' if variational else 'autoencoder'}"] = (function, variational, conditions)
        return function

    return register


# --------------------------------------------------------------------------------------------------
# compile

# Every name of Keras' optimizers but lamb and muon, which have none.
NAMES = ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "adamax", "adafactor", "nadam", "ftrl", "lion"]
for optimizer in NAMES:

    @case(f"compile optimizer {optimizer}", both=optimizer in ("sgd", "adam", "lion"))
    def _(pair, optimizer=optimizer):
        pair().compile(optimizer).fit()


OPTIMIZERS = {
    "with a schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1e-3, 2, 0.5)),
    "with clipnorm": lambda: keras.optimizers.SGD(1e-3, clipnorm=0.1),
    "with global_clipnorm": lambda: keras.optimizers.SGD(1e-3, global_clipnorm=0.1),
    "with clipvalue": lambda: keras.optimizers.SGD(1e-3, clipvalue=0.01),
    "with momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    "Lamb": lambda: keras.optimizers.Lamb(1e-3),
    "with weight decay": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.1),
    "with gradient accumulation": lambda: keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2),
    "with moving averages": lambda: keras.optimizers.SGD(1e-3, use_ema=True, ema_overwrite_frequency=2),
    "that scales the loss": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), 8.0),
}
for label, make in OPTIMIZERS.items():

    @case(f"compile optimizer {label}")
    def _(pair, make=make):
        pair().compile(make).fit()


def furthest(y_true, y_pred):
    """A reader's own metric."""
    return keras.ops.max(keras.ops.abs(y_true - y_pred), axis=(1, 2, 3))


METRICS = {
    "by name": lambda: ["mae"],
    "several": lambda: ["mae", "mse", "cosine_similarity"],
    "object": lambda: [keras.metrics.MeanAbsoluteError(name="distance")],
    "function": lambda: [furthest],
    "mixed": lambda: ["mae", furthest, keras.metrics.RootMeanSquaredError()],
}
for label, metrics in METRICS.items():

    @case(f"compile metrics {label}")
    def _(pair, metrics=metrics):
        history = pair().compile(metrics=metrics).fit(validation_data=(OTHER, OTHER))
        assert len([name for name in history if name.startswith("val_")]) >= 1 + len(metrics())


@case("compile weighted_metrics")
def _(pair):
    pair(beta=0.0).compile(weighted_metrics=["mae"], metrics=["mse"]).fit(y=X, sample_weight=WEIGHTS)


@case("compile run_eagerly False")
def _(pair):
    pair().compile(run_eagerly=False).fit()


@case("compile steps_per_execution")
def _(pair):
    pair().compile(run_eagerly=False, steps_per_execution=3).fit()


@case("compile jit_compile", both=False)
def _(pair):
    pair().compile(run_eagerly=False, jit_compile=True).fit()


@case("compile auto_scale_loss False")
def _(pair):
    pair().compile(auto_scale_loss=False).fit()


@case("compile a second time, without the first's metrics")
def _(pair):
    both = pair().compile(metrics=["mae"]).compile()
    assert "mae" not in both.ours.fit(X, verbose=0).history


@case("compile by places")
def _(pair):
    model = pair().ours
    model.compile("sgd", None, None, ["mae"], None, True)
    assert model.run_eagerly and "mae" in model.evaluate(X, verbose=0, return_dict=True)


@case("compile with another learning rate later")
def _(pair):
    both = pair().compile()
    for model in (both.ours, both.reference):
        model.optimizer.learning_rate = 0.0
    before = both.shared(both.ours)
    both.fit()
    np.testing.assert_array_equal(before[0], both.shared(both.ours)[0])


# --------------------------------------------------------------------------------------------------
# fit

FIT = {
    "y None": {},
    "y as the images": {"y": X},
    "y as other images": {"y": OTHER},
    "batch_size 5": {"batch_size": 5},
    "batch_size None": {"batch_size": None},
    "batch_size 1": {"batch_size": 1},
    "batch_size of all": {"batch_size": 1000},
    "epochs 3": {"epochs": 3},
    "verbose 1": {"verbose": 1},
    "verbose 2": {"verbose": 2},
    "verbose auto": {"verbose": "auto"},
    "validation_split": {"validation_split": 0.25, "y": X},
    "validation_data (x, y)": {"validation_data": (OTHER, OTHER)},
    "validation_data list": {"validation_data": [OTHER, OTHER]},
    "validation_data dataset": {"validation_data": tf.data.Dataset.from_tensor_slices((OTHER, OTHER)).batch(8)},
    "validation_batch_size": {"validation_data": (OTHER, OTHER), "validation_batch_size": 5},
    "validation_freq": {"validation_data": (OTHER, OTHER), "validation_freq": 2, "epochs": 2},
    "validation_freq list": {"validation_data": (OTHER, OTHER), "validation_freq": [2], "epochs": 2},
    "validation_steps": {
        "validation_data": tf.data.Dataset.from_tensor_slices((OTHER, OTHER)).batch(8).repeat(),
        "validation_steps": 2,
    },
    "initial_epoch": {"initial_epoch": 1, "epochs": 3},
    "steps_per_epoch": {"steps_per_epoch": 2},
}
for label, settings in FIT.items():

    @case(f"fit {label}", both="batch_size" not in label and "verbose" not in label)
    def _(pair, settings=settings):
        pair().compile().fit(**settings)


@case("fit validation_data (x,)")
def _(pair):
    pair().compile().fit(validation_data=(OTHER,), theirs={"validation_data": (OTHER, OTHER)})


@case("fit sample_weight")
def _(pair):
    pair(beta=0.0).compile().fit(y=X, sample_weight=WEIGHTS)


@case("fit sample_weight of a column")
def _(pair):
    pair(beta=0.0).compile().fit(y=X, sample_weight=WEIGHTS[:, None], theirs={"sample_weight": WEIGHTS})


@case("fit sample_weight reaches the KL too")
def _(pair):
    both = pair()
    if both.variational:
        both.ours.compile("sgd", run_eagerly=True)
        found = both.ours.evaluate(X, X, sample_weight=np.zeros(24), verbose=0, return_dict=True)
        assert found["loss"] == found["kl"] == found["negative_elbo"] == 0


@case("fit validation_data (x, y, weights)")
def _(pair):
    pair(beta=0.0).compile().fit(y=X, validation_data=(OTHER, OTHER, WEIGHTS))


@case("fit shuffle")
def _(pair):
    both = pair().compile()
    histories = []
    for model, target in ((both.ours, None), (both.reference, X)):
        keras.utils.set_random_seed(7)
        histories.append(model.fit(X, target, batch_size=8, epochs=2, shuffle=True, verbose=0).history)
    both.compare(*histories)


@case("fit by places")
def _(pair):
    both = pair().compile()
    assert len(both.ours.fit(X, X, 8, 2, 0, None, 0.25).history["val_loss"]) == 2


@case("fit twice goes on")
def _(pair):
    both = pair().compile("adam")
    first, second = both.fit(), both.fit()
    assert second["loss"][-1] < first["loss"][0]
    assert int(both.ours.optimizer.iterations) == 6


@case("fit stopped by a callback")
def _(pair):
    both = pair().compile()

    def halt(step, logs):
        both.ours.stop_training = both.reference.stop_training = step == 1

    def callbacks():
        return [keras.callbacks.LambdaCallback(on_train_batch_end=halt)]

    both.fit(epochs=2, callbacks=callbacks(), theirs={"callbacks": callbacks()})


# --------------------------------------------------------------------------------------------------
# Sources of data


class Sequence(keras.utils.PyDataset):
    """A reader's own source of batches."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return tuple(array[8 * i : 8 * i + 8] for array in self.arrays)


def endless(*arrays):
    while True:
        for i in range(3):
            yield tuple(array[8 * i : 8 * i + 8] for array in arrays)


def tensors(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(8)


def of_unknown_shape(*arrays):
    """As from a pipeline that decodes files: only the number of axes and of channels is known."""

    def forget(*images):
        known = [tf.numpy_function(lambda x: x, [image], tf.float32) for image in images]
        return tuple(tf.ensure_shape(image, (None, None, None, 1)) for image in known)

    return tensors(*arrays).map(forget)


ARRAYS = {
    "float64": X.astype("float64"),
    "float16": X.astype("float16"),
    "tensor": tf.constant(X),
    "read-only": np.broadcast_to(X, X.shape),
    "not contiguous": np.asfortranarray(X),
    "binary": (X > 0.5).astype("float32"),
    "bool": X > 0.5,
    "whole numbers": (X > 0.5).astype("int64"),
}
for label, array in ARRAYS.items():

    @case(f"data {label}", both=label == "tensor")
    def _(pair, array=array):
        plain = np.asarray(array, dtype="float32")
        pair().compile().fit(array, theirs={"x": plain, "y": plain})


SOURCES = {
    "dataset (x,)": lambda: (tensors(X), tensors(X, X)),
    "dataset x": lambda: (tf.data.Dataset.from_tensor_slices(X).batch(8), tensors(X, X)),
    "dataset (x, y)": lambda: (tensors(X, OTHER), tensors(X, OTHER)),
    "dataset of unknown shape": lambda: (of_unknown_shape(X), tensors(X, X)),
    "dataset (x, y) of unknown shape": lambda: (of_unknown_shape(X, OTHER), tensors(X, OTHER)),
    "sequence (x,)": lambda: (Sequence(X), Sequence(X, X)),
    "sequence (x, y)": lambda: (Sequence(X, OTHER), Sequence(X, OTHER)),
    "last batch smaller": lambda: (tensors(X[:21]), tensors(X[:21], X[:21])),
}
for label, make in SOURCES.items():
    for graph in (False, True) if "unknown" in label else (False,):

        @case(f"data {label}{' in a graph' * graph}", both=not graph)
        def _(pair, make=make, graph=graph):
            ours, theirs = make()
            shuffle = False if isinstance(ours, Sequence) else None  # a dataset has its own order, and nothing warns
            settings = {"batch_size": None, "shuffle": shuffle}
            pair().compile(run_eagerly=not graph).fit(ours, **settings, theirs={"x": theirs, "shuffle": False})


@case("data dataset (x, y, weights)")
def _(pair):
    pair(beta=0.0).compile().fit(tensors(X, OTHER, WEIGHTS), batch_size=None)


@case("data generator")
def _(pair):
    settings = {"batch_size": None, "steps_per_epoch": 3, "shuffle": False}
    pair().compile().fit(endless(X), **settings, theirs={"x": endless(X, X)})


@case("data endless dataset")
def _(pair):
    settings = {"batch_size": None, "steps_per_epoch": 3, "shuffle": None}
    pair().compile().fit(tensors(X).repeat(), **settings, theirs={"x": tensors(X, X).repeat(), "shuffle": False})


# --------------------------------------------------------------------------------------------------
# Layers, types, penalties

PENALTIES = {
    "activity_regularizer L1": {"activity_regularizer": keras.regularizers.L1(0.5)},
    "activity_regularizer L2": {"activity_regularizer": keras.regularizers.L2(0.5)},
    "kernel_regularizer L2": {"kernel_regularizer": keras.regularizers.L2(0.5)},
    "bias_regularizer L1": {"bias_regularizer": keras.regularizers.L1(0.5)},
    "kernel_constraint": {"kernel_constraint": keras.constraints.UnitNorm()},
    "orthogonal regularizer": {"kernel_regularizer": keras.regularizers.OrthogonalRegularizer(0.5)},
}
for label, penalty in PENALTIES.items():

    @case(f"layer {label}")
    def _(pair, penalty=penalty):
        pair(penalty=penalty).compile().fit(validation_data=(OTHER, OTHER))


@case("layer activity_regularizer in a graph")
def _(pair):
    pair(penalty=PENALTIES["activity_regularizer L1"]).compile(run_eagerly=False).fit()


@case("layer dropout")
def _(pair):
    pair(dropout=True).compile().fit(validation_data=(OTHER, OTHER))


@case("layer that adds a loss")
def _(pair):
    class Penalised(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(keras.ops.square(x)))
            return x

    both = pair()
    for name in ("ours", "reference"):
        model = getattr(both, name)
        outputs = [Penalised()(z) for z in model.encoder.outputs]
        encoder = keras.Model(model.encoder.inputs[0], outputs if both.variational else outputs[0])
        if name == "reference":
            made = Reference(encoder, model.decoder, both.variational)
        elif both.variational:
            made = models.VAE(encoder, model.decoder, beta=BETA, seed=1)
        else:
            made = models.Autoencoder(encoder, model.decoder)
        setattr(both, name, made)
    both.compile().fit()


@case("layer frozen encoder")
def _(pair):
    both = pair()
    before = both.ours.encoder.get_weights()
    both.ours.encoder.trainable = both.reference.encoder.trainable = False
    both.compile().fit()
    for one, other in zip(both.ours.encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@case("layer frozen model")
def _(pair):
    model = pair().ours
    model.trainable = False
    assert not model.trainable_variables


for policy in ("mixed_bfloat16", "mixed_float16"):

    @case(f"dtype {policy}")
    def _(pair, policy=policy):
        both = pair(dtype=policy)
        both.ours.compile("sgd", run_eagerly=True)
        scales = isinstance(both.ours.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scales == (policy == "mixed_float16"), "small gradients of float16 would be lost"
        both.ours.optimizer.learning_rate = 1e-3
        losses_of_epochs = both.ours.fit(X, epochs=6, verbose=0).history["loss"]
        assert losses_of_epochs[-1] < losses_of_epochs[0]
        assert both.ours.reconstruct(X).dtype == np.float32


@case("dtype of the model itself", both=False)
def _(pair):
    encoder, decoder = parts(False)
    assert models.Autoencoder(encoder, decoder, dtype="mixed_bfloat16").dtype_policy.name == "mixed_bfloat16"


# --------------------------------------------------------------------------------------------------
# Callbacks

CALLBACKS = {
    "History": lambda path: keras.callbacks.History(),
    "ProgbarLogger": lambda path: keras.callbacks.ProgbarLogger(),
    "TerminateOnNaN": lambda path: keras.callbacks.TerminateOnNaN(),
    "EarlyStopping": lambda path: keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9),
    "EarlyStopping with the best weights": lambda path: keras.callbacks.EarlyStopping(
        "val_loss", patience=1, min_delta=1e9, restore_best_weights=True
    ),
    "LearningRateScheduler": lambda path: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
    "ReduceLROnPlateau": lambda path: keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=1e9),
    "ModelCheckpoint weights": lambda path: keras.callbacks.ModelCheckpoint(
        path / "best.weights.h5", save_weights_only=True
    ),
    "BackupAndRestore": lambda path: keras.callbacks.BackupAndRestore(path / "backup"),
    "CSVLogger": lambda path: keras.callbacks.CSVLogger(path / "log.csv"),
    "LambdaCallback": lambda path: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
}
for label, make in CALLBACKS.items():

    @case(f"callback {label}", both=label in ("EarlyStopping", "ReduceLROnPlateau"))
    def _(pair, tmp_path, make=make):
        folders = [tmp_path / name for name in ("ours", "reference")]
        for folder in folders:
            folder.mkdir()
        ours, theirs = ([make(folder)] for folder in folders)
        both = pair().compile()
        both.fit(epochs=3, validation_data=(OTHER, OTHER), callbacks=ours, theirs={"callbacks": theirs})
        written = [sorted(path.name for path in folder.rglob("*")) for folder in folders]
        assert written[0] == written[1]


@case("callback CSVLogger writes what was seen", both=False)
def _(pair, tmp_path):
    history = pair().compile().fit(epochs=3, callbacks=[keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == pytest.approx(history["loss"])


for label, settings in {
    "the best": {"save_best_only": True, "monitor": "val_loss"},
    "each second": {"save_freq": 2},
}.items():

    @case(f"callback ModelCheckpoint of {label}")
    def _(pair, tmp_path, settings=settings):
        both = pair().compile("adam")
        path = tmp_path / "some.keras"
        path.write_bytes(b"an older one")
        keep = keras.callbacks.ModelCheckpoint(path, **settings)
        both.ours.fit(X, batch_size=8, epochs=2, validation_data=(OTHER,), callbacks=[keep], verbose=0, shuffle=False)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(loaded.reconstruct(X), both.ours.reconstruct(X))


@case("callback SwapEMAWeights")
def _(pair):
    both = pair().compile(lambda: keras.optimizers.SGD(1e-3, use_ema=True))
    both.fit(callbacks=[keras.callbacks.SwapEMAWeights()], theirs={"callbacks": [keras.callbacks.SwapEMAWeights()]})


@case("callback TensorBoard", both=False, needs="tensorboard")
def _(pair, tmp_path):
    pair().compile().ours.fit(X, callbacks=[keras.callbacks.TensorBoard(tmp_path)], verbose=0)
    assert list(tmp_path.rglob("events.*"))


@case("callback OrbaxCheckpoint", both=False, needs="orbax")
def _(pair, tmp_path):
    pair().compile().ours.fit(X, callbacks=[keras.callbacks.OrbaxCheckpoint(tmp_path)], verbose=0)


# --------------------------------------------------------------------------------------------------
# evaluate, predict, batches

EVALUATE = {
    "all": {},
    "batch_size": {"batch_size": 5},
    "steps": {"steps": 2, "batch_size": 8},
    "verbose 1": {"verbose": 1},
}
for label, settings in EVALUATE.items():

    @case(f"evaluate {label}")
    def _(pair, settings=settings):
        both = pair().compile(metrics=["mae"])
        settings = {"verbose": 0, "return_dict": True, **settings}
        both.compare(both.ours.evaluate(X, **settings), both.reference.evaluate(X, X, **settings))


@case("evaluate sample_weight")
def _(pair):
    both = pair(beta=0.0).compile()
    settings = {"sample_weight": WEIGHTS, "verbose": 0, "return_dict": True}
    both.compare(both.ours.evaluate(X, OTHER, **settings), both.reference.evaluate(X, OTHER, **settings))


@case("evaluate as a list")
def _(pair):
    model = pair().compile().ours
    values = model.evaluate(X, verbose=0)
    assert len(values) == len(model.metrics_names) and values[0] > 0


@case("evaluate a dataset")
def _(pair):
    both = pair().compile()
    settings = {"verbose": 0, "return_dict": True}
    both.compare(both.ours.evaluate(tensors(X), **settings), both.reference.evaluate(tensors(X, X), **settings))


@case("predict")
def _(pair):
    both = pair()
    for batch_size in (5, 32):
        found = both.ours.predict(X, batch_size=batch_size, verbose=0)
        wanted = both.reference.predict(X, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(found["x_hat"], wanted, atol=1e-6)


@case("predict a dataset")
def _(pair):
    both = pair()
    found = both.ours.predict(tensors(X), verbose=0)["x_hat"]
    np.testing.assert_allclose(found, both.reference.predict(tensors(X), verbose=0), atol=1e-6)


@case("predict noisy images")
def _(pair):
    both, noisy = pair(), X + np.float32(0.5)
    found = both.ours.predict(noisy, verbose=0)["x_hat"]
    np.testing.assert_allclose(found, both.reference.predict(noisy, verbose=0), atol=1e-6)


@case("predict_on_batch")
def _(pair):
    both = pair()
    np.testing.assert_allclose(both.ours.predict_on_batch(X)["x_hat"], both.reference.predict_on_batch(X), atol=1e-6)


@case("train_on_batch")
def _(pair):
    both = pair().compile()
    for _ in range(2):
        a, b = both.ours.train_on_batch(X, return_dict=True), both.reference.train_on_batch(X, X, return_dict=True)
    both.compare(a, b)


@case("train_on_batch with weights")
def _(pair):
    both = pair(beta=0.0).compile()
    settings = {"sample_weight": WEIGHTS, "return_dict": True}
    both.compare(both.ours.train_on_batch(X, OTHER, **settings), both.reference.train_on_batch(X, OTHER, **settings))


@case("test_on_batch")
def _(pair):
    both = pair().compile()
    both.compare(both.ours.test_on_batch(X, return_dict=True), both.reference.test_on_batch(X, X, return_dict=True))


@case("call in training and not")
def _(pair):
    both = pair(dropout=True)
    for training in (True, False):
        found = both.ours(X, training=training)["x_hat"]
        np.testing.assert_allclose(found, both.reference(X, training=training), atol=1e-6)


@case("a loop of one's own", both=False)
def _(pair):
    both = pair()
    for model in (both.ours, both.reference):
        optimizer = keras.optimizers.SGD(1e-3)
        with tf.GradientTape() as tape:
            found = model(X, training=True)
            loss = tf.reduce_mean(losses.squared_error(X, found["x_hat"] if isinstance(found, dict) else found))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    both.compare({}, {})


# --------------------------------------------------------------------------------------------------
# Looking inside, copying, saving, export


def same(one, other):
    np.testing.assert_array_equal(one.reconstruct(X), other.reconstruct(X))


COPIES = {
    "copy.deepcopy": (copy.deepcopy, True),
    "copy.copy": (copy.copy, True),
    "pickle": (lambda model: pickle.loads(pickle.dumps(model)), True),
    "clone_model": (keras.models.clone_model, False),
    "from_config": (lambda model: type(model).from_config(model.get_config()), False),
    "from_config by JSON": (lambda model: type(model).from_config(json.loads(json.dumps(model.get_config()))), False),
    "model_from_json": (lambda model: keras.models.model_from_json(model.to_json()), False),
}
for label, (make, with_weights) in COPIES.items():

    @case(f"copy by {label}")
    def _(pair, make=make, with_weights=with_weights):
        both = pair().compile("adam")
        both.fit()
        made = make(both.ours)
        assert type(made) is type(both.ours) and made is not both.ours
        if both.variational:
            assert (float(made.beta), made.likelihood, made.seed) == (np.float32(BETA), "bernoulli", 1)
        if not with_weights:
            assert not np.array_equal(made.reconstruct(X), both.ours.reconstruct(X)), "weights start anew"
            made.set_weights(both.ours.get_weights())
        same(made, both.ours)


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@pytest.mark.parametrize("label", [*COPIES, "save and load"])
def test_free_bits_survive_a_copy(label, tmp_path):
    vae = models.VAE(*parts(True), free_bits=0.5)
    make = COPIES[label][0] if label in COPIES else lambda model: saved_and_loaded(model, tmp_path)
    assert make(vae).free_bits == 0.5


@case("save and load .keras")
def _(pair, tmp_path):
    both = pair().compile("adam", metrics=["mae"])
    both.fit()
    both.ours.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    same(loaded, both.ours)
    settings = {"shuffle": False, "verbose": 0, "batch_size": 8}
    histories = [model.fit(X, epochs=2, **settings).history for model in (loaded, both.ours)]
    assert histories[0] == histories[1], "optimizer, metrics and noise go on too"


@case("save and load uncompiled")
def _(pair, tmp_path):
    both = pair()
    both.ours.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    same(loaded, both.ours)
    assert not loaded.compiled


@case("save unzipped", both=False)
def _(pair, tmp_path):
    both = pair()
    both.ours.save(tmp_path / "folder", zipped=False)
    same(keras.saving.load_model(tmp_path / "folder"), both.ours)


for ending in (".weights.h5", ".weights.json"):

    @case(f"save and load weights {ending}")
    def _(pair, tmp_path, ending=ending):
        both, other = pair().compile(), pair()
        both.fit()
        sharded = {"max_shard_size": 0.001} if ending == ".weights.json" else {}
        both.ours.save_weights(tmp_path / f"some{ending}", **sharded)
        other.ours.load_weights(tmp_path / f"some{ending}")
        same(other.ours, both.ours)


@case("get_weights and set_weights")
def _(pair):
    both, other = pair().compile(), pair()
    both.fit()
    other.ours.set_weights(both.ours.get_weights())
    same(other.ours, both.ours)


@case("get_state_tree and set_state_tree")
def _(pair):
    model = pair().compile().ours
    before, tree = model.reconstruct(X), model.get_state_tree(value_format="numpy_array")
    assert {"trainable_variables", "non_trainable_variables"} <= set(tree)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    model.set_state_tree(tree)
    np.testing.assert_array_equal(model.reconstruct(X), before)


@case("encoder and decoder in files of their own")
def _(pair, tmp_path):
    both = pair()
    for part in ("encoder", "decoder"):
        getattr(both.ours, part).save(tmp_path / f"{part}.keras")
    loaded = {part: keras.saving.load_model(tmp_path / f"{part}.keras") for part in ("encoder", "decoder")}
    same(type(both.ours)(**loaded), both.ours)


@case("summary and count_params")
def _(pair):
    both, lines = pair(), []
    both.ours.summary(print_fn=lambda text, **others: lines.append(text))
    assert f"Total params: {both.ours.count_params():,}" in "".join(lines)
    extra = 2 if both.variational else 0  # beta and sigma
    assert both.ours.count_params() == both.reference.count_params() + extra
    assert len(both.ours.trainable_variables) == len(both.reference.trainable_variables)


@case("metrics start anew in each epoch", both=False)
def _(pair):
    model = pair().compile(lambda: keras.optimizers.SGD(0.0)).ours
    history = model.fit(X, epochs=3, verbose=0, shuffle=False).history
    assert history["loss"] == pytest.approx([history["loss"][0]] * 3, rel=1e-6)
    model.reset_metrics()
    assert [float(metric.result()) for metric in model.metrics] == [0, 0]


@case("losses are those of the last call")
def _(pair):
    model = pair(penalty=PENALTIES["activity_regularizer L2"]).ours
    for _ in range(2):
        model(X)
    assert len(model.losses) == (2 if model.is_variational else 1)


@case("export as SavedModel", both=False)
def _(pair, tmp_path):
    model = pair().ours
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")  # a name keeps its variables
    np.testing.assert_allclose(loaded.serve(tf.constant(X))["x_hat"], model.reconstruct(X), atol=1e-6)


@case("quantize to eight bits")
def _(pair):
    model = pair().ours
    before = model.reconstruct(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that layers without weights stay as they are
        model.quantize("int8")
    assert 0 < np.abs(model.reconstruct(X) - before).max() < 0.05


@case("part of another model")
def _(pair):
    model = pair().ours
    x = keras.Input((28, 28, 1))
    outer = keras.Model(x, model.encoder(x))
    found = outer.predict(X, verbose=0)
    np.testing.assert_allclose(found[0] if model.is_variational else found, model.code(X), atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_it_works_as_with_a_plain_keras_model(name, request):
    function, variational, conditions = CASES[name]
    if "needs" in conditions and importlib.util.find_spec(conditions["needs"]) is None:
        pytest.skip(f"{conditions['needs']} is no package of the course")
    keras.utils.set_random_seed(1)
    arguments = {"pair": lambda **options: Pair(variational, **options)}
    if "tmp_path" in function.__code__.co_varnames[: function.__code__.co_argcount]:
        arguments["tmp_path"] = request.getfixturevalue("tmp_path")
    function(**arguments)


# --------------------------------------------------------------------------------------------------
# Refused, with a sentence

LABELS = np.arange(24) % 10
BYTES = (255 * X).astype("uint8")
REFUSALS = {
    "compile loss": (lambda m: m.compile("sgd", loss="mse"), "this model has its own.*metrics="),
    "compile loss object": (lambda m: m.compile("sgd", keras.losses.MeanSquaredError()), "this model has its own"),
    "compile loss_weights": (lambda m: m.compile("sgd", loss_weights=[1.0]), "this model has its own"),
    "fit class_weight": (lambda m: m.fit(X, LABELS, class_weight={0: 2.0}), "sample_weight=weight_of_class"),
    "train_on_batch class_weight": (lambda m: m.train_on_batch(X, class_weight={0: 2.0}), "class_weight needs labels"),
    "fit labels": (lambda m: m.fit(X, LABELS), r"targets have shape \(24,\); expected \(n, 28, 28, 1\)"),
    "fit labels in a dataset": (lambda m: m.fit(tensors(X, LABELS)), "A target is an image: leave labels out"),
    "fit bytes": (lambda m: m.fit(BYTES), "images run from 0 to 25.; expected .* Divide grey levels by 255"),
    "fit bytes as floats": (lambda m: m.fit(BYTES.astype("float32")), "Divide grey levels by 255"),
    "fit bytes as targets": (lambda m: m.fit(X, BYTES), "targets run from 0 to 25."),
    "fit bytes in a dataset": (lambda m: m.fit(tensors(BYTES), verbose=0), "divide grey levels by 255"),
    "fit bytes in a sequence": (lambda m: m.fit(Sequence(BYTES), verbose=0), "divide grey levels by 255"),
    "fit bytes in a dataset of floats": (
        lambda m: m.fit(tensors(BYTES.astype("float32")), verbose=0),
        "divide grey levels by 255",
    ),
    "fit NaN": (lambda m: m.fit(np.where(X > 0.9, np.nan, X)), "images hold values that are not finite"),
    "fit NaN in a dataset": (lambda m: m.fit(tensors(np.where(X > 0.9, np.float32(np.nan), X))), "not finite"),
    "fit a little too much": (lambda m: m.fit(X * np.float32(1.00001) / X.max()), r"1\.00001.*np.clip\(images, 0, 1\)"),
    "fit from -1 to 1": (lambda m: m.fit(2 * X - 1), r"\(images \+ 1\) / 2"),
    "fit standardised": (lambda m: m.fit(4 * X - 2), "standardised"),
    "fit flat pixels": (lambda m: m.fit(X.reshape(24, 784)), r"images have shape \(24, 784\).*reshape"),
    "fit colours": (lambda m: m.fit(np.repeat(X, 3, axis=3)), r"images have shape \(24, 28, 28, 3\)"),
    "fit a list": (lambda m: m.fit(X.tolist()), "Unrecognized data type"),  # as plain Keras says
    "fit texts": (lambda m: m.fit(np.full((24, 28, 28, 1), "a")), "expected plain numbers"),
    "fit weights of pixels": (
        lambda m: m.fit(X, X, sample_weight=np.ones((24, 28, 28)), verbose=0),
        "expected one weight for each image",
    ),
    "fit validation bytes": (lambda m: m.fit(X, validation_data=(BYTES, BYTES)), "validation_data: targets run from 0"),
    "evaluate bytes": (lambda m: m.evaluate(BYTES), "Divide grey levels by 255"),
    "predict bytes": (lambda m: m.predict(BYTES), "Divide grey levels by 255"),
    "train_on_batch bytes": (lambda m: m.train_on_batch(BYTES), "Divide grey levels by 255"),
    "test_on_batch bytes": (lambda m: m.test_on_batch(BYTES), "Divide grey levels by 255"),
    "fit before compile": (lambda m: type(m)(m.encoder, m.decoder).fit(X), r"You must call `compile\(\)`"),
}


@pytest.mark.parametrize("variational", [False, True], ids=["autoencoder", "vae"])
@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_with_a_sentence(name, variational):
    action, words = REFUSALS[name]
    model = Pair(variational).ours
    model.compile("sgd", run_eagerly=True)
    before = model.get_weights()
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=f"(?s){words}"):
        action(model)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other, "nothing was trained")


def test_bytes_are_refused_in_a_graph_too():
    model = Pair(False).ours
    model.compile("sgd")
    with pytest.raises(tf.errors.InvalidArgumentError, match="divide grey levels by 255"):
        model.fit(tensors(BYTES.astype("float32")), verbose=0)


ENCODER, DECODER = parts(False)
SUBCLASS = type("Own", (keras.Model,), {"call": lambda self, x: x})
PARTS = {
    "no model": ((lambda x: x, DECODER), "encoder is a function; expected a Keras model"),
    "subclass": ((ENCODER, SUBCLASS()), "decoder is a Own whose layers cannot be looked through"),
    "three outputs": (
        (keras.Model(ENCODER.input, [ENCODER.output] * 3), DECODER),
        r"encoder gives \(2,\) and \(2,\) and \(2,\); expected z, one output",
    ),
    "another size": ((ENCODER, models.dense_decoder(3, ())), r"decoder takes \(3,\); the encoder gives codes \(2,\)"),
    "another image": (
        (ENCODER, keras.Sequential([keras.Input((2,)), keras.layers.Dense(9), keras.layers.Reshape((3, 3, 1))])),
        r"decoder gives \(3, 3, 1\); expected one image",
    ),
    "another input": (
        (keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]), DECODER),
        r"encoder takes \(32, 32, 3\); expected one image",
    ),
    "no x_hat": (
        (
            ENCODER,
            keras.Sequential(
                [keras.Input((2,)), keras.layers.Dense(784, "sigmoid"), keras.layers.Reshape((28, 28, 1))]
            ),
        ),
        'decoder ends in Reshape .*Activation."sigmoid", name="x_hat"',
    ),
    "pure half precision": ((parts(False, dtype="bfloat16")[0], DECODER), "keeps its weights in bfloat16"),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_do_not_fit_are_refused(name):
    (encoder, decoder), words = PARTS[name]
    with pytest.raises(ValueError, match=words):
        models.Autoencoder(encoder, decoder)


def test_vae_of_an_encoder_with_one_output_is_refused():
    with pytest.raises(ValueError, match=r"encoder gives \(2,\); expected z_mean and z_log_var, two outputs"):
        models.VAE(ENCODER, DECODER)


def test_sequential_parts_that_wait_for_their_first_input_are_built():
    encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    decoder = keras.Sequential(
        [
            keras.layers.Dense(784),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Activation("sigmoid", name="x_hat"),
        ]
    )
    model = models.Autoencoder(encoder, decoder)
    assert model.reconstruct(X).shape == X.shape and model.latent_dim == 2


def test_table_is_as_long_as_it_should_be():
    assert len(CASES) + 2 * len(REFUSALS) + len(PARTS) >= 120
