"""Shipped weights and their manifest; load, or train and save.

Each model is two files in ``data/checkpoints/<data set>/``: ``<name>.npz`` with the weights and
``<name>.json``, its manifest: configuration, recipe, history, metrics, versions and the SHA-256 of
the weights. No pickles: the architecture is in code, named by the configuration.

Matrices are stored in half precision, or as eight-bit whole numbers with one scale per column. They
are rounded *before* the model is measured, so the numbers in the manifest are those of the file.
"""

import dataclasses
import hashlib
import math
import platform

import keras
import numpy as np
import pandas as pd

from helpers import course, files, models, training, wardrobe

SHIPPED = course.DATA / "checkpoints"
RUNS = course.DATA / "runs"  # what a reader trains; not in git
RESULTS = course.DATA / "results"
DEFAULT = "fashion-mnist"
_REMEDY = "Get the file again (git checkout), or set COURSE_TRAIN=1 to train the model."


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a shipped model is and how it is trained.

    Args:
        about: one line for people.
        model: name of a function in `models`.
        arguments: its arguments.
        recipe: fields of `training.Recipe`.
        bits: 16 or 8, how each number of a matrix is stored; vectors have 32.
    """

    about: str
    model: str
    arguments: dict
    recipe: dict
    bits: int = 16

    def build(self):
        """The model, untrained."""
        return getattr(models, self.model)(**self.arguments)

    def configuration(self, data=DEFAULT):
        """All of it as a dict that JSON can hold, as used on a data set, defaults of the recipe spelled out."""
        recipe = dataclasses.asdict(training.Recipe(**recipe_on(data, self.recipe)))
        return {"model": self.model, "arguments": self.arguments, "recipe": recipe}


def recipe_on(data, recipe):
    """A recipe as used on a data set: the drawn wardrobe, a stand-in, gets a third of the epochs."""
    if data != wardrobe.SLUG:
        return recipe
    return {key: -(-value // 3) if key in ("epochs", "kl_warmup_epochs") else value for key, value in recipe.items()}


def bits_on(data, name):
    """Bits a stored number has: those of the plan; 8 for models of the drawn wardrobe, a stand-in."""
    return 8 if data == wardrobe.SLUG else plan(name).bits


_WIDE = {"hidden": [512, 256, 128], "activation": "silu"}
_COSINE = {"batch_size": 128, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1}
_SLIM = {"filters": [16, 32, 64], "hidden": [128]}
_BRIEF = {**_COSINE, "epochs": 6}  # one short recipe for models that are compared with each other
_S2 = {"epochs": 50, "batch_size": 128, "learning_rate": 1e-3, "schedule": "constant"}
_S0 = {"epochs": 20, "batch_size": 64, "learning_rate": 1e-3, "schedule": "constant"}

PLANS = {
    "linear_ae_18": Plan(
        "linear autoencoder, 18 codes", "linear_autoencoder", {"latent_dim": 18}, {**_COSINE, "epochs": 20}
    ),
    "dense_ae_18_s2": Plan(
        "S2's autoencoder, its own recipe: ReLU everywhere, also on the code",
        "dense_autoencoder",
        {"latent_dim": 18, "hidden": [128, 64, 32], "activation": "relu", "code_activation": "relu"},
        _S2,
    ),
    "dense_ae_18": Plan(
        "S2's sizes, repaired: SiLU, linear code, cosine decay",
        "dense_autoencoder",
        {"latent_dim": 18, "hidden": [128, 64, 32], "activation": "silu"},
        {**_COSINE, "epochs": 60},
    ),
    "dense_ae_18_wide": Plan(
        "a wider autoencoder with 18 codes",
        "dense_autoencoder",
        {"latent_dim": 18, **_WIDE},
        {**_COSINE, "epochs": 40},
    ),
    "dense_ae_10": Plan(
        "autoencoder of the VAE's net, 10 codes",
        "dense_autoencoder",
        {"latent_dim": 10, **_WIDE},
        {**_COSINE, "epochs": 30},
    ),
    "dense_ae_2": Plan(
        "autoencoder with 2 codes, for the map",
        "dense_autoencoder",
        {"latent_dim": 2, **_WIDE},
        {**_COSINE, "epochs": 30},
    ),
    "dense_ae_100_s0": Plan(
        "S0's autoencoder: 150-100 SELU, the last layer is the code",
        "dense_autoencoder",
        {"latent_dim": 100, "hidden": [150], "activation": "selu", "code_activation": "selu"},
        _S0,
    ),
    "dense_vae_10_s0": Plan(
        "S0's VAE: 150-100 SELU, 10 codes, its own recipe",
        "dense_vae",
        {"latent_dim": 10, "hidden": [150, 100], "activation": "selu"},
        _S0,
    ),
    "dense_vae_10_s2": Plan(
        "S2's VAE: 512-256-128 ReLU, 10 codes, its own recipe",
        "dense_vae",
        {"latent_dim": 10, "hidden": [512, 256, 128], "activation": "relu"},
        _S2,
    ),
    "dense_vae_10": Plan(
        "S2's sizes with SiLU, warm-up and cosine decay",
        "dense_vae",
        {"latent_dim": 10, **_WIDE},
        {**_COSINE, "epochs": 60},
    ),
    "dense_vae_2": Plan(
        "VAE with 2 codes, for the map", "dense_vae", {"latent_dim": 2, **_WIDE}, {**_COSINE, "epochs": 40}
    ),
    "dense_vae_32": Plan(
        "notebook 03's net with 32 codes, trained as long as conv_vae_32",
        "dense_vae",
        {"latent_dim": 32, **_WIDE},
        {**_COSINE, "epochs": 36},
        bits=8,
    ),
    "conv_vae_32": Plan(
        "S3's VAE: convolutions, residual decoder, 32 codes",
        "conv_vae",
        {"latent_dim": 32},
        {**_COSINE, "epochs": 36},
        bits=8,
    ),
    "conv_vae_2": Plan(
        "half the width, 2 codes, for the map",
        "conv_vae",
        {"latent_dim": 2, **_SLIM},
        {**_COSINE, "epochs": 10},
        bits=8,
    ),
    "conv_ae_32": Plan(
        "autoencoder of the half-width net, 32 codes",
        "conv_autoencoder",
        {"latent_dim": 32, **_SLIM},
        {**_COSINE, "epochs": 8},
        bits=8,
    ),
    "conv_vae_32_bernoulli": Plan(
        "half width, Bernoulli, beta 1: one of four cells", "conv_vae", {"latent_dim": 32, **_SLIM}, _BRIEF, bits=8
    ),
    "conv_vae_32_gaussian": Plan(
        "half width, squared error, beta 1: one of four cells",
        "conv_vae",
        {"latent_dim": 32, **_SLIM, "likelihood": "gaussian"},
        _BRIEF,
        bits=8,
    ),
    "conv_vae_32_bernoulli_sharp": Plan(
        "half width, Bernoulli, beta 0.01: one of four cells",
        "conv_vae",
        {"latent_dim": 32, **_SLIM, "beta": 0.01},
        _BRIEF,
        bits=8,
    ),
    "conv_vae_32_gaussian_sharp": Plan(
        "half width, squared error, beta 0.01: one of four cells",
        "conv_vae",
        {"latent_dim": 32, **_SLIM, "likelihood": "gaussian", "beta": 0.01},
        _BRIEF,
        bits=8,
    ),
    "conv_vae_32_optimal": Plan(
        "half width, Gaussian with optimal sigma",
        "conv_vae",
        {"latent_dim": 32, **_SLIM, "likelihood": "optimal_gaussian"},
        _BRIEF,
        bits=8,
    ),
}


def names():
    """Names of all models the course ships, as a list."""
    return list(PLANS)


def plan(name):
    """The `Plan` of a name.

    Raises:
        KeyError: no such name; the message lists the known ones.
    """
    if name not in PLANS:
        raise KeyError(f"no model is called {name!r}; known are {', '.join(PLANS)}.")
    return PLANS[name]


def save(model, name, history, metrics=None, folder=SHIPPED / DEFAULT):
    """Write weights and manifest; call `round_weights` first if the metrics are to agree.

    Args:
        model: the trained model of that name.
        name: one of `names`.
        history: what `training.fit` returned.
        metrics: dict of numbers on held-out images, or None.
        folder: where to.
    """
    about = {
        "name": name,
        "about": plan(name).about,
        "data": folder.name,
        "configuration": plan(name).configuration(folder.name),
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "metrics": metrics or {},
        "history": history,
    }
    store(model, folder / f"{name}.npz", about, bits_on(folder.name, name))


def store(model, path, about, bits):
    """Write the two files of a model: its weights, rounded, and its manifest.

    Args:
        model: anything with ``weight_arrays`` and ``weight_variables``.
        path: of the weights; the manifest lies beside them.
        about: the manifest as a dict; versions and the SHA-256 of the weights are added.
        bits: 16 or 8, as for `round_weights`.
    """
    round_weights(model, bits)
    weights = files.packed_arrays(_packed(model.weight_arrays(), bits))
    versions = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    about = {**about, "versions": versions, "sha256": hashlib.sha256(weights).hexdigest()}
    # The manifest comes last: where it lies, the weights are there too.
    files.write_together({path: weights, path.with_suffix(".json"): files.json_bytes(files.sealed(about))})


def round_weights(model, bits=16):
    """Round a model's matrices in place, as `save` stores them.

    Args:
        model: a model of the course.
        bits: 16: half precision; 8: whole numbers from -127 to 127 times one scale per column (last axis).
    """
    assign(model, _unpacked(_packed(model.weight_arrays(), bits)), "the model itself")


SCALE = "/scale"


def _packed(arrays, bits):
    """Arrays as they are stored. Vectors and scalars stay float32: they are too small to be worth a rounding."""
    packed = {}
    for key, array in arrays.items():
        if array.ndim < 2:
            packed[key] = array.astype("float32")
        elif bits == 16:
            packed[key] = array.astype("float16")
        else:
            # A scale of few binary digits: times 127 it is exact, so that to pack twice changes nothing.
            digits, exponent = np.frexp(np.abs(array).max(axis=tuple(range(array.ndim - 1))) / 127)
            scale = np.where(digits > 0, np.ldexp(np.ceil(digits * 4096) / 4096, exponent), 1).astype("float32")
            packed |= {key: np.rint(array / scale).astype("int8"), key + SCALE: scale}
    return packed


def _unpacked(packed):
    """float32 arrays from stored ones; what is neither packed so nor a float is left for `assign` to refuse."""
    arrays = {}
    for key, array in packed.items():
        scale = packed.get(key + SCALE, np.zeros(0))
        with np.errstate(over="ignore", invalid="ignore"):  # `assign` refuses what becomes infinite
            if (array.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, array.shape[-1:]):
                array = array * scale
            if not key.endswith(SCALE):
                arrays[key] = array.astype("float32") if array.dtype.kind == "f" else array
    return arrays


def _folder(name, data):
    """Folder that holds the model, or None. With COURSE_TRAIN=1 the shipped one does not count."""
    places = [RUNS / data] if course.train_from_scratch() else [SHIPPED / data, RUNS / data]
    return next((place for place in places if (place / f"{name}.json").exists()), None)


def manifest(name, data=DEFAULT):
    """The manifest of a model as a dict.

    Args:
        name: one of `names`.
        data: `Dataset.slug` of the data it was trained on.

    Raises:
        KeyError: no such name.
        FileNotFoundError: not trained yet on this data.
        files.DamagedFile: the manifest is damaged.
    """
    configuration = plan(name).configuration(data)
    folder = _folder(name, data)
    if folder is None:
        raise FileNotFoundError(f"{name} has no stored weights for {data}; load_or_train({name!r}, wear) trains it.")
    content = files.read_json(folder / f"{name}.json", _REMEDY)
    if not isinstance(content, dict) or content.get("configuration") != configuration:
        raise files.DamagedFile(f"{name}.json describes another model than helpers/checkpoints.py. {_REMEDY}")
    return content


def load(name, data=DEFAULT):
    """Build a model and open its stored weights.

    Args:
        name: one of `names`.
        data: `Dataset.slug` of the data it was trained on.

    Returns:
        `models.Autoencoder` or `models.VAE`.

    Raises:
        KeyError: no such name.
        FileNotFoundError: not trained yet on this data.
        files.DamagedFile: weights or manifest are damaged, or do not belong together.
    """
    about = manifest(name, data)
    model = plan(name).build()
    restore(model, _folder(name, data) / f"{name}.npz", about)
    return model


def restore(model, path, about, remedy=_REMEDY):
    """Put the stored weights that a manifest describes into a model, all or none.

    Args:
        model: as built by its plan.
        path: of the weights.
        about: the manifest as a dict.
        remedy: sentence for the error: what the reader should do.

    Raises:
        files.DamagedFile: the weights are missing or damaged, or are not those of the manifest.
    """
    if not path.exists():
        raise files.DamagedFile(f"{path.name} is missing beside its manifest. {remedy}")
    # float32 is the widest form in which numbers are stored; the rest is for names and packing.
    most = (1 << 20) + 4 * sum(math.prod(variable.shape) for variable in model.weight_variables().values())
    content = files.read_bytes(path, remedy, most)
    if hashlib.sha256(content).hexdigest() != about.get("sha256"):
        raise files.DamagedFile(f"{path.name} is not the file its manifest describes (SHA-256 differs). {remedy}")
    assign(model, _unpacked(files.arrays_in(content, path.name, remedy, most)), path.name, remedy)


def assign(model, arrays, source, remedy=_REMEDY):
    """Put stored arrays into a model, all or none.

    Args:
        model: as built by its plan.
        arrays: dict as `weight_arrays` gives it.
        source: name of the file, for the error.
        remedy: sentence for the error: what the reader should do.

    Raises:
        files.DamagedFile: names, shapes or values do not fit.
    """
    variables = model.weight_variables()
    if set(arrays) != set(variables):
        raise files.DamagedFile(f"{source} holds other layers than the model. {remedy}")
    for key, variable in variables.items():
        array = arrays[key]
        if array.shape != tuple(variable.shape) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise files.DamagedFile(f"{source}: {key} does not fit the model (shape {array.shape}). {remedy}")
    for key, variable in variables.items():
        variable.assign(arrays[key])


def train(name, wear, verbose=True):
    """Train a model by its plan; an interrupted training goes on where it was.

    Args:
        name: one of `names`.
        wear: `data.Dataset`.
        verbose: show progress.

    Returns:
        (model with weights rounded as stored, history).
    """
    model = plan(name).build()
    history = training.fit(
        model, wear, state=state_file(name, wear.slug), verbose=verbose, **recipe_on(wear.slug, plan(name).recipe)
    )
    round_weights(model, bits_on(wear.slug, name))
    return model, history


def state_file(name, data):
    """Where an unfinished training of a model keeps its state, a path."""
    return RUNS / data / f"{name}.state.npz"


def load_or_train(name, wear):
    """Open the stored weights of a model, or train it on ``wear`` where there are none.

    ``COURSE_TRAIN=1`` passes over the shipped weights. What is trained is kept in ``data/runs``.

    Args:
        name: one of `names`.
        wear: `data.Dataset`.

    Returns:
        `models.Autoencoder` or `models.VAE`.
    """
    plan(name)
    if _folder(name, wear.slug) is None:
        epochs = recipe_on(wear.slug, plan(name).recipe)["epochs"]
        print(f"{name}: no stored weights for {wear.name}, training ({epochs} epochs)")
        model, history = train(name, wear)
        save(model, name, history, folder=RUNS / wear.slug)
        state_file(name, wear.slug).unlink()
    return load(name, wear.slug)


def result(name, slug=DEFAULT, folder=RESULTS):
    """A stored result of many trainings, and how it was made.

    Args:
        name: of the file, such as "latent_sweep".
        slug: `Dataset.slug` of the data it was measured on.
        folder: that holds a folder for each data set.

    Returns:
        (pandas DataFrame with one row a measurement, recipe as a dict).

    Raises:
        FileNotFoundError: there is no such result for this data.
        files.DamagedFile: the file is damaged or holds something else.
    """
    path = folder / slug / f"{name}.json"
    remedy = f"Get the file again (git checkout), or run `python -m helpers.release results {name}`."
    if not path.exists():
        raise FileNotFoundError(f"no result is stored as {name} for {slug}. {remedy}")
    content = files.read_json(path, remedy)
    rows, recipe = (content.get(part) for part in ("rows", "recipe")) if isinstance(content, dict) else (None, None)
    if not isinstance(rows, list) or not rows or {type(row) for row in rows} != {dict} or not isinstance(recipe, dict):
        raise files.DamagedFile(f"{path.name} has no rows or no recipe. {remedy}")
    return pd.DataFrame(rows), recipe
