"""Our messages in OpenAI's shape, and a streamed answer put together again.

What goes out is always acceptable to a strict server: no lone surrogates, no empty contents,
arguments that are a JSON object. The answer of a tool is text, so the pictures of a reply's tool
results follow the last of them in a message of the user. What comes in is kept as it came, except
for ids of tool calls: some servers leave them empty or repeat them, and then we make our own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.messages import Message, ToolCall, ToolSpec, View


def clean(text: str) -> str:
    """Text that can be encoded: surrogate pairs joined, lone surrogates replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def messages_json(messages: Sequence[Message], *, sees: bool = False) -> list[dict[str, Any]]:
    """The conversation as a chat completions request holds it; with pictures for who can see."""
    made: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool" and pictures:
            made.append({"role": "user", "content": pictures})
            pictures = []
        made.append(_message(message))
        if sees:
            pictures += _pictures(message)
    return [*made, {"role": "user", "content": pictures}] if pictures else made


def _pictures(message: Message) -> list[dict[str, Any]]:
    urls = [f"data:image/png;base64,{image}" for image in message.images if _is_png(image)]
    if not urls:
        return []
    of = clean(message.text).partition("\n")[0][:200] or message.call_id
    said = {"type": "text", "text": f"[pictures ({len(urls)}) of the result: {of}]"}
    return [said, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]


def _is_png(image: str) -> bool:
    """Whether it is still a picture: a secret taken out of one leaves text that no server takes."""
    try:
        return base64.b64decode(image, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    except (binascii.Error, ValueError):
        return False


def tools_json(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as a chat completions request holds them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": clean(tool.description),
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def _message(message: Message) -> dict[str, Any]:
    # Several providers refuse an empty content, others a missing one.
    text = clean(message.text)
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": text or "(no output)"}
    if not message.calls:
        return {"role": message.role, "content": text or "(empty)"}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": _callable(call.name), "arguments": _replayable(call.arguments)},
        }
        for call in message.calls
    ]
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def _callable(name: str) -> str:
    """A tool's name as a server accepts it back, for names a model made up."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "unnamed"


def _replayable(arguments: str) -> str:
    """Arguments as a server accepts them back.

    A call with broken arguments was answered with an error that quotes them; sent back broken, it
    would be refused by the server, and with it every later request of the session.
    """
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return "{}"
    return clean(arguments) if isinstance(parsed, dict) else "{}"


@dataclass
class _Fragments:
    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Assembly:
    """A streamed answer, put together from litellm's chunks."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._text: list[str] = []
        self._calls: list[_Fragments] = []
        self.finish = ""
        """litellm's word for why the model stopped."""
        self.usage: Any = None
        """litellm's usage object of the last chunk that had one."""

    def add(self, chunk: Any) -> None:
        """Take one chunk; anything it lacks is skipped (servers send null deltas)."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        for choice in getattr(chunk, "choices", None) or ():
            self.finish = choice.finish_reason or self.finish
            delta = choice.delta
            if delta is None:
                continue
            if delta.content:
                self._text.append(delta.content)
                self._on_text(delta.content)
            for fragment in delta.tool_calls or ():
                self._add_fragment(fragment)

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

    def _add_fragment(self, fragment: Any) -> None:
        index = fragment.index if fragment.index is not None else len(self._calls)
        function = fragment.function
        name = (function.name if function else None) or ""
        found = next((call for call in reversed(self._calls) if call.index == index), None)
        # Servers that never count give every call the index 0; a new id with a name is a new call.
        if found is None or (fragment.id and name and found.id and fragment.id != found.id):
            found = _Fragments(index)
            self._calls.append(found)
        found.id = found.id or fragment.id or ""
        found.name = found.name or name
        found.arguments += (function.arguments if function else None) or ""


def _digest(view: View) -> str:
    digest = hashlib.sha256()
    for message in view.messages:
        digest.update(f"{message.role}\0{message.text}\0".encode("utf-8", "surrogatepass"))
        for call in message.calls:
            digest.update(f"{call.id}\0{call.arguments}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:10]
