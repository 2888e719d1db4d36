"""Reconstruction terms and KL, in nats.

One scale everywhere: every function returns **one number per image**, shape ``(B,)``, summed over
all pixels (or all latents). The average over the batch is taken last, by the caller. A mean over
pixels beside a summed KL would be a hidden beta of 784.

Arguments are tensors or arrays; ``x`` and ``x_hat`` have the same shape ``(B, ...)`` with values
in [0, 1]. Results are float32 tensors of the Keras backend.
"""

import math

from helpers.machinery.backend import ops

EPSILON = 1e-6  # keeps log() finite where a sigmoid saturates in float32


def _per_image(values):
    """Sum ``(B, ...)`` over everything but the batch: ``(B,)``."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def _same_shape(x, x_hat, names=("x", "x_hat")):
    """float32 versions of both; a clear error where shapes would broadcast without a word."""
    x, x_hat = ops.cast(x, "float32"), ops.cast(x_hat, "float32")
    if tuple(x.shape) != tuple(x_hat.shape):
        shapes = f"{names[0]} has shape {tuple(x.shape)} but {names[1]} has shape {tuple(x_hat.shape)}"
        raise ValueError(f"{shapes}; they must be equal.")
    return x, x_hat


def bernoulli(x, x_hat):
    """Binary cross-entropy: -log p(x | z) where each pixel is a coin with chance ``x_hat``.

    For grey ``x`` this is a bound for images whose pixels are drawn as coins, and its floor is
    the entropy of the pixels, not 0.

    Args:
        x: Images, (B, ...), in [0, 1].
        x_hat: Decoded images, same shape, in [0, 1].

    Returns:
        Nats per image, (B,).
    """
    x, x_hat = _same_shape(x, x_hat)
    x_hat = ops.clip(x_hat, EPSILON, 1 - EPSILON)
    return -_per_image(x * ops.log(x_hat) + (1 - x) * ops.log1p(-x_hat))


def bernoulli_from_logits(x, logits):
    """Binary cross-entropy as in `bernoulli`, from the decoder's output before the sigmoid.

    Used in training: it stays exact, with a gradient, where the sigmoid has saturated.

    Args:
        x: Images, (B, ...), in [0, 1].
        logits: Decoder's output before the sigmoid, same shape, any real number.

    Returns:
        Nats per image, (B,).
    """
    x, logits = _same_shape(x, logits)
    return _per_image(ops.relu(logits) - x * logits + ops.log1p(ops.exp(-ops.abs(logits))))


def squared_error(x, x_hat):
    """Sum of squared differences: a Gaussian's -log p(x | z) at sigma^2 = 1/2, less its constant.

    Args:
        x: Images, (B, ...).
        x_hat: Decoded images, same shape.

    Returns:
        Squared pixel values (nats under that reading) per image, (B,). Divide by 784 for the MSE.
    """
    x, x_hat = _same_shape(x, x_hat)
    return _per_image(ops.square(x - x_hat))


def gaussian(x, x_hat, sigma):
    """Negative log-likelihood -log p(x | z) where each pixel is normal with mean ``x_hat`` and one standard deviation.

    A density: it can be negative, and may only be compared with other densities.

    Args:
        x: Images, (B, ...).
        x_hat: Decoded images, same shape.
        sigma: Standard deviation in pixel units, a positive scalar.

    Returns:
        Nats per image, (B,).
    """
    pixels = math.prod(x.shape[1:])
    sigma = ops.cast(sigma, "float32")
    constant = pixels * (ops.log(sigma) + 0.5 * math.log(2 * math.pi))
    return squared_error(x, x_hat) / (2 * ops.square(sigma)) + constant


def optimal_sigma(x, x_hat):
    """The standard deviation that makes `gaussian` smallest: the root mean squared error.

    Source: Rybkin, Daniilidis, Levine, "Simple and effective VAE training with calibrated
    decoders" (2021).

    Args:
        x: Images, (B, ...).
        x_hat: Decoded images, same shape.

    Returns:
        Scalar in pixel units.
    """
    x, x_hat = _same_shape(x, x_hat)
    return ops.sqrt(ops.mean(ops.square(x - x_hat)) + EPSILON)


def continuous_bernoulli(x, x_hat):
    """Negative log-likelihood -log p(x | z) of the continuous Bernoulli, a true density on [0, 1].

    Source: Loaiza-Ganem, Cunningham, "The continuous Bernoulli" (2019).

    Args:
        x: Images, (B, ...), in [0, 1].
        x_hat: The distribution's parameter lambda (not its mean), same shape, in [0, 1].

    Returns:
        Nats per image, (B,). A density: it can be negative.
    """
    _, lam = _same_shape(x, x_hat)
    lam = ops.clip(lam, EPSILON, 1 - EPSILON)
    # log C(lam) = log(2 artanh(1 - 2 lam) / (1 - 2 lam)), which is 0/0 at lam = 1/2: use the
    # series there. `safe` keeps the unused branch finite, or its gradient would be NaN.
    u = 1 - 2 * lam
    near_half = ops.abs(u) < 0.02
    safe = ops.where(near_half, ops.full_like(u, 0.5), u)
    exact = ops.log((ops.log1p(safe) - ops.log1p(-safe)) / safe)
    series = math.log(2.0) + ops.square(u) / 3 + 13 * ops.square(ops.square(u)) / 90
    return bernoulli(x, lam) - _per_image(ops.where(near_half, series, exact))


def continuous_bernoulli_mean(lam):
    """Mean pixel of the continuous Bernoulli with parameter ``lam``: what to show as its image.

    Args:
        lam: The parameter lambda, any shape, in [0, 1].

    Returns:
        Means in [0, 1], same shape: 1/2 at lambda = 1/2, else pulled towards 1/2.
    """
    lam = ops.clip(ops.cast(lam, "float32"), EPSILON, 1 - EPSILON)
    u = 1 - 2 * lam
    near_half = ops.abs(u) < 0.02
    safe = ops.where(near_half, ops.full_like(u, 0.5), u)
    exact = 1 / (ops.log1p(safe) - ops.log1p(-safe)) - (1 - safe) / (2 * safe)
    return ops.where(near_half, 0.5 - u / 6, exact)


def kl_per_latent(z_mean, z_log_var):
    """KL from N(z_mean, exp(z_log_var)) to N(0, 1), for each latent by itself.

    Source: Kingma, Welling, "Auto-encoding variational Bayes" (2013), appendix B.

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances (not of the standard deviations), (B, latent_dim).

    Returns:
        Nats, (B, latent_dim), never negative.
    """
    z_mean, z_log_var = _same_shape(z_mean, z_log_var, ("z_mean", "z_log_var"))
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1 - z_log_var)


def kl(z_mean, z_log_var):
    """KL from N(z_mean, exp(z_log_var)) to N(0, I): the sum of `kl_per_latent` over latents.

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances, (B, latent_dim).

    Returns:
        Nats per image, (B,).
    """
    return ops.sum(kl_per_latent(z_mean, z_log_var), axis=-1)
