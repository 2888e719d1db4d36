"""One measurement as a row, and the table that `make bench` prints."""

import dataclasses

COLUMNS = f"{'what':96} {'ours':>12} {'wall':>8} {'the other':>12} {'wall':>8} {'ratio':>8}  {'asked':<10}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table; whatever is None stays empty.

    Args:
        what: is measured, and against what.
        ours: the course's own figure.
        unit: of ``ours`` and ``other``: "CPU s", "s", "ms", "%", ...
        wall: seconds on the clock, where ``ours`` is CPU seconds.
        other: the same figure of the other way, measured in the same run.
        other_wall: as ``wall``.
        most: the largest ``ours`` asked for.
        least: the smallest ratio asked for, other / ours.
    """

    what: str
    ours: float
    unit: str = "ms"
    wall: float | None = None
    other: float | None = None
    other_wall: float | None = None
    most: float | None = None
    least: float | None = None

    @property
    def ratio(self):
        """How many times ours goes into the other, None where there is no other."""
        return None if self.other is None else self.other / self.ours

    @property
    def asked(self):
        """What was asked for and whether it holds, in words."""
        if self.least is not None and self.ratio is not None:
            return f">= {self.least:g} x {_verdict(self.ratio >= self.least)}"
        if self.most is not None:
            return f"<= {self.most:g} {_verdict(self.ours <= self.most)}"
        return ""

    def __str__(self):
        return (
            f"{self.what:96} {_figure(self.ours, self.unit):>12} {_figure(self.wall, 's'):>8} "
            f"{_figure(self.other, self.unit):>12} {_figure(self.other_wall, 's'):>8} "
            f"{_figure(self.ratio, 'x'):>8}  {self.asked}"
        ).rstrip()


def _verdict(holds):
    return "yes" if holds else "NO"


def _figure(value, unit):
    """Three digits that count, and the unit."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"
