"""Differences over seeds: what several trainings of each kind say, what is a tie, and verdicts on claims.

A table has one row for each training, with the settings, the seed and what was measured: the rows of `sweeps.run` or
of a stored result.
"""

import dataclasses
import math
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


def by_seed(table, by, value):
    """One row for each seed and one column for each setting.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the settings apart.
        value: Column to show.

    Returns:
        A pandas DataFrame, seeds in ascending order, settings in the order of the table; NaN where a setting has no
        finished trial of a seed.

    Raises:
        ValueError: There is no such column, or a setting has several trials of one seed.
    """
    rows = _finished(table, [*_listed(by), "seed", value])
    if rows.duplicated([*_listed(by), "seed"]).any():
        raise ValueError("a setting has several trials of one seed: name in `by` what else tells them apart.")
    wide = rows.pivot(index="seed", columns=by, values=value)
    return wide[list(dict.fromkeys(rows[by] if isinstance(by, str) else rows[by].itertuples(index=False, name=None)))]


def winners(table, by, value):
    """The setting with the lowest value, seed by seed.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the settings apart.
        value: Column in which less is better.

    Returns:
        Dict of seed to setting.

    Raises:
        ValueError: What `by_seed` raises.
    """
    return by_seed(table, by, value).idxmin(axis=1).to_dict()


def deviations(table, by, values):
    """What is left of some columns when the mean of each setting is taken off: the part of the seed.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the settings apart.
        values: List of columns.

    Returns:
        A pandas DataFrame with these columns and one row for each finished trial.

    Raises:
        ValueError: There is no such column.
    """
    rows = _finished(table, [*_listed(by), *values])
    return rows[values] - rows.groupby(by)[values].transform("mean")


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
    def low(self):
        """Lower end of the 95 % interval."""
        return self.mean - self.half_width

    @property
    def high(self):
        """Upper end of the 95 % interval."""
        return self.mean + self.half_width

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
    return _mean_of(change, f"{first!r} and {second!r} have {len(change)} finished {pair}s in common")


def _mean_of(changes, found):
    """A `Difference` from one number for each seed; ``found`` begins the error where there are too few."""
    if len(changes) < 2:
        raise ValueError(f"{found}; a spread needs at least two.")
    return Difference(float(changes.mean()), float(changes.std(ddof=1) / np.sqrt(len(changes))), len(changes))


def differences(table, by, values, pairs):
    """`difference` of several pairs of groups in several values.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column that tells the groups apart.
        values: Dict of a heading to the column to compare.
        pairs: Dict of a label to a pair (first, second) of values of ``by``.

    Returns:
        A pandas DataFrame of `Difference`, first minus second, a row for each pair and a column for each value.

    Raises:
        ValueError: What `difference` raises.
    """
    rows = {
        label: {heading: difference(table, by, value, *pair) for heading, value in values.items()}
        for label, pair in pairs.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(values))


def difference_from(table, by, value, group, number):
    """How far the trials of one group lie above a fixed number, such as one that somebody published.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column that tells the groups apart.
        value: Column to compare.
        group: Value of ``by`` in the group.
        number: The number to subtract.

    Returns:
        A `Difference`.

    Raises:
        ValueError: There is no such column, or fewer than two trials of the group.
    """
    rows = _finished(table, [by, value]).dropna(subset=[value])
    values = rows.loc[rows[by] == group, value]
    return _mean_of(values - number, f"{group!r} has {len(values)} finished trials")


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


def interaction(table, by, value, first, second, condition, here, there):
    """Whether a difference depends on a condition: the difference here minus the difference there, seed by seed.

    An interval that holds 0 in one place and not in the other does not answer that: the difference between
    "significant" and "not significant" need not itself be significant.

    Source: Gelman, Stern, "The difference between 'significant' and 'not significant' is not itself statistically
    significant" (2006).

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column that tells the two groups apart.
        value: Column to compare.
        first: Value of ``by`` in the first group.
        second: Value of ``by`` in the second group.
        condition: Column of the condition.
        here: One value of ``condition``.
        there: Another value of it.

    Returns:
        A `Difference`: (first - second) here, minus (first - second) there.

    Raises:
        ValueError: There is no such column or group, there are several trials of one seed, or fewer than two seeds have
            all four trials.
    """
    four = [(group, place) for group in (first, second) for place in (here, there)]
    sides = _in_common(table, [by, condition], value, four)
    change = (sides[0] - sides[2]) - (sides[1] - sides[3])
    return Difference(float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change))), len(change))


