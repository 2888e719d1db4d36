"""Keras' SiLU, Adam and two convolutions in fewer passes over memory: the same numbers for less work.

On a CPU a small net spends as much time on reading and writing numbers as on multiplying them. Nothing here needs to be
read to understand a model. On other backends than TensorFlow everything is Keras' own. A convolutional decoder that
Keras has saved in a file of its own can be opened after ``from helpers import fused``.
"""

import functools

import keras
import numpy as np
from keras import ops

from helpers import course  # noqa: F401, it must come before TensorFlow

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if _ON_TENSORFLOW:
    import tensorflow as tf

    @functools.cache
    def _has_compiler():
        try:
            with tf.init_scope():
                tf.function(tf.identity, jit_compile=True)(0.0)
        except tf.errors.OpError:  # TensorFlow was built without XLA
            return False
        return True

    def _in_one_pass(function):
        """Compile a function of element-wise operations, where TensorFlow can, so that it reads its input once."""
        compiled = tf.function(function, jit_compile=True)
        return functools.wraps(function)(lambda *args: (compiled if _has_compiler() else function)(*args))

    # A bfloat16 is the upper half of a float32. Moving bits takes half of the time that conversions take here.
    def _to_float32(x):
        if x.dtype != tf.bfloat16:
            return tf.cast(x, tf.float32)
        return tf.bitcast(
            tf.bitwise.left_shift(tf.cast(tf.bitcast(x, tf.uint16), tf.uint32), np.uint32(16)), tf.float32
        )

    def _from_float32(x, dtype):
        if dtype != tf.bfloat16:
            return tf.cast(x, dtype)
        bits = tf.bitcast(x, tf.uint32)
        odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, np.uint32(16)), np.uint32(1))
        rounded = tf.bitwise.right_shift(bits + np.uint32(0x7FFF) + odd, np.uint32(16))  # to nearest, ties to even
        return tf.bitcast(tf.cast(rounded, tf.uint16), tf.bfloat16)

    @_in_one_pass
    def _silu_gradient(x, upstream):
        half = 0.5 * _to_float32(x)
        t = tf.tanh(half)  # sigmoid(x) is (1 + t) / 2
        return _from_float32(0.5 * _to_float32(upstream) * (1 + t) * (1 + half * (1 - t)), x.dtype)

    @tf.custom_gradient
    def _silu(x):
        def gradient(upstream):
            # Flat, so that layers of one size share what was compiled.
            flat = _silu_gradient(tf.reshape(x, [-1]), tf.reshape(upstream, [-1]))
            return tf.reshape(flat, tf.shape(x))

        return x * tf.sigmoid(x), gradient

    @_in_one_pass
    def _sum(x, bias):
        return _from_float32(_to_float32(x) + _to_float32(bias), x.dtype)

    @tf.custom_gradient
    def _add_bias(x, bias):
        def gradient(upstream):
            rows = tf.reshape(upstream, [-1, upstream.shape[-1]])
            return upstream, tf.matmul(tf.ones([1, tf.shape(rows)[0]], rows.dtype), rows)[0]

        return _sum(x, bias), gradient

    _TAPS = [(i, j) for i in range(3) for j in range(3)]

    @_in_one_pass
    def _gather_taps(y):
        h, w = y.shape[1:3]
        y = tf.pad(_to_float32(y), [[0, 0], [1, 1], [1, 1], [0, 0]])
        return sum(y[:, i : i + h, j : j + w, 3 * i + j] for i, j in _TAPS)

    @_in_one_pass
    def _scatter_taps(x, like):
        h, w = x.shape[1:]
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1]])
        taps = tf.stack([x[:, 2 - i : 2 - i + h, 2 - j : 2 - j + w] for i, j in _TAPS], -1)
        return _from_float32(taps, like.dtype)

    @tf.custom_gradient
    def _sum_of_taps(y):
        """(B, h, w, 9) to (B, h, w): channel 3 i + j moved by (1 - i, 1 - j) pixels, and all added."""
        return _gather_taps(y), lambda upstream: _scatter_taps(upstream, y[:0])


@keras.saving.register_keras_serializable("wardrobe")
def silu(x):
    """x * sigmoid(x) of the maps of a convolution, with a gradient in one pass.

    Keras' own gradient takes several passes, and in bfloat16, in which processors multiply matrices fast and do little
    else, they cost more than the layer before them.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018).

    Args:
        x: floating tensor.

    Returns:
        Tensor of the same shape and dtype.
    """
    return _silu(ops.convert_to_tensor(x)) if _ON_TENSORFLOW else keras.activations.silu(x)


class Adam(keras.optimizers.Adam):
    """Keras' Adam with each weight's update in one operation of TensorFlow's; Keras takes a dozen."""

    def update_step(self, gradient, variable, learning_rate):
        if not _ON_TENSORFLOW:
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(ops.cast(self.beta_1, "float32"), step),
            beta2_power=ops.power(ops.cast(self.beta_2, "float32"), step),
            lr=ops.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("wardrobe")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras' layer, whose bias and the bias' gradient cost less in training."""

    def call(self, x, training=None):
        if not (training and _ON_TENSORFLOW):
            return super().call(x)
        y = ops.conv_transpose(x, self.kernel, self.strides, self.padding, data_format=self.data_format)
        y = ops.reshape(y, (-1, *self.compute_output_shape(x.shape)[1:]))
        return self.activation(_add_bias(y, tf.convert_to_tensor(self.bias)))


@keras.saving.register_keras_serializable("wardrobe")
class ConvToOne(keras.layers.Conv2D):
    """Keras' convolution from many channels to one: 3 x 3, stride 1, padding "same".

    Convolutions are written for many channels; with one, most of a processor's vector unit is idle. In training the
    nine taps are nine columns of a matrix product instead, which are then moved and added.
    """

    def call(self, x, training=None):
        if not (training and _ON_TENSORFLOW):
            return super().call(x)
        h, w, channels = x.shape[1:]
        taps = ops.reshape(ops.transpose(self.kernel, (2, 0, 1, 3)), (channels, 9))
        y = ops.reshape(ops.matmul(ops.reshape(x, (-1, channels)), taps), (-1, h, w, 9))
        return self.activation(_sum_of_taps(y)[..., None] + ops.cast(self.bias, "float32"))
