"""Every picture can be drawn, has a text for those who cannot see it, and leaves nothing open."""

import inspect
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn
from matplotlib.figure import Figure
from support import small_autoencoder, small_conv_vae, small_vae

from helpers import baselines, course, metrics, plotting
from helpers.dataset import CLASS_NAMES

GENERATOR = np.random.default_rng(0)
PARTS = ("negative_elbo", "reconstruction", "kl")
HISTORY = {prefix + part: [3.0, 2.0, 1.5] for part in PARTS for prefix in ("", "val_")}
ERRORS = {"mse": [0.1, 0.05], "val_mse": [0.1, 0.06]}
LINES = pd.DataFrame({"k": [2, 4, 2, 4], "mse": [0.4, 0.2, 0.5, 0.3], "seed": [1, 1, 2, 2]})
TRIALS = pd.DataFrame({"variant": ["a", "a", "b", "b"], "seed": [1, 2, 1, 2], "validation_mse": [1.0, 2.0, 1.1, 2.1]})
NAMES = CLASS_NAMES


# How to call each function: a name may stand more than once, with a word after a blank.
PICTURES = {
    "plot_rows": lambda t, vae, ae: plotting.plot_rows({"one": t.test.images[:3], "two\nlines": t.test.images[:2]}),
    "plot_sheet": lambda t, vae, ae: plotting.plot_sheet(t.test.images[:13], columns=5, title="Some"),
    "plot_classes": lambda t, vae, ae: plotting.plot_classes(t.test, NAMES, examples=4),
    "plot_class_sheets": lambda t, vae, ae: plotting.plot_class_sheets({"A": t.test, "B": t.train}, NAMES, examples=3),
    "plot_reconstruction": lambda t, vae, ae: plotting.plot_reconstruction({"A": ae, "B": vae}, t.test.images[:4]),
    "plot_reconstruction one": lambda t, vae, ae: plotting.plot_reconstruction(vae, t.test.images[:4]),
    "plot_generation": lambda t, vae, ae: plotting.plot_generation({"A": ae, "B": vae}, n=4),
    "plot_generation given": lambda t, vae, ae: plotting.plot_generation(vae, z=np.zeros((3, 2))),
    "plot_interpolation": lambda t, vae, ae: plotting.plot_interpolation(ae, *t.test.images[:2], steps=5),
    "plot_traversal": lambda t, vae, ae: plotting.plot_traversal(vae, [0, 0], [1, 0], [(-3, 3)] * 2, 5, kl=[1, 0.2]),
    "plot_latent_map": lambda t, vae, ae: plotting.plot_latent_map(vae, t.test, NAMES, uniform=True, size=4),
    "plot_latent_map plain": lambda t, vae, ae: plotting.plot_latent_map(ae, t.test, NAMES, size=4),
    "plot_history": lambda t, vae, ae: plotting.plot_history(HISTORY),
    "plot_history plain": lambda t, vae, ae: plotting.plot_history(ERRORS, log=True),
    "plot_lines": lambda t, vae, ae: plotting.plot_lines(LINES, "k", "mse", hue="seed", log="xy"),
    "plot_lines one": lambda t, vae, ae: plotting.plot_lines(LINES, "k", "mse"),
    "plot_estimates": lambda t, vae, ae: plotting.plot_estimates({"a": GENERATOR.normal(size=90)}, 0.0),
    "plot_convergence": lambda t, vae, ae: plotting.plot_convergence(GENERATOR.normal(size=500), 0.0),
    "plot_kl_per_latent": lambda t, vae, ae: plotting.plot_kl_per_latent({"a": [1.0, 3.0, 0.0]}, threshold=0.1),
    "plot_code_square": lambda t, vae, ae: plotting.plot_code_square(vae, t.test.images[:4], size=3),
    "plot_codes_and_prior": lambda t, vae, ae: plotting.plot_codes_and_prior({"A": ae, "B": vae}, t.test, NAMES),
    "plot_wardrobe": lambda t, vae, ae: plotting.plot_wardrobe(vae, columns=5, rows=2),
    "plot_labelled": lambda t, vae, ae: plotting.plot_labelled(t.test.images[:2], ["one", "two\nlines"], "Two"),
    "plot_bottleneck": lambda t, vae, ae: plotting.plot_bottleneck(
        t.test.images[:3], ae.encode(t.test.images[:3]), ae.reconstruct(t.test.images[:3])
    ),
    "plot_code_spread": lambda t, vae, ae: plotting.plot_code_spread({"a": np.array([1.0, 0.0]), "b": np.ones(3)}),
    "plot_pixels": lambda t, vae, ae: plotting.plot_pixels(t.test.images[0]),
    "plot_pixel_values": lambda t, vae, ae: plotting.plot_pixel_values(t.test, NAMES, max_images=5),
    "plot_ink": lambda t, vae, ae: plotting.plot_ink(t.test, NAMES),
    "plot_guessers": lambda t, vae, ae: plotting.plot_guessers(GENERATOR.random(30), GENERATOR.random(30)),
    "plot_twins": lambda t, vae, ae: plotting.plot_twins(
        t.test.images, t.train.images, *metrics.nearest(t.test.images, t.train.images), threshold=0.1, n=3
    ),
    "plot_pixel_cost": lambda t, vae, ae: plotting.plot_pixel_cost([0, 0.5, 1]),
    "plot_number_line": lambda t, vae, ae: plotting.plot_number_line({"a": 1.0, "b": 2.0, "c": 4.0}, "a", "c"),
    "plot_components": lambda t, vae, ae: plotting.plot_components(np.zeros(784), GENERATOR.normal(size=(3, 784))),
    "plot_two_descents": lambda t, vae, ae: plotting.plot_two_descents({"a": [3.0, 2.0], "b": [3e7, -2e7]}),
    "plot_trials": lambda t, vae, ae: plotting.plot_trials(TRIALS, ["variant"], "validation_mse", "Trials"),
    "plot_sweeps": lambda t, vae, ae: plotting.plot_sweeps({"a": TRIALS, "b": TRIALS}, "validation_mse"),
    "plot_responses": lambda t, vae, ae: plotting.plot_responses(
        t.test.images[0], {"a": GENERATOR.normal(size=(9, 9))}
    ),
    "plot_counts": lambda t, vae, ae: plotting.plot_counts({"a": np.eye(3), "b": np.ones((3, 3))}, "Numbers"),
    "plot_feature_maps": lambda t, vae, ae: plotting.plot_feature_maps(small_conv_vae().encoder, t.test.images[0], 3),
    "plot_uncertainty": lambda t, vae, ae: plotting.plot_uncertainty(*[t.test.images[:3]] * 3),
    "plot_scores": lambda t, vae, ae: plotting.plot_scores(
        TRIALS, "variant", "validation_mse", "seed", ("floor", 0.01), "Scores", log=True
    ),
    "plot_rate_distortion": lambda t, vae, ae: plotting.plot_rate_distortion(
        pd.DataFrame({"model": ["a", "a", "b"], "kl": [0.0, 10, 15], "reconstruction": [300.0, 240, 230]})
    ),
    "plot_rate_distortion plain": lambda t, vae, ae: plotting.plot_rate_distortion(
        pd.DataFrame({"model": ["a", "b"], "kl": [5.0, np.nan], "reconstruction": [240.0, 230]}), floor=190.0
    ),
    "plot_memory": lambda t, vae, ae: plotting.plot_memory(baselines.PCA(t.train.images, 4), t.test.images[:2], (2, 4)),
}


