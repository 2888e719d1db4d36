"""`data.open`: what each kind of source becomes, how it is split, and what is said about each fault."""

import gzip
import io
import json
import os
import re
import struct
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from support import fresh_python

from helpers import course, data
from helpers.machinery import mnist, sources

N = 60


def pictures(n=N, seed=3, side=28):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype="uint8")


IMAGES, LABELS = pictures(), np.arange(N) % 3


def opened(path, **options):
    return data.open(path, verbose=False, **options)


def pairs(*splits):
    """Image and label of each image in some splits, in any order."""
    return sorted(
        (image.tobytes(), int(k)) for split in splits for image, k in zip(split.levels, split.labels, strict=True)
    )


def all_pairs(dataset):
    return pairs(dataset.train, dataset.validation, dataset.test)


EXPECTED = sorted((image.tobytes(), int(k)) for image, k in zip(IMAGES, LABELS, strict=True))


def refused(path, *words, **options):
    """`data.open` ends in an error that says the words and a remedy, and shows no path in its first line."""
    with pytest.raises(data.DataError) as error:
        opened(path, **options)
    text = str(error.value)
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    assert re.search(r"^Remedy: \S.*\.$", text, re.MULTILINE), text
    assert str(path.parent) not in text.splitlines()[0], text
    return text


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", {3: 2051, 1: 2049}[array.ndim], *array.shape)
        + array.astype("uint8").tobytes()
    )


def write_csv(path, images=IMAGES, labels=LABELS, header=True):
    columns = ["label"] * (labels is not None) + [f"pixel{i}" for i in range(1, 785)]
    lines = [",".join(columns)] if header else []
    for i, image in enumerate(images):
        cells = ([] if labels is None else [labels[i]]) + image.ravel().tolist()
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_folder(folder, images=IMAGES, labels=LABELS, names=("boots", "coats", "hats"), ending="png"):
    for i, (image, k) in enumerate(zip(images, labels, strict=True)):
        (folder / names[k]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / names[k] / f"{i:03d}.{ending}")
    return folder


# --------------------------------------------------------------------------------------------------
# Kinds of sources


def csv(folder, **options):
    return write_csv(folder / "some.csv", **options)


def npz(folder):
    np.savez(folder / "some.npz", images=IMAGES, labels=LABELS)
    return folder / "some.npz"


def npy(folder):
    np.save(folder / "some.npy", IMAGES[..., None])
    np.save(folder / "some_labels.npy", LABELS)
    return folder / "some.npy"


def floats(folder):
    np.savez(folder / "some.npz", x=IMAGES.reshape(N, 784) / np.float32(255), y=LABELS.astype("float64")[:, None])
    return folder / "some.npz"


def packed_csv(folder):
    path = folder / "some.csv.gz"
    path.write_bytes(gzip.compress(csv(folder).read_bytes()))
    return path


def zipped_folder(folder):
    write_folder(folder / "inner" / "pictures")
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        for path in (folder / "inner").rglob("*.png"):
            archive.write(path, path.relative_to(folder / "inner"))
        archive.writestr("__MACOSX/._001.png", b"resource fork")
    return folder / "some.zip"


def zipped_csv(folder):
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        archive.writestr("deep/some.csv", csv(folder).read_text())
    return folder / "some.zip"


def one_idx_pair(folder):
    (folder / "images-idx3-ubyte").write_bytes(idx(IMAGES))
    (folder / "labels-idx1-ubyte").write_bytes(idx(LABELS))
    return folder


