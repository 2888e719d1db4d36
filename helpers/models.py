"""Encoders, decoders, `Autoencoder`, `VAE`.

Every model is an encoder and a decoder, two ordinary Keras models, plus one loss. Images are
float32 ``(B, 28, 28, 1)`` in [0, 1]; codes are float32 ``(B, latent_dim)``. Numpy goes in and
numpy comes out of `encode`, `decode`, `reconstruct` and `sample`; Keras' own `compile`, `fit` and
`evaluate` work as on any model, with losses in nats per image.
"""

import itertools
import math

import numpy as np

from helpers import losses
from helpers.dataset import IMAGE_SHAPE, Split, check_images, pieces
from helpers.machinery import fused
from helpers.machinery.backend import keras, layers, ops

LIKELIHOODS = ("bernoulli", "gaussian", "optimal_gaussian", "continuous_bernoulli")
SIGMA_OF_SQUARED_ERROR = math.sqrt(0.5)  # the sigma at which a Gaussian's loss is the plain squared error


def check_codes(z, latent_dim):
    """Return codes as float32, or say what is wrong with them.

    Args:
        z: Codes, (n, latent_dim).
        latent_dim: Size of the code.

    Returns:
        Array float32 of that shape.

    Raises:
        ValueError: The codes have a wrong shape, or values that are not finite.
    """
    z = np.asarray(z, dtype="float32")
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"z has shape {z.shape}; this model expects (n, {latent_dim}).")
    if not np.isfinite(z).all():
        raise ValueError("z holds values that are not finite (NaN or infinity).")
    return z


def run_in_batches(function, array, batch_size=100):
    """Call a Keras model on an array piece by piece, so that memory stays bounded.

    Args:
        function: Function that takes a batch and returns a tensor or a list of tensors, whose first axis is the batch.
        array: Array (n, ...), or a `dataset.Split`, of which one batch at a time becomes floats.
        batch_size: Number of images in a call.

    Returns:
        A numpy array, or a tuple of arrays, with first axis n.
    """
    n = len(array)
    if not n:  # TensorFlow's convolutions fail on an empty batch: ask for one row, keep none
        array = array.images if isinstance(array, Split) else array
        one = run_in_batches(function, np.zeros((1, *array.shape[1:]), array.dtype), batch_size)
        return tuple(part[:0] for part in one) if isinstance(one, tuple) else one[:0]
    if isinstance(array, Split):
        batches = pieces(array, batch_size)
    else:
        batches = (array[i : i + batch_size] for i in range(0, n, batch_size))
    columns = None
    for i, batch in enumerate(batches):
        found = function(batch)
        several = isinstance(found, (list, tuple))
        parts = [ops.convert_to_numpy(part) for part in (found if several else [found])]
        columns = columns or [np.empty((n, *part.shape[1:]), part.dtype) for part in parts]
        for column, part in zip(columns, parts, strict=True):
            column[i * batch_size : i * batch_size + len(part)] = part
    return tuple(columns) if several else columns[0]


def _checked(images):
    """Images as `check_images` wants them, or a Split as it is, whose pieces are checked one by one."""
    return images if isinstance(images, Split) else check_images(images)


