"""Checks for the notebooks' exercises: right, wrong (with a hint), or not tried yet.

A check works out the truth by its own means, from data or from a formula; no answer is stored.
"""

import itertools
import json
from dataclasses import replace

import numpy as np
from scipy import integrate, signal, special, stats

from helpers import metrics
from helpers.dataset import Split

_CHECKS = {}


def exercise(number):
    """Register a check under a number such as "02.1".

    The check takes the answer and returns None where it is right, or a hint, a string.
    """

    def register(function):
        _CHECKS[number] = function
        return function

    return register


def numbers():
    """Numbers of all exercises, sorted."""
    return sorted(_CHECKS)


def check(number, answer, *context):
    """Say whether an answer is right.

    Args:
        number: Number of the exercise, such as "02.1".
        answer: The reader's answer; ``...`` means not tried yet.
        *context: What the check needs from the notebook, as the exercise's cell passes it.

    Returns:
        True (right), False (wrong) or None (not tried yet).

    Raises:
        KeyError: There is no such exercise.
    """
    if number not in _CHECKS:
        raise KeyError(f"there is no exercise {number!r}; known are {', '.join(sorted(_CHECKS))}.")
    if answer is ...:
        print(f"Exercise {number}: not tried yet. Replace the ... above and run the cell again.")
        return None
    try:
        hint = _CHECKS[number](answer, *context)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        hint = f"the check could not use it: {error}"
    print(f"Exercise {number}: right." if hint is None else f"Exercise {number}: not yet: {hint}")
    return hint is None


# --------------------------------------------------------------------------------------------------
# Notebook 01


@exercise("01.1")
def _price_of_one_half(answer):
    pixels, coin = 28 * 28, stats.bernoulli(0.5).entropy()
    answer = float(answer)
    if abs(answer - pixels * coin) < 0.1:
        return None
    if abs(answer - pixels * coin) < 1:
        return "nearly: round less, to one decimal place."
    if abs(answer + pixels * coin) < 1:
        return "the sign: ln 0.5 is negative, and a cost is minus the logarithm."
    if abs(answer - pixels) < 0.1:
        return "these are bits; nats use the natural logarithm."
    if abs(answer - coin) < 0.01:
        return "that is one pixel; an image has 28 * 28 of them."
    return "put x_hat = 0.5 into the cost of a pixel: x drops out, and every pixel costs the same."


@exercise("01.2")
def _components_for_most_variance(answer, images):
    flat = np.asarray(images).reshape(len(images), -1)
    centred = flat - flat.mean(axis=0, dtype="float64").astype("float32")
    variances = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    share = np.cumsum(variances, dtype="float64") / variances.sum(dtype="float64")
    k = int(np.argmax(share >= 0.9)) + 1
    if int(answer) != answer or not 1 <= answer <= len(share):
        return f"k is a whole number, 1 to {len(share)}."
    if answer == k:
        return None
    if answer == k - 1:
        return "one off: an index counts from 0, a number of components from 1."
    return f"{answer} components explain {share[int(answer) - 1]:.1%} of the variance; wanted is the first k with 90 %."


@exercise("01.3")
def _worth_of_the_class(answer, dataset):
    def cost(labelled, known=dataset.train, least=1e-6):
        total = 0.0
        for label in range(10):
            seen = known.flat[known.labels == label] if labelled else known.flat
            x = dataset.test.flat[dataset.test.labels == label].astype("float64")
            p = np.clip(seen.mean(axis=0, dtype="float64"), least, 1 - least)
            total -= (x * np.log(p) + (1 - x) * np.log1p(-p)).sum()
        return total / len(dataset.test)

    untold, told, label = cost(labelled=False), cost(labelled=True), np.log(10)
    worth = untold - told - label
    answer = float(answer)
    if abs(answer - worth) < 0.1:
        return None
    if not np.isfinite(answer):
        return "log(0) is infinite, and 0 times it is no number: clip the means, such as to 1e-6 and 1 - 1e-6."
    wrong = {
        "that is the saving; the nats that it takes to name one of ten classes come off.": worth + label,
        "the sign: a saving is what was paid before minus what is paid now.": -worth,
        "the sign: subtract what is paid now, and then the label's ln 10, from what was paid before.": (
            told - untold - label
        ),
        "the sign: naming the class costs ln 10 nats, so it makes the saving smaller.": worth + 2 * label,
        "log2(10) counts bits; in nats it is the natural logarithm.": untold - told - np.log2(10),
        "the costs are averaged over pixels; sum them over an image's 784.": (untold - told) / 784 - label,
        "these are the means of the test images; a model may learn from training images only.": (
            untold - cost(labelled=True, known=dataset.test) - label
        ),
        "the means are clipped too hard; 1e-6 and 1 - 1e-6 keep log(0) away and change nothing else.": (
            cost(labelled=False, least=0.01) - cost(labelled=True, least=0.01) - label
        ),
    }
    hint, value = min(wrong.items(), key=lambda item: abs(answer - item[1]))
    if abs(answer - value) < 0.05:
        return hint
    return "compare two costs on the test images: one mean for all, and the mean of each image's own class."


