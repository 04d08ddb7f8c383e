"""The recipe book: pages of know-how, each with one block of code that can be filled in.

A page is a Markdown file with YAML front matter (the keys are the fields of ``Recipe``) and one
fenced block, ```` ```python ```` or ```` ```markdown ````, that holds ``{{name}}`` placeholders.
A page that breaks a rule is left out and listed in ``Book.problems``: one bad page must not take
the others away.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from mlintern_jupyter.cells import CellKind
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.reading import ReadingError, read
from mlintern_jupyter.recipes.conditions import Condition, parse_condition
from mlintern_jupyter.recipes.rendering import PLACEHOLDER, literal, render_markdown, render_python

PAGES = Path(__file__).parent
STAGES = ("setup", "audit", "fix", "clean", "train", "tune", "plot", "report", "literature")
MARKDOWN_KINDS = frozenset({"plan", "literature", "note", "report"})
CODE_LIMIT = 12_000
"""Characters of rendered code; more does not fit into the facts line of a tool result."""

_FRONT = re.compile(r"---\n(.*?)^---[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^(`{3,4})(\w*)[ \t]*\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_REQUIRED: Any = object()
"""Default of a value that has none."""


@dataclass(frozen=True)
class Value:
    """A placeholder of a page."""

    help: str
    required: bool
    default: Any = None
    """Its type is the type every other value must have."""

    def problem_with(self, value: Any) -> str:
        """Why a value does not fit, or nothing."""
        if self.required or self.default is None:
            return ""
        wanted = cast("type[Any]", type(self.default))
        given = cast("type[Any]", type(value))
        if given is wanted or (wanted is float and given is int):
            return ""
        return f"must be {wanted.__name__} like {self.default!r}, not {given.__name__}"


@dataclass(frozen=True)
class _ValueSaid:
    """A placeholder in the front matter."""

    help: str
    default: Any = _REQUIRED


@dataclass(frozen=True)
class _Front:
    """The front matter of a page, as YAML gives it."""

    name: str
    title: str
    stage: str
    kind: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    values: Mapping[str, _ValueSaid] = field(default_factory=dict[str, _ValueSaid])
    sources: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    setup: bool = False


@dataclass(frozen=True)
class Recipe:
    """One page."""

    name: str
    title: str
    stage: str
    kind: str
    """Kind of the cell its code becomes; empty for a page that only advises."""
    line: str
    """First line of the prose, for the list."""
    prose: str
    template: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    conditions: tuple[Condition, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    sources: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    setup: bool = False

    def fits(self, facts: Mapping[str, Any]) -> bool:
        """Whether every condition of the page holds."""
        return all(condition.holds(facts) for condition in self.conditions)

    def fill(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Given values completed by the defaults.

        Raises:
            ToolError: a value is missing, unknown or of the wrong type; names them all.
        """
        unknown = sorted(set(given) - set(self.values))
        missing = [n for n, v in self.values.items() if v.required and n not in given]
        wrong = [
            f"{n} {problem}"
            for n, value in given.items()
            if n in self.values and (problem := self.values[n].problem_with(value))
        ]
        if unknown or missing or wrong:
            said = [f"unknown: {', '.join(unknown)}"] if unknown else []
            said += [f"missing: {', '.join(missing)}"] if missing else []
            raise ToolError(
                f"recipe {self.name}: values do not fit ({'; '.join([*said, *wrong])})",
                do=f"values are {self.values_as_text() or 'none'}",
            )
        return {n: given.get(n, v.default) for n, v in self.values.items()}

    def render(self, values: Mapping[str, Any]) -> str:
        """The code with every placeholder filled in.

        Raises:
            ToolError: a value cannot stand where its placeholder stands.
        """
        show = render_markdown if self.kind in MARKDOWN_KINDS else render_python
        try:
            code = show(self.template, values)
        except ValueError as error:
            raise ToolError(f"recipe {self.name}: {error}") from None
        if len(code) > CODE_LIMIT:
            raise ToolError(f"recipe {self.name}: values make the code too long")
        return code

    def values_as_text(self) -> str:
        """One line that names every value, its default and what it means."""
        return "; ".join(
            f"{name} ({value.help}{'' if value.required else f'; default {value.default!r}'})"
            for name, value in self.values.items()
        )


