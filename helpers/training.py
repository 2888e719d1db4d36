"""Fit with progress, schedules, warm-up, resume, early stopping.

`fit` is the course's recipe on top of Keras' own ``compile`` and ``fit``: Adam, a learning rate
that warms up and then falls along a cosine, an optional warm-up of the KL, and a state file from
which an interrupted training goes on as if nothing had happened.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import signal
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from helpers import course, files, fused, models


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train: everything that, with model and data, decides the outcome.

    Args:
        epochs: passes over the training images.
        batch_size: images a step.
        optimizer: name of a Keras optimizer.
        learning_rate: its largest value.
        schedule: "cosine" (down to a hundredth at the last step) or "constant".
        warmup_epochs: epochs over which a cosine schedule first rises; may be a fraction.
        kl_warmup_epochs: VAE only: epochs over which beta rises in equal steps to the model's own.
        kl_start: beta of the first of those epochs, as a share of the model's own. From exactly 0
            the code first grows without bound and then collapses under the KL.
        patience: stop after so many epochs without a better validation loss and go back to the
            best weights; None trains to the end. For a VAE the loss watched is the negative ELBO
            at beta = 1, and nothing is watched before the KL warm-up is over.
        seed: of the order of the images.
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


class Batches(keras.utils.PyDataset):
    """Shuffled batches of images without end; each epoch's order depends on seed and epoch alone.

    That is what lets a resumed training see the same images in the same order.

    Args:
        images: float32 (n, 28, 28, 1).
        batch_size: images a batch; the last of an epoch may be smaller.
        seed: of the order.
        first_epoch: epoch at which batch 0 begins.
    """

    num_batches = None  # without end: `fit` is told the steps of an epoch

    def __init__(self, images, batch_size, seed, first_epoch=0):
        super().__init__()
        self.images, self.batch_size, self.seed, self.first_epoch = images, batch_size, seed, first_epoch
        self.steps_per_epoch = math.ceil(len(images) / batch_size)
        self._epoch, self._order = None, None

    def __getitem__(self, index):
        epoch, step = divmod(index, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        return (self.images[self._order[step * self.batch_size : (step + 1) * self.batch_size]],)

    def order(self, epoch):
        """Rows of the images in the order of an epoch, counted from the first: int64 (n,)."""
        return np.random.default_rng([self.seed, self.first_epoch + epoch]).permutation(len(self.images))

    def for_fit(self):
        """The same batches in the form that ``fit`` takes fastest.

        On TensorFlow a ``tf.data.Dataset`` that gathers them without Python between two steps, which saves a small net
        a fifth of its time; on other backends these batches themselves.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        images, size = tf.convert_to_tensor(self.images), self.batch_size
        orders = tf.data.Dataset.from_generator(
            lambda: map(self.order, itertools.count()), output_signature=tf.TensorSpec(len(images), tf.int64)
        )
        return orders.flat_map(
            lambda order: tf.data.Dataset.range(self.steps_per_epoch).map(
                lambda step: (tf.gather(images, order[step * size : (step + 1) * size]),)
            )
        )


def fit(model, wear, *, state=None, callbacks=(), verbose=True, **recipe):
    """Train a model on ``wear.train`` and watch it on ``wear.validation``.

    Args:
        model: `models.Autoencoder` or `models.VAE`.
        wear: `data.Dataset`.
        state: path of a state file. It is written after each epoch; if it exists, training goes on
            from it. With the same arguments the outcome is the same, bit for bit, as without the
            interruption. None keeps no state.
        callbacks: further Keras callbacks. They are not part of the state.
        verbose: show progress.
        **recipe: fields of `Recipe`, such as ``epochs=10``.

    Returns:
        History: dict of lists, one float an epoch: "loss", "val_loss", and for a VAE also
        "reconstruction", "kl", "negative_elbo" (with "val_" twins) and "beta"; for an autoencoder
        "mse" and "val_mse".

    Raises:
        ValueError: an argument out of range, or images that are not those of `models.check_images`.
        files.DamagedFile: the state file is damaged, or belongs to another model or recipe.
        files.UnwritableFile: the state file cannot be written.
        FloatingPointError: the loss became NaN or infinite.
    """
    recipe = Recipe(**recipe)
    check_splits(wear)
    memory = _Memory(model, recipe, len(wear.train), state)
    first = memory.open()
    batches = Batches(wear.train.images, recipe.batch_size, recipe.seed, first)
    steps = batches.steps_per_epoch
    model.compile(
        optimizer=_optimizer(recipe, steps),
        steps_per_execution=steps_a_call(steps, most=16 if _has_convolutions(model) else 50),
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
                validation_data=(wear.validation.images,),
                validation_batch_size=500,
                callbacks=[
                    *([_KLWarmUp(recipe, beta)] if model.is_variational else []),
                    _NoNaN(),
                    *callbacks,
                    *([stop] if stop else []),
                    memory.callback(stop),
                    *([_Progress(recipe.epochs, steps)] if verbose else []),
                    interrupts,
                ],
                verbose=0,
            )
    finally:
        if model.is_variational:
            model.beta.assign(beta)  # also where the reader interrupts a warm-up
    return memory.history


