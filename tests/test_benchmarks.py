"""The arithmetic of the benchmarks: what is counted, and when two ways to train are equal. No speed is tested."""

import json
import sys

import numpy as np
import pytest

from helpers import course

BENCHMARKS = course.ROOT / "tests" / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """The modules `race` and `bench_training`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_training
    import race

    return race, bench_training


def test_epochs_to_an_elbo_lie_on_straight_lines(bench):
    race, _ = bench
    result = race.Result([1, 4, 5, 4], [1, 2, 2, 2], [260.0, 250.0, 252.0, 240.0])
    found = [result.epochs_to(goal) for goal in (270, 260, 255, 250, 245, 240)]
    assert found == [1, 1, 1.5, 2, 3 + 7 / 12, 4]
    assert result.epochs_to(239.9) is None
    assert result.elbo == 240 and result.best == (4, 2), "the first epoch does not count"


def test_ways_are_compared_where_both_have_reached_the_worse_of_their_last_elbos(bench):
    race, bench_training = bench
    races = [
        # Ours is at 250, where the other ends, after two and a half epochs; its cheapest epoch is in the second race.
        {
            "ours": race.Result([9, 4, 5], [9, 4, 5], [270, 255, 245]),
            "it": race.Result([9, 9, 8], [5] * 3, [9e9, 260, 250]),
        },
        # Here the other is ahead: it is at 250 after two epochs.
        {
            "ours": race.Result([9, 2, 4], [9, 3, 4], [270, 255, 250]),
            "it": race.Result([9, 9, 9], [4] * 3, [270, 250, 240]),
        },
    ]
    (row,) = bench_training.compare_at_equal_elbo("net", races, {"it": 3.0, "absent": 1.0})
    assert (row.ours, row.wall) == (2 * 2.75, 3 * 2.75)
    assert (row.other, row.other_wall) == (8 * 2.5, 5 * 2.5)
    assert row.asked == ">= 3 x yes"
    assert f"ends -2.50 ± {np.std([5, -10], ddof=1):.2f} nats" in row.what


PEER = """
import sys, time
sys.path.insert(0, {peers!r})
from gate import Gate
gate = Gate()
for epoch in range(3):
    gate.wait()
    if {way!r} == "dies in a turn" and epoch == 1:
        raise SystemExit("out of cloth")
    gate.stop((lambda: 240.0 - epoch) if epoch == 2 else None)
    if {way!r} == "dies between turns":
        raise SystemExit("out of thread")
    time.sleep(0.2)  # so that one that dies between turns is dead at its next
"""


def test_processes_take_turns_and_one_that_dies_is_named(bench, tmp_path):
    race, _ = bench
    (tmp_path / "about.json").write_text(json.dumps({"epochs": 3}))
    runners = {}
    for way in ("whole", "dies in a turn", "dies between turns"):
        script = tmp_path / f"{way}.py"
        script.write_text(PEER.format(peers=str(race.PEERS), way=way))
        runners[way] = race.Runner([sys.executable, script], tmp_path, 1)
    results = race.run(runners)
    assert results["whole"].elbos == [None, None, 238.0] and not results["whole"].fault
    assert len(results["whole"].cpu) == len(results["whole"].wall) == 3
    assert results["dies in a turn"].fault == "out of cloth"
    assert results["dies between turns"].fault == "out of thread"
