"""What is wrong with a request to the Responses API, by the rules of a strict server.

Beyond OpenAI: nothing is to be stored, calls are answered before anything else is said, and the
last item leaves something to answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlintern_jupyter.testing.strict import (
    as_object,
    is_object_text,
    picture_problems,
    schema_problems,
    surrogates,
)

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIELDS = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "stream",
        "store",
        "include",
        "reasoning",
        "temperature",
    }
)
_INCLUDED = "reasoning.encrypted_content"
_LEAST_OUTPUT = 16
_TOOL_FIELDS = {"type", "name", "description", "parameters", "strict"}
_ITEM_FIELDS = {
    "message": {"type", "role", "content"},
    "function_call": {"type", "call_id", "name", "arguments"},
    "function_call_output": {"type", "call_id", "output"},
    "reasoning": {"type", "id", "summary", "encrypted_content"},
}
_PART_FIELDS = {
    "input_text": {"type", "text"},
    "input_image": {"type", "image_url", "detail"},
}


def encrypted(thinking: str) -> str:
    """What only this server can make of what it thought, and reads again without keeping it."""
    thought = base64.b64encode(thinking.encode("utf-8", "replace"))
    return f"{thought.decode()}.{hmac.digest(b'scripted', thought, hashlib.sha256).hex()}"


def is_said(item: Mapping[str, Any]) -> bool:
    """Whether the model said an item."""
    return item.get("type") in {"function_call", "reasoning"} or item.get("role") == "assistant"


def violations(request: Any) -> list[str]:
    """One sentence for each rule the request breaks; empty when it is fine."""
    if not isinstance(request, dict):
        return ["the body is not a JSON object"]
    body = cast("dict[str, Any]", request)
    return [
        *(f"Unknown parameter: '{name}'." for name in sorted(set(body) - _FIELDS)),
        *_options(body),
        *_tools(body.get("tools")),
        *_conversation(body),
        *surrogates(body),
    ]


def _options(body: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if not isinstance(body.get("model"), str) or not body["model"]:
        found.append("model is missing")
    most = body.get("max_output_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or most < _LEAST_OUTPUT:
        found.append(f"max_output_tokens is not a whole number from {_LEAST_OUTPUT} on")
    if not isinstance(body.get("stream"), bool):
        found.append("stream is not said")
    if body.get("store") is not False:
        found.append("store is not false: the conversation would be kept")
    if body.get("include") not in (None, [_INCLUDED]):
        found.append(f"include asks for {body['include']!r}")
    instructions = body.get("instructions")
    if instructions is not None and not _filled(instructions):
        found.append("instructions is not a text with something in it")
    return found


def _tools(tools: Any) -> list[str]:
    if tools is None:
        return []
    if not isinstance(tools, list) or not tools:
        return ["tools is not a list with something in it"]
    found: list[str] = []
    names: list[str] = []
    for tool in map(as_object, cast("list[Any]", tools)):
        name = str(tool.get("name"))
        names.append(name)
        if tool.get("type") != "function" or not _NAME.fullmatch(name):
            found.append(f"tool {name!r} is not a function with a name that is allowed")
        found += [f"tool {name}: unknown field {f!r}" for f in sorted(set(tool) - _TOOL_FIELDS)]
        if not tool.get("description"):
            found.append(f"tool {name} has no description")
        if tool.get("strict") is not False:
            found.append(f"tool {name} is strict: every argument would have to be required")
        found += [f"tool {name}: {problem}" for problem in schema_problems(tool.get("parameters"))]
    if len(set(names)) != len(names):
        found.append("two tools have the same name")
    return found


def _conversation(body: Mapping[str, Any]) -> list[str]:
    given = body.get("input")
    if not isinstance(given, list) or not given:
        return ["input is not a list with something in it"]
    items = [as_object(item) for item in cast("list[Any]", given)]
    found = [f"input[{at}]: {p}" for at, item in enumerate(items) for p in _item(item)]
    found += [*_calls(items), *_reasoning(items)]
    if body.get("include") is None and any(item.get("type") == "reasoning" for item in items):
        found.append("reasoning is sent and not asked for again")
    if items[0].get("role") != "user":
        found.append("the conversation does not begin with the user")
    if items[-1].get("role") != "user" and items[-1].get("type") != "function_call_output":
        found.append("the last item leaves nothing to answer")
    return found


def _item(item: Mapping[str, Any]) -> list[str]:
    kind = str(item.get("type"))
    fields = _ITEM_FIELDS.get(kind)
    if fields is None:
        return [f"unknown type {kind!r}"]
    if set(item) != fields:
        return [f"{kind} has the fields {sorted(item)}, not {sorted(fields)}"]
    if kind == "message":
        return _message(item)
    if kind == "reasoning":
        return [] if isinstance(item["summary"], list) else ["summary is not a list"]
    if not _NAME.fullmatch(str(item["call_id"])):
        return [f"call_id {item['call_id']!r} is not allowed"]
    if kind == "function_call_output":
        return [] if _filled(item["output"]) else ["output is not a text with something in it"]
    if not _NAME.fullmatch(str(item["name"])) or not is_object_text(item["arguments"]):
        return ["a call names no function, or its arguments are not the text of a JSON object"]
    return []


def _message(item: Mapping[str, Any]) -> list[str]:
    role, content = item["role"], item["content"]
    if role not in {"user", "assistant"}:
        return [f"a message of {role!r}: that belongs into instructions"]
    if isinstance(content, str):
        return [] if _filled(content) else ["content is empty"]
    if role != "user" or not isinstance(content, list) or not content:
        return ["content is neither a text nor the parts of a message of the user"]
    found: list[str] = []
    for part in map(as_object, cast("list[Any]", content)):
        kind = str(part.get("type"))
        if set(part) != _PART_FIELDS.get(kind):
            found.append(f"a part of type {kind!r} with {sorted(part)}")
        elif kind == "input_image":
            found += picture_problems(str(part["image_url"]))
        elif not _filled(part["text"]):
            found.append("a text part is empty")
    return found


def _calls(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every call has an id of its own and is answered, once, before anything else is said."""
    found: list[str] = []
    open_: list[str] = []
    ids: set[str] = set()
    answering = False
    for at, item in enumerate(items):
        id_ = str(item.get("call_id"))
        if item.get("type") == "function_call_output":
            answering = True
            if id_ not in open_:
                found.append(f"input[{at}]: No tool call found for call_id {id_}.")
            else:
                open_.remove(id_)
            continue
        if open_ and (answering or not is_said(item)):
            found.append(f"input[{at}]: No tool output found for function calls {open_}.")
            open_ = []
        answering = False
        if item.get("type") == "function_call":
            if id_ in ids:
                found.append(f"input[{at}]: call_id {id_} was used before")
            ids.add(id_)
            open_.append(id_)
    return [*found, *([f"No tool output found for function calls {open_}."] if open_ else [])]


def _reasoning(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """A piece of reasoning is one this server gave, and stands before what it led to."""
    found: list[str] = []
    for at, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        if not _is_ours(str(item.get("encrypted_content"))):
            found.append(f"input[{at}]: The encrypted content could not be verified.")
        if at + 1 == len(items) or not is_said(items[at + 1]):
            found.append(f"input[{at}]: reasoning without its required following item")
    return found


def _is_ours(content: str) -> bool:
    try:
        thinking = base64.b64decode(content.partition(".")[0], validate=True)
    except ValueError:
        return False
    return encrypted(thinking.decode("utf-8", "replace")) == content


def _filled(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
