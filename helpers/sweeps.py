"""Many trainings: resumable, parallel, on one machine or a cluster.

A sweep is a list of configurations, dicts that JSON can hold. A trial is one of them, with a folder of
its own that is named by the hash of the configuration. It is finished when ``result.json`` lies there, with
configuration, result and checksum, written aside and renamed.
So a sweep that was killed goes on where it was: `run` it again.
"""

import collections
import contextlib
import copy
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import uuid
import warnings
from concurrent import futures
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from helpers import course, data, files, metrics, models, training, wardrobe

FOLDER = course.DATA / "runs" / "sweeps"
RETRIES = 2  # how often a trial is tried again after its process died
_RESULT, _DAMAGED, _ERROR, _STATE, _LOCK = "result.json", "result.damaged.json", "error.json", "state.npz", "lock"
_DIED = "its process died (killed, out of memory, or unable to import the script)"


# --------------------------------------------------------------------------------------------------
# The trial of the course


def train(config, state):
    """Train the model of a configuration; a trial of your own may begin with this.

    Args:
        config: dict with

            - "model": name of a function in `models` that makes an autoencoder or a VAE;
            - "arguments": its arguments, optional;
            - "recipe": fields of `training.Recipe`, optional;
            - "seed": of the first weights, the noise and the order of the images, optional; it stands
              in the place of the seeds in "arguments" and "recipe";
            - "data": {"slug": `Dataset.slug`}, optionally with "train", "validation" and "test": the
              numbers of images to keep;
            - "split": see `train_and_measure`; optional.

        state: path of the file from which a killed training goes on. One that does not fit is deleted,
            with a warning.

    Returns:
        (model, `Dataset`, history).

    Raises:
        ValueError: the configuration is not of this form.
        data.DataError: the data set cannot be had here.
    """
    _check(config)
    wear = _wear(config["data"]["slug"]).head(**{part: n for part, n in config["data"].items() if part != "slug"})
    seed = {"seed": config["seed"]} if "seed" in config else {}

    def fit():
        model = getattr(models, config["model"])(**{**config.get("arguments", {}), **seed})
        return model, wear, training.fit(model, wear, state=state, verbose=False, **config.get("recipe", {}), **seed)

    try:
        return fit()
    except files.DamagedFile as error:
        # Nobody sits beside a sweep to delete the file, and training anew gives the same outcome.
        warnings.warn(f"{error} The trial trains from the beginning.", stacklevel=2)
        Path(state).unlink()
        return fit()


def train_with_clock(config, state):
    """`train`, and the CPU seconds it took, reading the data set not counted.

    Args, errors: as for `train`.

    Returns:
        (model, `Dataset`, history, seconds); seconds is None for a training that went on after an interruption.
    """
    _check(config)
    _wear(config["data"]["slug"])
    fresh, began = not Path(state).exists(), time.process_time()
    model, wear, history = train(config, state)
    return model, wear, history, round(time.process_time() - began, 2) if fresh else None


def train_and_measure(config, state):
    """Train one model and measure it on held-out images: the trial of the course.

    Args:
        config: as for `train`. "split" is "validation" (the default), or "test" to measure on the test
            images too.
        state: as for `train`.

    Returns:
        dict of numbers. Choose by those that begin with "validation_"; "test_" is for final numbers
        only. Names are those of `metrics.measure`. "train_loss" is the mean over the last epoch,
        "epochs_run" counts early stopping in, "cpu_seconds" are those of the training, or None where
        it was interrupted. "history" is that of `training.fit`, with None for what was infinite; `read`
        gives it.

    Raises:
        ValueError: the configuration is not of this form.
        data.DataError: the data set cannot be had here.
        FloatingPointError: the training diverged, or came so near to it that a figure is infinite.
    """
    model, wear, history, seconds = train_with_clock(config, state)
    row = {
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "epochs_run": len(history["loss"]),
        "cpu_seconds": seconds,
        "train_loss": history["loss"][-1],
    }
    for split in ("validation", "test")[: 2 if config.get("split") == "test" else 1]:
        measured = metrics.measure(model, dataclasses.replace(wear, test=getattr(wear, split)))
        row |= {f"{split}_{name}": value for name, value in measured.items()}
    wild = [name for name, value in row.items() if value is not None and not np.isfinite(value)]
    if wild:
        raise FloatingPointError(f"The training ended, but {wild[0]} is {row[wild[0]]}. Lower learning_rate.")
    # JSON knows no infinity; a training that was saved by its falling rate may have one in the middle.
    known = {name: [v if np.isfinite(v) else None for v in values] for name, values in history.items()}
    return row | {"history": known}


