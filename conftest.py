"""How nbval compares a notebook's stored outputs with those of a fresh run.

Text must be equal, with one allowance: a number with decimals may differ by one unit in its last
printed digit. Two processors add in different orders, so 236.745 can round to 236.74 or 236.75.
Whole numbers must be equal. Pictures are not compared, nor what goes to stderr, nor where the data
set was found.

The stored outputs were made on Fashion-MNIST. Where that cannot be had, the notebooks run on the drawn
wardrobe, nothing is compared, and the last lines of the test run say so.
"""

import copy
import os
import re

import pytest
from nbval import plugin

# Workers of pytest-xdist, and the kernels that they start, share the cores. With all threads each they would wait for
# one another. The libraries look at these variables when they are imported, so before that.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _WORKERS > 1:
    for _name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, str(max(1, (os.cpu_count() or 1) // _WORKERS)))

from helpers import course, data, wardrobe  # noqa: E402

PLACE = re.compile(r"(?<=^Fashion-MNIST, from )[^:\n]+", flags=re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w.]*\d)")


def settle(test, reference):
    """``reference`` if both texts agree up to one unit in each number's last digit, else ``test``."""
    test = PLACE.sub(PLACE.findall(reference)[0], test) if PLACE.search(reference) else test
    if NUMBER.sub("#", test) != NUMBER.sub("#", reference):
        return test
    pairs = zip(NUMBER.findall(test), NUMBER.findall(reference), strict=True)
    return reference if all(_agree(*pair) for pair in pairs) else test


@pytest.fixture(name="settle")
def _settle_fixture():
    """`settle`, for the tests of this comparison itself."""
    return settle


def _agree(test, reference):
    decimals = len(reference.partition(".")[2])
    if decimals == 0 or len(test.partition(".")[2]) != decimals:
        return test == reference
    return round(abs(float(test) - float(reference)) * 10**decimals) <= 1


def _settle_output(test, reference):
    """One output of a cell, numbers settled wherever both hold text."""
    if isinstance(test, str) and isinstance(reference, str):
        return settle(test, reference)
    if isinstance(test, dict) and isinstance(reference, dict):
        return type(test)({key: _settle_output(value, reference.get(key)) for key, value in test.items()})
    return test


_compare = plugin.IPyNbCell.compare_outputs


def _compare_settled(self, test, ref, skip_compare=None):
    test, ref = ([output for output in side if output.get("name") != "stderr"] for side in (test, ref))
    if len(test) == len(ref):
        test = [_settle_output(copy.deepcopy(t), r) for t, r in zip(test, ref, strict=True)]
    return _compare(self, test, ref, skip_compare)


plugin.IPyNbCell.compare_outputs = _compare_settled


def pytest_configure(config):
    """Decide once, before any worker or kernel starts, which data the notebooks run on."""
    if not config.option.nbval or config.option.collectonly:
        return
    if course.data_choice() is None and not hasattr(config, "workerinput"):
        try:
            found = data.load(verbose=False)
        except data.DataError as error:
            raise pytest.UsageError(str(error)) from error
        if found.slug == wardrobe.SLUG:
            os.environ["COURSE_DATA"] = wardrobe.SLUG  # workers and kernels inherit it, and need not search again
    if course.data_choice() == wardrobe.SLUG:
        wardrobe.load(verbose=False)  # drawn here once, read from the cache afterwards
        config.option.nbval_lax = True


# Files that take longest, in this order. They are begun first, so that both workers end at about the same time.
LONGEST = (
    "test_faults",
    "04_conv_vae",
    "test_sweeps",
    "06_comparison",
    "test_training",
    "test_checkpoints",
    "05_tuning",
    "03_dense_vae",
    "02_dense_autoencoder",
    "test_experiments",
    "01_preprocessing",
    "07_latent_explorer",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Put the files of `LONGEST` first and those with a browser last; within a file the order stays.

    Playwright leaves an event loop running in its process, in which other tests could not start theirs.
    """
    places = {name: place for place, name in enumerate(LONGEST)}
    last = len(LONGEST) + 1
    items.sort(
        key=lambda item: last if item.path.parent.name == "browser" else places.get(item.path.stem, len(LONGEST))
    )


def pytest_terminal_summary(terminalreporter, config):
    """Say when stored outputs were not compared."""
    if config.option.nbval and config.option.nbval_lax:
        terminalreporter.write_line(
            "Stored outputs were NOT compared: they were made on Fashion-MNIST, "
            "and these notebooks ran on the drawn wardrobe."
        )
