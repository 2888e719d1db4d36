"""Encoders, decoders, `Autoencoder`, `VAE`, `ConditionalVAE`.

Every model is an encoder and a decoder, two ordinary Keras models, plus one loss. Images are
float32 ``(B, 28, 28, 1)`` in [0, 1]; codes are float32 ``(B, latent_dim)``. Numpy goes in and
numpy comes out of `encode`, `decode`, `reconstruct` and `sample`; Keras' own `compile`, `fit` and
`evaluate` work as on any model, with losses in nats per image.
"""

import functools
import inspect
import itertools
import math
import numbers

import numpy as np

from helpers import losses, seeds
from helpers.dataset import IMAGE_SHAPE, Split, check_images, check_inputs, pieces
from helpers.machinery import fused
from helpers.machinery.backend import checked_pixels, keras, layers, ops

LIKELIHOODS = ("bernoulli", "gaussian", "optimal_gaussian", "continuous_bernoulli")
# An encoder goes on in straight lines far from what it was trained on, and can state a standard deviation of e^300 for
# an inverted garment. Its log variance is kept to where float32 can count; garments lie between -13 and 1.
LOG_VAR_RANGE = (-80.0, 20.0)
NO_LABEL = -1  # the label of an image whose class is not told
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


def run_in_batches(function, array, batch_size=100, beside=None):
    """Call a Keras model on an array piece by piece, so that memory stays bounded.

    Args:
        function: Function that takes a batch and returns a tensor or a list of tensors, whose first axis is the batch.
        array: Array (n, ...), or a `dataset.Split`, of which one batch at a time becomes floats.
        batch_size: Number of images in a call.
        beside: Second array (n, ...), pieces of which the function gets as its second argument; None gives it one.

    Returns:
        A numpy array, or a tuple of arrays, with first axis n.
    """
    n = len(array)
    if not n:  # TensorFlow's convolutions fail on an empty batch: ask for one row, keep none
        array = array.images if isinstance(array, Split) else array
        if beside is not None:
            beside = np.zeros((1, *beside.shape[1:]), beside.dtype)
        one = run_in_batches(function, np.zeros((1, *array.shape[1:]), array.dtype), batch_size, beside)
        return tuple(part[:0] for part in one) if isinstance(one, tuple) else one[:0]
    if isinstance(array, Split):
        batches = pieces(array, batch_size)
    else:
        batches = (array[i : i + batch_size] for i in range(0, n, batch_size))
    columns = None
    for i, batch in enumerate(batches):
        found = function(batch) if beside is None else function(batch, beside[i * batch_size :][: len(batch)])
        several = isinstance(found, (list, tuple))
        parts = [ops.convert_to_numpy(part) for part in (found if several else [found])]
        columns = columns or [np.empty((n, *part.shape[1:]), part.dtype) for part in parts]
        for column, part in zip(columns, parts, strict=True):
            column[i * batch_size : i * batch_size + len(part)] = part
    return tuple(columns) if several else columns[0]


def _checked(images):
    """Images as `check_images` wants them, or a Split as it is, whose pieces are checked one by one."""
    return images if isinstance(images, Split) else check_images(images)


def _check_parts(encoder, decoder, codes, conditional):
    """Build the two parts where they wait for their first input; raise ValueError unless they fit each other."""
    label = [()] if conditional else []
    for part, name, size in ((encoder, "encoder", IMAGE_SHAPE), (decoder, "decoder", None)):
        if not isinstance(part, keras.Model):
            raise ValueError(f"{name} is a {type(part).__name__}; expected a Keras model.")
        if isinstance(part, keras.Sequential) and not part.built:
            part.build((None, *(size or encoder.outputs[0].shape[1:])))
        if not hasattr(part, "get_layer") or not getattr(part, "outputs", None):
            raise ValueError(
                f"{name} is a {type(part).__name__} whose layers cannot be looked through; "
                "make it with keras.Sequential or keras.Model(inputs, outputs)."
            )
    if [tuple(x.shape[1:]) for x in encoder.inputs] not in ([IMAGE_SHAPE], [IMAGE_SHAPE, *label]):
        wanted = f"one image, {IMAGE_SHAPE}" + (", and perhaps a label, ()" if conditional else "")
        raise ValueError(f"encoder takes {_sizes(encoder.inputs)}; expected {wanted}.")
    found = [tuple(z.shape[1:]) for z in encoder.outputs]
    if len(found) != codes or len(set(found)) != 1 or len(found[0]) != 1:
        wanted = "z_mean and z_log_var, two outputs (latent_dim,)" if codes == 2 else "z, one output (latent_dim,)"
        raise ValueError(f"encoder gives {_sizes(encoder.outputs)}; expected {wanted}.")
    if [tuple(z.shape[1:]) for z in decoder.inputs] != [found[0], *label]:
        wanted = f"codes {found[0]}" + ("; a label, (), comes second" if conditional else "")
        raise ValueError(f"decoder takes {_sizes(decoder.inputs)}; the encoder gives {wanted}.")
    if [tuple(x.shape[1:]) for x in decoder.outputs] != [IMAGE_SHAPE]:
        raise ValueError(f"decoder gives {_sizes(decoder.outputs)}; expected one image, {IMAGE_SHAPE}.")
    last = decoder.layers[-1]
    if last.name != "x_hat" or not isinstance(last, layers.Activation):
        raise ValueError(
            f"decoder ends in {type(last).__name__} {last.name!r}; exact losses need what comes before the activation. "
            'Let it end in keras.layers.Activation("sigmoid", name="x_hat").'
        )


def _is_array(value):
    """Whether images lie in memory, as an array, a list or a tensor, and not in a pipeline."""
    return isinstance(value, (list, tuple)) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def _to_numpy(value):
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else value


def _sizes(tensors):
    return " and ".join(str(tuple(tensor.shape[1:])) for tensor in tensors)


def _policy_of(*parts):
    """Dtype policy of a model of these parts: float32, so that the reader's global settings do not count.

    Layers that compute in float16 need the loss scaled, and Keras does that where the model says so.

    Raises:
        ValueError: A layer keeps its weights in half precision, in which small steps of an optimizer vanish.
    """
    found = [layer for part in parts for layer in part._flatten_layers(include_self=False)]
    # Inputs and models within, which compute nothing themselves, have the dtype of the reader's settings.
    found = [layer for layer in found if not isinstance(layer, (layers.InputLayer, keras.Model))]
    for layer in found:
        if layer.weights and layer.variable_dtype in ("float16", "bfloat16"):
            raise ValueError(
                f"layer {layer.name} keeps its weights in {layer.variable_dtype}, in which most steps of a training "
                f"vanish. Choose dtype='mixed_{layer.variable_dtype}': half precision to compute, float32 to keep."
            )
    return "mixed_float16" if any(layer.compute_dtype == "float16" for layer in found) else "float32"


