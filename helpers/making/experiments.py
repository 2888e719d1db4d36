"""Experiments that are stored: their settings, and how their models are trained and judged (`make results sweeps`)."""

import dataclasses
import functools
import time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from helpers import baselines, checkpoints, classifier, conditional, metrics, priors, seeds, sweeps, training, wardrobe
from helpers.dataset import Split
from helpers.machinery import files
from helpers.machinery.backend import keras

_COSINE = {"batch_size": 128, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1}
_BRIEF_CONV = checkpoints.plan("conv_vae_32_bernoulli")
_LIKELIHOODS = {"squared error": "gaussian", "Bernoulli": "bernoulli"}
_SEEDS = [1, 2, 3]

# Stored experiments: what is built, how it is trained, and what is varied; each variant with each seed.
EXPERIMENTS = {
    "latent_sweep": {
        "about": "autoencoders of several code sizes, three seeds each",
        "model": "dense_autoencoder",
        "arguments": {"hidden": [256, 128], "activation": "silu"},
        "recipe": {"epochs": 12, **_COSINE},
        "variants": {f"{k} codes": {"arguments": {"latent_dim": k}} for k in (2, 4, 8, 16, 32, 64)},
        "seeds": _SEEDS,
    },
    "dead_units": {
        "about": "S2's autoencoder with its ReLU code, three seeds",
        "model": "dense_autoencoder",
        "arguments": checkpoints.plan("dense_ae_18_s2").arguments,
        "recipe": checkpoints.plan("dense_ae_18_s2").recipe,
        "variants": {"S2": {}},
        "seeds": _SEEDS,
    },
    "learning_rate_warmup": {
        "about": "two learning rates that are too large, each with and without a warm-up of the rate",
        "model": "dense_autoencoder",
        "arguments": {"latent_dim": 18, "hidden": [128, 64, 32], "activation": "silu"},
        "recipe": {"epochs": 3, **_COSINE},
        "variants": {
            f"{rate:g}, {epochs} epochs of warm-up": {"recipe": {"learning_rate": rate, "warmup_epochs": epochs}}
            for rate in (0.05, 0.5)
            for epochs in (0, 1)
        },
        "seeds": _SEEDS,
    },
    "denoising": {
        "about": "an autoencoder of clean garments and one that has to take noise away, three seeds each",
        "model": "dense_autoencoder",
        "arguments": {"latent_dim": 18, "hidden": [128], "activation": "silu"},
        "recipe": {"epochs": 8, **_COSINE},
        "variants": {"clean input": {"noise": 0.0}, "noisy input": {"noise": 0.4}},
        "seeds": _SEEDS,
    },
    "likelihood_by_beta": {
        "about": "two likelihoods with two betas, and optimal sigma, three seeds each",
        "model": "conv_vae",
        "arguments": _BRIEF_CONV.arguments,
        "recipe": _BRIEF_CONV.recipe,
        "variants": {
            f"{label}, beta {beta:g}": {"arguments": {"likelihood": likelihood, "beta": beta}}
            for beta in (1.0, 0.01)
            for label, likelihood in _LIKELIHOODS.items()
        }
        | {"optimal sigma": {"arguments": {"likelihood": "optimal_gaussian", "beta": 1.0}}},
        "seeds": _SEEDS,
    },
    "kl_warmup": {
        "about": "three ways to begin with the KL, three seeds each",
        "model": "conv_vae",
        "arguments": {**_BRIEF_CONV.arguments, "likelihood": "bernoulli", "beta": 1.0},
        "recipe": _BRIEF_CONV.recipe,
        "variants": {
            "none": {},
            "from 0.05": {"recipe": {"kl_warmup_epochs": 3, "kl_start": 0.05}},
            "from 0": {"recipe": {"kl_warmup_epochs": 3, "kl_start": 0.0}},
        },
        "seeds": _SEEDS,
    },
    "silent_latents": {
        "about": "a dense VAE with more latents than it uses, and two ways to wake them, three seeds each",
        "model": "dense_vae",
        "arguments": {"latent_dim": 20, "hidden": [256, 128]},
        "recipe": {"epochs": 8, **_COSINE},
        "variants": {
            "plain": {},
            "KL warm-up": {"recipe": {"kl_warmup_epochs": 4}},
            "free bits": {"arguments": {"free_bits": 0.25}},
        },
        "seeds": _SEEDS,
    },
}

