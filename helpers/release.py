"""Train, measure and list what the course ships: `make checkpoints`, `make results`, `make readme`."""

import argparse
import sys
import time

import pandas as pd

from helpers import checkpoints, course, data, files, metrics, training

RESULTS = course.DATA / "results"
README = course.ROOT / "README.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

SWEEP_SIZES = (2, 4, 8, 16, 32, 64)
SWEEP_SEEDS = (1, 2, 3)
SWEEP_RECIPE = {"epochs": 12, "batch_size": 128, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1}
SWEEP_NET = {"hidden": [256, 128], "activation": "silu"}


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


def latent_sweep(wear, verbose=True):
    """Test MSE of autoencoders against PCA for several code sizes and seeds, stored with its recipe.

    Finished trainings are kept in the file as they come, so an interrupted sweep goes on.

    Args:
        wear: `data.Dataset`.
        verbose: print one line a training.
    """
    path = RESULTS / wear.slug / "latent_sweep.json"
    recipe = {"net": SWEEP_NET, "recipe": SWEEP_RECIPE, "sizes": list(SWEEP_SIZES), "seeds": list(SWEEP_SEEDS)}
    content = files.read_json(path, "Delete it and run `make results` again.") if path.exists() else {}
    if content.get("recipe") != recipe:
        content = {"about": "test MSE per pixel", "data": wear.slug, "recipe": recipe, "rows": []}
    known = {(row["model"], row["latent_dim"], row["seed"]) for row in content["rows"]}
    if not known:
        pca = metrics.PCA(wear.train.images, max(SWEEP_SIZES))
        for k in SWEEP_SIZES:
            error = metrics.mse(wear.test.images, pca.reconstruct(wear.test.images, k)).value
            content["rows"].append({"model": "PCA", "latent_dim": k, "seed": 0, "mse": error})
    for seed in SWEEP_SEEDS:
        for k in SWEEP_SIZES:
            if ("autoencoder", k, seed) in known:
                continue
            plan = checkpoints.Plan("", "dense_autoencoder", {"latent_dim": k, "seed": seed, **SWEEP_NET}, SWEEP_RECIPE)
            model = plan.build()
            training.fit(model, wear, verbose=False, seed=seed, **plan.recipe)
            error = metrics.mse(wear.test.images, model.reconstruct(wear.test.images)).value
            content["rows"].append({"model": "autoencoder", "latent_dim": k, "seed": seed, "mse": error})
            files.write_json(path, content)
            if verbose:
                print(f"latent_dim {k}, seed {seed}: MSE {error:.5f}", flush=True)


def results_table(slug=checkpoints.DEFAULT):
    """What is shipped, from the manifests, as a pandas DataFrame with one row a model."""
    rows = []
    for name in checkpoints.names():
        about = checkpoints.manifest(name, slug)
        numbers = about["metrics"]
        rows.append(
            {
                "model": f"`{name}`",
                "what": about["about"],
                "weights": f"{about['parameters']:,}",
                "test MSE": f"{numbers['mse']:.5f}",
                "negative ELBO": f"{numbers['negative_elbo']:.2f}" if "negative_elbo" in numbers else "",
                "= reconstruction": f"{numbers['reconstruction']:.2f}" if "kl" in numbers else "",
                "+ KL": f"{numbers['kl']:.2f}" if "kl" in numbers else "",
                "code units in use": _in_use(about),
            }
        )
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
    """Command line: ``python -m helpers.release checkpoints|results|readme``."""
    parser = argparse.ArgumentParser(prog="python -m helpers.release", description=__doc__)
    parser.add_argument("what", choices=["checkpoints", "results", "readme"])
    parser.add_argument("names", nargs="*", help="models to train; all where none is named")
    parser.add_argument("--anew", action="store_true", help="train also what is stored already")
    chosen = parser.parse_args(arguments)
    if chosen.what == "readme":
        README.write_text(readme_with_results(README.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    course.begin()
    wear = data.load()
    if chosen.what == "results":
        latent_sweep(wear)
    else:
        ship(chosen.names or checkpoints.names(), wear, chosen.anew)
    return 0


if __name__ == "__main__":
    sys.exit(main())
