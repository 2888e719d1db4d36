"""What the page is told of a network: steps, rounded weights, refusals in words (tests/browser has the rest)."""

import base64
import json
import re
import shutil
import subprocess
import zlib

import keras
import numpy as np
import pytest

from helpers import checkpoints, course, models, widgets
from helpers.machinery import browser


def small(*layers, shape=(8,), dtype="float32"):
    x = keras.Input(shape, name="x", dtype=dtype)
    y = x
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def inflated(text):
    return zlib.decompress(base64.b85decode(text), -15)


# --------------------------------------------------------------------------------------------------
# Steps


def test_a_residual_decoder_is_described_layer_by_layer():
    steps = browser.describe(models.conv_decoder(2, filters=(4, 6, 8), blocks=1))
    found = {step["name"]: step for step in steps}
    assert steps[0] == {"kind": "input", "name": "z", "shape": [2]}
    assert found["features"] == {
        "kind": "dense",
        "name": "features",
        "shape": [392],
        "from": ["z"],
        "activation": "linear",
    }
    assert found["residual_7_1"]["kind"] == "add"
    assert found["residual_7_1"]["from"] == ["maps", "residual_7_1_out"]
    up = {"kind": "conv_transposed", "size": 4, "stride": 2, "shape": [14, 14, 6]}
    assert up.items() <= found["up_14"].items()
    assert {"kind": "conv", "size": 3, "stride": 1, "activation": "linear"}.items() <= found["logits"].items()
    assert steps[-1]["name"] == "x_hat" and steps[-1]["activation"] == "sigmoid"


@pytest.mark.parametrize("name", checkpoints.PLANS)
def test_every_shipped_model_can_be_described(name):
    model = checkpoints.plan(name).build()
    for part in (model.encoder, model.decoder):
        names = [step["name"] for step in browser.describe(part)]
        assert len(names) == len(set(names)) == len(part.operations)


class Doubled(keras.layers.Dense):
    """A layer that the page does not know, though it is called Dense's child."""

    def call(self, x):
        return 2 * super().call(x)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda: small(Doubled(3, name="twice")), "Layer twice is a Doubled"),
        (lambda: small(keras.layers.BatchNormalization(name="norm")), "Layer norm is a BatchNormalization"),
        (lambda: small(keras.layers.Dense(3, "gelu", name="bend")), "Layer bend has the activation gelu"),
        (lambda: small(keras.layers.Dense(3, lambda x: x, name="mine")), "Layer mine has the activation"),
        (lambda: small(keras.layers.Conv2D(3, 3, name="c"), shape=(8, 8, 1)), "Layer c needs padding 'same'"),
        (
            lambda: small(keras.layers.Conv2D(3, 3, padding="same", dilation_rate=2, name="c"), shape=(8, 8, 1)),
            "Layer c needs padding 'same'",
        ),
        (
            lambda: small(keras.layers.Conv2D(3, (3, 1), padding="same", name="c"), shape=(8, 8, 1)),
            r"Layer c has kernel_size \(3, 1\)",
        ),
        (lambda: small(keras.layers.Dense(3, name="half", dtype="mixed_bfloat16")), "Layer half computes in bfloat16"),
        (lambda: keras.Sequential([keras.layers.Dense(3)], name="list"), "list is no functional Keras model"),
    ],
)
def test_what_the_page_cannot_run_is_refused_in_words(part, words):
    with pytest.raises(browser.NotForThePage, match=words):
        browser.describe(part())


# --------------------------------------------------------------------------------------------------
# Weights


def test_rounded_weights_are_those_that_are_packed():
    part = small(keras.layers.Dense(5, name="d"))
    about = browser.network(part)
    kernel, bias = about["arrays"]
    assert (kernel["name"], kernel["shape"], bias["name"]) == ("d/kernel", [8, 5], "d/bias")
    whole = np.frombuffer(inflated(about["content"]), "int8").reshape(8, 5)
    scale = np.asarray(kernel["scale"], "float32")
    there = [keras.ops.convert_to_numpy(weight) for weight in browser.rounded(part).get_layer("d").weights]
    np.testing.assert_array_equal(whole * scale, there[0])
    np.testing.assert_array_equal(np.asarray(bias["values"], "float32"), there[1])
    original = keras.ops.convert_to_numpy(part.get_layer("d").kernel)
    assert (np.abs(whole * scale - original) <= 0.5001 * scale).all() and (np.abs(whole).max(axis=0) == 127).all()


def test_the_model_itself_is_not_rounded():
    model = models.dense_vae(2, (8,))
    before = [weight.numpy() for weight in model.weights]
    browser.network(model.decoder), browser.rounded(model.decoder)
    for was, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(was, weight.numpy())


def test_a_matrix_of_zeros_stays_one():
    part = small(keras.layers.Dense(5, kernel_initializer="zeros", name="d"))
    np.testing.assert_array_equal(browser.rounded(part).get_layer("d").kernel.numpy(), np.zeros((8, 5)))


