"""Sweeps: what survives a kill, what runs twice, what the table says."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent import futures

import IPython.display
import numpy as np
import pandas as pd
import psutil
import pytest
import toy_trials
from scipy import stats
from support import fresh_python, small_vae, tiny_dataset
from toy_trials import CONFIGS, SLOW

from helpers import course, data, metrics, seeds, sweeps, training
from helpers.machinery import files, processes, progress

needs_sigkill = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


def inline(configs, folder, trial=toy_trials.square, workers=1):
    """`sweeps.run` in threads of this process, which start at once."""
    with futures.ThreadPoolExecutor(workers) as threads:
        return sweeps.run(configs, trial, folder, threads, verbose=False)


def noted(folder):
    path = folder / toy_trials.LOG
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def log(folder, word):
    """Numbers that the trials have noted under a word, sorted."""
    return sorted(int(x) for what, x, _ in noted(folder) if what == word)


def pids(folder):
    """The processes that worked."""
    return {int(pid) for _, _, pid in noted(folder)}


def finished(configs, folder):
    return [c["x"] for c in configs if (sweeps.folder_of(c, folder) / "result.json").exists()]


def files_of(folder):
    """Names of the files in the trials' folders."""
    return {path.name for place in folder.iterdir() if place.is_dir() for path in place.iterdir()}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pool():
    """Two processes for all tests of this file, because each takes seconds to import Keras."""
    with processes.LocalProcesses(2) as two:
        yield two


# --------------------------------------------------------------------------------------------------
# Running, and running again


def test_a_row_for_each_trial_in_the_order_of_the_configurations(tmp_path):
    table = inline(CONFIGS, tmp_path, workers=3)
    assert table["x"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["square"].tolist() == [1, 4, 9, 16, 25, 36]
    assert table["status"].tolist() == ["done"] * 6 and table["error"].tolist() == [""] * 6
    assert table["trial"].tolist() == [sweeps.folder_of(config, tmp_path).name for config in CONFIGS]
    assert files_of(tmp_path) == {"result.json"}


def test_second_run_does_only_what_is_missing(tmp_path):
    first = inline(CONFIGS[:4], tmp_path)
    again = inline(CONFIGS, tmp_path)
    assert log(tmp_path, "begin") == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(again[:4], first)
    # Where all is finished, no executor is asked and no process started.
    pd.testing.assert_frame_equal(sweeps.run(CONFIGS, toy_trials.square, tmp_path, Broken(), verbose=False), again)


def test_equal_configurations_are_one_trial(tmp_path):
    table = inline([{"x": 2, "sizes": (1, 2)}, {"sizes": [1, 2], "x": 2}, {"x": 4}], tmp_path)
    assert table["x"].tolist() == [2, 4] and table["sizes"].tolist()[0] == "1-2"
    assert log(tmp_path, "begin") == [2, 4]


@pytest.mark.parametrize("config", [{"x": float("nan")}, {"x": {1, 2}}, [1], {"x": np.float32(1)}])
def test_configuration_that_json_cannot_hold_is_refused(tmp_path, config):
    with pytest.raises(ValueError, match="JSON cannot hold this configuration"):
        inline([config], tmp_path)


def test_workers_belong_to_local_processes_only(tmp_path):
    with futures.ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="workers of its own"):
        sweeps.run(CONFIGS, toy_trials.square, tmp_path, threads, workers=2)
    with pytest.raises(ValueError, match="at least one"):
        processes.LocalProcesses(0)


def test_trial_cannot_change_its_configuration(tmp_path):
    def careless(config, state):
        config["sizes"].append(config.pop("x"))
        return {"y": 1}

    table = inline([{"x": 1, "sizes": [2]}], tmp_path, careless)
    assert (table["x"][0], table["sizes"][0], table["status"][0]) == (1, "2", "done")
    assert inline([{"x": 1, "sizes": [2]}], tmp_path, careless).equals(table)


# --------------------------------------------------------------------------------------------------
# Trials that fail


def test_trial_that_raises_is_reported_and_does_not_stop_the_rest(tmp_path):
    (tmp_path / "trap").touch()
    with pytest.warns(RuntimeWarning, match="LookupError: three is not allowed") as told:
        table = inline(CONFIGS, tmp_path, toy_trials.square_or_raise)
    assert table["status"].tolist() == ["done"] * 2 + ["failed"] + ["done"] * 3
    assert table["error"][2] == "LookupError: three is not allowed" and np.isnan(table["square"][2])
    kept = sweeps.folder_of({"x": 3}, tmp_path) / "error.json"
    assert str(kept) in str(told[0].message)
    about = json.loads(kept.read_text())
    assert about["type"] == "LookupError" and "in square_or_raise" in about["traceback"]

    (tmp_path / "trap").unlink()
    mended = inline(CONFIGS, tmp_path, toy_trials.square_or_raise)
    assert mended["square"].tolist() == [1, 4, 9, 16, 25, 36]
    assert log(tmp_path, "begin") == [1, 2, 3, 4, 5, 6]
    assert files_of(tmp_path) == {"result.json"}


@pytest.mark.parametrize(
    "returned, message",
    [
        ([1], "returns a dict, not a list"),
        ({"y": object()}, "returned object; JSON cannot hold it"),
        ({"y": float("nan")}, "not JSON compliant"),
    ],
)
def test_result_that_cannot_be_stored_is_the_trials_failure(tmp_path, returned, message):
    with pytest.warns(RuntimeWarning, match=message):
        table = inline([{"x": 1}], tmp_path, lambda config, state: returned)
    assert table["status"][0] == "failed"
    assert files_of(tmp_path) == {"error.json", "lock"}


