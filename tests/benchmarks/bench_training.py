"""Training throughput against the usual Keras loops and PyTorch: the same nets, first weights, order and rates.

Races for each net. In a short one PyTorch's choices and the eager loop take part; it finds PyTorch's best, with Adam as
it comes and with Adam in one kernel. Then ours, the Keras loop, PyTorch as it comes and at its best train long, once
for each seed of first weights, order and noise. A faster way that learns less has not won, and one seed says little
about who learns more: for each pair and seed the CPU seconds count until both are at the same test ELBO, the worse of
the two at the end. Everybody takes turns, a fifth of an epoch each, and the median of the turns counts. Nets are
compiled in the first epoch, which does not.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import race
from table import Row

from helpers import course

# In a dense training more and more of Adam's first moments become denormal numbers. Where they are not flushed to 0 a
# step of PyTorch's takes two to three times as long. TensorFlow flushes them unasked.
_BFLOAT16 = {
    "PyTorch, bfloat16": ("flush", "bfloat16"),
    "PyTorch, bfloat16, compiled": ("flush", "bfloat16", "compiled"),
}
_CHANNELS_LAST = {f"{label}, channels last": (*choices, "channels_last") for label, choices in _BFLOAT16.items()}


@dataclasses.dataclass(frozen=True)
class Net:
    """A net and its races.

    Args:
        name: one of `checkpoints.names`; its net and recipe.
        short, long: (images an epoch, epochs).
        choices: PyTorch's, by name.
        asked: ratios against PyTorch as it comes and at its best.
        arguments: of the net, that differ from the plan's.
    """

    name: str
    short: tuple
    long: tuple
    choices: dict
    asked: tuple
    arguments: dict = dataclasses.field(default_factory=dict)


NETS = {
    "dense VAE": Net("dense_vae_10", (25_600, 4), (55_000, 12), _BFLOAT16, (1.5, 1.5), {"activation": "relu"}),
    "conv VAE": Net("conv_vae_32", (6_400, 4), (27_500, 4), _BFLOAT16 | _CHANNELS_LAST, (2.5, 1.3)),
}
OURS, AS_IT_COMES, EAGER, LOOP = "ours", "PyTorch", "TensorFlow, eager loop", "Keras, textbook loop"
FUSED = ", fused Adam"


def rows(options):
    """A row for each net and peer."""
    reason = race.without_pytorch(options.torch)
    if reason:
        print(f"PyTorch skipped: {reason}")
    for label, net in NETS.items():
        choices = {} if reason else {AS_IT_COMES: (), **net.choices}
        choices |= {f"{choice}{FUSED}": (*flags, "flush", "fused") for choice, flags in choices.items()}
        yield from races(label, net, choices, options)


def races(label, net, choices, options):
    """One net: everybody in turn, for a short while, then the best for a long one, seed by seed."""

    def torch(labels):
        return {
            label: lambda kit, c=choices[label]: race.pytorch(kit, options.threads, options.torch, *c)
            for label in labels
        }

    ours = {f"ours, {p}": lambda kit, p=p: race.ours(kit, options.threads, p) for p in precisions()}
    loop = {LOOP: lambda kit: race.textbook(kit, options.threads)}
    eager = {EAGER: lambda kit: race.textbook(kit, options.threads, "eager")}

    results = run(net, net.short, ours | eager | torch(choices))
    yield from compare_epochs(f"{label}, short", results)
    best = {}
    for kind in ("", FUSED):  # Adam as it comes, and in one kernel
        found = [label for label in results if label in choices and label.endswith(FUSED) == bool(kind)]
        if found:
            best[min(found, key=lambda label: results[label].epoch)] = net.asked[1]
    asked = {LOOP: 1.2} | best | ({AS_IT_COMES: net.asked[0]} if choices else {})
    starts = {OURS: ours[f"ours, {course.fast_precision()}"]} | loop | torch([way for way in asked if way in choices])
    seeds = range(1, options.seeds + 1)
    yield from compare_at_equal_elbo(label, [run(net, net.long, starts, seed) for seed in seeds], asked)


def precisions():
    """float32, and bfloat16 where the computer has it."""
    return sorted({"float32", course.fast_precision()})


def run(net, size, starts, seed=None):
    """Let them race; dict of label to `race.Result` of those that came through.

    Args:
        net: a `Net`.
        size: (images an epoch, epochs).
        starts: dict of label to a function that takes the kit's folder and returns a `race.Runner`.
        seed: of first weights, order and noise. The test ELBO is then measured after each epoch, and printed. None
            takes the net's own seed, and only looks at times.
    """
    images, epochs = size
    changes = {"arguments": net.arguments}
    if seed is not None:
        changes = {"arguments": net.arguments | {"seed": seed}, "seed": seed, "watch": True}
    with tempfile.TemporaryDirectory() as folder:
        kit = race.kit(Path(folder, "kit"), net.name, images, epochs, **changes)
        results = race.run({label: start(kit) for label, start in starts.items()})
    for label, result in results.items():
        if result.fault:
            print(f"{net.name}, {label}: {result.fault}")
        elif seed is not None:
            spent = ", ".join(f"{cpu:.1f}" for cpu in result.cpu)
            reached = ", ".join(f"{elbo:.2f}" for elbo in result.elbos)
            print(f"{net.name}, seed {seed}, {label}: {spent} CPU s to {reached}", flush=True)
    return {label: result for label, result in results.items() if not result.fault}


def compare_epochs(what, results):
    """An epoch of each of ours beside one of each of the others."""
    others = {label: result for label, result in results.items() if not label.startswith(OURS)}
    for own in [label for label in results if label.startswith(OURS)]:
        for label, result in others.items():
            cpu, wall = results[own].epoch
            yield Row(f"{what}: {own} / {label}", cpu, "CPU s", wall, *result.epoch)


def compare_at_equal_elbo(what, races, asked):
    """Ours beside each of the others: what it costs both to reach the worse of their two last test ELBOs.

    Args:
        what: the net, in words.
        races: a dict of label to `race.Result` for each seed.
        asked: dict of label to the ratio asked for.
    """
    for label, ratio in asked.items():
        pairs = [(results[OURS], results[label]) for results in races if {OURS, label} <= results.keys()]
        if not pairs:
            continue
        goals = [max(one.elbo, other.elbo) for one, other in pairs]
        own, others = ([pair[i] for pair in pairs] for i in (0, 1))
        gaps = [other.elbo - one.elbo for one, other in pairs]
        spread = f" ± {np.std(gaps, ddof=1):.2f}" if len(gaps) > 1 else ""
        note = f"(ends {np.mean(gaps):+.2f}{spread} nats)"
        (cpu, wall), other = cost(own, goals), cost(others, goals)
        yield Row(f"{what}: ours / {label} {note}", cpu, "CPU s", wall, *other, least=ratio)


def cost(results, goals):
    """(CPU seconds, seconds) until the goals are reached, on average; all epochs have the same `race.price`."""
    cpu, wall = race.price(results)
    epochs = np.mean([result.epochs_to(goal) for result, goal in zip(results, goals, strict=True)])
    return cpu * epochs, wall * epochs
