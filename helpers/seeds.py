"""Differences over seeds: what several trainings of each kind say, and what is a tie.

A table has one row for each training, with the settings, the seed and what was measured: the rows of `sweeps.run` or
of a stored result.
"""

import dataclasses
import numbers

import numpy as np
import pandas as pd
from scipy import stats


def check_seed(seed):
    """Return a seed, unless it is none: with None each call would draw anew, and no number could be found again.

    Args:
        seed: Whole number from 0.

    Returns:
        The seed as an int.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected a whole number from 0, so that the same can be drawn again.")
    return int(seed)


def generator(seed):
    """NumPy's generator of random numbers for a seed.

    Args:
        seed: Whole number from 0.

    Raises:
        ValueError: It is something else.
    """
    return np.random.default_rng(check_seed(seed))


def _finished(table, columns):
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(table)}.")
    return table[table["status"] == "done"] if "status" in table else table


def _listed(by):
    return [by] if isinstance(by, str) else list(by)


def summary(table, by, value):
    """Mean and spread over seeds.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the groups apart; what is not named, such as the seed, is averaged
            over.
        value: Column to average.

    Returns:
        A pandas DataFrame with one row for each group in the order of the table, with index ``by``: "mean",
        "standard_deviation" (the spread over seeds, n - 1 in the denominator; NaN for one seed), "standard_error" of
        the mean, and "count".

    Raises:
        ValueError: There is no such column.
    """
    groups = _finished(table, [*_listed(by), value]).groupby(by, sort=False, dropna=False)[value]
    count = groups.count()
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "standard_deviation": groups.std(),
            "standard_error": groups.std() / np.sqrt(count),
            "count": count,
        }
    )


def histories(table, columns):
    """The histories of several trainings as one table with a row for each epoch of each, for curves.

    Args:
        table: Table of a stored result, with a column "history" of dicts of lists as `training.fit` returns them.
        columns: Columns to repeat in each row, such as those that tell the trainings apart.

    Returns:
        A pandas DataFrame: the columns, "epoch" (counted from 1), and what the histories hold.

    Raises:
        ValueError: There is no such column.
    """
    rows = _finished(table, [*columns, "history"])
    parts = []
    for kept, history in zip(rows[columns].to_dict("records"), rows["history"], strict=True):
        part = pd.DataFrame(history)
        part.insert(0, "epoch", np.arange(1, len(part) + 1))
        parts.append(part.assign(**kept))
    return pd.concat(parts, ignore_index=True)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference between two groups of trials, paired by seed.

    Attributes:
        mean: Mean of first minus second.
        standard_error: Standard error of that mean.
        count: Number of pairs.
    """

    mean: float
    standard_error: float
    count: int

    @property
    def half_width(self):
        """Half of the 95 % interval of the mean, by Student's t: 4.3 standard errors for three pairs."""
        return float(stats.t.ppf(0.975, self.count - 1)) * self.standard_error

    @property
    def tie(self):
        """True where that interval holds 0: the difference is not larger than the spread over seeds explains."""
        return abs(self.mean) <= self.half_width

    def __str__(self):
        return f"{self.mean:+.2f} ± {self.half_width:.2f} ({self.count} seeds{', a tie' if self.tie else ''})"


def difference(table, by, value, first, second, pair="seed"):
    """How much larger a value is in one group of trials than in another, seed by seed.

    Trials of one seed share the order of the images and, where the sizes agree, first weights and
    noise. Where that moves both alike, their difference varies less than either.

    Source: Student, "The probable error of a mean" (1908): the paired test at 5 %.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the groups apart.
        value: Column to compare.
        first: Value of ``by`` in the first group, a tuple for several columns.
        second: Value of ``by`` in the second group.
        pair: Column that names the pairs.

    Returns:
        A `Difference`.

    Raises:
        ValueError: There is no such column or group, there are several trials of one seed, or fewer than two seeds in
            common.
    """
    columns = _listed(by)
    rows = _finished(table, [*columns, value, pair]).dropna(subset=[value])
    sides = []
    for group in (first, second):
        wanted = [group] if isinstance(by, str) else list(group)
        of_group = rows[np.logical_and.reduce([rows[c] == w for c, w in zip(columns, wanted, strict=True)])]
        if of_group[pair].duplicated().any():
            raise ValueError(f"{group!r} has several trials of one {pair}: name in `by` what else tells them apart.")
        sides.append(of_group.set_index(pair)[value])
    change = (sides[0] - sides[1]).dropna()
    if len(change) < 2:
        raise ValueError(
            f"{first!r} and {second!r} have {len(change)} finished {pair}s in common; a spread needs at least two."
        )
    return Difference(float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change))), len(change))


def tie(table, by, value, first, second, pair="seed"):
    """Whether two groups of trials cannot be told apart: `difference` with its 95 % interval holding 0.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the groups apart.
        value: Column to compare.
        first: Value of ``by`` in the first group, a tuple for several columns.
        second: Value of ``by`` in the second group.
        pair: Column that names the pairs.

    Raises:
        ValueError: What `difference` raises.
    """
    return difference(table, by, value, first, second, pair).tie


def best(table, by, value, pair="seed"):
    """The groups from the lowest mean upwards, and which of them tie with the first.

    Ties are judged pair by pair with the first, without a correction for the number of groups.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the groups apart.
        value: Column in which less is better. It must not be one of the test set.
        pair: Column that names the pairs.

    Returns:
        The `summary` in ascending order of its mean, with three more columns: "difference" from the first row,
        "half_width" of its 95 % interval, and "tie". The first row has 0, 0 and False there.

    Raises:
        ValueError: The value is one of the test set, or what `difference` raises.
    """
    if value.startswith("test_"):
        raise ValueError(f"{value} is for final numbers only; choose by its twin, validation_{value[5:]}.")
    ranked = summary(table, by, value).sort_values("mean", kind="stable").dropna(subset=["mean"])
    first = ranked.index[0]
    found = [difference(table, by, value, group, first, pair) for group in ranked.index[1:]]
    return ranked.assign(
        difference=[0.0, *(d.mean for d in found)],
        half_width=[0.0, *(d.half_width for d in found)],
        tie=[False, *(d.tie for d in found)],
    )
