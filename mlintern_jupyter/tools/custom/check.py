"""Whether a dotted path can name a function, without importing anything.

Finds the module's file as an import would, and reads which names its text binds. A name that only
running the module would bind is given the benefit of the doubt.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mlintern_jupyter.errors import UsageError

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_custom_tools(dotted: Sequence[str], workdir: Path) -> None:
    """Refuse what ``load_custom_tools`` could not load, as far as that can be seen.

    Raises:
        UsageError: a path is no ``pkg.mod:function``, its module is nowhere, or binds no such name.
    """
    for path in dotted:
        _check(path, workdir)


def _check(dotted: str, workdir: Path) -> None:
    if not _DOTTED.fullmatch(dotted):
        raise UsageError(
            f"--tool {dotted} names no function",
            do="say it as pkg.mod:function, e.g. my_tools:fetch",
        )
    module, _, name = dotted.partition(":")
    spec = _spec(module, workdir)
    if spec is None:
        raise UsageError(
            f"--tool {dotted}: there is no module {module}",
            do=f"put it beside the notebook (in {workdir}) or install it",
        )
    names = _names(spec)
    if names is not None and name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        raise UsageError(
            f"--tool {dotted}: {module} has no {name}",
            do=f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(names)[:20])}",
        )


def _spec(module: str, workdir: Path) -> ModuleSpec | None:
    """Where a module lies; ``importlib.util.find_spec`` would import the packages around it."""
    if module in sys.modules:
        return sys.modules[module].__spec__
    parts = module.split(".")
    spec = PathFinder.find_spec(parts[0], [str(workdir)]) or _installed(parts[0], None)
    for end in range(2, len(parts) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = _installed(".".join(parts[:end]), list(spec.submodule_search_locations))
    return spec


def _installed(name: str, where: list[str] | None) -> ModuleSpec | None:
    found = (finder.find_spec(name, where) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _names(spec: ModuleSpec) -> set[str] | None:
    """What the module's text binds at its top; ``None`` if that cannot be told by reading."""
    if not spec.has_location or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError, ValueError):
        # The import will say what is wrong with it.
        return None
    names = set(_bound_in(tree.body))
    return None if "*" in names or "__getattr__" in names else names


def _bound_in(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0]
        else:
            # Whatever else stands there: every name it may bind counts.
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id
                elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield inner.name
                elif isinstance(inner, ast.ImportFrom | ast.Import):
                    yield from (a.asname or a.name for a in inner.names)
