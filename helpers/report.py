"""What a data set holds, before anything is trained: its numbers, and in words what looks wrong."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.special import xlogy

from helpers import metrics
from helpers.baselines import PCA, MeanImage
from helpers.dataset import pieces
from helpers.machinery import identity

PARTS = ("train", "validation", "test")
FEW = 200  # images below which a model learns little
COMPONENTS = (2, 8, 16, 32, 64)  # of the PCA line


@dataclasses.dataclass(frozen=True)
class Report:
    """What `of` has found.

    Attributes:
        name: Name of the data set.
        counts: DataFrame of the number of images, a row for each class, a column for each split.
        low: Smallest grey value.
        high: Largest grey value.
        ground: Mean grey value along the rim of the images; 0 is black.
        mean: Mean grey value of all pixels.
        shared: Dict of two names of splits to the number of images of the second that are in the first too.
        repeated: Number of training images that equal another one.
        entropy_floor: Smallest binary cross-entropy that any code can reach on the test images, an `Estimate` in nats.
        mean_image: Binary cross-entropy of the mean training image on the test images, an `Estimate` in nats.
        pca: Series of the test MSE per pixel by the number of components.
        notes: Tuple of sentences: what was done to the images on their way in.
        warnings: Tuple of sentences: what looks wrong, and what to do.
    """

    name: str
    counts: pd.DataFrame
    low: float
    high: float
    ground: float
    mean: float
    shared: dict
    repeated: int
    entropy_floor: metrics.Estimate
    mean_image: metrics.Estimate
    pca: pd.Series
    notes: tuple
    warnings: tuple

    @property
    def polarity(self):
        """Whether things are light or dark and on which ground, in words."""
        if abs(self.ground - self.mean) < 0.02:
            return "unclear: the rim is as bright as the rest"
        return "light on dark ground" if self.ground < self.mean else "dark on light ground"

    def __str__(self):
        sizes = ", ".join(f"{self.counts[part].sum():,} {part}" for part in PARTS)
        classes = ", ".join(f"{name} {int(n):,}" for name, n in self.counts.sum(axis=1).head(12).items())
        more = f" and {len(self.counts) - 12} others" if len(self.counts) > 12 else ""
        shared = "; ".join(f"{n:,} of {b} are in {a} too" for (a, b), n in self.shared.items() if n) or "none"
        line = ", ".join(f"{k}: {error:.4f}" for k, error in self.pca.items())
        rows = {
            "images": sizes,
            "classes": f"{len(self.counts)}: {classes}{more}",
            "range": f"{self.low:.3g} to {self.high:.3g}, mean {self.mean:.3f}",
            "polarity": f"{self.polarity} (rim {self.ground:.3f})",
            "equal images between splits": f"{shared}; {self.repeated:,} of train equal another of train",
            "entropy floor": f"{self.entropy_floor} nats (s.e.): no model costs less",
            "mean image": f"{self.mean_image} nats (s.e.): a model has to cost less",
            "PCA, test MSE per pixel": line,
        }
        lines = [self.name, *(f"  {name:28} {text}" for name, text in rows.items())]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  Looks wrong: {warning}" for warning in self.warnings] or ["  Nothing looks wrong."]
        return "\n".join(lines)


def of(dataset):
    """Look at a data set before anything is trained on it.

    Args:
        dataset: A `data.Dataset`.

    Returns:
        A `Report`; ``print`` shows it as a table in words.
    """
    splits = {part: getattr(dataset, part) for part in PARTS}
    counts = pd.DataFrame(
        {part: np.bincount(split.labels, minlength=len(dataset.class_names)) for part, split in splits.items()},
        index=list(dataset.class_names),
    )
    train = splits["train"]
    mean_image = MeanImage(train)
    rim = np.ones((28, 28), bool)
    rim[1:-1, 1:-1] = False
    ends = [(piece.min(), piece.max()) for piece in pieces(train)]
    shared, repeated = _equal(splits)
    floor = metrics.entropy_floor(dataset.test.images)
    numbers = {
        "counts": counts,
        "low": float(min(low for low, _ in ends)),
        "high": float(max(high for _, high in ends)),
        "ground": float(mean_image.image[rim].mean()),
        "mean": float(mean_image.image.mean()),
        "shared": shared,
        "repeated": repeated,
        "entropy_floor": floor,
        "mean_image": _mean_image_costs(mean_image, dataset.test),
        "pca": _pca_line(train, dataset.test),
    }
    found = Report(dataset.name, **numbers, notes=dataset.notes, warnings=())
    return dataclasses.replace(found, warnings=tuple(_what_looks_wrong(found, dataset)))


def _equal(splits):
    """How many images of a split are in another too, by pairs of splits; how many training images equal another."""
    levels = np.concatenate([split.levels for split in splits.values()])
    first = identity.first_alike(levels)
    ends = np.cumsum([len(split) for split in splits.values()])
    kinds = {part: set(rows) for part, rows in zip(splits, np.split(first, ends[:-1]), strict=True)}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    rows = dict(zip(splits, np.split(first, ends[:-1]), strict=True))
    shared = {(a, b): int(np.isin(rows[b], list(kinds[a])).sum()) for a, b in pairs}
    return shared, len(rows["train"]) - len(kinds["train"])


def _mean_image_costs(mean_image, test):
    # A pixel that is black in all training images would cost infinitely much where a test image is not.
    p = np.clip(mean_image.image, 1e-7, 1 - 1e-7).astype("float64")
    costs = [-(xlogy(piece, p) + xlogy(1 - piece, 1 - p)).sum(axis=(1, 2, 3)) for piece in pieces(test)]
    return metrics.Estimate.of(np.concatenate(costs))


def _pca_line(train, test):
    sizes = [k for k in COMPONENTS if k <= min(len(train), 784)]
    pca = PCA(train, max(sizes))
    errors = {k: metrics.mse(test.images, pca.keep(k).reconstruct(test)).value for k in sizes}
    return pd.Series(errors, name="mse").rename_axis("components")


def _what_looks_wrong(found, dataset):
    totals = found.counts.sum(axis=1)
    if totals.sum() < FEW:
        yield f"{totals.sum():,} images are few: a model learns little from fewer than {FEW}."
    if found.polarity.startswith("dark"):
        yield "the ground is light. The models expect light things on dark ground: data.open(..., invert=True)."
    if found.polarity.startswith("unclear"):
        yield "things cannot be told from the ground by brightness; plotting.plot_classes shows what is there."
    if found.high - found.low < 0.5:
        yield f"grey values span {found.high - found.low:.2f} of the range: the pictures have little contrast."
    for (a, b), n in found.shared.items():
        if n:
            yield f"{n:,} images of {b} are in {a} too, so what is measured on {b} is too good."
    if found.repeated > 0.05 * found.counts["train"].sum():
        yield f"{found.repeated:,} training images equal another one."
    if not dataset.is_labelled:
        yield "there are no labels: what needs classes, such as probes and coloured maps, cannot be had."
        return
    lacking = [name for name in totals.index if (found.counts.loc[name] == 0).any()]
    if lacking:
        yield f"not every split has images of {', '.join(map(str, lacking[:5]))}."
    if totals.max() > 10 * max(1, totals.min()):
        yield f"classes are unequal: {totals.idxmax()} has {totals.max():,} images, {totals.idxmin()} {totals.min():,}."
    if len(totals) == 1:
        yield "there is one class only."
