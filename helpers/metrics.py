"""What a model is worth on held-out data.

Numpy arrays in, floats out, with standard errors where a number is a mean over images. Losses are
nats per image; images are float32 (n, 28, 28, 1) in [0, 1]. `evaluate` measures all that applies to a
model; `judge_samples` judges pictures, wherever they come from.
"""

import dataclasses
import sys
from functools import partial

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from scipy.optimize import minimize
from scipy.special import logsumexp, ndtr, softmax, xlogy
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, pairwise_distances_chunked
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from helpers import course, interpolation, losses, priors, seeds
from helpers.dataset import Split, check_images, check_scale, pieces
from helpers.machinery.backend import ops

ACTIVE = 0.01  # variance of z_mean from which a latent counts as active (Burda et al. 2015)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over images and its standard error.

    Attributes:
        value: The mean.
        standard_error: Standard error of that mean.
    """

    value: float
    standard_error: float

    @classmethod
    def of(cls, per_image):
        """Make an estimate from one number per image, (n,)."""
        per_image = np.asarray(per_image, dtype="float64")
        return cls(float(per_image.mean()), float(per_image.std(ddof=1) / np.sqrt(len(per_image))))

    def __str__(self):
        return f"{self.value:.2f} ± {self.standard_error:.2f}"


@dataclasses.dataclass(frozen=True)
class Rate:
    """The KL to the prior and its two parts, nats per image: ``rate = mutual_information + marginal_kl``.

    Attributes:
        mutual_information: What a code says about which image it came from, I(x; z).
        marginal_kl: KL of all codes together, q(z), to the prior.
        rate: Mean KL of q(z | x) to the prior.
    """

    mutual_information: Estimate
    marginal_kl: Estimate
    rate: Estimate


@dataclasses.dataclass(frozen=True)
class Elbo:
    """The negative ELBO at beta = 1 and its two parts, nats per image: ``negative_elbo = reconstruction + kl``.

    Attributes:
        reconstruction: Mean of -log p(x | z).
        kl: Mean KL of q(z | x) to the prior.
        negative_elbo: Sum of the two.
    """

    reconstruction: Estimate
    kl: Estimate
    negative_elbo: Estimate


def _variational(vae):
    if not vae.is_variational:
        raise ValueError("this measure needs a VAE; a plain autoencoder has no distribution over codes.")
    return vae


def _losses_of_codes(vae, images, z, likelihood=None, batch_size=100):
    """-log p(x | z), nats, (len(z),), for image i with code i; after the last image comes the first again."""

    def batch(i):
        codes = z[i : i + batch_size]
        x = images[np.arange(i, i + len(codes)) % len(images)]
        return ops.convert_to_numpy(vae.reconstruction_loss(x, vae.logits(codes), likelihood))

    return np.concatenate([batch(i) for i in range(0, len(z), batch_size)])


def _in_pieces(function, *arrays, size=500):
    """What a function of images says of each, asked for a few at a time, so that memory stays bounded."""
    starts = range(0, max(1, len(arrays[0])), size)
    return np.concatenate([function(*(array[i : i + size] for array in arrays)) for i in starts])


def elbo_per_image(vae, images, samples=1, seed=1, likelihood=None):
    """The two parts of the negative ELBO at beta = 1, image by image.

    Two models of one latent_dim get the same noise from the same seed, so their losses can be
    subtracted image by image: the standard error of such a paired difference is far smaller than
    those of the two means.

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1).
        samples: Number of codes drawn per image.
        seed: Seeds the codes; the same seed gives the same numbers.
        likelihood: One of `models.LIKELIHOODS` to judge by; None takes the model's own. Numbers under different
            likelihoods must not be compared.

    Returns:
        Tuple (reconstruction, kl), each float64 (n,), in nats.

    Raises:
        ValueError: The model is not a VAE, or images are out of shape or range.
    """
    images = check_images(images)
    z_mean, z_log_var = _variational(vae).encode(images)
    generator = seeds.generator(seed)
    reconstruction = np.zeros(len(images))
    for _ in range(samples):
        noise = generator.standard_normal(z_mean.shape).astype("float32")
        z = z_mean + np.exp(z_log_var / 2) * noise
        reconstruction += _losses_of_codes(vae, images, z, likelihood) / samples
    return reconstruction, ops.convert_to_numpy(losses.kl(z_mean, z_log_var)).astype("float64")


def elbo(vae, images, samples=1, seed=1, likelihood=None):
    """Negative ELBO at beta = 1, whatever beta the model was trained with.

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1).
        samples: Number of codes drawn per image.
        seed: Seeds the codes; the same seed gives the same number.
        likelihood: One of `models.LIKELIHOODS` to judge by; None takes the model's own.

    Returns:
        An `Elbo`, in nats per image.

    Raises:
        ValueError: The model is not a VAE, or images are out of shape or range.
    """
    reconstruction, kl = elbo_per_image(vae, images, samples, seed, likelihood)
    return Elbo(Estimate.of(reconstruction), Estimate.of(kl), Estimate.of(reconstruction + kl))


@dataclasses.dataclass(frozen=True)
class GridPosterior:
    """Log p(x) and the posterior p(z | x) of images under a VAE of two latents, summed over a grid of codes.

    Attributes:
        side: Values of either latent on the grid, float64 (points,).
        log_p_x: Evidence log p(x) of each image, float64 (n,), in nats.
        log_posterior: Logarithm of the density p(z | x) on the grid, float64 (n, points, points); the first of
            the two last axes is z[0].
    """

    side: np.ndarray
    log_p_x: np.ndarray
    log_posterior: np.ndarray

    @property
    def _step(self):
        return self.side[1] - self.side[0]

    def _kl(self, normal, log_posterior):
        """KL from the normal distribution (z_mean[0], z_mean[1], z_log_var[0], z_log_var[1]) to one posterior."""
        distance = (self.side[:, None] - normal[:2]) * np.exp(-normal[2:] / 2)
        q = softmax(-(distance**2) / 2, axis=0)  # q is a product: what it gives each row, and each column
        return xlogy(q, q).sum() - 2 * np.log(self._step) - q[:, 0] @ log_posterior @ q[:, 1]

    def kl_from(self, z_mean, z_log_var):
        """KL from a normal distribution for each image to that image's posterior: by how much its ELBO is too low.

        Args:
            z_mean: Means, (n, 2).
            z_log_var: Logarithms of the variances, (n, 2). A spread much below the step of the grid is not seen.

        Returns:
            Nats, float64 (n,).
        """
        normals = np.concatenate([z_mean, z_log_var], axis=1).astype("float64")
        return np.array([self._kl(*pair) for pair in zip(normals, self.log_posterior, strict=True)])

    def closest_normal(self, z_mean, z_log_var):
        """The normal distribution, its latents independent, that is closest in KL to the posterior of each image.

        Each image is searched for by itself, from the distribution that is given and from the peak of its posterior;
        the better end counts.

        Source: Cremer, Li, Duvenaud, "Inference suboptimality in variational autoencoders" (2018).

        Args:
            z_mean: Means to start from, such as the encoder's, (n, 2).
            z_log_var: Logarithms of the variances to start from, (n, 2).

        Returns:
            Tuple (z_mean, z_log_var), each float64 (n, 2).
        """
        narrowest = 2 * np.log(0.7 * self._step)  # narrower ones would fall between the points of the grid
        bounds = [(self.side[0], self.side[-1])] * 2 + [(narrowest, 2.0)] * 2
        ends = []
        for mean, log_var, posterior in zip(z_mean, z_log_var, self.log_posterior, strict=True):
            peak = self.side[list(np.unravel_index(posterior.argmax(), posterior.shape))]
            starts = (np.concatenate([place, log_var]) for place in (mean, peak))
            found = (minimize(self._kl, start, posterior, method="L-BFGS-B", bounds=bounds) for start in starts)
            ends.append(min(found, key=lambda end: end.fun).x)
        return np.array(ends)[:, :2], np.array(ends)[:, 2:]


def posterior_on_grid(vae, images, points=301, reach=4.0):
    """Log p(x) and the posterior of images, by a sum over all codes of a grid: exact but for its step and its edge.

    With two latents log p(x) = log of the integral of p(x | z) p(z) can be worked out. To learn whether the grid is
    fine enough, compare with one of half as many points. Where an image's mass lies beyond the edge, take
    a larger ``reach``.

    Args:
        vae: A `models.VAE` with latent_dim 2 and the Bernoulli likelihood.
        images: Array (n, 28, 28, 1) of up to about a hundred images.
        points: Number of values of either latent.
        reach: Largest value of either latent; the smallest is its negative.

    Returns:
        A `GridPosterior`.

    Raises:
        ValueError: The model is not such a VAE, or images are out of shape or range.
    """
    if _variational(vae).latent_dim != 2 or vae.likelihood != "bernoulli":
        raise ValueError(
            f"the grid needs latent_dim 2 and the Bernoulli likelihood; this model has {vae.latent_dim} and "
            f"{vae.likelihood!r}."
        )
    flat = check_images(images).reshape(len(images), -1)
    side = np.linspace(-reach, reach, points)
    log_joint = np.empty((len(flat), points, points))
    for row, first in enumerate(side):
        codes = np.stack([np.full(points, first), side], axis=1)
        logits = vae.logits(codes.astype("float32"))
        # log p(x | z) = x . logits - the sum of softplus(logits): all images in one matrix product
        constant = ops.convert_to_numpy(ops.sum(ops.softplus(logits), axis=(1, 2, 3)))
        log_likelihood = flat @ ops.convert_to_numpy(logits).reshape(points, -1).T - constant
        log_joint[:, row] = log_likelihood - (codes**2).sum(axis=1) / 2 - np.log(2 * np.pi)
    log_p_x = logsumexp(log_joint, axis=(1, 2)) + 2 * np.log(side[1] - side[0])
    return GridPosterior(side, log_p_x, log_joint - log_p_x[:, None, None])


def log_likelihood_per_image(vae, images, samples=1000, seed=1, batch_size=20):
    """Importance-weighted bound on log p(x) of each image, which tightens as samples grow.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders" (2015).

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1); grey, or binarised (`binarise`) to compare with the literature.
        samples: Number of codes drawn per image; always state it beside the result.
        seed: Seeds the codes. The first ``batch_size`` images of a longer list get the same codes as by themselves.
        batch_size: Number of images in a step; memory grows with batch_size * samples.

    Returns:
        Array of log p(x), float64 (n,), in nats (negative numbers; nearer 0 is better).
    """
    images = check_images(images)
    z_mean, z_log_var = _variational(vae).encode(images)
    generator = seeds.generator(seed)
    out = []
    for i in range(0, len(images), batch_size):
        x, mean, log_var = images[i : i + batch_size], z_mean[i : i + batch_size], z_log_var[i : i + batch_size]
        noise = generator.standard_normal((samples, *mean.shape)).astype("float32")
        z = mean + np.exp(log_var / 2) * noise
        flat = z.reshape(-1, vae.latent_dim)
        log_x = -_losses_of_codes(vae, x, flat).reshape(samples, -1)
        # log p(z) - log q(z | x); the constants of the two normal densities cancel
        log_ratio = 0.5 * np.sum(noise**2 + log_var - z**2, axis=-1)
        out.append(logsumexp(log_x.astype("float64") + log_ratio, axis=0) - np.log(samples))
    return np.concatenate(out)


def log_likelihood(vae, images, samples=1000, seed=1, batch_size=20):
    """Mean of `log_likelihood_per_image` over images.

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1); grey, or binarised (`binarise`) to compare with the literature.
        samples: Number of codes drawn per image; always state it beside the result.
        seed: Seeds the codes.
        batch_size: Number of images in a step; memory grows with batch_size * samples.

    Returns:
        An `Estimate` in nats per image.
    """
    return Estimate.of(log_likelihood_per_image(vae, images, samples, seed, batch_size))


def mutual_information(vae, images, seed=1, batch_size=500):
    """What the rate of a VAE is spent on: telling images apart, or codes that the prior does not expect.

    The mean KL of q(z | x) to the prior is I(x; z), how much a code says about which of these images it
    came from, plus the KL of all codes together, q(z), to the prior. Only the first is of use; the second
    is what samples of the prior suffer from. One code is drawn per image.

    I(x; z) cannot exceed log n, and nears it once all codes say which image they came from: 9.21 nats for
    10,000 images. Where it comes close, it is the n that is measured, and the second part is too large by what
    the first lacks. Compare models on the same images.

    Source: Hoffman, Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower
    bound" (2016).

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1); q(z) is the mean of their posteriors. Time grows with n squared.
        seed: Seeds the codes.
        batch_size: Number of images in a step; memory grows with batch_size * n.

    Returns:
        A `Rate`, in nats per image.

    Raises:
        ValueError: The model is not a VAE, or images are out of shape or range.
    """
    z_mean, z_log_var = (part.astype("float64") for part in _variational(vae).encode(images))
    noise = seeds.generator(seed).standard_normal(z_mean.shape)
    z, precision = z_mean + np.exp(z_log_var / 2) * noise, np.exp(-z_log_var)
    # (z - z_mean)^2 / sigma^2 + log sigma^2 of code i under image j, multiplied out: two matrix products
    weighted, constant = z_mean * precision, (z_mean**2 * precision + z_log_var).sum(axis=1)
    log_q_z = []
    for i in range(0, len(z), batch_size):
        part = z[i : i + batch_size]
        log_q = -0.5 * (part**2 @ precision.T - 2 * part @ weighted.T + constant)
        largest = log_q.max(axis=1)
        log_q_z.append(largest + np.log(np.exp(log_q - largest[:, None]).mean(axis=1)))
    information = -0.5 * (noise**2 + z_log_var).sum(axis=1) - np.concatenate(log_q_z)
    kl = ops.convert_to_numpy(losses.kl(z_mean, z_log_var)).astype("float64")
    return Rate(Estimate.of(information), Estimate.of(kl - information), Estimate.of(kl))


def kl_per_latent(vae, images):
    """Mean KL of each latent: how much it says about an image.

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1) in [0, 1].

    Returns:
        Nats, float array (latent_dim,).
    """
    z_mean, z_log_var = _variational(vae).encode(images)
    return ops.convert_to_numpy(losses.kl_per_latent(z_mean, z_log_var)).mean(axis=0)


def share_of_prior(codes, cells=10):
    """How full each part of a 2-D code space is, compared with draws of N(0, I).

    The plane is cut into cells of equal probability under N(0, I): a regular grid in Phi(z).

    Args:
        codes: Codes, (n, 2), best with 50 or more of them for each cell.
        cells: Number of cells on a side.

    Returns:
        Number of codes in each cell over the number that N(0, I) puts there on average, float64 (cells, cells); the
        first axis is z[0]. The mean is 1.

    Raises:
        ValueError: The codes have not two numbers each.
    """
    codes = _finite("codes", codes)
    if codes.ndim != 2 or codes.shape[1] != 2:
        raise ValueError(f"codes have shape {codes.shape}; expected (n, 2).")
    counts, _, _ = np.histogram2d(*ndtr(codes).T, bins=cells, range=[(0, 1), (0, 1)])
    return counts * cells**2 / len(codes)


def active_units(vae, images):
    """Number of latents whose posterior mean moves with the image: variance above 0.01.

    Source: Burda, Grosse, Salakhutdinov (2015).

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1) of at least a few hundred images.
    """
    z_mean, _ = _variational(vae).encode(images)
    return int(np.sum(z_mean.var(axis=0) > ACTIVE))


def dead_units(autoencoder, images):
    """Number of code units of an autoencoder that give the same value for every image.

    Args:
        autoencoder: A `models.Autoencoder`.
        images: Array (n, 28, 28, 1) in [0, 1].
    """
    return int(np.sum(autoencoder.encode(images).std(axis=0) < 1e-6))


def mse(images, x_hat):
    """Mean squared error per pixel of reconstructions.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
        x_hat: Reconstructions of the images, same shape.

    Returns:
        An `Estimate` over images.
    """
    return Estimate.of(_mse_per_image(images, x_hat))


def _mse_per_image(images, x_hat):
    def errors(x, y):
        return np.square(x.astype("float64") - y).reshape(len(x), -1).mean(axis=1)

    return _in_pieces(errors, *_pairs(images, x_hat))


def _finite(name, values, dtype=None):
    """The values as floats, or an error where one is NaN or infinite: a mean would pass it on without a word.

    Floats keep their type where no ``dtype`` is asked for; other numbers become float64.
    """
    values = np.asarray(values, dtype=dtype)
    if values.dtype.kind != "f":
        values = values.astype("float64")
    wrong = values.size - np.count_nonzero(np.isfinite(values))
    if wrong:
        raise ValueError(
            f"{name} holds {wrong:,} values of {values.size:,} that are not finite (NaN or infinity). A training that "
            "diverged gives such images: look at its loss, and lower learning_rate."
        )
    return values


def _pixels(name, images, dtype=None):
    """Images as floats, or an error where one is not finite or they are grey levels up to 255."""
    return check_scale(_finite(name, images, dtype), name)


def _pairs(images, x_hat):
    """Both as floats, or an error where they are not of one shape or not finite."""
    images, x_hat = _pixels("images", images), _pixels("x_hat", x_hat)
    if images.shape != x_hat.shape:
        raise ValueError(f"images have shape {images.shape} but x_hat has shape {x_hat.shape}; they must be equal.")
    return images, x_hat


def psnr(images, x_hat):
    """Peak signal-to-noise ratio of reconstructions: minus ten times the decimal logarithm of an image's MSE.

    The mean of decibels over images, not the decibels of the mean MSE: easy images count for more.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
        x_hat: Reconstructions of the images, same shape.

    Returns:
        An `Estimate` over images, in dB.

    Raises:
        ValueError: Shapes differ, or an image is reproduced exactly, which is worth infinitely many dB.
    """
    error = _mse_per_image(images, x_hat)
    if not error.all():
        raise ValueError(
            f"x_hat[{int(error.argmin())}] equals its image exactly, so its PSNR is infinite. "
            "Were the images themselves passed as x_hat?"
        )
    return Estimate.of(-10 * np.log10(error))


def ssim(images, x_hat):
    """Structural similarity of reconstructions: 1 for equal images, near 0 for unrelated ones.

    Local means, spreads and covariances under a Gaussian window of sigma 1.5, averaged over the windows that
    lie within the image (its middle 18 x 18 pixels).

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
    similarity" (2004).

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
        x_hat: Reconstructions of the images, same shape.

    Returns:
        An `Estimate` over images.
    """
    return Estimate.of(_in_pieces(_ssim_per_image, *_pairs(images, x_hat)))


def _ssim_per_image(x, y):
    x, y = x.astype("float64"), y.astype("float64")
    local = partial(gaussian_filter, sigma=(0, 1.5, 1.5, 0), truncate=3.5)
    mean_x, mean_y = local(x), local(y)
    var_x, var_y, covariance = local(x * x) - mean_x**2, local(y * y) - mean_y**2, local(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2  # Wang's constants for values from 0 to 1: they keep plain regions from dividing by 0
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return similarity[:, 5:-5, 5:-5].mean(axis=(1, 2, 3))  # a window reaches 5 pixels to each side


def bernoulli(images, x_hat):
    """Binary cross-entropy of reconstructions.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
        x_hat: Reconstructions of the images, same shape.

    Returns:
        An `Estimate` over images, in nats per image.
    """

    def nats(x, y):
        return ops.convert_to_numpy(losses.bernoulli(x, y))

    return Estimate.of(_in_pieces(nats, *_pairs(images, x_hat)))


def entropy_per_image(images):
    """Smallest binary cross-entropy any code can reach, of each image: the entropy of its grey pixels themselves.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].

    Returns:
        Nats, float64 (n,).
    """

    def nats(x):
        x = x.reshape(len(x), -1).astype("float64")
        return -(xlogy(x, x) + xlogy(1 - x, 1 - x)).sum(axis=1)

    return _in_pieces(nats, check_images(images))


def entropy_floor(images):
    """Mean of `entropy_per_image`: the smallest binary cross-entropy that any code can reach on these images.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].

    Returns:
        An `Estimate` in nats per image.
    """
    return Estimate.of(entropy_per_image(images))


def binarise(images, seed=1):
    """Draw each grey pixel as a coin, black or white: what the Bernoulli likelihood is a model of.

    Args:
        images: Array (n, 28, 28, 1) in [0, 1].
        seed: Seeds the coins; one fixed seed gives the one binarised set that papers compare on.

    Returns:
        Array float32 of the same shape, each pixel 0 or 1 with the grey value as its chance of 1.
    """
    images = check_images(images)
    return (seeds.generator(seed).random(images.shape) < images).astype("float32")


def sharpness(images):
    """How much neighbouring pixels differ: mean absolute difference to the right and below.

    Args:
        images: Array (n, 28, 28, 1).

    Returns:
        An `Estimate` over images, where white to black is 1. Noise counts as sharp too, so compare with real garments.
    """

    def steps(x):
        x = x[..., 0].astype("float64")
        right, below = np.abs(np.diff(x, axis=2)), np.abs(np.diff(x, axis=1))
        return (right.mean(axis=(1, 2)) + below.mean(axis=(1, 2))) / 2

    return Estimate.of(_in_pieces(steps, _pixels("images", images)))


def reconstruction_spread(vae, images, draws=100, seed=1):
    """Where a VAE is unsure of an image: spread of each pixel over decoded draws from the posterior.

    Args:
        vae: A `models.VAE`.
        images: Array (n, 28, 28, 1).
        draws: Number of codes drawn per image.
        seed: Seeds the codes.

    Returns:
        Tuple (mean, standard deviation) of the decoded pixels, each float32 (n, 28, 28, 1).
    """
    z_mean, z_log_var = _variational(vae).encode(images)
    noise = seeds.generator(seed).standard_normal((draws, *z_mean.shape)).astype("float32")
    z = z_mean + np.exp(z_log_var / 2) * noise
    # Image by image: the memory of one image's draws, whatever the number of images.
    decoded = (vae.decode(z[:, i]) for i in range(len(images)))
    mean, spread = zip(*((x.mean(axis=0), x.std(axis=0)) for x in decoded), strict=True)
    return np.stack(mean), np.stack(spread)


def spread_against_error(images, mean, spread, rim=2):
    """Whether `reconstruction_spread` is large where the reconstruction is wrong: outside, along and inside garments.

    Taken over whole pictures the two always agree, because paper has little of either.

    Args:
        images: Array (n, 28, 28, 1).
        mean: Mean of the decoded draws, same shape.
        spread: Their standard deviation, same shape.
        rim: Pixels on either side of an edge between ink and paper that count as outline.

    Returns:
        A pandas DataFrame with the rows "paper", "outline" and "inside": the share of the pixels, the mean absolute
        "error" of the mean, the mean "spread" (both from 0, white, to 1, black), and their "correlation" over the
        pixels (NaN where one of them does not vary).
    """
    ink = check_images(images)[..., 0] > 0
    square = np.ones((1, 3, 3), bool)  # image by image, with the corners
    inside = binary_erosion(ink, square, iterations=rim)
    near = binary_dilation(ink, square, iterations=rim)
    error, spread = np.abs(images - mean)[..., 0].astype("float64"), spread[..., 0].astype("float64")
    rows = {}
    for name, pixels in {"paper": ~near, "outline": near & ~inside, "inside": inside}.items():
        found = error[pixels], spread[pixels]
        varies = len(found[0]) > 1 and min(part.std() for part in found) > 0
        rows[name] = {
            "share": pixels.mean(),
            "error": found[0].mean() if len(found[0]) else np.nan,
            "spread": found[1].mean() if len(found[1]) else np.nan,
            "correlation": np.corrcoef(*found)[0, 1] if varies else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def nearest(images, pool):
    """For each image, its nearest neighbour in a pool.

    Args:
        images: Array (n, 28, 28, 1).
        pool: Images to search, (m, 28, 28, 1), or a `dataset.Split` of them.

    Returns:
        Tuple (index into the pool, int (n,); distance, root mean squared pixel difference, float (n,)).

    Raises:
        ValueError: A value is not finite. A single one in the pool would be everybody's neighbour.
    """
    flat = _pixels("images", images, "float32").reshape(len(images), -1)
    best, index = np.full(len(flat), -np.inf, "float32"), np.zeros(len(flat), "int64")
    near = np.empty_like(flat)
    for first, others in _rows_of(pool):
        # |x - y|^2 is smallest where x . y - |y|^2 / 2 is largest: one matrix product a piece.
        half = np.square(others).sum(axis=1) / 2
        for i in range(0, len(flat), 500):
            part = slice(i, i + 500)
            likeness = flat[part] @ others.T - half
            winner = likeness.argmax(axis=1)
            value = likeness[range(len(winner)), winner]
            better = value > best[part]
            best[part][better], index[part][better] = value[better], first + winner[better]
            near[part][better] = others[winner[better]]
    # The distance itself is worked out again, because that product loses digits where x and y are close.
    distance = _in_pieces(lambda x, y: np.sqrt(np.square(x - y).mean(axis=1, dtype="float64")), flat, near)
    return index, distance


def nearest_few(image, pool, count):
    """The nearest neighbours of one image in a pool, the nearest first.

    Args:
        image: Array (28, 28, 1).
        pool: Images to search, (m, 28, 28, 1), or a `dataset.Split` of them.
        count: Number of neighbours; all of the pool if it has fewer.

    Returns:
        Tuple (index into the pool, int (count,); distance, root mean squared pixel difference, float64 (count,)).

    Raises:
        ValueError: A value is not finite.
    """
    flat = _pixels("image", np.asarray(image)[None], "float32").reshape(-1)
    squares = [np.square(rows - flat).mean(axis=1, dtype="float64") for _, rows in _rows_of(pool)]
    distance = np.sqrt(np.concatenate(squares))
    index = np.argsort(distance, kind="stable")[:count]
    return index, distance[index]


def _rows_of(pool, size=5_000):
    """Pieces of a pool as rows, each with the number of its first."""
    if not isinstance(pool, Split):
        pool = _pixels("pool", pool, "float32")
        pool = [pool[i : i + size] for i in range(0, len(pool), size)]
    else:
        pool = pieces(pool, size)
    for i, piece in enumerate(pool):
        yield i * size, piece.reshape(len(piece), -1)


def linear_probe(codes_train, labels_train, codes_test, labels_test):
    """Accuracy of a linear classifier on codes: how plainly a code says what the garment is.

    Multinomial logistic regression on standardised codes, trained until it converges.

    Source: Alain, Bengio, "Understanding intermediate layers using linear classifier probes" (2016).

    Args:
        codes_train: Codes to fit on, (n, latent_dim), as ``model.code`` returns them.
        labels_train: Class indices of the codes to fit on, (n,).
        codes_test: Codes to measure on, (m, latent_dim).
        labels_test: Class indices of the codes to measure on, (m,).

    Returns:
        An `Estimate` over test images.

    Raises:
        ValueError: All training labels are of one class.
    """
    _classes_differ(labels_train)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with threadpool_limits(1):  # so small a problem: on a busy machine threads mostly wait for each other
        return _accuracy(probe.fit(codes_train, labels_train), codes_test, labels_test)


def nearest_neighbours_accuracy(codes_train, labels_train, codes_test, labels_test, neighbours=5):
    """Accuracy of a vote among the nearest training codes: whether classes lie together, in whatever shape.

    Codes are taken as they are. To standardise them would blow up the noise of latents that a VAE does not use.

    Args:
        codes_train: Codes to fit on, (n, latent_dim), as ``model.code`` returns them.
        labels_train: Class indices of the codes to fit on, (n,).
        codes_test: Codes to measure on, (m, latent_dim).
        labels_test: Class indices of the codes to measure on, (m,).
        neighbours: Number of nearest codes that vote.

    Returns:
        An `Estimate` over test images.

    Raises:
        ValueError: All training labels are of one class.
    """
    _classes_differ(labels_train)
    voters = KNeighborsClassifier(neighbours, algorithm="brute")
    return _accuracy(voters.fit(codes_train, labels_train), codes_test, labels_test)


def _classes_differ(labels):
    if len(np.unique(labels)) < 2:
        raise ValueError(
            "this measure needs labels of two classes or more, and all labels here are of one class. Has the data set "
            "none (dataset.is_labelled)?"
        )


def _accuracy(fitted, codes, labels):
    return Estimate.of(fitted.predict(codes) == labels)


def interpolation_smoothness(model, images_a, images_b, classifier=None, steps=16):
    """How directly decoded pictures change along the straight line from one code to another.

    For each pair: the distance between the first and the last picture, divided by the length of the path
    through all pictures between them. 1 is a straight path; a detour, such as over a garment of a third
    kind, makes it smaller. Measured in the features of the classifier, because in pixels the straight path is
    a cross-fade of two ghosts, so that PCA would have exactly 1.

    Args:
        model: Any model with ``encode`` and ``decode``.
        images_a: Images at the start of each interpolation, (n, 28, 28, 1).
        images_b: Images at the end of each interpolation, (n, 28, 28, 1).
        classifier: A `classifier.Classifier` whose features measure distances; None measures them in pixels.
        steps: Number of pictures in an interpolation, both ends included. More steps give longer paths.

    Returns:
        An `Estimate` over pairs whose pictures change at all; not a number where fewer than two do.
    """
    starts, ends = codes_of(model, images_a), codes_of(model, images_b)
    ratios = []
    for i in range(0, len(starts), 100):
        ways = [
            interpolation.interpolate(*pair, steps) for pair in zip(starts[i : i + 100], ends[i : i + 100], strict=True)
        ]
        pictures = _decoded(model, np.concatenate(ways))
        seen = pictures if classifier is None else classifier.features(pictures)
        seen = seen.reshape(len(ways), steps, -1).astype("float64")
        path = np.linalg.norm(np.diff(seen, axis=1), axis=2).sum(axis=1)
        moved = path > 0
        ratios.append(np.linalg.norm(seen[:, -1] - seen[:, 0], axis=1)[moved] / path[moved])
    ratios = np.concatenate(ratios)
    return Estimate.of(ratios) if len(ratios) > 1 else Estimate(float("nan"), float("nan"))


def mutual_information_gap(codes, factors, bins=20):
    """How far each known factor has a latent of its own: 1 where one latent says all and no other anything.

    For each factor, the information that the best latent has about it less that of the second best, as a
    share of the factor's entropy. Turning a code does not change what it holds, but closes the gap. Source:
    Chen et al., "Isolating sources of disentanglement in VAEs" (2018).

    Args:
        codes: Array (n, latent_dim) of at least two latents.
        factors: Dict of name to the values of one factor, (n,) each: numbers, or labels.
        bins: Number of parts of equal count into which latents, and factors of more values than this, are cut.

    Returns:
        A pandas DataFrame with one row for each factor: best (its latent), information and gap, shares from 0 to 1.

    Raises:
        ValueError: There are fewer than two latents, or a factor does not vary.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise ValueError(f"codes have shape {codes.shape}; a gap needs (n, latent_dim) with two latents or more.")
    parts = [_in_parts(latent, bins) for latent in codes.T]
    rows = {}
    for name, values in factors.items():
        values = _in_parts(values, bins)
        entropy = mutual_info_score(values, values)
        if entropy == 0:
            raise ValueError(f"the factor {name!r} has one value only; nothing can be known about it.")
        shares = np.array([mutual_info_score(part, values) for part in parts]) / entropy
        second, first = np.sort(shares)[-2:]
        rows[name] = {"best": int(shares.argmax()), "information": first, "gap": first - second}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("factor")


