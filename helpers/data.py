"""Fashion-MNIST: find, fetch, verify, split.

``load()`` searches ``FASHION_MNIST_DIR``, ``data/fashion-mnist/``, Keras' cache and the folder of Debian's
package, and then asks the mirrors. Only files whose checksum agrees are used; any other file ends in a
``DataError`` that says what is wrong with it and what to do. Where there are no files and no network, the drawn
wardrobe stands in.
"""

import gzip
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import course, wardrobe
from helpers.dataset import CLASS_NAMES, Dataset, Split
from helpers.machinery import published
from helpers.machinery.download import HOME, ask_mirrors, fetch
from helpers.machinery.published import NAME, SLUG, DataError, UnreachableError, is_there, located, read, verify

# The split of the 60,000 published training images. Every number of the course rests on these two.
VALIDATION_SIZE = 5_000
SPLIT_SEED = 20170825  # the day the data set's paper appeared

FILES = published.FILES  # the four files, as notebook 01 inspects them

STAND_IN = (
    f"No {NAME} on this machine, and no mirror answers{{why}}: the course goes on with the drawn wardrobe. "
    "For the real set, connect once and run this cell again, or put {missing} into data/fashion-mnist/ "
    "(data/README.md lists names and sizes)."
)

# Where `apt install dataset-fashion-mnist` puts the four files, on Debian and its descendants such as Ubuntu: the same
# content, packed by another gzip.
DEBIAN = Path("/usr/share/datasets") / SLUG


def load(directory=None, verbose=True):
    """Fashion-MNIST, found or fetched, verified and split; the drawn wardrobe where that cannot be.

    ``COURSE_DATA=wardrobe`` chooses the drawings on purpose, ``COURSE_DATA=fashion-mnist`` refuses them.

    Args:
        directory: Folder with the four files; it is then the only place that is searched. None takes the search order
            of ``find``, then a download to ``data/fashion-mnist/``.
        verbose: Whether to print one line that says what was found where, and to show the progress of a download.

    Returns:
        A `Dataset` with 55,000 training, 5,000 validation and 10,000 test images. The split is fixed. Its ``name`` says
        which data these are.

    Raises:
        DataError: A file is damaged or foreign, a folder cannot be written, or, with ``COURSE_DATA=fashion-mnist``, no
            mirror could be reached.
    """
    place = None
    if directory is not None or course.data_choice() != wardrobe.SLUG:
        place = _found_or_fetched(directory, verbose)
    if place is None:
        return wardrobe.load(verbose)
    images, labels, test_images, test_labels = (read(place.directory / file.name, file) for file in published.FILES)
    from sklearn.model_selection import train_test_split  # here, because its import takes a second

    train, validation = train_test_split(
        np.arange(len(labels)), test_size=VALIDATION_SIZE, stratify=labels, random_state=SPLIT_SEED
    )
    dataset = Dataset(
        name=NAME,
        slug=SLUG,
        class_names=CLASS_NAMES,
        train=_split(images[train], labels[train]),
        validation=_split(images[validation], labels[validation]),
        test=_split(test_images, test_labels),
        source=place.source,
    )
    if verbose:
        print(dataset)
    return dataset


def _found_or_fetched(directory, verbose):
    """The Place of the four files, None where they are nowhere and the stand-in is allowed."""
    place = find(directory, verbose=verbose)
    if place is not None:
        return place
    missing = [file for file in published.FILES if not is_there(course.DATA / SLUG / file.name)]
    try:
        ask_mirrors(wanted=missing[0])
        target = fetch(course.DATA / SLUG, verbose=verbose)
    except UnreachableError as error:
        if course.data_choice() == SLUG:
            raise
        there = len(published.FILES) - len(missing)
        names = ", ".join(file.name for file in missing) + f" beside the other {there}" if there else "the four files"
        why = f" ({'; '.join(error.reasons)})" if error.reasons else ""
        print(STAND_IN.format(why=why, missing=names))  # always: which data are in use must be visible
        return None
    return Place(target, f"{HOME} (downloaded now)")


def _split(pixels, labels):
    """uint8 (n, 28, 28) and uint8 (n,), to a Split."""
    return Split(pixels[..., np.newaxis], labels.astype(np.int64))


# --------------------------------------------------------------------------------------------------
# Find


