"""The set-up behind `make lab` and `make test`: messages, stamp and command lines. Nothing is installed here.

The interpreters are shell scripts that answer like Python, note what they were asked, and fail on request.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TARGETS = {"help", "lab", "explore", "explorer", "site", "voila", "kernel", "test", "bench", "setup"} | {
    "checkpoints",
    "results",
    "sweeps",
    "pictures",
    "readme",
    "lock",
    "clean",
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

FAKE_PYTHON = """#!/bin/sh
# Answers like Python {version}; its prefix is the folder above the one it lies in.
place=$(cd "$(dirname "$0")/.." && pwd -P)
case "$1 $2" in
  "-c "*ensurepip*) echo '[{numbers}, {complete}, "'"$place"'", "{base}"]' ;;
  "-c "*) echo smoke >> "{log}"; cat "{faults}/smoke" 2>/dev/null && exit 1; exit 0 ;;
  "-m venv")
    echo venv >> "{log}"; cat "{faults}/venv" >&2 2>/dev/null && exit 1
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip")
    echo "pip $*" >> "{log}"
    case "$*" in *"-e .") fault=own ;; *) fault=pip ;; esac
    cat "{faults}/$fault" >&2 2>/dev/null && exit 1; exit 0 ;;
  *) exit 2 ;;
esac
"""


@pytest.fixture
def script():
    """The set-up script as a fresh module."""
    spec = importlib.util.spec_from_file_location("course_setup", ROOT / ".ci" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Place:
    """A folder with the files that say what is installed, a PATH of its own and a diary of the stand-ins."""

    def __init__(self, folder):
        self.root = folder / "my course"  # a blank in the path is common on Windows and on Macs
        self.bin = folder / "bin"
        self.faults = folder / "faults"
        self.log = folder / "log"
        for each in (self.root, self.bin, self.faults):
            each.mkdir()
        (self.root / "requirements.txt").write_text("numpy==2.4.6\n")
        (self.root / "requirements.in").write_text("numpy>=2.4\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.environ = {"PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin"}

    def add_python(self, name, version, complete=True):
        """Put a stand-in for Python `version` on the PATH."""
        path = self.bin / name
        text = FAKE_PYTHON.format(
            version=version,
            numbers=[int(part) for part in version.split(".")],
            complete=str(complete).lower(),
            base=self.bin / version,
            log=self.log,
            faults=self.faults,
        )
        path.write_text(text)
        path.chmod(0o755)
        return path

    def diary(self):
        """What was asked of the stand-ins since the last call: first words only."""
        words = [line.split()[0] for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return words

    def stamp(self):
        """Path of the stamp."""
        return self.root / ".venv" / "course-stamp.json"


@pytest.fixture
def place(tmp_path, script, monkeypatch):
    """A prepared folder whose PATH holds only stand-ins under Python's names."""
    # The machine's own interpreters in /usr/bin must not be found: only the stand-ins are.
    here = Place(tmp_path)
    which = shutil.which
    monkeypatch.setattr(script.shutil, "which", lambda name, path=None: which(name, path=str(here.bin)))
    monkeypatch.setattr(script, "BUILD_GB", 0)
    return here


BUILT = ["venv", "pip", "pip", "smoke"]


def test_first_run_builds_second_does_nothing(script, place):
    place.add_python("python3", "3.12.1")
    assert script.set_up(place.root, place.environ) == "build"
    assert place.diary() == BUILT
    assert script.set_up(place.root, place.environ) == "ready"
    assert place.diary() == []


def test_changed_requirements_are_installed_without_a_new_build(script, place):
    place.add_python("python3", "3.12.1")
    script.set_up(place.root, place.environ)
    place.diary()
    for name in ("requirements.txt", "requirements.in", "pyproject.toml"):
        with open(place.root / name, "a") as handle:
            handle.write("# changed\n")
        assert script.set_up(place.root, place.environ) == "update"
        assert place.diary() == ["pip", "pip", "smoke"]
        assert script.set_up(place.root, place.environ) == "ready"


