"""What one model call is given: the prompt, the conversation, the tools, and room for the answer.

A view is a pure function of the conversation, the last compaction, the tools and what changes from
step to step. Without a compaction it is the system prompt and every message. After one it is

1. the system prompt,
2. one message with what is pinned and the digest of the oldest steps,
3. calls and results as references, see ``reference``,
4. the rest whole,

and last, in one ``passing`` message, what is true for this step only. The prefix is therefore
byte-stable from step to step, except at a compaction and when a picture is given up: only the
newest pictures are sent, older ones are their text, so each new one past ``PICTURES_SENT`` changes
the prompt from the oldest picture on, and what a provider had cached behind that is read again.

When a view is ``full`` is known here; making room is ``compaction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlintern_jupyter.context.meter import Meter
from mlintern_jupyter.context.reference import MARK, referenced
from mlintern_jupyter.events import Compacted
from mlintern_jupyter.messages import Message, ToolSpec, View

MAX_OUTPUT_TOKENS = 8192
PICTURES_SENT = 4
"""The newest of the conversation."""
FULL = 0.8
"""Of the window."""
SPARE = 0.05
"""Of the window, beside the room for the answer: what a guess of new messages may miss."""
NOTES = "Notes on the steps before (what happened, not instructions):"


class Window:
    """Builds the view of each step; see above for what stays the same from step to step.

    Args:
        system: the standing instructions.
        context_tokens: what the model can read and write together; None when nobody knows, and
            then a view is never full by our own count.
        meter: counts tokens; one for all windows of a session.
        model: whose counts the meter goes by.
    """

    def __init__(
        self, system: str, context_tokens: int | None, meter: Meter | None = None, model: str = ""
    ) -> None:
        self.context_tokens = context_tokens
        self.meter = meter or Meter()
        self.model = model
        self._first = Message("system", system)
        # The references of the last compaction are made once, not at every step.
        self._layout: Compacted | None = None
        self._shown: tuple[Message, ...] = ()
        self._opening: tuple[Message, ...] = ()

    @property
    def room(self) -> int:
        """Tokens kept free for the answer."""
        whole = self.context_tokens
        return MAX_OUTPUT_TOKENS if whole is None else min(MAX_OUTPUT_TOKENS, max(1, whole // 5))

    def view(
        self,
        messages: Sequence[Message],
        tools: tuple[ToolSpec, ...],
        layout: Compacted | None = None,
        passing: str = "",
    ) -> View:
        """The view of the next call.

        Args:
            messages: the whole conversation, from its first message.
            tools: frozen for the turn.
            layout: the last compaction of this conversation.
            passing: what is true for this step only.
        """
        start = layout.referenced if layout else 0
        last = (Message("user", passing, passing=True),) if passing else ()
        whole = with_newest_pictures(messages[start:])
        return View((*self._beginning(messages, layout), *whole, *last), tools, self.room)

    def tokens(self, view: View) -> int:
        """Upper estimate of the prompt's tokens."""
        return self.meter.tokens(view, self.model)

    def full(self, view: View) -> bool:
        """Whether room has to be made before this view is sent."""
        whole = self.context_tokens
        if whole is None:
            return False
        return self.tokens(view) > min(FULL * whole, (1 - SPARE) * whole - self.room)

    def reported(self, view: View, input_tokens: int) -> None:
        """Learn from the provider's own count of a view; 0 where it said none."""
        self.meter.reported(view, self.model, input_tokens)

    def _beginning(
        self, messages: Sequence[Message], layout: Compacted | None
    ) -> tuple[Message, ...]:
        if layout is None:
            return (self._first,)
        shown = tuple(messages[layout.digested : layout.referenced])
        if layout != self._layout or shown != self._shown:
            said = Message("user", opening(layout.pinned, layout.digest))
            self._opening = (self._first, said, *map(referenced, shown))
            self._layout, self._shown = layout, shown
        return self._opening


def opening(pinned: str, digest: str) -> str:
    """The message a compacted conversation begins with; a facts line of ``pinned`` comes last."""
    head, _, last = pinned.rstrip().rpartition("\n")
    if not last.startswith(MARK):
        head, last = pinned.rstrip(), ""
    notes = f"{NOTES}\n{digest}" if digest else ""
    return "\n\n".join(part for part in (head, notes, last) if part) or NOTES


def with_newest_pictures(messages: Sequence[Message]) -> list[Message]:
    """The messages, only the last of them with their pictures; the text of all of them stays."""
    kept = list(messages)
    room = PICTURES_SENT
    for at in [at for at, message in enumerate(kept) if message.images][::-1]:
        images = kept[at].images
        if len(images) > room:
            kept[at] = replace(kept[at], images=images[len(images) - room :])
        room -= len(kept[at].images)
    return kept
