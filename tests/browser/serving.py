"""Jupyter servers and a browser for the tests and for the benchmark, on this computer only."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from helpers import course

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# As root Chromium has no sandbox; the rest keeps it from looking for hosts of its maker's.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TESTS = course.ROOT / "tests"


class Missing(Exception):
    """What the browser tests need is not installed; the text says what."""


@contextlib.contextmanager
def chromium():
    """A running Chromium, as a Playwright Browser.

    Raises:
        Missing: Playwright or a browser is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Missing("Playwright is not installed: pip install -r tests/browser/requirements.txt") from error
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None) or playwright.chromium.executable_path
        if not Path(found).exists():
            raise Missing(f"no browser is installed: none of {', '.join(BROWSERS)} is on the PATH")
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


def expect(locator):
    """Playwright's assertion that waits, with patience for a slow computer."""
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
    return expect(locator)


def environment(home):
    """Environment of a Jupyter program that keeps its settings and histories in a folder of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ |= {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    return environ | {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": f"{TESTS}{os.pathsep}{course.ROOT}"}


class Server:
    """A running Jupyter server or Voila.

    Attributes:
        address: its root, without a slash at the end.
        token: "" for Voila.
    """

    def __init__(self, process, address, token, log):
        self.process, self.address, self.token, self._log = process, address, token, log

    def url(self, path):
        """Full address of a page, with the token; nothing that was open before is opened again."""
        return f"{self.address}/{path}" + (f"?reset&token={self.token}" if self.token else "")

    def said(self):
        """What the server printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serving(module, folder, *arguments, token="", timeout=120, **variables):
    """Start ``python -m module`` on a free port, and stop it in the end.

    Its settings and histories go to a folder of their own, not to the reader's.

    Args:
        module: "jupyterlab" or "voila".
        folder: for settings and the log; the server's current folder too.
        *arguments: more of the command line. "{port}" is replaced.
        token: that the server asks for.
        timeout: seconds to wait for its first answer.
        **variables: of the environment, to add.

    Yields:
        `Server`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log, home = folder / f"{module}.log", folder / f"{module}-settings"
    environ = environment(home) | variables
    command = [sys.executable, "-m", module, *(argument.format(port=port) for argument in arguments)]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        server = Server(process, f"http://127.0.0.1:{port}", token, log)
        _wait_for_answer(server, timeout)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(server, timeout):
    # Any answer will do, a refusal too.
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server stopped at once:\n{server.said()}")
        try:
            with socket.create_connection(("127.0.0.1", int(server.address.rsplit(":", 1)[1])), timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not answer in {timeout} s:\n{server.said()}")


def lab(folder):
    """JupyterLab (and Notebook 7) over a folder of notebooks, a context manager that yields a `Server`."""
    token = secrets.token_hex(16)
    quiet = ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url="]
    # Tests run cells through the page's own commands; menus answer before the kernel is there.
    quiet += [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    quiet += ["--KernelManager.transport_encryption=auto"]  # as `make lab` does
    place = ["--ip=127.0.0.1", "--port={port}", "--no-browser", "--allow-root", f"--ServerApp.root_dir={folder}"]
    return serving("jupyterlab", folder, *place, *quiet, f"--IdentityProvider.token={token}", token=token)


def write_notebook(path, *sources):
    """Store a notebook of code cells that have not run."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, path)


def open_and_run(page, server, path, done, timeout=120_000):
    """Open a notebook in JupyterLab or Notebook 7 ("lab/tree/..." or "notebooks/..."), and run all cells.

    Args:
        page: Playwright Page.
        server: `Server`.
        path: "lab/tree/x.ipynb" or "notebooks/x.ipynb".
        done: CSS selector that appears once the cells have run.
        timeout: milliseconds.
    """
    from playwright.sync_api import TimeoutError

    page.goto(server.url(path))
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout)
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")
    failed = "[data-mime-type='application/vnd.jupyter.error']"
    for left in (2, 1, 0):  # cells that ran before the page was ready for widgets are run again
        page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
        try:
            page.wait_for_selector(f"{done}, {failed}", timeout=timeout / 3)
            break
        except TimeoutError:
            if not left:
                raise
    if page.locator(failed).count():
        raise RuntimeError(f"a cell failed:\n{page.locator(failed).first.inner_text()}")


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
