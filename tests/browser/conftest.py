"""A browser and a server for the tests in this folder.

Without Playwright or Chromium the tests are skipped on a reader's computer, and fail where CI is set.
"""

import contextlib
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


@contextlib.contextmanager
def listening_page(browser, width, height):
    """A page, and the list of what it complains of in its console."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page, complaints
    page.close()
