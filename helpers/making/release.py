"""Train, measure, draw and list what the course ships (`make checkpoints results sweeps pictures explorer readme`)."""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from helpers import (
    baselines,
    checkpoints,
    classifier,
    conditional,
    course,
    data,
    interpolation,
    metrics,
    plotting,
    priors,
    widgets,
)
from helpers.machinery import files, progress, weights
from helpers.making import experiments

README = course.ROOT / "README.md"
IMAGES = course.ROOT / "images"
EXPLORER = course.ROOT / "explorer.html"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def ship(names, dataset, again=False):
    """Train, measure and store models; those stored already are passed over.

    Args:
        names: Names of plans, and `classifier.NAME`.
        dataset: A `data.Dataset`.
        again: Whether to train also what is stored.
    """
    folder = weights.SHIPPED / dataset.slug
    todo = [name for name in names if again or not (folder / f"{name}.json").exists()]
    began = time.monotonic()
    for done, name in enumerate(todo):
        left = f" · {progress.clock((time.monotonic() - began) / done * (len(todo) - done))} left" if done else ""
        print(f"{name} ({done + 1} of {len(todo)}){left}", flush=True)
        if name == classifier.NAME:
            classifier.ship(dataset)
            continue
        model, history = checkpoints.train(name, dataset)
        measure = conditional.measure if model.is_conditional else metrics.measure
        checkpoints.store(model, name, history, dataset, measure(model, dataset), folder)
        checkpoints.state_file(name, dataset).unlink(missing_ok=True)


def pictures(dataset):
    """Draw the pictures of README and the notebooks' titles into ``images/``.

    Args:
        dataset: A `data.Dataset`.
    """
    test, vae, autoencoder = dataset.test, checkpoints.load("dense_vae_10"), checkpoints.load("dense_ae_18_wide")
    pairs = [(0, 3), (2, 6), (3, 1), (5, 9), (7, 5), (8, 2)]  # pairs of classes
    ends = [vae.code(np.stack([test.of_class(a)[4], test.of_class(b)[4]])) for a, b in pairs]
    codes = np.concatenate([interpolation.interpolate(*pair, 16, "spherical") for pair in ends])
    pca, garments = (
        baselines.PCA(dataset.train.images, 64),
        [test.of_class(9)[0], test.of_class(3)[0], test.of_class(8)[9]],
    )
    six = np.stack([test.of_class(label)[2] for label in (9, 3, 8, 0, 1, 2)])
    z = autoencoder.encode(six)
    chance = test.take(np.random.default_rng(1).permutation(len(test))[:8])  # the garments of notebook 04
    questions = {
        "one layer or three": "tuning_depth",
        "six sizes": "tuning_sizes",
        "size of the code": "tuning_latent_size",
        "learning rate": "tuning_learning_rate",
        "activation": "tuning_activation",
        "optimiser": "tuning_optimizer",
    }
    trials = {question: checkpoints.result(name)[0] for question, name in questions.items()}
    trials["size of the code"] = trials["size of the code"].query("likelihood == 'bernoulli'")
    autoencoder_10, vae_32 = checkpoints.load("dense_ae_10"), checkpoints.load("conv_vae_32")
    made = {"real garments": test.images[20:32]}
    for way in ("N(0, I)", "mixture"):  # in each pair of rows the codes come from the same kind of distribution
        for label, model in {"autoencoder": autoencoder_10, "VAE": vae}.items():
            drawn = priors.StandardNormal(10)
            if way == "mixture":
                drawn = priors.GaussianMixture(metrics.drawn_codes(model, dataset.train.images), components=20)
            made[f"{label}\n{way}"] = model.decode(drawn.sample(12, seed=2))
    figures = {
        "course": plotting.plot_sheet(vae.decode(codes), 16),
        "01_hero": plotting.plot_memory(pca, np.stack(garments)),
        "02_hero": plotting.plot_bottleneck(six, z, autoencoder.decode(z)),
        "03_hero": plotting.plot_wardrobe(checkpoints.load("dense_vae_2"), columns=24, rows=7),
        "04_hero": plotting.plot_uncertainty(chance, *metrics.reconstruction_spread(vae_32, chance), title=""),
        "05_hero": plotting.plot_sweeps(
            trials, "validation_negative_elbo", xlabel="nats per image above the best setting of the row, validation"
        ),
        "06_hero": plotting.plot_rows(made),
    }
    written = [number for number in plotting.STATIONS if number not in plotting.PLANNED]
    figures |= {f"{number:02d}_map": plotting.plot_course_map(number) for number in written}
    for name, figure in figures.items():
        with files.written_aside(IMAGES / f"{name}.png") as aside:
            aside.write_bytes(plotting.png(figure))


