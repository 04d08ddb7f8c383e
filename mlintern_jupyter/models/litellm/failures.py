"""What went wrong when a model was asked, how often it may, and what the person is told.

Judged from the wire (`stream_watch`) by status and type, never by words in a message: a 400 that
mentions "429 items" is a 400.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from mlintern_jupyter.errors import ContextOverflow, ModelDown, ModelFailed, Paused, TurnError
from mlintern_jupyter.models.litellm.stream_watch import StreamWatch
from mlintern_jupyter.models.names import ModelPlan
from mlintern_jupyter.usage import Usage

_OVERFLOW_CODES = frozenset({"context_length_exceeded"})
_OVERFLOW_TYPES = frozenset({"exceed_context_size_error", "request_too_large"})
"""llama.cpp's, and Anthropic's."""
_STATUS_OF = {"server_error": 500, "rate_limit_exceeded": 429, "insufficient_quota": 429} | (
    dict.fromkeys(("invalid_prompt", "invalid_image", "invalid_base64_image"), 400)
)
"""What the codes of an error inside a stream of the Responses API would be before it."""
_RESUME = "then `%intern resume`; nothing that was done is lost"


@dataclass(frozen=True)
class RetryPolicy:
    """How long one call is waited for, in seconds, and how often it is made again."""

    silence_s: float = 120.0
    """Longest silence between two pieces of an answer. A server of one's own gets five times this:
    it may read a long prompt on a CPU; and so does the Responses API: its models think unheard."""
    total_s: float = 1800.0
    """Longest answer."""
    first_wait_s: float = 1.0
    """First wait before asking again; doubled each time."""
    longest_wait_s: float = 120.0
    """Longest single wait, also when the server asks for more."""
    give_up_s: float = 600.0
    """Longest waiting altogether for a server that is busy."""
    retries: int = 5
    """How often a server that is down is asked again."""
    restarts: int = 2
    """How often an answer that cannot be used is asked for again."""


class Unusable(Exception):
    """This attempt gave nothing; ``kind`` says how often it may.

    ``busy``, ``down``, ``cut`` and ``empty`` are asked again; ``refused`` (400, 422) only in
    another form (`request.RequestOptions`).
    """

    def __init__(
        self,
        kind: str,
        what: str,
        *,
        why: str = "",
        do: str = "",
        retry_after_s: float | None = None,
        param: str = "",
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.why = why
        self.do = do
        self.param = param
        self.charged = Usage()
        """What the attempt used as far as anybody can tell."""
        self.retry_after_s = retry_after_s


def judge(plan: ModelPlan, watch: StreamWatch, error: Exception, *, overflow: bool) -> Exception:
    """What an exception of litellm really means, from what was seen on the wire.

    ``overflow``: litellm raised its ContextWindowExceededError. It decides so from the words of a
    400; Anthropic, vLLM and Gemini say it in words alone, so there is nothing better to go by.
    """
    status = watch.status
    if watch.unplanned:
        return ModelFailed(
            f"{plan.name} was not asked: the request would have gone to {watch.unplanned}",
            why="a key only goes to the server it is for",
            do="name that server with --api-base if it is the right one",
        )
    if status is None:
        if watch.broken is None:
            return ModelFailed(f"{plan.name} could not be asked", why=str(error)[:1000])
        return Unusable("down", f"{_where(plan)} does not answer", why=_reason(watch.broken))
    if status == 200:
        return incomplete(plan, watch) or Unusable(
            "cut", f"{plan.name} sent an answer that cannot be read", why=_reason(error)
        )
    if status < 400:
        return _redirected(plan, watch)
    return _by_status(plan, watch, status, overflow=overflow)


def _by_status(plan: ModelPlan, watch: StreamWatch, status: int, *, overflow: bool) -> Exception:
    said = watch.server_message()
    if status in {401, 402, 403}:
        return _refused(plan, status, said)
    if status in {429, 529}:
        what = f"{_where(plan)} is too busy for us ({status})"
        return Unusable("busy", what, why=said, retry_after_s=_retry_after_s(watch))
    if status in {408, 409} or status >= 500:
        what = f"{_where(plan)} has a problem of its own ({status})"
        return Unusable("down", what, why=said, retry_after_s=_retry_after_s(watch))
    if overflow or status == 413 or _says_overflow(watch):
        return _overflow(plan, said)
    what = f"{_where(plan)} refused the request ({status})"
    if status in {400, 422}:
        return Unusable("refused", what, why=said, param=watch.error_param)
    do = "check the name after --model" if status == 404 else ""
    if do and plan.api_base and not plan.listed:
        do += f" and the address, {plan.api_base} (most end in /v1)"
    return ModelFailed(what, why=said, do=do)


def _says_overflow(watch: StreamWatch) -> bool:
    return watch.error_code in _OVERFLOW_CODES or watch.error_type in _OVERFLOW_TYPES


def _overflow(plan: ModelPlan, said: str) -> ContextOverflow:
    return ContextOverflow(
        f"the conversation no longer fits into {plan.name}",
        why=said,
        do="use a model with a larger context, or start the server with one; then `%intern resume`",
    )


def _redirected(plan: ModelPlan, watch: StreamWatch) -> Unusable:
    return Unusable(
        "cut",
        f"{_where(plan)} sends us on to {watch.redirect or 'another place'} ({watch.status})",
        why="redirects are not followed: key and conversation would go there; it may be a login "
        "page of the network",
        do="if it is the right server, name it with --api-base; then `%intern resume`",
    )


def incomplete(plan: ModelPlan, watch: StreamWatch) -> Exception | None:
    """Why a stream that ended without complaint is still not an answer; ``None`` when it is."""
    if watch.status is None:
        return ModelFailed(f"{plan.name} was asked past our watch, so its answer is not used")
    if watch.complete:
        return None
    if watch.stream_error is not None:
        if _says_overflow(watch):
            return _overflow(plan, watch.server_message())
        code = watch.error_code
        status = int(code) if code.isdecimal() else _STATUS_OF.get(code, 0)
        if 400 <= status < 600:
            return _by_status(plan, watch, status, overflow=False)
        return Unusable("busy", f"{_where(plan)} broke off", why=watch.server_message())
    if watch.is_web_page:
        why = "a web page came back: a login page of the network, or a wrong address"
        return Unusable("cut", f"{_where(plan)} is not answering as an API", why=why)
    if watch.is_compressed:
        return ModelFailed(
            f"{_where(plan)} compresses its answers, so their end cannot be checked",
            do="switch compression off for text/event-stream in the proxy before the server",
        )
    why = _reason(watch.broken) if watch.broken else "the stream ended before its end marker"
    return Unusable("cut", f"the answer of {plan.name} was cut off", why=why)


def _refused(plan: ModelPlan, status: int, said: str) -> Paused:
    if status == 402:
        return Paused(
            f"{_where(plan)} wants to be paid first (402)", why=said, do=f"add credit, {_RESUME}"
        )
    if plan.key_variable is None:
        do = "use a prefix with a key of its own (e.g. vllm/<model> with HOSTED_VLLM_API_KEY)"
        return Paused(f"{_where(plan)} wants a key ({status})", do=f"{do}, {_RESUME}")
    what = f"{_where(plan)} does not accept the key in {plan.key_variable} ({status})"
    # What a server says about a wrong key often holds part of it.
    why = "" if status == 401 else said
    do = f"put a valid key from {plan.get_key} into {plan.key_variable}, {_RESUME}"
    return Paused(what, why=why, do=do)


class RetryWaits:
    """How often one call was tried and how long it was waited for."""

    def __init__(self, patience: RetryPolicy, plan: ModelPlan) -> None:
        self._patience = patience
        self._plan = plan
        self._waited_s = 0.0
        self._count: dict[str, int] = {}

    def next(self, trouble: Unusable, dropped: Usage) -> float:
        """Seconds to wait before asking again. Raises when it is enough.

        Args:
            trouble: of the last attempt.
            dropped: what all attempts so far used.
        """
        patience = self._patience
        tried = self._count[trouble.kind] = self._count.get(trouble.kind, 0) + 1
        backoff_s = patience.first_wait_s * 2 ** min(tried - 1, 30) * random.uniform(0.5, 1.0)
        # Our own back-off is the least: a server that says 0 for ever would never be given up.
        wait_s = min(patience.longest_wait_s, max(backoff_s, trouble.retry_after_s or 0.0))
        allowed = {"down": patience.retries, "cut": patience.restarts, "empty": 1, "refused": 0}
        enough = tried > allowed.get(trouble.kind, tried)
        if enough or self._waited_s + wait_s > patience.give_up_s:
            end = self._end(trouble, tried)
            end.charged = dropped
            raise end from None
        self._waited_s += wait_s
        return wait_s

    def _end(self, trouble: Unusable, tried: int) -> TurnError:
        if trouble.kind == "refused":
            return ModelFailed(trouble.what, why=trouble.why, do=trouble.do)
        what = f"{trouble.what}; asked {tried} times"
        if trouble.kind in {"down", "busy"}:
            wait_s = trouble.retry_after_s
            when = f"wait {wait_s:.0f} s (the server says), " if wait_s else "wait or repair it, "
            if trouble.kind == "down" and self._plan.api_base and self._plan.unmetered:
                when = f"start the server at {self._plan.api_base}, "
            return ModelDown(what, why=trouble.why, do=when + _RESUME)
        again = "`%intern resume` asks again; another model may do better"
        return ModelFailed(what, why=trouble.why, do=trouble.do or again)


def _where(plan: ModelPlan) -> str:
    return f"{plan.name} at {plan.api_base}" if plan.unmetered else plan.name


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")[:300]


def _retry_after_s(watch: StreamWatch) -> float | None:
    """Seconds the server asks for, said as a number or as a date (RFC 9110)."""
    said = watch.headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < 1e7 else None


def chain_has(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error, or what it was raised from, is of a type."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, kind):
            return True
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return False


def scrubbed(error: Exception, key: str | None) -> Exception:
    """The error without the key, wherever a server or a library quoted it."""
    if key and len(key) >= 8:
        for field in ("what", "why", "do"):
            text = getattr(error, field, "")
            if key in text:
                setattr(error, field, text.replace(key, "[key]"))
        error.args = tuple(str(arg).replace(key, "[key]") for arg in error.args)
    return error
