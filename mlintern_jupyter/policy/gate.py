"""The one gate every tool call passes before its effect: rules are data, unknown means ask."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from importlib.resources import files
from typing import cast

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.policy.autorun import may_run_alone
from mlintern_jupyter.protocols import Verdict

_ORDER: dict[Verdict, int] = {"allow": 0, "ask": 1, "deny": 2}


def load_rules() -> dict[str, Verdict]:
    """The shipped rules: effect to verdict."""
    text = files("mlintern_jupyter.policy").joinpath("gate.toml").read_text(encoding="utf-8")
    return cast("dict[str, Verdict]", tomllib.loads(text)["effects"])


def review(effects: Iterable[str], mode: Mode, rules: dict[str, Verdict]) -> tuple[Verdict, str]:
    """The strictest verdict over a tool's effects, with its reason.

    No tool of this version asks a person by itself (cells do), so ``ask`` tells the model to
    propose a cell instead.
    """
    verdict: Verdict = "allow"
    reason = ""
    for effect in effects:
        ruling = rules.get(effect, "ask")
        if ruling == "ask" and mode == "unattended":
            ruling = "deny"
        if _ORDER[ruling] > _ORDER[verdict]:
            verdict = ruling
            reason = f"its effect {effect!r} is ruled {ruling!r}; propose it as a cell instead"
    return verdict, reason


def runs_alone(mode: Mode, allowed_kinds: Collection[str], kind: str, source: str) -> bool:
    """Whether a code cell runs without waiting for a person.

    Args:
        mode: as it stands now; ``unattended`` waits for nobody.
        allowed_kinds: kinds the person said yes to for this turn.
        kind: what the cell is.
        source: its text, which the static guard must pass in every other mode.
    """
    if mode == "unattended":
        return True
    if mode == "review" and kind not in allowed_kinds:
        return False
    return not may_run_alone(source)
