"""Every picture shows what it is said to show; expected values are worked out by hand from small inputs."""

import base64
import copy
import inspect
import io
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn
from bs4 import BeautifulSoup
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.text import Text
from PIL import Image

from helpers import course, metrics, plotting, seeds
from helpers.dataset import Split

BLIND = seaborn.color_palette("colorblind", 10)
NAMES = tuple(f"class {k}" for k in range(10))
OURS = "A text of ours"


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """No picture opens a window; whatever a test has opened is closed."""
    yield
    opened = plt.get_fignums()
    plt.close("all")
    assert opened == []


# What stands in a picture.


def texts(figure):
    """All texts of a figure that can be seen and are not empty."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def words(axes):
    """Texts written into axes, as (text, x, y)."""
    return [(text.get_text(), *text.get_position()) for text in axes.texts]


def picture(axes):
    """The only image of axes as an array."""
    (image,) = axes.images
    return np.asarray(image.get_array())


def levels(axes):
    """Grey levels of a sheet of one-coloured pictures, a number a picture."""
    sheet = picture(axes)
    pictures = sheet.reshape(len(sheet) // 28, 28, -1, 28)
    assert (pictures == pictures[:, :1, :, :1]).all(), "each picture has one grey level"
    return pictures[:, 0, :, 0]


def lines(axes):
    """Lines of axes that hold data, as (label, array of points)."""
    return [(line.get_label(), np.column_stack(line.get_data())) for line in axes.lines if len(line.get_xdata())]


def dots(axes):
    """Scatters of axes as (label, points, collection)."""
    found = [group for group in axes.collections if isinstance(group, PathCollection)]
    return [(group.get_label(), np.asarray(group.get_offsets()), group) for group in found]


def dots_by_class(axes):
    """Dots of the scatter of classes as {index of the class: its points, sorted}, told apart by their colours."""
    _, points, group = dots(axes)[0]
    colours = group.get_facecolor()[:, :3]
    found = {}
    for label, colour in enumerate(plotting.CLASS_COLOURS):
        mine = points[np.isclose(colours, colour).all(axis=1)]
        if len(mine):
            found[label] = mine[np.lexsort(mine.T[::-1])]
    assert sum(map(len, found.values())) == len(points)
    return found


def bars(axes):
    """Bars of axes as an array with a row a bar: left edge, width, height."""
    return np.array([(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches])


def band(polygon):
    """A filled band as {x: (lowest, highest)}, read from its corners."""
    corners = np.concatenate([path.vertices for path in polygon.get_paths()])
    at = {x: corners[corners[:, 0] == x, 1] for x in np.unique(corners[:, 0])}
    return {float(x): (float(y.min()), float(y.max())) for x, y in at.items()}


def tick_labels(axis):
    """Tick labels of an axis by place, once the figure has settled its ticks."""
    axis.axes.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return {
        float(place): label.get_text()
        for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        if low <= place <= high and label.get_text()
    }


def legend(axes_or_figure):
    """A legend as {text: colour of its mark}."""
    found = axes_or_figure.legends[0] if isinstance(axes_or_figure, Figure) else axes_or_figure.get_legend()
    marks = [
        mark.get_facecolor() if hasattr(mark, "get_facecolor") else mark.get_color() for mark in found.legend_handles
    ]
    return {
        text.get_text(): to_rgb(mark[0] if np.ndim(mark) == 2 else mark)
        for text, mark in zip(found.get_texts(), marks, strict=True)
    }


# Small inputs.


def plain(*greys):
    """Pictures of one grey level each, float32 (n, 28, 28, 1)."""
    return np.array(greys, "float32").repeat(784).reshape(-1, 28, 28, 1)


def carriers(codes):
    """Pictures that hold a code of two numbers in their first two pixels; `Fake` reads it there."""
    images = np.zeros((len(codes), 28, 28, 1), "float32")
    images[:, 0, :2, 0] = codes
    return images


class Fake:
    """A model of two latents whose decoded pictures have the grey level z[0] + 100 z[1]."""

    latent_dim = 2
    is_variational = True

    def __init__(self, shift=0.0, **changes):
        self.shift = shift
        self.__dict__.update(changes)

    def code(self, images):
        return np.asarray(images)[:, 0, :2, 0] + self.shift

    def decode(self, z):
        return plain(*(np.asarray(z, "float64") @ [1, 100]))

    def reconstruct(self, images):
        return 1 + self.shift - images

    def sample(self, n, seed):
        return plain(*(1000 * seed + np.arange(n) + self.shift))


class FakePCA:
    """Its mean image is 7; with k numbers it returns pictures of grey level k + that of the input."""

    def decode(self, z):
        assert np.shape(z) == (1, 1)
        return plain(7 + 100 * np.sum(z))

    def reconstruct(self, images, latent_dim=1000):
        return images + latent_dim


class Convolutions:
    """Two layers: three channels that vary least, most, in between, then two of the second of these."""

    layers = [SimpleNamespace(name=name) for name in ("images", "conv_1", "conv_2", "flat")]

    def get_layer(self, name):
        if name == "conv_1":
            return lambda x: np.concatenate([x + 100, -3 * x, 2 * x], axis=-1)
        return lambda x: np.concatenate([x[:, ::2, :, 1:2], 5 * x[:, ::2, :, 1:2]], axis=-1)


def split(a_class=4, spread=0.02):
    """A split of ten classes, shuffled; image j of class k has the grey level (k + j * spread) / 10."""
    labels = np.tile(np.arange(10), a_class)
    order = np.random.default_rng(0).permutation(len(labels))
    greys = (labels + np.repeat(np.arange(a_class), 10) * spread) / 10
    return Split(plain(*greys[order]), labels[order])


def ramp():
    """A picture whose pixels are the grey levels 0 to 249 of 255, 9 for each row and 1 for each column further."""
    steps = (9 * np.arange(28)[:, None] + np.arange(28)) % 250
    return (steps[..., None] / 255).astype("float32")


def posterior(*spreads):
    """What `metrics.posterior_on_grid` gives, of posteriors N(0, s^2 I) for each spread s; one N(0, I) for none."""
    side = np.linspace(-4, 4, 161)
    squares = side[:, None] ** 2 + side**2
    found = [-squares / (2 * s**2) - np.log(2 * np.pi * s**2) for s in spreads or (1.0,)]
    return SimpleNamespace(side=side, log_p_x=np.zeros(len(found)), log_posterior=np.array(found))


def identity(points):
    return points


LOSSES = {"negative_elbo": [9.0, 7, 6], "reconstruction": [8.0, 5, 3], "kl": [1.0, 2, 3]}
HISTORY = LOSSES | {"val_" + part: [10 * value for value in values] for part, values in LOSSES.items()}
ERRORS = {"mse": [0.1, 0.05, 0.01], "val_mse": [0.2, 0.06, 0.02]}
REPEATED = pd.DataFrame({"k": [2, 8, 2, 8, 2, 8], "mse": [0.4, 0.1, 0.8, 0.5, 0.3, 0.3], "net": list("aabbaa")})
# From the best: "late" 1.1; "apt" 1.2, better for one seed and worse for two, a tie; "mid" 2.1, one more for all seeds.
TRIALS = pd.DataFrame(
    {
        "net": ["apt"] * 3 + ["mid"] * 3 + ["late"] * 3,
        "seed": [1, 2, 3] * 3,
        "score": [1.5, 0.7, 1.4, 2.0, 2.1, 2.21, 1.0, 1.1, 1.2],
    }
)
SWEEP = pd.DataFrame(
    {"variant": ["a", "a", "b", "b", "c", "c"], "seed": [1, 2] * 3, "score": [4.0, 6, 12, 8, 0, np.nan]}
)
DIFFERENCES = {"up": seeds.Difference(5.0, 1.0, 3), "none": seeds.Difference(-4.0, 1.0, 3)}
PLANE = pd.DataFrame({"model": ["b", "a", "b"], "kl": [100.0, 40, 0], "reconstruction": [200.0, 240, 300]})
SCORES = pd.DataFrame({"net": ["y", "y", "x"], "way": ["q", "p", "p"], "score": [1.0, 20.0, 300.0]})

# How to call each function, and the text for those who cannot see the picture.
EXAMPLES = {
    "plot_course_map": (
        lambda: ([3], {}),
        "The way through the course, notebooks 01 to 10 with arrows from what is needed first; notebook 03, dense VAE, "
        "is marked.",
    ),
    "plot_rows": (
        lambda: ([{"one": plain(0.1, 0.2), "two\nlines": plain(0.3)}], {}),
        "2 rows of 2 garment pictures: one, two lines.",
    ),
    "plot_sheet": (lambda: ([plain(0.1, 0.2, 0.3)], {"columns": 2}), "Sheet of 3 garment pictures in 2 rows."),
    "plot_classes": (
        lambda: ([split(), NAMES], {"examples": 2}),
        f"Ten rows, one a class ({', '.join(NAMES)}): the mean image, then 2 random examples.",
    ),
    "plot_class_sheets": (
        lambda: ([{"A": split(), "B": split()}, NAMES], {"examples": 2}),
        "Class sheets side by side, ten rows each: the mean image, then 2 examples; A, B.",
    ),
    "plot_reconstruction": (
        lambda: ([{"A": Fake()}, plain(0.1, 0.2)], {}),
        "2 rows of 2 garment pictures: input, A.",
    ),
    "plot_generation": (lambda: ([{"A": Fake()}], {"n": 3}), "1 rows of 3 garment pictures: A."),
    "plot_interpolation": (
        lambda: ([Fake(), *carriers([(1, 0), (0, 1)])], {"steps": 3}),
        "3 rows of 3 garment pictures: straight, spherical, mixed pixels.",
    ),
    "plot_traversal": (
        lambda: ([Fake(), np.zeros(2), [1, 0], [(-3, 3), (0, 1)]], {"steps": 5, "kl": [1, 0.2]}),
        "2 rows of 5 garments; in each row one latent goes through its range, the others stay.",
    ),
    "plot_latent_map": (
        lambda: ([Fake(), split(), NAMES], {"size": 3}),
        "Two maps of the same square of z: left, 40 encoded garments coloured by class; right, 3 by 3 decoded points.",
    ),
    "plot_activations": (
        lambda: ([{"a": np.tanh, "b": np.abs}], {"reach": 2}),
        "Curves of output and slope against the input, from -2 to 2, a panel each: a, b.",
    ),
    "plot_history": (
        lambda: ([HISTORY], {}),
        "Curves over epochs for training and validation: negative ELBO, reconstruction, KL.",
    ),
    "plot_history plain": (
        lambda: ([ERRORS], {"log": True}),
        "Curves over epochs for training and validation: MSE per pixel.",
    ),
    "plot_lines": (
        lambda: ([REPEATED, "k", "mse", "net"], {"log": "xy"}),
        "Line chart of mse against k, a line each net.",
    ),
    "plot_lines one": (lambda: ([REPEATED, "k", "mse"], {}), "Line chart of mse against k."),
    "plot_estimates": (
        lambda: ([{"a": np.arange(9.0), "b": np.arange(5.0)}, 3.0], {}),
        "Histograms of repeated estimates, a row each: a, b; a line marks the true value.",
    ),
    "plot_coverage": (
        lambda: ([{"wide": ([0.5, -1.0], [1.0, 2.0]), "narrow": ([0.5, -1.0], [0.1, 2.0])}], {}),
        "2 intervals as bars in each panel, a line at the true value, those that miss it in another colour: "
        "wide, narrow.",
    ),
    "plot_kl_per_latent": (
        lambda: ([{"a": [1.0, 3.0, 0.0], "b": [2.0, 1.0]}], {"threshold": 0.1}),
        "Bars of the mean KL of each latent in nats, largest first, for a, b.",
    ),
    "plot_code_square": (
        lambda: ([Fake(), carriers([(0, 0), (1, 0), (0, 1), (1, 1)])], {"size": 3}),
        "Square of 3 by 3 decoded codes: reconstructions of four garments in the corners, mixtures inside.",
    ),
    "plot_codes_and_prior": (
        lambda: ([{"A": Fake(), "B": Fake(1.0)}, split(), NAMES], {"max_images": 30}),
        "Codes of 30 garments coloured by class, and 3 draws of N(0, I) as black dots, a panel each for: A, B.",
    ),
    "plot_posteriors": (
        lambda: ([posterior(), {"A": (np.zeros((1, 2)), np.zeros((1, 2)))}, {0: "one\ngarment"}], {}),
        "Contours around 50 % and 95 % of the posterior of two latents, and ellipses around 95 % of: A; a panel each "
        "for: one garment.",
    ),
    "plot_wardrobe": (
        lambda: ([Fake()], {"columns": 5, "rows": 2}),
        "2 rows of 5 decoded garments that change step by step from neighbour to neighbour.",
    ),
    "plot_labelled": (
        lambda: ([plain(0.1, 0.2), ["one", "two\nlines"]], {}),
        "2 garment pictures side by side: one; two lines.",
    ),
    "plot_bottleneck": (
        lambda: ([plain(0.1, 0.2, 0.3), np.eye(3, 4) - 0.5, plain(0.4, 0.5, 0.6)], {}),
        "3 lines, each a garment, its code as 4 bars, and the garment decoded from it.",
    ),
    "plot_code_spread": (
        lambda: ([{"a": np.array([1.0, 0.0]), "b": np.ones(3)}], {}),
        "Bars of the standard deviation of each latent, a panel each: a, b.",
    ),
    "plot_pixels": (
        lambda: ([ramp()], {"size": 4}),
        "Left, a garment of 28 by 28 pixels with a square marked; right, the 4 by 4 pixels of that square, each with "
        "its grey level from 0 to 255.",
    ),
    "plot_pixel_values": (
        lambda: ([Split(np.random.default_rng(0).random((20, 28, 28, 1), "float32"), np.arange(20) % 10), NAMES], {}),
        "Left, bars: the share of all pixels that is exactly 0, and of fifteen ranges of values above it; right, ten "
        f"ridges, one a class ({', '.join(NAMES)}): the density of the pixel values above 0.",
    ),
    "plot_ink": (
        lambda: ([split(), NAMES], {}),
        f"Ten violins of the mean pixel of an image, one a class, the class mean as a dot: {', '.join(NAMES)}.",
    ),
    "plot_guessers": (
        lambda: ([np.arange(1500) / 9000, np.arange(1500) / 8000], {}),
        "Scatter of 1,500 guessers: accuracy on the images used to choose against accuracy on other images; the winner "
        "of the choice is ringed, and lines mark the accuracy of pure chance.",
    ),
    "plot_twins": (
        lambda: ([plain(0.1, 0.2), plain(0.3, 0.4), np.array([1, 0]), np.array([0.2, 0.1]), 0.15], {"n": 2}),
        "Two rows of 2 garments: test images and, beneath each, its nearest training image, closest pair first. "
        "Below, a histogram of the distance from each of 2 test images to its nearest training image, with the "
        "threshold as a line.",
    ),
    "plot_pixel_cost": (
        lambda: ([[0, 0.5, 1]], {}),
        "Cost in nats of predicting a pixel, against the prediction, a curve for each true value (0, 0.5, 1), with the "
        "lowest point of each curve and the line through all lowest points.",
    ),
    "plot_number_line": (
        lambda: ([{"a": 1.0, "b": 2.0, "c": 4.0}, "a", "b"], {}),
        "Number line of binary cross-entropy in nats per image with marks for a, b, c; the stretch from a to b is "
        "shaded.",
    ),
    "plot_components": (
        lambda: ([np.zeros(784), np.eye(3, 784)], {}),
        "The mean image in grey, then 3 components of PCA in two colours, one for each sign.",
    ),
    "plot_two_descents": (
        lambda: ([{"a": [3.0, 2.0], "b": [3e7, -2e7]}], {}),
        "Loss against training step, a panel each for: a, b. A dotted line marks 0.",
    ),
    "plot_memory": (
        lambda: ([FakePCA(), plain(0.1, 0.2), (2, 4)], {}),
        "Left, a part of a garment with its grey levels as numbers. Right, 2 garments as 4 pictures each: 0 numbers "
        "(the mean), 2 numbers (PCA), 4 numbers (PCA), 784 numbers (the image).",
    ),
    "plot_responses": (
        lambda: ([plain(0.1)[0], {"a": np.eye(9), "b": -np.eye(9)}], {}),
        "A garment, and its maps of answers to: a, b.",
    ),
    "plot_counts": (
        lambda: ([{"a": np.eye(3), "b": np.ones((3, 3))}], {}),
        "Squares of whole numbers: a, b.",
    ),
    "plot_feature_maps": (lambda: ([Convolutions(), ramp(), 2], {}), "2 feature maps of each: conv_1, conv_2."),
    "plot_uncertainty": (
        lambda: ([plain(0.1, 0.2), plain(0.3, 0.4), plain(0.01, 0.02)], {}),
        "2 garments, below each the mean of decoded draws and a map of their spread by pixel.",
    ),
    "plot_rate_distortion": (lambda: ([PLANE], {"floor": 150.0}), "Scatter of reconstruction against KL for b, a."),
    "plot_rate_distortion no rate": (
        lambda: ([PLANE.assign(kl=[100.0, np.nan, 0.0])], {}),
        "Scatter of reconstruction against KL for b, a.",
    ),
    "plot_scores": (
        lambda: ([SCORES, "net", "score", "way", ("floor", 0.5)], {"log": True}),
        "Dots for y, x; a colour each for q, p.",
    ),
    "plot_trials": (
        lambda: ([TRIALS, "net", "score"], {}),
        "A dot for each training, a row for each setting: late, apt, mid.",
    ),
    "plot_differences": (
        lambda: ([DIFFERENCES], {}),
        "A point with its 95 % interval in each row, and a line at 0: up, none.",
    ),
    "plot_sweeps": (
        lambda: ([{"A": SWEEP, "B": SWEEP}, "score"], {}),
        "A dot for each training, a row for each sweep: A, B.",
    ),
}


def same(one, other):
    """Whether two inputs hold the same."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, pd.DataFrame):
        return one.equals(other) and list(one) == list(other)
    if isinstance(one, Split):
        return same([one.images, one.labels], [other.images, other.labels])
    if isinstance(one, SimpleNamespace):
        return same(vars(one), vars(other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other or type(one).__name__ in ("Fake", "FakePCA", "Convolutions")


def takers(*arguments):
    """Examples of functions that take one of the arguments, each with that argument."""
    takes = {name: inspect.signature(getattr(plotting, name.split()[0])).parameters for name in EXAMPLES}
    return [(name, argument) for name in EXAMPLES for argument in arguments if argument in takes[name]]


def test_every_public_function_has_a_test_here_of_what_it_draws():
    functions = inspect.getmembers(plotting, inspect.isfunction)
    public = {name for name, f in functions if f.__module__ == plotting.__name__ and not name.startswith("_")}
    assert {name.split()[0] for name in EXAMPLES} == public - {"show", "png", "tile", "in_own_style"}
    source = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in public - {"in_own_style"} if f"plotting.{name}(" not in source} == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_picture_is_drawn_with_its_alt_text_and_leaves_what_it_is_given_alone(name):
    make, alt = EXAMPLES[name]
    arguments, options = make()
    before = copy.deepcopy((arguments, options))
    figure = getattr(plotting, name.split()[0])(*arguments, **options)
    assert isinstance(figure, Figure)
    assert figure.alt == alt
    assert same((arguments, options), before)
    figure.savefig(stream := io.BytesIO(), format="png", dpi=30)  # only drawing finds some errors
    assert plt.imread(io.BytesIO(stream.getvalue())).std() > 0, "the picture is blank"


@pytest.mark.parametrize(("name", "argument"), takers("title", "xlabel", "ylabel"))
def test_texts_given_stand_in_the_picture_once(name, argument):
    arguments, options = EXAMPLES[name][0]()
    figure = getattr(plotting, name.split()[0])(*arguments, **options, **{argument: OURS})
    holders = [text for text in texts(figure) if OURS in text]
    assert len(holders) == 1
    axes = [axes for axes in figure.axes if OURS in getattr(axes, f"get_{argument}")()]
    assert axes or (argument == "title" and figure.get_suptitle() == OURS)


@pytest.mark.parametrize(("name", "argument"), takers("alt"))
def test_given_alt_text_replaces_the_made_one(name, argument):
    arguments, options = EXAMPLES[name][0]()
    figure = getattr(plotting, name.split()[0])(*arguments, **options, **{argument: "Mine."})
    assert figure.alt == "Mine."


def test_colours_are_for_the_colour_blind():
    assert plotting.COLOURS == BLIND


# In the notebook.


@pytest.fixture(autouse=True)
def images_may_hold_any_number(monkeypatch, request):
    """Images of these tests are told apart by large values, which `plotting` refuses otherwise."""
    if "undivided" not in request.node.name:
        monkeypatch.setattr(plotting, "check_scale", np.asarray)


@pytest.mark.parametrize("level", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "draw",
    [
        plotting.plot_sheet,
        lambda images: plotting.plot_rows({"levels": images}),
        lambda images: plotting.plot_labelled(images, ["a"] * len(images)),
        lambda images: plotting.plot_uncertainty(images, images, images),
    ],
)
def test_undivided_grey_levels_are_refused_in_words(draw, level):
    images = np.full((3, 28, 28, 1), 255, level)
    with pytest.raises(ValueError, match="images run from 255 to 255; expected .* Divide grey levels by 255"):
        draw(images)


@pytest.mark.parametrize("style", ["dark_background", "ggplot"])
def test_readers_style_changes_no_picture(style):
    images = np.random.default_rng(1).random((4, 28, 28, 1))
    pictures = {
        "sheet": lambda: plotting.plot_sheet(images),
        "truth": lambda: plotting.plot_estimates({"a": [1.0, 2.0, 3.0]}, 2.0),
        "history": lambda: plotting.plot_history(HISTORY),
    }
    usual = {name: plotting.png(draw()) for name, draw in pictures.items()}
    with plt.style.context([style, {"image.origin": "lower", "savefig.transparent": True, "figure.dpi": 30}]):
        for name, draw in pictures.items():
            assert plotting.png(draw()) == usual[name], name
        assert plt.rcParams["image.origin"] == "lower", "and the reader's settings stand again"


def test_outside_a_notebook_a_figure_is_named_and_its_bytes_are_not_printed(capsys):
    figure = plotting.plot_history(HISTORY)
    plotting.show(figure)
    assert capsys.readouterr().out == f"<Figure: {figure.alt}>\n"


@pytest.fixture
def displayed(monkeypatch):
    """What `show` hands to the notebook."""
    monkeypatch.setattr(course, "in_notebook", lambda: True)
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda *bundle, **options: calls.append((*bundle, options)))
    return calls