# Notebook 05's sweeps, of the same form: rows have validation figures, to choose by, and test figures.
_S4 = {"batch_size": 64, "learning_rate": 1e-3, "schedule": "constant"}
_TUNED = {"hidden": [400, 200, 100], "activation": "silu", "latent_dim": 10, "likelihood": "bernoulli"}
_TUNING = {"model": "dense_vae", "arguments": _TUNED, "recipe": {"epochs": 8, "optimizer": "adam", **_COSINE}}
SWEEPS = {
    "tuning_depth": {
        "about": "S4's first task, its recipe: one hidden layer or three",
        "model": "dense_vae",
        "arguments": {"latent_dim": 20, "activation": "relu"},
        "recipe": {"epochs": 15, **_S4},
        "variants": {
            "784-400-20": {"arguments": {"hidden": [400]}},
            "784-400-200-100-20": {"arguments": {"hidden": [400, 200, 100]}},
        },
        "seeds": _SEEDS,
    },
    "tuning_sizes": {
        "about": "S4's second task, its recipe: six pairs of first layer and code",
        "model": "dense_vae",
        "arguments": {"activation": "relu"},
        "recipe": {"epochs": 10, **_S4},
        "variants": {
            f"h = {h}, z = {z}": {"arguments": {"hidden": [h, 200, 100], "latent_dim": z}}
            for h, z in ((400, 40), (200, 50), (400, 70), (300, 30), (250, 80), (300, 5))
        },
        "seeds": _SEEDS,
    },
    "tuning_latent_size": {
        "about": "the size of the code, with a fixed and a learned noise of the pixels",
        **_TUNING,
        "variants": {
            f"{likelihood}, z = {z}": {"arguments": {"likelihood": likelihood, "latent_dim": z}}
            for likelihood, sizes in {
                "bernoulli": (2, 5, 10, 20, 40, 80),
                "gaussian": (5, 80),
                "optimal_gaussian": (2, 5, 10, 20, 40, 80),
            }.items()
            for z in sizes
        },
        "seeds": _SEEDS,
    },
    "tuning_learning_rate": {
        "about": "the learning rate, constant and along a cosine",
        **_TUNING,
        "variants": {
            f"{schedule}, {rate:g}": {"recipe": {"schedule": schedule, "learning_rate": rate}}
            for schedule, rates in {
                "cosine": (1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 2e-2),
                "constant": (1e-4, 3e-4, 1e-3, 2e-3, 5e-3),
            }.items()
            for rate in rates
        },
        "seeds": _SEEDS,
    },
    "tuning_activation": {
        "about": "the activation of the hidden layers, each with two learning rates",
        **_TUNING,
        "variants": {
            f"{activation}, {rate:g}": {"arguments": {"activation": activation}, "recipe": {"learning_rate": rate}}
            for activation in ("relu", "selu", "silu", "tanh")
            for rate in (1e-3, 2e-3)
        },
        "seeds": _SEEDS,
    },
    "tuning_optimizer": {
        "about": "the optimiser, each with three learning rates of its own",
        **_TUNING,
        "variants": {
            f"{optimizer}, {rate:g}": {"recipe": {"optimizer": optimizer, "learning_rate": rate}}
            for optimizer, rates in {
                "adam": (1e-3, 2e-3, 5e-3),
                "rmsprop": (3e-4, 1e-3, 3e-3),
                "sgd": (1e-3, 3e-3, 1e-2),
            }.items()
            for rate in rates
        },
        "seeds": _SEEDS,
    },
    "tuning_conv_autoencoder": {
        "about": "a convolutional autoencoder of S1's kind, three epochs",
        "model": "conv_autoencoder",
        "arguments": {"filters": [16, 32, 64], "hidden": [128], "latent_dim": 10},
        "recipe": {"epochs": 3, **_COSINE},
        "variants": {"10 codes": {}},
        "seeds": _SEEDS,
    },
}

# Notebook 06's trainings, of the same form: rows hold what `train_and_evaluate` finds. Autoencoder and VAE differ in
# the KL alone, so their loss of the pixels is the same.
_NO_KL = {"VAE": {}, "autoencoder": {"reconstruction": "bernoulli"}}
_HALF_WIDTH = {"filters": [16, 32, 64], "hidden": [128]}
COMPARISONS = {
    "comparison": {
        "about": "autoencoder and VAE, dense and convolutional, with 10 and 32 codes, equal epochs",
        "model": "dense_vae",
        "arguments": {"activation": "silu"},
        "recipe": {"epochs": 6, **_COSINE},
        "variants": {
            f"{net} {kind}, {size} codes": {
                "model": f"{net.replace('convolutional', 'conv')}_{kind.lower()}",
                "arguments": {"latent_dim": size, **shape} | _NO_KL[kind],
            }
            for size in (10, 32)
            for net, shape in {"dense": {"hidden": [256, 128]}, "convolutional": _HALF_WIDTH}.items()
            for kind in ("autoencoder", "VAE")
        },
        "seeds": _SEEDS,
    },
    "s0_pair": {
        "about": "S0's autoencoder and S0's VAE, their recipe",
        "pca": False,  # the two have codes of different size
        "model": "dense_vae",
        "arguments": checkpoints.plan("dense_vae_10_s0").arguments,
        "recipe": checkpoints.plan("dense_vae_10_s0").recipe,
        "variants": {
            "VAE": {},
            "autoencoder": {
                "model": "dense_autoencoder",
                "arguments": checkpoints.plan("dense_ae_100_s0").arguments,
            },
        },
        "seeds": _SEEDS,
    },
    "vae_without_kl": {
        "about": "S4's third task, its recipe: the VAE of its first task and the same net as an autoencoder",
        "model": "dense_vae",
        "arguments": {"latent_dim": 20, "hidden": [400], "activation": "relu"},
        "recipe": {"epochs": 15, **_S4},
        "variants": {
            "VAE": {},
            "autoencoder": {"model": "dense_autoencoder", "arguments": _NO_KL["autoencoder"]},
        },
        "seeds": _SEEDS,
    },
}

