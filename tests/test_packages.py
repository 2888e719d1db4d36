"""What is installed: the lock, what it is made from, and a wheel of our own package."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CHOSEN = [ROOT / "requirements.in", ROOT / "tests" / "requirements.in"]
OLDEST, NEWEST = "3.11", "3.13"


def requirements(path):
    """The requirements in a file, without comments and hashes."""
    lines = re.sub(r" \\\n +--hash=\S+", "", path.read_text(encoding="utf-8")).splitlines()
    return [Requirement(line.partition("#")[0]) for line in lines if re.match(r"\w", line)]


@pytest.fixture(scope="module")
def lock():
    """Version by name, of every package that is locked."""
    found = {}
    for requirement in requirements(ROOT / "requirements.txt"):
        (exact,) = requirement.specifier
        assert exact.operator == "==" and "*" not in exact.version, requirement
        assert found.setdefault(canonicalize_name(requirement.name), exact.version) == exact.version
    return found


@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.parent.name)
def test_each_choice_has_a_reason_a_range_and_a_place_in_the_lock(lock, path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\w", line):
            assert re.search(r"  # \S.{10}", line), line
    for chosen in requirements(path):
        assert {each.operator for each in chosen.specifier} >= {">="}, chosen
        assert chosen.specifier.contains(lock[canonicalize_name(chosen.name)]), f"run `make lock`: {chosen}"


def test_every_locked_package_has_hashes_and_no_address():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\w)", re.sub(r"^ *#.*\n", "", text, flags=re.M))
    for entry in entries:
        assert re.search(r" \\\n    --hash=sha256:[0-9a-f]{64}\b", entry), entry
    assert "://" not in text and not re.search(r"^-", text, flags=re.M)
    assert text.splitlines()[1].strip("# ") == "make lock"


def test_the_lock_is_what_runs_here(lock):
    """Else these tests say little about what a reader gets. Packages for other systems are not installed."""
    installed = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    names = [requirement.name for path in CHOSEN for requirement in requirements(path)]
    differing = {
        name: (installed.get(name), lock[name])
        for name in map(canonicalize_name, names)
        if installed.get(name) != lock[name]
    }
    assert differing == {}, "installed and locked"


def test_what_the_helpers_import_is_declared():
    """A wheel brings only what requirements.in names."""
    declared = {canonicalize_name(requirement.name) for requirement in requirements(CHOSEN[0])}
    distributions = metadata.packages_distributions()
    for path in (ROOT / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in (
                {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"helpers", "jax", "pyarrow"}
            ):
                owners = {canonicalize_name(owner) for owner in distributions.get(name, [name])}
                assert owners & declared, f"{path.name} imports {name}"


def test_supported_pythons_are_the_same_everywhere():
    def text(name):
        return (ROOT / name).read_text(encoding="utf-8")

    project = tomllib.loads(text("pyproject.toml"))
    above = f"3.{int(NEWEST.split('.')[1]) + 1}"
    assert project["project"]["requires-python"] == f">={OLDEST},<{above}"
    assert project["tool"]["ruff"]["target-version"] == "py" + OLDEST.replace(".", "")
    for name in ("README.md", "Makefile"):
        assert f"{OLDEST} to {NEWEST}" in text(name)
        assert not re.search(r"3\.10\b(?= to)|python3\.10", text(name))
    assert f"--python-version {OLDEST} " in text("Makefile")
    assert f'python: ["{OLDEST}", "{NEWEST}"]' in text(".github/workflows/test.yml")


def test_citation_has_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------------
# A wheel

USE_IT = """
import importlib, pkgutil, sys
from pathlib import Path
import helpers
assert Path(helpers.__file__).is_relative_to(sys.prefix), helpers.__file__
for module in pkgutil.walk_packages(helpers.__path__, "helpers."):
    importlib.import_module(module.name)
from helpers import models, wardrobe, widgets
drawn = wardrobe.load(verbose=False, sizes={"train": 10, "validation": 200, "test": 10}, directory=Path("drawn"))
tool = widgets.latent_sliders(models.dense_vae(latent_dim=2, hidden=(16,)), drawn)
bundle = tool.sliders._repr_mimebundle_()
print("esm", len(tool.sliders._esm), "css", len(tool.sliders._css), "shown", bool(bundle))
"""


def run(*command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.nightly
def test_a_wheel_works_in_an_empty_environment_in_another_folder(tmp_path):
    """Takes two minutes, an index within reach and 3 GB for a while.

    What is installed is what the wheel itself asks for, in the versions of the lock.
    """
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    elsewhere.mkdir()
    leave = shutil.ignore_patterns(".*", "data", "notebooks", "images", "tests", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=leave)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    versions = tmp_path / "versions.txt"
    versions.write_text("\n".join(map(str, requirements(ROOT / "requirements.txt"))), encoding="utf-8")
    run(sys.executable, "-m", "venv", tmp_path / "empty")
    python = tmp_path / "empty" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        run(python, "-m", "pip", "install", "-q", "--no-input", "-c", versions, wheel, cwd=elsewhere, env=environ)
        run(python, "-m", "pip", "check", env=environ)
        said = run(python, "-c", USE_IT, cwd=elsewhere, env=environ)
    finally:
        shutil.rmtree(tmp_path / "empty", ignore_errors=True)
    assert re.search(r"^esm [1-9]\d{2,} css [1-9]\d{2,} shown True$", said, flags=re.M), said
