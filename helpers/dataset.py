"""What a data set is here: images of 28 x 28 grey pixels, their classes, three splits that share no image."""

import functools
import weakref
from dataclasses import dataclass, replace

import numpy as np

from helpers.machinery import identity

IMAGE_SHAPE = (28, 28, 1)
KEPT = 5_000  # images whose values a split keeps beside their levels: 16 MB
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
UNLABELLED = "unlabelled"  # the one class of a data set without labels


class Split:
    """Images with their labels. The arrays are read-only, so that no cell can damage them.

    A function that wants to write, or that says "buffer source array is read-only", takes a copy:
    ``split.images[0].copy()``, or ``split.take([0])``.

    Args:
        images: Grey values in [0, 1], float32 (n, 28, 28, 1), or grey levels from 0 to 255, uint8 of that shape. Levels
            take a quarter of the memory; `images` makes values of them.
        labels: Class indices from 0, int64 (n,); 0 for all images where nobody has said what they show.
        class_names: Tuple of str, the classes by index; those of Fashion-MNIST where nothing else is said.

    Attributes:
        labels: Class indices from 0, int64 (n,).
        class_names: Tuple of str.

    Raises:
        ValueError: The two arrays do not have these shapes and types.
    """

    def __init__(self, images, labels, class_names=CLASS_NAMES):
        images, labels = np.asarray(images).view(), np.asarray(labels).view()
        if images.dtype not in (np.float32, np.uint8) or images.ndim != 4 or images.shape[1:] != IMAGE_SHAPE:
            raise ValueError(f"images must be float32 or uint8 (n, 28, 28, 1), not {images.dtype} {images.shape}.")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(f"labels must be int64 {images.shape[:1]}, not {labels.dtype} {labels.shape}.")
        images.flags.writeable = labels.flags.writeable = False
        self._stored, self._labels, self.class_names = images, labels, tuple(class_names)
        self._kept = self._shared = None

    def __reduce__(self):
        return Split, (self._stored, self._labels, self.class_names)

    @property
    def labels(self):
        return self._labels

    @property
    def images(self):
        """Grey values in [0, 1], float32 (n, 28, 28, 1).

        Where levels are stored, the values of more than 5,000 images are made anew (55,000 in a twentieth of a second)
        once nobody holds them any more: to go through them one by one, give them a name first.
        """
        if self._stored.dtype == np.float32:
            return self._stored
        values = self._shared and self._shared()
        if values is None:
            values = _values(self._stored)
            self._shared = weakref.ref(values)
            if len(values) <= KEPT:
                self._kept = values
        return values

    @property
    def stored(self):
        """The images as they are kept, levels or values: uint8 or float32 (n, 28, 28, 1)."""
        return self._stored

    @property
    def levels(self):
        """Grey levels from 0 to 255, uint8 (n, 28, 28, 1): what is stored, or the nearest to it."""
        return self._stored if self._stored.dtype == np.uint8 else np.rint(self._stored * 255).astype("uint8")

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        return f"Split({len(self):,} images)"

    @property
    def flat(self):
        """The images as rows: float32 (n, 784), a view that copies nothing."""
        return self.images.reshape(len(self), -1)

    @functools.cached_property
    def digest(self):
        """SHA-256 of the images as text: which images these are, whether kept as levels or as values."""
        levels = self.levels
        if self._stored.dtype == np.float32 and not np.array_equal(_values(levels), self._stored):
            levels = self._stored
        return identity.digest(levels)

    def head(self, n):
        """The first n images and labels, as a Split.

        Args:
            n: Number of images, an int from 1 to ``len(self)``.

        Raises:
            ValueError: The argument ``n`` is not such a number.
        """
        if not _is_integer(n) or not 1 <= n <= len(self):
            raise ValueError(f"Cannot take the first {n!r} images: name a whole number, 1 to {len(self):,}.")
        stored = self._stored[:n]
        # Levels are copied, so that those of the whole can go once nobody else needs them.
        return Split(stored.copy() if stored.dtype == np.uint8 else stored, self.labels[:n], self.class_names)

    def take(self, rows):
        """Some of the images, which alone become floats.

        Args:
            rows: Indices of the images, int (m,), or a mask, bool (n,).

        Returns:
            Images, float32 (m, 28, 28, 1): a new array, which may be written to.
        """
        values = _values(self._stored[np.asarray(rows)])
        values.flags.writeable = True  # chosen rows are a copy in any case
        return values

    def of_class(self, k):
        """The images of one class, in their order here.

        Args:
            k: Class index, an int from 0.

        Returns:
            Images, float32 (m, 28, 28, 1): a new array, which may be written to.

        Raises:
            ValueError: There is no such class.
        """
        return self.take(self.labels == _class(k, self.class_names))


def _class(k, class_names):
    """A class index, or an error where it is none."""
    last = len(class_names) - 1
    if not _is_integer(k) or not 0 <= k <= last:
        raise ValueError(
            f"There is no class {k!r}: class indices are whole numbers, "
            f"0 ({class_names[0]}) to {last} ({class_names[last]})."
        )
    return k