def test_locked_packages_come_first_and_our_own_without_any_other(script, place):
    """pip refuses a folder beside hashes; the second step must neither look for packages nor for a build tool."""
    place.add_python("python3", "3.12.1")
    script.set_up(place.root, place.environ)
    first, second = [line for line in place.log.read_text().splitlines() if line.startswith("pip ")]
    assert first.endswith(" -r requirements.txt") and "--no-deps" not in first
    assert second.endswith(" --no-deps --no-build-isolation -e .")


def test_readme_gives_the_same_two_steps():
    commands = re.findall(r"-m pip install (.*?)(?: +#.*)?$", README.read_text(encoding="utf-8"), flags=re.M)
    assert commands[:2] == ["-r requirements.txt", "--no-deps --no-build-isolation -e ."]


@pytest.mark.parametrize("step", ["venv", "pip", "own", "smoke"])
def test_failed_step_leaves_no_stamp_and_next_run_repairs(script, place, step, capfd):
    place.add_python("python3", "3.11.7")
    (place.faults / step).write_text("it went wrong\n")
    assert script.main(place.root, place.environ) == 1
    assert "it went wrong" in "".join(capfd.readouterr())
    assert not place.stamp().exists()
    place.diary()
    (place.faults / step).unlink()
    assert script.main(place.root, place.environ) == 0
    assert place.diary() == BUILT
    assert place.stamp().exists()


def test_failed_update_leaves_no_stamp(script, place):
    place.add_python("python3", "3.11.7")
    script.set_up(place.root, place.environ)
    (place.root / "requirements.txt").write_text("numpy==1.0\n")
    (place.faults / "pip").write_text("it went wrong\n")
    assert script.main(place.root, place.environ) == 1
    assert not place.stamp().exists()
    (place.faults / "pip").unlink()
    assert script.set_up(place.root, place.environ) == "build"


def test_interrupted_install_leaves_no_stamp(script, place, monkeypatch, capsys):
    place.add_python("python3", "3.11.7")

    def interrupt(root, environ):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "pip_install", interrupt)
    assert script.main(place.root, place.environ) == 130
    assert "again" in capsys.readouterr().err
    assert not place.stamp().exists()


def test_files_of_an_unfinished_environment_are_removed(script, place):
    place.add_python("python3", "3.11.7")
    leftover = place.root / ".venv" / "lib" / "half.py"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("")
    assert script.set_up(place.root, place.environ) == "build"
    assert not leftover.exists()


def test_link_to_another_disk_stays_a_link(script, place, tmp_path):
    place.add_python("python3", "3.11.7")
    (tmp_path / "large").mkdir()
    (place.root / ".venv").symlink_to(tmp_path / "large")
    assert script.set_up(place.root, place.environ) == "build"
    assert (place.root / ".venv").is_symlink()
    assert script.set_up(place.root, place.environ) == "ready"


@pytest.mark.parametrize("how", ["move", "copy"])
def test_moved_or_copied_environment_is_built_again(script, place, tmp_path, how):
    place.add_python("python3", "3.11.7")
    script.set_up(place.root, place.environ)
    place.diary()
    other = tmp_path / "elsewhere"
    (shutil.move if how == "move" else shutil.copytree)(place.root, other)
    assert script.judge(other, place.environ)[0] == "build"
    assert script.set_up(other, place.environ) == "build"
    assert place.diary() == BUILT


def test_environment_of_another_python_is_built_again(script, place):
    place.add_python("python3", "3.11.7")
    newer = place.add_python("python3.13", "3.13.0")
    script.set_up(place.root, place.environ)
    asked = {**place.environ, "PYTHON": str(newer)}
    assert script.set_up(place.root, asked) == "build"
    assert script.set_up(place.root, asked) == "ready"
    assert script.set_up(place.root, place.environ) == "ready", "without PYTHON, any supported one is kept"


def test_environment_of_a_python_that_the_course_has_left_is_built_again(script, place, monkeypatch):
    place.add_python("python3", "3.10.13")
    with monkeypatch.context() as earlier:
        earlier.setattr(script, "OLDEST", (3, 10))
        assert script.set_up(place.root, place.environ) == "build"
    expected = ("build", "the environment's Python 3.10.13 is no longer supported")
    assert script.judge(place.root, place.environ) == expected


