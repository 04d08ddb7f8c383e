"""Our messages as the input of OpenAI's Responses API.

What a message says is decided in `dialect`; here it is only put into other shapes: the system's
words are the instructions, a reply is one item for its words and one for each call, and a result
is an item that names its call. Pictures follow the results in a message of the user, as over chat
completions: the API takes them in a result as well, other servers that speak it do not.

Nothing is stored at the provider, so a model's reasoning comes encrypted and goes back as it came,
each piece right before the item it led to; anywhere else it is refused.

Not covered: ``phase``, by which the newest models tell comments from final answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from mlintern_jupyter.messages import Message, ToolSpec
from mlintern_jupyter.models.litellm.dialect import DialectOptions, clean, messages_json

REASONING = "reasoning"
"""What ``ModelPlan.replay`` is called here, and the type of the pieces."""


def conversation_json(messages: Sequence[Message], options: DialectOptions) -> dict[str, Any]:
    """The conversation as a request holds it: ``instructions``, where there are any, and ``input``.

    Like `messages_json`, what was sent once is the beginning of every later request.
    """
    spelled = messages_json(messages, options)
    instructions = [entry["content"] for entry in spelled if entry["role"] == "system"]
    items = [item for entry in spelled if entry["role"] != "system" for item in _items(entry)]
    said: dict[str, Any] = {"input": items}
    return {"instructions": "\n\n".join(instructions), **said} if instructions else said


def functions_json(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as a request holds them."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": clean(tool.description),
            "parameters": tool.parameters,
            # Else arguments that may be left out would have to be given.
            "strict": False,
        }
        for tool in tools
    ]


def _items(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    role, content = entry["role"], entry["content"]
    if role == "tool":
        answered = entry["tool_call_id"]
        yield {"type": "function_call_output", "call_id": answered, "output": content}
    elif role == "user":
        said = content if isinstance(content, str) else [_part(part) for part in content]
        yield {"type": "message", "role": role, "content": said}
    else:
        reasoning: list[dict[str, Any]] = entry.get(REASONING, [])
        yield from _before(None, reasoning)
        if content is not None:
            yield {"type": "message", "role": role, "content": content}
        for number, call in enumerate(entry.get("tool_calls", ())):
            yield from _before(number, reasoning)
            yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _before(place: int | None, reasoning: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pieces that led to a call, by its number, or to the words."""
    for piece in reasoning:
        if piece["before"] == place:
            yield {name: _cleaned(value) for name, value in piece.items() if name != "before"}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(part) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _cleaned(part) for name, part in cast("dict[str, Any]", value).items()}
    return value


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    return {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