# Notebook 08's trainings, of the same form: what a label is worth to the dense nets of notebook 03, and why. Labels are
# those of the classes; "shuffled", which say nothing; or those of ten "clusters" of pixels, which nobody had to write.
_LONG = {"epochs": checkpoints.plan("dense_vae_10").recipe["epochs"]}
LABELS = {
    "label_worth": {
        "about": "a dense VAE and the same net told a label: of which kind, in which part, trained for how long",
        "model": "dense_conditional_vae",
        "arguments": checkpoints.plan("dense_vae_10").arguments,
        "recipe": {"epochs": 15, **_COSINE},
        "images": 1_000,
        "samples": 50,
        "variants": {
            "no label": {"model": "dense_vae"},
            "label": {},
            "label to the decoder": {"arguments": {"label_to": "decoder"}},
            "label, learned prior": {"arguments": {"prior": "learned"}},
            "label, one in ten hidden": {"arguments": {"prior": "learned", "label_dropout": 0.1}},
            "shuffled labels": {"labels": "shuffled"},
            "clusters": {"labels": "clusters"},
            "no label, long": {"model": "dense_vae", "recipe": _LONG},
            "label, long": {"recipe": _LONG},
        },
        "seeds": _SEEDS,
    },
}

# Shipped conditional models, each trained with two more seeds, beside the VAE of the same sizes and recipe. Likelihoods
# of "importance_weighted" are those of the first images, with so many samples for each image and class.
CONDITIONAL = {
    "about": "conditional models of three seeds: likelihoods, leakage, samples by class, and as training data",
    "models": {"dense_cvae_10": "dense_vae_10", "conv_cvae_32": "conv_vae_32"},
    "seeds": _SEEDS,
    "codes": 20_000,
    "pictures": 60_000,
    "importance_weighted": {"dense_cvae_10": [1_000, 100], "conv_cvae_32": [200, 50]},
    "transfers": 5_000,
}

# Models whose likelihood is estimated with many samples, and how; the literature binarises the test set once.
IMPORTANCE_WEIGHTED = {
    "about": "importance-weighted log-likelihood of test images binarised once",
    "models": ["dense_vae_10", "conv_vae_32"],
    "images": 1000,
    "samples": 1000,
    "seed": 1,
    "binarised_with_seed": 1,
}

# A shipped pair of equal layers whose samples are judged with codes from what was fitted to draws of q(z | x), not to
# their means.
SAMPLERS = {
    "about": "samples of shipped models, their distributions fitted to drawn codes",
    "models": ["dense_ae_10", "dense_vae_10"],
    "train": 55_000,
    "test": 10_000,
    "seed": 1,
}

# Shipped models, and those of a comparison, are judged on so many images.
EVALUATION = {
    "about": "the shipped models, and what their training costs",
    "models": checkpoints.names(),
    "train": 55_000,
    "test": 10_000,
    "images_to_time": 5_120,
}


def train_and_judge(config, state):
    """Train one model of a stored experiment and measure it on the test images.

    Args:
        config: Configuration as for `sweeps.train`.
        state: Path of the file from which a killed training goes on.

    Returns:
        Dict with what `metrics.measure` returns, the `metrics.sharpness` of reconstructions and, for a VAE, of samples,
        and its "kl_per_latent", a list; and "history", a dict of lists.
    """
    model, dataset, history = sweeps.train(config, state)
    images = dataset.test.images
    row = metrics.measure(model, dataset) | {"sharpness_x_hat": metrics.sharpness(model.reconstruct(images)).value}
    if model.is_variational:
        row |= {"sharpness_samples": metrics.sharpness(model.sample(1000, seed=1)).value}
        row |= {"kl_per_latent": metrics.kl_per_latent(model, images).tolist()}
    return row | {"history": history}


COVERED = slice(1_000, 3_000)  # the test images that `train_and_denoise` looks for among samples


def with_noise(images, generator, sigma):
    """Images under Gaussian noise, cut to [0, 1]: how a garment looks to a denoising autoencoder.

    Args:
        images: Array float32 (n, 28, 28, 1) in [0, 1].
        generator: NumPy's generator of random numbers.
        sigma: Standard deviation of the noise, white to black being 1.

    Returns:
        Array of the same shape and type.
    """
    return np.clip(images + sigma * generator.standard_normal(images.shape, dtype="float32"), 0, 1)


