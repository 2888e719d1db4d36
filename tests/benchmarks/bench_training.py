"""Training throughput against the usual Keras loops and PyTorch: the same nets, first weights, order and rates.

All ways to train take turns, an epoch each. What counts is the cheapest epoch after the first, in CPU seconds; nets
are compiled in the first. At the end all are measured on the test images: a faster way that learns less has not won.
"""

import tempfile
from pathlib import Path

import race
from table import Row

# net: images an epoch, epochs
NETS = {"dense_vae_10": (25_600, 8), "conv_vae_32": (6_400, 6)}
EQUAL = 0.3  # nats of test ELBO
TORCH = {
    "dense_vae_10": {
        "PyTorch": (),
        "PyTorch, fused Adam": ("fused",),
        "PyTorch, bfloat16": ("fused", "bfloat16"),
        "PyTorch, compiled": ("fused", "compiled"),
        "PyTorch, compiled, bfloat16": ("fused", "compiled", "bfloat16"),
    },
    "conv_vae_32": {
        "PyTorch": (),
        "PyTorch, channels last": ("fused", "channels_last"),
        "PyTorch, bfloat16": ("fused", "bfloat16"),
        "PyTorch, bfloat16, ch. last": ("fused", "bfloat16", "channels_last"),
        "PyTorch, compiled": ("fused", "compiled"),
        "PyTorch, compiled, bf16": ("fused", "compiled", "bfloat16"),
        "PyTorch, compiled, bf16, ch. last": ("fused", "compiled", "bfloat16", "channels_last"),
    },
}
ASKED = {"dense_vae_10": (1.5, 1.5), "conv_vae_32": (2.5, 1.3)}  # against PyTorch as it comes, and at its best


def rows(options):
    """A row for each net and peer."""
    reason = race.without_pytorch(options.torch)
    if reason:
        print(f"PyTorch skipped: {reason}")
    for name in NETS:
        yield from net(name, options, with_torch=not reason)


def net(name, options, with_torch):
    """One net: everybody in turn."""
    images, epochs = NETS[name]
    with tempfile.TemporaryDirectory() as folder:
        kit = race.kit(Path(folder, "kit"), name, images, epochs)
        runners = {"ours": race.ours(kit, options.threads)}
        if name.startswith("conv"):
            runners["ours, bfloat16"] = race.ours(kit, options.threads, "mixed_bfloat16")
        runners["Keras, the textbook loop"] = race.textbook(kit, options.threads)
        runners["TensorFlow, the eager loop"] = race.textbook(kit, options.threads, "eager")
        if with_torch:
            for label, choices in TORCH[name].items():
                runners[label] = race.pytorch(kit, options.threads, options.torch, *choices)
        results = race.run(runners)
    for label, result in results.items():
        if result.fault:
            print(f"{name}, {label}: {result.fault}")
    yield from compare(name, {label: result for label, result in results.items() if not result.fault})


def compare(name, results):
    """Ours at its best beside each of the others."""
    mine = [label for label in results if label.startswith("ours")]
    others = {label: result for label, result in results.items() if label not in mine}
    as_it_comes, at_its_best = ASKED[name]
    torch = [label for label in others if label.startswith("PyTorch")]
    best = min(torch, key=lambda label: others[label].best, default=None)
    for own in mine:
        cpu, wall = results[own].best
        for label, result in others.items():
            least = {"Keras, the textbook loop": 1.2, "PyTorch": as_it_comes, best: at_its_best}.get(label)
            gap = result.elbo - results[own].elbo
            note = "" if abs(gap) <= EQUAL else f" ({gap:+.1f} nats)"
            yield Row(f"{name}, {own} / {label}{note}", cpu, "CPU s", wall, *result.best, least=least)
