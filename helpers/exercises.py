"""Checks for the notebooks' exercises: right, wrong (with a hint), or not tried yet.

A check works out the truth by its own means, from data or from a formula; no answer is stored.
"""

import itertools
from dataclasses import replace

import numpy as np
from scipy import integrate, stats

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
    def cost(labelled):
        total = 0.0
        for label in range(10):
            known = dataset.train.flat[dataset.train.labels == label] if labelled else dataset.train.flat
            x = dataset.test.flat[dataset.test.labels == label].astype("float64")
            p = np.clip(known.mean(axis=0, dtype="float64"), 1e-6, 1 - 1e-6)
            total -= (x * np.log(p) + (1 - x) * np.log1p(-p)).sum()
        return total / len(dataset.test)

    gross = cost(labelled=False) - cost(labelled=True)
    answer = float(answer)
    if abs(answer - (gross - np.log(10))) < 0.1:
        return None
    if abs(answer - gross) < 0.1:
        return "that is the saving; the nats that it takes to name one of ten classes come off."
    if abs(answer + gross - np.log(10)) < 0.1:
        return "the sign: a saving is what was paid before less what is paid now."
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
    if abs(answer - truth / np.log(2)) < 0.01:
        return "these are bits; nats use the natural logarithm."
    return "put mean and variance into the closed form of section 3; check the sign of the logarithm."


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
    for hint, value in wrong.items():
        if abs(answer - value) < 0.001 * abs(value):
            return hint
    return "add the cross-entropy, summed over pixels, and the KL, summed over latents; then average over the images."


@exercise("03.3")
def _latent_of_brightness(answer, vae, ranges):
    ranges = np.asarray(ranges, "float32")
    ends = np.zeros((2, vae.latent_dim, vae.latent_dim), "float32")
    for latent in range(vae.latent_dim):
        ends[:, latent, latent] = ranges[latent]
    low, high = (vae.decode(codes).reshape(vae.latent_dim, -1).mean(axis=1) for codes in ends)
    answer = int(answer)
    if not 0 <= answer < vae.latent_dim:
        return f"latents are numbered from 0 to {vae.latent_dim - 1}."
    if answer == int(np.argmax(np.abs(high - low))):
        return None
    return "decode both ends of each latent's range, average each picture's pixels, compare the sizes of the change."


# --------------------------------------------------------------------------------------------------
# Notebook 02


@exercise("02.1")
def _weights_of_the_autoencoder(answer):
    sizes = (784, 128, 64, 32, 18)
    matrices = 2 * sum(a * b for a, b in itertools.pairwise(sizes))
    biases = sum(sizes[1:]) + sum(sizes[:-1])
    if answer == matrices + biases:
        return None
    if answer == matrices:
        return "those are the matrices; each unit of a layer also has a bias."
    if answer == sum((a + 1) * b for a, b in itertools.pairwise(sizes)):
        return "that is the encoder alone; the decoder has its own weights."
    return "a layer from a to b units has a * b weights and b biases; there are eight layers."


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
    return f"{answer} components are {'too few' if answer < k else 'more than needed'}."


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
    answer = int(answer)
    if answer == truth:
        return None
    return f"{answer} latents are {'too few' if answer < truth else 'more than needed'}."


# --------------------------------------------------------------------------------------------------
# Notebook 05


@exercise("05.1")
def _minutes_of_a_sweep(answer):
    trials, seconds, workers = 4 * 3 * 5, 40, 2
    minutes = trials * seconds / workers / 60
    answer = float(answer)
    if abs(answer - minutes) < 0.01:
        return None
    if abs(answer - minutes * workers) < 0.01:
        return "two workers train side by side."
    if abs(answer - minutes * 60) < 0.01:
        return "these are seconds."
    if abs(answer - minutes / 5) < 0.01:
        return "each setting is trained with each of the five seeds."
    return "count the trainings: rates times activations times seeds."


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
    answer = int(answer)
    if answer == first_of["t"]:
        return None
    if answer == first_of["1.96"]:
        return "1.96 is for many seeds; t is larger for few."
    return (
        f"with {answer} seeds the interval {'still holds 0' if answer < first_of['t'] else 'is narrower than needed'}."
    )


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
    fresh = replace(dataset, test=Split(dataset.test.stored[500:1000], dataset.test.labels[500:1000]))
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
def _hole(answer, autoencoder, images):
    answer = np.asarray(answer, dtype="float32")
    if answer.shape != (autoencoder.latent_dim,) or not np.isfinite(answer).all():
        return f"give one code, {autoencoder.latent_dim} finite numbers."
    low, high = np.percentile(autoencoder.code(images), [0.5, 99.5], axis=0)
    outside = np.flatnonzero((answer < low - 1e-3) | (answer > high + 1e-3))
    if len(outside):
        return f"z[{outside[0]}] is outside its range, {low[outside[0]]:.2f} to {high[outside[0]]:.2f}."
    _, distance = metrics.nearest(autoencoder.decode(answer[None]), images)
    return None if distance[0] > 0.3 else f"a garment is {distance[0]:.3f} away."
