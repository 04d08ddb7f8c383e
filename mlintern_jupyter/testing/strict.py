"""What is wrong with a chat completions request, by the rules of strict providers together."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIELDS = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "temperature",
        "seed",
        "stop",
    }
)
_DATA_URL = "data:image/png;base64,"
_PNG = b"\x89PNG\r\n\x1a\n"
_PICTURE_BYTES = 5 * 1024 * 1024
_ROLES = frozenset({"system", "user", "assistant", "tool"})


def violations(request: Any) -> list[str]:
    """One sentence for each rule the request breaks; empty when it is fine."""
    if not isinstance(request, dict):
        return ["the body is not a JSON object"]
    body = cast("dict[str, Any]", request)
    return [
        *(f"unknown field {name!r}" for name in sorted(set(body) - _FIELDS)),
        *_options(body),
        *_tools(body.get("tools")),
        *_conversation(body.get("messages")),
        *surrogates(body),
    ]


def _options(body: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if not isinstance(body.get("model"), str) or not body["model"]:
        found.append("model is missing")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        found.append("max_tokens is not a whole number above zero")
    if not isinstance(body.get("stream"), bool):
        found.append("stream is not said")
    options = body.get("stream_options")
    if body.get("stream") is True and options != {"include_usage": True}:
        found.append("stream_options does not ask for usage")
    return found


def _tools(tools: Any) -> list[str]:
    if tools is None:
        return []
    if not isinstance(tools, list) or not tools:
        return ["tools is not a list with something in it"]
    found: list[str] = []
    names: list[str] = []
    for tool in cast("list[Any]", tools):
        entry = as_object(tool)
        spec = as_object(entry.get("function"))
        if not spec or entry.get("type") != "function":
            found.append("a tool is not a function")
            continue
        name = str(spec.get("name"))
        names.append(name)
        if not _NAME.fullmatch(name):
            found.append(f"tool name {name!r} is not allowed")
        if not spec.get("description"):
            found.append(f"tool {name} has no description")
        found += [f"tool {name}: {problem}" for problem in schema_problems(spec.get("parameters"))]
    if len(set(names)) != len(names):
        found.append("two tools have the same name")
    return found


def schema_problems(schema: Any) -> list[str]:
    """What is wrong with the parameters of a tool."""
    if not isinstance(schema, dict) or cast("dict[str, Any]", schema).get("type") != "object":
        return ["its parameters are not the schema of an object"]
    known = cast("dict[str, Any]", schema)
    if problem := _no_schema(json.dumps(known)):
        return [f"its parameters are not a JSON schema: {problem}"]
    unknown = set(known.get("required", ())) - set(known.get("properties", {}))
    return [f"it requires {sorted(unknown)}, which it does not have"] if unknown else []


@lru_cache(maxsize=1024)
def _no_schema(text: str) -> str:
    """Why this is no JSON schema; empty if it is one.

    Remembered: each request of a turn brings the same tools, and to check them takes longer than
    everything else that is done with the request.
    """
    try:
        Draft202012Validator.check_schema(json.loads(text))
    except SchemaError as error:
        return error.message
    return ""


def _conversation(messages: Any) -> list[str]:
    if not isinstance(messages, list) or not messages:
        return ["there are no messages"]
    if not all(isinstance(item, dict) for item in cast("list[Any]", messages)):
        return ["a message is not an object"]
    items = cast("list[dict[str, Any]]", messages)
    found: list[str] = []
    open_calls: list[str] = []
    ids: set[str] = set()
    for number, item in enumerate(items):
        where = f"message {number} ({item.get('role')})"
        found += [f"{where}: {problem}" for problem in _content(item)]
        if item.get("role") == "tool":
            found += _answer(where, item, open_calls)
            continue
        if open_calls:
            found.append(f"{where}: calls {open_calls} before it are not answered")
            open_calls = []
        for problem in _calls(item, ids, open_calls):
            found.append(f"{where}: {problem}")
    if open_calls:
        found.append(f"calls {open_calls} are not answered")
    return found + _order([str(item.get("role")) for item in items])


def _order(roles: Sequence[str]) -> list[str]:
    found: list[str] = []
    spoken = [role for role in roles if role != "system"]
    if list(roles[: len(roles) - len(spoken)]) != ["system"] * (len(roles) - len(spoken)):
        found.append("a system message stands inside the conversation")
    if not spoken or spoken[0] != "user":
        found.append("the conversation does not begin with the user")
    if roles[-1] not in {"user", "tool"}:
        found.append("the last message leaves nothing to answer")
    return found


def _content(item: Mapping[str, Any]) -> list[str]:
    if item.get("role") not in _ROLES:
        return ["unknown role"]
    content = item.get("content")
    if content is None and item.get("role") == "assistant" and item.get("tool_calls"):
        return []
    if isinstance(content, list) and item.get("role") == "user" and content:
        return [p for part in cast("list[Any]", content) for p in _part(as_object(part))]
    if not isinstance(content, str) or not content.strip():
        return ["content is not a text with something in it"]
    return []


def _part(part: Mapping[str, Any]) -> list[str]:
    """What is wrong with one part of a user's message: a text, or a picture held by the request."""
    if part.get("type") == "text" and set(part) == {"type", "text"}:
        text = part["text"]
        return [] if isinstance(text, str) and text.strip() else ["a text part is empty"]
    if part.get("type") != "image_url" or set(part) != {"type", "image_url"}:
        return [f"a part is neither a text nor a picture: {sorted(part)}"]
    return picture_problems(str(as_object(part["image_url"]).get("url")))


def picture_problems(url: str) -> list[str]:
    """What is wrong with a picture that a request holds."""
    if not url.startswith(_DATA_URL):
        return [f"a picture is not one in the request itself: {url[:40]!r}"]
    try:
        picture = base64.b64decode(url.removeprefix(_DATA_URL), validate=True)
    except ValueError:
        return ["a picture is not base64"]
    if not picture.startswith(_PNG) or len(picture) > _PICTURE_BYTES:
        return [f"a picture is not a PNG of at most {_PICTURE_BYTES:,} bytes"]
    return []


def _answer(where: str, item: Mapping[str, Any], open_calls: list[str]) -> list[str]:
    call = item.get("tool_call_id")
    if call not in open_calls:
        return [f"{where}: answers {call!r}, which was not called or is answered already"]
    open_calls.remove(str(call))
    return []


def _calls(item: Mapping[str, Any], ids: set[str], open_calls: list[str]) -> list[str]:
    found: list[str] = []
    if item.get("tool_calls") is not None and item.get("role") != "assistant":
        found.append("only an assistant calls tools")
    for call in item.get("tool_calls") or ():
        function = as_object(call.get("function"))
        id_ = call.get("id")
        if not isinstance(id_, str) or not id_ or id_ in ids:
            found.append(f"call id {id_!r} is empty or was used before")
        ids.add(str(id_))
        open_calls.append(str(id_))
        if call.get("type") != "function" or not _NAME.fullmatch(str(function.get("name"))):
            found.append(f"call {id_!r} names no function")
        if not is_object_text(function.get("arguments")):
            found.append(f"the arguments of call {id_!r} are not the text of a JSON object")
    return found


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object; empty when it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_object_text(arguments: Any) -> bool:
    """Whether arguments are the text of a JSON object."""
    try:
        return isinstance(arguments, str) and isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def surrogates(body: Mapping[str, Any]) -> list[str]:
    """A text that cannot be encoded."""
    try:
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return ["a lone surrogate, which no server accepts"]
    return []
