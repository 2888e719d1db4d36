"""The drawn wardrobe: the same bytes everywhere, independent factors that can be seen, likeness to the real garments.

Likeness is measured against the real files and skipped where those are absent.
"""

import os
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from helpers import data, plotting, wardrobe
from helpers.dataset import CLASS_NAMES
from helpers.machinery import files, garments

SMALL = {"train": 200, "validation": 50, "test": 100}
CRC = 0xC415A713  # of `draw(500, seed=1)`; changes only together with wardrobe.VERSION


def crc(images):
    return zlib.crc32(np.ascontiguousarray(images).tobytes())


@pytest.fixture(scope="module")
def drawn():
    """Two thousand garments of each class, and what they took."""
    start = time.perf_counter()
    images, labels, table = wardrobe.draw(20_000, seed=1, labels=np.arange(20_000) % 10)
    seconds = time.perf_counter() - start
    print(f"\n20,000 garments in {seconds:.1f} s; 70,000 at this pace in {3.5 * seconds:.0f} s")
    return images, labels, table


@pytest.fixture(scope="module")
def real():
    if data.find(verbose=False) is None:
        pytest.skip("the real files are absent: FASHION_MNIST_DIR is not set, data/fashion-mnist/ is empty")
    return data.load(verbose=False)


# --------------------------------------------------------------------------------------------------
# The same bytes


def test_the_bytes_are_the_published_ones():
    images, labels, _ = wardrobe.draw(500, seed=1)
    assert crc(images) == CRC, "the drawings have changed: raise wardrobe.VERSION and write the new CRC here"
    assert set(labels) == set(range(10))


def test_a_fresh_process_draws_the_same_bytes():
    code = "import zlib; from helpers import wardrobe; print(zlib.crc32(wardrobe.draw(500, seed=1)[0].tobytes()))"
    settings = dict(os.environ, PYTHONHASHSEED="7")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=settings, check=True)
    assert int(done.stdout) == CRC


def test_plot_settings_of_the_reader_change_nothing():
    import matplotlib

    settings = {"path.simplify": False, "path.snap": True, "lines.antialiased": False, "patch.antialiased": False}
    with matplotlib.rc_context(settings | {"path.sketch": (1, 100, 2), "figure.dpi": 300}):
        assert crc(wardrobe.draw(500, seed=1)[0]) == CRC


def test_a_shorter_draw_is_the_beginning_of_a_longer_one():
    few, many = wardrobe.draw(10, seed=3), wardrobe.draw(1_000, seed=3)
    assert np.array_equal(few[0], many[0][:10])
    assert np.array_equal(few[1], many[1][:10])
    assert few[2].equals(many[2][:10])


def test_pictures_do_not_depend_on_those_beside_them():
    labels = np.full(5_000, wardrobe.BOOT)  # more than are in memory at once
    images, _, table = wardrobe.draw(5_000, seed=4, labels=labels)
    for row in (0, 17, 2_047, 2_048, 4_999):
        one = wardrobe.draw_one(wardrobe.BOOT, table.iloc[row], table.texture_seed[row])
        assert np.array_equal(one, images[row]), row


def test_another_seed_draws_other_garments():
    assert not np.array_equal(wardrobe.draw(10, seed=1)[0], wardrobe.draw(10, seed=2)[0])


# --------------------------------------------------------------------------------------------------
# Shapes, ranges and frame


def test_shapes_types_and_ranges(drawn):
    images, labels, table = drawn
    assert images.dtype == np.uint8 and images.shape == (20_000, 28, 28, 1)
    assert labels.dtype == np.int64 and labels.shape == (20_000,)
    assert list(table.columns) == [factor.name for factor in wardrobe.FACTORS] + ["texture_seed"]
    assert images.reshape(20_000, -1).max(axis=1).min() > 60, "a garment cannot be seen"
    for factor in wardrobe.FACTORS:
        has = np.isin(labels, factor.classes)
        assert np.array_equal(table[factor.name].notna(), has)
        values = table[factor.name][has]
        assert values.min() == factor.low and values.max() == pytest.approx(factor.high)
        levels = np.rint((values - factor.low) / (factor.high - factor.low) * factor.steps)
        shares = np.unique(levels, return_counts=True)[1]
        assert len(shares) == factor.steps + 1
        expected = has.sum() / (factor.steps + 1)
        assert ((shares - expected) ** 2 / expected).sum() < factor.steps + 5 * np.sqrt(2 * factor.steps), factor.name


