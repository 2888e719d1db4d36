"""Sliders: thin ipywidgets shells over pure functions.

The functions at the top turn a code into PNG bytes and know nothing of widgets. The three views
beneath them (rows of sliders, a picture, a map) have their browser's half in ``widgets.js``. The shells
at the end put views and buttons together and are what a notebook calls: `latent_sliders`,
`interpolation_slider`, `latent_pad`, `compare_models`, `explorer`, `your_image`.

A callback may run in another thread than the notebook's cells, and a training may run meanwhile. So
nothing here uses pyplot, and one lock stands around all work on models.
"""

import contextlib
import dataclasses
import html
import io
import threading
import weakref
import zlib
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from helpers import (
    checkpoints,
    course,
    interpolation,
    losses,
    metrics,
    models,
    novelty,
    photos,
    plotting,
    priors,
    seeds,
)
from helpers.dataset import IMAGE_SHAPE, check_scale
from helpers.machinery import browser, files
from helpers.machinery.backend import ops

SURVEYED = 2_000  # held-out garments whose codes set the ranges of the sliders
BINS = 24
_HERE = Path(__file__).parent
# Python callbacks, encodings and decodings take turns; a handler may call another one.
_LOCK = threading.RLock()


# --------------------------------------------------------------------------------------------------
# Pure functions: codes, images and numbers


def decode(model, z):
    """Decode codes fast: the same images as ``model.decode``, with the decoder compiled.

    Keras compiles the decoder at its first call, on TensorFlow and JAX; on PyTorch it runs as
    usual. Weights are read at each call, so a model in training shows what it knows by now.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        z: Codes, (n, latent_dim).

    Returns:
        Images, float32 (n, 28, 28, 1).

    Raises:
        ValueError: The codes have a wrong shape, or values that are not finite.
    """
    z = models.check_codes(z, model.latent_dim)
    with _LOCK:
        return model.decode_on_batch(z)


def encode(model, images):
    """Encode images as ``model.code`` does, one caller at a time.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        images: Array (n, 28, 28, 1) in [0, 1].

    Returns:
        Codes, float32 (n, latent_dim).
    """
    with _LOCK:
        return model.code(images)


def garment_png(images):
    """Images side by side as one grey PNG, ink dark on white; a pixel of the image is a pixel of the PNG.

    Args:
        images: Array (28, 28, 1), or (n, 28, 28, 1) for a strip; values outside [0, 1] are cut off.

    Returns:
        PNG as bytes.
    """
    images = np.asarray(images).reshape(-1, *IMAGE_SHAPE)
    grey = np.rint(255 * (1 - np.clip(plotting.tile(images, len(images)), 0, 1))).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="png", compress_level=1)
    return stream.getvalue()


def picture_of(model, z):
    """PNG bytes of one decoded code: what every move of a slider computes.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        z: Code, (latent_dim,).
    """
    return garment_png(decode(model, np.asarray(z)[None]))


@dataclasses.dataclass(frozen=True, eq=False)
class CodeSpace:
    """How a model uses its code, measured on images.

    Attributes:
        codes: Draws from the aggregate posterior of a VAE, or the codes themselves, (n, latent_dim).
        centres: Posterior means of a VAE, or the codes, (n, latent_dim).
        importance: Mean KL of each latent in nats (VAE) or its variance (autoencoder), (latent_dim,).
        measure: Either "KL" or "variance".
        used: Whether a latent carries anything, bool (latent_dim,): active (VAE) or not constant.
        low: Percentile 0.5 of ``codes``, (latent_dim,).
        high: Percentile 99.5 of ``codes``, (latent_dim,).
        order: Indices of the latents by falling importance, those in use first.
    """

    codes: np.ndarray
    centres: np.ndarray
    importance: np.ndarray
    measure: str
    used: np.ndarray
    low: np.ndarray
    high: np.ndarray
    order: np.ndarray

    @property
    def ranges(self):
        """Lowest and highest value of each slider, (latent_dim, 2): the middle 99 % of ``codes``."""
        return np.stack([self.low, self.high], axis=1)

    def says(self, latent):
        """What is known of a latent, for people: ``"KL 2.1 nats"``."""
        return f"{self.measure} {self.importance[latent]:.{2 if self.importance[latent] < 1 else 1}f}" + (
            " nats" if self.measure == "KL" else ""
        )


def survey(model, images, seed=1):
    """Measure how a model uses its code.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        images: Array (n, 28, 28, 1) of at least a few hundred images.
        seed: Seeds the draws from a VAE's posteriors.

    Returns:
        A `CodeSpace`.
    """
    with _LOCK:
        encoded = model.encode(images)
    if model.is_variational:
        centres, z_log_var = encoded
        noise = seeds.generator(seed).standard_normal(centres.shape)
        codes = centres + np.exp(z_log_var / 2) * noise
        importance = ops.convert_to_numpy(losses.kl_per_latent(centres, z_log_var)).mean(axis=0)
        measure, used = "KL", centres.var(axis=0) > metrics.ACTIVE
    else:
        centres = codes = encoded
        importance, measure, used = codes.var(axis=0), "variance", codes.std(axis=0) >= 1e-6
    low, high = np.percentile(codes, [0.5, 99.5], axis=0)
    constant = high - low < 1e-6  # a dead unit still gets a slider that can move
    low, high = np.where(constant, low - 1, low), np.where(constant, high + 1, high)
    order = np.lexsort((-importance, ~used))
    return CodeSpace(codes, centres, importance, measure, used, low, high, order)


def histogram(values, low, high, bins=BINS):
    """Heights of a histogram between two values, the highest 1.

    Args:
        values: Array (n,).
        low: Lower end of the first bin.
        high: Upper end of the last bin.
        bins: Number of bins.

    Returns:
        List of float, (bins,).
    """
    counts, _ = np.histogram(values, bins=bins, range=(low, high))
    return (counts / max(counts.max(), 1)).round(3).tolist()