def explorer(dataset):
    """Write the explorer of three shipped models, small enough to stay below one megabyte together.

    Args:
        dataset: A `data.Dataset`.
    """
    names = {"autoencoder": "dense_ae_18", "VAE": "dense_vae_10_s0", "convolutional VAE": "conv_vae_32_bernoulli"}
    shipped = {title: checkpoints.load(name) for title, name in names.items()}
    print(widgets.write_page(shipped, dataset, EXPLORER))


def results_table(slug=course.FASHION_MNIST):
    """What is shipped, from the manifests, as a pandas DataFrame with one row for each model."""
    rows = []
    for name in checkpoints.names():
        about = checkpoints.manifest(name, slug)
        numbers = about["metrics"]
        row = {
            "model": f"`{name}`",
            "what": about["about"],
            "weights": f"{about['parameters']:,}",
            "test MSE": f"{numbers['mse']:.5f}",
        }
        row |= dict.fromkeys(("negative ELBO", "= reconstruction", "+ KL"), "")
        if "kl" in numbers:
            bound, kl = numbers.get("bernoulli_negative_elbo", numbers["negative_elbo"]), numbers["kl"]
            row |= {"negative ELBO": f"{bound:.2f}", "= reconstruction": f"{bound - kl:.2f}", "+ KL": f"{kl:.2f}"}
        rows.append(row | {"code units in use": _in_use(about)})
    return pd.DataFrame(rows)


def _in_use(about):
    size, numbers = about["configuration"]["arguments"]["latent_dim"], about["metrics"]
    return f"{numbers.get('active_units', size - numbers.get('dead_units', 0))} of {size}"


def results_markdown(slug=course.FASHION_MNIST):
    """`results_table` as a Markdown table."""
    table = results_table(slug)
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def readme_with_results(text):
    """README's text with the table of results between its two marks made again.

    Raises:
        ValueError: A mark is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md needs the two lines {BEGIN} and {END} around the table of results.")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{results_markdown()}\n{END}{rest.split(END, 1)[1]}"


def main(arguments=None):
    """Command line: ``python -m helpers.making.release checkpoints|results|sweeps|pictures|explorer|readme``."""
    parser = argparse.ArgumentParser(prog="python -m helpers.making.release", description=__doc__)
    parser.add_argument("what", choices=["checkpoints", "results", "sweeps", "pictures", "explorer", "readme"])
    parser.add_argument("names", nargs="*", help="models, experiments or sweeps; all where none is named")
    parser.add_argument("--again", action="store_true", help="train also what is stored already")
    chosen = parser.parse_args(arguments)
    if chosen.what == "readme":
        README.write_text(readme_with_results(README.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    course.begin()
    dataset = data.load()
    if chosen.what == "results":
        of_shipped = {
            "importance_weighted": experiments.estimate_likelihoods,
            "evaluation": experiments.evaluate_shipped,
            "samplers": experiments.judge_samplers,
            "conditional": experiments.judge_conditional,
        }
        trainings = experiments.EXPERIMENTS | experiments.COMPARISONS | experiments.LABELS
        for name in chosen.names or [*trainings, *of_shipped]:
            if name in of_shipped:
                of_shipped[name](dataset, chosen.again)
            else:
                experiments.run(name, dataset, chosen.again)
    elif chosen.what == "sweeps":
        for name in chosen.names or experiments.SWEEPS:
            experiments.run(name, dataset, chosen.again)
    elif chosen.what == "pictures":
        pictures(dataset)
    elif chosen.what == "explorer":
        explorer(dataset)
    else:
        ship(chosen.names or [*checkpoints.PLANS, classifier.NAME], dataset, chosen.again)
    return 0


if __name__ == "__main__":
    sys.exit(main())
