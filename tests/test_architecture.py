"""The house as a table: module to floor, arrows point down, no file over 400 lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mlintern_jupyter"
MAGICS = ROOT / "magics" / "mlintern_magics"
CEILING = 400

WORDS = {
    "protocols", "events", "event_json", "commands", "messages", "cells", "jobs", "usage",
    "errors", "config", "options", "outputs", "views", "wire",
}  # fmt: skip
ROOMS = {
    "models", "context", "hosts", "peers", "backends", "policy", "record", "recipes", "bench",
    "testing",
}  # fmt: skip
HEARTH = {"agent", "tools"}
HALL = {"session"}
DOORS = {"__init__", "__main__", "cli", "progress", "remote", "notebook_api"}

FLOOR = {
    **dict.fromkeys(WORDS, 0),
    **dict.fromkeys(ROOMS, 1),
    **dict.fromkeys(HEARTH, 2),
    **dict.fromkeys(HALL, 3),
    **dict.fromkeys(DOORS, 4),
    "mlintern_magics": 4,
}


def _files() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *MAGICS.rglob("*.py")])


def _room(path: Path) -> str:
    if MAGICS in path.parents:
        return "mlintern_magics"
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imported(tree: ast.AST) -> set[str]:
    """Rooms this module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "mlintern_magics":
                found.add("mlintern_magics")
            elif parts[0] == "mlintern_jupyter":
                found.add(parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__")
    return found


def _allowed(room: str, other: str) -> bool:
    if room == other:
        return True
    if other == "__init__":
        # Only the version lives there for everyone.
        return True
    if room == "tools" and other in ROOMS:
        return True
    if FLOOR[room] == FLOOR[other]:
        # The words and the doors are flat files that may name each other; rooms never do.
        return FLOOR[room] in {0, 4}
    return FLOOR[room] > FLOOR[other]


def test_every_module_has_a_floor() -> None:
    rooms = {_room(path) for path in _files()}
    assert rooms <= set(FLOOR), f"not in the table: {sorted(rooms - set(FLOOR))}"


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path: Path) -> None:
    room = _room(path)
    imported = _imported(ast.parse(path.read_text(encoding="utf-8")))
    wrong = sorted(other for other in imported if not _allowed(room, other))
    assert not wrong, f"{room} (floor {FLOOR[room]}) imports {wrong}"


def test_peers_know_only_the_words() -> None:
    for path in (PACKAGE / "peers").rglob("*.py"):
        imported = _imported(ast.parse(path.read_text(encoding="utf-8")))
        assert imported <= WORDS | {"peers"}, path


@pytest.mark.parametrize(
    "path",
    sorted([*_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_no_file_is_longer_than_the_ceiling(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= CEILING


def test_the_agent_is_handed_its_tools() -> None:
    for path in (PACKAGE / "agent").rglob("*.py"):
        assert "tools" not in _imported(ast.parse(path.read_text(encoding="utf-8"))), path