def public_functions():
    return {name for name, _ in inspect.getmembers(plotting, inspect.isfunction) if name.startswith("plot_")}


@pytest.fixture(scope="module")
def vae():
    return small_vae()


@pytest.fixture(scope="module")
def plain():
    return small_autoencoder()


def test_every_public_picture_is_drawn_below():
    drawn = {name.split()[0] for name in PICTURES}
    assert public_functions() - drawn == set(), "give these an entry in PICTURES"
    assert drawn <= public_functions()


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES.keys())
def test_picture_is_a_figure_with_alt_text_and_no_window(draw, tiny, vae, plain):
    figure = draw(tiny, vae, plain)
    assert isinstance(figure, Figure)
    assert len(figure.alt) > 20 and figure.alt == figure.alt.strip() and "\n" not in figure.alt
    figure.savefig(stream := io.BytesIO(), format="png", dpi=30)  # only drawing finds some errors
    assert plt.imread(io.BytesIO(stream.getvalue())).std() > 0, "the picture is blank"
    assert plt.get_fignums() == []


def test_show_gives_the_picture_and_its_alt_text_to_the_notebook(monkeypatch):
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda *bundle, **options: calls.append((bundle, options)))
    figure = plotting.plot_history(HISTORY)
    plotting.show(figure)
    plotting.show(figure, alt="Another text.")
    for (bundle, options), text in zip(calls, (figure.alt, "Another text."), strict=True):
        assert bundle[0]["image/png"].startswith(b"\x89PNG")
        assert text in bundle[0]["text/plain"]
        assert options == {"metadata": {"image/png": {"alt": text}}, "raw": True}


def test_pictures_and_tables_name_what_stands_in(monkeypatch):
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda *bundle, **options: calls.append(bundle[0]))
    figure = plotting.plot_history(HISTORY)
    plotting.show(figure)
    monkeypatch.setattr(course, "_stand_in", "drawings")
    plotting.show(figure)
    assert calls[1]["text/plain"] == f"<Figure: {figure.alt} (drawings)>"
    assert calls[0]["image/png"] != calls[1]["image/png"]
    assert metrics.scoreboard({}, np.zeros((2, 28, 28, 1))).index.name == "drawings"


