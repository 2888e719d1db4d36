"""The sliders in a real browser: JupyterLab, and Notebook 7 on a narrow page.

The notebooks use drawn garments and the weights shipped for them, so these tests need no data set. A text
beside each tool tells the code that the kernel holds; the picture on the page must be that code's.
"""

import json
import re

import numpy as np
import pytest

from browser import serving
from browser.serving import expect, listening_page
from helpers import checkpoints, wardrobe

SETUP = """
import json, ipywidgets
from pathlib import Path
from helpers import checkpoints, wardrobe, widgets
dataset = wardrobe.load(verbose=False, sizes={"train": 10, "validation": 1000, "test": 10}, directory=Path("drawn"))
vae, flat = checkpoints.load("dense_vae_10", dataset.slug), checkpoints.load("dense_vae_2", dataset.slug)
def telling(tool, view, trait):
    name = next(name for name, value in globals().items() if value is tool)
    told = ipywidgets.HTML()
    tell = lambda change: setattr(told, "value", f"<i class=told>{json.dumps(getattr(view, trait))}</i>")
    view.observe(tell, trait)
    tell(None)
    return ipywidgets.VBox([tool, told]).add_class("here").add_class(f"tool-{name}")
"""
TOOLS = {
    "sliders": "sliders = widgets.latent_sliders(vae, dataset); telling(sliders, sliders.sliders, 'values')",
    "pad": "pad = widgets.latent_pad(flat, dataset); telling(pad, pad.pad, 'point')",
    "way": "way = widgets.interpolation_slider(vae, dataset); telling(way, way.sliders, 'values')",
    "compare": "both = {'VAE': vae, 'VAE of 2': flat}\n"
    "compare = widgets.compare_models(both, dataset); telling(compare, compare.sliders, 'values')",
    "broken": "broken = widgets.latent_sliders(vae, dataset); broken._sampler = None\n"
    "telling(broken, broken.sliders, 'values')",
}
TRAIN = """
import threading, keras
go_on = threading.Event()
vae.compile("adam")
wait = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: go_on.wait())
threading.Thread(target=lambda: vae.fit(dataset.train.images, epochs=1, verbose=0, callbacks=[wait])).start()
"""
BUSY = """() => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  window.ended = false;
  kernel.requestExecute({code: "import time; time.sleep(1_000)"}).done.finally(() => (window.ended = true));
}"""
# Reads a picture back: its grey values, row by row.
PIXELS = """image => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const all = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from({length: all.length / 4}, (_, i) => all[4 * i]);
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chromium):
    """A server with all tools in one notebook, and one tool in another."""
    folder = tmp_path_factory.mktemp("lab")
    serving.write_notebook(folder / "tools.ipynb", SETUP, *TOOLS.values())
    for name in ("busy", "training", "stopped"):
        serving.write_notebook(folder / f"{name}.ipynb", SETUP, TOOLS["sliders"])
    with serving.lab(folder) as server:
        yield server


@pytest.fixture(scope="module")
def desk(chromium, lab):
    """JupyterLab with all tools on a page 1280 px wide, and its complaints."""
    with listening_page(chromium, 1280, 900) as (page, complaints):
        serving.open_and_run(page, lab, "lab/tree/tools.ipynb", ".tool-broken .told")
        yield page, complaints


@pytest.fixture
def page(desk):
    """The page with all tools; an error in its console fails the test."""
    page, complaints = desk
    complaints.clear()
    yield page
    assert complaints == []


@pytest.fixture(scope="module")
def vae():
    return checkpoints.load("dense_vae_10", wardrobe.SLUG)


@pytest.fixture(scope="module")
def flat():
    return checkpoints.load("dense_vae_2", wardrobe.SLUG)


def find(page, name):
    """One of the tools on the page, its picture shown."""
    tool = page.locator(f".tool-{name}")
    tool.scroll_into_view_if_needed()
    tool.locator(".lw-picture img[src]").first.wait_for()
    return tool


def told(tool):
    """The values that the kernel holds."""
    return np.float32(json.loads(tool.locator(".told").inner_text()))


def decoded(tool):
    """Grey values of the decoded picture on the page."""
    return np.array(tool.get_by_role("img", name="decoded garment").first.evaluate(PIXELS)).reshape(28, 28)


def settles(page, tool, model, wanted=None, z_of=lambda values: values):
    """Wait until the picture is that of the kernel's code, and the code what is wanted (index: value).

    Where nothing is wanted, the code must have stood still for half a second: moves may still be on their way.
    """
    values = told(tool)
    for _ in range(200):
        if wanted is None:
            page.wait_for_timeout(500)
        before, values = values, told(tool)
        right = all(abs(values[i] - value) < 1e-4 for i, value in (wanted or {}).items())
        right = right and (wanted is not None or np.array_equal(before, values))
        image = np.rint(255 * (1 - model.decode(z_of(values)[None])[0, :, :, 0]))
        if right and np.abs(decoded(tool) - image).max() <= 1:
            return values
        page.wait_for_timeout(50)
    raise AssertionError(f"the picture does not settle: the kernel holds {values}, wanted {wanted}")


def first_two(tool):
    """The sliders of the two most important latents, and the numbers of these."""
    found = [tool.get_by_role("slider").nth(i) for i in (0, 1)]
    return found, [int(re.match(r"latent (\d+), KL", one.get_attribute("aria-label"))[1]) for one in found]


def slider(tool, name):
    return tool.get_by_role("slider", name=re.compile(name))


def drag(page, element, start, end, steps=15):
    """Drag over an element between two places, each a share (right, down) of its box."""
    element.evaluate("element => element.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(300)
    box = element.bounding_box()
    places = [(box["x"] + box["width"] * right, box["y"] + box["height"] * down) for right, down in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=steps)
    page.mouse.up()


def test_dragging_arrow_keys_and_every_button_of_the_latent_sliders(page, vae):
    tool = find(page, "sliders")
    first = settles(page, tool, vae)
    (one, other), (a, b) = first_two(tool)

    drag(page, one, (0.5, 0.5), (0.9, 0.5))
    dragged = settles(page, tool, vae, {a: float(one.input_value())})
    assert dragged[a] > 1 and np.array_equal(np.delete(dragged, a), np.delete(first, a))
    expect(tool.locator(".lw-caption", has_text=f"z[{a}] = {dragged[a]:.2f} · KL ")).to_be_visible()

    other.focus()
    before = float(other.input_value())
    for key, sign in (("ArrowRight", 1), ("ArrowUp", 1), ("ArrowLeft", -1), ("ArrowDown", -1)):
        for _ in range(3):
            page.keyboard.press(key)
        after = settles(page, tool, vae, {b: float(other.input_value())})[b]
        assert sign * (after - before) > 0, key
        before = after
    page.keyboard.press("End")
    settles(page, tool, vae, {b: float(other.input_value())})
    assert float(other.input_value()) == pytest.approx(float(other.get_attribute("max")), rel=1e-6)

    tool.get_by_role("button", name="Undo").click()  # all moves of one latent in a row
    assert np.array_equal(settles(page, tool, vae, dict(enumerate(dragged))), dragged)
    tool.get_by_role("button", name="Random").click()
    expect(tool.locator(".lw-caption", has_text="drawn from")).to_be_visible()
    drawn = settles(page, tool, vae)
    assert np.abs(drawn - dragged).min() > 0
    for moved, value in ((one, drawn[a]), (other, drawn[b])):  # the sliders went along
        expect(moved).to_have_attribute("aria-valuetext", f"{value:.2f}")
    tool.get_by_role("button", name="Undo").click()
    settles(page, tool, vae, dict(enumerate(dragged)))
    tool.get_by_role("button", name="Reset").click()
    settles(page, tool, vae, dict(enumerate(first)))

    tool.get_by_label("start from").select_option("Bag")
    expect(tool.get_by_role("img", name="original garment: Bag")).to_be_visible()
    bag = settles(page, tool, vae)
    assert np.abs(bag - first).max() > 0.01
    tool.get_by_label("start from").focus()
    page.keyboard.press("ArrowDown")
    expect(tool.get_by_role("img", name="original garment: Ankle boot")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(tool.get_by_role("img", name="original garment: Bag")).to_be_visible()
    tool.get_by_label("example").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert np.abs(settles(page, tool, vae) - bag).max() > 0.01


def test_dead_latents_are_folded_away(page):
    tool = find(page, "sliders")
    shown = tool.get_by_role("slider").count()
    tool.locator("summary").click()
    expect(tool.get_by_role("slider")).to_have_count(10)
    assert 0 < shown < 10


def test_forty_fast_moves_settle_on_the_last_without_a_backlog(page, vae):
    tool = find(page, "sliders")
    (one, _), (a, _) = first_two(tool)
    pictures = """(image, window) => {
      window.pictures = 0;
      new MutationObserver(() => window.pictures++).observe(image, {attributes: true, attributeFilter: ["src"]});
    }"""
    tool.get_by_role("img", name="decoded garment").evaluate(f"image => ({pictures})(image, window)")
    last = one.evaluate("""async input => {
      for (let i = 1; i <= 40; i++) {
        input.value = Number(input.min) + (i % 20) * Number(input.step) * 4;
        input.dispatchEvent(new Event("input", {bubbles: true}));
        await new Promise(resolve => setTimeout(resolve, 16));
      }
      input.value = Number(input.min) + 77 * Number(input.step);
      input.dispatchEvent(new Event("input", {bubbles: true}));
      return Number(input.value);
    }""")
    values = settles(page, tool, vae, {a: last})
    count = page.evaluate("window.pictures")
    page.wait_for_timeout(500)
    assert page.evaluate("window.pictures") == count <= 41, "pictures came after the last one"
    assert np.array_equal(settles(page, tool, vae), values)


def test_pointer_and_keys_move_over_the_map(page, flat):
    tool = find(page, "pad")
    area = tool.get_by_role("application", name=re.compile("^Map of .* Arrow keys"))
    settles(page, tool, flat)
    drag(page, area, (0.5, 0.5), (0.25, 0.2))
    low, high = (
        np.array([float(slider(tool, f"^latent {i}").get_attribute(end)) for i in (0, 1)]) for end in ("min", "max")
    )
    point = settles(page, tool, flat)
    np.testing.assert_allclose((point - low) / (high - low), [0.25, 0.8], atol=0.02)
    area.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(200)
    moved = settles(page, tool, flat)
    np.testing.assert_allclose((moved - point) / (high - low), [0.02, 0.02], atol=1e-4)
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(200)
    np.testing.assert_allclose((settles(page, tool, flat) - moved) / (high - low), [0, -0.1], atol=1e-4)
    expect(slider(tool, "^latent 1")).to_have_attribute("aria-valuetext", f"{told(tool)[1]:.2f}")


def test_way_between_two_garments(page):
    tool = find(page, "way")
    strip = tool.get_by_role("img", name="11 decoded steps")
    before = strip.evaluate(PIXELS)
    slider(tool, "part of the way").focus()
    page.keyboard.press("Home")
    expect(tool.locator(".lw-caption", has_text="0% of the way, straight")).to_be_visible()
    ends = np.array(before).reshape(28, 11 * 28)
    page.wait_for_timeout(200)
    assert np.abs(decoded(tool) - ends[:, :28]).max() <= 1
    tool.get_by_label("way").first.select_option("spherical")
    expect(tool.locator(".lw-caption", has_text="0% of the way, spherical")).to_be_visible()
    page.wait_for_function("([image, before]) => image.src !== before", arg=[strip.element_handle(), ""])
    assert strip.evaluate(PIXELS) != before


def test_comparison_moves_both_models(page):
    tool = find(page, "compare")
    images = [tool.get_by_role("img", name=f"decoded by {name}").first for name in ("VAE", "VAE of 2")]
    before = [image.evaluate(PIXELS) for image in images]
    slider(tool, "random direction").focus()
    page.keyboard.press("End")
    for image, old in zip(images, before, strict=True):
        page.wait_for_timeout(300)
        assert image.evaluate(PIXELS) != old
    before = images[0].evaluate(PIXELS)
    tool.get_by_role("button", name="Another direction").click()
    page.wait_for_timeout(300)
    assert images[0].evaluate(PIXELS) != before


def test_an_error_in_a_callback_is_shown(page):
    tool = find(page, "broken")
    tool.get_by_role("button", name="Random").click()
    expect(tool.get_by_role("alert")).to_have_text(re.compile("AttributeError: .*sample"))


def test_a_busy_kernel_still_moves_the_picture(chromium, lab, vae):
    with listening_page(chromium, 1280, 900) as (page, _):
        serving.open_and_run(page, lab, "lab/tree/busy.ipynb", ".tool-sliders .told")
        tool = find(page, "sliders")
        (one, _), (a, _) = first_two(tool)
        page.evaluate(BUSY)
        page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
        one.focus()
        page.keyboard.press("Home")
        settles(page, tool, vae, {a: float(one.get_attribute("min"))})
        assert not page.evaluate("ended")


def test_pictures_are_decoded_in_the_page_and_are_those_of_python(page, vae):
    tool = find(page, "sliders")
    expect(tool.locator(".lw-where")).to_have_text("Decoded in this page.")
    src = "image => image.src.slice(0, 5)"
    image = tool.get_by_role("img", name="decoded garment").first
    slider(tool, "^latent").first.focus()
    page.keyboard.press("ArrowLeft")
    assert image.evaluate(src) == "data:"
    settles(page, tool, vae)


def test_a_model_in_training_is_decoded_by_python_and_then_in_the_page_again(page, chromium, lab):
    with listening_page(chromium, 1280, 900) as (page, complaints):
        serving.open_and_run(page, lab, "lab/tree/training.ipynb", ".tool-sliders .told")
        tool = find(page, "sliders")
        where, image = tool.locator(".lw-where"), tool.get_by_role("img", name="decoded garment").first
        expect(where).to_have_text("Decoded in this page.")
        before = image.evaluate(PIXELS)
        run(page, TRAIN)
        expect(where).to_have_text("Decoded by Python: the model is in training.")
        assert np.array_equal(image.evaluate(PIXELS), before)
        run(page, "go_on.set()")
        expect(where).to_have_text("Decoded in this page.", timeout=120_000)  # Keras compiles first
        assert not np.array_equal(image.evaluate(PIXELS), before), "the new weights are shown"

        run(page, "vae.decoder.set_weights([0 * w for w in vae.decoder.get_weights()])")
        one = slider(tool, "^latent").first
        one.focus()
        page.keyboard.press("ArrowRight")
        expect(where).to_have_text("Decoded by Python: its weights have changed.")
        page.wait_for_timeout(500)
        assert set(image.evaluate(PIXELS)) == {128}
        page.keyboard.press("ArrowRight")
        expect(where).to_have_text("Decoded in this page.")
        page.wait_for_timeout(500)
        assert set(image.evaluate(PIXELS)) == {128}
        assert complaints == []


def test_sliders_go_on_when_the_kernel_has_stopped(chromium, lab, vae):
    with listening_page(chromium, 1280, 900) as (page, complaints):
        serving.open_and_run(page, lab, "lab/tree/stopped.ipynb", ".tool-sliders .told")
        tool = find(page, "sliders")
        expect(tool.locator(".lw-where")).to_have_text("Decoded in this page.")
        z = told(tool)
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        expect(tool.locator(".lw-where")).to_have_text(re.compile("Python has stopped"))
        (one, _), (a, _) = first_two(tool)
        one.focus()
        page.keyboard.press("End")
        z[a] = float(one.input_value())
        image = np.rint(255 * (1 - vae.decode(z[None])[0, :, :, 0]))
        assert np.abs(decoded(tool) - image).max() <= 1
        expect(tool.locator(".lw-caption", has_text=f"z[{a}] = {z[a]:.2f} · KL ")).to_be_visible()
        assert complaints == []


def run(page, code):
    """Run code in the kernel, and wait until it has ended."""
    page.evaluate(
        "code => jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}).done", code
    )


def test_two_tabs_of_one_notebook_show_and_keep_one_code(page, chromium, lab, vae):
    """A move in one tab reaches the other; there a move of another slider leaves it alone."""
    here = find(page, "sliders")
    settles(page, here, vae)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    with listening_page(chromium, 1280, 900) as (second, _):
        second.goto(lab.url("lab/tree/tools.ipynb"))
        there = find(second, "sliders")
        (one, other), (a, b) = first_two(here)
        (first_there, other_there), _ = first_two(there)
        one.focus()
        page.keyboard.press("Home")
        lowest = float(one.get_attribute("min"))
        settles(page, here, vae, {a: lowest})
        expect(first_there).to_have_value(one.input_value())
        other_there.focus()
        second.keyboard.press("End")
        values = settles(page, here, vae, {b: float(other.get_attribute("max"))})
        assert values[a] == pytest.approx(lowest, abs=1e-4), "the first tab's move stands"
        expect(other).to_have_value(other_there.input_value())


def test_kernels_start_without_a_warning(page, lab):
    assert "without encryption" not in lab.said()


def test_everything_fits_a_narrow_page(chromium, lab):
    """Notebook 7, on a page as wide as a phone's."""
    with listening_page(chromium, 390, 844) as (page, _):
        serving.open_and_run(page, lab, "notebooks/tools.ipynb", ".tool-broken .told")
        for name in TOOLS:
            tool = find(page, name)
            cut = tool.evaluate("""tool => [...tool.querySelectorAll("*")].filter(element => {
              const box = element.getBoundingClientRect();
              return box.width > 0 && (box.right > innerWidth + 1 || box.left < 0);
            }).map(element => element.outerHTML.slice(0, 120))""")
            assert cut == [], name
