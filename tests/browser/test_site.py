"""The course as a site, opened from the disk without a network: every page, formula, figure, link and tool.

The site is built once, and each of its pages loaded once; what was found there is looked at by one test after another.
"""

import contextlib
import functools
import http.server
import json
import re
import threading
import urllib.parse

import pytest

from browser.conftest import missing
from browser.serving import expect, listening_page
from helpers import course, data
from helpers.making import site as making

NOTEBOOKS = sorted((course.ROOT / "notebooks").rglob("*.ipynb"))
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
WIDTHS = (390, 1280)
# Contrasts take longest to check. These pages have one of everything.
CONTRASTS = ("index", "search", "03_dense_vae", "03_solutions", "settings")
TOOLS = [f"{name}_{number}" for name, tools in making.TOOLS.items() for number in range(1, len(tools) + 1)]

# What a page holds. Frames are tools, which have tests of their own.
FOUND = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    formulas: all("mjx-container").length,
    unread: all(".math").filter((one) => !one.querySelector("mjx-container")).length,
    errors: all("merror, mjx-merror, [data-mjx-error]").map((one) => one.textContent),
    pictures: all("article img").map((one) => [one.naturalWidth, one.alt]),
    addresses: all("[href], [src]").map((one) => one.href?.baseVal ?? one.href ?? one.src),
    ids: all("[id]").map((one) => one.id),
    frames: all("iframe").map((one) => [one.getAttribute("src"), one.title]),
    answers: all("details > summary").length,
    title: document.querySelector("h1").textContent,
  };
}"""
# Text that has to be scrolled sideways. Code and tables of numbers, which stand in boxes of their own, may.
WIDER = """() => [document.scrollingElement, ...document.querySelectorAll("article *")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)
  .filter((one) => one === document.scrollingElement || getComputedStyle(one).overflowX !== "visible")
  .filter((one) => !one.matches("pre, .text_html, :has(> table)"))
  .map((one) => one.tagName + ": " + one.textContent.trim().slice(0, 60))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the site, built for these tests."""
    if lacking := making.missing_packages():
        missing(f"the site is made by {', '.join(lacking)}: pip install -r docs/requirements.txt")
    before = course.stand_in()
    try:
        return making.build(course.use(data.load(verbose=False)), tmp_path_factory.mktemp("built") / "site").parent
    finally:
        course._stand_in = before


@pytest.fixture(scope="module")
def pages(site, chromium):
    """What every page holds, by its path within the site."""
    from axe_playwright_python.sync_playwright import Axe

    found = {}
    with listening_page(chromium, 1280, 900) as (page, complaints):
        page.context.set_offline(True)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for path in sorted({*site.rglob("*.html")} - {*site.rglob("_static/**/*.html")} - {*site.glob("tools/*")}):
            complaints.clear(), asked.clear()
            page.goto(path.as_uri())
            page.evaluate("window.MathJax?.startup?.promise")
            about = page.evaluate(FOUND)
            about["wider"] = {}
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                about["wider"][width] = page.evaluate(WIDER)
            if path.name != "explorer.html":  # has tests of its own
                rules = {"color-contrast": {"enabled": path.stem in CONTRASTS}}
                options = {"rules": rules, "preload": False, "iframes": False, "resultTypes": ["violations"]}
                violations = Axe().run(page, options=options).response["violations"]
                about["axe"] = [fault["id"] for fault in violations if fault["impact"] in ("serious", "critical")]
            about |= {"asked": [*asked], "complaints": [*complaints]}
            found[path.relative_to(site).as_posix()] = about
    return found


def of(pages, notebook):
    return pages[notebook.relative_to(course.ROOT).with_suffix(".html").as_posix()]


def cells(notebook, kind):
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def text(notebook):
    """All Markdown of a notebook without its code."""
    everything = "\n\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    return re.sub(r"```.*?```|`[^`\n]*`", "", everything, flags=re.S)


def test_every_notebook_and_every_text_has_a_page(pages):
    texts = [*NOTEBOOKS, *(course.ROOT / "docs").glob("*.md"), *course.ROOT.glob("*.md")]
    texts.append(course.ROOT / "notebooks" / "glossary.md")
    wanted = {path.relative_to(course.ROOT).with_suffix(".html").as_posix() for path in texts}
    assert wanted | {"index.html", "search.html", "explorer.html"} == set(pages)


def test_nothing_is_asked_of_anybody_and_no_page_complains(pages):
    for name, page in pages.items():
        assert [url for url in page["asked"] if not url.startswith(("file:", "data:", "blob:"))] == [], name
        assert page["complaints"] == [], name


def test_no_link_is_dead(site, pages):
    seen = 0
    for name, page in pages.items():
        for address in page["addresses"]:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme != "file":
                assert parts.scheme in ("https", "http", "data"), f"{name}: {address}"
                continue
            seen += 1
            path = urllib.parse.unquote(parts.path)
            assert path.startswith(f"{site}/"), f"{name}: {address} lies outside the site"
            assert (site / path).is_file(), f"{name}: {address} leads nowhere"
            inside = (site / path).relative_to(site).as_posix()
            if parts.fragment and inside in pages:
                assert urllib.parse.unquote(parts.fragment) in pages[inside]["ids"], f"{name}: {address}: no such place"
    assert seen > 1000


@every_notebook
def test_every_formula_is_set(pages, notebook):
    page = of(pages, notebook)
    assert page["unread"] == 0 and page["errors"] == []
    assert page["formulas"] == len(re.findall(r"\$\$.+?\$\$|(?<!\\)\$[^$\n]+\$", text(notebook), flags=re.S))


@every_notebook
def test_every_figure_is_there_and_named(pages, notebook):
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    drawn = sum("image/png" in output.get("data", ()) for output in outputs)
    pictures = of(pages, notebook)["pictures"]
    assert len(pictures) == drawn + len(re.findall(r"!\[", text(notebook)))
    for width, alt in pictures:
        assert width > 100 and " " in alt, alt


@every_notebook
def test_answers_stay_folded(pages, notebook):
    assert of(pages, notebook)["answers"] == text(notebook).count("<details>")


def test_what_is_in_the_text_is_read_without_scrolling_sideways(pages):
    assert {name: page["wider"] for name, page in pages.items() if any(page["wider"].values())} == {}


def test_a_screen_reader_gets_all(pages):
    assert {name: page["axe"] for name, page in pages.items() if page.get("axe")} == {}


@every_notebook
def test_every_slider_has_its_frame(pages, notebook):
    said = making.stored_sliders(notebook)
    up = "../" * (len(notebook.relative_to(course.ROOT).parts) - 1)
    frames = [[f"{up}tools/{notebook.stem}_{number}.html", name] for number, name in enumerate(said, 1)]
    assert of(pages, notebook)["frames"] == frames


PAINTED = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)"


@pytest.fixture(scope="module")
def opened(site, chromium):
    """Opens a notebook of the site, each once, without a network."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def open_(name):
            page, complaints = stack.enter_context(listening_page(chromium, 1280, 900))
            page.context.set_offline(True)
            page.goto((site / "notebooks" / f"{name}.html").as_uri())
            return page, complaints

        yield open_