# --------------------------------------------------------------------------------------------------
# Notebook 03


@exercise("03.1")
def _cloud_against_prior(answer):
    cloud, prior = stats.norm(1, 0.5), stats.norm(0, 1)
    truth, _ = integrate.quad(lambda z: cloud.pdf(z) * (cloud.logpdf(z) - prior.logpdf(z)), -6, 8)
    answer = float(answer)
    if abs(answer - truth) < 0.01:
        return None
    slip = 0.5 * (1 + 0.5 - 1 - np.log(0.5))  # 0.5 taken for the variance
    if abs(answer - slip) < 0.01:
        return "0.5 is the standard deviation; the formula wants the variance."
    reverse, _ = integrate.quad(lambda z: prior.pdf(z) * (prior.logpdf(z) - cloud.logpdf(z)), -9, 9)
    if abs(answer - reverse) < 0.01:
        return "that is the KL the other way round, from N(0, 1) to N(1, 0.5^2); the two are not equal."
    if abs(answer - truth / np.log(2)) < 0.01:
        return "these are bits; nats use the natural logarithm."
    if abs(answer + truth) < 0.01 or abs(answer - (truth + np.log(0.25))) < 0.01:
        return "a sign is wrong: a KL is never negative, and the logarithm of the variance is subtracted."
    return "put mean and variance into the closed form of section 4."


@exercise("03.2")
def _negative_elbo_from_parts(answer, vae, images):
    z_mean, z_log_var = (np.asarray(part, "float64") for part in vae.encode(images))
    x = np.asarray(images, "float64")
    x_hat = np.clip(vae.decode(z_mean).astype("float64"), 1e-6, 1 - 1e-6)
    pixels = -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat)).reshape(len(x), -1)
    latents = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var)
    truth = (pixels.sum(axis=1) + latents.sum(axis=1)).mean()
    wrong = {
        "that is the sum over all images; average over them.": truth * len(x),
        "the pixels are averaged; sum them, one scale for both parts.": pixels.mean() + latents.sum(axis=1).mean(),
        "the KL is averaged over latents; sum it.": pixels.sum(axis=1).mean() + latents.mean(),
        "the KL is missing.": pixels.sum(axis=1).mean(),
        "the KL has the wrong sign.": pixels.sum(axis=1).mean() - latents.sum(axis=1).mean(),
    }
    if np.ndim(answer) != 0:
        return f"one number is wanted; this has shape {np.shape(answer)}. Average over the images at the very end."
    answer = float(answer)
    if abs(answer - truth) < 0.05:
        return None
    nearest = min(wrong, key=lambda hint: abs(answer - wrong[hint]))
    if abs(answer - wrong[nearest]) < 0.001 * abs(wrong[nearest]):
        return nearest
    drawn = np.array([sum(metrics.elbo_per_image(vae, images, seed=seed)).mean() for seed in range(1, 5)])
    if abs(answer - drawn.mean()) < max(0.1, 6 * drawn.std(ddof=1)):
        return "this looks like a code drawn from q; decode z_mean itself, without noise, so that all get one number."
    return "add the cross-entropy, summed over pixels, and the KL, summed over latents; then average over the images."


