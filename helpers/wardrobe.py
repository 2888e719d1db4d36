"""The drawn wardrobe: a stand-in with known factors, for readers without the data.

Ten classes of grey garments in the order and framing of Fashion-MNIST, 28 x 28 pixels, light on dark.
Every picture follows from its class, its row of `FACTORS` and a texture seed, and from nothing else::

    images, labels, table = draw(1_000, seed=1)
    wider = dict(table.iloc[0], width=1.2)
    image = draw_one(labels[0], wider, table.texture_seed[0])   # the same garment, wider

Outlines are polygons that matplotlib's Agg renderer fills, smooth at the edges; patterns, folds and the
grain of the cloth are added by numpy. The same seed gives the same bytes on every platform: corners lie on
a grid of 1/256 pixel, on which Agg computes with integers, and all other arithmetic is element by element
and of the kinds that IEEE 754 rounds by one rule (add, multiply, divide, square root).
"""

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import course
from helpers.dataset import CLASS_NAMES, Dataset, Split
from helpers.machinery import files, garments
from helpers.machinery.garments import BAG, BOOT, COAT, DRESS, PLAIN, PULLOVER, SANDAL, SHIRT, SNEAKER, T_SHIRT, TROUSER

NAME = "the drawn wardrobe"
SLUG = "wardrobe"
VERSION = 1  # raise it whenever a byte of a drawing changes: old caches are then left alone

# Size and seed of each split. Chance alone makes some two of 19 factors correlate by about 0.03 in 10,000
# draws; the seed of the test split is the first from 70,103 on with which none do.
SPLITS = {"train": (55_000, 70_101), "validation": (5_000, 70_102), "test": (10_000, 70_104)}

_ALL = tuple(range(10))
_TOPS = (T_SHIRT, PULLOVER, DRESS, COAT, SHIRT)


# --------------------------------------------------------------------------------------------------
# Factors


