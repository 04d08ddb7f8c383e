from __future__ import annotations

import struct

import httpx
import pytest

from mlintern_jupyter.models.litellm.stream_watch import StreamWatch

OPENAI = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":null}]}\n\n'


def watching(kind: str = "text/event-stream", status: int = 200) -> StreamWatch:
    watch = StreamWatch()
    watch.begin(httpx.Response(status, headers={"Content-Type": kind}))
    return watch


@pytest.mark.parametrize(
    "end",
    [
        b"data: [DONE]\n\n",
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n',
        b'{"message":{},"done":true}\n',
    ],
)
def test_the_end_of_every_dialect_is_seen_wherever_the_bytes_are_cut(end: bytes) -> None:
    data = OPENAI + end
    for place in range(len(data)):
        watch = watching()
        watch.feed(data[:place])
        watch.feed(data[place:])
        watch.end()
        assert watch.complete, place


def test_words_of_an_answer_that_look_like_an_end_are_not_one() -> None:
    watch = watching()
    for text in ("data: [DONE]", '\\"finish_reason\\":\\"stop\\"', "message_stop", "messageStop"):
        watch.feed(OPENAI.replace(b"hi", text.encode()))
    watch.end()
    assert not watch.complete


def test_an_error_inside_a_stream_is_no_end_even_with_done_after_it() -> None:
    watch = watching()
    watch.feed(OPENAI + b'data: {"error":{"message":"overloaded","code":529}}\n\ndata: [DONE]\n\n')
    watch.end()
    assert not watch.complete
    assert watch.server_message() == "overloaded"
    assert watch.error_code == "529"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no"}}', "no"),
        (b'{"error":"no"}', "no"),
        (b'[{"error":{"message":"no"}}]', "no"),
        (b'{"detail":"no"}', "no"),
        (b"plain no", "plain no"),
        (b"", ""),
    ],
)
def test_a_servers_own_words_are_found(body: bytes, message: str) -> None:
    watch = watching("application/json", 400)
    watch.feed(body)
    assert watch.server_message() == message


def test_a_web_page_is_never_quoted() -> None:
    watch = watching("text/html; charset=utf-8", 503)
    watch.feed(b"<html>secret</html>")
    assert watch.is_web_page
    assert watch.server_message() == ""


def frame(name: bytes, payload: bytes) -> bytes:
    headers = b"\x0b:event-type\x07" + struct.pack(">H", len(name)) + name
    total = 12 + len(headers) + len(payload) + 4
    return struct.pack(">III", total, len(headers), 0) + headers + payload + bytes(4)


def test_the_end_of_a_bedrock_stream_is_a_frame_not_a_word() -> None:
    watch = watching("application/vnd.amazon.eventstream")
    for byte in frame(b"contentBlockDelta", b'{"text":"messageStop"}'):
        watch.feed(bytes([byte]))
    assert not watch.complete
    watch.feed(frame(b"messageStop", b'{"stopReason":"end_turn"}'))
    assert watch.complete
