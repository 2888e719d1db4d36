"""Fit with progress, schedules, warm-up, resume, early stopping.

`fit` is the course's recipe on top of Keras' own ``compile`` and ``fit``: Adam, a learning rate
that warms up and then falls along a cosine, an optional warm-up of the KL, and a state file from
which an interrupted training goes on as if nothing had happened.
"""

import dataclasses
import math

import numpy as np

from helpers import course, wardrobe
from helpers.dataset import Split, check_images
from helpers.machinery import fused
from helpers.machinery.backend import keras, ops
from helpers.machinery.interrupts import Interrupts
from helpers.machinery.progress import TrainingProgress
from helpers.machinery.state import State


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train: everything that, with model and data, decides the outcome.

    Args:
        epochs: Number of passes over the training images.
        batch_size: Number of images in a step.
        optimizer: Name of a Keras optimizer.
        learning_rate: Largest value of the learning rate.
        schedule: Either "cosine" (down to a hundredth at the last step) or "constant".
        warmup_epochs: Number of epochs over which a cosine schedule first rises; may be a fraction.
        kl_warmup_epochs: Number of epochs over which beta rises in equal steps to the model's own. VAE only.
        kl_start: Value of beta in the first of those epochs, as a share of the model's own. From exactly 0 the code
            first grows without bound and then collapses under the KL.
        patience: Number of epochs without a better validation loss after which training stops and goes back to the best
            weights; None trains to the end. For a VAE the loss watched is the negative ELBO at beta = 1, and nothing is
            watched before the KL warm-up is over.
        seed: Seeds the order of the images.
    """

    epochs: int = 5
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    kl_warmup_epochs: int = 0
    kl_start: float = 0.05
    patience: int | None = None
    seed: int = 1

    def __post_init__(self):
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; choose 'cosine' or 'constant'.")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs ({self.epochs}) and batch_size ({self.batch_size}) must be at least 1.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be positive.")

    def rate(self, steps_per_epoch):
        """The learning rate as Keras wants it: a float, or a schedule over steps."""
        if self.schedule == "constant":
            return self.learning_rate
        total = self.epochs * steps_per_epoch
        rising = min(round(self.warmup_epochs * steps_per_epoch), total // 2)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=self.learning_rate / 20 if rising else self.learning_rate,
            decay_steps=max(total - rising, 1),
            alpha=0.01,
            warmup_target=self.learning_rate if rising else None,
            warmup_steps=rising,
        )


def recipe_on(slug, recipe):
    """A recipe as used on a data set: the drawn wardrobe, a stand-in, gets a third of the epochs.

    Args:
        slug: The `Dataset.slug` of the data.
        recipe: Fields of `Recipe`, a dict.

    Returns:
        Fields of `Recipe`, a dict.
    """
    if slug != wardrobe.SLUG:
        return recipe
    return {key: -(-value // 3) if key in ("epochs", "kl_warmup_epochs") else value for key, value in recipe.items()}


class Batches(keras.utils.PyDataset):
    """Shuffled batches of images without end; each epoch's order depends on seed and epoch alone.

    That is what lets a resumed training see the same images in the same order.

    Args:
        images: Array, float32 (n, 28, 28, 1), or a `dataset.Split`.
        batch_size: Number of images in a batch; the last of an epoch may be smaller.
        seed: Seeds the order of the images.
        first_epoch: Epoch at which batch 0 begins.
    """

    num_batches = None  # without end: `fit` gets the number of steps of an epoch

    def __init__(self, images, batch_size, seed, first_epoch=0):
        super().__init__()
        self.split = images if isinstance(images, Split) else Split(images, np.zeros(len(images), np.int64))
        self.batch_size, self.seed, self.first_epoch = batch_size, seed, first_epoch
        self.steps_per_epoch = math.ceil(len(images) / batch_size)
        self._epoch, self._order = None, None

    def __getitem__(self, index):
        return (self.split.take(self.rows(index)),)

    def rows(self, index):
        """Rows of the images of a batch, int64 (m,)."""
        epoch, step = divmod(index, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        return self._order[step * self.batch_size : (step + 1) * self.batch_size]

    def order(self, epoch):
        """Rows of the images in the order of an epoch, counted from the first: int64 (n,)."""
        return np.random.default_rng([self.seed, self.first_epoch + epoch]).permutation(len(self.split))

    def for_fit(self):
        """The same batches in the form that ``fit`` takes fastest.

        On TensorFlow a ``tf.data.Dataset`` that gathers them without Python between two steps, which saves a small net
        a fifth of its time; on other backends these batches themselves.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        size, stored = self.batch_size, tf.convert_to_tensor(self.split.stored)
        # A table, because TensorFlow may turn a division by 255 into a product, which differs in the last bits.
        values = tf.constant(np.arange(256, dtype="float32") / 255)

        @tf.autograph.experimental.do_not_convert
        def batch(rows):
            found = tf.gather(stored, rows)
            return tf.gather(values, tf.cast(found, tf.int32)) if stored.dtype == tf.uint8 else found

        @tf.autograph.experimental.do_not_convert
        def order(epoch):
            rows = tf.numpy_function(self.order, [epoch], tf.int64)
            return tf.ensure_shape(rows, len(self.split))

        # Not from_generator, whose operation sets the C library to ask the system anew for each piece of 128 KB or more
        # (findings/tensorflow_generator_slows_numpy.sh).
        orders = tf.data.Dataset.counter().map(order)

        @tf.autograph.experimental.do_not_convert
        def batches(order):
            steps = tf.data.Dataset.range(self.steps_per_epoch)
            return steps.map(lambda step: (batch(order[step * size : (step + 1) * size]),))

        return orders.flat_map(batches)