@pytest.mark.parametrize("tool", TOOLS)
def test_a_key_press_changes_the_picture_of_every_slider(opened, tool):
    page, complaints = opened(tool.rsplit("_", 1)[0])
    place = page.locator(f"iframe[src$='/{tool}.html']")
    place.scroll_into_view_if_needed()
    frame = place.content_frame
    expect(frame.locator("#badge.good")).to_be_visible()
    section = frame.locator("section").first
    if not section.get_by_role("slider").count():  # an untrained model uses no latent, so they are folded away
        section.locator("summary").first.click()
    picture, slider = section.locator("canvas").first, section.get_by_role("slider").first
    before, value = picture.evaluate(PAINTED), slider.input_value()
    for _ in range(8):
        slider.press("ArrowLeft" if float(value) > 0 else "ArrowRight")
    assert slider.input_value() != value
    assert picture.evaluate(PAINTED) != before
    # The frame is as high as what is in it, and not wider.
    page.wait_for_function(
        "([one, inner]) => Math.abs(one.clientHeight - inner) <= 2",
        arg=[place.element_handle(), frame.locator("html").evaluate("html => html.scrollHeight")],
    )
    assert frame.locator("html").evaluate("html => html.scrollWidth <= innerWidth")
    assert complaints == []


def test_the_search_finds_a_word_of_notebook_03(opened):
    page, complaints = opened("03_dense_vae")
    page.get_by_role("button", name="Search").first.click()
    field = page.get_by_role("searchbox").last
    field.fill("reparameterised")
    field.press("Enter")
    page.wait_for_url("**/search.html?*")
    hit = page.locator("#search-results a", has_text="03 · The dense VAE")
    expect(hit).to_have_count(1)
    hit.click()
    expect(page.locator("article h1")).to_contain_text("03 · The dense VAE")
    assert complaints == []


def test_a_plain_server_will_do(site, chromium):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/"
        with listening_page(chromium, 1280, 900) as (page, complaints):
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(root)
            page.get_by_role("link", name="Begin with notebook 01").click()
            page.locator("iframe").scroll_into_view_if_needed()
            expect(page.locator("iframe").content_frame.locator("#badge.good")).to_be_visible()
            assert complaints == []
            assert {url for url in asked if not url.startswith((root, "data:", "blob:"))} == set()
        server.shutdown()