class _LatentModel(keras.Model):
    """What `Autoencoder` and `VAE` share: an encoder, a decoder, Keras' contract, and numpy at the door."""

    is_variational = False
    is_conditional = False

    def __init__(self, encoder, decoder, name=None, dtype=None, trainable=True):
        _check_parts(encoder, decoder, codes=2 if self.is_variational else 1, conditional=self.is_conditional)
        super().__init__(name=name, dtype=dtype or _policy_of(encoder, decoder), trainable=trainable)
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = int(decoder.inputs[0].shape[-1])
        self.pixels_are_checked = False  # `training.fit` has looked at all images before
        # The decoder in two steps, for exact losses from logits. Kept as functions, because Keras
        # would count the weights of a second model that shares them.
        output = decoder.layers[-1]
        inputs = decoder.inputs if self.is_conditional else decoder.inputs[0]
        logits = keras.Model(inputs, output.input).__call__
        self._decoder_logits = lambda z, training: ops.cast(logits(z, training=training), "float32")
        self._output = output.__call__
        self._compiled_decoder = self.compile_again = None
        self._watchers = ()

    def build(self, input_shape):
        self.built = True  # encoder and decoder are built already
        for model in (self, self.encoder, self.decoder):
            model._called = True  # all shapes are known: Keras' export need not wait for a first call

    def get_config(self):
        """All that `from_config` needs to build the model again, untrained, as a dict that JSON can hold."""
        parts = {part: keras.saving.serialize_keras_object(getattr(self, part)) for part in ("encoder", "decoder")}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            part: keras.saving.deserialize_keras_object(config[part], custom_objects) for part in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, *args, **kwargs):
        """Configure training as any Keras model, but for the loss, which the model has by itself.

        Metrics compare the target with the image that is shown.

        Args:
            optimizer: As in Keras.
            loss: None.
            loss_weights: None.
            *args: Further positional arguments of ``keras.Model.compile``.
            **kwargs: Further named arguments of ``keras.Model.compile``.

        Raises:
            ValueError: A loss or its weights are given.
        """
        if loss is not None or loss_weights is not None:
            raise ValueError(
                f"compile got a loss ({loss!r}, loss_weights {loss_weights!r}), but this model has its own: "
                f"{self._own_loss()}. Leave it out. To look at another criterion beside it, give metrics=[...]."
            )
        self._compile_metrics = None  # Keras keeps those of an earlier call
        super().compile(optimizer, None, None, *args, **kwargs)
        # Keras takes the reader's floatx; and it tracks no such part of a model that is built, therefore not `self.`
        object.__setattr__(self, "_loss_tracker", keras.metrics.Mean(name="loss", dtype="float32"))
        # A function, because Keras would look for an optimizer's state in a dict too.
        self.compile_again = functools.partial(self.compile, optimizer, None, None, *args, **kwargs)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """Train as ``keras.Model.fit`` does; images must lie in [0, 1], and targets, if any, are images too.

        Args:
            *args: Positional arguments of ``keras.Model.fit``.
            **kwargs: Named arguments of ``keras.Model.fit``.

        Returns:
            Keras' History.

        Raises:
            ValueError: Images are not those of `dataset.check_images`, or class_weight is given.
        """
        given = self._check_arguments(super().fit, args, kwargs)
        if "shuffle" not in given and hasattr(given.get("x"), "element_spec"):
            kwargs["shuffle"] = False  # Keras warns of its own default, which a tf.data.Dataset ignores
        for watch in self._watchers:
            watch(True)
        try:
            return super().fit(*args, **kwargs)
        finally:
            for watch in self._watchers:
                watch(False)

    def watch_training(self, watch):
        """Ask to be told when `fit` begins to change the weights, and when they rest again.

        Args:
            watch: Function of one bool: whether the model is in training now. `fit` calls it in its own thread.
        """
        self._watchers = (*self._watchers, watch)

    def evaluate(self, *args, **kwargs):
        """Measure the loss as ``keras.Model.evaluate`` does, with what `fit` asks of images.

        Args:
            *args: Positional arguments of ``keras.Model.evaluate``.
            **kwargs: Named arguments of ``keras.Model.evaluate``.

        Returns:
            As in Keras.
        """
        self._check_arguments(super().evaluate, args, kwargs)
        return super().evaluate(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        """Take one step as ``keras.Model.train_on_batch`` does, with what `fit` asks of images.

        Args:
            *args: Positional arguments of ``keras.Model.train_on_batch``.
            **kwargs: Named arguments of ``keras.Model.train_on_batch``.

        Returns:
            As in Keras.
        """
        self._check_arguments(super().train_on_batch, args, kwargs)
        return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        """Measure one batch as ``keras.Model.test_on_batch`` does, with what `fit` asks of images.

        Args:
            *args: Positional arguments of ``keras.Model.test_on_batch``.
            **kwargs: Named arguments of ``keras.Model.test_on_batch``.

        Returns:
            As in Keras.
        """
        self._check_arguments(super().test_on_batch, args, kwargs)
        return super().test_on_batch(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """Run images through the model as ``keras.Model.predict`` does; they may be noisy, but not bytes.

        Args:
            *args: Positional arguments of ``keras.Model.predict``.
            **kwargs: Named arguments of ``keras.Model.predict``.

        Returns:
            Dict of arrays: what `call` gives.
        """
        self._check_arguments(super().predict, args, kwargs, has_target=False)
        return super().predict(*args, **kwargs)

    def _check_arguments(self, method, args, kwargs, has_target=True):
        """Look at the arrays among the arguments of a method of Keras before anything is done with them."""
        given = inspect.signature(method).bind(*args, **kwargs).arguments
        if given.get("class_weight") is not None:
            raise ValueError(
                "class_weight needs labels as targets, and those of this model are images. "
                "Give each image its weight: sample_weight=weight_of_class[labels]."
            )
        pairs = {"": (given.get("x"), given.get("y"))}
        if isinstance(given.get("validation_data"), (tuple, list)):
            pairs["validation_data: "] = (*given["validation_data"][:2], None)[:2]
        for name, (x, y) in pairs.items():
            try:
                self._check_arrays(x, y, has_target)
            except ValueError as error:
                raise ValueError(f"{name}{error}") from error
        return given

    def _check_arrays(self, x, y, has_target):
        """Look at what `fit` and the like are given as ``x`` and ``y``, where these are arrays."""
        if _is_array(y):
            check_images(_to_numpy(y), name="targets")
        if _is_array(x):
            check_inputs(_to_numpy(x)) if y is not None or not has_target else check_images(_to_numpy(x))

    def _images_of(self, x):
        """The images of what the model is called with."""
        return x

    def _target(self, x, y, x_hat):
        """Images that the model is to give back, looked at where they come from a pipeline."""
        target = self._images_of(x) if y is None else y
        if len(target.shape) != len(x_hat.shape):
            raise ValueError(
                f"{'images' if y is None else 'targets'} have shape {tuple(target.shape)}; expected (B, 28, 28, 1). "
                "A target is an image: leave labels out."
            )
        return target if self.pixels_are_checked else checked_pixels(ops.cast(target, "float32"))

    def _total(self, per_image, sample_weight):
        """Mean of a loss per image, each with its weight, and the penalties that layers add."""
        if sample_weight is not None:
            per_image = per_image * sample_weight
        total = ops.mean(per_image)
        penalties = [ops.sum(ops.cast(loss, "float32")) for loss in self.losses]
        return total + sum(penalties) if penalties else total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Let metrics given to `compile` compare the target with the image that is shown; as in Keras otherwise.

        Args:
            x: Images, (B, 28, 28, 1).
            y: Targets, or None where they are the images.
            y_pred: What `call` gave.
            sample_weight: Weights of the images, (B,), or None.
        """
        target, shown = self._images_of(x) if y is None else y, self.image_from_logits(y_pred["logits"])
        return super().compute_metrics(x, ops.cast(target, "float32"), shown, _weights(sample_weight))

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

    def image_from_logits(self, logits):
        """Turn logits into the mean of p(x | z), the image that is shown; a tensor, (n, 28, 28, 1).

        It is what the decoder gives, but for the continuous Bernoulli, whose mean is nearer to 1/2 than its parameter.
        """
        return self._output(logits)

    def _image_of(self, z):
        return self.image_from_logits(self.logits(z))

    def decode_on_batch(self, z):
        """Do what `decode` does in one call that Keras compiles the first time: for sliders, which wait for it.

        Args:
            z: Codes, float32 (n, latent_dim).

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].
        """
        if self._compiled_decoder is None:
            codes = self.decoder.inputs[0]
            # Its method alone is kept, because Keras would count the weights of a second model that shares them.
            self._compiled_decoder = keras.Model(codes, self._image_of(codes)).predict_on_batch
        return self._compiled_decoder(z)

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
        if n != 0 and not _is_size(n):
            raise ValueError(f"n is {n!r}; expected a whole number from 0.")
        z = seeds.generator(seed).standard_normal((n, self.latent_dim))
        return self.decode(z)

    def weight_arrays(self):
        """All trained numbers as a dict of name to numpy array: what a checkpoint stores."""
        return {key: ops.convert_to_numpy(variable) for key, variable in self.weight_variables().items()}

    def weight_variables(self):
        """All trained Keras variables as a dict; names are stable between runs."""
        return {
            f"{name}/{i:02d}/{variable.path.split('/', 1)[-1]}": variable
            for name, part in (("encoder", self.encoder), ("decoder", self.decoder))
            for i, variable in enumerate(part.weights)
        }


@keras.saving.register_keras_serializable("wardrobe")
class Autoencoder(_LatentModel):
    """An encoder and a decoder trained to give back the input, or a target given beside it.

    `fit` and `evaluate` report ``loss`` (nats per image: squared error or Bernoulli, summed over pixels, and what
    layers add, such as an activity regularizer) and ``mse`` (per pixel).

    Args:
        encoder: Keras model from image to z (B, latent_dim).
        decoder: Keras model from z to image; its last layer is an Activation named ``x_hat``.
        reconstruction: Either ``"squared_error"`` or ``"bernoulli"``.
        name: Name of the Keras model.
        dtype: Dtype policy of the model itself; None takes float32, or mixed_float16 where a layer computes in float16.
        trainable: Whether its weights are trained.

    Raises:
        ValueError: The parts do not fit each other, or reconstruction is neither of the two.
    """

    def __init__(
        self, encoder, decoder, reconstruction="squared_error", name="autoencoder", dtype=None, trainable=True
    ):
        super().__init__(encoder, decoder, name, dtype, trainable)
        if reconstruction not in ("squared_error", "bernoulli"):
            raise ValueError(f"reconstruction is {reconstruction!r}; choose 'squared_error' or 'bernoulli'.")
        self.reconstruction = reconstruction
        self.mse_tracker = keras.metrics.Mean(name="mse", dtype="float32")
        self.build((None, *IMAGE_SHAPE))

    def get_config(self):
        return {**super().get_config(), "reconstruction": self.reconstruction}

    def _own_loss(self):
        return f"reconstruction={self.reconstruction!r}, chosen as it is built"

    def call(self, x, training=None):
        logits = self._decoder_logits(self.encoder(x, training=training), training=training)
        return {"x_hat": self._output(logits), "logits": logits}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the batch of the reconstruction loss and what layers add; ``y`` replaces ``x`` as target."""
        target = self._target(x, y, y_pred["x_hat"])
        error = losses.squared_error(target, y_pred["x_hat"])
        self.mse_tracker.update_state(error / math.prod(IMAGE_SHAPE))
        if self.reconstruction == "bernoulli":
            error = losses.bernoulli_from_logits(target, y_pred["logits"])
        return self._total(error, _weights(sample_weight))

    def encode(self, images):
        """Codes of images: float32 (n, latent_dim) from (n, 28, 28, 1) in [0, 1], or from a `dataset.Split`."""
        return run_in_batches(lambda x: self.encoder(x, training=False), _checked(images))


@keras.saving.register_keras_serializable("wardrobe")
class VAE(_LatentModel):
    """Variational autoencoder: the encoder gives a normal distribution over codes.

    The loss is the negative ELBO, -log p(x | z) + beta * KL(q(z | x) || N(0, I)), in nats per image,
    one z drawn per image. `fit` and `evaluate` report ``loss``, its parts ``reconstruction`` and
    ``kl``, and ``negative_elbo``, the loss at beta = 1 by which every model is judged. What layers add, such as a
    regularizer, is in ``loss`` alone; weights of images are in all four.

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
        dtype: Dtype policy of the model itself; None takes float32, or mixed_float16 where a layer computes in float16.
        trainable: Whether its weights are trained.
        free_bits: Nats that each latent may say without paying: ``loss`` charges a latent for the mean of its KL over
            the batch, or for this number where that mean is smaller (Kingma et al. 2016, see
            `losses.kl_below_free_bits`). What is reported as ``kl`` and ``negative_elbo`` is charged in full.

    Raises:
        ValueError: The parts do not fit each other, or an argument is out of range.
    """

    is_variational = True

    def __init__(
        self,
        encoder,
        decoder,
        likelihood="bernoulli",
        sigma=SIGMA_OF_SQUARED_ERROR,
        beta=1.0,
        seed=1,
        name="vae",
        dtype=None,
        trainable=True,
        free_bits=0.0,
    ):
        super().__init__(encoder, decoder, name, dtype, trainable)
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood is {likelihood!r}; choose one of {', '.join(LIKELIHOODS)}.")
        if not _is_finite(sigma) or not sigma > 0:
            raise ValueError(f"sigma is {sigma!r}; a standard deviation must be positive.")
        if not _is_finite(beta) or beta < 0:
            raise ValueError(f"beta is {beta!r}; the weight of the KL is a number from 0.")
        if not _is_finite(free_bits) or free_bits < 0:
            raise ValueError(f"free_bits is {free_bits!r}; a latent's free nats are a number from 0.")
        self.likelihood, self.seed, self.free_bits = likelihood, seeds.check_seed(seed), float(free_bits)
        self.beta = self.add_weight(name="beta", shape=(), initializer="zeros", trainable=False, dtype="float32")
        self.sigma = self.add_weight(name="sigma", shape=(), initializer="zeros", trainable=False, dtype="float32")
        self.beta.assign(beta)
        self.sigma.assign(sigma)
        self.noise = keras.random.SeedGenerator(self.seed)
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction", dtype="float32")
        self.kl_tracker = keras.metrics.Mean(name="kl", dtype="float32")
        self.negative_elbo_tracker = keras.metrics.Mean(name="negative_elbo", dtype="float32")
        if not self.is_conditional:  # which has more parts to come, and Keras takes none once a model is built
            self.build((None, *IMAGE_SHAPE))

    def get_config(self):
        numbers = {name: float(ops.convert_to_numpy(getattr(self, name))) for name in ("sigma", "beta")}
        config = {**super().get_config(), "likelihood": self.likelihood, **numbers, "seed": self.seed}
        return {**config, "free_bits": self.free_bits}

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["noise"] = ops.convert_to_numpy(self.noise.state)  # which Keras leaves out: a training goes on with it

    def load_own_variables(self, store):
        stored = {name: store[name] for name in store.keys()}  # noqa: SIM118  no dict, only like one
        noise = stored.pop("noise", None)
        super().load_own_variables(stored)
        if noise is not None:
            self.noise.state.assign(noise)

    def _own_loss(self):
        return f"likelihood={self.likelihood!r} and beta, chosen as it is built"

    def reparameterize(self, z_mean, z_log_var):
        """Draw z = z_mean + exp(z_log_var / 2) * noise, one draw per image.

        Args:
            z_mean: Means, (B, latent_dim).
            z_log_var: Logarithms of the variances, (B, latent_dim).

        Returns:
            Codes, a tensor (B, latent_dim).
        """
        noise = keras.random.normal(ops.shape(z_mean), dtype=z_mean.dtype, seed=self.noise)
        return z_mean + ops.exp(0.5 * z_log_var) * noise

    def _posterior(self, x, training):
        z_mean, z_log_var = self.encoder(x, training=training)
        return z_mean, ops.clip(z_log_var, *LOG_VAR_RANGE)

    def call(self, x, training=None):
        z_mean, z_log_var = self._posterior(x, training)
        z = self.reparameterize(z_mean, z_log_var)
        logits = self._decoder_logits(z, training=training)
        return {"z_mean": z_mean, "z_log_var": z_log_var, "z": z, "logits": logits, "x_hat": self._output(logits)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the batch of reconstruction + beta * KL and what layers add; ``y`` replaces ``x`` as target.

        With ``free_bits`` the KL of a latent counts as that number where it is smaller.
        """
        target, weights = self._target(x, y, y_pred["x_hat"]), _weights(sample_weight)
        if self.likelihood == "optimal_gaussian" and training:
            batch_sigma = ops.stop_gradient(losses.optimal_sigma(target, y_pred["x_hat"], weights))
            self.sigma.assign(0.95 * self.sigma + 0.05 * batch_sigma)
            reconstruction = losses.gaussian(target, y_pred["x_hat"], batch_sigma)
        else:
            reconstruction = self.reconstruction_loss(target, y_pred["logits"])
        posterior = self._relative_to_prior(y_pred)
        kl = losses.kl(*posterior)
        for tracker, part in (
            (self.reconstruction_tracker, reconstruction),
            (self.kl_tracker, kl),
            (self.negative_elbo_tracker, reconstruction + kl),
        ):
            tracker.update_state(part if weights is None else part * weights)
        total = self._total(reconstruction + self.beta * kl, weights)
        if self.free_bits:
            unused = losses.kl_below_free_bits(*posterior, self.free_bits, weights)
            total = total + self.beta * unused
        return total

    def _relative_to_prior(self, y_pred):
        """Mean and log variance of the posterior in units of a prior N(0, I)."""
        return y_pred["z_mean"], y_pred["z_log_var"]

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
            return losses.continuous_bernoulli_from_logits(x, logits)
        return losses.gaussian(x, self._output(logits), self.sigma)

    def encode(self, images):
        """Posterior of images.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1], or a `dataset.Split`.

        Returns:
            Tuple (z_mean, z_log_var), each float32 (n, latent_dim). The standard deviation is exp(z_log_var / 2). The
            log variance is kept to `LOG_VAR_RANGE`, which only images far from all garments reach.
        """
        return run_in_batches(lambda x: self._posterior(x, training=False), _checked(images))

    def image_from_logits(self, logits):
        if self.likelihood == "continuous_bernoulli":
            return losses.continuous_bernoulli_mean_from_logits(logits)
        return super().image_from_logits(logits)

    def weight_variables(self):
        return super().weight_variables() | {"sigma": self.sigma}


@keras.saving.register_keras_serializable("wardrobe")
class OneHot(layers.Layer):
    """Class indices (B,) to (B, classes): 1 at the class, 0 elsewhere; `NO_LABEL` is 0 everywhere.

    Args:
        classes: Number of classes.
        **kwargs: Arguments of ``keras.layers.Layer``.
    """

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes

    def call(self, labels):
        return ops.cast(ops.equal(ops.expand_dims(labels, -1), ops.arange(self.classes)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.classes)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable("wardrobe")
class ConditionalVAE(VAE):
    """VAE that is told the class: q(z | x, y) and p(x | z, y), trained on a bound of log p(x | y).

    Inputs of `call`, `fit`, `evaluate` and `predict` are pairs, ``fit((images, labels))``; ``y`` stays the target, as
    for every model here. What is reported is that of `VAE`, the bound being conditional: it may not be compared with
    that of a VAE before the price of the label, log of the number of classes, is added.

    Sources: Kingma, Rezende, Mohamed, Welling, "Semi-supervised learning with deep generative models" (2014), whose M2
    with all labels given this is; Sohn, Lee, Yan, "Learning structured output representation using deep conditional
    generative models" (2015) for a prior that depends on the condition; Ho, Salimans, "Classifier-free diffusion
    guidance" (2022) for one net with and without the condition.

    Args:
        encoder: Keras model from an image, or from an image and a label, to [z_mean, z_log_var], each (B, latent_dim).
        decoder: Keras model from z and a label (B,) to an image; its last layer is an Activation named ``x_hat``.
        prior: Keras model from a label (B,) to mean and log variance of p(z | y), each (B, latent_dim); None is
            N(0, I) for every class.
        classes: Number of classes; labels are whole numbers from 0 below it.
        label_dropout: Share of the images of a training step whose label becomes `NO_LABEL`, so that the net learns to
            do without; 0 never hides it.
        likelihood: As for `VAE`.
        sigma: As for `VAE`.
        beta: As for `VAE`.
        seed: Seeds the noise in z, and which labels are hidden.
        name: Name of the Keras model.
        dtype: As for `VAE`.
        trainable: Whether its weights are trained.
        free_bits: As for `VAE`.

    Raises:
        ValueError: The parts do not fit each other, or an argument is out of range.
    """

    is_conditional = True

    def __init__(
        self,
        encoder,
        decoder,
        prior=None,
        classes=10,
        label_dropout=0.0,
        likelihood="bernoulli",
        sigma=SIGMA_OF_SQUARED_ERROR,
        beta=1.0,
        seed=1,
        name="conditional_vae",
        dtype=None,
        trainable=True,
        free_bits=0.0,
    ):
        super().__init__(encoder, decoder, likelihood, sigma, beta, seed, name, dtype, trainable, free_bits)
        if not _is_size(classes):
            raise ValueError(f"classes is {classes!r}; expected a whole number from 1.")
        if not _is_finite(label_dropout) or not 0 <= label_dropout < 1:
            raise ValueError(f"label_dropout is {label_dropout!r}; a share of images is a number from 0 below 1.")
        if prior is not None:
            found = [tuple(part.shape[1:]) for part in (*prior.inputs, *prior.outputs)]
            if found != [(), (self.latent_dim,), (self.latent_dim,)]:
                raise ValueError(
                    f"prior takes {_sizes(prior.inputs)} and gives {_sizes(prior.outputs)}; expected a label, (), and "
                    f"two outputs, ({self.latent_dim},)."
                )
            prior._called = True
        self.prior, self.classes, self.label_dropout = prior, int(classes), float(label_dropout)
        self._encoder_sees_label = len(encoder.inputs) == 2
        self.build([(None, *IMAGE_SHAPE), (None,)])

    def get_config(self):
        prior = None if self.prior is None else keras.saving.serialize_keras_object(self.prior)
        return {**super().get_config(), "prior": prior, "classes": self.classes, "label_dropout": self.label_dropout}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that `get_config` described, untrained.

        Args:
            config: Dict from `get_config`.
            custom_objects: Dict of name to class or function, for layers that are not registered with Keras.
        """
        if config["prior"] is not None:
            prior = keras.saving.deserialize_keras_object(config["prior"], custom_objects)
            config = {**config, "prior": prior}
        return super().from_config(config, custom_objects)

    def weight_variables(self):
        prior = [] if self.prior is None else self.prior.weights
        named = {f"prior/{i:02d}/{variable.path.split('/', 1)[-1]}": variable for i, variable in enumerate(prior)}
        return super().weight_variables() | named

    def _check_arrays(self, x, y, has_target):
        if not _is_array(x) and not isinstance(x, dict):  # a pipeline
            return super()._check_arrays(x, y, has_target)
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            raise ValueError(
                "this model is told the class of each image: give both as one input, such as fit((images, labels))."
            )
        super()._check_arrays(x[0], y, has_target)
        return self._checked_labels(_to_numpy(x[1]), len(x[0]))

    def _checked_labels(self, labels, n):
        """Labels as int32 (n,), or an error that says what is wrong with them; one label stands for n equal ones."""
        labels = np.asarray(labels)
        if labels.shape == (n, 1):
            labels = labels[:, 0]
        if labels.dtype.kind not in "iu" or labels.shape not in ((), (n,)):
            raise ValueError(
                f"labels are {labels.dtype} of shape {labels.shape}; expected one class index, a whole number, for "
                f"each of {n:,} images."
            )
        least = NO_LABEL if self.label_dropout else 0
        if labels.size and not least <= labels.min() <= labels.max() < self.classes:
            untold = (
                ""
                if least or labels.min() != NO_LABEL
                else " A net that can do without labels has label_dropout above 0."
            )
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}; class indices go from 0 to {self.classes - 1}."
                f"{untold}"
            )
        return np.broadcast_to(labels.astype("int32"), (n,))

    def _with_labels(self, images, labels):
        """Images, looked at, and the label of each; those of a Split where none are given."""
        if labels is None and isinstance(images, Split):
            labels = images.labels
        if labels is None:
            raise ValueError("labels are missing: this model is told the class of each image.")
        images = _checked(images)
        return images, self._checked_labels(labels, len(images))

    def _images_of(self, x):
        return x[0]

    def _encoded(self, x, labels, training):
        z_mean, z_log_var = self.encoder([x, labels] if self._encoder_sees_label else x, training=training)
        return z_mean, ops.clip(z_log_var, *LOG_VAR_RANGE)

    def _prior_of(self, labels):
        """Mean and log variance of p(z | y), tensors (B, latent_dim)."""
        if self.prior is None:
            zeros = ops.zeros((ops.shape(labels)[0], self.latent_dim))
            return zeros, zeros
        mean, log_var = self.prior(labels)
        return mean, ops.clip(log_var, *LOG_VAR_RANGE)

    def call(self, x, training=None):
        images, labels = x
        labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
        if training and self.label_dropout:
            hidden = keras.random.uniform(ops.shape(labels), seed=self.noise) < self.label_dropout
            labels = ops.where(hidden, NO_LABEL, labels)
        z_mean, z_log_var = self._encoded(images, labels, training)
        z = self.reparameterize(z_mean, z_log_var)
        logits = self._decoder_logits([z, labels], training=training)
        found = {"z_mean": z_mean, "z_log_var": z_log_var, "z": z, "logits": logits, "x_hat": self._output(logits)}
        if self.prior is not None:
            found["prior_mean"], found["prior_log_var"] = self._prior_of(labels)
        return found

    def _relative_to_prior(self, y_pred):
        posterior = super()._relative_to_prior(y_pred)
        if self.prior is None:
            return posterior
        return losses.relative_to(*posterior, y_pred["prior_mean"], y_pred["prior_log_var"])

    def encode(self, images, labels=None):
        """Posterior of images of known class.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1], or a `dataset.Split`.
            labels: Class index of each image, (n,), or one for all; None takes those of a Split.

        Returns:
            Tuple (z_mean, z_log_var), as `VAE.encode`.

        Raises:
            ValueError: Images or labels are not such.
        """
        images, labels = self._with_labels(images, labels)
        return run_in_batches(lambda x, y: self._encoded(x, y, training=False), images, beside=labels)

    def code(self, images, labels=None):
        """Mean of the posterior of images of known class, float32 (n, latent_dim).

        Args:
            images: As for `encode`.
            labels: As for `encode`.
        """
        return self.encode(images, labels)[0]

    def decode(self, z, labels):
        """Turn codes into images of a class.

        Args:
            z: Codes, (n, latent_dim).
            labels: Class index of each image, (n,), or one for all.

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].

        Raises:
            ValueError: Codes or labels are not such.
        """
        z = check_codes(z, self.latent_dim)
        return run_in_batches(self._image_of, z, beside=self._checked_labels(labels, len(z)))

    def reconstruct(self, images, labels=None):
        """Decoded `code` of images, in their own class.

        Args:
            images: As for `encode`.
            labels: As for `encode`.
        """
        images, labels = self._with_labels(images, labels)
        return self.decode(self.code(images, labels), labels)

    def logits(self, z, labels):
        """The decoder's output before its sigmoid, a tensor (n, 28, 28, 1).

        Args:
            z: Codes, (n, latent_dim).
            labels: Class index of each, (n,).
        """
        return self._decoder_logits([z, labels], training=False)

    def _image_of(self, z, labels):
        return self.image_from_logits(self.logits(z, labels))

    def decode_on_batch(self, z, labels):
        """Do what `decode` does in one call that Keras compiles the first time: for sliders, which wait for it.

        Args:
            z: Codes, float32 (n, latent_dim).
            labels: Class indices, int32 (n,).

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].
        """
        if self._compiled_decoder is None:
            inputs = self.decoder.inputs
            self._compiled_decoder = keras.Model(inputs, self._image_of(*inputs)).predict_on_batch
        return self._compiled_decoder([z, labels])

    def sample(self, n, seed, labels=None):
        """Decode n codes drawn from the prior of their classes.

        Args:
            n: Number of images.
            seed: Integer; the same seed draws the same noise for every model of that latent_dim.
            labels: Class index of each image, (n,), or one for all; None takes the classes in turn, 0, 1, 2 and so on,
                so that all are equally frequent.

        Returns:
            Images, float32 (n, 28, 28, 1) in [0, 1].

        Raises:
            ValueError: An argument is out of range.
        """
        if n != 0 and not _is_size(n):
            raise ValueError(f"n is {n!r}; expected a whole number from 0.")
        labels = self._checked_labels(np.arange(n) % self.classes if labels is None else labels, n)
        noise = seeds.generator(seed).standard_normal((n, self.latent_dim))
        return self.decode(self.from_noise(noise, labels), labels)

    def from_noise(self, noise, labels):
        """Codes of a class from draws of N(0, I): mean + standard deviation * noise of its prior p(z | y).

        Args:
            noise: Array (n, latent_dim).
            labels: Class index of each code, (n,), or one for all.

        Returns:
            Codes, float32 (n, latent_dim); the noise itself where the prior is N(0, I).
        """
        mean, log_var = self._prior_arrays(self._checked_labels(labels, len(noise)))
        return (mean + np.exp(log_var / 2) * noise).astype("float32")

    def _prior_arrays(self, labels):
        if not len(labels):
            return np.zeros((2, 0, self.latent_dim), "float32")
        return [ops.convert_to_numpy(part) for part in self._prior_of(labels)]

    def of_class(self, label):
        """The same model with its class held fixed: to measures, pictures and sliders an ordinary VAE.

        Args:
            label: Class index, or `NO_LABEL` where the model can do without.

        Returns:
            A `VAEOfClass`.
        """
        return VAEOfClass(self, label)


