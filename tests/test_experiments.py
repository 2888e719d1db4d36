"""Stored experiments: sweeps, comparisons and likelihoods among them."""

import functools
import json
from concurrent import futures

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from support import shelve

from helpers import (
    baselines,
    checkpoints,
    classifier,
    conditional,
    course,
    metrics,
    models,
    priors,
    seeds,
    sweeps,
    training,
    wardrobe,
)
from helpers.machinery import files, weights
from helpers.making import experiments

# --------------------------------------------------------------------------------------------------
# Trainings that vary one thing


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
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"toy": setting})
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    monkeypatch.setattr(sweeps, "FOLDER", tmp_path / "sweeps")
    monkeypatch.setattr(sweeps, "run", inline)
    monkeypatch.setattr(sweeps, "_dataset", lambda slug: tiny)
    return tmp_path / "tiny" / "toy.json"


def test_experiment_stores_a_row_a_training_and_pca_beside(experiment, tiny):
    experiments.run("toy", tiny)
    table, recipe = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert recipe == experiments.EXPERIMENTS["toy"]
    assert table.model.tolist() == ["PCA"] * 2 + ["autoencoder"] * 4
    assert table.latent_dim.tolist() == [2, 3, 2, 2, 3, 3]
    assert table.seed.tolist()[2:] == [1, 2, 1, 2]
    assert table.variant.tolist()[2:] == ["2 codes"] * 2 + ["3 codes"] * 2
    pca = baselines.PCA(tiny.train.images, 3)
    assert table.mse[0] == metrics.mse(tiny.test.images, pca.reconstruct(tiny.test.images, 2)).value
    model = models.dense_autoencoder(latent_dim=3, hidden=(4,), seed=2)
    history = training.fit(model, tiny, verbose=False, epochs=1, batch_size=100, seed=2)
    assert table.mse[5] == pytest.approx(metrics.measure(model, tiny)["mse"], abs=1e-9)
    assert table.history[5] == history


def test_experiment_on_vaes_keeps_what_the_comparison_needs(experiment, tiny, monkeypatch):
    setting = {
        **experiments.EXPERIMENTS["toy"],
        "model": "dense_vae",
        "arguments": {"latent_dim": 2, "hidden": [4]},
        "variants": {
            "plain": {},
            "soft": {"arguments": {"beta": 0.5, "likelihood": "gaussian"}, "recipe": {"kl_warmup_epochs": 1}},
        },
        "seeds": [1],
    }
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"toy": setting})
    experiments.run("toy", tiny)
    table, _ = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert table.model.tolist() == ["VAE"] * 2 and table.variant.tolist() == ["plain", "soft"]
    assert table.loc[1, ["beta", "likelihood", "kl_warmup_epochs"]].tolist() == [0.5, "gaussian", 1]
    assert {"kl", "bernoulli_negative_elbo", "sharpness_x_hat", "sharpness_samples", "history"} <= set(table.columns)
    assert [len(nats) for nats in table.kl_per_latent] == [2, 2]
    np.testing.assert_allclose([sum(nats) for nats in table.kl_per_latent], table.kl, rtol=1e-4)
    assert table.history[1]["beta"] == pytest.approx([0.05 * 0.5]), "the warm-up reached the training"


def test_experiment_may_decline_pca(experiment, tiny, monkeypatch):
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"toy": experiments.EXPERIMENTS["toy"] | {"pca": False}})
    experiments.run("toy", tiny)
    table, _ = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert table.model.tolist() == ["autoencoder"] * 4


