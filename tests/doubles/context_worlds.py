"""Conversations for the tests of the window: made ones, and any that hypothesis can think of."""

from __future__ import annotations

import asyncio
import json

from hypothesis import strategies as st

from mlintern_jupyter.context.compaction import compacted
from mlintern_jupyter.context.meter import Meter
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.messages import Message, ToolCall, ToolSpec
from mlintern_jupyter.models.litellm.dialect import messages_json, tools_json
from mlintern_jupyter.testing.strict import violations

GOAL = "Make the model add two numbers. Never touch the held-out file."
PINNED = f'The goal, in the person\'s words:\n{GOAL}\n\nfacts: {{"goal": "add"}}'
TOOLS = (
    ToolSpec(
        "write_cell",
        "Writes a cell.",
        {"type": "object", "properties": {"source": {"type": "string"}}, "required": []},
    ),
)


def step(number: int, size: int = 600, calls: int = 1, **facts: object) -> list[Message]:
    """A reply with calls, and their results of about ``size`` characters."""
    made = tuple(
        ToolCall(f"c{number}_{at}", "write_cell", json.dumps({"source": f"x{number}\n" * 100}))
        for at in range(calls)
    )
    said = {"cell": f"k{number}", "state": "done", "loss": number / 1000, **facts}
    result = f"cell k{number} done\n{'out ' * (size // 4)}\nfacts: {json.dumps(said)}"
    answers = [Message("tool", result, call_id=call.id) for call in made]
    return [Message("assistant", f"Step {number}.", made), *answers]


def talk(steps: int, size: int = 600, calls: int = 1) -> list[Message]:
    """One request and so many steps: the single-prompt turn."""
    return [
        Message("user", GOAL),
        *(message for n in range(1, steps + 1) for message in step(n, size, calls)),
    ]


def window(context_tokens: int | None, system: str = "You are an intern.") -> Window:
    """A window with a meter of its own."""
    return Window(system, context_tokens, Meter(), "m")


def wrong(view) -> list[str]:
    """What a strict server has against a view."""
    body = {"model": "m", "messages": messages_json(view.messages), "max_tokens": 1}
    body |= {"stream": False, "tools": tools_json(view.tools)}
    return violations(body)


def compact_now(seen, messages, layout=None, digest_of=None, *, why="full", pinned=PINNED, **more):
    """One compaction, and the fact it makes."""
    job = compacted(seen, messages, TOOLS, layout, pinned, digest_of, step=1, why=why, **more)
    return asyncio.run(job)


def notes(text="The intern tried things; loss 0.5."):
    """A model that always makes the same notes; what it was given is kept."""
    asked: list[tuple[str, int]] = []

    async def digest_of(material: str, max_chars: int) -> str:
        asked.append((material, max_chars))
        return text

    digest_of.asked = asked
    return digest_of


_TEXT = st.one_of(
    # Half characters too; blank space alone is the dialect's to replace.
    st.text(st.characters(), max_size=60).filter(lambda text: not text or text.strip()),
    st.sampled_from(["", "\ud800", "facts: {", 'x\nfacts: {"cell": "k1", "state": "done"}']),
    st.integers(1, 40_000).map(lambda size: "word " * (size // 5)),
)
_ARGUMENTS = st.one_of(
    _TEXT,
    _TEXT.map(lambda text: json.dumps({"source": text, "deep": {"a": [text] * 9}})),
    st.sampled_from(["[1]", "null", "{", '{"a": NaN}', '{"a":' * 300 + "1" + "}" * 300]),
)


@st.composite
def conversations(draw, most=25):
    """A request, then replies with any number of calls, answers in any order, words between."""
    messages = [Message("user", draw(_TEXT) or "go")]
    for number in range(draw(st.integers(0, most))):
        count = draw(st.integers(0, 3))
        calls = tuple(
            ToolCall(f"c{number}_{at}", draw(st.sampled_from(["write_cell", "no such/tool"])), args)
            for at, args in enumerate(draw(st.tuples(*[_ARGUMENTS] * count)))
        )
        messages.append(Message("assistant", draw(_TEXT), calls))
        answers = [Message("tool", draw(_TEXT), call_id=call.id) for call in calls]
        messages += draw(st.permutations(answers))
        if not calls or draw(st.booleans()):
            messages.append(Message("user", draw(_TEXT) or "on"))
    return messages
