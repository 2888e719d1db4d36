"""What a model is worth on held-out data.

Numpy arrays in, floats out, with standard errors where a number is a mean over images. Losses are
nats per image; images are float32 (n, 28, 28, 1) in [0, 1].
"""

import copy
import dataclasses

import numpy as np
import pandas as pd
from keras import ops
from scipy.special import logsumexp, xlogy
from sklearn.decomposition import PCA as _PCA

from helpers import course, losses, models

ACTIVE = 0.01  # variance of z_mean from which a latent counts as active (Burda et al. 2015)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over images and its standard error."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, per_image):
        """From one number per image, (n,)."""
        per_image = np.asarray(per_image, dtype="float64")
        return cls(float(per_image.mean()), float(per_image.std(ddof=1) / np.sqrt(len(per_image))))

    def __str__(self):
        return f"{self.value:.2f} ± {self.standard_error:.2f}"


@dataclasses.dataclass(frozen=True)
class Elbo:
    """The negative ELBO at beta = 1 and its two parts, nats per image: ``negative_elbo = reconstruction + kl``."""

    reconstruction: Estimate
    kl: Estimate
    negative_elbo: Estimate


def _variational(vae):
    if not vae.is_variational:
        raise ValueError("this measure needs a VAE; a plain autoencoder has no distribution over codes.")
    return vae


def _losses_of_codes(vae, images, z, likelihood=None, batch_size=250):
    """-log p(x | z), nats, (n,), for image i with code i."""

    def batch(i):
        part = slice(i, i + batch_size)
        return vae.reconstruction_loss(images[part], vae.logits(z[part]), likelihood)

    return np.concatenate([ops.convert_to_numpy(batch(i)) for i in range(0, len(images), batch_size)])


def elbo_per_image(vae, images, samples=1, seed=1, likelihood=None):
    """The two parts of the negative ELBO at beta = 1, image by image.

    Two models of one latent_dim get the same noise from the same seed, so their losses can be
    subtracted image by image: the standard error of such a paired difference is far smaller than
    those of the two means.

    Args:
        vae: `models.VAE`.
        images: (n, 28, 28, 1).
        samples: codes drawn per image.
        seed: of the codes; the same seed gives the same numbers.
        likelihood: judge by this one of `models.LIKELIHOODS`, not by the model's own. Numbers under
            different likelihoods must not be compared.

    Returns:
        (reconstruction, kl), each float64 (n,), nats.

    Raises:
        ValueError: not a VAE, or images out of shape or range.
    """
    images = models.check_images(images)
    z_mean, z_log_var = _variational(vae).encode(images)
    generator = np.random.default_rng(seed)
    reconstruction = np.zeros(len(images))
    for _ in range(samples):
        noise = generator.standard_normal(z_mean.shape).astype("float32")
        z = z_mean + np.exp(z_log_var / 2) * noise
        reconstruction += _losses_of_codes(vae, images, z, likelihood) / samples
    return reconstruction, ops.convert_to_numpy(losses.kl(z_mean, z_log_var)).astype("float64")


def elbo(vae, images, samples=1, seed=1, likelihood=None):
    """Negative ELBO at beta = 1, whatever beta the model was trained with.

    Args:
        vae: `models.VAE`.
        images: (n, 28, 28, 1).
        samples: codes drawn per image.
        seed: of the codes; the same seed gives the same number.
        likelihood: judge by this one of `models.LIKELIHOODS`, not by the model's own.

    Returns:
        `Elbo`, in nats per image.

    Raises:
        ValueError: not a VAE, or images out of shape or range.
    """
    reconstruction, kl = elbo_per_image(vae, images, samples, seed, likelihood)
    return Elbo(Estimate.of(reconstruction), Estimate.of(kl), Estimate.of(reconstruction + kl))