@exercise("03.3")
def _latent_of_ink(answer, vae, ranges):
    ranges = np.asarray(ranges, "float32")
    ends = np.zeros((2, vae.latent_dim, vae.latent_dim), "float32")
    for latent in range(vae.latent_dim):
        ends[:, latent, latent] = ranges[latent]
    low, high = (vae.decode(codes).reshape(vae.latent_dim, -1).mean(axis=1) for codes in ends)
    change = high - low
    if int(answer) != answer or not 0 <= answer < vae.latent_dim:
        return f"a latent has a whole number, 0 to {vae.latent_dim - 1}."
    if answer == int(np.argmax(np.abs(change))):
        return None
    if answer == int(np.argmax(change)):
        return "it has the largest increase; a decrease counts as well. Compare absolute values."
    return "decode both ends of each latent's range, average each picture's pixels, compare the sizes of the change."


@exercise("03.4")
def _kl_of_two_normals(answer):
    """Nats of random normal distributions, by quadrature: three points are exact for a polynomial of degree 5."""
    generator = np.random.default_rng(34)
    inputs = [generator.normal(size=(7, 4)) for _ in range(4)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)

    def per_latent(z_mean, z_log_var, prior_mean, prior_log_var):
        z = z_mean[..., None] + np.exp(z_log_var / 2)[..., None] * nodes
        log_q = stats.norm.logpdf(z, z_mean[..., None], np.exp(z_log_var / 2)[..., None])
        log_p = stats.norm.logpdf(z, prior_mean[..., None], np.exp(prior_log_var / 2)[..., None])
        return (log_q - log_p) @ weights / weights.sum()

    z_mean, z_log_var, prior_mean, prior_log_var = inputs
    truth, found = per_latent(*inputs), np.asarray(answer(*inputs), "float64")
    wrong = {
        "that is the KL the other way round: q comes first.": per_latent(*inputs[2:], *inputs[:2]),
        "exp(z_log_var) is the variance itself, not the standard deviation.": per_latent(
            z_mean, 2 * z_log_var, prior_mean, 2 * prior_log_var
        ),
        "this is right for the prior N(0, 1) only; prior_mean and prior_log_var do not count yet.": per_latent(
            z_mean, z_log_var, 0 * prior_mean, 0 * prior_log_var
        ),
        "the sign: a KL is never negative.": -truth,
    }
    if found.shape == truth.shape and np.allclose(found, truth, atol=1e-3):
        return "these are the latents one by one; sum them over the last axis."
    if found.shape != (7,):
        return f"7 images with 4 latents give shape {found.shape}; wanted is one number for each image, (7,)."
    if np.allclose(found, truth.sum(axis=1), atol=1e-3):
        return None
    if np.allclose(found, truth.mean(axis=1), atol=1e-3):
        return "latents are summed, not averaged."
    for hint, values in wrong.items():
        if np.allclose(found, values.sum(axis=1), atol=1e-3):
            return hint
    return "compare with E_q[log q(z) - log p(z)], estimated from many draws of q as in section 4."


# --------------------------------------------------------------------------------------------------
# Notebook 02


@exercise("02.1")
def _encoder_by_hand(answer, encoder):
    if not callable(answer):
        return "give a function of images and weights: the function itself, not what it returns."
    images = np.random.default_rng(1).random((20, 28, 28, 1), dtype="float32")
    weights = [np.random.default_rng(i).normal(0, 0.2, w.shape) for i, w in enumerate(encoder.get_weights())]
    first, bias_1, second, bias_2 = weights
    x = images.reshape(len(images), -1).astype("float64")

    def silu(h):
        return h * special.expit(h)

    h = x @ first + bias_1
    truth = silu(h) @ second + bias_2
    found = np.asarray(answer(images, weights), dtype="float64")
    slips = {
        "that is the first layer; the second leads to the code.": silu(h),
        "the activation of the first layer is missing.": h @ second + bias_2,
        "the code has no activation.": silu(truth),
        "the first layer has SiLU, h times sigmoid(h); this is ReLU.": np.maximum(h, 0) @ second + bias_2,
        "SiLU is h times sigmoid(h); this is sigmoid(h).": special.expit(h) @ second + bias_2,
        "the biases are missing.": silu(x @ first) @ second,
        "the biases of the first layer are missing.": silu(x @ first) @ second + bias_2,
        "the biases of the second layer are missing.": silu(h) @ second,
    }
    for hint, wrong in slips.items():
        if found.shape == wrong.shape and np.allclose(found, wrong, rtol=1e-3, atol=1e-3):
            return hint
    if found.shape != truth.shape:
        return f"for 20 images it returns shape {found.shape}; the codes have {truth.shape}. Flatten the images first."
    if np.allclose(found, truth, rtol=1e-3, atol=1e-3):
        return None
    return "flatten; matrix and biases; SiLU; matrix and biases. The weights are those that the function is given."