def _check(config):
    """Say in a ValueError what is wrong with a configuration."""
    known = {"model", "arguments", "recipe", "seed", "data", "split"}
    if set(config) - known or not {"model", "data"} <= set(config):
        raise ValueError(f"a configuration has the fields {sorted(known)}, not {sorted(config)}.")
    if not str(config["model"]).endswith(("_vae", "_autoencoder")) or not hasattr(models, config["model"]):
        raise ValueError(f"model is {config['model']!r}; name a function in models, such as 'dense_vae'.")
    if config.get("split", "validation") not in ("validation", "test"):
        raise ValueError(f"split is {config['split']!r}; choose 'validation' or 'test'.")
    if "seed" in config and any("seed" in config.get(part, {}) for part in ("arguments", "recipe")):
        raise ValueError("seed stands twice: beside model, and in arguments or recipe. Keep the first.")
    if "slug" not in config["data"] or set(config["data"]) - {"slug", "train", "validation", "test"}:
        raise ValueError(f"data is {config['data']!r}; it needs 'slug', and may have 'train', 'validation', 'test'.")


@functools.lru_cache(maxsize=1)  # a worker process reads the data set once
def _wear(slug):
    wear = wardrobe.load(verbose=False) if slug == wardrobe.SLUG else data.load(verbose=False)
    if wear.slug != slug:
        raise data.DataError(f"The configuration asks for {slug}; on this machine there is only {wear.slug}.")
    return wear


def grid(base, axes):
    """All combinations of some values, as a list of configurations.

    Args:
        base: dict, what the configurations share.
        axes: dict of field to list of values; a dot leads into a dict within: "arguments.latent_dim".
            The last field changes fastest.

    Returns:
        List of dicts that share nothing with ``base``.
    """
    configs = []
    for values in itertools.product(*axes.values()):
        config = copy.deepcopy(base)
        for field, value in zip(axes, values, strict=True):
            *path, last = field.split(".")
            place = config
            for part in path:
                place = place.setdefault(part, {})
            place[last] = copy.deepcopy(value)
        configs.append(config)
    return configs


# --------------------------------------------------------------------------------------------------
# Running


def run(configs, trial=train_and_measure, folder=FOLDER, executor=None, workers=None, verbose=True):
    """Run the trials that are not finished yet, and return all results as a table.

    A trial that raises is reported, its traceback is kept as ``error.json`` in its folder, and the
    others go on; it is tried again by the next `run`. A trial whose process dies is tried again up to
    `RETRIES` times. Several `run` may work on one folder at a time: each trial runs in one of them.

    In a script, call this under ``if __name__ == "__main__":``, because new processes import the script.

    Args:
        configs: dicts that JSON can hold. Equal ones are one trial.
        trial: function of (configuration, path) that returns a dict: numbers and texts for the table, and
            lists and dicts for `read`. It may keep at that path what it needs to go on after a kill; the
            file is removed when the trial is finished. Worker processes must be able to import it: it
            stands in a module, not in a notebook.
        folder: holds a folder for each trial, all of one function. On a cluster: a disk that all machines
            share.
        executor: any `concurrent.futures.Executor`, such as
            ``dask.distributed.Client(address).get_executor()``; None takes processes on this machine.
        workers: number of those processes; None takes one for each core.
        verbose: show progress.

    Returns:
        pandas DataFrame, one row a trial in the order of ``configs``: "trial" (name of its folder), the
        fields of the configuration, the results, "status" ("done" or "failed") and "error" (one line, or
        empty). A field within a dict is named by its last part, "latent_dim"; if two fields share that,
        by all parts, "recipe.seed". Lists become texts, "512-256". A result that is named like a field
        becomes "result.name".

    Raises:
        ValueError: a configuration that JSON cannot hold, both executor and workers are given, or the folder
            holds results of another function.
        OSError: the folder cannot be read or written; finished trials are kept.
        RuntimeError: the given executor takes no more work.
    """
    if executor is not None and workers is not None:
        raise ValueError("workers is for processes on this machine; an executor has workers of its own.")
    folder = Path(folder).resolve()
    files.make_folder(folder)
    # A configuration's canonical text is its key; what is done with it begins from that text alone.
    places = {text: folder / _digest(text) for text in map(_canonical, configs)}
    outcomes = {}
    for text, place in places.items():
        result, _ = _read(place, _name(trial), text)
        if result is not None:
            _tidy(place)
            outcomes[text] = {"result": result}
    todo = [text for text in places if text not in outcomes]
    progress = _Progress(len(places), len(outcomes)) if verbose else None
    if todo:
        workers = min(workers or course.cores(), len(todo))
        with _processes(workers) if executor is None else contextlib.nullcontext(executor) as pool:
            for text, outcome in _outcomes(pool, trial, {text: places[text] for text in todo}):
                outcomes[text] = outcome
                if progress:
                    progress.add(failed="error" in outcome)
    if progress:
        progress.end()
    return _table(places, outcomes)


