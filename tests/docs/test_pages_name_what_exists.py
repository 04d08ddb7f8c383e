"""What CONTRIBUTING.md and ``docs/extend`` name exists: a page cannot go on about what is gone."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
from pathlib import Path

import pytest
from pages import EXTEND, FENCED, ROOT

PACKAGE = ROOT / "mlintern_jupyter"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(EXTEND.rglob("*.md"))]
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)\)")
_FILE = re.compile(r"[\w./-]*(/|\.(py|md|toml|ts|tsx|json|jsonl))")
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)+|[A-Z]\w+|_?[A-Z][A-Z_]+|test_\w+")

OF_THE_EXAMPLES = {
    "mlintern_jupyter/tools/research/count_cells.py", "reply-lengths.md", "example_plugin.py",
    # Written by a training, beside the notebook, or by the person.
    "metrics.jsonl", "result.json", "rules.toml",
}  # fmt: skip
VARIABLES = re.compile(r"[A-Z][A-Z0-9_]*_(KEY|TOKEN|DIR|BASE)")


def said(page: Path) -> list[str]:
    """What stands between backticks outside of blocks."""
    return _CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8")))


def files(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    paths = [code for code in said(page) if _FILE.fullmatch(code) and "<" not in code]
    return [*paths, *(link for link in _LINK.findall(text) if "://" not in link)]


def is_there(page: Path, name: str) -> bool:
    """In the checkout, in the package, in one of its tool or session packages, or by the page."""
    roots = [ROOT, PACKAGE, page.parent, PACKAGE / "tools", PACKAGE / "session", PACKAGE / "models"]
    roots += [PACKAGE / "compute", PACKAGE / "models" / "litellm"]
    return name in OF_THE_EXAMPLES or any((root / name).exists() for root in roots)


@cache
def names() -> set[str]:
    """Every name that is defined in the sources, the magics or the tests; dotted ones by module."""
    found = set(dir(builtins))
    places = (PACKAGE, ROOT / "magics", ROOT / "tests", EXTEND)
    for path in (path for place in places for path in place.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "name", None) or getattr(node, "id", None)
            if isinstance(name, str):
                found |= {name, f"{path.stem}.{name}"}
            elif isinstance(node, ast.Attribute):
                found |= {node.attr, f"{ast.unparse(node.value)}.{node.attr}"}
    return found | {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in _modules()}


def _modules() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *(path for path in PACKAGE.rglob("*") if path.is_dir())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path):
    assert [name for name in files(page) if not is_there(page, name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_name_that_a_page_speaks_of_is_defined(page: Path):
    known = names() | {"mlintern_jupyter.tools", "mlintern_jupyter.backends"}
    spoken = {code.rstrip("()") for code in said(page) if _NAME.fullmatch(code.rstrip("()"))}
    words = {name for name in spoken if not VARIABLES.fullmatch(name) and not _FILE.fullmatch(name)}
    assert sorted(words - known - {"eval.accuracy", "global_step"}) == []


def test_every_page_is_linked_from_where_a_stranger_begins():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in EXTEND.glob("*.md")}
    assert {name for name in pages if f"docs/extend/{name}" not in readme} == set()
