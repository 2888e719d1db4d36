"""Shipped weights and their manifest; load, or train and save.

Each model is two files in ``data/checkpoints/<data set>/``: ``<name>.npz`` with the weights and
``<name>.json``, its manifest: configuration, recipe, history, metrics, versions and the SHA-256 of
the weights. No pickles: the architecture is in code, named by the configuration.

Matrices are stored in half precision, or as eight-bit whole numbers with one scale per column. They
are rounded *before* the model is measured, so the numbers in the manifest are those of the file.
"""

import dataclasses

import pandas as pd

from helpers import course, models, training, wardrobe
from helpers.machinery import files, weights

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

    def build(self):
        """The model, untrained."""
        return getattr(models, self.model)(**self.arguments)

    def configuration(self, data=course.FASHION_MNIST):
        """All of it as a dict that JSON can hold, as used on a data set, defaults of the recipe spelled out."""
        recipe = dataclasses.asdict(training.Recipe(**training.recipe_on(data, self.recipe)))
        return {"model": self.model, "arguments": self.arguments, "recipe": recipe}


def bits_on(data, name):
    """Number of bits of a stored number: that of the plan; 8 for models of the drawn wardrobe, a stand-in.

    Args:
        data: The `Dataset.slug` of the data it was trained on.
        name: One of `names`.

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
        KeyError: There is no such name; the message lists the known ones.
    """
    if name not in PLANS:
        raise KeyError(f"no model is called {name!r}; known are {', '.join(PLANS)}.")
    return PLANS[name]


def save(model, name, history, metrics=None, folder=weights.SHIPPED / course.FASHION_MNIST):
    """Write weights, rounded, and manifest; the model stays as it is. `train` gives one that is rounded already.

    Args:
        model: The trained model of that name.
        name: One of `names`.
        history: What `training.fit` returned.
        metrics: Dict of numbers measured on held-out images, or None.
        folder: Folder to write to.
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
    weights.store(model, folder / f"{name}.npz", about, bits_on(folder.name, name))


def _folder(name, data):
    """Folder that holds the model, or None. With COURSE_TRAIN=1 the shipped one does not count."""
    places = [RUNS / data] if course.train_from_scratch() else [weights.SHIPPED / data, RUNS / data]
    return next((place for place in places if (place / f"{name}.json").exists()), None)


def manifest(name, data=course.FASHION_MNIST):
    """The manifest of a model as a dict.

    Args:
        name: One of `names`.
        data: The `Dataset.slug` of the data it was trained on.

    Raises:
        KeyError: There is no such name.
        FileNotFoundError: It has not been trained on this data yet.
        files.DamagedFile: The manifest is damaged.
    """
    configuration = plan(name).configuration(data)
    folder = _folder(name, data)
    if folder is None:
        raise FileNotFoundError(f"{name} has no stored weights for {data}; load_or_train({name!r}, dataset) trains it.")
    return weights.read_manifest(folder / f"{name}.json", configuration, _REMEDY)


def load(name, data=course.FASHION_MNIST):
    """Build a model and open its stored weights.

    Args:
        name: One of `names`.
        data: The `Dataset.slug` of the data it was trained on.

    Returns:
        A `models.Autoencoder` or a `models.VAE`.

    Raises:
        KeyError: There is no such name.
        FileNotFoundError: It has not been trained on this data yet.
        files.DamagedFile: Weights or manifest are damaged, or do not belong together.
    """
    about = manifest(name, data)
    model = plan(name).build()
    weights.restore(model, _folder(name, data) / f"{name}.npz", about, _REMEDY)
    return model


def train(name, dataset, verbose=True):
    """Train a model by its plan; an interrupted training goes on where it was.

    Args:
        name: One of `names`.
        dataset: A `data.Dataset`.
        verbose: Whether to show progress.

    Returns:
        Tuple (model with weights rounded as stored, history).
    """
    model = plan(name).build()
    history = training.fit(
        model,
        dataset,
        state=state_file(name, dataset.slug),
        verbose=verbose,
        **training.recipe_on(dataset.slug, plan(name).recipe),
    )
    weights.round_weights(model, bits_on(dataset.slug, name))
    return model, history


def state_file(name, data):
    """Path at which an unfinished training of a model keeps its state.

    Args:
        name: One of `names`.
        data: The `Dataset.slug` of the data it is trained on.
    """
    return RUNS / data / f"{name}.state.npz"


def load_or_train(name, dataset):
    """Open the stored weights of a model, or train it on ``dataset`` where there are none.

    ``COURSE_TRAIN=1`` passes over the shipped weights. What is trained is kept in ``data/runs``.

    Args:
        name: One of `names`.
        dataset: A `data.Dataset`.

    Returns:
        A `models.Autoencoder` or a `models.VAE`.
    """
    plan(name)
    if _folder(name, dataset.slug) is None:
        epochs = training.recipe_on(dataset.slug, plan(name).recipe)["epochs"]
        print(f"{name}: no stored weights for {dataset.name}, training ({epochs} epochs)")
        model, history = train(name, dataset)
        save(model, name, history, folder=RUNS / dataset.slug)
        state_file(name, dataset.slug).unlink()
    return load(name, dataset.slug)


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
    path = folder / slug / f"{name}.json"
    remedy = f"Get the file again (git checkout), or run `python -m helpers.making.release results {name}`."
    if not path.exists():
        raise FileNotFoundError(f"no result is stored as {name} for {slug}. {remedy}")
    content = files.read_json(path, remedy)
    rows, recipe = (content.get(part) for part in ("rows", "recipe")) if isinstance(content, dict) else (None, None)
    if not isinstance(rows, list) or not rows or {type(row) for row in rows} != {dict} or not isinstance(recipe, dict):
        raise files.DamagedFile(f"{path.name} has no rows or no recipe. {remedy}")
    return pd.DataFrame(rows), recipe