def check_splits(wear):
    """See that there are images to train on and to watch, all of them with values in [0, 1].

    Raises:
        ValueError: there are not; the text names the split.
    """
    for part in ("train", "validation"):
        images = getattr(wear, part).images
        if not len(images):
            raise ValueError(f"{part}: there are no images in this split.")
        try:
            models.check_images(images)
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from error


def steps_a_call(steps, most):
    """Steps for TensorFlow to do in one call, which saves Python's share; interrupts wait for its end.

    Args:
        steps: of an epoch, which calls must divide exactly.
        most: as many as can be waited for: more where a step is short.

    Returns:
        int from 1 to ``most``.
    """
    return max(k for k in range(1, most + 1) if steps % k == 0)


def _has_convolutions(model):
    return any(isinstance(layer, keras.layers.Conv2D) for layer in model.encoder.layers)


def _optimizer(recipe, steps):
    """The recipe's optimizer for epochs of so many steps."""
    if recipe.optimizer == "adam":
        return fused.Adam(recipe.rate(steps))
    return keras.optimizers.get({"class_name": recipe.optimizer, "config": {"learning_rate": recipe.rate(steps)}})


class Interrupts(keras.callbacks.Callback):
    """Lets an interrupt (Ctrl-C, Jupyter's stop) wait until TensorFlow has come back from a call.

    One that arrives while TensorFlow hands over its results can destroy the process's memory: the kernel dies, and all
    that was in it is lost. A second one is not kept waiting. Both a callback for ``fit`` and a context manager around
    it. Outside Python's main thread, to which interrupts go, it does nothing.
    """

    def __enter__(self):
        self.waits, self.usual = False, None
        usual = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(usual):
            signal.signal(signal.SIGINT, self.wait)
            self.usual = usual
        return self

    def __exit__(self, kind, error, traceback):
        if self.usual is not None:
            signal.signal(signal.SIGINT, self.usual)
        if kind is None:
            self.deliver()

    def wait(self, number, frame):
        if self.waits:
            self.deliver()
        else:
            self.waits = True

    def deliver(self):
        if self.waits:
            self.waits = False
            self.usual(signal.SIGINT, None)

    def on_train_batch_end(self, step, logs=None):
        self.deliver()

    def on_test_batch_end(self, step, logs=None):
        self.deliver()