def alt_of(html):
    """Alt text and size of the only image in a piece of HTML, as a browser reads them."""
    (image,) = BeautifulSoup(html, "html.parser").find_all("img")
    return image["alt"], image["src"], (image["width"], image["height"])


def test_show_gives_the_picture_and_its_alt_text_to_the_notebook(displayed):
    figure = plotting.plot_history(HISTORY)
    plotting.show(figure)
    plotting.show(figure, alt='Curves of "a" < b & c.')
    assert len(displayed) == 4
    for picture, words, text in zip(
        displayed[::2], displayed[1::2], (figure.alt, 'Curves of "a" < b & c.'), strict=True
    ):
        bundle, options = picture
        assert bundle["image/png"].startswith(b"\x89PNG")
        assert bundle["text/plain"] == f"<Figure: {text}>"
        assert "text/html" not in bundle, "it would be shown in the picture's place"
        assert options == {"metadata": {"image/png": {"alt": text}}, "raw": True}
        bundle, options = words
        assert list(bundle) == ["text/html"] and options == {"raw": True}
        assert alt_of(bundle["text/html"]) == (text, plotting.CLEAR_PIXEL, ("1", "1"))
    assert figure.get_supxlabel() == ""


def test_pixel_with_the_alt_text_cannot_be_seen():
    data = base64.b64decode(plotting.CLEAR_PIXEL.partition(";base64,")[2])
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    assert image.size == (1, 1) and image.getpixel((0, 0))[3] == 0


