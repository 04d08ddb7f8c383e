"""The planner that needs no language model: it follows the recipe book and the facts.

It speaks the same protocol as any model: messages in, text and tool calls out. It has no memory.
At every step the course of action is gone through from its beginning, fed with the results that
stand in the conversation, up to the first question that has no answer yet; that question is the
reply. So the reply is a function of the messages and the seed alone, and a resumed session goes on
where it stopped.

It names no task and holds no source of a cell: what it does follows from the facts line of the
briefing and of every tool result, and code comes from the ``recipe`` tool. Not covered: wishes in
plain words, benchmarks that are not folders, papers. It is the baseline an LLM has to beat.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from mlintern_jupyter.messages import Message, Reply, ToolCall, View
from mlintern_jupyter.models.names import PLAYBOOK, ModelPlan
from mlintern_jupyter.models.playbook.course import Course, Improvement
from mlintern_jupyter.models.playbook.history import History, Move, read_conversation
from mlintern_jupyter.usage import Price, Usage

TOOLS = ("plan", "recipe", "write_cell", "evaluate", "compare", "wait_cell")
"""What the playbook cannot do without."""


class Playbook:
    """A Model without a language model.

    Args:
        plan: As ``names.resolve`` made it. ``playbook:7`` sets the seed to 7.
        seed: Breaks ties between recipes and seeds the trainings.
    """

    price: Price | None = None
    unmetered = True
    context_tokens: int | None = None
    sees = False

    def __init__(self, plan: ModelPlan | None = None, seed: int = 0) -> None:
        self.name = plan.name if plan else PLAYBOOK
        said = self.name.partition(":")[2]
        self.seed = int(said) if said.isdecimal() else seed

    async def probe(self) -> None:
        """There is no server to ask."""

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        """The next step of the course."""
        move = next_move(view, self.seed)
        on_text(move.text)
        permanent = sum(not message.passing for message in view.messages)
        calls = tuple(
            ToolCall(f"pb{permanent}-{place}", ask.tool, ask.as_json())
            for place, ask in enumerate(move.asks)
        )
        stop = "tool_calls" if calls else "stop"
        return Reply(move.text, calls, stop, Usage(), self.name)


def next_move(view: View, seed: int) -> Move:
    """What to say and to ask for now."""
    missing = [name for name in TOOLS if name not in {spec.name for spec in view.tools}]
    if missing:
        return Move(
            f"The playbook needs the tools {', '.join(missing)}, and they are not offered here, so"
            " nothing was done. `%intern tools` shows which toolsets are off and how to switch one"
            " on; a language model (`--model`) does without."
        )
    permanent = [message for message in view.messages if not message.passing]
    conversation = read_conversation(permanent)
    move = replayed(Improvement(conversation.briefing, seed).run(), conversation)
    if conversation.unheard:
        return Move(f"{heard(conversation.unheard)}\n\n{move.text}", move.asks)
    return move


def replayed(course: Course[str], conversation: History) -> Move:
    """The first move of the course that the conversation has not seen carried out.

    Steps are recognised by what they asked for, in order; what others said in between is passed
    over.
    """
    at = 0
    try:
        move = next(course)
        while True:
            found = conversation.find(move.asks, at)
            if found is None:
                return move
            at = found + 1
            move = course.send(conversation.steps[found].results)
    except StopIteration as end:
        return Move(str(end.value))


def heard(messages: tuple[Message, ...]) -> str:
    """An answer to words that came in between: repeated, and not understood."""
    said = "; ".join(json.dumps(m.text[:200], ensure_ascii=False) for m in messages)
    return (
        f"I read {said}. The playbook follows facts and does not understand wishes, so this changes"
        " nothing in what I do: press Stop to end, skip or edit a cell, or take a language model"
        " with `--model`."
    )