class Snapshots(keras.callbacks.Callback):
    """Decode the same codes before training and after some epochs; hand it to `fit` in ``callbacks``.

    Args:
        z: codes, (n, latent_dim).
        epochs: numbers of the epochs after which to look, counted from 1.

    Attributes:
        rows: dict of label ("untrained", "epoch 1", ...) to images (n, 28, 28, 1), as
            `plotting.plot_rows` takes it.
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


_REMEDY = "Delete it to train from the beginning."


class _Memory:
    """History of a training and, where a path is given, its state file."""

    def __init__(self, model, recipe, images, path):
        self.model, self.recipe = model, recipe
        self.path = Path(path) if path else None
        self.history = {}
        # Shapes alone would let a relu net's state into a tanh net; configurations do not.
        configuration = json.dumps(
            [dataclasses.asdict(recipe), images, model.encoder.get_config(), model.decoder.get_config()],
            sort_keys=True,
            default=str,
        )
        self.key = hashlib.sha256(configuration.encode()).hexdigest()
        self.stored = self.about = None

    def open(self):
        """Read the state file if there is one; return the epoch to begin with."""
        if self.path is None or not self.path.exists():
            return 0
        # The weights, the best ones, at most four arrays of their size that an optimizer keeps, and the history.
        weights = 4 * sum(math.prod(variable.shape) for variable in self.model.variables)
        self.stored = files.read_arrays(self.path, _REMEDY, most=6 * weights + (1 << 25))
        try:
            self.about = json.loads(str(self.stored.get("about", "{}")))
            if self.about.get("key") == self.key:
                self.check_about()
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.damaged() from error
        if self.about.get("key") != self.key:
            raise files.DamagedFile(
                f"{self.path.name} was written by another model, data set or recipe. Delete it to train anew."
            )
        self.history = self.about["history"]
        # Keras looks at stop_training only after some steps, so a stopped training is given no epoch at all.
        return self.recipe.epochs if self.about.get("stop", {}).get("stopped") else self.about["epoch"]

    def check_about(self):
        """Raise one of many errors if what is said beside the arrays cannot be."""
        epoch, history, stop = self.about["epoch"], self.about["history"], self.about.get("stop")
        whole = type(epoch) is int and 1 <= epoch <= self.recipe.epochs and len(history["loss"]) == epoch
        for column in history.values():
            whole &= type(column) is list and len(column) <= epoch and {type(value) for value in column} <= {float}
        whole &= (stop is None) == (self.recipe.patience is None)
        if stop is not None:
            kinds = [type(stop[name]) for name in ("wait", "best_epoch", "stopped")]
            whole &= kinds == [int, int, bool] and type(stop["best"]) in (float, type(None))
        if not whole:
            raise ValueError("it contradicts itself")

    def damaged(self):
        return files.DamagedFile(f"{self.path.name} is damaged: its parts do not fit each other. {_REMEDY}")

    def variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def callback(self, stop):
        memory = self

        class Memory(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                memory.model.optimizer.build(memory.model.trainable_variables)
                if memory.stored is not None:
                    memory.restore(stop)

            def on_epoch_end(self, epoch, logs=None):
                for name, value in logs.items():
                    memory.history.setdefault(name, []).append(float(value))
                if memory.path is not None:
                    memory.save(epoch + 1, stop)

        return Memory()

    def save(self, epoch, stop):
        about = {"key": self.key, "epoch": epoch, "history": self.history}
        arrays = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(self.variables())}
        if stop is not None:
            about["stop"] = {
                "wait": stop.wait,
                "best_epoch": stop.best_epoch,
                "best": stop.best,
                "stopped": self.model.stop_training,
            }
            arrays |= {f"b{i}": w for i, w in enumerate(stop.best_weights or [])}
        files.write_arrays(self.path, {"about": np.array(json.dumps(about, default=float)), **arrays})

    def restore(self, stop):
        """Put what was stored into model, optimizer and early stopping, all or none."""
        wanted = {f"v{i}": variable for i, variable in enumerate(self.variables())}
        best = {}
        if stop is not None and "b0" in self.stored:
            best = {f"b{i}": variable for i, variable in enumerate(self.model.weights)}
        found = {name: (array.shape, array.dtype) for name, array in self.stored.items() if name != "about"}
        if found != {name: (tuple(v.shape), np.dtype(v.dtype)) for name, v in (wanted | best).items()}:
            raise self.damaged()
        for name, variable in wanted.items():
            variable.assign(self.stored[name])
        if stop is not None:
            kept = self.about["stop"]
            stop.wait, stop.best_epoch, stop.best = (kept[name] for name in ("wait", "best_epoch", "best"))
            stop.best_weights = [self.stored[name] for name in best] or None


class _Progress(keras.callbacks.Callback):
    """One line an epoch, and a bar with the time left while it runs; notebook and terminal alike."""

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.lines, self.handle, self.shown = [], None, 0.0

    def on_train_begin(self, logs=None):
        self.began, self.done, self.first = time.monotonic(), 0, None
        self.tty = sys.stderr.isatty()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.first = epoch if self.first is None else self.first

    def on_train_batch_end(self, step, logs=None):
        self.done = (self.epoch - self.first) * self.steps + step + 1
        if time.monotonic() - self.shown > 0.25:
            self.show(self.bar(step + 1, logs))

    def bar(self, step, logs):
        total = (self.epochs - self.first) * self.steps
        left = (time.monotonic() - self.began) / self.done * (total - self.done)
        filled = 20 * step // self.steps
        bar = "█" * filled + "░" * (20 - filled)
        return f"epoch {self.epoch + 1:>3}/{self.epochs} {bar} loss {logs['loss']:.2f} · {clock(left)} left"

    def on_epoch_end(self, epoch, logs=None):
        words = [f"epoch {epoch + 1:>3}/{self.epochs}"]
        if "kl" in logs:
            words += [
                f"reconstruction {logs['reconstruction']:7.2f}",
                f"KL {logs['kl']:6.2f}",
                f"beta {logs['beta']:4.2f}",
            ]
            words += [f"validation {logs['val_negative_elbo']:7.2f}"]
        else:
            words += [f"loss {logs['loss']:7.2f}", f"MSE {logs['mse']:.5f}", f"validation {logs['val_mse']:.5f}"]
        line = " · ".join(words)
        self.lines.append(line)
        if course.in_notebook():
            self.show("")
        else:
            left = (time.monotonic() - self.began) / (epoch + 1 - self.first) * (self.epochs - epoch - 1)
            print(("\r\033[K" if self.tty else "") + f"{line} · {clock(left)} left", file=sys.stderr, flush=True)

    def show(self, bar):
        self.shown = time.monotonic()
        if not course.in_notebook():
            if self.tty and bar:
                print(f"\r\033[K{bar}", end="", file=sys.stderr, flush=True)
            return
        from IPython.display import display

        text = "\n".join([*self.lines, bar] if bar else self.lines)
        if self.handle is None:
            self.handle = display(_Plain(text), display_id=True)
        else:
            self.handle.update(_Plain(text))


class _Plain:
    """Text that a notebook shows as it is."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def clock(seconds):
    """Seconds as people say them: ``"8 s"``, ``"3 min"``, ``"1 h 20 min"``."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
