"""Shipping, and the table in the README."""

import pytest
from support import shelve

from helpers import checkpoints, classifier, metrics
from helpers.machinery import weights
from helpers.making import release

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
        shelve(checkpoints.plan(name).build(), name, shelf, {}, measured)
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
    folder = weights.SHIPPED / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["toy_ae.json", "toy_ae.npz"]
    assert not list(checkpoints.RUNS.rglob("*.npz"))
    stored = checkpoints.manifest("toy_ae", "tiny")["metrics"]
    assert stored == metrics.measure(checkpoints.load("toy_ae", "tiny"), tiny), "measured after the rounding"
    before = (folder / "toy_ae.npz").stat().st_mtime_ns
    capsys.readouterr()
    release.ship(["toy_ae"], tiny)
    assert capsys.readouterr().out == ""
    release.ship(["toy_ae"], tiny, again=True)
    assert (folder / "toy_ae.npz").stat().st_mtime_ns > before


def test_the_classifier_is_shipped_like_the_models(shelf, tiny, monkeypatch):
    shipped = []
    monkeypatch.setattr(classifier, "ship", shipped.append)
    release.ship([classifier.NAME], tiny)
    assert shipped == [tiny]