class _LatentModel(keras.Model):
    """What `Autoencoder` and `VAE` share: an encoder, a decoder, and numpy at the door."""

    is_variational = False

    def __init__(self, encoder, decoder, name=None):
        super().__init__(name=name)
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = int(decoder.input.shape[-1])
        # The decoder in two steps, for exact losses from logits. Kept as functions, because Keras
        # would count the weights of a second model that shares them.
        output = decoder.get_layer("x_hat")
        logits = keras.Model(decoder.input, output.input).__call__
        self._decoder_logits = lambda z, training: ops.cast(logits(z, training=training), "float32")
        self._output = output.__call__

    def code(self, images):
        """One code for each image: z of an autoencoder, z_mean of a VAE, float32 (n, latent_dim)."""
        encoded = self.encode(images)
        return encoded[0] if self.is_variational else encoded

    def decode(self, z):
        """Turn codes into images.

        Args:
            z: Codes, (n, latent_dim).

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].

        Raises:
            ValueError: The codes have a wrong shape, or values that are not finite.
        """
        return run_in_batches(self._image_of, check_codes(z, self.latent_dim))

    def reconstruct(self, images):
        """Decoded `code` of images: float32 (n, 28, 28, 1) in [0, 1], from the same shape."""
        return self.decode(self.code(images))

    def logits(self, z):
        """The decoder's output before its sigmoid, a tensor (n, 28, 28, 1), from z (n, latent_dim)."""
        return self._decoder_logits(z, training=False)

    def expected_image(self, x_hat):
        """Turn what the decoder gives into the mean of p(x | z), the image that is shown; a tensor, (n, 28, 28, 1).

        The two are the same, but for the continuous Bernoulli.
        """
        return x_hat

    def _image_of(self, z):
        return self.expected_image(self.decoder(z, training=False))

    def sample(self, n, seed):
        """Decode n codes drawn from N(0, I).

        For a VAE this is the model's own prior. A plain autoencoder has none: there the result
        shows what happens when one pretends (see `priors` for fitted ones).

        Args:
            n: Number of images.
            seed: Integer; the same seed draws the same codes for every model of that latent_dim.

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].
        """
        z = np.random.default_rng(seed).standard_normal((n, self.latent_dim))
        return self.decode(z)

    def weight_arrays(self):
        """All trained numbers as a dict of name to numpy array: what a checkpoint stores."""
        return {key: ops.convert_to_numpy(variable) for key, variable in self.weight_variables().items()}

    def weight_variables(self):
        """All trained Keras variables as a dict; names are stable between runs."""
        return {
            f"{part.name}/{i:02d}/{variable.path.split('/', 1)[-1]}": variable
            for part in (self.encoder, self.decoder)
            for i, variable in enumerate(part.weights)
        }