class VAEOfClass:
    """A `ConditionalVAE` whose class is held fixed: an ordinary VAE with the prior N(0, I).

    Where the model has a prior p(z | y) of its own, codes here are those in its units, (z - mean) / standard deviation:
    KL, likelihood and images are the same, and one code means the same place within each class.

    Args:
        model: A `ConditionalVAE`; what it learns later counts here too.
        label: Class index, or `NO_LABEL` where the model can do without.

    Attributes:
        latent_dim: Size of the code.

    Raises:
        ValueError: There is no such class.
    """

    is_variational = True
    is_conditional = False

    def __init__(self, model, label):
        self._labels = functools.partial(model._checked_labels, label)
        self._labels(1)
        self.model, self.label, self.latent_dim = model, int(label), model.latent_dim

    @property
    def likelihood(self):
        """One of `LIKELIHOODS`."""
        return self.model.likelihood

    def encode(self, images):
        """Posterior of images as of this class: tuple (z_mean, z_log_var), as `VAE.encode`."""
        posterior = self.model.encode(images, self.label)
        prior = self.model._prior_arrays(self._labels(len(images)))
        return tuple(ops.convert_to_numpy(part) for part in losses.relative_to(*posterior, *prior))

    def code(self, images):
        """Mean of the posterior, float32 (n, latent_dim)."""
        return self.encode(images)[0]

    def decode(self, z):
        """Turn codes (n, latent_dim) into images of this class, float32 (n, 28, 28, 1) in [0, 1]."""
        z = check_codes(z, self.latent_dim)
        return self.model.decode(self.model.from_noise(z, self.label), self.label)

    def decode_on_batch(self, z):
        """Do what `decode` does in one call that Keras compiles the first time (see `VAE.decode_on_batch`)."""
        labels = self._labels(len(z))
        return self.model.decode_on_batch(self.model.from_noise(z, labels), labels)

    def logits(self, z):
        """The decoder's output before its sigmoid, a tensor (n, 28, 28, 1), from z (n, latent_dim)."""
        labels = self._labels(len(z))
        return self.model.logits(self.model.from_noise(z, labels), labels)

    def reconstruct(self, images):
        """Decoded `code` of images: float32 (n, 28, 28, 1) in [0, 1], from the same shape."""
        return self.decode(self.code(images))

    def sample(self, n, seed):
        """Decode n codes drawn from the prior of the class: float32 (n, 28, 28, 1) in [0, 1].

        Args:
            n: Number of images.
            seed: Seeds the codes.
        """
        return self.model.sample(n, seed, self.label)

    def image_from_logits(self, logits):
        """Turn logits into the image that is shown (see `VAE.image_from_logits`)."""
        return self.model.image_from_logits(logits)

    def reconstruction_loss(self, x, logits, likelihood=None):
        """Negative log-likelihood -log p(x | z, y), nats per image.

        Args:
            x: As for `VAE.reconstruction_loss`.
            logits: As for `VAE.reconstruction_loss`.
            likelihood: As for `VAE.reconstruction_loss`.
        """
        return self.model.reconstruction_loss(x, logits, likelihood)


