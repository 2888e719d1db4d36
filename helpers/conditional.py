"""What a label is worth: likelihoods with and without it, what of it leaks into z, pictures and style by class.

Measures of a `models.ConditionalVAE`, beside those of `metrics`. A conditional bound is no bound of log p(x): three
numbers are told apart here, all in nats per image. *Conditional* is -log p(x | y); *joint* is -log p(x, y), which pays
for the label; *marginal* is -log p(x), with the label summed out, and alone may stand beside a VAE's.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import log_softmax, logsumexp
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers import metrics, seeds, wardrobe
from helpers.dataset import IMAGE_SHAPE, Split, check_images
from helpers.machinery.backend import keras, layers, ops
from helpers.metrics import Estimate

# --------------------------------------------------------------------------------------------------
# Likelihoods


def elbo_per_image(cvae, images, labels, samples=1, seed=1, likelihood=None):
    """The two parts of the conditional negative ELBO at beta = 1, image by image.

    Args:
        cvae: A `models.ConditionalVAE`.
        images: Array (n, 28, 28, 1).
        labels: Class index of each image, (n,).
        samples: Number of codes drawn per image.
        seed: Seeds the codes.
        likelihood: One of `models.LIKELIHOODS` to judge by; None takes the model's own.

    Returns:
        Tuple (reconstruction, kl), each float64 (n,), in nats.
    """
    images, labels = check_images(images), np.asarray(labels)
    parts = np.empty((2, len(images)))
    for label in np.unique(labels):
        rows = labels == label
        parts[:, rows] = metrics.elbo_per_image(cvae.of_class(label), images[rows], samples, seed, likelihood)
    return tuple(parts)


def elbo(cvae, images, labels, samples=1, seed=1, likelihood=None):
    """Negative ELBO of log p(x | y) at beta = 1, whatever beta the model was trained with.

    Args:
        cvae: A `models.ConditionalVAE`.
        images: Array (n, 28, 28, 1).
        labels: Class index of each image, (n,).
        samples: Number of codes drawn per image.
        seed: Seeds the codes.
        likelihood: One of `models.LIKELIHOODS` to judge by; None takes the model's own.

    Returns:
        A `metrics.Elbo`, in nats per image. Beside a VAE's bound it may stand once log(classes) is added.
    """
    reconstruction, kl = elbo_per_image(cvae, images, labels, samples, seed, likelihood)
    return metrics.Elbo(*map(Estimate.of, (reconstruction, kl, reconstruction + kl)))


def log_likelihoods(cvae, images, samples=1, seed=1, importance_weighted=False):
    """Bound on log p(x | y) of each image under each class: the one evaluation that `likelihoods` needs.

    All classes get the same noise, so that their differences, of which a classification is made, vary less.

    Args:
        cvae: A `models.ConditionalVAE`.
        images: Array (n, 28, 28, 1).
        samples: Number of codes drawn per image and class.
        seed: Seeds the codes.
        importance_weighted: Whether the bound is that of `metrics.log_likelihood_per_image`, which tightens as samples
            grow, or the ELBO.

    Returns:
        Nats, float64 (n, classes).
    """

    def bound(vae):
        if importance_weighted:
            return metrics.log_likelihood_per_image(vae, images, samples, seed)
        return -sum(metrics.elbo_per_image(vae, images, samples, seed))

    return np.stack([bound(cvae.of_class(label)) for label in range(cvae.classes)], axis=1)


def likelihoods_per_image(log_p, labels, frequencies=None):
    """Conditional, joint and marginal negative log-likelihood of each image, and the model as a classifier.

    By Bayes' rule p(y | x) is p(x | y) p(y) over its sum, so that image by image joint - marginal = cross-entropy of
    p(y | x): what a label costs is what the model could not have told by itself.

    Args:
        log_p: Bounds on log p(x | y) from `log_likelihoods`, (n, classes).
        labels: True class index of each image, (n,).
        frequencies: The p(y), (classes,), which sum to 1; None takes all classes as equally frequent.

    Returns:
        A pandas DataFrame with one row for each image: conditional, joint, marginal and cross_entropy, in nats, and
        accuracy, 1 where the class with the largest p(y | x) is the true one.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    log_p, labels = np.asarray(log_p, "float64"), np.asarray(labels)
    if log_p.ndim != 2 or labels.shape != log_p.shape[:1]:
        raise ValueError(f"log_p has shape {log_p.shape} and labels {labels.shape}; expected (n, classes) and (n,).")
    frequencies = np.full(log_p.shape[1], 1 / log_p.shape[1]) if frequencies is None else np.asarray(frequencies)
    joint, own = log_p + np.log(frequencies), (np.arange(len(labels)), labels)
    return pd.DataFrame(
        {
            "conditional": -log_p[own],
            "joint": -joint[own],
            "marginal": -logsumexp(joint, axis=1),
            "cross_entropy": -log_softmax(joint, axis=1)[own],
            "accuracy": (joint.argmax(axis=1) == labels).astype("float64"),
        }
    )