def test_shown_picture_names_what_stands_in(displayed, monkeypatch):
    figure = plotting.plot_history(HISTORY)
    plotting.show(figure)
    monkeypatch.setattr(course, "_stand_in", "drawings")
    plotting.show(figure)
    (real, _), _, (drawn, options), (words, _) = displayed
    assert drawn["text/plain"] == f"<Figure: {figure.alt} (drawings)>"
    assert options["metadata"]["image/png"]["alt"] == f"{figure.alt} (drawings)"
    assert alt_of(words["text/html"])[0] == f"{figure.alt} (drawings)"
    assert figure.get_supxlabel() == "drawings"
    assert real["image/png"] != drawn["image/png"]


def test_table_names_what_stands_in(monkeypatch):
    monkeypatch.setattr(course, "_stand_in", "drawings")
    assert metrics.scoreboard({}, plain(0.1, 0.2)).index.name == "drawings"


def test_png_has_a_palette_and_keeps_colours_and_size():
    figure = Figure(figsize=(3, 2), dpi=50)
    for place, colour in enumerate(("red", "lime", "blue")):
        figure.add_artist(Rectangle((place / 3, 0), 1 / 3, 1, color=colour))
    image = Image.open(io.BytesIO(plotting.png(figure)))
    assert (image.mode, image.size) == ("P", (300, 200))
    found = [image.convert("RGB").getpixel((x, 100)) for x in (50, 150, 250)]
    np.testing.assert_allclose(found, [(255, 0, 0), (0, 255, 0), (0, 0, 255)], atol=2)


def test_png_keeps_many_greys_apart():
    figure = Figure(figsize=(2.56, 1))
    figure.figimage(np.tile(np.arange(256), (100, 1)), cmap="gray", vmin=0, vmax=255)
    image = Image.open(io.BytesIO(plotting.png(figure))).convert("L")
    assert len(set(image.tobytes())) > 100


# The way through the course.


def stations(axes):
    """Boxes of the map as {number: (colour of the face, style of the edge, colour of the text)}, and their texts."""
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    found, labels = {}, {}
    for box in boxes:
        middle = box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2
        (text,) = (
            text for text in axes.texts if np.allclose(text.get_position(), middle) and text.get_ha() == "center"
        )
        number = int(text.get_text()[:2])
        found[number] = (box.get_facecolor(), box.get_linestyle(), text.get_color())
        labels[number] = text.get_text()[2:].replace("-\n", "").replace("\n", " ").strip()
    return found, labels


def test_map_of_the_course_marks_one_notebook_and_outlines_the_planned_ones():
    (axes,) = plotting.plot_course_map(4).axes
    found, labels = stations(axes)
    assert sorted(found) == list(range(1, 11))
    for number, (face, edge, ink) in found.items():
        assert same_color(face, BLIND[0]) == (number == 4)
        assert same_color(face, "white") == (edge == "--") == (number in (8, 9, 10))
        assert same_color(ink, "white") == (number == 4)
    assert labels[2] == "dense autoencoder" and labels[10] == "disentanglement" and labels[8] == "conditional VAE"
    assert [number for number in range(1, 11) if number not in plotting.PLANNED] == list(range(1, 8))


def test_arrows_of_the_map_lead_from_what_is_needed_to_what_needs_it():
    (axes,) = plotting.plot_course_map(1).axes
    at = {}
    for text in axes.texts:
        if text.get_ha() == "center" and text.get_text()[:2].isdigit():
            at[text.get_position()] = int(text.get_text()[:2])
    arrows = [text for text in axes.texts if isinstance(getattr(text, "arrow_patch", None), FancyArrowPatch)]
    found = {(at[arrow.get_position()], at[arrow.xy]) for arrow in arrows}
    assert found == {(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (3, 7), (3, 8), (6, 9), (7, 10)}


def test_map_knows_its_notebooks():
    for number in range(1, 8):
        assert list((course.ROOT / "notebooks").glob(f"{number:02d}_*.ipynb")), number
    with pytest.raises(ValueError, match="numbers 1 to 10; 11 is none"):
        plotting.plot_course_map(11)


# Rows and sheets.


@pytest.mark.parametrize("channel", [(), (1,)])
def test_tiles_lie_row_by_row_and_missing_ones_are_zero(channel):
    images = np.arange(1, 6, dtype="float32").repeat(784).reshape(5, 28, 28, *channel)
    images[1, 0, 27] = 99  # the top right corner of the second image
    given = images.copy()
    sheet = plotting.tile(images, columns=3)
    assert (sheet.shape, sheet.dtype) == ((56, 84), np.float32)
    assert sheet[0, 55] == 99
    sheet[0, 55] = 2
    corners = sheet.reshape(2, 28, 3, 28)
    assert (corners == corners[:, :1, :, :1]).all()
    np.testing.assert_array_equal(corners[:, 0, :, 0], [[1, 2, 3], [4, 5, 0]])
    np.testing.assert_array_equal(images, given)


def test_full_sheet_has_no_row_too_many():
    assert plotting.tile(plain(1, 2, 3, 4), columns=2).shape == (56, 56)


def test_garments_are_dark_on_white_with_one_scale_for_all():
    for axes in plotting.plot_labelled(plain(0.2, 0.4), ["a", "b"]).axes:
        (image,) = axes.images
        assert (image.get_cmap().name, image.get_clim(), image.get_interpolation()) == ("gray_r", (0, 1), "nearest")
        assert list(axes.get_xticks()) == list(axes.get_yticks()) == []
        assert not any(spine.get_visible() for spine in axes.spines.values())


def test_rows_stand_in_their_order_beside_their_labels_filled_up_with_white():
    figure = plotting.plot_rows({"one": plain(1, 2), "two\nlines": plain(3, 4, 5)}, scale=2)
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "two\nlines"]
    np.testing.assert_array_equal([levels(axes)[0] for axes in figure.axes], [[1, 2, 0], [3, 4, 5]])
    tops = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert tops == [0, 1]
    width, height = figure.get_size_inches()
    assert 6 < width < 8 and 4 <= height < 5, "three pictures of two inches, and room for labels"


def test_sheet_is_filled_row_by_row_and_has_room_for_its_pictures():
    figure = plotting.plot_sheet(plain(1, 2, 3, 4, 5), columns=2, scale=1.5)
    np.testing.assert_array_equal(levels(figure.axes[0]), [[1, 2], [3, 4], [5, 0]])
    assert figure.get_size_inches().tolist() == [3, 4.5]
    assert plotting.plot_sheet(plain(1, 2, 3, 4, 5), columns=2, scale=1.5, title="A").get_size_inches()[1] > 4.6
    assert plotting.plot_sheet(plain(1, 2), columns=2, title="Two").alt == "Sheet of 2 garment pictures in 1 rows. Two"


def check_class_rows(drawn, examples):
    """Ten rows: the mean of all four images of the class, then different examples out of them."""
    for k, (mean, *chosen) in enumerate(drawn):
        assert mean == pytest.approx(k / 10 + 0.003, abs=1e-5)
        assert len(set(chosen)) == examples
        possible = [k / 10 + step for step in (0, 0.002, 0.004, 0.006)]
        assert all(min(abs(level - other) for other in possible) < 1e-6 for level in chosen)


def test_class_rows_show_the_mean_and_then_different_examples_of_the_class():
    figure = plotting.plot_classes(split(), NAMES, examples=3)
    assert [axes.get_ylabel() for axes in figure.axes] == list(NAMES)
    assert figure.get_suptitle() == "Mean image, then examples"
    check_class_rows([levels(axes)[0] for axes in figure.axes], examples=3)


def test_class_sheets_show_each_set_beside_the_names_of_the_classes():
    lighter = Split(split().images, 9 - split().labels)
    figure = plotting.plot_class_sheets({"A": split(), "B": lighter}, NAMES, examples=3)
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("A", "B")
    check_class_rows(levels(first), examples=3)
    check_class_rows(levels(second)[::-1], examples=3)
    assert list(tick_labels(first.yaxis).items()) == [(14 + 28 * k, name) for k, name in enumerate(NAMES)]


def test_class_sheet_of_one_set_stands_alone():
    (only,) = plotting.plot_class_sheets({"A": split()}, NAMES, examples=3).axes
    assert only.get_title() == "A"
    check_class_rows(levels(only), examples=3)


def test_letters_are_not_small():
    for name, (make, _) in EXAMPLES.items():
        arguments, options = make()
        figure = getattr(plotting, name.split()[0])(*arguments, **options)
        small = [text for text in figure.findobj(Text) if text.get_text() and text.get_fontsize() < 10]
        assert small == [], name


def test_draws_of_examples_depend_on_the_seed_alone():
    def drawn(seed):
        rows = plotting.plot_classes(split(), NAMES, examples=2, seed=seed).axes
        sheets = plotting.plot_class_sheets({"A": split(), "B": split()}, NAMES, examples=2, seed=seed).axes
        return np.array([levels(axes)[0] for axes in rows]), *map(levels, sheets)

    one, again, other = drawn(1), drawn(1), drawn(2)
    np.testing.assert_array_equal(one, again)
    assert all((a != b).any() for a, b in zip(one, other, strict=True))
    np.testing.assert_array_equal(one[1], one[2], "equal sets give equal sheets")


# Models.


def test_reconstructions_stand_under_their_inputs():
    figure = plotting.plot_reconstruction({"A": Fake(), "B": Fake(10)}, plain(0.25, 0.5))
    assert [axes.get_ylabel() for axes in figure.axes] == ["input", "A", "B"]
    np.testing.assert_allclose([levels(axes)[0] for axes in figure.axes], [[0.25, 0.5], [0.75, 0.5], [10.75, 10.5]])
    one = plotting.plot_reconstruction(Fake(), plain(0.25))
    assert [axes.get_ylabel() for axes in one.axes] == ["input", "reconstruction"]


def test_models_are_given_the_same_codes():
    figure = plotting.plot_generation({"one": Fake(), "another": Fake(0.5)}, n=3, seed=4)
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "another"]
    np.testing.assert_allclose(
        [levels(axes)[0] for axes in figure.axes], [[4000, 4001, 4002], [4000.5, 4001.5, 4002.5]]
    )
    (one,) = plotting.plot_generation(Fake(), z=np.array([(1, 2), (3, 4)])).axes
    assert one.get_ylabel() == "prior samples"
    np.testing.assert_allclose(levels(one), [[201, 403]])


def test_interpolation_goes_from_the_first_garment_to_the_second():
    first, second = carriers([(3, 0), (0, 3)])
    straight, arc, pixels = plotting.plot_interpolation(Fake(), first, second, steps=5).axes
    assert [axes.get_ylabel() for axes in (straight, arc, pixels)] == ["straight", "spherical", "mixed pixels"]
    np.testing.assert_allclose(levels(straight), [[3, 77.25, 151.5, 225.75, 300]])
    halfway = 3 / np.sqrt(2)  # on the arc: as long as both ends
    np.testing.assert_allclose(levels(arc)[0, [0, 2, 4]], [3, 101 * halfway, 300], rtol=1e-6)
    np.testing.assert_allclose(picture(pixels)[0, ::28], [3, 2.25, 1.5, 0.75, 0])
    np.testing.assert_allclose(picture(pixels)[0, 1::28], [0, 0.75, 1.5, 2.25, 3])
    only = plotting.plot_interpolation(Fake(), first, second, kinds=("spherical",))
    assert [axes.get_ylabel() for axes in only.axes] == ["spherical", "mixed pixels"]


