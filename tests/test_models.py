"""Shapes, sizes, refusals, and what a model does with its noise and its beta."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import small_autoencoder, small_conv_vae, small_vae, smooth_images

from helpers import losses, metrics, models, priors

MODELS = {
    "autoencoder": small_autoencoder,
    "linear": lambda: models.linear_autoencoder(2),
    "vae": small_vae,
    "conv_autoencoder": lambda: models.conv_autoencoder(2, filters=(4, 6, 8), hidden=(16,)),
    "conv_vae": small_conv_vae,
}
every_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())


@pytest.fixture(scope="module")
def x():
    return smooth_images(50, seed=21)


# --------------------------------------------------------------------------------------------------
# Shapes and sizes


@every_model
def test_numpy_in_numpy_out(build, x):
    model = build()
    encoded = model.encode(x)
    for codes in encoded if model.is_variational else [encoded]:
        assert (codes.shape, codes.dtype) == ((50, 2), np.float32)
    codes = model.code(x)
    np.testing.assert_array_equal(codes, encoded[0] if model.is_variational else encoded)
    for images in (model.decode(codes), model.reconstruct(x), model.sample(50, seed=3)):
        assert isinstance(images, np.ndarray)
        assert (images.shape, images.dtype) == ((50, 28, 28, 1), np.float32)
    assert model.latent_dim == 2
    assert isinstance(model.encoder, keras.Model) and isinstance(model.decoder, keras.Model)


@every_model
def test_reconstruction_is_the_decoded_code(build, x):
    model = build()
    np.testing.assert_array_equal(model.reconstruct(x), model.decode(model.code(x)))


@pytest.mark.parametrize("likelihood", models.LIKELIHOODS)
def test_decoded_pixels_lie_in_the_unit_interval(likelihood):
    model = small_vae(likelihood)
    images = model.decode(50 * np.random.default_rng(1).standard_normal((40, 2)))
    assert images.min() >= 0 and images.max() <= 1


def test_continuous_bernoulli_shows_its_mean_not_its_parameter():
    model, z = small_vae("continuous_bernoulli"), 20 * np.ones((1, 2), "float32")
    parameter = keras.ops.convert_to_numpy(model.decoder(z))
    np.testing.assert_allclose(model.decode(z), losses.continuous_bernoulli_mean(parameter), rtol=1e-5)
    assert np.abs(model.decode(z) - parameter).max() > 0.01


@every_model
def test_samples_depend_on_the_seed(build):
    model = build()
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not np.array_equal(model.sample(4, seed=1), model.sample(4, seed=2))


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_in_batches_equals_at_once(x, batch_size):
    model = small_vae()
    at_once = [keras.ops.convert_to_numpy(part) for part in model.encoder(x)]
    in_batches = models.run_in_batches(model.encoder, x, batch_size)
    for one, other in zip(at_once, in_batches, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_more_images_than_one_batch_keep_their_order():
    images = np.repeat(np.linspace(0, 1, 2100, dtype="float32"), 784).reshape(-1, 28, 28, 1)
    model = models.linear_autoencoder(1)
    model.encoder.layers[-1].set_weights([np.full((784, 1), 1 / 784, "float32"), np.zeros(1, "float32")])
    np.testing.assert_allclose(model.encode(images)[:, 0], images[:, 0, 0, 0], atol=1e-5)


@pytest.mark.parametrize(
    "model, arguments, weights",
    [
        # by hand: a layer from a to b units has (a + 1) * b numbers
        ("dense_autoencoder", {"latent_dim": 18, "hidden": (128, 64, 32)}, 111_410 + 112_176),  # S2
        ("dense_vae", {"latent_dim": 10, "hidden": (512, 256, 128)}, 568_724 + 568_208),  # S2
        ("dense_autoencoder", {"latent_dim": 100, "hidden": (150,)}, 132_850 + 133_534),  # S0
        ("dense_vae", {"latent_dim": 10, "hidden": (150, 100)}, 134_870 + 134_634),  # S0
        ("dense_vae", {"latent_dim": 20, "hidden": (400,)}, 330_040 + 322_784),  # S4
        ("dense_vae", {"latent_dim": 20, "hidden": (400, 200, 100)}, 418_340 + 417_084),  # S4
        ("linear_autoencoder", {"latent_dim": 18}, 785 * 18 + 19 * 784),
    ],
)
def test_number_of_weights(model, arguments, weights):
    model = getattr(models, model)(**arguments)
    assert model.encoder.count_params() + model.decoder.count_params() == weights
    stored = {name: array for name, array in model.weight_arrays().items() if name != "sigma"}
    assert sum(array.size for array in stored.values()) == weights


@pytest.mark.parametrize("code_activation", [None, "relu", "selu", "tanh", "sigmoid"])
@pytest.mark.parametrize("activation", ["relu", "selu", "silu", "tanh", "elu", "gelu"])
def test_every_activation_works_and_counts(x, activation, code_activation):
    model = small_autoencoder(activation=activation, code_activation=code_activation)
    codes = x.reshape(50, -1)
    for name, function in (("hidden_1", activation), ("z", code_activation)):
        matrix, bias = model.encoder.get_layer(name).get_weights()
        codes = keras.ops.convert_to_numpy(keras.activations.get(function)(codes @ matrix + bias))
    np.testing.assert_allclose(model.encode(x), codes, atol=1e-5)
    assert keras.activations.get(activation) is model.decoder.get_layer("hidden_1").activation
    assert np.isfinite(model.reconstruct(x)).all()


def test_first_weights_depend_on_the_seed_alone():
    keras.utils.set_random_seed(1)
    first = small_vae(seed=5).weight_arrays()
    keras.utils.set_random_seed(2)
    again, other = small_vae(seed=5).weight_arrays(), small_vae(seed=6).weight_arrays()
    assert list(first) == list(again)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert array.ndim < 2 or not np.array_equal(array, other[name])
    matrices = [array.ravel()[:8].tolist() for array in first.values() if array.ndim == 2]
    assert len({tuple(row) for row in matrices}) == len(matrices), "no two layers start alike"


# --------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros((28, 28, 1)), "expected \\(n, 28, 28, 1\\)"),
        (np.zeros((3, 784)), "reshape"),
        (np.zeros((3, 28, 28)), "expected \\(n, 28, 28, 1\\)"),
        (np.zeros((3, 28, 28, 3)), "expected \\(n, 28, 28, 1\\)"),
        (np.full((1, 28, 28, 1), np.nan), "not finite"),
        (np.full((1, 28, 28, 1), np.inf), "not finite"),
        (np.full((1, 28, 28, 1), 255), "Divide grey levels by 255"),
        (np.full((1, 28, 28, 1), -0.1), "expected \\[0, 1\\]"),
    ],
    ids=["single", "flat", "no channel", "colour", "nan", "infinite", "grey levels", "negative"],
)
@every_model
def test_wrong_images_are_refused_in_words(build, images, words):
    with pytest.raises(ValueError, match=words):
        build().encode(images)


@pytest.mark.parametrize(
    "z, words",
    [
        (np.zeros(2), "expects \\(n, 2\\)"),
        (np.zeros((3, 5)), "expects \\(n, 2\\)"),
        (np.array([[0, np.nan]]), "not finite"),
    ],
)
@every_model
def test_wrong_codes_are_refused_in_words(build, z, words):
    with pytest.raises(ValueError, match=words):
        build().decode(z)


@every_model
def test_no_image_is_no_error(build):
    model = build()
    assert model.reconstruct(np.zeros((0, 28, 28, 1))).shape == (0, 28, 28, 1)
    assert model.decode(np.zeros((0, 2))).shape == (0, 28, 28, 1)


@pytest.mark.parametrize("kind", ["uint8", "float64", "float16", "bool"])
def test_images_of_other_types_become_float32(kind):
    assert models.check_images(np.ones((2, 28, 28, 1), kind)).dtype == np.float32


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"latent_dim": 2.5}, "latent_dim"),
        ({"hidden": (64, 0)}, "hidden"),
        ({"likelihood": "mse"}, "choose one of bernoulli"),
        ({"sigma": 0}, "positive"),
        ({"sigma": float("nan")}, "positive"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        small_vae(**arguments)


def test_unknown_reconstruction_is_refused():
    with pytest.raises(ValueError, match="choose 'squared_error' or 'bernoulli'"):
        small_autoencoder(reconstruction="mae")


# --------------------------------------------------------------------------------------------------
# Noise


def test_standard_deviation_of_z_is_exp_of_half_the_log_variance():
    model = small_vae()
    mean = np.tile(np.float32([[3.0, -1.0]]), (50_000, 1))
    log_var = np.tile(np.log(np.float32([[4.0, 0.25]])), (50_000, 1))
    z = keras.ops.convert_to_numpy(model.reparameterize(mean, log_var))
    np.testing.assert_allclose(z.mean(axis=0), [3, -1], atol=0.05)
    np.testing.assert_allclose(z.std(axis=0), [2, 0.5], rtol=0.02)


def test_an_encoder_that_states_an_absurd_width_still_gives_finite_numbers(x):
    """Far from what it was trained on, an encoder goes on in straight lines: dense_vae_10 reaches e^317 for a width."""
    model = small_vae()
    bias = model.encoder.get_layer("z_log_var").bias
    for width in (600.0, -600.0):
        bias.assign(np.full(bias.shape, width, "float32"))
        low, high = models.LOG_VAR_RANGE
        np.testing.assert_array_equal(model.encode(x)[1], high if width > 0 else low)
        bound, rate = metrics.elbo(model, x), metrics.mutual_information(model, x)
        estimates = bound.reconstruction, bound.kl, rate.mutual_information, rate.rate
        assert np.isfinite([estimate.value for estimate in estimates]).all()
        model.compile()
        assert np.isfinite(list(model.evaluate(x, verbose=0, return_dict=True).values())).all()
        assert np.isfinite(metrics.log_likelihood_per_image(model, x, samples=5)).all()


def test_noise_differs_between_images_latents_and_calls(x):
    model = small_vae()
    same = np.repeat(x[:1], 8, axis=0)
    first, second = (keras.ops.convert_to_numpy(model(same)["z"]) for _ in range(2))
    noise = np.concatenate([first, second]) - model.encode(same)[0][0]
    assert len(np.unique(noise)) == noise.size
    model.compile(optimizer="sgd")
    values = [model.evaluate(x, verbose=0, return_dict=True)["reconstruction"] for _ in range(3)]
    assert len(set(values)) == 3, "compiled, too, each call draws anew"


def test_gradient_passes_through_the_draw():
    model = small_vae()
    mean, log_var = tf.Variable(tf.zeros((1, 2))), tf.Variable(tf.zeros((1, 2)))
    with tf.GradientTape() as tape:
        z = model.reparameterize(mean, log_var)
    by_mean, by_log_var = tape.gradient(z, [mean, log_var])
    np.testing.assert_allclose(by_mean, np.ones((1, 2)))
    np.testing.assert_allclose(by_log_var, z / 2, rtol=1e-5)


# --------------------------------------------------------------------------------------------------
# Keras' own compile, fit and evaluate


@pytest.mark.parametrize("likelihood", models.LIKELIHOODS)
def test_evaluate_adds_up_and_beta_is_live(x, likelihood):
    model = small_vae(likelihood, beta=3.0)
    model.compile(optimizer="sgd")
    for beta in (3.0, 0.0, 7.0):
        model.beta.assign(beta)
        logs = model.evaluate(x, batch_size=32, verbose=0, return_dict=True)
        assert logs["kl"] > 0
        assert logs["loss"] == pytest.approx(logs["reconstruction"] + beta * logs["kl"], rel=1e-5)
        assert logs["negative_elbo"] == pytest.approx(logs["reconstruction"] + logs["kl"], rel=1e-5)


def test_free_bits_are_in_the_loss_alone(x):
    free = small_vae(free_bits=3.0, beta=2.0)
    free.compile(optimizer="sgd")
    logs = free.evaluate(x, batch_size=50, verbose=0, return_dict=True)
    kl = metrics.kl_per_latent(free, x)
    assert kl.min() < 3, "some latent uses less than is free"
    assert logs["loss"] == pytest.approx(logs["reconstruction"] + 2 * np.maximum(kl, 3).sum(), rel=1e-5)
    assert logs["kl"] == pytest.approx(kl.sum(), rel=1e-4)
    assert logs["negative_elbo"] == pytest.approx(logs["reconstruction"] + logs["kl"], rel=1e-5)


@pytest.mark.parametrize("build", [models.dense_vae, models.conv_vae])
def test_builders_hand_on_the_free_bits(build):
    assert build(free_bits=0.5).free_bits == 0.5 and build().free_bits == 0


def test_evaluate_is_the_average_over_all_images_although_the_last_batch_is_smaller(x):
    images = np.concatenate([x, np.ones((3, 28, 28, 1), "float32")])  # a last batch unlike the others
    plain, vae = small_autoencoder(), small_vae()
    plain.compile(optimizer="sgd")
    logs = plain.evaluate(images, batch_size=50, verbose=0, return_dict=True)
    squares = np.square(images - plain.reconstruct(images))
    assert logs["mse"] == pytest.approx(squares.mean(), rel=1e-5)
    assert logs["loss"] == pytest.approx(squares.sum(axis=(1, 2, 3)).mean(), rel=1e-5)
    vae.compile(optimizer="sgd")
    mean, log_var = vae.encode(images)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1).mean()
    assert vae.evaluate(images, batch_size=50, verbose=0, return_dict=True)["kl"] == pytest.approx(kl, rel=1e-5)


def test_loss_of_a_bernoulli_autoencoder_is_the_cross_entropy(x):
    model = small_autoencoder(reconstruction="bernoulli")
    model.compile(optimizer="sgd")
    x_hat = model.reconstruct(x).astype("float64")
    expected = -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat)).sum(axis=(1, 2, 3)).mean()
    assert model.evaluate(x, verbose=0) == [
        pytest.approx(expected, rel=1e-5),
        pytest.approx(np.square(x - x_hat).mean()),
    ]


def test_a_target_of_its_own_replaces_the_input(x):
    model, other = small_autoencoder(), 1 - x
    model.compile(optimizer="sgd")
    logs = model.evaluate(x, other, verbose=0, return_dict=True)
    assert logs["mse"] == pytest.approx(np.square(other - model.reconstruct(x)).mean(), rel=1e-5)


def test_plain_keras_fit_trains_and_validates(x):
    model = small_vae()
    model.compile(optimizer="adam")
    history = model.fit(x, validation_data=(x,), epochs=2, batch_size=16, verbose=0).history
    assert {"loss", "kl", "reconstruction", "negative_elbo", "val_loss", "val_kl"} <= set(history)


def test_sigma_of_the_optimal_gaussian_follows_the_error_in_training_only(x):
    model = small_vae("optimal_gaussian", sigma=0.5)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.evaluate(x, verbose=0)
    assert float(model.sigma) == 0.5
    model.fit(np.tile(x, (80, 1, 1, 1)), batch_size=50, verbose=0, shuffle=False)
    error = np.sqrt(np.square(x - model.reconstruct(x)).mean())
    assert float(model.sigma) == pytest.approx(error, rel=0.03)


def test_sigma_of_the_optimal_gaussian_moves_a_twentieth_of_the_way_in_each_step(x):
    model = small_vae("optimal_gaussian", sigma=0.5)
    found = model(x)
    model.compute_loss(x, y_pred=found, training=True)
    batch = np.sqrt(np.square(x - keras.ops.convert_to_numpy(found["x_hat"])).mean())
    assert float(model.sigma) == pytest.approx(0.95 * 0.5 + 0.05 * batch, rel=1e-4)


def test_loss_uses_the_decoders_own_output():
    """A decoder without a sigmoid is judged by the images it gives, not by their sigmoid."""
    built = small_vae("gaussian", sigma=0.3)
    vae = models.VAE(built.encoder, models.dense_decoder(2, (16,), output="linear"), "gaussian", sigma=0.3)
    x, z = smooth_images(3, seed=1), np.float32([[0, 1], [2, 3], [-1, 1]])
    np.testing.assert_allclose(
        vae.reconstruction_loss(x, vae.logits(z)), losses.gaussian(x, vae.decode(z), 0.3), rtol=1e-5
    )


# --------------------------------------------------------------------------------------------------
# Convolutions


def test_conv_vae_has_the_stages_of_s3_and_the_cost_its_docstring_states():
    vae = models.conv_vae()
    encoder, decoder = models.stages(vae.encoder), models.stages(vae.decoder)
    shapes = {row["layer"]: row["shape"] for row in encoder + decoder}
    assert [shapes[f"conv_{i}"] for i in (1, 2, 3)] == [(14, 14, 32), (7, 7, 64), (7, 7, 128)]
    assert (shapes["hidden_1"], shapes["maps"]) == ((256,), (7, 7, 128))
    assert (shapes["up_14"], shapes["up_28"], shapes["x_hat"]) == ((14, 14, 64), (28, 28, 32), (28, 28, 1))
    work = {name: sum(row["multiply_adds"] for row in rows) / 1e6 for name, rows in (("e", encoder), ("d", decoder))}
    assert (round(work["e"]), round(work["e"] + work["d"])) == (6, 27)
    assert "27 million multiply-adds an image, 6 of them in the encoder" in models.conv_vae.__doc__
    weights = sum(row["weights"] for row in encoder + decoder)
    assert weights == vae.encoder.count_params() + vae.decoder.count_params() == pytest.approx(2.2e6, rel=0.01)


def test_multiply_adds_are_those_of_a_convolution_done_by_hand():
    rows = {row["layer"]: row["multiply_adds"] for row in models.stages(small_conv_vae().encoder)}
    rows |= {row["layer"]: row["multiply_adds"] for row in models.stages(small_conv_vae().decoder)}
    assert rows["conv_2"] == 7 * 7 * 3 * 3 * 4 * 6  # each of 49 places, 9 x 4 numbers in, 6 out
    assert rows["up_28"] == 14 * 14 * 4 * 4 * 6 * 4  # each of 196 pixels stamps 16 x 4 numbers from 6
    assert rows["z_mean"] == 16 * 2 and rows["x_hat"] == 0


def test_no_pixel_is_stamped_more_often_than_its_neighbour():
    """A kernel that the stride does not divide would leave a checkerboard."""
    for layer in models.conv_vae().decoder.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            assert [k % s for k, s in zip(layer.kernel_size, layer.strides, strict=True)] == [0, 0]


def test_residual_block_adds_to_what_passes_through():
    decoder = small_conv_vae().decoder
    for name in ("residual_7_1_out", "residual_14_1_out"):
        for weight in decoder.get_layer(name).weights:
            weight.assign(keras.ops.zeros_like(weight))
    block = keras.Model(decoder.input, [decoder.get_layer("maps").output, decoder.get_layer("residual_7_1").output])
    before, after = block(np.ones((1, 2), "float32"))
    np.testing.assert_array_equal(before, after)


def test_a_conv_net_without_blocks_has_none():
    names = [layer.name for layer in small_conv_vae(blocks=0).decoder.layers]
    assert not [name for name in names if name.startswith("residual")]
    assert len([layer.name for layer in small_conv_vae(blocks=2).decoder.layers if "_2_conv" in layer.name]) == 2


@pytest.mark.parametrize("build", [models.conv_vae, models.conv_autoencoder])
def test_first_weights_of_conv_nets_depend_on_the_seed_alone(build):
    sizes = {"filters": (4, 6, 8), "hidden": (16,)}
    one, same, other = (build(2, seed=seed, **sizes).weight_arrays() for seed in (1, 1, 2))
    for key, array in one.items():
        np.testing.assert_array_equal(array, same[key])
        assert array.ndim < 2 or not np.array_equal(array, other[key]), key


@pytest.mark.parametrize("build", [models.conv_vae, models.conv_autoencoder, models.dense_vae])
def test_mixed_precision_keeps_weights_latents_and_pixels_in_float32(build, x):
    dense = build is models.dense_vae
    sizes = {"hidden": (16,)} | ({} if dense else {"filters": (4, 6, 8)})
    whole, mixed = build(2, **sizes), build(2, **sizes, precision="mixed_bfloat16")
    computed = {layer.name: layer.compute_dtype for layer in (*mixed.encoder.layers, *mixed.decoder.layers)}
    within = ["hidden_1", "logits"] + ([] if dense else ["conv_1", "features", "up_28", "residual_7_1"])
    assert {computed[name] for name in within} == {"bfloat16"}
    assert {computed[name] for name in (("z_mean", "z_log_var") if mixed.is_variational else ("z",))} == {"float32"}
    assert mixed(x)["logits"].dtype == mixed.logits(mixed.code(x)).dtype == "float32"
    assert {weight.dtype for weight in mixed.weights if "float" in weight.dtype} == {"float32"}
    assert mixed.code(x).dtype == mixed.reconstruct(x).dtype == np.float32
    gap = np.abs(mixed.reconstruct(x) - whole.reconstruct(x)).max()
    assert 0 < gap < 0.05


@pytest.mark.parametrize("wrong", [{"filters": (8, 16)}, {"filters": (8, 16, 0)}, {"hidden": (0,)}, {"latent_dim": 0}])
def test_wrong_conv_sizes_are_named(wrong):
    ((word, value),) = wrong.items()
    for build in (models.conv_vae, models.conv_autoencoder):
        with pytest.raises(ValueError, match=f"{word} is"):
            build(**wrong)


# --------------------------------------------------------------------------------------------------
# Arguments at the door


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: small_vae(hidden=512), "hidden is 512; expected layer sizes"),
        (lambda: small_vae(hidden=(16, 0)), "hidden is"),
        (lambda: small_vae(hidden="16"), "hidden is '16'"),
        (lambda: small_vae(latent_dim=2.0), "latent_dim is 2.0; expected a whole number"),
        (lambda: small_vae(latent_dim=True), "latent_dim is True"),
        (lambda: small_vae(seed=None), "seed is None; expected a whole number"),
        (lambda: small_vae(seed=-1), "seed is -1"),
        (lambda: small_vae(beta=float("nan")), "beta is nan"),
        (lambda: small_vae(beta=-1), "beta is -1"),
        (lambda: small_vae(beta="1"), "beta is '1'"),
        (lambda: small_vae(free_bits=-0.1), "free_bits is -0.1"),
        (lambda: small_vae(free_bits=None), "free_bits is None"),
        (lambda: small_vae("gaussian", sigma=float("inf")), "sigma is inf"),
        (lambda: small_vae("gaussian", sigma=None), "sigma is None"),
        (lambda: small_conv_vae(filters=(4, 6)), "filters is"),
        (lambda: small_conv_vae(filters=32), "filters is 32"),
        (lambda: small_conv_vae(blocks=-1), "blocks is -1"),
        (lambda: small_conv_vae(precision="bfloat16"), "precision is 'bfloat16'; choose .* hardly be trained"),
        (lambda: small_conv_vae(precision="float16"), "precision is 'float16'"),
        (lambda: small_vae().sample(5, seed=None), "seed is None.*drawn again"),
        (lambda: small_vae().sample(2.5, seed=1), "n is 2.5; expected a whole number"),
        (lambda: small_vae().sample(-1, seed=1), "n is -1"),
        (lambda: priors.StandardNormal(2).sample(5, seed=None), "seed is None"),
        (lambda: metrics.elbo(small_vae(), smooth_images(3, 1), seed=None), "seed is None"),
        (lambda: metrics.binarise(smooth_images(3, 1), seed=1.5), "seed is 1.5"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused_in_words(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_a_pixel_far_beyond_the_sigmoid_keeps_its_gradient_and_its_mean():
    """Through a clipped probability both stood still beyond a logit of 13.8, at 11.18 nats a pixel."""
    logits = tf.Variable([[14.0, 30.0, 60.0, -14.0, -30.0, -60.0]])
    with tf.GradientTape() as tape:
        loss = losses.continuous_bernoulli_from_logits(tf.zeros_like(logits) + 0.5, logits)
    lam = np.float64([[14.0, 30.0, 60.0, -14.0, -30.0, -60.0]])
    mean = 1 / (1 - np.exp(-lam)) - 1 / lam
    np.testing.assert_allclose(tape.gradient(loss, logits), mean - 0.5, rtol=1e-5)
    np.testing.assert_allclose(losses.continuous_bernoulli_mean_from_logits(logits), mean, atol=1e-6)
    exact = (np.logaddexp(0, lam) - 0.5 * lam - np.log(lam / np.tanh(lam / 2))).sum()
    assert float(loss[0]) == pytest.approx(exact, rel=1e-6)


def test_decoded_image_is_the_mean_also_where_the_sigmoid_is_full():
    model = small_vae("continuous_bernoulli")
    model.decoder.get_layer("logits").bias.assign(np.full(784, 40.0))
    image = model.decode(np.zeros((1, 2)))
    np.testing.assert_allclose(image, 1 - 1 / 40, atol=1e-5)
    np.testing.assert_allclose(model.decode_on_batch(np.zeros((1, 2), "float32")), image, atol=1e-6)