def test_numbers_of_numpy_are_stored(tmp_path):
    table = inline([{"x": 1}], tmp_path, lambda config, state: {"y": np.float32(0.5), "n": np.int64(3)})
    assert (table["y"][0], table["n"][0]) == (0.5, 3)


def test_state_is_the_trials_own_and_is_removed_at_its_end(tmp_path):
    def twice(config, state):
        if not state.exists():
            state.write_bytes(b"half")
            state.with_name(f".{state.name}.abc.partial").touch()
            raise InterruptedError
        return {"read": state.read_bytes().decode()}

    with pytest.warns(RuntimeWarning, match="InterruptedError"):
        inline([{"x": 1}], tmp_path, twice)
    assert "state.npz" in files_of(tmp_path)
    assert inline([{"x": 1}], tmp_path, twice)["read"][0] == "half"
    assert files_of(tmp_path) == {"result.json"}


def test_what_a_kill_right_after_the_result_left_is_removed(tmp_path):
    inline([{"x": 1}], tmp_path)
    (sweeps.folder_of({"x": 1}, tmp_path) / "state.npz").touch()
    inline([{"x": 1}], tmp_path)
    assert files_of(tmp_path) == {"result.json"}


# --------------------------------------------------------------------------------------------------
# Damaged and foreign results


def half(path, other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, other):
    path.write_bytes(b"")


def one_digit(path, other):
    path.write_text(path.read_text().replace('"square": 9', '"square": 8'))


def no_result(path, other):
    path.write_text("[]")


def foreign(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    "harm, said",
    [(half, "not JSON"), (empty, "not JSON"), (one_digit, "seal"), (no_result, "seal"), (foreign, "another")],
)
def test_damaged_or_foreign_result_is_set_aside_and_the_trial_runs_again(tmp_path, harm, said):
    first = inline(CONFIGS, tmp_path)
    path, other = (sweeps.folder_of({"x": x}, tmp_path) / "result.json" for x in (3, 4))
    harm(path, other)
    harmed = path.read_bytes()
    with pytest.warns(RuntimeWarning, match=f"{said}.* set aside as result.damaged.json, and the trial ran again"):
        again = inline(CONFIGS, tmp_path)
    pd.testing.assert_frame_equal(again, first)
    assert log(tmp_path, "end") == [1, 2, 3, 3, 4, 5, 6]
    assert path.with_name("result.damaged.json").read_bytes() == harmed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(inline(CONFIGS, tmp_path), first)


def test_results_of_a_function_whose_code_has_changed_are_neither_taken_nor_touched(tmp_path):
    def once():
        def trial(config, state):
            return {"y": config["x"]}

        return trial

    def changed():
        def trial(config, state):
            return {"y": config["x"] + 1}

        return trial

    def commented():
        def trial(config, state):
            # the same, said in more words
            return {
                "y": config["x"],
            }

        return trial

    first, then, again = once(), changed(), commented()
    then.__qualname__ = again.__qualname__ = first.__qualname__
    inline([{"x": 1}], tmp_path, first)
    before = (sweeps.folder_of({"x": 1}, tmp_path) / "result.json").read_bytes()
    with pytest.raises(ValueError, match="holds results of .*trial with other code than it has today; give it another"):
        inline([{"x": 1}], tmp_path, then)
    inline([{"x": 1}], tmp_path, again)
    assert (sweeps.folder_of({"x": 1}, tmp_path) / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    "change, field",
    [
        ({"keras": "3.0"}, "keras"),
        ({"recipe": dataclasses.asdict(training.Recipe(epochs=99))}, "recipe.epochs"),
        ({"wardrobe": 0}, "wardrobe"),
    ],
)
def test_result_made_under_other_surroundings_is_made_again(tmp_path, change, field):
    config, calls = {"model": "dense_vae", "data": {"slug": "wardrobe"}}, []

    def count(config, state):
        calls.append(1)
        return {"n": len(calls)}

    inline([config], tmp_path, count)
    path = sweeps.folder_of(config, tmp_path) / "result.json"
    content = json.loads(path.read_text())
    content.pop("seal")
    content["surroundings"] |= change
    files.write_sealed(path, content)
    with pytest.warns(RuntimeWarning, match=f"was made otherwise: {field}.* there and .* here"):
        assert inline([config], tmp_path, count).n.tolist() == [2]


def test_function_that_workers_cannot_import_is_told_at_once(tmp_path):
    def here(config, state):
        return {}

    with pytest.raises(ValueError, match="inside of another function, where worker processes cannot import it.*module"):
        sweeps.run([{"x": 1}], here, tmp_path)
    assert not list(tmp_path.iterdir())
    code = f"""if True:
        from helpers import sweeps
        def mine(config, state): return {{}}
        sweeps.run([{{"x": 1}}], mine, {str(tmp_path)!r})"""
    done = fresh_python(code)
    assert "trial mine is written in the notebook" in done.stderr.splitlines()[-1]


def test_results_of_another_function_are_neither_taken_nor_touched(tmp_path):
    first = inline([{"x": 1}], tmp_path)
    with pytest.raises(ValueError, match="holds results of square; give square_or_raise a folder of its own"):
        inline(CONFIGS[::-1], tmp_path, toy_trials.square_or_raise)
    assert log(tmp_path, "end") == [1] and inline([{"x": 1}], tmp_path).equals(first)