def parquet(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def encoded(image):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "png")
        return {"bytes": stream.getvalue(), "path": None}

    table = pyarrow.table({"image": [encoded(image) for image in IMAGES], "label": LABELS})
    features = {"info": {"features": {"label": {"names": ["boots", "coats", "hats"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), folder / "some.parquet")
    return folder / "some.parquet"


@pytest.mark.parametrize(
    "make",
    [
        csv,
        lambda folder: csv(folder, header=False),
        packed_csv,
        npz,
        npy,
        floats,
        one_idx_pair,
        lambda folder: write_folder(folder / "pictures"),
        lambda folder: write_folder(folder / "pictures", ending="bmp"),
        zipped_folder,
        zipped_csv,
        parquet,
    ],
)
def test_each_kind_of_source_gives_the_same_images(make, tmp_path):
    path = make(tmp_path)
    before = sorted(path.parent.rglob("*"))
    dataset = opened(path)
    assert all_pairs(dataset) == EXPECTED
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (42, 9, 9)
    assert dataset.train.stored.dtype == np.uint8 and dataset.is_labelled
    assert len(dataset.class_names) == 3 and dataset.train.class_names == dataset.class_names
    assert sorted(path.parent.rglob("*")) == before, "nothing is written"
    again = opened(path)
    assert again.train.digest == dataset.train.digest and again.test.digest == dataset.test.digest


def test_names_of_classes_come_from_folders_tables_and_the_reader(tmp_path):
    assert opened(write_folder(tmp_path / "a")).class_names == ("boots", "coats", "hats")
    assert opened(csv(tmp_path)).class_names == ("0", "1", "2")
    assert opened(csv(tmp_path), class_names=["x", "y", "z"]).class_names == ("x", "y", "z")
    words = opened(write_csv(tmp_path / "w.csv", labels=np.array(["shoe", "hat", "bag"])[LABELS]))
    assert words.class_names == ("bag", "hat", "shoe")
    assert words.test.labels.max() == 2 and np.array_equal(
        words.class_names[words.test.labels[0]],
        ["shoe", "hat", "bag"][dict(all_by_image())[words.test.levels[0].tobytes()]],
    )
    refused(csv(tmp_path), "has 3 classes", class_names=["x"])


def all_by_image():
    return [(image.tobytes(), int(k)) for image, k in zip(IMAGES, LABELS, strict=True)]


def test_labels_that_do_not_begin_at_0_become_indices(tmp_path):
    dataset = opened(write_csv(tmp_path / "a.csv", labels=LABELS * 10 - 10))
    assert dataset.class_names == ("-10", "0", "10") and all_pairs(dataset) == EXPECTED
    sparse = opened(write_csv(tmp_path / "b.csv", labels=LABELS + 1))
    assert sparse.class_names == ("0", "1", "2", "3"), "small numbers are kept as they are"


def test_without_labels_all_images_are_of_one_class(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{i}.png")
    for path in (tmp_path / "pictures", write_csv(tmp_path / "some.csv", labels=None)):
        dataset = opened(path)
        assert not dataset.is_labelled and dataset.class_names == ("unlabelled",)
        assert not dataset.train.labels.any() and len(dataset.train.of_class(0)) == 42
        assert [image for image, _ in all_pairs(dataset)] == [image for image, _ in EXPECTED]
        with pytest.raises(ValueError, match=r"no class 1: .* 0 \(unlabelled\) to 0"):
            dataset.test.of_class(1)


def given(folder, ending, spelling="-idx{}-ubyte"):
    for part, (n, seed) in {"train": (40, 1), "t10k": (20, 2)}.items():
        for kind, array in (("images", pictures(n, seed)), ("labels", np.arange(n) % 4)):
            content = idx(array)
            name = f"{part}-{kind}" + spelling.format(array.ndim) + ending
            (folder / name).write_bytes(gzip.compress(content) if ending else content)
    return folder


def given_keras(folder):
    arrays = {"x_train": pictures(40, 1), "y_train": np.arange(40) % 4, "x_test": pictures(20, 2)}
    np.savez(folder / "some.npz", y_test=(np.arange(20) % 4).astype("uint8"), **arrays)
    return folder / "some.npz"


def given_tables(folder):
    write_csv(folder / "clothes_train.csv", pictures(40, 1), np.arange(40) % 4)
    write_csv(folder / "clothes_test.csv", pictures(20, 2), np.arange(20) % 4)
    return folder


def given_folders(folder):
    for part, (n, seed) in {"train": (40, 1), "test": (20, 2)}.items():
        write_folder(folder / part, pictures(n, seed), np.arange(n) % 4, "0123")
    return folder


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: given(folder, ".gz"),
        lambda folder: given(folder, ""),
        lambda folder: given(folder, "", ".idx{}-ubyte"),
        lambda folder: given(folder, ".gz", ".idx{}-ubyte"),
        lambda folder: given(folder, "") / "t10k-images-idx3-ubyte",
        given_keras,
        given_tables,
        given_folders,
    ],
)
def test_given_splits_are_kept_and_validation_is_drawn_from_training(make, tmp_path):
    dataset = opened(make(tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (34, 6, 20)
    assert sorted(image.tobytes() for image in dataset.test.levels) == sorted(
        image.tobytes() for image in pictures(20, 2)
    )
    both = sorted((image.tobytes(), i % 4) for i, image in enumerate(pictures(40, 1)))
    assert pairs(dataset.train, dataset.validation) == both


def test_medmnist_has_three_splits_and_colours_become_brightness(tmp_path):
    arrays = {}
    for seed, (part, n) in enumerate({"train": 12, "val": 5, "test": 6}.items()):
        arrays[f"{part}_images"] = np.random.default_rng(seed).integers(0, 256, (n, 28, 28, 3), dtype="uint8")
        arrays[f"{part}_labels"] = np.arange(n).astype("uint8")[:, None] % 2
    np.savez(tmp_path / "med.npz", **arrays)
    dataset = opened(tmp_path / "med.npz")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (12, 5, 6)
    grey = arrays["val_images"] @ [0.299, 0.587, 0.114]
    assert np.abs(dataset.validation.levels[..., 0] - grey).max() <= 1
    assert np.array_equal(dataset.validation.labels, arrays["val_labels"][:, 0])


def test_channels_first_and_16_bits(tmp_path):
    deep = (pictures().astype("uint16") * 257)[:, None]
    np.save(tmp_path / "deep.npy", deep)
    assert [image for image, _ in all_pairs(opened(tmp_path / "deep.npy"))] == [image for image, _ in EXPECTED]


def test_inversion_is_for_images_taken_as_they_are(tmp_path):
    np.savez(tmp_path / "a.npz", images=255 - IMAGES, labels=LABELS)
    assert all_pairs(opened(tmp_path / "a.npz", invert=True)) == EXPECTED


def test_other_sizes_go_through_to_28_and_the_dataset_says_so(tmp_path):
    for i in range(12):
        photo = np.full((60, 90, 3), 240, "uint8")
        photo[10:50, 20 + i : 40 + i] = (30, 60, 90)
        Image.fromarray(photo).save(tmp_path / f"{i}.jpg")
    dataset = opened(tmp_path)
    assert dataset.notes[0] == "12 images were brought to 28 x 28 by to_28; height x width before: 60 x 90 (12)."
    assert all(image[14, 14, 0] > 150 and image[14, 2, 0] < 10 for image in dataset.train.levels)


# --------------------------------------------------------------------------------------------------
# Splits


def test_drawn_splits_are_stratified_and_share_no_image():
    labels = np.repeat([0, 1, 2, 3], [500, 300, 150, 50])
    levels = pictures(1000)
    rows = data._drawn(levels, labels, ["test", "validation"])
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(1000))
    for part in ("test", "validation"):
        assert np.abs(np.bincount(labels[rows[part]]) - 0.15 * np.array([500, 300, 150, 50])).max() <= 1.01
    assert len(rows["test"]) == len(rows["validation"]) == 150
    assert np.count_nonzero(np.diff(labels[rows["train"]])) > 100, "training images come shuffled"
    assert all(
        np.array_equal(rows[k], again) for k, again in data._drawn(levels, labels, ["test", "validation"]).items()
    )


def test_equal_images_stay_in_one_split():
    levels = pictures(50)[np.arange(200) % 50]
    rows = data._drawn(levels, np.arange(200) % 5, ["test", "validation"])
    kinds = [set(part % 50) for part in rows.values()]
    assert sum(map(len, kinds)) == 50 and set.union(*kinds) == set(range(50))
    assert {part: len(chosen) for part, chosen in rows.items()} == {"train": 136, "test": 32, "validation": 32}


def test_large_sets_hold_out_no_more_than_the_course_does(monkeypatch):
    monkeypatch.setattr(data, "TEST_SIZE", 30)
    monkeypatch.setattr(data, "VALIDATION_SIZE", 10)
    rows = data._drawn(pictures(1000), np.arange(1000) % 2, ["test", "validation"])
    assert {part: len(chosen) for part, chosen in rows.items()} == {"train": 960, "test": 30, "validation": 10}


def test_a_class_with_one_image_keeps_it_in_training(tmp_path):
    labels = LABELS.copy()
    labels[17] = 3
    dataset = opened(write_csv(tmp_path / "a.csv", labels=labels))
    assert np.count_nonzero(dataset.train.labels == 3) == 1
    assert "One image only, which stays in training: 3." in dataset.notes
    refused(write_csv(tmp_path / "b.csv", labels=np.arange(N)), "too few different images", "none is left for")


# --------------------------------------------------------------------------------------------------
# By name


def test_the_name_of_a_data_set_opens_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(course, "DATA", tmp_path)
    small = tuple(
        data.published.File(file.name, 0, "", data.published.content_md5(idx(array)), file.magic, array.shape)
        for file, array in zip(
            mnist.FILES, (pictures(40, 1), np.arange(40) % 10, pictures(20, 2), np.arange(20) % 10), strict=True
        )
    )
    monkeypatch.setattr(mnist, "FILES", small)
    monkeypatch.setattr(data, "VALIDATION_SIZE", 10)
    (tmp_path / "mnist").mkdir()
    for file, array in zip(
        small, (pictures(40, 1), np.arange(40) % 10, pictures(20, 2), np.arange(20) % 10), strict=True
    ):
        (tmp_path / "mnist" / file.name).write_bytes(gzip.compress(idx(array)))
    dataset = data.open("mnist")
    assert (dataset.name, dataset.slug, dataset.source) == ("MNIST", "mnist", "data/mnist")
    assert dataset.class_names == tuple("0123456789") and (len(dataset.train), len(dataset.test)) == (30, 20)
    assert capsys.readouterr().out == "MNIST, from data/mnist: 30 train, 10 validation, 20 test\n"
    monkeypatch.setattr(course, "data_choice", lambda: "mnist")
    assert data.load(verbose=False).train.digest == dataset.train.digest
    changed = pictures(40, 1)
    changed[5, 5, 5] ^= 1
    (tmp_path / "mnist" / small[0].name).write_bytes(gzip.compress(idx(changed)))
    with pytest.raises(data.DataError, match="does not hold MNIST"):
        data.open("mnist")


def test_course_data_may_be_a_path(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(csv(tmp_path)))
    assert all_pairs(data.load(verbose=False)) == EXPECTED
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="wardrobe, fashion-mnist, mnist, or the path of your images"):
        data.load(verbose=False)


def test_fashion_mnist_is_recognised_wherever_it_lies(dataset, tmp_path, monkeypatch):
    for file, array in zip(data.FILES, data.packed_files(dataset).values(), strict=True):
        (tmp_path / file.name.replace("-idx", ".idx")).write_bytes(array)
    found = opened(tmp_path)
    assert found.slug == "fashion-mnist" and found.train.digest == dataset.train.digest


def test_another_data_set_is_never_taken_for_a_shipped_one(tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    assert opened(given(folder, "")).slug == "own-fashion-mnist"


# --------------------------------------------------------------------------------------------------
# Faults


def test_what_is_no_source(tmp_path):
    refused(tmp_path / "nothing", "nothing does not exist")
    refused(tmp_path, "holds no pictures")
    (tmp_path / "notes.txt").write_text("none")
    refused(tmp_path / "notes.txt", "of a kind that is not known", ".npz")
    (tmp_path / "a.heic").write_bytes(b"x")
    refused(tmp_path, "HEIC", "JPEG")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "neither a file nor a folder")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path, "holds no pictures")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [",".join(line.split(",")[:-1]) for line in lines], ("783 pixel columns",)),
        (
            lambda lines: [",".join(c for i, c in enumerate(line.split(",")) if i != 417) for line in lines],
            ("pixel417 is missing",),
        ),
        (
            lambda lines: [*lines[:3], lines[3].replace(",", ",shoe,", 1).rsplit(",", 1)[0], *lines[4:]],
            ("row 3, column pixel1", "holds 'shoe'"),
        ),
        (
            lambda lines: [*lines[:3], lines[3].split(",", 1)[0] + "," + "," * 783, *lines[4:]],
            ("row 3, column pixel1", "is empty"),
        ),
        (lambda lines: [*lines[:3], "1," + ",".join(["-5"] + ["0"] * 783), *lines[4:]], ("row 3, column pixel1", "-5")),
        (
            lambda lines: [*lines[:3], "1," + ",".join(["70000"] + ["0"] * 783), *lines[4:]],
            ("row 3, column pixel1", "70000"),
        ),
        (lambda lines: [*lines[:3], "1.5," + ",".join(["7"] * 784), *lines[4:]], ("a label 1.5", "no whole number")),
        (lambda lines: [*lines[:3], "," + ",".join(["7"] * 784), *lines[4:]], ("label nan", "no whole number")),
        (lambda lines: [*lines[:3], lines[3] + ",7,7", *lines[4:]], ("no table that pandas can read",)),
        (lambda lines: lines[:1], ("has no rows",)),
        (lambda lines: [""], ("no table that pandas can read",)),
    ],
)
def test_faults_of_a_table_name_the_cell(change, words, tmp_path):
    path = csv(tmp_path)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    refused(path, "some.csv", *words)


