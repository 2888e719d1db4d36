"""Every picture; each function returns a matplotlib Figure.

Figures carry a text for readers who cannot see them, ``figure.alt``: what the picture contains,
never what it turned out to show. `show` puts it into the notebook beside the picture. Figures are
made without pyplot, so they can be drawn in any thread and need no closing. Colours are seaborn's
colour-blind palette; garments have one grey map.
"""

import io

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from helpers import samplers

GREY = "gray_r"  # dark garment on white paper reads best beside text
COLOURS = sns.color_palette("colorblind", 10)
DPI = 100


def show(figure, alt=None):
    """Display a figure in a notebook, with its alt text in the picture's metadata.

    Args:
        figure: matplotlib Figure from this module.
        alt: text to use instead of the figure's own.
    """
    from IPython.display import display

    text = alt or figure.alt
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    size = f"<Figure: {text}>"
    display(
        {"image/png": stream.getvalue(), "text/plain": size},
        metadata={"image/png": {"alt": text}},
        raw=True,
    )


def _figure(width, height, alt):
    """A Figure of so many inches, with its alt text."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.alt = alt
    return figure


def _garment(axes, image, title=None, vmin=0.0, vmax=1.0):
    """One grey image (28, 28) or (28, 28, 1) on axes without ticks."""
    axes.imshow(np.squeeze(image), cmap=GREY, vmin=vmin, vmax=vmax, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=9)


def tile(images, columns):
    """Lay images out in one array, row by row.

    Args:
        images: (n, 28, 28, 1) or (n, 28, 28).
        columns: images in a row.

    Returns:
        float32 (rows * 28, columns * 28); missing places are 0.
    """
    images = np.asarray(images, dtype="float32").reshape(-1, 28, 28)
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * columns, 28, 28), "float32")
    sheet[: len(images)] = images
    return sheet.reshape(rows, columns, 28, 28).swapaxes(1, 2).reshape(rows * 28, columns * 28)


def plot_rows(rows, title="", scale=0.72, alt=None):
    """Rows of images with a label each: the course's standard comparison.

    Args:
        rows: dict of label to images (n, 28, 28, 1); rows may differ in length.
        title: above the figure.
        scale: inches an image.
        alt: alt text; made from the labels if None.
    """
    longest = max(len(images) for images in rows.values())
    labels = [label.replace("\n", " ") for label in rows]
    label_width = 0.35 + 0.085 * max(len(line) for label in rows for line in label.split("\n"))
    figure = _figure(
        label_width + scale * longest,
        0.35 * bool(title) + (scale + 0.06) * len(rows),
        alt or f"{len(rows)} rows of {longest} garment pictures: {', '.join(labels)}.",
    )
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(grid, rows.items(), strict=True):
        _garment(axes, tile(images, longest))
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def plot_sheet(images, columns=10, title="", scale=0.6, alt=None):
    """A sheet of images without labels.

    Args:
        images: (n, 28, 28, 1).
        columns: images in a row.
        title: above the sheet.
        scale: inches an image.
        alt: alt text; made from the numbers if None.
    """
    rows = -(-len(images) // columns)
    figure = _figure(
        scale * columns,
        scale * rows + 0.35 * bool(title),
        alt or f"Sheet of {len(images)} garment pictures in {rows} rows. {title}".strip(),
    )
    _garment(figure.subplots(), tile(images, columns), title)
    return figure


def plot_classes(split, class_names, examples=10, title="", seed=1):
    """A class sheet: one row a class, the first column its mean image.

    Args:
        split: `data.Split`.
        class_names: ten names.
        examples: images a class, drawn at random.
        title: above the sheet.
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    rows = {}
    for label, name in enumerate(class_names):
        images = split.images[split.labels == label]
        chosen = images[generator.choice(len(images), examples, replace=False)]
        rows[name] = np.concatenate([images.mean(axis=0, keepdims=True), chosen])
    alt = f"Ten rows, one a class ({', '.join(class_names)}): the mean image, then {examples} random examples."
    return plot_rows(rows, title or "Mean image, then examples", alt=alt)


