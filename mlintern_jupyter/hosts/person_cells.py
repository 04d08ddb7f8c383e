"""Cells of the person's own: what one begins with, what it bound, and whether it stood in line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_MOST_NAMES = 20
_LINE_LIMIT = 120
_TO_THE_INTERN = re.compile(r"%%?intern(\s|$)|%(re|un)?load_ext\s+mlintern")
_BEGINS_A_TURN = re.compile(r"^(%%intern(\s|$)|%intern\s+resume(\s|$))", re.MULTILINE)
_NEW_SCOPE = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def first_line(source: str) -> str:
    """The first line that says something, comments left out where there is code."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")]
    return (code or lines or [""])[0][:_LINE_LIMIT]


def addresses_the_intern(source: str) -> bool:
    """Whether a cell is a ``%%intern`` or ``%intern`` line, which is no work of the person."""
    return _TO_THE_INTERN.match(first_line(source)) is not None


def begins_a_turn(source: str) -> bool:
    """Whether a cell sets the intern to work."""
    return _BEGINS_A_TURN.search(source) is not None


def names_bound(code: str) -> tuple[str, ...]:
    """Names a cell binds at its top level, in order; empty where the code cannot be parsed."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    names = dict.fromkeys(_bound(tree))
    return tuple(names)[:_MOST_NAMES]


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, _NEW_SCOPE):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0]
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


class ExecutionQueue:
    """Which cells stood in line when the intern was started: a Run All sends them all at once.

    A cell's request says when it was sent, by the clock of its client. That clock is read against
    ours by every request of the client: the one that took the least time to arrive tells most.
    All times are seconds since the epoch. Called from the main and the control thread.
    """

    def __init__(self) -> None:
        self._behind: dict[str, float] = {}
        """Seconds to be added to a client's time to have ours."""
        self._begun: float | None = None

    def heard(self, client: str, sent: float | None, now: float) -> None:
        """A request of a client was read."""
        if sent is not None:
            self._behind[client] = min(now - sent, self._behind.get(client, now - sent))

    def intern_began(self, now: float) -> None:
        """A cell that sets the intern to work has ended."""
        self._begun = now

    def stood(self, client: str, sent: float | None) -> bool:
        """Whether a cell was sent before the intern was started, and only ran after it."""
        return self.sent_before(client, sent, self._begun)

    def sent_before(self, client: str, sent: float | None, moment: float | None) -> bool:
        """Whether a request was on its way at a moment of our clock; not, if that is unknown."""
        if moment is None or sent is None:
            return False
        return sent + self._behind.get(client, 0.0) < moment
