"""Carrying out tool calls: validate, review, intend, do, settle; each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.errors import ToolError, TurnError
from mlintern_jupyter.events import Activity, EffectIntended, EffectSettled, Fact, Signal
from mlintern_jupyter.messages import ToolCall, ToolResult
from mlintern_jupyter.protocols import Tool, Toolbox, ToolContext, Verdict

TRUNCATED = (
    "This call was not carried out: the reply was cut off at its length limit, so its arguments"
    " may be incomplete. Send it again, shorter or in parts."
)


@dataclass
class Dispatch:
    """Takes the calls of one reply through the gate and to their tools, in order."""

    toolbox: Toolbox
    review: Callable[[Tool, dict[str, Any]], tuple[Verdict, str]]
    context: Callable[[ToolCall, dict[str, Any]], ToolContext]
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    guards: Guards
    clock: Callable[[], float]
    """Seconds of working time: it stands still while a person is waited for."""

    async def carry_out(
        self, calls: Sequence[ToolCall], step: int, *, truncated: bool = False
    ) -> None:
        """Answer every call with a result the model can act on.

        Raises:
            TurnError: something that no answer to the model can mend.
        """
        for call in calls:
            started = self.clock()
            if truncated:
                result = ToolResult(TRUNCATED, ok=False)
            else:
                result = await self._one(call, step)
            settled = EffectSettled(
                step=step,
                call=call.id,
                tool=call.name,
                ok=result.ok,
                text=result.text,
                facts=result.facts,
                seconds=round(self.clock() - started, 3),
                images=result.images,
            )
            self.commit(settled)
            self.guards.saw(settled, call.arguments)

    async def _one(self, call: ToolCall, step: int) -> ToolResult:
        try:
            tool = self.toolbox.find(call.name)
            arguments = tool.bind(call.arguments)
            verdict, reason = self.review(tool, arguments)
            if verdict != "allow":
                raise ToolError(f"{call.name} was not allowed", why=reason)
            self.commit(EffectIntended(step, call.id, call.name, arguments))
            self.signal(Activity(call.name))
            return await tool(self.context(call, arguments), **arguments)
        except ToolError as error:
            return ToolResult(str(error), ok=False)
        except TurnError:
            raise
        except Exception as error:  # noqa: BLE001
            # A tool is a plug-in boundary: whatever it raises must not take the turn down.
            return ToolResult(
                f"{call.name} failed: {type(error).__name__}: {error}",
                facts={"tool_error": type(error).__name__},
                ok=False,
            )