def test_environment_whose_python_is_gone_is_built_again(script, place):
    place.add_python("python3", "3.11.7")
    script.set_up(place.root, place.environ)
    (place.root / ".venv" / "bin" / "python").unlink()
    assert script.set_up(place.root, place.environ) == "build"


def test_unsupported_pythons_are_listed(script, place, capsys):
    place.add_python("python3", "3.9.18")
    place.add_python("python", "2.7.18")
    (place.bin / "python3.12").write_text("#!/bin/sh\nexit 127\n")
    (place.bin / "python3.12").chmod(0o755)
    assert script.main(place.root, place.environ) == 1
    message = capsys.readouterr().err
    for part in ("3.11 to 3.13", "3.9.18", "2.7.18", "python3.12: does not run", "PYTHON=", "python.org"):
        assert part in message
    assert not (place.root / ".venv").exists()


def test_no_python_at_all_is_said(script, place, capsys):
    assert script.main(place.root, place.environ) == 1
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize("version, fits", [("3.10.18", 0), ("3.11.0", 1), ("3.13.9", 1), ("3.14.0", 0), ("2.7.18", 0)])
def test_supported_versions(script, place, version, fits):
    named = {**place.environ, "PYTHON": str(place.add_python("mine", version))}
    if fits:
        assert script.find_python(place.root, named)["version"] == tuple(map(int, version.split(".")))
    else:
        with pytest.raises(script.SetupError, match=re.escape(version)):
            script.find_python(place.root, named)


def test_named_python_is_never_replaced_by_another(script, place, capsys):
    place.add_python("python3", "3.12.1")
    assert script.main(place.root, {**place.environ, "PYTHON": "python9"}) == 1
    assert "python9: no such program" in capsys.readouterr().err


def test_missing_venv_names_the_package(script, place, capsys):
    place.add_python("python3", "3.12.1", complete=False)
    assert script.main(place.root, place.environ) == 1
    message = capsys.readouterr().err
    assert "python3-venv" in message and "python3.12-venv" in message


def test_python_without_venv_is_passed_over(script, place):
    place.add_python("python3", "3.12.1", complete=False)
    place.add_python("python3.11", "3.11.7")
    assert script.find_python(place.root, place.environ)["version"] == (3, 11, 7)


def test_full_disk_is_said_before_anything_is_installed(script, place, monkeypatch, capsys):
    place.add_python("python3", "3.12.1")
    monkeypatch.setattr(script, "BUILD_GB", 1e9)
    assert script.main(place.root, place.environ) == 1
    assert "Too little disk space" in capsys.readouterr().err
    assert place.diary() == []
    assert not place.stamp().exists()


@pytest.mark.parametrize(
    "printed, remedy",
    [
        ("NewConnectionError: Failed to establish a new connection: [Errno -3]", "no network"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "TMPDIR"),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "PIP_CERT"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "damaged"),
        ("ERROR: No matching distribution found for tensorflow==2.21.0", "64-bit"),
        ("something else", "its own words are above"),
    ],
)
def test_pip_failures_are_explained(script, place, printed, remedy, capsys):
    place.add_python("python3", "3.12.1")
    (place.faults / "pip").write_text(printed + "\n")
    assert script.main(place.root, place.environ) == 1
    message = capsys.readouterr().err
    assert printed in message and remedy in message


def test_packages_of_other_projects_do_not_leak_in(script):
    kept = script.clean({"PYTHONPATH": "/x", "PYTHONHOME": "/y", "PIP_USER": "1", "HTTPS_PROXY": "p"})
    assert kept == {"PIP_USER": "0", "HTTPS_PROXY": "p"}