def likelihoods(log_p, labels, frequencies=None):
    """Means of `likelihoods_per_image` over images.

    Args:
        log_p: Bounds on log p(x | y) from `log_likelihoods`, (n, classes).
        labels: True class index of each image, (n,).
        frequencies: The p(y), (classes,); None takes all classes as equally frequent.

    Returns:
        Dict of the names of its columns to `metrics.Estimate`.
    """
    return {name: Estimate.of(column) for name, column in likelihoods_per_image(log_p, labels, frequencies).items()}


def measure(cvae, dataset, seed=1):
    """All numbers that a manifest records of a conditional VAE, on the test images of ``dataset``.

    Args:
        cvae: A `models.ConditionalVAE`.
        dataset: A `data.Dataset`.
        seed: Seeds the codes drawn for the ELBO.

    Returns:
        Dict of name to float or int: those of `metrics.measure`, given the label, and "joint_negative_elbo", which pays
        for it.
    """
    images, labels = dataset.test.images, dataset.test.labels
    error = metrics.mse(images, cvae.reconstruct(images, labels))
    bound = elbo(cvae, images, labels, seed=seed)
    numbers = {"mse": error.value, "mse_standard_error": error.standard_error}
    numbers |= {name: getattr(bound, name).value for name in ("negative_elbo", "reconstruction", "kl")}
    numbers |= {"negative_elbo_standard_error": bound.negative_elbo.standard_error}
    if cvae.likelihood != "bernoulli":
        judged = elbo(cvae, images, labels, seed=seed, likelihood="bernoulli")
        numbers |= {"bernoulli_negative_elbo": judged.negative_elbo.value}
    active = int(np.sum(codes_of(cvae, images, labels).var(axis=0) > metrics.ACTIVE))
    price = float(np.log(cvae.classes))
    return numbers | {"joint_negative_elbo": bound.negative_elbo.value + price, "active_units": active}


# --------------------------------------------------------------------------------------------------
# Leakage: what z says about y


def codes_of(cvae, images, labels, drawn=False, seed=1):
    """Codes of images of known class, in units of their prior p(z | y), in which classes should not differ.

    Args:
        cvae: A `models.ConditionalVAE`.
        images: Array (n, 28, 28, 1).
        labels: Class index of each image, (n,).
        drawn: Whether a code is drawn from the posterior, as the decoder is trained on, or is its mean.
        seed: Seeds the draws.

    Returns:
        Codes, float32 (n, latent_dim).
    """
    images, labels = check_images(images), np.asarray(labels)
    noise = seeds.generator(seed).standard_normal((len(images), cvae.latent_dim)).astype("float32")
    codes = np.empty_like(noise)
    for label in np.unique(labels):
        rows = labels == label
        z_mean, z_log_var = cvae.of_class(label).encode(images[rows])
        codes[rows] = z_mean + np.exp(z_log_var / 2) * noise[rows] if drawn else z_mean
    return codes


