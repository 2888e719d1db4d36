"""Measures, on models whose true value is known."""

import json

import keras
import numpy as np
import pytest
from scipy import integrate, linalg, stats
from scipy.ndimage import gaussian_filter
from support import small_autoencoder, small_vae, smooth_images

from helpers import baselines, classifier, losses, metrics, models, priors


@pytest.fixture(scope="module")
def x():
    return smooth_images(60, seed=31)


def affine_encoder(mean, log_var=None):
    """Encoder with given (matrix, bias) for z_mean, or z, and for z_log_var."""
    image = keras.Input((28, 28, 1))
    flat = keras.layers.Flatten()(image)
    heads = [keras.layers.Dense(len(bias)) for _, bias in filter(None, (mean, log_var))]
    outputs = [head(flat) for head in heads]
    for head, numbers in zip(heads, filter(None, (mean, log_var)), strict=True):
        head.set_weights(numbers)
    return keras.Model(image, outputs if log_var else outputs[0])


def affine_decoder(matrix, bias, output="linear"):
    decoder = models.dense_decoder(len(matrix), (), output=output)
    decoder.get_layer("logits").set_weights([matrix, bias])
    return decoder


class LinearGaussian:
    """p(z) = N(0, I), p(x | z) = N(W z + b, sigma^2): p(x) and the posterior are known exactly.

    The columns of W are orthogonal, so that the latents are independent in the posterior, too.
    """

    sigma, bias = 0.4, 0.5

    def __init__(self):
        directions = np.linalg.qr(np.random.default_rng(7).standard_normal((784, 2)))[0]
        self.w = directions * [3.0, 0.5]
        self.variance = 1 / (1 + (self.w**2).sum(axis=0) / self.sigma**2)

    def vae(self, factor=1.0):
        """The model with its exact posterior, or one whose standard deviation is off by a factor."""
        matrix = self.w * self.variance / self.sigma**2
        mean = (matrix, -self.bias * matrix.sum(axis=0))
        log_var = (np.zeros((784, 2)), np.log(self.variance * factor**2))
        decoder = affine_decoder(self.w.T, np.full(784, self.bias))
        return models.VAE(affine_encoder(mean, log_var), decoder, "gaussian", sigma=self.sigma)

    def log_p(self, images):
        covariance = self.w @ self.w.T + self.sigma**2 * np.eye(784)
        return stats.multivariate_normal(np.full(784, self.bias), covariance).logpdf(images.reshape(-1, 784))


@pytest.fixture(scope="module")
def toy():
    return LinearGaussian()


# --------------------------------------------------------------------------------------------------
# Likelihood and its bound


def test_one_sample_of_the_exact_posterior_gives_log_p_exactly(toy, x):
    estimate = metrics.log_likelihood(toy.vae(), x, samples=1)
    assert estimate.value == pytest.approx(toy.log_p(x).mean(), abs=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.5])
def test_many_samples_of_another_posterior_come_near_log_p(toy, x, factor):
    truth = toy.log_p(x[:20]).mean()
    few, many = (metrics.log_likelihood(toy.vae(factor), x[:20], samples=n).value for n in (1, 2000))
    assert many == pytest.approx(truth, abs=0.05)
    assert few < truth - 0.05


def test_elbo_of_the_exact_posterior_is_log_p(toy, x):
    """A wrong standard deviation of z would cost nats here."""
    bound = metrics.elbo(toy.vae(), x, samples=200)
    assert -bound.negative_elbo.value == pytest.approx(toy.log_p(x).mean(), abs=0.05)
    wrong = metrics.elbo(toy.vae(0.5), x, samples=200)
    gap = 2 * (0.5 * (0.25 - 1) - np.log(0.5))  # KL from the wrong posterior to the exact one, two latents
    assert wrong.negative_elbo.value - bound.negative_elbo.value == pytest.approx(gap, abs=0.1)


def test_decoder_that_ignores_z_has_a_known_likelihood(x):
    logits = np.random.default_rng(3).normal(0, 2, 784)
    zero = (np.zeros((784, 3)), np.zeros(3))
    vae = models.VAE(affine_encoder(zero, zero), affine_decoder(np.zeros((3, 784)), logits, "sigmoid"))
    p = 1 / (1 + np.exp(-logits))
    truth = (x.reshape(-1, 784) @ np.log(p) + (1 - x.reshape(-1, 784)) @ np.log1p(-p)).mean()
    assert metrics.log_likelihood(vae, x, samples=5).value == pytest.approx(truth, abs=0.01)
    bound = metrics.elbo(vae, x)
    assert bound.kl.value == 0
    assert bound.reconstruction.value == pytest.approx(-truth, abs=0.01)


@pytest.mark.parametrize("likelihood", models.LIKELIHOODS)
def test_likelihood_is_above_the_elbo_and_grows_with_samples(x, likelihood):
    vae = small_vae(likelihood)
    vae.encoder.get_layer("z_mean").bias.assign([1.5, -1.0])
    bound = -metrics.elbo(vae, x, samples=50).negative_elbo.value
    few, many = (metrics.log_likelihood(vae, x, samples=n).value for n in (5, 500))
    assert bound < few < many


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_likelihood_does_not_care_for_the_batch_size(toy, x, batch_size):
    value = metrics.log_likelihood(toy.vae(), x[:20], samples=1, batch_size=batch_size).value
    assert value == pytest.approx(toy.log_p(x[:20]).mean(), abs=0.01)


def test_parts_of_the_elbo_add_up_whatever_beta(x):
    vae = small_vae(beta=9.0)
    bound = metrics.elbo(vae, x)
    assert bound.negative_elbo.value == pytest.approx(bound.reconstruction.value + bound.kl.value, rel=1e-9)
    reconstruction, kl = metrics.elbo_per_image(vae, x)
    assert reconstruction.shape == kl.shape == (60,)
    assert bound.reconstruction.value == pytest.approx(reconstruction.mean(), rel=1e-9)
    mean, log_var = vae.encode(x)
    np.testing.assert_allclose(kl, 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1), rtol=1e-4)


def test_elbo_repeats_with_its_seed_and_calms_down_with_samples(x):
    vae = small_vae()
    vae.decoder.get_layer("logits").kernel.assign(3 * vae.decoder.get_layer("logits").kernel)
    values = [metrics.elbo(vae, x, seed=seed).reconstruction.value for seed in (1, 1, 2, 3, 4)]
    assert values[0] == values[1] != values[2]
    calm = [metrics.elbo(vae, x, samples=40, seed=seed).reconstruction.value for seed in (1, 2, 3, 4)]
    assert np.ptp(calm) < np.ptp(values)


@pytest.mark.parametrize(
    "measure",
    [
        metrics.elbo,
        metrics.elbo_per_image,
        metrics.log_likelihood,
        metrics.mutual_information,
        metrics.kl_per_latent,
        metrics.active_units,
    ],
)
def test_measures_of_a_distribution_refuse_an_autoencoder(x, measure):
    with pytest.raises(ValueError, match="needs a VAE"):
        measure(small_autoencoder(), x)


