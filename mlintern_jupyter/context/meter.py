"""How many tokens a prompt has: guessed from its bytes, corrected by what the provider counted.

A guess is bytes / 3 for text, which is cautious for English and code, and ``TOKENS_PER_PICTURE``
for a picture. Each count a provider reports gives a ratio to our guess for the same prompt; the
largest of the last five corrects every later guess for that model.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Message, ToolSpec, View

BYTES_PER_TOKEN = 3
RATIOS_KEPT = 5
LEAST_RATIO, LARGEST_RATIO = 0.4, 4.0
"""No tokenizer is further off; a report beyond them counts something else than the prompt."""
_BYTES_AROUND_MESSAGE = 12
"""Role and separators of a chat template."""


class Meter:
    """Counts tokens for any number of models; shared by the windows of a session."""

    def __init__(self) -> None:
        self._ratios: dict[str, deque[float]] = {}
        self._prefix: tuple[Message, ...] = ()
        self._prefix_bytes = 0
        self._tools: tuple[ToolSpec, ...] = ()
        self._tools_bytes = 0

    def tokens(self, view: View, model: str) -> int:
        """Upper estimate of a prompt's tokens for a model."""
        return round(self._guess(view) * self.ratio(model))

    def ratio(self, model: str) -> float:
        """What a guess is multiplied with; 1 until the model's provider reported a count."""
        return max(self._ratios.get(model, ()), default=1.0)

    def reported(self, view: View, model: str, input_tokens: int) -> None:
        """Learn from the provider's own count of a prompt; 0 means that it said none."""
        if input_tokens <= 0:
            return
        ratio = input_tokens / max(1, self._guess(view))
        kept = self._ratios.setdefault(model, deque(maxlen=RATIOS_KEPT))
        kept.append(min(max(ratio, LEAST_RATIO), LARGEST_RATIO))

    def _guess(self, view: View) -> int:
        messages = view.messages
        end = len(messages) - bool(messages and messages[-1].passing)
        # A conversation only grows, so each message is counted once; the comparison of two tuples
        # that hold the same objects is a walk over pointers.
        known = len(self._prefix)
        if known > end or messages[:known] != self._prefix:
            known, self._prefix_bytes = 0, 0
        self._prefix_bytes += sum(map(message_bytes, messages[known:end]))
        self._prefix = messages[:end]
        size = self._prefix_bytes + sum(map(message_bytes, messages[end:]))
        if view.tools != self._tools:
            self._tools, self._tools_bytes = view.tools, tools_bytes(view.tools)
        pictures = sum(len(message.images) for message in messages)
        return (size + self._tools_bytes) // BYTES_PER_TOKEN + pictures * TOKENS_PER_PICTURE


def message_bytes(message: Message) -> int:
    """Bytes of what a model reads of a message, its pictures apart."""
    size = _BYTES_AROUND_MESSAGE + text_bytes(message.text) + len(message.call_id or "")
    for call in message.calls:
        size += text_bytes(call.arguments) + text_bytes(call.name) + len(call.id)
    if message.thinking:
        size += len(json.dumps(message.thinking, default=str))
    return size


def tools_bytes(tools: Sequence[ToolSpec]) -> int:
    """Bytes of the tools as a request holds them."""
    return sum(len(json.dumps(asdict(tool))) for tool in tools)


def text_bytes(text: str) -> int:
    """Bytes of a text in UTF-8; half characters count as one."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
