"""Where codes are drawn from: the prior, or a distribution fitted to codes.

Each prior has ``sample(n, seed)``, float32 (n, latent_dim). A plain autoencoder has no prior, so what
"it generates" depends on which of these one asks.
"""

import numpy as np
from sklearn.mixture import GaussianMixture as _Mixture

from helpers import seeds


class StandardNormal:
    """N(0, I): the prior of a VAE.

    Args:
        latent_dim: Size of the code.
    """

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim

    def sample(self, n, seed):
        """Draw n codes.

        Args:
            n: Number of codes.
            seed: Integer; the same seed draws the same codes.

        Returns:
            Codes, float32 (n, latent_dim).
        """
        return seeds.generator(seed).standard_normal((n, self.latent_dim)).astype("float32")


class GaussianMixture:
    """A mixture of normal distributions with full covariances, fitted to codes.

    Source: Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From variational to deterministic
    autoencoders" (2019), who draw from an autoencoder by this method.

    Args:
        codes: Codes of training images, (n, latent_dim).
        components: Number of normal distributions.
        seed: Seeds the start of the fit.
        max_codes: Largest number of codes to fit on, the first ones.
    """

    def __init__(self, codes, components=10, seed=1, max_codes=20_000):
        codes = np.asarray(codes, dtype="float64")[:max_codes]
        if codes.ndim != 2 or len(codes) < components:
            raise ValueError(
                f"codes have shape {codes.shape}; expected (n, latent_dim) with n of {components} or more."
            )
        # Dead units have no spread at all; the floor keeps their covariance invertible.
        self._mixture = _Mixture(components, random_state=seeds.check_seed(seed), reg_covar=1e-6).fit(codes)
        self.latent_dim = codes.shape[1]

    def sample(self, n, seed):
        """Draw n codes.

        Args:
            n: Number of codes.
            seed: Integer; the same seed draws the same codes.

        Returns:
            Codes, float32 (n, latent_dim).
        """
        self._mixture.random_state = seeds.check_seed(seed)
        codes, _ = self._mixture.sample(n)
        # scikit-learn returns them sorted by component
        return seeds.generator(seed).permutation(codes).astype("float32")


class FittedGaussian(GaussianMixture):
    """One normal distribution with the codes' mean and covariance.

    Args:
        codes: Codes of training images, (n, latent_dim).
    """

    def __init__(self, codes):
        super().__init__(codes, components=1, max_codes=len(codes))