class Place(NamedTuple):
    """A folder with the four verified files.

    Attributes:
        directory: Path of the folder.
        source: Kind of place it is, in words.
    """

    directory: Path
    source: str


def find(directory=None, verbose=True):
    """The first place that holds the four files, each verified.

    Order: the folder given or, without one, ``FASHION_MNIST_DIR``; ``data/fashion-mnist/``; Keras' cache; the
    folder of Debian's package ``dataset-fashion-mnist``, ``/usr/share/datasets/fashion-mnist/``. Debian comes last
    because its files are packed by another gzip, so that each has to be unpacked before it is known to be right.
    A folder that the reader named must be right; nothing else is tried instead of it. Keras' cache and Debian's
    folder belong to others: if a file in them is wrong, a line says so and the search goes on.

    Args:
        directory: The only folder to search; None takes the search order.
        verbose: Whether to print that line.

    Returns:
        The `Place`, or None if the files are nowhere (or some of them are still missing in our own folder).

    Raises:
        DataError: A named folder does not exist or lacks a file, or a file in it, or in ``data/fashion-mnist/``, is
            damaged or foreign.
    """
    if directory is not None:
        way_out = "Or name another folder, or none to search for the files."
        return _named(course.path_of(directory), "the given folder", way_out)
    directory = course.data_directory()
    if directory is not None:
        return _named(directory, "FASHION_MNIST_DIR", "Or unset FASHION_MNIST_DIR to search for the files.")

    home = course.DATA / SLUG
    # A download that was interrupted leaves some files whole and some missing: only the latter are fetched.
    if all([_is_there(home, file) for file in published.FILES]):
        return Place(home, HOME)

    others = Place(course.keras_home() / "datasets" / SLUG, "Keras' cache"), Place(DEBIAN, "Debian's package")
    for place in others:
        if not any(is_there(place.directory / file.name) for file in published.FILES):
            continue
        try:
            verify(place.directory)
        except DataError as error:
            if verbose:
                print(f"{place.source} is passed over: {str(error).splitlines()[0]}")
        else:
            return place
    return None


def _named(directory, source, way_out):
    # os.path answers where pathlib raises for folders that this user may not enter.
    if not os.path.isdir(directory):
        what = "is not a folder" if os.path.exists(directory) else "does not exist"
        raise DataError(
            f"Wrong path for {source}: it {what}.\nFolder: {directory}\n"
            f"Remedy: correct it, so that it leads to {published.FILES[0].name} and its three companions. {way_out}"
        )
    try:
        verify(directory)
    except DataError as error:
        raise DataError(f"In {source}: {error} {way_out}") from error
    return Place(directory, source)


def _is_there(directory, file):
    """Whether our own folder holds the file; raises DataError where it holds something else."""
    path = directory / file.name
    if is_there(path):
        read(path, file, parse=False)
    return is_there(path)


def packed_files(dataset):
    """The four files as they are stored: gzip bytes by name.

    Where the drawn wardrobe stands in, its garments are packed in the same format, so that everything
    about the format can still be tried; only the checksums differ.

    Args:
        dataset: The `Dataset` that ``load`` returned.

    Returns:
        Dict of the names in `published.FILES` to bytes.
    """
    if dataset.slug == SLUG:
        directory, packed = find(verbose=False).directory, {}
        for file in published.FILES:
            content = located(directory / file.name).read_bytes()
            is_packed = content[:2] == b"\x1f\x8b"
            packed[file.name] = content if is_packed else gzip.compress(content, compresslevel=1, mtime=0)
        return packed
    trained_on = [
        np.concatenate(pair) for pair in zip(_bytes_of(dataset.train), _bytes_of(dataset.validation), strict=True)
    ]
    contents = [*trained_on, *_bytes_of(dataset.test)]
    heads = [
        struct.pack(f">{1 + array.ndim}I", file.magic, *array.shape)
        for file, array in zip(published.FILES, contents, strict=True)
    ]
    return {
        file.name: gzip.compress(head + array.tobytes(), compresslevel=1, mtime=0)
        for file, head, array in zip(published.FILES, heads, contents, strict=True)
    }


def _bytes_of(split):
    """A split's images as uint8 (n, 28, 28) and its labels as uint8 (n,)."""
    return split.levels[..., 0], split.labels.astype("uint8")
