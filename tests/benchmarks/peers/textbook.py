"""Two usual ways to train a VAE with Keras, behind a gate; no line of the course is in them.

*Loop*: the class of the well-known examples, a custom ``train_step`` with a gradient tape, and ``fit``.
*Eager*: a tape in a Python loop over the batches, nothing compiled, as in many small projects.
Arguments: folder of the kit, "loop" or "eager".
"""

import sys

from gate import Gate, Kit, negative_elbo  # isort: skip

import keras
import numpy as np
import tensorflow as tf

# Where the course has a function of its own, Keras' takes its place here.
KERAS_OWN = {
    "wardrobe>silu": keras.activations.silu,
    "wardrobe>Conv2D": keras.layers.Conv2D,
    "wardrobe>Conv2DTranspose": keras.layers.Conv2DTranspose,
    "wardrobe>ConvToOne": keras.layers.Conv2D,
}


class VAE(keras.Model):
    """Encoder, decoder and a training step by hand."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker, self.reconstruction_loss_tracker, self.kl_loss_tracker]

    def losses_of(self, data):
        z_mean, z_log_var = self.encoder(data, training=True)
        z = z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))
        crossentropy = keras.losses.binary_crossentropy(data, self.decoder(z, training=True))
        kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))
        return tf.reduce_mean(tf.reduce_sum(crossentropy, axis=(1, 2))), tf.reduce_mean(tf.reduce_sum(kl, axis=1))

    def step(self, data):
        with tf.GradientTape() as tape:
            reconstruction_loss, kl_loss = self.losses_of(data)
            total_loss = reconstruction_loss + kl_loss
        gradients = tape.gradient(total_loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return total_loss, reconstruction_loss, kl_loss

    def train_step(self, data):
        total_loss, reconstruction_loss, kl_loss = self.step(data)
        self.total_loss_tracker.update_state(total_loss)
        self.reconstruction_loss_tracker.update_state(reconstruction_loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {metric.name: metric.result() for metric in self.metrics}


class Turns(keras.callbacks.Callback):
    """Tells the gate of every step."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def on_epoch_begin(self, epoch, logs=None):
        self.gate.open(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.gate.passed(batch + 1)


def build(kit):
    """The net of the kit, from its configuration and first weights."""
    parts = []
    for name in ("encoder", "decoder"):
        part = keras.models.model_from_json(kit.about[name], custom_objects=KERAS_OWN)
        part.set_weights([array for key, array in kit.weights.items() if key.startswith(f"{name}/")])
        parts.append(part)
    return VAE(*parts)


def main(folder, way):
    kit = Kit(folder)
    gate = Gate(kit)
    keras.utils.set_random_seed(kit.about["seed"])
    vae, images, size = build(kit), np.array(kit.images), kit.about["batch_size"]
    # One schedule for everybody.
    schedule = keras.optimizers.schedules.CosineDecay(**kit.about["rate"]) if kit.about["rate"] else kit.rates[0]
    vae.compile(optimizer=keras.optimizers.Adam(schedule))
    logits = keras.Model(vae.decoder.input, vae.decoder.get_layer("x_hat").input)

    def encode(x):
        return [np.array(part) for part in vae.encoder(x, training=False)]

    def elbo():
        return negative_elbo(kit.test, encode, lambda z: np.array(logits(z, training=False)))

    gate.elbo = elbo
    if way == "loop":
        vae.fit(images, epochs=kit.epochs, batch_size=size, callbacks=[Turns(gate)], verbose=0)
    else:
        batches = tf.data.Dataset.from_tensor_slices(images).shuffle(10_000).batch(size).prefetch(1)
        for epoch in range(kit.epochs):
            gate.open(epoch)
            total = 0.0
            for done, batch in enumerate(batches, start=1):
                total += float(vae.step(batch)[0])
                gate.passed(done)


if __name__ == "__main__":
    main(*sys.argv[1:])
