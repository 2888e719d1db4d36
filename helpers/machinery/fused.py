"""Keras' SiLU, Adam and convolutions in fewer passes over memory: the same numbers for less work.

On a CPU a small net spends as much time on reading and writing numbers as on multiplying them. Nothing here needs to be
read to understand a model. On other backends than TensorFlow everything is Keras' own. A convolutional encoder or
decoder that Keras has saved in a file of its own can be opened after ``from helpers import models``.
"""

import functools

import numpy as np

from helpers.machinery.backend import keras, ops

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

    def _side_by_side(x, gap):
        """(4 n, h, w, c) to (n, h, 4 (w + gap), c): four images in a row, zeros between them and for missing images."""
        missing = -tf.shape(x)[0] % 4
        x = tf.cond(missing > 0, lambda: tf.pad(x, [[0, missing], [0, 0], [0, 0], [0, 0]]), lambda: x)
        gaps = tf.zeros_like(x[: tf.shape(x)[0] // 4, :, :gap])
        return tf.concat([part for image in tf.split(x, 4) for part in (image, gaps)], 2)

    def _has_short_rows(width, kernel, stride):
        """Whether a convolution over rows of so many pixels has its kernel's gradient best from images side by side."""
        # In bfloat16 processors multiply blocks of some 32 pixels of a row; one of 7 leaves most of a block empty.
        short = kernel.dtype == tf.bfloat16 and width < 14 * stride
        return short and width % stride == 0 and kernel.shape[1] // 2 <= stride  # kernels stay within the zeros between

    def _kernel_gradient(x, upstream, kernel, stride):
        """Gradient of the kernel of a convolution from ``x`` to what ``upstream`` belongs to."""
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, stride, stride, 1],
            padding="SAME",
        )

    def _convolve(x, kernel, bias, stride):
        @tf.custom_gradient
        def convolve(x, kernel, bias):
            def gradient(upstream):
                back = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(x), stride, "SAME")
                wide = _side_by_side(upstream, 1)
                # TensorFlow makes one operation of these two, if they have the same input.
                kernels = _kernel_gradient(_side_by_side(x, stride), wide, kernel, stride)
                return back, kernels, tf.raw_ops.BiasAddGrad(out_backprop=wide)

            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "SAME"), bias), gradient

        return convolve(x, kernel, bias)

    def _convolve_transposed(x, kernel, bias, stride):
        @tf.custom_gradient
        def convolve(x, kernel, bias):
            def gradient(upstream):
                back = tf.nn.conv2d(upstream, kernel, stride, "SAME")
                rows = tf.reshape(upstream, [-1, upstream.shape[-1]])
                biases = tf.matmul(tf.ones([1, tf.shape(rows)[0]], rows.dtype), rows)[0]
                parts = upstream, x
                if _has_short_rows(upstream.shape[2], kernel, stride):
                    parts = _side_by_side(upstream, stride), _side_by_side(x, 1)
                return back, _kernel_gradient(*parts, kernel, stride), biases

            n, h, w = tf.shape(x)[0], stride * x.shape[1], stride * x.shape[2]
            y = tf.nn.conv2d_transpose(x, kernel, [n, h, w, kernel.shape[2]], stride, "SAME")
            return _sum(y, bias), gradient

        return convolve(x, kernel, bias)

    _TAPS = [(i, j) for i in range(3) for j in range(3)]

    @_in_one_pass
    def _add_taps(y):
        h, w = y.shape[2:]
        y = tf.pad(_to_float32(y), [[0, 0], [0, 0], [1, 1], [1, 1]])
        return sum(y[3 * i + j, :, i : i + h, j : j + w] for i, j in _TAPS)

    @tf.custom_gradient
    def _sum_of_taps(y):
        """(9, B, h, w) to (B, h, w): map 3 i + j moved by (1 - i, 1 - j) pixels, and all added."""

        def gradient(upstream):
            h, w = upstream.shape[1:]
            x = tf.pad(tf.cast(upstream, y.dtype), [[0, 0], [1, 1], [1, 1]])
            return tf.stack([x[:, 2 - i : 2 - i + h, 2 - j : 2 - j + w] for i, j in _TAPS])

        return _add_taps(y), gradient


@keras.saving.register_keras_serializable("wardrobe")
def silu(x):
    """Compute x * sigmoid(x) of the maps of a convolution, with a gradient in one pass.

    Keras' own gradient takes several passes, and in bfloat16, in which processors multiply matrices fast and do little
    else, they cost more than the layer before them.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018).

    Args:
        x: Floating tensor.

    Returns:
        Tensor of the same shape and dtype.
    """
    return _silu(ops.convert_to_tensor(x)) if _ON_TENSORFLOW else keras.activations.silu(x)


@keras.saving.register_keras_serializable("wardrobe")
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
class Conv2D(keras.layers.Conv2D):
    """Keras' layer with padding "same", whose kernel's gradient costs less in training in bfloat16."""

    def call(self, x, training=None):
        if not (training and _ON_TENSORFLOW):
            return super().call(x)
        kernel, bias = _tensors(self)
        if not _has_short_rows(x.shape[2], kernel, self.strides[0]):
            return super().call(x)
        return self.activation(_convolve(x, kernel, bias, self.strides[0]))


@keras.saving.register_keras_serializable("wardrobe")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras' layer with padding "same", whose bias and gradients cost less in training."""

    def call(self, x, training=None):
        if not (training and _ON_TENSORFLOW):
            return super().call(x)
        return self.activation(_convolve_transposed(x, *_tensors(self), self.strides[0]))


def _tensors(layer):
    """Kernel and bias of a layer in the type in which it computes."""
    return [tf.convert_to_tensor(weight) for weight in (layer.kernel, layer.bias)]


@keras.saving.register_keras_serializable("wardrobe")
class ConvToOne(keras.layers.Conv2D):
    """Keras' convolution from many channels to one: 3 x 3, stride 1, padding "same".

    Convolutions are written for many channels; with one, most of a processor's vector unit is idle. In training the
    nine taps are nine rows of a matrix product instead, which are then moved and added.
    """

    def call(self, x, training=None):
        if not (training and _ON_TENSORFLOW):
            return super().call(x)
        h, w, channels = x.shape[1:]
        kernel, bias = _tensors(self)
        taps = tf.matmul(tf.reshape(kernel, (9, channels)), tf.reshape(x, (-1, channels)), transpose_b=True)
        y = _sum_of_taps(tf.reshape(taps, (9, -1, h, w)))
        return self.activation(y[..., None] + tf.cast(bias, tf.float32))