def test_every_choice_has_a_name():
    assert len(wardrobe.STYLES) == len(CLASS_NAMES)
    for factor in wardrobe.FACTORS:
        if factor.is_choice:
            assert factor.low == 0 and factor.high == factor.steps
    assert {len(names) for names in wardrobe.STYLES} == {wardrobe._BY_NAME["style"].steps + 1}
    assert len(wardrobe.PATTERNS) == wardrobe._BY_NAME["pattern"].steps + 1


def test_framing(drawn):
    """Tops and trousers fill the height; shoes span the width and point to the left; the corners are ground."""
    images, labels, _ = drawn
    for label in range(10):
        mean = images[labels == label, ..., 0].mean(axis=0) / 255
        rows, columns = mean.sum(axis=1), mean.sum(axis=0)
        if label in wardrobe._TOPS + (wardrobe.TROUSER,):
            assert rows[0] > 0.5 and rows[26] > 0.5 and columns[:2].max() < 1.5, label
            assert abs(mean - mean[:, ::-1]).max() < 0.12, label  # centred
        if label in (wardrobe.SANDAL, wardrobe.SNEAKER, wardrobe.BOOT):
            assert columns[1] > 0.3 and columns[26] > 0.5, label
            toe, heel = mean[:, :9], mean[:, 19:]
            height = np.arange(28)[:, None]
            assert (height * toe).sum() / toe.sum() > (height * heel).sum() / heel.sum() + 1, label
        assert mean[0, 0] < 0.01 and mean[27, 27] < 0.1, label


# --------------------------------------------------------------------------------------------------
# Factors


def correlations(levels):
    matrix = np.abs(np.corrcoef(levels.T))
    np.fill_diagonal(matrix, 0)
    return matrix.max()


def test_factors_are_independent_of_one_another_and_of_the_class():
    n, seed = wardrobe.SPLITS["test"]
    labels, textures, levels = wardrobe._levels(n, seed, None)
    assert n == 10_000
    # Levels rather than the table: they are drawn for all classes, and hidden where a class lacks the factor.
    assert correlations(levels) < 0.03
    for split, (size, _) in wardrobe.SPLITS.items():
        labels, textures, levels = wardrobe._levels_of(split, size)
        everything = np.column_stack([levels, textures, labels])
        assert correlations(everything) < 0.03 * max(1.0, np.sqrt(20_000 / size)), split


def test_the_table_shows_the_same_independence():
    table = wardrobe._table(*wardrobe._levels(10_000, wardrobe.SPLITS["test"][1], None))
    shared = [factor.name for factor in wardrobe.FACTORS if len(factor.classes) == 10]
    matrix = table[shared].corr().abs().to_numpy(copy=True)
    np.fill_diagonal(matrix, 0)
    assert len(shared) >= 10 and matrix.max() < 0.03


PAIRS = [(label, factor.name) for factor in wardrobe.FACTORS for label in factor.classes]


@pytest.mark.parametrize(("label", "name"), PAIRS)
def test_every_factor_visibly_changes_the_picture(label, name):
    factor = wardrobe._BY_NAME[name]
    start = dict(wardrobe.typical(label), contrast=wardrobe._BY_NAME["contrast"].high)
    if name in ("contrast", "pitch"):
        start["pattern"] = garments.ACROSS
    values = range(int(factor.high) + 1) if factor.is_choice else (factor.low, factor.high)
    pictures = [wardrobe.draw_one(label, start | {name: value}, texture_seed=5).astype(int) for value in values]
    for one in range(len(pictures)):
        for other in range(one):
            changed = (np.abs(pictures[one] - pictures[other]) > 12).sum()
            assert changed >= 8, (values[other], values[one], changed)


def test_a_step_of_a_factor_is_a_small_change():
    for label in range(10):
        for factor in wardrobe.FACTORS:
            if label not in factor.classes or factor.is_choice:
                continue
            start = wardrobe.typical(label)
            near = start | {factor.name: start[factor.name] + (factor.high - factor.low) / factor.steps}
            change = wardrobe.draw_one(label, near, 5).astype(int) - wardrobe.draw_one(label, start, 5)
            assert np.abs(change).mean() < 4, (label, factor.name)


def test_shade_goes_from_dark_to_light():
    for label in range(10):
        start = wardrobe.typical(label)
        means = [wardrobe.draw_one(label, start | {"shade": shade}, 5).mean() for shade in (0.3, 0.6, 1.0)]
        assert means == sorted(means) and means[2] > 1.5 * means[0], label


