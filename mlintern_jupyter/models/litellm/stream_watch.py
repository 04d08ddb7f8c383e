"""Sees, below litellm, whether a streamed answer really came to its end.

litellm 1.106 makes up ``finish_reason="stop"`` when a stream is cut off cleanly, when a captive
portal answers with a web page, and when there are no choices at all, so its word cannot be trusted.
A `Watch` hangs on the HTTP client that is handed to litellm and reads the same bytes: the status,
the headers that matter, the beginning of an error's body, and the end marker of every dialect we
speak. It changes nothing.

The same client keeps a key where it belongs: whatever litellm or the openai client would like to
ask, a request leaves for the allowed address or not at all, and a redirect is never followed.

End markers: OpenAI ``[DONE]`` or a finish reason that is not null (`transformers serve` sends no
``[DONE]``), ``response.completed`` or ``response.incomplete`` of its Responses API, Anthropic
``message_stop``, Gemini ``finishReason``, Ollama ``done``, Bedrock ``messageStop``.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx

_KEPT_ERROR_BYTES = 16_384
_LONGEST_LINE = 4_000_000
_END_TYPES = frozenset({"message_stop", "response.completed", "response.incomplete"})
_BEDROCK_TYPE = "application/vnd.amazon.eventstream"


class StreamWatch:
    """What one attempt to ask a model looked like on the wire."""

    def __init__(self) -> None:
        self.status: int | None = None
        """HTTP status of the last response; ``None``: no server answered (through us)."""
        self.headers: httpx.Headers = httpx.Headers()
        self.counted = False
        """The server said how many tokens were used; else litellm makes a number up."""
        self.complete = False
        """The end marker was seen."""
        self.broken: httpx.TransportError | None = None
        """Why no server answered, or why the bytes stopped."""
        self.error_body = b""
        """The body, or its beginning, when it is not a stream of events."""
        self.stream_error: dict[str, Any] | None = None
        """An error object the server sent inside a stream."""
        self.unplanned = ""
        """Host of a request that was not sent, because it was for somebody else."""
        self.reasoning_details: list[dict[str, Any]] = []
        """OpenRouter's pieces of reasoning; litellm drops those without words, so signatures."""
        self._line = b""

    def begin(self, response: httpx.Response) -> None:
        """A server answers; what an earlier response of this attempt said is forgotten."""
        self.status = response.status_code
        self.headers = response.headers
        self.counted = False
        self.complete = False
        self.error_body = self._line = b""
        self.stream_error = self.broken = None
        self.reasoning_details = []

    def feed(self, data: bytes) -> None:
        """Take note of raw bytes, cut anywhere."""
        # What was answered in one piece tells only as a whole how it ended.
        kept = _LONGEST_LINE if self.status == 200 else _KEPT_ERROR_BYTES
        if len(self.error_body) < kept and not self.is_stream:
            self.error_body += data[:kept]
        if _BEDROCK_TYPE in self.headers.get("content-type", ""):
            self._feed_frames(data)
            return
        self._line += data
        *lines, self._line = self._line.split(b"\n")
        if len(self._line) > _LONGEST_LINE:
            self._line = b""
        for line in lines:
            self._read_line(line)

    def end(self) -> None:
        """The stream ended by itself; a last line may lack its newline."""
        if self._line and _BEDROCK_TYPE not in self.headers.get("content-type", ""):
            self._read_line(self._line)
            self._line = b""
        whole = self._error_object() if self.status == 200 and not self.is_stream else None
        if whole is not None and whole.get("object") == "response":
            self._read_event({"type": f"response.{whole.get('status')}", "response": whole})

    @property
    def is_stream(self) -> bool:
        """Whether the server said that it streams events."""
        kind = self.headers.get("content-type", "").lower()
        return self.status == 200 and any(
            word in kind for word in ("event-stream", "ndjson", "eventstream")
        )

    @property
    def is_web_page(self) -> bool:
        """Whether a web page came where an API should answer (captive portal, wrong address)."""
        return "html" in self.headers.get("content-type", "").lower()

    @property
    def is_compressed(self) -> bool:
        """The server compressed although it was asked not to: the end marker cannot be seen."""
        return self.headers.get("content-encoding", "identity").lower() not in {"", "identity"}

    def server_message(self) -> str:
        """What the server said went wrong, as plain text; empty for web pages and silence."""
        said = self.stream_error
        if said is None and not self.is_web_page:
            said = self._error_object()
            if said is None:
                return self.error_body.decode("utf-8", "replace").strip()[:500]
        return _message(said)[:1000] if said else ""

    @property
    def error_code(self) -> str:
        """The provider's own code of the error, e.g. ``context_length_exceeded``."""
        return self._error_field("code")

    @property
    def error_type(self) -> str:
        """The provider's own type of the error, e.g. ``exceed_context_size_error``."""
        return self._error_field("type")

    @property
    def error_param(self) -> str:
        """The field of the request that the provider objects to, where it names one."""
        return self._error_field("param")

    @property
    def redirect(self) -> str:
        """Host that the server wanted the request sent to instead; empty when it did not."""
        if self.status is None or not 300 <= self.status < 400:
            return ""
        try:
            return httpx.URL(self.headers.get("location", "")).host or "another place"
        except httpx.InvalidURL:
            return "another place"

    def _error_field(self, name: str) -> str:
        inner = _object((self.stream_error or self._error_object() or {}).get("error"))
        return str((inner or {}).get(name) or "")

    def _error_object(self) -> dict[str, Any] | None:
        try:
            said = json.loads(self.error_body)
        except ValueError:
            return None
        return _object(said) or next(iter(_objects(said)), None)

    def _read_line(self, line: bytes) -> None:
        line = line.strip()
        if line.startswith(b"data:"):
            line = line[5:].strip()
        if line == b"[DONE]":
            self.complete = self.stream_error is None
        if not line.startswith(b"{"):
            return
        try:
            event = _object(json.loads(line))
        except ValueError:
            return
        if event is not None:
            self._read_event(event)

    def _read_event(self, event: dict[str, Any]) -> None:
        if error := _failure(event):
            self.stream_error = error
            self.complete = False
            return
        inner = _object(event.get("message")) or _object(event.get("response")) or {}
        used = event.get("usage") or inner.get("usage") or event.get("usageMetadata")
        self.counted |= bool(used) or "prompt_eval_count" in event
        choices = _objects(event.get("choices"))
        for choice in choices:
            delta = _object(choice.get("delta")) or {}
            self.reasoning_details += _objects(delta.get("reasoning_details"))
        finish = any(choice.get("finish_reason") for choice in choices)
        finish |= any(part.get("finishReason") for part in _objects(event.get("candidates")))
        if finish or event.get("type") in _END_TYPES or event.get("done") is True:
            self.complete = self.stream_error is None

    def _feed_frames(self, data: bytes) -> None:
        """AWS event stream: total length, header length, checksum, headers, payload, checksum."""
        self._line += data
        while len(self._line) >= 12:
            total = int.from_bytes(self._line[:4])
            headers = int.from_bytes(self._line[4:8])
            if total < 16 or len(self._line) < total:
                return
            self.counted |= b"metadata" in self._line[12 : 12 + headers]
            if b"messageStop" in self._line[12 : 12 + headers]:
                self.complete = True
            self._line = self._line[total:]