def test_interrupted_experiment_goes_on(experiment, tiny, monkeypatch):
    measure, calls = metrics.measure, []

    def fail_at_the_third(model, dataset):
        calls.append(model.latent_dim)
        if len(calls) == 3:
            raise OSError("no space left")
        return measure(model, dataset)

    monkeypatch.setattr(metrics, "measure", fail_at_the_third)
    with pytest.warns(RuntimeWarning, match="no space left"), pytest.raises(RuntimeError, match="toy is not whole"):
        experiments.run("toy", tiny)
    assert not experiment.exists()
    experiments.run("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 2 + 4
    assert sorted(calls) == [2, 2, 3, 3, 3], "what was measured already is not trained again"
    experiments.run("toy", tiny)
    assert len(calls) == 5


def test_rows_of_another_recipe_are_thrown_away(experiment, tiny):
    files.write_json(experiment, {"recipe": {"epochs": 99}, "rows": [{"model": "autoencoder"}]})
    experiments.run("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 6


def test_the_stand_in_gets_a_third_of_the_epochs():
    real, drawn = (experiments.setting_on(slug, "kl_warmup") for slug in (course.FASHION_MNIST, wardrobe.SLUG))
    assert real == experiments.EXPERIMENTS["kl_warmup"]
    assert drawn["recipe"]["epochs"] == -(-real["recipe"]["epochs"] // 3)
    assert drawn["variants"]["from 0"]["recipe"] == {"kl_warmup_epochs": 1, "kl_start": 0.0}


def test_damaged_result_says_what_to_do(experiment, tiny):
    experiment.parent.mkdir()
    experiment.write_text("{")
    with pytest.raises(files.DamagedFile, match=r"toy\.json.*make results"):
        experiments.run("toy", tiny)


def whole(name, slug):
    """A stored result; that it is of today's setting and has a row for each variant and seed is checked."""
    table, recipe = checkpoints.result(name, slug)
    assert recipe == experiments.setting_on(slug, name)
    found = table[table.model != "PCA"]
    wanted = [(label, seed) for label in recipe["variants"] for seed in recipe["seeds"]]
    assert list(zip(found.variant, found.seed, strict=True)) == wanted
    return table, recipe


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_stored_experiments_are_whole_and_of_today(name, slug):
    table, _ = whole(name, slug)
    some_come_to_nought = name == "learning_rate_warmup"
    assert table.mse.between(0.002, 0.9 if some_come_to_nought else 0.12).all()


def test_noise_is_of_its_sigma_and_stays_in_the_range_of_pixels():
    grey = np.full((200, 28, 28, 1), 0.5, "float32")
    noisy = experiments.with_noise(grey, seeds.generator(1), 0.1)
    assert noisy.dtype == np.float32 and noisy.std() == pytest.approx(0.1, rel=0.01)
    assert noisy.mean() == pytest.approx(0.5, abs=0.002)
    loud = experiments.with_noise(grey, seeds.generator(1), 5.0)
    assert loud.min() == 0 and loud.max() == 1
    np.testing.assert_array_equal(experiments.with_noise(grey, seeds.generator(1), 0.0), grey)


def test_denoising_is_trained_under_its_noise_and_judged_with_and_without(experiment, tiny, monkeypatch):
    recipe = {"epochs": 5, "batch_size": 50, "learning_rate": 0.02}
    setting = {
        **experiments.EXPERIMENTS["toy"],
        "arguments": {"latent_dim": 2, "hidden": [4]},
        "recipe": recipe,
        "variants": {"clean input": {"noise": 0.0}, "noisy input": {"noise": 0.4}},
        "seeds": [1],
    }
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"denoising": setting})
    monkeypatch.setattr(experiments, "COVERED", slice(0, 50))
    experiments.run("denoising", tiny)
    table, _ = checkpoints.result("denoising", "tiny", checkpoints.RESULTS)
    assert table.variant.tolist()[1:] == ["clean input", "noisy input"]

    def noisy(images, generator):
        return np.clip(images + np.float32(0.4) * generator.standard_normal(images.shape, dtype="float32"), 0, 1)

    model = models.dense_autoencoder(latent_dim=2, hidden=(4,), seed=1)
    training.fit(model, tiny, targets=tiny, transform=noisy, verbose=False, seed=1, **recipe)
    x, hidden = tiny.test.images, noisy(tiny.test.images, np.random.default_rng(1))
    row = table.iloc[2]

    def error(images):
        return np.square(x.astype("float64") - model.reconstruct(images)).mean()

    assert row.mse == pytest.approx(error(x), rel=1e-7)
    assert row.mse_noisy == pytest.approx(error(hidden), rel=1e-7)
    assert row.mse_noisy != pytest.approx(error(x), rel=1e-5), "the noise is seen"
    made = model.decode(priors.FittedGaussian(model.encode(tiny.train.images)).sample(500, seed=1)).reshape(500, -1)

    def mean_distance(points, others):
        return cdist(points, others).min(axis=1).mean() / 28

    assert row.fidelity == pytest.approx(mean_distance(made, tiny.train.flat), rel=1e-3)
    assert row.coverage == pytest.approx(mean_distance(tiny.test.flat[:50], made), rel=1e-3)
    assert table.iloc[1].mse != row.mse


# --------------------------------------------------------------------------------------------------
# What a label is worth


def test_labels_of_other_kinds_keep_the_images_and_their_splits(tiny):
    shuffled, clusters = (experiments._labelled(kind, tiny) for kind in ("shuffled", "clusters"))
    assert experiments._labelled(None, tiny) is tiny
    for name in ("train", "validation", "test"):
        split, other, found = (getattr(each, name) for each in (tiny, shuffled, clusters))
        assert other.stored is found.stored is split.stored or np.array_equal(found.stored, split.stored)
        np.testing.assert_array_equal(np.bincount(other.labels), np.bincount(split.labels))
        assert np.mean(other.labels == split.labels) < 0.3, "what is shuffled says nothing"
        assert set(found.labels) <= set(range(10))
    flat, labels = tiny.train.flat, clusters.train.labels
    inner = sum(flat[labels == k].var(axis=0).sum() * np.mean(labels == k) for k in np.unique(labels))
    assert inner < 0.8 * flat.var(axis=0).sum(), "images of a cluster are alike"
    with pytest.raises(ValueError, match="labels are 'other'"):
        experiments._labelled("other", tiny)


def test_what_a_label_is_worth_is_told_in_three_columns(experiment, tiny, monkeypatch):
    setting = {
        **experiments.EXPERIMENTS["toy"],
        "model": "dense_conditional_vae",
        "arguments": {"latent_dim": 2, "hidden": [4]},
        "images": 20,
        "samples": 3,
        "variants": {"no label": {"model": "dense_vae"}, "label": {}, "clusters": {"labels": "clusters"}},
        "seeds": [1],
    }
    monkeypatch.setattr(experiments, "LABELS", {"toy_labels": setting})
    experiments.run("toy_labels", tiny)
    table = checkpoints.result("toy_labels", "tiny", checkpoints.RESULTS)[0].set_index("variant")
    assert table.model.tolist() == ["VAE", "conditional VAE", "conditional VAE"]
    assert np.isnan(table.joint["no label"]) and table.label_entropy["label"] == pytest.approx(np.log(10), abs=0.01)
    assert table.label_entropy["clusters"] < np.log(10)
    for kind in ("", "tight_"):
        told = table.drop(index="no label")[[f"{kind}{name}" for name in ("joint", "marginal", "cross_entropy")]]
        np.testing.assert_allclose(told.iloc[:, 0] - told.iloc[:, 1], told.iloc[:, 2], atol=1e-4)
    vae = models.dense_vae(latent_dim=2, hidden=(4,), seed=1)
    training.fit(vae, tiny, verbose=False, epochs=1, batch_size=100, seed=1)
    bound = metrics.elbo(vae, tiny.test.images).negative_elbo.value
    assert table.marginal["no label"] == pytest.approx(bound, rel=1e-6)
    assert table.tight_marginal["no label"] == pytest.approx(
        -metrics.log_likelihood(vae, tiny.test.images[:20], 3).value
    )


def test_conditional_models_of_each_seed_are_judged_once(shelf, tiny, tmp_path, monkeypatch, capsys):
    sizes, recipe = {"latent_dim": 2, "hidden": [8]}, {"epochs": 1, "batch_size": 100}
    plans = {
        "toy_cvae": checkpoints.Plan("a toy", "dense_conditional_vae", {**sizes, "prior": "learned"}, recipe, bits=8),
        "toy_vae": checkpoints.Plan("a toy", "dense_vae", sizes, recipe),
    }
    setting = {"models": {"toy_cvae": "toy_vae"}, "seeds": [1, 2], "codes": 300, "pictures": 120}
    setting |= {"importance_weighted": {"toy_cvae": [10, 3]}, "transfers": 20}
    monkeypatch.setattr(checkpoints, "PLANS", plans)
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    monkeypatch.setattr(experiments, "CONDITIONAL", setting)
    own, trained = classifier.build(), []
    monkeypatch.setattr(classifier, "load", lambda slug: own)
    monkeypatch.setattr(classifier, "train", lambda made, verbose: trained.append(made) or (own, {}))
    monkeypatch.setattr(conditional, "judge_classes", lambda *_: pd.DataFrame({"accuracy": [0.5]}, index=["all"]))
    for name, plan in plans.items():
        shelve(plan.build(), name, weights.SHIPPED / "tiny")
    experiments.judge_conditional(tiny)
    table, recipe = checkpoints.result("conditional", "tiny", tmp_path)
    assert recipe == setting and table.seed.tolist() == [1, 2]
    cvae, vae = checkpoints.load("toy_cvae", "tiny"), checkpoints.load("toy_vae", "tiny")
    found = conditional.likelihoods(conditional.log_likelihoods(cvae, tiny.test.images), tiny.test.labels)
    for name, estimate in found.items():
        assert table[name][0] == pytest.approx(estimate.value, rel=1e-6), name
    bound = metrics.elbo(vae, tiny.test.images).negative_elbo.value
    assert table.marginal_less_vae[0] == pytest.approx(found["marginal"].value - bound, abs=1e-3)
    assert table.conditional[0] != table.conditional[1], "another seed, another training"
    real = np.mean(own.classify(tiny.test.images) == tiny.test.labels)
    assert table.classifier_accuracy_score.tolist() == pytest.approx([real, real])
    assert [len(made.train) + len(made.validation) for made in trained] == [120, 120] and trained[0].test is tiny.test
    capsys.readouterr()
    experiments.judge_conditional(tiny)
    assert capsys.readouterr().out == "", "judged already"


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
    monkeypatch.setattr(experiments, "SWEEPS", {"toy_sweep": setting})
    with pytest.warns(RuntimeWarning, match="FloatingPointError"):
        experiments.run("toy_sweep", tiny)
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
    assert seeds.summary(sweep, "variant", "validation_negative_elbo").index.tolist() == ["wide"]


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
@pytest.mark.parametrize("name", experiments.SWEEPS)
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
        "variants": {"VAE": {}, "autoencoder": {"model": "dense_autoencoder", "arguments": {"latent_dim": 3}}},
        "seeds": [1],
    }
    garment_classifier = classifier.build()
    monkeypatch.setattr(classifier, "load", lambda slug: garment_classifier)
    monkeypatch.setattr(experiments, "COMPARISONS", {"toy_comparison": setting})
    size = {"train": len(tiny.train), "test": len(tiny.test)}
    monkeypatch.setattr(experiments, "EVALUATION", experiments.EVALUATION | size)
    experiments.run("toy_comparison", tiny)
    table, _ = checkpoints.result("toy_comparison", "tiny", checkpoints.RESULTS)
    assert table.variant.tolist() == ["PCA, 2 codes", "PCA, 3 codes", "VAE", "autoencoder"]
    assert table.negative_elbo.isna().tolist() == [True, True, False, True]
    vae = models.dense_vae(latent_dim=2, hidden=(4,), seed=1)
    training.fit(vae, tiny, verbose=False, epochs=1, batch_size=100, seed=1)
    pca, images = baselines.PCA(tiny.train.images, 2), tiny.test.images
    for row, model in {0: pca, 2: vae}.items():
        x_hat, codes = np.clip(model.reconstruct(images), 0, 1), metrics.codes_of(model, tiny.train.images)
        assert table.mse[row] == pytest.approx(metrics.mse(images, model.reconstruct(images)).value, rel=1e-5)
        assert table.bernoulli[row] == pytest.approx(metrics.bernoulli(images, x_hat).value, rel=1e-5)
        for way, sampler in {
            "prior": priors.StandardNormal(2),
            "gaussian": priors.FittedGaussian(codes),
            "mixture": priors.GaussianMixture(codes, components=20),
        }.items():
            pictures = np.clip(model.decode(sampler.sample(len(tiny.test), seed=1)), 0, 1)
            for name, estimate in metrics.judge_samples(pictures, tiny, garment_classifier).items():
                assert table[f"{way}_{name}"][row] == pytest.approx(estimate.value, rel=1e-4)
    weights = vae.encoder.count_params() + vae.decoder.count_params()
    assert table.parameters.tolist()[:3] == [3 * 784, 4 * 784, weights], "PCA keeps its components and the mean"
    assert table.filter(like="frechet_distance").notna().all(axis=None)


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
@pytest.mark.parametrize("name", experiments.COMPARISONS)
def test_stored_comparisons_are_whole_and_of_today(name, slug):
    table, _ = whole(name, slug)
    assert table.mse.between(0.002, 0.12).all()
    shares = table.filter(regex="_(precision|recall)$")
    assert shares.shape[1] == 6 and (shares >= 0).all(axis=None) and (shares <= 1).all(axis=None)
    measured = table.cpu_seconds.dropna()  # a training that was interrupted and went on has none
    assert (measured > 0).all() and len(measured) > 0.8 * len(table)