@exercise("02.2")
def _pca_components_to_match(answer, dataset, model):
    test, mean = dataset.test.flat, dataset.train.flat.mean(axis=0, dtype="float64").astype("float32")
    centred = dataset.train.flat - mean
    _, directions = np.linalg.eigh(centred.T @ centred)
    rest = test - mean
    # the axes are orthonormal, so each component takes its square away from the error
    explained = np.square(rest @ directions[:, ::-1]).sum(axis=0, dtype="float64")
    errors = (np.square(rest).sum(dtype="float64") - np.cumsum(explained)) / test.size
    wanted = np.square(test - model.reconstruct(dataset.test.images).reshape(test.shape)).mean(dtype="float64")
    k = int(np.argmax(errors <= wanted)) + 1
    if answer == k:
        return None
    clipped = answer < k and np.square(test - _cut(rest, directions, int(answer), mean)).mean() <= wanted
    return f"{answer} components are {'too few' if answer < k else 'more than needed'}" + (
        " where the reconstructions are taken as they are; yours were cut to [0, 1]." if clipped else "."
    )


def _cut(rest, directions, k, mean):
    """PCA's reconstructions from k components, cut to [0, 1]."""
    kept = directions[:, len(directions) - k :]
    return np.clip(mean + rest @ kept @ kept.T, 0, 1)


@exercise("02.3")
def _noise_to_codes(answer, codes, noise):
    answer, codes = np.asarray(answer, dtype="float64"), np.asarray(codes, dtype="float64")
    if answer.shape != noise.shape:
        return f"the answer has shape {answer.shape}; the noise has {noise.shape}."
    inputs = np.column_stack([noise, np.ones(len(noise))])
    fitted, *_ = np.linalg.lstsq(inputs, answer, rcond=None)
    scale = codes.std(axis=0)
    if np.abs((inputs @ fitted - answer) / scale).max() > 0.01:
        return "each code must be a matrix times its row of noise, plus one fixed vector."
    matrix, shift = fitted[:-1], fitted[-1]
    # Who makes mean and covariance of the noise exact first has them exactly right in these codes: that is right too.
    off_mean = np.abs((answer.mean(axis=0) - codes.mean(axis=0)) / scale).max()
    off_spread = np.abs((np.cov(answer.T) - np.cov(codes.T)) / np.outer(scale, scale)).max()
    if off_mean < 1e-3 and off_spread < 1e-2:
        return None
    if np.abs((shift - codes.mean(axis=0)) / scale).max() > 0.01:
        return "the fixed vector should be the mean of the codes."
    if np.abs((matrix.T @ matrix - np.cov(codes.T)) / np.outer(scale, scale)).max() > 0.01:
        return "the mean is right; the matrix L must give L @ L.T = covariance (mind which side L stands on)."
    return None


# --------------------------------------------------------------------------------------------------
# Notebook 04


@exercise("04.1")
def _weights_of_a_convolution(answer):
    matrix = 3 * 3 * 32 * 64
    if answer == matrix + 64:
        return None
    if answer == matrix:
        return "the kernels are right; each of the 64 channels also has a bias."
    if answer in (3 * 3 * 64, 3 * 3 * 64 + 64):
        return "each kernel reads all 32 channels that come in."
    if answer in (matrix * 49, (matrix + 64) * 49, matrix * 49 + 64):
        return "the same kernels serve at each place; the size of the map does not count."
    if answer == matrix + 64 * 32:
        return "a bias belongs to a channel that comes out, not to each channel that it reads."
    if answer == matrix + 32:
        return "biases belong to the channels that come out, and those are 64."
    if float(answer) != int(answer):
        return "weights are counted: a whole number."
    return "there are 64 kernels of 3 x 3 x 32 weights, and 64 biases."