def train_and_denoise(config, state):
    """Train one autoencoder to give back clean garments, and judge it on clean and on noisy test images.

    Source: Vincent, Larochelle, Bengio, Manzagol, "Extracting and composing robust features with denoising
    autoencoders" (2008).

    Args:
        config: Configuration as for `sweeps.train`, with "noise", the sigma of `with_noise` that it is trained under.
        state: Path of the file from which a killed training goes on.

    Returns:
        Dict with "mse" of clean test images, "mse_noisy" of the same under noise of sigma 0.4, and of 500 pictures,
        decoded from one Gaussian that is fitted to the codes of clean training images: "fidelity", their mean distance
        to the nearest of 20,000 training images, "coverage", the mean distance of 2,000 test images to the nearest of
        them (both as in `metrics.nearest`), and "sharpness_samples" (as in `metrics.sharpness`); and "history".
    """
    transform = functools.partial(with_noise, sigma=config["noise"])
    usual = {field: value for field, value in config.items() if field != "noise"}
    model, dataset, history = sweeps.train(usual, state, transform)
    images = dataset.test.images
    noisy = with_noise(images, seeds.generator(1), 0.4)
    made = model.decode(priors.FittedGaussian(model.encode(dataset.train)).sample(500, seed=1))
    pool = dataset.train.head(min(20_000, len(dataset.train)))
    return {
        "mse": metrics.mse(images, model.reconstruct(images)).value,
        "mse_noisy": metrics.mse(images, model.reconstruct(noisy)).value,
        "fidelity": float(metrics.nearest(made, pool)[1].mean()),
        "coverage": float(metrics.nearest(images[COVERED], made)[1].mean()),
        "sharpness_samples": metrics.sharpness(made).value,
        "history": history,
    }


def train_and_evaluate(config, state):
    """Train one model of a comparison and find what `judge` finds on the images of `evaluation_setting`.

    Args:
        config: Configuration as for `sweeps.train`.
        state: Path of the file from which a killed training goes on.

    Returns:
        Dict with the number of parameters, "cpu_seconds" of the training (None where it was interrupted), what `judge`
        returns, and "history".
    """
    model, dataset, history, seconds = sweeps.train_with_clock(config, state)
    cost = {"parameters": model.encoder.count_params() + model.decoder.count_params(), "cpu_seconds": seconds}
    seen = evaluation_setting(dataset.slug)
    return cost | judge(model, dataset.head(train=seen["train"], test=seen["test"])) | {"history": history}


def judge(model, dataset):
    """All that `metrics.evaluate` measures of one model, and its samples from three distributions of codes.

    Args:
        model: A model of the course, or a `baselines.PCA`.
        dataset: A `data.Dataset`.

    Returns:
        Dict with what `metrics.evaluate` finds, "bernoulli", which is `metrics.bernoulli` of reconstructions, and what
        `metrics.judge_samples` finds of as many pictures as there are test images, decoded from codes of a standard
        normal, a fitted Gaussian and a fitted mixture of 20, as "prior_frechet_distance", "gaussian_..." and
        "mixture_...".
    """
    own_classifier, images = classifier.load(dataset.slug), dataset.test.images
    row = metrics.evaluate(model, dataset, own_classifier, samples=0, verbose=False)
    row |= {"bernoulli": metrics.bernoulli(images, np.clip(model.reconstruct(images), 0, 1))}
    return metrics.flat(row | _judge_ways(model, metrics.codes_of(model, dataset.train), dataset, own_classifier))


def _judge_ways(model, codes, dataset, own_classifier):
    """What `metrics.judge_samples` finds of pictures from three distributions of codes, as a dict of `Estimate`."""
    row = {}
    ways = {
        "prior": priors.StandardNormal(model.latent_dim),
        "gaussian": priors.FittedGaussian(codes),
        "mixture": priors.GaussianMixture(codes, components=20),
    }
    for way, sampler in ways.items():
        pictures = np.clip(model.decode(sampler.sample(len(dataset.test), seed=1)), 0, 1)
        judged = metrics.judge_samples(pictures, dataset, own_classifier)
        row |= {f"{way}_{name}": value for name, value in judged.items()}
    return row