@pytest.fixture
def evaluation(shelf, tiny, tmp_path, monkeypatch):
    """A shipped toy that is to be judged; returns the result file."""
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    monkeypatch.setattr(classifier, "load", lambda slug: classifier.build())
    small = {**experiments.EVALUATION, "models": ["toy_vae"], "train": 200, "test": 120, "images_to_time": 200}
    monkeypatch.setattr(experiments, "EVALUATION", small)
    shelve(checkpoints.plan("toy_vae").build(), "toy_vae", weights.SHIPPED / "tiny")
    return tmp_path / "tiny" / "evaluation.json"


def test_shipped_models_are_judged_once(evaluation, tiny, capsys):
    experiments.evaluate_shipped(tiny)
    table, _ = checkpoints.result("evaluation", "tiny", checkpoints.RESULTS)
    model = checkpoints.load("toy_vae", "tiny")
    assert table.mse[0] == pytest.approx(metrics.mse(tiny.test.images, model.reconstruct(tiny.test.images)).value)
    assert table.epochs[0] == checkpoints.plan("toy_vae").recipe["epochs"] and table.cpu_seconds[0] > 0
    capsys.readouterr()
    experiments.evaluate_shipped(tiny)
    assert capsys.readouterr().out == "", "judged already"


def test_new_weights_are_judged_anew(evaluation, tiny):
    experiments.evaluate_shipped(tiny)
    before = json.loads(evaluation.read_text())["rows"][0]
    other = models.dense_vae(latent_dim=2, hidden=(16,), seed=5)
    shelve(other, "toy_vae", weights.SHIPPED / "tiny")
    experiments.evaluate_shipped(tiny)
    (after,) = json.loads(evaluation.read_text())["rows"]
    assert after["sha256"] != before["sha256"] and after["mse"] != before["mse"]


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
def test_stored_evaluation_is_of_the_shipped_weights(slug):
    table, recipe = checkpoints.result("evaluation", slug)
    assert recipe == experiments.evaluation_setting(slug) and sorted(table.model) == sorted(recipe["models"])
    for row in table.itertuples():
        about = checkpoints.manifest(row.model, slug)
        assert row.sha256 == about["sha256"]
        assert row.mse == pytest.approx(about["metrics"]["mse"], rel=1e-3 if slug == course.FASHION_MNIST else 0.1)


