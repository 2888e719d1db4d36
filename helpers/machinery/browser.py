"""Networks for a page without Python: described as a list of steps, with packed weights; `decoder.js` runs them.

What cannot be described is refused here, in words, so that no page shows something else than the model.
"""

import base64
import html
import json
import re
import zlib
from pathlib import Path

import numpy as np

from helpers.machinery import fused
from helpers.machinery.backend import keras

_HERE = Path(__file__).resolve().parent
SCRIPT = (_HERE / "decoder.js").read_text(encoding="utf-8")
KERNEL = (_HERE / "kernel.wasm").read_bytes()

ACTIVATIONS = ("linear", "relu", "silu", "selu", "elu", "tanh", "sigmoid", "softplus")
_SHAPED = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Dropout, keras.layers.Identity)
_CONVOLUTIONS = (keras.layers.Conv2D, fused.Conv2D, fused.ConvToOne)
_TRANSPOSED = (keras.layers.Conv2DTranspose, fused.Conv2DTranspose)

_ONE_HOT = "wardrobe>OneHot"  # of models.py, by the name under which Keras knows it


class NotForThePage(ValueError):
    """A network that the page's script cannot run."""


def describe(part):
    """Steps of an encoder or decoder, in the order in which they are computed.

    Args:
        part: Keras functional model, such as ``model.decoder``; a class index may be a further input.

    Returns:
        List of dicts: kind, name, from (names of steps), shape (without the batch), activation, and for convolutions
        size and stride.

    Raises:
        NotForThePage: A layer, an activation or a setting that `decoder.js` does not know.
    """
    if not isinstance(part, keras.Model) or not hasattr(part, "operations"):
        raise NotForThePage(f"{part.name} is no functional Keras model.")
    return [_step(layer) for layer in part.operations]


def _step(layer):
    step = {"kind": _kind(layer), "name": layer.name, "shape": list(layer.output.shape[1:])}
    if step["kind"] == "input":
        return step
    if getattr(layer, "compute_dtype", "float32") != "float32":
        raise NotForThePage(f"Layer {layer.name} computes in {layer.compute_dtype}; the page computes in float32.")
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    step["from"] = [tensor._keras_history.operation.name for tensor in inputs]
    if hasattr(layer, "activation"):
        step["activation"] = _activation(layer)
    if step["kind"] in ("conv", "conv_transposed"):
        step |= {"size": _one(layer, "kernel_size"), "stride": _one(layer, "strides")}
        plain = layer.padding == "same" and layer.data_format == "channels_last" and _one(layer, "dilation_rate") == 1
        if not plain or getattr(layer, "groups", 1) != 1 or getattr(layer, "output_padding", None) is not None:
            raise NotForThePage(f"Layer {layer.name} needs padding 'same', channels last, no dilation and one group.")
    return step


def _kind(layer):
    kind = type(layer)
    if kind is keras.layers.InputLayer:
        return "input"
    if kind is keras.layers.Dense and len(layer.input.shape) == 2:
        return "dense"
    if kind in _CONVOLUTIONS:
        return "conv"
    if kind in _TRANSPOSED:
        return "conv_transposed"
    if kind is keras.layers.Add:
        return "add"
    if kind is keras.layers.Concatenate and len(layer.output.shape) == 2:
        return "concatenate"
    if keras.saving.get_registered_name(kind) == _ONE_HOT:
        return "one_hot"
    if kind is keras.layers.Activation or kind in _SHAPED:
        return "same"
    raise NotForThePage(f"Layer {layer.name} is a {kind.__name__}, which the page cannot run.")


def _one(layer, setting):
    values = set(getattr(layer, setting))
    if len(values) != 1:
        raise NotForThePage(
            f"Layer {layer.name} has {setting} {getattr(layer, setting)}; the page needs equal numbers."
        )
    return int(values.pop())


def _activation(layer):
    function = layer.activation
    name = "silu" if function is fused.silu else getattr(function, "__name__", repr(function))
    if name not in ACTIVATIONS or (name != "silu" and function is not keras.activations.get(name)):
        raise NotForThePage(f"Layer {layer.name} has the activation {name}, which the page does not know.")
    return name