def plot_reconstruction(models, images, title="Held-out garments and their reconstructions"):
    """Images above what models make of them.

    Args:
        models: a model, or a dict of label to model: anything with ``reconstruct``.
        images: (n, 28, 28, 1), about ten.
        title: above the figure.
    """
    models = models if isinstance(models, dict) else {"reconstruction": models}
    rows = {"input": images} | {label: model.reconstruct(images) for label, model in models.items()}
    return plot_rows(rows, title)


def plot_generation(models, n=10, seed=1, z=None, title="Decoded from the same random codes"):
    """What models make of codes drawn from N(0, I); models of one latent_dim get the same codes.

    Args:
        models: a model, or a dict of label to model.
        n: images a model.
        seed: of the codes.
        z: codes (n, latent_dim) to use instead.
        title: above the figure.
    """
    models = models if isinstance(models, dict) else {"prior samples": models}
    rows = {label: model.sample(n, seed) if z is None else model.decode(z) for label, model in models.items()}
    return plot_rows(rows, title)


def plot_interpolation(model, first, second, steps=11, kinds=("straight", "spherical")):
    """The way from one encoded garment to another, decoded step by step.

    Args:
        model: `models.Autoencoder` or `models.VAE`.
        first, second: images (28, 28, 1).
        steps: pictures, both ends included.
        kinds: ways to go, a row each; see `samplers.interpolate`.
    """
    start, end = model.code(np.stack([first, second]))
    rows = {kind: model.decode(samplers.interpolate(start, end, steps, kind)) for kind in kinds}
    pixels = np.linspace(0, 1, steps)[:, None, None, None]
    rows["mixed pixels"] = ((1 - pixels) * first + pixels * second).astype("float32")
    return plot_rows(rows, "From one garment to another: through the code, and pixel by pixel")


def plot_traversal(model, z, order, ranges, steps=9, kl=None, title="One latent moves, the others stay"):
    """One row a latent: the latent goes through its range, the others keep their value.

    Args:
        model: anything with ``decode``.
        z: the code to start from, (latent_dim,).
        order: latents from top to bottom.
        ranges: (latent_dim, 2), lowest and highest value of each latent.
        steps: pictures a row.
        kl: mean KL of each latent, nats, to print beside its number; or None.
        title: above the figure.
    """
    rows = {}
    for latent in order:
        codes = np.repeat(np.asarray(z, "float32")[None], steps, axis=0)
        codes[:, latent] = np.linspace(*ranges[latent], steps)
        label = f"z[{latent}]" + (f"\n{kl[latent]:.2f} nats" if kl is not None else "")
        rows[label] = model.decode(codes)
    alt = f"{len(rows)} rows of {steps} garments; in each row one latent goes through its range, the others stay."
    return plot_rows(rows, title, alt=alt)


def plot_grid(model, z_of, size=15, title="", alt=None, scale=0.42):
    """A square of decoded codes.

    Args:
        model: anything with ``decode``.
        z_of: takes (n, 2) points of the unit square (right, up), returns codes (n, latent_dim).
        size: pictures a side.
        title: above the square.
        alt: alt text.
        scale: inches a picture.
    """
    side = (np.arange(size) + 0.5) / size
    right, up = np.meshgrid(side, side[::-1])
    images = model.decode(z_of(np.stack([right.ravel(), up.ravel()], axis=1)))
    return plot_sheet(
        images, size, title, scale, alt or f"Square of {size} by {size} decoded garments. {title}".strip()
    )


def _scatter_classes(axes, points, labels, class_names):
    for label, name in enumerate(class_names):
        chosen = points[labels == label]
        axes.scatter(*chosen.T, s=3, color=COLOURS[label], alpha=0.5, label=name, linewidths=0)