@exercise("04.2")
def _sigma_that_fits(answer, vae, images):
    z_mean, _ = vae.encode(images)
    error = np.asarray(images, "float64") - vae.decode(z_mean)
    truth = np.sqrt(np.square(error).mean())
    if np.ndim(answer) != 0:
        return f"one number is wanted; this has shape {np.shape(answer)}."
    answer = float(answer)
    if abs(answer - truth) < 0.01 * truth:
        return None
    if abs(answer - 255 * truth) < 0.01 * 255 * truth:
        return "that is right on a scale from 0 to 255; the images of the course run from 0 to 1."
    garment = np.asarray(images) > 0
    if abs(answer - np.sqrt(np.square(error[garment]).mean())) < 0.01 * truth:
        return "those are the pixels of the garments alone; a decoder has to price the paper too."
    if abs(answer - truth**2) < 0.01 * truth**2:
        return "that is the variance; sigma is its square root."
    if abs(answer - np.abs(error).mean()) < 0.01 * truth:
        return "that is the mean absolute error; square before the mean, take the root after it."
    if abs(answer - truth * np.sqrt(784)) < 0.01 * truth * np.sqrt(784):
        return "the squares are summed over pixels; average over them too."
    return "set the derivative of log(sigma) + error**2 / (2 * sigma**2), averaged over pixels and images, to zero."


@exercise("04.3")
def _latents_that_suffice(answer, vae, images):
    z_mean, z_log_var = (np.asarray(part, "float64") for part in vae.encode(images))
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var).mean(axis=0)
    order = np.argsort(kl)[::-1]

    def error(kept):
        z = np.zeros_like(z_mean)
        z[:, order[:kept]] = z_mean[:, order[:kept]]
        return np.square(np.asarray(images, "float64") - vae.decode(z)).mean()

    limit = 1.1 * error(vae.latent_dim)
    truth = next(kept for kept in range(vae.latent_dim + 1) if error(kept) <= limit)
    if int(answer) != answer or not 0 <= answer <= vae.latent_dim:
        return f"k is a whole number, 0 to {vae.latent_dim}."
    if answer == truth:
        return None
    return f"{int(answer)} latents are {'too few' if answer < truth else 'more than needed'}."


@exercise("04.4")
def _transposed_convolution(answer):
    if not callable(answer):
        return "give the function itself: answer = stamp, without brackets."
    generator = np.random.default_rng(4)
    for rows, columns, size, stride in ((3, 3, 4, 2), (4, 2, 3, 2), (2, 5, 3, 3), (3, 4, 5, 1)):
        small, kernel = generator.normal(size=(rows, columns)), generator.normal(size=(size, size))
        # Another way to the same: spread the pixels apart, zeros between, and convolve with the kernel.
        apart = np.zeros((stride * (rows - 1) + 1, stride * (columns - 1) + 1))
        apart[::stride, ::stride] = small
        truth = signal.convolve2d(apart, kernel)
        given = small.copy(), kernel.copy()
        found = np.asarray(answer(*given, stride), dtype="float64")
        where = f"for a map of {rows} x {columns}, a kernel of {size} x {size} and stride {stride}"
        if not (np.array_equal(given[0], small) and np.array_equal(given[1], kernel)):
            return "it changes the arrays that it is given; begin with a canvas of zeros."
        if found.shape != truth.shape:
            return f"{where} the canvas has shape {found.shape}; the last stamp ends at {truth.shape}."
        if np.allclose(found, truth, atol=1e-5):
            continue
        if np.allclose(found, signal.convolve2d(apart, kernel[::-1, ::-1]), atol=1e-5):
            return "the kernel is flipped; a stamp is the kernel as it is."
        if np.allclose(found, signal.convolve2d(apart, kernel.T), atol=1e-5):
            return "the kernel is transposed; a stamp is the kernel as it is."
        if np.allclose(found, signal.convolve2d(apart != 0, kernel), atol=1e-5):
            return "each stamp is the kernel times its pixel of the small map."
        if np.allclose(found[0, :size], truth[0, :size]) or np.allclose(found[-1, -1], truth[-1, -1]):
            return f"{where} the corners are right, but not all between: overlapping stamps add up."
        return f"{where} the numbers differ from stamps that are added up."
    return None