class UnplannedHost(httpx.TransportError):
    """A request for somebody else than the server that is asked."""


class WatchedClient(httpx.AsyncClient):
    """An HTTP client that tells a watch all it sees, and bounds silence by itself.

    litellm and the openai client get it from outside, so neither their connection pools (which
    outlive the event loop they were made in) nor their time limits are in play.
    """

    def __init__(
        self,
        watch: StreamWatch,
        *,
        allowed: Callable[[str], bool],
        silence_s: float,
        direct: bool,
        tls: ssl.SSLContext,
    ) -> None:
        # Compressed bytes would hide the end marker, and a proxy has no business on a private net.
        super().__init__(verify=tls, trust_env=not direct, headers={"Accept-Encoding": "identity"})
        self._watch = watch
        self._allowed = allowed
        self._limits = {"connect": 10.0, "read": silence_s, "write": silence_s, "pool": 10.0}

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request under our limits; the response's bytes pass by the watch.

        Raises:
            Strayed: the request is for an address that is not allowed; nothing was sent.
        """
        if not self._allowed(str(request.url)):
            self._watch.unplanned = request.url.host
            raise UnplannedHost(f"{request.url.host} may not be asked")
        request.extensions = {**request.extensions, "timeout": self._limits}
        stream = options.pop("stream", False)
        try:
            options["follow_redirects"] = False
            response = await super().send(request, stream=True, **options)
        except httpx.TransportError as error:
            self._watch.broken = error
            raise
        self._watch.begin(response)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _WatchedBytes(response.stream, self._watch)
        if not stream or response.is_error:
            # Whoever asked for a stream may throw an error's body away unread; we want to quote it.
            await response.aread()
        return response


class _WatchedBytes(httpx.AsyncByteStream):
    """A response's bytes, passed on unchanged while the watch listens."""

    def __init__(self, inner: httpx.AsyncByteStream, watch: StreamWatch) -> None:
        self._inner = inner
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._watch.feed(data)
                yield data
        except httpx.TransportError as error:
            self._watch.broken = error
            raise
        self._watch.end()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _object(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [found for item in items if (found := _object(item)) is not None]


def _failure(event: dict[str, Any]) -> dict[str, Any] | None:
    """The error an event brings, in the shape that errors have everywhere else."""
    if event.get("error"):
        return event
    if event.get("type") == "response.failed":
        return {"error": (_object(event.get("response")) or {}).get("error") or {}}
    return {"error": event} if event.get("type") == "error" else None


def _message(said: dict[str, Any]) -> str:
    """The message of an error object, whatever the provider calls it."""
    inner = said.get("error")
    if isinstance(inner, str):
        return inner
    for source in (_object(inner) or {}, said):
        for key in ("message", "detail", "msg"):
            if isinstance(source.get(key), str):
                return str(source[key])
    return ""
