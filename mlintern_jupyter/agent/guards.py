"""At most one sentence to the model after a step: a loop, broken arguments, an unfinished plan."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlintern_jupyter.errors import Paused
from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.messages import Reply

REPEATS = 3
"""Identical calls with identical results, one after the other, that are called a loop."""
PATIENCE = 2
"""How often one rule speaks before it gives up, or falls silent."""


@dataclass
class Guards:
    """Watches the results of a turn. Everything it knows comes from what was settled."""

    plan: Callable[[], Sequence[dict[str, str]]]
    calls: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    """(tool, fingerprint of arguments and result, ok) of this turn's calls."""
    spoken: dict[str, int] = field(default_factory=dict[str, int])

    def saw(self, settled: EffectSettled, arguments: str) -> None:
        """Remember one carried-out call."""
        if settled.facts.get("state") in {"proposed", "running"}:
            # It came back early because the person spoke; to wait on with the same call is right.
            return
        # A new cell has a new id; the same cell proposed again is still the same call.
        text = settled.text.replace(str(settled.facts.get("cell") or "\0"), "")
        mark = hashlib.sha256(f"{arguments}\0{text}".encode("utf-8", "replace"))
        self.calls.append((settled.tool, mark.hexdigest()[:16], settled.ok))

    def nudge(self, reply: Reply) -> tuple[str, str] | None:
        """The rule that speaks now and its sentence, or None.

        Raises:
            Paused: the same calls went on after the loop was named ``PATIENCE`` times.
        """
        last = self.calls[-REPEATS:]
        if reply.calls and len(last) == REPEATS and len(set(last)) == 1:
            return self._loop(last[0][0])
        broken = self.calls[-2:]
        same_tool = len(broken) == 2 and broken[0][0] == broken[1][0]
        if reply.calls and same_tool and not any(ok for _, _, ok in broken):
            return self._say(
                "broken call",
                f"Two calls of {broken[0][0]} in a row did not work. Read what came back, call"
                f" manual(tool={broken[0][0]!r}), then try another way.",
            )
        unfinished = [item["step"] for item in self.plan() if item.get("state") != "done"]
        if not reply.calls and unfinished:
            return self._say(
                "unfinished plan",
                f"The plan still has open items, the first is {unfinished[0]!r}. Go on with it, or"
                " update the plan to say why it is dropped.",
            )
        return None

    def _loop(self, tool: str) -> tuple[str, str] | None:
        if self.spoken.get("loop", 0) >= PATIENCE:
            raise Paused(
                f"the intern repeats the same call of {tool} and gets the same result",
                why=f"it was told so {PATIENCE} times and went on",
                do="steer it with `%intern steer <what to do instead>`, then `%intern resume`",
            )
        del self.calls[-REPEATS:]
        return self._say(
            "loop",
            f"The last {REPEATS} calls of {tool} were identical and so were their results. Do"
            " something else: change the approach, or say what is in the way.",
        )

    def _say(self, rule: str, text: str) -> tuple[str, str] | None:
        if rule != "loop" and self.spoken.get(rule, 0) >= PATIENCE:
            return None
        self.spoken[rule] = self.spoken.get(rule, 0) + 1
        return rule, text
