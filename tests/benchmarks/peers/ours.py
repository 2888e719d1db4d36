"""`training.fit`, the course's own way, behind a gate. Arguments: folder of the kit, number of threads, precision."""

import sys

from gate import Gate, Kit, negative_elbo  # isort: skip

import keras
import numpy as np
from keras import ops

from helpers import course, models, training
from helpers.dataset import CLASS_NAMES, Dataset, Split


class Turns(keras.callbacks.Callback):
    """The clock runs while it trains; the look at validation images is not counted."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def on_epoch_begin(self, epoch, logs=None):
        self.gate.open(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.gate.passed(batch + 1)


def dataset(kit):
    """The kit's images as the course's data set; labels and validation images play no part."""
    train, few = (Split(np.array(x), np.zeros(len(x), "int64")) for x in (kit.images, kit.test[:500]))
    return Dataset(
        name="Fashion-MNIST",
        slug="fashion-mnist",
        class_names=CLASS_NAMES,
        train=train,
        validation=few,
        test=few,
        source="the benchmark's kit",
    )


def main(folder, threads, precision):
    kit = Kit(folder)
    gate = Gate(kit)
    if kit.about["model"] == "dense_vae":
        course.begin(threads=1)  # as the notebooks about dense nets do
    else:
        course.begin(threads=max(1, int(threads) // 2), operations=min(2, int(threads)))
    arguments = kit.about["arguments"] | ({} if precision == "float32" else {"precision": precision})
    model = getattr(models, kit.about["model"])(**arguments)
    for name, variable in model.weight_variables().items():
        if name in kit.weights:
            variable.assign(kit.weights[name])

    def elbo():
        return negative_elbo(kit.test, model.encode, lambda z: ops.convert_to_numpy(model.logits(z)))

    gate.elbo = elbo
    training.fit(model, dataset(kit), callbacks=[Turns(gate)], verbose=False, **kit.about["recipe"])


if __name__ == "__main__":
    main(*sys.argv[1:])
