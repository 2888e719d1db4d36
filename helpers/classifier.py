"""Our own classifier; in its features generated pictures are compared with real ones.

A small convolutional net that tells the ten garments apart. What it computes just before its last layer,
64 numbers for each image, is the space in which `metrics` compares generated pictures with real ones. It is
shipped for each data set and never trained again for a comparison: numbers measured with two classifiers
cannot be compared. ``COURSE_TRAIN=1`` therefore does not replace it.
"""

import dataclasses

import numpy as np

from helpers import course, models, training
from helpers.dataset import IMAGE_SHAPE, check_images
from helpers.machinery import weights
from helpers.machinery.backend import keras, layers, ops
from helpers.machinery.interrupts import Interrupts

NAME = "classifier"
FEATURES = 64
CONFIGURATION = {"filters": [16, 32, 64], "features": FEATURES, "activation": "silu", "dropout": 0.3}
RECIPE = {"epochs": 9, "batch_size": 128, "learning_rate": 2e-3, "schedule": "cosine", "warmup_epochs": 1}
BITS = 16
_REMEDY = "Get the file again (git checkout), or train the classifier again: classifier.ship(data.load())."


@keras.saving.register_keras_serializable("wardrobe")
class Classifier(keras.Model):
    """An ordinary Keras model, image (B, 28, 28, 1) to logits (B, 10), whose weights have stable names."""

    def weight_variables(self):
        """Return all weights as a dict of Keras variables."""
        return {f"{i:02d}/{variable.path}": variable for i, variable in enumerate(self.weights)}

    def weight_arrays(self):
        """Return all weights as a dict of name to numpy array: what a checkpoint stores."""
        return {key: ops.convert_to_numpy(variable) for key, variable in self.weight_variables().items()}

    def classify(self, images):
        """Name the class of each image.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].

        Returns:
            Class indices 0 to 9, int64 (n,).

        Raises:
            ValueError: Images are out of shape or range.
        """
        return self._outputs_of("logits", images).argmax(axis=1)

    def features(self, images):
        """Compute the values before the last layer, in which pictures are compared.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1], real or generated.

        Returns:
            Features, float32 (n, 64).

        Raises:
            ValueError: Images are out of shape or range.
        """
        return self._outputs_of("features", images)

    def _outputs_of(self, layer, images):
        part = keras.Model(self.input, self.get_layer(layer).output)
        return models.run_in_batches(lambda x: part(x, training=False), check_images(images))


def build(seed=1):
    """Build the classifier, untrained: three convolutions of stride 2, 64 features, 10 logits.

    Args:
        seed: Seeds the first weights and dropout.

    Returns:
        A `Classifier`.
    """
    seeds = iter(range(1000 * seed, 1000 * seed + 10))
    activation = CONFIGURATION["activation"]

    def start():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    x = h = keras.Input(IMAGE_SHAPE, name="x", dtype="float32")
    for i, filters in enumerate(CONFIGURATION["filters"], start=1):
        convolution = layers.Conv2D(
            filters,
            3,
            2,
            "same",
            data_format="channels_last",
            activation=activation,
            kernel_initializer=start(),
            name=f"conv_{i}",
            dtype="float32",
        )
        h = convolution(h)
    h = layers.Flatten(data_format="channels_last", name="maps", dtype="float32")(h)
    h = layers.Dropout(CONFIGURATION["dropout"], seed=next(seeds), name="dropout", dtype="float32")(h)
    h = layers.Dense(FEATURES, activation=activation, kernel_initializer=start(), name="features", dtype="float32")(h)
    logits = layers.Dense(10, kernel_initializer=start(), name="logits", dtype="float32")(h)
    return Classifier(x, logits, name=NAME)


class _Batches(keras.utils.PyDataset):
    """The batches of `training.Batches` with their labels."""

    num_batches = None  # without end: `fit` gets the number of steps of an epoch

    def __init__(self, split, batch_size, seed):
        super().__init__()
        self.split, self.batches = split, training.Batches(split, batch_size, seed)

    def __getitem__(self, index):
        rows = self.batches.rows(index)
        return self.split.take(rows), self.split.labels[rows]


