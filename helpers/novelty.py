"""Whether an image is unlike all that a model was trained on.

A score says of each image how strange it is to a model; larger is stranger. A threshold makes a verdict of it: it is
put where a given share of validation images, which are *not* strange, would be called so all the same, the rate of
false alarms. Which score is good can only be learnt from images that are known to be strange, such as digits to a
model of garments: `compare` measures it.

The likelihood itself is no good score. Simple images cost few nats under any model, so digits look more likely to a
VAE of garments than garments do (Nalisnick et al., "Do deep generative models know what they don't know?", 2019).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from helpers import course, metrics
from helpers.dataset import check_images, pieces

RECOMMENDED = "unexplained"
SAMPLES = 50  # codes drawn for the importance-weighted bound
NEIGHBOURS = 5


def _negative_elbo(model, train, seed):
    """Negative ELBO at beta = 1, in nats."""
    return lambda images: np.sum(metrics.elbo_per_image(model, images, seed=seed), axis=0)


def _importance_weighted(model, train, seed):
    """Minus the importance-weighted bound on log p(x) with 50 codes, in nats (Burda et al. 2015)."""
    return lambda images: -metrics.log_likelihood_per_image(model, images, SAMPLES, seed)


def _typicality(model, train, seed):
    """How far the negative ELBO is from its mean over training images, in nats (Nalisnick et al. 2019)."""
    cost = _negative_elbo(model, train, seed)
    typical = cost(train).mean()
    return lambda images: np.abs(cost(images) - typical)


def _squared_error(model, train, seed):
    """Squared error of the reconstruction, summed over pixels."""
    return lambda images: _squares(images - model.reconstruct(images))


def _excess(model, train, seed):
    """Nats that the reconstruction costs above the entropy of the image's own pixels."""

    def nats(images):
        p = np.clip(model.reconstruct(images), 1e-7, 1 - 1e-7).astype("float64")
        cost = -(images * np.log(p) + (1 - images) * np.log1p(-p)).sum(axis=(1, 2, 3))
        return cost - metrics.entropy_per_image(images)

    return nats


def _unexplained(model, train, seed):
    """Squared error of the reconstruction over the image's own spread about its mean: 1 minus R squared."""

    def share(images):
        spread = _squares(images - images.mean(axis=(1, 2, 3), keepdims=True))
        # An image of one grey has no spread; so small a number makes the smallest error count as strange.
        return _squares(images - model.reconstruct(images)) / np.maximum(spread, 1e-6)

    return share


def _code_distance(model, train, seed):
    """Squared Mahalanobis distance of the code from those of training images (Lee et al. 2018, without classes)."""
    codes = metrics.codes_of(model, train).astype("float64")
    mean, covariance = codes.mean(axis=0), np.cov(codes.T).reshape(codes.shape[1], -1)
    # A latent that never varies would make the covariance singular.
    precision = np.linalg.inv(covariance + 1e-6 * np.eye(len(covariance)))

    def distance(images):
        away = metrics.codes_of(model, images) - mean
        return ((away @ precision) * away).sum(axis=1)

    return distance


def _nearest_codes(model, train, seed):
    """Distance of the code from the fifth nearest code of a training image."""
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train)), algorithm="brute")
    near.fit(metrics.codes_of(model, train))
    return lambda images: near.kneighbors(metrics.codes_of(model, images))[0][:, -1].astype("float64")


def _squares(difference):
    return np.square(difference, dtype="float64").sum(axis=(1, 2, 3))


# By name: a function of (model, training images, seed) that returns a function of images (n, 28, 28, 1) to (n,).
SCORES = {
    "negative_elbo": _negative_elbo,
    "importance_weighted": _importance_weighted,
    "typicality": _typicality,
    "squared_error": _squared_error,
    "excess": _excess,
    "unexplained": _unexplained,
    "code_distance": _code_distance,
    "nearest_codes": _nearest_codes,
}
OF_ANY_MODEL = ("squared_error", "excess", "unexplained", "code_distance", "nearest_codes")  # the others need a VAE


