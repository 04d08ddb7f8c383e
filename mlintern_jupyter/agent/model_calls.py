"""One model call: paid for before it is made, and committed before it is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlintern_jupyter.errors import TurnError
from mlintern_jupyter.events import Activity, Fact, Replied, Reserved, Settled, Signal, TextDelta
from mlintern_jupyter.messages import Reply, View
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.protocols import Model
from mlintern_jupyter.usage import CallKind, Usage


@dataclass
class ModelCalls:
    """Asks models for one agent, on one budget."""

    budget: Budget
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    known: Callable[[str], bool]
    """Whether a call of the session has this id already, wherever it stands by now."""
    agent: str = ""
    """Of which sub-agent the facts are; empty: of the intern itself."""

    async def ask(
        self, model: Model, view: View, prompt_tokens: int, step: int, kind: CallKind
    ) -> Reply:
        """The model's reply; one made for the conversation is in the ledger before it is returned.

        Args:
            model: who is asked.
            view: what it is given.
            prompt_tokens: upper estimate of the prompt.
            step: number the reply gets.
            kind: what the call is for; a reply that makes room is no part of the conversation.

        Raises:
            LimitReached: it does not fit into the budget; nothing was asked.
            TurnError: there is no usable reply.
        """
        most = Usage(prompt_tokens, view.max_output_tokens)
        reserved = self.budget.reserve(most.total, cost_usd(model, most), kind)
        try:
            self.commit(Reserved(step, reserved.tokens, reserved.usd, self.agent, kind))
            self.budget.committed(reserved)
            return await self._paid_for(model, view, step, kind)
        finally:
            self.budget.ended(reserved)

    async def _paid_for(self, model: Model, view: View, step: int, kind: CallKind) -> Reply:
        self.signal(Activity(f"asking {model.name}"))
        started = time.monotonic()

        def charge(usage: Usage, *, replied: bool) -> None:
            seconds = time.monotonic() - started
            cost = cost_usd(model, usage)
            self.commit(Settled(step, usage, cost, seconds, replied, self.agent, kind))

        try:
            reply = await model.complete(view, lambda text: self._show(step, kind, text))
        except TurnError as error:
            # What nobody knows stays reserved in the ledger, and so stays counted.
            if error.charged is not None:
                charge(error.charged, replied=False)
            raise
        reply = self._with_unique_ids(reply, step)
        if kind != "compaction":
            self.commit(
                Replied(
                    step, reply.text, reply.calls, reply.stop, reply.model, reply.thinking,
                    self.agent,
                )
            )  # fmt: skip
        charge(reply.usage + reply.dropped, replied=True)
        return reply

    def _with_unique_ids(self, reply: Reply, step: int) -> Reply:
        """No two calls of a session share an id: some servers begin anew with each reply."""
        calls = [
            replace(call, id=f"{self.agent or 's'}-{step}-{at}") if self.known(call.id) else call
            for at, call in enumerate(reply.calls)
        ]
        return replace(reply, calls=tuple(calls))

    def _show(self, step: int, kind: CallKind, text: str) -> None:
        if kind == "main":
            self.signal(TextDelta(step, text))


def cost_usd(model: Model, usage: Usage) -> float | None:
    """Cost of a call; 0 for a model that is not metered, None where the price is unknown."""
    if model.unmetered:
        return 0.0
    return None if model.price is None else model.price.cost_usd(usage)
