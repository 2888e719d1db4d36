"""Processes on this machine that share its cores fairly and are replaced when they die."""

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent import futures

from helpers import course


class LocalProcesses(futures.Executor):
    """Processes on this machine that share its cores fairly and are replaced when they die.

    A `ProcessPoolExecutor` gives up all its work when one process dies, and does not say which call
    killed it. Here each process has a pool of its own, so one death costs one call. The processes are
    started afresh (``spawn``), because a copy of a process that runs TensorFlow hangs. They end with
    this process, even if it is killed.

    Args:
        workers: Number of processes; None takes one for each core.
    """

    def __init__(self, workers=None):
        self.workers = course.cores() if workers is None else workers
        if self.workers < 1:
            raise ValueError(f"workers is {workers}; at least one is needed.")
        self._threads = futures.ThreadPoolExecutor(self.workers)
        self._idle = collections.deque()
        self._senders = set()
        self._killed = False

    def submit(self, function, /, *args, **kwargs):
        """Call a function in a process.

        Args:
            function: Function that a new process can import.
            *args: Positional arguments of the function.
            **kwargs: Keyword arguments of the function.

        Returns:
            A `concurrent.futures.Future`.
        """
        return self._threads.submit(self._call, function, args, kwargs)

    def _call(self, function, args, kwargs):
        # There are as many threads as workers, so no more processes than that are ever started.
        try:
            process = self._idle.pop()
        except IndexError:
            process = self._start()
        try:
            return process[0].submit(function, *args, **kwargs).result()
        except futures.BrokenExecutor:
            self._end(process)
            process = None
            raise
        finally:
            if process:
                self._idle.append(process)

    def _start(self):
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        pool = futures.ProcessPoolExecutor(1, mp_context=context, initializer=_follow, initargs=(receiver,))
        with course.threads_of_children(max(1, course.cores() // self.workers)):
            pool.submit(os.getpid)  # the first call starts the process
        self._senders.add(sender)
        if self._killed:
            sender.close()
        return pool, sender

    def _end(self, process):
        pool, sender = process
        pool.shutdown()
        self._senders.discard(sender)
        sender.close()

    def kill(self):
        """End all processes at once, whatever they are doing."""
        self._killed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for sender in list(self._senders):
            sender.close()

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Take no more work; end the processes when theirs is done.

        Args:
            wait: Whether to return only after the last process has ended.
            cancel_futures: Whether to cancel calls that have not begun.
        """
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        while wait and self._idle:
            self._end(self._idle.pop())


def _follow(receiver):
    """In a new process: end when the parent closes its end of the pipe, also by dying; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow():
        with contextlib.suppress(EOFError, OSError):
            receiver.recv()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def local_processes(workers):
    """`LocalProcesses` that are killed where the sweep is interrupted."""
    pool = LocalProcesses(workers)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    finally:
        pool.shutdown()