@pytest.mark.nightly
def test_the_kernel_is_what_its_source_makes(tmp_path):
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed")
    command = subprocess.run(
        ["make", "-n", "kernel"], cwd=course.ROOT, capture_output=True, text=True, check=True
    ).stdout
    command = command.replace("\\\n", " ").replace("helpers/machinery/kernel.wasm", str(tmp_path / "kernel.wasm"))
    subprocess.run(command, shell=True, cwd=course.ROOT, check=True)
    assert (tmp_path / "kernel.wasm").read_bytes() == browser.KERNEL


# --------------------------------------------------------------------------------------------------
# The page


def data_of(page):
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, flags=re.S)
    return json.loads(found[1])


def test_text_that_looks_like_a_mark_or_an_end_is_no_mark():
    page = browser.page({"title": "a {script} & </script><b>", "models": []})
    assert "<title>a {script} &amp; &lt;/script&gt;&lt;b&gt;</title>" in page
    assert data_of(page)["title"] == "a {script} & </script><b>"


def test_a_page_is_written_with_its_models_and_garments(tiny, tmp_path):
    model = models.dense_vae(3, (16,))
    path = widgets.write_page({"mine": model}, tiny, tmp_path / "new" / "page.html", title="My models")
    page = path.read_text(encoding="utf-8")
    data = data_of(page)
    assert data["title"] == "My models" and data["classes"] == list(tiny.class_names)
    garments = np.frombuffer(inflated(data["garments"]), "uint8").reshape(-1, 28, 28, 1)
    rows = [np.flatnonzero(tiny.test.labels == kind)[0] for kind in (data["labels"][0], data["labels"][-1])]
    np.testing.assert_allclose(garments[[0, -3]] / 255, tiny.test.images[rows], atol=0.501 / 255)
    (mine,) = data["models"]
    codes = np.frombuffer(inflated(mine["codes"]), "float32").reshape(-1, 3)
    np.testing.assert_allclose(codes[0], model.code(tiny.test.images[rows[:1]])[0], atol=1e-5)
    assert mine["encoder"]["outputs"] == ["z_mean", "z_log_var"] and mine["limit"] > 0
    assert sorted(mine["order"]) == [0, 1, 2] and mine["says"][0].startswith("KL ")


def test_a_page_begins_with_the_garments_asked_for(tiny, tmp_path):
    mine = {"mine": models.dense_vae(3, (16,))}
    options = {"start": "Bag", "towards": "Coat", "drawing": False, "open_maps": True}
    data = data_of(widgets.write_page(mine, tiny, tmp_path / "page.html", **options).read_text(encoding="utf-8"))
    assert [data["classes"][data["labels"][garment]] for garment in data["start"]] == ["Bag", "Coat"]
    assert (data["drawing"], data["open_maps"]) == (False, True) and "draw your own" not in data["about"]
    plain = data_of(widgets.write_page(mine, tiny, tmp_path / "plain.html").read_text(encoding="utf-8"))
    assert [data["classes"][plain["labels"][garment]] for garment in plain["start"]] == ["Ankle boot", "T-shirt/top"]
    assert (plain["drawing"], plain["open_maps"]) == (True, False) and "draw your own" in plain["about"]


@pytest.mark.parametrize("options", [{"start": "Hat"}, {"towards": "Hat"}])
def test_an_unknown_class_leaves_no_page(tiny, tmp_path, options):
    with pytest.raises(ValueError, match="no garment of class 'Hat'; there are: T-shirt/top, "):
        widgets.write_page({"mine": models.dense_vae(3, (16,))}, tiny, tmp_path / "page.html", **options)
    assert list(tmp_path.iterdir()) == []


def test_no_model_is_no_page(tiny, tmp_path):
    with pytest.raises(ValueError, match="there is nothing to explore"):
        widgets.write_page({}, tiny, tmp_path / "page.html")


def test_a_model_the_page_cannot_run_leaves_no_page(tiny, tmp_path):
    model = models.dense_vae(3, (16,), likelihood="continuous_bernoulli")
    with pytest.raises(browser.NotForThePage, match="the model shows the mean of a continuous Bernoulli"):
        widgets.write_page({"mine": model}, tiny, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_page_has_the_scripts_of_today_and_stays_small():
    page = (course.ROOT / "explorer.html").read_text(encoding="utf-8")
    parts = browser.page({"title": "Latent Wardrobe: the explorer"}).partition('<script id="data"')
    assert page.startswith(parts[0]) and page.endswith(parts[2].partition("</script>")[2])
    assert len(page.encode()) <= 1_000_000
    data = data_of(page)
    assert data["kernel"] == browser.text(browser.KERNEL)
    for about, name in zip(data["models"], ("dense_ae_18", "dense_vae_10_s0", "conv_vae_32_bernoulli"), strict=True):
        assert about["decoder"] == browser.network(checkpoints.load(name).decoder)
