"""Shipping, stored experiments, and the table in the README."""

import json

import pytest

from helpers import checkpoints, files, metrics, release

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


# --------------------------------------------------------------------------------------------------
# Stored experiments


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A small experiment whose training is left out; returns its result file."""
    setting = {
        "about": "a toy",
        "arguments": {"hidden": [4]},
        "recipe": {"epochs": 1, "batch_size": 100},
        "vary": [{"latent_dim": k, "seed": seed} for k in (2, 3) for seed in (1, 2)],
    }
    monkeypatch.setattr(release, "EXPERIMENTS", {"toy": setting})
    monkeypatch.setattr(checkpoints, "RESULTS", tmp_path)
    monkeypatch.setattr(release.training, "fit", lambda model, wear, **recipe: None)
    return tmp_path / "tiny" / "toy.json"


def test_experiment_stores_a_row_a_training_and_pca_beside(experiment, tiny):
    release.run_experiment("toy", tiny)
    table, recipe = checkpoints.result("toy", "tiny", checkpoints.RESULTS)
    assert recipe == release.EXPERIMENTS["toy"]
    assert table.model.tolist() == ["PCA"] * 2 + ["autoencoder"] * 4
    assert table.latent_dim.tolist() == [2, 3, 2, 2, 3, 3]
    assert table.seed.tolist()[2:] == [1, 2, 1, 2]
    pca = metrics.PCA(tiny.train.images, 3)
    assert table.mse[0] == metrics.mse(tiny.test.images, pca.reconstruct(tiny.test.images, 2)).value


def test_interrupted_experiment_goes_on(experiment, tiny, monkeypatch):
    measure, calls = metrics.measure, []

    def fail_at_the_third(model, wear):
        calls.append(model.latent_dim)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(model, wear)

    monkeypatch.setattr(metrics, "measure", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        release.run_experiment("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 2 + 2
    release.run_experiment("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 2 + 4
    assert calls == [2, 2, 3, 3, 3], "what was measured already is not trained again"
    release.run_experiment("toy", tiny)
    assert len(calls) == 5


def test_rows_of_another_recipe_are_thrown_away(experiment, tiny):
    files.write_json(experiment, {"recipe": {"epochs": 99}, "rows": [{"model": "autoencoder"}]})
    release.run_experiment("toy", tiny)
    assert len(json.loads(experiment.read_text())["rows"]) == 6


def test_damaged_result_says_what_to_do(experiment, tiny):
    experiment.parent.mkdir()
    experiment.write_text("{")
    with pytest.raises(files.DamagedFile, match=r"toy\.json.*make results"):
        release.run_experiment("toy", tiny)


@pytest.mark.parametrize("name", release.EXPERIMENTS)
def test_stored_experiments_are_whole_and_of_today(name):
    table, recipe = checkpoints.result(name)
    assert recipe == release.EXPERIMENTS[name]
    found = table[table.model == "autoencoder"]
    wanted = [(change["latent_dim"], change["seed"]) for change in recipe["vary"]]
    assert sorted(zip(found.latent_dim, found.seed, strict=True)) == sorted(wanted)
    assert table.mse.between(0.003, 0.06).all()