def train(dataset, epochs=None, seed=1, verbose=True):
    """Train a classifier on ``dataset.train`` by its recipe, with a cosine decay.

    Args:
        dataset: A `data.Dataset`.
        epochs: Number of epochs; None takes that of the recipe.
        seed: Seeds the first weights and the order of the images; the same seed gives the same weights on the same
            machine.
        verbose: Whether to show a line for each epoch.

    Returns:
        Tuple (`Classifier` with weights rounded as they are stored, history as a dict of lists).

    Raises:
        ValueError: Images are out of shape or range, or labels are not those of ten classes.
    """
    training.check_splits(dataset)
    for part, labels in (("train", dataset.train.labels), ("validation", dataset.validation.labels)):
        if labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"{part}: labels run from {labels.min()} to {labels.max()}; expected 0 to 9.")
    recipe = training.Recipe(
        **training.recipe_on(dataset.slug, RECIPE) | {"seed": seed} | ({"epochs": epochs} if epochs else {})
    )
    classifier, batches = build(seed), _Batches(dataset.train, recipe.batch_size, recipe.seed)
    steps = batches.batches.steps_per_epoch
    judged_by = {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}
    classifier.compile(
        optimizer=keras.optimizers.Adam(recipe.rate(steps)),
        **judged_by,
        steps_per_execution=training.steps_per_call(steps, limit=16),
        jit_compile=False,
    )
    with Interrupts() as interrupts:
        run = classifier.fit(
            batches,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            shuffle=False,  # the batches come shuffled
            validation_data=(dataset.validation.images, dataset.validation.labels),
            validation_batch_size=500,
            callbacks=[interrupts],
            verbose=2 if verbose else 0,
        )
    classifier.compile(keras.optimizers.Adam(recipe.learning_rate), **judged_by)  # the rate is at its end
    weights.round_weights(classifier, BITS)
    return classifier, {name: [float(value) for value in values] for name, values in run.history.items()}


def configuration(slug):
    """Return all that decides what is shipped for a data set, as a dict that JSON can hold."""
    return {**CONFIGURATION, "recipe": dataclasses.asdict(training.Recipe(**training.recipe_on(slug, RECIPE)))}


def measure(classifier, dataset):
    """Measure the accuracy on the test images.

    Args:
        classifier: A `Classifier`.
        dataset: A `data.Dataset`.

    Returns:
        Dict with "accuracy" and its "accuracy_standard_error".
    """
    right = classifier.classify(dataset.test.images) == dataset.test.labels
    accuracy = float(right.mean())
    return {
        "accuracy": accuracy,
        "accuracy_standard_error": float(np.sqrt(accuracy * (1 - accuracy) / len(right))),
    }


def ship(dataset, verbose=True):
    """Train, round, measure and store the classifier of a data set, as the course ships it.

    Args:
        dataset: The whole `data.Dataset`.
        verbose: Whether to show a line for each epoch.

    Returns:
        The stored manifest's metrics, a dict.
    """
    classifier, history = train(dataset, verbose=verbose)
    about = {
        "name": NAME,
        "about": "our own classifier; in its features generated pictures are compared with real ones",
        "data": dataset.slug,
        "configuration": configuration(dataset.slug),
        "parameters": classifier.count_params(),
        "metrics": measure(classifier, dataset),
        "history": history,
    }
    weights.store(classifier, weights.SHIPPED / dataset.slug / f"{NAME}.npz", about, BITS)
    return about["metrics"]


def manifest(slug=course.FASHION_MNIST):
    """Read the manifest of the shipped classifier, a dict.

    Args:
        slug: The `Dataset.slug` of the data it was trained on.

    Raises:
        FileNotFoundError: No classifier is shipped for this data.
        files.DamagedFile: The manifest is damaged, or describes another classifier.
    """
    path = weights.SHIPPED / slug / f"{NAME}.json"
    if not path.exists():
        raise FileNotFoundError(f"no classifier is shipped for {slug}; classifier.ship(dataset) trains and stores one.")
    return weights.read_manifest(path, configuration(slug), _REMEDY)


def load(slug=course.FASHION_MNIST):
    """Build the classifier and open its shipped weights.

    Args:
        slug: The `Dataset.slug` of the data it was trained on.

    Returns:
        A `Classifier`.

    Raises:
        FileNotFoundError: No classifier is shipped for this data.
        files.DamagedFile: Weights or manifest are damaged, or do not belong together.
    """
    about = manifest(slug)
    classifier = build()
    weights.restore(classifier, weights.SHIPPED / slug / f"{NAME}.npz", about, _REMEDY)
    return classifier
