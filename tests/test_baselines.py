"""PCA and the mean image, from an array and from a split's grey levels."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from support import small_autoencoder, small_vae, smooth_images

from helpers import baselines, metrics, training, widgets
from helpers.dataset import Split, pieces


@pytest.fixture(scope="module")
def split():
    """Images as grey levels, more than one piece of the search for neighbours."""
    levels = np.rint(255 * np.tile(smooth_images(620, seed=5), (9, 1, 1, 1)) ** 2).astype("uint8")
    levels += np.arange(len(levels), dtype="uint8")[:, None, None, None] // 64
    return Split(levels, np.zeros(len(levels), np.int64))


def test_pca_is_that_of_scikit_learn(split):
    images, flat = split.images, split.flat
    ours, theirs = baselines.PCA(images, 5), PCA(5, svd_solver="covariance_eigh").fit(flat)
    np.testing.assert_allclose(ours.encode(images), theirs.transform(flat), atol=2e-3)
    wanted = theirs.inverse_transform(theirs.transform(flat)).reshape(images.shape)
    np.testing.assert_allclose(ours.reconstruct(images), wanted, atol=1e-4)


def test_pca_as_networks_for_a_page_is_pca(split):
    pca = baselines.PCA(split, 5).keep(3)
    images = split.take(np.arange(20))
    codes = pca.encode(images)
    np.testing.assert_allclose(np.asarray(pca.encoder(images)), codes, atol=1e-3)
    np.testing.assert_allclose(np.asarray(pca.decoder(codes)), pca.decode(codes), atol=1e-5)


def test_a_split_gives_what_its_images_give(split):
    images = split.images
    assert np.array_equal(np.concatenate(list(pieces(split, 700))), images)
    assert np.array_equal(baselines.MeanImage(split).image, baselines.MeanImage(images).image)
    assert np.array_equal(baselines.PCA(split, 3).encode(images[:9]), baselines.PCA(images, 3).encode(images[:9]))
    for model in (small_vae(), small_autoencoder()):
        np.testing.assert_array_equal(model.code(split), model.code(images))
        assert model.code(Split(images[:0], split.labels[:0])).shape == (0, 2)
    step = training.Batches(split, 100, seed=1), training.Batches(images, 100, seed=1)
    assert np.array_equal(step[0][3][0], step[1][3][0])


def test_batches_for_tensorflow_are_the_same_images_whatever_is_stored(split):
    wanted = training.Batches(split, 64, seed=3)
    for images in (split, split.images):
        found = [batch for (batch,) in training.Batches(images, 64, seed=3).for_fit().take(3)]
        assert len(found) == 3
        assert all(np.array_equal(batch, wanted[step][0]) for step, batch in enumerate(found))


def test_nearest_looks_through_all_pieces(split):
    images = split.images
    chosen = np.array([3, 4_990, 5_010, 5_579])
    index, distance = metrics.nearest(images[chosen], split)
    slow = np.sqrt(np.square(images[chosen][:, None].astype("float64") - images[None]).mean(axis=(2, 3, 4)))
    np.testing.assert_array_equal(index, slow.argmin(axis=1))
    np.testing.assert_allclose(distance, 0, atol=1e-6)
    far = np.clip(images[chosen] + 0.2, 0, 1)
    for pool in (split, images):
        index, distance = metrics.nearest(far, pool)
        slow = np.sqrt(np.square(far[:, None].astype("float64") - images[None]).mean(axis=(2, 3, 4)))
        np.testing.assert_array_equal(index, slow.argmin(axis=1))
        np.testing.assert_allclose(distance, slow.min(axis=1), atol=1e-6)


def test_pca_has_sliders_like_an_autoencoder(tiny):
    """The first latent's slider covers its codes, and moving it shows mean + z[0] * first direction."""
    pca = baselines.PCA(tiny.train, 3)
    sliders = widgets.latent_sliders(pca, tiny)
    flat = tiny.train.flat.astype("float64")
    mean, (direction, *_) = flat.mean(axis=0), np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2]
    codes = (tiny.validation.flat - mean) @ direction
    codes *= np.sign(np.corrcoef(codes, pca.encode(tiny.validation.images)[:, 0])[0, 1])
    np.testing.assert_allclose(sliders.space.low[0], np.percentile(codes, 0.5), rtol=1e-3)
    assert sliders.space.measure == "variance" and sliders.space.order.tolist() == [0, 1, 2]
    sliders.z = [4, 0, 0]
    up, down = (np.clip(mean + sign * 4 * direction, 0, 1) for sign in (1, -1))
    shown = np.asarray(Image.open(io.BytesIO(sliders._decoded.png))).ravel()
    differences = [np.abs(shown - 255 * (1 - image)).max() for image in (up, down)]
    assert min(differences) <= 1 < max(differences)


@pytest.mark.parametrize("latent_dim", [0, 785])
def test_pca_of_no_or_too_many_components_is_refused(split, latent_dim):
    with pytest.raises(ValueError, match="it may be 1 to 784"):
        baselines.PCA(split, latent_dim)


TWOS = Split(np.full((3, 28, 28, 1), 2, "float32"), np.zeros(3, "int64"))


@pytest.mark.parametrize("images", [np.full((3, 28, 28, 1), 255, "uint8"), TWOS], ids=["bytes", "split of twos"])
def test_bytes_that_are_no_split_and_values_above_one_are_refused(images):
    with pytest.raises(ValueError, match="expected \\[0, 1\\]"):
        list(pieces(images))