def folder_of(config, folder=FOLDER):
    """Folder of a configuration's trial, a path: there lie ``result.json`` or ``error.json``."""
    return Path(folder) / _digest(_canonical(config))


def read(place):
    """All that a finished trial returned, also what no table holds, such as a history.

    Args:
        place: folder of the trial, from `folder_of` or from a table's column "trial".

    Returns:
        dict.

    Raises:
        FileNotFoundError: the trial is not finished.
        files.DamagedFile: the result is damaged.
    """
    content, fault = _open(Path(place) / _RESULT)
    if fault:
        raise files.DamagedFile(f"{Path(place) / _RESULT} {fault} Run the sweep again: it replaces the file.")
    return content["result"]


def _canonical(config):
    """A configuration as text; equal configurations have equal texts."""
    try:
        if not isinstance(config, dict):
            raise TypeError(f"it is a {type(config).__name__}, not a dict")
        return json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"JSON cannot hold this configuration ({error}): {config!r}") from error


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(trial):
    return getattr(trial, "__qualname__", type(trial).__qualname__)


def _outcomes(pool, trial, places):
    """Give (text, outcome) of each trial as it comes: ``{"result": ...}`` or ``{"error": ...}``."""
    pending, deaths, busy = {}, collections.Counter(), set()

    def submit(text):
        # Dask would answer an equal call from memory; the ticket makes each call another one.
        ticket, wait = uuid.uuid4().hex, 1 if text in busy else 0
        try:
            future = pool.submit(_attempt, trial, _name(trial), text, places[text], wait, ticket)
        except futures.BrokenExecutor as error:
            raise RuntimeError(
                f"The executor takes no more work ({error}). Finished trials are kept: run again with a new one, "
                "or with executor=None, which replaces processes that die."
            ) from error
        pending[future] = text

    try:
        for text in places:
            submit(text)
        while pending:
            for future in futures.wait(pending, return_when=futures.FIRST_COMPLETED).done:
                text = pending.pop(future)
                outcome = _outcome(future, places[text])
                if "died" in outcome:
                    deaths[text] += 1
                    if deaths[text] <= RETRIES:
                        _warn(f"Trial {places[text].name} is tried again: {_DIED}.")
                        submit(text)
                        continue
                    outcome = _failed(places[text], "WorkerDied", f"given up after {deaths[text]} times: {_DIED}.")
                if "busy" in outcome:
                    busy.add(text)
                    submit(text)  # at the end of the queue, behind the trials that nobody has begun
                    continue
                if "fault" in outcome:
                    _warn(outcome["fault"])
                if "error" in outcome:
                    _warn(f"Trial {places[text].name} failed: {outcome['error']} Traceback: {places[text] / _ERROR}")
                yield text, outcome
    finally:
        for future in pending:
            future.cancel()


def _outcome(future, place):
    """What a future came to. Errors of the trial itself are part of its result; those here are the executor's."""
    if future.cancelled():
        return _failed(place, "Cancelled", "The executor gave the trial up; is the cluster still there?")
    error = future.exception()
    if isinstance(error, futures.BrokenExecutor):
        return {"died": True}
    if error is not None:
        return _failed(place, type(error).__name__, str(error), "".join(traceback.format_exception(error)))
    return future.result()


