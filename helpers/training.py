"""Fit with progress, schedules, warm-up, resume, early stopping.

`fit` is the course's recipe on top of Keras' own ``compile`` and ``fit``: Adam, a learning rate
that warms up and then falls along a cosine, an optional warm-up of the KL, and a state file from
which an interrupted training goes on as if nothing had happened.
"""

import dataclasses
import difflib
import math
import numbers

import numpy as np

from helpers import course, models, wardrobe
from helpers.dataset import IMAGE_SHAPE, Dataset, Split, check_images, check_inputs
from helpers.machinery import fused, identity
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
        for name, least in (("epochs", 1), ("batch_size", 1), ("kl_warmup_epochs", 0), ("seed", 0), ("patience", 0)):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is {value!r}; expected a whole number from {least}.")
            object.__setattr__(self, name, int(value))  # numpy's numbers become Python's
        for name in ("learning_rate", "warmup_epochs", "kl_start"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} is {value!r}; expected a number from 0.")
            object.__setattr__(self, name, float(value))
        if not self.learning_rate:
            raise ValueError("learning_rate is 0; it must be positive.")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; choose 'cosine' or 'constant'.")
        if not isinstance(self.optimizer, str):
            raise ValueError(
                f"optimizer is a {type(self.optimizer).__name__}; give the name of one, such as 'adam', and its "
                "learning_rate. One of your own: model.compile(optimizer) and model.fit(images)."
            )

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
        targets: Split of as many images that stand beside them as targets; None gives none.
        transform: See `fit`.
        with_labels: Whether each batch of images comes with its labels, as one input.
    """

    num_batches = None  # without end: `fit` gets the number of steps of an epoch

    def __init__(self, images, batch_size, seed, first_epoch=0, targets=None, transform=None, with_labels=False):
        super().__init__()
        self.with_labels = with_labels
        self.split = images if isinstance(images, Split) else Split(images, np.zeros(len(images), np.int64))
        self.batch_size, self.seed, self.first_epoch = batch_size, seed, first_epoch
        self.targets, self.transform = targets, transform
        self.steps_per_epoch = math.ceil(len(images) / batch_size)
        self._epoch, self._order = None, None

    def __getitem__(self, index):
        rows = self.rows(index)
        images = self.split.take(rows)
        if self.transform is not None:
            epoch, step = divmod(int(index), self.steps_per_epoch)
            images = transformed(images, self.transform, (self.seed, self.first_epoch + epoch, step), self.targets)
        x = (images, self.split.labels[rows]) if self.with_labels else images
        return (x,) if self.targets is None else (x, self.targets.take(rows))

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
        a fifth of its time (a transform is Python, though); on other backends these batches themselves.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        def grouped(images, *more):
            """A batch as Keras takes it: images, then labels if there are any, then targets if there are any."""
            if not self.with_labels:
                return images, *more
            return (images, more[0]), *more[1:]

        if self.transform is not None:
            kinds = [tf.float32, *([tf.int64] if self.with_labels else []), *([tf.float32] if self.targets else [])]

            @tf.autograph.experimental.do_not_convert
            def changed(index):
                found = tf.numpy_function(lambda index: keras.tree.flatten(self[index]), [index], kinds)
                sizes = [IMAGE_SHAPE if kind == tf.float32 else () for kind in kinds]
                return grouped(*(tf.ensure_shape(x, (None, *size)) for x, size in zip(found, sizes, strict=True)))

            return tf.data.Dataset.counter().map(changed)

        size = self.batch_size
        stored = [self.split.stored, *([self.split.labels] if self.with_labels else [])]
        stored += [self.targets.stored] if self.targets else []
        sources = [tf.convert_to_tensor(source) for source in stored]
        # A table, because TensorFlow may turn a division by 255 into a product, which differs in the last bits.
        values = tf.constant(np.arange(256, dtype="float32") / 255)

        @tf.autograph.experimental.do_not_convert
        def batch(rows):
            found = [tf.gather(source, rows) for source in sources]
            return grouped(*(tf.gather(values, tf.cast(x, tf.int32)) if x.dtype == tf.uint8 else x for x in found))

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
            return steps.map(lambda step: batch(order[step * size : (step + 1) * size]))

        return orders.flat_map(batches)


def transformed(images, transform, seed, targets=None):
    """Images as a reader's function changes them, looked at before a model sees them.

    Args:
        images: Array, float32 (n, 28, 28, 1).
        transform: See `fit`.
        seed: Whole numbers that seed the generator handed to it.
        targets: None where the changed images are their own targets and have to stay in [0, 1].

    Returns:
        Array float32 (n, 28, 28, 1).

    Raises:
        ValueError: The function gives something else.
    """
    changed = transform(np.array(images), np.random.default_rng(seed))
    if np.shape(changed) != images.shape:
        raise ValueError(f"transform: it gives {np.shape(changed)} for images {images.shape}; the shape has to stay.")
    try:
        return check_images(changed) if targets is None else check_inputs(changed)
    except ValueError as error:
        raise ValueError(f"transform: {error}") from error


def fit(model, dataset, *, targets=None, transform=None, state=None, callbacks=(), verbose=True, **recipe):
    """Train a model on ``dataset.train`` and watch it on ``dataset.validation``.

    Afterwards the model is compiled as the reader had compiled it before or, if not at all, with the recipe's optimizer
    and the constant ``learning_rate``, so that Keras' own ``fit`` goes on learning.

    Args:
        model: A `models.Autoencoder`, a `models.VAE` or a `models.ConditionalVAE`, which is given the labels too.
        dataset: A `data.Dataset`.
        targets: A `data.Dataset` of what is to be given back, image for image; None takes the images themselves.
        transform: Function of (images float32 (n, 28, 28, 1), `numpy.random.Generator`) that returns changed images. It
            is called with each batch of each epoch anew. Without targets a changed image is its own target (that is
            augmentation) and validation images stay as they are. With targets they are changed too, once, with one
            seed: ``targets=dataset`` and a transform that adds noise make a denoising autoencoder (Vincent et al.,
            2008).
        state: Path of a state file. It is written after each epoch; if it exists, training goes on from it. With the
            same arguments the outcome is the same, bit for bit, as without the interruption. None keeps no state.
        callbacks: Further Keras callbacks. They are not part of the state. Between two calls of ``on_train_batch_end``
            lie up to 50 steps.
        verbose: Whether to show progress.
        **recipe: Fields of `Recipe`, such as ``epochs=10``.

    Returns:
        History, a dict of lists with one float for each epoch: "loss", "val_loss", and for a VAE also "reconstruction",
        "kl", "negative_elbo" (with "val_" twins) and "beta"; for an autoencoder "mse" and "val_mse".

    Raises:
        ValueError: An argument is out of range, images are not those of `dataset.check_images`, or the transform
            returns something else.
        files.DamagedFile: The state file is damaged, or belongs to another training; the text says what differs.
        files.UnwritableFile: The state file cannot be written.
        FloatingPointError: The loss became NaN or infinite.
    """
    recipe = _recipe(recipe)
    if not isinstance(model, (models.Autoencoder, models.VAE)):
        raise ValueError(f"model is a {type(model).__name__}; expected a models.Autoencoder or a models.VAE.")
    if recipe.kl_warmup_epochs and not model.is_variational:
        raise ValueError("kl_warmup_epochs is for a VAE; an autoencoder's loss has no KL.")
    callbacks = _callbacks(callbacks, recipe)
    check_splits(dataset)
    if model.is_conditional:
        _check_labels(model, dataset)
    validation = _validation(model, dataset, targets, transform, recipe)
    memory = State(model, recipe, state, lambda: _description(model, dataset, targets, transform))
    first = memory.open()
    batches = Batches(
        dataset.train,
        recipe.batch_size,
        recipe.seed,
        first,
        None if targets is None else targets.train,
        transform,
        model.is_conditional,
    )
    steps = batches.steps_per_epoch
    compile_again = model.compile_again or (lambda: model.compile(_constant_optimizer(recipe)))
    several = keras.backend.backend() != "torch"  # where Keras takes one step at a time
    model.pixels_are_checked = True
    model.compile(
        optimizer=_optimizer(recipe, steps),
        steps_per_execution=steps_per_call(steps, limit=16 if _has_convolutions(model) else 50) if several else 1,
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
                validation_data=validation,
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
        model.pixels_are_checked = False
        compile_again()
        course.give_back_memory()
    return memory.history


def _recipe(fields):
    """The `Recipe` of some fields, or a ValueError that says which of them there is not."""
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise ValueError(f"training has no argument {name!r}; {hint}")
    return Recipe(**fields)


def _callbacks(callbacks, recipe):
    """Callbacks as a list; those that set the learning rate need one that can be set."""
    callbacks = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"callbacks holds a {type(callback).__name__}; expected Keras callbacks.")
        sets_rate = isinstance(callback, (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler))
        if sets_rate and recipe.schedule != "constant":
            raise ValueError(
                f"{type(callback).__name__} sets the learning rate, which a cosine schedule sets too. "
                "Give schedule='constant' beside it."
            )
    return callbacks


def _check_labels(model, dataset):
    """See that a conditional model knows the classes of all images."""
    for part in ("train", "validation"):
        labels = getattr(dataset, part).labels
        if labels.min() < 0 or labels.max() >= model.classes:
            raise ValueError(
                f"{part}: labels run from {labels.min()} to {labels.max()}; this model knows the classes 0 to "
                f"{model.classes - 1}."
            )


def _validation(model, dataset, targets, transform, recipe):
    """What Keras' fit watches: validation images, with their targets where there are any."""
    if transform is not None and not callable(transform):
        raise ValueError(f"transform is a {type(transform).__name__}; expected a function of images and a generator.")
    if transform is not None:
        few = dataset.train.take(np.arange(min(recipe.batch_size, len(dataset.train))))
        once, twice = (transformed(few, transform, (recipe.seed, 0, 0), targets) for _ in range(2))
        if not np.array_equal(once, twice):
            raise ValueError(
                "transform: called twice with equal generators it gives different images, so no training could be "
                "repeated. Take all chance from its second argument."
            )
    labels = dataset.validation.labels
    if targets is None:
        return ((dataset.validation.images, labels) if model.is_conditional else dataset.validation.images,)
    check_splits(targets, "targets")
    for part in ("train", "validation"):
        wanted, found = len(getattr(dataset, part)), len(getattr(targets, part))
        if wanted != found:
            raise ValueError(f"targets.{part} has {found:,} images; expected one for each of the {wanted:,} images.")
    images = dataset.validation.images
    if transform is not None:
        images = transformed(images, transform, (recipe.seed, 2**31), targets)
    return (images, labels) if model.is_conditional else images, targets.validation.images


def _description(model, dataset, targets, transform):
    """Which images a training sees and what is done with them, as a dict that JSON can hold."""
    sets = {"images": dataset} | ({"targets": targets} if targets is not None else {})
    found = {name: {part: getattr(of, part).digest for part in ("train", "validation")} for name, of in sets.items()}
    if model.is_conditional:
        found["labels"] = {part: identity.digest(getattr(dataset, part).labels) for part in ("train", "validation")}
    if transform is not None:
        try:
            found["transform"] = identity.of_function(transform)
        except ValueError as error:
            raise ValueError(f"No state can be kept with this transform: {error}") from error
    return {"train": len(dataset.train), "validation": len(dataset.validation), **found}


def check_splits(dataset, name="dataset"):
    """See that there are images to train on and to watch, all of them with values in [0, 1].

    Args:
        dataset: A `data.Dataset`.
        name: Its name in an error.

    Raises:
        ValueError: It is no data set, or has no such images; the text names the split.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(f"{name} is a {type(dataset).__name__}; expected a data.Dataset, such as data.load().")
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


def _constant_optimizer(recipe):
    return keras.optimizers.get({"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate}})


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
