"""A browser and a server for the tests in this folder.

Without Playwright or Chromium the tests are skipped on a reader's computer, and fail where CI is set.
"""

import os

import pytest

from browser import serving


def missing(reason):
    """Skip, or fail in CI, where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run the browser tests: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium."""
    try:
        with serving.chromium() as browser:
            yield browser
    except serving.Missing as error:
        missing(str(error))