def test_one_broken_picture_is_named_and_left_out_only_on_request(tmp_path):
    write_folder(tmp_path / "p")
    whole = (tmp_path / "p" / "coats" / "001.png").read_bytes()
    (tmp_path / "p" / "coats" / "001.png").write_bytes(whole[:200])
    refused(tmp_path / "p", "001.png", "damaged or cut off", "skip_broken=True")
    dataset = opened(tmp_path / "p", skip_broken=True)
    assert all_pairs(dataset) == sorted(pair for i, pair in enumerate(all_by_image()) if i != 1)
    assert "1 pictures could not be read and were left out: 001.png." in dataset.notes


def test_folders_that_are_unclear(tmp_path):
    write_folder(tmp_path / "p")
    Image.fromarray(IMAGES[0]).save(tmp_path / "p" / "loose.png")
    refused(tmp_path / "p", "loose.png", "beside folders")
    (tmp_path / "p" / "loose.png").unlink()
    (tmp_path / "p" / "void").mkdir()
    refused(tmp_path / "p", "void holds no pictures")
    (tmp_path / "p" / "void").rmdir()
    (tmp_path / "p" / "hats" / "notes.txt").write_text("")
    assert "1 files that are no pictures were passed over, such as notes.txt." in opened(tmp_path / "p").notes


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"weights": np.zeros((3, 3))}, "names no array as images (it has: weights)"),
        ({"images": np.zeros((3, 5, 7, 2))}, "shape (3, 5, 7, 2)"),
        ({"images": IMAGES, "labels": LABELS[:-1]}, "60 images but 59 labels"),
        ({"images": IMAGES, "labels": np.eye(3)[LABELS]}, "labels of shape (60, 3)"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, "no whole number"),
        ({"images": IMAGES.astype("float32") - 1, "labels": LABELS}, "from -1 to 254"),
        ({"images": np.where(IMAGES > 250, np.nan, 1.0), "labels": LABELS}, "not finite"),
        ({"images": IMAGES * 300.5, "labels": LABELS}, "no whole numbers"),
        ({"images": IMAGES.astype("int64") * 300, "labels": LABELS}, "grey levels, 0 to 255"),
        ({"images": np.array(["a", "b"]), "labels": LABELS}, "type <U1"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "has no labels for test"),
        ({"x_test": IMAGES, "y_test": LABELS}, "no images to train on"),
    ],
)
def test_faults_of_arrays(arrays, words, tmp_path):
    np.savez(tmp_path / "some.npz", **arrays)
    refused(tmp_path / "some.npz", "some.npz", words)


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "some.npz", images=np.array([{}], dtype=object))
    refused(tmp_path / "some.npz", "plain arrays")
    np.save(tmp_path / "some.npy", np.array([{}], dtype=object))
    refused(tmp_path / "some.npy", "plain numbers")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train-images-idx3-ubyte", b"", "no idx file of images"),
        ("train-images-idx3-ubyte", idx(LABELS), "no idx file of images"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:-1], "its header promises 47,040 bytes, there are 47,039"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 2051, 2**31, 2**31, 2**31), "its header promises"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES), mtime=0)[:-9], "is cut off"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES), mtime=0)[:-8] + b"????" + b"\0" * 4, "gzip says"),
        ("train-labels-idx1-ubyte", idx(LABELS[:-1]), "60 images but 59 labels"),
    ],
)
def test_faults_of_idx_files(name, content, words, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / name.removesuffix(".gz")).unlink()
    (tmp_path / name).write_bytes(content)
    refused(tmp_path, name, words)


