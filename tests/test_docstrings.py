"""Docstrings of helpers/: each argument has an entry, and each entry is a sentence."""

import ast
import re
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent.parent / "helpers"
FILES = sorted(path.relative_to(HELPERS).as_posix() for path in HELPERS.rglob("*.py"))

# Keras calls these with arguments that Keras documents.
KERAS = re.compile(r"on_\w+|call|compute_loss|update_step")


def arguments(function):
    """Names of a function's arguments as a docstring writes them, without self and cls."""
    a = function.args
    names = [argument.arg for argument in a.posonlyargs + a.args]
    names += [f"*{a.vararg.arg}"] if a.vararg else []
    names += [argument.arg for argument in a.kwonlyargs]
    names += [f"**{a.kwarg.arg}"] if a.kwarg else []
    return [name for name in names if name not in ("self", "cls")]


def sections(docstring):
    """Sections of a docstring in Google style: dict of heading to lines, indentation removed."""
    found, lines = {}, None
    for line in docstring.splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Raises|Returns|Yields):", line)
        if heading:
            lines = found.setdefault(heading[1], [])
        elif line.startswith("    ") and lines is not None:
            lines.append(line[4:])
        elif line.strip():
            lines = None
    return found


def entries(lines):
    """Entries of a section: list of (name, text)."""
    found = []
    for line in lines:
        if line.startswith(" "):
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return [tuple(entry.partition(": ")[::2]) for entry in found]


def public(body, owner=""):
    """All public functions, methods and classes: (name, node, arguments that its docstring names)."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            yield node.name, node, arguments(inits[0]) if inits else []
            yield from public(node.body, f"{node.name}.")
        elif not (owner and KERAS.fullmatch(node.name)):
            yield owner + node.name, node, arguments(node)


def faults(source):
    """What is wrong with the docstrings of a module, a list of texts."""
    found = []
    for name, node, expected in public(ast.parse(source).body):
        parts = sections(ast.get_docstring(node) or "")
        is_class = isinstance(node, ast.ClassDef)
        if is_class and not expected:  # the fields of a dataclass or a named tuple
            expected = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]
            heading = "Args" if "Args" in parts else "Attributes"
        else:
            heading = "Args"
        if heading in parts:
            named = [entry for entry, _ in entries(parts[heading])]
            if named != expected and (expected or heading == "Args"):
                found.append(f"{name}: {heading} names {named}, the signature {expected}")
        elif len(expected) >= (1 if is_class else 2):
            found.append(f"{name}: no {heading}")
        for heading in ("Args", "Attributes", "Raises"):
            for entry, text in entries(parts.get(heading, [])):
                if not re.match(r"[A-Z0-9*]", text) or not text.endswith("."):
                    found.append(f"{name}: {heading}: {entry!r} is not a sentence: {text!r}")
    return found


@pytest.mark.parametrize("file", FILES)
def test_each_argument_has_a_sentence(file):
    assert faults((HELPERS / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        ('"""Add."""', "no Args"),
        ('"""Add.\n\n    Args:\n        a: One number.\n    """', "the signature"),
        ('"""Add.\n\n    Args:\n        b: One number.\n        a: Another.\n    """', "the signature"),
        ('"""Add.\n\n    Args:\n        a, b: Two numbers.\n    """', "the signature"),
        ('"""Add.\n\n    Args:\n        a: one number.\n        b: Another.\n    """', "'a' is not a sentence"),
        ('"""Add.\n\n    Args:\n        a: One number.\n        b: Another\n    """', "'b' is not a sentence"),
        ('"""Add.\n\n    Raises:\n        ValueError: not so.\n    """', "no Args"),
    ],
)
def test_the_check_finds_faults(docstring, fault):
    assert fault in faults(f"def add(a, b):\n    {docstring}\n")[0]


def test_the_check_passes_what_is_right():
    docstring = '"""Add.\n\n    Args:\n        a: One,\n            which is whole.\n        *b: Others.\n    """'
    assert faults(f"def add(a, *b):\n    {docstring}\n") == []
