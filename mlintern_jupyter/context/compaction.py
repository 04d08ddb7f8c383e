"""Making room in a full window: older parts of a conversation are shown shorter from here on.

Three tiers: the newest messages whole, older ones as call and reference, the oldest as notes of a
fixed size. Boundaries stand between steps, so a call and its result are always on the same side,
and they only ever move forward. The ledger keeps everything.

The view that comes out is at most ``AIM`` of the window. One exception: what the model has not read
yet is kept whole up to ``UNREAD``, else it would have to ask for it again at once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlintern_jupyter.context.digest import material_of, without_model
from mlintern_jupyter.context.meter import BYTES_PER_TOKEN, message_bytes
from mlintern_jupyter.context.reference import referenced
from mlintern_jupyter.context.window import FULL, Window
from mlintern_jupyter.errors import LimitReached, ModelFailed, Paused, ToolError
from mlintern_jupyter.events import Compacted
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Message, ToolSpec

AIM = 0.4
UNREAD = 0.6
WHOLE = 0.6
"""Of what is left beside instructions, tools, pinned and notes: for whole messages."""
LEAST = 0.05
"""Of the window: for the conversation, even if that is above ``AIM``."""
DIGEST_TOKENS = 1_500
DIGEST = 0.08
"""Of the window: the most that notes take."""
MATERIAL_TOKENS = 24_000
MATERIAL = 0.5
"""Of the window of the model that makes the notes."""

DigestOf = Callable[[str, int], Awaitable[str]]


async def compacted(
    window: Window,
    messages: Sequence[Message],
    tools: tuple[ToolSpec, ...],
    layout: Compacted | None,
    pinned: str,
    digest_of: DigestOf | None,
    *,
    step: int,
    why: str,
    agent: str = "",
    step_at: Mapping[int, int] | None = None,
    reader_tokens: int | None = None,
) -> Compacted:
    """The next layout of a conversation.

    Args:
        window: of the agent the conversation is of.
        messages: the whole conversation, every call answered.
        tools: of the view.
        layout: the last compaction of this conversation.
        pinned: see ``pinned.pinned_text``.
        digest_of: makes notes of at most so many characters from material (``digest.request``);
            None, or one that fails or says nothing: notes are made without a model.
        step: number of the last reply.
        why: ``full``, ``refused`` by the provider, or ``asked`` by the person. Where the provider
            refused, its count beats ours: the size of the refused view is the window.
        agent: of the fact.
        step_at: where in ``messages`` the reply of each step stands; None: replies are counted.
        reader_tokens: window of the model that ``digest_of`` asks; None: not known.

    Raises:
        Paused: it cannot be made small enough, or, when asked for, not smaller at all.
    """
    job = _CompactionPlan.of(window, messages, tools, layout, pinned, why)
    if job.fixed > job.ceiling:
        raise job.cannot(math.ceil(job.fixed))
    digested, shown = job.boundaries()
    leaving = messages[job.digested_before : digested]
    numbers = numbers_of(messages, step_at)[job.digested_before : digested]
    digest = layout.digest if layout else ""
    if leaving:
        most = reader_tokens or window.context_tokens or 2 * MATERIAL_TOKENS
        room = job.bytes_of(min(MATERIAL_TOKENS, MATERIAL * most))
        material = material_of(digest, leaving, numbers, room)
        said = await _said(digest_of, material, job.digest_bytes)
        digest = said or without_model(digest, leaving, numbers, job.digest_bytes)
    fact = Compacted(
        step, why, digested, shown, pinned, _cut(digest, job.digest_bytes), job.before, 0, agent
    )
    after = window.tokens(window.view(messages, tools, fact))
    if after >= job.before or after > job.ceiling:
        raise job.cannot(after)
    return replace(fact, tokens_after=after)


def numbers_of(messages: Sequence[Message], step_at: Mapping[int, int] | None) -> list[int]:
    """For each message the step it belongs to; 0 before the first reply."""
    starts = {at: step for step, at in (step_at or {}).items()}
    found: list[int] = []
    step = 0
    for at, message in enumerate(messages):
        counted = step + (message.role == "assistant")
        step = starts.get(at, step) if step_at else counted
        found.append(step)
    return found


def steps_of(messages: Sequence[Message]) -> list[tuple[int, int]]:
    """Where the conversation can be parted: each reply with its answers, each other message."""
    found: list[tuple[int, int]] = []
    for at, message in enumerate(messages):
        if message.role == "tool" and found:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


@dataclass(frozen=True)
class _CompactionPlan:
    """One compaction; sizes in tokens as the window counts them."""

    window: Window
    messages: Sequence[Message]
    layout: Compacted | None
    before: int
    base: float
    """The window, or what stands for it."""
    ceiling: float
    fixed: float
    """Instructions, tools, pinned and the largest notes."""
    digest_bytes: int
    why: str

    @classmethod
    def of(
        cls,
        window: Window,
        messages: Sequence[Message],
        tools: tuple[ToolSpec, ...],
        layout: Compacted | None,
        pinned: str,
        why: str,
    ) -> _CompactionPlan:
        before = window.tokens(window.view(messages, tools, layout))
        whole = window.context_tokens
        base = before if whole is None else whole if why == "full" else min(before, whole)
        ratio = window.meter.ratio(window.model)
        notes = int(min(DIGEST_TOKENS, DIGEST * base) * BYTES_PER_TOKEN / ratio)
        empty = Compacted(0, why, 0, 0, pinned, "x" * notes, 0, 0)
        fixed = window.tokens(window.view((), tools, empty))
        ceiling = before - 1 if why == "asked" else FULL * base
        return cls(window, messages, layout, before, base, ceiling, fixed, notes, why)

    @property
    def digested_before(self) -> int:
        return self.layout.digested if self.layout else 0

    @property
    def shown_before(self) -> int:
        return self.layout.referenced if self.layout else 0

    def bytes_of(self, tokens: float) -> int:
        return int(tokens * BYTES_PER_TOKEN / self.window.meter.ratio(self.window.model))

    def boundaries(self) -> tuple[int, int]:
        """Where notes end and where whole messages begin."""
        steps = [s for s in steps_of(self.messages) if s[0] >= self.digested_before]
        room = max(AIM * self.base - self.fixed, min(LEAST * self.base, self.ceiling - self.fixed))
        shown, left = self._whole(steps, room)
        unread = self._unread(steps)
        if shown > unread >= self.shown_before:
            size = self._size(unread, len(self.messages))
            if size <= UNREAD * self.base - self.fixed:
                shown, left = unread, room - size
        digested = shown
        for start, end in reversed([s for s in steps if s[1] <= shown]):
            left -= self._size(start, end, short=True)
            if left < 0:
                break
            digested = start
        return digested, shown

    def _whole(self, steps: Sequence[tuple[int, int]], room: float) -> tuple[int, float]:
        """Start of the longest end of the conversation that fits whole, and the room after it."""
        shown, taken = len(self.messages), 0.0
        for start, end in reversed(steps):
            size = self._size(start, end)
            if taken + size > WHOLE * room or start < self.shown_before:
                break
            shown, taken = start, taken + size
        return shown, room - taken

    def _unread(self, steps: Sequence[tuple[int, int]]) -> int:
        """Start of the last reply, whose answers no model has read."""
        starts = [start for start, _ in steps if self.messages[start].role == "assistant"]
        return starts[-1] if starts else len(self.messages)

    def _size(self, start: int, end: int, *, short: bool = False) -> float:
        size = 0.0
        for message in self.messages[start:end]:
            shown = referenced(message) if short else message
            size += message_bytes(shown) / BYTES_PER_TOKEN
            size += len(shown.images) * TOKENS_PER_PICTURE
        return size * self.window.meter.ratio(self.window.model) + 1

    def cannot(self, after: int) -> Paused:
        fixed = math.ceil(self.fixed)
        if self.why == "asked":
            return Paused(
                f"the conversation cannot be made shorter: {self.before:,} tokens",
                why=f"instructions, tools and what is pinned take {fixed:,} of them",
                do="go on as it is; nothing was changed",
            )
        whole = self.window.context_tokens
        refused = self.why == "refused" or whole is None
        where = "what its server takes" if refused else f"its window of {whole:,} tokens"
        return Paused(
            f"the conversation does not fit the model ({where}), not even shortened to {after:,}",
            why=f"instructions, tools and what is pinned take {fixed:,} tokens",
            do="state is saved: resume with a model that has a larger window, or start a new"
            " session in this notebook with a shorter request (`--again`); cells and results stay",
        )


async def _said(digest_of: DigestOf | None, material: str, max_chars: int) -> str:
    if digest_of is None:
        return ""
    try:
        return (await digest_of(material, max_chars)).strip()
    except (ModelFailed, Paused, LimitReached, ToolError):
        # The turn must not end for want of notes; the next call of the main model shows whether
        # the provider or the budget is really gone.
        return ""


def _cut(text: str, most: int) -> str:
    """The text in at most so many bytes, cut at a line where there is one."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return raw.decode("utf-8")
    kept = raw[:most].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] or kept