# --------------------------------------------------------------------------------------------------
# Notebook 05


@exercise("05.1")
def _sweep_of_ones_own(answer, base):
    wanted = []
    for size, rate, seed in itertools.product((5, 20), (1e-3, 2e-3), (1, 2, 3)):
        changed = {"arguments": base["arguments"] | {"latent_dim": size}, "recipe": base["recipe"] | {}}
        changed["recipe"]["learning_rate"] = rate
        wanted.append(base | changed | {"seed": seed})
    if isinstance(answer, dict) or not all(isinstance(config, dict) for config in answer):
        return "a sweep is a list of configurations, and each of them is a dict."
    texts, right = (sorted(json.dumps(config, sort_keys=True) for config in configs) for configs in (answer, wanted))
    if texts == right:
        return None
    for field, part in {"latent_dim": "arguments", "learning_rate": "recipe"}.items():
        if any(field in config for config in answer):
            return f"{field} does not stand beside the model; it belongs into the dict {part!r}."
        lost = [name for name in base[part] if not all(name in config.get(part, {}) for config in answer)]
        if lost:
            return f"{lost[0]!r} of {part!r} in base is gone: the new dict replaced the old one."
    if not all("seed" in config for config in answer):
        return "no seed: one training of each setting cannot tell an effect from luck."
    if len(set(texts)) == 1 < len(texts):
        return "all configurations are equal: one dict was changed again and again. Copy it in each round."
    return (
        f"there are {len(set(texts))} different configurations; wanted are 2 sizes x 2 rates x 3 seeds, and no other."
    )


def _paired(table, first, second):
    sides = [table[table["variant"] == variant].sort_values("seed") for variant in (first, second)]
    return [side["validation_negative_elbo"].to_numpy() for side in sides]


@exercise("05.2")
def _half_width_of_a_difference(answer, table, first, second):
    a, b = _paired(table, first, second)
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    truth, error = (high - low) / 2, stats.sem(a - b)
    answer = float(answer)
    if abs(answer - truth) < 0.01 * truth:
        return None
    if abs(answer + truth) < 0.01 * truth:
        return "a half width is a length and has no sign: take the quantile at 0.975."
    if abs(answer - 2 * truth) < 0.01 * truth:
        return "that is the whole interval; half of it is wanted."
    if abs(answer - 1.96 * error) < 0.01 * truth:
        return "1.96 is for many seeds; take Student's t."
    if abs(answer - error) < 0.01 * truth:
        return "that is the standard error; multiply it by Student's t."
    if abs(answer - truth * np.sqrt((len(a) - 1) / len(a))) < 0.01 * truth:
        return "divide the squares by n - 1 (ddof=1)."
    if abs(answer - truth * np.sqrt(len(a))) < 0.01 * truth:
        return "divide the spread by the root of the number of pairs."
    return "subtract seed by seed first; then t times the spread of the differences by the root of their number."


@exercise("05.3")
def _seeds_that_settle_it(answer, table, first, second):
    a, b = _paired(table, first, second)
    n = np.arange(2, 10_000)
    errors = stats.tstd(a - b) / np.sqrt(n)
    first_of = {
        name: int(n[np.argmax(factor * errors < abs((a - b).mean()))])
        for name, factor in {"t": stats.t.ppf(0.975, n - 1), "1.96": 1.96}.items()
    }
    if int(answer) != answer or answer < 2:
        return "seeds are counted: a whole number, at least two."
    if answer == first_of["t"]:
        return None
    if answer == first_of["1.96"]:
        return "1.96 is for many seeds; t is larger for few."
    return (
        f"with {answer} seeds the interval {'still holds 0' if answer < first_of['t'] else 'is narrower than needed'}."
    )