@plotting.in_own_style
def map_png(points, labels, low, high, size=380):
    """Encoded garments as coloured dots that fill a square to its edges, as PNG bytes.

    Args:
        points: Coordinates of the garments, (n, 2).
        labels: Class indices, (n,).
        low: Lower left corner of the square, (2,).
        high: Upper right corner of the square, (2,).
        size: Side of the square, in pixels.
    """
    figure = Figure(figsize=(size / 100, size / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    order = np.random.default_rng(1).permutation(len(points))  # so that no class hides another
    colours = np.asarray(plotting.CLASS_COLOURS)[np.asarray(labels)[order] % len(plotting.CLASS_COLOURS)]
    axes.scatter(*np.asarray(points)[order].T, s=7, c=colours, alpha=0.6, linewidths=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.axis("off")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


@plotting.in_own_style
def cost_png(costs, cost, unit, size=(300, 168)):
    """A histogram of what held-out images cost, with a line where one image stands, as PNG bytes.

    Args:
        costs: Costs of held-out images, (n,).
        cost: Cost of the image.
        unit: What the axis is called, such as "nats".
        size: Width and height, in pixels.
    """
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    axes.hist(costs, bins=40, color="#56b4e9")
    axes.axvline(cost, color="#d55e00", linewidth=2)
    axes.set(xlabel=unit, yticks=[])
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def code_between(start, end, fraction, kind="straight"):
    """The code at a position between two codes, float32 (latent_dim,).

    Args:
        start: Code at the start, (latent_dim,).
        end: Code at the end, (latent_dim,).
        fraction: Position between the two codes, 0 (start) to 1 (end).
        kind: Either "straight" or "spherical"; see `interpolation.interpolate`.
    """
    # interpolate() walks in equal steps; the code at `fraction` is one of a hundred and one of them.
    return interpolation.interpolate(start, end, 101, kind)[round(100 * fraction)]


class Steps:
    """What undo goes back through. Moves of one latent in a row are one step.

    Args:
        z: The first code, (latent_dim,).
        limit: Number of steps to remember.
    """

    def __init__(self, z, limit=200):
        self.z = np.array(z, "float32")
        self._past = []
        self._last = None
        self._limit = limit

    def __len__(self):
        return len(self._past)

    def to(self, z):
        """Go to a code; returns the number of the latent that moved, or None where several did or none."""
        z = np.array(z, "float32")
        moved = np.flatnonzero(z != self.z)
        latent = int(moved[0]) if len(moved) == 1 else None
        if len(moved) and (latent is None or latent != self._last):
            self._past = [*self._past[1 - self._limit :], self.z]
        if len(moved):
            self.z, self._last = z, latent
        return latent

    def back(self):
        """Take the last step back; returns the whole code, (latent_dim,)."""
        if self._past:
            self.z = self._past.pop()
        self._last = None
        return self.z


class Neighbours:
    """Distance to the nearest of a set of garments: far from all of them is a hole.

    Args:
        images: Array (n, 28, 28, 1).
    """

    def __init__(self, images):
        self._flat = check_scale(images).astype("float32", copy=False).reshape(len(images), -1)
        self._half = np.square(self._flat).sum(axis=1) / 2

    def distance(self, image):
        """Root mean squared pixel difference between an image (28, 28, 1) and the nearest garment."""
        x = np.asarray(image, "float32").ravel()
        nearest = self._flat[np.argmax(self._flat @ x - self._half)]
        return float(np.sqrt(np.square(nearest - x).mean()))


# --------------------------------------------------------------------------------------------------
# Views: their browser's half is in widgets.js


class _View(anywidget.AnyWidget):
    _esm = browser.SCRIPT + (_HERE / "widgets.js").read_text(encoding="utf-8")
    _css = (_HERE / "widgets.css").read_text(encoding="utf-8")
    view = traitlets.Unicode().tag(sync=True)


class Sliders(_View):
    """Rows of sliders over one list of values, so that a whole code moves in one message.

    ``rows`` are dicts: index (into ``values``), name, note, spoken, low, high, heights, folded.
    """

    view = traitlets.Unicode("sliders").tag(sync=True)
    rows = traitlets.List().tag(sync=True)
    # Moves are echoed to all views, because a notebook may be open in two tabs.
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    folded = traitlets.Unicode("").tag(sync=True)


class _OnRequest(_View):
    """What a page asks for when it shows a picture that needs it: too large for what a notebook stores."""

    edition = traitlets.Int(1).tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        self.on_msg(lambda widget, content, buffers: self.send_to_page())
        _answer_while_a_cell_runs(self)

    def send_to_page(self):
        """Send a dict and some buffers, which widgets.js awaits; the dict holds the ``edition``."""
        raise NotImplementedError


class Network(_OnRequest):
    """A model's decoder in the page.

    ``place`` says where codes are decoded: "page", or "kernel" with the ``reason``: the page cannot run the decoder, or
    its weights are changing. Each ``edition`` of the weights is sent once a page.

    Args:
        model: A `models.Autoencoder`, a `models.VAE` or a `baselines.PCA`.
    """

    view = traitlets.Unicode("network").tag(sync=True)
    place = traitlets.Unicode("page").tag(sync=True)
    reason = traitlets.Unicode("").tag(sync=True)

    def __init__(self, model):
        # A widget lives until it is closed; the model need not.
        self._model = weakref.ref(model)
        self._is_training = False
        try:
            self._steps = browser.describe(browser.decoder_of(model))
            self._weights = self._fingerprint()
            super().__init__()
        except browser.NotForThePage as error:
            self._steps = None
            super().__init__(place="kernel", reason=str(error))
            return
        if hasattr(model, "watch_training"):
            model.watch_training(self._trains)

    @classmethod
    def of(cls, model):
        """The one network of a model: all pictures of it share what was sent.

        Args:
            model: A `models.Autoencoder`, a `models.VAE` or a `baselines.PCA`.
        """
        found = _NETWORKS.get(model)
        if found is None or found.comm is None:
            found = _NETWORKS[model] = cls(model)
        return found

    def check(self):
        """Notice weights that changed without `fit`; Python decodes until they are found unchanged."""
        if self._steps is None or self._is_training:
            return
        before, self._weights = self._weights, self._fingerprint()
        if before != self._weights:
            self._leave_to_kernel("its weights have changed")
        elif self.place == "kernel":
            self._give_to_page()

    def send_to_page(self):
        model = self._model()
        if model is None or self._steps is None or self._is_training:
            return
        weights = browser.weights_of(browser.decoder_of(model))
        self._weights = self._fingerprint()
        content = {"edition": self.edition, "steps": self._steps, "names": list(weights)}
        self.send(content, [*(np.ascontiguousarray(array, "float32") for array in weights.values()), browser.KERNEL])

    def _trains(self, is_training):
        self._is_training = is_training
        if is_training:
            self._leave_to_kernel("the model is in training")
        else:
            self._weights = self._fingerprint()
            self._give_to_page()

    def _leave_to_kernel(self, reason):
        with self.hold_sync():
            self.place, self.reason = "kernel", reason

    def _give_to_page(self):
        with self.hold_sync():
            self.place, self.reason, self.edition = "page", "", self.edition + 1

    def _fingerprint(self):
        total, model = 0, self._model()
        for array in browser.weights_of(browser.decoder_of(model)).values() if model is not None else ():
            total = zlib.crc32(np.ascontiguousarray(array), total)
        return total


_NETWORKS = weakref.WeakKeyDictionary()


class Pool(_OnRequest):
    """Garments to which a page measures distances.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
    """

    view = traitlets.Unicode("pool").tag(sync=True)

    def __init__(self, images):
        self._levels = np.rint(255 * np.asarray(images)).astype("uint8")
        super().__init__()

    def send_to_page(self):
        self.send({"edition": self.edition}, [self._levels])


class Picture(_View):
    """A PNG with its alt text and a caption; ``live`` captions are read aloud as they change.

    A picture with a ``network`` is decoded in the page, from the code that the views in ``follows`` stand for; the PNG
    is what is seen where the page cannot do so. ``code`` says how their values become a code: as they are, or ``base``
    plus their multiples of ``columns``, or a point of the ``arc`` between two codes; and how the ``caption`` of a move
    is worded (widgets.js).
    """

    view = traitlets.Unicode("picture").tag(sync=True)
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    columns = traitlets.Float(1).tag(sync=True)  # width over height
    width = traitlets.Int(196).tag(sync=True)
    network = traitlets.Unicode("").tag(sync=True)
    follows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pool = traitlets.Unicode("").tag(sync=True)
    code = traitlets.Dict().tag(sync=True)

    def show(self, png, caption):
        """Show a new picture and caption, in one message.

        Args:
            png: PNG as bytes.
            caption: Text under the picture.
        """
        with self.hold_sync():
            self.png, self.caption = png, caption


class Pad(_View):
    """A square map with a point that pointer and arrow keys move."""

    view = traitlets.Unicode("pad").tag(sync=True)
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    axes = traitlets.Unicode("").tag(sync=True)
    legend = traitlets.List().tag(sync=True)
    low = traitlets.List(traitlets.Float()).tag(sync=True)
    high = traitlets.List(traitlets.Float()).tag(sync=True)
    point = traitlets.List(traitlets.Float()).tag(sync=True)


def _row(index, name, low, high, note="", spoken=None, heights=(), folded=False):
    return {
        "index": int(index),
        "name": name,
        "note": note,
        "spoken": spoken or name,
        "low": float(low),
        "high": float(high),
        "heights": list(heights),
        "folded": bool(folded),
    }


def _latent_row(space, latent, **changes):
    heights = histogram(space.codes[:, latent], space.low[latent], space.high[latent])
    note = space.says(latent)
    spoken = f"latent {latent}, {note}"
    return _row(latent, f"z[{latent}]", space.low[latent], space.high[latent], note, spoken, heights, **changes)


def _decoded(network, *sources, live=True, **traits):
    """A picture that a page decodes from where sliders or a map stand."""
    follows = [source.model_id for source in sources]
    return Picture(network=network.model_id, follows=follows, live=live, **traits)


def _box(kind, *children):
    box = ipywidgets.Box(children)
    box.add_class(kind)
    return box


class GarmentPicker:
    """Two controls, class and example, for one garment of a split.

    Args:
        dataset: A `data.Dataset`; its validation garments are offered.
        label: What the garment is for, such as "from".
        garment: Tuple (class name or index, example), the garment to begin with; None takes the first one of ``usual``
            or, where there is none, of the first class.
        changed: Function that is called without arguments after another garment was chosen.
        usual: Name of a class.
    """

    def __init__(self, dataset, label, garment, changed, usual="Ankle boot"):
        self._split, self._names = dataset.validation, dataset.class_names
        self._counts = np.bincount(self._split.labels, minlength=len(self._names))
        offered = [(name, i) for i, name in enumerate(self._names) if self._counts[i]]
        if garment is None:
            found = [i for name, i in offered if name == usual]
            garment = (found or [offered[0][1]])[0], 0
        kind, example = self._index(garment[0]), garment[1]
        style, layout = {"description_width": "initial"}, {"width": "auto"}
        self._kind = ipywidgets.Dropdown(options=offered, value=kind, description=label, style=style, layout=layout)
        most = int(self._counts[kind]) - 1
        if not 0 <= example <= most:
            raise ValueError(f"There is no example {example!r} of {self._names[kind]} here; there are 0 to {most}.")
        self._example = ipywidgets.BoundedIntText(
            value=example, min=0, max=most, description="example", style=style, layout={"width": "130px"}
        )
        self._kind.observe(self._other_kind, "value")
        self.box = _box("lw-bar", self._kind, self._example)
        for control in (self._kind, self._example):
            control.observe(lambda change: changed(), "value")

    def _index(self, kind):
        """Index of a class that has garments here."""
        known = [name for name, n in zip(self._names, self._counts, strict=True) if n]
        index = list(self._names).index(kind) if kind in self._names else kind
        if isinstance(index, str) or not 0 <= index < len(self._names) or not self._counts[index]:
            raise ValueError(f"There is no garment of class {kind!r} here; there are: {', '.join(known)}.")
        return int(index)

    def _other_kind(self, change):
        self._example.max = int(self._counts[change["new"]]) - 1  # takes a larger example back to the last

    @property
    def image(self):
        """The chosen garment, (28, 28, 1)."""
        return self._split.of_class(self._kind.value)[self._example.value]

    @property
    def name(self):
        """Name of its class."""
        return self._names[self._kind.value]

    def choose(self, kind, example=0):
        """Choose a garment.

        Args:
            kind: Name or index of the class.
            example: Number of the garment within its class, from 0.
        """
        self._kind.value = self._index(kind)
        self._example.value = example


class _Shell(ipywidgets.VBox):
    """A box of views with a title, a place for errors, and a repr that is the same in every run."""

    def __init__(self, what, title, *children):
        self._what = what
        stand_in = course.stand_in()
        title = f"{title} · {stand_in}" if stand_in else title
        self._error = ipywidgets.HTML()
        self._title = ipywidgets.HTML()
        self._retitle(title)
        super().__init__([self._title, *children, self._error])
        self.add_class("lw-shell")
        _answer_while_a_cell_runs(self)

    def __repr__(self):
        return f"<{self._what}: run the notebook to move them>"

    def _retitle(self, title):
        self._title.value = f'<div class="lw-title">{html.escape(title)}</div>'

    @contextlib.contextmanager
    def _handling(self):
        """Around each handler: one at a time; an error is shown in the widget and raised all the same."""
        with _LOCK:
            try:
                yield
            except Exception as error:
                text = html.escape(f"{type(error).__name__}: {error}")
                self._error.value = f'<div class="lw-error" role="alert">{text}</div>'
                raise
            if self._error.value:
                self._error.value = ""

    def _button(self, text, tooltip, handler):
        button = ipywidgets.Button(description=text, tooltip=tooltip, layout={"width": "auto"})

        def pressed(_):
            with self._handling():
                handler()

        button.on_click(pressed)
        return button


# --------------------------------------------------------------------------------------------------
# Shells: what a notebook calls


class LatentSliders(_Shell):
    """One slider for each latent, beside the garment that the code decodes to.

    Latents are ordered by their mean KL (VAE) or variance (autoencoder) on held-out garments; those a
    model does not use are folded away. A slider covers the middle 99 % of the aggregate posterior,
    whose histogram stands behind it. Buttons: a random code, back to the garment, undo.

    ``z`` can be read and set, (latent_dim,).

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        dataset: A `data.Dataset`; its validation garments are used.
        start: Tuple (class name or index, example), the garment to begin with; None as for `GarmentPicker`.
        name: Name of the model, for the title.
    """

    def __init__(self, model, dataset, start=None, name=None):
        self.model = model
        self.space = space = survey(model, dataset.validation.images[:SURVEYED])
        self._sampler = priors.StandardNormal(model.latent_dim)
        source = "the prior N(0, I)"
        if not model.is_variational:  # it has no prior of its own
            self._sampler, source = priors.FittedGaussian(space.codes), "a Gaussian fitted to the codes"
        self._source = source
        self._seeds = iter(range(1, 1_000_000))
        self._garment = GarmentPicker(dataset, "start from", start, self._picked)
        self._steps = Steps(encode(model, self._garment.image[None])[0])
        self._original = Picture(width=112)  # both fit side by side on a narrow page
        unused = int((~space.used).sum())
        self.sliders = Sliders(
            rows=[_latent_row(space, latent, folded=not space.used[latent]) for latent in space.order],
            values=self._steps.z.tolist(),
            folded=f"{unused} more that this model does not use",
        )
        self.sliders.observe(self._moved, "values")
        self._network = Network.of(model)
        self._decoded = _decoded(self._network, self.sliders, width=196, alt="decoded garment of the sliders' code")
        self._decoded.code = {"caption": "latent"}
        self._undo_button = self._button("Undo", "take back the last change", self._undo)
        buttons = _box(
            "lw-bar",
            self._button("Random", f"a code drawn from {source}", self._random),
            self._button("Reset", "back to the code of the garment", self._reset),
            self._undo_button,
        )
        pictures = _box("lw-columns", self._original, self._decoded)
        left, right = _box("lw-grow", self.sliders), ipywidgets.VBox([self._garment.box, pictures, buttons])
        super().__init__(
            f"Sliders for {model.latent_dim} latents" + (f" of {name}" if name else ""),
            f"{name + ': ' if name else ''}{model.latent_dim} latents, {space.used.sum()} in use, by {space.measure}",
            _box("lw-columns", right, left),
        )
        self._show_original()
        self._show("its code, decoded")

    @property
    def z(self):
        return self._steps.z.copy()

    @z.setter
    def z(self, z):
        self.sliders.values = models.check_codes(np.asarray(z)[None], self.model.latent_dim)[0].tolist()

    def random(self):
        """Draw a code: from N(0, I) for a VAE, from a Gaussian fitted to the codes for an autoencoder."""
        with self._handling():
            self._random()

    def reset(self):
        """Go back to the code of the chosen garment."""
        with self._handling():
            self._reset()

    def undo(self):
        """Take back the last change; moves of one latent in a row are one."""
        with self._handling():
            self._undo()

    def start_from(self, kind, example=0):
        """Start from another garment.

        Args:
            kind: Name or index of the class.
            example: Number of the garment within its class, from 0.
        """
        self._garment.choose(kind, example)

    def _moved(self, change):
        with self._handling():
            values = models.check_codes(np.asarray(change["new"])[None], self.model.latent_dim)[0]
            if np.array_equal(values, self._steps.z):
                return  # set by one of the buttons, which has shown it already
            latent = self._steps.to(values)
            self._show("" if latent is None else f"z[{latent}] = {values[latent]:.2f} · {self.space.says(latent)}")

    def _go(self, z, caption):
        self._steps.to(z)
        self.sliders.values = self._steps.z.tolist()  # before the caption, which the page else takes for an old one
        self._show(caption)

    def _random(self):
        self._go(self._sampler.sample(1, next(self._seeds))[0], f"drawn from {self._source}")

    def _reset(self):
        self._go(encode(self.model, self._garment.image[None])[0], "its code, decoded")

    def _undo(self):
        self.sliders.values = self._steps.back().tolist()
        self._show("one step back")

    def _picked(self):
        with self._handling():
            self._show_original()
            self._reset()

    def _show_original(self):
        name = self._garment.name
        self._original.alt = f"the original garment: {name}"
        self._original.show(garment_png(self._garment.image), f"original: {name}")

    def _show(self, caption):
        self._network.check()
        self._decoded.show(picture_of(self.model, self._steps.z), caption)
        self._undo_button.disabled = not len(self._steps)


latent_sliders = LatentSliders  # what notebooks call it


class InterpolationSlider(_Shell):
    """Two garments, a slider between their codes, and the strip of steps.

    ``fraction`` can be read and set, 0 to 1.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        dataset: A `data.Dataset`; its validation garments are offered.
        first: Tuple (class name or index, example), the garment at the start.
        second: Tuple (class name or index, example), the garment at the end.
        steps: Number of pictures in the strip, both ends included.
    """

    def __init__(self, model, dataset, first=None, second=None, steps=11):
        self.model, self._count = model, steps
        self._ends = [
            GarmentPicker(dataset, "from", first, self._renew, usual="Sneaker"),
            GarmentPicker(dataset, "to", second, self._renew),
        ]
        self._kind = ipywidgets.Dropdown(
            options=["straight", "spherical"], description="way", style={"description_width": "initial"}
        )
        self._kind.layout.width = "auto"
        self._kind.observe(lambda change: self._renew(), "value")
        self.sliders = Sliders(rows=[_row(0, "way", 0, 1, "from · to", "part of the way")], values=[0.5])
        self.sliders.observe(lambda change: self._renew(strip=False), "values")
        self._originals = [Picture(width=112), Picture(width=112)]
        self._network = Network.of(model)
        self._decoded = _decoded(self._network, self.sliders, width=196, alt="decoded garment at this part of the way")
        self._strip = Picture(
            width=56 * steps, columns=steps, alt=f"{steps} decoded steps from one garment to the other"
        )
        super().__init__(
            "Slider between two garments",
            f"{model.latent_dim} latents: the way from one garment's code to another's",
            _box("lw-bar", *[end.box for end in self._ends], self._kind),
            _box("lw-columns", self._originals[0], self._decoded, self._originals[1]),
            self.sliders,
            self._strip,
        )
        self._renew()

    @property
    def fraction(self):
        return self.sliders.values[0]

    @fraction.setter
    def fraction(self, fraction):
        self.sliders.values = [float(fraction)]

    def _renew(self, strip=True):
        with self._handling():
            if not 0 <= self.fraction <= 1:
                raise ValueError(f"fraction is {self.fraction:g}; expected 0 (the first garment) to 1 (the second).")
            if strip:
                self._codes = encode(self.model, np.stack([end.image for end in self._ends]))
                for picture, end, side in zip(self._originals, self._ends, ("from", "to"), strict=True):
                    picture.alt = f"original garment, {side}: {end.name}"
                    picture.show(garment_png(end.image), f"{side}: {end.name}")
                codes = interpolation.interpolate(*self._codes, self._count, self._kind.value)
                self._strip.show(garment_png(decode(self.model, codes)), f"{self._count} steps, {self._kind.value}")
                self._decoded.code = self._way(*self._codes)
            self._network.check()
            z = code_between(*self._codes, self.fraction, self._kind.value)
            self._decoded.show(picture_of(self.model, z), f"{self.fraction:.0%} of the way, {self._kind.value}")

    def _way(self, start, end):
        ends = {"arc": [start.tolist(), end.tolist()]}
        if self._kind.value == "straight":
            ends = {"base": start.tolist(), "columns": [(end - start).tolist()]}
        return {"caption": "way", "kind": self._kind.value, **ends}


interpolation_slider = InterpolationSlider  # what notebooks call it


class LatentPad(_Shell):
    """A map of encoded garments: move over it with pointer or arrow keys and see the decoded garment.

    ``point`` can be read and set, (2,).

    Args:
        model: A `models.Autoencoder` or a `models.VAE` with at least two latents.
        dataset: A `data.Dataset`; its validation garments are drawn on the map.
        latents: Indices of the two latents of the map; the two most important if None. The others keep the value they
            have for the garment ``start``.
        start: Tuple (class name or index, example), the garment to begin with; None as for `GarmentPicker`.

    Raises:
        ValueError: The model has one latent, or ``latents`` are not two of its.
    """

    def __init__(self, model, dataset, latents=None, start=None):
        if model.latent_dim < 2:
            raise ValueError("a map needs two latents; this model has one. Use latent_sliders.")
        split = dataset.validation.head(min(SURVEYED, len(dataset.validation)))
        self.model = model
        self.space = space = survey(model, split.images)
        latents = sorted(space.order[:2].tolist()) if latents is None else list(latents)
        if len(set(latents)) != 2 or not all(0 <= latent < model.latent_dim for latent in latents):
            raise ValueError(f"latents are {latents}; expected two different ones, 0 to {model.latent_dim - 1}.")
        self.latents = latents
        self._garment = GarmentPicker(dataset, "start from", start, self._picked)
        self._z = encode(model, self._garment.image[None])[0]
        low, high = space.low[latents], space.high[latents]
        across, up = (f"z[{latent}]" for latent in latents)
        self.pad = Pad(
            png=map_png(space.centres[:, latents], split.labels, low, high),
            alt=f"Map of {len(split):,} encoded garments, {across} to the right, {up} upwards, coloured by class.",
            axes=f"right {across}: {low[0]:.1f} to {high[0]:.1f} · up {up}: {low[1]:.1f} to {high[1]:.1f}",
            legend=[
                [name, to_hex(plotting.CLASS_COLOURS[i % len(plotting.CLASS_COLOURS)])]
                for i, name in enumerate(dataset.class_names)
            ],
            low=low.tolist(),
            high=high.tolist(),
            point=self._z[latents].tolist(),
        )
        self.sliders = Sliders(
            rows=[{**_latent_row(space, latent), "index": i} for i, latent in enumerate(latents)],
            values=self.pad.point,
        )
        for view, trait in ((self.pad, "point"), (self.sliders, "values")):
            view.observe(self._moved, trait)
        self._network = Network.of(model)
        both, alt = (self.sliders, self.pad), "decoded garment at the point of the map"
        self._decoded = _decoded(self._network, *both, width=252, alt=alt)
        super().__init__(
            f"Map of z{latents}",
            f"z[{latents[0]}] and z[{latents[1]}] of {model.latent_dim} latents",
            _box(
                "lw-columns",
                self.pad,
                _box("lw-grow", ipywidgets.VBox([self._garment.box, self._decoded, self.sliders])),
            ),
        )
        self._show()

    @property
    def point(self):
        return self._z[self.latents].copy()

    @point.setter
    def point(self, point):
        self.pad.point = [float(value) for value in point]

    def _moved(self, change):
        with self._handling():
            if np.array_equal(np.float32(change["new"]), self._z[self.latents]):
                return  # the other view said it already
            z = self._z.copy()
            z[self.latents] = models.check_codes([change["new"]], 2)[0]
            self._z = z
            self.pad.point = self.sliders.values = change["new"]
            self._show()

    def _picked(self):
        with self._handling():
            self._z = encode(self.model, self._garment.image[None])[0]
            self.pad.point = self.sliders.values = self.point.tolist()
            self._show()

    def _show(self):
        columns = np.eye(len(self._z))[self.latents]
        base = self._z * (1 - columns.sum(axis=0))
        names = [f"z[{latent}]" for latent in self.latents]
        self._decoded.code = {"caption": "point", "names": names, "base": base.tolist(), "columns": columns.tolist()}
        self._network.check()
        caption = " · ".join(f"z[{latent}] = {self._z[latent]:.2f}" for latent in self.latents)
        self._decoded.show(picture_of(self.model, self._z), caption)


latent_pad = LatentPad  # what notebooks call it


class ModelComparison(_Shell):
    """The same garment and the same move in several models, side by side.

    Two moves: towards another garment's code, and off in a random direction. The second is counted in
    spreads (standard deviations) of each model's own codes, so that models with larger codes are not
    spared. Under each picture: its distance to the nearest held-out garment. Where it grows, the code
    space has a hole.

    ``fraction`` (0 to 1) and ``offset`` (spreads) can be read and set.

    Args:
        models_: Dict of label to `models.Autoencoder` or `models.VAE`.
        dataset: A `data.Dataset`; its validation garments are used.
        start: Tuple (class name or index, example), the garment to begin with; None as for `GarmentPicker`.
        towards: Tuple (class name or index, example), the garment to move towards.

    Raises:
        ValueError: There are no models.
    """

    def __init__(self, models_, dataset, start=None, towards=None):
        if not models_:
            raise ValueError("there is nothing to compare; give a dict of label to model.")
        self.models = dict(models_)
        images = dataset.validation.images[:SURVEYED]
        self._spread = {label: encode(model, images).std(axis=0) for label, model in self.models.items()}
        self._pool = Neighbours(images)
        self._seed = 1
        self._ends = [
            GarmentPicker(dataset, "start from", start, self._encode, usual="Sneaker"),
            GarmentPicker(dataset, "towards", towards, self._encode),
        ]
        self.sliders = Sliders(
            rows=[
                _row(0, "towards", 0, 1, "of the way", "part of the way towards the other garment"),
                _row(1, "off", 0, 3, "spreads", "off in a random direction, in spreads of the codes"),
            ],
            values=[0.0, 0.0],
        )
        self.sliders.observe(lambda change: self._renew(), "values")
        self._original = Picture(width=140)
        self._networks = {label: Network.of(model) for label, model in self.models.items()}
        garments = Pool(images)
        self.pictures = {
            label: _decoded(
                network, self.sliders, width=168, alt=f"decoded by {label}", pool=garments.model_id, live=False
            )
            for label, network in self._networks.items()
        }
        super().__init__(
            "The same move in several models",
            "The same garment, the same move; distance to the nearest of "
            f"{len(images):,} held-out garments, root mean square a pixel",
            _box("lw-bar", *[end.box for end in self._ends]),
            self.sliders,
            _box("lw-bar", self._button("Another direction", "draw another random direction", self._turn)),
            _box("lw-columns", self._original, *self.pictures.values()),
        )
        self._encode()

    @property
    def fraction(self):
        return self.sliders.values[0]

    @fraction.setter
    def fraction(self, fraction):
        self.sliders.values = [float(fraction), self.offset]

    @property
    def offset(self):
        return self.sliders.values[1]

    @offset.setter
    def offset(self, offset):
        self.sliders.values = [self.fraction, float(offset)]

    def codes(self):
        """Where the move leads in each model: dict of label to z, (latent_dim,)."""
        return {
            label: start + self.fraction * towards + self.offset * off
            for label, (start, towards, off) in self._moves.items()
        }

    def turn(self):
        """Draw another random direction."""
        with self._handling():
            self._turn()

    def _turn(self):
        self._seed += 1
        self._aim()

    def _aim(self):
        """Where each model starts, and what its two moves add."""
        self._moves = {}
        for label, (start, end) in self._codes.items():
            # Models of one latent_dim go in the same direction.
            direction = np.random.default_rng(self._seed).standard_normal(len(start))
            self._moves[label] = start, end - start, self._spread[label] * direction
            base, *columns = (array.tolist() for array in self._moves[label])
            self.pictures[label].code = {"caption": "distance", "label": label, "base": base, "columns": columns}
        self._renew()

    def _encode(self):
        with self._handling():
            ends = np.stack([end.image for end in self._ends])
            self._codes = {label: encode(model, ends) for label, model in self.models.items()}
            name = self._ends[0].name
            self._original.alt = f"the original garment: {name}"
            self._original.show(garment_png(ends[0]), f"original: {name}")
            self._aim()

    def _renew(self):
        with self._handling():
            for label, z in self.codes().items():
                self._networks[label].check()
                x_hat = decode(self.models[label], z[None])[0]
                self.pictures[label].show(garment_png(x_hat), f"{label} · {self._pool.distance(x_hat):.3f}")


compare_models = ModelComparison  # what notebooks call it


class YourImage(_Shell):
    """A picture of the reader's own in a trained model.

    It shows each step from the photo to 28 x 28 pixels, the code and what it decodes to, what the image costs beside
    what held-out images cost, the nearest training images, and in words whether the image is unlike all of them.

    ``image`` is the picture as the model sees it, (28, 28, 1), and ``z`` its code,
    (latent_dim,); None before the first.

    Args:
        model: A `models.VAE`, a `models.Autoencoder` or a `baselines.PCA`.
        dataset: The `data.Dataset` that the model was trained on.
        picture: The first picture, as `show` takes it; None waits for an upload.
        neighbours: Number of nearest training images to show.
    """

    def __init__(self, model, dataset, picture=None, neighbours=6):
        self.model, self.image, self.z = model, None, None
        self._train, self._neighbours = dataset.train, neighbours
        self._detector = novelty.detector(model, dataset)
        self._costs = self._cost(dataset.validation.images[:SURVEYED])
        self._upload = ipywidgets.FileUpload(accept="image/*", description="a picture", layout={"width": "auto"})
        self._upload.observe(self._uploaded, "value")
        self._steps, self._found = _box("lw-columns"), _box("lw-columns")
        self._says = ipywidgets.HTML()
        super().__init__(
            "Your own picture in a model",
            f"Your picture in {model.latent_dim} latents; it stays on this computer",
            _box("lw-bar", self._upload),
            self._steps,
            self._found,
            self._says,
        )
        if picture is not None:
            self.show(picture)

    def show(self, picture):
        """Show a picture.

        Args:
            picture: Path of a file, bytes of one, a PIL image, or an array, as `photos.to_28` takes them.

        Raises:
            DataError: It is no picture, or shows nothing but its ground; what was shown before stays.
        """
        with self._handling():
            image, steps = photos.to_28(picture, steps=True)
            z = encode(self.model, image[None])[0]
            x_hat, cost = decode(self.model, z[None])[0], self._cost(image[None])[0]
            nearest, _ = metrics.nearest_few(image, self._train, self._neighbours)
            self.image, self.z = image, z
            for old in (*self._steps.children, *self._found.children):
                _close(old)
            self._steps.children = [_shot(levels, name) for name, levels in steps.items()]
            self._found.children = [
                _shot(garment_png(x_hat), "its code, decoded", width=168),
                _shot(cost_png(self._costs, cost, self._unit), self._compared(cost), width=300),
                _shot(
                    garment_png(self._train.take(nearest)),
                    f"the {self._neighbours} nearest training images",
                    width=56 * self._neighbours,
                    columns=self._neighbours,
                ),
            ]
            for child in (*self._steps.children, *self._found.children):
                _answer_while_a_cell_runs(child)
            code = ", ".join(f"{value:.1f}" for value in z)
            said = [self._detector.verdict(image), f"Its code: {code}."]
            self._says.value = "".join(f"<p>{html.escape(line)}</p>" for line in said)

    @property
    def _unit(self):
        return "nats" if self.model.is_variational else "squared error"

    def _cost(self, images):
        """Negative ELBO in nats (VAE), or squared error summed over pixels, (n,)."""
        with _LOCK:
            if self.model.is_variational:
                return np.sum(metrics.elbo_per_image(self.model, images), axis=0)
            return np.square(images - self.model.reconstruct(images)).sum(axis=(1, 2, 3))

    def _compared(self, cost):
        dearer = (self._costs >= cost).mean()
        return f"It costs {cost:.1f} {self._unit}; {dearer:.0%} of {len(self._costs):,} held-out images cost as much."

    def _uploaded(self, change):
        if change["new"]:
            self.show(bytes(change["new"][0]["content"]))


your_image = YourImage  # what notebooks call it


def _shot(png, caption, **traits):
    """A `Picture` of PNG bytes or of levels, uint8 (h, w) or (h, w, 3); its caption is what a screen reader says."""
    if isinstance(png, np.ndarray):
        picture = Image.fromarray(png)
        picture.thumbnail((280, 280))
        traits = {"columns": picture.width / picture.height, "width": 112, **traits}
        stream = io.BytesIO()
        picture.save(stream, format="png")
        png = stream.getvalue()
    return Picture(png=png, alt=caption, caption=caption, **traits)


def shipped(dataset):
    """Names of the models that have stored weights for a data set, as a list."""
    found = []
    for name in checkpoints.names():
        with contextlib.suppress(FileNotFoundError):
            checkpoints.manifest(name, dataset.slug)
            found.append(name)
    return found


class Explorer(_Shell):
    """Any shipped model: choose it, then move its latents; a model with two latents gets its map too.

    ``name`` can be read and set; ``tool`` is the `LatentSliders` or `LatentPad` of the chosen model.

    Args:
        dataset: A `data.Dataset`.
        names: Names from `checkpoints.names`; all that have stored weights for ``dataset`` if None.
        start: Tuple (class name or index, example), the garment to begin with; None as for `GarmentPicker`.
    """

    def __init__(self, dataset, names=None, start=None):
        names = shipped(dataset) if names is None else names
        if not names:
            raise ValueError("there is no model to explore; `make checkpoints` trains them.")
        self._dataset, self._start = dataset, start
        abouts = {name: checkpoints.plan(name).about for name in names}
        self._choice = ipywidgets.Dropdown(
            options=[(f"{name}: {about}", name) for name, about in abouts.items()],
            value="dense_vae_10" if "dense_vae_10" in names else names[0],
            description="model",
            style={"description_width": "initial"},
            layout={"width": "auto", "max_width": "100%"},
        )
        self._choice.observe(self._chosen, "value")
        self._place = ipywidgets.VBox()
        super().__init__(
            "Explorer of the shipped models", f"{len(names)} models, {dataset.name}", self._choice, self._place
        )
        self._chosen()

    @property
    def name(self):
        return self._choice.value

    @name.setter
    def name(self, name):
        self._choice.value = name

    def _chosen(self, change=None):
        with self._handling():
            model = checkpoints.load(self.name, self._dataset.slug)
            tools = [LatentSliders(model, self._dataset, self._start, self.name)]
            if model.latent_dim == 2:
                tools.append(LatentPad(model, self._dataset, start=self._start))
            for old in self._place.children:
                _close(old)
            self.tool = tools[0]
            self._place.children = tools


explorer = Explorer  # what notebooks call it


def write_page(
    models_,
    dataset,
    path,
    title="Latent Wardrobe: the explorer",
    start=None,
    towards=None,
    drawing=True,
    open_maps=False,
):
    """Write an explorer of models as one HTML file that needs no Python, no network and no server.

    It decodes in the browser, with weights rounded to eight bits; encoders of dense layers are packed too, so that the
    page can encode a reader's own picture. At its start it compares itself with Python on stored codes and images.

    Args:
        models_: Dict from the name shown to an `Autoencoder` or `VAE`; one to about four.
        dataset: A `data.Dataset`; garments to start from are taken from its test images.
        path: Where to write; a missing folder is made.
        title: Heading of the page.
        start: Name of the class of the first garment; None takes the last class.
        towards: Name of the class of the garment at the end of the way; None takes the first class.
        drawing: Whether the page has a place for a reader's own picture.
        open_maps: Whether the maps of two latents are open at the start.

    Returns:
        The path, a `Path`.

    Raises:
        ValueError: There are no models, or no garment of the class ``start`` or ``towards``.
        browser.NotForThePage: The page cannot run a layer of a model; nothing is written.
        files.UnwritableFile: The file cannot be written.
    """
    if not models_:
        raise ValueError("there is nothing to explore; give a dict of name to model.")
    garments = np.concatenate([np.flatnonzero(dataset.test.labels == k)[:3] for k in range(len(dataset.class_names))])
    images, kinds = dataset.test.take(garments), dataset.test.labels[garments].tolist()
    offered = [dataset.class_names[kind] for kind in kinds]
    for name in (start, towards):
        if name is not None and name not in offered:
            raise ValueError(f"there is no garment of class {name!r}; there are: {', '.join(dict.fromkeys(offered))}.")
    ways = "walk from one garment to another, or draw your own" if drawing else "or walk from one garment to another"
    content = browser.page(
        {
            "title": title,
            "about": "Each model turns a garment into a few numbers and back. "
            f"Move them, {ways}. Everything is computed in this page.",
            "drawing": drawing,
            "open_maps": open_maps,
            "classes": list(dataset.class_names),
            "colours": [to_hex(colour) for colour in plotting.CLASS_COLOURS[: len(dataset.class_names)]],
            "labels": kinds,
            "start": [offered.index(start or offered[-1]), offered.index(towards or offered[0])],
            "garments": browser.text(browser.deflated(np.rint(255 * images).astype("uint8"))),
            "models": [_for_the_page(name, model, dataset, images) for name, model in models_.items()],
        }
    )
    path = course.path_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.written_aside(path) as aside:
        aside.write_text(content, encoding="utf-8")
    return path


def _for_the_page(name, model, dataset, garments, proofs=2):
    """What the page has to know of a model; see page.js."""
    decoder = browser.decoder_of(model)
    held_out = dataset.validation.head(min(SURVEYED, len(dataset.validation)))
    space = survey(model, held_out.images)
    has_encoder = all(hasattr(layer, "units") or not layer.weights for layer in model.encoder.layers)
    is_priced = model.is_variational and model.likelihood == "bernoulli"
    rounded = browser.rounded(decoder)
    z = priors.StandardNormal(model.latent_dim).sample(proofs, seed=1)
    numbers = {
        "name": name,
        "about": f"{model.latent_dim} latents, {model.name.replace('_', ' ')}",
        "latent_dim": model.latent_dim,
        "says": [space.says(latent) for latent in range(model.latent_dim)],
        "low": space.low.round(3).tolist(),
        "high": space.high.round(3).tolist(),
        "order": space.order.tolist(),
        "shown": int(min(space.used.sum(), 10)),
        "heights": [histogram(*column) for column in zip(space.codes.T, space.low, space.high, strict=True)],
        "codes": browser.text(browser.deflated(encode(model, garments))),
        "map": _map_for_the_page(space, held_out.labels),
        "decoder": browser.network(decoder),
        "proof": {"z": z.tolist(), "x_hat": _floats(rounded(z))},
        "log_var_range": models.LOG_VAR_RANGE,
    }
    if not has_encoder:
        return numbers
    network = browser.network(model.encoder)
    if not is_priced:
        network["outputs"] = network["outputs"][:1]
    encoder = browser.rounded(model.encoder)
    chosen = np.linspace(0, len(garments) - 1, proofs).astype(int)
    encoded = encoder(garments[chosen])
    means = encoded[0] if model.is_variational else encoded
    numbers["encoder"], numbers["limit"] = network, _limit_of_garments(model, held_out.images, is_priced)
    numbers["proof"] |= {"images": chosen.tolist(), "reconstructed": _floats(rounded(means))}
    return numbers


def _floats(tensor):
    return browser.text(browser.deflated(ops.convert_to_numpy(tensor).astype("float32")))


def _map_for_the_page(space, labels, dots=400):
    """The two latents that say most, and where garments lie, in shares of the sliders' ranges."""
    latents = space.order[[0, min(1, len(space.order) - 1)]]
    places = (space.centres[:dots, latents] - space.low[latents]) / (space.high - space.low)[latents]
    points = [[*place, int(label)] for place, label in zip(places.round(3).tolist(), labels, strict=False)]
    return {"latents": latents.tolist(), "points": points}


def _limit_of_garments(model, images, is_priced):
    """What 99 of 100 held-out garments stay below: nats above their own entropy, z = z_mean; or mean squared error."""
    with _LOCK:
        x_hat = model.reconstruct(images)
        if not is_priced:
            return float(np.percentile(np.square(images - x_hat).mean(axis=(1, 2, 3)), 99))
        nats = losses.bernoulli(images, x_hat) - losses.bernoulli(images, images) + losses.kl(*model.encode(images))
    return float(np.percentile(ops.convert_to_numpy(nats), 99))


def _answer_while_a_cell_runs(widget):
    """Let a widget and all inside it hear the browser while a cell runs.

    JupyterLab sends the moves of widgets to a subshell of the kernel, which answers beside the running cell. ipykernel
    7.4 hands them to the shell in which the widget was made instead, so that they wait for the cell, unless this
    attribute of the comm is absent or None (findings/ipykernel_comm_leaves_its_subshell.sh).
    """
    for child in getattr(widget, "children", ()):
        _answer_while_a_cell_runs(child)
    if widget.comm is not None:
        widget.comm._reply_subshell_for = None


def _close(widget):
    """Close a widget and all inside it, so that the browser forgets them."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
