"""Sliders: the pure functions over their whole range, and what every move, button and error does."""

import dataclasses
import io
import json
import threading

import anywidget
import keras
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image
from support import fresh_python, shelve, small_autoencoder, small_vae

from helpers import checkpoints, course, data, metrics, models, photos, training, widgets
from helpers.machinery import browser


def pixels(png):
    """Grey values of a PNG, 0 (black) to 255 (white)."""
    return np.asarray(Image.open(io.BytesIO(png)))


def ink(images):
    """Grey values as they should be in the PNG of images (n, 28, 28, 1)."""
    images = np.clip(np.asarray(images, "float64").reshape(-1, 28, 28), 0, 1)
    return np.rint(255 * (1 - np.concatenate(images, axis=1)))


def shows(picture, image):
    """Whether a picture shows an image; a rounding may fall either way."""
    return np.abs(pixels(picture.png) - ink(image)).max() <= 1


@pytest.fixture(scope="module")
def vae():
    return small_vae(latent_dim=3)


@pytest.fixture(scope="module")
def autoencoder():
    return small_autoencoder(latent_dim=3, seed=5)  # with another seed than the VAE: other codes


@pytest.fixture
def sliders(vae, tiny):
    return widgets.latent_sliders(vae, tiny, start=("Dress", 2))


# --------------------------------------------------------------------------------------------------
# Pure functions

MAKERS = {
    **{f"dense VAE, {name}": lambda name=name: small_vae(name) for name in models.LIKELIHOODS},
    "conv VAE": lambda: models.conv_vae(latent_dim=4, filters=(4, 4, 4), hidden=(8,)),
    "conv VAE in bfloat16": lambda: models.conv_vae(
        latent_dim=4, filters=(4, 4, 4), hidden=(8,), precision="mixed_bfloat16"
    ),
    "dense autoencoder": small_autoencoder,
    "linear autoencoder": lambda: models.linear_autoencoder(latent_dim=4),
}


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_decoder_gives_the_images_of_decode(name):
    model = MAKERS[name]()
    z = np.random.default_rng(1).standard_normal((7, model.latent_dim))
    for codes in (z[:1], z[:3], z):
        x_hat = widgets.decode(model, codes)
        assert x_hat.dtype == np.float32
        # two ways to compute in half precision round differently
        np.testing.assert_allclose(x_hat, model.decode(codes), atol=0.01 if "bfloat16" in name else 1e-5)


def test_compiled_decoder_sees_new_weights():
    model = small_vae()
    z = [[0.5, -0.5]]
    before = widgets.decode(model, z)
    layer = model.decoder.get_layer("logits")
    layer.set_weights([2 * array + 1 for array in layer.get_weights()])
    after = widgets.decode(model, z)
    assert np.abs(after - before).min() > 0.1
    np.testing.assert_allclose(after, model.decode(z), atol=1e-5)


@pytest.mark.parametrize("z", [[[0.0, 1.0, 2.0]], [0.0, 1.0], [[np.nan, 0.0]], [[np.inf, 0.0]]])
def test_codes_that_cannot_be_are_refused(z):
    with pytest.raises(ValueError, match="z h"):
        widgets.decode(small_vae(), z)


def test_every_place_of_every_slider_gives_the_picture_of_its_code(vae, tiny):
    space = widgets.survey(vae, tiny.validation.images)
    for latent in range(vae.latent_dim):
        for value in np.linspace(space.low[latent], space.high[latent], 101):
            z = np.zeros(vae.latent_dim)
            z[latent] = value
            png = widgets.picture_of(vae, z)
            assert pixels(png).shape == (28, 28)
            assert np.abs(pixels(png) - ink(vae.decode(z[None]))).max() <= 1


# --------------------------------------------------------------------------------------------------
# Decoding in the page


def test_a_network_leaves_its_model_to_python_while_it_trains(tiny):
    model = models.dense_vae(3, (16,))
    network = widgets.Network.of(model)
    assert (network.place, network.reason, network.edition) == ("page", "", 1)
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: seen.append((network.place, network.reason))
    )
    model.compile("adam")
    model.fit(tiny.train.images, epochs=1, verbose=0, callbacks=[look])
    assert set(seen) == {("kernel", "the model is in training")}
    assert (network.place, network.reason, network.edition) == ("page", "", 2)

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
        model.fit(tiny.train.images, epochs=1, verbose=0, callbacks=[look])
    assert (network.place, network.edition) == ("page", 3)