def _in_parts(values, bins):
    """Whole numbers for values: as they are where they are few, else the numbers of parts of equal count."""
    levels, places = np.unique(values, return_inverse=True)
    if len(levels) <= bins:
        return places
    return np.searchsorted(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]), values)


def codes_of(model, images):
    """One code for each image: the mean of a VAE's, and what ``encode`` returns of a model such as `PCA`.

    Args:
        model: Any model with ``code`` or ``encode``.
        images: Array (n, 28, 28, 1) in [0, 1].

    Returns:
        Codes, (n, latent_dim).
    """
    return getattr(model, "code", model.encode)(images)


def share_by_cell(codes, cells=20):
    """How evenly codes of two numbers fill a normal distribution of their own mean and covariance.

    The plane is cut into cells of equal mass under that distribution, in which codes drawn from it would lie evenly.
    Codes are first turned into independent latents of spread 1 (Cholesky), then into their shares below, Phi(z).

    Args:
        codes: Codes, (n, 2).
        cells: Number of cells on each side.

    Returns:
        Array (cells, cells): codes in a cell over codes in a cell on average. 1 is a cell's even share.

    Raises:
        ValueError: The codes have not two numbers each.
    """
    codes = np.asarray(codes, "float64")
    if codes.ndim != 2 or codes.shape[1] != 2:
        raise ValueError(f"codes have shape {codes.shape}; expected (n, 2).")
    factor = np.linalg.cholesky(np.cov(codes.T))
    return share_of_prior(np.linalg.solve(factor, (codes - codes.mean(axis=0)).T).T, cells)


