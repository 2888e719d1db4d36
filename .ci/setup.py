"""Make the course's environment: find a Python, fill .venv, leave at once when nothing changed.

`make lab` and `make test` run this file first. It uses the standard library only, and any Python 3.8 or newer
may run it: it looks for a supported interpreter itself, or takes the one named by the variable PYTHON.

A stamp is written into .venv as the very last step. No stamp means an unfinished or foreign environment,
which is built afresh; so is one whose stamp names another folder or another Python. A stamp of other
requirements means that packages have to be installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)
BUILD_GB = 4.0  # free space asked for before a build: the finished environment takes 3 GB, downloads the rest
STAMP = "course-stamp.json"
REQUIREMENTS = ("requirements.txt", "requirements.in", "pyproject.toml")
# The reader's own `python3` comes first, so that an activated conda or pyenv environment is respected.
CANDIDATES = ("python3", "python", "python3.13", "python3.12", "python3.11")
# Also read by Python 2, so that it can be named in a message instead of ending in a syntax error.
PROBE = """
import json, sys
try:
    import ensurepip, venv
    complete = True
except ImportError:
    complete = False
base = getattr(sys, "base_prefix", sys.prefix)
print(json.dumps([list(sys.version_info[:3]), complete, sys.prefix, base]))
"""
# Imported once before the stamp is written: a broken build shows here, not in the middle of a notebook.
# pyplot is in the list because its first import draws up a font list, which takes a while.
SMOKE = "import tensorflow, keras, matplotlib.pyplot, sklearn, jupyterlab, ipykernel, nbval, xdist"
OFFLINE = (
    "Failed to establish a new connection",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Failed to resolve",
    "getaddrinfo failed",
    "Network is unreachable",
    "ConnectTimeoutError",
    "Read timed out",
    "ReadTimeoutError",
    "ProxyError",
)


class SetupError(Exception):
    """A problem the reader can solve; its text says what is wrong and what to do."""


def dotted(version):
    """Return a version tuple such as (3, 12, 1) as text."""
    return ".".join(str(part) for part in version)


def clean(environ):
    """Return a copy of the environment variables without those that leak other packages into .venv."""
    kept = {name: value for name, value in environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    kept["PIP_USER"] = "0"
    return kept


def probe(executable, environ):
    """Ask an interpreter what it is.

    Args:
        executable: path of the interpreter.
        environ: mapping of environment variables.

    Returns:
        A dictionary with `executable`, `version` (three ints), `complete` (has venv and ensurepip), `prefix`
        and `base` (real paths); None when the interpreter does not run.
    """
    try:
        answer = subprocess.run(
            [str(executable), "-c", PROBE],
            env=clean(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        version, complete, prefix, base = json.loads(answer.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return {
        "executable": str(executable),
        "version": tuple(version),
        "complete": complete,
        "prefix": os.path.realpath(prefix),
        "base": os.path.realpath(base),
    }


def supported(found):
    """Say whether a probed interpreter has one of the course's Python versions."""
    return OLDEST <= found["version"][:2] <= NEWEST


def find_python(root, environ):
    """Find the interpreter that .venv is to be built with.

    Args:
        root: folder of the course.
        environ: mapping of environment variables; PYTHON names the interpreter, PATH is searched otherwise.

    Returns:
        What `probe` says of the interpreter.

    Raises:
        SetupError: none is supported, or the supported ones lack venv; the text lists what was found.
    """
    wanted = environ.get("PYTHON")
    own = os.path.realpath(str(root / ".venv"))
    seen, lines, incomplete = set(), [], []
    for name in [wanted] if wanted else CANDIDATES:
        path = shutil.which(name, path=environ.get("PATH"))
        if path is None or path in seen:
            if path is None and wanted:
                lines.append(f"  {name}: no such program")
            continue
        seen.add(path)
        found = probe(path, environ)
        if found is None:
            lines.append(f"  {name}: does not run ({path})")
        elif not supported(found):
            lines.append(f"  {name}: Python {dotted(found['version'])} ({path})")
        elif found["prefix"] == own:
            lines.append(f"  {name}: the course's own .venv, which has to be built again ({path})")
        elif not found["complete"]:
            lines.append(f"  {name}: Python {dotted(found['version'])} without venv ({path})")
            incomplete.append(found)
        else:
            return found
    if incomplete:
        minor = dotted(incomplete[0]["version"][:2])
        raise SetupError(
            "Python is there, but without the module 'venv' (or 'ensurepip', which venv needs). Found:\n"
            + "\n".join(lines)
            + "\n"
            f"On Debian or Ubuntu:  sudo apt install python3-venv   (or python{minor}-venv)\n"
            "Elsewhere: install Python from https://www.python.org/downloads/ , then run the command again."
        )
    raise SetupError(
        f"No suitable Python: the course needs version {dotted(OLDEST)} to {dotted(NEWEST)}. Found:\n"
        + ("\n".join(lines) or "  none")
        + "\n"
        "Install one from https://www.python.org/downloads/ , or name one you have:\n"
        "  make lab PYTHON=/path/to/python3.12"
    )