def test_traversal_moves_one_latent_and_keeps_the_others():
    ranges = np.array([(-1, 1), (-2, 4)])
    figure = plotting.plot_traversal(Fake(), [5, 6], order=[1, 0], ranges=ranges, steps=3, kl=[1.0, 0.256])
    assert [axes.get_ylabel() for axes in figure.axes] == ["z[1]\n0.26 nats", "z[0]\n1.00 nats"]
    np.testing.assert_allclose([levels(axes)[0] for axes in figure.axes], [[-195, 105, 405], [599, 600, 601]])
    bare = plotting.plot_traversal(Fake(), [5, 6], order=[0], ranges=ranges)
    assert [axes.get_ylabel() for axes in bare.axes] == ["z[0]"] and levels(bare.axes[0]).shape == (1, 9)


def test_map_of_a_vae_shows_codes_by_class_and_decodes_the_same_square():
    codes = np.array([(0.5, 1), (1, -1), (-0.5, 2), (1.5, 0)], "float32")
    figure = plotting.plot_latent_map(Fake(), Split(carriers(codes), np.array([0, 9, 0, 3])), NAMES, size=2, reach=4)
    left, right = figure.axes
    found = dots_by_class(left)
    assert list(found) == [0, 3, 9]
    np.testing.assert_allclose(found[0], codes[[2, 0]])
    np.testing.assert_allclose(found[9], codes[[1]])
    np.testing.assert_allclose(found[3], codes[[3]])
    assert left.get_xlim() == left.get_ylim() == (-4, 4)
    assert right.images[0].get_extent() == [-4, 4, -4, 4] and right.images[0].get_clim() == (0, 1)
    np.testing.assert_allclose(levels(right), [[198, 202], [-202, -198]], err_msg="centres of four fields: -2 and 2")
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("z[0]", "z[1]")
    assert (left.get_title(), right.get_title()) == ("encoder: garments in z", "decoder: points of z")
    assert {text for text, _, _ in words(left)} == {"class 0", "class 3", "class 9", "N(0, I): 1 and 2 s.d."}
    assert figure.legends == []


def circles(axes):
    return sorted(patch.get_radius() for patch in axes.patches if isinstance(patch, Circle) and patch.center == (0, 0))


def test_maps_of_a_vae_have_the_circles_of_its_prior():
    images = Split(carriers([(0.5, 1), (1, -1)]), np.array([0, 1]))
    assert circles(plotting.plot_latent_map(Fake(), images, NAMES).axes[0]) == [1, 2]
    assert circles(plotting.plot_latent_map(Fake(), images, NAMES, uniform=True).axes[0]) == []
    assert circles(plotting.plot_latent_map(Fake(is_variational=False), images, NAMES).axes[0]) == []


def test_names_of_classes_stand_at_their_medians_in_their_colours():
    codes = np.array([(-2, 2), (-2, 2), (-2.5, 2.5), (2, -2), (2, -2.2), (2.5, -2.4)], "float32")
    left, _ = plotting.plot_latent_map(Fake(), Split(carriers(codes), np.array([0, 0, 0, 7, 7, 7])), NAMES).axes
    found = {text.get_text(): text for text in left.texts if text.get_text().startswith("class")}
    np.testing.assert_allclose(found["class 0"].get_position(), (-2, 2), rtol=1e-6)
    np.testing.assert_allclose(found["class 7"].get_position(), (2, -2.2), rtol=1e-6)
    for label in (0, 7):
        assert same_color(found[f"class {label}"].get_color(), plotting.CLASS_COLOURS[label])
        (outline,) = found[f"class {label}"].get_path_effects()
        assert outline._gc["foreground"] == "white"


def test_names_of_classes_lie_neither_on_one_another_nor_outside():
    codes = np.repeat([(0.0, 0.0), (0.1, 0.05), (0.2, 0.0), (2.95, 0.0)], 3, axis=0).astype("float32")
    figure = plotting.plot_latent_map(Fake(), Split(carriers(codes), np.repeat([0, 1, 2, 3], 3)), NAMES)
    figure.draw_without_rendering()
    left = figure.axes[0]
    boxes = [text.get_window_extent() for text in left.texts if text.get_text().startswith("class")]
    assert len(boxes) == 4
    frame = left.get_window_extent()
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_no_class_hides_another_and_dots_are_three_pixels_wide():
    codes = np.zeros((200, 2), "float32")
    left, _ = plotting.plot_latent_map(Fake(), Split(carriers(codes), np.repeat([0, 1], 100)), NAMES).axes
    _, _, group = dots(left)[0]
    first = np.isclose(group.get_facecolor()[:, :3], plotting.CLASS_COLOURS[0]).all(axis=1)
    assert 30 < first[:100].sum() < 70, "drawn in mixed order, not class by class"
    assert (np.sqrt(group.get_sizes()) * plotting.DPI / 72 >= 3).all() and (group.get_facecolor()[:, 3] < 1).all()


def linear(colour):
    c = np.array(colour)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(light):
    """CIE L*a*b* of linear RGB."""
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ np.clip(light, 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-9))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# What eyes without green, and without red cones make of a colour: Machado, Oliveira and Fernandes (2009).
EYES = {
    "usual": (np.eye(3), 40),
    "no green": ([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]], 20),
    "no red": ([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]], 20),
}


@pytest.mark.parametrize("eyes", EYES)
def test_colours_of_classes_are_told_apart(eyes):
    seen, least = EYES[eyes]
    places = [lab(seen @ linear(colour)) for colour in plotting.CLASS_COLOURS]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]) > least


def test_colours_of_classes_stand_out_from_white():
    assert len(plotting.CLASS_COLOURS) == 10
    for colour in plotting.CLASS_COLOURS:
        assert 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05) > 2.95


def test_map_of_an_autoencoder_takes_the_range_of_its_codes_without_the_outermost():
    codes = np.column_stack([np.arange(201), 10 * np.arange(201) + 1000])  # the outermost 0.5 % are one code
    figure = plotting.plot_latent_map(
        Fake(is_variational=False), Split(carriers(codes), np.arange(201) % 10), NAMES, size=2
    )
    left, right = figure.axes
    np.testing.assert_allclose([left.get_xlim(), left.get_ylim()], [(1, 199), (1010, 2990)])
    np.testing.assert_allclose(right.images[0].get_extent(), [1, 199, 1010, 2990])
    x, y = np.array([50.5, 149.5]), np.array([[2495], [1505]])
    np.testing.assert_allclose(levels(right), x + 100 * y, rtol=1e-6)


def test_uniform_map_shows_quantiles_of_the_prior():
    codes = [(0, 1.959964), (-1.959964, 0)]
    figure = plotting.plot_latent_map(Fake(), Split(carriers(codes), np.array([0, 1])), NAMES, uniform=True, size=2)
    left, right = figure.axes
    found = dots_by_class(left)
    np.testing.assert_allclose(found[0], [(0.5, 0.975)], atol=1e-6)
    np.testing.assert_allclose(found[1], [(0.025, 0.5)], atol=1e-6)
    assert left.get_xlim() == left.get_ylim() == (0, 1) and right.images[0].get_extent() == [0, 1, 0, 1]
    quarter = 0.6744898  # a quarter of a standard normal distribution lies above
    np.testing.assert_allclose(levels(right), quarter * np.array([[99, 101], [-101, -99]]), rtol=1e-6)
    assert (left.get_xlabel(), right.get_ylabel()) == ("Φ(z)[0]", "Φ(z)[1]")
    assert left.get_title() == "encoder: garments in Φ(z)"


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_map_refuses_a_code_that_is_not_two_numbers(latent_dim):
    with pytest.raises(ValueError, match=f"needs latent_dim 2; this model has {latent_dim}"):
        plotting.plot_latent_map(Fake(latent_dim=latent_dim), split(), NAMES)


# Curves.


def test_activations_show_output_and_slope_of_each_function_on_one_scale():
    figure = plotting.plot_activations({"ramp": lambda h: np.maximum(h, 0), "square": np.square}, reach=2)
    assert [axes.get_title() for axes in figure.axes] == ["ramp", "square"]
    (ramp, slope), (square, twice) = (
        [points for label, points in lines(axes) if label in ("output", "slope")] for axes in figure.axes
    )
    inputs = np.linspace(-2, 2, 401)
    np.testing.assert_allclose(ramp, np.column_stack([inputs, inputs * (inputs > 0)]), atol=1e-12)
    inside = np.abs(inputs) > 0.011
    np.testing.assert_allclose(slope[inside, 1], (inputs > 0)[inside], atol=1e-9)
    np.testing.assert_allclose(square[:, 1], inputs**2, atol=1e-12)
    np.testing.assert_allclose(twice[1:-1, 1], 2 * inputs[1:-1], atol=1e-9)
    first, second = figure.axes
    assert list(legend(first)) == ["output", "slope"] and second.get_legend() is None
    assert first.get_ylim() == second.get_ylim() and first.get_xlabel() == "input"
    assert figure.get_suptitle() == "Activations, and their slopes"


def test_history_draws_training_and_validation_of_each_part_epoch_by_epoch():
    figure = plotting.plot_history(HISTORY)
    parts = {"negative ELBO": [9, 7, 6], "reconstruction": [8, 5, 3], "KL": [1, 2, 3]}
    assert [axes.get_title() for axes in figure.axes] == list(parts)
    for axes, values in zip(figure.axes, parts.values(), strict=True):
        (one, training), (two, validation) = lines(axes)
        assert (one, two) == ("training", "validation")
        np.testing.assert_allclose(training, np.column_stack([[1, 2, 3], values]))
        np.testing.assert_allclose(validation, np.column_stack([[1, 2, 3], 10 * np.array(values)]))
        assert [same_color(line.get_color(), colour) for line, colour in zip(axes.lines, BLIND, strict=False)] == [1, 1]
        assert axes.get_legend() is None
        assert list(legend(figure)) == ["training", "validation"]
        assert [same_color(mark, colour) for mark, colour in zip(legend(figure).values(), BLIND, strict=False)] == [
            1,
            1,
        ]
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "nats per image", "linear")
        assert all(tick == round(tick) for tick in axes.get_xticks())
    assert figure.get_suptitle() == "Training"


def test_history_of_an_autoencoder_is_its_error_in_plain_numbers_on_a_logarithmic_axis():
    (axes,) = plotting.plot_history(ERRORS, log=True).axes
    (_, training), (_, validation) = lines(axes)
    np.testing.assert_allclose(training[:, 1], [0.1, 0.05, 0.01])
    np.testing.assert_allclose(validation[:, 1], [0.2, 0.06, 0.02])
    assert (axes.get_title(), axes.get_ylabel(), axes.get_yscale()) == ("MSE per pixel", "", "log")
    assert list(tick_labels(axes.yaxis).values()) == ["0.01", "0.02", "0.05", "0.1", "0.2"]


def test_lines_are_means_and_their_bands_reach_from_the_lowest_to_the_highest():
    (axes,) = plotting.plot_lines(REPEATED, "k", "mse", title="A title").axes
    ((_, points),) = lines(axes)
    np.testing.assert_allclose(points, [(2, 0.5), (8, 0.3)])
    (filled,) = (group for group in axes.collections if isinstance(group, PolyCollection))
    assert band(filled) == {2: (pytest.approx(0.3), pytest.approx(0.8)), 8: (pytest.approx(0.1), pytest.approx(0.5))}
    assert (axes.get_ylabel(), axes.get_title()) == ("mse", "A title")
    assert axes.get_xlabel() == "k\n(band: from the lowest to the highest of the repeats)"
    (single,) = plotting.plot_lines(REPEATED[:2], "k", "mse").axes
    assert single.get_xlabel() == "k", "no band without repeats"
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert axes.get_legend() is None