class Autoencoder(_LatentModel):
    """An encoder and a decoder trained to give back the input.

    `fit` and `evaluate` report ``loss`` (nats per image: squared error or Bernoulli, summed over
    pixels) and ``mse`` (per pixel).

    Args:
        encoder: Keras model from image to z (B, latent_dim).
        decoder: Keras model from z to image; its last layer is an Activation named ``x_hat``.
        reconstruction: Either ``"squared_error"`` or ``"bernoulli"``.
        name: Name of the Keras model.
    """

    def __init__(self, encoder, decoder, reconstruction="squared_error", name="autoencoder"):
        super().__init__(encoder, decoder, name=name)
        if reconstruction not in ("squared_error", "bernoulli"):
            raise ValueError(f"reconstruction is {reconstruction!r}; choose 'squared_error' or 'bernoulli'.")
        self.reconstruction = reconstruction
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.build((None, *IMAGE_SHAPE))

    def build(self, input_shape):
        self.built = True  # encoder and decoder are built already

    def call(self, x, training=None):
        logits = self._decoder_logits(self.encoder(x, training=training), training=training)
        return {"x_hat": self._output(logits), "logits": logits}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the batch of the reconstruction loss; ``y`` replaces ``x`` as target if given."""
        target = x if y is None else y
        error = losses.squared_error(target, y_pred["x_hat"])
        self.mse_tracker.update_state(error / math.prod(IMAGE_SHAPE))
        if self.reconstruction == "bernoulli":
            return ops.mean(losses.bernoulli_from_logits(target, y_pred["logits"]))
        return ops.mean(error)

    def encode(self, images):
        """Codes of images: float32 (n, latent_dim) from (n, 28, 28, 1) in [0, 1], or from a `dataset.Split`."""
        return run_in_batches(lambda x: self.encoder(x, training=False), _checked(images))


class VAE(_LatentModel):
    """Variational autoencoder: the encoder gives a normal distribution over codes.

    The loss is the negative ELBO, -log p(x | z) + beta * KL(q(z | x) || N(0, I)), in nats per image,
    one z drawn per image. `fit` and `evaluate` report ``loss``, its parts ``reconstruction`` and
    ``kl``, and ``negative_elbo``, the loss at beta = 1 by which every model is judged.

    Source: Kingma, Welling, "Auto-encoding variational Bayes" (2013).

    Args:
        encoder: Keras model from image to [z_mean, z_log_var], each (B, latent_dim).
        decoder: Keras model from z to image; its last layer is an Activation named ``x_hat``.
        likelihood: One of ``"bernoulli"``; ``"gaussian"`` with fixed sigma; ``"optimal_gaussian"``, whose sigma is the
            root mean squared error of the batch while training and its running average afterwards;
            ``"continuous_bernoulli"``.
        sigma: Standard deviation of the Gaussian in pixel units; the default makes the loss the squared error plus a
            constant.
        beta: Weight of the KL in the training loss; a Keras variable, so it can change in training.
        seed: Seeds the noise in z.
        name: Name of the Keras model.
    """

    is_variational = True

    def __init__(
        self, encoder, decoder, likelihood="bernoulli", sigma=SIGMA_OF_SQUARED_ERROR, beta=1.0, seed=1, name="vae"
    ):
        super().__init__(encoder, decoder, name=name)
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood is {likelihood!r}; choose one of {', '.join(LIKELIHOODS)}.")
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma}; a standard deviation must be positive.")
        self.likelihood = likelihood
        self.beta = self.add_weight(name="beta", shape=(), initializer="zeros", trainable=False, dtype="float32")
        self.sigma = self.add_weight(name="sigma", shape=(), initializer="zeros", trainable=False, dtype="float32")
        self.beta.assign(beta)
        self.sigma.assign(sigma)
        self.noise = keras.random.SeedGenerator(seed)
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.negative_elbo_tracker = keras.metrics.Mean(name="negative_elbo")
        self.build((None, *IMAGE_SHAPE))

    def build(self, input_shape):
        self.built = True  # encoder and decoder are built already

    def reparameterize(self, z_mean, z_log_var):
        """Draw z = z_mean + exp(z_log_var / 2) * noise, one draw per image.

        Args:
            z_mean: Means, (B, latent_dim).
            z_log_var: Logarithms of the variances, (B, latent_dim).

        Returns:
            Codes, a tensor (B, latent_dim).
        """
        noise = keras.random.normal(ops.shape(z_mean), seed=self.noise)
        return z_mean + ops.exp(0.5 * z_log_var) * noise

    def call(self, x, training=None):
        z_mean, z_log_var = self.encoder(x, training=training)
        z = self.reparameterize(z_mean, z_log_var)
        logits = self._decoder_logits(z, training=training)
        return {"z_mean": z_mean, "z_log_var": z_log_var, "z": z, "logits": logits, "x_hat": self._output(logits)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the batch of reconstruction + beta * KL; ``y`` replaces ``x`` as target if given."""
        target = x if y is None else y
        if self.likelihood == "optimal_gaussian" and training:
            batch_sigma = ops.stop_gradient(losses.optimal_sigma(target, y_pred["x_hat"]))
            self.sigma.assign(0.95 * self.sigma + 0.05 * batch_sigma)
            reconstruction = losses.gaussian(target, y_pred["x_hat"], batch_sigma)
        else:
            reconstruction = self.reconstruction_loss(target, y_pred["logits"])
        kl = losses.kl(y_pred["z_mean"], y_pred["z_log_var"])
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(kl)
        self.negative_elbo_tracker.update_state(reconstruction + kl)
        return ops.mean(reconstruction + self.beta * kl)

    def reconstruction_loss(self, x, logits, likelihood=None):
        """Negative log-likelihood -log p(x | z), in nats per image.

        Args:
            x: Images, (B, 28, 28, 1).
            logits: Decoder's output before its sigmoid, same shape.
            likelihood: One of `LIKELIHOODS`; None takes the model's own.

        Returns:
            Nats per image, (B,).
        """
        likelihood = likelihood or self.likelihood
        if likelihood == "bernoulli":
            return losses.bernoulli_from_logits(x, logits)
        if likelihood == "continuous_bernoulli":
            return losses.continuous_bernoulli(x, self._output(logits))
        return losses.gaussian(x, self._output(logits), self.sigma)

    def encode(self, images):
        """Posterior of images.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1], or a `dataset.Split`.

        Returns:
            Tuple (z_mean, z_log_var), each float32 (n, latent_dim). The standard deviation is
            exp(z_log_var / 2).
        """
        return run_in_batches(lambda x: self.encoder(x, training=False), _checked(images))

    def expected_image(self, x_hat):
        if self.likelihood == "continuous_bernoulli":
            return losses.continuous_bernoulli_mean(x_hat)
        return x_hat

    def weight_variables(self):
        return super().weight_variables() | {"sigma": self.sigma}


def _check_sizes(latent_dim, hidden):
    if not isinstance(latent_dim, (int, np.integer)) or latent_dim < 1:
        raise ValueError(f"latent_dim is {latent_dim!r}; expected a whole number from 1.")
    if any(not isinstance(units, (int, np.integer)) or units < 1 for units in hidden):
        raise ValueError(f"hidden is {hidden!r}; expected layer sizes, whole numbers from 1, such as (512, 256).")


