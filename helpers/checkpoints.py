"""Stored models: those the course ships, those a reader trains, and a reader's own; load, or train and save.

Each model of a plan is two files in ``data/checkpoints/<data set>/``: ``<name>.npz`` with the weights and
``<name>.json``, its manifest: configuration, recipe, history, metrics, versions and the SHA-256 of
the weights. No pickles: the architecture is in code, named by the configuration.

Matrices are stored in half precision, or as eight-bit whole numbers with one scale per column. They
are rounded *before* the model is measured, so the numbers in the manifest are those of the file.

A model of a reader's own is kept by `save` under a name of its own, whole and unrounded, in Keras' format.
"""

import dataclasses
import hashlib
import io
import re

import pandas as pd

from helpers import course, models, training, wardrobe
from helpers.dataset import Dataset
from helpers.machinery import files, weights
from helpers.machinery.backend import keras

RUNS = course.DATA / "runs"  # what a reader trains; not in git
RESULTS = course.DATA / "results"
_REMEDY = "Get the file again (git checkout), or set COURSE_TRAIN=1 to train the model."


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a shipped model is and how it is trained.

    Args:
        about: Description in one line, for people.
        model: Name of a function in `models`.
        arguments: Keyword arguments of that function, a dict.
        recipe: Fields of `training.Recipe`, a dict.
        bits: Number of bits, 16 or 8, in which each number of a matrix is stored; vectors have 32.
    """

    about: str
    model: str
    arguments: dict
    recipe: dict
    bits: int = 16

    @property
    def is_conditional(self):
        """Whether the model is told the class of an image."""
        return self.model.endswith("conditional_vae")

    def build(self, **others):
        """The model, untrained; ``others``, such as a seed, stand in the place of its own arguments."""
        return getattr(models, self.model)(**self.arguments | others)

    def configuration(self, data=course.FASHION_MNIST):
        """All of it as a dict that JSON can hold, as used on a data set, defaults of the recipe spelled out."""
        recipe = dataclasses.asdict(training.Recipe(**training.recipe_on(data, self.recipe)))
        return {"model": self.model, "arguments": self.arguments, "recipe": recipe}


def bits_on(data, name):
    """Number of bits of a stored number: that of the plan; 8 for models of the drawn wardrobe, a stand-in.

    Args:
        data: The `Dataset.slug` of the data it was trained on.
        name: Name of a plan.

    Returns:
        Either 16 or 8.
    """
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
    "dense_cvae_10": Plan(
        "dense_vae_10 told the class, with a learned p(z | y)",
        "dense_conditional_vae",
        {"latent_dim": 10, **_WIDE, "prior": "learned"},
        {**_COSINE, "epochs": 60},
        bits=8,
    ),
    "conv_cvae_32": Plan(
        "conv_vae_32 told the class, with a learned p(z | y)",
        "conv_conditional_vae",
        {"latent_dim": 32, "prior": "learned"},
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


def names(conditional=False):
    """Names of the models the course ships, as a list.

    Args:
        conditional: Whether those that are told the class of an image are meant, or those that are not.
    """
    return [name for name, plan in PLANS.items() if plan.is_conditional == conditional]


def plan(name):
    """The `Plan` of a name.

    Raises:
        KeyError: There is no such name; the message lists the known ones.
    """
    if name not in PLANS:
        own = f" Of your own: {', '.join(own_names())}." if own_names() else ""
        raise KeyError(f"no model is called {name!r}; known are {', '.join(PLANS)}.{own}")
    return PLANS[name]


def trained_on(dataset):
    """Which images a model is trained on, as a dict that JSON can hold: it belongs to every stored model.

    Args:
        dataset: A `data.Dataset`.
    """
    # Of the drawn wardrobe only the number: another processor may draw a grey level otherwise.
    sha256 = "" if dataset.slug == wardrobe.SLUG else dataset.train.digest
    return {"data": dataset.slug, "train": len(dataset.train), "sha256": sha256}


def store(model, name, history, dataset, metrics=None, folder=None):
    """Write weights of a plan, rounded, and manifest; the model stays as it is. `train` gives one rounded already.

    Args:
        model: The trained model of that name.
        name: Name of a plan.
        history: What `training.fit` returned.
        dataset: The `data.Dataset` it was trained on.
        metrics: Dict of numbers measured on held-out images, or None.
        folder: Folder to write to; None takes that of the reader's own trainings on these images.
    """
    about = {
        "name": name,
        "about": plan(name).about,
        "data": dataset.slug,
        "trained_on": trained_on(dataset),
        "configuration": plan(name).configuration(dataset.slug),
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "metrics": metrics or {},
        "history": history,
    }
    weights.store(model, (folder or runs_of(dataset)) / f"{name}.npz", about, bits_on(dataset.slug, name))


def runs_of(dataset):
    """Folder of what a reader trains on a data set: one for each set of training images.

    Args:
        dataset: A `data.Dataset`.
    """
    found = trained_on(dataset)
    return RUNS / f"{dataset.slug}-{found['train']}-{(found['sha256'] or 'drawn')[:8]}"


def _manifest_path(name, data):
    """Path of the manifest of a stored model; with COURSE_TRAIN=1 the shipped one does not count.

    Raises:
        FileNotFoundError: There is none for this data.
        ValueError: There are several, and which is meant is not said.
    """
    slug = data.slug if isinstance(data, Dataset) else data
    if not isinstance(slug, str):
        raise ValueError(f"data is a {type(data).__name__}; expected a data.Dataset or its slug.")
    shipped = weights.SHIPPED / slug / f"{name}.json"
    places = [] if course.train_from_scratch() or not shipped.exists() else [shipped]
    if isinstance(data, Dataset):
        places += [path for path in [runs_of(data) / f"{name}.json"] if path.exists()]
        wanted = trained_on(data)
        for path in places:
            found = files.read_json(path, _REMEDY).get("trained_on")
            if found == wanted:
                return path
        others = f"; the stored ones were trained on other images: {found}" if places else ""
        raise FileNotFoundError(
            f"{name} has no stored weights for these {wanted['train']:,} images of {data.name}{others}. "
            f"load_or_train({name!r}, dataset) trains it."
        )
    if not places:
        places = sorted(RUNS.glob(f"{slug}-[0-9]*-*/{name}.json"))
    if not places:
        raise FileNotFoundError(f"{name} has no stored weights for {slug}; load_or_train({name!r}, dataset) trains it.")
    if len(places) > 1:
        folders = ", ".join(path.parent.name for path in places)
        raise ValueError(f"{name} was trained on several sets of images ({folders}): load({name!r}, dataset).")
    return places[0]


def manifest(name, data=course.FASHION_MNIST):
    """The manifest of a model as a dict.

    Args:
        name: Name of a plan, or a name that was given to `save`.
        data: The `Dataset` it was trained on, or its slug; of no meaning for a reader's own model.

    Raises:
        KeyError: There is no such name.
        FileNotFoundError: It has not been trained on this data yet.
        files.DamagedFile: The manifest is damaged.
        ValueError: There are several, and which is meant is not said.
    """
    if name not in PLANS and _own(name).exists():
        return files.read_json(_own(name), _REMEDY_OWN)
    slug = data.slug if isinstance(data, Dataset) else data
    configuration = plan(name).configuration(slug)
    return weights.read_manifest(_manifest_path(name, data), configuration, _REMEDY)


def load(name, data=course.FASHION_MNIST, custom_objects=None):
    """Build a model and open its stored weights.

    Args:
        name: Name of a plan, or a name that was given to `save`.
        data: The `Dataset` it was trained on, or its slug; of no meaning for a reader's own model.
        custom_objects: Dict of name to class or function, for layers of a reader's own that are not registered with
            Keras; only for models that `save` kept.

    Returns:
        A `models.Autoencoder`, a `models.VAE` or a `models.ConditionalVAE`.

    Raises:
        KeyError: There is no such name.
        FileNotFoundError: It has not been trained on this data yet.
        files.DamagedFile: Weights or manifest are damaged, or do not belong together.
        ValueError: There are several, and which is meant is not said; or a layer of an own model is not known here.
    """
    about = manifest(name, data)
    if name not in PLANS:
        return _load_own(name, about, custom_objects)
    model = plan(name).build()
    weights.restore(model, _manifest_path(name, data).with_suffix(".npz"), about, _REMEDY)
    return model


def train(name, dataset, verbose=True, seed=None):
    """Train a model by its plan; an interrupted training goes on where it was.

    Args:
        name: Name of a plan.
        dataset: A `data.Dataset`.
        verbose: Whether to show progress.
        seed: Seeds first weights, noise and the order of the images; None takes that of the plan.

    Returns:
        Tuple (model with weights rounded as stored, history).
    """
    seeded = {} if seed is None else {"seed": seed}
    model = plan(name).build(**seeded)
    history = training.fit(
        model,
        dataset,
        state=state_file(name, dataset, seed),
        verbose=verbose,
        **training.recipe_on(dataset.slug, plan(name).recipe) | seeded,
    )
    weights.round_weights(model, bits_on(dataset.slug, name))
    return model, history


def state_file(name, dataset, seed=None):
    """Path at which an unfinished training of a model keeps its state.

    Args:
        name: Name of a plan.
        dataset: The `data.Dataset` it is trained on.
        seed: Seed of the training; None is that of the plan.
    """
    return runs_of(dataset) / f"{name}{'' if seed is None else f'.seed_{seed}'}.state.npz"


def trained_with_seed(name, dataset, seed, verbose=True):
    """A model of a plan, trained with a seed of its own: kept in ``data/runs``, so that it is trained once.

    Args:
        name: Name of a plan.
        dataset: A `data.Dataset`.
        seed: Seeds first weights, noise and the order of the images.
        verbose: Whether to show progress.

    Returns:
        The model, its weights rounded as those of shipped models are.
    """
    path = runs_of(dataset) / f"seed_{seed}" / f"{name}.npz"
    if not path.with_suffix(".json").exists():
        model, history = train(name, dataset, verbose, seed)
        store(model, name, history, dataset, folder=path.parent)
        state_file(name, dataset, seed).unlink(missing_ok=True)
    model = plan(name).build(seed=seed)
    about = weights.read_manifest(path.with_suffix(".json"), plan(name).configuration(dataset.slug), _REMEDY)
    weights.restore(model, path, about, _REMEDY)
    return model


def load_or_train(name, dataset):
    """Open the weights of a model that were trained on ``dataset``, or train it where there are none.

    ``COURSE_TRAIN=1`` passes over the shipped weights. What is trained is kept in ``data/runs``. Where another notebook
    trains the same model, this one waits for it.

    Args:
        name: Name of a plan.
        dataset: A `data.Dataset`.

    Returns:
        A `models.Autoencoder`, a `models.VAE` or a `models.ConditionalVAE`.
    """
    plan(name)
    training.check_splits(dataset)
    if not _is_stored(name, dataset):
        waiting = f"{name}: another process trains it; waiting for it to end"
        with files.locked(runs_of(dataset) / f"{name}.lock", waiting):
            if not _is_stored(name, dataset):
                epochs = training.recipe_on(dataset.slug, plan(name).recipe)["epochs"]
                print(f"{name}: no stored weights for {dataset.name}, training ({epochs} epochs)")
                model, history = train(name, dataset)
                store(model, name, history, dataset)
            state_file(name, dataset).unlink(missing_ok=True)
    return load(name, dataset)


def _is_stored(name, dataset):
    try:
        return bool(_manifest_path(name, dataset))
    except FileNotFoundError:
        return False


# --------------------------------------------------------------------------------------------------
# A reader's own models

_REMEDY_OWN = "Keep the model again: checkpoints.save(model, name)."


def _own(name):
    """Path of the manifest of a reader's own model.

    Raises:
        KeyError: A file cannot have this name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
        raise KeyError(f"{name!r} is no name of a model: letters, digits and _ . - make one, such as 'my_vae'.")
    return RUNS / "models" / f"{name}.json"


