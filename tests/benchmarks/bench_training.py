"""Training throughput against the usual Keras loops and PyTorch: the same nets, first weights, order and rates.

Two races for each net. In a short one PyTorch's choices and the eager loop take part; it finds PyTorch's best, with
Adam as it comes and with Adam in one kernel. In a long one ours, the Keras loop, PyTorch as it comes and at its best
train to an ELBO that can be compared: a faster way that learns less has not won. Everybody takes turns, an epoch each.
What counts is the cheapest epoch after the first, in CPU seconds; nets are compiled in the first.
"""

import dataclasses
import tempfile
from pathlib import Path

import race
from table import Row

from helpers import course

EQUAL = 0.3  # nats of test ELBO
_BFLOAT16 = {
    "PyTorch, bfloat16": ("bfloat16",),
    "PyTorch, bfloat16, compiled": ("bfloat16", "compiled"),
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
    "conv VAE": Net("conv_vae_32", (6_400, 4), (55_000, 4), _BFLOAT16 | _CHANNELS_LAST, (2.5, 1.3)),
}
AS_IT_COMES, EAGER, LOOP = "PyTorch", "TensorFlow, eager loop", "Keras, textbook loop"
FUSED = ", fused Adam"


def rows(options):
    """A row for each net and peer."""
    reason = race.without_pytorch(options.torch)
    if reason:
        print(f"PyTorch skipped: {reason}")
    for label, net in NETS.items():
        choices = {} if reason else {AS_IT_COMES: (), **net.choices}
        choices |= {f"{choice}{FUSED}": (*flags, "fused") for choice, flags in choices.items()}
        yield from races(label, net, choices, options)


def races(label, net, choices, options):
    """One net: everybody in turn, for a short while, then the best for a long one."""

    def torch(labels):
        return {
            label: lambda kit, c=choices[label]: race.pytorch(kit, options.threads, options.torch, *c)
            for label in labels
        }

    ours = {f"ours, {p}": lambda kit, p=p: race.ours(kit, options.threads, p) for p in precisions()}
    loop = {LOOP: lambda kit: race.textbook(kit, options.threads)}
    eager = {EAGER: lambda kit: race.textbook(kit, options.threads, "eager")}

    results = run(net, net.short, ours | eager | torch(choices))
    yield from compare(f"{label}, short", results, {}, elbos=False)
    best = {}
    for kind in ("", FUSED):  # Adam as it comes, and in one kernel
        found = [label for label in results if label in choices and label.endswith(FUSED) == bool(kind)]
        if found:
            best[min(found, key=lambda label: results[label].best)] = net.asked[1]
    asked = {LOOP: 1.2} | best | ({AS_IT_COMES: net.asked[0]} if choices else {})
    results = run(net, net.long, ours | loop | torch([label for label in asked if label in choices]))
    yield from compare(label, results, asked)


def precisions():
    """float32, and bfloat16 where the computer has it."""
    return sorted({"float32", course.fast_precision()})


def run(net, size, starts):
    """Let them race; dict of label to `race.Result` of those that came through."""
    images, epochs = size
    with tempfile.TemporaryDirectory() as folder:
        kit = race.kit(Path(folder, "kit"), net.name, images, epochs, arguments=net.arguments)
        results = race.run({label: start(kit) for label, start in starts.items()})
    for label, result in results.items():
        if result.fault:
            print(f"{net.name}, {label}: {result.fault}")
    return {label: result for label, result in results.items() if not result.fault}


def compare(what, results, asked, elbos=True):
    """Ours beside each of the others.

    A ratio is judged for the precision that is fastest here, and only where ours ends no worse than equal in test ELBO.
    """
    others = {label: result for label, result in results.items() if not label.startswith("ours")}
    for own in [label for label in results if label.startswith("ours")]:
        cpu, wall = results[own].best
        for label, result in others.items():
            gap = result.elbo - results[own].elbo
            note = f" ({gap:+.2f} nats)" if elbos else ""
            judged = own == f"ours, {course.fast_precision()}" and gap >= -EQUAL
            least = asked.get(label) if judged else None
            yield Row(f"{what}: {own} / {label}{note}", cpu, "CPU s", wall, *result.best, least=least)