def test_script_runs_on_an_old_python():
    """It has to parse there, so that an old Python ends in a message and not in a syntax error."""
    ast.parse((ROOT / ".ci" / "setup.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def make(*arguments, **variables):
    """Run make in the course's folder, apart from a make that may be running these tests.

    Returns:
        What it printed to stdout.
    """
    if shutil.which("make") is None:
        pytest.skip("no make on this computer")
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTEST_FLAGS", "DISPLAY", "WAYLAND_DISPLAY")
    }
    environ.update(variables)
    done = subprocess.run(["make", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def test_make_alone_lists_every_target():
    printed = make()
    assert printed == make("help")
    assert set(re.findall(r"^  make (\w+) ", printed, flags=re.M)) == TARGETS


def test_readme_names_only_targets_that_exist():
    named = set(re.findall(r"`make (\w+)", README.read_text(encoding="utf-8")))
    assert named <= TARGETS


def test_lab_serves_this_computer_only_and_keeps_its_token():
    command = make("-n", "lab").splitlines()[-1]
    assert "-m jupyterlab" in command
    assert re.findall(r"--(?:ServerApp\.)?ip=(\S+)", command) == ["127.0.0.1"]
    assert not re.search("token|password|disable|allow_origin|allow_remote", command)


def test_lab_does_not_ask_about_news():
    """Both ways name the folder with the setting, and the setting has a value that JupyterLab knows."""
    for command in (make("-n", "lab"), README.read_text(encoding="utf-8")):
        (folder,) = re.findall(r"-m jupyterlab .*--LabApp\.app_settings_dir=(\S+)", command)
        overrides = json.loads((ROOT / folder / "overrides.json").read_text(encoding="utf-8"))
        ((plugin, settings),) = overrides.items()
        package, name = plugin.split(":")
        schema = Path(sys.prefix, "share/jupyter/lab/schemas", package, f"{name}.json")
        choices = json.loads(schema.read_text(encoding="utf-8"))["properties"]["fetchNews"]["oneOf"]
        assert settings == {"fetchNews": "false"}
        assert {"const": "false", "title": "Never"} in choices


def test_lab_allows_root_only_for_root(tmp_path):
    for number in ("0", "1000"):
        fake = tmp_path / number / "id"
        fake.parent.mkdir()
        fake.write_text(f"#!/bin/sh\necho {number}\n")
        fake.chmod(0o755)
        command = make("-n", "lab", PATH=f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
        assert ("--allow-root" in command) == (number == "0")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a screen")
def test_lab_tries_no_browser_without_a_screen():
    assert "--no-browser" in make("-n", "lab")
    assert "--no-browser" not in make("-n", "lab", DISPLAY=":0")
    assert "--no-browser" not in make("-n", "lab", WAYLAND_DISPLAY="wayland-0")


def test_app_serves_this_computer_only_and_shows_no_code():
    command = make("-n", "voila").splitlines()[-1]
    assert "-m voila notebooks/07_latent_explorer.ipynb" in command
    assert re.findall(r"--(?:Voila\.)?ip=(\S+)", command) == ["127.0.0.1"]
    assert not re.search("strip_sources=False|allow_origin|file_whitelist", command)
    assert "show_tracebacks=True" in command, "else a reader without data sees no reason"
    assert re.findall(r"MappingKernelManager\.(cull_\w+)=\d+", command) == ["cull_idle_timeout", "cull_interval"]
    assert ("--no-browser" in command) == sys.platform.startswith("linux")
    assert "--no-browser" not in make("-n", "voila", DISPLAY=":0")


def test_make_test_compares_every_notebook_strictly():
    command = make("-n", "test").splitlines()[-1]
    assert " --nbval " in command and "--nbval-lax" not in command
    assert "--nbval-cell-timeout" in command and "--dist loadscope" in command


def test_ci_script_is_executable_and_calls_make_test():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    assert "make test" in path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)


def test_stamp_hash_tells_the_files_apart(script, place):
    """Text moved from one file to the other is a change."""
    before = script.requirements_hash(place.root)
    one, two = (place.root / name for name in ("requirements.txt", "pyproject.toml"))
    text = one.read_text(), two.read_text()
    one.write_text(text[1])
    two.write_text(text[0])
    assert script.requirements_hash(place.root) != before


def test_explore_opens_the_page_at_once_where_there_is_a_screen():
    assert (ROOT / "explorer.html").exists()
    for screen, opens in (({}, False), ({"DISPLAY": ":0"}, True)):
        command = make("-n", "explore", **screen)
        assert f"file://{ROOT}/explorer.html" in command
        assert ("open explorer.html" in command) == opens
        assert "setup.py" not in command and "python" not in command
