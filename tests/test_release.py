"""Shipping, stored experiments, and the table in the README."""

import functools
import json
from concurrent import futures

import numpy as np
import pytest

from helpers import checkpoints, classifier, data, files, metrics, models, release, samplers, sweeps, training, wardrobe

BOTH = f"Top\n{release.BEGIN}\nold table\n{release.END}\nBottom | not a table\n"


# --------------------------------------------------------------------------------------------------
# README


def test_only_what_stands_between_the_marks_is_replaced(monkeypatch):
    monkeypatch.setattr(release, "results_markdown", lambda: "| new |")
    new = release.readme_with_results(BOTH)
    assert new == f"Top\n{release.BEGIN}\n| new |\n{release.END}\nBottom | not a table\n"
    assert release.readme_with_results(new) == new


@pytest.mark.parametrize("mark", [release.BEGIN, release.END])
def test_missing_mark_is_said(mark):
    with pytest.raises(ValueError, match="README.md needs the two lines"):
        release.readme_with_results(BOTH.replace(mark, ""))


def test_table_has_a_row_a_model_with_the_numbers_of_its_manifest(shelf):
    numbers = {"mse": 0.012345, "mse_standard_error": 0.1}
    bound = {"negative_elbo": 236.746, "reconstruction": 224.5, "kl": 12.246, "active_units": 1}
    judged = bound | {"negative_elbo": -700.0, "reconstruction": -712.25, "bernoulli_negative_elbo": 250.0}
    toys = {"toy_ae": numbers | {"dead_units": 2}, "toy_vae": numbers | bound, "toy_conv_vae": numbers | judged}
    for name, measured in toys.items():
        checkpoints.save(checkpoints.plan(name).build(), name, {}, measured, shelf)
    lines = release.results_markdown().splitlines()
    assert [line.count("|") for line in lines] == [9] * 5
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == ["`toy_ae`", "a toy autoencoder", "25,970", "0.01235", "", "", "", "0 of 2"]
    assert cells[3][3:] == ["0.01235", "236.75", "224.50", "12.25", "1 of 2"]
    assert cells[4][3:] == ["0.01235", "250.00", "237.75", "12.25", "1 of 2"], "one likelihood for all"


def test_readme_shows_the_shipped_numbers():
    text = release.README.read_text(encoding="utf-8")
    assert release.readme_with_results(text) == text, "run `make readme`"


def test_command_readme_writes_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "README", tmp_path / "README.md")
    monkeypatch.setattr(release, "results_markdown", lambda: "| new |")
    release.README.write_text(BOTH, encoding="utf-8")
    assert release.main(["readme"]) == 0
    assert "| new |" in release.README.read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------------
# Shipping


def test_shipping_trains_measures_and_stores_what_is_missing(shelf, tiny, capsys):
    release.ship(["toy_ae"], tiny)
    folder = checkpoints.SHIPPED / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["toy_ae.json", "toy_ae.npz"]
    assert not list(checkpoints.RUNS.rglob("*.npz"))
    stored = checkpoints.manifest("toy_ae", "tiny")["metrics"]
    assert stored == metrics.measure(checkpoints.load("toy_ae", "tiny"), tiny), "measured after the rounding"
    before = (folder / "toy_ae.npz").stat().st_mtime_ns
    capsys.readouterr()
    release.ship(["toy_ae"], tiny)
    assert capsys.readouterr().out == ""
    release.ship(["toy_ae"], tiny, anew=True)
    assert (folder / "toy_ae.npz").stat().st_mtime_ns > before


def test_the_classifier_is_shipped_like_the_models(shelf, tiny, monkeypatch):
    shipped = []
    monkeypatch.setattr(classifier, "ship", shipped.append)
    release.ship([classifier.NAME], tiny)
    assert shipped == [tiny]


# --------------------------------------------------------------------------------------------------
# Stored experiments


