"""Losses in nats per image, each against a second way to the same number."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import integrate, stats
from support import smooth_images

from helpers import losses, metrics

LAMBDAS = [0.001, 0.1, 0.4, 0.489, 0.491, 0.4999, 0.5, 0.5001, 0.509, 0.511, 0.6, 0.9, 0.999]
PIXEL_LOSSES = {
    "bernoulli": losses.bernoulli,
    "bernoulli_from_logits": losses.bernoulli_from_logits,
    "squared_error": losses.squared_error,
    "gaussian": lambda x, x_hat: losses.gaussian(x, x_hat, 0.3),
    "continuous_bernoulli": losses.continuous_bernoulli,
}
every_pixel_loss = pytest.mark.parametrize("loss", PIXEL_LOSSES.values(), ids=PIXEL_LOSSES.keys())


@pytest.fixture(scope="module")
def x():
    return smooth_images(6, seed=11)


@pytest.fixture(scope="module")
def x_hat():
    return np.clip(smooth_images(6, seed=12), 0.02, 0.98)


@pytest.fixture(scope="module")
def posterior():
    generator = np.random.default_rng(5)
    return generator.normal(0, 1.5, (4, 3)).astype("float32"), generator.normal(-1, 1, (4, 3)).astype("float32")


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


# --------------------------------------------------------------------------------------------------
# Scale and shape


@every_pixel_loss
def test_one_number_per_image_summed_over_pixels(loss, x, x_hat):
    whole = numbers(loss(x, x_hat))
    assert whole.shape == (6,)
    flat_x, flat_x_hat = x.reshape(6, -1), x_hat.reshape(6, -1)
    np.testing.assert_allclose(numbers(loss(flat_x, flat_x_hat)), whole, rtol=1e-5)
    halves = [numbers(loss(flat_x[:, part], flat_x_hat[:, part])) for part in (slice(392), slice(392, None))]
    np.testing.assert_allclose(sum(halves), whole, rtol=1e-4)


@every_pixel_loss
@pytest.mark.parametrize("shape", [(6, 28, 28), (1, 28, 28, 1), (6, 784), (6,), (6, 28, 28, 3)])
def test_shapes_that_differ_are_refused(loss, x, shape):
    with pytest.raises(ValueError, match="they must be equal"):
        loss(x, np.full(shape, 0.5, "float32"))


@pytest.mark.parametrize("shape", [(4, 1), (3,), (1, 3), (3, 4)])
@pytest.mark.parametrize("loss", [losses.kl, losses.kl_per_latent])
def test_kl_refuses_shapes_that_would_broadcast(loss, posterior, shape):
    with pytest.raises(ValueError, match="z_log_var has shape"):
        loss(posterior[0], np.zeros(shape, "float32"))


# --------------------------------------------------------------------------------------------------
# KL


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(posterior):
    zero = np.zeros((5, 7), "float32")
    np.testing.assert_array_equal(numbers(losses.kl(zero, zero)), np.zeros(5))
    assert (numbers(losses.kl_per_latent(*posterior)) > 0).all()
    assert losses.kl(*posterior).shape == (4,)


def test_kl_equals_monte_carlo(posterior):
    mean, std = posterior[0].astype("float64"), np.exp(posterior[1].astype("float64") / 2)
    z = mean + std * np.random.default_rng(0).standard_normal((200_000, 4, 3))
    draws = (stats.norm.logpdf(z, mean, std) - stats.norm.logpdf(z)).sum(axis=-1)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - numbers(losses.kl(*posterior))) < 4 * error).all()
    assert (error < 0.02).all()


def test_kl_of_a_very_wide_posterior_is_large_finite_and_right_where_float32_reaches():
    log_var = np.array([[50.0], [79.0], [89.0], [635.0]], "float32")
    kl = numbers(losses.kl(np.zeros_like(log_var), log_var)).astype("float64")
    np.testing.assert_allclose(kl[:2], 0.5 * np.exp([50.0, 79.0]), rtol=1e-5)
    assert np.isfinite(kl).all() and (kl[2:] > kl[1]).all()


def test_twice_the_latents_are_twice_the_kl(posterior):
    once = numbers(losses.kl(*posterior))
    twice = numbers(losses.kl(*(np.concatenate([part, part], axis=1) for part in posterior)))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)


def test_kl_is_the_sum_of_its_latents(posterior):
    parts = numbers(losses.kl_per_latent(*posterior))
    assert parts.shape == (4, 3)
    np.testing.assert_allclose(parts.sum(axis=1), numbers(losses.kl(*posterior)), rtol=1e-6)


def test_free_bits_charge_a_latent_for_its_mean_over_the_batch_or_for_the_free_nats():
    # KL of N(m, 1) is m^2 / 2: means over the batch are 1.25, 0.125 and 0 nats.
    mean = np.float32([[2, 0, 0], [1, np.sqrt(0.5), 0]])
    unused = float(losses.kl_below_free_bits(mean, np.zeros_like(mean), 0.5))
    assert unused == pytest.approx((0.5 - 0.125) + 0.5)
    charged = numbers(losses.kl(mean, np.zeros_like(mean))).mean() + unused
    assert charged == pytest.approx(1.25 + 0.5 + 0.5)
    weighted = float(losses.kl_below_free_bits(mean, np.zeros_like(mean), 0.5, np.float32([1, 3])))
    assert weighted == pytest.approx((0.5 - 0.375) + 0.5), "weights count as in the mean of the loss"


def test_below_the_free_bits_nothing_drives_a_latent_into_silence():
    mean, log_var = tf.Variable([[2.0, 0.1], [1.0, -0.2]]), tf.zeros((2, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(losses.kl(mean, log_var)) + losses.kl_below_free_bits(mean, log_var, 0.25)
    np.testing.assert_allclose(tape.gradient(loss, mean), [[1.0, 0], [0.5, 0]], atol=1e-7)


# --------------------------------------------------------------------------------------------------
# Bernoulli


def test_cross_entropy_from_probabilities_and_from_logits_agree(x):
    logits = np.random.default_rng(1).uniform(-8, 8, x.shape).astype("float32")
    probabilities = keras.activations.sigmoid(logits)
    np.testing.assert_allclose(
        numbers(losses.bernoulli_from_logits(x, logits)), numbers(losses.bernoulli(x, probabilities)), rtol=1e-4
    )


@pytest.mark.parametrize("logit, pixel", [(60.0, 0.0), (-60.0, 1.0)])
def test_cross_entropy_from_logits_keeps_value_and_gradient_when_saturated(logit, pixel):
    logits = tf.Variable([[logit]])
    with tf.GradientTape() as tape:
        loss = losses.bernoulli_from_logits([[pixel]], logits)
    assert numbers(loss) == pytest.approx(60)
    assert abs(float(tape.gradient(loss, logits)[0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_cross_entropy_stays_finite_at_the_ends(pixel):
    assert numbers(losses.bernoulli([[pixel]], [[1 - pixel]])) == pytest.approx(-np.log(losses.EPSILON), rel=0.02)
    assert numbers(losses.bernoulli([[pixel]], [[pixel]])) < 1e-5


def test_floor_of_cross_entropy_is_the_entropy_of_the_pixels(x):
    floor = numbers(losses.bernoulli(x, x))
    assert floor.mean() == pytest.approx(metrics.entropy_floor(x).value, rel=1e-5)
    assert floor.mean() > 10, "grey pixels have entropy"
    generator = np.random.default_rng(2)
    for size in (0.01, 0.1, 1):
        other = np.clip(x + generator.normal(0, size, x.shape), 0, 1).astype("float32")
        assert (numbers(losses.bernoulli(x, other)) > floor).all()


# --------------------------------------------------------------------------------------------------
# Gaussian


@pytest.mark.parametrize("sigma", [0.05, 1.0, 3.0])
def test_gaussian_equals_scipy(x, x_hat, sigma):
    expected = -stats.norm.logpdf(x.astype("float64"), x_hat, sigma).reshape(6, -1).sum(axis=1)
    np.testing.assert_allclose(numbers(losses.gaussian(x, x_hat, sigma)), expected, rtol=1e-4)


def test_squared_error_is_a_gaussian_of_variance_one_half(x, x_hat):
    constant = 784 / 2 * np.log(np.pi)
    gaussian = numbers(losses.gaussian(x, x_hat, np.sqrt(0.5)))
    np.testing.assert_allclose(gaussian - constant, numbers(losses.squared_error(x, x_hat)), atol=1e-3)
    np.testing.assert_allclose(
        numbers(losses.squared_error(x, x_hat)), np.square(x - x_hat).sum(axis=(1, 2, 3)), rtol=1e-5
    )


def test_optimal_sigma_makes_the_gaussian_loss_smallest(x, x_hat):
    best = float(losses.optimal_sigma(x, x_hat))
    assert best == pytest.approx(np.sqrt(np.square(x - x_hat).mean()), rel=1e-3)
    least = numbers(losses.gaussian(x, x_hat, best)).mean()
    for factor in (0.8, 0.98, 1.02, 1.25):
        assert numbers(losses.gaussian(x, x_hat, factor * best)).mean() > least


def test_optimal_sigma_of_a_perfect_copy_is_not_zero(x):
    assert np.isfinite(numbers(losses.gaussian(x, x, losses.optimal_sigma(x, x)))).all()


# --------------------------------------------------------------------------------------------------
# Continuous Bernoulli


@pytest.mark.parametrize("lam", LAMBDAS)
def test_continuous_bernoulli_is_a_density_with_the_stated_mean(lam):
    pixel = np.linspace(0, 1, 2001, dtype="float32")[:, None]
    density = np.exp(-numbers(losses.continuous_bernoulli(pixel, np.full_like(pixel, lam))))
    grid = pixel[:, 0].astype("float64")
    assert integrate.simpson(density, x=grid) == pytest.approx(1, abs=2e-4)
    mean = float(losses.continuous_bernoulli_mean(lam))
    assert integrate.simpson(density * grid, x=grid) == pytest.approx(mean, abs=2e-4)


@pytest.mark.parametrize("lam", [0.3, 0.4895, 0.4905, 0.4999, 0.5095, 0.7])
def test_continuous_bernoulli_normalises_by_the_formula_and_near_one_half_by_its_series(lam):
    lam = np.float32([[lam]])
    u = 1 - 2 * lam.astype("float64")
    wanted = -np.log(lam.astype("float64")) - np.log(2 * np.arctanh(u) / u)
    np.testing.assert_allclose(numbers(losses.continuous_bernoulli(np.float32([[1]]), lam)), wanted[0], atol=2e-5)


def test_continuous_bernoulli_has_a_gradient_at_one_half():
    lam = tf.Variable([[0.5]])
    with tf.GradientTape(persistent=True) as tape:
        loss = losses.continuous_bernoulli([[0.8]], lam)
        mean = losses.continuous_bernoulli_mean(lam)
    assert float(tape.gradient(loss, lam)[0, 0]) == pytest.approx(-4 * (0.8 - 0.5), rel=1e-4)
    assert float(tape.gradient(mean, lam)[0, 0]) == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("lam", [0.0, 0.48, 0.4900001, 0.52, 1.0])
def test_continuous_bernoulli_is_finite_with_its_gradient(lam):
    parameter = tf.Variable([[lam]])
    with tf.GradientTape() as tape:
        loss = losses.continuous_bernoulli([[0.3]], parameter)
    assert np.isfinite(numbers(loss)).all()
    assert np.isfinite(numbers(tape.gradient(loss, parameter))).all()
