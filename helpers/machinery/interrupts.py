"""Ctrl-C and Jupyter's stop, kept until TensorFlow has come back from a call."""

import signal
import threading

from helpers.machinery.backend import keras


class Interrupts(keras.callbacks.Callback):
    """Let an interrupt (Ctrl-C, Jupyter's stop) wait until TensorFlow has come back from a call.

    One that arrives while TensorFlow hands over its results can destroy the process's memory: the kernel dies, and all
    that was in it is lost. A second one is not kept waiting. Both a callback for ``fit`` and a context manager around
    it; as a callback alone it keeps nothing. Outside Python's main thread, to which interrupts go, it does nothing.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.usual = False, None

    def __enter__(self):
        usual = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(usual):
            signal.signal(signal.SIGINT, self.wait)
            self.usual = usual
        return self

    def __exit__(self, kind, error, traceback):
        usual, self.usual = self.usual, None
        if usual is not None:
            signal.signal(signal.SIGINT, usual)
        if kind is None and self.waits:
            self.waits = False
            usual(signal.SIGINT, None)

    def wait(self, number, frame):
        """Handle the signal: remember it, or deliver it where one waits already.

        Args:
            number: Number of the signal, as Python passes it.
            frame: Frame that was interrupted, as Python passes it.
        """
        if self.waits:
            self.deliver()
        else:
            self.waits = True

    def deliver(self):
        """Hand a waiting interrupt to the handler that was there before."""
        if self.waits:
            self.waits = False
            self.usual(signal.SIGINT, None)

    def on_train_batch_end(self, step, logs=None):
        self.deliver()

    def on_test_batch_end(self, step, logs=None):
        self.deliver()