def _in_common(table, by, value, groups):
    """The values of some groups as a list of Series, for the seeds that all of them have."""
    wide = by_seed(table, by, value)
    missing = [group for group in groups if group not in wide]
    if missing:
        raise ValueError(f"there are no finished trials of {missing[0]!r}.")
    common = wide[groups].dropna()
    if len(common) < 2:
        raise ValueError(f"{len(common)} seeds have trials of all of {groups}; a spread needs at least two.")
    return [common[group] for group in groups]


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What pairing by seed does to an interval.

    Attributes:
        correlation: Correlation of the two groups over their seeds, -1 to 1.
        paired: Half of the 95 % interval of the mean difference, pairs of one seed subtracted.
        unpaired: The same without pairs, from the spread of each group.
    """

    correlation: float
    paired: float
    unpaired: float

    def __str__(self):
        return f"correlation {self.correlation:+.2f}, paired ± {self.paired:.2f}, unpaired ± {self.unpaired:.2f} (95 %)"


def pairing(table, by, value, first, second):
    """How far the values of one seed go together in two groups, and the interval with and without pairs.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved" (1947), for the interval without pairs.

    Args:
        table: Table as `sweeps.run` returns it; failed trials do not count.
        by: Column, or list of columns, that tell the groups apart.
        value: Column to compare.
        first: Value of ``by`` in the first group, a tuple for several columns.
        second: Value of ``by`` in the second group.

    Returns:
        A `Pairing`.

    Raises:
        ValueError: What `interaction` raises, for two groups.
    """
    one, other = _in_common(table, by, value, [first, second])
    low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    paired = difference(table, by, value, first, second).half_width
    correlation = np.corrcoef(one, other)[0, 1]
    return Pairing(float(correlation), paired, float(high - low) / 2)


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


def chosen(tables, by, value):
    """For each of several sweeps the setting chosen on validation images, and its figures on test images.

    Args:
        tables: Dict of label to table, as for `best`.
        by: Column, or list of columns, that tell the settings apart.
        value: Column in which less is better, "validation_" and a name; its twin "test_" and the name is reported.

    Returns:
        A pandas DataFrame with one row for each label: "chosen" (the setting with the lowest mean), "ties with it" and
        "of" (how many other settings tie with it, and how many there are), "test" and "spread" (mean and standard
        deviation over seeds of the twin).

    Raises:
        ValueError: What `best` raises.
    """
    rows = {}
    for label, table in tables.items():
        ranked = best(table, by, value)
        final = summary(table, by, value.replace("validation_", "test_", 1)).loc[ranked.index[0]]
        row = {"chosen": ranked.index[0], "ties with it": int(ranked["tie"].sum()), "of": len(ranked) - 1}
        rows[label] = row | {"test": final["mean"], "spread": final["standard_deviation"]}
    return pd.DataFrame.from_dict(rows, orient="index")


# --------------------------------------------------------------------------------------------------
# Claims


def verdict(evidence, margin=0.0):
    """What evidence says of a claim, by one rule for all claims.

    Args:
        evidence: A `Difference` that the claim says is below ``margin``; or True or False, where every training, or
            plain arithmetic, says the same; or None, where there is one training, whose luck is not known.
        margin: The number below which the difference is claimed to be: 0 for "better"; for "as good as", the smallest
            difference that would count.

    Returns:
        The text "true" where the whole 95 % interval is below the margin, "false" where the whole of it is above, "tie"
        where the margin lies within it; "no verdict" for None.
    """
    if evidence is None:
        return "no verdict"
    if not isinstance(evidence, Difference):
        return "true" if evidence else "false"
    if abs(evidence.mean - margin) <= evidence.half_width:
        return "tie"
    return "true" if evidence.mean < margin else "false"


class Court:
    """Claims that are judged one after the other, and all of them in a table at the end."""

    def __init__(self):
        self._rows = []

    def judge(self, project, claim, experiment, evidence, number="", margin=0.0):
        """Judge a claim by `verdict`, print claim, experiment, number and verdict, and keep them for the table.

        Args:
            project: Who made the claim.
            claim: The sentence.
            experiment: What was done to find out, and in what unit.
            evidence: As for `verdict`.
            number: What was measured, as text; where it is empty, the difference with its 95 % interval.
            margin: As for `verdict`.
        """
        if not number and isinstance(evidence, Difference):
            half_width = evidence.half_width
            digits = max(0, 1 - math.floor(math.log10(half_width))) if half_width > 0 else 3  # two that count
            number = f"{evidence.mean:+.{digits}f} ± {half_width:.{digits}f} (95 %, {evidence.count} seeds)"
        self._keep(project, claim, experiment, number, verdict(evidence, margin))

    def defer(self, project, claim, where):
        """Keep a claim that is judged elsewhere, without a verdict.

        Args:
            project: Who made the claim.
            claim: The sentence.
            where: What is written in place of the verdict, such as "judged in notebook 10".
        """
        self._keep(project, claim, "", "", where)

    def _keep(self, project, claim, experiment, number, verdict):
        row = {"project": project, "claim": claim, "experiment": experiment, "number": number, "verdict": verdict}
        self._rows.append(row)
        for name in ("claim", "experiment", "number", "verdict"):
            if row[name]:
                print(f"{name:11}{row[name].upper() if name == 'verdict' else row[name]}")
        print()

    def table(self):
        """All claims so far, a pandas DataFrame with columns project (the index), claim, experiment, number, verdict.

        A claim that was judged twice, such as when its cell was run again, stands there once, with its last verdict.
        """
        columns = ["project", "claim", "experiment", "number", "verdict"]
        table = pd.DataFrame(self._rows, columns=columns)
        return table.drop_duplicates(["project", "claim"], keep="last").set_index("project")