@dataclass(frozen=True)
class Book:
    """Every page that could be read, by name, and what is wrong with the others."""

    pages: Mapping[str, Recipe]
    problems: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path = PAGES) -> Book:
        """Read every ``*.md`` of a folder."""
        pages: dict[str, Recipe] = {}
        problems: list[str] = []
        for path in sorted(folder.glob("*.md")):
            try:
                page = read_page(path.read_text(encoding="utf-8"))
                if page.name != path.stem:
                    raise ValueError(f"its name is {page.name!r}")
                pages[page.name] = page
            except (OSError, ValueError, yaml.YAMLError) as error:
                problems.append(f"{path.name}: {error}")
        return cls(pages, tuple(problems))

    def find(self, name: str) -> Recipe:
        """The page of that name. Raises ToolError that names the nearest pages."""
        page = self.pages.get(name)
        if page is None:
            near = difflib.get_close_matches(name, self.pages, n=3, cutoff=0.4)
            hint = f"nearest: {', '.join(near)}. " if near else ""
            raise ToolError(
                f"there is no recipe {name!r}",
                do=f"{hint}recipes: {', '.join(self.pages) or 'none'}",
            )
        return page


@lru_cache(maxsize=64)
def read_page(text: str) -> Recipe:
    """One page from its text; remembered, since each turn opens the book.

    Raises:
        ValueError: it breaks a rule of the format; says which.
        yaml.YAMLError: the front matter is not YAML.
    """
    parts = _FRONT.fullmatch(text.replace("\r\n", "\n"))
    if parts is None:
        raise ValueError("does not begin with front matter between two lines of ---")
    front = _front(yaml.safe_load(parts[1]))
    if front.kind and front.kind not in get_args(CellKind):
        raise ValueError(f"kind {front.kind!r} is not one of {', '.join(get_args(CellKind))}")
    template, prose = _block(parts[2], front.kind)
    conditions = (parse_condition(p, said) for p, all_of in front.when.items() for said in all_of)
    page = Recipe(
        name=front.name,
        title=front.title,
        stage=front.stage,
        kind=front.kind,
        line=prose.partition("\n")[0],
        prose=prose,
        template=template,
        when=front.when,
        conditions=tuple(conditions),
        values={name: _value(said) for name, said in front.values.items()},
        sources=front.sources,
        after=front.after,
        provides=front.provides,
        setup=front.setup,
    )
    _check(page)
    return page


def _check(page: Recipe) -> None:
    if not _NAME.fullmatch(page.name):
        raise ValueError(f"name {page.name!r} is not made of a-z, 0-9 and -")
    if page.stage not in STAGES:
        raise ValueError(f"stage {page.stage!r} is not one of {', '.join(STAGES)}")
    used = set(PLACEHOLDER.findall(page.template))
    if used != set(page.values):
        differ = ", ".join(sorted(used ^ set(page.values)))
        raise ValueError(f"placeholders and values differ in: {differ}")
    if len(page.template) > CODE_LIMIT:
        raise ValueError(f"its code has {len(page.template)} characters, {CODE_LIMIT} are allowed")


def _block(body: str, kind: str) -> tuple[str, str]:
    blocks = list(_BLOCK.finditer(body))
    if not kind:
        if blocks:
            raise ValueError("has a fenced block but no kind")
        return "", body.strip()
    wanted = "markdown" if kind in MARKDOWN_KINDS else "python"
    if len(blocks) != 1 or blocks[0][2] != wanted:
        raise ValueError(f"a page of kind {kind} has exactly one fenced block, ```{wanted}")
    block = blocks[0]
    prose = f"{body[: block.start()].rstrip()}\n{body[block.end() :].rstrip()}"
    return block[3].rstrip("\n"), prose.strip()


def _front(given: Any) -> _Front:
    """The front matter; one text stands for a list of one, and nothing for no entry."""
    if not isinstance(given, dict):
        raise ReadingError("the front matter must be a mapping")
    said = {k: v for k, v in cast("dict[str, Any]", given).items() if v is not None}
    for key in ("sources", "after", "provides"):
        if isinstance(said.get(key), str):
            said[key] = [said[key]]
    if isinstance(said.get("when"), dict):
        when = cast("dict[str, Any]", said["when"]).items()
        said["when"] = {path: [text] if isinstance(text, str) else text for path, text in when}
    front = read(_Front, said)
    if empty := [key for key in ("name", "title", "stage") if not getattr(front, key)]:
        raise ReadingError("is empty", empty[0])
    return front


def _value(said: _ValueSaid) -> Value:
    if said.default is _REQUIRED:
        return Value(said.help, required=True)
    literal(said.default)
    return Value(said.help, required=False, default=said.default)
