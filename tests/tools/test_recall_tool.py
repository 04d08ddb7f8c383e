"""The tool that brings back what the window no longer shows."""

import asyncio
import json

import pytest

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import CellProposed, CellStarted, EffectSettled, Replied
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.tools.notebook.recall import HITS, PAGE, RecallTools

LONG = "def train():\n    return 1\n" * 900


def recall(whole="", **arguments):
    talk = Conversation()
    talk.say("Make it add numbers.")
    for number in range(1, 41):
        source = LONG if number == 3 else f"print({number})"
        call = ToolCall(f"c{number}", "write_cell", json.dumps({"source": source}))
        talk.replied(Replied(number, f"Trying {number}.", (call,), "tool_calls", "m"))
        text = f"cell k{number} done\naccuracy 0.{number:02d} on dev\nzebra" * (number == 7 or 1)
        text += "\nthe word quokka stands here" if number == 9 else ""
        talk.settled(EffectSettled(number, call.id, "write_cell", True, text))
        if number == 5:
            talk.say("Please keep batch size small.")
    ran = CellStarted("k3", "", "lr = 1e-6\n")
    cells = {"k3": CellRecord(CellProposed("k3", "c3", "script", "code", "lr = 1e-4\n"), ran)}
    sources = {"c9": ("mcp:x",)}
    tools = RecallTools(
        lambda: talk, lambda: cells, lambda call: sources.get(call, ()), lambda _: whole
    )
    return asyncio.run(tools.recall(None, **arguments))


def test_a_step_comes_back_whole_with_what_was_said_after_it():
    text = recall(step=5).text
    for part in ("step 5", "Trying 5.", '{"source": "print(5)"}', "accuracy 0.05", "batch size"):
        assert part in text
    assert "Trying 6." not in text


def test_a_call_comes_back_in_pages_that_name_the_next():
    first = recall(call="c3")
    assert len(first.text) < PAGE + 100
    assert f"go on with first={PAGE}]" in first.text
    pages, start = [first.text[:PAGE]], PAGE
    while "go on with first=" in (text := recall(call="c3", first=start).text):
        pages.append(text[:PAGE])
        start += PAGE
    whole = "".join([*pages, text])
    assert json.dumps({"source": LONG}) in whole
    assert whole.endswith("zebra")


def test_an_answer_that_was_cut_for_the_model_comes_back_uncut():
    text = recall(call="c2", whole="all of it, to the end").text
    assert "all of it, to the end" in text
    assert "accuracy" not in text


def test_words_find_the_step_that_has_the_rarest_of_them():
    found = recall(query="the accuracy near the word quokka")
    first = found.text.split("\n")[0]
    assert first.startswith("step 9, call c9: ")
    assert "quokka" in first
    assert len(found.text.split("\n")) <= HITS
    assert "mcp:x" in found.sources


def test_the_words_in_just_that_order_come_first():
    found = recall(query="accuracy 0.07 on dev")
    assert found.text.split("\n")[0].startswith("step 7, call c7: ")
    assert "accuracy 0.07 on dev" in found.text.split("\n")[0]


def test_words_find_what_the_person_said_and_changed():
    assert recall(query="batch size").text.startswith("said after step 5: Please keep batch size")
    edit = recall(query="what did the person change: lr").text.split("\n")[0]
    assert edit.startswith("edit of the person, cell k3: ")
    assert "`lr = 1e-4` became `lr = 1e-6`" in edit


def test_what_was_not_trusted_once_is_not_trusted_when_it_comes_back():
    assert recall(call="c9").sources == ("mcp:x",)
    assert recall(step=9).sources == ("mcp:x",)
    assert recall(call="c8").sources == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "one of step, call or query"),
        ({"step": 1, "call": "c1"}, "one of step, call or query"),
        ({"step": 99}, "steps 1 to 40"),
        ({"step": -1}, "there is no step -1"),
        ({"call": "nope"}, "there is no call 'nope'"),
        ({"call": "c1", "first": 10**6}, "from 0 on"),
    ],
)
def test_a_wrong_question_is_answered_with_the_right_ones(arguments, said):
    with pytest.raises(ToolError) as caught:
        recall(**arguments)
    assert said in str(caught.value)


def test_words_that_stand_nowhere_are_said_to():
    assert recall(query="xylophone").text == "nothing fits 'xylophone'"
