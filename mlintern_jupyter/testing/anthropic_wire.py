"""Anthropic's messages, as a server speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlintern_jupyter.testing.dialect import Counted, Dialect
from mlintern_jupyter.testing.script import Turn, arguments_text, call_id, pieces
from mlintern_jupyter.testing.strict_anthropic import sign, violations

_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def _stop(turn: Turn) -> str:
    if turn.finish:
        return _STOPS.get(turn.finish, turn.finish)
    return "tool_use" if turn.calls else "end_turn"


def _usage(counted: Counted, output: int) -> dict[str, Any]:
    # The input tokens are those that no cache had a part in.
    return {
        "input_tokens": counted.prompt - counted.cached - counted.stored,
        "cache_read_input_tokens": counted.cached,
        "cache_creation_input_tokens": counted.stored,
        "output_tokens": output,
    }


def _message(turn: Turn, request: Mapping[str, Any], place: int, usage: Any) -> dict[str, Any]:
    return {
        "id": f"msg_{place}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _blocks(turn: Turn, place: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each block as it begins, and what is added to it."""
    if turn.thinking:
        added = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(turn.thinking)]
        signed = {"type": "signature_delta", "signature": sign(turn.thinking)}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*added, signed]
    if turn.text:
        texts = [{"type": "text_delta", "text": piece} for piece in pieces(turn.text)]
        yield {"type": "text", "text": ""}, texts
    for index, call in enumerate(turn.calls):
        begins = {"type": "tool_use", "id": call_id(call, place, index), "name": call.name}
        parts = [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ("", *pieces(arguments_text(call)))
        ]
        yield begins | {"input": {}}, parts


def _completion(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> bytes:
    content: list[dict[str, Any]] = []
    if turn.thinking:
        signature = sign(turn.thinking)
        content.append({"type": "thinking", "thinking": turn.thinking, "signature": signature})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    for index, call in enumerate(turn.calls):
        used = {"type": "tool_use", "id": call_id(call, place, index), "name": call.name}
        content.append(used | {"input": json.loads(arguments_text(call))})
    whole = _message(turn, request, place, _usage(counted, counted.completion))
    return json.dumps(whole | {"content": content, "stop_reason": _stop(turn)}).encode()


def _stream(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> list[bytes]:
    begin = _message(turn, request, place, _usage(counted, 1))
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begin}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(_blocks(turn, place)):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": _stop(turn), "stop_sequence": None}
    usage = {"output_tokens": counted.completion}
    events += [{"type": "message_delta", "delta": stop, "usage": usage}, {"type": "message_stop"}]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


def _error(message: str) -> bytes:
    error = {"type": "invalid_request_error", "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_scripted"}).encode()


def _overflow(prompt: int, answer: int, allowed: int) -> bytes:
    if prompt > allowed:
        return _error(f"prompt is too long: {prompt} tokens > {allowed} maximum")
    return _error(
        f"input length and `max_tokens` exceed context limit: {prompt} + {answer} > {allowed},"
        " decrease input length or `max_tokens` and try again"
    )


ANTHROPIC = Dialect(
    path="/v1/messages",
    violations=violations,
    completion=_completion,
    stream=_stream,
    refusal=_error,
    overflow=_overflow,
    marks=True,
)
