"""`report.of`: numbers that were worked out by hand, and what it says about data sets with something wrong."""

import dataclasses

import numpy as np
import pytest

from helpers import data, report


def garments(n, seed, ground=0, ink=200):
    """A bright block of random place on plain ground, uint8 (n, 28, 28, 1)."""
    rng = np.random.default_rng(seed)
    levels = np.full((n, 28, 28, 1), ground, "uint8")
    for image in levels:
        top, left = rng.integers(2, 12, 2)
        image[top : top + 12, left : left + 12, 0] = rng.integers(ink - 40, ink + 40, (12, 12))
    return levels


def made(train, validation, test, names=("a", "b"), **changes):
    parts = {"train": train, "validation": validation, "test": test}
    splits = {k: data.Split(x, np.arange(len(x)) % len(names), names) for k, x in parts.items()}
    return data.Dataset("Blocks", "blocks", names, source="a test", **splits, **changes)


@pytest.fixture
def blocks():
    return made(garments(160, 1), garments(30, 2), garments(40, 3))


def test_a_sound_data_set(blocks):
    found = report.of(blocks)
    assert found.counts.to_numpy().tolist() == [[80, 15, 20], [80, 15, 20]]
    assert found.warnings == () and found.polarity == "light on dark ground" and found.ground == 0
    assert (found.low, found.high) == (0, pytest.approx(239 / 255, abs=0.01))
    assert list(found.pca.index) == [2, 8, 16, 32, 64] and (np.diff(found.pca) < 0).all()
    text = str(found)
    assert "160 train, 30 validation, 40 test" in text and "2: a 115, b 115" in text
    assert text.endswith("Nothing looks wrong.")


def test_nats_by_hand():
    half = np.full((60, 28, 28, 1), 128, "uint8")
    found = report.of(made(half, half[:20], half[:20]))
    p = 128 / 255
    entropy = -784 * (p * np.log(p) + (1 - p) * np.log(1 - p))
    assert found.entropy_floor.value == pytest.approx(entropy, rel=1e-6)
    assert found.mean_image.value == pytest.approx(entropy, rel=1e-6)
    np.testing.assert_allclose(found.pca, 0, atol=1e-10)
    black = np.zeros((60, 28, 28, 1), "uint8")
    cost = report.of(made(black, half[:20], half[:20])).mean_image.value
    assert cost == pytest.approx(-784 * (p * np.log(1e-7) + (1 - p) * np.log1p(-1e-7)), rel=1e-4)


def test_equal_images_between_splits_are_counted(blocks):
    train, test = blocks.train.levels, blocks.test.levels.copy()
    test[:7] = train[10:17]
    twice = train.copy()
    twice[100:130] = train[:30]
    found = report.of(made(twice, blocks.validation.levels, test))
    assert found.shared == {("train", "validation"): 0, ("train", "test"): 7, ("validation", "test"): 0}
    assert found.repeated == 30
    assert any("7 images of test are in train too" in warning for warning in found.warnings)
    assert "7 of test are in train too; 30 of train equal another of train" in str(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: made(*(255 - s.levels for s in (d.train, d.validation, d.test))), "invert=True"),
        (lambda d: made(*(np.full_like(s.levels, 90) for s in (d.train, d.validation, d.test))), "little contrast"),
        (lambda d: d.head(train=50), "120 images are few"),
        (lambda d: made(d.train.levels, d.validation.levels[:1], d.test.levels), "not every split has images of b"),
        (lambda d: dataclasses.replace(d, class_names=("unlabelled",)), "no labels"),
        (lambda d: made(d.train.levels, d.validation.levels, d.test.levels, ("a",)), "one class only"),
    ],
)
def test_what_looks_wrong_is_said(blocks, change, words):
    if words == "no labels":
        blocks = made(blocks.train.levels, blocks.validation.levels, blocks.test.levels, ("a",))
    found = report.of(change(blocks))
    assert any(words in warning for warning in found.warnings), found.warnings
    assert f"Looks wrong: {found.warnings[0]}" in str(found)


def test_unequal_classes(blocks):
    labels = np.where(np.arange(160) < 155, 0, 1)
    few = {
        part: data.Split(split.levels, np.resize(np.r_[1, np.zeros(39, int)], len(split)), ("a", "b"))
        for part, split in (("validation", blocks.validation), ("test", blocks.test))
    }
    found = report.of(dataclasses.replace(blocks, train=data.Split(blocks.train.levels, labels, ("a", "b")), **few))
    assert any("classes are unequal: a has 223 images, b 7" in warning for warning in found.warnings), found.warnings


def test_notes_of_the_way_in_are_repeated(blocks):
    assert "  Two were left out." in str(report.of(dataclasses.replace(blocks, notes=("Two were left out.",))))


def test_the_course_s_numbers(dataset):
    """Entropy floor 189.86, mean image 385.0, PCA .0461 with 2 and .0104 with 64 components: known from elsewhere."""
    found = report.of(dataset)
    assert found.entropy_floor.value == pytest.approx(189.86, abs=0.01)
    assert found.mean_image.value == pytest.approx(385.0, abs=0.1)
    assert found.pca[2] == pytest.approx(0.0461, abs=1e-4) and found.pca[64] == pytest.approx(0.0104, abs=1e-4)
    assert found.warnings == () and found.polarity == "light on dark ground"
