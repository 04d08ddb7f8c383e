"""Describes or calls one function of a module, in a process of its own.

``python -m mlintern_jupyter.tools.custom.child`` reads one line of JSON from its standard input,
``{"function": "pkg.mod:name", "arguments": {...} | null, "keyed": bool}``, and answers with one
line on the standard output it was started with: ``{"described": {...}}``, ``{"text": ...}``,
``{"refused": {...}}`` or ``{"failed": "..."}``. Without arguments the function is described, not
called. What the function prints goes nowhere; when the process that asked is gone, this one and its
children end.

A function that is given keys is an installed one, and while it has them nothing is imported from
the notebook's folder: a cell can change what lies there, and would read the keys so.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.tools.base.answer import as_text, clipped, encodable
from mlintern_jupyter.tools.custom.functions import describe

TEXT_LIMIT = 200_000
"""Characters of a result that are handed on; the model is shown fewer."""
TRACEBACK_LINES = 12


def main() -> None:
    """Answer the one request."""
    answers, requests = os.dup(1), os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    given = os.fdopen(requests, "rb", buffering=0)
    request = json.loads(_line(given))
    threading.Thread(target=_end_with_parent, args=(requests,), daemon=True).start()
    if not request["keyed"]:
        # As in a notebook, where modules beside it come first; our own are all loaded by now.
        sys.path.insert(0, str(Path.cwd()))
    answer = json.dumps(answer_to(request["function"], request["arguments"])).encode() + b"\n"
    while answer:
        answer = answer[os.write(answers, answer) :]
    # Threads and exit handlers of a stranger's library are not waited for.
    os._exit(0)


def answer_to(dotted: str, arguments: dict[str, Any] | None) -> dict[str, Any]:
    """What became of one request."""
    try:
        function = _found(dotted)
        if arguments is None:
            described = describe(function)
            if described.declaration.keys:
                _check_installed(dotted)
            return {"described": asdict(described)}
        value = function(**arguments)
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        return {"text": clipped(encodable(as_text(value)), TEXT_LIMIT)}
    except UsageError as error:
        if arguments is None:
            return {"refused": {"what": error.what, "why": error.why, "do": error.do}}
        return {"failed": encodable(str(error))}
    except BaseException as error:  # noqa: BLE001
        # A stranger's code may raise anything, SystemExit included.
        return {"failed": encodable(_last_lines(error))}


def _found(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module} has no {name}")
        found = getattr(found, part)
    return found


def _check_installed(dotted: str) -> None:
    package = dotted.partition(":")[0].partition(".")[0]
    found = PathFinder.find_spec(package, [str(Path.cwd())])
    # A folder without an __init__.py has no origin, and hides no installed package.
    if found is not None and found.origin is not None:
        raise UsageError(
            f"{package} lies in the notebook's folder and wants keys",
            why="a cell can change what lies there",
            do="install it from another folder, as a package",
        )


async def _awaited(value: Any) -> Any:
    return await value


def _last_lines(error: BaseException) -> str:
    # The first frame is ours.
    frames = error.__traceback__ and error.__traceback__.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return "\n".join("".join(lines).rstrip().split("\n")[-TRACEBACK_LINES:])


def _line(given: Any) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = given.read(65536)
        if not piece:
            break
        line += piece
    return line


def _end_with_parent(requests: int) -> None:
    if not os.read(requests, 1):
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
