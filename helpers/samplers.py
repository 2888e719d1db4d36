"""Which codes to decode: from the prior, from a distribution fitted to codes, or on the way between two.

Each sampler has ``sample(n, seed)``, float32 (n, latent_dim). A plain autoencoder has no prior, so what
"it generates" depends on which of these one asks.
"""

import numpy as np
from sklearn.mixture import GaussianMixture as _Mixture


class StandardNormal:
    """N(0, I): the prior of a VAE.

    Args:
        latent_dim: size of the code.
    """

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim

    def sample(self, n, seed):
        """Draw n codes, float32 (n, latent_dim)."""
        return np.random.default_rng(seed).standard_normal((n, self.latent_dim)).astype("float32")


class GaussianMixture:
    """A mixture of normal distributions with full covariances, fitted to codes.

    Source: Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From variational to deterministic
    autoencoders" (2019), who draw from an autoencoder in this way.

    Args:
        codes: (n, latent_dim), of training images.
        components: number of normal distributions.
        seed: of the fit's start.
        most: fit on at most so many codes, the first ones.
    """

    def __init__(self, codes, components=10, seed=1, most=20_000):
        codes = np.asarray(codes, dtype="float64")[:most]
        if codes.ndim != 2 or len(codes) < components:
            raise ValueError(
                f"codes have shape {codes.shape}; expected (n, latent_dim) with n of {components} or more."
            )
        # Dead units have no spread at all; the floor keeps their covariance invertible.
        self._mixture = _Mixture(components, random_state=seed, reg_covar=1e-6).fit(codes)
        self.latent_dim = codes.shape[1]

    def sample(self, n, seed):
        """Draw n codes, float32 (n, latent_dim)."""
        self._mixture.random_state = seed
        codes, _ = self._mixture.sample(n)
        # scikit-learn returns them sorted by component
        return np.random.default_rng(seed).permutation(codes).astype("float32")


class FittedGaussian(GaussianMixture):
    """One normal distribution with the codes' mean and covariance.

    Args:
        codes: (n, latent_dim), of training images.
    """

    def __init__(self, codes):
        super().__init__(codes, components=1, most=len(codes))


def interpolate(start, end, steps, kind="straight"):
    """Codes on the way from one code to another.

    Args:
        start, end: (latent_dim,).
        steps: codes, both ends included.
        kind: "straight" (a line) or "spherical" (an arc; lengths change evenly).

    Returns:
        float32 (steps, latent_dim).

    Raises:
        ValueError: an unknown kind.

    Source of the arc: Shoemake, "Animating rotation with quaternion curves" (1985).
    """
    start, end = np.asarray(start, "float64"), np.asarray(end, "float64")
    t = np.linspace(0, 1, steps)[:, None]
    if kind == "straight":
        return ((1 - t) * start + t * end).astype("float32")
    if kind != "spherical":
        raise ValueError(f"kind is {kind!r}; choose 'straight' or 'spherical'.")
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if min(lengths) == 0:
        return interpolate(start, end, steps)  # the origin has no direction: the arc is the line
    cosine = np.clip(start @ end / (lengths[0] * lengths[1]), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return interpolate(start, end, steps)
    ways = np.sin((1 - t) * angle) * start / lengths[0] + np.sin(t * angle) * end / lengths[1]
    return (ways / np.sin(angle) * ((1 - t) * lengths[0] + t * lengths[1])).astype("float32")