def test_lines_over_whole_numbers_have_ticks_at_whole_numbers():
    few = pd.DataFrame({"epoch": [1, 2, 3, 4], "nats": [4.0, 3.0, 2.0, 1.0]})
    for frame, whole in ((few, True), (few.astype({"epoch": float}), False)):
        (axes,) = plotting.plot_lines(frame, "epoch", "nats").axes
        assert all(tick == round(tick) for tick in axes.get_xticks()) == whole


def test_lines_of_groups_have_a_colour_and_their_name_beside_them():
    figure = plotting.plot_lines(REPEATED, "k", "mse", "net", xlabel="numbers", ylabel="error", log="xy")
    (axes,) = figure.axes
    (_, a), (_, b) = lines(axes)
    np.testing.assert_allclose([a, b], [[(2, 0.35), (8, 0.2)], [(2, 0.8), (8, 0.5)]])
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    assert [same_color(line.get_color(), colour) for line, colour in zip(drawn, BLIND, strict=False)] == [True, True]
    assert axes.get_legend() is None
    names = {text.get_text(): text for text in axes.texts}
    assert list(names) == ["a", "b"]
    for name, colour, height in zip("ab", BLIND, (0.2, 0.5), strict=False):
        share = axes.transAxes.inverted().transform(axes.transData.transform((8, height)))
        np.testing.assert_allclose(names[name].xy, (1.015, share[1]), atol=1e-6)
        assert same_color(names[name].get_color(), colour)
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "numbers\n(band: from the lowest to the highest of the repeats)",
        "error",
    )
    assert figure.alt == "Line chart of error against numbers, a line each net."


def test_names_of_lines_that_end_together_are_moved_apart():
    table = pd.DataFrame({"k": [1, 2] * 3, "mse": [0, 1.0, 0, 1.001, 0, 0.999], "net": list("aabbcc")})
    (axes,) = plotting.plot_lines(table, "k", "mse", "net").axes
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    assert heights["b"] - heights["a"] > 0.06 and heights["a"] - heights["c"] > 0.06


@pytest.mark.parametrize("case", ["many", "short"])
def test_lines_that_cannot_be_named_at_the_end_have_a_legend_beside_the_axes(case):
    many = pd.DataFrame([{"k": k, "mse": k * net, "net": f"net {net}"} for net in range(12) for k in (1, 2)])
    short = pd.DataFrame({"k": [1, 2, 1, 3], "mse": [1, 2, 3, 4.0], "net": list("aabb")})
    figure = plotting.plot_lines(many if case == "many" else short, "k", "mse", "net")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1
    assert list(legend(axes)) == ([f"net {net}" for net in range(12)] if case == "many" else ["a", "b"])
    assert len(lines(axes)) == (12 if case == "many" else 2) and axes.texts[:] == []


@pytest.mark.parametrize("log", ["x", "y", "xy"])
def test_lines_have_the_logarithmic_axes_asked_for(log):
    (axes,) = plotting.plot_lines(REPEATED, "k", "mse", log=log).axes
    assert axes.get_xscale() == ("log" if "x" in log else "linear")
    assert axes.get_yscale() == ("log" if "y" in log else "linear")
    if "x" in log:
        assert axes.xaxis.get_transform().base == 2
        assert tick_labels(axes.xaxis) == {2: "2", 8: "8"}
    if "y" in log:
        assert tick_labels(axes.yaxis)[0.5] == "0.5"


def test_estimates_are_counted_on_one_scale_and_compared_with_the_truth():
    groups = {"wide": np.arange(2001.0), "narrow": np.full(50, 500.3)}
    figure = plotting.plot_estimates(groups, 700.0, xlabel="nats")
    wide, narrow = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["wide", "narrow"]
    for axes, colour in zip(figure.axes, BLIND, strict=False):
        ((_, truth),) = lines(axes)
        assert truth[:, 0].tolist() == [700, 700] and axes.lines[0].get_linestyle() == "--"
        assert same_color(axes.patches[0].get_facecolor(), colour)
    np.testing.assert_allclose(bars(wide)[:, :2], bars(narrow)[:, :2])
    assert wide.get_shared_x_axes().joined(wide, narrow)
    left, width, height = bars(wide).T
    assert len(left) == 69
    # The outermost thousandth of the 2051 numbers on either side, about two, is left out.
    assert 1 <= left[0] <= 3 and 1997 <= left[-1] + width[-1] <= 1999 and 1994 <= height.sum() <= 1998
    np.testing.assert_allclose(height, width[0], atol=1.01, err_msg="one estimate at every whole number")
    (place,) = np.flatnonzero(bars(narrow)[:, 2])
    assert bars(narrow)[place, 2] == 50 and left[place] <= 500.3 <= left[place] + width[place]
    assert (wide.get_xlabel(), narrow.get_xlabel()) == ("", "nats · dashed: true value")


@pytest.mark.parametrize("truth", [-50.0, 150.0])
def test_truth_outside_the_estimates_is_on_the_picture(truth):
    (axes,) = plotting.plot_estimates({"a": np.arange(101.0)}, truth).axes
    left, width, _ = bars(axes).T
    edges = [left[0], left[-1] + width[-1]]
    assert truth == pytest.approx(edges[0] if truth < 0 else edges[1])
    assert axes.get_xlabel() == "dashed: true value"


def test_no_group_is_left_out_for_want_of_a_colour():
    many = {f"{i}": [1.0, 2.0] for i in range(12)}
    assert [axes.get_title("left") for axes in plotting.plot_estimates(many, 1.0).axes] == list(many)
    panels = plotting.plot_kl_per_latent(many).axes
    assert [(axes.get_title(), len(axes.patches)) for axes in panels] == [(label, 2) for label in many]
    (axes,) = plotting.plot_pixel_cost(np.arange(12) / 11).axes
    assert len(lines(axes)) == 1 + 2 * 12


def test_bars_of_kl_stand_largest_first_with_their_latents_and_values():
    values = {"a": [1.0, 3.04, 0.26], "b": [0.0, 6.0]}
    figure = plotting.plot_kl_per_latent(values, threshold=0.5)
    a, b = figure.axes
    np.testing.assert_allclose(bars(a)[:, 2], [3.04, 1, 0.26])
    np.testing.assert_allclose(bars(b)[:, 2], [6, 0])
    assert list(tick_labels(a.xaxis).values()) == ["1", "0", "2"]
    assert list(tick_labels(b.xaxis).values()) == ["1", "0"]
    assert [text for text, _, _ in words(a)] == ["3.04", "1.00", "0.26"]
    assert (a.get_title(), b.get_title(), a.get_ylabel(), a.get_xlabel()) == ("a", "b", "nats per image", "latent")
    for axes, colour in zip(figure.axes, BLIND, strict=False):
        ((_, line),) = lines(axes)
        assert line[:, 1].tolist() == [0.5, 0.5]
        assert same_color(axes.patches[0].get_facecolor(), colour)
        assert axes.get_ylim()[0] == 0 and 6 < axes.get_ylim()[1] < 9
    assert a.get_ylim() == b.get_ylim(), "one scale for all models"
    assert lines(plotting.plot_kl_per_latent(values).axes[0]) == []


def test_threshold_above_all_bars_is_on_the_picture():
    (axes,) = plotting.plot_kl_per_latent({"a": [0.001, 0.002]}, threshold=0.01).axes
    assert axes.get_ylim()[0] < 0.01 < axes.get_ylim()[1]


def test_corners_of_the_code_square_are_the_four_codes_and_mixtures_lie_between():
    corners = carriers([(0, 0), (4, 0), (0, 2), (8, 6)])
    figure = plotting.plot_code_square(Fake(), corners, size=3, title="Ours")
    x = np.array([[0, 2, 4], [0, 3, 6], [0, 4, 8]])
    y = np.array([[0, 0, 0], [1, 2, 3], [2, 4, 6]])
    np.testing.assert_allclose(levels(figure.axes[0]), x + 100 * y)
    assert figure.axes[0].get_title() == "Ours"


def test_codes_are_drawn_by_class_under_draws_of_the_prior():
    generator = np.random.default_rng(5)
    codes = generator.uniform((0, 100), (50, 900), size=(40, 2)).astype("float32")
    garments = Split(carriers(codes), np.arange(40) % 10)
    figure = plotting.plot_codes_and_prior({"A": Fake(), "B": Fake(7)}, garments, NAMES, max_images=30, seed=8)
    draws = np.random.default_rng(8).standard_normal((3, 2))
    for axes, label, shift in zip(figure.axes, "AB", (0, 7), strict=True):
        _, (name, prior, group) = dots(axes)
        assert name == "draws of N(0, I); circles: 1 and 2 s.d."
        classes = dots_by_class(axes)
        assert list(classes) == list(range(10))
        for k, points in classes.items():
            expected = codes[:30][[k, k + 10, k + 20]] + shift
            np.testing.assert_allclose(points, expected[np.argsort(expected[:, 0])], rtol=1e-6)
        assert circles(axes) == [1, 2]
        np.testing.assert_allclose(prior, draws, rtol=1e-6)
        assert same_color(group.get_facecolor()[0], "black")
        assert axes.get_title() == label and (axes.get_xlabel(), axes.get_ylabel()) == ("z[0]", "z[1]")
        for limits, column in ((axes.get_xlim(), 0), (axes.get_ylim(), 1)):
            together = np.sort(np.concatenate([codes[:30, column] + shift, draws[:, column]]))
            assert together[0] <= limits[0] <= together[1] and together[-2] <= limits[1] <= together[-1]
    assert list(legend(figure)) == ["draws of N(0, I); circles: 1 and 2 s.d."]


def test_posteriors_are_contours_under_ellipses_that_hold_as_much():
    encoder = np.array([(9.0, 9), (3, -1)]), np.log([(9.0, 9), (0.04, 0.25)])
    best = np.zeros((2, 2)), np.zeros((2, 2))
    figure = plotting.plot_posteriors(posterior(2.0, 1.0), {"encoder": encoder, "best": best}, {1: "second"})
    (axes,) = figure.axes
    for path, (nearest, furthest) in zip(axes.collections[0].get_paths(), [(1.177, 2.448), (0, 1.177)], strict=True):
        radii = np.linalg.norm(path.vertices, axis=1)  # of N(0, I), 50 % lie within 1.177 and 95 % within 2.448
        assert nearest - 0.06 < radii[radii > 0].min() and radii.max() == pytest.approx(furthest, abs=0.06)
    ours, theirs = axes.patches
    assert ours.center.tolist() == [3, -1] and theirs.center.tolist() == [0, 0]
    np.testing.assert_allclose([ours.width, ours.height, theirs.width], [0.979, 2.448, 4.896], rtol=1e-3)
    assert [word for word in legend(figure)][1:] == ["encoder", "best"]
    for patch, name in ((ours, "encoder"), (theirs, "best")):
        assert same_color(patch.get_edgecolor(), legend(figure)[name])
    assert axes.get_title() == "second" and (axes.get_xlabel(), axes.get_ylabel()) == ("z[0]", "z[1]")
    assert axes.get_xlim()[0] < -2.4 and axes.get_xlim()[1] > 3.5
    assert axes.get_ylim()[0] < -2.4 and axes.get_ylim()[1] > 2.4
    assert np.diff(axes.get_xlim()) == pytest.approx(np.diff(axes.get_ylim()))


def test_wardrobe_runs_through_quantiles_of_the_prior_right_and_up():
    (axes,) = plotting.plot_wardrobe(Fake(), columns=3, rows=2).axes
    x, y = np.array([-0.9674216, 0, 0.9674216]), np.array([[0.6744898], [-0.6744898]])  # of 1/6, 1/2, 5/6; 3/4, 1/4
    np.testing.assert_allclose(levels(axes), x + 100 * y, rtol=1e-6)