def _check_conv_sizes(latent_dim, filters, hidden):
    _check_sizes(latent_dim, hidden)
    if len(filters) != 3 or any(not isinstance(f, (int, np.integer)) or f < 1 for f in filters):
        raise ValueError(f"filters is {filters!r}; expected three whole numbers from 1, such as (32, 64, 128).")


class _Layers:
    """Makes layers whose first weights depend on one seed and on nothing else.

    Args:
        seed: Seeds the first weights.
        precision: Dtype policy of the layers: "float32", or "mixed_bfloat16", which computes in half precision and
            keeps float32 weights. Latents and losses are float32 in any case.
    """

    def __init__(self, seed, precision="float32"):
        self.seeds = itertools.count(1000 * seed)
        self.precision = precision

    def _start(self):
        return keras.initializers.GlorotUniform(seed=next(self.seeds))

    def dense(self, units, activation=None, name=None, **kwargs):
        kwargs = {"dtype": self.precision, "kernel_initializer": self._start(), **kwargs}
        return layers.Dense(units, activation=activation, name=name, **kwargs)

    def conv(self, filters, size, name, stride=1, activation=None, layer=fused.Conv2D, **kwargs):
        kwargs = {"dtype": self.precision, "kernel_initializer": self._start(), **kwargs}
        return layer(filters, size, stride, padding="same", activation=_of_maps(activation), name=name, **kwargs)

    def transposed(self, filters, size, name, stride):
        return self.conv(filters, size, name, stride, layer=fused.Conv2DTranspose)

    def activation(self, function, name):
        return layers.Activation(_of_maps(function), name=name, dtype=self.precision)


def _of_maps(activation):
    return fused.silu if activation == "silu" else activation


def _dense_stack(make, x, hidden, activation):
    for i, units in enumerate(hidden, start=1):
        x = make.dense(units, activation, name=f"hidden_{i}")(x)
    return x


def dense_decoder(latent_dim, hidden, activation="silu", output="sigmoid", seed=1, precision="float32"):
    """Decoder of dense layers: z (B, latent_dim) to an image (B, 28, 28, 1).

    Args:
        latent_dim: Size of the code.
        hidden: Layer sizes from the code outwards.
        activation: Activation of the hidden layers.
        output: Activation of the last layer: "sigmoid" keeps pixels in [0, 1]; "linear" does not.
        seed: Seeds the first weights.
        precision: Either "float32" or "mixed_bfloat16".
    """
    _check_sizes(latent_dim, hidden)
    make = _Layers(seed, precision)
    z = keras.Input((latent_dim,), name="z")
    x = _dense_stack(make, z, hidden, activation)
    x = make.dense(math.prod(IMAGE_SHAPE), name="logits")(x)
    x = layers.Reshape(IMAGE_SHAPE, name="image")(x)
    x_hat = layers.Activation(output, name="x_hat", dtype="float32")(x)
    return keras.Model(z, x_hat, name="decoder")


def dense_autoencoder(
    latent_dim=18,
    hidden=(128, 64, 32),
    activation="silu",
    code_activation=None,
    reconstruction="squared_error",
    seed=1,
):
    """Autoencoder of dense layers, decoder the mirror of the encoder.

    Args:
        latent_dim: Size of the code z.
        hidden: Layer sizes from the image inwards.
        activation: Activation of the hidden layers: "relu", "selu", "silu", "tanh" or another name that Keras knows.
        code_activation: Activation of the code itself; None keeps it linear. "relu" can kill units for good.
        reconstruction: Either "squared_error" or "bernoulli".
        seed: Seeds the first weights.

    Returns:
        An `Autoencoder`.
    """
    _check_sizes(latent_dim, hidden)
    make = _Layers(seed)
    x = keras.Input(IMAGE_SHAPE, name="x")
    h = _dense_stack(make, layers.Flatten(name="pixels")(x), hidden, activation)
    z = make.dense(latent_dim, code_activation, name="z", dtype="float32")(h)
    encoder = keras.Model(x, z, name="encoder")
    decoder = dense_decoder(latent_dim, hidden[::-1], activation, seed=seed + 500)
    return Autoencoder(encoder, decoder, reconstruction)