_VERDICTS = (  # differences here, differences there, and the slip of a function that gets the pair wrong
    (
        [-0.9, -0.8, -1.0],
        [-1.9, 0.2, -1.1],
        "two verdicts are compared, one of which is a tie; ask about the differences here - there.",
    ),
    (
        [-0.9, -0.8, -1.0],
        [-2.2, -2.3, -2.1],
        "both differences are clear, but one is larger: that is a dependence too.",
    ),
    (
        [-2.2, -2.3, -2.1],
        [-0.9, -0.8, -1.0],
        "whether here or there is larger does not matter: take the size of the mean.",
    ),
    ([1.0, 5.0, 9.0], [2.1, 6.0, 9.9], "the seeds are the same here and there: subtract seed by seed."),
    ([0.0, 0.5, 1.0], [-1.0, 0.0, -0.5], "three seeds need Student's t; 1.96 is for many."),
)


@exercise("05.4")
def _verdict_on_a_condition(answer):
    if not callable(answer):
        return "give the function itself, without calling it: answer = depends."
    rng = np.random.default_rng(5)
    draws = [rng.normal(scale=1.0, size=(2, seeds)) + [[shift], [0]] for seeds in (3, 5, 8) for shift in (0, 1, 3)]
    general = "the 95 % interval of here - there, by Student's t with n - 1 degrees of freedom: does it leave out 0?"
    for here, there, hint in (*_VERDICTS, *((*draw, general) for draw in draws)):
        here, there = np.array(here), np.array(there)
        said = answer(here.copy(), there.copy())
        if not isinstance(said, bool | np.bool_):
            return f"the function returns {said!r}; it should return True or False."
        if said != (stats.ttest_rel(here, there).pvalue < 0.05):
            return f"for here = {here.round(1).tolist()} and there = {there.round(1).tolist()}, it says {said}: {hint}"
    return None


# --------------------------------------------------------------------------------------------------
# Notebook 06


@exercise("06.1")
def _distance_of_two_gaussians(answer):
    mean, variance = np.array([0.0, 3.0]), np.array([1.0, 4.0])
    apart = np.diff(mean)[0] ** 2
    truth = apart + variance.sum() - 2 * np.sqrt(variance.prod())
    answer = float(answer)
    if abs(answer - truth) < 0.01:
        return None
    if abs(answer - np.sqrt(truth)) < 0.01:
        return "the course gives the distance without the last root, as FID does."
    if abs(answer - apart - variance.sum() + 2 * variance.prod()) < 0.01:
        return "take the root of the product of the variances."
    if abs(answer - apart - np.diff(variance)[0] ** 2) < 0.01:
        return "4 is the variance, not the standard deviation."
    if abs(answer - apart) < 0.01:
        return "that is what the means say; the spreads differ too."
    return "put the means and the variances into the formula; a trace of one number is that number."


@exercise("06.2")
def _precision_by_hand(answer, real, made):
    precision, recall = (share.value for share in metrics.precision_recall(real, made))
    answer = float(answer)
    if abs(answer - precision) < 1e-6:
        return None
    slips = {
        recall: "that is recall: balls around the real ones, please.",
        metrics.precision_recall(real, made, neighbours=2)[0].value: "a centre is its own nearest; leave it out.",
        1 - precision: "that is the share outside.",
        100 * precision: "a share, not a percentage.",
    }
    for slip, hint in slips.items():
        if abs(answer - slip) < 1e-6:
            return hint
    return "for each real one the distance to its third real neighbour; then who lies within any of these balls."


@exercise("06.3")
def _better_thief(answer, dataset, classifier, vae):
    if not callable(answer):
        return "give a function of images that returns pictures, not the pictures."
    images = dataset.train.head(500).images
    made, flipped = (np.ascontiguousarray(answer(part.copy()), "float32") for part in (images, images[:, ::-1]))
    if made.shape != images.shape:
        return f"give 500 pictures, {images.shape}; these have shape {made.shape}."
    if not (made.min() >= 0 and made.max() <= 1):
        return "grey levels run from 0 to 1; clip them."
    if np.array_equal(made, flipped):
        return "the pictures do not depend on the images that the function is given; make them from those."
    held_out = np.concatenate([dataset.test.images, dataset.validation.images])
    if metrics.nearest(made, held_out)[1].min() < 0.01:
        return "one of them is a test or validation image; take training images."
    # A change of pixels treats garments that stand on their heads like all others; what knows garments cannot.
    upright, overturned = (np.square(a - b).mean() for a, b in ((made, images), (flipped, images[:, ::-1])))
    if max(upright, overturned) > 1.5 * min(upright, overturned):
        return "it treats garments that stand upright unlike those on their heads: it is a model of garments."
    # The other test images, because the first ones can be looked at in the notebook.
    fresh = replace(
        dataset, test=Split(dataset.test.stored[500:1000], dataset.test.labels[500:1000], dataset.class_names)
    )
    found, rival = (metrics.judge_samples(x, fresh, classifier) for x in (made, vae.sample(500, seed=1)))
    if found["memorisation"].value < 0.7:
        return f"memorisation is {found['memorisation']}: they are taken for copies."
    distances = [judged["frechet_distance"] for judged in (found, rival)]
    if distances[0].value >= distances[1].value:
        return f"the Fréchet distance is {distances[0]}; the VAE has {distances[1]}."
    return None


