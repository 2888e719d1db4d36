"""From slider to picture: in the kernel, and in a real browser against the usual pattern."""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
from browser import serving
from table import Row

from helpers import checkpoints, course, wardrobe, widgets

SIZES = {"train": 10, "validation": 1000, "test": 10}
LOAD = """
from pathlib import Path
from helpers import checkpoints, wardrobe, widgets
dataset = wardrobe.load(verbose=False, sizes={"train": 10, "validation": 1000, "test": 10}, directory=Path("drawn"))
vae = checkpoints.load("dense_vae_10", dataset.slug)
"""
OURS = "widgets.latent_sliders(vae, dataset).add_class('ours')"
USUAL = """
%matplotlib inline
import matplotlib.pyplot as plt, numpy as np
from ipywidgets import FloatSlider, interact
def draw(value):
    x_hat = vae.decoder.predict(np.full((1, 10), value, "float32"), verbose=0)
    plt.figure(figsize=(3, 3)); plt.imshow(x_hat[0, :, :, 0], cmap="gray_r"); plt.axis("off"); plt.show()
made = interact(draw, value=FloatSlider(min=-2, max=2, step=0.04))
made.widget.add_class("usual");
"""
# From a key to the next picture inside one tool; the load of an image is heard while it travels down.
LISTEN = """place => {
  window.times = []; window.loads = [];
  let pressed = null;
  document.addEventListener("keydown", () => { pressed ??= performance.now(); }, true);
  document.addEventListener("load", ({target}) => {
    if (target.tagName !== "IMG" || !target.closest(place)) return;
    window.loads.push(performance.now());
    if (pressed !== null) { window.times.push(performance.now() - pressed); pressed = null; }
  }, true);
}"""
BURST = """async input => {
  for (let i = 1; i <= 40; i++) {
    input.value = Number(input.min) + i * Number(input.step);
    input.dispatchEvent(new Event("input", {bubbles: true}));
    window.last = performance.now();
    await new Promise(resolve => setTimeout(resolve, 16));
  }
}"""


def rows(options):
    """A row for each model in the kernel, and for each figure of the browser, milliseconds."""
    yield from kernel()
    try:
        with tempfile.TemporaryDirectory() as folder, serving.chromium() as browser:
            yield from pages(browser, Path(folder))
    except serving.Missing as error:
        print(f"browser part skipped: {error}")


def kernel(moves=200):
    """Every shipped model: a move of one slider, up to the message with the new picture."""
    dataset = wardrobe.load(verbose=False, sizes=SIZES, directory=Path(tempfile.mkdtemp()))
    for name in widgets.shipped(dataclasses.replace(dataset, slug=course.FASHION_MNIST)):
        tool = widgets.latent_sliders(checkpoints.load(name), dataset)
        times, z = [], tool.z
        for value in np.linspace(-2, 2, moves):
            z[tool.space.order[0]] = value
            start = time.perf_counter()
            tool.z = z
            times.append(1000 * (time.perf_counter() - start))
        yield Row(f"slider, kernel, {name}, median", float(np.median(times)), most=3)


def pages(browser, folder, moves=60):
    """Our sliders and the usual pattern on two pages of one JupyterLab, one after the other."""
    measured = {}
    serving.write_notebook(folder / "ours.ipynb", LOAD, OURS)
    serving.write_notebook(folder / "usual.ipynb", LOAD, USUAL)
    with serving.lab(folder) as server:
        for name, handle in (("ours", "input[type=range]"), ("usual", ".noUi-handle")):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            serving.open_and_run(page, server, f"lab/tree/{name}.ipynb", f".{name} img")
            page.wait_for_timeout(2_000)
            page.evaluate(LISTEN, f".{name}")
            slider = page.locator(f".{name} {handle}").first
            slider.focus()
            for i in range(moves + 5):
                page.keyboard.press("ArrowRight" if i % 20 < 10 else "ArrowLeft")
                page.wait_for_timeout(300)  # asking the page meanwhile would cost it frames
            measured[name] = np.array(page.evaluate("window.times"))[5:]
            if name == "ours":
                settled = []
                for _ in range(5):
                    slider.evaluate(BURST)
                    page.wait_for_timeout(500)
                    settled.append(page.evaluate("window.loads.at(-1) - window.last"))
            page.close()
    for what, statistic, limit in (("median", np.median, 35), ("p95", lambda t: np.percentile(t, 95), 60)):
        own, other = (float(statistic(measured[way])) for way in ("ours", "usual"))
        yield Row(f"slider, browser, {what} / interact + predict + imshow", own, other=other, most=limit)
    yield Row("slider, browser, 40 moves in 640 ms, settled after", float(np.max(settled)), most=100)
