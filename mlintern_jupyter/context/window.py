"""What one model call is given: the prompt, the conversation, the tools, and room for the answer.

Not here yet: making room when the window is full. Until then a full window pauses the turn and
says so, before the provider would refuse the request.

The prompt's prefix is byte-stable from step to step, except when a picture is given up: only the
newest pictures are sent, older ones are their text, so each new one past ``PICTURES_SENT`` changes
the prompt from the oldest picture on, and what a provider had cached behind that is read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from mlintern_jupyter.errors import Paused
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Message, ToolSpec, View

BYTES_PER_TOKEN = 3
"""A cautious count for English and code before a provider has reported one."""
MAX_OUTPUT_TOKENS = 8192
PICTURES_SENT = 4
"""The newest of the conversation."""


class Window:
    """Builds the view of each step; see above for what stays the same from step to step.

    Args:
        system: the standing instructions.
        context_tokens: what the model can read and write together; None when nobody knows.
    """

    def __init__(self, system: str, context_tokens: int | None) -> None:
        self._first = Message("system", system)
        self._context_tokens = context_tokens
        # A conversation only grows, so each message is counted once: the cost of a step stays flat.
        self._counted = 0
        self._last: Message | None = None
        self._tokens = 0

    def view(self, messages: Sequence[Message], tools: tuple[ToolSpec, ...]) -> View:
        """The view of the next call.

        Raises:
            Paused: it does not fit into the model's window.
        """
        whole, room = self._context_tokens, MAX_OUTPUT_TOKENS
        if whole is not None:
            room = min(room, whole // 4)
        view = View((self._first, *with_newest_pictures(messages)), tools, room)
        if whole is not None and self.tokens(view) + room > whole:
            raise Paused(
                f"the conversation has outgrown the model's window of {whole:,} tokens",
                why="making room in a full window is not in this version",
                do="start a new session in this notebook (`--again`), or take a model with a larger"
                " window; the cells and results stay",
            )
        return view

    def tokens(self, view: View) -> int:
        """Upper estimate of the prompt's tokens."""
        messages = view.messages
        if self._counted > len(messages) or (
            self._counted and messages[self._counted - 1] is not self._last
        ):
            self._counted, self._tokens = 0, 0
        self._tokens += sum(_message_tokens(m) for m in messages[self._counted :])
        self._counted, self._last = len(messages), messages[-1]
        pictures = sum(len(message.images) for message in messages)
        tools = sum(_tool_tokens(json.dumps(asdict(t))) for t in view.tools)
        return self._tokens + pictures * TOKENS_PER_PICTURE + tools


def with_newest_pictures(messages: Sequence[Message]) -> list[Message]:
    """The messages, only the last of them with their pictures; the text of all of them stays."""
    kept = list(messages)
    room = PICTURES_SENT
    for at in range(len(kept) - 1, -1, -1):
        images = kept[at].images
        if len(images) > room:
            kept[at] = replace(kept[at], images=images[len(images) - room :])
        room -= len(kept[at].images)
    return kept


def _message_tokens(message: Message) -> int:
    size = len(message.text.encode("utf-8", "replace"))
    size += sum(len(c.arguments.encode("utf-8", "replace")) + len(c.name) for c in message.calls)
    return size // BYTES_PER_TOKEN + 4


def _tool_tokens(spec: str) -> int:
    return len(spec) // BYTES_PER_TOKEN
