"""Nothing that is loaded can run code, nothing is served to other computers, and every package is pinned."""

import ast
import asyncio
import hashlib
import http.client
import importlib.util
import io
import json
import math
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import uuid
import zipfile

import nbformat
import numpy as np
import psutil
import pytest
from browser import serving
from support import small_autoencoder, tiny_dataset
from test_data import Tiny
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from helpers import checkpoints, classifier, course, data, sweeps, training, wardrobe
from helpers.machinery import files, published, weights

# --------------------------------------------------------------------------------------------------
# Shipped files


def shipped(suffix):
    """Files in data/ that belong to the course: in a clone those that git knows, elsewhere those of its folders."""
    folders = (weights.SHIPPED, checkpoints.RESULTS)
    return sorted(path for folder in folders for path in folder.rglob(f"*{suffix}") if path.is_file())


def test_git_ships_nothing_but_numbers_and_texts():
    if shutil.which("git") is None or not (course.ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "ls-files", "-z", "data"], cwd=course.ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and (course.ROOT / name).exists()]
    assert {os.path.splitext(name)[1] for name in names} == {".npz", ".json", ".md"}
    assert {course.ROOT / name for name in names if name.endswith((".npz", ".json"))} <= {*shipped("")}


@pytest.mark.parametrize("path", shipped(".npz"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_arrays_are_plain_numbers_of_their_stated_size(path):
    """Read without the course's own reader: the headers alone, and the bytes behind them."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.filename.endswith(".npy") and not re.search(r"^/|\\|\.\.", entry.filename)
            content = io.BytesIO(archive.read(entry))
            assert np.lib.format.read_magic(content) == (1, 0)
            shape, _, dtype = np.lib.format.read_array_header_1_0(content)
            assert dtype in (np.float32, np.float16, np.int8), f"{entry.filename} holds {dtype}"
            assert math.prod(shape) * dtype.itemsize == entry.file_size - content.tell()


def parts(content):
    yield content
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from parts(inner)


@pytest.mark.parametrize("path", shipped(".json"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_texts_are_plain_values(path):
    content = files.read_json(path, "")
    assert isinstance(content, dict)
    for part in parts(content):
        assert type(part) in (dict, list, str, int, float, bool, type(None))
        if type(part) is str:  # a name, a sentence, a checksum: nothing that a program would run
            assert len(part) < 200 and not re.search(r"__\w+__|import |lambda|eval\(|exec\(|<script|\x00", part)


# --------------------------------------------------------------------------------------------------
# What the code may not use

FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "yaml", "torch"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input"}
FORBIDDEN_METHODS = {"load_model", "read_pickle", "to_pickle", "unsafe_load", "load_module", "system", "popen"}
FORBIDDEN_METHODS |= {"enable_unsafe_deserialization", "memmap", "fromfile", "frompyfunc"}
SOURCES = sorted((course.ROOT / "helpers").glob("*.py"))
NOTEBOOKS = sorted((course.ROOT / "notebooks").rglob("*.ipynb"))


def source_of(path):
    """Python of a module, or of a notebook's code cells."""
    if path.suffix == ".py":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def unsafe(source):
    """What a source uses that could run what it loads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if isinstance(node, ast.Call):
            function = node.func
            settings = {word.arg: getattr(word.value, "value", ...) for word in node.keywords}
            # Keras' own format, with layers that a reader has registered, and never with code in the file.
            if isinstance(function, ast.Attribute) and function.attr == "load_model" and settings.get("safe_mode"):
                continue
            if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
                found.append(function.id)
            if isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else ""
                if function.attr in FORBIDDEN_METHODS:
                    found.append(function.attr)
                if (owner, function.attr) == ("np", "load") and settings.get("allow_pickle") is not False:
                    found.append("np.load without allow_pickle=False")
            if settings.get("allow_pickle", False) is not False or settings.get("safe_mode", True) is not True:
                found.append("allow_pickle or safe_mode")
            if settings.get("shell", False) is not False:
                found.append("shell")
    return found


@pytest.mark.parametrize("path", SOURCES + NOTEBOOKS, ids=lambda path: path.stem)
def test_code_of_the_course_runs_nothing_that_it_loads(path):
    assert unsafe(source_of(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from torch import load",
        "x = eval(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.models.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "pd.read_pickle(path)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_what_is_unsafe_is_found(source):
    assert unsafe(source) != []


# --------------------------------------------------------------------------------------------------
# A pickle in disguise


class Trap:
    """Who unpickles this makes a file."""

    def __init__(self, sprung):
        self.sprung = str(sprung)

    def __reduce__(self):
        return open, (self.sprung, "w")


def as_pickle(trap, key):
    return pickle.dumps(trap)


def as_single_array(trap, key):
    stream = io.BytesIO()
    np.save(stream, np.array([trap], dtype=object), allow_pickle=True)
    return stream.getvalue()


def as_array_in_an_archive(trap, key):
    stream = io.BytesIO()
    np.savez(stream, **{key: np.array([trap], dtype=object)})
    return stream.getvalue()


def as_pickle_in_an_archive(trap, key):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{key}.npy", pickle.dumps(trap))
    return stream.getvalue()


DISGUISES = [as_pickle, as_single_array, as_array_in_an_archive, as_pickle_in_an_archive]


def open_checkpoint(folder, content, monkeypatch):
    model, path = small_autoencoder(), folder / "x.npz"
    path.write_bytes(content)
    weights.restore(model, path, {"sha256": hashlib.sha256(content).hexdigest()}, checkpoints._REMEDY)


def open_classifier(folder, content, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", folder)
    place = folder / "tiny"
    place.mkdir()
    (place / "classifier.npz").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    files.write_sealed(place / "classifier.json", {"configuration": classifier.configuration("tiny"), "sha256": sha256})
    classifier.load("tiny")


def open_state(folder, content, monkeypatch):
    (folder / "state.npz").write_bytes(content)
    training.fit(small_autoencoder(), tiny_dataset(), state=folder / "state.npz", epochs=1, verbose=False)


def open_trial(folder, content, monkeypatch):
    (folder / "result.json").write_bytes(content)
    sweeps.read(folder)


def open_result(folder, content, monkeypatch):
    (folder / course.FASHION_MNIST).mkdir()
    (folder / course.FASHION_MNIST / "x.json").write_bytes(content)
    checkpoints.result("x", folder=folder)


def open_data(folder, content, monkeypatch):
    tiny = Tiny(folder)
    monkeypatch.setattr(published, "FILES", tiny.files)
    tiny.spoil(folder, 0, content)
    data.load(folder, verbose=False)


def open_drawings(folder, content, monkeypatch):
    """The cache of drawings is drawn again without a question; the trap must not be sprung either."""
    sizes = {"train": 10, "validation": 10, "test": 10}
    (folder / f"wardrobe-{wardrobe.VERSION}-10-10-10.npz").write_bytes(content)
    assert len(wardrobe.load(verbose=False, sizes=sizes, directory=folder).test) == 10
    raise files.DamagedFile("drawn again")


READERS = [open_checkpoint, open_classifier, open_state, open_trial, open_result, open_data, open_drawings]


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("reader", READERS)
def test_pickle_in_disguise_is_refused_and_never_run(tmp_path, monkeypatch, reader, disguise):
    sprung = tmp_path / "sprung"
    content = disguise(Trap(sprung), "about" if reader is open_state else "x")
    (tmp_path / "place").mkdir()
    with pytest.raises((files.DamagedFile, data.DataError)) as caught:
        reader(tmp_path / "place", content, monkeypatch)
    assert not sprung.exists()
    assert "allow_pickle" not in str(caught.value), "an error must not name the way to open it all the same"


def test_the_trap_works():
    """Else the test above would show nothing."""
    class_, arguments = Trap("x").__reduce__()
    assert class_ is open and pickle.loads(pickle.dumps(Sprung())) == "sprung" and arguments == ("x", "w")


class Sprung:
    def __reduce__(self):
        return str, ("sprung",)


# --------------------------------------------------------------------------------------------------
# Served to this computer only


def arguments_of(target, module):
    """What the Makefile hands to JupyterLab or Voila, on a port of the test's own and without a browser."""
    if shutil.which("make") is None:
        pytest.skip("no make on this computer")
    printed = subprocess.run(["make", "-n", target], cwd=course.ROOT, capture_output=True, text=True, check=True).stdout
    found = shlex.split(re.search(rf"-m {module} (.*)", printed.replace("\\\n", " "))[1])
    return [*(argument for argument in found if argument != "--no-browser"), "--no-browser", "--port={port}"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, over an empty folder."""
    folder = tmp_path_factory.mktemp("lab")
    with serving.serving("jupyterlab", folder, *arguments_of("lab", "jupyterlab"), timeout=300) as server:
        yield server


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Voila as `make voila` starts it, but with a small notebook, whose kernel remembers a secret."""
    folder = tmp_path_factory.mktemp("voila")
    serving.write_notebook(folder / "small.ipynb", "secret = 'never shown'\nprint('the app is here')")
    (folder / "private.txt").write_text("not for visitors")
    arguments = [a for a in arguments_of("voila", "voila") if not a.endswith(".ipynb")]
    with serving.serving("voila", folder, "small.ipynb", *arguments, timeout=300) as server:
        yield server


def port_of(server):
    return int(server.address.rsplit(":", 1)[1])


def ask(server, method, path, body=None, **headers):
    """Status and text of an answer, redirections not followed."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=300)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text, dict(answer.getheaders())


@pytest.mark.parametrize("which", ["lab", "app"])
def test_no_other_computer_is_listened_to(request, which):
    server = request.getfixturevalue(which)
    assert ask(server, "GET", "/")[0] < 500  # a Voila that has served a page has a kernel too
    process = psutil.Process(server.process.pid)
    listening = [
        connection.laddr
        for each in (process, *process.children(recursive=True))
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert port_of(server) in {address.port for address in listening}
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}


def test_page_of_another_host_that_points_here_is_refused(lab):
    """A foreign name that resolves to 127.0.0.1 must not make the reader's browser talk to Lab.

    Voila does not look at the name; what such a page could do there is what any visitor can, and no more.
    """
    status, text, _ = ask(lab, "GET", "/api/status", Host="evil.example")
    assert status == 403 and "kernels" not in text


PRIVATE = ["/api/kernels", "/api/contents", "/api/sessions", "/api/terminals", "/api/config/notebook", "/files/lab.log"]
PRIVATE += ["/api/status", "/api/me", "/lab/api/workspaces", "/api/kernelspecs"]


@pytest.mark.parametrize("path", PRIVATE)
def test_lab_answers_nobody_without_its_token(lab, path):
    for query in ("", "?token=", "?token=guess"):
        status, text, headers = ask(lab, "GET", path + query)
        assert status in (403, 404) or (status == 302 and "/login" in headers["Location"]), (status, text[:200])


@pytest.mark.parametrize("path", ["/lab", "/tree", "/lab/tree/notebooks", "/"])
def test_pages_of_lab_ask_for_the_token(lab, path):
    where = path
    for _ in range(3):
        status, _, headers = ask(lab, "GET", where)
        if status != 302:
            break
        where = headers["Location"]
    assert "/login" in where


def test_lab_answers_who_knows_its_token(lab):
    token = re.search(r"[?&]token=([0-9a-f]{32,})", lab.said())[1]
    status, text, _ = ask(lab, "GET", "/api/kernels", Authorization=f"token {token}")
    assert (status, json.loads(text)) == (200, [])
    assert ask(lab, "GET", "/api/kernels", Authorization=f"token {token[:-1]}")[0] == 403
    assert ask(lab, "POST", "/api/kernels")[0] == 403, "nobody starts a kernel without it"


# --------------------------------------------------------------------------------------------------
# A visitor of the app


@pytest.fixture(scope="module")
def visit(app):
    """(text of the page, id of its kernel)."""
    status, text, _ = ask(app, "GET", "/")
    assert status == 200 and "the app is here" in text
    return text, re.search(r'"kernelId": *"([0-9a-f-]{36})"', text)[1]


def test_page_of_the_app_shows_no_code(visit):
    assert "secret" not in visit[0] and "never shown" not in visit[0]


HIDDEN = ["/api/contents", "/api/contents/private.txt", "/api/sessions", "/api/terminals", "/terminals/1", "/lab"]
HIDDEN += ["/tree", "/api/nbconvert", "/files/private.txt", "/voila/files/private.txt", "/voila/files/small.ipynb"]
HIDDEN += ["/voila/files/../private.txt", "/voila/files/%2e%2e/private.txt", "/voila/static/../../private.txt"]
HIDDEN += ["/voila/render/private.txt"]


@pytest.mark.parametrize("path", HIDDEN)
def test_visitor_reads_no_file_and_opens_no_terminal(app, path):
    for _ in range(3):  # Voila sends who asks for another page to its folder of public files
        status, text, headers = ask(app, "GET", path)
        if status != 302:
            break
        path = headers["Location"]
    assert status in (400, 403, 404, 405) and "not for visitors" not in text and "never shown" not in text, status


@pytest.mark.parametrize("path", ["/api/kernels", "/api/sessions", "/api/terminals", "/api/contents"])
def test_visitor_starts_nothing(app, path):
    assert ask(app, "POST", path, "{}")[0] in (403, 404, 405)


def say(server, kernel, kind, content, origin, channel="shell"):
    """Send one message to a kernel as a page would; return the kinds and the contents of what comes back.

    A kernel answers a channel in order. So a question that a page may ask follows, and its answer ends the waiting.
    """

    def message(kind, content):
        head = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": session, "username": "", "version": "5.3"}
        return {"header": head, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}

    session = uuid.uuid4().hex
    first, last = message(kind, content), message("kernel_info_request", {})

    async def talk():
        url = f"ws://127.0.0.1:{port_of(server)}/api/kernels/{kernel}/channels?session_id={session}"
        connection = await websocket_connect(HTTPRequest(url, headers={"Origin": origin}))
        for each in (first, last):
            await connection.write_message(json.dumps(each))
        answers, asked = [], {each["header"]["msg_id"]: each for each in (first, last)}
        while True:
            answer = json.loads(await asyncio.wait_for(connection.read_message(), 30))
            question = asked.get(answer["parent_header"].get("msg_id"))
            if question is first:
                answers.append((answer["header"]["msg_type"], answer["content"]))
            if question is last and answer["header"]["msg_type"] == "kernel_info_reply":
                break
        connection.close()
        return answers

    return asyncio.run(talk())


def test_kernel_of_the_app_answers_the_page(app, visit):
    """So that silence in the next test is a refusal, and not a kernel that is gone."""
    answers = dict(say(app, visit[1], "kernel_info_request", {}, app.address))
    assert answers["kernel_info_reply"]["status"] == "ok"


@pytest.mark.parametrize("channel", ["shell", "control"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("execute_request", {"code": "print(secret)", "silent": False}),
        ("execute_request", {"code": "", "user_expressions": {"it": "secret"}, "silent": True}),
        ("inspect_request", {"code": "secret", "cursor_pos": 6, "detail_level": 1}),
        ("complete_request", {"code": "secr", "cursor_pos": 4}),
        ("history_request", {"hist_access_type": "tail", "n": 9, "output": True, "raw": True}),
        ("is_complete_request", {"code": "secret"}),
        ("debug_request", {"type": "request", "command": "evaluate", "arguments": {"expression": "secret"}, "seq": 1}),
        ("create_subshell_request", {}),
    ],
)
def test_visitor_can_run_no_code_of_his_own(app, visit, kind, content, channel):
    assert say(app, visit[1], kind, content, app.address, channel) == []


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_page_of_another_site_cannot_reach_the_kernel(app, visit, origin):
    with pytest.raises(HTTPClientError) as caught:
        say(app, visit[1], "kernel_info_request", {}, origin)
    assert caught.value.code == 403


# --------------------------------------------------------------------------------------------------
# Packages


def requirement_lines(path):
    """The requirements in a file, without comments, hashes and the systems that they are for."""
    lines = [re.split(r"#| ;|\\$", line)[0].strip() for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("--hash=")]


PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\d+(\.\d+)*(\.?[a-z]+\d+)?")
LISTS = [course.ROOT / folder / "requirements.txt" for folder in ("", "tests/browser", "docs")]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.parent.name)
def test_every_requirement_is_one_exact_version(path):
    lines = requirement_lines(path)
    assert lines and all(PIN.fullmatch(line) for line in lines)
    names = [line.split("==")[0].lower() for line in lines]
    assert len(names) == len(set(names))


def test_optional_packages_are_exact_versions_too():
    text = (course.ROOT / "pyproject.toml").read_text("utf-8")
    section = re.search(r"\[project\.optional-dependencies\]\n(.*?)\n\n", text, re.DOTALL)[1]
    optional = re.findall(r'"([^"]+)"', section)
    assert optional and all(PIN.fullmatch(line) for line in optional)


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.parent.name)
def test_pinned_packages_have_no_known_holes(tmp_path, path):
    """Only where pip-audit is installed and its service knows the packages."""
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("\n".join(requirement_lines(path)))
    command = [sys.executable, "-m", "pip_audit", "-r", wanted, "--no-deps", "--disable-pip", "-f", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        found = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        pytest.skip("the service of pip-audit cannot be reached")
    if any("skip_reason" in package for package in found):
        pytest.skip("the service of pip-audit does not know these packages")
    assert {package["name"]: package["vulns"] for package in found if package["vulns"]} == {}
