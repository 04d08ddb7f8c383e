"""OpenAI's Responses API, as a server speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlintern_jupyter.testing.dialect import Counted, Dialect
from mlintern_jupyter.testing.openai_wire import OPENAI
from mlintern_jupyter.testing.script import Turn, arguments_text, call_id, pieces
from mlintern_jupyter.testing.strict_responses import encrypted, is_said, violations

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(
    request: Mapping[str, Any], place: int, output: list[dict[str, Any]]
) -> dict[str, Any]:
    """The response as it begins, with what there is of its output."""
    return {
        "id": f"resp_{place}",
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request["max_output_tokens"],
        "model": request["model"],
        "output": output,
        "parallel_tool_calls": True,
        "store": False,
        "tool_choice": "auto",
        "tools": request.get("tools", []),
        "usage": None,
    }


def _ended(
    turn: Turn, request: Mapping[str, Any], place: int, counted: Counted
) -> tuple[str, dict[str, Any]]:
    reason = _REASONS.get(turn.finish or "")
    status = "incomplete" if reason else "completed"
    usage = {
        "input_tokens": counted.prompt,
        "input_tokens_details": {"cached_tokens": counted.cached},
        "output_tokens": counted.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted.prompt + counted.completion,
    }
    return status, _response(request, place, _output(turn, request, place)) | {
        "status": status,
        "incomplete_details": {"reason": reason} if reason else None,
        "usage": usage if turn.count_tokens else None,
    }


def _output(turn: Turn, request: Mapping[str, Any], place: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        reasoning = {"type": "reasoning", "id": f"rs_{place}", "summary": summary}
        wanted = "reasoning.encrypted_content" in (request.get("include") or ())
        made.append(reasoning | ({"encrypted_content": encrypted(turn.thinking)} if wanted else {}))
    if turn.text:
        content = [_text(turn.text)]
        said = {"type": "message", "id": f"msg_{place}", "role": "assistant"}
        made.append(said | {"status": "completed", "content": content})
    for index, call in enumerate(turn.calls):
        called = {"type": "function_call", "id": f"fc_{place}_{index}", "status": "completed"}
        id_ = call_id(call, place, index)
        made.append(called | {"call_id": id_, "name": call.name, "arguments": arguments_text(call)})
    return made


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item_events(item: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    """An item as it comes into being."""
    where = {"item_id": item["id"], "output_index": at}
    began: dict[str, Any] = item
    kind = item["type"]
    inner: list[dict[str, Any]] = []
    if kind == "message":
        began = item | {"status": "in_progress", "content": []}
        text: str = item["content"][0]["text"]
        part = where | {"content_index": 0}
        word = "response.output_text"
        inner.append({"type": "response.content_part.added", "part": _text("")} | part)
        inner += [{"type": f"{word}.delta", "delta": piece} | part for piece in pieces(text)]
        inner.append({"type": f"{word}.done", "text": text} | part)
        inner.append({"type": "response.content_part.done", "part": _text(text)} | part)
    elif kind == "function_call":
        began = item | {"status": "in_progress", "arguments": ""}
        word = "response.function_call_arguments"
        arguments: str = item["arguments"]
        inner += [{"type": f"{word}.delta", "delta": piece} | where for piece in pieces(arguments)]
        inner.append({"type": f"{word}.done", "arguments": arguments, "name": item["name"]} | where)
    else:
        began = {"type": kind, "id": item["id"], "summary": []}
        thought: str = item["summary"][0]["text"]
        part = where | {"summary_index": 0}
        word = "response.reasoning_summary"
        empty = {"type": "summary_text", "text": ""}
        inner.append({"type": f"{word}_part.added", "part": empty} | part)
        inner += [{"type": f"{word}_text.delta", "delta": p} | part for p in pieces(thought)]
        inner.append({"type": f"{word}_text.done", "text": thought} | part)
        inner.append({"type": f"{word}_part.done", "part": item["summary"][0]} | part)
    yield {"type": "response.output_item.added", "output_index": at, "item": began}
    yield from inner
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _completion(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> bytes:
    # In many lines, as there.
    return json.dumps(_ended(turn, request, place, counted)[1], indent=2).encode()


def _stream(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> list[bytes]:
    begun = _response(request, place, [])
    status, ended = _ended(turn, request, place, counted)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for at, item in enumerate(_output(turn, request, place)):
        events += _item_events(item, at)
    events.append({"type": f"response.{status}", "response": ended})
    numbered = [event | {"sequence_number": at} for at, event in enumerate(events)]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered]


def _place(body: Mapping[str, Any]) -> int:
    """Replies in the input: an item the model said, after one that it did not say."""
    said = [is_said(item) for item in body["input"]]
    return sum(now and not before for before, now in zip([False, *said], said, strict=False))


RESPONSES = Dialect(
    path="/v1/responses",
    violations=lambda body, _: violations(body),
    completion=_completion,
    stream=_stream,
    refusal=OPENAI.refusal,
    overflow=OPENAI.overflow,
    marks=False,
    conversation="input",
    place=_place,
)