@dataclass(frozen=True)
class Factor:
    """One thing about a garment that can be changed while all others stay.

    Attributes:
        name: Column of the factor table.
        low: Lower end of its range, included.
        high: Upper end of its range, included.
        steps: Number of equal steps between them; a value is one of ``steps + 1``, all equally likely.
        unit: Unit of the values; "choice" means whole numbers that stand for `choices`.
        meaning: What it changes.
        classes: Tuple of the class indices that have it; elsewhere the table says NaN.
        choices: Names of the values of a choice, first for 0; for ``style`` see `STYLES`.
    """

    name: str
    low: float
    high: float
    steps: int
    unit: str
    meaning: str
    classes: tuple = _ALL
    choices: tuple = ()

    def values(self, levels):
        """Levels (integers 0 to ``steps``) as values, float64."""
        return self.low + np.asarray(levels, "float64") * ((self.high - self.low) / self.steps)

    def level(self, value):
        """The level nearest to a value.

        Raises:
            ValueError: The value is not a number, or lies outside the range.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not self.low - 1e-9 <= number <= self.high + 1e-9:
            raise ValueError(f"{self.name} is {value!r}; it goes from {self.low:g} to {self.high:g} ({self.unit}).")
        if self.is_choice and number != round(number):
            raise ValueError(f"{self.name} is {value!r}; it is a choice: a whole number to {self.high:g}.")
        return int(np.rint((number - self.low) / (self.high - self.low) * self.steps))

    @property
    def is_choice(self):
        """True for a choice, False for a quantity."""
        return self.unit == "choice"


PATTERNS = ("plain", "stripes across", "stripes along", "checks", "print", "motif")

# Neckline, strap or closure: what ``style`` 0 to 3 means for each class.
STYLES = (
    ("crew neck", "V neck", "wide scoop", "polo collar"),
    ("fly", "creases", "pockets", "turn-ups"),
    ("crew neck", "V neck", "roll neck", "hood"),
    ("round neck", "V neck", "two straps", "belt"),
    ("lapels", "zip and stand-up collar", "hood", "double row of buttons"),
    ("ankle strap", "thong", "many straps", "crossed straps"),
    ("collar and buttons", "band collar", "open V neck", "buttons and pockets"),
    ("laces and stripes", "toe cap", "side panel", "slip-on"),
    ("round handle", "two straps", "flap", "zip and side straps"),
    ("laces", "elastic side", "zip", "buckle"),
)

_STEPS = 64
FACTORS = (
    Factor("width", 0.8, 1.2, _STEPS, "x typical", "width of the garment; of a shoe: how bulky it is"),
    Factor(
        "length", 0.0, 1.0, _STEPS, "of its range", "hem, from high to low; of a shoe: toe to heel; of a bag: height"
    ),
    Factor("sleeve", 0.0, 1.0, _STEPS, "of its range", "length of the sleeves", _TOPS),
    Factor("shaft", 0.0, 1.0, _STEPS, "of its range", "height of the shaft", (SNEAKER, BOOT)),
    Factor("heel", 0.0, 1.0, _STEPS, "of its range", "height of the heel", (SANDAL, SNEAKER, BOOT)),
    Factor("handle", 0.0, 1.0, _STEPS, "of its range", "height of the handle above the bag", (BAG,)),
    Factor("flare", 0.0, 1.0, _STEPS, "of its range", "how much it widens towards the hem", _TOPS + (TROUSER, BAG)),
    Factor("style", 0, 3, 3, "choice", "neckline, strap or closure; STYLES names the choices of each class"),
    Factor("shade", 0.3, 1.0, _STEPS, "grey, 1 is white", "brightness of the cloth"),
    Factor("pattern", 0, len(PATTERNS) - 1, len(PATTERNS) - 1, "choice", "what is woven or printed", _ALL, PATTERNS),
    Factor("contrast", 0.0, 0.5, _STEPS, "of the farther end of grey", "how much the pattern differs from the cloth"),
    Factor("pitch", 2.5, 7.0, _STEPS, "pixels", "distance from one stripe, check or blot to the next"),
    Factor("tilt", -3.0, 3.0, _STEPS, "degrees", "turn about the centre, clockwise"),
    Factor("x", -1.0, 1.0, _STEPS, "pixels", "shift to the right"),
    Factor("y", -0.75, 0.75, _STEPS, "pixels", "shift downwards"),
    Factor("softness", 0.0, 0.3, _STEPS, "share blurred", "softness of all edges"),
    Factor("seams", 0.2, 1.0, _STEPS, "of its range", "visibility of seams, buttons and other details"),
    Factor("folds", 0.0, 0.3, _STEPS, "of the brightness", "difference between light and shadow in the folds"),
    Factor("grain", 0.0, 0.16, _STEPS, "of the brightness", "roughness of the cloth, random from pixel to pixel"),
)
_BY_NAME = {factor.name: factor for factor in FACTORS}

# A draw takes a fixed number of 64-bit words from one stream, so a picture does not depend on those before it.
_WORDS = 2 + len(FACTORS)


def _levels(n, seed, labels):
    """Labels int64 (n,), texture seeds int64 (n,) and levels int64 (n, factors), whether a class has them or not."""
    if not _is_whole(n) or n < 1:
        raise ValueError(f"n is {n!r}: how many garments to draw is a whole number from 1.")
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f"seed is {seed!r}: it is a whole number from 0.")
    words = np.random.PCG64(int(seed)).random_raw(int(n) * _WORDS).reshape(n, _WORDS) >> np.uint64(32)
    counts = np.array([10, 2**32 - 1] + [factor.steps + 1 for factor in FACTORS], "uint64")
    levels = ((words * counts) >> np.uint64(32)).astype("int64")
    if labels is None:
        labels = levels[:, 0]
    else:
        labels = np.asarray(labels)
        if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels must be {n} whole numbers from 0 to 9, one a garment, or None.")
        labels = labels.astype("int64")
    return labels, levels[:, 1], levels[:, 2:]


def _is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _table(labels, textures, levels):
    """Levels as the table a reader sees: values in their units, NaN where a class lacks the factor."""
    columns = {}
    for column, factor in enumerate(FACTORS):
        if factor.is_choice:
            columns[factor.name] = levels[:, column]
        else:
            values = factor.values(levels[:, column])
            columns[factor.name] = np.where(np.isin(labels, factor.classes), values, np.nan)
    return pd.DataFrame(columns | {"texture_seed": textures})


def typical(label):
    """A garment in the middle of all ranges: plain, straight, centred.

    Args:
        label: Class index 0 to 9.

    Returns:
        Dict of factor name to value, for `draw_one`.

    Raises:
        ValueError: There is no such class.
    """
    label = _class(label)
    middle = {factor.name: factor.values(factor.steps // 2) for factor in FACTORS if label in factor.classes}
    return {name: float(value) for name, value in middle.items()} | {"style": 0, "pattern": PLAIN}


def _class(label):
    if not _is_whole(label) or not 0 <= label <= 9:
        raise ValueError(f"There is no class {label!r}: class indices are whole numbers from 0 to 9.")
    return int(label)


# --------------------------------------------------------------------------------------------------
# Draw


def draw(n, seed, labels=None):
    """Draw garments with random factors, each uniform over its range and independent of all others.

    The first images of a longer draw are the images of a shorter one.

    Args:
        n: Number of garments, from 1.
        seed: Whole number from 0; the same seed gives the same bytes on every platform.
        labels: Class index of each garment, whole numbers (n,); None draws them too.

    Returns:
        images: Array uint8 (n, 28, 28, 1), 0 is the ground and 255 white.
        labels: Array int64 (n,) of class indices.
        table: DataFrame of n rows with a column for each of `FACTORS` in their units (NaN where the class lacks the
            factor), and ``texture_seed``, from which grain, prints and the place of folds follow.

    Raises:
        ValueError: An argument is not what it should be.
    """
    labels, textures, levels = _levels(n, seed, labels)
    return _draw(labels, textures, levels), labels, _table(labels, textures, levels)


def draw_one(label, factors, texture_seed):
    """Draw one garment from its factors.

    Args:
        label: Class index 0 to 9.
        factors: A row of the factor table, or a dict of name to value, such as `typical` returns. Factors the class
            lacks may be missing or NaN. Values are rounded to the steps of their range.
        texture_seed: Whole number from 0; it decides grain, prints and the place of folds.

    Returns:
        Image, uint8 (28, 28, 1).

    Raises:
        ValueError: A factor is missing, unknown or out of its range, or there is no such class.
    """
    label = _class(label)
    values = dict(factors)
    strangers = set(values) - set(_BY_NAME) - {"texture_seed"}
    if strangers:
        raise ValueError(f"Unknown factor {sorted(map(str, strangers))[0]!r}; there are: {', '.join(_BY_NAME)}.")
    if isinstance(texture_seed, float) and texture_seed.is_integer():
        texture_seed = int(texture_seed)  # a row of a table is float throughout
    if not _is_whole(texture_seed) or texture_seed < 0:
        raise ValueError(f"texture_seed is {texture_seed!r}: it is a whole number from 0.")
    levels = []
    for factor in FACTORS:
        if label not in factor.classes:
            levels.append(0)
            continue
        if factor.name not in values:
            raise ValueError(f"The factor {factor.name} is missing; typical({label}) shows all that class {label} has.")
        levels.append(factor.level(values[factor.name]))
    return _draw(np.array([label]), [texture_seed], np.array([levels]))[0]


_CHUNK = 2_048  # images that are in memory at once


def _draw(labels, textures, levels, progress=None):
    """uint8 (n, 28, 28, 1) for labels (n,), texture seeds (n,) and levels (n, factors)."""
    images = np.empty((len(labels), 28, 28, 1), "uint8")
    for start in range(0, len(labels), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        for label in np.unique(labels[chunk]):
            rows = start + np.flatnonzero(labels[chunk] == label)
            values = {f.name: f.values(levels[rows, column]) for column, f in enumerate(FACTORS)}
            noise = garments.Noise([textures[row] for row in rows])
            images[rows, ..., 0] = garments.draw(int(label), garments.Factors(values), noise)
        if progress is not None:
            progress.update(len(labels[chunk]))
    return images


# --------------------------------------------------------------------------------------------------
# Load


def load(verbose=True, sizes=None, directory=None):
    """The drawn wardrobe as a data set; drawn on the first call, read from ``data/cache/`` afterwards.

    Each split has equally many garments of each class, in a fixed shuffled order. `factors` gives the
    factor table of a split.

    Args:
        verbose: Whether to print one line that says what this is, and to show the progress of drawing.
        sizes: Dict of split name to number of images, multiples of 10; None for 55,000, 5,000 and 10,000.
        directory: Folder for the drawings; None for ``data/cache/``.

    Returns:
        A `data.Dataset` named "the drawn wardrobe".

    Raises:
        ValueError: A size is missing or not such a number.
    """
    sizes = _sizes(sizes)
    images = _images(sizes, course.DATA / "cache" if directory is None else directory, verbose)
    splits = {}
    for split, n in sizes.items():
        labels = _levels_of(split, n)[0]
        splits[split] = Split(images[split], labels)
    dataset = Dataset(NAME, SLUG, CLASS_NAMES, **splits, source="helpers/wardrobe.py")
    if verbose:
        print(dataset)
    return dataset


def factors(split, sizes=None):
    """The factor table of a split of `load`: row i belongs to image i.

    Args:
        split: One of "train", "validation" and "test".
        sizes: Sizes as given to `load`.

    Returns:
        A DataFrame; see `draw`.

    Raises:
        ValueError: There is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are: {', '.join(SPLITS)}.")
    return _table(*_levels_of(split, _sizes(sizes)[split]))


