"""Calls that are malformed and tools that misbehave: cases B01 to B13.

Once each, through a whole intern; tests/tools/test_bad_arguments.py puts them before every tool.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from engine_rig import Engine, plan, sent, told, tool

from mlintern_jupyter.events import Asked
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools.base.schema import Within

BIG = 5_000_000


async def take(
    ctx: ToolContext, timeout_s: float, rows: Annotated[int, Within(0, 100)], name: str = ""
) -> str:
    """Take some rows.

    Args:
        timeout_s: how long
        rows: how many
    """
    return f"took {rows}"


async def look(ctx: ToolContext) -> str:
    """Look at something."""
    return "seen"


async def explode(ctx: ToolContext) -> str:
    """Look at something that breaks."""
    raise ZeroDivisionError("boom")


async def flood(ctx: ToolContext) -> str:
    """Look at something that is very long."""
    return "HEAD" + "x" * BIG + "TAIL"


async def half(ctx: ToolContext) -> str:
    """Look at something with half a character in it."""
    return "before \ud800 after"


async def odd(ctx: ToolContext, what: str) -> Any:
    """Look at something that is no text.

    Args:
        what: which kind of thing
    """
    circle: list[Any] = []
    circle.append(circle)
    mapping: dict[Any, Any] = {1: b"\xff", "nan": float("nan")}
    mapping["self"] = mapping
    return {
        "bytes": b"\xff\x00 raw",
        "none": None,
        "list": circle,
        "dict": mapping,
        "object": object(),
        "number": 10**5000,
    }[what]


async def hang(ctx: ToolContext) -> str:
    """Look at something that never comes."""
    await asyncio.Event().wait()
    return "never"


def goes_on(intern: Engine, *calls: Call) -> list[str]:
    """The calls in one reply, then an answer: the turn goes on; what the model was told of each."""
    with ScriptedServer([Turn(calls=calls), Turn(calls=(plan("next"),)), Turn("Done.")]) as server:
        end = intern.run(server)
        assert len(server.requests) == 3
        answers = [m for m in sent(server, 1) if m["role"] == "tool"]
        assert len(answers) == len(calls)
    assert (end.outcome, end.summary) == ("completed", "Done.")
    assert intern.settled("plan")[-1].ok, "the call after it works"
    return [str(m["content"]) for m in answers]


def refused(intern: Engine, arguments: str, said_about_it: str) -> None:
    """The call is answered with what is wrong, nothing is done, and the next call works."""
    (said,) = goes_on(intern, Call("plan", arguments))
    assert said_about_it in said
    assert intern.begun() == ["plan"]
    assert [f.ok for f in intern.settled()] == [False, True]


def test_B01_arguments_that_are_a_list(intern: Engine) -> None:
    refused(intern, '[{"step": "a", "state": "done"}]', "must be one JSON object")


def test_B02_arguments_that_are_a_text(intern: Engine) -> None:
    refused(intern, '"{\\"items\\": []}"', "must be one JSON object")


def test_B03_arguments_that_are_null(intern: Engine) -> None:
    refused(intern, "null", "must be one JSON object")


def test_B04_arguments_that_are_empty(intern: Engine) -> None:
    refused(intern, "", "needs items")


def test_B05_an_unknown_tool_is_answered_with_those_there_are(intern: Engine) -> None:
    for said in goes_on(intern, Call("search_web", {"q": "x"}), Call("", {}), Call("plan.x", {})):
        for name in ("plan", "write_cell", "read_notebook"):
            assert name in said
    assert intern.begun() == ["plan"]


def test_B06_empty_and_repeated_ids_stay_paired(intern: Engine) -> None:
    intern.tools = [tool(take)]
    ids = ("", "", "same", "same", "call_1_0", "call_1_0", " ", "é")
    goes_on(intern, *(Call("take", {"rows": n, "timeout_s": 1}, id=i) for n, i in enumerate(ids)))
    answers = intern.settled("take")
    assert len({a.call for a in answers}) == len(ids)
    assert [a.text.partition("\n")[0] for a in answers] == [f"took {n}" for n in range(len(ids))]


def test_B07_an_unknown_parameter_is_refused_and_named(intern: Engine) -> None:
    intern.tools = [tool(look)]
    (said,) = goes_on(intern, Call("look", {"deeply": True}))
    assert '"deeply"' in said
    assert "look" not in intern.begun()


WRONG_VALUES = {
    '{"timeout_s": "forever", "rows": 1}': "timeout_s",
    '{"timeout_s": 1, "rows": -5}': "rows",
    '{"timeout_s": 1, "rows": 101}': "rows",
    '{"timeout_s": 1, "rows": 1.5}': "rows",
    '{"timeout_s": 1, "rows": true}': "rows",
    '{"timeout_s": NaN, "rows": 1}': "NaN",
    '{"timeout_s": -Infinity, "rows": 1}': "Infinity",
    '{"timeout_s": 1e309, "rows": 1}': "timeout_s",
    '{"timeout_s": 1, "rows": 1, "rows": 2}': "rows",
    '{"timeout_s": 1, "rows": 1, "name": null}': "name",
    '{"timeout_s": 1, "rows": 1, "name": "\\ud800"}': "name",
    '{"name": ' + "[" * 20_000 + "]" * 20_000 + "}": "nested too deeply",
}


def test_B08_wrong_values_are_refused_before_anything(intern: Engine) -> None:
    # Asked about by nobody, although its effect would have to be: it is refused before.
    intern.tools = [tool(take, effects=frozenset({"publish"}))]
    said = goes_on(intern, *(Call("take", arguments) for arguments in WRONG_VALUES))
    for answer, (arguments, named) in zip(said, WRONG_VALUES.items(), strict=True):
        assert answer.startswith("take: "), answer[:200]
        assert named in answer.partition(" ")[2], (arguments[:60], answer[:200])
    assert "take" not in intern.begun()
    assert intern.facts(Asked) == []


def test_B09_a_tool_that_raises_takes_nothing_down(intern: Engine) -> None:
    intern.tools = [tool(explode), tool(look)]
    exploded, seen = goes_on(intern, Call("explode"), Call("look"))
    assert "ZeroDivisionError: boom" in exploded
    assert [(f.tool, f.ok) for f in intern.settled()][:2] == [("explode", False), ("look", True)]
    assert "Traceback" not in exploded + seen + intern.type("%intern status")


def test_B10_five_megabytes_are_shown_by_head_and_tail_and_kept_whole(intern: Engine) -> None:
    intern.tools = [tool(flood)]
    (said,) = goes_on(intern, Call("flood"))
    assert said.startswith("HEAD")
    assert "TAIL" in said
    assert len(said) < 40_000
    assert b"x" * BIG in intern.bytes(), "the whole of it is nowhere"


def test_B11_half_a_character_does_not_brick_the_session(intern: Engine) -> None:
    intern.tools = [tool(half)]
    turns = [Turn(calls=(Call("half"),)), Turn("Done."), Turn("Again.")]
    with ScriptedServer(turns) as server:
        assert intern.run(server).summary == "Done."
        (answer,) = [m["content"] for m in sent(server) if m["role"] == "tool"]
        assert answer.startswith("before ")
        session = intern.session.state.session
        # A later turn of the same session sends all of it once more, and the record can be read.
        again = intern.run(server, f"--session {session}", words="and once more")
        assert "before " in told(server)
    assert again.summary == "Again."
    assert intern.state().turn == 2


def test_B12_a_tool_that_returns_no_text(intern: Engine) -> None:
    intern.tools = [tool(odd)]
    kinds = ("bytes", "none", "list", "dict", "object", "number")
    said = goes_on(intern, *(Call("odd", {"what": what}) for what in kinds))
    settled = intern.settled("odd")
    assert [fact.ok for fact in settled] == [True] * len(kinds), [fact.text for fact in settled]
    assert all(answer.strip() for answer in said)
    json.dumps(said).encode()


def test_B13_a_tool_that_hangs_is_stopped_and_the_next_works(intern: Engine) -> None:
    intern.tools = [tool(hang, timeout_s=0.2), tool(look)]
    said = goes_on(intern, Call("hang"), Call("look"))
    assert "took longer than 0.2 s" in "".join(said)
    assert {f.tool: f.ok for f in intern.settled()} == {"hang": False, "look": True, "plan": True}


def test_B13_and_can_be_stopped_before_its_time(intern: Engine) -> None:
    intern.tools = [tool(hang, timeout_s=600.0)]
    with ScriptedServer([Turn(calls=(Call("hang"),))]) as server:
        intern.start(server)
        intern.until(lambda: "hang" in intern.begun())
        intern.type("%intern stop")
        end = intern.ended()
        assert len(server.requests) == 1
    assert end.outcome == "interrupted"
    (settled,) = intern.settled("hang")
    assert "stopped" in settled.text
