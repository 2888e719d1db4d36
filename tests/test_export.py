"""Encoders and decoders in other formats give what the model gives: LiteRT, and ONNX where its packages are."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from helpers import checkpoints, course

CODES = 50
NETS = ["dense_vae_10", "dense_ae_18", "dense_vae_10_s0", "conv_vae_32", "conv_ae_32"]


def asked(name, part):
    """A part of a shipped model, fifty inputs for it, and what it makes of them, as a list of arrays."""
    model = checkpoints.load(name)
    codes = np.random.default_rng(1).standard_normal((CODES, model.latent_dim)).astype("float32")
    if part == "decoder":
        return model.decoder, codes, [model.decode(codes)]
    images = model.decode(codes)
    found = model.encode(images)
    return model.encoder, images, list(found) if model.is_variational else [found]


def by_litert(net, inputs, path):
    with course.quietly(), warnings.catch_warnings(action="ignore"):
        net.export(path, format="litert", verbose=False)
        interpreter = tf.lite.Interpreter(str(path))
        (place,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(place["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place["index"], inputs)
        interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def by_onnx(net, inputs, path):
    runtime = pytest.importorskip("onnxruntime")
    with course.quietly():
        net.export(path, format="onnx", verbose=False)
    session = runtime.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: inputs})


LATER = pytest.mark.nightly
CASES = [
    pytest.param(by, name, part, marks=[] if (by, name) == (by_litert, "dense_vae_10") else [LATER])
    for by in (by_litert, by_onnx)
    for name in NETS
    for part in ("encoder", "decoder")
]


@pytest.mark.parametrize("by, name, part", CASES)
def test_exported_part_gives_the_same_without_having_been_called_before(tmp_path, by, name, part):
    if by is by_onnx:
        pytest.importorskip("tf2onnx")
    net, inputs, wanted = asked(name, part)
    fresh = getattr(checkpoints.load(name), part)
    found = by(fresh, inputs, tmp_path / ("part.onnx" if by is by_onnx else "part.tflite"))
    assert len(found) == len(wanted)
    for array in wanted:  # some formats give outputs in another order
        distances = [np.abs(array - other).max() for other in found if other.shape == array.shape]
        assert min(distances) < 5e-5, (name, part)
    assert net.count_params() == fresh.count_params()
