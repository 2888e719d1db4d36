"""Many trainings: resumable, parallel, on one machine or a cluster.

A sweep is a list of configurations, dicts that JSON can hold. A trial is one of them, with a folder of
its own that is named by the hash of the configuration. It is finished when ``result.json`` lies there, with
configuration, result and checksum, written aside and renamed.
So a sweep that was killed goes on where it was: `run` it again.
"""

import ast
import collections
import contextlib
import copy
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import os
import sys
import textwrap
import time
import traceback
import uuid
import warnings
from concurrent import futures
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import conditional, course, data, metrics, models, training, wardrobe
from helpers.machinery import files, identity
from helpers.machinery.backend import keras
from helpers.machinery.processes import local_processes
from helpers.machinery.progress import SweepProgress

FOLDER = course.DATA / "runs" / "sweeps"
RETRIES = 2  # how often a trial is tried again after its process died
_RESULT, _DAMAGED, _ERROR, _STATE, _LOCK = "result.json", "result.damaged.json", "error.json", "state.npz", "lock"
_DIED = "its process died (killed, out of memory, or unable to import the script)"


# --------------------------------------------------------------------------------------------------
# The trial of the course


def train(config, state, transform=None, prepare=None):
    """Train the model of a configuration; a trial of your own may begin with this.

    Args:
        config: Dict with

            - "model": name of a function in `models` that makes an autoencoder or a VAE;
            - "arguments": keyword arguments of that function, optional;
            - "recipe": fields of `training.Recipe`, optional;
            - "seed": seeds the first weights, the noise and the order of the images, optional; it stands
              in the place of the seeds in "arguments" and "recipe";
            - "data": {"slug": `Dataset.slug`}, optionally with "train", "validation" and "test": the
              numbers of images to keep;
            - "split": see `train_and_measure`; optional.

        state: Path of the file from which a killed training goes on. One that does not fit is deleted, with a warning.
        transform: Function as for `training.fit`, such as one that adds noise; the images before it are then the
            targets. None leaves the images as they are.
        prepare: Function of a `Dataset` that returns the one to train on, such as one with other labels; None takes it
            as it is.

    Returns:
        Tuple (model, `Dataset`, history).

    Raises:
        ValueError: The configuration is not of this form.
        data.DataError: The data set cannot be had here.
    """
    _check(config)
    dataset = _dataset(config["data"]["slug"]).head(**{part: n for part, n in config["data"].items() if part != "slug"})
    dataset = dataset if prepare is None else prepare(dataset)
    seed = {"seed": config["seed"]} if "seed" in config else {}
    how = {} if transform is None else {"targets": dataset, "transform": transform}

    def fit():
        model = getattr(models, config["model"])(**{**config.get("arguments", {}), **seed})
        recipe = config.get("recipe", {}) | seed
        return model, dataset, training.fit(model, dataset, state=state, verbose=False, **how, **recipe)

    try:
        return fit()
    except files.DamagedFile as error:
        # Nobody sits beside a sweep to delete the file, and training again gives the same outcome.
        warnings.warn(f"{error} The trial trains from the beginning.", stacklevel=2)
        Path(state).unlink()
        return fit()


def train_with_clock(config, state):
    """Do what `train` does, and measure the CPU seconds it took, reading the data set not counted.

    Args:
        config: Configuration as for `train`.
        state: Path of a state file, as for `train`.

    Returns:
        Tuple (model, `Dataset`, history, seconds); seconds is None for a training that went on after an interruption.
    """
    _check(config)
    _dataset(config["data"]["slug"])
    fresh, began = not Path(state).exists(), time.process_time()
    model, dataset, history = train(config, state)
    return model, dataset, history, round(time.process_time() - began, 2) if fresh else None


def train_and_measure(config, state):
    """Train one model and measure it on held-out images: the trial of the course.

    Args:
        config: Configuration as for `train`. "split" is "validation" (the default), or "test" to measure on the test
            images too.
        state: Path of a state file, as for `train`.

    Returns:
        Dict of numbers. Choose by those that begin with "validation_"; "test_" is for final numbers only. Names are
        those of `metrics.measure`. "train_loss" is the mean over the last epoch, "epochs_run" counts early stopping in,
        "cpu_seconds" are those of the training, or None where it was interrupted. "history" is that of `training.fit`,
        with None for what was infinite; `read` returns it.

    Raises:
        ValueError: The configuration is not of this form.
        data.DataError: The data set cannot be had here.
        FloatingPointError: The training diverged, or came so near to it that a figure is infinite.
    """
    model, dataset, history, seconds = train_with_clock(config, state)
    row = {
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "epochs_run": len(history["loss"]),
        "cpu_seconds": seconds,
        "train_loss": history["loss"][-1],
    }
    measure = conditional.measure if model.is_conditional else metrics.measure
    for split in ("validation", "test")[: 2 if config.get("split") == "test" else 1]:
        measured = measure(model, dataclasses.replace(dataset, test=getattr(dataset, split)))
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
def _dataset(slug):
    dataset = wardrobe.load(verbose=False) if slug == wardrobe.SLUG else data.load(verbose=False)
    if dataset.slug != slug:
        raise data.DataError(f"The configuration asks for {slug}; on this machine there is only {dataset.slug}.")
    return dataset