def drawn_codes(model, images, seed=1):
    """One code drawn for each image: from q(z | x) of a VAE, and what `codes_of` gives of any other model.

    The decoder of a VAE was trained on such draws. What stands in for the prior is fitted to them, not to the means.

    Args:
        model: Any model with ``code`` or ``encode``.
        images: Array (n, 28, 28, 1) in [0, 1].
        seed: Seeds the draws.

    Returns:
        Codes, (n, latent_dim).
    """
    if not getattr(model, "is_variational", False):
        return codes_of(model, images)
    z_mean, z_log_var = model.encode(images)
    noise = seeds.generator(seed).standard_normal(z_mean.shape).astype("float32")
    return z_mean + np.exp(z_log_var / 2) * noise


def _decoded(model, z):
    """Images of codes; those of PCA, which leave [0, 1], are clipped."""
    return np.clip(model.decode(z), 0, 1)


def frechet_distance(features_a, features_b, resamples=50, seed=1):
    """Fréchet distance between two sets of features, taken as two normal distributions.

    The formula of Heusel et al., in the features of *our* classifier: numbers cannot be compared with distances
    in another network's features. Few images make two equal distributions seem different, and
    the more so the fewer there are; only numbers with the same n can be compared, so both sets must have
    the same size. `frechet_floor` is what real images get.

    The standard error is the spread over resamples of both sets (bootstrap): disjoint parts would have fewer
    images each and so measure another, larger distance. The value is that of the sets themselves, since resamples
    are biased further upwards. It is the error of drawing images, not of training the model; where the two
    distributions are equal it is too large.

    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs trained by a two time-scale update rule
    converge to a local Nash equilibrium" (2017).

    Args:
        features_a: Features of one set, (n, k), from `classifier.features`.
        features_b: Features of the other set, (n, k).
        resamples: Number of resamples for the standard error, at least 2.
        seed: Seeds the resamples.

    Returns:
        An `Estimate`, in squared units of the features.

    Raises:
        ValueError: The sets differ in shape, hold fewer than two images, or hold values that are not finite.
    """
    a, b = _finite("features_a", features_a, "float64"), _finite("features_b", features_b, "float64")
    if a.shape != b.shape or a.ndim != 2 or len(a) < 2:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; expected (n, k) twice with one n of 2 or more, "
            "because the distance depends on n. Take the first n of the larger set."
        )
    generator = seeds.generator(seed)
    with threadpool_limits(1):  # as in `linear_probe`
        again = [
            _frechet(*(part[generator.integers(0, len(part), len(part))] for part in (a, b))) for _ in range(resamples)
        ]
        return Estimate(_frechet(a, b), float(np.std(again, ddof=1)))