def test_estimate_has_the_standard_error_of_a_mean():
    values = np.random.default_rng(1).normal(3, 2, 400)
    estimate = metrics.Estimate.of(values)
    assert (estimate.value, estimate.standard_error) == pytest.approx((values.mean(), stats.sem(values)))
    assert str(metrics.Estimate(236.744, 0.789)) == "236.74 ± 0.79"


# --------------------------------------------------------------------------------------------------
# Units


@pytest.fixture(scope="module")
def black_and_white():
    """Plain images, half black, half white: the mean pixel has variance 1/4."""
    return np.repeat(np.float32([0, 1] * 50), 784).reshape(-1, 28, 28, 1)


def one_pixel_vae(slope, offset, latent_dim=2):
    """Bernoulli VAE in which only the first pixel depends on z, through z[0]; all others have a chance of 1/2."""
    matrix, bias = np.zeros((latent_dim, 784)), np.zeros(784)
    matrix[0, 0], bias[0] = slope, offset
    heads = (np.zeros((784, latent_dim)), np.zeros(latent_dim))
    return models.VAE(affine_encoder(heads, heads), affine_decoder(matrix, bias, "sigmoid"))


def test_grid_finds_log_p_of_one_pixel_by_integration(x):
    images = x[:3].copy()
    images[:, 0, 0, 0] = 0, 0.4, 1
    exact = metrics.posterior_on_grid(one_pixel_vae(3.0, -1.0), images, points=81, reach=6)
    assert exact.log_posterior.shape == (3, 81, 81)
    np.testing.assert_allclose(exact.side[[0, 40, 80]], [-6, 0, 6], atol=1e-12)
    for grey, found, log_posterior in zip((0, 0.4, 1), exact.log_p_x, exact.log_posterior, strict=True):

        def likelihood(z, grey=grey):
            chance = 1 / (1 + np.exp(1 - 3 * z))
            return chance**grey * (1 - chance) ** (1 - grey)

        evidence, _ = integrate.quad(lambda z, p=likelihood: p(z) * stats.norm.pdf(z), -9, 9)
        assert found == pytest.approx(np.log(evidence) - 783 * np.log(2), abs=1e-3)
        z = exact.side
        truth = np.log(likelihood(z)) + stats.norm.logpdf(z) - np.log(evidence)
        np.testing.assert_allclose(log_posterior, truth[:, None] + stats.norm.logpdf(z), atol=1e-3)


def test_posterior_of_a_decoder_that_ignores_z_is_the_prior(x):
    exact = metrics.posterior_on_grid(one_pixel_vae(0.0, 0.0), x[:2], points=121, reach=6)
    np.testing.assert_allclose(exact.log_p_x, -784 * np.log(2), rtol=1e-6)
    z_mean, z_log_var = np.array([(1.0, 0.0), (-0.5, 0.7)]), np.array([(-2.0, 0.0), (-1.0, 0.3)])
    truth = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var).sum(axis=1)
    np.testing.assert_allclose(exact.kl_from(z_mean, z_log_var), truth, atol=1e-3)
    mean, log_var = exact.closest_normal(z_mean, z_log_var)
    np.testing.assert_allclose([mean, log_var], np.zeros((2, 2, 2)), atol=1e-2)


def test_closest_normal_finds_the_higher_of_two_peaks():
    side = np.linspace(-4, 4, 161)
    high, low = (stats.norm(place, 0.3).pdf(side) for place in (2, -2))
    density = (0.9 * high + 0.1 * low)[:, None] * stats.norm(1, 0.5).pdf(side)
    two_peaks = metrics.GridPosterior(side, np.zeros(1), np.log(density)[None])
    mean, log_var = two_peaks.closest_normal(np.array([(-2.0, 1.0)]), np.array([(-2.4, -1.4)]))
    np.testing.assert_allclose(mean, [(2, 1)], atol=0.02)
    np.testing.assert_allclose(np.exp(log_var / 2), [(0.3, 0.5)], atol=0.02)
    assert two_peaks.kl_from(mean, log_var) == pytest.approx(-np.log(0.9), abs=0.01)


def test_gap_of_the_bound_is_the_kl_to_the_posterior_on_the_grid(x):
    vae, images = small_vae(), x[:3]
    exact = metrics.posterior_on_grid(vae, images, points=161, reach=6)
    draws = sum(metrics.elbo_per_image(vae, np.repeat(images, 4000, axis=0))).reshape(3, 4000)
    gap, error = exact.log_p_x + draws.mean(axis=1), draws.std(axis=1) / np.sqrt(4000)
    assert np.all(np.abs(gap - exact.kl_from(*vae.encode(images))) < 4 * error + 1e-3)


@pytest.mark.parametrize("changes", [{"latent_dim": 3}, {"likelihood": "gaussian"}])
def test_grid_refuses_other_models(x, changes):
    with pytest.raises(ValueError, match="the grid needs latent_dim 2 and the Bernoulli likelihood; this model has"):
        metrics.posterior_on_grid(small_vae(**changes), x[:1])