@pytest.fixture
def experiment(tmp_path, monkeypatch, tiny):
    """A small experiment, trained in this process; returns its result file."""
    setting = {
        "about": "a toy",
        "model": "dense_autoencoder",
        "arguments": {"hidden": [4]},
        "recipe": {"epochs": 1, "batch_size": 100},
        "variants": {f"{k} codes": {"arguments": {"latent_dim": k}} for k in (2, 3)},
        "seeds": [1, 2],
    }
    inline = functools.partial(sweeps.run, executor=futures.ThreadPoolExecutor(1), verbose=False)
    monkeypatch.setattr(release, "EXPERIMENTS", {"toy": setting})
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    monkeypatch.setattr(sweeps, "FOLDER", tmp_path / "sweeps")
    monkeypatch.setattr(sweeps, "run", inline)
    monkeypatch.setattr(sweeps, "_wear", lambda slug: tiny)
    return tmp_path / "tiny" / "toy.json"


def test_experiment_stores_a_row_a_training_and_pca_beside(experiment, tiny):
    release.run_experiment("toy", tiny)
    table, recipe = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert recipe == release.EXPERIMENTS["toy"]
    assert table.model.tolist() == ["PCA"] * 2 + ["autoencoder"] * 4
    assert table.latent_dim.tolist() == [2, 3, 2, 2, 3, 3]
    assert table.seed.tolist()[2:] == [1, 2, 1, 2]
    assert table.variant.tolist()[2:] == ["2 codes"] * 2 + ["3 codes"] * 2
    pca = metrics.PCA(tiny.train.images, 3)
    assert table.mse[0] == metrics.mse(tiny.test.images, pca.reconstruct(tiny.test.images, 2)).value
    model = models.dense_autoencoder(latent_dim=3, hidden=(4,), seed=2)
    history = training.fit(model, tiny, verbose=False, epochs=1, batch_size=100, seed=2)
    assert table.mse[5] == pytest.approx(metrics.measure(model, tiny)["mse"], abs=1e-9)
    assert table.history[5] == history


def test_experiment_on_vaes_keeps_what_the_comparison_needs(experiment, tiny, monkeypatch):
    setting = {
        **release.EXPERIMENTS["toy"],
        "model": "dense_vae",
        "arguments": {"latent_dim": 2, "hidden": [4]},
        "variants": {
            "plain": {},
            "soft": {"arguments": {"beta": 0.5, "likelihood": "gaussian"}, "recipe": {"kl_warmup_epochs": 1}},
        },
        "seeds": [1],
    }
    monkeypatch.setattr(release, "EXPERIMENTS", {"toy": setting})
    release.run_experiment("toy", tiny)
    table, _ = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert table.model.tolist() == ["VAE"] * 2 and table.variant.tolist() == ["plain", "soft"]
    assert table.loc[1, ["beta", "likelihood", "kl_warmup_epochs"]].tolist() == [0.5, "gaussian", 1]
    assert {"kl", "bernoulli_negative_elbo", "sharpness_x_hat", "sharpness_samples", "history"} <= set(table.columns)
    assert table.history[1]["beta"] == pytest.approx([0.05 * 0.5]), "the warm-up reached the training"


