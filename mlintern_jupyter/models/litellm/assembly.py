"""A streamed answer, put together from litellm's chunks.

What comes in is kept as it came, except for ids of tool calls: some servers leave them empty or
repeat them, and then we make our own. Reasoning is kept only where calls follow it, which is where
providers want it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.messages import ToolCall, View
from mlintern_jupyter.usage import Usage

_GROWING = ("text", "summary", "data", "thinking")
"""Fields of a piece of reasoning that come in parts."""


@dataclass
class Fragments:
    """What there is of one call."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Assembly:
    """A streamed answer, put together from litellm's chunks."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._text: list[str] = []
        self._calls: list[Fragments] = []
        self._reasoning: list[str] = []
        self._signed: list[dict[str, Any]] = []
        self.finish = ""
        """Why the model stopped, in the words of chat completions."""
        self.usage: Usage | None = None
        """As it was said last; whether the server said it, `stream_watch` knows."""

    def add(self, chunk: Any) -> None:
        """Take one chunk; anything it lacks is skipped (servers send null deltas)."""
        self.usage = _usage(getattr(chunk, "usage", None)) or self.usage
        for choice in getattr(chunk, "choices", None) or ():
            self.finish = choice.finish_reason or self.finish
            delta = choice.delta
            if delta is None:
                continue
            if delta.content:
                self._say(delta.content)
            for fragment in delta.tool_calls or ():
                self._add_fragment(fragment)
            self._add_reasoning(delta)

    def _say(self, text: str) -> None:
        self._text.append(text)
        self._on_text(text)

    @property
    def text(self) -> str:
        """The words so far."""
        return "".join(self._text)

    @property
    def size(self) -> int:
        """Bytes of everything the model wrote."""
        calls = sum(len((c.name + c.arguments).encode("utf-8", "replace")) for c in self._calls)
        return len(self.text.encode("utf-8", "replace")) + calls

    def calls(self, view: View) -> tuple[ToolCall, ...]:
        """The calls in order, each with an id of its own in this conversation.

        A minted id depends on the conversation alone, so the same answer to the same request
        always carries the same ids.
        """
        taken = {call.id for message in view.messages for call in message.calls}
        made: list[ToolCall] = []
        for number, call in enumerate(self._calls):
            id_ = call.id
            if not id_ or id_ in taken:
                id_ = f"call-{_digest(view)}-{number}"
            taken.add(id_)
            made.append(ToolCall(id_, call.name, call.arguments))
        return tuple(made)

    def thinking(
        self, replay: str, details: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[dict[str, Any], ...]:
        """The reasoning in the form it has to go back in; empty where no calls follow it.

        ``details`` are OpenRouter's pieces as they came.
        """
        if not self._calls or not replay:
            return ()
        if replay == "reasoning_content":
            text = "".join(self._reasoning)
            return ({"type": replay, "text": text},) if text else ()
        return tuple(self._signed if replay == "thinking_blocks" else _joined(details))

    def _add_reasoning(self, delta: Any) -> None:
        self._reasoning.append(getattr(delta, "reasoning_content", None) or "")
        for block in getattr(delta, "thinking_blocks", None) or ():
            # A signature comes last in its block, and redacted blocks come whole.
            last = self._signed[-1] if self._signed else None
            if last is None or last.get("type") != "thinking" or last.get("signature"):
                self._signed.append(last := dict[str, Any]())
            _grow(last, block)

    def _add_fragment(self, fragment: Any) -> None:
        index = fragment.index if fragment.index is not None else len(self._calls)
        function = fragment.function
        name = (function.name if function else None) or ""
        found = next((call for call in reversed(self._calls) if call.index == index), None)
        # Servers that never count give every call the index 0; a new id with a name is a new call.
        if found is None or (fragment.id and name and found.id and fragment.id != found.id):
            found = Fragments(index)
            self._calls.append(found)
        found.id = found.id or fragment.id or ""
        found.name = found.name or name
        found.arguments += (function.arguments if function else None) or ""


def _usage(said: Any) -> Usage | None:
    if said is None or not said.prompt_tokens:
        return None
    details = getattr(said, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    return Usage(said.prompt_tokens, said.completion_tokens or 0, cached)


def _joined(pieces: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pieces of one type and index, one after the other, are one."""
    made: list[dict[str, Any]] = []
    for piece in pieces:
        if not made or any(made[-1].get(n) != piece.get(n) for n in ("type", "index")):
            made.append({})
        _grow(made[-1], piece)
    return made


def _grow(block: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Add a part of a piece of reasoning to what there is of it."""
    for name, value in piece.items():
        if name in _GROWING and isinstance(value, str):
            block[name] = block.get(name, "") + value
        elif value not in (None, "") or name not in block:
            block[name] = value


def _digest(view: View) -> str:
    digest = hashlib.sha256()
    for message in view.messages:
        digest.update(f"{message.role}\0{message.text}\0".encode("utf-8", "surrogatepass"))
        for call in message.calls:
            digest.update(f"{call.id}\0{call.arguments}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:10]