def _warn(text):
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _failed(place, kind, message, details=""):
    """Keep an error in the trial's folder; return it as an outcome."""
    files.write_json(place / _ERROR, {"type": kind, "message": message, "traceback": details})
    return {"error": f"{kind}: {' '.join(message.split())}"}


# --------------------------------------------------------------------------------------------------
# One trial, in a worker


def _attempt(trial, name, text, place, wait, ticket):
    """After ``wait`` seconds, run a trial unless it is finished or another runner has it; return what came of it."""
    time.sleep(wait)
    with _claimed(place) as mine:
        if not mine:
            return {"busy": True}
        result, fault = _read(place, name, text)
        if fault:
            os.replace(place / _RESULT, place / _DAMAGED)
            fault = f"{place / _RESULT} {fault} It was set aside as {_DAMAGED}, and the trial ran again."
        if result is None:
            try:
                result = _plain(trial(json.loads(text), place / _STATE))
                _write(place, name, text, result)
            except Exception as error:  # noqa: BLE001  whatever a trial raises must not stop the others
                failed = _failed(place, type(error).__name__, str(error), traceback.format_exc())
                return failed | ({"fault": fault} if fault else {})
        _tidy(place)
    return {"result": result} | ({"fault": fault} if fault else {})


@contextlib.contextmanager
def _claimed(place):
    """Take a trial for this process, or say that another has it. A claim ends with its process, however that ends."""
    files.make_folder(place)
    try:
        import fcntl
    except ImportError:  # Windows has no such locks: two runners may do the same work there, with the same result
        yield True
        return
    with open(place / _LOCK, "ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            _warn(f"This disk knows no locks ({error}): let one runner at a time work in {place.parent}.")
        yield True


def _plain(result):
    """What a trial returned, as JSON will give it back; numpy's numbers become Python's."""
    if not isinstance(result, dict):
        raise TypeError(f"a trial returns a dict, not a {type(result).__name__}.")
    return json.loads(json.dumps(result, allow_nan=False, default=_python_number))


def _python_number(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a trial returned {type(value).__name__}; JSON cannot hold it.")


def _write(place, name, text, result):
    content = {"trial": name, "config": json.loads(text), "result": result}
    files.write_json(place / _RESULT, {**content, "sha256": files.seal(content)})


def _open(path):
    """Content of a result file: (dict, None), or (None, what is wrong)."""
    try:
        content = files.read_json(path, "")
    except files.DamagedFile as error:
        return None, str(error).removeprefix(f"{path.name} ").strip()
    kinds = {"trial": str, "config": dict, "result": dict}
    if not isinstance(content, dict) or content.pop("sha256", None) != files.seal(content):
        return None, "is damaged: its content does not fit its checksum."
    if {name: type(value) for name, value in content.items()} != kinds:
        return None, "is damaged: it is not the result of a trial."
    return content, None


def _read(place, name, text):
    """The result of a trial: (dict, None); (None, None) where there is none; else (None, what is wrong)."""
    try:
        content, fault = _open(place / _RESULT)
    except FileNotFoundError:
        return None, None
    if fault:
        return None, fault
    if content["trial"] != name:
        raise ValueError(f"{place.parent} holds results of {content['trial']}; give {name} a folder of its own.")
    if _canonical(content["config"]) != text:
        return None, f"belongs to another configuration: {content['config']}."
    return content["result"], None


def _tidy(place):
    """Remove what a finished trial needs no more, files that a kill left half-written among it."""
    for pattern in (_ERROR, _STATE, _LOCK, ".*.partial"):
        for path in place.glob(pattern):
            path.unlink(missing_ok=True)


# --------------------------------------------------------------------------------------------------
# Processes on this machine


class LocalProcesses(futures.Executor):
    """Processes on this machine that share its cores fairly and are replaced when they die.

    A `ProcessPoolExecutor` gives up all its work when one process dies, and does not say which call
    killed it. Here each process has a pool of its own, so one death costs one call. The processes are
    started afresh (``spawn``), because a copy of a process that runs TensorFlow hangs. They end with
    this process, even if it is killed.

    Args:
        workers: number of processes; None takes one for each core.
    """

    def __init__(self, workers=None):
        self.workers = course.cores() if workers is None else workers
        if self.workers < 1:
            raise ValueError(f"workers is {workers}; at least one is needed.")
        self._threads = futures.ThreadPoolExecutor(self.workers)
        self._idle = collections.deque()
        self._lines = set()
        self._killed = False

    def submit(self, function, /, *args, **kwargs):
        """Call the function in a process; return a `concurrent.futures.Future`."""
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
        ears, line = context.Pipe(duplex=False)
        pool = futures.ProcessPoolExecutor(1, mp_context=context, initializer=_follow, initargs=(ears,))
        with course.threads_of_children(max(1, course.cores() // self.workers)):
            pool.submit(os.getpid)  # the first call starts the process
        self._lines.add(line)
        if self._killed:
            line.close()
        return pool, line

    def _end(self, process):
        pool, line = process
        pool.shutdown()
        self._lines.discard(line)
        line.close()

    def kill(self):
        """End all processes at once, whatever they are doing."""
        self._killed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for line in list(self._lines):
            line.close()

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Take no more work; end the processes when theirs is done."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        while wait and self._idle:
            self._end(self._idle.pop())


def _follow(ears):
    """In a new process: end when the parent closes the line, as it also does by dying; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow():
        with contextlib.suppress(EOFError, OSError):
            ears.recv()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def _processes(workers):
    """`LocalProcesses` that are killed where the sweep is interrupted."""
    pool = LocalProcesses(workers)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    finally:
        pool.shutdown()


# --------------------------------------------------------------------------------------------------
# Progress


class _Progress:
    """A bar with the time left, in notebook and terminal; where output goes to a file, a line a trial."""

    def __init__(self, total, found):
        self.total, self.found, self.done, self.failed = total, found, 0, 0
        self.began, self.handle = time.monotonic(), None
        self.tty = sys.stderr.isatty()
        self.show(self.bar())

    def add(self, failed):
        self.done += 1
        self.failed += failed
        self.show(self.bar())

    def end(self):
        self.show(self.count() + (f" · {self.failed} failed" if self.failed else ""), last=True)

    def count(self):
        return f"{self.found + self.done} of {self.total} trials"

    def bar(self):
        filled = 20 * (self.found + self.done) // max(self.total, 1)
        parts = [f"{self.count()} {'█' * filled}{'░' * (20 - filled)}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done:
            left = self.total - self.found - self.done
            parts.append(f"{training.clock((time.monotonic() - self.began) / self.done * left)} left")
        elif self.found:
            parts.append(f"{self.found} were finished before")
        return " · ".join(parts)

    def show(self, text, last=False):
        if not course.in_notebook():
            start, end = ("\r\033[K", "\n" if last else "") if self.tty else ("", "\n")
            print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
            return
        from IPython.display import display

        if self.handle is None:
            self.handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self.handle.update({"text/plain": text}, raw=True)


# --------------------------------------------------------------------------------------------------
# The table, and what it says


def _table(places, outcomes):
    fields = {text: dict(_leaves(json.loads(text))) for text in places}
    paths = list(dict.fromkeys(path for leaves in fields.values() for path in leaves))
    shared = collections.Counter(path[-1] for path in paths)
    names = {path: path[-1] if shared[path[-1]] == 1 or len(path) == 1 else ".".join(path) for path in paths}
    taken = {"trial", "status", "error", *names.values()}
    rows = []
    for text, place in places.items():
        outcome = outcomes[text]
        row = {"trial": place.name} | {names[path]: value for path, value in fields[text].items()}
        numbers = {k: v for k, v in outcome.get("result", {}).items() if not isinstance(v, (dict, list))}
        row |= {f"result.{k}" if k in taken else k: v for k, v in numbers.items()}
        rows.append(row | {"status": "failed" if "error" in outcome else "done", "error": outcome.get("error", "")})
    first, last = ["trial", *names.values()], ["status", "error"]
    columns = dict.fromkeys(column for row in rows for column in row)
    results = [column for column in columns if column not in first and column not in last]
    return pd.DataFrame(rows, columns=[*first, *results, *last])


def _leaves(config, path=()):
    """(path, value) of each field of a nested dict; lists as texts, for a table has no use for them."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), "-".join(map(str, value)) if isinstance(value, list) else value


def _finished(table, columns):
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(table)}.")
    return table[table["status"] == "done"] if "status" in table else table


def _listed(by):
    return [by] if isinstance(by, str) else list(by)


def summary(table, by, value):
    """Mean and spread over seeds.

    Args:
        table: as `run` returns it; failed trials do not count.
        by: column, or list of columns, that tell the groups apart; what is not named, such as the
            seed, is averaged over.
        value: column to average.

    Returns:
        pandas DataFrame, one row a group in the order of the table, with index ``by``: "mean",
        "standard_deviation" (the spread over seeds, n - 1 in the denominator; NaN for one seed),
        "standard_error" of the mean, and "count".

    Raises:
        ValueError: there is no such column.
    """
    groups = _finished(table, [*_listed(by), value]).groupby(by, sort=False, dropna=False)[value]
    count = groups.count()
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "standard_deviation": groups.std(),
            "standard_error": groups.std() / np.sqrt(count),
            "count": count,
        }
    )


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference between two groups of trials, paired by seed.

    Attributes:
        mean: first minus second.
        standard_error: of that mean.
        count: number of pairs.
    """

    mean: float
    standard_error: float
    count: int

    @property
    def half_width(self):
        """Half of the 95 % interval of the mean, by Student's t: 4.3 standard errors for three pairs."""
        return float(stats.t.ppf(0.975, self.count - 1)) * self.standard_error

    @property
    def tie(self):
        """True where that interval holds 0: the difference is not larger than the spread over seeds explains."""
        return abs(self.mean) <= self.half_width

    def __str__(self):
        return f"{self.mean:+.2f} ± {self.half_width:.2f} ({self.count} seeds{', a tie' if self.tie else ''})"


def difference(table, by, value, first, second, pair="seed"):
    """How much larger a value is in one group of trials than in another, seed by seed.

    Trials of one seed share the order of the images and, where the sizes agree, first weights and
    noise. Where that moves both alike, their difference varies less than either.

    Source: Student, "The probable error of a mean" (1908): the paired test at 5 %.

    Args:
        table: as `run` returns it; failed trials do not count.
        by: column, or list of columns, that tell the groups apart.
        value: column to compare.
        first: value of ``by``, a tuple for several columns.
        second: the other one.
        pair: column that names the pairs.

    Returns:
        `Difference`.

    Raises:
        ValueError: no such column or group, several trials of one seed, or fewer than two seeds in common.
    """
    columns = _listed(by)
    rows = _finished(table, [*columns, value, pair]).dropna(subset=[value])
    sides = []
    for group in (first, second):
        wanted = [group] if isinstance(by, str) else list(group)
        of_group = rows[np.logical_and.reduce([rows[c] == w for c, w in zip(columns, wanted, strict=True)])]
        if of_group[pair].duplicated().any():
            raise ValueError(f"{group!r} has several trials of one {pair}: name in `by` what else tells them apart.")
        sides.append(of_group.set_index(pair)[value])
    change = (sides[0] - sides[1]).dropna()
    if len(change) < 2:
        raise ValueError(
            f"{first!r} and {second!r} have {len(change)} finished {pair}s in common; a spread needs at least two."
        )
    return Difference(float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change))), len(change))