def grid(base, axes):
    """All combinations of some values, as a list of configurations.

    Args:
        base: Dict of what the configurations share.
        axes: Dict of field to list of values; a dot leads into a dict within: "arguments.latent_dim". The last field
            changes fastest.

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
        configs: Dicts that JSON can hold. Equal ones are one trial.
        trial: Function of (configuration, path) that returns a dict: numbers and texts for the table, and lists and
            dicts for `read`. It may keep at that path what it needs to go on after a kill; the file is removed when the
            trial is finished. Worker processes must be able to import it: it stands in a module, not in a notebook.
        folder: Folder that holds a folder for each trial, all of one function. On a cluster: a disk that all machines
            share.
        executor: Any `concurrent.futures.Executor`, such as ``dask.distributed.Client(address).get_executor()``; None
            takes processes on this machine.
        workers: Number of those processes; None takes one for each core.
        verbose: Whether to show progress.

    Returns:
        A pandas DataFrame with one row for each trial in the order of ``configs``: "trial" (name of its folder), the
        fields of the configuration, the results, "status" ("done" or "failed") and "error" (one line, or empty). A
        field within a dict is named by its last part, "latent_dim"; if two fields share that, by all parts,
        "recipe.seed". Lists become texts, "512-256". A result that is named like a field becomes "result.name".

    Raises:
        ValueError: JSON cannot hold a configuration, both executor and workers are given, worker processes cannot
            import the trial, or the folder holds results of another function, or of one with other code.
        OSError: The folder cannot be read or written; finished trials are kept.
        RuntimeError: The given executor takes no more work.
    """
    if executor is not None and workers is not None:
        raise ValueError("workers is for processes on this machine; an executor has workers of its own.")
    if executor is None:
        _check_importable(trial)
    folder = course.path_of(folder).resolve()
    files.make_folder(folder)
    # A configuration's canonical text is its key; what is done with it begins from that text alone.
    places = {text: folder / _digest(text) for text in map(_canonical, configs)}
    outcomes, made_by = {}, _made_by(trial)
    for text, place in places.items():
        result, _ = _read(place, made_by, text)
        if result is not None:
            _tidy(place)
            outcomes[text] = {"result": result}
    todo = [text for text in places if text not in outcomes]
    progress = SweepProgress(len(places), len(outcomes)) if verbose else None
    if todo:
        workers = min(workers or course.cores(), len(todo))
        with local_processes(workers) if executor is None else contextlib.nullcontext(executor) as pool:
            for text, outcome in _outcomes(pool, trial, {text: places[text] for text in todo}):
                outcomes[text] = outcome
                if progress:
                    progress.add(failed="error" in outcome)
    if progress:
        progress.end()
    return _table(places, outcomes)


def _check_importable(trial):
    """Say at once what would end each worker process: a function that it cannot import."""
    function = trial.func if isinstance(trial, functools.partial) else trial
    name, module = getattr(function, "__qualname__", ""), sys.modules.get(getattr(function, "__module__", ""))
    is_typed_here = getattr(module, "__name__", "") == "__main__" and not hasattr(module, "__file__")
    if is_typed_here or "<" in name:
        where = "in the notebook" if is_typed_here else "inside of another function"
        raise ValueError(
            f"trial {name} is written {where}, where worker processes cannot import it. Put it at the top of a module, "
            "a .py file beside the notebook, and import it; or let a thread of this process run it: "
            "executor=concurrent.futures.ThreadPoolExecutor(1)."
        )


def folder_of(config, folder=FOLDER):
    """Folder of a configuration's trial, which holds ``result.json`` or ``error.json``.

    Args:
        config: One of the configurations that `run` was given.
        folder: Folder that `run` was given.

    Returns:
        Path of the folder.
    """
    return course.path_of(folder) / _digest(_canonical(config))


def read(place):
    """All that a finished trial returned, also what no table holds, such as a history.

    Args:
        place: Folder of the trial, from `folder_of` or from a table's column "trial".

    Returns:
        What the trial returned, a dict.

    Raises:
        FileNotFoundError: The trial is not finished.
        files.DamagedFile: The result is damaged.
    """
    content, fault = _open(Path(place) / _RESULT)
    if fault:
        raise files.DamagedFile(f"{Path(place) / _RESULT} {fault} Run the sweep again: it replaces the file.")
    return content["result"]


