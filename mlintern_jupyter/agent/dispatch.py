"""Carrying out tool calls: validate, judge, ask, intend, do, settle; each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.errors import ToolError, TurnError
from mlintern_jupyter.events import (
    Activity,
    Answered,
    Asked,
    EffectIntended,
    EffectSettled,
    Fact,
    Signal,
)
from mlintern_jupyter.messages import ToolCall, ToolResult
from mlintern_jupyter.policy.gate import Gate, Ruling
from mlintern_jupyter.protocols import Effect, Grant, Tool, Toolbox, ToolContext
from mlintern_jupyter.record.conversation import Conversation

TRUNCATED = (
    "This call was not carried out: the reply was cut off at its length limit, so its arguments"
    " may be incomplete. Send it again, shorter or in parts."
)
UNKNOWN = (
    "This call was begun before the session was interrupted, and its end is not known. It was not"
    " made again: look whether it had its effect before you repeat it."
)
AT_ONCE = 6
"""Reading calls of one reply that are carried out side by side."""


@dataclass
class Dispatch:
    """Takes the calls of one reply through the gate and to their tools.

    Calls that only read are carried out side by side, up to the next one that does more; those are
    carried out alone and in order.
    """

    toolbox: Toolbox
    gate: Gate
    ask_person: Callable[[Asked], Awaitable[Answered]]
    """Waits for the person's word; no clock runs meanwhile."""
    context: Callable[[ToolCall], ToolContext]
    conversation: Callable[[], Conversation]
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    guards: Guards
    clock: Callable[[], float]
    """Seconds of working time: it stands still while a person is waited for."""
    agent: str = ""
    _counted: float = field(default=0.0, init=False)
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def carry_out(
        self, calls: Sequence[ToolCall], step: int, *, truncated: bool = False
    ) -> None:
        """Answer every call with a result the model can act on.

        Raises:
            TurnError: something that no answer to the model can mend; calls side by side with the
                one that raised it are finished first.
        """
        self._counted = self.clock()
        together: list[ToolCall] = []
        for call in tuple(calls):
            if truncated:
                self._settle(call, step, ToolResult(TRUNCATED, ok=False))
            elif self._only_reads(call):
                together.append(call)
            else:
                await self._side_by_side(together, step)
                together = []
                await self._one(call, step)
        await self._side_by_side(together, step)

    def _only_reads(self, call: ToolCall) -> bool:
        try:
            tool = self.toolbox.find(call.name)
            return tool.terms(tool.bind(call.arguments)).effects == frozenset[Effect](("read",))
        except ToolError:
            return False

    async def _side_by_side(self, calls: Sequence[ToolCall], step: int) -> None:
        ended = await asyncio.gather(*(self._one(c, step) for c in calls), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _one(self, call: ToolCall, step: int) -> None:
        async with self._places:
            result = await self._result(call, step)
        self._settle(call, step, result)

    def _settle(self, call: ToolCall, step: int, result: ToolResult) -> None:
        # Of calls side by side each counts the time that none before it has counted.
        now = self.clock()
        settled = EffectSettled(
            step=step,
            call=call.id,
            tool=call.name,
            ok=result.ok,
            text=result.text,
            facts=result.facts,
            seconds=round(now - self._counted, 3),
            images=result.images,
            sources=result.sources,
            whole=result.whole,
            agent=self.agent,
        )
        self._counted = now
        self.commit(settled)
        self.guards.saw(settled, call.arguments)

    async def _result(self, call: ToolCall, step: int) -> ToolResult:
        try:
            if refusal := self.guards.refusal(call):
                raise ToolError(refusal)
            tool = self.toolbox.find(call.name)
            arguments = tool.bind(call.arguments)
            if call.id in self.conversation().intended and not tool.resumes:
                return ToolResult(UNKNOWN, {"effect": "unknown"}, ok=False)
            ruling = self.gate.judge(tool.terms(arguments), arguments)
            grant = await self._grant(call, step, arguments, ruling)
            self.commit(
                EffectIntended(
                    step, call.id, call.name, arguments, grant.sha256, ruling.sources, self.agent
                )
            )
            self.signal(Activity(call.name))
            return await self._in_time(tool, self.context(call), grant, arguments)
        except ToolError as error:
            return ToolResult(_encodable(str(error)), ok=False)
        except TurnError:
            raise
        except Exception as error:  # noqa: BLE001
            # A tool is a plug-in boundary: whatever it raises must not take the turn down.
            return ToolResult(
                _encodable(f"{call.name} failed: {type(error).__name__}: {error}"),
                facts={"tool_error": type(error).__name__},
                ok=False,
            )

    async def _grant(
        self, call: ToolCall, step: int, arguments: dict[str, Any], ruling: Ruling
    ) -> Grant:
        """The grant for a call: from the rules, or from the person."""
        if ruling.verdict == "allow":
            return self.gate.grant(ruling)
        if ruling.verdict == "deny":
            raise ToolError(f"{call.name} was not allowed", why=ruling.why)
        terms = ruling.terms
        question = Asked(
            step, call.id, terms.tool, arguments, tuple(sorted(terms.effects)), ruling.why,
            terms.price_usd, terms.visibility, ruling.sha256, ruling.sources, self.agent,
            terms.hosts, terms.keys,
        )  # fmt: skip
        self.commit(question)
        self.signal(Activity(f"waiting for a yes to {terms.tool}"))
        answered = await self.ask_person(question)
        if not answered.yes:
            raise ToolError(f"the person refused {terms.tool}", why=answered.reason)
        return self.gate.grant_answered(ruling, answered, question)

    async def _in_time(
        self, tool: Tool, ctx: ToolContext, grant: Grant, arguments: dict[str, Any]
    ) -> ToolResult:
        limit = asyncio.timeout(tool.timeout_s)
        try:
            async with limit:
                return await tool(ctx, grant, **arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ToolError(
                f"{tool.spec.name} took longer than {tool.timeout_s:g} s and was stopped",
                do="ask for less at once, or do it in a cell",
            ) from None


def _encodable(text: str) -> str:
    """One half of a character would break every later request."""
    return text.encode("utf-8", "replace").decode("utf-8")
