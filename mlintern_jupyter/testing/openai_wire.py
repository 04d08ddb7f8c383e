"""OpenAI's chat completions, as a server speaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlintern_jupyter.testing.dialect import Counted, Dialect
from mlintern_jupyter.testing.script import Turn, arguments_text, call_id, pieces
from mlintern_jupyter.testing.strict import violations


def _calls(turn: Turn, place: int) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": call_id(call, place, index),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call)},
        }
        for index, call in enumerate(turn.calls)
    ]


def _usage(counted: Counted) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": counted.prompt,
        "completion_tokens": counted.completion,
        "total_tokens": counted.prompt + counted.completion,
    }
    if counted.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": counted.cached}
    return usage


def _finish(turn: Turn) -> str:
    return turn.finish or ("tool_calls" if turn.calls else "stop")


def _completion(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.calls:
        message["tool_calls"] = [
            {key: value for key, value in call.items() if key != "index"}
            for call in _calls(turn, place)
        ]
    answer = {
        "id": f"scripted-{place}",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(turn)}],
        "usage": _usage(counted),
    }
    return json.dumps(answer).encode()


def _stream(turn: Turn, request: Mapping[str, Any], place: int, counted: Counted) -> list[bytes]:
    head = {
        "id": f"scripted-{place}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": request["model"],
    }

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"reasoning_content": piece}) for piece in pieces(turn.thinking)]
    chunks += [chunk({"content": piece}) for piece in pieces(turn.text)]
    for call in _calls(turn, place):
        arguments: str = call["function"]["arguments"]
        # As real servers do: id and name only in the first fragment of an index.
        chunks.append(
            chunk({"tool_calls": [call | {"function": call["function"] | {"arguments": ""}}]})
        )
        chunks += [
            chunk({"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]})
            for piece in pieces(arguments)
        ]
    chunks.append(chunk({}, _finish(turn)))
    if turn.count_tokens and request.get("stream_options") == {"include_usage": True}:
        chunks.append(head | {"choices": [], "usage": _usage(counted)})
    events = [f"data: {json.dumps(item)}\n\n".encode() for item in chunks]
    return [*events, b"data: [DONE]\n\n"] if turn.done_marker else events


def _error(message: str, code: str | None = None) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def _overflow(prompt: int, answer: int, allowed: int) -> bytes:
    return _error(
        f"This model's maximum context length is {allowed} tokens. However, you requested"
        f" {prompt + answer} tokens ({prompt} in the messages, {answer} in the completion).",
        "context_length_exceeded",
    )


OPENAI = Dialect(
    path="/v1/chat/completions",
    violations=lambda body, _: violations(body),
    completion=_completion,
    stream=_stream,
    refusal=_error,
    overflow=_overflow,
    marks=False,
)
