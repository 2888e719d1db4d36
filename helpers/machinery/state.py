"""The state file of a training: from it an interrupted one goes on, bit for bit."""

import dataclasses
import hashlib
import json
import math
import weakref

import numpy as np

from helpers import course
from helpers.machinery import files
from helpers.machinery.backend import keras, ops
from helpers.machinery.identity import differences, digest

_REMEDY = "Delete it to train from the beginning."


# The weights with which a model began the training of a state file: a cell that is run again after an interruption
# brings a model that has been trained in part.
_BEGINNINGS = weakref.WeakKeyDictionary()


def _without_names(config):
    """A model's configuration with its layers numbered: Keras counts names up, so a cell that runs again has others."""
    numbers = {}

    def number(value):
        # A layer of a reader's own may keep a number of layers, or anything, under Keras' words.
        if isinstance(value, dict) and isinstance(value.get("layers"), list):
            inner = [layer.get("config") for layer in value["layers"] if isinstance(layer, dict)]
            for part in [*inner, value]:
                if isinstance(part, dict) and isinstance(part.get("name"), str):
                    numbers.setdefault(part["name"], f"layer {len(numbers)}")
        for item in _items(value):
            number(item)

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    number(config)
    return renamed(config)


def _items(value):
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


class State:
    """History of a training and, where a path is given, its state file.

    Args:
        model: A model of the course.
        recipe: A `training.Recipe`.
        path: Path of the state file; None keeps no state.
        data: Function that describes images, targets and what is done with them, as a dict that JSON can hold. It is
            called where a state is kept.
    """

    def __init__(self, model, recipe, path, data=dict):
        self.model, self.recipe = model, recipe
        self.path = course.path_of(path) if path else None
        self.history = {}
        self.stored = self.about = None
        # All that decides the outcome; shapes alone would let a relu net's state into a tanh net.
        self.identity = self._identity(data()) if path else None

    def _identity(self, data):
        try:
            config = self.model.get_config()
        except NotImplementedError as error:
            raise ValueError(
                f"No state can be kept of this model, because a layer does not say how it was made ({error}). "
                "Give that layer a get_config, or train without state."
            ) from error
        config.pop("name")
        if getattr(self.model, "likelihood", None) == "optimal_gaussian":
            config.pop("sigma")  # it is learned; where it begins is among the first weights
        identity = {
            "recipe": dataclasses.asdict(self.recipe),
            "model": {"kind": type(self.model).__name__, **config},
            "data": data,
            "first weights": self._first_weights(),
            "versions": {"keras": keras.__version__, "backend": keras.backend.backend()},
        }
        identity = json.loads(json.dumps(identity, default=str))
        return identity | {"model": _without_names(identity["model"])}

    def _first_weights(self):
        beginnings, path = _BEGINNINGS.setdefault(self.model, {}), self.path.resolve()
        if path not in beginnings or not path.exists():
            digests = [digest(array) for array in self.model.weight_arrays().values()]
            beginnings[path] = hashlib.sha256("".join(digests).encode()).hexdigest()
        return beginnings[path]

    def open(self):
        """Read the state file if there is one; return the epoch to begin with."""
        if self.path is None or not self.path.exists():
            return 0
        # The weights, the best ones, at most four arrays of their size that an optimizer keeps, and the history.
        weights = 4 * sum(math.prod(variable.shape) for variable in self.model.variables)
        self.stored = files.read_arrays(self.path, _REMEDY, max_bytes=6 * weights + (1 << 25))
        try:
            self.about = json.loads(str(self.stored.get("about", "{}")))
            different = differences(self.about.get("identity"), self.identity)
            if not different:
                self.check_about()
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.damaged() from error
        if different:
            raise files.DamagedFile(
                f"{self.path.name} was written by another training: {'; '.join(different)}. "
                "Delete it to train again, or name another file."
            )
        self.history = self.about["history"]
        # Keras reads stop_training only after some steps, so a stopped training is given no epoch at all.
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
        state = self

        class Keep(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                state.model.optimizer.build(state.model.trainable_variables)
                if state.stored is not None:
                    state.restore(stop)

            def on_epoch_end(self, epoch, logs=None):
                for name, value in logs.items():
                    state.history.setdefault(name, []).append(float(value))
                if state.path is not None:
                    state.save(epoch + 1, stop)

        return Keep()

    def save(self, epoch, stop):
        """Write the state file.

        Args:
            epoch: Number of epochs that are finished.
            stop: Callback for early stopping, or None.
        """
        about = {"identity": self.identity, "epoch": epoch, "history": self.history}
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