def linear_autoencoder(latent_dim=10, seed=1):
    """Autoencoder of one linear layer to the code and one back: what this learns at best is PCA.

    Its images may leave [0, 1], as PCA's do.

    Source: Baldi, Hornik, "Neural networks and principal component analysis" (1989).

    Args:
        latent_dim: Size of the code z.
        seed: Seeds the first weights.

    Returns:
        An `Autoencoder`.
    """
    _check_sizes(latent_dim, ())
    x = keras.Input(IMAGE_SHAPE, name="x")
    z = _Layers(seed).dense(latent_dim, name="z")(layers.Flatten(name="pixels")(x))
    decoder = dense_decoder(latent_dim, (), output="linear", seed=seed + 500)
    return Autoencoder(keras.Model(x, z, name="encoder"), decoder, name="linear_autoencoder")


def dense_vae(
    latent_dim=10,
    hidden=(512, 256, 128),
    activation="silu",
    likelihood="bernoulli",
    sigma=SIGMA_OF_SQUARED_ERROR,
    beta=1.0,
    seed=1,
    precision="float32",
):
    """VAE of dense layers, decoder the mirror of the encoder.

    Args:
        latent_dim: Size of the code z.
        hidden: Layer sizes from the image inwards.
        activation: Activation of the hidden layers.
        likelihood: One of `LIKELIHOODS`.
        sigma: Standard deviation of the fixed Gaussian, in pixel units.
        beta: Weight of the KL.
        seed: Seeds the first weights and the noise.
        precision: Either "float32" or "mixed_bfloat16" (see `conv_vae`).

    Returns:
        A `VAE`.
    """
    _check_sizes(latent_dim, hidden)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x")
    h = _dense_stack(make, layers.Flatten(name="pixels")(x), hidden, activation)
    z_mean = make.dense(latent_dim, name="z_mean", dtype="float32")(h)
    z_log_var = make.dense(latent_dim, name="z_log_var", dtype="float32")(h)
    encoder = keras.Model(x, [z_mean, z_log_var], name="encoder")
    decoder = dense_decoder(latent_dim, hidden[::-1], activation, seed=seed + 500, precision=precision)
    return VAE(encoder, decoder, likelihood, sigma, beta, seed=seed)


def stages(part):
    """What happens to a batch in an encoder or decoder, layer by layer.

    Args:
        part: Keras model, such as ``model.encoder``.

    Returns:
        List of dicts: layer (name), kind, shape (of what comes out, without the batch), weights, and
        multiply_adds per image.
    """
    rows = []
    for layer in part.layers:
        shape, multiply_adds = tuple(layer.output.shape[1:]), 0
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            # A convolution works once per pixel that comes out, a transposed one per pixel that goes in.
            side = layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output
            multiply_adds = math.prod(kernel.shape) * math.prod(side.shape[1:-1])
        kind = type(layer).__name__
        rows.append(
            {
                "layer": layer.name,
                "kind": kind,
                "shape": shape,
                "weights": layer.count_params(),
                "multiply_adds": multiply_adds,
            }
        )
    return rows


def _conv_stack(make, x, filters, hidden, activation):
    """28 x 28 to 14 x 14 to 7 x 7, a third convolution at that size, then dense layers."""
    for i, (count, stride) in enumerate(zip(filters, (2, 2, 1), strict=True), start=1):
        x = make.conv(count, 3, f"conv_{i}", stride, activation)(x)
    return _dense_stack(make, layers.Flatten(name="features", dtype=make.precision)(x), hidden, activation)


