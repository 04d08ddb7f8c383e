"""The conversation of the intern, or of one sub-agent, as a model may be given it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlintern_jupyter.events import (
    AgentEnded,
    AgentStarted,
    Compacted,
    EffectIntended,
    EffectSettled,
    Replied,
)
from mlintern_jupyter.messages import Message, ToolCall

NOT_SETTLED = "The turn ended before this call was settled; whether it had an effect is unknown."
SOURCES_KEPT = 20


@dataclass
class Conversation:
    """Folded from facts alone; without the system prompt, and whole whatever was compacted."""

    messages: list[Message] = field(default_factory=list[Message])
    pending: list[ToolCall] = field(default_factory=list[ToolCall])
    """Calls of the last reply that are not answered yet."""
    intended: dict[str, EffectIntended] = field(default_factory=dict[str, EffectIntended])
    """Pending calls by id that were begun: their effect may have happened."""
    step: int = 0
    """Number of the last model reply."""
    step_at: dict[int, int] = field(default_factory=dict[int, int])
    """Where in ``messages`` the reply of each step stands."""
    layout: Compacted | None = None
    """What is shown shorter; ``None`` before the first compaction."""
    sources: tuple[str, ...] = ()
    """Untrusted text in it since the person spoke last, by where it came from."""
    sources_by_call: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """The same for every answered call that had any."""
    _queued: list[Message] = field(default_factory=list[Message])

    def say(self, text: str) -> None:
        """Something for the model to read; behind the answers of calls that are still open."""
        (self._queued if self.pending else self.messages).append(Message("user", text))

    def trust_again(self) -> None:
        """The person spoke: what was read before is theirs to have judged."""
        self.sources = ()

    def replied(self, fact: Replied) -> None:
        """A reply; its calls are open now."""
        self.answer_rest()
        self.step = fact.step
        self.step_at[fact.step] = len(self.messages)
        if fact.text or fact.calls:
            said = Message("assistant", fact.text, fact.calls, thinking=fact.thinking)
            self.messages.append(said)
        self.pending = list(fact.calls)

    def begun(self, fact: EffectIntended) -> None:
        """A call is being carried out."""
        if any(call.id == fact.call for call in self.pending):
            self.intended[fact.call] = fact

    def settled(self, fact: EffectSettled) -> None:
        """A call is answered."""
        known = dict.fromkeys((*self.sources, *fact.sources))
        self.sources = tuple(known)[-SOURCES_KEPT:]
        if fact.sources:
            self.sources_by_call[fact.call] = fact.sources
        self._answer(fact.call, fact.text, fact.images)

    def compacted(self, fact: Compacted) -> None:
        """Older parts are shown shorter from here on."""
        self.layout = fact

    def answer_rest(self) -> None:
        """Every call that is still open gets an answer: a model is never given half a pair."""
        for call in tuple(self.pending):
            self._answer(call.id, NOT_SETTLED)

    def _answer(self, call_id: str, text: str, images: tuple[str, ...] = ()) -> None:
        found = next((i for i, call in enumerate(self.pending) if call.id == call_id), None)
        if found is None:
            return
        del self.pending[found]
        self.intended.pop(call_id, None)
        self.messages.append(Message("tool", text, call_id=call_id, images=images))
        if not self.pending:
            self.messages.extend(self._queued)
            self._queued.clear()


@dataclass
class AgentRecord:
    """A sub-agent as the record knows it."""

    started: AgentStarted
    conversation: Conversation
    ended: AgentEnded | None = None
