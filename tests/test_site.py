"""The site's table of tools, and what stops a build; tests/browser/test_site.py looks at the built site."""

import json

import numpy as np
import pytest

from helpers import baselines, course
from helpers.making import site
from helpers.making.site import Tool


def slider(says):
    data = {site.WIDGET: {"model_id": "1"}, "text/plain": [f"<{says}: run the notebook to move them>"]}
    return {"output_type": "execute_result", "data": data}


def write(folder, name, *says):
    """A notebook with a picture, a cell of text, and a cell for each slider."""
    picture = {"output_type": "display_data", "data": {"image/png": "", "text/plain": "<Sliders: no widget>"}}
    printed = {"output_type": "stream", "name": "stdout", "text": "<Sliders: no widget>"}
    cells = [{"cell_type": "code", "outputs": [picture, printed]}, {"cell_type": "markdown"}]
    cells += [{"cell_type": "code", "outputs": [slider(one)]} for one in says]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")


def test_sliders_are_found_in_their_order(tmp_path):
    write(tmp_path, "a", "Sliders for 2 latents of x", "Map of z[0, 1]")
    assert site.stored_sliders(tmp_path / "a.ipynb") == ["Sliders for 2 latents of x", "Map of z[0, 1]"]


def test_a_table_that_fits_passes(tmp_path):
    write(tmp_path, "a", "one", "two")
    write(tmp_path / "solutions", "b", "three")
    site.check(tmp_path, {"a": [Tool("one", {}), Tool("two", {})], "b": [Tool("three", {})]})


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ({"a": ["one"]}, "Slider 2 of notebook a .*\n.*has: two\n.*has: +nothing"),
        ({"a": ["one", "two", "three"]}, "Slider 3 of notebook a .*\n.*has: nothing\n.*has: +three"),
        ({"a": ["two", "one"]}, "Slider 1 of notebook a .*\n.*has: one\n.*has: +two"),
        ({}, "Slider 1 of notebook a .*\n.*has: one\n.*has: +nothing"),
        ({"a": ["one", "two"], "b": ["one"]}, "Slider 1 of notebook b .*\n.*has: nothing\n.*has: +one"),
    ],
    ids=["missing", "too many", "other order", "unknown notebook", "no such notebook"],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, tools, says):
    write(tmp_path, "a", "one", "two")
    with pytest.raises(site.SiteError, match=says):
        site.check(tmp_path, {name: [Tool(one, {}) for one in tools[name]] for name in tools})


def test_the_table_fits_the_stored_notebooks():
    site.check()


def test_pca_as_a_network_gives_what_pca_gives(tiny):
    (network,) = site._pca(tiny).values()
    pca, images = baselines.PCA(tiny.train.images, 8), tiny.test.images
    np.testing.assert_allclose(network.code(images), pca.encode(images), atol=1e-4)
    np.testing.assert_allclose(network.reconstruct(images), pca.reconstruct(images), atol=1e-4)


def test_a_folder_that_is_no_site_is_left_alone(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "missing_packages", list)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(site.SiteError, match="is no site that was built here"):
        site.build(tiny, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_packages_that_are_missing_are_named(tiny, tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("# why\nnumpy==0.0.1  # old\nno-such-package==3\n")
    monkeypatch.setattr(site, "DOCS", tmp_path)
    assert site.missing_packages() == ["numpy==0.0.1", "no-such-package==3"]
    with pytest.raises(site.SiteError, match="needs numpy==0.0.1, no-such-package==3.*docs/requirements.txt"):
        site.build(tiny, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_reader_is_told_what_is_wrong_without_a_traceback(monkeypatch, capsys, tiny):
    def refuse(*args):
        raise site.SiteError("Slider 1 does not fit.")

    monkeypatch.setattr(site, "build", refuse)
    monkeypatch.setattr(site.data, "load", lambda: tiny)
    before = course.stand_in()
    try:
        assert site.main([]) == 1
    finally:
        course._stand_in = before
    assert "Slider 1 does not fit." in capsys.readouterr().err