def train_with_labels(config, state):
    """Train one model of `LABELS` and find what its label is worth on the test images.

    Args:
        config: Configuration as for `sweeps.train`; its "labels" may be "shuffled" or "clusters", and "images" and
            "samples" say how the tight bounds are found.
        state: Path of the file from which a killed training goes on.

    Returns:
        Dict with "label_entropy" in nats (None without a label), what `metrics.measure` or `conditional.measure` finds,
        "variance_per_latent" of posterior means, a list, and the means and standard errors of `conditional.likelihoods`
        by the ELBO and, as "tight_...", by importance weights on the first test images; of a VAE its bound is the
        "marginal" one. And "history".
    """
    usual = {field: value for field, value in config.items() if field not in ("labels", "images", "samples")}
    model, dataset, history = sweeps.train(usual, state, prepare=functools.partial(_labelled, config.get("labels")))
    images, labels = dataset.test.images, dataset.test.labels
    frequencies = np.bincount(dataset.train.labels, minlength=10) / len(dataset.train)
    few = slice(0, config["images"])
    if model.is_conditional:
        row = conditional.measure(model, dataset)
        found = conditional.likelihoods(conditional.log_likelihoods(model, images), labels, frequencies)
        log_p = conditional.log_likelihoods(model, images[few], config["samples"], importance_weighted=True)
        tight = conditional.likelihoods(log_p, labels[few], frequencies)
        row |= {"variance_per_latent": conditional.codes_of(model, images, labels).var(axis=0).tolist()}
    else:
        row = metrics.measure(model, dataset) | {"variance_per_latent": model.code(images).var(axis=0).tolist()}
        found = {"marginal": metrics.elbo(model, images).negative_elbo}
        log_p = metrics.log_likelihood_per_image(model, images[few], config["samples"])
        tight = {"marginal": metrics.Estimate.of(-log_p)}
    found |= {f"tight_{name}": estimate for name, estimate in tight.items()}
    entropy = float(-np.sum(frequencies * np.log(frequencies))) if model.is_conditional else None
    return row | metrics.flat(found) | {"label_entropy": entropy, "history": history}


def _labelled(kind, dataset):
    """A data set with labels of another kind: "shuffled" or "clusters"; None leaves it as it is."""
    if kind is None:
        return dataset
    if kind not in ("shuffled", "clusters"):
        raise ValueError(f"labels are {kind!r}; choose 'shuffled' or 'clusters'.")
    generator, splits = seeds.generator(1), {}
    if kind == "clusters":
        pca = baselines.PCA(dataset.train.images, 50)
        with threadpool_limits(1):  # the same clusters for any number of threads
            means = KMeans(10, n_init=1, random_state=1).fit(pca.encode(dataset.train.images))
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        if kind == "shuffled":
            labels = generator.permutation(split.labels)
        else:
            labels = means.predict(pca.encode(split.images)).astype("int64")
        splits[name] = Split(split.stored, labels)
    return dataclasses.replace(dataset, **splits)


# Sorts of stored results: settings, folder of the trials, trial, what a configuration has besides.
def _kinds():
    return (
        (LABELS, "labels", train_with_labels, {}),
        (EXPERIMENTS, "experiments", train_and_judge, {}),
        (SWEEPS, "tuning", sweeps.train_and_measure, {"split": "test"}),
        (COMPARISONS, "comparisons", train_and_evaluate, {}),
    )


def run(name, dataset, again=False):
    """Train the models of a stored experiment, sweep or comparison and write one row of figures for each.

    Trainings that are finished are kept, so an interrupted one goes on. For autoencoders of an experiment, and in each
    comparison, PCA at each code size comes first, unless "pca" is False. In a sweep a training whose loss became
    infinite is an outcome too: its row has "status" "failed" and no figures.

    Args:
        name: Key of `EXPERIMENTS`, `SWEEPS`, `COMPARISONS` or `LABELS`.
        dataset: The whole `data.Dataset`.
        again: Whether to write the result again where it is stored already.

    Raises:
        RuntimeError: A training failed; the others are kept.
    """
    path = checkpoints.RESULTS / dataset.slug / f"{name}.json"
    setting = setting_on(dataset.slug, name)
    stored = (
        files.read_json(path, f"Delete it and run `make {'sweeps' if name in SWEEPS else 'results'}` again ({name}).")
        if path.exists()
        else {}
    )
    if stored.get("recipe") == setting and not again:
        return
    folder, trial, more = next(kind[1:] for kind in _kinds() if name in kind[0])
    trial = train_and_denoise if name == "denoising" else trial
    folder, sweep = sweeps.FOLDER / folder, name in SWEEPS
    trials = [
        (label, seed, _configuration(setting, label, seed, dataset) | more)
        for label in setting["variants"]
        for seed in setting["seeds"]
    ]
    print(f"{name}: {setting['about']}", flush=True)
    table = sweeps.run([config for *_, config in trials], trial, folder)
    diverged = table.error.str.startswith("FloatingPointError") & sweep
    if (~diverged & (table.status == "failed")).any():
        raise RuntimeError(f"{name} is not whole; mend what the lines above say and run it again.")
    with_pca = name in COMPARISONS or (name in EXPERIMENTS and setting["model"].endswith("autoencoder"))
    with_pca &= setting.get("pca", True)
    rows = _pca_rows(setting, dataset, whole=name in COMPARISONS) if with_pca else []
    for (label, seed, config), status in zip(trials, table.status, strict=True):
        result = sweeps.read(sweeps.folder_of(config, folder)) if status == "done" else {}
        change = setting["variants"][label]
        varied = change.get("arguments", {}) | change.get("recipe", {})
        varied.pop("reconstruction", None)  # in a row of figures that is a number of nats
        varied = {field: "-".join(map(str, v)) if isinstance(v, list) else v for field, v in varied.items()}
        size = {"latent_dim": config["arguments"]["latent_dim"]}
        model = "conditional VAE" if "conditional" in config["model"] else "VAE"
        model = "autoencoder" if config["model"].endswith("autoencoder") else model
        outcome = {"status": status} if sweep else {}
        rows.append({"model": model, "variant": label, "seed": seed, **size, **varied, **outcome, **result})
    files.write_sealed(path, {"data": dataset.slug, "recipe": setting, "rows": rows})