def _sizes(sizes):
    if sizes is None:
        return {split: n for split, (n, _) in SPLITS.items()}
    if set(sizes) != set(SPLITS) or not all(_is_whole(n) and n > 0 and n % 10 == 0 for n in sizes.values()):
        raise ValueError(f"sizes is {sizes!r}: it gives {', '.join(SPLITS)} a multiple of 10 each.")
    return {split: int(sizes[split]) for split in SPLITS}


def _levels_of(split, n):
    """Labels, texture seeds and levels of a split of n garments, each class equally often."""
    seed = SPLITS[split][1]
    order = np.argsort(np.random.PCG64([seed, 1]).random_raw(n), kind="stable")
    return _levels(n, seed, np.repeat(np.arange(10), n // 10)[order])


def _images(sizes, directory, verbose):
    """Dict of split to uint8 images: read if they are there and right, else drawn and kept."""
    whole = sizes == _sizes(None)
    suffix = "" if whole else "-" + "-".join(str(n) for n in sizes.values())
    path = course.path_of(directory) / f"{SLUG}-{VERSION}{suffix}.npz"
    try:
        images = files.read_arrays(path, "It is drawn again.")
        _check(images, sizes, path.name)
        return images
    except FileNotFoundError:
        pass
    except files.DamagedFile:
        print(f"{path.name} is damaged or not of this version: the garments are drawn again.", file=sys.stderr)
    options = {"desc": "Drawing garments", "disable": not verbose, "file": sys.stderr, "leave": False}
    with tqdm(total=sum(sizes.values()), **options) as bar:
        images = {split: _draw(*_levels_of(split, n), bar) for split, n in sizes.items()}
    try:
        files.write_arrays(path, images)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        print(f"{path.name} cannot be kept ({reason}): the next load draws the garments again.", file=sys.stderr)
    return images


_SAMPLE = 20  # garments of each split that are drawn again to see whether a cache is this program's


def _check(images, sizes, name):
    """See that a cache has the right arrays, and that its first garments are what is drawn today.

    Damage inside the file has been found on reading, by its own checksums.

    Raises:
        files.DamagedFile: The cache does not have them.
    """
    expected = {split: (n, 28, 28, 1) for split, n in sizes.items()}
    found = {split: array.shape for split, array in images.items() if array.dtype == np.uint8}
    if found != expected or len(images) != len(expected):
        raise files.DamagedFile(f"{name} holds other arrays than the wardrobe's.")
    for split, n in sizes.items():
        labels, textures, levels = (array[:_SAMPLE] for array in _levels_of(split, n))
        if not np.array_equal(_draw(labels, textures, levels), images[split][:_SAMPLE]):
            raise files.DamagedFile(f"{name} holds other drawings.")


# --------------------------------------------------------------------------------------------------
# Outlines

# --------------------------------------------------------------------------------------------------
# Cloth

# --------------------------------------------------------------------------------------------------
# Garments: the shape of each class, in pixels

# fmt: off
