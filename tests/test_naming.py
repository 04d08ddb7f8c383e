"""Names: a class name means one thing in the whole tree, and no name has to be decoded."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = (ROOT / "mlintern_jupyter", ROOT / "magics" / "mlintern_magics")

REFUSED = {
    # Metaphors for parts of the program.
    "hall", "hearth", "house", "door", "floor", "bell", "shelf", "curtain", "furnish", "furnishing",
    # Words that say that something happened, but not what or to whom.
    "told", "asked", "standing", "elsewhere", "lasting", "manner", "closing", "wishes", "strayed",
    # Several things at once.
    "interns", "alone", "look", "own",
}  # fmt: skip
REFUSED_PHRASES = {"give_way", "look_up", "leave"}

KEPT = {
    # Facts of the ledger and words of the wire keep their names.
    "Asked", "OwnCellRan", "OwnCellView", "own_cells", "closing",
}  # fmt: skip
HELD_MEANS_A_JOB_THAT_WAITS_FOR_A_YES = ("compute/", "notebook_api/", "jobs.py", "mlintern_magics/")
HELD_KEPT = {"HoldChanged", "HeldOutRead", "held"}


def _files() -> list[Path]:
    return sorted(path for source in SOURCES for path in source.rglob("*.py"))


def _defined(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _words(name: str) -> list[str]:
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def _is_refused(name: str) -> bool:
    words = _words(name)
    spelled = "_".join(words)
    return bool(REFUSED & set(words)) or any(
        re.search(rf"(^|_){phrase}(_|$)", spelled) for phrase in REFUSED_PHRASES
    )


def test_a_class_name_stands_for_one_class_in_the_whole_tree() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    # A protocol and what implements it may share the field's word.
    protocols = {"Ledger", "Toolbox"}
    assert {n: p for n, p in places.items() if len(p) > 1 and n not in protocols} == {}


def test_no_identifier_uses_a_word_that_must_be_decoded() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in _files()
        for name in _defined(path)
        if name not in KEPT and _is_refused(name)
    }
    assert sorted(wrong) == []


def test_held_is_said_of_jobs_alone() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in _files()
        for name in _defined(path)
        if "held" in _words(name)
        and "out" not in _words(name)
        and name not in HELD_KEPT
        and not any(place in path.as_posix() for place in HELD_MEANS_A_JOB_THAT_WAITS_FOR_A_YES)
    }
    assert sorted(wrong) == []
