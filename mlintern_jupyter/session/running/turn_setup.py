"""What a turn works with, once ``wiring`` has made it."""

from __future__ import annotations

from dataclasses import dataclass

from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.tools.base.toolbox import TurnToolbox


@dataclass(frozen=True)
class TurnSetup:
    """What a turn works with, and what people may want to know of it."""

    agent: Agent
    toolbox: TurnToolbox
    notes: tuple[str, ...] = ()
    """Said on the run card beside what stands there."""