def test_weights_changed_by_hand_are_noticed_at_the_next_move_and_sent_when_they_rest(tiny):
    model = models.dense_vae(3, (16,))
    tool = widgets.latent_sliders(model, tiny)
    network = widgets.Network.of(model)
    tool.z = tool.z + 0.1
    assert network.place == "page"
    model.decoder.set_weights([weight + 0.01 for weight in model.decoder.get_weights()])
    tool.z = tool.z + 0.1
    assert (network.place, network.reason) == ("kernel", "its weights have changed")
    tool.z = tool.z + 0.1
    assert (network.place, network.edition) == ("page", 2)


def test_a_page_gets_the_weights_and_a_notebook_keeps_none(tiny, monkeypatch):
    model = models.dense_vae(3, (16,))
    network = widgets.Network.of(model)
    sent = []
    monkeypatch.setattr(network, "send", lambda content, buffers: sent.append((content, buffers)))
    network.send_to_page()
    (content, (*arrays, kernel)) = sent[0]
    assert content["edition"] == 1 and kernel == browser.KERNEL
    assert [step["kind"] for step in content["steps"]][:2] == ["input", "dense"]
    for name, array in zip(content["names"], arrays, strict=True):
        layer, kind = name.split("/")
        assert np.array_equal(array, getattr(model.decoder.get_layer(layer), kind)), name
    kept = {name for name in network.keys if not name.startswith("_")}
    assert kept - set(anywidget.AnyWidget().keys) == {"view", "place", "reason", "edition"}


def test_all_pictures_of_a_model_share_one_network_and_a_closed_one_is_replaced():
    model = models.dense_vae(3, (16,))
    network = widgets.Network.of(model)
    assert widgets.Network.of(model) is network
    network.close()
    assert widgets.Network.of(model).comm is not None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"likelihood": "continuous_bernoulli"}, "mean of a continuous Bernoulli"),
        ({"activation": "mish"}, "has the activation mish"),
    ],
)
def test_what_the_page_cannot_run_stays_with_python_and_the_tool_says_why(tiny, settings, reason):
    tool = widgets.latent_sliders(models.dense_vae(3, (16,), **settings), tiny)
    assert tool._network.place == "kernel" and reason in tool._network.reason
    before = tool._decoded.png
    tool.z = tool.z + 1
    assert tool._network.place == "kernel" and tool._decoded.png != before


def test_one_class_of_a_conditional_model_has_sliders_that_python_decodes(tiny):
    of_trousers = models.dense_conditional_vae(3, (16,)).of_class(1)
    tool = widgets.latent_sliders(of_trousers, tiny)
    assert tool._network.place == "kernel" and "conditional" in tool._network.reason
    tool.z = [1.0, -1.0, 0.5]
    assert shows(tool._decoded, of_trousers.decode(tool.z[None]))


def test_the_way_of_each_tool_ends_at_the_code_that_python_decodes(tiny):
    """Base and columns, as the page adds them up, against the tools' own codes."""
    model = models.dense_vae(4, (16,))
    way = widgets.interpolation_slider(model, tiny)
    way.fraction = 0.25
    code = way._decoded.code
    z = np.array(code["base"]) + 0.25 * np.array(code["columns"][0])
    assert np.abs(ink(model.decode(z[None])) - pixels(way._decoded.png)).max() <= 1
    pad = widgets.latent_pad(model, tiny, latents=[1, 3])
    pad.point = [0.5, -0.25]
    code = pad._decoded.code
    np.testing.assert_allclose(
        np.array(code["base"]) + np.array([0.5, -0.25]) @ np.array(code["columns"]), pad._z, rtol=1e-6
    )
    both = widgets.compare_models({"one": model, "other": models.dense_vae(2, (16,), seed=2)}, tiny)
    both.fraction, both.offset = 0.5, 2
    both.turn()
    for label, z in both.codes().items():
        code = both.pictures[label].code
        np.testing.assert_allclose(np.array(code["base"]) + [0.5, 2] @ np.array(code["columns"]), z, rtol=1e-5)


