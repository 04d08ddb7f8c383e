"""The layout as a table: every module has a layer, imports point down, no cycle, no long file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mlintern_jupyter"
MAGICS = ROOT / "magics" / "mlintern_magics"
CEILING = 400

VOCABULARY = {
    "protocols", "events", "event_json", "commands", "messages", "cells", "jobs", "usage",
    "errors", "config", "options", "outputs", "views", "wire", "reading", "children",
    "child_environment", "heldout_watch", "json_files",
}  # fmt: skip
PACKAGES = {
    "models", "context", "hosts", "peers", "compute", "policy", "record", "recipes", "bench",
    "testing",
}  # fmt: skip
AGENT_AND_TOOLS = {"agent", "tools"}
SESSION = {"session"}
ENTRY_POINTS = {"__init__", "__main__", "cli", "progress", "remote", "notebook_api"}

LAYER = {
    **dict.fromkeys(VOCABULARY, 0),
    **dict.fromkeys(PACKAGES, 1),
    **dict.fromkeys(AGENT_AND_TOOLS, 2),
    **dict.fromkeys(SESSION, 3),
    **dict.fromkeys(ENTRY_POINTS, 4),
    "mlintern_magics": 4,
}
ORDER_IN_SESSION = ("running", "readouts", "sinks", "wiring")
"""A sub-package of ``session/`` imports itself and those before it."""


def _files() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *MAGICS.rglob("*.py")])


def _module(path: Path) -> str:
    root = MAGICS.parent if MAGICS in path.parents else ROOT
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in _files()}


def _package(module: str) -> str:
    """The entry of the table that a module stands under."""
    parts = module.split(".")
    if parts[0] == "mlintern_magics":
        return "mlintern_magics"
    return parts[1] if len(parts) > 1 else "__init__"


def _named(tree: ast.AST) -> Iterator[str]:
    """Dotted names a module imports anywhere in it, those loaded by a literal name among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


def _imports(path: Path) -> set[str]:
    """Modules of ours that a file imports."""
    found: set[str] = set()
    for name in _named(ast.parse(path.read_text(encoding="utf-8"))):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return found


IMPORTS = {module: _imports(path) for module, path in MODULES.items()}


def _allowed(module: str, other: str) -> bool:
    one, two = _package(module), _package(other)
    if one == two or two == "__init__":
        # Only the version lives in the package itself for everyone.
        return True
    if one == "__init__":
        # What cells import is loaded when it is asked for: the one import that points up.
        return True
    if one == "tools" and two in PACKAGES:
        return True
    if LAYER[one] == LAYER[two]:
        # The vocabulary and the entry points are flat files that may name each other.
        return LAYER[one] in {0, 4}
    return LAYER[one] > LAYER[two]


def _sub_package(module: str, of: str) -> str:
    prefix = f"mlintern_jupyter.{of}."
    rest = module.removeprefix(prefix) if module.startswith(prefix) else ""
    return rest.split(".")[0] if (PACKAGE / of / rest.split(".")[0]).is_dir() and rest else ""


def _arrows() -> Iterator[tuple[str, str]]:
    return ((module, other) for module, others in IMPORTS.items() for other in sorted(others))


def test_every_module_has_a_layer() -> None:
    assert {_package(module) for module in MODULES} <= set(LAYER)


def test_imports_point_down() -> None:
    assert [f"{one} -> {two}" for one, two in _arrows() if not _allowed(one, two)] == []


def test_tools_share_nothing_but_their_base() -> None:
    """All may read ``catalog``, the table of them; ``build``, which joins them, nobody."""
    wrong = [
        f"{one} -> {two}"
        for one, two in _arrows()
        if (mine := _sub_package(one, "tools"))
        and _package(two) == "tools"
        and _sub_package(two, "tools") not in {mine, "base"}
        and two != "mlintern_jupyter.tools.catalog"
    ]
    assert wrong == []


def test_compute_is_entered_by_its_jobs_alone() -> None:
    """Nobody else asks which backend a job has: no class of one, and no folder of one."""
    wrong = [
        f"{one} -> {two}"
        for one, two in _arrows()
        if _package(two) == "compute" != _package(one) and two != "mlintern_jupyter.compute.jobs"
    ]
    assert wrong == []


def test_a_job_is_the_same_wherever_it_runs() -> None:
    """What a backend can do is asked of its offers and its check, never of its class."""
    asks = re.compile(r"isinstance\([^)]*Backend")
    assert [module for module, path in MODULES.items() if asks.search(path.read_text())] == []


def test_the_session_reads_out_what_it_runs_and_is_wired_last() -> None:
    wrong = [
        f"{one} -> {two}"
        for one, two in _arrows()
        if (mine := _sub_package(one, "session"))
        and (theirs := _sub_package(two, "session"))
        and ORDER_IN_SESSION.index(theirs) > ORDER_IN_SESSION.index(mine)
    ]
    assert wrong == []


def test_peers_know_only_the_vocabulary() -> None:
    wrong = [
        f"{one} -> {two}"
        for one, two in _arrows()
        if _package(one) == "peers" and _package(two) not in VOCABULARY | {"peers", "__init__"}
    ]
    assert wrong == []


def test_no_file_imports_itself_over_others() -> None:
    """Packages that only name their modules for readers are not part of a cycle."""
    seen: dict[str, int] = {}
    cycles: list[list[str]] = []

    def visit(module: str, way: list[str]) -> None:
        seen[module] = 1
        for other in sorted(IMPORTS[module]):
            if seen.get(other) == 1:
                cycles.append([*way[way.index(other) :], other])
            elif other not in seen:
                visit(other, [*way, other])
        seen[module] = 2

    for module in MODULES:
        if module not in seen:
            visit(module, [module])
    upward = {"mlintern_jupyter", "mlintern_magics"}
    assert [" -> ".join(way) for way in cycles if not upward <= set(way)] == []


def test_no_file_is_longer_than_the_ceiling() -> None:
    files = [*_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
    }
    assert {name: count for name, count in lines.items() if count > CEILING} == {}
