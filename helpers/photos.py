"""Any photo to what the models know: 28 x 28 grey pixels, a light garment in the middle of a dark ground.

Fashion-MNIST itself was made in much the same way: trimmed to the garment, its longest edge brought to 28 pixels, put
in the middle of a square, made grey and negated (Xiao, Rasul, Vollgraf 2017, section 3). A photo that skips one of
these steps looks like nothing that a model has seen.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import label

from helpers.machinery import pictures
from helpers.machinery.published import fault

SIDE = 28
WORKING = 448  # pixels of the longest edge at which ground and garment are told apart
TOLERANCE = 0.05 * 255  # levels by which a pixel differs from the ground before it is garment (Xiao et al.: 5 %)
SPECK = 0.002  # share of the largest piece's area below which a piece is dust


def to_28(image, steps=False):
    """Turn a photo into an image of 28 x 28 grey pixels, a light garment in the middle of a dark ground.

    The steps: turned upright as the file says; the ground found, a plane of brightness through the pixels of the rim;
    the garment, all that differs from it by more than 5 % of the range and than the ground's own noise; cut out along
    its edges; made grey, as the distance from the ground, which inverts a picture on light ground; shrunk with
    anti-aliasing until the longest edge has 28 pixels; put in the middle of a black square, the odd pixel left and
    above as in Fashion-MNIST. Where most of the rim is not of one colour no ground can be found: the whole picture is
    then taken, neither cut out nor inverted.

    Args:
        image: Path of a picture file, a PIL image, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4): grey levels
            to 255, uint8, or values in [0, 1], float.
        steps: Whether to return the pictures of the steps too.

    Returns:
        Image, float32 (28, 28, 1) in [0, 1]. With ``steps=True`` a tuple of it and a dict of the name of each step to
        its picture, uint8 (h, w) or (h, w, 3).

    Raises:
        DataError: The file is no picture, or damaged, or there is nothing but ground in it.
        ValueError: The array has another shape or range.
    """
    photo = _photo(image)
    shown = {"upright": np.asarray(photo)}
    pixels = np.asarray(photo.convert("RGB"), "float32")
    ground, noise = _ground(pixels)
    if ground is None:
        light, box = np.asarray(photo.convert("L"), "float32") / 255, (0, 0, photo.width, photo.height)
    else:
        difference = np.abs(pixels - ground).max(axis=2)
        garment = _without_specks(difference > max(TOLERANCE, 4 * noise))
        if not garment.any():
            raise pictures.PictureError("shows nothing but its ground")
        light, box = _light_on_dark(pixels, ground, garment), _box(garment)
        shown |= {"distance from the ground": _levels(difference / 255), "garment": _levels(garment)}
    left, top, right, bottom = box
    shown |= {"light on dark": _levels(light), "cut out": _levels(light[top:bottom, left:right])}
    small = _shrunk(light, box)
    square = np.zeros((SIDE, SIDE), "float32")
    above, before = (-(-(SIDE - side) // 2) for side in small.shape)
    square[above : above + small.shape[0], before : before + small.shape[1]] = small
    shown["28 x 28"] = _levels(square)
    return (square[..., None], shown) if steps else square[..., None]


def _levels(values):
    return np.rint(np.clip(values, 0, 1) * 255).astype("uint8")


def _photo(image):
    """The picture as a PIL image in mode L or RGB, its longest edge at most `WORKING`."""
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        try:
            image = pictures.decode(path)
        except pictures.PictureError as error:
            raise fault(path, str(error), "save the picture again as PNG or JPEG, or take another.") from error
    elif isinstance(image, bytes):
        image = pictures.decode(image)
    elif isinstance(image, Image.Image):
        image = pictures.plain(image)
    else:
        image = _of_array(image)
    if max(image.size) > WORKING:
        image.thumbnail((WORKING, WORKING), Image.Resampling.BOX, reducing_gap=None)
    return pictures.filled(image)


def _of_array(array):
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or not array.size:
        raise ValueError(f"a picture has shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), not {array.shape}.")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"a picture of floats has values in [0, 1], not from {low:g} to {high:g}.")
        array = np.rint(array * 255).astype("uint8")
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.dtype != np.uint8:
        raise ValueError(f"a picture holds uint8 or floats, not {array.dtype}.")
    return Image.fromarray(np.ascontiguousarray(array))


def _ground(pixels):
    """The ground's colour at each pixel, float32 (h, w, 3), and its noise; None where the rim has no common colour.

    Light falls unevenly on a wall or a table, so the ground is a plane in each channel, fitted to the rim.
    """
    height, width, _ = pixels.shape
    rim = np.zeros((height, width), bool)
    edge = max(1, round(0.02 * min(height, width)))
    rim[:edge] = rim[-edge:] = rim[:, :edge] = rim[:, -edge:] = True
    y, x = np.nonzero(rim)
    found = pixels[y, x]
    near = np.abs(found - np.median(found, axis=0)).max(axis=1) < 48
    if near.mean() < 0.5:
        return None, None
    places = np.stack([np.ones_like(x), x / width, y / height], axis=1).astype("float32")
    for _ in range(2):  # once more without what the first plane leaves over, such as a sleeve that touches the rim
        plane = np.linalg.lstsq(places[near], found[near], rcond=None)[0]
        error = np.abs(found - places @ plane).max(axis=1)
        noise = float(np.median(error[near]))
        near = error <= max(TOLERANCE / 2, 4 * noise)
    ys, xs = np.mgrid[:height, :width].astype("float32")
    ground = plane[0] + (xs / width)[..., None] * plane[1] + (ys / height)[..., None] * plane[2]
    return np.clip(ground, 0, 255), noise


def _without_specks(garment):
    pieces, _ = label(garment, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    return (areas >= max(1, SPECK * areas.max()))[pieces] & garment


def _light_on_dark(pixels, ground, garment):
    """How far each pixel is from the ground towards the garment's side, as a share of what lies on that side."""
    weights = np.array([0.299, 0.587, 0.114], "float32")  # of the channels in brightness, ITU-R BT.601
    grey, ground = pixels @ weights, ground @ weights
    beyond = grey - ground
    if beyond[garment].sum() < 0:
        return np.clip(-beyond / np.maximum(ground, 1), 0, 1)
    return np.clip(beyond / np.maximum(255 - ground, 1), 0, 1)


def _box(garment):
    rows, columns = np.flatnonzero(garment.any(axis=1)), np.flatnonzero(garment.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shrunk(values, box):
    """What lies in a box, its longest edge brought to 28 pixels, float32 (h, w) in [0, 1]."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = SIDE / max(width, height)
    size = tuple(max(1, round(edge * scale)) for edge in (width, height))
    small = Image.fromarray(values.astype("float32")).resize(size, Image.Resampling.LANCZOS, box)
    return np.clip(np.asarray(small), 0, 1)
