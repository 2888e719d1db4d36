"""What a screen reader finds beside the pictures of a notebook: in JupyterLab, and in a page made by nbconvert.

Read from the accessibility tree of a real browser. The stored notebook is opened without running it, so JupyterLab does
not trust it and cleans its HTML, as it does for whoever has just cloned the course.
"""

import subprocess
import sys

import pytest

from browser import serving
from browser.serving import expect, listening_page

ALT = 'Two rows of 3 garments: "input" & output, 1 < 2.'
SOURCE = f"""
import numpy as np
from helpers import plotting
plotting.show(plotting.plot_rows({{"input": np.eye(28)[None], "output": np.eye(28)[None]}}), {ALT!r})
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A notebook with one picture, executed and stored."""
    path = tmp_path_factory.mktemp("alt") / "picture.ipynb"
    serving.write_notebook(path, SOURCE)
    for arguments in (["--to", "notebook", "--execute", "--inplace"], ["--to", "html"]):
        command = [sys.executable, "-m", "nbconvert", *arguments, str(path)]
        subprocess.run(command, check=True, capture_output=True, env=serving.environment(path.parent), timeout=300)
    return path


def check(page):
    """The picture is shown in its full size, and an image with the alt text follows it."""
    named = page.get_by_role("img", name=ALT, exact=True)
    expect(named).to_have_count(1)
    assert named.evaluate("image => image.complete && image.naturalWidth") == 1
    output = page.locator(".jp-OutputArea").first
    pictures = output.locator("img")
    expect(pictures).to_have_count(2)
    assert pictures.first.evaluate("image => image.naturalWidth") > 100
    assert ALT in output.aria_snapshot().replace('\\"', '"')


def test_pictures_have_a_name_in_jupyterlab(chromium, stored):
    with serving.lab(stored.parent) as server, listening_page(chromium, 1280, 900) as (page, _):
        page.goto(server.url("lab/tree/picture.ipynb"))
        page.wait_for_selector(".jp-OutputArea img", timeout=120_000)
        trusted = page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted")
        assert not trusted
        check(page)


def test_pictures_have_a_name_in_a_page_of_nbconvert(chromium, stored):
    with listening_page(chromium, 1280, 900) as (page, _):
        page.route(lambda address: address.startswith("http"), lambda way: way.abort())
        page.goto(stored.with_suffix(".html").as_uri())
        check(page)
