"""The scripted server's HTTP side: takes requests of every wire and answers them, or breaks off."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlintern_jupyter.testing.anthropic_wire import ANTHROPIC
from mlintern_jupyter.testing.dialect import Dialect, longest
from mlintern_jupyter.testing.openai_wire import OPENAI
from mlintern_jupyter.testing.responses_wire import RESPONSES
from mlintern_jupyter.testing.script import Fault, Turn
from mlintern_jupyter.testing.served import Decision, Served

_DIALECTS = {dialect.path: dialect for dialect in (OPENAI, RESPONSES, ANTHROPIC)}


class ScriptedHTTPServer(ThreadingHTTPServer):
    """Listens, and knows who is connected."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], state: Served, announced_context_tokens: int | None
    ) -> None:
        self.state = state
        self.announced_context_tokens = announced_context_tokens
        self.open_connections = 0
        self.connections_changed = threading.Condition()
        super().__init__(address, Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Count the connection while it is open."""
        with self.connections_changed:
            self.open_connections += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.connections_changed:
                self.open_connections -= 1
                self.connections_changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of many scripts; anything else is not."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ScriptedHTTPServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing; the record has it."""

    def do_GET(self) -> None:
        """The list of models."""
        if self.path != "/v1/models":
            self._send(404, OPENAI.refusal(f"there is no {self.path}"))
            return
        model: dict[str, Any] = {"id": "scripted", "object": "model"}
        if self.server.announced_context_tokens is not None:
            model["max_model_len"] = self.server.announced_context_tokens
        self._send(200, json.dumps({"object": "list", "data": [model]}).encode())

    def do_POST(self) -> None:
        """One answer of the model."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dialect = _DIALECTS.get(self.path)
        if dialect is None:
            self._send(404, OPENAI.refusal(f"there is no {self.path}"))
            return
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(dialect, self.server.state.take(dialect, body, headers))

    def _answer(self, dialect: Dialect, decision: Decision) -> None:
        request, turn, fault = decision.request, decision.turn, decision.fault
        if request.served == "overflow":
            most, allowed = longest(request.body), self.server.state.context_tokens or 0
            self._send(400, dialect.overflow(request.tokens, most, allowed))
        elif turn is None:
            self._send(400, dialect.refusal("; ".join(request.problems)))
        elif fault is not None and fault.status is not None:
            self._send(fault.status, fault.body.encode(), dict(fault.headers))
        else:
            events, kind = _events(dialect, decision, turn)
            if fault is not None:
                self._send_broken(b"".join(events), kind, fault)
            elif turn.pause_s:
                self._send_slowly(events, kind, turn.pause_s)
            else:
                self._send(200, b"".join(events), {"Content-Type": kind})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, {"Content-Length": str(len(body))} | (headers or {}))
        self.wfile.write(body)

    def _send_slowly(self, events: list[bytes], kind: str, pause_s: float) -> None:
        self._head(200, {"Content-Type": kind})
        for event in events:
            if self.server.state.stopping.wait(pause_s):
                return
            self.wfile.write(event)
            self.wfile.flush()

    def _send_broken(self, answer: bytes, kind: str, fault: Fault) -> None:
        self.close_connection = True
        if fault.cut_after is not None:
            # Without a length, the end of the connection looks like the end of the answer.
            self._head(200, {"Content-Type": kind})
            self.wfile.write(answer[: fault.cut_after])
            self.wfile.flush()
        if fault.hold:
            self._wait_for_client_to_go()
        if fault.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def _wait_for_client_to_go(self) -> None:
        self.connection.settimeout(0.05)
        while not self.server.state.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()


def _events(dialect: Dialect, decision: Decision, turn: Turn) -> tuple[list[bytes], str]:
    """The answer in the pieces it is sent in, and what it is."""
    request, counted = decision.request, decision.counted
    if turn.raw is not None:
        return [turn.raw.encode()], "text/event-stream"
    if request.body.get("stream"):
        return dialect.stream(turn, request.body, request.place, counted), "text/event-stream"
    return [dialect.completion(turn, request.body, request.place, counted)], "application/json"
