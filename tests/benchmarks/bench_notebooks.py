"""Each notebook's time and peak memory, run as a reader runs it.

Memory is what the kernel and its children hold at one time: the sum of their proportional set sizes, where a page
that n processes share counts 1/n for each. It is read four times a second.
"""

import contextlib
import threading
import time

import nbformat
import psutil
from nbclient import NotebookClient
from table import Row

from helpers import course

NOTEBOOKS = course.ROOT / "notebooks"
SECONDS, MEGABYTES = 90, 1_500  # a reader's budget, on two cores
PAUSE = 0.25


def rows(options):
    """Two rows a notebook."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cpu, wall, memory = run(path)
        yield Row(f"{path.stem}: CPU seconds", cpu, "CPU s", wall)
        yield Row(f"{path.stem}: seconds", wall, "s", most=SECONDS)
        yield Row(f"{path.stem}: peak memory", memory, "MB", most=MEGABYTES)


def run(path):
    """(CPU seconds, seconds, megabytes) of a notebook from the start of its kernel; its file stays as it is."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path.parent}})
    with Watch() as watch, client.setup_kernel():
        watch.follow(client.km.provisioner.pid)
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        watch.stop()
    return watch.cpu, watch.wall, watch.peak


class Watch:
    """Looks at a process and its children until it is told to stop."""

    def __init__(self):
        self.peak, self.cpu, self.wall, self._done = 0.0, 0.0, 0.0, threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._done.set()

    def follow(self, pid):
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self):
        """Read the last figures, while the process still lives."""
        self._done.set()
        self._thread.join()
        times = self._process.cpu_times()
        self.cpu = times.user + times.system + times.children_user + times.children_system
        self.wall = time.time() - self._process.create_time()

    def _look(self):
        while not self._done.wait(PAUSE):
            self.peak = max(self.peak, sum(map(_megabytes, [self._process, *self._process.children(recursive=True)])))


def _megabytes(process):
    with contextlib.suppress(psutil.Error):
        return process.memory_full_info().pss / 1e6
    return 0.0