def test_share_of_prior_counts_codes_in_cells_of_equal_probability():
    quarters = np.array([-1.1503494, -0.3186394, 0.3186394, 1.1503494])  # of 1/8, 3/8, 5/8, 7/8
    even = np.stack(np.meshgrid(quarters, quarters), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(metrics.share_of_prior(even, cells=4), np.ones((4, 4)))
    corner = np.array([(-9.0, 9.0), (-1.0, 0.8)])
    np.testing.assert_array_equal(metrics.share_of_prior(corner, cells=2), [[0, 4], [0, 0]])
    with pytest.raises(ValueError, match=r"codes have shape \(3, 1\); expected \(n, 2\)"):
        metrics.share_of_prior(np.zeros((3, 1)))


def test_active_units_are_counted_by_the_variance_of_z_mean(black_and_white):
    variances = np.array([1.0, 0.0101, 0.0099, 0.0])
    mean = (np.ones((784, 1)) / 784 * np.sqrt(4 * variances), np.array([0, 5, 5, 100]))  # a shift is no activity
    log_var = (np.zeros((784, 4)), np.array([-20, 1, -20, -20]))  # nor is a narrow posterior
    vae = models.VAE(affine_encoder(mean, log_var), models.dense_decoder(4, ()))
    assert metrics.active_units(vae, black_and_white) == 2


def test_dead_units_are_those_without_any_spread(black_and_white):
    matrix = np.ones((784, 1)) / 784 * np.array([1.0, 0, 0, 1e-3, 0])
    encoder = affine_encoder((matrix, np.array([0, 0, 7, 0, -1])))
    model = models.Autoencoder(encoder, models.dense_decoder(5, ()))
    assert metrics.dead_units(model, black_and_white) == 3


def test_a_relu_code_can_die():
    model = small_autoencoder(latent_dim=4, code_activation="relu")
    model.encoder.get_layer("z").bias.assign([-1e3, 1e3, -1e3, 1e3])
    assert metrics.dead_units(model, smooth_images(50, seed=1)) == 2


def test_kl_of_each_latent_is_the_mean_over_images(x):
    vae = small_vae()
    parts = metrics.kl_per_latent(vae, x)
    assert parts.shape == (2,)
    assert parts.sum() == pytest.approx(metrics.elbo(vae, x).kl.value, rel=1e-5)


# --------------------------------------------------------------------------------------------------
# Errors and baselines


def test_mse_is_per_pixel(x):
    x_hat = np.clip(x + 0.1, 0, 1)
    estimate = metrics.mse(x, x_hat)
    assert estimate.value == pytest.approx(np.square(x - x_hat).mean(), rel=1e-5)
    assert metrics.mse(x, x).value == 0
    with pytest.raises(ValueError, match="must be equal"):
        metrics.mse(x, x_hat.reshape(60, 784))


def test_bernoulli_is_the_mean_of_the_loss_over_more_than_one_batch():
    x, x_hat = smooth_images(1200, seed=1), np.clip(smooth_images(1200, seed=2), 0.1, 0.9)
    expected = keras.ops.convert_to_numpy(losses.bernoulli(x, x_hat)).mean()
    assert metrics.bernoulli(x, x_hat).value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("grey, nats", [(0.0, 0), (1.0, 0), (0.5, 784 * np.log(2)), (0.1, 784 * 0.325083)])
def test_entropy_floor_of_plain_images(grey, nats):
    images = np.full((3, 28, 28, 1), grey, "float32")
    assert metrics.entropy_floor(images).value == pytest.approx(nats, rel=1e-5)


def test_mean_image_is_the_best_constant(x):
    model = baselines.MeanImage(x)
    x_hat = model.reconstruct(x[:7])
    assert (x_hat.shape, x_hat.dtype) == ((7, 28, 28, 1), np.float32)
    np.testing.assert_allclose(x_hat[3], x.mean(axis=0), atol=1e-6)
    assert metrics.mse(x, model.reconstruct(x)).value == pytest.approx(x.var(axis=0).mean(), rel=1e-5)


@pytest.fixture(scope="module")
def pca(x):
    return baselines.PCA(x, 8)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_pca_equals_the_singular_value_decomposition(x, pca, k):
    new = smooth_images(10, seed=5)
    flat, mean = new.reshape(10, -1), x.reshape(60, -1).mean(axis=0)
    *_, directions = np.linalg.svd(x.reshape(60, -1) - mean, full_matrices=False)
    expected = (flat - mean) @ directions[:k].T @ directions[:k] + mean
    for x_hat in (pca.reconstruct(new, k), pca.keep(k).reconstruct(new), pca.decode(pca.encode(new)[:, :k])):
        np.testing.assert_allclose(x_hat.reshape(10, -1), expected, atol=2e-4)
    assert pca.encode(new, k).shape == (10, k)
    assert (pca.latent_dim, pca.keep(k).latent_dim) == (8, k)


@pytest.mark.parametrize("k", [0, 9])
def test_pca_keeps_no_more_than_it_has(pca, k):
    with pytest.raises(ValueError, match="this PCA has 8"):
        pca.keep(k)


def test_nearest_equals_the_slow_way(x):
    pool = smooth_images(40, seed=8)
    index, distance = metrics.nearest(x, pool)
    slow = np.sqrt(np.square(x[:, None] - pool[None]).mean(axis=(2, 3, 4)))
    np.testing.assert_array_equal(index, slow.argmin(axis=1))
    np.testing.assert_allclose(distance, slow.min(axis=1), atol=1e-4)
    index, distance = metrics.nearest(pool[:5], pool)
    np.testing.assert_array_equal(index, range(5))
    np.testing.assert_allclose(distance, 0, atol=1e-3)


# --------------------------------------------------------------------------------------------------
# Tables


def test_the_nearest_few_come_in_order_of_distance_from_arrays_and_splits(tiny):
    image = tiny.test.images[0]
    index, distance = metrics.nearest_few(image, tiny.train, 4)
    away = np.sqrt(np.square(tiny.train.images.astype("float64") - image).mean(axis=(1, 2, 3)))
    assert np.array_equal(index, np.argsort(away, kind="stable")[:4])
    np.testing.assert_allclose(distance, np.sort(away)[:4], rtol=1e-5)
    assert np.array_equal(metrics.nearest_few(image, tiny.train.images, 4)[0], index)
    assert metrics.nearest_few(tiny.train.images[7], tiny.train, 1)[1][0] == 0
    assert len(metrics.nearest_few(image, tiny.train.images[:3], 5)[0]) == 3


def test_scoreboard_has_one_row_a_model_and_no_number_where_none_belongs(x, pca):
    vae, plain = small_vae(), small_autoencoder()
    table = metrics.scoreboard({"mean": baselines.MeanImage(x), "PCA": pca.keep(2), "AE": plain, "VAE": vae}, x)
    assert table.index.tolist() == ["mean", "PCA", "AE", "VAE"]
    assert table.latent_dim.tolist() == [0, 2, 2, 2]
    assert table.mse["AE"] == metrics.mse(x, plain.reconstruct(x)).value
    assert table.loc["VAE", "negative_elbo"] == metrics.elbo(vae, x).negative_elbo.value
    assert table.loc["VAE", "negative_elbo"] == pytest.approx(table.loc["VAE", ["reconstruction", "kl"]].sum())
    assert table.loc["mean":"AE", ["negative_elbo", "reconstruction", "kl"]].isna().all(axis=None)
    shown = metrics.readable(table)
    assert shown.loc["AE", "negative_elbo"] == ""
    assert shown.loc["VAE", "kl"] == f"{table.loc['VAE', 'kl']:.2f}"
    assert shown.loc["VAE", "mse"] == f"{table.loc['VAE', 'mse']:.4f}"


def test_manifest_numbers_are_those_of_the_test_images(tiny):
    vae, plain, images = small_vae(), small_autoencoder(), tiny.test.images
    numbers, bound = metrics.measure(vae, tiny), metrics.elbo(vae, images)
    assert numbers["negative_elbo"] == bound.negative_elbo.value
    assert numbers["mse"] == metrics.mse(images, vae.reconstruct(images)).value
    assert numbers["active_units"] == metrics.active_units(vae, images)
    assert set(metrics.measure(plain, tiny)) == {"mse", "mse_standard_error", "dead_units"}


# --------------------------------------------------------------------------------------------------
# Coins, sharpness, spread


def test_binarised_pixels_are_coins_with_the_grey_value_as_chance():
    x = np.tile(np.linspace(0, 1, 784, dtype="float32").reshape(1, 28, 28, 1), (4000, 1, 1, 1))
    coins = metrics.binarise(x, seed=5)
    assert coins.dtype == np.float32 and set(np.unique(coins)) == {0, 1}
    assert np.abs(coins.mean(axis=0) - x[0]).max() < 5 * 0.5 / np.sqrt(4000)
    np.testing.assert_array_equal(coins, metrics.binarise(x, seed=5))
    assert not np.array_equal(coins, metrics.binarise(x, seed=6))
    assert (coins[:, 0, 0] == 0).all() and (coins[:, -1, -1] == 1).all(), "black stays black, white white"


def test_sharpness_of_known_pictures():
    ramp = np.broadcast_to(np.arange(28)[:, None] / 28, (28, 28))  # down by 1/28 a pixel, level to the right
    board = np.indices((28, 28)).sum(axis=0) % 2
    images = np.stack([ramp, board, np.full((28, 28), 0.3)]).astype("float32")[..., None]
    found = [metrics.sharpness(images[i : i + 1].repeat(2, axis=0)).value for i in range(3)]
    assert found == pytest.approx([1 / 56, 1, 0], abs=1e-6)


def test_spread_is_that_of_the_decoded_draws(tiny):
    vae = small_vae()
    vae.encoder.get_layer("z_log_var").kernel.assign(np.zeros((16, 2)))
    x, kinds = tiny.test.images[:3], {}
    for z_log_var in (-60.0, -2.0):
        vae.encoder.get_layer("z_log_var").bias.assign(np.full(2, z_log_var))
        kinds[z_log_var] = metrics.reconstruction_spread(vae, x, draws=300)
    mean, spread = kinds[-60.0]
    np.testing.assert_allclose(mean, vae.reconstruct(x), atol=1e-5)
    assert spread.shape == x.shape and spread.max() < 1e-5
    # by hand, for a pixel: the decoder at the two clouds' own draws
    z_mean, _ = vae.encode(x)
    draws = z_mean[1] + np.exp(-1.0) * np.random.default_rng(9).standard_normal((20_000, 2))
    by_hand = vae.decode(draws).std(axis=0)
    np.testing.assert_allclose(kinds[-2.0][1][1], by_hand, rtol=0.25, atol=1e-4)


def test_spread_and_error_are_compared_outside_along_and_inside_garments():
    x, mean, spread = np.zeros((3, 2, 28, 28, 1), "float32")
    x[0, 10:20, 10:20] = 0.5  # a square of ink of 10 x 10; the other image is blank
    mean[0, 10:20, 10:20] = 0.5
    mean[0, 13, 13] = 0.9  # an error inside, which the spread does not know
    spread[0, 16, 16] = 0.2
    mean[0, 9, 9] = mean[0, 20, 20] = 0.3  # errors just outside, which it does
    spread[0, 9, 9] = spread[0, 20, 20] = 0.1
    table = metrics.spread_against_error(x, mean, spread, rim=2)
    assert table.index.tolist() == ["paper", "outline", "inside"]
    pixels = {"paper": 2 * 784 - 14 * 14, "outline": 14 * 14 - 6 * 6, "inside": 6 * 6}
    np.testing.assert_allclose(table.share * 2 * 784, list(pixels.values()))
    np.testing.assert_allclose(table.error, [0, 0.6 / pixels["outline"], 0.4 / 36], rtol=1e-5)
    np.testing.assert_allclose(table.spread, [0, 0.2 / pixels["outline"], 0.2 / 36], rtol=1e-5)
    assert np.isnan(table.correlation["paper"])
    assert table.correlation["outline"] == pytest.approx(1)
    assert table.correlation["inside"] == pytest.approx(-1 / 35)
    assert metrics.spread_against_error(x[1:], mean[1:], spread[1:]).share.tolist() == [1, 0, 0]


def test_judged_by_another_likelihood(tiny):
    vae, x = small_vae("gaussian"), tiny.test.images[:50]
    own, judged = metrics.elbo(vae, x), metrics.elbo(vae, x, likelihood="bernoulli")
    twin = small_vae("bernoulli")  # same seed, same weights
    assert judged == metrics.elbo(twin, x)
    assert own.kl == judged.kl and own.reconstruction.value != judged.reconstruction.value
    assert metrics.measure(vae, tiny)["bernoulli_negative_elbo"] == metrics.measure(twin, tiny)["negative_elbo"]
    assert "bernoulli_negative_elbo" not in metrics.measure(twin, tiny)


# --------------------------------------------------------------------------------------------------
# What the rate is spent on


def encoder_of(mean, log_var):
    return models.VAE(affine_encoder(mean, log_var), models.dense_decoder(len(mean[1]), ()))


def shades(n):
    """Plain images, each of another grey."""
    return np.repeat(np.linspace(0, 1, n, dtype="float32"), 784).reshape(n, 28, 28, 1)


def test_codes_that_ignore_the_image_share_no_information_with_it(x):
    vae = encoder_of((np.zeros((784, 2)), np.array([1.0, 0])), (np.zeros((784, 2)), np.zeros(2)))
    parts = metrics.mutual_information(vae, x)
    assert parts.mutual_information.value == pytest.approx(0, abs=1e-9)
    assert parts.marginal_kl.value == parts.rate.value == pytest.approx(0.5)  # one mean is 1 instead of 0


@pytest.mark.parametrize("batch_size", [7, 500])
def test_codes_of_their_own_for_each_image_tell_all_of_them_apart(batch_size):
    to_place = np.ones((784, 1)) / 784 * 1000
    vae = encoder_of((to_place, np.zeros(1)), (np.zeros((784, 1)), np.array([-4.0])))
    parts = metrics.mutual_information(vae, shades(50), batch_size=batch_size)
    assert parts.mutual_information.value == pytest.approx(np.log(50), abs=1e-6)
    assert parts.mutual_information.value <= np.log(50) + 1e-9


def test_information_of_two_overlapping_codes_by_integration():
    """Two images, codes N(-1, 1) and N(1, 1), and a latent that says nothing but is far from the prior."""
    matrix = np.ones((784, 1)) / 784 * np.array([2.0, 0])
    vae = encoder_of((matrix, np.array([-1.0, 3.0])), (np.zeros((784, 2)), np.zeros(2)))
    z = np.linspace(-9, 9, 20_001)
    one, both = stats.norm(1).pdf(z), (stats.norm(1).pdf(z) + stats.norm(-1).pdf(z)) / 2
    truth = np.trapezoid(one * np.log(one / both), z)
    black_and_white = np.repeat(np.float32([0, 1] * 1000), 784).reshape(-1, 28, 28, 1)
    parts = metrics.mutual_information(vae, black_and_white)
    assert parts.mutual_information.value == pytest.approx(truth, abs=4 * parts.mutual_information.standard_error)
    assert parts.mutual_information.standard_error < 0.02
    assert parts.rate.value == pytest.approx((1 + 9) / 2, rel=1e-5)
    assert parts.rate.value == pytest.approx(parts.mutual_information.value + parts.marginal_kl.value)


def test_rate_is_the_kl_of_the_elbo(x):
    vae = small_vae()
    assert metrics.mutual_information(vae, x).rate.value == pytest.approx(metrics.elbo(vae, x).kl.value, rel=1e-5)


# --------------------------------------------------------------------------------------------------
# Likeness of reconstructions


@pytest.mark.parametrize("error, decibels", [(0.1, 20), (0.01, 40), (0.5, 6.0206)])
def test_psnr_of_a_constant_error(error, decibels):
    grey = np.full((3, 28, 28, 1), 0.5)
    assert metrics.psnr(grey, grey - error).value == pytest.approx(decibels, abs=1e-3)


def test_psnr_is_the_mean_of_decibels_and_not_their_value_at_the_mean_error():
    grey = np.full((2, 28, 28, 1), 0.5)
    estimate = metrics.psnr(grey, grey + np.array([0.1, 0.01]).reshape(2, 1, 1, 1))
    assert (estimate.value, estimate.standard_error) == pytest.approx((30, 10))


def test_psnr_of_a_perfect_copy_is_refused(x):
    with pytest.raises(ValueError, match=r"x_hat\[1\] equals its image exactly"):
        metrics.psnr(x[:3], x[:3] - np.float32([0.1, 0, 0.1]).reshape(3, 1, 1, 1))


def test_ssim_of_an_image_with_itself_is_one(x):
    assert metrics.ssim(x, x).value == pytest.approx(1)
    with pytest.raises(ValueError, match="must be equal"):
        metrics.ssim(x, x.reshape(60, 784))


def test_ssim_of_plain_images_has_the_luminance_term_alone():
    """Wang's first constant is (0.01 L)^2; the structure of two plain images is the same."""
    a, b = np.full((2, 28, 28, 1), 0.2), np.full((2, 28, 28, 1), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert metrics.ssim(a, b).value == pytest.approx(expected)


def test_ssim_equals_the_formula_under_a_gaussian_window(x):
    a, b = x[0, ..., 0].astype("float64"), x[1, ..., 0].astype("float64")

    def local(image):
        return gaussian_filter(image, 1.5, truncate=3.5)

    mean_a, mean_b = local(a), local(b)
    var_a, var_b, shared = local(a * a) - mean_a**2, local(b * b) - mean_b**2, local(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    structure = (2 * shared + 0.03**2) / (var_a + var_b + 0.03**2)
    expected = (luminance * structure)[5:-5, 5:-5].mean()
    assert metrics.ssim(x[:1].repeat(2, axis=0), x[1:2].repeat(2, axis=0)).value == pytest.approx(expected, abs=1e-9)


def test_ssim_equals_that_of_scikit_image():
    """Recorded from scikit-image 0.25.2: structural_similarity(..., data_range=1, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False), image by image, in float64. The last two pairs are a negative and a hard edge.
    """
    expected = [0.9174427807229887, 0.9219485891635623, 0.9262162805115948, -0.5238447704165686, 0.4986956889442979]
    row, column = np.mgrid[:28, :28] / 28
    phase = np.arange(5).reshape(-1, 1, 1)
    images = 0.5 + 0.5 * np.sin(9 * row + (3 + phase) * column**2)
    x_hat = np.clip(0.9 * images + 0.08 * np.cos(40 * column - 7 * phase * row), 0, 1)
    images[4] = images[4] > 0.5
    x_hat[3] = 1 - images[3]
    found = metrics.ssim(images[..., None], x_hat[..., None])
    assert found.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert found.standard_error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(5), abs=1e-12)
    for i, value in enumerate(expected):
        pair = (part[[i, i], ..., None] for part in (images, x_hat))
        assert metrics.ssim(*pair).value == pytest.approx(value, abs=1e-12)


def test_ssim_of_many_images_is_the_mean_over_all_of_them():
    """More images than are filtered at a time, and a last part that is short."""
    images, x_hat = smooth_images(1203, seed=1), smooth_images(1203, seed=2)
    parts = [metrics.ssim(images[i], x_hat[i]).value for i in (slice(0, 700), slice(700, 1203))]
    assert metrics.ssim(images, x_hat).value == pytest.approx(np.average(parts, weights=(700, 503)), abs=1e-12)


# --------------------------------------------------------------------------------------------------
# Codes and classes


@pytest.fixture(scope="module", params=[metrics.linear_probe, metrics.nearest_neighbours_accuracy])
def reader(request):
    """A measure of how well codes tell classes."""
    return request.param


def clouds(n, spread, seed):
    """Codes around ten places, with their classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, n)
    return (10 * np.eye(10)[labels] + spread * generator.standard_normal((n, 10))).astype("float32"), labels


def test_separate_clouds_are_read_without_an_error(reader):
    assert reader(*clouds(600, 0.5, seed=1), *clouds(300, 0.5, seed=2)).value == 1


def test_noise_is_read_no_better_than_by_chance(reader):
    """Few codes with many latents: on those themselves even noise is read well."""
    codes, (_, labels), (_, others) = np.random.default_rng(3), clouds(400, 1, seed=4), clouds(2000, 1, seed=5)
    estimate = reader(codes.standard_normal((400, 30)), labels, codes.standard_normal((2000, 30)), others)
    assert estimate.value == pytest.approx(0.1, abs=0.03)
    assert estimate.standard_error == pytest.approx(np.sqrt(estimate.value * (1 - estimate.value) / 2000), rel=1e-3)


def test_a_ring_is_read_by_neighbours_and_not_by_a_line():
    generator = np.random.default_rng(6)
    angle, labels = generator.uniform(0, 2 * np.pi, 1000), np.arange(1000) % 2
    codes = (1 + labels)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    halves = codes[:500], labels[:500], codes[500:], labels[500:]
    assert metrics.nearest_neighbours_accuracy(*halves).value > 0.99
    assert metrics.linear_probe(*halves).value < 0.65


def test_five_neighbours_vote_and_not_the_nearest_alone():
    codes, labels = np.arange(6.0)[:, None], np.array([1, 0, 0, 0, 0, 1])
    at = np.zeros((2, 1)), np.zeros(2, int)
    assert metrics.nearest_neighbours_accuracy(codes, labels, *at).value == 1
    assert metrics.nearest_neighbours_accuracy(codes, labels, *at, neighbours=1).value == 0


def test_the_probe_does_not_care_for_the_scale_of_a_latent():
    scale = np.logspace(-4, 4, 10)
    (codes, labels), (others, truth) = clouds(600, 3, seed=7), clouds(600, 3, seed=8)
    plain, scaled = (metrics.linear_probe(codes * s, labels, others * s, truth).value for s in (1, scale))
    assert scaled == pytest.approx(plain, abs=0.005)


@pytest.fixture(scope="module")
def pca_codes(dataset):
    """32 PCA codes of the training images and of the test images."""
    pca = baselines.PCA(dataset.train.images, 32)
    return pca.encode(dataset.train.images), pca.encode(dataset.test.images)


@pytest.mark.parametrize("latent_dim, probe, neighbours", [(10, 0.745, 0.806), (32, 0.809, 0.852)])
def test_pca_codes_are_read_about_as_well_as_elsewhere(dataset, pca_codes, latent_dim, probe, neighbours):
    """Measured outside of the course; the probe there reads a little less, by a point at 10 codes."""
    train, test = (codes[:, :latent_dim] for codes in pca_codes)
    found = train, dataset.train.labels, test, dataset.test.labels
    assert metrics.nearest_neighbours_accuracy(*found).value == pytest.approx(neighbours, abs=0.007)
    assert probe < metrics.linear_probe(*found).value < probe + 0.012


# --------------------------------------------------------------------------------------------------
# Interpolation


class Arc:
    """Codes are angles; the picture's first two pixels run along a circle around (0.5, 0.5)."""

    def encode(self, images):
        flat = np.asarray(images, "float64").reshape(len(images), -1) - 0.5
        return np.arctan2(flat[:, 1], flat[:, 0])[:, None]

    def decode(self, z):
        images = np.zeros((len(z), 784), "float32")
        images[:, :2] = 0.5 + 0.4 * np.concatenate([np.cos(z), np.sin(z)], axis=1)
        return images.reshape(-1, 28, 28, 1)


@pytest.mark.parametrize("angle", [np.pi / 2, 3.0])
def test_smoothness_of_an_arc_is_chord_over_arc(angle):
    model = Arc()
    a, b = model.decode(np.zeros((3, 1))), model.decode(np.full((3, 1), angle))
    found = metrics.interpolation_smoothness(model, a, b, steps=200)
    assert found.value == pytest.approx(2 * np.sin(angle / 2) / angle, abs=1e-3)
    some_equal = np.concatenate([a[:2], b[:1]])
    assert metrics.interpolation_smoothness(model, some_equal, b, steps=200).value == pytest.approx(found.value)


def test_in_pixels_pca_goes_straight_and_in_features_it_does_not(x):
    pca = baselines.PCA(0.3 + 0.4 * x, 5)  # far from black and white, so that nothing is clipped
    a, b = 0.3 + 0.4 * x[:20], 0.3 + 0.4 * x[20:40]
    assert metrics.interpolation_smoothness(pca, a, b).value == pytest.approx(1, abs=1e-4)
    seen = metrics.interpolation_smoothness(pca, a, b, classifier.build())
    assert 0.1 < seen.value < 0.9999


def test_a_decoder_that_ignores_its_code_has_no_way_to_judge(x):
    decoder = affine_decoder(np.zeros((2, 784)), np.zeros(784), "sigmoid")
    model = models.Autoencoder(affine_encoder((np.ones((784, 2)), np.zeros(2))), decoder)
    assert np.isnan(metrics.interpolation_smoothness(model, x[:5], x[5:10]).value)


# --------------------------------------------------------------------------------------------------
# Sets of pictures


def cloud(n, mean, covariance, seed):
    return np.random.default_rng(seed).multivariate_normal(mean, covariance, n)


def exactly(points, mean, root):
    """The same points with exactly this mean and this root of the covariance."""
    points = points - points.mean(axis=0)
    whitening = np.linalg.cholesky(np.linalg.inv(np.atleast_2d(np.cov(points, rowvar=False))))
    return points @ whitening @ root + mean


def test_frechet_distance_of_two_normal_distributions_in_closed_form():
    generator = np.random.default_rng(2)
    roots = [part @ part.T for part in generator.standard_normal((2, 6, 6))]
    means = generator.standard_normal((2, 6))
    a, b = (exactly(generator.standard_normal((400, 6)), m, r) for m, r in zip(means, roots, strict=True))
    product = linalg.sqrtm(roots[0] @ roots[0] @ roots[1] @ roots[1])
    expected = np.square(means[0] - means[1]).sum() + np.trace(roots[0] @ roots[0] + roots[1] @ roots[1] - 2 * product)
    assert metrics.frechet_distance(a, b).value == pytest.approx(expected.real, rel=1e-6)
    assert metrics.frechet_distance(b, a).value == pytest.approx(expected.real, rel=1e-6)


@pytest.mark.parametrize("shift, scale, distance", [(0, 1, 0), (3, 1, 9), (0, 4, 9), (2, 0.5, 4.25)])
def test_frechet_distance_of_known_clouds(shift, scale, distance):
    """In one dimension: (difference of means)^2 + (difference of standard deviations)^2."""
    a = exactly(cloud(300, [0], [[1]], seed=1), 0, np.eye(1))
    assert metrics.frechet_distance(a, scale * a + shift).value == pytest.approx(distance, abs=1e-9)


def test_frechet_distance_stays_right_where_covariances_are_singular():
    generator = np.random.default_rng(4)
    flat = generator.standard_normal((30, 3)) @ generator.standard_normal((3, 64))  # 30 points, a space of 3 in 64
    assert metrics.frechet_distance(flat, flat).value == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(flat, flat + 1).value == pytest.approx(64, rel=1e-6)
    assert metrics.frechet_distance(np.zeros((5, 64)), np.ones((5, 64))).value == 64


def test_standard_error_of_the_frechet_distance_is_its_spread_over_new_clouds():
    pairs = [
        (cloud(500, np.zeros(4), np.eye(4), seed=i), cloud(500, np.ones(4), 2 * np.eye(4), seed=100 + i))
        for i in range(40)
    ]
    estimates = [metrics.frechet_distance(*pair) for pair in pairs]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    claimed = np.mean([estimate.standard_error for estimate in estimates])
    assert claimed == pytest.approx(spread, rel=0.35)


def test_frechet_distance_of_few_pictures_is_larger_so_that_sizes_must_agree():
    few, many = (
        metrics.frechet_distance(*(np.random.default_rng(seed).standard_normal((n, 20)) for seed in (1, 2))).value
        for n in (100, 2000)
    )
    assert few > 5 * many
    with pytest.raises(ValueError, match="depends on n"):
        metrics.frechet_distance(np.zeros((10, 3)), np.zeros((9, 3)))


def test_precision_and_recall_of_one_cloud_and_of_two_apart():
    a = np.random.default_rng(1).standard_normal((200, 5))
    assert [part.value for part in metrics.precision_recall(a, a)] == [1, 1]
    assert [part.value for part in metrics.precision_recall(a, a + 100)] == [0, 0]


def test_precision_and_recall_tell_missing_kinds_from_bad_pictures():
    generator = np.random.default_rng(2)
    real = generator.standard_normal((400, 2)) + np.repeat([[0, 0], [50, 0]], 200, axis=0)
    one_kind = generator.standard_normal((400, 2))
    precision, recall = metrics.precision_recall(real, one_kind)
    assert precision.value > 0.9 and recall.value == pytest.approx(0.5, abs=0.06)
    precision, recall = metrics.precision_recall(one_kind, real)
    assert precision.value == pytest.approx(0.5, abs=0.06) and recall.value > 0.9
    assert recall.standard_error < precision.standard_error == pytest.approx(0.025, abs=0.001)


def test_a_ball_reaches_to_the_third_neighbour_without_its_centre():
    line = np.arange(5.0)[:, None]  # radii of 0, 1, 2, 3, 4: 3, 2, 2, 2, 3 where neighbours are 3
    precision, _ = metrics.precision_recall(line, np.array([[6.9], [7.1], [-3.1], [-2.9]]), neighbours=3)
    assert precision.value == 0.5
    with pytest.raises(ValueError, match="more than 5"):
        metrics.precision_recall(line, line, neighbours=5)


def test_a_copier_is_found_out_and_new_pictures_are_not():
    train, test, new = smooth_images(400, seed=1), smooth_images(100, seed=2), smooth_images(100, seed=3)
    assert metrics.memorisation(train[:50], train, test).value == 0
    honest = metrics.memorisation(new, train, test)
    assert honest.value == pytest.approx(1, abs=4 * honest.standard_error)
    assert 0 < honest.standard_error < 0.1
    half = metrics.memorisation(np.concatenate([train[:50], new[:50]]), train, test)
    assert half.value == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="nothing is held out"):
        metrics.memorisation(new, train, train[:20])


# --------------------------------------------------------------------------------------------------
# All of it


def known_factors(n=4_000):
    rng = np.random.default_rng(3)
    return {"width": rng.normal(size=n), "shade": rng.uniform(size=n), "style": rng.integers(4, size=n)}


def test_gap_is_one_where_each_factor_has_a_latent_of_its_own():
    factors = known_factors()
    codes = np.stack([-2 * factors["style"], np.exp(factors["width"]), factors["shade"]], axis=1)
    found = metrics.mutual_information_gap(codes, factors)
    assert found.best.to_dict() == {"width": 1, "shade": 2, "style": 0}
    np.testing.assert_allclose(found.information, 1)
    assert (found.gap > 0.95).all(), "chance alone shares a little with the others"


def test_gap_closes_where_a_factor_is_told_twice_or_by_none():
    factors = known_factors()
    told_twice = np.stack([factors["width"], 3 - factors["width"], factors["shade"]], axis=1)
    found = metrics.mutual_information_gap(told_twice, factors)
    np.testing.assert_allclose(found.loc["width", ["information", "gap"]].astype(float), [1, 0], atol=1e-12)
    assert found.information["style"] < 0.02 and found.gap["shade"] > 0.95


def test_gap_closes_when_a_code_is_turned_though_it_holds_the_same():
    rng = np.random.default_rng(3)
    codes = rng.normal(size=(4_000, 2))
    factors = {"width": codes[:, 0], "shade": codes[:, 1]}
    turned = codes @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    assert metrics.mutual_information_gap(codes, factors).gap.min() > 0.95
    assert metrics.mutual_information_gap(turned, factors).gap.max() < 0.02


def test_gap_counts_as_by_hand():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    factors = {"and": codes[:, 0] * codes[:, 1], "first": codes[:, 0]}
    found = metrics.mutual_information_gap(codes, factors)
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    told = entropy - 0.5 * np.log(2)  # knowing that one is 1 leaves a fair coin, half of the time
    assert found.information["and"] == pytest.approx(told / entropy)
    np.testing.assert_allclose(found.gap, [0, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("codes", "factor", "message"),
    [(np.zeros((5, 1)), range(5), "two latents or more"), (np.eye(5), np.ones(5), "'shade' has one value only")],
)
def test_gap_that_has_no_meaning_is_refused(codes, factor, message):
    with pytest.raises(ValueError, match=message):
        metrics.mutual_information_gap(codes, {"shade": np.array(factor)})


def test_share_by_cell_of_four_clumps_by_hand():
    """Codes at (+-1, +-1) have mean 0 and, all but, spread 1; Phi(-1) = .16 and Phi(1) = .84 fall into outer cells."""
    corners = np.repeat([[-1, -1], [-1, 1], [1, -1], [1, 1]], 250, axis=0)
    wanted = np.zeros((4, 4))
    wanted[[0, 0, 3, 3], [0, 3, 0, 3]] = 4  # a quarter of the codes in a sixteenth of the cells
    np.testing.assert_array_equal(metrics.share_by_cell(corners, cells=4), wanted)
    np.testing.assert_array_equal(metrics.share_by_cell(corners, cells=2), np.ones((2, 2)))


def test_share_by_cell_is_even_for_a_normal_distribution_of_any_scale_and_tilt():
    codes = np.random.default_rng(1).standard_normal((40_000, 2)) @ [[2.0, 1.0], [0.0, 0.3]] + [5, -7]
    shares = metrics.share_by_cell(codes, cells=5)
    assert shares.mean() == pytest.approx(1)
    assert np.abs(shares - 1).max() < 0.1, "1,600 a cell, give or take 40"


def test_share_by_cell_wants_two_latents():
    with pytest.raises(ValueError, match=r"shape \(5, 3\); expected \(n, 2\)"):
        metrics.share_by_cell(np.zeros((5, 3)))


@pytest.fixture(scope="module")
def garment_classifier():
    return classifier.build()


def test_sets_of_pictures_are_rows_of_one_table(tiny, garment_classifier):
    rows = {"copies": tiny.test.images[:60], "others": tiny.train.images[:60]}
    table = metrics.sample_scoreboard(rows, tiny, garment_classifier, memory=40)
    assert table.index.tolist() == ["copies", "others"]
    assert table.columns.tolist() == ["frechet_distance", "precision", "recall", "memorisation"]
    assert table.loc["copies"].tolist()[:3] == pytest.approx([0, 1, 1], abs=1e-3)
    apart = metrics.judge_samples(rows["others"], tiny, garment_classifier)
    assert table.loc["others"].tolist()[:3] == [apart[name].value for name in table.columns[:3]]
    assert table.memorisation.tolist() == pytest.approx([1, 0], abs=1e-6)
    without = metrics.sample_scoreboard(rows, tiny, garment_classifier)
    assert without.columns.tolist() == ["frechet_distance", "precision", "recall"]
    with pytest.raises(ValueError, match=r"the sets hold \[59, 60\] pictures"):
        metrics.sample_scoreboard(rows | {"few": tiny.test.images[:59]}, tiny, garment_classifier)


def test_codes_are_drawn_around_the_means_with_the_spread_of_the_posterior(tiny):
    vae, images = small_vae(), np.repeat(tiny.test.images[:2], 4_000, axis=0)
    z_mean, z_log_var = vae.encode(images)
    codes = metrics.drawn_codes(vae, images, seed=3)
    assert codes.dtype == np.float32 and codes.shape == z_mean.shape
    for part in (slice(0, 4_000), slice(4_000, None)):
        np.testing.assert_allclose(codes[part].mean(axis=0), z_mean[part][0], atol=0.06)
        np.testing.assert_allclose(codes[part].std(axis=0), np.exp(z_log_var[part][0] / 2), rtol=0.05)
    assert np.array_equal(codes, metrics.drawn_codes(vae, images, seed=3))
    plain = small_autoencoder()
    np.testing.assert_array_equal(metrics.drawn_codes(plain, images[:9]), plain.encode(images[:9]))


def test_pictures_are_judged_against_as_many_test_images(tiny, garment_classifier):
    images = tiny.train.images[:80]
    found = metrics.judge_samples(images, tiny, garment_classifier)
    real, seen = (garment_classifier.features(part) for part in (tiny.test.images[:80], images))
    assert found["frechet_distance"] == metrics.frechet_distance(seen, real)
    assert (found["precision"], found["recall"]) == metrics.precision_recall(real, seen)
    assert found["memorisation"].value == 0
    assert metrics.judge_samples(tiny.test.images, tiny, garment_classifier)["frechet_distance"].value == pytest.approx(
        0, abs=1e-6
    )
    assert metrics.frechet_floor(tiny, garment_classifier, n=80) == found["frechet_distance"]
    with pytest.raises(ValueError, match="1 to 120"):
        metrics.judge_samples(tiny.train.images[:121], tiny, garment_classifier)


SAMPLES = {"frechet_distance", "precision", "recall", "memorisation"}
ANY = {"mse", "psnr", "ssim", "linear_probe", "nearest_neighbours_accuracy", "interpolation_smoothness"}
RATE = {"negative_elbo", "reconstruction", "kl", "mutual_information", "marginal_kl", "active_units"}


def test_evaluation_has_every_number_that_applies(tiny, garment_classifier, capsys):
    def judge(model, **more):
        return metrics.evaluate(model, tiny, garment_classifier, samples=100, pairs=20, **more)

    vae, plain, pca = small_vae(), small_autoencoder(), baselines.PCA(tiny.train.images, 3)
    numbers = judge(vae, seed=4)
    assert set(numbers) == ANY | RATE | SAMPLES
    assert "generation" in capsys.readouterr().err, "progress is shown"
    assert numbers["negative_elbo"] == metrics.elbo(vae, tiny.test.images, seed=4).negative_elbo
    assert numbers["kl"].value == pytest.approx(
        numbers["mutual_information"].value + numbers["marginal_kl"].value, rel=1e-5
    )
    own = metrics.judge_samples(vae.sample(100, seed=4), tiny, garment_classifier)
    assert {name: numbers[name] for name in SAMPLES} == own

    numbers = judge(plain, verbose=False)
    assert set(numbers) == ANY | {"dead_units"}
    assert capsys.readouterr().err == ""
    assert numbers["psnr"] == metrics.psnr(tiny.test.images, plain.reconstruct(tiny.test.images))

    numbers = judge(pca, sampler=priors.FittedGaussian(pca.encode(tiny.train.images)), verbose=False)
    assert set(numbers) == ANY | SAMPLES | {"dead_units"}
    # the same sampler gives an autoencoder the same treatment
    mixture = priors.GaussianMixture(plain.encode(tiny.train.images), components=2)
    by_hand = metrics.judge_samples(plain.decode(mixture.sample(100, 1)), tiny, garment_classifier)
    assert judge(plain, sampler=mixture, verbose=False)["frechet_distance"] == by_hand["frechet_distance"]


def test_evaluation_of_a_collapsed_model_leaves_out_what_has_no_value(tiny, garment_classifier):
    vae = small_vae()
    vae.decoder.get_layer("logits").kernel.assign(np.zeros((16, 784)))
    numbers = metrics.evaluate(vae, tiny, garment_classifier, samples=50, pairs=10, verbose=False)
    assert set(numbers) == (ANY | RATE | SAMPLES) - {"interpolation_smoothness"}
    row = metrics.flat(numbers)
    assert json.dumps(row, allow_nan=False)
    assert (row["mse"], row["mse_standard_error"]) == (numbers["mse"].value, numbers["mse"].standard_error)
    assert row["active_units"] == numbers["active_units"]


@pytest.mark.parametrize("measure", [metrics.mse, metrics.psnr, metrics.ssim, metrics.bernoulli])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_values_that_are_not_finite_are_refused(measure, wrong, place):
    pair = [smooth_images(20, 1), smooth_images(20, 2)]
    pair[place][3, 4, 5] = wrong
    with pytest.raises(ValueError, match="holds 1 values of 15,680 that are not finite"):
        measure(*pair)


def test_sets_of_features_and_pictures_that_are_not_finite_are_refused():
    good = np.random.default_rng(1).normal(size=(20, 3))
    bad = good.copy()
    bad[2, 1] = np.nan
    for measure in (metrics.frechet_distance, metrics.precision_recall):
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match="not finite"):
                measure(*pair)
    with pytest.raises(ValueError, match="not finite"):
        metrics.sharpness(np.full((2, 28, 28, 1), np.nan))


@pytest.mark.parametrize("name", ["images", "pool"])
def test_a_neighbour_is_not_looked_for_among_values_that_are_not_finite(name):
    sets = {"images": smooth_images(3, 1), "pool": smooth_images(5, 2)}
    sets[name][1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=f"{name} holds 1 values"):
        metrics.nearest(**sets)
    with pytest.raises(ValueError, match="not finite"):
        metrics.memorisation(sets["images"], sets["pool"], smooth_images(3, 3))


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize(
    "measure",
    [
        lambda levels, x: metrics.mse(levels, x),
        lambda levels, x: metrics.mse(x, levels),
        lambda levels, x: metrics.ssim(x, levels),
        lambda levels, x: metrics.psnr(levels, x),
        lambda levels, x: metrics.nearest(levels, x),
        lambda levels, x: metrics.nearest(x, levels),
        lambda levels, x: metrics.sharpness(levels),
        lambda levels, x: metrics.bernoulli(levels, x),
        lambda levels, x: metrics.binarise(levels, 1),
    ],
)
def test_grey_levels_that_were_not_divided_are_refused(measure, kind):
    x = smooth_images(8, seed=1)
    with pytest.raises(ValueError, match="run from .* expected .0, 1.. Divide grey levels by 255"):
        measure((255 * x).astype(kind), x)


@pytest.mark.parametrize("measure", [metrics.linear_probe, metrics.nearest_neighbours_accuracy])
def test_measures_of_classes_refuse_a_data_set_without_labels(measure):
    codes, none = np.random.default_rng(0).random((20, 2)), np.zeros(20, "int64")
    with pytest.raises(ValueError, match="needs labels of two classes or more.*is_labelled"):
        measure(codes, none, codes, none)
