"""PCA and the mean image: what every model has to beat. Both have a model's ``reconstruct``."""

import copy
import math

import numpy as np
from scipy.linalg import eigh

from helpers.dataset import IMAGE_SHAPE, pieces


class MeanImage:
    """The trivial model: whatever comes in, the mean training image comes out.

    Args:
        images: Training images, (n, 28, 28, 1), or a `dataset.Split` of them.
    """

    latent_dim = 0

    def __init__(self, images):
        total = sum(piece.sum(axis=0, dtype="float64") for piece in pieces(images))
        self.image = (total / len(images)).astype("float32")

    def reconstruct(self, images):
        """The mean image once per image: float32 (n, 28, 28, 1)."""
        return np.repeat(self.image[None], len(images), axis=0)


class PCA:
    """Principal component analysis as an autoencoder: the best linear one.

    It can be asked for all that sliders need of an autoencoder, so ``widgets.latent_sliders(pca, dataset)`` works.

    The components are the eigenvectors of the covariance of pixels. It is summed up piece by piece, so that the images
    need not all be in memory as floats. The number of a component that lies furthest from 0 is positive.

    Args:
        images: Training images, (n, 28, 28, 1), or a `dataset.Split` of them.
        latent_dim: Largest number of components to keep.

    Raises:
        ValueError: There are fewer images or pixels than components.
    """

    name = "PCA"
    is_variational = False

    def __init__(self, images, latent_dim=64):
        pixels, mean = math.prod(IMAGE_SHAPE), MeanImage(images).image.ravel()
        most = min(len(images), pixels)
        if not 1 <= latent_dim <= most:
            raise ValueError(f"latent_dim is {latent_dim!r}; with {len(images):,} images it may be 1 to {most}.")
        self.latent_dim, self._mean = latent_dim, mean
        covariance = np.zeros((pixels, pixels))
        for piece in pieces(images):
            centred = piece.reshape(len(piece), -1) - self._mean
            covariance += centred.T @ centred
        _, vectors = eigh(covariance, subset_by_index=(pixels - latent_dim, pixels - 1))
        self._components = vectors.T[::-1].astype("float32")
        largest = np.abs(self._components).argmax(axis=1)
        self._components *= np.sign(self._components[range(latent_dim), largest])[:, None]

    def encode(self, images, latent_dim=None):
        """Codes of images; fewer latents are the first of the full code.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].
            latent_dim: Number of components; None takes all.

        Returns:
            Codes, float32 (n, latent_dim).
        """
        kept = self._components[: latent_dim or self.latent_dim].T
        return np.concatenate([(piece.reshape(len(piece), -1) - self._mean) @ kept for piece in pieces(images)])

    def decode(self, z):
        """Images of codes, float32 (n, 28, 28, 1); values may leave [0, 1]."""
        z = np.asarray(z, dtype="float32")
        return (z @ self._components[: z.shape[1]] + self._mean).reshape(-1, *IMAGE_SHAPE)

    code, decode_on_batch = encode, decode  # the names under which an autoencoder offers the same

    @property
    def encoder(self):
        """The same as a Keras model, for a page without Python."""
        return _affine(IMAGE_SHAPE, self._kept.T, -self._mean @ self._kept.T, (self.latent_dim,), "pca_encoder")

    @property
    def decoder(self):
        """The same as a Keras model, for a page without Python."""
        return _affine((self.latent_dim,), self._kept, self._mean, IMAGE_SHAPE, "pca_decoder")

    @property
    def _kept(self):
        return self._components[: self.latent_dim]

    def reconstruct(self, images, latent_dim=None):
        """Images from their first components.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].
            latent_dim: Number of components; None takes all.

        Returns:
            Images, float32 (n, 28, 28, 1); values may leave [0, 1].
        """
        return self.decode(self.encode(images, latent_dim))

    def keep(self, latent_dim):
        """The same PCA with its first components only: what a fit with fewer latents would give.

        Args:
            latent_dim: Number of components to keep, 1 to ``self.latent_dim``.

        Raises:
            ValueError: There are fewer components than that.
        """
        if not 1 <= latent_dim <= self.latent_dim:
            raise ValueError(f"cannot keep {latent_dim} components: this PCA has {self.latent_dim}.")
        smaller = copy.copy(self)
        smaller.latent_dim = latent_dim
        return smaller


def _affine(shape, matrix, start, output_shape, name):
    """A Keras model that multiplies by a matrix and adds a vector."""
    from keras import Input, Model, layers

    given, dense = Input(shape), layers.Dense(len(start))
    model = Model(given, layers.Reshape(output_shape)(dense(layers.Flatten()(given))), name=name)
    dense.set_weights([matrix, start])
    return model
