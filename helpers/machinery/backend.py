"""Keras, started quietly and with the course's threads: whoever computes with it imports it from here."""

from helpers import course

keras = course.start_keras()
layers, ops = keras.layers, keras.ops


def with_shape_of(tensor, other):
    """A tensor that has, where its own sizes are not known yet, those of another of the same rank.

    TensorFlow alone has tensors of unknown sizes; it compares them as it runs.

    Args:
        tensor: Tensor, some of whose sizes may be unknown.
        other: Tensor of the same rank.
    """
    if keras.backend.backend() != "tensorflow" or None not in tensor.shape or isinstance(tensor, keras.KerasTensor):
        return tensor
    import tensorflow as tf

    return tf.ensure_shape(tensor, other.shape)


def checked_pixels(images):
    """The same images; TensorFlow stops, as it runs, where a pixel is not in [0, 1]. Other backends do not look."""
    if keras.backend.backend() != "tensorflow" or isinstance(images, keras.KerasTensor):
        return images
    import tensorflow as tf

    low, high = tf.reduce_min(images), tf.reduce_max(images)
    fits = tf.logical_or(tf.equal(tf.size(images), 0), tf.logical_and(low >= 0, high <= 1))
    words = (
        "pixels leave [0, 1] or are not finite; divide grey levels by 255, clip what a resize overshot. They run from"
    )
    with tf.control_dependencies([tf.debugging.Assert(fits, [words, low, "to", high])]):
        return tf.identity(images)
