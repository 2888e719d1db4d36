"""The classifier: trained the same way each time, opened only when whole, and worth what its manifest says."""

import shutil

import numpy as np
import pytest
from support import smooth_images, tiny_dataset

from helpers import classifier, course, data, wardrobe
from helpers.machinery import files, weights

every_data_set = pytest.mark.parametrize("slug", [course.FASHION_MNIST, wardrobe.SLUG])


def stripes(dataset):
    """The data set with a bright bar in each image whose place is its class."""

    def marked(split):
        images = 0.3 * split.images
        for k in range(10):
            images[split.labels == k, 2 * k + 4 : 2 * k + 6] = 1
        return data.Split(images, split.labels)

    parts = {part: marked(getattr(dataset, part)) for part in ("train", "validation", "test")}
    return data.Dataset("Stripes", "stripes", dataset.class_names, source="a formula", **parts)


@pytest.fixture(scope="module")
def striped():
    return stripes(tiny_dataset())


@pytest.fixture(scope="module")
def trained(striped):
    return classifier.train(striped, epochs=12, verbose=False)


def test_it_learns_and_its_accuracy_is_the_share_of_right_classes(trained, striped):
    model, history = trained
    found = model.classify(striped.test.images)
    assert (found.dtype, found.shape) == (np.int64, (120,))
    share = np.mean(found == striped.test.labels)
    assert share > 0.8
    assert classifier.measure(model, striped)["accuracy"] == share
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {12}


def test_accuracy_has_the_standard_error_of_a_share(striped):
    numbers = classifier.measure(classifier.build(), striped)
    share = numbers["accuracy"]
    assert 0 < share < 0.5, "it is untrained"
    assert numbers["accuracy_standard_error"] == pytest.approx(np.sqrt(share * (1 - share) / 120))


def test_training_repeats_with_its_seed(striped):
    one, same, other = (classifier.train(striped, 1, seed, verbose=False)[0].weight_arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not any(np.array_equal(one[key], other[key]) for key in one)
    largest = max(one, key=lambda key: one[key].size)
    assert np.corrcoef(one[largest].ravel(), other[largest].ravel())[0, 1] < 0.5, "the first weights differ too"


def test_features_are_what_the_last_layer_reads(trained, striped):
    model, images = trained[0], striped.test.images
    seen = model.features(images)
    assert (seen.dtype, seen.shape) == (np.float32, (120, 64))
    matrix, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(seen @ matrix + bias, model._outputs_of("logits", images), atol=1e-3)
    assert model.features(images[:0]).shape == (0, 64)


def test_features_do_not_depend_on_the_batch_and_are_never_dropped_out(trained):
    images = smooth_images(300, seed=5)  # more than one batch
    seen = trained[0].features(images)
    np.testing.assert_allclose(trained[0].features(images[250:260]), seen[250:260], atol=1e-4)
    np.testing.assert_array_equal(trained[0].features(images), seen)


def test_images_out_of_range_are_refused(trained):
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        trained[0].features(np.full((2, 28, 28, 1), 255.0))


# --------------------------------------------------------------------------------------------------
# On disk


@pytest.fixture(scope="module")
def parcel(striped, tmp_path_factory):
    """A classifier shipped to an empty folder after one epoch; that folder."""
    folder = tmp_path_factory.mktemp("parcel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "SHIPPED", folder)
        patch.setitem(classifier.RECIPE, "epochs", 1)
        classifier.ship(striped, verbose=False)
    return folder


@pytest.fixture
def shipped(striped, parcel, tmp_path, monkeypatch):
    """A copy of that folder in the place of what the course ships; its part for the data set."""
    monkeypatch.setattr(weights, "SHIPPED", shutil.copytree(parcel, tmp_path / "shipped"))
    monkeypatch.setitem(classifier.RECIPE, "epochs", 1)
    return tmp_path / "shipped" / striped.slug


def test_what_is_shipped_is_opened_bit_for_bit_and_its_numbers_are_those_of_the_file(shipped, striped):
    assert sorted(path.name for path in shipped.iterdir()) == ["classifier.json", "classifier.npz"]
    again, _ = classifier.train(striped, verbose=False)
    opened = classifier.load(striped.slug)
    for key, array in again.weight_arrays().items():
        np.testing.assert_array_equal(opened.weight_arrays()[key], array)
    about = classifier.manifest(striped.slug)
    assert about["metrics"] == classifier.measure(opened, striped)
    assert about["parameters"] == opened.count_params()
    assert set(about["versions"]) == {"python", "keras", "backend"}


def cut(folder):
    path = folder / "classifier.npz"
    path.write_bytes(path.read_bytes()[:-100])


def edit(change):
    def fault(folder):
        about = files.read_json(folder / "classifier.json", "")
        change(about)
        files.write_sealed(folder / "classifier.json", about)

    return fault


@pytest.mark.parametrize(
    "fault, words",
    [
        (cut, "SHA-256"),
        (lambda folder: (folder / "classifier.npz").unlink(), "missing beside its manifest"),
        (lambda folder: (folder / "classifier.json").write_text("{"), "it is not JSON"),
        (lambda folder: (folder / "classifier.json").write_text("[]"), "another model"),
        (edit(lambda about: about["configuration"].update(filters=[1, 2, 3])), "another model"),
        (edit(lambda about: about["configuration"]["recipe"].update(epochs=99)), "another model"),
    ],
)
def test_each_fault_names_file_and_remedy(shipped, striped, fault, words):
    fault(shipped)
    with pytest.raises(files.DamagedFile) as caught:
        classifier.load(striped.slug)
    for part in (words, "classifier.", "git checkout", "classifier.ship"):
        assert part in str(caught.value)


def test_data_without_a_classifier_say_how_to_get_one():
    with pytest.raises(FileNotFoundError, match=r"for nowhere; classifier\.ship\(dataset\)"):
        classifier.load("nowhere")


@every_data_set
def test_shipped_files_are_small_and_whole(slug):
    about, model = classifier.manifest(slug), classifier.load(slug)
    assert about["parameters"] == model.count_params() < 100_000
    for suffix in (".json", ".npz"):
        assert (weights.SHIPPED / slug / f"classifier{suffix}").stat().st_size < 250_000
    assert len(about["history"]["loss"]) == about["configuration"]["recipe"]["epochs"]
    assert about["metrics"]["accuracy"] >= 0.89


@pytest.mark.parametrize("data_set", ["dataset", "drawn"])
def test_accuracy_of_the_manifest_comes_out_again(request, data_set):
    dataset = request.getfixturevalue(data_set)
    measured, stored = classifier.measure(classifier.load(dataset.slug), dataset), classifier.manifest(dataset.slug)
    assert measured["accuracy"] == pytest.approx(stored["metrics"]["accuracy"], abs=3e-4)


def test_afterwards_keras_own_fit_goes_on_learning(tiny):
    trained, _ = classifier.train(tiny, epochs=1, verbose=False)
    assert float(trained.optimizer.learning_rate) == pytest.approx(classifier.RECIPE["learning_rate"])
    assert "accuracy" in trained.evaluate(tiny.test.images, tiny.test.labels, verbose=0, return_dict=True)