def fit(model, dataset, *, state=None, callbacks=(), verbose=True, **recipe):
    """Train a model on ``dataset.train`` and watch it on ``dataset.validation``.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        dataset: A `data.Dataset`.
        state: Path of a state file. It is written after each epoch; if it exists, training goes on from it. With the
            same arguments the outcome is the same, bit for bit, as without the interruption. None keeps no state.
        callbacks: Further Keras callbacks. They are not part of the state.
        verbose: Whether to show progress.
        **recipe: Fields of `Recipe`, such as ``epochs=10``.

    Returns:
        History, a dict of lists with one float for each epoch: "loss", "val_loss", and for a VAE also "reconstruction",
        "kl", "negative_elbo" (with "val_" twins) and "beta"; for an autoencoder "mse" and "val_mse".

    Raises:
        ValueError: An argument is out of range, or images are not those of `dataset.check_images`.
        files.DamagedFile: The state file is damaged, or belongs to another model or recipe.
        files.UnwritableFile: The state file cannot be written.
        FloatingPointError: The loss became NaN or infinite.
    """
    recipe = Recipe(**recipe)
    check_splits(dataset)
    memory = State(model, recipe, len(dataset.train), state)
    first = memory.open()
    batches = Batches(dataset.train, recipe.batch_size, recipe.seed, first)
    steps = batches.steps_per_epoch
    model.compile(
        optimizer=_optimizer(recipe, steps),
        steps_per_execution=steps_per_call(steps, limit=16 if _has_convolutions(model) else 50),
        jit_compile=False,
    )
    stop = _early_stopping(model, recipe)
    beta = float(ops.convert_to_numpy(model.beta)) if model.is_variational else None
    try:
        with Interrupts() as interrupts:
            model.fit(
                batches.for_fit(),
                epochs=recipe.epochs,
                initial_epoch=first,
                steps_per_epoch=steps,
                shuffle=False,  # the batches come shuffled
                validation_data=(dataset.validation.images,),
                validation_batch_size=500,
                callbacks=[
                    *([_KLWarmUp(recipe, beta)] if model.is_variational else []),
                    _NoNaN(),
                    *callbacks,
                    *([stop] if stop else []),
                    memory.callback(stop),
                    *([TrainingProgress(recipe.epochs, steps)] if verbose else []),
                    interrupts,
                ],
                verbose=0,
            )
    finally:
        if model.is_variational:
            model.beta.assign(beta)  # also where the reader interrupts a warm-up
        course.give_back_memory()
    return memory.history