def test_given_alt_text_replaces_the_made_one(tiny):
    assert plotting.plot_rows({"a": tiny.test.images[:2]}, alt="Mine.").alt == "Mine."
    assert plotting.plot_sheet(tiny.test.images[:2], alt="Mine.").alt == "Mine."


@pytest.mark.parametrize("channel", [(), (1,)])
def test_tiles_lie_row_by_row_and_missing_ones_are_zero(channel):
    images = np.arange(1, 6, dtype="float32").repeat(784).reshape(5, 28, 28, *channel)
    images[1, 0, 27] = 99  # the top right corner of the second image
    sheet = plotting.tile(images, columns=3)
    assert (sheet.shape, sheet.dtype) == ((56, 84), np.float32)
    assert sheet[0, 55] == 99
    sheet[0, 55] = 2
    corners = sheet.reshape(2, 28, 3, 28)
    assert (corners == corners[:, :1, :, :1]).all()
    np.testing.assert_array_equal(corners[:, 0, :, 0], [[1, 2, 3], [4, 5, 0]])


def test_traversal_moves_one_latent_and_keeps_the_others():
    class Spy:
        codes = []

        def decode(self, z):
            self.codes.append(z)
            return np.zeros((len(z), 28, 28, 1))

    plotting.plot_traversal(Spy(), [5, 6, 7], order=[2, 0], ranges=[(-1, 1), (-2, 2), (-3, 3)], steps=3)
    np.testing.assert_allclose(Spy.codes[0], [[5, 6, -3], [5, 6, 0], [5, 6, 3]])
    np.testing.assert_allclose(Spy.codes[1], [[-1, 6, 7], [0, 6, 7], [1, 6, 7]])


def test_models_are_given_the_same_codes(vae):
    figure = plotting.plot_generation({"one": vae, "two": vae}, n=3, seed=4)
    one, two = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_array_equal(one, two)


def test_corners_of_the_code_square_are_the_reconstructions(tiny, plain):
    corners = tiny.test.images[:4]
    sheet = np.asarray(plotting.plot_code_square(plain, corners, size=3).axes[0].images[0].get_array())
    tiles = sheet.reshape(3, 28, 3, 28).swapaxes(1, 2)
    found = tiles[[0, 0, 2, 2], [0, 2, 0, 2]]
    np.testing.assert_allclose(found, plain.reconstruct(corners)[..., 0], atol=1e-5)


def test_interpolation_begins_and_ends_with_the_two_garments(tiny, plain):
    first, second = tiny.test.images[:2]
    figure = plotting.plot_interpolation(plain, first, second, steps=5)
    ends = plain.reconstruct(np.stack([first, second]))[..., 0]
    for axes, (start, end) in zip(figure.axes, [ends, ends, (first[..., 0], second[..., 0])], strict=True):
        row = np.asarray(axes.images[0].get_array())
        np.testing.assert_allclose(row[:, :28], start, atol=1e-5)
        np.testing.assert_allclose(row[:, -28:], end, atol=1e-5)


def test_map_refuses_a_code_that_is_not_two_numbers(tiny):
    with pytest.raises(ValueError, match="needs latent_dim 2; this model has 3"):
        plotting.plot_latent_map(small_vae(latent_dim=3), tiny.test, NAMES)


def test_colours_are_for_the_colour_blind():

    assert seaborn.color_palette("colorblind", 10) == plotting.COLOURS


def test_no_seed_of_a_sweep_is_left_out_for_want_of_a_colour():
    table = pd.DataFrame({"variant": "a", "seed": range(12), "validation_mse": range(12)})
    figure = plotting.plot_trials(table, "variant", "validation_mse")
    assert len(figure.legends[0].get_texts()) == 12


def test_models_without_a_rate_stand_apart_on_the_plane():
    table = pd.DataFrame({"model": ["a", "b"], "kl": [10.0, np.nan], "reconstruction": [240.0, 230]})
    (axes,) = plotting.plot_rate_distortion(table).axes
    places = {tuple(place) for dots in axes.collections for place in np.round(dots.get_offsets(), 6)}
    (rated,), (unrated,) = ([x for x, y in places if y == height] for height in (240, 230))
    assert rated == 10 and unrated > 10.5, "outside the axis of rates, which ends at 1.05 of the largest"


def test_scores_have_a_row_a_model_and_a_colour_a_way():
    table = pd.DataFrame({"net": ["x", "x", "y"], "way": ["p", "q", "q"], "score": [1.0, 2, 3]})
    (axes,) = plotting.plot_scores(table, "net", "score", "way", reference=("floor", 0.5)).axes
    p, q = (dots.get_offsets() for dots in axes.collections)
    np.testing.assert_allclose([p[0, 0], *q[:, 0]], [1, 2, 3])
    assert np.round([p[0, 1], *q[:, 1]]).tolist() == [0, 0, 1] and p[0, 1] != q[0, 1]
    assert [line.get_xdata()[0] for line in axes.lines] == [0.5]