def log_likelihood_per_image(vae, images, samples=1000, seed=1, batch_size=20):
    """Importance-weighted bound on log p(x) of each image, which tightens as samples grow.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders" (2015).

    Args:
        vae: `models.VAE`.
        images: (n, 28, 28, 1); grey, or binarised (`binarise`) to compare with the literature.
        samples: codes drawn per image; always state it beside the number.
        seed: of the codes. The first ``batch_size`` images of a longer list get the same codes as by themselves.
        batch_size: images a step; memory grows with batch_size * samples.

    Returns:
        log p(x), float64 (n,), nats (negative numbers; nearer 0 is better).
    """
    images = models.check_images(images)
    z_mean, z_log_var = _variational(vae).encode(images)
    generator = np.random.default_rng(seed)
    out = []
    for i in range(0, len(images), batch_size):
        x, mean, log_var = images[i : i + batch_size], z_mean[i : i + batch_size], z_log_var[i : i + batch_size]
        noise = generator.standard_normal((samples, *mean.shape)).astype("float32")
        z = mean + np.exp(log_var / 2) * noise
        flat = z.reshape(-1, vae.latent_dim)
        log_x = -_losses_of_codes(vae, np.tile(x, (samples, 1, 1, 1)), flat).reshape(samples, -1)
        # log p(z) - log q(z | x); the constants of the two normal densities cancel
        log_ratio = 0.5 * np.sum(noise**2 + log_var - z**2, axis=-1)
        out.append(logsumexp(log_x.astype("float64") + log_ratio, axis=0) - np.log(samples))
    return np.concatenate(out)


def log_likelihood(vae, images, samples=1000, seed=1, batch_size=20):
    """Mean of `log_likelihood_per_image` over images, as an `Estimate` in nats per image."""
    return Estimate.of(log_likelihood_per_image(vae, images, samples, seed, batch_size))


def kl_per_latent(vae, images):
    """Mean KL of each latent in nats, float array (latent_dim,): how much it says about an image."""
    z_mean, z_log_var = _variational(vae).encode(images)
    return ops.convert_to_numpy(losses.kl_per_latent(z_mean, z_log_var)).mean(axis=0)


def active_units(vae, images):
    """Number of latents whose posterior mean moves with the image: variance above 0.01.

    Source: Burda, Grosse, Salakhutdinov (2015).

    Args:
        vae: `models.VAE`.
        images: (n, 28, 28, 1), at least a few hundred.
    """
    z_mean, _ = _variational(vae).encode(images)
    return int(np.sum(z_mean.var(axis=0) > ACTIVE))


def dead_units(autoencoder, images):
    """Number of code units of an autoencoder that give the same value for every image."""
    return int(np.sum(autoencoder.encode(images).std(axis=0) < 1e-6))


def mse(images, x_hat):
    """Mean squared error per pixel of reconstructions, as an `Estimate` over images."""
    images, x_hat = np.asarray(images, dtype="float64"), np.asarray(x_hat, dtype="float64")
    if images.shape != x_hat.shape:
        raise ValueError(f"images have shape {images.shape} but x_hat has shape {x_hat.shape}; they must be equal.")
    return Estimate.of(np.square(images - x_hat).reshape(len(images), -1).mean(axis=1))


def bernoulli(images, x_hat):
    """Binary cross-entropy of reconstructions, nats per image, as an `Estimate` over images."""
    parts = range(0, len(images), 1000)
    return Estimate.of(
        np.concatenate(
            [ops.convert_to_numpy(losses.bernoulli(images[i : i + 1000], x_hat[i : i + 1000])) for i in parts]
        )
    )


def entropy_floor(images):
    """Smallest binary cross-entropy any code can reach: the entropy of the grey pixels themselves.

    Args:
        images: (n, 28, 28, 1) in [0, 1].

    Returns:
        `Estimate` in nats per image.
    """
    x = models.check_images(images).reshape(len(images), -1).astype("float64")
    return Estimate.of(-(xlogy(x, x) + xlogy(1 - x, 1 - x)).sum(axis=1))


