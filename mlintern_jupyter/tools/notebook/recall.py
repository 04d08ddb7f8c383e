"""Reading back what the window no longer shows: the record keeps every step whole."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlintern_jupyter.context.compaction import numbers_of
from mlintern_jupyter.context.pinned import edits_of
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import Message, ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.record.state import CellRecord
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import read_tool

PAGE = 6_000
"""Characters of one answer."""
HITS = 8
AROUND = 110
"""Characters of a hit, before and after the word."""
READ = 20_000
"""Characters of one message that are searched at each end."""
_WORD = re.compile(r"[^\W_]+(?:\.\d+)?")
_FREQUENT, _LENGTH = 1.2, 0.75
PHRASE = 1_000


@dataclass(frozen=True)
class _Entry:
    """One thing that can be found."""

    title: str
    text: str
    call: str = ""


class RecallTools:
    """The tool ``recall``.

    Args:
        conversation: of the agent that has the tool.
        cells: of the session, for what the person changed.
        sources_of: where untrusted text in the answer of a call came from, by the call's id.
        whole_of: the answer of a call that was cut for the model; empty where it was not.
    """

    def __init__(
        self,
        conversation: Callable[[], Conversation],
        cells: Callable[[], Mapping[str, CellRecord]],
        sources_of: Callable[[str], tuple[str, ...]],
        whole_of: Callable[[str], str],
    ) -> None:
        self._conversation = conversation
        self._cells = cells
        self._sources_of = sources_of
        self._whole_of = whole_of

    async def recall(
        self, ctx: ToolContext, step: int = 0, call: str = "", query: str = "", first: int = 0
    ) -> ToolResult:
        """Read back what your window shows shortened or not at all: one of step, call or query.

        A step or a call comes back whole, with arguments, results and what was said after it. A
        query lists the steps, words of the person and edits of theirs that fit it best.

        Args:
            step: number of the reply
            call: id as shown
            query: words to find
            first: character to go on from
        """
        del ctx
        if sum((step != 0, bool(call), bool(query))) != 1 or first < 0:
            raise ToolError("recall needs one of step, call or query, and first from 0 on")
        if query:
            entries = _found(self._entries(), query)
            if not entries:
                return ToolResult(f"nothing fits {query[:80]!r}")
            lines = [f"{e.title}: {_around(e.text, query)}" for e in entries]
            return self._page("\n".join(lines), first, [e.call for e in entries])
        entry = self._call(call) if call else self._step(step)
        calls = [call] if call else entry.call.split()
        return self._page(f"{entry.title}\n{entry.text}", first, calls)

    def _page(self, text: str, first: int, calls: Sequence[str]) -> ToolResult:
        if first and first >= len(text):
            raise ToolError(f"there are {len(text):,} characters, from 0 on")
        shown = text[first : first + PAGE]
        end = first + len(shown)
        if end < len(text):
            shown += f"\n[{end:,} of {len(text):,} characters; go on with first={end}]"
        sources = dict.fromkeys(source for call in calls for source in self._sources_of(call))
        return ToolResult(shown, sources=tuple(sources))

    def _step(self, step: int) -> _Entry:
        talk = self._conversation()
        start = talk.step_at.get(step)
        if start is None:
            known = sorted(talk.step_at)
            there = f"steps {known[0]} to {known[-1]}" if known else "no step yet"
            raise ToolError(f"there is no step {step}", do=f"there are {there}")
        later = [at for number, at in talk.step_at.items() if number > step]
        messages = talk.messages[start : min(later, default=len(talk.messages))]
        calls = " ".join(c.id for m in messages for c in m.calls)
        return _Entry(f"step {step}", _whole(messages), calls)

    def _call(self, call: str) -> _Entry:
        talk = self._conversation()
        # The newest, should a server have used an id twice.
        for at in range(len(talk.messages) - 1, -1, -1):
            made = next((c for c in talk.messages[at].calls if c.id == call), None)
            if made is None:
                continue
            answer = next((m for m in talk.messages[at:] if m.call_id == call), None)
            text = answer.text if answer else "(not answered yet)"
            text = self._whole_of(call) or text
            title = f"step {numbers_of(talk.messages, talk.step_at)[at]}, call {call}"
            return _Entry(title, f"{made.name} {made.arguments}\n{text}", call)
        raise ToolError(f"there is no call {call[:80]!r}", do="find it with query, or give a step")

    def _entries(self) -> list[_Entry]:
        talk = self._conversation()
        answers = {m.call_id: m.text for m in talk.messages if m.role == "tool"}
        found: list[_Entry] = []
        numbers = numbers_of(talk.messages, talk.step_at)
        for message, step in zip(talk.messages, numbers, strict=True):
            if message.role == "user":
                found.append(_Entry(f"said after step {step}", message.text))
            if message.role == "assistant" and message.text:
                found.append(_Entry(f"step {step}", message.text))
            for call in message.calls:
                if call.name == "recall":
                    continue  # it would find its own earlier questions before their answers
                text = f"{call.name} {call.arguments}\n{_ends(answers.get(call.id, ''))}"
                found.append(_Entry(f"step {step}, call {call.id}", text, call.id))
        for edit in edits_of(self._cells().values()):
            title = f"edit of the person, cell {edit.cell_id}"
            found.append(_Entry(title, f"the person changed {edit.as_line()}\n{edit.as_diff()}"))
        return found


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""

    def sources_of(call: str) -> tuple[str, ...]:
        return deps.conversation().sources_by_call.get(call, ())

    tools = RecallTools(deps.conversation, deps.cells, sources_of, deps.full_result)
    return [read_tool(tools.recall)]


def _whole(messages: Sequence[Message]) -> str:
    parts: list[str] = []
    for message in messages:
        parts += [message.text] if message.text else []
        parts += [f"call {c.id}: {c.name} {c.arguments}" for c in message.calls]
    return "\n".join(parts)


def _ends(text: str) -> str:
    return text if len(text) <= 2 * READ else f"{text[:READ]}\n{text[-READ:]}"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _found(entries: Sequence[_Entry], query: str) -> list[_Entry]:
    """The entries that fit best, by the weights of BM25; the newer one where two are equal.

    One that has the query word for word comes before all that have its words only.
    """
    wanted = set(_words(query))
    counts = [Counter(w for w in _words(e.text) if w in wanted) for e in entries]
    among = Counter(word for count in counts for word in count)
    sizes = [len(e.text) + 1 for e in entries]
    usual = sum(sizes) / max(1, len(sizes))
    scores: list[tuple[float, int]] = []
    phrase = _phrase(query)
    for at, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        long = _FREQUENT * (1 - _LENGTH + _LENGTH * size / usual)
        score = sum(
            math.log(1 + len(entries) / among[word]) * n * (_FREQUENT + 1) / (n + long)
            for word, n in count.items()
        )
        if score > 0:
            scores.append((score + PHRASE * bool(phrase.search(entries[at].text)), at))
    return [entries[at] for _, at in sorted(scores, reverse=True)[:HITS]]


def _phrase(query: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(query.strip())}(?!\w)", re.IGNORECASE)


def _around(text: str, query: str) -> str:
    """The place of the text where the query, or most of its words, stands."""
    lower = text.lower()
    whole = _phrase(query).search(text)
    places = [at for word in set(_words(query)) if (at := lower.find(word)) >= 0]
    best = max(places, key=lambda at: sum(abs(at - other) < AROUND for other in places), default=0)
    best = whole.start() if whole else best
    start, end = max(0, best - AROUND), best + AROUND
    shown = " ".join(text[start:end].split())
    return f"{'...' if start else ''}{shown}{'...' if end < len(text) else ''}"