def leakage(codes_train, labels_train, codes_test, labels_test):
    """What codes still say about the class that the decoder is told anyway; at best nothing.

    I(z; y) is bounded from below: log(classes) less the cross-entropy, on test codes, of whoever predicts y from z,
    cannot exceed it. Two predict: a linear probe, and one normal distribution for each class. It can come out a little
    below 0, where there is nothing to find.

    Args:
        codes_train: Codes to fit on, (n, latent_dim), as `codes_of` returns them.
        labels_train: Class indices of the codes to fit on, (n,).
        codes_test: Codes to measure on, (m, latent_dim).
        labels_test: Class indices of the codes to measure on, (m,).

    Returns:
        Dict of name to `metrics.Estimate`: "linear_probe" and "nearest_neighbours_accuracy", as in `metrics`, chance
        being 1 / classes; and "information", the bound on I(z; y) in nats.
    """
    codes = codes_train, labels_train, codes_test, labels_test
    found = {
        "linear_probe": metrics.linear_probe(*codes),
        "nearest_neighbours_accuracy": metrics.nearest_neighbours_accuracy(*codes),
    }
    classes, columns = np.unique(labels_train, return_inverse=True)
    places = np.searchsorted(classes, labels_test)
    bounds = []
    with threadpool_limits(1):  # as in `metrics.linear_probe`
        for predictor in (LogisticRegression(max_iter=1000), QuadraticDiscriminantAnalysis(reg_param=1e-3)):
            predictor = make_pipeline(StandardScaler(), predictor).fit(codes_train, columns)
            log_p = np.maximum(predictor.predict_log_proba(codes_test), -50.0)  # keeps a sure error finite
            bounds.append(Estimate.of(np.log(len(classes)) + log_p[np.arange(len(places)), places]))
    return found | {"information": max(bounds, key=lambda bound: bound.value)}


# --------------------------------------------------------------------------------------------------
# Pictures of a class


def judge_classes(pictures, labels, dataset, classifier):
    """Whether pictures show the class that was asked for, and how much they differ within it.

    The classifier errs on real garments too: its accuracy on test images of a class is the ceiling of what can be
    asked, and "share_of_ceiling" divides it out. Diversity is the root mean squared distance from the mean of the class
    in the classifier's features, as a share of that of real test images; 0 is one picture for each class.

    Args:
        pictures: Generated pictures, (n, 28, 28, 1) in [0, 1].
        labels: Class index that each was made for, (n,); each class at least twice.
        dataset: A `data.Dataset`.
        classifier: The `classifier.Classifier` of that data.

    Returns:
        A pandas DataFrame with a row for each class name and a last one, "all", the mean over classes: accuracy,
        ceiling, share_of_ceiling and diversity.
    """
    labels = np.asarray(labels)
    sides = []
    for images, of in ((pictures, labels), (dataset.test.images, dataset.test.labels)):
        features, found = classifier.features(images), classifier.classify(images)
        rows = [(of == label) for label in np.unique(labels)]
        spread = [np.sqrt(features[row].var(axis=0, dtype="float64").sum()) for row in rows]
        accuracy = [np.mean(found[row] == of[row]) for row in rows]
        sides.append((np.array(accuracy), np.array(spread)))
    (accuracy, spread), (ceiling, real_spread) = sides
    table = pd.DataFrame(
        {"accuracy": accuracy, "ceiling": ceiling, "diversity": spread / real_spread},
        index=pd.Index([dataset.class_names[label] for label in np.unique(labels)], name="class"),
    )
    table.loc["all"] = table.mean()
    table.insert(2, "share_of_ceiling", table["accuracy"] / table["ceiling"])
    return table