def split_lost(table, by, value, limit):
    """The settings of which every training came to something, and a count of lost trainings for the others.

    A training is lost where it failed or ended above a limit. A setting with a lost training is left out as a whole:
    the mean of its survivors would flatter it.

    Args:
        table: Table as `run` returns it.
        by: Column that tells the settings apart.
        value: Column in which less is better.
        limit: Value above which a finished training counts as lost.

    Returns:
        Tuple (the rows of the settings without a loss, dict of setting to number of lost trainings).
    """
    lost = (table["status"] == "failed") | (table[value] > limit)
    count = lost.groupby(table[by], sort=False).sum()
    return table[table[by].map(count) == 0], count[count > 0].to_dict()


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


def _made_by(trial):
    """Name of a trial's function and the digest of its code, as a dict: a result belongs to both."""
    parts = (trial.args, sorted(trial.keywords.items())) if isinstance(trial, functools.partial) else ""
    function = trial.func if isinstance(trial, functools.partial) else trial
    function = function if hasattr(function, "__qualname__") else type(function)
    try:
        # Taken apart and put together again: neither comments nor line breaks count.
        code = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError):  # written at a prompt, or a lambda in the middle of a line
        code = repr(getattr(getattr(function, "__code__", None), "co_code", ""))
    return {"trial": function.__qualname__, "code": _digest(f"{code} {parts}")}


def _surroundings(config):
    """What decides the outcome of the course's own trials and does not stand in a configuration, as a dict."""
    if not isinstance(config, dict) or "model" not in config:
        return {}
    drawn = {"wardrobe": wardrobe.VERSION} if config.get("data", {}).get("slug") == wardrobe.SLUG else {}
    return {"recipe": dataclasses.asdict(training.Recipe()), "keras": keras.__version__} | drawn


def _outcomes(pool, trial, places):
    """Give (text, outcome) of each trial as it comes: ``{"result": ...}`` or ``{"error": ...}``."""
    pending, deaths, busy = {}, collections.Counter(), set()

    def submit(text):
        # Dask would answer an equal call from memory; the ticket makes each call another one.
        ticket, wait = uuid.uuid4().hex, 1 if text in busy else 0
        try:
            future = pool.submit(_attempt, trial, _made_by(trial), text, places[text], wait, ticket)
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


def _attempt(trial, made_by, text, place, wait, ticket):
    """After ``wait`` seconds, run a trial unless it is finished or another runner has it; return what came of it."""
    time.sleep(wait)
    with _claimed(place) as mine:
        if not mine:
            return {"busy": True}
        result, fault = _read(place, made_by, text)
        if fault:
            os.replace(place / _RESULT, place / _DAMAGED)
            fault = f"{place / _RESULT} {fault} It was set aside as {_DAMAGED}, and the trial ran again."
        if result is None:
            try:
                result = _plain(trial(json.loads(text), place / _STATE))
                _write(place, made_by, text, result)
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


def _write(place, made_by, text, result):
    config = json.loads(text)
    content = {**made_by, "config": config, "surroundings": _surroundings(config), "result": result}
    files.write_sealed(place / _RESULT, content)


def _open(path):
    """Content of a result file: (dict, None), or (None, what is wrong)."""
    try:
        content = files.read_json(path, "", is_sealed=True)
    except files.DamagedFile as error:
        return None, str(error).removeprefix(f"{path.name} ").strip()
    kinds = {"trial": str, "code": str, "config": dict, "surroundings": dict, "result": dict}
    if {name: type(value) for name, value in content.items()} != kinds:
        return None, "is damaged: it is not the result of a trial."
    return content, None


def _read(place, made_by, text):
    """The result of a trial: (dict, None); (None, None) where there is none; else (None, what is wrong)."""
    try:
        content, fault = _open(place / _RESULT)
    except FileNotFoundError:
        return None, None
    if fault:
        return None, fault
    name = made_by["trial"]
    if content["trial"] != name:
        raise ValueError(f"{place.parent} holds results of {content['trial']}; give {name} a folder of its own.")
    if content["code"] != made_by["code"]:
        raise ValueError(
            f"{place.parent} holds results of {name} with other code than it has today; "
            "give it another folder, or delete that one to run its trials again."
        )
    if _canonical(content["config"]) != text:
        return None, f"belongs to another configuration: {content['config']}."
    different = identity.differences(content["surroundings"], _surroundings(content["config"]))
    if different:
        return None, f"was made otherwise: {'; '.join(different)}."
    return content["result"], None


def _tidy(place):
    """Remove what a finished trial needs no more, files that a kill left half-written among it."""
    for pattern in (_ERROR, _STATE, _LOCK, ".*.partial"):
        for path in place.glob(pattern):
            path.unlink(missing_ok=True)


# --------------------------------------------------------------------------------------------------
# The table


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