def test_shift_moves_and_pattern_moves_with_it():
    striped = {"pattern": garments.ALONG, "contrast": 0.5, "grain": 0.0, "folds": 0.0}
    start = wardrobe.typical(wardrobe.T_SHIRT) | striped
    left, right = (wardrobe.draw_one(0, start | {"x": x}, 5)[..., 0].astype(int) for x in (-1.0, 1.0))
    assert np.abs(left[:, :-2] - right[:, 2:]).max() <= 2


# --------------------------------------------------------------------------------------------------
# Faults of the caller


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1), "whole number from 1"),
        ((2.5, 1), "n is 2.5"),
        ((True, 1), "n is True"),
        ((3, -1), "seed is -1"),
        ((3, "one"), "seed is 'one'"),
        ((3, 1, [0, 1]), "3 whole numbers"),
        ((3, 1, [0, 1, 10]), "from 0 to 9"),
        ((3, 1, [0.0, 1.0, 2.0]), "whole numbers"),
    ],
)
def test_bad_arguments_of_draw(arguments, words):
    with pytest.raises(ValueError, match=words):
        wardrobe.draw(*arguments)


@pytest.mark.parametrize(
    ("label", "change", "seed", "words"),
    [
        (10, {}, 1, "no class 10"),
        ("Bag", {}, 1, "no class 'Bag'"),
        (0, {"width": 3}, 1, r"width is 3; it goes from 0.8 to 1.2 \(x typical\)"),
        (0, {"width": float("nan")}, 1, "width is nan"),
        (0, {"width": "wide"}, 1, "width is 'wide'"),
        (0, {"style": 1.5}, 1, "a whole number"),
        (0, {"colour": 1}, 1, "Unknown factor 'colour'"),
        (0, {}, -1, "texture_seed is -1"),
        (0, {}, 0.5, "texture_seed is 0.5"),
    ],
)
def test_bad_arguments_of_draw_one(label, change, seed, words):
    with pytest.raises(ValueError, match=words):
        wardrobe.draw_one(label, wardrobe.typical(0) | change, seed)


def test_a_missing_factor_is_named():
    factors = wardrobe.typical(wardrobe.BAG)
    assert "sleeve" not in factors
    del factors["handle"]
    with pytest.raises(ValueError, match="handle is missing"):
        wardrobe.draw_one(wardrobe.BAG, factors, 1)


def test_bad_splits_and_sizes(tmp_path):
    with pytest.raises(ValueError, match="no split 'exam'"):
        wardrobe.factors("exam")
    for sizes in ({"train": 10}, SMALL | {"test": 15}, SMALL | {"test": 0}):
        with pytest.raises(ValueError, match="multiple of 10"):
            wardrobe.load(sizes=sizes, directory=tmp_path)


# --------------------------------------------------------------------------------------------------
# The data set and its cache


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cache")
    return wardrobe.load(verbose=False, sizes=SMALL, directory=directory), directory


def same(one, other):
    return all(
        np.array_equal(getattr(one, split).images, getattr(other, split).images)
        and np.array_equal(getattr(one, split).labels, getattr(other, split).labels)
        for split in wardrobe.SPLITS
    )


