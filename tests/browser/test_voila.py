"""`make voila`: the latent explorer as an app without code, in a real browser."""

import re
import shlex
import subprocess
import sys
import time

import psutil
import pytest

from browser import serving
from browser.serving import expect, listening_page
from helpers import checkpoints, course


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A server started with the Makefile's own arguments, on a port of its own."""
    printed = subprocess.run(
        ["make", "-n", "voila"], cwd=course.ROOT, capture_output=True, text=True, check=True
    ).stdout
    arguments = shlex.split(re.search(r"-m voila (.*)", printed.replace("\\\n", " "))[1])
    arguments = [str(course.ROOT / argument) if argument.endswith(".ipynb") else argument for argument in arguments]
    # The same, but in seconds, because a test waits for it.
    arguments = [re.sub(r"(cull_idle_timeout|cull_interval)=\d+", r"\1=2", argument) for argument in arguments]
    arguments += ["--port={port}"] + ([] if "--no-browser" in arguments else ["--no-browser"])
    with serving.serving("voila", tmp_path_factory.mktemp("voila"), *arguments) as server:
        yield server


CUT = """() => [...document.querySelectorAll(".lw-shell *")].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.right > innerWidth + 1;
}).map(element => element.outerHTML.slice(0, 120))"""


def test_the_explorer_works_without_code_and_fits(chromium, app):
    with listening_page(chromium, 1280, 900) as (page, complaints):
        # Voila's page asks a host of icons elsewhere; the app has to do without it.
        page.route(lambda address: "127.0.0.1" not in address and address.startswith("http"), lambda way: way.abort())
        page.goto(app.address, wait_until="commit")
        # The page appears when the whole notebook has run; the limit is there for a page that hangs.
        shown = "document.querySelectorAll('.lw-shell .lw-picture img[src]').length > 8"
        page.wait_for_function(shown, timeout=240_000)
        assert page.locator(".jp-InputArea-editor:visible").count() == 0
        assert page.get_by_text("not tried yet").count() == 0

        tool = page.locator(".lw-shell", has=page.get_by_label("model")).first
        tool.get_by_label("model").select_option(label=f"dense_vae_2: {checkpoints.plan('dense_vae_2').about}")
        expect(tool.get_by_role("application", name=re.compile("^Map of "))).to_be_visible()
        one = tool.get_by_role("slider", name=re.compile("^latent 0")).first
        image = tool.get_by_role("img", name="decoded garment of").first
        before = image.get_attribute("src")
        one.focus()
        page.keyboard.press("Home")
        expect(image).not_to_have_attribute("src", before)
        assert page.evaluate(CUT) == []
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(500)
        assert page.evaluate(CUT) == []
        assert [said for said in complaints if "Failed to load resource" not in said] == []
        assert len(kernels(app)) == 1
    until = time.monotonic() + 60
    while kernels(app) and time.monotonic() < until:
        time.sleep(0.5)
    assert not kernels(app), "a page that was closed leaves no kernel"


def kernels(server):
    """Kernels that a server has started and not ended."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if "ipykernel" in command_of(child)]


def command_of(process):
    """The command line of a process; empty for one that has ended, whether its parent has been told so or not."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie, too
        return ""


def test_a_process_that_has_ended_counts_as_no_kernel():
    ended = subprocess.Popen([sys.executable, "-c", "ipykernel = 1"])
    process = psutil.Process(ended.pid)
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    assert command_of(process) == ""
    ended.wait()
    assert command_of(process) == ""
