"""The explorer in one file, opened from the disk: what it computes is what Python computes, and every control works."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from browser.serving import expect, listening_page
from helpers import checkpoints, course, wardrobe
from helpers.machinery import browser
from helpers.machinery.backend import ops

PAGE = course.ROOT / "explorer.html"
TOLERANCE = 1e-5  # a pixel
RUN = """async ([about, kernel, inputs]) => {
  const weights = await latentNet.unpack(about.arrays, bytes(about.content));
  const net = await latentNet.Net.load(about.steps, weights, bytes(kernel));
  const results = inputs.map((input) => net.run(input, about.outputs).map((part) => Array.from(part)));
  const times = [];
  for (let i = 0; i < 20; i++) {
    const began = performance.now();
    net.run(inputs[i % inputs.length]);
    times.push(performance.now() - began);
  }
  return [results, times.sort((a, b) => a - b)[10]];
}"""


@pytest.fixture(scope="module")
def bench(chromium):
    """A page with the script that decodes, and nothing else."""
    with listening_page(chromium, 800, 600) as (page, _):
        unpacking = re.search(
            r"const DIGITS = .*?\n}\n", (course.ROOT / "helpers/machinery/page.js").read_text(), re.S
        )[0]
        page.set_content(f"<script>{browser.SCRIPT}\n{unpacking}</script>")
        yield page


def in_the_page(bench, part, inputs, labels=None):
    """Results of a network in the page, a list for each output; labels are a second input of that name."""
    given = inputs.reshape(len(inputs), -1).tolist()
    if labels is not None:
        first = next(tensor.name for tensor in part.inputs if tensor.name != "label")
        given = [{first: values, "label": [label]} for values, label in zip(given, labels.tolist(), strict=True)]
    results, _ = bench.evaluate(RUN, [browser.network(part), browser.text(browser.KERNEL), given])
    return [np.array(column) for column in zip(*results, strict=True)]


@pytest.fixture(scope="module")
def garments():
    """Fifty garments to encode, drawn ones, which every machine has."""
    return np.array(wardrobe.load(verbose=False, sizes={"train": 10, "validation": 10, "test": 50}).test.images)


@pytest.mark.parametrize("name", checkpoints.names())
def test_the_page_computes_what_python_computes(bench, name, garments):
    """Fifty codes, and for dense nets fifty images, with the same rounded weights."""
    model = checkpoints.load(name)
    decoder = browser.rounded(model.decoder)
    codes = np.random.default_rng(1).standard_normal((50, model.latent_dim)).astype("float32")
    python = ops.convert_to_numpy(decoder(codes)).reshape(50, -1)
    (page,) = in_the_page(bench, model.decoder, codes)
    assert np.abs(page - python).max() <= TOLERANCE
    assert python.std() > 0.05
    if "conv" in name:
        return
    means = in_the_page(bench, model.encoder, garments)[0].astype("float32")
    encoded = browser.rounded(model.encoder)(garments)
    encoded = encoded[0] if model.is_variational else encoded
    again, wanted = decoder(means), decoder(encoded)
    assert np.abs(ops.convert_to_numpy(again) - ops.convert_to_numpy(wanted)).max() <= TOLERANCE


SHELF = course.DATA / "checkpoints" / course.FASHION_MNIST
OF_CLASSES = [name for name in checkpoints.names(conditional=True) if (SHELF / f"{name}.npz").exists()]


@pytest.mark.parametrize("name", OF_CLASSES)
def test_the_page_computes_what_python_computes_of_a_class(bench, name, garments):
    """The same for models that are told the class, with all classes in turn."""
    model, labels = checkpoints.load(name), np.arange(50) % 10
    decoder, encoder = browser.rounded(model.decoder), browser.rounded(model.encoder)
    codes = np.random.default_rng(1).standard_normal((50, model.latent_dim)).astype("float32")

    def in_python(part, **given):
        return part([ops.convert_to_tensor(given[tensor.name]) for tensor in part.inputs])

    python = ops.convert_to_numpy(in_python(decoder, z=codes, label=labels)).reshape(50, -1)
    (page,) = in_the_page(bench, model.decoder, codes, labels)
    assert np.abs(page - python).max() <= TOLERANCE
    (other,) = in_the_page(bench, model.decoder, codes, (labels + 1) % 10)
    assert np.abs(other - python).max() > 0.1
    if "conv" not in name:
        z_mean, _ = in_the_page(bench, model.encoder, garments, labels)
        again = in_python(decoder, z=z_mean.astype("float32"), label=labels)
        wanted = in_python(decoder, z=in_python(encoder, x=garments, label=labels)[0], label=labels)
        assert np.abs(ops.convert_to_numpy(again) - ops.convert_to_numpy(wanted)).max() <= TOLERANCE


# --------------------------------------------------------------------------------------------------
# The page as it is shipped


@pytest.fixture(scope="module")
def opened(chromium):
    """The page from the disk without a network, its complaints, and what it asked for."""
    with listening_page(chromium, 1280, 900) as (page, complaints):
        page.context.set_offline(True)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(PAGE.as_uri())
        page.wait_for_selector("body[data-worst]")
        yield page, complaints, asked


@pytest.fixture
def page(opened):
    """The page at rest on its first garment; an error in its console fails the test."""
    page, complaints, _ = opened
    page.get_by_role("button", name="Reset").click()
    yield page
    assert complaints == []


def pixels(page, label):
    return page.get_by_role("img", name=label).evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
    )


def test_nothing_is_asked_of_anybody(opened):
    _, complaints, asked = opened
    assert asked == [PAGE.as_uri()] and complaints == []


def test_the_badge_shows_a_difference_that_is_small_and_not_zero(page):
    expect(page.locator("#badge")).to_contain_text("differ by at most")
    assert 0 < float(page.locator("body").get_attribute("data-worst")) <= TOLERANCE


FAULTS = {
    "a wrong weight": (
        "numbers[start + i] * scale[i % scale.length]",
        "(numbers[start + i] + (i === 7)) * scale[i % scale.length]",
    ),
    "a swapped axis": ("kernel[column * inner + row]", "kernel[row * step.columns + column]"),
    "a wrong padding": ("Math.floor(Math.max((count - 1) * stride + kernel - length, 0) / 2)", "0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_the_badge_red(chromium, tmp_path, fault):
    text = PAGE.read_text(encoding="utf-8")
    right, wrong = FAULTS[fault]
    assert text.count(right) == 1
    (tmp_path / "page.html").write_text(text.replace(right, wrong), encoding="utf-8")
    with listening_page(chromium, 800, 600) as (page, _):
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("body[data-worst]")
        expect(page.locator("#badge")).to_contain_text("Do not trust this page")


def test_a_slider_moves_one_picture_and_undo_takes_it_back(page):
    before = {name: pixels(page, f"Decoded by {name}") for name in ("autoencoder", "VAE", "convolutional VAE")}
    slider = (
        page.locator("section", has=page.get_by_role("heading", name="VAE", exact=True)).get_by_role("slider").first
    )
    slider.focus()
    page.keyboard.press("End")
    assert pixels(page, "Decoded by VAE") != before["VAE"]
    assert pixels(page, "Decoded by autoencoder") == before["autoencoder"]
    page.get_by_role("button", name="Undo").click()
    assert pixels(page, "Decoded by VAE") == before["VAE"]


def test_moves_of_one_slider_are_one_step_back(page):
    before = pixels(page, "Decoded by VAE")
    page.locator("section", has=page.get_by_role("heading", name="VAE", exact=True)).get_by_role("slider").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Undo").click()
    assert pixels(page, "Decoded by VAE") == before


def test_the_way_ends_at_the_second_garment(page):
    page.get_by_label("go towards").select_option(label="Trouser 2")
    page.get_by_label("position on the way").fill("1")
    there = {name: pixels(page, f"Decoded by {name}") for name in ("autoencoder", "convolutional VAE")}
    page.get_by_label("start from").select_option(label="Trouser 2")
    for name, wanted in there.items():
        assert pixels(page, f"Decoded by {name}") == wanted
    page.get_by_label("start from").select_option(label="Ankle boot 1")


def test_random_gives_every_model_other_codes(page):
    names = ("autoencoder", "VAE", "convolutional VAE")
    before = [pixels(page, f"Decoded by {name}") for name in names]
    page.get_by_role("button", name="Random").click()
    assert all(pixels(page, f"Decoded by {name}") != was for name, was in zip(names, before, strict=True))


def test_pointer_and_keys_move_on_the_map(page):
    page.get_by_text("Map of two latents").nth(1).click()
    area = page.get_by_role("application", name="Map of VAE")
    box = area.bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    there = pixels(page, "Decoded by VAE")
    area.focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert pixels(page, "Decoded by VAE") != there
    page.keyboard.press("Shift+ArrowRight")
    assert pixels(page, "Decoded by VAE") == there


def test_the_address_brings_the_codes_back(page, chromium):
    page.get_by_role("button", name="Random").click()
    wanted = pixels(page, "Decoded by convolutional VAE")
    with listening_page(chromium, 1280, 900) as (other, _):
        other.goto(page.url)
        other.wait_for_selector("body[data-ready]")
        found = pixels(other, "Decoded by convolutional VAE")
        assert np.abs(np.subtract(found, wanted)).max() <= 2  # the address keeps three digits
        other.goto(PAGE.as_uri() + "#VAE=1,2")
        other.reload()
        other.wait_for_selector("body[data-ready]")
        expect(other.get_by_text("Codes: Ankle boot")).to_be_visible()


def draw(page, *ends):
    canvas = page.get_by_role("img", name="Your picture: draw here")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ends]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def test_a_drawing_is_encoded_priced_and_cleared(page):
    draw(page, (0.3, 0.2), (0.7, 0.2), (0.7, 0.9), (0.3, 0.9), (0.3, 0.2))
    section = page.locator("section", has=page.get_by_role("heading", name="VAE", exact=True))
    expect(section).to_contain_text("nats = reconstruction")
    expect(section).to_contain_text("unlike a garment")
    conv = page.locator("section", has=page.get_by_role("heading", name="convolutional VAE"))
    expect(conv).to_contain_text("cannot encode your picture")
    before = pixels(page, "Decoded by VAE")
    page.get_by_role("button", name="Move the sliders there").click()
    assert pixels(page, "Decoded by VAE") != before
    page.get_by_role("button", name="Clear").click()
    expect(section).not_to_contain_text("nats = reconstruction")


@pytest.fixture(scope="module")
def garment_file(tmp_path_factory):
    """A garment of the page itself as a PNG, dark on white, and the cost that Python finds for it."""
    data = json.loads(re.search(r'application/json">(.*?)</script>', PAGE.read_text(encoding="utf-8"), re.S)[1])
    grey = np.frombuffer(zlib.decompress(base64.b85decode(data["garments"]), -15), "uint8").reshape(-1, 28, 28)[4]
    path = tmp_path_factory.mktemp("own") / "garment.png"
    Image.fromarray(255 - grey).resize((168, 168), Image.Resampling.NEAREST).save(path)
    return path, grey[None, ..., None].astype("float32") / 255


def test_a_garment_from_a_file_costs_what_python_says(page, garment_file):
    path, image = garment_file
    page.get_by_label("a file").set_input_files(path)
    section = page.locator("section", has=page.get_by_role("heading", name="VAE", exact=True))
    expect(section).to_contain_text("nats = reconstruction")
    said = float(re.search(r"Your picture: ([\d.]+) nats", section.inner_text())[1])
    model = checkpoints.load("dense_vae_10_s0")
    mean, log_var = (ops.convert_to_numpy(part).astype("float64") for part in browser.rounded(model.encoder)(image))
    x_hat = ops.convert_to_numpy(browser.rounded(model.decoder)(mean)).astype("float64").clip(1e-6, 1 - 1e-6)
    nats = -(image * np.log(x_hat) + (1 - image) * np.log1p(-x_hat)).sum()
    nats += 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum()
    assert said == pytest.approx(nats, abs=0.3)
    assert "unlike a garment" not in section.inner_text()
    page.get_by_role("button", name="Invert").click()
    expect(page.get_by_text("looks inverted")).to_be_visible()
    expect(section).to_contain_text("unlike a garment")
    page.get_by_role("button", name="Clear").click()


def test_a_file_that_is_no_picture_is_refused_in_words(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    page.get_by_label("a file").set_input_files(tmp_path / "notes.txt")
    expect(page.get_by_text("notes.txt is no picture")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_it_fits_and_a_screen_reader_gets_all(chromium, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    page.goto(PAGE.as_uri())
    page.wait_for_selector("body[data-worst]")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()