def binarise(images, seed=1):
    """Draw each grey pixel as a coin, black or white: what the Bernoulli likelihood is a model of.

    Args:
        images: (n, 28, 28, 1) in [0, 1].
        seed: of the coins; one fixed seed gives the one binarised set that papers compare on.

    Returns:
        float32 of the same shape, each pixel 0 or 1 with the grey value as its chance of 1.
    """
    images = models.check_images(images)
    return (np.random.default_rng(seed).random(images.shape) < images).astype("float32")


def sharpness(images):
    """How much neighbouring pixels differ: mean absolute difference to the right and below.

    Args:
        images: (n, 28, 28, 1).

    Returns:
        `Estimate` over images, in grey levels from 0 to 1. Noise counts as sharp too, so compare with real garments.
    """
    images = np.asarray(images, dtype="float64")[..., 0]
    right, below = np.abs(np.diff(images, axis=2)), np.abs(np.diff(images, axis=1))
    return Estimate.of((right.mean(axis=(1, 2)) + below.mean(axis=(1, 2))) / 2)


def reconstruction_spread(vae, images, draws=100, seed=1):
    """Where a VAE is unsure of an image: spread of each pixel over decoded draws from the posterior.

    Args:
        vae: `models.VAE`.
        images: (n, 28, 28, 1).
        draws: codes drawn per image.
        seed: of the codes.

    Returns:
        (mean, standard deviation) of the decoded pixels, each float32 (n, 28, 28, 1).
    """
    z_mean, z_log_var = _variational(vae).encode(images)
    noise = np.random.default_rng(seed).standard_normal((draws, *z_mean.shape)).astype("float32")
    z = z_mean + np.exp(z_log_var / 2) * noise
    # Image by image: the memory of one image's draws, whatever the number of images.
    decoded = (vae.decode(z[:, i]) for i in range(len(images)))
    mean, spread = zip(*((x.mean(axis=0), x.std(axis=0)) for x in decoded), strict=True)
    return np.stack(mean), np.stack(spread)


class MeanImage:
    """The trivial model: whatever comes in, the mean training image comes out.

    Args:
        images: training images, (n, 28, 28, 1).
    """

    latent_dim = 0

    def __init__(self, images):
        self.image = models.check_images(images).mean(axis=0, dtype="float64").astype("float32")

    def reconstruct(self, images):
        """The mean image once per image: float32 (n, 28, 28, 1)."""
        return np.repeat(self.image[None], len(images), axis=0)


class PCA:
    """Principal component analysis as an autoencoder: the best linear one.

    Args:
        images: training images, (n, 28, 28, 1).
        latent_dim: components to keep at most.
    """

    def __init__(self, images, latent_dim=64):
        flat = models.check_images(images).reshape(len(images), -1)
        self.latent_dim = latent_dim
        self._pca = _PCA(latent_dim, svd_solver="covariance_eigh").fit(flat)

    def encode(self, images, latent_dim=None):
        """Codes, float32 (n, latent_dim); fewer latents are the first of the full code."""
        flat = models.check_images(images).reshape(len(images), -1)
        return self._pca.transform(flat)[:, : latent_dim or self.latent_dim].astype("float32")

    def decode(self, z):
        """Images of codes, float32 (n, 28, 28, 1); values may leave [0, 1]."""
        z = np.asarray(z)
        flat = z @ self._pca.components_[: z.shape[1]] + self._pca.mean_
        return flat.reshape(-1, *models.IMAGE_SHAPE).astype("float32")

    def reconstruct(self, images, latent_dim=None):
        """Images from the first ``latent_dim`` components, float32 (n, 28, 28, 1)."""
        return self.decode(self.encode(images, latent_dim))

    def keep(self, latent_dim):
        """The same PCA with its first components only: what a fit with fewer latents would give.

        Args:
            latent_dim: components to keep, 1 to ``self.latent_dim``.

        Raises:
            ValueError: there are not so many.
        """
        if not 1 <= latent_dim <= self.latent_dim:
            raise ValueError(f"cannot keep {latent_dim} components: this PCA has {self.latent_dim}.")
        smaller = copy.copy(self)
        smaller.latent_dim = latent_dim
        return smaller