@pytest.fixture
def samplers(evaluation, monkeypatch):
    """A shipped toy whose samples are to be judged; returns the result file."""
    small = {**experiments.SAMPLERS, "models": ["toy_vae"], "train": 200, "test": 120}
    monkeypatch.setattr(experiments, "SAMPLERS", small)
    return evaluation.with_name("samplers.json")


def test_samplers_are_fitted_to_drawn_codes(samplers, tiny, capsys):
    experiments.judge_samplers(tiny)
    table, recipe = checkpoints.result("samplers", "tiny", checkpoints.RESULTS)
    assert recipe == experiments.SAMPLERS and table.model.tolist() == ["toy_vae"]
    model = checkpoints.load("toy_vae", "tiny")
    z_mean, z_log_var = model.encode(tiny.train.images[:200])
    drawn = z_mean + np.exp(z_log_var / 2) * np.random.default_rng(1).standard_normal(z_mean.shape)
    pictures = model.decode(priors.FittedGaussian(drawn).sample(120, seed=1))
    features = [classifier.build().features(part) for part in (pictures, tiny.test.images)]
    assert table.gaussian_frechet_distance[0] == pytest.approx(metrics.frechet_distance(*features).value, rel=1e-3)
    assert table.filter(like="_recall").shape[1] == 2 * 3
    capsys.readouterr()
    experiments.judge_samplers(tiny)
    assert capsys.readouterr().out == "", "judged already"


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
def test_stored_samplers_are_of_the_shipped_weights(slug):
    table, recipe = checkpoints.result("samplers", slug)
    assert recipe == experiments.sampler_setting(slug) and table.model.tolist() == recipe["models"]
    for row in table.itertuples():
        assert row.sha256 == checkpoints.manifest(row.model, slug)["sha256"]
        assert 0 < row.mixture_frechet_distance < row.prior_frechet_distance


