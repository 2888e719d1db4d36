#!/usr/bin/env bash
# Whether Keras loads the state of an optimizer can depend on the name of another attribute of the model. Seen on 2026-11-27
# with Python 3.11, Keras 3.15.1 on JAX 0.10.2.
#
# A model that remembers how it was compiled, `self.NAME = {"optimizer": optimizer, ...}`, is compiled by name ("adam"), trained,
# saved as .keras and loaded. Keras goes through the attributes in the order of their names and looks into dicts too. While
# saving, the dict holds the text "adam", so the state is stored under "optimizer". While loading, `compile_from_config` has
# put an Adam object into the dict; where NAME comes before "optimizer" in the alphabet, that object, the very same one, is
# met there first, nothing is found stored under that path, and "optimizer" itself is then passed over as done. A warning
# speaks of 0 saved variables; training goes on from an empty state. With a NAME behind "optimizer" all is loaded.
#
# Surprising because the file is whole, the model has one optimizer only, and renaming an attribute mends it.
# Way round: keep compile's arguments in something that Keras does not look into, such as functools.partial.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/names.py" <<'PYTHON'
import os
import sys
import warnings

os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np

warnings.simplefilter("ignore")


@keras.saving.register_keras_serializable()
class Net(keras.Model):
    """One dense layer, and a note of how it was compiled under an attribute of any name."""

    def __init__(self, note, **others):
        super().__init__(**others)
        self.note, self.dense = note, keras.layers.Dense(1)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {"note": self.note}

    def compile(self, optimizer="rmsprop", **others):
        super().compile(optimizer=optimizer, **others)
        setattr(self, self.note, {"optimizer": optimizer})

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def steps_after_loading(note):
    """Steps that the optimizer of a loaded model remembers; three were taken."""
    x = np.ones((3, 2), "float32")
    net = Net(note)
    net.compile("adam", loss="mse")
    net.fit(x, x[:, :1], batch_size=1, verbose=0)
    net.save(os.path.join(sys.argv[1], "net.keras"))
    return int(keras.saving.load_model(os.path.join(sys.argv[1], "net.keras")).optimizer.iterations)


before, behind = steps_after_loading("compile_arguments"), steps_after_loading("with_arguments")
print(f"steps remembered of 3: {before} with compile_arguments, {behind} with with_arguments")
raise SystemExit((before, behind) != (0, 3))
PYTHON

python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6
"$folder/env/bin/python" "$folder/names.py" "$folder" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