def plot_latent_map(model, split, class_names, uniform=False, size=20, reach=3.0):
    """A 2-D code space: encoded garments on the left, decoded points of the same square on the right.

    Args:
        model: an `Autoencoder` or `VAE` with latent_dim 2.
        split: `data.Split` of held-out images to encode.
        class_names: ten names.
        uniform: show Phi(z) instead of z, so that N(0, I) fills the unit square evenly. VAE only.
        size: decoded pictures a side.
        reach: the square goes from -reach to reach; for an autoencoder the codes' own range counts.

    Raises:
        ValueError: the model's code has not two numbers.
    """
    if model.latent_dim != 2:
        raise ValueError(f"a map needs latent_dim 2; this model has {model.latent_dim}.")
    points = model.code(split.images)
    if uniform:
        points, low, high = norm.cdf(points), np.zeros(2), np.ones(2)
    elif model.is_variational:
        low, high = np.full(2, -reach), np.full(2, reach)
    else:
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
    what = "Φ(z)" if uniform else "z"
    side = (np.arange(size) + 0.5) / size
    right, up = np.meshgrid(side, side[::-1])
    codes = np.stack([right.ravel(), up.ravel()], axis=1)
    codes = norm.ppf(codes) if uniform else low + codes * (high - low)
    figure = _figure(
        11,
        6.0,
        f"Two maps of the same square of {what}: left, {len(points):,} encoded garments coloured by class; "
        f"right, {size} by {size} decoded points.",
    )
    left, picture = figure.subplots(1, 2)
    _scatter_classes(left, points, split.labels, class_names)
    left.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="auto", title=f"encoder: garments in {what}")
    extent = (low[0], high[0], low[1], high[1])
    picture.imshow(tile(model.decode(codes), size), cmap=GREY, vmin=0, vmax=1, extent=extent, aspect="auto")
    picture.set_title(f"decoder: points of {what}")
    for axes in (left, picture):
        axes.set(xlabel=f"{what}[0]", ylabel=f"{what}[1]")
        axes.set_box_aspect(1)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=10, fontsize=8, markerscale=4)
    return figure


def plot_history(history, title="Training"):
    """Losses of one training, epoch by epoch: training and validation.

    Args:
        history: dict from `training.fit`.
        title: above the figure.
    """
    parts = ["negative_elbo", "reconstruction", "kl"] if "kl" in history else ["mse"]
    names = {"negative_elbo": "negative ELBO", "kl": "KL", "mse": "MSE per pixel", "reconstruction": "reconstruction"}
    figure = _figure(
        3.4 * len(parts) + 0.4,
        2.8,
        f"Curves over epochs for training and validation: {', '.join(names[part] for part in parts)}.",
    )
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        epochs = np.arange(1, len(history[part]) + 1)
        for prefix, label, colour in (("", "training", COLOURS[0]), ("val_", "validation", COLOURS[1])):
            axes.plot(epochs, history[prefix + part], label=label, color=colour)
        axes.set(title=names[part], xlabel="epoch", ylabel="" if part == "mse" else "nats per image")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8)
        sns.despine(ax=axes)
    figure.suptitle(title, fontsize=11)
    return figure


def plot_lines(frame, x, y, hue=None, title="", xlabel=None, ylabel=None, log=False, alt=None):
    """A line chart from a table, one line a group, with the spread over repeated rows.

    Args:
        frame: pandas DataFrame, one row a measurement.
        x, y, hue: its columns; hue may be None.
        title, xlabel, ylabel: texts.
        log: "x", "y" or "xy" for logarithmic axes (base 2 for x).
        alt: alt text; made from the labels if None.
    """
    xlabel, ylabel = xlabel or x, ylabel or y
    figure = _figure(
        6.4, 3.8, alt or f"Line chart of {ylabel} against {xlabel}{', a line each ' + hue if hue else ''}."
    )
    axes = figure.subplots()
    groups = frame[hue].nunique() if hue else None
    palette = COLOURS[:groups] if hue else None
    sns.lineplot(
        frame,
        x=x,
        y=y,
        hue=hue,
        style=hue,
        markers=bool(hue),
        dashes=False,
        palette=palette,
        errorbar=("pi", 100),
        ax=axes,
    )
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if log and "x" in log:
        axes.set_xscale("log", base=2)
        ticks = sorted(frame[x].unique())
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if log and "y" in log:
        axes.set_yscale("log")
    if hue:
        axes.get_legend().set_title("")
    sns.despine(ax=axes)
    return figure
