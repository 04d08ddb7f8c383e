"""Our messages in OpenAI's shape, as each server wants them spelled.

What goes out is always acceptable to a strict server: no lone surrogates, no empty contents,
arguments that are a JSON object, never two messages of the user in a row. The answer of a tool is
text, so the pictures of a reply's tool results follow the last of them in a message of the user.
Reasoning goes back only to the kind of server it came from. `assembly` is the way back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.messages import Message, ToolSpec

_KIND_OF = {
    "thinking": "thinking_blocks",
    "redacted_thinking": "thinking_blocks",
    "reasoning_content": "reasoning_content",
    "reasoning": "reasoning",
}
"""What a piece of reasoning belongs to by its type; everything else is OpenRouter's."""


def clean(text: str) -> str:
    """Text that can be encoded: surrogate pairs joined, lone surrogates replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class DialectOptions:
    """How one server wants the conversation spelled; none of it changes what is said."""

    sees: bool = False
    """Pictures are sent."""
    replay: str = ""
    """Reasoning that goes back, see ``names.ModelPlan.replay``."""
    left_out: frozenset[str] = frozenset()
    """Digests of reasoning that the server refused."""
    fills: bool = False
    """A reply with calls and without reasoning gets a blank one (DeepSeek wants one with each)."""
    marks: bool = False
    """Places for the provider's cache are marked (Anthropic's ``cache_control``)."""
    folds: bool = False
    """What the user says right after a result stands in the result."""
    short_ids: bool = False
    """Ids of calls have nine letters and digits (Mistral)."""
    long_ids: bool = False
    """Ids of calls are left as they are: Gemini's hold a signature."""


_PLAIN = DialectOptions()


def messages_json(
    messages: Sequence[Message], options: DialectOptions = _PLAIN
) -> list[dict[str, Any]]:
    """The conversation as a chat completions request holds it.

    A message is spelled by itself and by what stands before it, so what was sent once is the
    beginning of every later request, byte for byte, up to the message that is ``passing``.
    """
    made: list[dict[str, Any]] = []
    steady = 0
    pictures: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool" and pictures:
            _append(made, {"role": "user", "content": pictures}, options)
            pictures, steady = [], len(made)
        _append(made, _message(message, options), options)
        if options.sees:
            pictures += _pictures(message)
        if not message.passing:
            steady = len(made)
    if pictures:
        _append(made, {"role": "user", "content": pictures}, options)
        steady = len(made)
    if options.marks:
        _mark(made, steady)
    return made


def _append(made: list[dict[str, Any]], entry: dict[str, Any], options: DialectOptions) -> None:
    """Add an entry; one of the user after another becomes part of it.

    Chat templates of many servers insist that the roles alternate. Where places are marked they
    stay apart, or the mark would stand behind what is passing; that dialect joins them itself.
    """
    last = made[-1] if made else {}
    both_users = entry["role"] == last.get("role") == "user"
    folded = options.folds and entry["role"] == "user" and last.get("role") == "tool"
    if options.marks or not (both_users or (folded and isinstance(entry["content"], str))):
        made.append(entry)
    elif isinstance(last["content"], str) and isinstance(entry["content"], str):
        made[-1] = last | {"content": f"{last['content']}\n\n{entry['content']}"}
    else:
        made[-1] = last | {"content": [*_parts(last["content"]), *_parts(entry["content"])]}


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _mark(made: list[dict[str, Any]], steady: int) -> None:
    """Mark the end of what stays, and where the request before this one ended.

    A provider looks back from a mark over a limited number of blocks only, and a reply may hold
    more calls than that.
    """
    replies = [at for at, entry in enumerate(made[:steady]) if entry["role"] == "assistant"]
    before = replies[-1] - 1 if replies else -1
    system = 0 if made and made[0]["role"] == "system" else -1
    for place in {system, before, steady - 1}:
        if place < 0:
            continue
        content = made[place]["content"]
        mark = {"cache_control": {"type": "ephemeral"}}
        if isinstance(content, list):
            made[place] = made[place] | {"content": [*content[:-1], content[-1] | mark]}
        else:
            made[place] = made[place] | mark


def thinking_digest(block: dict[str, Any]) -> str:
    """Names a piece of reasoning without keeping it."""
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()


def replayed(message: Message, options: DialectOptions) -> tuple[dict[str, Any], ...]:
    """The reasoning of a reply that goes back to this server: of its kind, and not refused."""
    return tuple(
        block
        for block in message.thinking
        if _KIND_OF.get(str(block.get("type")), "reasoning_details") == options.replay
        and thinking_digest(block) not in options.left_out
    )


def _thinking(message: Message, options: DialectOptions) -> dict[str, Any]:
    blocks = replayed(message, options)
    if not blocks:
        return {"reasoning_content": " "} if options.fills else {}
    if options.replay == "reasoning_content":
        return {"reasoning_content": clean("".join(str(block["text"]) for block in blocks))}
    spelled = [
        {name: clean(value) if isinstance(value, str) else value for name, value in block.items()}
        for block in blocks
    ]
    return {options.replay: spelled}


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


def _message(message: Message, options: DialectOptions) -> dict[str, Any]:
    # Several providers refuse an empty content, others a missing one.
    text = clean(message.text)
    if message.role == "tool":
        answers = _spelled_id(message.call_id or "", options)
        return {
            "role": "tool",
            "tool_call_id": answers,
            "content": text if text.strip() else "(no output)",
        }
    if not message.calls:
        return {"role": message.role, "content": text if text.strip() else "(empty)"}
    calls = [
        {
            "id": _spelled_id(call.id, options),
            "type": "function",
            "function": {"name": _callable(call.name), "arguments": _replayable(call.arguments)},
        }
        for call in message.calls
    ]
    said = {"role": "assistant", "content": text if text.strip() else None, "tool_calls": calls}
    return said | _thinking(message, options)


def _spelled_id(id_: str, options: DialectOptions) -> str:
    """A call's id as this server accepts it: the call may have been another model's."""
    if options.long_ids:
        return id_
    length = 9 if options.short_ids else 40
    allowed = r"[a-zA-Z0-9]{9}" if options.short_ids else r"[a-zA-Z0-9_-]{1,40}"
    if re.fullmatch(allowed, id_):
        return id_
    return hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()[:length]


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
    except (ValueError, RecursionError):
        return "{}"
    return clean(arguments) if isinstance(parsed, dict) else "{}"
