"""When a page applies: small conditions on the facts of a session, kept as text in the page.

``present``, ``absent``, ``==x``, ``!=x``, ``<n``, ``<=n``, ``>n``, ``>=n``. There is no *and* or
*or* beyond "all of them": a page that needs more is two pages.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(r"(<=|>=|<|>|==|!=)\s*(.+)", re.DOTALL)
_MISSING = object()


@dataclass(frozen=True)
class Condition:
    """One test of one fact."""

    path: str
    """Dotted way into the nested facts: ``eval.rates.no_stop``."""
    sign: str
    value: Any = None

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether the facts fit. A missing fact fits only ``absent``."""
        found = _value_at(facts, self.path)
        if self.sign == "absent":
            return found is _MISSING
        if found is _MISSING:
            return False
        if self.sign == "present":
            return True
        if self.sign in {"==", "!="}:
            return _same(found, self.value) == (self.sign == "==")
        return _is_number(found) and _COMPARE[self.sign](found, self.value)


def parse_condition(path: str, text: str) -> Condition:
    """Read a condition as a page states it.

    Raises:
        ValueError: the text has none of the known forms, or ``<`` is not followed by a number.
    """
    text = text.strip()
    if text in {"present", "absent"}:
        return Condition(path, text)
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(
            f"{path}: {text!r} is no condition; use present, absent, ==x, !=x, <n, <=n, >n or >=n"
        )
    sign, said = form[1], form[2].strip()
    try:
        value = json.loads(said)
    except ValueError:
        value = said
    if sign in _COMPARE and not _is_number(value):
        raise ValueError(f"{path}: {sign} needs a number, not {said!r}")
    return Condition(path, sign, value)


def _value_at(facts: Mapping[str, Any], path: str) -> Any:
    found: Any = facts
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return _MISSING
        found = cast("Mapping[str, Any]", found)[key]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _same(found: Any, value: Any) -> bool:
    # True == 1 in Python, but not to a person who wrote "==1".
    return isinstance(found, bool) == isinstance(value, bool) and found == value
