"""What a scripted server decided on each request, written down before it is answered."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.testing.dialect import Counted, Dialect, longest
from mlintern_jupyter.testing.script import Fault, Script, Turn, arguments_text
from mlintern_jupyter.testing.tokens import PromptCache, count, prompt

Key = int | str
"""A turn's number in a list; for a function the hash of the request it answers."""


class ScriptError(Exception):
    """The script has no answer to a request."""


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    number: int
    """From 1, in the order of arrival."""
    place: int
    """Number of assistant messages in it: which turn of a list it asks for."""
    body: dict[str, Any]
    served: str
    """``answer``, ``fault``, ``overflow`` or ``refused``."""
    problems: tuple[str, ...] = ()
    path: str = ""
    tokens: int = 0
    """Of the prompt, by the server's own count."""
    cached_tokens: int = 0
    key: str = ""
    """The key it came with."""
    at_s: float = 0.0
    """When, on the monotonic clock of the server's process."""


@dataclass(frozen=True)
class Decision:
    """What a request gets."""

    request: Request
    counted: Counted
    turn: Turn | None = None
    fault: Fault | None = None


@dataclass
class Served:
    """The record of one server, shared by the threads that answer."""

    script: Script
    log: Path | None
    context_tokens: int | None
    requests: list[Request] = field(default_factory=list[Request])
    stopping: threading.Event = field(default_factory=threading.Event)
    _answered: set[Key] = field(default_factory=set[Key])
    _faults_used: dict[Key, int] = field(default_factory=dict[Key, int])
    _cache: PromptCache = field(default_factory=PromptCache)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, dialect: Dialect, body: Any, headers: Mapping[str, str]) -> Decision:
        """Decide what a request gets, and write it down."""
        problems = dialect.violations(body, headers)
        known = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        with self._lock:
            if problems:
                return self._decided(dialect, known, headers, "refused", problems)
            place = dialect.place(known)
            try:
                key, turn = self._find(dialect, known, place)
            except ScriptError as error:
                return self._decided(dialect, known, headers, "refused", [str(error)])
            counted = self._count(dialect, known, turn)
            whole = counted.prompt + longest(known)
            if self.context_tokens is not None and whole > self.context_tokens:
                return self._decided(dialect, known, headers, "overflow", counted=counted)
            fault = self._next_fault(key, turn)
            if fault is None:
                self._answered.add(key)
            served = "fault" if fault else "answer"
            return self._decided(
                dialect, known, headers, served, turn=turn, fault=fault, counted=counted
            )

    def _decided(
        self,
        dialect: Dialect,
        body: dict[str, Any],
        headers: Mapping[str, str],
        served: str,
        problems: list[str] | None = None,
        *,
        turn: Turn | None = None,
        fault: Fault | None = None,
        counted: Counted | None = None,
    ) -> Decision:
        counted = counted or Counted(0, 0, 0)
        request = Request(
            len(self.requests) + 1,
            0 if problems else dialect.place(body),
            body,
            served,
            tuple(problems or ()),
            dialect.path,
            counted.prompt,
            counted.cached,
            headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer "),
            time.monotonic(),
        )
        self.requests.append(request)
        self.write(vars(request))
        return Decision(request, counted, turn, fault)

    def _find(self, dialect: Dialect, body: dict[str, Any], place: int) -> tuple[Key, Turn]:
        said: list[dict[str, Any]] = body[dialect.conversation]
        if callable(self.script):
            digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
            try:
                return digest, self.script(body)
            except Exception as error:
                # It is the test's own code; the test must see it, not a client that retries.
                raise ScriptError(f"the script failed: {type(error).__name__}: {error}") from error
        last = str(said[-1].get("content") or said[-1].get("output"))
        in_order: list[int] = []
        for index, turn in enumerate(self.script):
            if turn.on and turn.on in last:
                return index, turn
            if not turn.on:
                in_order.append(index)
        if place >= len(in_order):
            raise ScriptError(f"the script has no turn {place}")
        return in_order[place], self.script[in_order[place]]

    def _count(self, dialect: Dialect, body: dict[str, Any], turn: Turn) -> Counted:
        pieces = prompt(body)
        cached, stored = self._cache.hit(pieces, marks=dialect.marks)
        said = turn.text + turn.thinking + "".join(c.name + arguments_text(c) for c in turn.calls)
        if turn.usage is not None:
            return Counted(turn.usage[0], turn.usage[1], min(cached, turn.usage[0]))
        prompt_tokens = max(1, sum(piece.tokens for piece in pieces))
        return Counted(prompt_tokens, max(1, count(said)), cached, stored)

    def _next_fault(self, key: Key, turn: Turn) -> Fault | None:
        used = self._faults_used.get(key, 0)
        if used >= len(turn.faults):
            return None
        self._faults_used[key] = used + 1
        return turn.faults[used]

    def write(self, line: dict[str, Any]) -> None:
        """Append a line to the log, durably."""
        if self.log is None:
            return
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def leftovers(self) -> list[str]:
        """Turns and faults of a list that were not asked for yet."""
        found: list[str] = []
        for index, turn in enumerate(() if callable(self.script) else self.script):
            if index not in self._answered:
                found.append(f"turn {index} was never answered: {turn.text[:60]!r} {turn.calls!r}")
            unused = len(turn.faults) - self._faults_used.get(index, 0)
            if unused:
                found.append(f"turn {index}: {unused} faults were never met")
        return found

    def problems(self) -> list[str]:
        """Every rule that was broken."""
        return [f"request {r.number}: {problem}" for r in self.requests for problem in r.problems]