def _frechet(a, b):
    means, roots, traces = zip(*(_moments(part) for part in (a, b)), strict=True)
    # The trace of the root of a product of covariances is the sum of singular values of the product of their roots,
    # which exists and is real also where a covariance is singular.
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    return float(np.square(means[0] - means[1]).sum() + sum(traces) - 2 * shared)


def _moments(part):
    """Mean, symmetric root and trace of the covariance of features."""
    covariance = np.cov(part, rowvar=False).reshape(part.shape[1], part.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    return part.mean(axis=0), vectors * np.sqrt(values.clip(0)) @ vectors.T, covariance.trace()


def frechet_floor(dataset, classifier, n=10_000):
    """Fréchet distance of the first n training images from the first n test images: the least to hope for.

    Args:
        dataset: A `data.Dataset`.
        classifier: A `classifier.Classifier`.
        n: Number of images of each set; the same as for the pictures to be judged.
    """
    real, others = (classifier.features(part.head(n).images) for part in (dataset.test, dataset.train))
    return frechet_distance(others, real)


def precision_recall(real, generated, neighbours=3):
    """Share of generated pictures that could be real, and share of real ones that could be generated.

    A set covers the balls around its members that reach to their third neighbour within the set. Precision
    falls with bad pictures, recall with missing kinds. Both depend on the number of pictures: compare at one n.

    Source: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, "Improved precision and recall metric for assessing
    generative models" (2019).

    Args:
        real: Features of real images, (n, k).
        generated: Features of generated pictures, (n, k).
        neighbours: Number of neighbours that a ball reaches to.

    Returns:
        Tuple (precision, recall), each an `Estimate` over the pictures that fall or do not; the balls count as given.

    Raises:
        ValueError: A set has no more pictures than ``neighbours``.
    """
    real, generated = _finite("real", real, "float64"), _finite("generated", generated, "float64")
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(f"sets of {len(real)} and {len(generated)} pictures; each needs more than {neighbours}.")
    return Estimate.of(_covered(generated, real, neighbours)), Estimate.of(_covered(real, generated, neighbours))


def _covered(points, centres, neighbours):
    """Which points lie within the ball of any centre, bool (n,)."""
    balls = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(centres)
    radii = balls.kneighbors()[0][:, -1]  # without points of its own, a centre is no neighbour of itself

    def within(distances, start):
        return (distances <= radii).any(axis=1)

    with config_context(working_memory=64):  # MiB of distances at a time
        return np.concatenate(list(pairwise_distances_chunked(points, centres, reduce_func=within)))


def memorisation(samples, train, test):
    """How near samples come to training images, as a share of how near test images come.

    The mean distance of samples to their nearest training image, over that of test images to theirs. A
    copier has 0, another draw of the same garments about 1. Blurred pictures lie nearer to everything, so a value
    somewhat below 1 is no proof of copying: inspect the nearest ones (`nearest`).

    Args:
        samples: Generated pictures, (n, 28, 28, 1).
        train: Images the model was trained on, (m, 28, 28, 1), or a `dataset.Split` of them.
        test: Images the model has not seen, (k, 28, 28, 1).

    Returns:
        An `Estimate`; the standard error is that of a ratio of two means.

    Raises:
        ValueError: All test images are among the training images, or a value is not finite.
    """
    ours, theirs = (Estimate.of(nearest(images, train)[1]) for images in (samples, test))
    if theirs.value == 0:
        raise ValueError("each test image is also a training image, so nothing is held out to compare with.")
    ratio = ours.value / theirs.value
    return Estimate(ratio, float(np.hypot(ours.standard_error, ratio * theirs.standard_error) / theirs.value))


def judge_samples(images, dataset, classifier, memory=2000):
    """All that is measured on pictures alone, wherever they come from: a model, a sampler, the training set.

    Args:
        images: Generated pictures, (n, 28, 28, 1) in [0, 1]; they are compared with the first n test images. State n
            beside the numbers: all but memorisation depend on it.
        dataset: A `data.Dataset`.
        classifier: The `classifier.Classifier` of that data, whose features judge.
        memory: Number of pictures and of test images that are compared with the training images; 0 compares none.

    Returns:
        Dict of name to `Estimate`: frechet_distance, precision, recall and, unless ``memory`` is 0, memorisation.

    Raises:
        ValueError: There are more pictures than test images, or images are out of shape or range.
    """
    real = dataset.test.head(len(images)).images
    seen, generated = classifier.features(real), classifier.features(images)
    precision, recall = precision_recall(seen, generated)
    found = {"frechet_distance": frechet_distance(generated, seen), "precision": precision, "recall": recall}
    if memory:
        found |= {"memorisation": memorisation(images[:memory], dataset.train, real[:memory])}
    return found


def evaluate(model, dataset, classifier, sampler=None, samples=10_000, pairs=200, seed=1, verbose=True):
    """Everything the course measures on one model, on the test images of ``dataset``.

    What does not apply is absent: a plain autoencoder and PCA have no distribution over codes and so no ELBO and
    no rate; without a prior, they have no samples either, unless a sampler is given. Smoothness is absent where
    the decoder ignores its code. `log_likelihood` is not part of it, because it takes longer than all the rest.

    Args:
        model: Any object with ``encode`` and ``decode``: a model of the course, or a `PCA`.
        dataset: A `data.Dataset`.
        classifier: The `classifier.Classifier` of that data, whose features judge pictures.
        sampler: One of `priors`, whose codes are decoded; None takes the prior of a VAE.
        samples: Number of generated pictures, judged against as many test images; 0 judges none.
        pairs: Number of interpolations between test images, fewer where there are not so many.
        seed: Seeds all codes.
        verbose: Whether to show progress.

    Returns:
        Dict of name to `Estimate` or int. On all test images: mse, psnr, ssim, linear_probe,
        nearest_neighbours_accuracy (fitted on all training images); for a VAE negative_elbo, reconstruction, kl,
        mutual_information, marginal_kl and active_units; for an autoencoder dead_units. On pairs of test images:
        interpolation_smoothness. On samples: what `judge_samples` returns.
    """
    images = dataset.test.images
    z = codes_of(model, images)
    variational = getattr(model, "is_variational", False)
    if sampler is None and variational:
        sampler = priors.StandardNormal(model.latent_dim)

    def reconstruction():
        x_hat = model.decode(z)
        return {"mse": mse(images, x_hat), "psnr": psnr(images, x_hat), "ssim": ssim(images, x_hat)}

    def likelihood():
        bound, parts = elbo(model, images, seed=seed), mutual_information(model, images, seed)
        return {
            **{name: getattr(bound, name) for name in ("negative_elbo", "reconstruction", "kl")},
            **{name: getattr(parts, name) for name in ("mutual_information", "marginal_kl")},
            "active_units": active_units(model, images),
        }

    def codes():
        found = codes_of(model, dataset.train), dataset.train.labels, z, dataset.test.labels
        unused = {} if variational else {"dead_units": dead_units(model, images)}
        return unused | {
            "linear_probe": linear_probe(*found),
            "nearest_neighbours_accuracy": nearest_neighbours_accuracy(*found),
        }

    def interpolation():
        n = min(pairs, len(images) // 2)
        found = interpolation_smoothness(model, images[:n], images[n : 2 * n], classifier)
        return {"interpolation_smoothness": found} if np.isfinite(found.value) else {}

    def generation():
        return judge_samples(_decoded(model, sampler.sample(samples, seed)), dataset, classifier)

    steps = [reconstruction, codes, interpolation]
    steps += ([likelihood] if variational else []) + ([generation] if sampler and samples else [])
    numbers = {}
    with tqdm(steps, disable=not verbose, file=sys.stderr, leave=False) as bar:
        for step in bar:
            bar.set_description(step.__name__)
            numbers |= step()
    return numbers


def flat(numbers):
    """Flatten the dict of `evaluate` or `judge_samples`: a float and its "..._standard_error" for each `Estimate`."""
    row = {}
    for name, number in numbers.items():
        if isinstance(number, Estimate):
            row |= {name: number.value, f"{name}_standard_error": number.standard_error}
        else:
            row[name] = number
    return row


def scoreboard(rows, images, seed=1):
    """The course's table: each model on the same held-out images.

    Args:
        rows: Dict of label to model: anything with ``reconstruct``.
        images: Held-out images, (n, 28, 28, 1).
        seed: Seeds the codes drawn for the ELBO.

    Returns:
        A pandas DataFrame with one row for each model: latent_dim, mse (per pixel), and for VAEs the negative_elbo with
        its parts reconstruction and kl, nats per image. Where a data set stands in for Fashion-MNIST, its name heads
        the labels.
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


def sample_scoreboard(rows, dataset, classifier, memory=0):
    """The course's table of pictures that were made: each set against the same test images.

    Args:
        rows: Dict of label to pictures, (n, 28, 28, 1) in [0, 1], all of one n.
        dataset: A `data.Dataset`.
        classifier: The `classifier.Classifier` of that data, whose features judge.
        memory: Number of pictures and of test images that are compared with the training images; 0 compares none.

    Returns:
        A pandas DataFrame with one row for each set: frechet_distance, precision, recall and, with a memory,
        memorisation.

    Raises:
        ValueError: The sets differ in size, or what `judge_samples` raises.
    """
    sizes = {len(pictures) for pictures in rows.values()}
    if len(sizes) != 1:
        raise ValueError(f"the sets hold {sorted(sizes)} pictures; all measures depend on the number: take as many.")
    judged = {
        label: {name: found.value for name, found in judge_samples(pictures, dataset, classifier, memory).items()}
        for label, pictures in rows.items()
    }
    table = pd.DataFrame.from_dict(judged, orient="index")
    return table.rename_axis(course.stand_in() or "pictures")


def readable(table):
    """A `scoreboard` for people: fixed decimals, and nothing where a measure does not apply.

    Args:
        table: Table as `scoreboard` returns it, or some of its columns.

    Returns:
        A pandas DataFrame of texts: mse with four decimals, nats with two, whole numbers as they are.
    """

    def text(column):
        if column.dtype.kind != "f":
            return column.astype(str)
        decimals = 4 if column.name == "mse" else 2
        return column.map(lambda value: "" if np.isnan(value) else f"{value:.{decimals}f}")

    return table.apply(text)


def measure(model, dataset, seed=1):
    """All numbers that a manifest records, on the test images of ``dataset``.

    Args:
        model: A `models.Autoencoder` or a `models.VAE`.
        dataset: A `data.Dataset`.
        seed: Seeds the codes drawn for the ELBO.

    Returns:
        Dict of name to float or int.
    """
    images = dataset.test.images
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
