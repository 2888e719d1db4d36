"""Every picture; each function returns a matplotlib Figure.

Figures carry a text for readers who cannot see them, ``figure.alt``: what the picture contains,
never what it turned out to show. `show` puts it into the notebook beside the picture. Figures are
made without pyplot, so they can be drawn in any thread and need no closing. Colours are seaborn's
colour-blind palette; garments have one grey map.
"""

import functools
import html
import io
import itertools
import threading

import numpy as np
from matplotlib import patheffects, style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch, Patch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image
from scipy.special import expit, ndtr, ndtri, xlogy

from helpers import course, interpolation, seeds
from helpers.dataset import check_scale, pieces

GREY = "gray_r"  # dark garment on white paper reads best beside text
# Seaborn's "colorblind" palette. Seaborn itself is imported where it draws, because its import takes most of a second.
_HEX = "#0173b2 #de8f05 #029e73 #d55e00 #cc78bc #ca9161 #fbafe4 #949494 #ece133 #56b4e9"
COLOURS = [to_rgb(colour) for colour in _HEX.split()]
# Ten classes on white: dark enough to be seen there (contrast of 3 and more) and as far apart as could be found,
# also for eyes without red or green cones.
_HEX = "#0027fe #b39100 #43a761 #aa2c00 #af5deb #6d0049 #eb008f #1aa1bb #613928 #002c8f"
CLASS_COLOURS = [to_rgb(colour) for colour in _HEX.split()]
# One style for all figures. At 900 pixels, the width of a notebook, letters can be read at half the size too.
STYLE = {
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.labelsize": 10.5,
    "figure.titlesize": 12,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
DPI = 100
CLEAR_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


_STYLE = threading.RLock()  # matplotlib's settings are those of the whole process


def in_own_style(function):
    """Let a function draw in the course's own style, whatever the reader has set: colours are chosen for it.

    Args:
        function: Function that draws.
    """

    @functools.wraps(function)
    def drawn(*args, **kwargs):
        with _STYLE, style.context(["default", STYLE]):
            return function(*args, **kwargs)

    return drawn


def show(figure, alt=None):
    """Display a figure in a notebook, and its alt text where screen readers find it.

    Neither JupyterLab nor nbconvert's page puts the alt text of a picture's metadata on the picture. An image of one
    clear pixel follows each picture and carries the text. The picture itself stays PNG, which every viewer of notebooks
    shows; not every one shows pictures inside HTML.

    Args:
        figure: Matplotlib Figure from this module.
        alt: Alt text to use instead of the figure's own.
    """
    from IPython.display import display

    text = alt or figure.alt
    if course.stand_in():
        figure.supxlabel(course.stand_in(), x=0.99, ha="right", fontsize=9, color="0.4")
        text = f"{text} ({course.stand_in()})"
    if not course.in_notebook():
        print(f"<Figure: {text}>")
        return
    display(
        {"image/png": png(figure), "text/plain": f"<Figure: {text}>"},
        metadata={"image/png": {"alt": text}},
        raw=True,
    )
    display({"text/html": f'<img alt="{html.escape(text)}" src="{CLEAR_PIXEL}" width="1" height="1">'}, raw=True)


@in_own_style
def png(figure):
    """A figure as PNG bytes with a palette of 256 colours, less than half the size of the full one."""
    stream, small = io.BytesIO(), io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    # Maximum coverage keeps rare colours apart, such as the classes of a scatter beside a grey picture.
    palette = Image.open(stream).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def _figure(width, height, alt):
    """A Figure of so many inches, with its alt text."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.alt = alt
    return figure


def _in_words(n):
    return "ten" if n == 10 else str(n)


def _despine(axes, left=False, bottom=False):
    """Hide the frame's upper and right side, and further sides where asked."""
    sides = ["top", "right"] + ["left"] * left + ["bottom"] * bottom
    axes.spines[sides].set_visible(False)


# The notebooks of the course: number, short name, place in the map (column, row from the top), what is needed first.
STATIONS = {
    1: ("pixels", (0, 0), ()),
    2: ("dense\nautoencoder", (1, 0), (1,)),
    3: ("dense VAE", (2, 0), (2,)),
    4: ("convolutional\nVAE", (3, 0), (3,)),
    5: ("settings\nand luck", (4, 0), (4,)),
    6: ("comparison", (5, 0), (5,)),
    7: ("latent\nexplorer", (3, 1), (3,)),
    8: ("conditional\nVAE", (2, 1), (3,)),
    9: ("learned priors", (5, 1), (6,)),
    10: ("disentangle-\nment", (4, 1), (7,)),
}
PLANNED = (8, 9, 10)


@in_own_style
def plot_course_map(current):
    """The way through the course: a station for each notebook, arrows from what is needed first.

    Args:
        current: Number of the notebook to mark, 1 to 10.

    Raises:
        ValueError: No notebook has that number.
    """
    if current not in STATIONS:
        raise ValueError(f"the notebooks have the numbers 1 to {max(STATIONS)}; {current!r} is none of them.")
    name = STATIONS[current][0].replace("-\n", "").replace("\n", " ")
    figure = _figure(
        9,
        1.6,
        f"The way through the course, notebooks 01 to {max(STATIONS)} with arrows from what is needed first; "
        f"notebook {current:02d}, {name}, is marked.",
    )
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 5.5), ylim=(1.5, -0.5))
    axes.set_axis_off()
    boxes = {}
    for number, (label, (column, row), _) in STATIONS.items():
        planned, here = number in PLANNED, number == current
        boxes[number] = FancyBboxPatch(
            (column - 0.43, row - 0.31),
            0.86,
            0.62,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=COLOURS[0] if here else "white" if planned else "#dcebf5",
            edgecolor="0.45" if planned else COLOURS[0],
            linestyle="--" if planned else "-",
            linewidth=1.2,
            mutation_aspect=1.1,
        )
        axes.add_patch(boxes[number])
        ink = "white" if here else "0.3" if planned else "black"
        text = f"{number:02d}\n{label}" if "\n" not in label else f"{number:02d} {label}"
        axes.text(column, row, text, ha="center", va="center", fontsize=10, color=ink, linespacing=1.1)
    for number, (_, place, needs) in STATIONS.items():
        for needed in needs:
            arrow = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 1, "shrinkB": 1, "mutation_scale": 12}
            arrow |= {"patchA": boxes[needed], "patchB": boxes[number]}
            axes.annotate("", place, STATIONS[needed][1], arrowprops=arrow)
    note = "An arrow leads from what\nis needed first. Dashed: planned."
    axes.text(-0.43, 1, note, fontsize=10, color="0.3", va="center")
    return figure


def _garment(axes, image, title=None, vmin=0.0, vmax=1.0):
    """One grey image (28, 28) or (28, 28, 1) on axes without ticks."""
    if (vmin, vmax) == (0, 1):
        check_scale(image)
    axes.imshow(np.squeeze(image), cmap=GREY, vmin=vmin, vmax=vmax, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title)


def tile(images, columns):
    """Lay images out in one array, row by row.

    Args:
        images: Array (n, 28, 28, 1) or (n, 28, 28).
        columns: Number of images in a row.

    Returns:
        Array float32 (rows * 28, columns * 28); missing places are 0.
    """
    images = check_scale(images).astype("float32", copy=False).reshape(-1, 28, 28)
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * columns, 28, 28), "float32")
    sheet[: len(images)] = images
    return sheet.reshape(rows, columns, 28, 28).swapaxes(1, 2).reshape(rows * 28, columns * 28)


@in_own_style
def plot_rows(rows, title="", scale=0.72, alt=None):
    """Rows of images with a label each: the course's standard comparison.

    Args:
        rows: Dict of label to images (n, 28, 28, 1); rows may differ in length.
        title: Text above the figure.
        scale: Size of an image in inches.
        alt: Alt text; made from the labels if None.
    """
    longest = max(len(images) for images in rows.values())
    labels = [label.replace("\n", " ") for label in rows]
    label_width = 0.25 + 0.085 * max(len(line) for label in rows for line in label.split("\n"))
    figure = _figure(
        label_width + scale * longest,
        0.35 * bool(title) + (scale + 0.06) * len(rows),
        alt or f"{len(rows)} rows of {longest} garment pictures: {', '.join(labels)}.",
    )
    # The usual engine loses the ends of labels beside pictures that keep their shape.
    figure.set_layout_engine("compressed")
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(grid, rows.items(), strict=True):
        _garment(axes, tile(images, longest))
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    if title:
        figure.suptitle(title)
    return figure


