"""Looks one name up in an installed library and prints what it is, as JSON.

Run as a script in a process of its own: importing a library may take long, print, hang or crash,
and must do none of that to a kernel. It imports nothing of this package. Prints to the standard
output it was started with; whatever the library prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import inspect
import json
import os
import sys
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Any

DOC_LINES = 25
SIGNATURE_LIMIT = 7_000
LONG_SIGNATURE = 600
"""Characters; a longer one is shown one parameter a line, without annotations."""


def describe_name(name: str) -> dict[str, Any]:
    """What a dotted name is: found, kind, signature, doc, file, line, package, version or near."""
    found, path, rest = _imported(name)
    for part in rest:
        owner, owner_path = found, path
        try:
            found = getattr(found, part)
        except AttributeError:
            if part == rest[-1] and (parameter := _parameter(found, path, part)):
                return parameter | _package(path)
            near = difflib.get_close_matches(part, dir(found), n=8, cutoff=0.4)
            public = [n for n in dir(found) if not n.startswith("_")]
            return {"found": False, "at": path, "missing": part, "near": near or public[:20]}
        path = f"{path}.{part}"
        # The field of a configuration class is both; as a parameter it has documentation.
        is_field = part == rest[-1] and inspect.isclass(owner) and not callable(found)
        if is_field and (parameter := _parameter(owner, owner_path, part)):
            return parameter | _package(path)
    return {"found": True, "name": path, **_described(found), **_package(path)}


def _imported(name: str) -> tuple[Any, str, list[str]]:
    """The longest part of the name that is a module, its name, and what is left."""
    parts = name.split(".")
    module = importlib.import_module(parts[0])
    for end in range(2, len(parts) + 1):
        path = ".".join(parts[:end])
        try:
            deeper = importlib.import_module(path)
        except ModuleNotFoundError as error:
            # Not a module of that name, rather than a module that misses something.
            if error.name is not None and (path == error.name or path.startswith(error.name)):
                return module, ".".join(parts[: end - 1]), parts[end - 1 :]
            raise
        module = deeper
    return module, name, []


def _described(found: Any) -> dict[str, Any]:
    doc = inspect.getdoc(found) if _has_docstring(found) else ""
    lines = (doc or "").split("\n")
    answer: dict[str, Any] = {"kind": _kind(found), "doc": "\n".join(lines[:DOC_LINES])}
    if len(lines) > DOC_LINES:
        answer["doc"] += f"\n[... {len(lines) - DOC_LINES} more lines ...]"
    if signature := _signature(found):
        answer["signature"] = signature
    elif _kind(found) == "value":
        answer["value"] = repr(found)[:300]
    if inspect.ismodule(found):
        answer["names"] = [n for n in dir(found) if not n.startswith("_")][:150]
    return answer | _place(found)


def _kind(found: Any) -> str:
    if inspect.isclass(found):
        return "class"
    if inspect.ismodule(found):
        return "module"
    return "function" if callable(found) else "value"


def _has_docstring(found: Any) -> bool:
    return inspect.isclass(found) or inspect.ismodule(found) or callable(found)


def _signature(found: Any) -> str:
    if not callable(found):
        return ""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return ""
    text = str(signature)
    if len(text) > LONG_SIGNATURE:
        bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        text = ", ".join(str(p) for p in bare)
    return text[:SIGNATURE_LIMIT]


def _parameter(found: Any, path: str, name: str) -> dict[str, Any]:
    """A parameter of a callable, when a name is no attribute of it, with its lines of the doc."""
    try:
        parameter = inspect.signature(found).parameters[name]
    except (TypeError, ValueError, KeyError):
        return {}
    return {
        "found": True,
        "name": f"{path}({name})",
        "kind": "parameter",
        "signature": str(parameter),
        "doc": _doc_of_parameter(inspect.getdoc(found) or "", name),
    }


def _doc_of_parameter(doc: str, name: str) -> str:
    lines = doc.split("\n")
    for index, line in enumerate(lines):
        if line.strip().lstrip("`*").startswith(name) and line.strip() != name:
            below = _deeper_than(_indent(line), lines[index + 1 :])
            return "\n".join([line, *islice(below, 11)]).rstrip()
    return ""


def _deeper_than(indent: int, lines: list[str]) -> Iterator[str]:
    return takewhile(lambda line: not line.strip() or _indent(line) > indent, lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _place(found: Any) -> dict[str, Any]:
    try:
        file = inspect.getsourcefile(found) or ""
    except TypeError:
        return {}
    place: dict[str, Any] = {"file": file}
    with contextlib.suppress(OSError, TypeError):
        place["line"] = inspect.getsourcelines(found)[1]
    return place


def _package(path: str) -> dict[str, str]:
    top = path.partition(".")[0]
    names = importlib.metadata.packages_distributions().get(top, [])
    if not names:
        return {"package": top, "version": "part of Python" if _is_standard(top) else "unknown"}
    return {"package": names[0], "version": importlib.metadata.version(names[0])}


def _is_standard(top: str) -> bool:
    return top in sys.stdlib_module_names


def main() -> None:
    """Print the answer for the name given as the only argument."""
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        answer = describe_name(sys.argv[1])
    except BaseException as error:  # noqa: BLE001
        # Importing runs a stranger's code, which may raise anything, SystemExit included.
        answer = {"found": False, "error": f"{type(error).__name__}: {error}"[:600]}
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