# --------------------------------------------------------------------------------------------------
# Notebook 07


@exercise("07.1")
def _top_slider(answer, vae, images):
    kl = metrics.kl_per_latent(vae, images)
    if int(answer) != answer or not 0 <= answer < len(kl):
        return f"latents are numbered 0 to {len(kl) - 1}."
    if answer == kl.argmax():
        return None
    return f"z[{int(answer)}] has {np.sum(kl > kl[int(answer)])} latents above it; the order is by mean KL."


@exercise("07.2")
def _boot_from_one_latent(answer, vae, start, ranges, train):
    answer = np.asarray(answer, dtype="float32")
    if answer.shape != start.shape or not np.isfinite(answer).all():
        return f"give the whole code, {len(start)} finite numbers."
    moved = np.flatnonzero(np.abs(answer - start) > 1e-4)
    if len(moved) != 1:
        return f"{len(moved)} latents moved; move one."
    latent = int(moved[0])
    if not ranges[latent][0] - 1e-4 <= answer[latent] <= ranges[latent][1] + 1e-4:
        return f"z[{latent}] goes from {ranges[latent][0]:.2f} to {ranges[latent][1]:.2f}."
    index, _ = metrics.nearest(vae.decode(answer[None]), train.images)
    kind = int(train.labels[index[0]])
    return None if kind == 9 else f"the nearest training garment is no boot; its class is {kind}."


@exercise("07.3")
def _hole(answer, autoencoder, start, images):
    answer = np.asarray(answer, dtype="float32")
    if answer.shape != (autoencoder.latent_dim,) or not np.isfinite(answer).all():
        return f"give one code, {autoencoder.latent_dim} finite numbers."
    spreads = np.abs(answer - start) / autoencoder.code(images).std(axis=0)
    furthest = int(spreads.argmax())
    if spreads[furthest] > 1.001:
        return f"z[{furthest}] is {spreads[furthest]:.2f} spreads away from the garment's; one is allowed."
    _, distance = metrics.nearest(autoencoder.decode(answer[None]), images)
    return None if distance[0] > 0.35 else f"a garment is {distance[0]:.3f} away."


@exercise("07.4")
def _region_of_one_latent(answer, vae, codes, ranges, latent):
    region = np.asarray(answer).squeeze()
    if region.shape != (28, 28) or not np.isin(region, (0, 1)).all():
        return "give a region: an array (28, 28), True at its pixels and False elsewhere."
    region = region.astype(bool)
    if region.sum() < 8:
        return f"the region has {region.sum()} pixels; take eight or more."
    change = np.zeros(vae.latent_dim)
    for moved, ends in enumerate(ranges):
        low, high = np.array(codes, "float32"), np.array(codes, "float32")
        low[:, moved], high[:, moved] = ends
        change[moved] = np.abs(vae.decode(high) - vae.decode(low))[:, region].mean()
    rival = int(np.argmax(np.where(np.arange(len(change)) == latent, -1, change)))
    if change[latent] < 0.2:
        return f"z[{latent}] changes the ink there by {change[latent]:.2f}; a region where it changes by 0.2 is wanted."
    if change[latent] < 2 * change[rival]:
        return f"z[{latent}] changes the ink there by {change[latent]:.2f}, z[{rival}] by {change[rival]:.2f}."
    return None
