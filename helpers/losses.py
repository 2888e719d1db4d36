"""Reconstruction terms and KL, in nats.

One scale everywhere: every function returns **one number per image**, shape ``(B,)``, summed over
all pixels (or all latents). The average over the batch is taken last, by the caller. A mean over
pixels beside a summed KL would be a hidden beta of 784.

Arguments are tensors or arrays; ``x`` and ``x_hat`` have the same shape ``(B, ...)`` with values
in [0, 1]. Results are float32 tensors of the Keras backend.
"""

import math

from helpers.machinery.backend import ops, with_shape_of

EPSILON = 1e-6  # keeps log() finite where a sigmoid saturates in float32
LARGEST_LOG_VAR = 80.0  # keeps exp() finite: e^80 is 5.5e34, and float32 ends at e^88.7


def _per_image(values):
    """Sum ``(B, ...)`` over everything but the batch: ``(B,)``."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def _same_shape(x, x_hat, names=("x", "x_hat")):
    """float32 versions of both; a clear error where shapes would broadcast without a word."""
    x, x_hat = ops.cast(x, "float32"), ops.cast(x_hat, "float32")
    ranks = len(x.shape), len(x_hat.shape)
    if ranks[0] != ranks[1] or any(a != b for a, b in zip(x.shape, x_hat.shape, strict=True) if None not in (a, b)):
        shapes = f"{names[0]} has shape {tuple(x.shape)} but {names[1]} has shape {tuple(x_hat.shape)}"
        raise ValueError(f"{shapes}; they must be equal.")
    # A pipeline that decodes files knows the sizes of its images only as it runs. TensorFlow then compares them.
    return with_shape_of(x, x_hat), with_shape_of(x_hat, x)


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
    return _per_image(ops.softplus(logits) - x * logits)


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


def optimal_sigma(x, x_hat, weights=None):
    """The standard deviation that makes `gaussian` smallest: the root mean squared error.

    Source: Rybkin, Daniilidis, Levine, "Simple and effective VAE training with calibrated
    decoders" (2021).

    Args:
        x: Images, (B, ...).
        x_hat: Decoded images, same shape.
        weights: Weights of the images, (B,); None weighs all alike.

    Returns:
        Scalar in pixel units.
    """
    x, x_hat = _same_shape(x, x_hat)
    if weights is None:
        return ops.sqrt(ops.mean(ops.square(x - x_hat)) + EPSILON)
    pixels = math.prod(x_hat.shape[1:])
    return ops.sqrt(ops.sum(weights * squared_error(x, x_hat)) / (pixels * ops.sum(weights)) + EPSILON)


def continuous_bernoulli(x, x_hat):
    """Negative log-likelihood -log p(x | z) of the continuous Bernoulli, a true density on [0, 1].

    Source: Loaiza-Ganem, Cunningham, "The continuous Bernoulli" (2019).

    Args:
        x: Images, (B, ...), in [0, 1].
        x_hat: The distribution's parameter lambda (not its mean), same shape, in [0, 1].

    Returns:
        Nats per image, (B,). A density: it can be negative.
    """
    x, x_hat = _same_shape(x, x_hat)
    return continuous_bernoulli_from_logits(x, _logits(x_hat))


def continuous_bernoulli_from_logits(x, logits):
    """Negative log-likelihood as in `continuous_bernoulli`, from the decoder's output before the sigmoid.

    Used in training and in measures: it stays exact, with a gradient, where the sigmoid has saturated.

    Args:
        x: Images, (B, ...), in [0, 1].
        logits: Decoder's output before the sigmoid, same shape, any real number.

    Returns:
        Nats per image, (B,). A density: it can be negative.
    """
    x, logits = _same_shape(x, logits)
    # The density's constant C is 2 artanh(1 - 2 lambda) / (1 - 2 lambda), in logits l / tanh(l / 2). That is 0/0 at 0:
    # use the series there. `safe` keeps the unused branch finite, or its gradient would be NaN.
    near_zero = ops.abs(logits) < 0.1
    safe = ops.where(near_zero, ops.ones_like(logits), logits)
    exact = ops.log(safe / ops.tanh(0.5 * safe))
    square = ops.square(logits)
    series = math.log(2.0) + square / 12 - 7 * ops.square(square) / 1440
    return bernoulli_from_logits(x, logits) - _per_image(ops.where(near_zero, series, exact))


def continuous_bernoulli_mean(lam):
    """Mean pixel of the continuous Bernoulli with parameter ``lam``: what to show as its image.

    Args:
        lam: The parameter lambda, any shape, in [0, 1].

    Returns:
        Means in [0, 1], same shape: 1/2 at lambda = 1/2, else pulled towards 1/2.
    """
    return continuous_bernoulli_mean_from_logits(_logits(lam))


def continuous_bernoulli_mean_from_logits(logits):
    """Mean pixel as in `continuous_bernoulli_mean`, from the decoder's output before the sigmoid.

    Args:
        logits: Decoder's output before the sigmoid, any shape, any real number.

    Returns:
        Means in [0, 1], same shape.
    """
    logits = ops.cast(logits, "float32")
    near_zero = ops.abs(logits) < 1  # nearer than that the two large terms below leave few digits
    safe = ops.where(near_zero, ops.ones_like(logits), logits)
    exact = 0.5 + 0.5 / ops.tanh(0.5 * safe) - 1 / safe
    square = ops.square(logits)
    series = 0.5 + logits * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600)))
    return ops.where(near_zero, series, exact)


def _logits(probability):
    """Logits of probabilities, which are kept a little away from 0 and 1, where there are none."""
    probability = ops.clip(ops.cast(probability, "float32"), EPSILON, 1 - EPSILON)
    return ops.log(probability) - ops.log1p(-probability)


def kl_per_latent(z_mean, z_log_var):
    """KL from N(z_mean, exp(z_log_var)) to N(0, 1), for each latent by itself.

    Source: Kingma, Welling, "Auto-encoding variational Bayes" (2013), appendix B.

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances (not of the standard deviations), (B, latent_dim).

    Returns:
        Nats, (B, latent_dim), never negative. A variance beyond e^80 counts as e^80, so that the result is large and
        finite where the true one is no float32 any more.
    """
    z_mean, z_log_var = _same_shape(z_mean, z_log_var, ("z_mean", "z_log_var"))
    z_log_var = ops.minimum(z_log_var, LARGEST_LOG_VAR)
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1 - z_log_var)


def relative_to(z_mean, z_log_var, prior_mean, prior_log_var):
    """A normal distribution in units of another, (z - prior_mean) / prior standard deviation.

    A KL does not change with the units of z: that of the result to N(0, I), by `kl_per_latent` or `kl`, is that of
    N(z_mean, exp(z_log_var)) to N(prior_mean, exp(prior_log_var)).

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances, (B, latent_dim).
        prior_mean: Means of the other, (B, latent_dim).
        prior_log_var: Logarithms of its variances, (B, latent_dim).

    Returns:
        Tuple (mean, logarithm of the variance), each (B, latent_dim).
    """
    z_mean, prior_mean = _same_shape(z_mean, prior_mean, ("z_mean", "prior_mean"))
    z_log_var, prior_log_var = _same_shape(z_log_var, prior_log_var, ("z_log_var", "prior_log_var"))
    return (z_mean - prior_mean) * ops.exp(-0.5 * prior_log_var), z_log_var - prior_log_var


def kl_below_free_bits(z_mean, z_log_var, free_bits, weights=None):
    """What the latents of a batch leave unused of their free nats: what free bits add to the mean of `kl`.

    A latent then costs the mean of its KL over the batch, or ``free_bits`` where that mean is smaller. Below
    that number the two parts cancel, so nothing drives a latent into silence.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances, (B, latent_dim).
        free_bits: Free nats of each latent.
        weights: Weights of the images, (B,); None weighs all alike.

    Returns:
        Scalar in nats, never negative.
    """
    nats = kl_per_latent(z_mean, z_log_var)
    if weights is not None:
        nats = nats * ops.reshape(weights, (-1, 1))
    return ops.sum(ops.relu(free_bits - ops.mean(nats, axis=0)))


def kl(z_mean, z_log_var):
    """KL from N(z_mean, exp(z_log_var)) to N(0, I): the sum of `kl_per_latent` over latents.

    Args:
        z_mean: Means, (B, latent_dim).
        z_log_var: Logarithms of the variances, (B, latent_dim).

    Returns:
        Nats per image, (B,).
    """
    return ops.sum(kl_per_latent(z_mean, z_log_var), axis=-1)
