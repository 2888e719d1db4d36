"""What a reader of stored notebooks sees: no code scrolls sideways on a laptop, and no text on a phone."""

import json
import shutil

import pytest

from browser import serving
from browser.serving import listening_page
from helpers import course

NOTEBOOKS = sorted((course.ROOT / "notebooks").rglob("*.ipynb"))
every_notebook = pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])

# Parts of a page that are wider inside than outside, so that one has to scroll; the first words of each.
WIDER = """selector => [...document.querySelectorAll(selector)]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .map(element => element.textContent.trim().slice(0, 80))"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chromium):
    """A server with copies of all notebooks, which draws every cell at once, also those that are not in sight."""
    folder = tmp_path_factory.mktemp("reading")
    for path in NOTEBOOKS:
        shutil.copy(path, folder)
    shutil.copytree(course.ROOT / "images", folder.parent / "images", dirs_exist_ok=True)
    user = folder / "jupyterlab-settings" / "CONFIG" / "lab" / "user-settings"
    settings = user / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    with serving.lab(folder) as server:
        yield server


def opened(page, server, path):
    """Open a notebook and wait until its last cell stands."""
    page.goto(server.url(path))
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function("""() => {
      const cells = jupyterapp?.shell.currentWidget?.content?.widgets ?? [];
      return cells.length > 10 && cells.every(cell => cell.isAttached && !cell.isPlaceholder());
    }""")
    page.wait_for_timeout(500)  # formulas are set and fonts arrive


@every_notebook
def test_no_code_scrolls_sideways_on_a_laptop_with_the_file_list_open(chromium, lab, name):
    with listening_page(chromium, 1280, 800) as (page, _):
        opened(page, lab, f"lab/tree/{name}")
        page.wait_for_selector(".jp-DirListing-item", state="visible")
        assert page.locator(".jp-CodeCell .cm-scroller").count() >= 3
        assert page.evaluate(WIDER, ".jp-CodeCell .cm-scroller") == []


@every_notebook
def test_no_text_scrolls_sideways_on_a_phone(chromium, lab, name):
    with listening_page(chromium, 390, 844) as (page, _):
        opened(page, lab, f"notebooks/{name}")
        assert page.locator(".jp-RenderedMarkdown").count() >= 3
        assert page.evaluate(WIDER, ".jp-RenderedMarkdown") == []
