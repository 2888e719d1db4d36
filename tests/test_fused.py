"""What is computed in fewer passes is what Keras computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from helpers import course, models
from helpers.machinery import fused


@pytest.fixture(params=["compiled", "without XLA"])
def compiler(request, monkeypatch):
    if request.param == "without XLA":
        monkeypatch.setattr(fused, "_has_compiler", lambda: False)


def values(*shape, seed=1, dtype="float32"):
    return tf.cast(3 * np.random.default_rng(seed).standard_normal(shape).astype("float32"), dtype)


def both(function, *arguments):
    """A function's output and the gradients of its products with fixed numbers."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = function(*arguments)
        total = tf.reduce_sum(tf.cast(y, tf.float32) * values(*y.shape, seed=2))
    return y, tape.gradient(total, arguments)


@pytest.mark.parametrize("shape", [(6, 50), (6, 4, 5, 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_silu_and_its_gradient_are_those_of_keras(compiler, shape, dtype):
    x = tf.concat([values(*shape, dtype=dtype), tf.cast(tf.fill(shape, 40.0), dtype), -tf.ones(shape, dtype)], 0)
    y, (gradient,) = both(fused.silu, x)
    wanted, (wanted_gradient,) = both(keras.activations.silu, tf.cast(x, "float32"))
    assert y.dtype == gradient.dtype == dtype
    # A bfloat16 has eight bits; one rounding is half of the last.
    error = 1e-5 if dtype == "float32" else 2**-7
    np.testing.assert_allclose(tf.cast(y, "float32"), wanted, rtol=error, atol=error)
    np.testing.assert_allclose(tf.cast(gradient, "float32"), wanted_gradient, rtol=error, atol=error)


def test_bfloat16_by_bits_is_bfloat16_by_conversion():
    every = tf.bitcast(tf.constant(np.arange(2**16, dtype="uint16")), tf.bfloat16)
    wide = fused._to_float32(every)
    np.testing.assert_array_equal(wide, tf.cast(every, "float32"))
    again = tf.cast(fused._from_float32(wide, tf.bfloat16), "float32")
    np.testing.assert_array_equal(again, wide)  # NaN at the same places counts as equal
    # All numbers half-way between two neighbours, and those next to them.
    finite = tf.boolean_mask(wide, tf.math.is_finite(wide))
    bits = tf.bitcast(finite, tf.uint32)
    for low in (1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        x = tf.bitcast(bits + np.uint32(low), tf.float32)
        found, wanted = fused._from_float32(x, tf.bfloat16), tf.cast(x, tf.bfloat16)
        normal = np.abs(x) >= 2.0**-126  # the conversion sets subnormal numbers to zero
        np.testing.assert_array_equal(
            np.array(tf.bitcast(found, tf.uint16))[normal], tf.bitcast(wanted, tf.uint16)[normal]
        )


def test_nan_and_infinity_come_through(compiler):
    for dtype in ("float32", "bfloat16"):
        x = tf.reshape(tf.constant([np.nan, np.inf, -np.inf, 0.0], dtype), (4, 1, 1, 1))
        y, (gradient,) = both(fused.silu, x)
        assert np.isnan(y[0]) and np.isnan(gradient[0]) and np.isposinf(tf.cast(y[1], "float32"))


LAYERS = {
    "plain": (lambda new: (fused.Conv2D if new else layers.Conv2D)(3, 3, 2, padding="same"), (5, 14, 14, 4)),
    "to one channel": (lambda new: (fused.ConvToOne if new else layers.Conv2D)(1, 3, padding="same"), (5, 7, 6, 4)),
    "transposed": (
        lambda new: (fused.Conv2DTranspose if new else layers.Conv2DTranspose)(3, 4, 2, padding="same"),
        (5, 3, 4, 6),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_convolutions_and_their_gradients_are_those_of_keras(compiler, name):
    make, shape = LAYERS[name]
    ours, keras_own, x = make(True), make(False), values(*shape)
    ours.build(shape), keras_own.build(shape)
    weights = [values(*w.shape, seed=3) for w in ours.weights]
    assert [w.shape for w in keras_own.weights] == [w.shape for w in ours.weights]

    def with_weights(layer, training):
        def function(x, *weights):
            return layer.stateless_call(list(weights), [], x, **training)[0]

        return both(function, x, *weights)

    y, gradients = with_weights(keras_own, {})
    for training in (True, False):
        found, found_gradients = with_weights(ours, {"training": training})
        np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-4)
        for a, b in zip(found_gradients, gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


SHORT_ROWS = {
    "stride 1": ((fused.Conv2D, layers.Conv2D), (4, 3, 1), (7, 7, 3)),
    "stride 2": ((fused.Conv2D, layers.Conv2D), (4, 3, 2), (14, 14, 3)),
    "one pixel": ((fused.Conv2D, layers.Conv2D), (4, 1, 1), (7, 7, 3)),
    "odd, stride 2": ((fused.Conv2D, layers.Conv2D), (4, 3, 2), (7, 13, 3)),
    "wide kernel": ((fused.Conv2D, layers.Conv2D), (2, 5, 1), (7, 7, 2)),
    "transposed": ((fused.Conv2DTranspose, layers.Conv2DTranspose), (3, 4, 2), (7, 7, 4)),
}


@pytest.mark.parametrize("images", [1, 4, 5])
@pytest.mark.parametrize("name", SHORT_ROWS)
def test_gradients_of_images_side_by_side_are_exact(name, images):
    """Of whole numbers: sums below 256 have no rounding in bfloat16, so one foreign pixel would be seen."""
    kinds, arguments, shape = SHORT_ROWS[name]
    seen = []

    def whole(shape, seed):
        return np.random.default_rng(seed).integers(-1, 2, shape).astype("float32")

    for kind, precision in zip(kinds, ("mixed_bfloat16", "float32"), strict=True):
        layer, x = kind(*arguments, padding="same", dtype=precision), tf.constant(whole((images, *shape), 1))
        layer.build(x.shape)
        layer.set_weights([whole(w.shape, 2) for w in layer.weights])

        @tf.function
        def gradients(layer=layer, x=x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                total = tf.reduce_sum(tf.cast(y, "float32") * whole(y.shape, 3))
            return y, tape.gradient(total, [x, *(w.value for w in layer.weights)])

        y, found = gradients()
        seen.append([np.array(tf.cast(part, "float32")) for part in (y, *found)])
    for a, b in zip(*seen, strict=True):
        assert np.abs(b).max() < 256
        np.testing.assert_array_equal(a, b)


def test_images_are_put_side_by_side_where_rows_are_short_and_kernels_stay_within_the_zeros_between():
    kernel = tf.zeros((3, 3, 2, 2), tf.bfloat16)
    assert fused._has_short_rows(7, kernel, 1) and fused._has_short_rows(14, kernel, 2)
    assert not fused._has_short_rows(14, kernel, 1) and not fused._has_short_rows(28, kernel, 2)
    assert not fused._has_short_rows(13, kernel, 2)
    assert not fused._has_short_rows(7, tf.zeros((5, 5, 2, 2), tf.bfloat16), 1)
    assert not fused._has_short_rows(7, tf.cast(kernel, "float32"), 1)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_every_weight_of_a_decoder_learns_in_training_as_it_would_by_plain_layers(compiler, precision):
    """TensorFlow's own gradient of a bias in bfloat16 adds many numbers in bfloat16, and is wrong by half."""
    z, gradients = values(9, 3), []
    for kind, training in (("float32", False), (precision, True)):
        decoder = models.conv_decoder(3, filters=(4, 6, 8), precision=kind)

        @tf.function
        def gradient(decoder=decoder, training=training):
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(tf.square(decoder(z, training=training) - 0.3))
            return tape.gradient(total, [w.value for w in decoder.trainable_variables])

        gradients.append(gradient())
    for weight, plain, ours in zip(decoder.trainable_variables, *gradients, strict=True):
        error = np.linalg.norm(ours - plain) / np.linalg.norm(plain)
        assert error < (1e-5 if precision == "float32" else 0.1), weight.path


def test_adam_is_that_of_keras():
    first, outcomes = values(4, 5), []
    for kind in (keras.optimizers.Adam, fused.Adam):
        weight = keras.Variable(first)
        optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 20))
        for step in range(20):
            gradient = values(4, 5, seed=step) * 10.0 ** (step % 5 - 3)
            optimizer.apply([gradient], [weight])
        outcomes.append([keras.ops.convert_to_numpy(v) for v in (weight, *optimizer.variables)])
    assert outcomes[0][0] != pytest.approx(np.array(first), abs=0.1)
    for a, b in zip(*outcomes, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_fast_precision_is_bfloat16_only_where_the_processor_says_so(monkeypatch):
    for flags, precision in (
        ("fpu avx512_bf16", "mixed_bfloat16"),
        ("amx_bf16", "mixed_bfloat16"),
        ("avx2", "float32"),
    ):
        monkeypatch.setattr(course.Path, "read_text", lambda *_, flags=flags: f"flags\t: {flags} sse\n")
        assert course.fast_precision() == precision

    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr(course.Path, "read_text", missing)
    assert course.fast_precision() == "float32"


def test_a_saved_decoder_opens_again(tmp_path):
    decoder, z = models.conv_decoder(3, filters=(4, 6, 8)), values(5, 3)
    decoder.save(tmp_path / "decoder.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "decoder.keras")(z), decoder(z))