@in_own_style
def plot_sheet(images, columns=10, title="", scale=0.6, alt=None):
    """A sheet of images without labels.

    Args:
        images: Array (n, 28, 28, 1).
        columns: Number of images in a row.
        title: Text above the sheet.
        scale: Size of an image in inches.
        alt: Alt text; made from the numbers if None.
    """
    rows = -(-len(images) // columns)
    figure = _figure(
        scale * columns,
        scale * rows + 0.35 * bool(title),
        alt or f"Sheet of {len(images)} garment pictures in {rows} rows. {title}".strip(),
    )
    _garment(figure.subplots(), tile(images, columns), title)
    return figure


@in_own_style
def plot_classes(split, class_names, examples=10, title="", seed=1):
    """A class sheet: one row for each class, the first column its mean image.

    Args:
        split: A `data.Split`.
        class_names: Names of the classes.
        examples: Number of images of each class, drawn at random.
        title: Text above the sheet.
        seed: Seeds the draw.
    """
    generator = seeds.generator(seed)
    rows = {}
    for label, name in enumerate(class_names):
        images = split.of_class(label)
        chosen = images[generator.choice(len(images), examples, replace=False)]
        rows[name] = np.concatenate([images.mean(axis=0, keepdims=True), chosen])
    number, names = _in_words(len(class_names)).capitalize(), ", ".join(class_names)
    alt = f"{number} rows, one a class ({names}): the mean image, then {examples} random examples."
    return plot_rows(rows, title or "Mean image, then examples", alt=alt)


@in_own_style
def plot_class_sheets(splits, class_names, examples=5, seed=1):
    """Class sheets of several data sets side by side: one row for each class, the mean image first.

    Args:
        splits: Dict of label to `dataset.Split`.
        class_names: Names of the classes.
        examples: Number of images of each class, drawn at random.
        seed: Seeds the draw.
    """
    number = _in_words(len(class_names))
    alt = (
        f"Class sheets side by side, {number} rows each: the mean image, then {examples} examples; {', '.join(splits)}."
    )
    figure = _figure(1.2 + 0.62 * (examples + 1) * len(splits), 6.4, alt)
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axes, (label, split) in zip(panels, splits.items(), strict=True):
        generator, rows = seeds.generator(seed), []
        for k in range(len(class_names)):
            images = split.of_class(k)
            chosen = images[generator.choice(len(images), examples, replace=False)]
            rows += [images.mean(axis=0, keepdims=True), chosen]
        _garment(axes, tile(np.concatenate(rows), examples + 1), label)
        axes.set_yticks(14 + 28 * np.arange(len(class_names)), class_names)
        axes.tick_params(length=0)
    return figure


@in_own_style
def plot_reconstruction(models, images, title="Held-out garments and their reconstructions"):
    """Images above what models make of them.

    Args:
        models: A model, or a dict of label to model: anything with ``reconstruct``.
        images: Array (n, 28, 28, 1) of about ten images.
        title: Text above the figure.
    """
    models = models if isinstance(models, dict) else {"reconstruction": models}
    rows = {"input": images} | {label: model.reconstruct(images) for label, model in models.items()}
    return plot_rows(rows, title)


@in_own_style
def plot_generation(models, n=10, seed=1, z=None, title="Decoded from the same random codes"):
    """What models make of codes drawn from N(0, I); models of one latent_dim get the same codes.

    Args:
        models: A model, or a dict of label to model.
        n: Number of images from each model.
        seed: Seeds the codes.
        z: Codes (n, latent_dim) to use instead of random ones.
        title: Text above the figure.
    """
    models = models if isinstance(models, dict) else {"prior samples": models}
    rows = {label: model.sample(n, seed) if z is None else model.decode(z) for label, model in models.items()}
    return plot_rows(rows, title)


@in_own_style
def plot_interpolation(model, first, second, steps=11, kinds=("straight", "spherical")):
    """The interpolation from one encoded garment to another, decoded step by step.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        first: Image at the start, (28, 28, 1).
        second: Image at the end, (28, 28, 1).
        steps: Number of pictures, both ends included.
        kinds: Kinds of interpolation, a row for each; see `interpolation.interpolate`.
    """
    start, end = model.code(np.stack([first, second]))
    rows = {kind: model.decode(interpolation.interpolate(start, end, steps, kind)) for kind in kinds}
    pixels = np.linspace(0, 1, steps)[:, None, None, None]
    rows["mixed pixels"] = ((1 - pixels) * first + pixels * second).astype("float32")
    return plot_rows(rows, "From one garment to another: through the code, and pixel by pixel")


@in_own_style
def plot_traversal(model, z, order, ranges, steps=9, kl=None, title="One latent moves, the others stay"):
    """One row for each latent: the latent goes through its range, the others keep their value.

    Args:
        model: Any model with ``decode``.
        z: The code to start from, (latent_dim,).
        order: Indices of the latents from top to bottom.
        ranges: Lowest and highest value of each latent, (latent_dim, 2).
        steps: Number of pictures in a row.
        kl: Mean KL of each latent in nats, to print beside its number; or None.
        title: Text above the figure.
    """
    rows = {}
    for latent in order:
        codes = np.repeat(np.asarray(z, "float32")[None], steps, axis=0)
        codes[:, latent] = np.linspace(*ranges[latent], steps)
        label = f"z[{latent}]" + (f"\n{kl[latent]:.2f} nats" if kl is not None else "")
        rows[label] = model.decode(codes)
    alt = f"{len(rows)} rows of {steps} garments; in each row one latent goes through its range, the others stay."
    return plot_rows(rows, title, alt=alt)


def _scatter_classes(axes, points, labels, class_names):
    """Points coloured by class, drawn in mixed order so that no class hides another; names at the classes' medians.

    The limits of the axes have to stand already: names that would lie on one another are moved apart within them.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    order = np.random.default_rng(1).permutation(len(points))
    colours = np.array(CLASS_COLOURS)[labels[order] % len(CLASS_COLOURS)]
    axes.scatter(*points[order].T, s=7, c=colours, alpha=0.5, linewidths=0, zorder=2)
    shown = [label for label in range(len(class_names)) if (labels == label).any()]
    if not shown:
        return
    medians = np.array([np.median(points[labels == label], axis=0) for label in shown])
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    # A letter is about 0.09 inches wide, a line 0.18 inches high; the axes fill most of their part of the figure.
    rows, columns = axes.get_subplotspec().get_gridspec().get_geometry()
    width, height = axes.figure.get_size_inches() * 0.8 / (columns, rows)
    lengths = [0.09 * len(class_names[label]) / width for label in shown]
    inside = np.column_stack([np.minimum(lengths, 1), np.full(len(shown), 0.18 / height)]) / 2 + 0.01
    shares = np.clip((medians - low) / (high - low), inside, 1 - inside)
    places = low + _apart(shares, lengths, 0.18 / height) * (high - low)
    for label, place in zip(shown, places, strict=True):
        axes.text(
            *place,
            class_names[label],
            color=CLASS_COLOURS[label % len(CLASS_COLOURS)],
            weight="bold",
            ha="center",
            va="center",
            clip_on=True,
            zorder=5,
            path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
        )


def _apart(places, lengths, height, steps=200):
    """Move texts up and down until none lies on another.

    Args:
        places: Middles of the texts, (n, 2), in shares of the axes.
        lengths: Length of each text, in the same unit.
        height: Height of a line.
        steps: Most rounds of moving.

    Returns:
        The new middles, (n, 2); places of texts that touch none are unchanged.
    """
    places = np.array(places, "float64")
    for _ in range(steps):
        moved = False
        for i, j in itertools.combinations(np.argsort(places[:, 1], kind="stable"), 2):
            near = abs(places[i, 0] - places[j, 0]) < (lengths[i] + lengths[j]) / 2
            overlap = height - (places[j, 1] - places[i, 1])
            if near and overlap > 1e-9:
                places[[i, j], 1] += (-overlap / 2, overlap / 2)
                moved = True
        if not moved:
            break
    return places


def _prior_circles(axes):
    """Circles of N(0, I) in a plane of two latents, one and two standard deviations from the middle, and their name."""
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color="black", linewidth=1.1, linestyle="--", zorder=4))
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    if min(4 / (right - left), 4 / (high - low)) < 0.4:
        return  # too small a circle for a name
    outline = [patheffects.withStroke(linewidth=3, foreground="white")]
    text = "N(0, I): 1 and 2 s.d."
    axes.text(0, -2, text, ha="center", va="top", clip_on=True, zorder=5, path_effects=outline)


@in_own_style
def plot_latent_map(model, split, class_names, uniform=False, size=20, reach=3.0):
    """A 2-D code space: encoded garments on the left, decoded points of the same square on the right.

    Args:
        model: An `Autoencoder` or `VAE` with latent_dim 2.
        split: A `data.Split` of held-out images to encode.
        class_names: Names of the classes.
        uniform: Whether to show Phi(z) instead of z, so that N(0, I) fills the unit square evenly. VAE only.
        size: Number of decoded pictures on a side.
        reach: Half of the square's side: it goes from -reach to reach; for an autoencoder the codes' own range counts.

    Raises:
        ValueError: The model's code has not two numbers.
    """
    if model.latent_dim != 2:
        raise ValueError(f"a map needs latent_dim 2; this model has {model.latent_dim}.")
    points = model.code(split.images)
    if uniform:
        points, low, high = ndtr(points), np.zeros(2), np.ones(2)
    elif model.is_variational:
        low, high = np.full(2, -reach), np.full(2, reach)
    else:
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
    what = "Φ(z)" if uniform else "z"
    side = (np.arange(size) + 0.5) / size
    right, up = np.meshgrid(side, side[::-1])
    codes = np.stack([right.ravel(), up.ravel()], axis=1)
    codes = ndtri(codes) if uniform else low + codes * (high - low)
    figure = _figure(
        9.2,
        4.9,
        f"Two maps of the same square of {what}: left, {len(points):,} encoded garments coloured by class; "
        f"right, {size} by {size} decoded points.",
    )
    left, picture = figure.subplots(1, 2)
    left.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="auto", title=f"encoder: garments in {what}")
    _scatter_classes(left, points, split.labels, class_names)
    if model.is_variational and not uniform:
        _prior_circles(left)
    extent = (low[0], high[0], low[1], high[1])
    picture.imshow(tile(model.decode(codes), size), cmap=GREY, vmin=0, vmax=1, extent=extent, aspect="auto")
    picture.set_title(f"decoder: points of {what}")
    for axes in (left, picture):
        axes.set(xlabel=f"{what}[0]", ylabel=f"{what}[1]")
        axes.set_box_aspect(1)
    return figure


@in_own_style
def plot_activations(functions, reach=4.0, title="Activations, and their slopes"):
    """Activations side by side: what comes out for what goes in, and the slope by which a gradient is multiplied.

    Args:
        functions: Dict of label to function, which takes an array of inputs and returns as many outputs.
        reach: Inputs go from -reach to reach.
        title: Text above the figure.
    """
    inputs = np.linspace(-reach, reach, 401)
    figure = _figure(
        2.4 * len(functions),
        2.7,
        f"Curves of output and slope against the input, from {-reach:g} to {reach:g}, a panel each: "
        f"{', '.join(functions)}.",
    )
    panels = figure.subplots(1, len(functions), sharey=True, squeeze=False)[0]
    for axes, (label, function) in zip(panels, functions.items(), strict=True):
        outputs = function(inputs)
        axes.plot(inputs, outputs, color=COLOURS[0], linewidth=2, label="output")
        axes.plot(inputs, np.gradient(outputs, inputs), color=COLOURS[3], linestyle="--", label="slope")
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set(title=label, xlabel="input")
        _despine(axes)
    panels[0].legend(frameon=False, loc="upper left")
    figure.suptitle(title)
    return figure


@in_own_style
def plot_history(history, title="Training", log=False):
    """Losses of one training, epoch by epoch: training and validation.

    Args:
        history: Dict from `training.fit`.
        title: Text above the figure.
        log: Whether losses have a logarithmic axis, for use where the first epochs would flatten the rest.
    """
    parts = ["negative_elbo", "reconstruction", "kl"] if "kl" in history else ["mse"]
    names = {"negative_elbo": "negative ELBO", "kl": "KL", "mse": "MSE per pixel", "reconstruction": "reconstruction"}
    figure = _figure(
        3.4 * len(parts) + (0.4 if len(parts) > 1 else 2.4),
        3.1,
        f"Curves over epochs for training and validation: {', '.join(names[part] for part in parts)}.",
    )
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        epochs = np.arange(1, len(history[part]) + 1)
        for prefix, label, colour in (("", "training", COLOURS[0]), ("val_", "validation", COLOURS[1])):
            axes.plot(epochs, history[prefix + part], label=label, color=colour)
        axes.set(title=names[part], xlabel="epoch", ylabel="" if part == "mse" else "nats per image")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if log:
            axes.set_yscale("log")
            _plain_ticks(axes)
        _despine(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(title)
    return figure


def _plain_ticks(axes):
    """Write a logarithmic y axis as .01, .02, .05 and not as powers of ten."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


@in_own_style
def plot_lines(frame, x, y, hue=None, title="", xlabel=None, ylabel=None, log=False, alt=None):
    """A line chart from a table, one line for each group, with the spread over repeated rows.

    Args:
        frame: A pandas DataFrame with one row for each measurement.
        x: Column on the horizontal axis.
        y: Column on the vertical axis.
        hue: Column that names the group of a row; None makes one group.
        title: Text above the figure.
        xlabel: Text below; the column's name if None.
        ylabel: Text at the vertical axis; the column's name if None.
        log: Axes that are logarithmic (base 2 for x): "x", "y" or "xy"; False for none.
        alt: Alt text; made from the labels if None.
    """
    import seaborn as sns

    xlabel, ylabel = xlabel or x, ylabel or y
    figure = _figure(
        6.4, 3.8, alt or f"Line chart of {ylabel} against {xlabel}{', a line each ' + hue if hue else ''}."
    )
    axes = figure.subplots()
    groups = frame[hue].nunique() if hue else 1
    sns.lineplot(
        frame,
        x=x,
        y=y,
        hue=hue,
        style=hue,
        markers=bool(hue),
        dashes=False,
        palette=list(itertools.islice(itertools.cycle(COLOURS), groups)) if hue else None,
        errorbar=("pi", 100),
        ax=axes,
    )
    repeated = frame.duplicated([x, hue] if hue else [x]).any()
    note = "\n(band: from the lowest to the highest of the repeats)" if repeated else ""
    axes.set(title=title, xlabel=xlabel + note, ylabel=ylabel)
    if frame[x].dtype.kind == "i":  # there is no epoch 1.5
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if log and "x" in log:
        axes.set_xscale("log", base=2)
        ticks = sorted(frame[x].unique())
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if log and "y" in log:
        axes.set_yscale("log")
        _plain_ticks(axes)
    if hue:
        _name_lines(axes, frame[x].max())
    _despine(axes)
    return figure


def _name_lines(axes, end):
    """Write the names of up to five lines that reach the right end beside them, in their colours; else keep a legend.

    Args:
        axes: Axes with a legend, whose scales stand already.
        end: The last place on the horizontal axis.
    """
    handles, names = axes.get_legend_handles_labels()
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    if len(drawn) != len(names) or len(names) > 5 or any(line.get_xdata()[-1] != end for line in drawn):
        axes.legend(handles, names, title="", loc="center left", bbox_to_anchor=(1.01, 0.5))
        return
    axes.get_legend().remove()
    ends = [(end, line.get_ydata()[-1]) for line in drawn]
    shares = axes.transAxes.inverted().transform(axes.transData.transform(ends))
    for name, line, (_, height) in zip(names, drawn, _apart(shares, [1] * len(names), 0.065), strict=True):
        place = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
        axes.annotate(name, (1.015, height), color=line.get_color(), weight="bold", **place)


@in_own_style
def plot_estimates(groups, truth, title="", xlabel=""):
    """Histograms of repeated estimates of one number, one group above the other.

    Args:
        groups: Dict of label to estimates, (n,).
        truth: The number all of them estimate; drawn as a line.
        title: Text above the figure.
        xlabel: Text below.
    """
    figure = _figure(
        6.4,
        1.15 * len(groups) + 0.9,
        f"Histograms of repeated estimates, a row each: {', '.join(groups)}; a line marks the true value.",
    )
    low, high = np.percentile(np.concatenate(list(groups.values())), [0.1, 99.9])
    edges = np.linspace(min(low, truth), max(high, truth), 70)
    rows = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for axes, colour, (label, values) in zip(rows, itertools.cycle(COLOURS), groups.items(), strict=False):
        axes.hist(values, edges, color=colour)
        axes.axvline(truth, color="black", linewidth=1, linestyle="--")
        axes.set(yticks=[])
        axes.set_title(label, loc="left")
        _despine(axes, left=True)
    rows[-1].set_xlabel(xlabel + (" · " if xlabel else "") + "dashed: true value")
    figure.suptitle(title)
    return figure


@in_own_style
def plot_coverage(panels, truth=0.0, title="", xlabel=""):
    """Intervals as bars below one another, a panel for each way of making them; those that miss the truth are marked.

    Args:
        panels: Dict of label to (centres, half widths), each (n,).
        truth: The number that all intervals should hold; drawn as a line.
        title: Text above the figure.
        xlabel: Text below.
    """
    n = max(len(centres) for centres, _ in panels.values())
    alt = f"{n} intervals as bars in each panel, a line at the true value, those that miss it in another colour: "
    figure = _figure(7.6, 0.09 * n + 1.2, alt + ", ".join(panels) + ".")
    drawn = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (label, (centres, half_widths)) in zip(drawn, panels.items(), strict=True):
        misses = np.abs(np.asarray(centres) - truth) > half_widths
        for missed, colour in ((False, COLOURS[0]), (True, COLOURS[3])):
            of_kind = np.flatnonzero(misses == missed)
            low, high = (np.asarray(centres) + sign * np.asarray(half_widths) for sign in (-1, 1))
            axes.hlines(of_kind, low[of_kind], high[of_kind], color=colour, linewidth=2.4 if missed else 1.4)
        axes.axvline(truth, color="black", linewidth=1, linestyle="--")
        axes.set(yticks=[])
        axes.set_title(f"{label}: {misses.sum()} of {len(misses)} miss", fontsize=10)
        _despine(axes, left=True)
    drawn[0].set_xlabel(xlabel)
    figure.suptitle(title)
    return figure


@in_own_style
def plot_kl_per_latent(kl, threshold=None, title="KL of each latent"):
    """Bars of the KL of each latent, largest first, one panel for each model on one scale.

    Args:
        kl: Dict of label to mean KL of each latent in nats, (latent_dim,).
        threshold: A level to mark with a line, in nats; or None.
        title: Text above the figure.
    """
    figure = _figure(
        0.9 + sum(max(2.9, 0.25 * len(values)) for values in kl.values()),
        2.9,
        f"Bars of the mean KL of each latent in nats, largest first, for {', '.join(kl)}.",
    )
    shares = [max(2.9, 0.25 * len(values)) for values in kl.values()]
    panels = figure.subplots(1, len(kl), sharey=True, squeeze=False, width_ratios=shares)[0]
    for axes, colour, (label, values) in zip(panels, itertools.cycle(COLOURS), kl.items(), strict=False):
        order = np.argsort(values)[::-1]
        bars = axes.bar(np.arange(len(values)), np.asarray(values)[order], color=colour)
        axes.bar_label(bars, fmt="%.2f", fontsize=10, padding=2, rotation=90 if len(values) > 5 else 0)
        axes.set_xticks(np.arange(len(values)), [f"{latent}" for latent in order])
        axes.set(xlabel="latent")
        axes.set_title(label)
        if threshold is not None:
            axes.axhline(threshold, color="black", linewidth=1, linestyle="--")
        _despine(axes)
    panels[0].set_ylabel("nats per image")
    panels[0].set_ylim(0, 1.3 * max(1e-9, threshold or 0, *(np.max(values) for values in kl.values())))
    figure.suptitle(title)
    return figure


@in_own_style
def plot_code_square(model, corners, size=9, title="Four garments and their mixtures", scale=0.5):
    """S0's picture: four encoded garments in the corners of a square, bilinear mixtures of codes inside.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        corners: Four images (4, 28, 28, 1): top left, top right, bottom left, bottom right.
        size: Number of pictures on a side.
        title: Text above the square.
        scale: Size of a picture in inches.
    """
    top_left, top_right, bottom_left, bottom_right = model.code(np.asarray(corners))
    side = np.linspace(0, 1, size)
    right, down = (grid.reshape(-1, 1) for grid in np.meshgrid(side, side))
    top, bottom = (1 - right) * top_left + right * top_right, (1 - right) * bottom_left + right * bottom_right
    images = model.decode((1 - down) * top + down * bottom)
    alt = f"Square of {size} by {size} decoded codes: reconstructions of four garments in the corners, mixtures inside."
    return plot_sheet(images, size, title, scale, alt)


@in_own_style
def plot_codes_and_prior(models, split, class_names, max_images=2_000, seed=1):
    """2-D codes of garments, coloured by class, under draws of N(0, I): would the draws meet garments?

    Args:
        models: Dict of label to model with latent_dim 2; a panel for each, on its own scale.
        split: A `data.Split` of held-out images.
        class_names: Names of the classes.
        max_images: Number of images to encode; a tenth as many codes are drawn.
        seed: Seeds the draws.
    """
    draws = seeds.generator(seed).standard_normal((max_images // 10, 2))
    figure = _figure(
        0.4 + 4.3 * len(models),
        4.7,
        f"Codes of {min(max_images, len(split)):,} garments coloured by class, and {len(draws)} draws of N(0, I) as "
        f"black dots, a panel each for: {', '.join(models)}.",
    )
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for axes, (label, model) in zip(panels, models.items(), strict=True):
        codes = model.code(split.images[:max_images])
        low, high = np.percentile(np.concatenate([codes, draws]), [0.2, 99.8], axis=0)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="z[0]", ylabel="z[1]")
        _scatter_classes(axes, codes, split.labels[:max_images], class_names)
        _prior_circles(axes)
        axes.scatter(
            *draws.T, s=9, color="black", linewidths=0, label="draws of N(0, I); circles: 1 and 2 s.d.", zorder=3
        )
        axes.set_title(label)
        _despine(axes)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", markerscale=2)
    return figure


@in_own_style
def plot_posteriors(posterior, normals, labels, title="Posteriors of garments, and the encoder's normal distributions"):
    """Posteriors of a VAE with two latents as contours, normal distributions as ellipses; each holds 95 %.

    Args:
        posterior: What `metrics.posterior_on_grid` returns.
        normals: Dict of label to normal distributions, (z_mean, z_log_var), each (n, 2), one for each image.
        labels: Dict of an image's number to the text above its panel.
        title: Text above the figure.
    """
    names = ", ".join(label.replace("\n", " ") for label in labels.values())
    figure = _figure(
        3.5 * len(labels),
        4.2,
        f"Contours around 50 % and 95 % of the posterior of two latents, and ellipses around 95 % of: "
        f"{', '.join(normals)}; a panel each for: {names}.",
    )
    side = posterior.side
    for axes, (i, label) in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels.items(), strict=True):
        density = np.exp(posterior.log_posterior[i])
        outer, inner = (_densest(density, share) for share in (0.95, 0.5))
        axes.contourf(side, side, density.T, [outer, inner, np.inf], colors=["0.8", "0.55"])
        seen = [side[part.nonzero()[0]][[0, -1]] for part in ((density >= outer).any(1), (density >= outer).any(0))]
        corners = np.array(seen).T
        for colour, (z_mean, z_log_var) in zip((COLOURS[3], COLOURS[0]), normals.values(), strict=False):
            # a circle of this radius, in standard deviations, holds 95 % of a normal distribution of two numbers
            half = np.sqrt(-2 * np.log(0.05)) * np.exp(np.asarray(z_log_var[i]) / 2)
            axes.add_patch(Ellipse(z_mean[i], *(2 * half), fill=False, edgecolor=colour, linewidth=2))
            axes.plot(*z_mean[i], "+", color=colour, markersize=8)
            corners = np.concatenate([corners, [z_mean[i] - half, z_mean[i] + half]])
        low, high = corners.min(axis=0), corners.max(axis=0)
        middle, reach = (low + high) / 2, 0.6 * (high - low).max()
        axes.set(xlim=middle[0] + [-reach, reach], ylim=middle[1] + [-reach, reach], xlabel="z[0]", ylabel="z[1]")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_box_aspect(1)
        axes.set_title(label, fontsize=10)
        _despine(axes)
    marks = [Patch(color="0.8", label="posterior (95 %; darker: 50 %)")]
    marks += [
        Line2D([], [], color=colour, linewidth=2, label=label)
        for colour, label in zip((COLOURS[3], COLOURS[0]), normals, strict=False)
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    figure.suptitle(title)
    return figure


def _densest(density, share):
    """The level above which the densest cells of a grid hold this share of all."""
    falling = np.sort(density, axis=None)[::-1]
    held = np.cumsum(falling)
    return falling[np.searchsorted(held, share * held[-1])]


@in_own_style
def plot_wardrobe(model, columns=24, rows=8, title="", scale=0.42):
    """A strip of the wardrobe: decoded points of Phi(z) for a code of two numbers.

    Args:
        model: Any model with ``decode`` whose latent_dim is 2.
        columns: Number of pictures across.
        rows: Number of pictures down.
        title: Text above the strip.
        scale: Size of a picture in inches.
    """
    right, up = np.meshgrid((np.arange(columns) + 0.5) / columns, 1 - (np.arange(rows) + 0.5) / rows)
    images = model.decode(ndtri(np.stack([right.ravel(), up.ravel()], axis=1)))
    alt = f"{rows} rows of {columns} decoded garments that change step by step from neighbour to neighbour."
    return plot_sheet(images, columns, title, scale, alt)


@in_own_style
def plot_labelled(images, labels, title="", scale=1.5):
    """A few images side by side, a text above each.

    Args:
        images: Array (n, 28, 28, 1).
        labels: Texts, one for each image; a text may hold a line break.
        title: Text above the figure.
        scale: Size of an image in inches.
    """
    words = "; ".join(label.replace("\n", " ") for label in labels)
    figure = _figure(
        scale * len(images), scale + 0.45 + 0.3 * bool(title), f"{len(images)} garment pictures side by side: {words}."
    )
    for axes, image, label in zip(figure.subplots(1, len(images), squeeze=False)[0], images, labels, strict=True):
        _garment(axes, image, label)
    if title:
        figure.suptitle(title)
    return figure


@in_own_style
def plot_bottleneck(images, z, x_hat, title="", columns=2):
    """Garments, their codes as bars, and what is decoded from them, one garment in a line.

    Args:
        images: Inputs, (n, 28, 28, 1); n is best a multiple of ``columns``.
        z: Codes of the images, (n, latent_dim).
        x_hat: Decoded codes, (n, 28, 28, 1).
        title: Text above the figure.
        columns: Number of garments side by side.
    """
    z = np.asarray(z)
    rows = -(-len(images) // columns)
    figure = _figure(
        4.6 * columns,
        1.05 * rows + 0.4,
        f"{len(images)} lines, each a garment, its code as {z.shape[1]} bars, and the garment decoded from it.",
    )
    blocks = figure.subfigures(1, columns, wspace=0.06, squeeze=False)[0]
    lines = np.concatenate([block.subplots(rows, 3, width_ratios=[1, 2.2, 1], squeeze=False) for block in blocks])
    reach = np.abs(z).max()
    for i, line in enumerate(lines):
        if i >= len(images):
            for axes in line:
                axes.set_axis_off()
            continue
        top = i % rows == 0
        _garment(line[0], images[i], "garment" if top else None)
        _garment(line[2], x_hat[i], "decoded" if top else None)
        line[1].bar(np.arange(z.shape[1]), z[i], color=[COLOURS[0] if value > 0 else COLOURS[1] for value in z[i]])
        line[1].set(xticks=[], yticks=[], ylim=(-reach, reach))
        line[1].axhline(0, color="0.6", linewidth=0.6)
        if top:
            line[1].set_title(f"its code: {z.shape[1]} numbers")
        _despine(line[1], left=True, bottom=True)
    if title:
        figure.suptitle(title)
    return figure


@in_own_style
def plot_code_spread(spreads, title="Spread of each latent over images"):
    """One panel for each model, one bar for each latent: its standard deviation over images.

    Args:
        spreads: Dict of label to standard deviations (latent_dim,). Latents without any are marked.
        title: Text above the figure.
    """
    alt = f"Bars of the standard deviation of each latent, a panel each: {', '.join(spreads)}."
    figure = _figure(4.3 * len(spreads), 2.7, alt)
    for axes, (label, spread) in zip(figure.subplots(1, len(spreads), squeeze=False)[0], spreads.items(), strict=True):
        units = np.arange(len(spread))
        axes.bar(units, spread, color=COLOURS[0])
        dead = units[np.asarray(spread) < 1e-6]
        # drawn as text: markers outside the axes would upset the layout
        for unit in dead:
            axes.text(unit, 0, "×", color=COLOURS[3], ha="center", va="center", fontsize=13, fontweight="bold")
        axes.set(title=label, xlabel="latent (a cross: no spread at all)", ylabel="standard deviation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _despine(axes)
    figure.suptitle(title)
    return figure


@in_own_style
def plot_pixels(image, top=9, left=12, size=10, title="A garment, and the numbers in a part of it"):
    """One image with a square marked, and the grey levels inside that square as numbers.

    Args:
        image: Array (28, 28) or (28, 28, 1), in [0, 1].
        top: First row of the square, in pixels.
        left: First column of the square, in pixels.
        size: Side of the square, in pixels.
        title: Text above the figure.
    """
    image = np.squeeze(np.asarray(image))
    part = image[top : top + size, left : left + size]
    figure = _figure(
        8.4,
        4.2,
        f"Left, a garment of 28 by 28 pixels with a square marked; right, the {size} by {size} pixels of that square, "
        "each with its grey level from 0 to 255.",
    )
    whole, close = figure.subplots(1, 2)
    _garment(whole, image)
    whole.add_patch(
        Rectangle((left - 0.5, top - 0.5), size, size, fill=False, edgecolor=COLOURS[3], linewidth=2, zorder=3)
    )
    _numbers(close, part)
    figure.suptitle(title)
    return figure


def _numbers(axes, part, fontsize=10):
    """A part of an image, each pixel with its grey level 0 to 255, framed like the mark on the whole."""
    _garment(axes, part)
    for (row, column), value in np.ndenumerate(part):
        ink = "white" if value > 0.5 else "black"
        axes.text(column, row, round(255 * value), ha="center", va="center", color=ink, fontsize=fontsize)
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=COLOURS[3], linewidth=2)


@in_own_style
def plot_pixel_values(split, class_names, max_images=500):
    """Which values pixels have: of all garments as shares, and as a ridge for each class.

    The shares are bars from 0 on a plain axis, so that their areas can be compared: the first bar is the pixels that
    are exactly 0, the other fifteen hold 17 grey levels each.

    Args:
        split: A `data.Split`.
        class_names: Names of the classes.
        max_images: Number of images of each class for the ridges, the first ones; the bars take all.
    """
    import seaborn as sns

    figure = _figure(
        9.6,
        4.4,
        f"Left, bars: the share of all pixels that is exactly 0, and of fifteen ranges of values above it; right, ten "
        f"ridges, one a class ({', '.join(class_names)}): the density of the pixel values above 0.",
    )
    figure.get_layout_engine().set(h_pad=0.01, hspace=0)
    grid = figure.add_gridspec(10, 2)
    whole = figure.add_subplot(grid[:, 0])
    # Piece by piece, because bincount makes eight bytes of each pixel.
    levels = split.levels
    counts = sum(np.bincount(levels[i : i + 5_000].ravel(), minlength=256) for i in range(0, len(levels), 5_000))
    shares, width = 100 * counts / counts.sum(), 17 / 255
    grey = shares[1:].reshape(15, 17).sum(axis=1)
    whole.bar(-width, shares[0], width, align="edge", color=COLOURS[7])
    whole.bar(width * np.arange(15), grey, width, align="edge", color=COLOURS[0], edgecolor="white", linewidth=0.5)
    whole.annotate(
        f"exactly 0: {shares[0]:.1f} %", (0, shares[0]), xytext=(4, -4), textcoords="offset points", va="top"
    )
    whole.set(xlabel="pixel value", ylabel="share of all pixels, %", xlim=(-1.5 * width, 1 + width / 2))
    whole.set_title("all pixels")
    _despine(whole)
    for label, name in enumerate(class_names):
        axes = figure.add_subplot(grid[label, 1])
        values = split.of_class(label)[:max_images].ravel()
        values = values[values > 0]
        sns.kdeplot(
            x=values[::17], bw_adjust=0.6, clip=(0, 1), fill=True, color=CLASS_COLOURS[label], alpha=0.75, ax=axes
        )
        axes.set(xlim=(-0.02, 1.02), yticks=[], ylabel="", xlabel="pixel value" if label == 9 else "")
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set_ylim(0, 1.02 * axes.get_ylim()[1] / 1.05)
        if label < 9:
            axes.set_xticks([])
        _despine(axes, left=True)
        if label == 0:
            axes.set_title("pixels above 0, class by class")
    return figure


@in_own_style
def plot_ink(split, class_names, title="Ink per garment: the mean pixel of each image"):
    """The mean pixel of each image, a violin for each class, ordered by the class's mean, and that mean as a dot.

    Args:
        split: A `data.Split`.
        class_names: Names of the classes.
        title: Text above the figure.
    """
    import seaborn as sns

    ink = np.concatenate([piece.mean(axis=(1, 2, 3)) for piece in pieces(split)])
    means = np.array([ink[split.labels == label].mean() for label in range(len(class_names))])
    order = np.argsort(means)
    names = [class_names[label] for label in order]
    figure = _figure(
        7.2,
        4.0,
        f"{_in_words(len(names)).capitalize()} violins of the mean pixel of an image, one a class, "
        f"the class mean as a dot: {', '.join(names)}.",
    )
    axes = figure.subplots()
    garment = np.array(class_names)[split.labels]
    palette = {class_names[label]: CLASS_COLOURS[label % len(CLASS_COLOURS)] for label in order}
    sns.violinplot(
        x=ink,
        y=garment,
        hue=garment,
        order=names,
        palette=palette,
        legend=False,
        inner=None,
        linewidth=0,
        cut=0,
        ax=axes,
    )
    axes.scatter(means[order], range(len(names)), color="black", s=22, zorder=3)
    axes.axvline(ink.mean(), color="black", linestyle=":", linewidth=1)
    axes.set(xlabel="mean pixel of an image (dot: class mean; dotted line: mean of all)", ylabel="", title=title)
    _despine(axes)
    return figure


@in_own_style
def plot_guessers(chosen_on, fresh, title="Guessers: chosen on one set of images, met again on another"):
    """Accuracies of many guessers on two sets of images, and the winner of the first set in both.

    Args:
        chosen_on: Accuracy of each guesser on the images it is chosen on, (n,).
        fresh: Accuracy of the same guessers on other images, (n,).
        title: Text above the figure.
    """
    best = int(np.argmax(chosen_on))
    figure = _figure(
        7.2,
        3.6,
        f"Scatter of {len(chosen_on):,} guessers: accuracy on the images used to choose against accuracy on other "
        "images; the winner of the choice is ringed, and lines mark the accuracy of pure chance.",
    )
    axes = figure.subplots()
    axes.scatter(100 * chosen_on, 100 * fresh, s=12, color=COLOURS[0], alpha=0.35, linewidths=0)
    axes.scatter(100 * chosen_on[best], 100 * fresh[best], s=90, facecolor="none", edgecolor=COLOURS[3], linewidth=2)
    axes.annotate(
        "the winner",
        (100 * chosen_on[best], 100 * fresh[best]),
        xytext=(0, -18),
        textcoords="offset points",
        ha="center",
        color=COLOURS[3],
    )
    for line in (axes.axvline, axes.axhline):
        line(10, color="black", linestyle=":", linewidth=1)
    axes.set(xlabel="accuracy % where the choice is made", ylabel="accuracy % on fresh images", title=title)
    _despine(axes)
    return figure


@in_own_style
def plot_twins(images, pool, index, distance, threshold, n=10):
    """The closest pairs of two sets, and how far all nearest neighbours lie.

    Args:
        images: Array (m, 28, 28, 1).
        pool: The other set, (k, 28, 28, 1).
        index: Index in the pool of each image's nearest neighbour, (m,), from `metrics.nearest`.
        distance: Distance of each image to that neighbour, (m,), from `metrics.nearest`.
        threshold: Distance below which a pair counts as near-duplicate.
        n: Number of pairs to show.
    """
    import seaborn as sns

    closest = np.argsort(distance)[:n]
    figure = _figure(
        0.9 * n + 0.6,
        4.4,
        f"Two rows of {n} garments: test images and, beneath each, its nearest training image, closest pair first. "
        f"Below, a histogram of the distance from each of {len(images):,} test images to its nearest training image, "
        "with the threshold as a line.",
    )
    grid = figure.add_gridspec(3, n, height_ratios=[1, 1, 1.9])
    for column, i in enumerate(closest):
        for row, image in enumerate((images[i], pool[index[i]])):
            axes = figure.add_subplot(grid[row, column])
            _garment(axes, image, title=f"{distance[i]:.3f}" if row == 0 else None)
            if column == 0:
                axes.set_ylabel("test" if row == 0 else "train", rotation=0, ha="right", va="center")
    axes = figure.add_subplot(grid[2, :])
    sns.histplot(x=distance, bins=80, color=COLOURS[0], linewidth=0, ax=axes)
    axes.axvline(threshold, color=COLOURS[3], linestyle="--")
    place = {"xycoords": ("data", "axes fraction"), "xytext": (4, 0), "textcoords": "offset points", "va": "top"}
    axes.annotate("threshold", (threshold, 1), color=COLOURS[3], **place)
    axes.set(
        yscale="log",
        ylabel="test images",
        xlabel="distance to the nearest training image (root of the MSE; white to black is 1)",
    )
    _despine(axes)
    figure.suptitle("The closest pairs, and all distances")
    return figure


def _coin(x, p):
    """Binary cross-entropy of pixels x predicted as p, in nats, element by element."""
    return -(xlogy(x, p) + xlogy(1 - x, 1 - p))


@in_own_style
def plot_pixel_cost(values, title="What a prediction costs, for one pixel"):
    """Binary cross-entropy of one pixel against the prediction, a curve for each value of the pixel.

    Args:
        values: Pixel values in [0, 1].
        title: Text above the figure.
    """
    figure = _figure(
        7.0,
        3.4,
        f"Cost in nats of predicting a pixel, against the prediction, a curve for each true value "
        f"({', '.join(f'{value:g}' for value in values)}), with the lowest point of each curve and the line through "
        "all lowest points.",
    )
    axes = figure.subplots()
    p = expit(np.linspace(-14, 14, 401))  # so near to 0 and 1 that each curve leaves the frame at the top
    axes.plot(p, _coin(p, p), color="black", linestyle=":", label="entropy: the floor")
    for colour, x in zip(itertools.cycle(COLOURS), values, strict=False):
        axes.plot(p, _coin(x, p), color=colour, label=f"x = {x:g}")
        axes.plot(x, _coin(x, x), "o", color=colour, clip_on=False, zorder=3)
    axes.set(xlabel="prediction x_hat", ylabel="cost, nats", title=title, ylim=(0, 2.5), xlim=(0, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    _despine(axes)
    return figure


@in_own_style
def plot_number_line(marks, low, high, title="Between the floor and the mean image"):
    """A number line in nats: named marks, and the stretch between two of them shaded.

    Args:
        marks: Dict of label to position in nats per image; three to six, from left to right.
        low: Label of the mark at which the shaded stretch begins.
        high: Label of the mark at which it ends.
        title: Text above the line.
    """
    figure = _figure(
        9.2,
        2.5,
        f"Number line of binary cross-entropy in nats per image with marks for {', '.join(marks)}; "
        f"the stretch from {low} to {high} is shaded.",
    )
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    axes.axvspan(marks[low], marks[high], ymin=0.36, ymax=0.64, color=COLOURS[2], alpha=0.3, linewidth=0)
    for i, (label, nats) in enumerate(marks.items()):
        up = 1 if i % 2 == 0 else -1
        bound = label in (low, high)
        axes.plot([nats, nats], [0, 0.45 * up], color="black", linewidth=0.8, zorder=1)
        axes.plot(nats, 0, "o", color=COLOURS[2] if bound else COLOURS[0], markersize=8, zorder=3)
        axes.text(
            nats,
            0.5 * up,
            f"{label}\n{nats:.1f}",
            ha="center",
            va="bottom" if up > 0 else "top",
            fontweight="bold" if bound else "normal",
        )
    span = max(marks.values()) - min(marks.values())
    axes.set(title=title, xlabel="binary cross-entropy, nats per image (less is better)", ylim=(-1.25, 1.25), yticks=[])
    axes.set_xlim(min(marks.values()) - 0.12 * span, max(marks.values()) + 0.12 * span)
    _despine(axes, left=True)
    return figure


@in_own_style
def plot_components(mean, components, title="The mean image, then the directions in which garments differ most"):
    """PCA's parts: the mean image in grey, components in two colours for their two signs.

    Args:
        mean: The mean image, (784,) or (28, 28).
        components: Array (n, 784) with one direction in each row.
        title: Text above the figure.
    """
    figure = _figure(
        1.05 * (len(components) + 1),
        1.75,
        f"The mean image in grey, then {len(components)} components of PCA in two colours, one for each sign.",
    )
    panels = figure.subplots(1, len(components) + 1)
    _garment(panels[0], np.reshape(mean, (28, 28)), "mean")
    for i, (axes, component) in enumerate(zip(panels[1:], components, strict=True)):
        reach = np.abs(component).max()
        axes.imshow(component.reshape(28, 28), cmap="PuOr", vmin=-reach, vmax=reach, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"z[{i}]")
        _despine(axes, left=True, bottom=True)
    figure.suptitle(title)
    return figure


@in_own_style
def plot_two_descents(losses, title="The same training loop, two scales of pixels"):
    """Losses of trainings side by side, each on its own axis.

    Args:
        losses: Dict of label to losses in nats per image, one for each step.
        title: Text above the figure.
    """
    figure = _figure(
        8.4, 3.0, f"Loss against training step, a panel each for: {', '.join(losses)}. A dotted line marks 0."
    )
    panels = figure.subplots(1, len(losses))
    for axes, colour, (label, values) in zip(panels, (COLOURS[0], COLOURS[3]), losses.items(), strict=True):
        axes.plot(np.arange(len(values)), values, color=colour, linewidth=2)
        axes.axhline(0, color="black", linestyle=":", linewidth=1)
        axes.set(title=label, xlabel="step", ylabel="nats per image")
        large = np.abs(values).max() > 1e6
        axes.yaxis.set_major_formatter(lambda y, _, large=large: f"{y / 1e6:,.0f} million" if large else f"{y:,.0f}")
        _despine(axes)
    figure.suptitle(title)
    return figure


@in_own_style
def plot_memory(pca, images, latent_dims=(2, 8, 32, 64)):
    """Garments remembered by more and more numbers: pixels as numbers, the mean image, PCA, the original.

    Args:
        pca: A `baselines.PCA` with at least the largest latent_dim.
        images: About three garments, (n, 28, 28, 1); a part of the first is shown as numbers.
        latent_dims: Sizes of the code, a column for each.
    """
    columns = {"0 numbers\n(the mean)": np.repeat(pca.decode(np.zeros((1, 1))), len(images), axis=0)}
    columns |= {f"{k} numbers\n(PCA)": pca.reconstruct(images, k) for k in latent_dims}
    columns["784 numbers\n(the image)"] = images
    figure = _figure(
        9.8,
        3.5,
        f"Left, a part of a garment with its grey levels as numbers. Right, {len(images)} garments as "
        f"{len(columns)} pictures each: {', '.join(columns).replace(chr(10), ' ')}.",
    )
    grid = figure.add_gridspec(len(images), len(columns) + 1, width_ratios=[len(images) * 1.05] + [1] * len(columns))
    close = figure.add_subplot(grid[:, 0])
    _numbers(close, np.squeeze(images[0])[9:19, 12:22])
    close.set_title("what the computer sees")
    for column, (label, pictures) in enumerate(columns.items(), start=1):
        for row, picture in enumerate(pictures):
            _garment(figure.add_subplot(grid[row, column]), picture, label if row == 0 else None)
    return figure


@in_own_style
def plot_responses(image, responses, title="A garment, and what a 3 x 3 kernel answers at each pixel"):
    """A garment beside maps of numbers that may be negative.

    Args:
        image: Array (28, 28, 1).
        responses: Dict of label to map, (h, w).
        title: Text above the figure.
    """
    figure = _figure(2.1 * (1 + len(responses)), 2.5, f"A garment, and its maps of answers to: {', '.join(responses)}.")
    first, *others = figure.subplots(1, 1 + len(responses))
    _garment(first, image, "garment")
    for axes, (label, response) in zip(others, responses.items(), strict=True):
        reach = np.abs(response).max()
        _garment(axes, response, label)
        axes.images[0].set(cmap="RdBu", clim=(-reach, reach))
    figure.suptitle(title)
    return figure


@in_own_style
def plot_counts(counts, title=""):
    """Squares of whole numbers, each written into its cell.

    Args:
        counts: Dict of label to array (h, w).
        title: Text above the figure.
    """
    import seaborn as sns

    figure = _figure(3.0 * len(counts), 3.3, f"Squares of whole numbers: {', '.join(counts)}.")
    highest = max(np.max(values) for values in counts.values())
    for axes, (label, values) in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts.items(), strict=True):
        sns.heatmap(values, annot=True, fmt=".0f", cmap="Blues", vmin=0, vmax=highest, cbar=False, square=True, ax=axes)
        axes.set(xticks=[], yticks=[])
        axes.set_title(label)
    if title:
        figure.suptitle(title)
    return figure


@in_own_style
def plot_feature_maps(encoder, image, channels=8):
    """What the convolutions of an encoder make of one garment: some channels of each.

    Args:
        encoder: Keras model with layers "conv_1", "conv_2" and so on.
        image: Array (28, 28, 1).
        channels: Number of maps to show of each layer; those that vary most are shown.
    """
    names = [layer.name for layer in encoder.layers if layer.name.startswith("conv_")]
    figure = _figure(
        1.3 + 0.8 * channels, 0.85 * len(names) + 0.4, f"{channels} feature maps of each: {', '.join(names)}."
    )
    grid = figure.subplots(len(names), channels, squeeze=False)
    x = image[None]
    for row, name in zip(grid, names, strict=True):
        x = encoder.get_layer(name)(x)
        maps = np.asarray(x)[0]
        for axes in row[maps.shape[-1] :]:  # a layer with fewer channels leaves these empty
            axes.set_axis_off()
        for axes, channel in zip(row, np.argsort(maps.std(axis=(0, 1)))[::-1], strict=False):
            _garment(axes, maps[..., channel], vmin=None, vmax=None)
        row[0].set_ylabel("{}\n{} x {} x {}".format(name, *maps.shape), rotation=0, ha="right", va="center")
    figure.suptitle(f"One garment inside the encoder, {channels} channels of each convolution")
    return figure


@in_own_style
def plot_uncertainty(images, mean, spread, title="Where the VAE is unsure"):
    """Garments, the mean of their decoded draws, and the spread of each pixel over the draws.

    Args:
        images: Array (n, 28, 28, 1).
        mean: Mean of the decoded draws as `metrics.reconstruction_spread` returns it, same shape.
        spread: Standard deviation of each pixel, from the same function, same shape.
        title: Text above the figure.
    """
    import seaborn as sns

    n = len(images)
    figure = _figure(
        2.6 + 0.85 * n,
        2.75 + 0.35 * bool(title),
        f"{n} garments, below each the mean of decoded draws and a map of their spread by pixel.",
    )
    rows = {"garment": images, "mean of\nthe draws": mean, "spread": spread}
    grid = figure.subplots(3, 1)
    for axes, (label, row) in zip(grid, rows.items(), strict=True):
        _garment(axes, tile(row, n))
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    picture = grid[2].images[0]
    picture.set(cmap=sns.color_palette("rocket_r", as_cmap=True), clim=(0, spread.max()))
    figure.colorbar(picture, ax=list(grid), label="spread (white 0, black 1)", fraction=0.03, shrink=0.6)
    if title:
        figure.suptitle(title)
    return figure


@in_own_style
def plot_rate_distortion(table, title="Rate and distortion, judged at beta = 1", floor=None):
    """Models as points: nats of code against nats of error; along a dashed line the negative ELBO is the same.

    Source: Alemi et al., "Fixing a broken ELBO" (2018).

    Args:
        table: A pandas DataFrame with columns model, kl and reconstruction, in nats per image. Rows of the same model
            share a colour and one entry in the legend. Rows without a kl, of models whose codes are points that would
            cost without bound, stand in a strip of their own at the right.
        title: Text above the figure.
        floor: Distortion that none can get below, drawn as a line; None draws none.
    """
    import seaborn as sns

    names = list(table.model.unique())
    letters = max(map(len, map(str, names)))  # the legend stands at the right and shall not squeeze the plane
    figure = _figure(5.4 + 0.09 * letters, 4.6 if len(names) > 6 else 4.2, None)
    figure.alt = f"Scatter of reconstruction against KL for {', '.join(names)}."
    axes = figure.subplots()
    palette = dict(zip(names, itertools.cycle(COLOURS), strict=False))  # beyond ten only the marks tell them apart
    right = 1.05 * max(table.kl.max(), 1)
    unrated = table.kl.isna()
    end = 1.14 * right if unrated.any() else right
    places = table.assign(kl=table.kl.fillna((right + end) / 2))
    look = {"hue": "model", "style": "model", "hue_order": names, "style_order": names, "palette": palette}
    sns.scatterplot(places, x="kl", y="reconstruction", s=70, ax=axes, zorder=3, **look)
    low, high = axes.get_ylim()
    if floor is not None:
        low = min(low, floor - 0.1 * (high - floor))  # the numbers of the dashed lines stand below it
        axes.axhline(floor, color="0.3", linewidth=1)
        axes.text(0.99 * right, floor, "entropy of the pixels", fontsize=10, color="0.3", va="bottom", ha="right")
    totals = MaxNLocator(7).tick_values(low, high + right)
    for total in totals:
        axes.plot([0, right], [total, total - right], color="0.75", linewidth=0.8, linestyle="--", zorder=1)
        if 0 <= total - low <= right:  # where the line leaves through the floor
            axes.text(total - low, low, f"{total:.0f} ", color="0.4", fontsize=10, va="bottom", ha="right")
        elif low < total < high:
            axes.text(right / 2, total - right / 2, f"{total:.0f}", color="0.4", fontsize=10, va="bottom")
    if unrated.any():
        axes.axvspan(right, end, color="0.95", zorder=0)
        axes.text((right + end) / 2, high, "rate without\nbound", fontsize=10, color="0.4", va="top", ha="center")
        axes.set_xticks([tick for tick in MaxNLocator(7).tick_values(0, right) if 0 <= tick <= right])
    axes.set(xlim=(-0.02 * right, end), ylim=(low, high), title=title)
    note = "dashed: equal negative ELBO,\nas written beside the line"
    axes.set(xlabel=f"rate: KL, nats per image\n({note})", ylabel="distortion: reconstruction, nats per image")
    axes.legend(title="", loc="center left", bbox_to_anchor=(1.0, 0.5))
    _despine(axes)
    return figure


@in_own_style
def plot_scores(table, by, value, hue, reference=None, title="", xlabel=None, log=False):
    """Each training as a dot, a row for each model, a colour for each method.

    Args:
        table: A pandas DataFrame with one row for each training and method.
        by: Column of the rows, in the order of the table.
        value: Column to draw.
        hue: Column of the methods, in the order of the table.
        reference: Tuple (text, value) of a dashed line; None draws none.
        title: Text above the figure.
        xlabel: Text below; the column's name if None.
        log: Whether the axis is logarithmic.
    """
    rows, ways = list(dict.fromkeys(table[by])), list(dict.fromkeys(table[hue]))
    alt = f"Dots for {', '.join(map(str, rows))}; a colour each for {', '.join(map(str, ways))}."
    figure = _figure(7.6, 0.42 * len(rows) + 1.3, alt)
    axes = figure.subplots()
    for place, (colour, way) in enumerate(zip(itertools.cycle(COLOURS), ways, strict=False)):
        mark = "osD^v"[place // len(COLOURS) % 5]  # beyond ten the marks tell methods apart
        part = table[table[hue] == way]
        heights = part[by].map(rows.index) + (place - (len(ways) - 1) / 2) * min(0.16, 0.8 / len(ways))
        axes.scatter(part[value], heights, color=colour, marker=mark, s=32, label=way, zorder=3, linewidths=0)
    if reference is not None:
        text, where = reference
        axes.axvline(where, color="black", linewidth=0.9, linestyle="--", label=text)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set(yticks=range(len(rows)), yticklabels=rows, ylim=(len(rows) - 0.4, -0.6))
    axes.set(xlabel=xlabel or value, title=title)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), ncols=4, loc="outside lower center")
    _despine(axes, left=True)
    return figure


@in_own_style
def plot_trials(table, by, value, title="", xlabel=None):
    """Each training as a dot, a row for each setting, the setting with the lowest mean on top.

    The seeds of a row stand a little below one another, so that none hides another. The bar is the mean over seeds.
    Beside a row: its mean, and "tie" where `seeds.tie` cannot tell it from the row on top.

    Args:
        table: Table as `sweeps.run` returns it; failed trials are not drawn.
        by: Column, or list of columns, that tell the settings apart.
        value: Column in which less is better, not one of the test set: rows are ranked by it.
        title: Text above the figure.
        xlabel: Text below; the column's name if None.

    Raises:
        ValueError: What `seeds.best` raises.
    """
    columns = [by] if isinstance(by, str) else list(by)
    rows = table.dropna(subset=[value]).copy()
    rows["setting"] = rows[columns].astype(str).agg(", ".join, axis=1)
    ranked = seeds.best(rows, "setting", value)
    names = ", ".join(ranked.index)
    figure = _figure(7.6, 0.34 * len(ranked) + 1.1, f"A dot for each training, a row for each setting: {names}.")
    axes = figure.subplots()
    places = {setting: row for row, setting in enumerate(ranked.index)}
    count = rows["seed"].nunique()
    apart = np.linspace(-0.2, 0.2, count) if count > 1 else [0.0]
    for shift, colour, (seed, part) in zip(apart, itertools.cycle(COLOURS), rows.groupby("seed"), strict=False):
        heights = part["setting"].map(places) + shift
        axes.scatter(part[value], heights, color=colour, s=32, label=f"seed {seed}", zorder=3, linewidths=0)
    axes.vlines(
        ranked["mean"], np.arange(len(ranked)) - 0.36, np.arange(len(ranked)) + 0.36, color="black", linewidth=1.2
    )
    decimals = 2 if ranked["mean"].abs().max() >= 1 else 4
    for row, outcome in enumerate(ranked.itertuples()):
        note = f"{outcome.mean:.{decimals}f}" + ("  tie" if outcome.tie else "")
        axes.annotate(
            note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=10, annotation_clip=False
        )
    axes.set(yticks=range(len(ranked)), yticklabels=ranked.index, ylim=(len(ranked) - 0.5, -0.5))
    axes.set(xlabel=xlabel or value, title=title)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), ncols=3, loc="outside lower center")
    _despine(axes, left=True)
    return figure


@in_own_style
def plot_differences(differences, title="", xlabel=""):
    """Differences over seeds with their 95 % intervals, a row for each; a tie is hollow.

    Args:
        differences: Dict of label to `seeds.Difference`, from the top row down.
        title: Text above the figure.
        xlabel: Text below.
    """
    alt = f"A point with its 95 % interval in each row, and a line at 0: {', '.join(differences)}."
    figure = _figure(7.6, 0.36 * len(differences) + 1.0, alt)
    axes = figure.subplots()
    for row, found in enumerate(differences.values()):
        colour = "0.45" if found.tie else COLOURS[0]
        axes.hlines(row, found.mean - found.half_width, found.mean + found.half_width, color=colour, linewidth=1.6)
        axes.scatter(found.mean, row, s=36, zorder=3, facecolor="white" if found.tie else colour, edgecolor=colour)
        note = f"{found.mean:+.2f} ± {found.half_width:.2f}{'  tie' if found.tie else ''}"
        place = (1.01, row), ("axes fraction", "data")
        axes.annotate(note, place[0], xycoords=place[1], va="center", annotation_clip=False)
    axes.axvline(0, color="black", linewidth=0.9, linestyle="--")
    axes.set(yticks=range(len(differences)), yticklabels=differences, ylim=(len(differences) - 0.5, -0.5))
    axes.set(title=title, xlabel=xlabel)
    _despine(axes, left=True)
    return figure


@in_own_style
def plot_sweeps(tables, value, title="Every training is a dot", xlabel=None):
    """All trainings of several sweeps on one line each, by distance from the sweep's best mean.

    The axis is linear from -1 to 1, on a grey ground, and logarithmic beyond; the text below says so.

    Args:
        tables: Dict of label to table of a sweep, with columns variant and seed; settings of which a trial failed are
            not drawn.
        value: Column in which less is better.
        title: Text above the figure.
        xlabel: Text below.
    """
    figure = _figure(9, 0.5 * len(tables) + 1.1, f"A dot for each training, a row for each sweep: {', '.join(tables)}.")
    axes = figure.subplots()
    low, high = 0, 1
    for row, (colour, table) in enumerate(zip(itertools.cycle(COLOURS), tables.values(), strict=False)):
        found = table.groupby("variant").filter(lambda trials: trials[value].notna().all())
        behind = found[value] - found.groupby("variant")[value].mean().min()
        jitter = np.random.default_rng(1).uniform(-0.22, 0.22, len(found))
        axes.scatter(behind, row + jitter, color=colour, s=30, alpha=0.8, linewidths=0)
        low, high = min(low, behind.min()), max(high, behind.max())
    axes.axvspan(-1, 1, color="0.95", linewidth=0, zorder=0)
    axes.axvline(0, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("symlog", linthresh=1, linscale=1.2)
    ticks = [tick for tick in (-2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlim(low - 0.15, 1.2 * high)
    axes.set(yticks=range(len(tables)), yticklabels=tables, ylim=(len(tables) - 0.5, -0.5), title=title)
    scale = "linear from -1 to 1 (grey), logarithmic beyond"
    axes.set(xlabel=f"{xlabel or f'{value}, above the best mean of its row'}\n{scale}")
    _despine(axes, left=True)
    return figure