def photo_of(image):
    """A garment on white ground, large and off the middle, as bytes of a PNG file."""
    garment = Image.fromarray(np.rint(255 * (1 - image[..., 0])).astype("uint8")).resize((140, 140))
    photo = Image.new("L", (300, 200), 255)
    photo.paste(garment, (100, 30))
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    return stream.getvalue()


def test_your_image_shows_the_steps_what_the_model_makes_of_it_and_what_it_costs(vae, tiny):
    tool = widgets.your_image(vae, tiny)
    assert tool.image is None and tool._steps.children == ()
    photo = photo_of(tiny.test.images[3])
    tool.show(photo)
    image, steps = photos.to_28(photo, steps=True)
    assert np.array_equal(tool.image, image) and np.array_equal(tool.z, vae.code(image[None])[0])
    assert [picture.caption for picture in tool._steps.children] == list(steps)
    assert np.array_equal(pixels(tool._steps.children[-1].png), steps["28 x 28"])
    decoded, cost, nearest = tool._found.children
    assert shows(decoded, vae.decode(tool.z[None]))
    nats = np.sum(metrics.elbo_per_image(vae, image[None]), axis=0)[0]
    assert cost.caption.startswith(f"It costs {nats:.1f} nats; ")
    index, _ = metrics.nearest_few(image, tiny.train, 6)
    assert shows(nearest, tiny.train.take(index))
    assert "validation images" in tool._says.value


def test_your_image_keeps_what_it_showed_when_the_next_file_is_no_picture(vae, tiny):
    tool = widgets.your_image(vae, tiny, photo_of(tiny.test.images[3]))
    before = tool.image
    with pytest.raises(data.DataError):
        tool._uploaded({"new": ({"content": memoryview(b"no picture")},)})
    assert tool.image is before and "is no picture" in tool._error.value
    tool._uploaded({"new": ({"content": memoryview(photo_of(tiny.test.images[5]))},)})
    assert tool.image is not before and tool._error.value == ""


def test_your_image_counts_squared_error_where_a_model_has_no_nats(autoencoder, tiny):
    tool = widgets.your_image(autoencoder, tiny, tiny.test.images[0])
    assert " squared error; " in tool._found.children[1].caption


def test_cost_png_marks_the_image_where_it_stands():
    left, right = (pixels(widgets.cost_png(np.linspace(0, 10, 50), cost, "nats")) for cost in (2, 8))
    is_line = [np.abs(shown[..., :3].astype(int) - [213, 94, 0]).max(axis=2) < 30 for shown in (left, right)]
    places = [np.flatnonzero(line.any(axis=0)).mean() / line.shape[1] for line in is_line]
    assert places[0] < 0.4 < 0.6 < places[1]


def test_garment_png_is_dark_ink_on_white_and_cuts_off_what_leaves_the_range():
    image = np.zeros((28, 28, 1), "float32")
    image[0, 0], image[0, 1], image[0, 2], image[0, 3] = 1, 0.5, -0.2, 1.2
    assert pixels(widgets.garment_png(image))[0, :5].tolist() == [0, 128, 255, 0, 255]


def test_garment_png_of_several_is_a_strip(tiny):
    images = tiny.test.images[:5]
    assert np.array_equal(pixels(widgets.garment_png(images)), ink(images))


def test_survey_of_a_vae_orders_by_kl_and_finds_the_dead_latent(tiny):
    model = small_vae(latent_dim=3)
    mean, log_var = (model.encoder.get_layer(name) for name in ("z_mean", "z_log_var"))
    for layer, (dead, strong) in ((mean, (1, 2)), (log_var, (1, 2))):
        kernel, bias = layer.get_weights()
        kernel[:, dead] = 0
        if layer is mean:
            kernel[:, strong] *= 5
        layer.set_weights([kernel, bias])
    space = widgets.survey(model, tiny.validation.images)
    z_mean, z_log_var = model.encode(tiny.validation.images)
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var).mean(axis=0)
    np.testing.assert_allclose(space.importance, kl, atol=1e-5)
    assert space.used.tolist() == [True, False, True]
    assert space.order.tolist() == [2, 0, 1]
    # the dead latent's posterior is the prior, so its slider still covers the prior
    assert space.low[1] == pytest.approx(-2.58, abs=0.5) and space.high[1] == pytest.approx(2.58, abs=0.5)
    assert space.says(2) == f"KL {kl[2]:.{1 if kl[2] >= 1 else 2}f} nats"
    np.testing.assert_array_equal(space.ranges, np.percentile(space.codes, [0.5, 99.5], axis=0).T)


