"""Progress of trainings and sweeps, in notebook and terminal alike, with the time left."""

import sys
import time

from helpers import course
from helpers.machinery.backend import keras


class _Screen:
    """A place on which a text is replaced by the next one: an output of a notebook, or a line of a terminal."""

    def __init__(self):
        self.handle, self.is_terminal = None, sys.stderr is not None and sys.stderr.isatty()

    def show(self, text):
        """Replace what stands in a notebook."""
        from IPython.display import display

        content = {"text/plain": text}
        if self.handle is None:
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def line(self, text, stays=True):
        """Write a line to standard error; one that does not stay is overwritten by the next, in a terminal."""
        start, end = ("\r\033[K", "\n" if stays else "") if self.is_terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


class TrainingProgress(keras.callbacks.Callback):
    """One line for each epoch, and a bar with the time left while it runs.

    Args:
        epochs: Number of all epochs of the training, those that were trained before among them.
        steps: Number of steps of an epoch.
    """

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.lines, self.shown, self.first = [], 0.0, None

    def on_train_begin(self, logs=None):
        self.began, self.screen = time.monotonic(), _Screen()

    def on_epoch_begin(self, epoch, logs=None):
        self.current = epoch
        self.first = epoch if self.first is None else self.first

    def on_train_batch_end(self, step, logs=None):
        if time.monotonic() - self.shown < 0.25:
            return
        self.shown = time.monotonic()
        line = f"epoch {self.current + 1:>3}/{self.epochs} {_bar(step + 1, self.steps)} loss {logs['loss']:.2f}"
        bar = f"{line} · {self.left(self.current + (step + 1) / self.steps)} left"
        if course.in_notebook():
            self.screen.show("\n".join([*self.lines, bar]))
        elif self.screen.is_terminal:
            self.screen.line(bar, stays=False)

    def on_epoch_end(self, epoch, logs=None):
        if "kl" in logs:
            words = [
                f"reconstruction {logs['reconstruction']:7.2f}",
                f"KL {logs['kl']:6.2f}",
                f"beta {logs['beta']:4.2f}",
                f"validation {logs['val_negative_elbo']:7.2f}",
            ]
        else:
            words = [f"loss {logs['loss']:7.2f}", f"MSE {logs['mse']:.5f}", f"validation {logs['val_mse']:.5f}"]
        self.lines.append(" · ".join([f"epoch {epoch + 1:>3}/{self.epochs}", *words]))
        if course.in_notebook():
            self.screen.show("\n".join(self.lines))
        else:
            self.screen.line(f"{self.lines[-1]} · {self.left(epoch + 1)} left")

    def left(self, epochs):
        """Return the time left, in words, after so many epochs."""
        return clock((time.monotonic() - self.began) / (epochs - self.first) * (self.epochs - epochs))


class SweepProgress:
    """A bar of trials with the time left; where output goes to a file, a line for each trial.

    Args:
        total: Number of all trials.
        found: Number of those that were finished before.
    """

    def __init__(self, total, found):
        self.total, self.found, self.done, self.failed = total, found, 0, 0
        self.began, self.screen = time.monotonic(), _Screen()
        self.show(self.bar())

    def add(self, failed):
        """Count one more trial, and say whether it failed."""
        self.done += 1
        self.failed += failed
        self.show(self.bar())

    def end(self):
        """Write the last line."""
        self.show(self.count() + (f" · {self.failed} failed" if self.failed else ""), stays=True)

    def count(self):
        """Return how many trials are finished, in words."""
        return f"{self.found + self.done} of {self.total} trials"

    def bar(self):
        """Return the line that is shown while trials run."""
        parts = [f"{self.count()} {_bar(self.found + self.done, self.total)}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done:
            left = self.total - self.found - self.done
            parts.append(f"{clock((time.monotonic() - self.began) / self.done * left)} left")
        elif self.found:
            parts.append(f"{self.found} were finished before")
        return " · ".join(parts)

    def show(self, text, stays=False):
        """Put a text in the place of the one before.

        Args:
            text: Text of one line.
            stays: Whether the line of a terminal stays when the next one comes.
        """
        if course.in_notebook():
            self.screen.show(text)
        else:
            self.screen.line(text, stays)


def _bar(done, total):
    filled = 20 * done // max(total, 1)
    return "█" * filled + "░" * (20 - filled)


def clock(seconds):
    """Return seconds as people say them: ``"8 s"``, ``"3 min"``, ``"1 h 20 min"``."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