def test_code_bars_stand_between_their_garment_and_its_decoded_picture():
    z = np.array([(1, -2), (3, 0.5), (-4, 2)])
    figure = plotting.plot_bottleneck(plain(1, 2, 3), z, plain(4, 5, 6))
    rows = np.array(figure.axes).reshape(-1, 3)
    assert len(rows) == 4, "two columns of two lines, down the left one first"
    for i, (garment, code, decoded) in enumerate(rows[:3]):
        assert (levels(garment), levels(decoded)) == (i + 1, i + 4)
        np.testing.assert_allclose(bars(code)[:, 2], z[i])
        np.testing.assert_allclose(bars(code)[:, 0] + 0.4, [0, 1])
        for bar, value in zip(code.patches, z[i], strict=True):
            assert same_color(bar.get_facecolor(), BLIND[0] if value > 0 else BLIND[1])
        assert code.get_ylim() == (-4, 4)
        assert lines(code)[0][1][:, 1].tolist() == [0, 0]
    heads = [[axes.get_title() for axes in row] for row in rows]
    assert heads == [["garment", "its code: 2 numbers", "decoded"], ["", "", ""]] * 2
    assert [axes.axison for axes in rows[3]] == [False] * 3


def test_spread_has_a_bar_a_unit_and_a_cross_for_units_without_any():
    spreads = {"a": np.array([0.5, 0, 2.0, 1e-7, 0.01]), "b": [3.0]}
    a, b = plotting.plot_code_spread(spreads).axes
    np.testing.assert_allclose(bars(a)[:, 2], [0.5, 0, 2, 1e-7, 0.01])
    np.testing.assert_allclose(bars(a)[:, 0] + bars(a)[:, 1] / 2, [0, 1, 2, 3, 4])
    assert words(a) == [("×", 1, 0), ("×", 3, 0)] and words(b) == []
    assert (a.get_title(), b.get_title(), a.get_ylabel()) == ("a", "b", "standard deviation")
    assert all(tick == round(tick) for tick in a.get_xticks())


# Garments and their pixels.


def test_labels_stand_above_their_pictures():
    figure = plotting.plot_labelled(plain(1, 2, 3), ["one", "two\nlines", "three"], title="All")
    assert [axes.get_title() for axes in figure.axes] == ["one", "two\nlines", "three"]
    assert [levels(axes).item() for axes in figure.axes] == [1, 2, 3]
    assert figure.get_suptitle() == "All"
    with pytest.raises(ValueError, match="shorter"):
        plotting.plot_labelled(plain(1, 2), ["one"])


def check_numbers(axes, top, left, size):
    """Each pixel of a part of `ramp` holds its grey level, in ink that can be read on it."""
    expected = {(x, y): (9 * (top + y) + left + x) % 250 for x in range(size) for y in range(size)}
    assert {(x, y): int(text) for text, x, y in words(axes)} == expected
    for text in axes.texts:
        assert text.get_color() == ("white" if int(text.get_text()) > 127 else "black")
    np.testing.assert_allclose(picture(axes), ramp()[top : top + size, left : left + size, 0])
    assert all(same_color(spine.get_edgecolor(), BLIND[3]) and spine.get_visible() for spine in axes.spines.values())


def test_marked_square_is_the_part_whose_numbers_are_shown():
    whole, close = plotting.plot_pixels(ramp(), top=9, left=12, size=5).axes
    np.testing.assert_array_equal(picture(whole), ramp()[..., 0])
    (mark,) = whole.patches
    assert (mark.get_xy(), mark.get_width(), mark.get_height()) == ((11.5, 8.5), 5, 5), (
        "pixel centres are whole numbers"
    )
    assert not mark.get_fill()
    check_numbers(close, 9, 12, 5)


def test_shares_of_pixel_values_are_bars_from_zero_on_a_plain_axis():
    images = np.zeros((5_011, 28, 28, 1), "float32")
    images[1] = 16.6 / 255  # the nearest of 256 levels is 17, the last of the first range above 0
    images[2] = 18 / 255  # the first of the second
    images[-1] = 1
    images[3:13] = np.random.default_rng(0).random((10, 28, 28, 1), "float32") * 0.02 + 0.44  # levels 112 to 118
    whole = plotting.plot_pixel_values(Split(images, np.arange(5_011) % 10), NAMES).axes[0]
    left, width, height = bars(whole).T
    np.testing.assert_allclose(width, 17 / 255)
    np.testing.assert_allclose(left, np.arange(-1, 15) * 17 / 255, atol=1e-12)
    found = np.zeros(16)
    found[[0, 1, 2, 7, 15]] = 4_998, 1, 1, 10, 1  # the seventh range holds 103 to 119
    np.testing.assert_allclose(height, 100 * found / 5_011)
    assert all(bar.get_y() == 0 for bar in whole.patches) and whole.get_ylim()[0] == 0
    assert [same_color(bar.get_facecolor(), BLIND[7]) for bar in whole.patches] == [True] + [False] * 15
    assert [text for text, _, _ in words(whole)] == ["exactly 0: 99.7 %"]
    shown = whole.get_yscale(), whole.get_xlabel(), whole.get_ylabel()
    assert shown == ("linear", "pixel value", "share of all pixels, %")
    assert whole.get_title() == "all pixels"


def test_ridges_show_where_the_pixels_of_each_class_lie():
    images, labels = np.zeros((20, 28, 28, 1), "float32"), np.arange(20) % 10
    for k in range(10):
        images[k, :, :7] = (k + 1) / 10 - 0.02 * np.random.default_rng(k).random((28, 7, 1))
        images[k + 10] = np.random.default_rng(k).random((28, 28, 1))
    _, *ridges = plotting.plot_pixel_values(Split(images, labels), NAMES, max_images=1).axes
    assert [axes.get_ylabel() for axes in ridges] == list(NAMES)
    for k, axes in enumerate(ridges):
        (filled,) = axes.collections
        corners = filled.get_paths()[0].vertices
        assert corners[corners[:, 1].argmax(), 0] == pytest.approx((k + 1) / 10 - 0.01, abs=0.01)
        assert corners[:, 0].min() > k / 10 and corners[:, 0].max() <= 1
        assert same_color(filled.get_facecolor()[0][:3], plotting.CLASS_COLOURS[k])
        assert axes.get_xlim() == (-0.02, 1.02)
        assert axes.get_xlabel() == ("pixel value" if k == 9 else "") and (len(axes.get_xticks()) > 0) == (k == 9)
    assert ridges[0].get_title() == "pixels above 0, class by class"


def test_violins_of_ink_are_sorted_by_the_mean_of_the_class():
    labels, order = (
        np.repeat(np.arange(10), 3),
        [3, 1, 4, 0, 5, 9, 2, 6, 8, 7],
    )  # order[i]: class with the i-th least ink
    rank = np.argsort(order)[labels]
    greys = 0.005 * rank**2 + np.tile([0, 0.001, 0.005], 10)
    images = plain(*greys)
    images[:, ::2] *= 2  # as much ink, in half of the rows
    images[:, 1::2] = 0
    figure = plotting.plot_ink(Split(images, labels), NAMES)
    (axes,) = figure.axes
    names = [NAMES[k] for k in order]
    assert list(tick_labels(axes.yaxis).values()) == names and axes.yaxis_inverted()
    violins = [group for group in axes.collections if isinstance(group, PolyCollection)]
    assert len(violins) == 10
    for i, k in enumerate(order):
        (violin,) = (v for v in violins if round(v.get_paths()[0].vertices[:, 1].mean()) == i)
        reach = violin.get_paths()[0].vertices[:, 0]
        np.testing.assert_allclose([reach.min(), reach.max()], [0.005 * i**2, 0.005 * i**2 + 0.005], atol=1e-6)
        assert same_color(violin.get_facecolor()[0][:3], seaborn.desaturate(plotting.CLASS_COLOURS[k], 0.75))
    ((_, means, _),) = dots(axes)
    np.testing.assert_allclose(means, [(0.005 * i**2 + 0.002, i) for i in range(10)], atol=1e-6)
    ((_, line),) = lines(axes)
    np.testing.assert_allclose(line[:, 0], 0.005 * 28.5 + 0.002, atol=1e-6)
    assert figure.alt.endswith(f"dot: {', '.join(names)}.")


def test_winner_of_the_choice_is_ringed_among_the_guessers():
    chosen_on, fresh = np.array([0.08, 0.15, 0.1]), np.array([0.12, 0.09, 0.11])
    (axes,) = plotting.plot_guessers(chosen_on, fresh).axes
    (_, everyone, _), (_, winner, ring) = dots(axes)
    np.testing.assert_allclose(everyone, [(8, 12), (15, 9), (10, 11)])
    np.testing.assert_allclose(winner, [(15, 9)])
    assert len(ring.get_facecolor()) == 0 and same_color(ring.get_edgecolor()[0], BLIND[3])
    (note,) = axes.texts
    assert note.get_text() == "the winner" and note.xy == (pytest.approx(15), pytest.approx(9))
    (_, upright), (_, level) = lines(axes)
    assert upright[:, 0].tolist() == level[:, 1].tolist() == [10, 10], "chance is one in ten"
    assert axes.get_xlabel() == "accuracy % where the choice is made"
    assert axes.get_ylabel() == "accuracy % on fresh images"


def test_twins_stand_closest_first_above_all_distances():
    images, pool = plain(1, 2, 3, 4), plain(10, 20, 30)
    index, distance = np.array([2, 0, 1, 1]), np.array([0.3, 0.1, 0.4, 0.2])
    figure = plotting.plot_twins(images, pool, index, distance, threshold=0.15, n=3)
    *pairs, below = figure.axes
    places = {(a.get_subplotspec().rowspan.start, a.get_subplotspec().colspan.start): a for a in pairs}
    assert [[levels(places[row, column]).item() for column in range(3)] for row in (0, 1)] == [[2, 4, 1], [10, 20, 30]]
    assert [places[0, column].get_title() for column in range(3)] == ["0.100", "0.200", "0.300"]
    assert [places[1, column].get_title() for column in range(3)] == ["", "", ""]
    assert [places[row, 0].get_ylabel() for row in (0, 1)] == ["test", "train"]
    left, width, height = bars(below).T
    assert height.sum() == 4 and len(height) == 80
    np.testing.assert_allclose([left[0], left[-1] + width[-1]], [0.1, 0.4])
    ((_, line),) = lines(below)
    assert line[:, 0].tolist() == [0.15, 0.15] and words(below) == [("threshold", 4, 0)]
    assert (below.get_yscale(), below.get_ylabel()) == ("log", "test images")
    assert below.get_xlabel() == "distance to the nearest training image (root of the MSE; white to black is 1)"