def as_training_data(pictures, labels, dataset):
    """Pictures in the place of a data set's training and validation images; the test images stay real.

    A classifier that is trained on them and measured on the test images has the *classifier accuracy score* as its
    accuracy: ``classifier.measure(classifier.train(made)[0], made)``.

    Source: Ravuri, Vinyals, "Classification accuracy score for conditional generative models" (2019).

    Args:
        pictures: Generated pictures, (n, 28, 28, 1) in [0, 1], of all classes in equal parts.
        labels: Class index that each was made for, (n,).
        dataset: The `data.Dataset` whose test images are kept.

    Returns:
        A `data.Dataset`: of the pictures, shuffled, eleven twelfths to train on and the rest to validate, as in the
        course's split.

    Raises:
        ValueError: Pictures are out of shape or range.
    """
    order = np.random.default_rng(1).permutation(len(pictures))
    pictures, labels = check_images(pictures)[order], np.asarray(labels, "int64")[order]
    kept = -(-len(pictures) // 12)
    parts = {"train": slice(kept, None), "validation": slice(kept)}
    splits = {part: Split(pictures[rows], labels[rows], dataset.class_names) for part, rows in parts.items()}
    return replace(dataset, name=f"pictures for {dataset.name}", **splits)


# --------------------------------------------------------------------------------------------------
# Style: what stays when the class changes, on the drawn wardrobe


def transfer(cvae, images, labels, new_labels):
    """Garments of another class in the same style: the code stays, the label changes.

    The code that stays is the posterior's mean in units of p(z | y), so that a learned prior moves it along.

    Args:
        cvae: A `models.ConditionalVAE`.
        images: Array (n, 28, 28, 1).
        labels: Class index of each image, (n,).
        new_labels: Class index of each result, (n,).

    Returns:
        Images, float32 (n, 28, 28, 1) in [0, 1].
    """
    codes = codes_of(cvae, images, labels)
    return cvae.decode(cvae.from_noise(codes, new_labels), new_labels)


def nearest_of_class(images, new_labels, pool):
    """Baseline of `transfer` without a model: the training garment of the new class nearest to the image.

    Args:
        images: Array (n, 28, 28, 1).
        new_labels: Class index of each result, (n,).
        pool: A `dataset.Split` to take garments from.

    Returns:
        Images of the pool, float32 (n, 28, 28, 1).
    """
    new_labels, found = np.asarray(new_labels), np.empty_like(images)
    for label in np.unique(new_labels):
        rows, garments = new_labels == label, pool.of_class(label)
        found[rows] = garments[metrics.nearest(images[rows], garments)[0]]
    return found


def mean_of_class(new_labels, pool):
    """Baseline of `transfer` that keeps nothing: the mean garment of the new class.

    Args:
        new_labels: Class index of each result, (n,).
        pool: A `dataset.Split` to take garments from.

    Returns:
        Images, float32 (n, 28, 28, 1).
    """
    means = {label: pool.of_class(label).mean(axis=0) for label in np.unique(new_labels)}
    return np.stack([means[label] for label in new_labels])


# What can be seen in all classes or in several, and survives a change between them.
STYLE_FACTORS = ("shade", "tilt", "x", "y", "width", "length", "contrast", "folds", "sleeve", "flare", "pattern")


class FactorReader:
    """Reads the factors of the drawn wardrobe off pictures: a small convolutional net, trained on drawings.

    Args:
        names: Names of factors, some of ``wardrobe.FACTORS``.
        seed: Seeds first weights and the order of the images.
    """

    def __init__(self, names=STYLE_FACTORS, seed=1):
        known = {factor.name: factor for factor in wardrobe.FACTORS}
        strangers = [name for name in names if name not in known]
        if strangers:
            raise ValueError(f"Unknown factor {strangers[0]!r}; there are: {', '.join(known)}.")
        self.factors = [known[name] for name in names]
        self.quantities = [factor for factor in self.factors if not factor.is_choice]
        self.choices = [factor for factor in self.factors if factor.is_choice]
        self.seed = seed
        self._net = self._build()

    def _build(self):
        first = iter(range(1000 * self.seed, 1000 * self.seed + 20))

        def start():
            return keras.initializers.GlorotUniform(seed=next(first))

        x = h = keras.Input(IMAGE_SHAPE, dtype="float32")
        for filters, stride in ((16, 1), (32, 2), (64, 2)):
            h = layers.Conv2D(
                filters, 3, stride, "same", "channels_last", activation="silu", kernel_initializer=start()
            )(h)
        h = layers.Dense(128, activation="silu", kernel_initializer=start())(layers.Flatten("channels_last")(h))
        width = len(self.quantities) + sum(factor.steps + 1 for factor in self.choices)
        return keras.Model(x, layers.Dense(width, kernel_initializer=start())(h), name="factor_reader")

    def _targets(self, table):
        """Quantities from -1 to 1 (NaN where a class lacks them), then choices."""
        columns = [2 * (table[f.name] - f.low) / (f.high - f.low) - 1 for f in self.quantities]
        return np.stack([*columns, *(table[f.name] for f in self.choices)], axis=1).astype("float32")

    def _loss(self, targets, outputs):
        k = len(self.quantities)
        known = ops.logical_not(ops.isnan(targets[:, :k]))
        error = ops.where(known, outputs[:, :k] - ops.where(known, targets[:, :k], 0.0), 0.0)
        total = ops.sum(ops.square(error), axis=1)
        for i, factor in enumerate(self.choices):
            logits = outputs[:, k : k + factor.steps + 1]
            total = total + keras.losses.sparse_categorical_crossentropy(
                targets[:, len(self.quantities) + i], logits, from_logits=True
            )
            k += factor.steps + 1
        return total

    def fit(self, images, table, epochs=8, verbose=False):
        """Train on drawings.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].
            table: Their factors, as `wardrobe.factors` gives them.
            epochs: Number of passes over them.
            verbose: Whether to show a line for each epoch.

        Returns:
            The reader itself.
        """
        images, targets = check_images(images), self._targets(table)
        steps = -(-len(images) // 128)
        rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps, 0.01)
        self._net.compile(keras.optimizers.Adam(rate), self._loss, jit_compile=False)
        generator = seeds.generator(self.seed)
        for _ in range(epochs):  # an order of its own for each epoch, from the seed alone
            order = generator.permutation(len(images))
            self._net.fit(images[order], targets[order], batch_size=128, shuffle=False, verbose=2 if verbose else 0)
        return self

    def read(self, images):
        """Read factors.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].

        Returns:
            A pandas DataFrame of n rows with a column for each factor, in its own unit, choices as whole numbers. What
            a class lacks is read all the same, and means nothing.
        """
        found = self._net.predict(check_images(images), batch_size=500, verbose=0)
        k = len(self.quantities)
        columns = {
            f.name: f.low + (found[:, i].clip(-1, 1) + 1) / 2 * (f.high - f.low) for i, f in enumerate(self.quantities)
        }
        for factor in self.choices:
            columns[factor.name] = found[:, k : k + factor.steps + 1].argmax(axis=1)
            k += factor.steps + 1
        return pd.DataFrame(columns)[[factor.name for factor in self.factors]]


def style_kept(readings, results, labels, new_labels):
    """How much of a garment's style its counterpart of another class has, factor by factor.

    Args:
        readings: Factors of the sources, as `FactorReader.read` gives them or as they were drawn.
        results: Dict of a heading to the factors read off results.
        labels: Class index of each source, (n,).
        new_labels: Class index of each result, (n,).

    Returns:
        A pandas DataFrame with one row for each factor and one column for each heading: the correlation of source and
        result over all pairs whose two classes have that factor; for a choice the share of pairs that agree, above what
        chance would agree, as a share of all that could be gained (Cohen's kappa). 1 is all, 0 is nothing; results that
        do not vary keep nothing.

    Raises:
        ValueError: Fewer than two pairs have a factor.
    """
    known = {factor.name: factor for factor in wardrobe.FACTORS}
    rows = {}
    for name in readings:
        factor = known[name]
        both = np.isin(labels, factor.classes) & np.isin(new_labels, factor.classes)
        if both.sum() < 2:
            raise ValueError(f"{both.sum()} pairs of garments have the factor {name}; a correlation needs two.")
        one = np.asarray(readings[name])[both]
        agree = _kappa if factor.is_choice else _correlation
        rows[name] = {heading: agree(one, np.asarray(table[name])[both]) for heading, table in results.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("factor")


def _correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-9 else 0.0


def _kappa(a, b):
    """Agreement above chance (Cohen, 1960)."""
    values = np.union1d(a, b)
    chance = sum(np.mean(a == value) * np.mean(b == value) for value in values)
    return float((np.mean(a == b) - chance) / (1 - chance)) if chance < 1 else 0.0
