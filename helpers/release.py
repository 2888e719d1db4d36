"""Train, measure, draw and list what the course ships: `make checkpoints`, `results`, `pictures`, `readme`."""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from helpers import checkpoints, course, data, files, metrics, models, plotting, samplers, training

README = course.ROOT / "README.md"
IMAGES = course.ROOT / "images"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

_COSINE = {"batch_size": 128, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1}

# Stored experiments: what is built, how it is trained, and what is varied.
EXPERIMENTS = {
    "latent_sweep": {
        "about": "autoencoders of several code sizes, three seeds each",
        "arguments": {"hidden": [256, 128], "activation": "silu"},
        "recipe": {"epochs": 12, **_COSINE},
        "vary": [{"latent_dim": k, "seed": seed} for seed in (1, 2, 3) for k in (2, 4, 8, 16, 32, 64)],
    },
    "dead_units": {
        "about": "S2's autoencoder with its ReLU code, three seeds",
        "arguments": {"hidden": [128, 64, 32], "activation": "relu", "code_activation": "relu"},
        "recipe": checkpoints.plan("dense_ae_18_s2").recipe,
        "vary": [{"latent_dim": 18, "seed": seed} for seed in (1, 2, 3)],
    },
}


def ship(names, wear, anew=False):
    """Train, measure and store models; those stored already are passed over.

    Args:
        names: names from `checkpoints.names`.
        wear: `data.Dataset`.
        anew: train also what is stored.
    """
    folder = checkpoints.SHIPPED / wear.slug
    todo = [name for name in names if anew or not (folder / f"{name}.json").exists()]
    began = time.monotonic()
    for done, name in enumerate(todo):
        left = f" · {training.clock((time.monotonic() - began) / done * (len(todo) - done))} left" if done else ""
        print(f"{name} ({done + 1} of {len(todo)}){left}", flush=True)
        model, history = checkpoints.train(name, wear)
        checkpoints.save(model, name, history, metrics.measure(model, wear), folder)
        checkpoints.state_file(name, wear.slug).unlink()


def run_experiment(name, wear):
    """Train the autoencoders of a stored experiment and write one row of test figures for each.

    Rows are written as they come, so an interrupted experiment goes on. PCA at each code size is
    added as a first block of rows.

    Args:
        name: key of `EXPERIMENTS`.
        wear: `data.Dataset`.
    """
    path = checkpoints.RESULTS / wear.slug / f"{name}.json"
    setting = {**EXPERIMENTS[name], "recipe": checkpoints.recipe_on(wear.slug, EXPERIMENTS[name]["recipe"])}
    content = files.read_json(path, f"Delete it and run `make results` again ({name}).") if path.exists() else {}
    if content.get("recipe") != setting:
        content = {"data": wear.slug, "recipe": setting, "rows": _pca_rows(setting, wear)}
    known = [(row["latent_dim"], row["seed"]) for row in content["rows"] if row["model"] == "autoencoder"]
    todo = [change for change in setting["vary"] if (change["latent_dim"], change["seed"]) not in known]
    for change in todo:
        model = models.dense_autoencoder(**setting["arguments"], **change)
        training.fit(model, wear, verbose=False, **{**setting["recipe"], "seed": change["seed"]})
        row = {"model": "autoencoder", **change, **metrics.measure(model, wear)}
        content["rows"].append(row)
        files.write_json(path, content)
        print(f"{name}: {change}: MSE {row['mse']:.5f}, {row['dead_units']} dead units", flush=True)


def _pca_rows(setting, wear):
    sizes = sorted({change["latent_dim"] for change in setting["vary"]})
    pca, images = metrics.PCA(wear.train.images, max(sizes)), wear.test.images
    errors = {k: metrics.mse(images, pca.reconstruct(images, k)).value for k in sizes}
    return [{"model": "PCA", "latent_dim": k, "seed": 0, "mse": error} for k, error in errors.items()]


def pictures(wear):
    """Draw the pictures of README and the notebooks' titles into ``images/``.

    Args:
        wear: `data.Dataset`.
    """
    test, vae, autoencoder = wear.test, checkpoints.load("dense_vae_10"), checkpoints.load("dense_ae_18_wide")
    ways = [(0, 3), (2, 6), (3, 1), (5, 9), (7, 5), (8, 2)]  # pairs of classes
    ends = [vae.code(np.stack([test.of_class(a)[4], test.of_class(b)[4]])) for a, b in ways]
    codes = np.concatenate([samplers.interpolate(*pair, 16, "spherical") for pair in ends])
    pca, garments = metrics.PCA(wear.train.images, 64), [test.of_class(9)[0], test.of_class(3)[0], test.of_class(8)[9]]
    six = np.stack([test.of_class(label)[2] for label in (9, 3, 8, 0, 1, 2)])
    z = autoencoder.encode(six)
    figures = {
        "course": plotting.plot_sheet(vae.decode(codes), 16),
        "01_hero": plotting.plot_memory(pca, np.stack(garments)),
        "02_hero": plotting.plot_bottleneck(six, z, autoencoder.decode(z)),
        "03_hero": plotting.plot_wardrobe(checkpoints.load("dense_vae_2"), columns=24, rows=7),
    }
    for name, figure in figures.items():
        with files.written_aside(IMAGES / f"{name}.png") as aside:
            aside.write_bytes(plotting.png(figure))


def results_table(slug=checkpoints.DEFAULT):
    """What is shipped, from the manifests, as a pandas DataFrame with one row a model."""
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


def results_markdown(slug=checkpoints.DEFAULT):
    """`results_table` as a Markdown table."""
    table = results_table(slug)
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def readme_with_results(text):
    """README's text with the table of results between its two marks made anew.

    Raises:
        ValueError: a mark is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md needs the two lines {BEGIN} and {END} around the table of results.")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{results_markdown()}\n{END}{rest.split(END, 1)[1]}"


def main(arguments=None):
    """Command line: ``python -m helpers.release checkpoints|results|pictures|readme``."""
    parser = argparse.ArgumentParser(prog="python -m helpers.release", description=__doc__)
    parser.add_argument("what", choices=["checkpoints", "results", "pictures", "readme"])
    parser.add_argument("names", nargs="*", help="models or experiments; all where none is named")
    parser.add_argument("--anew", action="store_true", help="train also what is stored already")
    chosen = parser.parse_args(arguments)
    if chosen.what == "readme":
        README.write_text(readme_with_results(README.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    course.begin()
    wear = data.load()
    if chosen.what == "results":
        for name in chosen.names or EXPERIMENTS:
            run_experiment(name, wear)
    elif chosen.what == "pictures":
        pictures(wear)
    else:
        ship(chosen.names or checkpoints.names(), wear, chosen.anew)
    return 0


if __name__ == "__main__":
    sys.exit(main())
