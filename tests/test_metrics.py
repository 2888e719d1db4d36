"""Measures, on models whose true value is known."""

import keras
import numpy as np
import pytest
from scipy import stats

from conftest import small_autoencoder, small_vae, smooth_images
from helpers import losses, metrics, models


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
    [metrics.elbo, metrics.elbo_per_image, metrics.log_likelihood, metrics.kl_per_latent, metrics.active_units],
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
    model = metrics.MeanImage(x)
    x_hat = model.reconstruct(x[:7])
    assert (x_hat.shape, x_hat.dtype) == ((7, 28, 28, 1), np.float32)
    np.testing.assert_allclose(x_hat[3], x.mean(axis=0), atol=1e-6)
    assert metrics.mse(x, model.reconstruct(x)).value == pytest.approx(x.var(axis=0).mean(), rel=1e-5)


@pytest.fixture(scope="module")
def pca(x):
    return metrics.PCA(x, 8)


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


def test_scoreboard_has_one_row_a_model_and_no_number_where_none_belongs(x, pca):
    vae, plain = small_vae(), small_autoencoder()
    table = metrics.scoreboard({"mean": metrics.MeanImage(x), "PCA": pca.keep(2), "AE": plain, "VAE": vae}, x)
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


def test_judged_by_another_likelihood(tiny):
    vae, x = small_vae("gaussian"), tiny.test.images[:50]
    own, judged = metrics.elbo(vae, x), metrics.elbo(vae, x, likelihood="bernoulli")
    twin = small_vae("bernoulli")  # same seed, same weights
    assert judged == metrics.elbo(twin, x)
    assert own.kl == judged.kl and own.reconstruction.value != judged.reconstruction.value
    assert metrics.measure(vae, tiny)["bernoulli_negative_elbo"] == metrics.measure(twin, tiny)["negative_elbo"]
    assert "bernoulli_negative_elbo" not in metrics.measure(twin, tiny)
