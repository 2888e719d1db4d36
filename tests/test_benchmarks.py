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


def trained(race, elbos, *prices):
    """A result of epochs of ten steps in two turns; a turn's price in CPU seconds a step, half of it on the clock."""
    epochs = [[(n, n * price, n * price / 2) for n, price in zip((4, 6), pair, strict=True)] for pair in prices]
    return race.Result(epochs, elbos)


def test_epochs_to_an_elbo_lie_on_straight_lines(bench):
    race, _ = bench
    result = race.Result([], [260.0, 250.0, 252.0, 240.0])
    found = [result.epochs_to(goal) for goal in (270, 260, 255, 250, 245, 240)]
    assert found == [1, 1, 1.5, 2, 3 + 7 / 12, 4]
    assert result.epochs_to(239.9) is None and result.elbo == 240


def test_an_epoch_costs_what_the_median_of_turns_does_a_step_and_the_first_epoch_does_not_count(bench):
    race, _ = bench
    result = trained(race, [], (1, 1), (2, 3), (2.5, 90))
    assert result.epoch == (27.5, 13.75)
    assert race.price([result, trained(race, [], (1, 1), (9, 9))]) == (60, 30)
    assert result.cpu == [10, 26, 550] and result.wall == [5, 13, 275]


def test_ways_are_compared_where_both_have_reached_the_worse_of_their_last_elbos(bench):
    race, bench_training = bench
    races = [
        # Ours is at 250, where the other ends, after two and a half epochs.
        {
            "ours": trained(race, [270, 255, 245], (9, 9), (1, 2), (2, 2)),
            "it": trained(race, [9e9, 260, 250], (9, 9), (4, 4), (4, 4)),
        },
        # Here the other is ahead: it is at 250 after two epochs.
        {
            "ours": trained(race, [270, 255, 250], (9, 9), (2, 2), (3, 3)),
            "it": trained(race, [270, 250, 240], (9, 9), (4, 4), (7, 1)),
        },
    ]
    (row,) = bench_training.compare_at_equal_elbo("net", races, {"it": 1.8, "absent": 1.0})
    assert (row.ours, row.wall) == (20 * 2.75, 10 * 2.75)
    assert (row.other, row.other_wall) == (40 * 2.5, 20 * 2.5)
    assert row.asked == ">= 1.8 x yes"
    assert f"ends -2.50 ± {np.std([5, -10], ddof=1):.2f} nats" in row.what


PEER = """
import sys, time
sys.path.insert(0, {peers!r})
from gate import Gate, Kit
kit = Kit({folder!r})
last = float("nan") if {way!r} == "diverges" else 238.0
gate = Gate(kit, lambda: last if (epoch, done) == (2, 7) else 1 / 0)
for epoch in range(kit.epochs):
    gate.open(epoch)
    for done in (2, 4, 6, 7):  # calls of two steps, and the rest
        if {way!r} == "dies in a turn" and epoch == 1:
            raise SystemExit("out of cloth")
        gate.passed(done)
    if {way!r} == "dies between turns":
        raise SystemExit("out of thread")
    time.sleep(0.2)  # so that one that dies between turns is dead at its next
"""


def test_processes_take_turns_and_those_that_fail_are_named(bench, tmp_path):
    race, _ = bench
    about = {"epochs": 3, "turns": 2, "watch": False, "batch_size": 10}
    (tmp_path / "about.json").write_text(json.dumps(about))
    for name in ("images", "test", "rates"):
        np.save(tmp_path / f"{name}.npy", np.zeros(65))
    np.savez(tmp_path / "weights.npz")
    runners = {}
    for way in ("whole", "dies in a turn", "dies between turns", "diverges"):
        script = tmp_path / f"{way}.py"
        script.write_text(PEER.format(peers=str(race.PEERS), folder=str(tmp_path), way=way))
        runners[way] = race.Runner([sys.executable, script], tmp_path, 1)
    results = race.run(runners)
    whole = results["whole"]
    assert [[steps for steps, *_ in turns] for turns in whole.epochs] == [[4, 3]] * 3
    assert whole.elbos == [None, None, 238.0] and not whole.fault
    assert results["dies in a turn"].fault == "out of cloth"
    assert results["dies between turns"].fault == "out of thread"
    assert results["diverges"].fault == "its test ELBO became nan in epoch 3"