def own_names():
    """Names of the models that `save` kept, as a list."""
    return sorted(path.stem for path in _own("any").parent.glob("*.json"))


def save(model, name, history=None, metrics=None):
    """Keep a model of your own, whole and exact, for `load`: sizes, layers, likelihood, weights, optimizer and noise.

    It takes two files in ``data/runs/models/``: ``<name>.keras``, which ``keras.saving.load_model`` opens too once
    `models` is imported, and ``<name>.json``. What had this name before is replaced.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`, of any size, with layers of your own too.
        name: Name of letters, digits and ``_ . -``, such as "my_vae"; none of `names`.
        history: What `training.fit` returned, or None.
        metrics: Dict of numbers, such as `metrics.measure` returns, or None.

    Raises:
        KeyError: The name is that of a shipped model, or none for a file.
        ValueError: It is no model of the course, or a layer of it does not say how it was made, or holds code.
        files.UnwritableFile: The files cannot be written; those of before stay.
    """
    if name in PLANS:
        raise KeyError(f"{name} is a model that the course ships; keep yours under another name.")
    path = _own(name)
    if not isinstance(model, (models.Autoencoder, models.VAE)):
        raise ValueError(f"model is a {type(model).__name__}; expected a models.Autoencoder or a models.VAE.")
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Lambda):
            raise ValueError(
                f"layer {layer.name} of {name} is a Lambda, which would put code into the file. "
                "Write a small keras.layers.Layer instead."
            )
    packed = io.BytesIO()
    try:
        weights.write_keras(model, packed)
    except NotImplementedError as error:
        raise ValueError(f"{name} cannot be kept: a layer does not say how it was made ({error}).") from error
    content = packed.getvalue()
    about = {
        "name": name,
        "kind": type(model).__name__,
        "latent_dim": model.latent_dim,
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "metrics": metrics or {},
        "history": history or {},
        "versions": weights.versions(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    files.write_together({path.with_suffix(".keras"): content, path: files.json_bytes(files.sealed(about))})


def _load_own(name, about, custom_objects):
    path = _own(name).with_suffix(".keras")
    if not path.exists():
        raise files.DamagedFile(f"{path.name} is missing beside its manifest. {_REMEDY_OWN}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != about.get("sha256"):
        raise files.DamagedFile(f"{path.name} is not the file its manifest describes (SHA-256 differs). {_REMEDY_OWN}")
    try:
        return keras.saving.load_model(path, custom_objects, safe_mode=True)
    except (TypeError, ValueError) as error:
        unknown = " ".join(re.findall(r"Could not locate class '(\w+)'", str(error))) or str(error)
        raise ValueError(
            f"{name} has parts that are not known here ({unknown}). Run first what defines them, with "
            "@keras.saving.register_keras_serializable() above each, or give custom_objects={'Name': Class}."
        ) from error


def result(name, slug=course.FASHION_MNIST, folder=RESULTS):
    """A stored result of many trainings, and how it was made.

    Args:
        name: Name of the result, such as "latent_sweep".
        slug: The `Dataset.slug` of the data it was measured on.
        folder: Folder that holds a folder for each data set.

    Returns:
        Tuple (pandas DataFrame with one row for each measurement, recipe as a dict).

    Raises:
        FileNotFoundError: There is no such result for this data.
        files.DamagedFile: The file is damaged or holds something else.
    """
    path = course.path_of(folder) / slug / f"{name}.json"
    remedy = f"Get the file again (git checkout), or run `python -m helpers.making.release results {name}`."
    if not path.exists():
        raise FileNotFoundError(f"no result is stored as {name} for {slug}. {remedy}")
    content = files.read_json(path, remedy)
    if isinstance(content, dict) and content.get("data", slug) != slug:
        raise files.DamagedFile(f"{path.name}: data is {content['data']!r} there and {slug!r} here. {remedy}")
    rows, recipe = (content.get(part) for part in ("rows", "recipe")) if isinstance(content, dict) else (None, None)
    if not isinstance(rows, list) or not rows or {type(row) for row in rows} != {dict} or not isinstance(recipe, dict):
        raise files.DamagedFile(f"{path.name} has no rows or no recipe. {remedy}")
    return pd.DataFrame(rows), recipe