def estimate_likelihoods(dataset, again=False):
    """Store `metrics.log_likelihood_per_image` of the models in `IMPORTANCE_WEIGHTED`.

    Args:
        dataset: The whole `data.Dataset`.
        again: Whether to estimate also what is stored already.
    """
    setting = likelihood_setting(dataset.slug)
    images = metrics.binarise(dataset.test.images, setting["binarised_with_seed"])[: setting["images"]]

    def row_of(name, vae, about):
        per_image = metrics.log_likelihood_per_image(vae, images, setting["samples"], setting["seed"])
        estimate = metrics.Estimate.of(per_image)
        row = {
            "log_likelihood": estimate.value,
            "per_image": per_image.round(4).tolist(),
            "standard_error": estimate.standard_error,
        }
        return row, f"log-likelihood {estimate}"

    _store_rows("importance_weighted", dataset, setting, row_of, again)


def evaluate_shipped(dataset, again=False):
    """Store what `judge` finds of the shipped models, the numbers of their manifests, and what training costs.

    Args:
        dataset: The whole `data.Dataset`.
        again: Whether to judge also what is stored already.
    """
    setting = evaluation_setting(dataset.slug)
    seen = dataset.head(train=setting["train"], test=setting["test"])

    def row_of(name, model, about):
        row = {"latent_dim": model.latent_dim, "epochs": about["configuration"]["recipe"]["epochs"]}
        row |= {"parameters": about["parameters"], "cpu_seconds": _seconds_to_train(name, dataset, setting)}
        row |= about["metrics"] | judge(model, seen)
        return row, f"judged, {row['cpu_seconds']:.0f} CPU seconds to train"

    _store_rows("evaluation", dataset, setting, row_of, again)


def judge_samplers(dataset, again=False):
    """Store what `metrics.judge_samples` finds of the models in `SAMPLERS`, with all fits made to drawn codes.

    Samples of a VAE are decoded from draws, so a distribution that stands in for its prior has to be fitted to draws:
    fitted to the means of q(z | x), as in `judge`, it leaves out the noise that the decoder was trained with.

    Args:
        dataset: The whole `data.Dataset`.
        again: Whether to judge also what is stored already.
    """
    setting = sampler_setting(dataset.slug)
    seen = dataset.head(train=setting["train"], test=setting["test"])

    def row_of(name, model, about):
        codes = metrics.drawn_codes(model, seen.train.images, setting["seed"])
        row = metrics.flat(_judge_ways(model, codes, seen, classifier.load(dataset.slug)))
        return row, f"its mixture is at {row['mixture_frechet_distance']:.2f}"

    _store_rows("samplers", dataset, setting, row_of, again)


def judge_conditional(dataset, again=False):
    """Store what is found of the models in `CONDITIONAL`, each with each seed.

    The first seed is that of the shipped weights; the others are trained where they are not in ``data/runs``. On the
    drawn wardrobe, a stand-in, only the shipped ones are judged, and the style that `conditional.transfer` keeps too.

    Args:
        dataset: The whole `data.Dataset`.
        again: Whether to judge also what is stored already.
    """
    setting = conditional_setting(dataset.slug)
    path = checkpoints.RESULTS / dataset.slug / "conditional.json"
    stored = files.read_json(path, "Delete it and run `make results` again.") if path.exists() else {}
    rows = stored["rows"] if stored.get("recipe") == setting and not again else []
    for name, plain in setting["models"].items():
        for seed in setting["seeds"]:
            shipped = seed == setting["seeds"][0]
            sha256 = checkpoints.manifest(name, dataset.slug)["sha256"] if shipped else ""
            key = {"model": name, "seed": seed, "sha256": sha256}
            if any(key.items() <= row.items() for row in rows):
                continue
            sides = []
            for each in (name, plain):
                load = checkpoints.load if shipped else functools.partial(checkpoints.trained_with_seed, seed=seed)
                sides.append(load(each, dataset))
            row = key | _judge_conditional(name, *sides, dataset, setting)
            rows = [r for r in rows if (r["model"], r["seed"]) != (name, seed)] + [row]
            files.write_sealed(path, {"data": dataset.slug, "recipe": setting, "rows": rows})
            print(f"{name}, seed {seed}: conditional {row['conditional']:.2f} nats", flush=True)


