"""One sub-agent at work: the same loop, until it has an answer or has to come to an end.

What it found is never lost. At its cap, at the end of its share of the budget or in a loop it is
asked once for its findings; if it cannot say them any more, its last words and results are the
answer. A model that is down raises through: the transcript is in the record, and the call that
started the sub-agent goes on from there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from mlintern_jupyter.agent.doom_policy import LoopGoesOn
from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.errors import LimitReached, ModelFailed
from mlintern_jupyter.events import EffectSettled, Fact, Nudged, Outcome, Reserved
from mlintern_jupyter.messages import Message
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.record.conversation import Conversation

STEPS = 60
"""Replies of one sub-agent, the one with its findings among them."""
FINDINGS = (
    "Stop here: no more calls. Answer now with everything you found so far, what is sure and what"
    " is not, and what you would have looked at next."
)
NOT_CARRIED_OUT = "This call was not carried out: the work had come to its end."
WRAP_UP = "You are nearly at the end of what you may use: make your last calls, then answer."
TEXT = 12_000
"""Characters of an answer."""
ROWS = 50
ROWS_TEXT = 8_000
"""Characters of all rows as JSON."""
_BLOCK = re.compile(r"```json[ \t]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class AgentResult:
    """What a sub-agent answers."""

    text: str
    outcome: Outcome
    """``completed``, or what kept it from an end."""
    reason: str = ""
    rows: tuple[dict[str, Any], ...] = ()

    @property
    def partial(self) -> bool:
        """Whether it did not come to an end by itself."""
        return self.outcome != "completed"

    def whole(self) -> str:
        """Text and rows in one, as ``found`` takes them apart."""
        if not self.rows:
            return self.text
        return f"{self.text}\n```json\n{json.dumps(self.rows, ensure_ascii=False)}\n```"


@dataclass
class Cap:
    """Ends the work of a sub-agent while it can still pay for the reply with its findings."""

    budget: Budget
    steps: int = STEPS
    lifted: bool = False
    """The findings are asked for now."""
    _last: Reserved | None = field(default=None, init=False)

    def noted(self, fact: Fact) -> None:
        """Learn from its facts how much a reply takes."""
        if isinstance(fact, Reserved) and fact.kind == "research":
            self._last = fact

    def check(self, conversation: Conversation) -> None:
        """Raises ``LimitReached`` when only the reply with the findings is left."""
        if self.lifted:
            return
        if conversation.step >= self.steps - 1:
            raise LimitReached(
                "step", used=conversation.step, allowed=self.steps, unit="steps of a sub-agent"
            )
        last, left = self._last, self.budget.left()
        if last is None:
            return
        limits = self.budget.limits
        if left.tokens is not None and limits.tokens and left.tokens < 2 * last.tokens:
            raise LimitReached(
                "token", used=limits.tokens - left.tokens, allowed=limits.tokens, unit="tokens"
            )
        if left.usd is not None and limits.usd and last.usd and left.usd < 2 * last.usd:
            raise LimitReached("cost", used=limits.usd - left.usd, allowed=limits.usd, unit="USD")


async def run_sub_agent(agent: Agent, cap: Cap) -> AgentResult:
    """Work on the task in the conversation, or go on with it after an interruption.

    Args:
        agent: its model, tools, window and share; ``agent.in_use`` asks the cap before each step.
        cap: when it has to come to an end.

    Raises:
        TurnError: it cannot go on now, but later: the model is down, the record cannot be written.
    """
    said = _earlier_findings(agent.conversation())
    if said is not None:
        return said
    try:
        return agent_result(await agent.run_turn(), "completed")
    except (LimitReached, LoopGoesOn) as end:
        reason = end.what
    except ModelFailed as error:
        return agent_result(so_far(agent.conversation()), "failed", error.what)
    cap.lifted = True
    try:
        text = await _findings(agent)
    except (LimitReached, ModelFailed):
        text = ""
    return agent_result(text or so_far(agent.conversation()), "limit", reason)


def agent_result(text: str, outcome: Outcome, reason: str = "") -> AgentResult:
    """An answer, with the rows of its last JSON block taken out of its text."""
    rows: tuple[dict[str, Any], ...] = ()
    blocks = list(_BLOCK.finditer(text))
    if blocks:
        rows = _rows(blocks[-1][1])
        if rows:
            text = text[: blocks[-1].start()].rstrip() + text[blocks[-1].end() :].rstrip()
    return AgentResult(_clipped(text.strip()), outcome, reason, rows)


def so_far(conversation: Conversation) -> str:
    """The last words of a conversation, and the last results if it said little."""
    words = [m.text.strip() for m in conversation.messages if m.role == "assistant" and m.text]
    results = [m.text.strip() for m in conversation.messages if m.role == "tool"]
    parts = [w for w in words[-5:] if w]
    if results:
        parts += ["The last results it read:", *(r[:1_500] for r in results[-3:])]
    return "\n\n".join(parts)


async def _findings(agent: Agent) -> str:
    talk = agent.conversation()
    # The tools stay in the request: providers refuse a conversation with calls without them.
    step = talk.step + 1
    if not _asks_for_findings(talk.messages[-1]):
        agent.asking.commit(Nudged(step, "findings", FINDINGS, agent.asking.agent))
    reply = await agent.ask(step)
    for call in reply.calls:
        agent.asking.commit(
            EffectSettled(
                step, call.id, call.name, False, NOT_CARRIED_OUT, agent=agent.asking.agent
            )
        )
    return reply.text


def _earlier_findings(conversation: Conversation) -> AgentResult | None:
    """The answer, if only the end was not written down before an interruption."""
    messages = conversation.messages
    requests = [at for at, message in enumerate(messages) if _asks_for_findings(message)]
    if requests and any(m.role == "assistant" for m in messages[requests[-1] :]):
        last = next(m for m in messages[requests[-1] :] if m.role == "assistant")
        return agent_result(last.text or so_far(conversation), "limit", "it came to its cap")
    last = messages[-1]
    if last.role == "assistant" and not last.calls:
        return agent_result(last.text, "completed")
    return None


def _asks_for_findings(message: Message) -> bool:
    return message.role == "user" and message.text == FINDINGS


def _rows(block: str) -> tuple[dict[str, Any], ...]:
    try:
        value: Any = json.loads(block)
    except (ValueError, RecursionError):
        return ()
    items = cast("list[Any]", value if isinstance(value, list) else [value])
    kept: list[dict[str, Any]] = []
    size = 0
    for item in items[:ROWS]:
        if not isinstance(item, dict):
            return ()
        size += len(json.dumps(item))
        if size > ROWS_TEXT:
            break
        kept.append(cast("dict[str, Any]", item))
    return tuple(kept)


def _clipped(text: str) -> str:
    if len(text) <= TEXT:
        return text
    return f"{text[:TEXT]}\n[... {len(text) - TEXT:,} characters left out ...]"
