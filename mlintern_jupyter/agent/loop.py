"""One turn of the intern: ask the model, carry out its calls, until it answers without a call.

Limits, approvals, rendering and storage are elsewhere; what the loop needs of them it is handed.
Not here yet: compaction of a full window, sub-agents, calls in parallel.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import (
    Activity,
    Fact,
    Nudged,
    Replied,
    Reserved,
    Settled,
    Signal,
    TextDelta,
)
from mlintern_jupyter.messages import Message, Reply, ToolCall
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.protocols import Model, Toolbox
from mlintern_jupyter.usage import Usage


@dataclass
class Agent:
    """Everything one turn works with. The conversation itself is the fold over the ledger."""

    model: Model
    toolbox: Toolbox
    window: Window
    budget: Budget
    dispatch: Dispatch
    guards: Guards
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    conversation: Callable[[], tuple[Message, ...]]
    pending: Callable[[], tuple[ToolCall, ...]]
    steps_taken: Callable[[], int]
    attention: asyncio.Event
    """Set when the person spoke: lowered when what they said is about to be read."""
    going: asyncio.Event
    """Lowered while the turn is held."""

    async def run_turn(self) -> str:
        """Work until the model answers without a call; returns that answer.

        Raises:
            TurnError: the turn cannot go on; its type tells the outcome.
        """
        await self.dispatch.carry_out(self.pending(), self.steps_taken())
        while True:
            step = self.steps_taken() + 1
            reply = await self.ask(step)
            await self.dispatch.carry_out(reply.calls, step, truncated=reply.stop == "length")
            nudge = self.guards.nudge(reply)
            if nudge is not None:
                self.commit(Nudged(step, *nudge))
            elif not reply.calls:
                return reply.text

    async def ask(self, step: int) -> Reply:
        """One model call, paid for before it is made and committed before it is used."""
        await self.hold()
        self.attention.clear()
        view = self.window.view(self.conversation(), self.toolbox.specs())
        most = Usage(self.window.tokens(view), view.max_output_tokens)
        reserved = self.budget.reserve(most.total, self.cost_usd(most))
        self.commit(Reserved(step, reserved.tokens, reserved.usd))
        self.signal(Activity(f"asking {self.model.name}"))
        started = time.monotonic()
        reply = await self.model.complete(view, lambda text: self.signal(TextDelta(step, text)))
        self.commit(Replied(step, reply.text, reply.calls, reply.stop, reply.model))
        cost = self.cost_usd(reply.usage)
        self.budget.settle(reserved, reply.usage, cost)
        self.commit(Settled(step, reply.usage, cost, time.monotonic() - started))
        return reply

    async def hold(self) -> None:
        """Wait while the person holds the turn; no clock runs meanwhile."""
        if self.going.is_set():
            return
        self.signal(Activity("held"))
        with self.budget.waiting():
            await self.going.wait()

    def cost_usd(self, usage: Usage) -> float | None:
        """Cost of a call; 0 for a model that is not metered, None where the price is unknown."""
        if self.model.unmetered:
            return 0.0
        return None if self.model.price is None else self.model.price.cost_usd(usage)