# --------------------------------------------------------------------------------------------------
# Importance-weighted likelihoods


@pytest.fixture
def likelihoods(shelf, tiny, tmp_path, monkeypatch):
    """Two shipped toys and an empty folder of results; returns the result file."""
    small = {**experiments.IMPORTANCE_WEIGHTED, "models": ["toy_vae", "toy_conv_vae"], "images": 30, "samples": 7}
    monkeypatch.setattr(experiments, "IMPORTANCE_WEIGHTED", small)
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    for name in small["models"]:
        shelve(checkpoints.plan(name).build(), name, weights.SHIPPED / "tiny")
    return tmp_path / "tiny" / "importance_weighted.json"


def test_likelihoods_are_those_of_the_metric_on_coins(likelihoods, tiny, capsys):
    experiments.estimate_likelihoods(tiny)
    table, recipe = checkpoints.result("importance_weighted", "tiny", checkpoints.RESULTS)
    assert recipe == experiments.IMPORTANCE_WEIGHTED and table.model.tolist() == recipe["models"]
    coins = metrics.binarise(tiny.test.images, 1)[:30]
    truth = metrics.log_likelihood(checkpoints.load("toy_conv_vae", "tiny"), coins, samples=7, seed=1)
    assert table.log_likelihood[1] == truth.value and table.standard_error[1] == truth.standard_error
    assert len(table.per_image[1]) == 30
    capsys.readouterr()
    experiments.estimate_likelihoods(tiny)
    assert capsys.readouterr().out == "", "stored already"