def test_the_data_set(small):
    dataset, _ = small
    assert isinstance(dataset, data.Dataset)
    assert (dataset.name, dataset.slug, dataset.class_names) == ("the drawn wardrobe", "wardrobe", CLASS_NAMES)
    for split, n in SMALL.items():
        part = getattr(dataset, split)
        assert part.images.dtype == np.float32 and part.images.min() == 0 and part.images.max() <= 1
        assert np.array_equal(np.bincount(part.labels, minlength=10), np.full(10, n // 10))
        assert np.any(part.labels != np.sort(part.labels)), "not shuffled"
    assert {split: n for split, (n, _) in wardrobe.SPLITS.items()} == wardrobe._sizes(None)
    assert [n for n, _ in wardrobe.SPLITS.values()] == [55_000, 5_000, 10_000]
    assert plotting.plot_classes(dataset.train, dataset.class_names, examples=3).alt


def test_splits_share_no_image(small):
    dataset, _ = small
    together = np.concatenate([getattr(dataset, split).flat for split in SMALL])
    assert len(np.unique(together, axis=0)) == sum(SMALL.values())


def test_factor_tables_belong_to_the_images(small):
    dataset, _ = small
    for split in SMALL:
        table, part = wardrobe.factors(split, SMALL), getattr(dataset, split)
        assert len(table) == len(part)
        for row in (0, 7, len(part) - 1):
            drawn = wardrobe.draw_one(part.labels[row], table.iloc[row], table.texture_seed[row])
            assert np.array_equal(np.divide(drawn, 255, dtype=np.float32), part.images[row])
    whole = wardrobe.factors("validation")
    assert len(whole) == 5_000


def test_the_second_load_reads_and_draws_only_a_sample(small, monkeypatch, capsys):
    dataset, directory = small
    drawn = []
    draw = wardrobe._draw
    monkeypatch.setattr(wardrobe, "_draw", lambda labels, *rest: drawn.append(len(labels)) or draw(labels, *rest))
    again = wardrobe.load(sizes=SMALL, directory=directory)
    assert same(dataset, again) and sum(drawn) == 3 * wardrobe._SAMPLE
    said = capsys.readouterr()
    assert said.out == "the drawn wardrobe, from helpers/wardrobe.py: 200 train, 50 validation, 100 test\n"
    assert str(directory) not in said.out + said.err
    assert wardrobe.load(False, SMALL, directory) is not None and capsys.readouterr() == ("", "")


def cut(path):
    path.write_bytes(path.read_bytes()[:-5_000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def other_arrays(path):
    files.write_arrays(path, {"train": np.zeros((200, 28, 28, 1), "uint8")})


def other_drawings(path):
    stored = files.read_arrays(path, "")
    stored["test"] = stored["test"] // 2
    files.write_arrays(path, stored)


@pytest.mark.parametrize("harm", [cut, flip, empty, other_arrays, other_drawings])
def test_a_damaged_cache_is_drawn_again(small, tmp_path, capsys, harm):
    dataset, directory = small
    [kept] = directory.iterdir()
    path = tmp_path / kept.name
    path.write_bytes(kept.read_bytes())
    harm(path)
    assert same(dataset, wardrobe.load(verbose=False, sizes=SMALL, directory=tmp_path))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "drawn again" in said and str(tmp_path) not in said
    assert same(dataset, wardrobe.load(verbose=False, sizes=SMALL, directory=tmp_path))
    assert capsys.readouterr().err == ""
    assert [left.name for left in tmp_path.iterdir()] == [kept.name]


def test_a_folder_that_cannot_be_written_costs_only_time(small, monkeypatch, tmp_path, capsys):
    dataset, _ = small

    def refuse(path, arrays):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(wardrobe.files, "write_arrays", refuse)
    assert same(dataset, wardrobe.load(verbose=False, sizes=SMALL, directory=tmp_path))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be kept (Permission denied)" in said and str(tmp_path) not in said


def test_a_file_in_the_folders_place_costs_only_time(small, tmp_path, capsys):
    dataset, _ = small
    (tmp_path / "cache").write_text("not a folder")
    assert same(dataset, wardrobe.load(verbose=False, sizes=SMALL, directory=tmp_path / "cache"))
    assert "cannot be kept" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------
# Likeness


def test_mean_images_resemble_the_real_ones(drawn, real):
    images, labels, _ = drawn
    found = []
    for label, name in enumerate(CLASS_NAMES):
        ours, theirs = images[labels == label].mean(axis=0), real.train.of_class(label).mean(axis=0)
        found.append(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
        print(f"\n{name}: {found[-1]:.3f}", end="")
    print(f"\nmean correlation {np.mean(found):.3f}, least {min(found):.3f}")
    assert np.mean(found) >= 0.9 and min(found) >= 0.8


def test_the_mean_pixel_is_near_the_real_one(drawn, real):
    ours, theirs = drawn[0].mean() / 255, float(real.train.images.mean(dtype="float64"))
    print(f"\nmean pixel {ours:.3f}, real {theirs:.3f}")
    assert theirs == pytest.approx(0.286, abs=0.001) and abs(ours - theirs) < 0.05


def test_a_network_trained_on_drawings_knows_real_garments(drawn, real):
    import keras

    images, labels, _ = drawn
    keras.utils.set_random_seed(1)
    order = np.random.default_rng(1).permutation(len(labels))  # the drawings come class after class
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )
    network.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(images[order].astype("float32"), labels[order], batch_size=128, epochs=3, verbose=0)
    guesses = network.predict(real.test.images * 255, batch_size=1_000, verbose=0).argmax(axis=1)
    right = guesses == real.test.labels
    for label, name in enumerate(CLASS_NAMES):
        print(f"\n{name}: {right[real.test.labels == label].mean():.2f}", end="")
    print(f"\nreal test garments named by a network that has seen drawings only: {right.mean():.3f}")
    assert right.mean() >= 0.60