def _values(stored):
    """Grey values of levels or of values, read-only."""
    # The type is named because 255 as a plain number would make float64 of it, twice the memory.
    values = stored if stored.dtype == np.float32 else np.divide(stored, 255, dtype=np.float32)
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in three parts that share no image.

    Attributes:
        name: Name for people, ``"Fashion-MNIST"``.
        slug: Name for files, ``"fashion-mnist"``.
        class_names: Tuple of str; ``class_names[label]`` is the garment. Without labels it is ``("unlabelled",)``.
        train: Split to fit on, in a fixed shuffled order; of Fashion-MNIST 55,000 images.
        validation: Split for choices, stratified; of Fashion-MNIST 5,000 images, 500 of each class.
        test: Split for final numbers only; of Fashion-MNIST the 10,000 published test images in their order.
        source: The kind of place the files came from, never a path of the machine.
        notes: Tuple of sentences: what was done to the images on their way in.
    """

    name: str
    slug: str
    class_names: tuple
    train: Split
    validation: Split
    test: Split
    source: str
    notes: tuple = ()

    @property
    def is_labelled(self):
        """False where nobody has said what the images show: all of them are then of one class, "unlabelled"."""
        return self.class_names != (UNLABELLED,)

    def __repr__(self):
        return (
            f"{self.name}, from {self.source}: {len(self.train):,} train, "
            f"{len(self.validation):,} validation, {len(self.test):,} test"
        )

    def head(self, train=None, validation=None, test=None):
        """A smaller Dataset: the first images of each split. What is not named stays whole.

        Args:
            train: Number of training images to keep, an int.
            validation: Number of validation images to keep, an int.
            test: Number of test images to keep, an int.

        Raises:
            ValueError: A number is below 1 or above what there is; the text names the split.
        """
        smaller = {}
        for split, n in (("train", train), ("validation", validation), ("test", test)):
            if n is None:
                continue
            try:
                smaller[split] = getattr(self, split).head(n)
            except ValueError as error:
                raise ValueError(f"{split}: {error}") from error
        return replace(self, **smaller)

    def without(self, k):
        """The same Dataset to train on without one class: the test images keep it, so that it can be met anew.

        Args:
            k: Class index, an int from 0.

        Raises:
            ValueError: There is no such class.
        """
        kept = {}
        for name in ("train", "validation"):
            split = getattr(self, name)
            others = split.labels != _class(k, self.class_names)
            kept[name] = Split(split.stored[others], split.labels[others], split.class_names)
        return replace(self, **kept)


def pieces(images, size=2_000):
    """Go through images a few at a time, so that of a large split only these become floats.

    Args:
        images: A `Split`, or an array (n, 28, 28, 1) with values in [0, 1].
        size: Number of images in a piece.

    Yields:
        Arrays float32 (m, 28, 28, 1), the last of them shorter, all of them read-only.

    Raises:
        ValueError: As in `check_images`.
    """
    if isinstance(images, Split) and images.stored.dtype == np.uint8:
        stored = images.stored
    else:
        stored = check_images(images.images if isinstance(images, Split) else images)
    for i in range(0, len(stored), size):
        yield _values(stored[i : i + size])


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_images(images, name="images"):
    """Return ``images`` as float32, or say what is wrong with them.

    Args:
        images: Array (n, 28, 28, 1) with values in [0, 1].
        name: Name of the images in an error.

    Returns:
        Array float32 of that shape.

    Raises:
        ValueError: The array has a wrong shape or kind, or a value that is not finite or lies outside [0, 1].
    """
    images = check_inputs(images, name)
    if images.size:
        low, high = images.min(), images.max()
        if low < 0 or high > 1:
            raise ValueError(f"{name} run from {low:.9g} to {high:.9g}; expected [0, 1]. {_remedy(low, high)}")
    return images


def check_inputs(images, name="images"):
    """Return what an encoder may be given as float32: images, also with noise that leaves [0, 1]; or say what is wrong.

    Args:
        images: Array (n, 28, 28, 1), its values about [0, 1].
        name: Name of the images in an error.

    Returns:
        Array float32 of that shape.

    Raises:
        ValueError: The array has a wrong shape or kind, a value that is not finite, or grey levels up to 255.
    """
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise ValueError(f"{name} are uneven; expected an array (n, 28, 28, 1).") from error
    if images.dtype.kind not in "biuf" and images.dtype.name != "bfloat16":
        raise ValueError(f"{name} hold values of type {images.dtype}; expected plain numbers, such as float32.")
    if images.ndim != 4 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"{name} have shape {images.shape}; expected (n, 28, 28, 1). "
            "For a single image use images[i : i + 1], for flat pixels images.reshape(-1, 28, 28, 1)."
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        images = images.astype("float32", copy=False)
    if images.size:
        low, high = images.min(), images.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError(f"{name} hold values that are not finite (NaN or infinity); look for a division by zero.")
    return check_scale(images, name)


def check_scale(images, name="images"):
    """Return images as they are, of any shape, unless they are grey levels up to 255 where values are expected.

    Args:
        images: Array of values about [0, 1].
        name: Name of the images in an error.

    Returns:
        The array.

    Raises:
        ValueError: A value is larger than noise can make it.
    """
    images = np.asarray(images)
    largest = 10 if images.dtype.kind not in "iu" else 1
    if images.size:
        low, high = images.min(), images.max()
        if max(-float(low), float(high)) > largest:
            raise ValueError(f"{name} run from {low:.9g} to {high:.9g}; expected [0, 1]. {_remedy(low, high)}")
    return images


def _remedy(low, high):
    """What to do about images that run from ``low`` to ``high``."""
    if low >= -0.1 and high <= 1.1:
        return "A resize or a filter may overshoot a little: np.clip(images, 0, 1)."
    if low >= 0:
        return "Divide grey levels by 255."
    if low >= -1 and high <= 1:
        return "Where they were scaled to [-1, 1], (images + 1) / 2 brings them back."
    return "Where they were standardised, multiply by the standard deviation and add the mean; then clip."
