"""What a model call used, and what that costs. An unknown cost is ``None``, never zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CallKind = Literal["main", "research", "compaction"]
"""What a model call was for: the intern itself, a sub-agent, making room in a full window."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one model call, or a sum of such."""

    input_tokens: int = 0
    """Prompt tokens, the cached ones included."""
    output_tokens: int = 0
    """Completion tokens, reasoning included."""
    cached_tokens: int = 0
    """Prompt tokens the provider served from its cache."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )

    @property
    def total(self) -> int:
        """Prompt and completion tokens together."""
        return self.input_tokens + self.output_tokens


def dollars(usd: float | None) -> str:
    """A sum for people, no finer than cents unless it is smaller than one; unknown is said."""
    if usd is None:
        return "cost unknown"
    return f"${usd:.2f}" if usd >= 0.005 or usd == 0 else f"${usd:.2g}"


@dataclass(frozen=True)
class Price:
    """What a model charges, in USD per million tokens."""

    input_usd: float
    output_usd: float
    source: str
    """Where the price was read: ``litellm``, ``openrouter`` and the like, or ``--price``."""

    def cost_usd(self, usage: Usage) -> float:
        """Cost of one call in USD; cached tokens are charged in full (an upper bound)."""
        return (
            usage.input_tokens * self.input_usd + usage.output_tokens * self.output_usd
        ) / 1_000_000


@dataclass(frozen=True)
class KindSpent:
    """What the model calls of one kind used. ``usd`` is ``None`` once any part is unknown."""

    calls: int = 0
    usage: Usage = Usage()
    usd: float | None = 0.0


@dataclass(frozen=True)
class Spent:
    """What a session has used so far. ``usd`` is ``None`` once any part of it is unknown."""

    steps: int = 0
    """Replies of the intern itself; those of sub-agents are in ``usage`` and ``usd`` only."""
    usage: Usage = Usage()
    usd: float | None = 0.0
    seconds: float = 0.0
    """Wall-clock seconds of model calls and tool calls; time in which a person was waited for is
    not in it."""
    reserved_usd: float = 0.0
    """Reserved by a call that has not been settled (a crash between counts as spent)."""
    reserved_tokens: int = 0
    """The same in tokens."""


@dataclass(frozen=True)
class Limits:
    """What a session may use. ``None`` means no limit of that kind was set."""

    usd: float | None = None
    hours: float | None = None
    steps: int = 300
    tokens: int | None = None

    def as_text(self) -> str:
        """One line for people, naming only what is set."""
        parts = [f"{self.steps} steps"]
        if self.usd is not None:
            parts.append(dollars(self.usd))
        if self.hours is not None:
            parts.append(f"{self.hours:g} h")
        if self.tokens is not None:
            parts.append(f"{self.tokens:,} tokens")
        return ", ".join(parts)