def test_sizes_are_bounded_before_anything_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 40_000)
    with zipfile.ZipFile(tmp_path / "some.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images-idx3-ubyte", idx(np.zeros((100, 28, 28))))
    refused(tmp_path / "some.zip", "unpacks to 78,416 bytes", "40,000")
    np.savez_compressed(tmp_path / "some.npz", images=np.zeros((100, 28, 28), "uint8"))
    refused(tmp_path / "some.npz", "more than 40,000 bytes")
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((100, 28, 28)))))
    refused(tmp_path / "images-idx3-ubyte.gz", "more than 40,000 bytes")
    np.save(tmp_path / "some.npy", np.zeros((100, 28, 28), "uint8"))
    refused(tmp_path / "some.npy", "more than 40,000 bytes")


def test_what_a_zip_names_stays_in_its_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    with zipfile.ZipFile(tmp_path / "deep" / "some.zip", "w") as archive:
        archive.writestr("../../outside.csv", csv(tmp_path).read_text())
        archive.writestr("inner.zip", b"PK")
    refused(tmp_path / "deep" / "some.zip", "holds an archive itself: inner.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "some.csv"]


def test_a_zip_that_is_damaged(tmp_path):
    path = zipped_csv(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, "no zip file")
    path.write_bytes(content[:5_000] + b"?" + content[5_001:])
    refused(path, "damaged", "CRC")


def test_opening_images_imports_no_tensorflow(tmp_path):
    npz(tmp_path)
    done = fresh_python(
        "import sys; from helpers import data; data.open(sys.argv[1]); print('tensorflow' in sys.modules)",
        tmp_path / "some.npz",
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "some.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(tmp_path / "some.parquet", "needs the package pyarrow", "pip install")


def test_equal_images_are_found_exactly():
    levels = np.zeros((4096, 28, 28, 1), "uint8")
    levels[:, 0, 7, 0], levels[:, 0, 15, 0] = np.divmod(np.arange(4096) % 2048, 64)  # sums of words collide easily here
    expected = np.arange(4096) % 2048
    assert np.array_equal(data.identity.first_alike(levels), expected)
    assert np.array_equal(data.identity.first_alike(levels[..., 0]), expected)
    assert len(data.identity.first_alike(levels[:0])) == 0