def check_splits(dataset):
    """See that there are images to train on and to watch, all of them with values in [0, 1].

    Raises:
        ValueError: There are no such images; the text names the split.
    """
    for part in ("train", "validation"):
        split = getattr(dataset, part)
        if not len(split):
            raise ValueError(f"{part}: there are no images in this split.")
        try:
            if split.stored.dtype == np.float32:  # levels are right by their type
                check_images(split.images)
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from error


def steps_per_call(steps, limit):
    """Steps for TensorFlow to do in one call, which saves Python's share; interrupts wait for its end.

    Args:
        steps: Number of steps of an epoch, which calls must divide exactly.
        limit: Largest number of steps that can be waited for; larger where a step is short.

    Returns:
        An int from 1 to ``limit``.
    """
    return max(k for k in range(1, limit + 1) if steps % k == 0)


def _has_convolutions(model):
    return any(isinstance(layer, keras.layers.Conv2D) for layer in model.encoder.layers)


def _optimizer(recipe, steps):
    """The recipe's optimizer for epochs of so many steps."""
    if recipe.optimizer == "adam":
        return fused.Adam(recipe.rate(steps))
    return keras.optimizers.get({"class_name": recipe.optimizer, "config": {"learning_rate": recipe.rate(steps)}})


class Snapshots(keras.callbacks.Callback):
    """Decode the same codes before training and after some epochs; hand it to `fit` in ``callbacks``.

    Args:
        z: Codes, (n, latent_dim).
        epochs: Numbers of the epochs after which to decode, counted from 1.

    Attributes:
        rows: Dict of label ("untrained", "epoch 1", ...) to images (n, 28, 28, 1), as `plotting.plot_rows` takes it.
    """

    def __init__(self, z, epochs):
        super().__init__()
        self.z, self.epochs, self.rows = z, set(epochs), {}

    def on_train_begin(self, logs=None):
        self.rows["untrained"] = self.model.decode(self.z)

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs:
            self.rows[f"epoch {epoch + 1}"] = self.model.decode(self.z)


def _early_stopping(model, recipe):
    if recipe.patience is None:
        return None
    return keras.callbacks.EarlyStopping(
        monitor="val_negative_elbo" if model.is_variational else "val_loss",
        mode="min",
        patience=recipe.patience,
        restore_best_weights=True,
        start_from_epoch=recipe.kl_warmup_epochs if model.is_variational else 0,
    )


class _KLWarmUp(keras.callbacks.Callback):
    """Raise beta from epoch to epoch. It is constant within one, so logged parts add up exactly."""

    def __init__(self, recipe, target):
        super().__init__()
        self.recipe, self.target = recipe, target

    def on_epoch_begin(self, epoch, logs=None):
        share = 1.0
        if epoch < self.recipe.kl_warmup_epochs:
            start = self.recipe.kl_start
            share = start + (1 - start) * epoch / self.recipe.kl_warmup_epochs
        self.model.beta.assign(share * self.target)

    def on_epoch_end(self, epoch, logs=None):
        logs["beta"] = float(ops.convert_to_numpy(self.model.beta))


class _NoNaN(keras.callbacks.Callback):
    """End with a clear error as soon as an epoch's loss is not a number."""

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss became {logs['loss']} in epoch {epoch + 1}. "
                "Lower learning_rate, lengthen warmup_epochs, or check that the images lie in [0, 1]."
            )