def _judge_conditional(name, cvae, vae, dataset, setting):
    """All figures of one conditional model beside its VAE, as a dict."""
    own, images, labels = classifier.load(dataset.slug), dataset.test.images, dataset.test.labels
    table = conditional.likelihoods_per_image(conditional.log_likelihoods(cvae, images), labels)
    found = {column: metrics.Estimate.of(table[column]) for column in table}
    bound = sum(metrics.elbo_per_image(vae, images))
    found |= {
        "vae_negative_elbo": metrics.Estimate.of(bound),
        "marginal_less_vae": metrics.Estimate.of(table["marginal"] - bound),
        "joint_less_vae": metrics.Estimate.of(table["joint"] - bound),
    }
    n, samples = setting["importance_weighted"][name]
    log_p = conditional.log_likelihoods(cvae, images[:n], samples, importance_weighted=True)
    tight = conditional.likelihoods_per_image(log_p, labels[:n])
    bound = -metrics.log_likelihood_per_image(vae, images[:n], samples)
    found |= {f"tight_{column}": metrics.Estimate.of(tight[column]) for column in tight}
    found |= {"tight_marginal_less_vae": metrics.Estimate.of(tight["marginal"] - bound)}
    row = metrics.flat(found) | conditional.measure(cvae, dataset)

    few = dataset.train.head(min(setting["codes"], len(dataset.train)))
    for way, drawn in (("drawn", True), ("mean", False)):
        codes = [conditional.codes_of(cvae, part.images, part.labels, drawn) for part in (few, dataset.test)]
        leak = conditional.leakage(codes[0], few.labels, codes[1], labels)
        row |= metrics.flat({f"{way}_{measure}": value for measure, value in leak.items()})
    raw = [cvae.code(part) for part in (few, dataset.test)]
    row |= metrics.flat({"raw_linear_probe": metrics.linear_probe(raw[0], few.labels, raw[1], labels)})

    pictures = cvae.sample(setting["pictures"], seed=1)
    asked = np.arange(len(pictures)) % cvae.classes
    row |= {"classes": conditional.judge_classes(pictures[:10_000], asked[:10_000], dataset, own).to_dict("index")}
    judged = metrics.judge_samples(pictures[: len(dataset.test)], dataset, own)
    row |= metrics.flat({f"sample_{measure}": value for measure, value in judged.items()})
    made = conditional.as_training_data(pictures, asked, dataset)
    score = classifier.measure(classifier.train(made, verbose=False)[0], made)
    row |= {
        "classifier_accuracy_score": score["accuracy"],
        "classifier_accuracy": classifier.measure(own, dataset)["accuracy"],
    }
    return row | (_style(cvae, dataset, setting) if dataset.slug == wardrobe.SLUG else {})


def _style(cvae, dataset, setting):
    """What `conditional.style_kept` finds of transfers on the drawn wardrobe, and of two baselines."""
    source = dataset.test.head(min(setting["transfers"], len(dataset.test)))
    truth = wardrobe.factors("test").head(len(source))
    reader = conditional.FactorReader().fit(dataset.train.images, wardrobe.factors("train"))
    new = (source.labels + seeds.generator(1).integers(1, cvae.classes, len(source))) % cvae.classes
    results = {
        "transfer": conditional.transfer(cvae, source.images, source.labels, new),
        "nearest": conditional.nearest_of_class(source.images, new, dataset.train),
        "mean": conditional.mean_of_class(new, dataset.train),
    }
    readings = {way: reader.read(pictures) for way, pictures in results.items()}
    style = conditional.style_kept(truth[list(conditional.STYLE_FACTORS)], readings, source.labels, new)
    seen = reader.read(source.images)
    own = conditional.style_kept(truth[list(seen)], {"reader": seen}, source.labels, source.labels)
    back = reader.read(cvae.reconstruct(source))
    style["reconstruction"] = conditional.style_kept(
        truth[list(seen)], {"reconstruction": back}, source.labels, source.labels
    )["reconstruction"]
    style["reader"] = own["reader"]
    judge = classifier.load(dataset.slug)
    changed = {way: float(np.mean(judge.classify(pictures) == new)) for way, pictures in results.items()}
    return {"style": style.to_dict("index"), "class_changed": changed}


