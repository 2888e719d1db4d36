"""Picture files, decoded by Pillow: only known formats, no more pixels than memory can hold, one clear error."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

from helpers.machinery.published import DataError

# Telephones' MPO files are opened as JPEG.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
ENDINGS = frozenset([".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"])
MAX_PIXELS = 50_000_000  # of a picture: 200 MB while it is decoded
MAX_BYTES = 1 << 27  # of a picture file

# What Pillow's decoders have been seen to raise on files that are cut off or changed.
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)
_FAULTS += (struct.error, zlib.error, EOFError, NotImplementedError, RuntimeError, MemoryError, AssertionError)
_FAULTS += (Image.DecompressionBombError,)


class PictureError(DataError):
    """A file is no picture that can be read. The text says what is wrong, without its name."""


def decode(source):
    """Decode a picture, upright, in one of the modes L, LA, RGB and RGBA.

    Orientation follows the file's EXIF entry. Of an animation the first picture counts, of 16 bits a channel the upper
    eight, CMYK and palettes become RGB.

    Args:
        source: Path, or the bytes of a file.

    Returns:
        A PIL image.

    Raises:
        PictureError: It is no such picture, damaged, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata; what matters is an error
        return decode_quietly(source)


def decode_quietly(source):
    """`decode` for a caller that has silenced warnings itself, once for many pictures.

    Args:
        source: Path, or the bytes of a file.

    Raises:
        PictureError: As in `decode`.
    """
    try:
        with _opened(source) as image:
            return plain(image)
    except PictureError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"is no picture of a known format ({', '.join(FORMATS)})") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise PictureError(f"cannot be read ({error.strerror})") from error
    except _FAULTS as error:
        raise PictureError(f"is damaged or cut off ({_first_line(error)})") from error


def _opened(source):
    if isinstance(source, bytes):
        size, source = len(source), io.BytesIO(source)
    else:
        size = os.stat(source).st_size
    if not size:
        raise PictureError("is empty")
    if size > MAX_BYTES:
        raise PictureError(f"is too large: {size:,} bytes, at most {MAX_BYTES:,} are read")
    image = Image.open(source, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:  # known from the file's head, before anything is unpacked
        image.close()
        raise PictureError(f"is too large: {width:,} x {height:,} pixels, at most {MAX_PIXELS:,} are unpacked")
    return image


def plain(image):
    """Turn an opened PIL image upright and into one of the modes L, LA, RGB and RGBA; see `decode`.

    Args:
        image: A PIL image.

    Raises:
        PictureError: Its numbers have no known range.
    """
    if image.mode == "L" and "exif" not in image.info and "transparency" not in image.info:
        image.load()
        return image.copy()
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise PictureError("holds decimal numbers, whose range nobody knows; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        return Image.fromarray(_upper_byte(np.asarray(image)))
    if image.mode in ("RGBa", "La", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        image.load()
        return image.copy()
    return image.convert("L" if image.mode == "1" else "RGB")


def _upper_byte(values):
    """Grey levels to 255 of those of 16 bits."""
    low, high = values.min(), values.max()
    if low < 0 or high > 65_535:
        raise PictureError(f"has grey levels from {low} to {high}; expected 8 or 16 bits a channel")
    return (values // 257).astype("uint8") if high > 255 else values.astype("uint8")


def _first_line(error):
    text = str(error).strip()
    return text.splitlines()[0][:100] if text else type(error).__name__


def grey(image):
    """Grey levels of a decoded picture, its transparent parts filled.

    They become white or black, whichever is further from the opaque parts.

    Args:
        image: A PIL image in one of the modes L, LA, RGB and RGBA.

    Returns:
        A PIL image in mode L.
    """
    return filled(image).convert("L")


def filled(image):
    """Fill the transparent parts of a picture with white or black, whichever is further from its opaque parts.

    Args:
        image: A PIL image in one of the modes L, LA, RGB and RGBA.

    Returns:
        A PIL image in mode L or RGB.
    """
    if image.mode not in ("LA", "RGBA"):
        return image
    opaque = np.asarray(image.getchannel("A"), "float32")
    brightness = np.asarray(image.convert("RGB").convert("L"), "float32")
    mean = (brightness * opaque).sum(dtype="float64") / max(1.0, opaque.sum(dtype="float64"))
    ground = Image.new("RGBA", image.size, (255 if mean < 128 else 0,) * 3 + (255,))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