def _is_finite(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1


def _check_sizes(latent_dim, hidden):
    if not _is_size(latent_dim):
        raise ValueError(f"latent_dim is {latent_dim!r}; expected a whole number from 1.")
    if not isinstance(hidden, (tuple, list)) or not all(map(_is_size, hidden)):
        raise ValueError(f"hidden is {hidden!r}; expected layer sizes, whole numbers from 1, such as (512, 256).")


def _check_conv_sizes(latent_dim, filters, hidden, blocks):
    _check_sizes(latent_dim, hidden)
    if not isinstance(filters, (tuple, list)) or len(filters) != 3 or not all(map(_is_size, filters)):
        raise ValueError(f"filters is {filters!r}; expected three whole numbers from 1, such as (32, 64, 128).")
    if blocks != 0 and not _is_size(blocks):
        raise ValueError(f"blocks is {blocks!r}; expected a whole number from 0.")


def _weights(sample_weight):
    """Weights of images as float32 (B,), or None."""
    if sample_weight is None:
        return None
    weights = ops.cast(sample_weight, "float32")
    if len(weights.shape) == 2 and weights.shape[1] == 1:
        weights = weights[:, 0]
    if len(weights.shape) != 1:
        raise ValueError(f"sample_weight has shape {tuple(weights.shape)}; expected one weight for each image, (B,).")
    return weights


class _Layers:
    """Makes layers whose first weights depend on one seed and on nothing else.

    Args:
        seed: Seeds the first weights.
        precision: Dtype policy of the layers: "float32", or "mixed_bfloat16", which computes in half precision and
            keeps float32 weights. Latents and losses are float32 in any case.
    """

    def __init__(self, seed, precision="float32"):
        seeds.check_seed(seed)
        if precision not in ("float32", "mixed_bfloat16"):
            raise ValueError(
                f"precision is {precision!r}; choose 'float32' or 'mixed_bfloat16'. Weights kept in half precision "
                "would hardly be trained, and float16 loses small gradients."
            )
        self.seeds = itertools.count(1000 * seed)
        self.precision = precision

    def _start(self):
        return keras.initializers.GlorotUniform(seed=next(self.seeds))

    def dense(self, units, activation=None, name=None, **kwargs):
        kwargs = {"dtype": self.precision, "kernel_initializer": self._start(), **kwargs}
        return layers.Dense(units, activation=activation, name=name, **kwargs)

    def conv(self, filters, size, name, stride=1, activation=None, layer=fused.Conv2D, **kwargs):
        # A format of its own, because the reader's keras.json may name another.
        kwargs = {
            "dtype": self.precision,
            "kernel_initializer": self._start(),
            "data_format": "channels_last",
            **kwargs,
        }
        return layer(filters, size, stride, padding="same", activation=_of_maps(activation), name=name, **kwargs)

    def transposed(self, filters, size, name, stride):
        return self.conv(filters, size, name, stride, layer=fused.Conv2DTranspose)

    def flat(self, name):
        return layers.Flatten(data_format="channels_last", name=name, dtype=self.precision)

    def activation(self, function, name):
        return layers.Activation(_of_maps(function), name=name, dtype=self.precision)


def _of_maps(activation):
    return fused.silu if activation == "silu" else activation


def _dense_stack(make, x, hidden, activation):
    for i, units in enumerate(hidden, start=1):
        x = make.dense(units, activation, name=f"hidden_{i}")(x)
    return x


def dense_decoder(latent_dim, hidden, activation="silu", output="sigmoid", seed=1, precision="float32", classes=None):
    """Decoder of dense layers: z (B, latent_dim) to an image (B, 28, 28, 1).

    Args:
        latent_dim: Size of the code.
        hidden: Layer sizes from the code outwards.
        activation: Activation of the hidden layers.
        output: Activation of the last layer: "sigmoid" keeps pixels in [0, 1]; "linear" does not.
        seed: Seeds the first weights.
        precision: Either "float32" or "mixed_bfloat16".
        classes: Number of classes whose label is a second input; None makes a decoder of z alone.
    """
    _check_sizes(latent_dim, hidden)
    make = _Layers(seed, precision)
    inputs, x = _code_and_label(make, latent_dim, classes)
    x = _dense_stack(make, x, hidden, activation)
    x = make.dense(math.prod(IMAGE_SHAPE), name="logits")(x)
    x = layers.Reshape(IMAGE_SHAPE, name="image", dtype=precision)(x)
    x_hat = layers.Activation(output, name="x_hat", dtype="float32")(x)
    return keras.Model(inputs, x_hat, name="decoder")


def _code_and_label(make, latent_dim, classes):
    """Inputs of a decoder, and what its first layer gets: z, or z with the label beside it."""
    z = keras.Input((latent_dim,), name="z", dtype="float32")
    if classes is None:
        return z, z
    label = keras.Input((), name="label", dtype="int32")
    return [z, label], _with_label(make, z, label, classes)


def _with_label(make, x, label, classes):
    """Vectors (B, k) with the one-hot label beside them, (B, k + classes)."""
    one_hot = OneHot(classes, name="one_hot", dtype=make.precision)(label)
    return layers.Concatenate(name="with_label", dtype=make.precision)([x, one_hot])


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
    x = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
    h = _dense_stack(make, make.flat("pixels")(x), hidden, activation)
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
    x = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
    make = _Layers(seed)
    z = make.dense(latent_dim, name="z")(make.flat("pixels")(x))
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
    free_bits=0.0,
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
        free_bits: Nats that each latent may say without paying (see `VAE`).

    Returns:
        A `VAE`.
    """
    _check_sizes(latent_dim, hidden)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
    h = _dense_stack(make, make.flat("pixels")(x), hidden, activation)
    z_mean = make.dense(latent_dim, name="z_mean", dtype="float32")(h)
    z_log_var = make.dense(latent_dim, name="z_log_var", dtype="float32")(h)
    encoder = keras.Model(x, [z_mean, z_log_var], name="encoder")
    decoder = dense_decoder(latent_dim, hidden[::-1], activation, seed=seed + 500, precision=precision)
    return VAE(encoder, decoder, likelihood, sigma, beta, seed=seed, free_bits=free_bits)


PRIORS = ("standard", "learned")


def dense_conditional_vae(
    latent_dim=10,
    hidden=(512, 256, 128),
    classes=10,
    activation="silu",
    label_to="both",
    prior="standard",
    label_dropout=0.0,
    likelihood="bernoulli",
    sigma=SIGMA_OF_SQUARED_ERROR,
    beta=1.0,
    seed=1,
    precision="float32",
    free_bits=0.0,
):
    """Conditional VAE of dense layers: those of `dense_vae`, with the one-hot label beside pixels and beside z.

    Args:
        latent_dim: Size of the code z.
        hidden: Layer sizes from the image inwards.
        classes: Number of classes.
        activation: Activation of the hidden layers.
        label_to: Either "both", or "decoder", where the encoder is not told the class.
        prior: Either "standard", N(0, I) for every class, or "learned": a mean and a variance of its own for each.
        label_dropout: Share of the images of a step whose label is hidden (see `ConditionalVAE`).
        likelihood: One of `LIKELIHOODS`.
        sigma: Standard deviation of the fixed Gaussian, in pixel units.
        beta: Weight of the KL.
        seed: Seeds the first weights and the noise.
        precision: Either "float32" or "mixed_bfloat16" (see `conv_vae`).
        free_bits: Nats that each latent may say without paying (see `VAE`).

    Returns:
        A `ConditionalVAE`.
    """
    _check_sizes(latent_dim, hidden)
    make, x, label = _Layers(seed, precision), *_image_and_label(classes, label_to, prior)
    h = make.flat("pixels")(x)
    if label_to == "both":
        h = _with_label(make, h, label, classes)
    h = _dense_stack(make, h, hidden, activation)
    encoder = _posterior_net(make, x, label, h, latent_dim, label_to)
    decoder = dense_decoder(latent_dim, hidden[::-1], activation, seed=seed + 500, precision=precision, classes=classes)
    return ConditionalVAE(
        encoder,
        decoder,
        _prior_net(latent_dim, classes, prior),
        classes,
        label_dropout,
        likelihood,
        sigma,
        beta,
        seed,
        free_bits=free_bits,
    )


def _image_and_label(classes, label_to, prior):
    """Inputs of a conditional encoder, once the arguments that concern labels are looked at."""
    if not _is_size(classes):
        raise ValueError(f"classes is {classes!r}; expected a whole number from 1.")
    if label_to not in ("both", "decoder"):
        raise ValueError(f"label_to is {label_to!r}; choose 'both' or 'decoder'.")
    if prior not in PRIORS:
        raise ValueError(f"prior is {prior!r}; choose one of {', '.join(PRIORS)}.")
    return keras.Input(IMAGE_SHAPE, name="x", dtype="float32"), keras.Input((), name="label", dtype="int32")


def _posterior_net(make, x, label, h, latent_dim, label_to):
    """Encoder from its inputs and its last hidden layer."""
    z_mean = make.dense(latent_dim, name="z_mean", dtype="float32")(h)
    z_log_var = make.dense(latent_dim, name="z_log_var", dtype="float32")(h)
    return keras.Model([x, label] if label_to == "both" else x, [z_mean, z_log_var], name="encoder")


def _prior_net(latent_dim, classes, prior):
    """Mean and log variance of p(z | y) for each class; all begin at N(0, I)."""
    if prior == "standard":
        return None
    label = keras.Input((), name="label", dtype="int32")
    one_hot = OneHot(classes, name="one_hot", dtype="float32")(label)
    parts = [
        layers.Dense(latent_dim, kernel_initializer="zeros", name=name, dtype="float32")(one_hot)
        for name in ("prior_mean", "prior_log_var")
    ]
    return keras.Model(label, parts, name="prior")


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


def _conv_stack(make, x, filters, hidden, activation, label=None, classes=None):
    """28 x 28 to 14 x 14 to 7 x 7, a third convolution at that size, then dense layers, which may see the label."""
    for i, (count, stride) in enumerate(zip(filters, (2, 2, 1), strict=True), start=1):
        x = make.conv(count, 3, f"conv_{i}", stride, activation)(x)
    x = make.flat("features")(x)
    if label is not None:
        x = _with_label(make, x, label, classes)
    return _dense_stack(make, x, hidden, activation)


def _residual(make, x, filters, activation, name):
    """Add to ``x`` what a 3 x 3 convolution to half of the channels and a 1 x 1 back make of it.

    Source: He, Zhang, Ren, Sun, "Identity mappings in deep residual networks" (2016).
    """
    h = make.activation(activation, f"{name}_in")(x)
    h = make.conv(max(filters // 2, 1), 3, f"{name}_conv", activation=activation)(h)
    h = make.conv(filters, 1, f"{name}_out")(h)
    return layers.Add(name=name, dtype=make.precision)([x, h])


def conv_decoder(
    latent_dim, filters=(32, 64, 128), blocks=1, activation="silu", seed=1, precision="float32", classes=None
):
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
        classes: Number of classes whose label is a second input; None makes a decoder of z alone.
    """
    _check_conv_sizes(latent_dim, filters, (), blocks)
    make = _Layers(seed, precision)
    inputs, x = _code_and_label(make, latent_dim, classes)
    x = make.dense(7 * 7 * filters[2], name="features")(x)
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
    return keras.Model(inputs, x_hat, name="decoder")


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
    _check_conv_sizes(latent_dim, filters, hidden, blocks)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
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
    free_bits=0.0,
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
        free_bits: Nats that each latent may say without paying (see `VAE`).

    Returns:
        A `VAE`.
    """
    _check_conv_sizes(latent_dim, filters, hidden, blocks)
    make = _Layers(seed, precision)
    x = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
    h = _conv_stack(make, x, filters, hidden, activation)
    z_mean = make.dense(latent_dim, name="z_mean", dtype="float32")(h)
    z_log_var = make.dense(latent_dim, name="z_log_var", dtype="float32")(h)
    encoder = keras.Model(x, [z_mean, z_log_var], name="encoder")
    decoder = conv_decoder(latent_dim, filters, blocks, activation, seed + 500, precision)
    return VAE(encoder, decoder, likelihood, sigma, beta, seed=seed, free_bits=free_bits)


def conv_conditional_vae(
    latent_dim=32,
    filters=(32, 64, 128),
    hidden=(256,),
    classes=10,
    blocks=1,
    activation="silu",
    label_to="both",
    prior="standard",
    label_dropout=0.0,
    likelihood="bernoulli",
    sigma=SIGMA_OF_SQUARED_ERROR,
    beta=1.0,
    seed=1,
    precision="float32",
    free_bits=0.0,
):
    """Conditional VAE of convolutions: `conv_vae` with the one-hot label beside the encoder's features and beside z.

    Args:
        latent_dim: Size of the code z.
        filters: Numbers of channels of the three convolutions; the first two halve the image's sides.
        hidden: Sizes of the encoder's dense layers between them and the code.
        classes: Number of classes.
        blocks: Number of residual blocks of the decoder at 7 x 7 and at 14 x 14.
        activation: Activation of the hidden layers.
        label_to: Either "both", or "decoder", where the encoder is not told the class.
        prior: Either "standard", N(0, I) for every class, or "learned": a mean and a variance of its own for each.
        label_dropout: Share of the images of a step whose label is hidden (see `ConditionalVAE`).
        likelihood: One of `LIKELIHOODS`.
        sigma: Standard deviation of the fixed Gaussian, in pixel units.
        beta: Weight of the KL.
        seed: Seeds the first weights and the noise.
        precision: Either "float32" or "mixed_bfloat16" (see `conv_vae`).
        free_bits: Nats that each latent may say without paying (see `VAE`).

    Returns:
        A `ConditionalVAE`.
    """
    _check_conv_sizes(latent_dim, filters, hidden, blocks)
    make, x, label = _Layers(seed, precision), *_image_and_label(classes, label_to, prior)
    h = _conv_stack(make, x, filters, hidden, activation, label if label_to == "both" else None, classes)
    encoder = _posterior_net(make, x, label, h, latent_dim, label_to)
    decoder = conv_decoder(latent_dim, filters, blocks, activation, seed + 500, precision, classes)
    return ConditionalVAE(
        encoder,
        decoder,
        _prior_net(latent_dim, classes, prior),
        classes,
        label_dropout,
        likelihood,
        sigma,
        beta,
        seed,
        free_bits=free_bits,
    )