def test_all_that_a_trial_returned_can_be_read(tmp_path):
    def rich(config, state):
        return {"y": 1, "history": {"loss": [3.5, 2.25]}, "sizes": [1]}

    table = inline([{"x": 1}], tmp_path, rich)
    assert list(table) == ["trial", "x", "y", "status", "error"]
    place = tmp_path / table["trial"][0]
    assert sweeps.read(place) == {"y": 1, "history": {"loss": [3.5, 2.25]}, "sizes": [1]}
    half(place / "result.json", None)
    with pytest.raises(files.DamagedFile, match="result.json is damaged.*Run the sweep again"):
        sweeps.read(place)
    with pytest.raises(FileNotFoundError):
        sweeps.read(tmp_path)


# --------------------------------------------------------------------------------------------------
# Kills

PARENT = """
import sys
import toy_trials
from helpers import sweeps
sweeps.run(toy_trials.SLOW, toy_trials.square, sys.argv[1], workers=2)
"""


def start(*arguments, **settings):
    """Start a new Python beside this one, without the settings that this one made for itself."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ["PYTHONPATH"] = str(course.ROOT)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=course.ROOT / "tests",
        env=environ,
        stdin=subprocess.DEVNULL,
        **settings,
    )


@contextlib.contextmanager
def ended(*processes):
    """Kill processes that are still there at the end, whatever happens."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@needs_sigkill
def test_killed_parent_loses_no_finished_trial_and_leaves_no_process(tmp_path, pool):
    parent = start("-c", PARENT, tmp_path, stderr=subprocess.DEVNULL)
    with ended(parent):
        wait_for(lambda: len(finished(SLOW, tmp_path)) >= 3)
        parent.send_signal(signal.SIGKILL)
        assert parent.wait() == -signal.SIGKILL
    workers = pids(tmp_path)
    assert parent.pid not in workers
    wait_for(lambda: not any(map(runs, workers)), 10)
    before = finished(SLOW, tmp_path)
    assert 3 <= len(before) < len(SLOW)

    table = sweeps.run(SLOW, toy_trials.square, tmp_path, pool, verbose=False)
    begun = log(tmp_path, "begin")
    assert [begun.count(x) for x in before] == [1] * len(before)
    assert set(log(tmp_path, "end")) == {c["x"] for c in SLOW}
    pd.testing.assert_frame_equal(table, inline(SLOW, tmp_path / "undisturbed", workers=8))


@needs_sigkill
def test_killed_worker_costs_one_trial_its_first_attempt(tmp_path, pool):
    with pytest.warns(RuntimeWarning, match="is tried again: its process died"):
        table = sweeps.run(CONFIGS, toy_trials.square_or_die, tmp_path, pool, verbose=False)
    assert log(tmp_path, "begin") == [1, 2, 3, 3, 4, 5, 6]
    assert log(tmp_path, "end") == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(table, inline(CONFIGS, tmp_path / "undisturbed"))


class Deadly(futures.Executor):
    """An executor in which every call with x = 3 dies."""

    def __init__(self):
        self.calls = []

    def submit(self, function, trial, name, text, *rest):
        future = futures.Future()
        self.calls.append(json.loads(text)["x"])
        if self.calls[-1] == 3:
            future.set_exception(futures.BrokenExecutor("gone"))
        else:
            future.set_result(function(trial, name, text, *rest))
        return future


@pytest.mark.filterwarnings("ignore:Trial .* is tried again:RuntimeWarning")
def test_trial_that_always_kills_its_process_is_given_up_and_reported(tmp_path):
    executor = Deadly()
    with pytest.warns(RuntimeWarning, match="failed: WorkerDied"):
        table = sweeps.run(CONFIGS, toy_trials.square, tmp_path, executor, verbose=False)
    assert executor.calls.count(3) == 1 + sweeps.RETRIES and len(executor.calls) == 6 + sweeps.RETRIES
    assert table["status"].tolist() == ["done"] * 2 + ["failed"] + ["done"] * 3
    assert table["error"][2].startswith("WorkerDied: given up after 3 times: its process died")
    assert json.loads((sweeps.folder_of({"x": 3}, tmp_path) / "error.json").read_text())["type"] == "WorkerDied"


class Broken(futures.Executor):
    """An executor that takes no work."""

    def submit(self, *arguments):
        raise futures.BrokenExecutor("a child process terminated abruptly")


def test_executor_that_takes_no_more_work_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="terminated abruptly.*Finished trials are kept"):
        sweeps.run(CONFIGS, toy_trials.square, tmp_path, Broken(), verbose=False)


def test_exception_that_does_not_travel_between_processes_is_reported_and_harms_no_process(tmp_path, pool):
    with pytest.warns(RuntimeWarning, match="Odd: one and three"):
        table = sweeps.run(CONFIGS[:2], toy_trials.odd, tmp_path, pool, verbose=False)
    assert table["error"].tolist() == ["Odd: one and three"] * 2


@pytest.mark.parametrize("error, said", [(None, "is the cluster still there"), (OSError("no way"), "OSError: no way")])
def test_trial_that_the_executor_loses_is_reported(tmp_path, error, said):
    class Lossy(futures.Executor):
        def submit(self, *arguments):
            future = futures.Future()
            if error:
                future.set_exception(error)
            else:
                future.cancel()
                future.set_running_or_notify_cancel()
            return future

    with pytest.warns(RuntimeWarning, match=said):
        table = sweeps.run(CONFIGS[:1], toy_trials.square, tmp_path, Lossy(), verbose=False)
    assert table["status"].tolist() == ["failed"]