@dataclasses.dataclass(frozen=True)
class Detector:
    """A score and its threshold.

    Attributes:
        name: Name of the score.
        score: Function of images (n, 28, 28, 1) in [0, 1] to scores, float64 (n,); larger is stranger.
        threshold: Score above which an image is called unlike the training images.
        false_alarms: Share of validation images that the threshold lets be called so.
        calibrated_on: Scores of the validation images, sorted, float64 (m,).
    """

    name: str
    score: Callable
    threshold: float
    false_alarms: float
    calibrated_on: np.ndarray

    def is_unlike(self, images):
        """Whether each image is unlike anything trained on.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].

        Returns:
            Array bool (n,).
        """
        return self.score(check_images(images)) > self.threshold

    def share_beyond(self, images):
        """Share of validation images that are at least as strange as each image.

        Args:
            images: Array (n, 28, 28, 1) in [0, 1].

        Returns:
            Shares, float64 (n,); below ``false_alarms`` where an image is called unlike.
        """
        below = np.searchsorted(self.calibrated_on, self.score(check_images(images)), side="left")
        return 1 - below / len(self.calibrated_on)

    def verdict(self, image):
        """A sentence on one image, with the false-alarm rate.

        Args:
            image: Array (28, 28, 1) in [0, 1].
        """
        images = np.asarray(image)[None]
        beyond, rate = self.share_beyond(images)[0], f"{self.false_alarms:.0%}"
        if self.is_unlike(images)[0]:
            return f"Unlike anything the model was trained on ({rate} of validation images would be called so too)."
        return f"Not unlike what the model was trained on: {beyond:.0%} of validation images are at least as strange."


def detector(model, dataset, score=RECOMMENDED, false_alarms=0.05, max_images=10_000, seed=1):
    """Calibrate a score on the validation images.

    Args:
        model: A `models.VAE`; for the scores in `OF_ANY_MODEL` also an autoencoder or a `baselines.PCA`.
        dataset: The `data.Dataset` that the model was trained on.
        score: One of `SCORES`.
        false_alarms: Share of validation images that may be called unlike, between 0 and 1.
        max_images: Number of training images that a score may look at.
        seed: Seeds the codes that some scores draw.

    Returns:
        A `Detector`.

    Raises:
        ValueError: There is no such score or rate, or the score needs a VAE and the model is none.
    """
    if score not in SCORES:
        raise ValueError(f"there is no score {score!r}; there are: {', '.join(SCORES)}.")
    if not 0 < false_alarms < 1:
        raise ValueError(f"false_alarms is {false_alarms!r}; it is a share between 0 and 1.")
    if score not in OF_ANY_MODEL and not getattr(model, "is_variational", False):
        raise ValueError(f"the score {score} needs a VAE; for other models there are: {', '.join(OF_ANY_MODEL)}.")
    train = dataset.train.take(np.arange(min(max_images, len(dataset.train))))
    function = SCORES[score](model, train, seed)
    scores = np.sort(_of_all(function, dataset.validation))
    threshold = float(np.quantile(scores, 1 - false_alarms, method="higher"))
    return Detector(score, function, threshold, false_alarms, scores)


def _of_all(function, images):
    return np.concatenate([function(piece) for piece in pieces(images)])


def compare(model, dataset, strangers, scores=None, false_alarms=0.05, max_images=2_000, seed=1):
    """How well scores tell images of another kind from test images.

    Args:
        model: A `models.VAE`, or another model for the scores of `OF_ANY_MODEL`.
        dataset: The `data.Dataset` that the model was trained on.
        strangers: Images of another kind, (n, 28, 28, 1) in [0, 1], or a `dataset.Split` of them.
        scores: Names of scores; None takes all that suit the model.
        false_alarms: Share of validation images that may be called unlike.
        max_images: Number of test images, and of strangers, that are scored.
        seed: Seeds the codes that some scores draw.

    Returns:
        A pandas DataFrame, a row for each score: threshold; false_alarms, the share of test images called unlike;
        found, that of the strangers; auc, the chance that a stranger has a larger score than a test image.

    Raises:
        ValueError: As in `detector`.
    """
    if scores is None:
        scores = SCORES if getattr(model, "is_variational", False) else OF_ANY_MODEL
    test = dataset.test.take(np.arange(min(max_images, len(dataset.test))))
    strange = check_images(next(pieces(strangers, max_images)), "strangers")
    rows = {}
    for score in scores:
        found = detector(model, dataset, score, false_alarms, seed=seed)
        ours, theirs = _of_all(found.score, test), _of_all(found.score, strange)
        is_strange = np.repeat([0, 1], [len(ours), len(theirs)])
        rows[score] = {
            "threshold": found.threshold,
            "false_alarms": (ours > found.threshold).mean(),
            "found": (theirs > found.threshold).mean(),
            "auc": roc_auc_score(is_strange, np.concatenate([ours, theirs])),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(course.stand_in() or "score")