def decoder_of(model):
    """The decoder of a model as a network that gives the images which the model shows.

    Args:
        model: A `models.Autoencoder`, a `models.VAE` or a `baselines.PCA`.

    Raises:
        NotForThePage: The model shows something else than its decoder gives, or has none of its own.
    """
    if not hasattr(model, "decoder"):
        raise NotForThePage("the model is one class of a conditional model.")
    if getattr(model, "likelihood", "bernoulli") == "continuous_bernoulli":
        raise NotForThePage("the model shows the mean of a continuous Bernoulli, which the page cannot compute.")
    return model.decoder


def network(part):
    """A network as a page needs it, with weights rounded to eight bits.

    Args:
        part: Keras model, such as ``model.decoder``.

    Returns:
        Dict: steps, arrays, content (weights, as text), and outputs (names of the steps that give the results).

    Raises:
        NotForThePage: The page cannot run it.
    """
    steps, outputs = describe(part), [tensor._keras_history.operation.name for tensor in part.outputs]
    arrays, content = _packed(weights_of(part))
    return {"steps": steps, "arrays": arrays, "content": text(content), "outputs": outputs}


def rounded(part):
    """A copy of a network with the weights that a page has.

    Args:
        part: Keras model, such as ``model.decoder``.
    """
    copy = keras.models.clone_model(part)
    for layer, original in zip(copy.layers, part.layers, strict=True):
        for variable, weight in zip(layer.weights, original.weights, strict=True):
            array = keras.ops.convert_to_numpy(weight)
            if array.ndim >= 2:
                whole, scale = _eight_bits(array)
                array = whole * scale
            variable.assign(array)
    return copy


def weights_of(part):
    """Weights of a network, as `decoder.js` looks for them.

    Args:
        part: Keras model, such as ``model.decoder``.

    Returns:
        Dict of ``layer/kernel`` and ``layer/bias`` to array.
    """
    found = {}
    for layer in part.layers:
        for variable in layer.weights:
            found[f"{layer.name}/{variable.name}"] = keras.ops.convert_to_numpy(variable)
    return found


def _packed(weights):
    """What lies where (name, shape, and scale or values), and the whole numbers of all matrices, deflated."""
    arrays, numbers = [], []
    for name, array in weights.items():
        about = {"name": name, "shape": list(array.shape)}
        if array.ndim < 2:
            arrays.append(about | {"values": _short(array)})
            continue
        whole, scale = _eight_bits(array)
        arrays.append(about | {"scale": _short(scale)})
        numbers.append(whole)
    return arrays, deflated(np.concatenate([array.ravel() for array in numbers])) if numbers else b""


def _short(array):
    """float32 numbers with as few digits as bring them back exactly."""
    return [float(str(value)) for value in array.astype("float32").ravel()]


def _eight_bits(array):
    """Whole numbers from -127 to 127, and one scale for each column (last axis)."""
    scale = np.abs(array).max(axis=tuple(range(array.ndim - 1))) / np.float32(127)
    scale = np.where(scale > 0, scale, 1).astype("float32")
    return np.rint(array / scale).astype("int8"), scale


def deflated(array):
    """Bytes of an array, deflated without a header.

    Args:
        array: Numpy array.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(np.ascontiguousarray(array).tobytes()) + packer.flush()


def text(content):
    """Bytes as text for a page: base 85, which has neither quotes nor slashes and takes a quarter more than the bytes.

    Args:
        content: Bytes.
    """
    return base64.b85encode(content).decode("ascii")


def page(data):
    """One HTML file that runs `page.js` on data, and asks nobody for anything.

    Args:
        data: What `page.js` reads as ``DATA``, but for the kernel; anything that JSON can hold.

    Returns:
        The page as text.
    """
    # "</" would end the script that holds the data.
    content = json.dumps(data | {"kernel": text(KERNEL)}, separators=(",", ":")).replace("</", "<\\/")
    parts = {
        "{title}": html.escape(data["title"]),
        "{style}": _read("page.css"),
        "{script}": SCRIPT + _read("page.js"),
        "{data}": content,
    }
    # In one go: what is put in is not looked through again.
    return re.sub("|".join(map(re.escape, parts)), lambda place: parts[place[0]], _read("page.html"))


def _read(name):
    return (_HERE / name).read_text(encoding="utf-8")
