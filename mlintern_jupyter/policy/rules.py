"""Rules are data: which effect of which tool is allowed, asks or is denied.

::

    rules.toml beside config.toml ─┐ one file:
    gate.toml, shipped ────────────┴ first match, else ask  ─┐
    mlintern-rules.toml beside the notebook: first match ────┴ the strictest holds

The folder of a notebook may be anybody's, so its file can only narrow. A file that cannot be used
does not widen anything either: whatever it may have denied asks.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any, cast, get_args

from mlintern_jupyter.config import config_path
from mlintern_jupyter.protocols import Effect, Verdict

PERSON_FILE = "rules.toml"
WORKSPACE_FILE = "mlintern-rules.toml"
UNDECLARED = "undeclared"
"""Stands in rules for the effect of a tool that declares none."""

_STRICTNESS: tuple[Verdict, ...] = get_args(Verdict)
_EFFECTS = (*get_args(Effect), UNDECLARED)
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Rule:
    """A verdict on some effects of some tools; both are globs."""

    verdict: Verdict
    tool: str = "*"
    effect: str = "*"
    origin: str = ""
    """The file it stands in, for people."""

    def matches(self, tool: str, effect: str) -> bool:
        """Whether it speaks of this effect of this tool."""
        return fnmatchcase(tool, self.tool) and fnmatchcase(effect, self.effect)


@dataclass(frozen=True)
class Rules:
    """Every rule that holds, and which files could not be used."""

    main: tuple[Rule, ...] = ()
    """The person's own before the shipped ones."""
    narrowing: tuple[tuple[Rule, ...], ...] = ()
    """Further files; what none of their rules matches is left to ``main``."""
    problem: str = ""

    def verdict(self, tool: str, effect: str) -> tuple[Verdict, str]:
        """The strictest verdict over the files, and which rule says so."""
        first = _first(self.main, tool, effect)
        verdict, why = ("ask", f"no rule names {effect}") if first is None else _said(first, effect)
        for rules in self.narrowing:
            narrower = _first(rules, tool, effect)
            if narrower is not None and stricter(narrower.verdict, verdict):
                verdict, why = _said(narrower, effect)
        return verdict, why


def stricter(one: Verdict, other: Verdict) -> bool:
    """Whether the first verdict leaves less free than the second."""
    return _STRICTNESS.index(one) > _STRICTNESS.index(other)


def load_rules(workspace: Path) -> Rules:
    """The rules that hold in a notebook's folder. Never raises: see ``Rules.problem``."""
    shipped = files("mlintern_jupyter.policy").joinpath("gate.toml").read_text(encoding="utf-8")
    main = parse_rules(shipped, "the shipped rules")
    person, problem = _read(config_path().with_name(PERSON_FILE))
    narrower, other_problem = _read(workspace / WORKSPACE_FILE)
    narrowing = [narrower] if narrower else []
    problems = [found for found in (problem, other_problem) if found]
    if problems:
        narrowing.append(_CAREFUL)
    return Rules((*person, *main), tuple(narrowing), "\n".join(problems))


_CAREFUL = (
    Rule("allow", effect="read"),
    Rule("allow", effect="notebook"),
    Rule("ask", origin="a file of rules that cannot be used"),
)
"""What holds besides where nobody knows what a file may have denied."""


def parse_rules(text: str, origin: str) -> tuple[Rule, ...]:
    """The rules of a TOML text.

    Raises:
        ValueError: it is not TOML, or holds anything that is not a rule.
    """
    data = tomllib.loads(text)
    listed: Any = data.pop("rule", [])
    if data:
        raise ValueError(f"unknown key {sorted(data)[0]!r}; there is only [[rule]]")
    if not isinstance(listed, list):
        raise ValueError("rules are written as [[rule]], each with a verdict")
    return tuple(_rule(entry, origin) for entry in cast("list[Any]", listed))


def _rule(entry: Any, origin: str) -> Rule:
    if not isinstance(entry, dict):
        raise ValueError("rules are written as [[rule]], each with a verdict")
    said = cast("dict[str, Any]", entry)
    if unknown := set(said) - {"tool", "effect", "verdict"}:
        raise ValueError(f"a rule has no {sorted(unknown)[0]!r}; it has tool, effect, verdict")
    if said.get("verdict") not in _STRICTNESS:
        raise ValueError(f"verdict must be one of {', '.join(_STRICTNESS)}")
    tool, effect = said.get("tool", "*"), said.get("effect", "*")
    if not isinstance(tool, str) or not isinstance(effect, str):
        raise ValueError("tool and effect of a rule are text")
    # A misspelt effect would deny nothing and look as if it did.
    if not any(fnmatchcase(known, effect) for known in _EFFECTS):
        raise ValueError(f"no effect is called {effect!r}; there are {', '.join(_EFFECTS)}")
    return Rule(said["verdict"], tool, effect, origin)


def _read(path: Path) -> tuple[tuple[Rule, ...], str]:
    """The rules of a file, none where there is no file; and why it cannot be used."""
    try:
        if not path.exists() and not path.is_symlink():
            return (), ""
        # Anybody may have put it there: a pipe would never end.
        if not path.is_file():
            raise ValueError("it is not a file")
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST:,} bytes")
        return parse_rules(path.read_text(encoding="utf-8"), str(path)), ""
    except (OSError, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        return (), (
            f"{path} was not used: {why}. Until it is mended everything but reading and writing"
            " into the notebook asks."
        )


def _first(rules: tuple[Rule, ...], tool: str, effect: str) -> Rule | None:
    return next((rule for rule in rules if rule.matches(tool, effect)), None)


def _said(rule: Rule, effect: str) -> tuple[Verdict, str]:
    says = {"allow": "is allowed", "ask": "asks", "deny": "is denied"}[rule.verdict]
    what = "a tool that does not declare what it does" if effect == UNDECLARED else effect
    of = "" if rule.tool == "*" else f" of {rule.tool}"
    return rule.verdict, f"{what}{of} {says} by {rule.origin}"