def nearest(images, pool):
    """For each image, its nearest neighbour in a pool.

    Args:
        images: (n, 28, 28, 1).
        pool: (m, 28, 28, 1).

    Returns:
        (index into the pool, int (n,); distance, root mean squared pixel difference, float (n,)).
    """
    flat, others = (np.asarray(a, dtype="float32").reshape(len(a), -1) for a in (images, pool))
    # |x - y|^2 is smallest where x . y - |y|^2 / 2 is largest: one matrix product a piece.
    half = np.square(others).sum(axis=1) / 2
    starts = range(0, len(flat), 500)
    index = np.concatenate([np.argmax(flat[i : i + 500] @ others.T - half, axis=1) for i in starts])
    # The distance itself is worked out anew, because that product loses digits where x and y are close.
    return index, np.sqrt(np.square(flat - others[index]).mean(axis=1, dtype="float64"))


def scoreboard(rows, images, seed=1):
    """The course's table: each model on the same held-out images.

    Args:
        rows: dict of label to model: anything with ``reconstruct``.
        images: held-out images, (n, 28, 28, 1).
        seed: of the codes drawn for the ELBO.

    Returns:
        pandas DataFrame, one row a model: latent_dim, mse (per pixel), and for VAEs the negative_elbo
        with its parts reconstruction and kl, nats per image. Where a data set stands in for
        Fashion-MNIST, its name heads the labels.
    """
    table = []
    for label, model in rows.items():
        row = {"model": label, "latent_dim": model.latent_dim, "mse": mse(images, model.reconstruct(images)).value}
        if getattr(model, "is_variational", False):
            bound = elbo(model, images, seed=seed)
            row |= {name: getattr(bound, name).value for name in ("negative_elbo", "reconstruction", "kl")}
        table.append(row)
    columns = ["model", "latent_dim", "mse", "negative_elbo", "reconstruction", "kl"]
    return pd.DataFrame(table).reindex(columns=columns).set_index("model").rename_axis(course.stand_in() or "model")


def readable(table):
    """A `scoreboard` for people: fixed decimals, and nothing where a measure does not apply.

    Args:
        table: as `scoreboard` returns it, or some of its columns.

    Returns:
        pandas DataFrame of texts: mse with four decimals, nats with two, whole numbers as they are.
    """

    def text(column):
        if column.dtype.kind != "f":
            return column.astype(str)
        decimals = 4 if column.name == "mse" else 2
        return column.map(lambda value: "" if np.isnan(value) else f"{value:.{decimals}f}")

    return table.apply(text)


def measure(model, wear, seed=1):
    """All numbers that a manifest records, on the test images of ``wear``.

    Args:
        model: `models.Autoencoder` or `models.VAE`.
        wear: `data.Dataset`.
        seed: of the codes drawn for the ELBO.

    Returns:
        dict of name to float or int.
    """
    images = wear.test.images
    error = mse(images, model.reconstruct(images))
    numbers = {"mse": error.value, "mse_standard_error": error.standard_error}
    if not model.is_variational:
        return numbers | {"dead_units": dead_units(model, images)}
    bound = elbo(model, images, seed=seed)
    numbers |= {name: getattr(bound, name).value for name in ("negative_elbo", "reconstruction", "kl")}
    numbers |= {"negative_elbo_standard_error": bound.negative_elbo.standard_error}
    if model.likelihood != "bernoulli":  # the one scale on which all models of the course can be compared
        judged = elbo(model, images, seed=seed, likelihood="bernoulli")
        numbers |= {"bernoulli_negative_elbo": judged.negative_elbo.value}
    return numbers | {"active_units": active_units(model, images)}
