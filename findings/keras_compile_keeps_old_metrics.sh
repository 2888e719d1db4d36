#!/usr/bin/env bash
# A second compile() of a Keras model without metrics, or without a loss, keeps those of the first. Seen on 2026-11-27 with
# Python 3.11, Keras 3.15.1 on JAX 0.10.2.
#
# `compile` sets the loss and the metrics only where they are given, so `model.compile("sgd", loss="mse")` after
# `model.compile("sgd", loss="mse", metrics=["mae"])` still reports "mae", and `model.compile("sgd")` still trains by "mse",
# while the configuration that is saved with the model names none: the loaded model reports and trains otherwise than the
# one that was saved, and has no loss at all.
#
# Surprising because every other argument of compile (optimizer, jit_compile, run_eagerly, steps_per_execution) goes back to
# its default, and because the documentation speaks of compile as the whole configuration of a training.
# Way round: give `metrics=[]`, or build the model anew.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/again.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np

x = np.ones((4, 2), "float32")
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", loss="mse", metrics=["mae"])
model.fit(x, x[:, :1], verbose=0)
model.compile("sgd")
kept = sorted(model.fit(x, x[:, :1], verbose=0).history)

path = os.path.join(sys.argv[1], "model.keras")
model.save(path)
loaded = keras.saving.load_model(path)
try:
    # On JAX a model without a loss evaluates to 0; on other backends this raises.
    found = sorted(loaded.evaluate(x, x[:, :1], verbose=0, return_dict=True).items())
except ValueError as error:
    found = str(error)
print(f"after compile('sgd') alone: {kept}; the same model saved and loaded: {found}")
raise SystemExit(not (kept == ["loss", "mae"] and found == [("loss", 0.0)]))
PYTHON

python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6
"$folder/env/bin/python" "$folder/again.py" "$folder" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