def venv_python(root):
    """Return the path of the interpreter inside .venv, whether it is there or not."""
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def requirements_hash(root):
    """Return the SHA-256 of the files that decide what is installed, as hexadecimal text.

    The lock decides the first step. The second reads pyproject.toml and, for the package's dependencies,
    requirements.in.
    """
    digest = hashlib.sha256()
    for name in REQUIREMENTS:
        digest.update(hashlib.sha256((root / name).read_bytes()).digest())
    return digest.hexdigest()


def read_stamp(root):
    """Return the stamp's dictionary; None when there is none or it is not one of ours."""
    try:
        stamp = json.loads((root / ".venv" / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write_stamp(root, version):
    """Mark .venv as finished, in one step: the file is written aside and renamed.

    Args:
        root: folder of the course.
        version: the version of the Python inside .venv.
    """
    folder = root / ".venv"
    stamp = {
        "place": os.path.realpath(str(folder)),
        "python": list(version[:2]),
        "requirements": requirements_hash(root),
    }
    aside = folder / (STAMP + ".partial")
    aside.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(str(aside), str(folder / STAMP))


def judge(root, environ):
    """Decide what .venv needs.

    Args:
        root: folder of the course.
        environ: mapping of environment variables; a PYTHON in it has to be the one .venv was made with.

    Returns:
        A pair: "ready", "update" or "build", and the reason in words.
    """
    folder, stamp = root / ".venv", read_stamp(root)
    if not folder.exists():
        return "build", "there is no environment yet"
    if stamp is None:
        return "build", "the environment here is unfinished, or was not made by this set-up"
    if stamp.get("place") != os.path.realpath(str(folder)):
        return "build", "the environment was moved or copied from another folder"
    here = probe(venv_python(root), environ)
    if here is None:
        return "build", "the Python inside the environment does not start any more"
    if stamp.get("python") != list(here["version"][:2]):
        return "build", "the environment was made by another version of Python"
    if not supported(here):
        return "build", f"the environment's Python {dotted(here['version'])} is no longer supported"
    wanted = environ.get("PYTHON")
    path = shutil.which(wanted, path=environ.get("PATH")) if wanted else None
    asked = probe(path, environ) if path else None
    if wanted and (asked is None or (asked["version"], asked["base"]) != (here["version"], here["base"])):
        return "build", "the environment was made by another Python than PYTHON"
    if stamp.get("requirements") != requirements_hash(root):
        return "update", "requirements.txt, requirements.in or pyproject.toml changed"
    return "ready", "nothing changed"


def check_disk(root, free=None):
    """Stop when too little space is free for a build.

    Args:
        root: folder of the course.
        free: free bytes; measured when None.

    Raises:
        SetupError: fewer than BUILD_GB are free.
    """
    free = shutil.disk_usage(str(root)).free if free is None else free
    if free < BUILD_GB * 1e9:
        raise SetupError(
            f"Too little disk space: {free / 1e9:.1f} GB are free here, the set-up needs {BUILD_GB} GB "
            "(TensorFlow is most of it).\n"
            "Make room, or move the course to a larger disk, then run the command again."
        )


def clear(folder):
    """Empty a folder (or make it). A link to a folder on another disk stays a link."""
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        else:
            entry.unlink()


def explain(printed):
    """Turn what pip printed to stderr into a sentence that says what to do."""
    if "No space left on device" in printed:
        return (
            "The disk filled up. Make room where the course lies. If the folder for temporary files is too "
            "small, name a larger one:  make lab TMPDIR=/a/larger/folder"
        )
    if any(word in printed for word in OFFLINE):
        return (
            "pip could not reach its package index: no network, or a proxy is needed (HTTPS_PROXY). "
            "Connect this computer once; afterwards the course works without network."
        )
    if "CERTIFICATE_VERIFY_FAILED" in printed or "SSLError" in printed:
        return (
            "The package index's certificate was refused. Behind a filtering proxy, let PIP_CERT name the "
            "file of the proxy's certificate."
        )
    if "DO NOT MATCH THE HASHES" in printed:
        return (
            "A package that arrived is not the one that requirements.txt names: a download was damaged, or a proxy "
            "or an index of your own delivers other files. Try once more; then ask who runs that proxy or index."
        )
    if "No matching distribution" in printed:
        return (
            f"A package has no build for this computer ({platform.system()} {platform.machine()}). "
            "TensorFlow runs on 64-bit Linux (not Alpine), on Macs with Apple silicon and on 64-bit Windows."
        )
    return "pip stopped; its own words are above."


def pip_install(root, environ):
    """Install the locked packages into .venv, then the package that the notebooks import.

    These are two steps because pip takes a folder, which has no hash, from no file that has hashes. The second one
    needs no network: what builds our package is locked too.

    Raises:
        SetupError: pip failed.
    """
    run_pip(root, environ, "-r", "requirements.txt")
    run_pip(root, environ, "--no-deps", "--no-build-isolation", "-e", ".")


def run_pip(root, environ, *what):
    """Let pip install something into .venv.

    pip's progress goes straight to the terminal. Its stderr is shown and kept, to explain a failure.

    Args:
        root: folder of the course.
        environ: mapping of environment variables.
        what: pip's arguments that name what is to be installed.

    Raises:
        SetupError: pip failed.
    """
    command = [str(venv_python(root)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if not sys.stdout.isatty():
        command.append("--quiet")
    command += what
    printed = []
    with subprocess.Popen(
        command,
        cwd=str(root),
        env=clean(environ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as pip:
        for line in pip.stderr:
            sys.stderr.write(line)
            printed.append(line)
    if pip.returncode:
        raise SetupError("The packages could not be installed.\n" + explain("".join(printed)))


def smoke_test(root, environ):
    """Import the large packages once.

    Raises:
        SetupError: an import failed; the text holds its last lines.
    """
    tried = subprocess.run(
        [str(venv_python(root)), "-c", SMOKE],
        env=clean(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if tried.returncode:
        tail = "\n".join(tried.stdout.splitlines()[-6:]) or f"(it ended with code {tried.returncode})"
        raise SetupError(
            "The packages are installed but cannot be imported:\n" + tail + "\n"
            "An 'illegal instruction' or code -4 means a processor without AVX, which TensorFlow needs."
        )


@contextlib.contextmanager
def only_one(root):
    """Let one set-up at a time work in this folder (`make lab` and `make test` in two terminals)."""
    with open(str(root / "requirements.txt"), "rb") as handle:
        try:
            import fcntl
        except ImportError:  # Windows: no such lock, and no make either
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in this folder; waiting for it.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            print(f"This disk knows no locks ({error}): run one set-up at a time.", file=sys.stderr)
        yield


def set_up(root=ROOT, environ=None):
    """Bring .venv up to date.

    Args:
        root: folder of the course.
        environ: mapping of environment variables; the process's own when None.

    Returns:
        What had to be done: "ready" (nothing), "update" or "build".

    Raises:
        SetupError: something the reader has to solve.
    """
    environ = dict(os.environ if environ is None else environ)
    if judge(root, environ)[0] == "ready":
        return "ready"
    started = time.monotonic()
    with only_one(root):
        action, reason = judge(root, environ)
        if action == "ready":
            return action
        if action == "build":
            python = find_python(root, environ)
            print(
                f"Set-up: building .venv with Python {dotted(python['version'])} ({reason}). "
                "This takes a few minutes and 3 GB, once.",
                flush=True,
            )
            clear(root / ".venv")
            check_disk(root)
            making = [python["executable"], "-m", "venv", str(root / ".venv")]
            if subprocess.run(making, env=clean(environ), stdin=subprocess.DEVNULL).returncode:
                raise SetupError(f"'{' '.join(making)}' failed; its own words are above.")
        else:
            print(f"Set-up: updating .venv ({reason}).", flush=True)
            (root / ".venv" / STAMP).unlink()
        pip_install(root, environ)
        smoke_test(root, environ)
        here = probe(venv_python(root), environ)
        if here is None:
            raise SetupError("The Python inside .venv does not start. Run the command again.")
        write_stamp(root, here["version"])
    print(f"Set-up: done in {time.monotonic() - started:.0f} s. The next start takes no time.", flush=True)
    return action


def main(root=ROOT, environ=None):
    """Run the set-up and turn problems into text on stderr.

    Returns:
        The exit status: 0 done, 1 a problem the reader has to solve, 130 interrupted.
    """
    try:
        set_up(root, environ)
    except SetupError as error:
        print(f"\nSet-up stopped. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted. Run the command again; it starts afresh.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"\nSet-up stopped: {error}\nCheck the rights and the space of this folder.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