def test_survey_of_an_autoencoder_orders_by_variance_and_gives_a_constant_unit_room(tiny):
    model = small_autoencoder(latent_dim=3)
    kernel, bias = model.encoder.get_layer("z").get_weights()
    kernel[:, 0], kernel[:, 2] = 0, 10 * kernel[:, 2]
    model.encoder.get_layer("z").set_weights([kernel, bias + 4])
    space = widgets.survey(model, tiny.validation.images)
    codes = model.encode(tiny.validation.images)
    assert space.order.tolist() == [2, 1, 0] and space.used.tolist() == [False, True, True]
    assert (space.low[0], space.high[0]) == (3, 5)
    np.testing.assert_allclose([space.low[1], space.high[1]], np.percentile(codes[:, 1], [0.5, 99.5]), rtol=1e-5)


def test_histogram_heights():
    assert widgets.histogram([0.1, 0.2, 0.9, 5.0], 0, 1, bins=2) == [1.0, 0.5]
    assert widgets.histogram([], 0, 1, bins=2) == [0.0, 0.0]


def test_map_draws_each_class_in_its_colour_at_its_place():
    corners = np.array([[0.1, 0.9], [0.9, 0.1]])
    drawn = np.asarray(Image.open(io.BytesIO(widgets.map_png(corners, [0, 1], np.zeros(2), np.ones(2), size=100))))
    assert drawn.shape[:2] == (100, 100)
    blue, orange = drawn[10, 10, :3].astype(int), drawn[90, 90, :3].astype(int)  # upwards is towards row 0
    assert blue[2] > blue[0] and orange[0] > orange[2]
    assert (drawn[50, 50, :3] == 255).all()


@pytest.mark.parametrize("kind", ["straight", "spherical"])
def test_way_begins_and_ends_at_its_ends(kind):
    start, end = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    np.testing.assert_allclose(widgets.code_between(start, end, 0, kind), start, atol=1e-6)
    np.testing.assert_allclose(widgets.code_between(start, end, 1, kind), end, atol=1e-6)
    half = {"straight": [0.5, 1.0], "spherical": [1.5 / 2**0.5, 1.5 / 2**0.5]}[kind]
    np.testing.assert_allclose(widgets.code_between(start, end, 0.5, kind), half, atol=1e-6)