def _residual(make, x, filters, activation, name):
    """Add to ``x`` what a 3 x 3 convolution to half of the channels and a 1 x 1 back make of it.

    Source: He, Zhang, Ren, Sun, "Identity mappings in deep residual networks" (2016).
    """
    h = make.activation(activation, f"{name}_in")(x)
    h = make.conv(max(filters // 2, 1), 3, f"{name}_conv", activation=activation)(h)
    h = make.conv(filters, 1, f"{name}_out")(h)
    return layers.Add(name=name, dtype=make.precision)([x, h])


def conv_decoder(latent_dim, filters=(32, 64, 128), blocks=1, activation="silu", seed=1, precision="float32"):
    """Convolutional decoder: z (B, latent_dim) to an image (B, 28, 28, 1).

    Dense to 7 x 7 x filters[2], then twice: residual blocks, activation, Conv2DTranspose to the
    double size; a last convolution makes the logits.

    Args:
        latent_dim: Size of the code.
        filters: Numbers of channels from the image inwards, as for the encoder.
        blocks: Number of residual blocks at each of the sizes 7 x 7 and 14 x 14.
        activation: Activation of the hidden layers.
        seed: Seeds the first weights.
        precision: Either "float32" or "mixed_bfloat16".
    """
    _check_conv_sizes(latent_dim, filters, ())
    make = _Layers(seed, precision)
    z = keras.Input((latent_dim,), name="z")
    x = make.dense(7 * 7 * filters[2], name="features")(z)
    x = layers.Reshape((7, 7, filters[2]), name="maps", dtype=precision)(x)
    for count, wider, size in ((filters[2], filters[1], 14), (filters[1], filters[0], 28)):
        for i in range(1, blocks + 1):
            x = _residual(make, x, count, activation, f"residual_{size // 2}_{i}")
        x = make.activation(activation, f"active_{size // 2}")(x)
        # A kernel of 4 at stride 2 covers each pixel equally often; 3 would leave a checkerboard.
        x = make.transposed(wider, 4, f"up_{size}", 2)(x)
    x = make.activation(activation, "active_28")(x)
    x = make.conv(1, 3, "logits", layer=fused.ConvToOne)(x)
    x_hat = layers.Activation("sigmoid", name="x_hat", dtype="float32")(x)
    return keras.Model(z, x_hat, name="decoder")


def conv_autoencoder(
    latent_dim=32,
    filters=(32, 64, 128),
    hidden=(256,),
    blocks=1,
    activation="silu",
    reconstruction="squared_error",
    seed=1,
    precision="float32",
):
    """Autoencoder of convolutions; encoder and decoder are those of `conv_vae`.

    Args:
        latent_dim: Size of the code z.
        filters: Numbers of channels of the three convolutions; the first two halve the image's sides.
        hidden: Sizes of the encoder's dense layers between them and the code.
        blocks: Number of residual blocks of the decoder at 7 x 7 and at 14 x 14.
        activation: Activation of the hidden layers.
        reconstruction: Either "squared_error" or "bernoulli".
        seed: Seeds the first weights.
        precision: Either "float32" or "mixed_bfloat16" (see `conv_vae`).

    Returns:
        An `Autoencoder`.
    """
    _check_conv_sizes(latent_dim, filters, hidden)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x")
    h = _conv_stack(make, x, filters, hidden, activation)
    z = make.dense(latent_dim, name="z", dtype="float32")(h)
    decoder = conv_decoder(latent_dim, filters, blocks, activation, seed + 500, precision)
    return Autoencoder(keras.Model(x, z, name="encoder"), decoder, reconstruction)


def conv_vae(
    latent_dim=32,
    filters=(32, 64, 128),
    hidden=(256,),
    blocks=1,
    activation="silu",
    likelihood="bernoulli",
    sigma=SIGMA_OF_SQUARED_ERROR,
    beta=1.0,
    seed=1,
    precision="float32",
):
    """VAE of convolutions with a residual decoder.

    With the default sizes: 2.2 million weights; 27 million multiply-adds an image, 6 of them in the encoder.

    Args:
        latent_dim: Size of the code z.
        filters: Numbers of channels of the three convolutions; the first two halve the image's sides.
        hidden: Sizes of the encoder's dense layers between them and the code.
        blocks: Number of residual blocks of the decoder at 7 x 7 and at 14 x 14.
        activation: Activation of the hidden layers.
        likelihood: One of `LIKELIHOODS`.
        sigma: Standard deviation of the fixed Gaussian, in pixel units.
        beta: Weight of the KL.
        seed: Seeds the first weights and the noise.
        precision: Either "float32", or "mixed_bfloat16": faster where the processor computes in bfloat16, many times
            slower where it does not (see `course.fast_precision`). Latents and losses stay float32.

    Returns:
        A `VAE`.
    """
    _check_conv_sizes(latent_dim, filters, hidden)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x")
    h = _conv_stack(make, x, filters, hidden, activation)
    z_mean = make.dense(latent_dim, name="z_mean", dtype="float32")(h)
    z_log_var = make.dense(latent_dim, name="z_log_var", dtype="float32")(h)
    encoder = keras.Model(x, [z_mean, z_log_var], name="encoder")
    decoder = conv_decoder(latent_dim, filters, blocks, activation, seed + 500, precision)
    return VAE(encoder, decoder, likelihood, sigma, beta, seed=seed)
