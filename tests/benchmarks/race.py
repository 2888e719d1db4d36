"""Ways to train one net take turns, a few seconds each, every one in a process of its own."""

import contextlib
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from helpers import checkpoints, data, training

PEERS = Path(__file__).parent / "peers"


@dataclasses.dataclass
class Result:
    """What a way to train has cost and reached.

    Args:
        epochs: for each the list of its turns: (steps, CPU seconds, seconds).
        elbos: for each the negative ELBO on the test images, None where it was not watched. The last one always is.
        fault: why it did not come through; "" if it did.
    """

    epochs: list
    elbos: list
    fault: str = ""

    @property
    def cpu(self):
        """CPU seconds of each epoch."""
        return [sum(cpu for _, cpu, _ in turns) for turns in self.epochs]

    @property
    def wall(self):
        """Seconds of each epoch."""
        return [sum(wall for _, _, wall in turns) for turns in self.epochs]

    @property
    def epoch(self):
        """(CPU seconds, seconds) of an epoch, see `price`."""
        return price([self])

    @property
    def elbo(self):
        """Negative test ELBO after the last epoch."""
        return self.elbos[-1]

    def epochs_to(self, goal):
        """Epochs until a negative test ELBO was reached, a float: between two epochs a straight line is drawn.

        What is reached within the first epoch counts as one. None where the goal was never reached.
        """
        if self.elbos[0] <= goal:
            return 1.0
        for epoch, (before, after) in enumerate(itertools.pairwise(self.elbos), start=1):
            if after <= goal:
                return epoch + (before - goal) / (before - after)
        return None


def kit(folder, name, images, epochs, watch=False, turns=5, **changes):
    """Write down a training: data, order, rates and first weights, the same for all who take part.

    Args:
        folder: where to, a Path; made.
        name: one of `checkpoints.names`; its net and recipe.
        images: number of training images.
        epochs: passes over them.
        watch: measure the test ELBO after each epoch, outside the clock, and not after the last alone.
        turns: of an epoch.
        **changes: fields of `training.Recipe`, or ``arguments`` of the net, that differ from the plan's.

    Returns:
        The folder.
    """
    folder.mkdir()
    dataset, plan = _data(), checkpoints.plan(name)
    arguments = plan.arguments | changes.pop("arguments", {})
    recipe = training.Recipe(**{**plan.recipe, "epochs": epochs, **changes})
    steps = -(-images // recipe.batch_size)
    rate = recipe.rate(steps)
    schedule = callable(rate)
    model = dataclasses.replace(plan, arguments=arguments).build()
    z = np.random.default_rng(1).standard_normal((8, model.latent_dim)).astype("float32")
    about = {
        "model": plan.model,
        "arguments": arguments,
        "recipe": dataclasses.asdict(recipe),
        "epochs": epochs,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "watch": watch,
        "turns": turns,
        "encoder": model.encoder.to_json(),
        "decoder": model.decoder.to_json(),
        "rate": rate.get_config() if schedule else None,  # of a CosineDecay
    }
    (folder / "about.json").write_text(json.dumps(about))
    np.save(folder / "rates.npy", [rate(step) if schedule else rate for step in range(epochs * steps)])
    np.save(folder / "images.npy", dataset.train.images[:images])
    np.save(folder / "test.npy", dataset.test.images)
    weights = {k: v for k, v in model.weight_arrays().items() if "/" in k}
    np.savez(folder / "weights.npz", **weights, probe_z=z, probe_logits=np.array(model.logits(z)))
    return folder


_loaded = []


def _data():
    if not _loaded:
        _loaded.append(data.load(verbose=False))
    return _loaded[0]


def price(results):
    """What an epoch costs: (CPU seconds, seconds).

    The median of the turns, a step at a time. Where cores are shared with others, speed changes within seconds, and
    every way to train meets good and bad moments. First epochs, in which nets are compiled, do not count.

    Args:
        results: of one way to train, in one or more races.
    """
    steps = sum(steps for steps, _, _ in results[0].epochs[0])
    turns = [turn for result in results for epoch in result.epochs[1:] for turn in epoch]
    return tuple(steps * float(np.median([turn[i] / turn[0] for turn in turns])) for i in (1, 2))


class Runner:
    """A process that trains behind a gate."""

    def __init__(self, command, folder, threads, **variables):
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the process
        counts = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
        self.epochs = json.loads((folder / "about.json").read_text())["epochs"]
        self.result = Result([[]], [])
        self.process = subprocess.Popen(
            [*command[:2], str(folder), *command[2:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | dict.fromkeys(counts, str(threads)) | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables,
        )

    def turn(self):
        """Train for some steps."""
        self._send()
        answer = self._hear()
        if not answer:
            return
        self.result.epochs[-1].append((answer["steps"], answer["cpu"], answer["wall"]))
        if answer["epoch_over"]:
            elbo = answer["elbo"]
            self.result.elbos.append(elbo)
            if elbo is not None and not math.isfinite(elbo):
                self.result.fault = f"its test ELBO became {elbo} in epoch {len(self.result.elbos)}"
            if self.through or self.result.fault:
                self.stop()
            else:
                self.result.epochs.append([])

    @property
    def through(self):
        return len(self.result.elbos) == self.epochs

    @property
    def over(self):
        return self.process.poll() is not None

    def _send(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def _hear(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.explain()
        return None

    def explain(self):
        """Stop, and keep the last line of what the process said as the fault."""
        self.stop()
        last = self.said.strip().splitlines()
        self.result.fault = last[-1] if last else f"exit status {self.process.returncode}"

    def stop(self):
        """End the process, also one that is in the middle of something."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if not self.errors.closed:
            self.errors.seek(0)
            self.said = self.errors.read().decode(errors="replace")
            self.errors.close()


def run(runners):
    """Let runners take turns until all are through.

    Args:
        runners: dict of name to `Runner`.

    Returns:
        Dict of name to `Result`; a runner that failed has a ``fault`` instead of figures.
    """
    try:
        while any(not runner.over for runner in runners.values()):
            for runner in runners.values():
                if not runner.over:
                    runner.turn()
    finally:
        for runner in runners.values():
            runner.stop()
            if not (runner.through or runner.result.fault):
                runner.explain()  # it died between two turns
    return {name: runner.result for name, runner in runners.items()}


def ours(folder, threads, precision="float32"):
    """`training.fit`."""
    return Runner([sys.executable, PEERS / "ours.py", str(threads), precision], folder, threads)


def textbook(folder, threads, way="loop"):
    """The usual Keras loop, or with ``way="eager"`` the loop of which nothing is compiled."""
    return Runner([sys.executable, PEERS / "textbook.py", way], folder, threads, TF_NUM_INTEROP_THREADS=str(threads))


def pytorch(folder, threads, interpreter, *options):
    """PyTorch, in an environment that has it."""
    # Its compiler would start a process for each core.
    return Runner(
        [interpreter, PEERS / "pytorch.py", str(threads), *options], folder, threads, TORCHINDUCTOR_COMPILE_THREADS="1"
    )


def without_pytorch(interpreter):
    """Why PyTorch cannot take part, as a sentence; None where it can."""
    try:
        done = subprocess.run([interpreter, "-c", "import torch"], capture_output=True)
    except OSError as error:
        return f"{interpreter} does not start ({error.strerror})."
    if done.returncode:
        return f"PyTorch is not installed in {interpreter}; --torch names the Python of an environment that has it."
    return None