def tie(table, by, value, first, second, pair="seed"):
    """Whether two groups of trials cannot be told apart: `difference` with its 95 % interval holding 0.

    Arguments and errors are those of `difference`.
    """
    return difference(table, by, value, first, second, pair).tie


def best(table, by, value, pair="seed"):
    """The groups from the lowest mean upwards, and which of them tie with the first.

    Ties are judged pair by pair with the first, without a correction for the number of groups.

    Args:
        table: as `run` returns it; failed trials do not count.
        by: column, or list of columns, that tell the groups apart.
        value: column in which less is better. It must not be one of the test set.
        pair: column that names the pairs.

    Returns:
        `summary` in ascending order of its mean, with three more columns: "difference" from the first
        row, "half_width" of its 95 % interval, and "tie". The first row has 0, 0 and False there.

    Raises:
        ValueError: a value of the test set, or what `difference` raises.
    """
    if value.startswith("test_"):
        raise ValueError(f"{value} is for final numbers only; choose by its twin, validation_{value[5:]}.")
    ranked = summary(table, by, value).sort_values("mean", kind="stable").dropna(subset=["mean"])
    first = ranked.index[0]
    found = [difference(table, by, value, group, first, pair) for group in ranked.index[1:]]
    return ranked.assign(
        difference=[0.0, *(d.mean for d in found)],
        half_width=[0.0, *(d.half_width for d in found)],
        tie=[False, *(d.tie for d in found)],
    )
