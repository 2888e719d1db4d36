"""`data.to_28`: each step on photos whose outcome is known, and how well a classifier recognises what comes out."""

import io

import numpy as np
import pytest
from PIL import Image

from helpers import classifier, data
from helpers.machinery import pictures


def photo(box=(30, 20, 70, 60), ink=60, ground=255, size=(120, 100), mode="L"):
    """A rectangle of one grey, left, top, right and bottom as given, on plain ground."""
    picture = Image.new("L", size, ground)
    picture.paste(ink, box)
    return picture.convert(mode)


def saved(picture, path, **options):
    picture.save(path, **options)
    return path


def test_a_dark_square_on_white_becomes_a_light_square_that_fills_the_image():
    image = data.to_28(photo())
    assert image.shape == (28, 28, 1) and image.dtype == np.float32
    np.testing.assert_allclose(image, (255 - 60) / 255, atol=0.06)  # a sharp filter rings a little at edges


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((30, 20, 51, 76), (0, 28), (9, 19)),  # 21 x 56: 10.5 columns, so 10; the odd pixel would be on the left
        ((30, 20, 48, 76), (0, 28), (10, 19)),  # 9 columns: 10 before, 9 after
        ((10, 20, 66, 48), (7, 21), (0, 28)),
        ((10, 20, 66, 50), (7, 22), (0, 28)),  # 15 rows: 7 above, 6 below
    ],
)
def test_the_longest_edge_has_28_pixels_and_the_odd_one_is_left_and_above(box, rows, columns):
    light = data.to_28(photo(box))[..., 0] > 0.5
    found = np.flatnonzero(light.any(axis=1)), np.flatnonzero(light.any(axis=0))
    assert [(edge[0], edge[-1] + 1) for edge in found] == [rows, columns]


@pytest.mark.parametrize(
    ("ink", "ground", "expected"),
    [(0, 255, 1.0), (155, 255, 100 / 255), (255, 0, 1.0), (180, 0, 180 / 255), (40, 100, 0.6), (200, 100, 100 / 155)],
)
def test_brightness_is_the_distance_from_the_ground_as_a_share_of_what_lies_on_that_side(ink, ground, expected):
    image = data.to_28(photo((30, 20, 70, 40), ink, ground))[..., 0]
    np.testing.assert_allclose(image[8:20, 1:27], expected, atol=0.02)
    np.testing.assert_allclose(image[:6], 0, atol=0.01)


@pytest.mark.parametrize("noise", [3, 9])
def test_uneven_light_and_noise_are_no_garment(noise):
    rng = np.random.default_rng(1)
    light = np.linspace(170, 250, 300)[None] + np.linspace(-10, 10, 200)[:, None]
    values = light + rng.normal(0, noise, (200, 300))
    values[60:120, 100:220] *= 0.4
    image = data.to_28(np.clip(values, 0, 255).astype("uint8"))[..., 0]
    np.testing.assert_allclose(image[8:20, 1:27], 0.6, atol=0.03 * noise)
    assert image[:6].max() < 0.02 * noise and image[22:].max() < 0.02 * noise


def test_dust_does_not_move_the_garment():
    dusty = np.array(photo((100, 100, 200, 200), size=(300, 300)))
    dusty[5, 5] = dusty[290, 20] = 0
    np.testing.assert_array_equal(data.to_28(dusty), data.to_28(photo((100, 100, 200, 200), size=(300, 300))))


def test_colours_of_the_ground_s_brightness_are_seen():
    picture = Image.new("RGB", (100, 100), (0, 150, 0))
    picture.paste((214, 40, 0), (20, 20, 80, 60))  # nearly as bright
    assert data.to_28(picture, steps=True)[1]["cut out"].shape == (40, 60)


