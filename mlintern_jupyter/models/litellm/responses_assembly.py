"""An answer of the Responses API, put together from the openai client's events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlintern_jupyter.models.litellm.assembly import Assembly, Fragments
from mlintern_jupyter.models.litellm.responses_dialect import REASONING
from mlintern_jupyter.usage import Usage

_WORDS = ("response.output_text.delta", "response.refusal.delta")
_ENDS = ("response.completed", "response.incomplete")


class ResponsesAssembly(Assembly):
    """Takes words as they come, and calls and reasoning from the items that hold them whole.

    A refusal is words, too: the person should read them.
    """

    def __init__(self, on_text: Callable[[str], None]) -> None:
        super().__init__(on_text)
        self._reasoned: list[dict[str, Any]] = []
        self._spoken: set[int] = set()

    def add(self, chunk: Any) -> None:
        """Take one event; of the many kinds there are, those that say nothing new are skipped."""
        kind = chunk.type
        if kind in _WORDS:
            self._spoken.add(chunk.output_index)
            self._say(chunk.delta)
        elif kind == "response.function_call_arguments.delta":
            self._call_at(chunk.output_index).arguments += chunk.delta
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._take(chunk.output_index, chunk.item, done=kind.endswith("done"))
        elif kind in _ENDS:
            self._end(chunk.response)

    def whole(self, response: Any) -> None:
        """Take an answer that came in one piece."""
        for index, item in enumerate(response.output):
            self._take(index, item, done=True)
        self._end(response)

    def thinking(
        self, replay: str, details: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[dict[str, Any], ...]:
        """The encrypted reasoning, each piece with what it stands before: a call, or the words."""
        if not self._calls or replay != REASONING:
            return ()
        return tuple(piece for piece in self._reasoned if "before" in piece)

    def _take(self, index: int, item: Any, *, done: bool) -> None:
        if item.type == "function_call":
            call = self._call_at(index)
            call.id, call.name = item.call_id, item.name
            if done:
                call.arguments = item.arguments or call.arguments
                self._place(self._calls.index(call))
        elif item.type == "message" and done:
            # Some servers bring a message whole.
            for part in item.content if index not in self._spoken else ():
                self._say(getattr(part, "text", "") or getattr(part, "refusal", ""))
            self._place(None)
        elif item.type == "reasoning" and done and item.encrypted_content:
            piece = item.model_dump(mode="json", include={"type", "id", "summary"})
            self._reasoned.append(piece | {"encrypted_content": item.encrypted_content})

    def _place(self, before: int | None) -> None:
        for piece in self._reasoned:
            piece.setdefault("before", before)

    def _call_at(self, index: int) -> Fragments:
        found = next((call for call in self._calls if call.index == index), None)
        if found is None:
            found = Fragments(index)
            self._calls.append(found)
        return found

    def _end(self, response: Any) -> None:
        self.finish = "stop"
        if response.status == "incomplete":
            why = getattr(response.incomplete_details, "reason", None)
            self.finish = "content_filter" if why == "content_filter" else "length"
        used = response.usage
        if used is not None and used.input_tokens:
            cached = getattr(used.input_tokens_details, "cached_tokens", None) or 0
            self.usage = Usage(used.input_tokens, used.output_tokens or 0, cached)
