"""PCA and the mean image: what every model has to beat. Both have a model's ``reconstruct``."""

import copy

import numpy as np
from sklearn.decomposition import PCA as _PCA

from helpers.dataset import IMAGE_SHAPE, check_images


class MeanImage:
    """The trivial model: whatever comes in, the mean training image comes out.

    Args:
        images: Training images, (n, 28, 28, 1).
    """

    latent_dim = 0

    def __init__(self, images):
        self.image = check_images(images).mean(axis=0, dtype="float64").astype("float32")

    def reconstruct(self, images):
        """The mean image once per image: float32 (n, 28, 28, 1)."""
        return np.repeat(self.image[None], len(images), axis=0)


class PCA:
    """Principal component analysis as an autoencoder: the best linear one.

    Args:
        images: Training images, (n, 28, 28, 1).
        latent_dim: Largest number of components to keep.
    """

    def __init__(self, images, latent_dim=64):
        flat = check_images(images).reshape(len(images), -1)
        self.latent_dim = latent_dim
        self._pca = _PCA(latent_dim, svd_solver="covariance_eigh").fit(flat)

    def encode(self, images, latent_dim=None):
        """Codes of images; fewer latents are the first of the full code.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].
            latent_dim: Number of components; None takes all.

        Returns:
            Codes, float32 (n, latent_dim).
        """
        flat = check_images(images).reshape(len(images), -1)
        return self._pca.transform(flat)[:, : latent_dim or self.latent_dim].astype("float32")

    def decode(self, z):
        """Images of codes, float32 (n, 28, 28, 1); values may leave [0, 1]."""
        z = np.asarray(z)
        flat = z @ self._pca.components_[: z.shape[1]] + self._pca.mean_
        return flat.reshape(-1, *IMAGE_SHAPE).astype("float32")

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
