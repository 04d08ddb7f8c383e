# pyright: basic
"""Completion on our own lines: options, goals, models, modes, verbs, sessions, jobs' options.

IPython calls the matcher at every completion of the person, so it first makes sure that the cursor
is on such a line. Names come from modules that are loaded at the first completion there.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

from IPython.core.completer import SimpleCompletion, context_matcher

from mlintern_jupyter.commands import ModelRole
from mlintern_jupyter.config import record_root
from mlintern_jupyter.jobs import JOB_OPTIONS
from mlintern_jupyter.options import MODES, OPTIONS
from mlintern_magics.intern import VERBS

_CELL = re.compile(r"\s*%%intern(?P<words>\s.*)$", re.DOTALL)
_JOB = re.compile(r"\s*%%job(?P<words>\s.*)$", re.DOTALL)
_LINE = re.compile(r"\s*%intern(?P<words>\s.*)$", re.DOTALL)
_FLAGS = {option.flag: option for option in OPTIONS}
_JOB_FLAGS = {option.flag: option for option in JOB_OPTIONS}
_OF_A_SESSION = frozenset({"resume", "experiments", "cost"})


@context_matcher(identifier="mlintern.intern")
def intern_matcher(context: Any) -> dict[str, Any]:
    """What may stand at the cursor; nothing on any other line."""
    typed = context.token.lower()
    found = [word for word in _candidates(context) if word.lower().startswith(typed)]
    completions = [SimpleCompletion(word, type="param") for word in found]
    # With names of ours, those of Python and of files are only in the way.
    return {"completions": completions, "suppress": bool(found), "ordered": True}


def _candidates(context: Any) -> Iterable[str]:
    lines: list[str] = context.full_text.split("\n")
    before = lines[context.cursor_line][: context.cursor_position]
    said = _words(lines, context.cursor_line, before)
    if said is None:
        return ()
    magic, words = said
    word = words.split(" ")[-1]
    if not word.endswith(context.token):
        return ()
    # The token ends at what IPython takes for a delimiter, e.g. the = of --mode=a.
    head = word[: len(word) - len(context.token)]
    earlier = words[: len(words) - len(word)].split()
    last = head.removesuffix("=") if head.endswith("=") else (earlier[-1] if earlier else "")
    if head and not head.endswith("="):
        return ()
    if magic == "job":
        return _for_job(earlier, last)
    return _for_cell(earlier, last) if magic == "cell" else _for_line(earlier)


def _words(lines: list[str], at: int, before: str) -> tuple[str, str] | None:
    """Which magic the cursor's line is, and its words up to the cursor."""
    begins = (i for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    first = next(begins, at)
    for magic, pattern in (("cell", _CELL), ("job", _JOB)):
        cell = pattern.match(before)
        if cell is not None:
            return (magic, cell["words"]) if at == first else None
    line = _LINE.match(before)
    if line is None or (at != first and lines[first].lstrip().startswith("%%")):
        return None
    return "line", line["words"]


def _for_cell(earlier: list[str], last: str) -> Iterable[str]:
    option = _FLAGS.get(last)
    if option is not None and option.value:
        return _VALUES.get(last, _none)()
    if last.lower() == "improve":
        return _benchmarks()
    return [*_FLAGS, *(() if _has_goal(earlier) else ("improve",))]


def _for_job(earlier: list[str], last: str) -> Iterable[str]:
    option = _JOB_FLAGS.get(last)
    if option is not None and option.value:
        return option.value.split("|") if "|" in option.value else ()
    # The name comes first, and is the person's to find.
    return _JOB_FLAGS if earlier else ()


def _has_goal(earlier: list[str]) -> bool:
    return any(not word.startswith("--") for word in earlier)


def _for_line(earlier: list[str]) -> Iterable[str]:
    if not earlier:
        return VERBS
    if earlier == ["mode"]:
        return MODES
    if earlier[0] == "model":
        return _for_model(earlier[1:])
    if len(earlier) == 1 and earlier[0] in _OF_A_SESSION:
        return _sessions()
    return ()


def _for_model(earlier: list[str]) -> Iterable[str]:
    if earlier[-1:] == ["--role"]:
        return get_args(ModelRole)
    named = any(not word.startswith("--") for word in earlier)
    return ["--role"] if named else [*_models(), "--role"]


def _benchmarks() -> Iterable[str]:
    return importlib.import_module("mlintern_jupyter.bench.catalogue").names()


def _models() -> Iterable[str]:
    names = importlib.import_module("mlintern_jupyter.models.names")
    examples = {name: about["example"] for name, about in names.providers().items()}
    return [names.PLAYBOOK, *(e if " " not in e else f"{n}/" for n, e in examples.items())]


def _modes() -> Iterable[str]:
    return MODES


def _toolsets() -> Iterable[str]:
    return importlib.import_module("mlintern_jupyter.tools.catalog").toolsets()


def _sessions() -> Iterable[str]:
    identity = importlib.import_module("mlintern_jupyter.session.running.identity")
    folders = identity.session_folders(record_root())
    return [folder.session for folder in reversed(folders)]


def _none() -> Iterable[str]:
    return ()


_VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "--model": _models,
    "--research-model": _models,
    "--compaction-model": _models,
    "--fallback-model": _models,
    "--mode": _modes,
    "--tools": _toolsets,
    "--session": _sessions,
}