def test_interrupted_experiment_goes_on(experiment, tiny, monkeypatch):
    measure, calls = metrics.measure, []

    def fail_at_the_third(model, wear):
        calls.append(model.latent_dim)
        if len(calls) == 3:
            raise OSError("no space left")
        return measure(model, wear)

    monkeypatch.setattr(metrics, "measure", fail_at_the_third)
    with pytest.warns(RuntimeWarning, match="no space left"), pytest.raises(RuntimeError, match="toy is not whole"):
        release.run_experiment("toy", tiny)
    assert not experiment.exists()
    release.run_experiment("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 2 + 4
    assert sorted(calls) == [2, 2, 3, 3, 3], "what was measured already is not trained again"
    release.run_experiment("toy", tiny)
    assert len(calls) == 5


def test_rows_of_another_recipe_are_thrown_away(experiment, tiny):
    files.write_json(experiment, {"recipe": {"epochs": 99}, "rows": [{"model": "autoencoder"}]})
    release.run_experiment("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 6


def test_the_stand_in_gets_a_third_of_the_epochs():
    real, drawn = (release.setting_on(slug, "kl_warmup") for slug in (data.SLUG, wardrobe.SLUG))
    assert real == release.EXPERIMENTS["kl_warmup"]
    assert drawn["recipe"]["epochs"] == -(-real["recipe"]["epochs"] // 3)
    assert drawn["variants"]["from 0"]["recipe"] == {"kl_warmup_epochs": 1, "kl_start": 0.0}


def test_damaged_result_says_what_to_do(experiment, tiny):
    experiment.parent.mkdir()
    experiment.write_text("{")
    with pytest.raises(files.DamagedFile, match=r"toy\.json.*make results"):
        release.run_experiment("toy", tiny)


def whole(name, slug):
    """A stored result; that it is of today's setting and has a row for each variant and seed is checked."""
    table, recipe = checkpoints.result(name, slug)
    assert recipe == release.setting_on(slug, name)
    found = table[table.model != "PCA"]
    wanted = [(label, seed) for label in recipe["variants"] for seed in recipe["seeds"]]
    assert list(zip(found.variant, found.seed, strict=True)) == wanted
    return table, recipe


@pytest.mark.parametrize("slug", [data.SLUG, wardrobe.SLUG])
@pytest.mark.parametrize("name", release.EXPERIMENTS)
def test_stored_experiments_are_whole_and_of_today(name, slug):
    table, _ = whole(name, slug)
    assert table.mse.between(0.002, 0.12).all()


# --------------------------------------------------------------------------------------------------
# Stored sweeps


@pytest.fixture
def sweep(experiment, tiny, monkeypatch):
    """A small sweep of which one setting diverges."""
    setting = {
        "about": "a toy",
        "model": "dense_vae",
        "arguments": {"latent_dim": 2},
        "recipe": {"epochs": 1, "batch_size": 100},
        "variants": {
            "wide": {"arguments": {"hidden": [6, 5]}, "recipe": {"learning_rate": 1e-3}},
            "wild": {"arguments": {"hidden": [4]}, "recipe": {"learning_rate": 1e30}},
        },
        "seeds": [1, 2],
    }
    monkeypatch.setattr(release, "SWEEPS", {"toy_sweep": setting})
    with pytest.warns(RuntimeWarning, match="FloatingPointError"):
        release.run_experiment("toy_sweep", tiny)
    return checkpoints.result("toy_sweep", "tiny", checkpoints.RESULTS)[0]


def test_sweep_stores_validation_and_test_figures(sweep, tiny):
    vae = models.dense_vae(latent_dim=2, hidden=(6, 5), seed=2)
    history = training.fit(vae, tiny, verbose=False, epochs=1, batch_size=100, learning_rate=1e-3, seed=2)
    assert sweep.history[1] == history
    for split in ("validation", "test"):
        bound = metrics.elbo(vae, getattr(tiny, split).images)
        assert sweep[f"{split}_negative_elbo"][1] == pytest.approx(bound.negative_elbo.value)
    assert sweep.hidden.tolist() == ["6-5"] * 2 + ["4"] * 2


def test_diverged_training_is_an_outcome_of_a_sweep(sweep):
    assert sweep.status.tolist() == ["done"] * 2 + ["failed"] * 2
    assert sweep.validation_negative_elbo.isna().tolist() == [False] * 2 + [True] * 2
    assert sweeps.summary(sweep, "variant", "validation_negative_elbo").index.tolist() == ["wide"]


@pytest.mark.parametrize("slug", [data.SLUG, wardrobe.SLUG])
@pytest.mark.parametrize("name", release.SWEEPS)
def test_stored_sweeps_are_whole_and_of_today(name, slug):
    table, recipe = whole(name, slug)
    done = table[table.status == "done"]
    assert len(done) > 0.8 * len(table)
    assert done.validation_mse.between(0.002, 0.2).all() and done.test_mse.between(0.002, 0.2).all()
    assert (done.epochs_run == recipe["recipe"]["epochs"]).all()


# --------------------------------------------------------------------------------------------------
# Stored comparisons


def test_comparison_evaluates_each_model_and_three_ways_to_sample_it(experiment, tiny, monkeypatch):
    setting = {
        "about": "a toy",
        "model": "dense_vae",
        "arguments": {"latent_dim": 2, "hidden": [4]},
        "recipe": {"epochs": 1, "batch_size": 100},
        "variants": {"VAE": {}, "autoencoder": {"model": "dense_autoencoder"}},
        "seeds": [1],
    }
    eye = classifier.build()
    monkeypatch.setattr(classifier, "load", lambda slug: eye)
    monkeypatch.setattr(release, "COMPARISONS", {"toy_comparison": setting})
    release.run_experiment("toy_comparison", tiny)
    table, _ = checkpoints.result("toy_comparison", "tiny", checkpoints.RESULTS)
    assert table.model.tolist() == ["VAE", "autoencoder"]
    assert table.negative_elbo.isna().tolist() == [False, True]
    vae = models.dense_vae(latent_dim=2, hidden=(4,), seed=1)
    training.fit(vae, tiny, verbose=False, epochs=1, batch_size=100, seed=1)
    assert table.mse[0] == pytest.approx(metrics.mse(tiny.test.images, vae.reconstruct(tiny.test.images)).value)
    for way, sampler in {
        "prior": samplers.StandardNormal(2),
        "gaussian": samplers.FittedGaussian(vae.code(tiny.train.images)),
        "mixture": samplers.GaussianMixture(vae.code(tiny.train.images), components=20),
    }.items():
        judged = metrics.judge_samples(vae.decode(sampler.sample(len(tiny.test), seed=1)), tiny, eye)
        for name, estimate in judged.items():
            assert table[f"{way}_{name}"][0] == pytest.approx(estimate.value, rel=1e-4)
    assert table.filter(like="frechet_distance").notna().all(axis=None)


# --------------------------------------------------------------------------------------------------
# Importance-weighted likelihoods


@pytest.fixture
def likelihoods(shelf, tiny, tmp_path, monkeypatch):
    """Two shipped toys and an empty folder of results; returns the result file."""
    small = {**release.IMPORTANCE_WEIGHTED, "models": ["toy_vae", "toy_conv_vae"], "images": 30, "samples": 7}
    monkeypatch.setattr(release, "IMPORTANCE_WEIGHTED", small)
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    for name in small["models"]:
        checkpoints.save(checkpoints.plan(name).build(), name, {}, {}, checkpoints.SHIPPED / "tiny")
    return tmp_path / "tiny" / "importance_weighted.json"


def test_likelihoods_are_those_of_the_metric_on_coins(likelihoods, tiny, capsys):
    release.estimate_likelihoods(tiny)
    table, recipe = checkpoints.result("importance_weighted", "tiny", checkpoints.RESULTS)
    assert recipe == release.IMPORTANCE_WEIGHTED and table.model.tolist() == recipe["models"]
    coins = metrics.binarise(tiny.test.images, 1)[:30]
    truth = metrics.log_likelihood(checkpoints.load("toy_conv_vae", "tiny"), coins, samples=7, seed=1)
    assert table.log_likelihood[1] == truth.value and table.standard_error[1] == truth.standard_error
    assert len(table.per_image[1]) == 30
    capsys.readouterr()
    release.estimate_likelihoods(tiny)
    assert capsys.readouterr().out == "", "stored already"


def test_likelihood_of_new_weights_is_estimated_anew(likelihoods, tiny):
    release.estimate_likelihoods(tiny)
    before = json.loads(likelihoods.read_text())["rows"]
    model = models.dense_vae(latent_dim=2, hidden=(16,), seed=5)
    checkpoints.save(model, "toy_vae", {}, {}, checkpoints.SHIPPED / "tiny")
    release.estimate_likelihoods(tiny)
    after = {row["model"]: row for row in json.loads(likelihoods.read_text())["rows"]}
    assert after["toy_conv_vae"] == before[1]
    assert after["toy_vae"]["log_likelihood"] != before[0]["log_likelihood"]


@pytest.mark.parametrize("slug", [data.SLUG, wardrobe.SLUG])
def test_stored_likelihoods_belong_to_the_shipped_weights(slug):
    table, recipe = checkpoints.result("importance_weighted", slug)
    assert recipe == release.likelihood_recipe(slug) and sorted(table.model) == sorted(recipe["models"])
    for row in table.itertuples():
        assert row.sha256 == checkpoints.manifest(row.model, slug)["sha256"]
        assert len(row.per_image) == recipe["images"]
        assert row.log_likelihood == pytest.approx(np.mean(row.per_image), abs=1e-3)
        assert row.standard_error == pytest.approx(np.std(row.per_image, ddof=1) / np.sqrt(recipe["images"]), rel=1e-3)