def test_steps_are_pictures_of_what_was_done():
    image, steps = data.to_28(photo((30, 20, 70, 40), mode="RGB"), steps=True)
    assert list(steps) == ["upright", "distance from the ground", "garment", "light on dark", "cut out", "28 x 28"]
    assert all(picture.dtype == np.uint8 for picture in steps.values())
    assert steps["upright"].shape == (100, 120, 3) and steps["cut out"].shape == (20, 40)
    assert np.count_nonzero(steps["garment"]) == 20 * 40 and set(np.unique(steps["garment"])) == {0, 255}
    np.testing.assert_array_equal(steps["28 x 28"], np.rint(image[..., 0] * 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_the_file_says(orientation, tmp_path):
    upright = Image.new("L", (60, 90), 255)
    upright.paste(0, (20, 20, 40, 70))
    upright.paste(0, (20, 60, 50, 70))  # an L
    back = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
    }
    back[8] = "ROTATE_270"
    turned = upright.transpose(Image.Transpose[back[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(turned, tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(data.to_28(path), data.to_28(upright))


def test_transparent_ground_is_ground_for_dark_and_for_light_garments(tmp_path):
    for ink in (20, 250):
        picture = Image.new("RGBA", (100, 100), (90, 90, 90, 0))
        picture.paste((ink, ink, ink, 255), (20, 20, 80, 50))
        image = data.to_28(saved(picture, tmp_path / "a.png"))[..., 0]
        expected = (255 - ink) / 255 if ink < 128 else ink / 255
        np.testing.assert_allclose(image[9:19, 2:26], expected, atol=0.01)
        assert image[:6].max() < 0.01


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_modes_of_pictures(mode, tmp_path):
    if mode == "I;16":
        picture = Image.fromarray(np.array(photo(ink=0)).astype("uint16") * 257)
    else:
        picture = photo(ink=0).convert(mode)
    path = saved(picture, tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    np.testing.assert_allclose(data.to_28(path), 1, atol=0.08)
    np.testing.assert_allclose(data.to_28(path.read_bytes()), 1, atol=0.08)


def test_the_first_picture_of_an_animation_counts(tmp_path):
    frames = [photo(ink=0), photo((0, 0, 5, 5))]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(data.to_28(path), data.to_28(frames[0]), atol=0.01)


def test_arrays_of_any_usual_kind():
    levels = np.array(photo())
    for same in (
        levels,
        levels[..., None],
        np.stack([levels] * 3, axis=-1),
        levels / 255,
        (levels / 255).astype("float32"),
    ):
        np.testing.assert_allclose(data.to_28(same), data.to_28(levels), atol=1e-6)


def test_a_picture_without_ground_is_taken_whole():
    noise = np.random.default_rng(1).integers(0, 256, (60, 30), dtype="uint8")
    image, steps = data.to_28(noise, steps=True)
    assert "garment" not in steps and steps["cut out"].shape == (60, 30)
    assert (
        image[:, :7].max() == 0 and image[:, 21:].max() == 0 and image[:, 7:21].mean() == pytest.approx(0.5, abs=0.05)
    )


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3, 4, 5)), "not \\(2, 3, 4, 5\\)"),
        (np.zeros((0, 4)), "not \\(0, 4\\)"),
        (np.full((9, 9), 7.0), "not from 7 to 7"),
        (np.full((9, 9), np.nan), "not from nan"),
        (np.zeros((9, 9), "int64"), "not int64"),
    ],
)
def test_arrays_that_are_no_pictures(array, words):
    with pytest.raises(ValueError, match=words):
        data.to_28(array)


def test_files_that_are_no_pictures(tmp_path, monkeypatch):
    for name, content, words in (
        ("a.png", b"", "a.png is empty"),
        ("b.png", b"no picture at all", "b.png is no picture of a known format"),
        ("c.svg", b"<svg/>", "c.svg is no picture of a known format"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(data.DataError, match=words):
            data.to_28(tmp_path / name)
    with pytest.raises(data.DataError, match="none.png cannot be read"):
        data.to_28(tmp_path / "none.png")
    with pytest.raises(data.DataError, match="nothing but its ground"):
        data.to_28(saved(Image.new("L", (50, 50), 200), tmp_path / "d.png"))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(data.DataError, match="too large: 50 x 50 pixels"):
        data.to_28(tmp_path / "d.png")


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_head(tmp_path):
    """Ten thousand million pixels in a few bytes."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "ppm")
    (tmp_path / "a.ppm").write_bytes(b"P4\n100000 100000\n" + b"\0" * 100)
    with pytest.raises(data.DataError, match="too large|damaged"):
        data.to_28(tmp_path / "a.ppm")


# --------------------------------------------------------------------------------------------------
# Garments put on white ground, and found again


def placed(levels, rng, turn):
    """A garment as a photo: enlarged 3 to 12 times, turned, anywhere on white ground of about 600 x 400."""
    side = round(28 * rng.uniform(3, 12))
    large = Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC)
    large = large.rotate(rng.uniform(-turn, turn), Image.Resampling.BICUBIC, expand=True)
    width, height = max(600, large.width + 2), max(400, large.height + 2)
    ground = Image.new("L", (width, height), 0)
    ground.paste(large, (int(rng.integers(width - large.width)), int(rng.integers(height - large.height))))
    return 255 - np.asarray(ground)


@pytest.mark.parametrize("n", [150, pytest.param(1000, marks=pytest.mark.nightly)])
def test_garments_on_white_ground_are_recognised_as_the_originals_are(dataset, n):
    rng = np.random.default_rng(7)
    rows = rng.permutation(len(dataset.test))[:n]
    originals, labels = dataset.test.take(rows), dataset.test.labels[rows]
    levels = dataset.test.levels[rows, ..., 0]
    found = np.stack([data.to_28(placed(garment, rng, turn=5)) for garment in levels])
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0 for a, b in zip(found, originals, strict=True)]
    assert np.mean(alike) >= 0.995, "polarity"
    net = classifier.load()
    before, after = (float(np.mean(net.classify(images) == labels)) for images in (originals, found))
    print(f"{n} garments: accuracy {before:.3f}, of their photos {after:.3f}; polarity right {np.mean(alike):.4f}")
    assert after >= before - 0.04