def test_steps_take_back_whole_codes_and_count_one_latents_moves_as_one():
    steps = widgets.Steps([0, 0, 0])
    assert steps.to([0, 1, 0]) == 1
    assert steps.to([0, 2, 0]) == 1
    assert steps.to([3, 2, 0]) == 0
    assert steps.to([4, 5, 6]) is None
    assert steps.to([4, 5, 6]) is None  # standing still is no step
    assert len(steps) == 3
    assert [steps.back().tolist() for _ in range(4)] == [[3, 2, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert steps.to([0, 1, 0]) == 1 and len(steps) == 1  # a move after an undo is a step again


def test_steps_forget_the_oldest():
    steps = widgets.Steps([0], limit=3)
    for i in range(1, 10):
        steps.to([i])
        steps.to(
            [
                i + 0.5,
            ]
        ) if i % 2 else None
        steps._last = None  # as if another latent had moved between
    assert len(steps) == 3


def test_neighbours_distance_is_that_to_the_nearest(tiny):
    pool = widgets.Neighbours(tiny.validation.images)
    assert pool.distance(tiny.validation.images[7]) == 0
    x = tiny.test.images[0]
    wanted = np.sqrt(np.square(tiny.validation.images - x).mean(axis=(1, 2, 3))).min()
    assert pool.distance(x) == pytest.approx(wanted, rel=1e-5)


# --------------------------------------------------------------------------------------------------
# latent_sliders


def test_starts_from_the_garment_it_is_given(sliders, vae, tiny):
    garment = tiny.validation.of_class(3)[2]
    np.testing.assert_allclose(sliders.z, vae.code(garment[None])[0], atol=1e-5)
    assert shows(sliders._original, garment) and sliders._original.caption == "original: Dress"
    assert shows(sliders._decoded, vae.reconstruct(garment[None]))


def test_a_move_in_the_browser_shows_the_new_code_and_names_the_latent(sliders, vae):
    values = list(sliders.sliders.values)
    values[1] = 0.75
    sliders.sliders.values = values  # what the browser's message does
    assert sliders.z[1] == 0.75
    assert shows(sliders._decoded, vae.decode(sliders.z[None]))
    assert sliders._decoded.caption.startswith("z[1] = 0.75 · KL ")


def test_every_slider_over_its_whole_range(sliders, vae):
    for row in sliders.sliders.rows:
        for value in np.linspace(row["low"], row["high"], 9):
            z = sliders.z
            z[row["index"]] = value
            sliders.z = z
            assert shows(sliders._decoded, vae.decode(z[None]))


def test_setting_all_sliders_decodes_once(tiny, monkeypatch):
    tool = widgets.latent_sliders(small_vae(latent_dim=32), tiny)
    calls, decode = [], widgets.decode
    monkeypatch.setattr(widgets, "decode", lambda model, z: calls.append(len(z)) or decode(model, z))
    tool.z = np.ones(32)
    tool.random()
    tool.undo()
    tool.start_from("Bag")
    assert calls == [1, 1, 1, 1]


def test_undo_restores_the_whole_code_and_a_draw_is_one_step(sliders, vae):
    first = sliders.z
    moved = first + np.float32([0, 0, 1])
    sliders.z = moved
    sliders.random()
    assert np.abs(sliders.z - moved).max() > 0.1
    sliders.undo()
    np.testing.assert_array_equal(sliders.z, moved)
    np.testing.assert_array_equal(np.float32(sliders.sliders.values), moved)
    assert shows(sliders._decoded, vae.decode(moved[None]))
    sliders.undo()
    np.testing.assert_array_equal(sliders.z, first)
    assert sliders._undo_button.disabled
    sliders.undo()
    np.testing.assert_array_equal(sliders.z, first)


def test_reset_goes_back_to_the_garment(sliders, vae, tiny):
    sliders.random()
    sliders.reset()
    np.testing.assert_allclose(sliders.z, vae.code(tiny.validation.of_class(3)[2][None])[0], atol=1e-5)


def test_start_from_another_garment(sliders, vae, tiny):
    sliders.start_from("Bag", 4)
    garment = tiny.validation.of_class(8)[4]
    assert shows(sliders._original, garment)
    np.testing.assert_allclose(sliders.z, vae.code(garment[None])[0], atol=1e-5)
    assert shows(sliders._decoded, vae.decode(sliders.z[None]))


def test_buttons_do_what_they_say(sliders):
    buttons = {child.description: child for child in descendants(sliders) if hasattr(child, "on_click")}
    assert set(buttons) == {"Random", "Reset", "Undo"}
    first = sliders.z
    buttons["Random"].click()
    assert np.abs(sliders.z - first).max() > 0.1
    buttons["Undo"].click()
    np.testing.assert_array_equal(sliders.z, first)
    buttons["Random"].click()
    buttons["Reset"].click()
    np.testing.assert_allclose(sliders.z, first, atol=1e-6)
    assert all(button.tooltip for button in buttons.values())


def test_draws_of_a_vae_come_from_the_prior_and_of_an_autoencoder_from_its_codes(sliders, autoencoder, tiny):
    drawn = []
    for _ in range(300):
        sliders.random()
        drawn.append(sliders.z)
    assert np.abs(np.std(drawn, axis=0) - 1).max() < 0.15 and np.abs(np.mean(drawn, axis=0)).max() < 0.25
    tool, codes = widgets.latent_sliders(autoencoder, tiny), autoencoder.encode(tiny.validation.images)
    drawn = []
    for _ in range(300):
        tool.random()
        drawn.append(tool.z)
    np.testing.assert_allclose(np.mean(drawn, axis=0), codes.mean(axis=0), atol=4 * codes.std() / 300**0.5)
    assert "fitted" in tool._decoded.caption


def test_unused_latents_are_folded_away_at_the_end(tiny):
    model = small_autoencoder(latent_dim=3)
    kernel, bias = model.encoder.get_layer("z").get_weights()
    kernel[:, 0] = 0
    model.encoder.get_layer("z").set_weights([kernel, bias])
    tool = widgets.latent_sliders(model, tiny)
    assert [row["folded"] for row in tool.sliders.rows] == [False, False, True]
    assert tool.sliders.rows[-1]["name"] == "z[0]"
    assert "1 more" in tool.sliders.folded


def test_each_slider_has_words_for_those_who_cannot_see_it(sliders):
    for row in sliders.sliders.rows:
        assert row["spoken"].startswith(f"latent {row['index']}, KL ")
        assert len(row["heights"]) == widgets.BINS and max(row["heights"]) == 1
    assert sliders._original.alt and sliders._decoded.alt and sliders._decoded.live


@pytest.mark.parametrize("z", [[0, 0], [0, 0, np.nan]])
def test_a_wrong_code_is_refused_and_nothing_moves(sliders, z):
    before = sliders.z
    with pytest.raises(ValueError, match="z h"):
        sliders.z = z
    np.testing.assert_array_equal(sliders.z, before)


# --------------------------------------------------------------------------------------------------
# The other shells


def test_interpolation_goes_from_end_to_end(vae, tiny):
    tool = widgets.interpolation_slider(vae, tiny, first=("Sneaker", 1), second=("Bag", 2), steps=5)
    ends = vae.code(np.stack([tiny.validation.of_class(7)[1], tiny.validation.of_class(8)[2]]))
    for way, z in ((0, ends[0]), (1, ends[1]), (0.5, ends.mean(axis=0))):
        tool.fraction = way
        assert shows(tool._decoded, vae.decode(z[None]))
    assert pixels(tool._strip.png).shape == (28, 5 * 28)
    assert np.abs(pixels(tool._strip.png)[:, :28] - ink(vae.decode(ends[:1]))).max() <= 1
    strip = tool._strip.png
    tool._ends[1].choose("Coat")
    assert tool._strip.png != strip
    tool._kind.value = "spherical"
    assert "spherical" in tool._strip.caption


def test_interpolation_refuses_to_leave_the_way(vae, tiny):
    tool = widgets.interpolation_slider(vae, tiny)
    with pytest.raises(ValueError, match="fraction is 1.5"):
        tool.fraction = 1.5


def test_pad_moves_two_latents_and_keeps_the_others(vae, tiny):
    tool = widgets.latent_pad(vae, tiny, latents=(2, 0), start=("Coat", 1))
    z = vae.code(tiny.validation.of_class(4)[1][None])[0]
    tool.point = [0.5, -1]
    z[2], z[0] = 0.5, -1
    assert shows(tool._decoded, vae.decode(z[None]))
    assert tool.sliders.values == [0.5, -1]
    tool.sliders.values = [0.25, -1]
    assert tool.pad.point == [0.25, -1]
    assert tool._decoded.caption == "z[2] = 0.25 · z[0] = -1.00"
    tool._garment.choose("Bag")
    np.testing.assert_allclose(tool.pad.point, vae.code(tiny.validation.of_class(8)[0][None])[0][[2, 0]], atol=1e-5)


def test_pad_takes_the_two_most_important_latents(vae, tiny):
    tool = widgets.latent_pad(vae, tiny)
    assert set(tool.latents) == set(tool.space.order[:2])


@pytest.mark.parametrize("latents", [(0, 0), (0, 3), (-1, 0), (0, 1, 2), (1,)])
def test_pad_refuses_latents_that_are_not_two(vae, tiny, latents):
    with pytest.raises(ValueError, match="expected two different"):
        widgets.latent_pad(vae, tiny, latents)


def test_pad_needs_two_latents(tiny):
    with pytest.raises(ValueError, match="two latents"):
        widgets.latent_pad(small_vae(latent_dim=1), tiny)


def test_comparison_moves_all_models_alike(vae, autoencoder, tiny):
    tool = widgets.compare_models({"VAE": vae, "AE": autoencoder}, tiny, start=("Bag", 1), towards=("Coat", 2))
    ends = np.stack([tiny.validation.of_class(8)[1], tiny.validation.of_class(4)[2]])
    tool.fraction = 1
    for label, model in tool.models.items():
        assert shows(tool.pictures[label], model.reconstruct(ends[1:]))
    tool.fraction, tool.offset = 0, 2
    steps = {
        label: (tool.codes()[label] - model.code(ends[:1])[0]) / model.code(tiny.validation.images).std(axis=0)
        for label, model in tool.models.items()
    }
    np.testing.assert_allclose(steps["VAE"], steps["AE"], rtol=1e-3)
    before = dict(tool.codes())
    tool.turn()
    assert np.abs(tool.codes()["AE"] - before["AE"]).max() > 0.01
    assert tool.pictures["AE"].caption.startswith("AE · 0.")


def test_comparison_needs_models(tiny):
    with pytest.raises(ValueError, match="nothing to compare"):
        widgets.compare_models({}, tiny)


def test_explorer_changes_the_model(shelf, tiny, monkeypatch):
    for name in checkpoints.names():
        shelve(checkpoints.plan(name).build(), name, shelf.parent / tiny.slug)
    tool = widgets.explorer(tiny)
    assert tool._choice.options and tool.name == "toy_ae"
    tool.tool.random()
    tool.name = "toy_vae"
    assert tool.tool.model.is_variational
    assert [type(child).__name__ for child in tool._place.children] == ["LatentSliders", "LatentPad"]


def test_explorer_offers_what_is_shipped_and_says_when_nothing_is(shelf, tiny):
    assert widgets.shipped(tiny) == []
    with pytest.raises(ValueError, match="make checkpoints"):
        widgets.explorer(tiny)
    shelve(checkpoints.plan("toy_vae").build(), "toy_vae", shelf.parent / tiny.slug)
    assert widgets.shipped(tiny) == ["toy_vae"]


# --------------------------------------------------------------------------------------------------
# Errors, threads, and what is stored in a notebook


def descendants(widget):
    """A widget's children, theirs, and so on."""
    for child in getattr(widget, "children", ()):
        yield child
        yield from descendants(child)


def broken(model, z):
    raise RuntimeError("the decoder <broke>")


def test_a_broken_callback_is_raised_and_shown_and_mended(sliders, monkeypatch):
    monkeypatch.setattr(widgets, "decode", broken)
    with pytest.raises(RuntimeError, match="broke"):
        sliders.z = [1, 1, 1]
    assert 'role="alert"' in sliders._error.value and "RuntimeError: the decoder &lt;broke&gt;" in sliders._error.value
    monkeypatch.undo()
    sliders.z = [1, 1, 2]
    assert sliders._error.value == ""


@pytest.mark.parametrize("press", ["random", "reset"])
def test_a_broken_button_is_raised_and_shown(sliders, monkeypatch, press):
    sliders.random()
    monkeypatch.setattr(widgets, "decode", broken)
    with pytest.raises(RuntimeError):
        getattr(sliders, press)()
    assert "RuntimeError" in sliders._error.value


def test_a_broken_callback_turns_a_notebook_red(tmp_path):
    """What CI sees: a cell that moves a slider passes while its callback is whole, and fails once it is broken."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    whole = (
        f"import sys; sys.path[:0] = {[str(course.ROOT / 'tests'), str(course.ROOT)]!r}\n"
        "from support import small_vae, tiny_dataset\nfrom helpers import widgets\n"
        "tool = widgets.latent_sliders(small_vae(), tiny_dataset())\ntool.z = [1, 1]"
    )
    broken = "widgets.decode = None\ntool.z = [0, 1]"
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (whole, broken)]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(CellExecutionError, match="'NoneType' object is not callable"):
        client.execute()
    errors = [[o.output_type for o in cell.outputs].count("error") for cell in notebook.cells]
    assert errors == [0, 1]


def test_moves_from_many_threads_while_a_training_runs(tiny):
    model = small_vae(latent_dim=3)
    tool = widgets.latent_sliders(model, tiny)
    failed = []

    def move(seed):
        try:
            generator = np.random.default_rng(seed)
            for _ in range(30):
                tool.z = generator.standard_normal(3)
                tool.undo()
        except Exception as error:  # noqa: BLE001  whatever it is, the test has to name it
            failed.append(error)

    threads = [threading.Thread(target=move, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    training.fit(model, tiny, epochs=2, verbose=False)
    for thread in threads:
        thread.join(60)
    assert not failed and not any(thread.is_alive() for thread in threads)
    np.testing.assert_array_equal(np.float32(tool.sliders.values), tool.z)
    tool.z = [0.1, 0.2, 0.3]
    assert shows(tool._decoded, model.decode([[0.1, 0.2, 0.3]]))


def test_what_a_notebook_stores_is_the_same_in_every_run(vae, tiny):
    for make in (widgets.latent_sliders, widgets.interpolation_slider, widgets.latent_pad):
        texts = {json.dumps(make(vae, tiny)._repr_mimebundle_()["text/plain"]) for _ in range(2)}
        assert len(texts) == 1 and "object at" not in texts.pop()


def test_many_models_bring_no_warning_about_retracing():
    code = """
import numpy as np
from support import small_vae
from helpers import widgets
for latent_dim in range(2, 9):
    model = small_vae(latent_dim=latent_dim)
    for n in (1, 2, 3):
        widgets.decode(model, np.zeros((n, latent_dim)))
"""
    done = fresh_python(code)  # TensorFlow counts recent calls, so others in this process would hide it
    assert (done.returncode, done.stderr) == (0, "")


def test_the_stand_in_is_named(vae, tiny, monkeypatch):
    monkeypatch.setattr(course, "_stand_in", "the drawn wardrobe")
    assert "the drawn wardrobe" in widgets.latent_sliders(vae, tiny)._title.value


def test_front_end_loads_nothing_from_elsewhere():
    for name in ("widgets.js", "widgets.css"):
        text = (course.ROOT / "helpers" / name).read_text(encoding="utf-8")
        assert "import " not in text.replace("!important", "") and "url(" not in text.replace(
            "createObjectURL(", ""
        ).replace("revokeObjectURL(", "")
        assert "https://" not in text


# --------------------------------------------------------------------------------------------------
# Other data sets than ten whole classes


@pytest.mark.parametrize("tool", [widgets.latent_sliders, widgets.latent_pad, widgets.interpolation_slider])
def test_tools_offer_the_classes_that_have_garments(tiny, tool):
    """20 of the 520 validation garments, of which those of the last classes are missing."""
    few = tiny.head(validation=7)
    shown = tool(small_vae(), few)
    pickers = [value for value in vars(shown).values() if isinstance(value, widgets.GarmentPicker)]
    pickers += [picker for value in vars(shown).values() if isinstance(value, tuple) for picker in value]
    for picker in [picker for picker in pickers if isinstance(picker, widgets.GarmentPicker)]:
        assert [index for _, index in picker._kind.options] == list(range(7))
        assert picker.image.shape == (28, 28, 1)
        with pytest.raises(ValueError, match="no garment of class 'Ankle boot' here; there are: T-shirt/top, .* Shirt"):
            picker.choose("Ankle boot")


def test_example_goes_as_far_as_its_class_has_garments(tiny):
    labels = np.array([0] * 5 + [1] * 2 + [2] * 9)
    part = data.Split(tiny.train.images[: len(labels)], labels)
    dataset = dataclasses.replace(tiny, validation=part, class_names=("one", "two", "three"))
    shown = widgets.latent_sliders(small_vae(), dataset)
    picker = shown._garment
    picker.choose(2, 8)
    np.testing.assert_array_equal(picker.image, part.images[-1])
    picker.choose("two")
    assert picker._example.max == 1
    pad = widgets.latent_pad(small_vae(), dataset)
    assert [name for name, _ in pad.pad.legend] == ["one", "two", "three"]
    with pytest.raises(ValueError, match="no example 7 of two here; there are 0 to 1"):
        widgets.latent_sliders(small_vae(), dataset, start=("two", 7))


def test_map_is_drawn_in_its_own_style():
    points, labels = np.random.default_rng(1).normal(size=(50, 2)), np.arange(50) % 10
    usual = widgets.map_png(points, labels, (-2, -2), (2, 2))
    with plt.style.context("dark_background"):
        assert widgets.map_png(points, labels, (-2, -2), (2, 2)) == usual