def test_interrupted_sweep_ends_its_processes_at_once(tmp_path, monkeypatch):
    def interrupt(*arguments, **settings):
        wait_for(lambda: log(tmp_path, "begin"))
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps.futures, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweeps.run([{"x": 1, "pause": 600}], toy_trials.square, tmp_path, workers=1, verbose=False)
    assert not any(map(runs, pids(tmp_path)))
    assert log(tmp_path, "end") == []


THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_processes_share_the_cores_and_keep_one_thread_between_operations(pool):
    share = str(max(1, course.cores() // 2))
    wanted = {name: os.environ.get(name, share) for name in THREADS} | {"TF_NUM_INTEROP_THREADS": "1"}
    assert {name: pool.submit(os.getenv, name).result() for name in wanted} == wanted


def test_threads_of_children_leaves_no_trace_and_overrides_no_one(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with pytest.raises(KeyError), course.threads_of_children(3):
        assert [os.environ[name] for name in THREADS] == ["3", "7", "3", "3"]
        raise KeyError
    assert [name for name in THREADS if name in os.environ] == ["OMP_NUM_THREADS"]


# --------------------------------------------------------------------------------------------------
# Two runners

RUNNER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import toy_trials
from helpers import sweeps
sweeps.run(toy_trials.SLOW, toy_trials.square, sys.argv[1], ThreadPoolExecutor(1)).to_json(sys.argv[2])
"""


def test_two_runners_share_the_work_and_both_get_the_whole_table(tmp_path):
    folder = tmp_path / "sweep"
    other = start("-c", RUNNER, folder, tmp_path / "table.json")
    with ended(other):
        wait_for(lambda: log(folder, "begin"))
        table = inline(SLOW, folder)
        assert other.wait(60) == 0
    assert log(folder, "begin") == log(folder, "end") == [c["x"] for c in SLOW]
    assert pids(folder) == {os.getpid(), other.pid}
    assert pd.read_json(tmp_path / "table.json")["square"].tolist() == table["square"].tolist()
    pd.testing.assert_frame_equal(table, inline(SLOW, tmp_path / "undisturbed", workers=8))


def test_disk_without_locks_is_said_and_the_work_is_done(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(RuntimeWarning, match="knows no locks"):
        assert inline([{"x": 2}], tmp_path)["square"][0] == 4


# --------------------------------------------------------------------------------------------------
# Dask


def dask():
    """The package `distributed`; a reader may go without it, CI may not."""
    if importlib.util.find_spec("distributed") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Dask is not installed: pip install -e '.[cluster]'")
    import distributed

    return distributed


@needs_sigkill
def test_dask_cluster_gives_the_same_table_though_a_worker_dies(tmp_path):
    distributed, address, folder = dask(), tmp_path / "scheduler.json", tmp_path / "sweep"
    common = ["--scheduler-file", address, "--no-dashboard"]
    worker = ["-m", "dask", "worker", "--no-nanny", "--nthreads", "1", "--local-directory", tmp_path, *common]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = start("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", *common, **quiet)
    workers = [start(*worker, **quiet) for _ in range(2)]
    with ended(*workers, scheduler):
        wait_for(address.exists)
        with distributed.Client(scheduler_file=str(address), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            table = sweeps.run(SLOW, toy_trials.square_or_die, folder, client.get_executor(), verbose=False)
        wait_for(lambda: any(w.poll() == -signal.SIGKILL for w in workers), 10)
        assert sum(w.poll() is None for w in workers) == 1
        assert log(folder, "begin") == [1, 2, 3, 3, 4, 5, 6, 7, 8]
        assert pids(folder) == {w.pid for w in workers}
    pd.testing.assert_frame_equal(table, inline(SLOW, tmp_path / "undisturbed", workers=8))


# --------------------------------------------------------------------------------------------------
# The course's own trial

TRAINING = {
    "model": "dense_vae",
    "arguments": {"latent_dim": 2, "hidden": [16]},
    "recipe": {"epochs": 3, "batch_size": 64, "learning_rate": 5e-3},
    "data": {"slug": "tiny", "train": 200},
    "split": "test",
    "seed": 1,
}


@pytest.fixture
def tiny_only(monkeypatch):
    monkeypatch.setattr(sweeps, "_dataset", lambda slug: tiny_dataset())


def test_trial_of_the_course_measures_validation_and_test_apart(tmp_path, tiny_only, tiny):
    row = sweeps.train_and_measure(TRAINING, tmp_path / "state.npz")
    vae = small_vae(seed=1)
    history = training.fit(vae, tiny.head(train=200), verbose=False, seed=1, **TRAINING["recipe"])
    assert row["train_loss"] == history["loss"][-1] and row["epochs_run"] == 3 and row["cpu_seconds"] > 0
    assert row["parameters"] == vae.encoder.count_params() + vae.decoder.count_params()
    for split in ("validation", "test"):
        images = getattr(tiny, split).images
        assert row[f"{split}_negative_elbo"] == metrics.elbo(vae, images).negative_elbo.value
        assert row[f"{split}_kl"] == metrics.elbo(vae, images).kl.value
        assert row[f"{split}_active_units"] == metrics.active_units(vae, images)
    assert row["validation_negative_elbo"] != row["test_negative_elbo"]
    assert row["history"] == history


def test_infinite_moments_of_a_training_are_left_out_of_its_history(tmp_path, tiny_only, monkeypatch):
    wild = {"loss": [np.inf, 2.0], "val_loss": [np.nan, 3.0]}
    monkeypatch.setattr(sweeps, "train", lambda config, state: (small_vae(), tiny_dataset(), wild))
    row = sweeps.train_and_measure(TRAINING, tmp_path / "state.npz")
    assert row["history"] == {"loss": [None, 2.0], "val_loss": [None, 3.0]} and row["train_loss"] == 2.0


def test_infinite_figures_of_a_trained_model_are_a_divergence(tmp_path, tiny_only, monkeypatch):
    monkeypatch.setattr(metrics, "measure", lambda model, dataset: {"mse": 0.1, "kl": np.inf})
    with pytest.raises(FloatingPointError, match="validation_kl is inf"):
        sweeps.train_and_measure(TRAINING, tmp_path / "state.npz")


def test_without_being_asked_the_trial_leaves_the_test_set_alone(tmp_path, tiny_only):
    config = {**TRAINING, "model": "dense_autoencoder", "recipe": {"epochs": 1}}
    del config["split"]
    row = sweeps.train_and_measure(config, tmp_path / "state.npz")
    assert "validation_mse" in row and "validation_dead_units" in row
    assert not any(name.startswith("test") for name in row)


def test_seed_of_a_configuration_is_that_of_weights_and_order(tmp_path, tiny_only):
    def loss(config):
        return sweeps.train_and_measure(config, tmp_path / f"{len(list(tmp_path.iterdir()))}.npz")["train_loss"]

    apart = TRAINING | {name: {**TRAINING[name], "seed": 2} for name in ("arguments", "recipe")}
    del apart["seed"]
    assert loss({**TRAINING, "seed": 2}) == loss(apart) != loss({**TRAINING, "seed": 3})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"models": 1}, "has the fields .*'split'"),
        ({"model": "VAE"}, "model is 'VAE'; name a function in models"),
        ({"model": "huge_vae"}, "model is 'huge_vae'; name a function in models"),
        ({"split": "train"}, "split is 'train'; choose"),
        ({"arguments": {"seed": 1}}, "seed stands twice"),
        ({"recipe": {"seed": 1}}, "seed stands twice"),
        ({"data": {"train": 5}}, "it needs 'slug'"),
        ({"data": {"slug": "tiny", "size": 5}}, "data is .*'size'"),
    ],
)
def test_configuration_of_another_form_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        sweeps.train_and_measure({**TRAINING, **change}, tmp_path / "state.npz")


def test_other_data_than_asked_for_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda verbose: tiny_dataset())
    with pytest.raises(data.DataError, match="asks for fashion-mnist; on this machine there is only tiny"):
        sweeps.train_and_measure({**TRAINING, "data": {"slug": "fashion-mnist"}}, tmp_path / "state.npz")


def test_state_that_does_not_fit_is_trained_anew(tmp_path, tiny_only):
    state = tmp_path / "state.npz"
    state.write_bytes(b"not a state")
    with pytest.warns(UserWarning, match="state.npz is damaged .* trains from the beginning"):
        row = sweeps.train_and_measure(TRAINING, state)
    fresh = sweeps.train_and_measure(TRAINING, tmp_path / "other.npz")
    assert {**row, "cpu_seconds": 0} == {**fresh, "cpu_seconds": 0}


@needs_sigkill
def test_real_training_whose_process_dies_goes_on_and_ends_with_the_same_bits(tmp_path, pool):
    configs = sweeps.grid(TRAINING, {"seed": [1, 2]})
    with pytest.warns(RuntimeWarning, match="is tried again"):
        table = sweeps.run(configs, toy_trials.tiny_training, tmp_path, pool, verbose=False)
    assert table["status"].tolist() == ["done"] * 2
    assert np.isnan(table["cpu_seconds"]).tolist() == [False, True], "the second one began after its first epoch"
    again = tmp_path / "again"
    again.mkdir()
    (again / "died").touch()
    undisturbed = sweeps.run(configs[1:], toy_trials.tiny_training, again, pool, verbose=False)
    assert undisturbed["cpu_seconds"].notna().all()
    tables = (t.drop(columns="cpu_seconds") for t in (table[1:].reset_index(drop=True), undisturbed))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


# --------------------------------------------------------------------------------------------------
# Configurations, progress and the table


def test_grid_takes_all_combinations_and_shares_nothing():
    base = {"model": "dense_vae", "arguments": {"hidden": [4]}}
    configs = sweeps.grid(base, {"arguments.latent_dim": [2, 5], "recipe.epochs": [3], "seed": [1, 2]})
    assert [(c["arguments"]["latent_dim"], c["seed"]) for c in configs] == [(2, 1), (2, 2), (5, 1), (5, 2)]
    assert configs[0]["recipe"] == {"epochs": 3} and configs[0]["arguments"]["hidden"] == [4]
    configs[0]["arguments"]["hidden"].append(5)
    assert base == {"model": "dense_vae", "arguments": {"hidden": [4]}} and configs[1]["arguments"]["hidden"] == [4]


def test_columns_are_named_by_last_parts_unless_two_share_one(tmp_path):
    config = {"a": {"seed": 1, "rate": 0.5}, "b": {"seed": 2, "x": 3, "sizes": [4, 5]}, "y": 6}
    table = inline([config], tmp_path, lambda config, state: {"y": 7, "z": 8})
    fields = {"a.seed": 1, "rate": 0.5, "b.seed": 2, "x": 3, "sizes": "4-5", "y": 6}
    row = table.to_dict("records")[0]
    assert (tmp_path / row.pop("trial") / "result.json").exists()
    assert row == fields | {"result.y": 7, "z": 8, "status": "done", "error": ""}
    assert list(table)[0] == "trial" and list(table)[-2:] == ["status", "error"]


def report(verbose_progress):
    """A sweep of four trials, one finished before, one failing, each taking ten seconds."""
    verbose_progress.began -= 10
    verbose_progress.add(failed=False)
    verbose_progress.began -= 10
    verbose_progress.add(failed=True)
    verbose_progress.began -= 10
    verbose_progress.add(failed=False)
    verbose_progress.end()


LINES = [
    "1 of 4 trials █████░░░░░░░░░░░░░░░ · 1 were finished before",
    "2 of 4 trials ██████████░░░░░░░░░░ · 20 s left",
    "3 of 4 trials ███████████████░░░░░ · 1 failed · 10 s left",
    "4 of 4 trials ████████████████████ · 1 failed · 0 s left",
    "4 of 4 trials · 1 failed",
]


def test_progress_in_a_file_is_a_line_a_trial(capsys):
    report(progress.SweepProgress(4, 1))
    assert capsys.readouterr().err.splitlines() == LINES


def test_progress_in_a_notebook_is_one_line_that_changes(monkeypatch):
    shown = []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/plain"])

    def display(content, raw, display_id):
        shown.append(content["text/plain"])
        return Handle()

    monkeypatch.setattr(course, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    report(progress.SweepProgress(4, 1))
    assert shown == LINES


def test_run_shows_progress_unless_told_not_to(tmp_path, capsys):
    inline(CONFIGS[:1], tmp_path)
    assert capsys.readouterr().err == ""
    with futures.ThreadPoolExecutor(1) as threads:
        sweeps.run(CONFIGS[:3], toy_trials.square, tmp_path, threads)
    lines = capsys.readouterr().err.splitlines()
    assert [line[:13] for line in lines] == [f"{n} of 3 trials" for n in (1, 2, 3, 3)]


# --------------------------------------------------------------------------------------------------
# What the table says


@pytest.fixture
def table():
    """Three groups and three seeds; b is about 1 above a, c about as good as a; a failed trial and a lone seed."""
    values = {"b": (11.0, 12.1, 12.9), "a": (10.0, 11.0, 12.0), "c": (10.3, 10.6, 12.2)}
    rows = [{"net": n, "seed": s, "validation_loss": v} for n, vs in values.items() for s, v in enumerate(vs, 1)]
    rows = [{**row, "status": "done", "depth": 1} for row in rows]
    rows.append({"net": "a", "seed": 4, "validation_loss": np.nan, "status": "failed", "depth": 1})
    rows.append({"net": "b", "seed": 5, "validation_loss": 13.0, "status": "done", "depth": 2})
    return pd.DataFrame(rows)


def test_summary_is_mean_and_spread_over_seeds(table):
    found = seeds.summary(table, ["net", "depth"], "validation_loss")
    assert found.index.tolist() == [("b", 1), ("a", 1), ("c", 1), ("b", 2)]
    np.testing.assert_allclose(found.loc[("a", 1)], [11, 1, 1 / np.sqrt(3), 3])
    assert found.loc[("b", 2), "count"] == 1 and np.isnan(found.loc[("b", 2), "standard_deviation"])


def test_by_seed_has_a_row_for_each_seed_and_a_column_for_each_setting(table):
    wide = seeds.by_seed(table[table["depth"] == 1], "net", "validation_loss")
    assert wide.columns.tolist() == ["b", "a", "c"] and wide.index.tolist() == [1, 2, 3], "the failed trial is out"
    assert wide.to_numpy().tolist() == [[11.0, 10.0, 10.3], [12.1, 11.0, 10.6], [12.9, 12.0, 12.2]]
    wide = seeds.by_seed(table, ["net", "depth"], "validation_loss")
    assert wide.columns.tolist() == [("b", 1), ("a", 1), ("c", 1), ("b", 2)]
    assert wide[("b", 2)].dropna().to_dict() == {5: 13.0}
    with pytest.raises(ValueError, match="several trials of one seed"):
        seeds.by_seed(table, "depth", "validation_loss")


def test_each_seed_has_its_own_winner(table):
    assert seeds.winners(table, ["net", "depth"], "validation_loss") == {
        1: ("a", 1),
        2: ("c", 1),
        3: ("a", 1),
        5: ("b", 2),
    }
    assert seeds.winners(table[table["depth"] == 1], "net", "validation_loss") == {1: "a", 2: "c", 3: "a"}


def test_deviations_are_what_the_seed_adds_to_the_mean_of_its_setting(table):
    one = table[table["depth"] == 1]
    found = seeds.deviations(one.assign(twice=2 * one["validation_loss"]), "net", ["validation_loss", "twice"])
    np.testing.assert_allclose(
        found["validation_loss"], [-1, 0.1, 0.9, -1, 0, 1, -22 / 30, -13 / 30, 35 / 30], atol=1e-12
    )
    np.testing.assert_allclose(found["twice"], 2 * found["validation_loss"])


def test_interaction_is_the_difference_of_two_differences():
    """x - y is -3, -4, -5 at rate 1 and -1, -1, -2.5 at rate 2; their difference is -2, -3, -2.5."""
    values = {("x", 1): (1, 2, 3), ("y", 1): (4, 6, 8), ("x", 2): (5, 5, 4), ("y", 2): (6, 6, 6.5)}
    table = pd.DataFrame(
        [{"net": n, "rate": r, "seed": s, "loss": v} for (n, r), vs in values.items() for s, v in enumerate(vs)]
    ).sample(frac=1, random_state=3)
    found = seeds.interaction(table, "net", "loss", "x", "y", "rate", 1, 2)
    np.testing.assert_allclose((found.mean, found.standard_error, found.count), (-2.5, 0.5 / np.sqrt(3), 3))
    assert seeds.interaction(table, "net", "loss", "y", "x", "rate", 1, 2).mean == pytest.approx(2.5)
    assert seeds.interaction(table, "net", "loss", "x", "y", "rate", 2, 1).mean == pytest.approx(2.5)
    lone = table[(table["rate"] == 1) | (table["seed"] < 2)]
    assert seeds.interaction(lone, "net", "loss", "x", "y", "rate", 1, 2).count == 2, "seeds with all four trials"
    with pytest.raises(ValueError, match=r"no finished trials of \('x', 3\)"):
        seeds.interaction(table, "net", "loss", "x", "y", "rate", 3, 1)
    apart = table.assign(seed=table["seed"] + 2 * (table["rate"] == 2))
    with pytest.raises(ValueError, match="1 seeds have trials of all of"):
        seeds.interaction(apart, "net", "loss", "x", "y", "rate", 1, 2)


def test_pairing_shows_the_interval_with_and_without_pairs(table):
    """b and a go together: values 11, 12.1, 12.9 and 10, 11, 12; Welch's degrees of freedom by his formula."""
    found = seeds.pairing(table[table["depth"] == 1], "net", "validation_loss", "b", "a")
    one, other = np.array([11, 12.1, 12.9]), np.array([10, 11, 12.0])
    parts = np.array([one.var(ddof=1), other.var(ddof=1)]) / 3
    freedom = parts.sum() ** 2 / (parts**2 / 2).sum()
    assert found.unpaired == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()))
    assert found.paired == pytest.approx(4.302653 * 0.1 / np.sqrt(3))
    covariance = ((one - one.mean()) * (other - other.mean())).sum() / 2
    assert found.correlation == pytest.approx(covariance / np.sqrt(one.var(ddof=1) * other.var(ddof=1)))
    assert str(found) == "correlation +1.00, paired ± 0.25, unpaired ± 2.22 (95 %)"


def test_histories_have_a_row_for_each_epoch_of_each_training():
    stored = pd.DataFrame(
        {
            "variant": ["a", "b", "c"],
            "seed": [1, 2, 3],
            "status": ["done", "done", "failed"],
            "history": [{"loss": [3.0, 2.0], "kl": [1.0, 4.0]}, {"loss": [5.0], "kl": [6.0]}, {}],
        }
    )
    found = seeds.histories(stored, ["variant", "seed"])
    wanted = [("a", 1, 1, 3.0, 1.0), ("a", 1, 2, 2.0, 4.0), ("b", 2, 1, 5.0, 6.0)]
    assert found[["variant", "seed", "epoch", "loss", "kl"]].to_records(index=False).tolist() == wanted
    with pytest.raises(ValueError, match="no column kind"):
        seeds.histories(stored, ["kind"])


def test_difference_is_paired_by_seed(table):
    one = table[table["depth"] == 1]
    found = seeds.difference(one, "net", "validation_loss", "b", "a")
    np.testing.assert_allclose((found.mean, found.standard_error, found.count), (1.0, 0.1 / np.sqrt(3), 3))
    np.testing.assert_allclose(found.half_width, 4.302653 * found.standard_error, rtol=1e-6)
    assert not found.tie, "the spread of each is 1, that of the difference 0.1"
    assert str(found) == "+1.00 ± 0.25 (3 seeds)"
    assert seeds.tie(one, "net", "validation_loss", "c", "a")
    assert not seeds.tie(one, "net", "validation_loss", "a", "b")
    assert str(seeds.difference(one, "net", "validation_loss", "c", "a")) == "+0.03 ± 0.94 (3 seeds, a tie)"
    pair = seeds.difference(table, ["net", "depth"], "validation_loss", ("b", 1), ("a", 1))
    assert pair == found


@pytest.mark.parametrize("mean, tie", [(4.30, True), (4.31, False), (-4.30, True), (-4.31, False)])
def test_tie_is_where_the_interval_holds_zero(mean, tie):
    assert seeds.Difference(mean, 1.0, 3).tie is tie


def test_differences_has_a_row_for_each_pair_and_a_column_for_each_value(table):
    one = table[table["depth"] == 1].assign(double=lambda t: 2 * t.validation_loss)
    found = seeds.differences(one, "net", {"loss": "validation_loss", "twice": "double"}, {"b-a": "ba", "a-b": "ab"})
    assert found.index.tolist() == ["b-a", "a-b"] and found.columns.tolist() == ["loss", "twice"]
    assert [found.loss["b-a"].mean, found.loss["a-b"].mean] == pytest.approx([1, -1])
    assert found.twice["b-a"].half_width == pytest.approx(2 * found.loss["b-a"].half_width)
    low, high = found.loss["b-a"].low, found.loss["b-a"].high
    assert (low, high) == pytest.approx((1 - 0.248414, 1 + 0.248414), abs=1e-5)


def test_difference_from_a_number_is_that_of_the_mean(table):
    found = seeds.difference_from(table, "net", "validation_loss", "a", 10.5)
    np.testing.assert_allclose((found.mean, found.standard_error, found.count), (0.5, 1 / np.sqrt(3), 3))
    with pytest.raises(ValueError, match="'d' has 0 finished trials; a spread needs at least two"):
        seeds.difference_from(table, "net", "validation_loss", "d", 10.5)


# The half width of three seeds is 4.30 standard errors.
VERDICTS = [
    (seeds.Difference(-4.31, 1.0, 3), 0, "true"),
    (seeds.Difference(-4.30, 1.0, 3), 0, "tie"),
    (seeds.Difference(4.30, 1.0, 3), 0, "tie"),
    (seeds.Difference(4.31, 1.0, 3), 0, "false"),
    (seeds.Difference(-4.0, 1.0, 3), 0.5, "true"),
    (seeds.Difference(-3.7, 1.0, 3), 0.5, "tie"),
    (seeds.Difference(4.7, 1.0, 3), 0.5, "tie"),
    (seeds.Difference(4.9, 1.0, 3), 0.5, "false"),
    (True, 0, "true"),
    (np.bool_(False), 0, "false"),
    (None, 0, "no verdict"),
]


@pytest.mark.parametrize("evidence, margin, wanted", VERDICTS)
def test_verdict_says_on_which_side_of_the_margin_the_whole_interval_lies(evidence, margin, wanted):
    assert seeds.verdict(evidence, margin) == wanted


def test_court_prints_each_claim_and_keeps_them_for_a_table(capsys):
    court = seeds.Court()
    court.judge("S9", "red is better", "red minus blue, nats", seeds.Difference(-12.344, 0.1, 3))
    assert capsys.readouterr().out == (
        "claim      red is better\n"
        "experiment red minus blue, nats\n"
        "number     -12.34 ± 0.43 (95 %, 3 seeds)\n"
        "verdict    TRUE\n\n"
    )
    court.judge("S9", "blue is as good", "blue minus red", seeds.Difference(93.14, 4.6, 3), margin=200)
    assert "number     +93 ± 20 (95 %, 3 seeds)\nverdict    TRUE" in capsys.readouterr().out
    court.judge("S9", "it learns", "loss by seed", False, "9 and 8")
    court.defer("S8", "it means something", "judged elsewhere")
    assert capsys.readouterr().out.endswith("claim      it means something\nverdict    JUDGED ELSEWHERE\n\n")
    court.judge("S9", "it learns", "loss by seed", True, "9 and 7")
    table = court.table()
    assert table.index.tolist() == ["S9", "S9", "S8", "S9"]
    assert table["verdict"].tolist() == ["true", "true", "judged elsewhere", "true"]
    assert table["number"].tolist()[::2] == ["-12.34 ± 0.43 (95 %, 3 seeds)", ""]


def test_best_is_first_and_its_ties_are_named(table):
    ranked = seeds.best(table[table["depth"] == 1], "net", "validation_loss")
    assert ranked.index.tolist() == ["a", "c", "b"]
    assert ranked["tie"].tolist() == [False, True, False]
    np.testing.assert_allclose(ranked["difference"], [0, 1 / 30, 1], atol=1e-12)
    assert ranked["mean"].tolist() == pytest.approx([11, 33.1 / 3, 12])


def test_chosen_on_validation_is_reported_on_test(table):
    """On test images b would be the best: the choice must not see that."""
    one = table[table["depth"] == 1]
    one = one.assign(test_loss=one["net"].map({"a": 20.0, "b": 1.0, "c": 30.0}) + one["seed"])
    found = seeds.chosen({"first": one, "second": one[one["net"] != "a"]}, "net", "validation_loss")
    assert found.index.tolist() == ["first", "second"] and found["chosen"].tolist() == ["a", "c"]
    assert found["ties with it"].tolist() == [1, 1] and found["of"].tolist() == [2, 1]
    np.testing.assert_allclose(found[["test", "spread"]], [[22, 1], [32, 1]])


def test_settings_with_a_lost_training_are_left_out_as_a_whole():
    table = pd.DataFrame(
        {
            "setting": ["good", "good", "wild", "wild", "dead", "dead"],
            "loss": [240.0, 1000.0, 250.0, 1000.1, np.nan, np.nan],
            "status": ["done"] * 4 + ["failed"] * 2,
        }
    )
    kept, lost = sweeps.split_lost(table, "setting", "loss", 1000)
    assert kept.equals(table[:2]) and lost == {"wild": 1, "dead": 2}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: seeds.best(t, "net", "test_loss"), "final numbers only; choose by its twin, validation_loss"),
        (lambda t: seeds.summary(t, "nets", "validation_loss"), "no column nets; it has net, seed"),
        (lambda t: seeds.tie(t, "net", "validation_loss", "a", "d"), "0 finished seeds in common"),
        (lambda t: seeds.tie(t, "depth", "validation_loss", 1, 2), "1 has several trials of one seed: name in `by`"),
        (lambda t: seeds.best(t, ["net", "depth"], "validation_loss"), "a spread needs at least two"),
    ],
)
def test_comparison_that_cannot_be_made_is_refused(table, call, message):
    with pytest.raises(ValueError, match=message):
        call(table)