def _store_rows(name, dataset, setting, row_of, again):
    """Store a row for each shipped model of a setting; rows of the same weights and setting are kept.

    Args:
        name: Name of the result file.
        dataset: The whole `data.Dataset`.
        setting: Dict with the names of the "models" and all else that decides the outcome.
        row_of: Function of a model's name, the model and its manifest; it returns a dict that JSON can hold, and words
            to print once it is stored.
        again: Whether to work out also what is stored already.
    """
    path = checkpoints.RESULTS / dataset.slug / f"{name}.json"
    stored = files.read_json(path, "Delete it and run `make results` again.") if path.exists() else {}
    rows = stored["rows"] if stored.get("recipe") == setting and not again else []
    for model in setting["models"]:
        about = checkpoints.manifest(model, dataset.slug)
        key = {"model": model, "sha256": about["sha256"]}
        if any(key.items() <= row.items() for row in rows):
            continue
        row, words = row_of(model, checkpoints.load(model, dataset.slug), about)
        rows = [other for other in rows if other["model"] != model] + [key | row]
        files.write_sealed(path, {"data": dataset.slug, "recipe": setting, "rows": rows})
        print(f"{model}: {words}", flush=True)


def _seconds_to_train(name, dataset, setting):
    """CPU seconds of a whole training, worked out from a second epoch on a few images (a first one also compiles)."""
    few = dataset.head(train=setting["images_to_time"], validation=100)
    plan = checkpoints.plan(name)
    epochs = training.recipe_on(dataset.slug, plan.recipe)["epochs"]
    model = plan.build()
    ends = []
    training.fit(
        model,
        few,
        verbose=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.process_time()))],
        **plan.recipe | {"epochs": 2},
    )
    return round((ends[1] - ends[0]) * epochs * len(dataset.train) / len(few.train), 3)


def evaluation_setting(slug):
    """`EVALUATION` as it is done on a data set: with a fifth of the images on the stand-in."""
    share = 5 if slug == wardrobe.SLUG else 1
    return EVALUATION | {split: EVALUATION[split] // share for split in ("train", "test")}


def sampler_setting(slug):
    """`SAMPLERS` as it is done on a data set: with a fifth of the images on the stand-in."""
    share = 5 if slug == wardrobe.SLUG else 1
    return SAMPLERS | {split: SAMPLERS[split] // share for split in ("train", "test")}


def conditional_setting(slug):
    """`CONDITIONAL` as it is done on a data set: with the shipped seed alone on the stand-in."""
    return CONDITIONAL | ({"seeds": CONDITIONAL["seeds"][:1]} if slug == wardrobe.SLUG else {})


def likelihood_setting(slug):
    """`IMPORTANCE_WEIGHTED` as it is done on a data set: with a tenth of the samples on the stand-in."""
    share = 10 if slug == wardrobe.SLUG else 1
    return {**IMPORTANCE_WEIGHTED, "samples": IMPORTANCE_WEIGHTED["samples"] // share}


def setting_on(slug, name):
    """A stored experiment as it is done on a data set.

    Args:
        slug: The `Dataset.slug` of the data.
        name: Key of `EXPERIMENTS`, `SWEEPS`, `COMPARISONS` or `LABELS`.

    Returns:
        Dict that JSON can hold.
    """
    setting = (EXPERIMENTS | SWEEPS | COMPARISONS | LABELS)[name]
    variants = {
        label: {part: training.recipe_on(slug, c) if part == "recipe" else c for part, c in change.items()}
        for label, change in setting["variants"].items()
    }
    seeds = setting["seeds"]
    if slug == wardrobe.SLUG:  # the stand-in only has to show that all runs; the spread over seeds needs two
        if name not in EXPERIMENTS:
            seeds = seeds[:2]
        elif setting["model"].startswith("conv_"):
            seeds = seeds[:1]
    recipe = training.recipe_on(slug, setting["recipe"])
    return {**setting, "recipe": recipe, "variants": variants, "seeds": seeds}


def _configuration(setting, label, seed, dataset):
    parts = {part: setting[part] | setting["variants"][label].get(part, {}) for part in ("arguments", "recipe")}
    model = setting["variants"][label].get("model", setting["model"])
    change = setting["variants"][label]
    parts |= {part: change[part] for part in ("noise", "labels") if part in change}
    parts |= {part: setting[part] for part in ("images", "samples") if part in setting}
    return {"model": model, **parts, "seed": seed, "data": {"slug": dataset.slug}}


def _pca_rows(setting, dataset, whole):
    sizes = {(setting["arguments"] | c.get("arguments", {}))["latent_dim"] for c in setting["variants"].values()}
    began = time.process_time()
    pca, images = baselines.PCA(dataset.train.images, max(sizes)), dataset.test.images
    seconds, pixels = round(time.process_time() - began, 2), images[0].size
    rows = []
    for k in sorted(sizes):
        row = {"model": "PCA", "latent_dim": k, "seed": 0}
        if whole:  # one fit serves all sizes; the components and the mean image are its parameters
            row |= {"variant": f"PCA, {k} codes", "parameters": (k + 1) * pixels, "cpu_seconds": seconds}
            seen = evaluation_setting(dataset.slug)
            row |= judge(pca.keep(k), dataset.head(train=seen["train"], test=seen["test"]))
        else:
            row |= {"mse": metrics.mse(images, pca.reconstruct(images, k)).value}
        rows.append(row)
    return rows