def test_pixel_cost_is_cross_entropy_with_the_entropy_as_its_floor():
    (axes,) = plotting.plot_pixel_cost([0, 0.25, 1]).axes
    (floor, entropy), *curves = lines(axes)
    p = entropy[:, 0]
    assert 0 < p[0] < 1e-5 and 1 - 1e-5 < p[-1] < 1 and (np.diff(p) > 0).all()
    inside = curves[2][1]  # of x = 0.25: no end of it may look cheap
    assert min(inside[0, 1], inside[-1, 1]) > axes.get_ylim()[1]
    assert floor == "entropy: the floor" and axes.lines[0].get_linestyle() == ":"
    np.testing.assert_allclose(entropy[:, 1], -p * np.log(p) - (1 - p) * np.log(1 - p))
    expected = {"x = 0": -np.log(1 - p), "x = 0.25": -0.25 * np.log(p) - 0.75 * np.log(1 - p), "x = 1": -np.log(p)}
    assert [label for label, _ in curves[::2]] == list(expected)
    for (_, curve), cost in zip(curves[::2], expected.values(), strict=True):
        np.testing.assert_allclose(curve, np.column_stack([p, cost]), atol=1e-12)
    lowest = [point for _, points in curves[1::2] for point in points]
    np.testing.assert_allclose(lowest, [(0, 0), (0.25, 0.5623351), (1, 0)], atol=1e-6)
    for i, line in enumerate(axes.lines[1:]):
        assert same_color(line.get_color(), BLIND[i // 2])
    assert list(legend(axes)) == ["entropy: the floor", *expected]
    assert axes.get_xlim() == (0, 1) and axes.get_ylim() == (0, 2.5)


def test_number_line_has_its_marks_in_place_and_the_stretch_between_two_shaded():
    (axes,) = plotting.plot_number_line({"a": 10.0, "b": 20.04, "c": 50.0}, "b", "c").axes
    (stretch,) = axes.patches
    assert stretch.get_x() == pytest.approx(20.04) and stretch.get_width() == pytest.approx(29.96)
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([np.ravel(line.get_data()) for line in marks], [(10, 0), (20.04, 0), (50, 0)])
    assert [same_color(line.get_color(), BLIND[2]) for line in marks] == [False, True, True]
    assert [text for text, _, _ in words(axes)] == ["a\n10.0", "b\n20.0", "c\n50.0"]
    assert [x for _, x, _ in words(axes)] == [10, 20.04, 50]
    assert [(np.sign(text.get_position()[1]), text.get_va(), text.get_weight()) for text in axes.texts] == [
        (1, "bottom", "normal"),
        (-1, "top", "bold"),
        (1, "bottom", "bold"),
    ]
    low, high = axes.get_xlim()
    assert 0 < low < 10 and 50 < high < 60
    assert axes.get_title() == "Between the floor and the mean image"


# PCA, convolutions, whole numbers.


def test_components_have_a_colour_for_each_sign_and_white_at_zero():
    mean, components = ramp()[..., 0], np.zeros((2, 784))
    components[0, :3] = 1, -4, 2
    components[1, 1] = 0.5
    first, *others = plotting.plot_components(mean, components).axes
    np.testing.assert_array_equal(picture(first), mean)
    assert [axes.get_title() for axes in (first, *others)] == ["mean", "z[0]", "z[1]"]
    for axes, component, reach in zip(others, components, (4, 0.5), strict=True):
        assert picture(axes).shape == (28, 28) and (picture(axes)[0, :3] == component[:3]).all()
        assert axes.images[0].get_clim() == (-reach, reach) and axes.images[0].get_cmap().name == "PuOr"
    np.testing.assert_array_equal(picture(plotting.plot_components(mean.ravel(), components).axes[0]), mean)


def test_descents_have_an_axis_each_and_a_line_at_zero():
    small, large = plotting.plot_two_descents({"small": [1500.0, -20.0], "large": [3e7, -2e7, 1e7]}).axes
    for axes, label, values in ((small, "small", [1500, -20]), (large, "large", [3e7, -2e7, 1e7])):
        (_, curve), (_, zero) = lines(axes)
        np.testing.assert_allclose(curve, list(enumerate(values)))
        assert zero[:, 1].tolist() == [0, 0] and axes.lines[1].get_linestyle() == ":"
        assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (label, "step", "nats per image")
    assert small.yaxis.get_major_formatter()(1500, 0) == "1,500"
    assert large.yaxis.get_major_formatter()(-2e7, 0) == "-20 million"


def test_memory_has_a_column_for_each_number_of_numbers():
    images = np.stack([ramp(), plain(0.5)[0]])
    figure = plotting.plot_memory(FakePCA(), images, (2, 8))
    close, *pictures = figure.axes
    check_numbers(close, 9, 12, 10)
    places = {(a.get_subplotspec().rowspan.start, a.get_subplotspec().colspan.start): a for a in pictures}
    columns = ["0 numbers\n(the mean)", "2 numbers\n(PCA)", "8 numbers\n(PCA)", "784 numbers\n(the image)"]
    assert [places[0, column].get_title() for column in (1, 2, 3, 4)] == columns
    assert [places[1, column].get_title() for column in (1, 2, 3, 4)] == [""] * 4
    assert [levels(places[1, column]).item() for column in (1, 2, 3, 4)] == [7, 2.5, 8.5, 0.5]
    for column, more in ((2, 2), (3, 8), (4, 0)):
        np.testing.assert_allclose(picture(places[0, column]), ramp()[..., 0] + more, rtol=1e-6)
    assert close.get_title() == "what the computer sees"


def test_answers_of_a_kernel_are_blue_above_zero_and_red_below():
    answers = {"a": np.array([[1.0, -3], [0, 2]]), "b": np.array([[5.0, 0], [0, 1]])}
    garment, *maps = plotting.plot_responses(plain(0.25)[0], answers).axes
    assert levels(garment) == 0.25 and garment.get_title() == "garment" and garment.images[0].get_clim() == (0, 1)
    for axes, (label, answer), reach in zip(maps, answers.items(), (3, 5), strict=True):
        np.testing.assert_array_equal(picture(axes), answer)
        assert axes.get_title() == label and axes.images[0].get_clim() == (-reach, reach)
        red, _, blue, _ = axes.images[0].get_cmap()(1.0)
        assert blue > red


def test_whole_numbers_are_written_into_their_cells_on_one_scale():
    counts = {"a": np.array([[1, 2, 3], [4, 5, 12]]), "b": np.array([[2, 1]])}
    figure = plotting.plot_counts(counts)
    for axes, (label, values) in zip(figure.axes, counts.items(), strict=True):
        (cells,) = axes.collections
        np.testing.assert_array_equal(np.asarray(cells.get_array()).reshape(values.shape), values)
        assert cells.get_clim() == (0, 12)
        written = {(x - 0.5, y - 0.5): text for text, x, y in words(axes)}
        assert written == {(x, y): str(value) for (y, x), value in np.ndenumerate(values)}
        assert axes.get_title() == label and axes.yaxis_inverted()
    assert figure.get_suptitle() == ""


def test_feature_maps_are_the_channels_that_vary_most():
    figure = plotting.plot_feature_maps(Convolutions(), ramp(), channels=3)
    first, second = np.array(figure.axes).reshape(2, 3)
    x = ramp()[..., 0]
    for axes, expected in zip([*first, *second[:2]], [-3 * x, 2 * x, x + 100, -15 * x[::2], -3 * x[::2]], strict=True):
        np.testing.assert_allclose(picture(axes), expected, rtol=1e-5)
        np.testing.assert_allclose(axes.images[0].get_clim(), (expected.min(), expected.max()), rtol=1e-5)
    assert [row[0].get_ylabel() for row in (first, second)] == ["conv_1\n28 x 28 x 3", "conv_2\n14 x 28 x 2"]
    assert not second[2].axison, "a layer of two channels has no third"
    assert figure.get_suptitle() == "One garment inside the encoder, 3 channels of each convolution"


def test_one_channel_of_each_convolution_can_be_drawn():
    assert len(plotting.plot_feature_maps(Convolutions(), ramp(), channels=1).axes) == 2


def test_uncertainty_has_a_scale_of_its_own_for_the_spread():
    figure = plotting.plot_uncertainty(plain(0.1, 0.2), plain(0.3, 0.4), plain(0.01, 0.03))
    *rows, scale = figure.axes
    assert [axes.get_ylabel() for axes in rows] == ["garment", "mean of\nthe draws", "spread"]
    np.testing.assert_allclose([levels(a)[0] for a in rows], [[0.1, 0.2], [0.3, 0.4], [0.01, 0.03]], rtol=1e-6)
    assert [(axes.images[0].get_cmap().name, axes.images[0].get_clim()) for axes in rows[:2]] == [
        ("gray_r", (0, 1))
    ] * 2
    spread = rows[2].images[0]
    assert spread.get_clim() == (0, pytest.approx(0.03)) and spread.get_cmap().name == "rocket_r"
    assert spread.colorbar.ax is scale and scale.get_ylabel() == "spread (white 0, black 1)"


@pytest.mark.parametrize("label", ["a", "real garments", "conv_vae_32,\nfully trained", "autoencoder, 1", "W" * 20])
@pytest.mark.parametrize("title", ["", "A title"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_rows_fill_the_figure_and_their_labels_lie_within_it(label, title, n):
    images = plain(*np.linspace(0.1, 1, 10))
    figure = plotting.plot_rows({label: images} | {f"{i}": images for i in range(n - 1)}, title)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.yaxis.label.get_window_extent().x0 >= 0
        assert 0.93 * figure.bbox.x1 < axes.get_window_extent().x1 <= figure.bbox.x1
    assert figure.axes[0].yaxis.label.get_window_extent().x0 < 0.08 * figure.bbox.x1


@pytest.mark.parametrize("title", ["", "Where the VAE is unsure"])
@pytest.mark.parametrize("n", [1, 3, 7, 10])
def test_row_labels_of_uncertainty_lie_within_the_picture(n, title):
    images = plain(*np.linspace(0.1, 1, n))
    figure = plotting.plot_uncertainty(images, images, images, title)
    figure.draw_without_rendering()
    for axes in figure.axes:
        label = axes.yaxis.label.get_window_extent()
        assert label.x0 >= 0 and label.x1 <= figure.bbox.x1, axes.get_ylabel()


# Tables.


def places_by_model(axes, names):
    """Points of a plane by model, told apart by the colours of the legend."""
    marks = legend(axes)
    assert list(marks) == names
    (_, points, group) = dots(axes)[0]
    colours = group.get_facecolor()[:, :3]
    return {name: points[[same_color(c, marks[name]) for c in colours]].tolist() for name in names}


def test_models_lie_at_their_rate_and_distortion():
    figure = plotting.plot_rate_distortion(PLANE)
    (axes,) = figure.axes
    assert places_by_model(axes, ["b", "a"]) == {"b": [[100, 200], [0, 300]], "a": [[40, 240]]}
    assert [same_color(*pair) for pair in zip(legend(axes).values(), BLIND, strict=False)] == [True, True]
    assert axes.get_xlabel().startswith("rate: KL, nats per image\n(dashed: equal negative ELBO")
    assert axes.get_ylabel() == "distortion: reconstruction, nats per image"
    low, high = axes.get_xlim()
    assert -5 < low < 0 and 100 < high < 110
    assert "rate without\nbound" not in texts(figure) and axes.patches[:] == []


def test_more_models_than_colours_all_lie_on_the_plane():
    names = [f"model {i}" for i in range(12)]
    table = pd.DataFrame({"model": names, "kl": np.arange(12.0), "reconstruction": np.arange(12.0) + 50})
    (axes,) = plotting.plot_rate_distortion(table).axes
    assert list(legend(axes)) == names
    assert sorted(map(tuple, dots(axes)[0][1].tolist())) == [(i, 50 + i) for i in range(12)]


@pytest.mark.parametrize("floor", [None, 150.0])
def test_rate_and_distortion_add_up_to_the_number_beside_each_dashed_line(floor):
    (axes,) = plotting.plot_rate_distortion(PLANE, floor=floor).axes
    dashed = [np.column_stack(line.get_data()) for line in axes.lines if line.get_linestyle() == "--"]
    totals = []
    for ends in dashed:
        assert ends[:, 0].tolist() == [0, 105], "over the whole axis of rates, 1.05 times the largest"
        assert ends.sum(axis=1) == pytest.approx(ends[0].sum())
        totals.append(round(ends[0].sum(), 6))
    numbers = [(int(text), x, y) for text, x, y in words(axes) if text.strip().isdigit()]
    low, high = axes.get_ylim()
    through_the_floor = {total for total in totals if 0 <= total - low <= 105}
    assert len(numbers) >= 3 and through_the_floor <= {total for total, _, _ in numbers} <= set(totals)
    for total, rate, distortion in numbers:
        assert rate + distortion == pytest.approx(total)
        assert 0 <= rate <= 105 and low <= distortion <= high


def test_floor_of_the_distortion_is_a_line_within_the_picture():
    (axes,) = plotting.plot_rate_distortion(PLANE, floor=150.0).axes
    (solid,) = (line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 0)
    assert list(solid.get_ydata()) == [150, 150]
    assert 130 < axes.get_ylim()[0] < 150
    assert ("entropy of the pixels", 150) in [(text, y) for text, _, y in words(axes)]
    assert "entropy of the pixels" not in texts(plotting.plot_rate_distortion(PLANE))


@pytest.mark.parametrize("letters", [1, 24, 30])
def test_no_text_of_the_plane_is_cut_or_hides_another(letters):
    """Long names in the legend once squeezed the plane until its title stood outside the picture."""
    table = PLANE.assign(model=["a" * letters, "b" * letters, "c"])
    figure = plotting.plot_rate_distortion(table, "Trained as Bernoulli, judged at beta = 1", floor=150.0)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_legend().get_texts()):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
    places = {text.get_text(): text.get_window_extent() for text in axes.texts}
    floor = places.pop("entropy of the pixels")
    assert len(places) >= 3 and not any(floor.overlaps(place) for place in places.values())
    assert axes.bbox.width > 3.5 * figure.dpi, "inches"


def test_models_without_a_rate_stand_in_a_strip_apart():
    table = pd.DataFrame({"model": ["a", "b", "c"], "kl": [12.0, np.nan, 2], "reconstruction": [240.0, 230, 250]})
    (axes,) = plotting.plot_rate_distortion(table).axes
    places = places_by_model(axes, ["a", "b", "c"])
    (strip,) = axes.patches
    left, right = strip.get_x(), strip.get_x() + strip.get_width()
    assert left == pytest.approx(12.6) and right > 13
    assert axes.get_xlim()[1] == pytest.approx(right)
    assert places["a"] == [[12, 240]] and places["c"] == [[2, 250]]
    ((rate, distortion),) = places["b"]
    assert left < rate < right and distortion == 230
    ((x, y),) = ((x, y) for text, x, y in words(axes) if text == "rate without\nbound")
    assert left < x < right and y == axes.get_ylim()[1]
    assert list(axes.get_xticks()) == [0, 2, 4, 6, 8, 10, 12], "none in the strip"


def test_scores_have_a_row_a_model_and_a_colour_a_way_in_the_order_of_the_table():
    figure = plotting.plot_scores(SCORES, "net", "score", "way", reference=("floor", 0.5))
    (axes,) = figure.axes
    assert tick_labels(axes.yaxis) == {0: "y", 1: "x"} and axes.yaxis_inverted()
    (one, q, blue), (two, p, orange) = dots(axes)
    assert (one, two) == ("q", "p")
    assert q[:, 0].tolist() == [1] and p[:, 0].tolist() == [20, 300]
    assert np.round(q[:, 1]).tolist() == [0] and np.round(p[:, 1]).tolist() == [0, 1]
    assert q[0, 1] < p[0, 1], "side by side, the first way on top"
    assert same_color(blue.get_facecolor()[0][:3], BLIND[0]) and same_color(orange.get_facecolor()[0][:3], BLIND[1])
    ((text, line),) = lines(axes)
    assert text == "floor" and line[:, 0].tolist() == [0.5, 0.5]
    assert sorted(legend(figure)) == ["floor", "p", "q"]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("linear", "score")
    assert lines(plotting.plot_scores(SCORES, "net", "score", "way").axes[0]) == []


def test_more_methods_than_colours_differ_by_their_marks():
    table = pd.DataFrame({"net": "a", "way": [f"way {i}" for i in range(12)], "score": range(12)})
    figure = plotting.plot_scores(table, "net", "score", "way")
    found = dots(figure.axes[0])
    assert [label for label, _, _ in found] == [f"way {i}" for i in range(12)]
    looks = {(to_rgb(group.get_facecolor()[0][:3]), group.get_paths()[0].vertices.tobytes()) for _, _, group in found}
    assert len(looks) == 12
    heights = [points[0, 1] for _, points, _ in found]
    assert heights == sorted(heights) and max(map(abs, heights)) < 0.5, "within their row"


def test_scores_may_be_logarithmic_in_plain_numbers():
    (axes,) = plotting.plot_scores(SCORES, "net", "score", "way", log=True).axes
    assert axes.get_xscale() == "log"
    assert {1: "1", 10: "10", 100: "100"}.items() <= tick_labels(axes.xaxis).items()


def test_trials_are_ranked_with_a_tie_beside_exactly_those_that_tie():
    figure = plotting.plot_trials(TRIALS, "net", "score")
    (axes,) = figure.axes
    assert tick_labels(axes.yaxis) == {0: "late", 1: "apt", 2: "mid"} and axes.yaxis_inverted()
    notes = {text.xy[1]: text.get_text() for text in axes.texts}
    assert notes == {0: "1.10", 1: "1.20  tie", 2: "2.10"}
    found = {label: points.tolist() for label, points, _ in dots(axes)}
    assert found == {
        "seed 1": [[1.5, 0.8], [2.0, 1.8], [1.0, -0.2]],
        "seed 2": [[0.7, 1], [2.1, 2], [1.1, 0]],
        "seed 3": [[1.4, 1.2], [2.21, 2.2], [1.2, 0.2]],
    }
    (means,) = (group for group in axes.collections if isinstance(group, LineCollection))
    for row, (segment, mean) in enumerate(zip(means.get_segments(), (1.1, 1.2, 6.31 / 3), strict=True)):
        np.testing.assert_allclose(segment[:, 0], mean)
        assert row - 0.5 < segment[0, 1] < row < segment[1, 1] < row + 0.5
    assert list(legend(figure)) == ["seed 1", "seed 2", "seed 3"]
    assert axes.get_xlabel() == "score"


def test_small_means_of_trials_have_more_decimals():
    (axes,) = plotting.plot_trials(TRIALS.assign(score=TRIALS.score / 100), "net", "score").axes
    assert [text.get_text() for text in axes.texts] == ["0.0110", "0.0120  tie", "0.0210"]


def test_settings_of_several_columns_are_named_by_all_of_them():
    table = TRIALS.assign(width=[8, 8, 8, 16, 16, 16, 32, 32, 32], net="x")
    figure = plotting.plot_trials(table, ["net", "width"], "score")
    assert list(tick_labels(figure.axes[0].yaxis).values()) == ["x, 32", "x, 8", "x, 16"]


def test_failed_trials_are_not_drawn():
    table = TRIALS.assign(score=TRIALS.score.where(TRIALS.index != 5))  # "mid" of seed 3
    (axes,) = plotting.plot_trials(table, "net", "score").axes
    found = {label: points.tolist() for label, points, _ in dots(axes)}
    assert found["seed 3"] == [[1.4, 1.2], [1.2, 0.2]] and len(found["seed 2"]) == 3
    assert axes.texts[2].get_text() == "2.05", "the mean of 2.0 and 2.1"


def test_no_seed_of_a_sweep_is_left_out_for_want_of_a_colour():
    table = pd.DataFrame({"net": "a", "seed": range(12), "score": range(12)})
    figure = plotting.plot_trials(table, "net", "score")
    assert list(legend(figure)) == [f"seed {seed}" for seed in range(12)]


def test_equal_values_of_a_setting_do_not_hide_one_another():
    table = pd.DataFrame({"net": "a", "seed": range(12), "score": 1.0})
    heights = [points[0, 1] for _, points, _ in dots(plotting.plot_trials(table, "net", "score").axes[0])]
    assert heights == sorted(set(heights)) and len(heights) == 12 and max(map(abs, heights)) < 0.5, "within their row"


def test_trials_are_not_ranked_by_the_test_set():
    with pytest.raises(ValueError, match="choose by its twin, validation_mse"):
        plotting.plot_trials(TRIALS.rename(columns={"score": "test_mse"}), "net", "test_mse")


def test_differences_have_their_interval_and_ties_are_hollow():
    """Student's t for three seeds is 4.303: the first interval is 0.697 to 9.303, the second -8.303 to 0.303."""
    (axes,) = plotting.plot_differences(DIFFERENCES, xlabel="nats").axes
    assert tick_labels(axes.yaxis) == {0: "up", 1: "none"} and axes.yaxis_inverted()
    intervals = [g.get_segments()[0].tolist() for g in axes.collections if isinstance(g, LineCollection)]
    np.testing.assert_allclose(intervals, [[[0.697, 0], [9.303, 0]], [[-8.303, 1], [0.303, 1]]], atol=1e-3)
    (_, up, solid), (_, none, hollow) = dots(axes)
    assert up.tolist() == [[5, 0]] and none.tolist() == [[-4, 1]]
    assert same_color(solid.get_facecolor()[0][:3], BLIND[0]) and same_color(hollow.get_facecolor()[0][:3], "white")
    assert [text for text, *_ in words(axes)] == ["+5.00 ± 4.30", "-4.00 ± 4.30  tie"]
    ((_, zero),) = lines(axes)
    assert zero[:, 0].tolist() == [0, 0]
    assert axes.get_xlabel() == "nats"


def test_intervals_that_miss_the_truth_are_marked_and_counted():
    centres = np.array([2.5, 1.0, 3.2])
    panels = {"wide": (centres, np.array([1.0, 1.5, 1.0])), "narrow": (centres, np.full(3, 0.6))}
    figure = plotting.plot_coverage(panels, truth=2.0, title="Three", xlabel="nats")
    assert [axes.get_title() for axes in figure.axes] == ["wide: 1 of 3 miss", "narrow: 2 of 3 miss"]
    wide, narrow = figure.axes
    for axes, held, missed in (
        (wide, [[1.5, 0, 3.5], [-0.5, 1, 2.5]], [[2.2, 2, 4.2]]),
        (narrow, [[1.9, 0, 3.1]], [[0.4, 1, 1.6], [2.6, 2, 3.8]]),
    ):
        for group, colour, wanted in zip(axes.collections, (BLIND[0], BLIND[3]), (held, missed), strict=True):
            found = [[start[0], start[1], end[0]] for start, end in group.get_segments()]
            np.testing.assert_allclose(found, wanted)
            assert same_color(group.get_color()[0][:3], colour)
        ((_, truth),) = lines(axes)
        assert truth[:, 0].tolist() == [2, 2]
    assert (wide.get_xlabel(), narrow.get_xlabel()) == ("nats", "")


def test_sweeps_lie_by_their_distance_from_the_best_mean_of_their_row():
    other = SWEEP.assign(score=[2.0, 4.0, 3.5, 2.0, 1.0, 1.5])  # the best mean is that of c, 1.25
    figure = plotting.plot_sweeps({"one": SWEEP, "two": other}, "score")
    (axes,) = figure.axes
    assert tick_labels(axes.yaxis) == {0: "one", 1: "two"} and axes.yaxis_inverted()
    (_, one, blue), (_, two, orange) = dots(axes)
    # A trial of c has failed in the first sweep, so c is left out; the best mean is that of a, 5.
    np.testing.assert_allclose(one[:, 0], [-1, 1, 7, 3])
    np.testing.assert_allclose(two[:, 0], [0.75, 2.75, 2.25, 0.75, -0.25, 0.25])
    assert (np.abs(one[:, 1]) < 0.4).all() and (np.abs(two[:, 1] - 1) < 0.4).all() and len(set(one[:, 1])) == 4
    assert same_color(blue.get_facecolor()[0][:3], BLIND[0]) and same_color(orange.get_facecolor()[0][:3], BLIND[1])
    ((_, best),) = lines(axes)
    assert best[:, 0].tolist() == [0, 0]
    low, high = axes.get_xlim()
    assert -2 < low < -1 and 7 < high < 10 and axes.get_xscale() == "symlog"
    assert tick_labels(axes.xaxis) == {-1: "-1", -0.5: "-0.5", 0: "0", 0.5: "0.5", 1: "1", 2: "2", 5: "5"}
    assert axes.get_xlabel() == (
        "score, above the best mean of its row\nlinear from -1 to 1 (grey), logarithmic beyond"
    )
    (linear,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert (linear.get_x(), linear.get_x() + linear.get_width()) == (-1, 1)
    assert axes.xaxis.get_transform().linthresh == 1, "what the text and the grey ground say"