def test_likelihood_of_new_weights_is_estimated_anew(likelihoods, tiny):
    experiments.estimate_likelihoods(tiny)
    before = json.loads(likelihoods.read_text())["rows"]
    model = models.dense_vae(latent_dim=2, hidden=(16,), seed=5)
    shelve(model, "toy_vae", weights.SHIPPED / "tiny")
    experiments.estimate_likelihoods(tiny)
    after = {row["model"]: row for row in json.loads(likelihoods.read_text())["rows"]}
    assert after["toy_conv_vae"] == before[1]
    assert after["toy_vae"]["log_likelihood"] != before[0]["log_likelihood"]


@pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])
def test_stored_likelihoods_belong_to_the_shipped_weights(slug):
    table, recipe = checkpoints.result("importance_weighted", slug)
    assert recipe == experiments.likelihood_setting(slug) and sorted(table.model) == sorted(recipe["models"])
    for row in table.itertuples():
        assert row.sha256 == checkpoints.manifest(row.model, slug)["sha256"]
        assert len(row.per_image) == recipe["images"]
        assert row.log_likelihood == pytest.approx(np.mean(row.per_image), abs=1e-3)
        assert row.standard_error == pytest.approx(np.std(row.per_image, ddof=1) / np.sqrt(recipe["images"]), rel=1e-3)
