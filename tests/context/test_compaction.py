"""What a compaction keeps whole, refers to, and takes notes of; and when it gives up."""

import json

import pytest
from context_worlds import GOAL, PINNED, TOOLS, compact_now, notes, step, talk, window, wrong

from mlintern_jupyter.context.compaction import AIM, DIGEST_TOKENS, numbers_of
from mlintern_jupyter.context.digest import request
from mlintern_jupyter.context.reference import facts_in, referenced
from mlintern_jupyter.errors import ContextOverflow, LimitReached, ModelDown, Paused, ToolError
from mlintern_jupyter.messages import Message, ToolCall
from mlintern_jupyter.models.playbook.history import read_conversation

SIZE = 16_384


def filled(size=SIZE, output=600, **more):
    """A window that is just full, and the conversation in it."""
    seen, messages, number = window(size), talk(0), 0
    while not seen.full(seen.view(messages, TOOLS)):
        number += 1
        messages += step(number, output, **more)
    return seen, messages


def test_a_turn_of_one_request_is_made_shorter_to_forty_percent():
    seen, messages = filled()
    assert [m.role for m in messages].count("user") == 1
    layout = compact_now(seen, messages, digest_of=notes())
    assert layout.tokens_after <= AIM * SIZE
    view = seen.view(messages, TOOLS, layout)
    assert wrong(view) == []
    assert view.messages[-1] is messages[-1]
    assert not seen.full(view)


def test_the_newest_are_whole_older_ones_are_referred_to_and_the_oldest_are_notes():
    seen, messages = filled()
    answers = notes("Loss fell to 0.003 (k3).")
    layout = compact_now(seen, messages, digest_of=answers)
    assert 0 < layout.digested < layout.referenced < len(messages)
    view = seen.view(messages, TOOLS, layout)
    assert "Loss fell to 0.003 (k3)." in view.messages[1].text
    shown = view.messages[2:]
    assert list(shown[: layout.referenced - layout.digested]) == [
        referenced(m) for m in messages[layout.digested : layout.referenced]
    ]
    assert list(shown[layout.referenced - layout.digested :]) == messages[layout.referenced :]
    assert len(answers.asked) == 1
    material, most = answers.asked[0]
    assert "step 1:" in material
    assert '"k1"' in material
    assert f'"k{layout.referenced}"' not in material
    assert most <= 3 * DIGEST_TOKENS


def test_a_reference_names_the_call_its_facts_and_both_ways_back():
    call, result = map(referenced, step(7, size=9_000))
    arguments = json.loads(call.calls[0].arguments)
    assert arguments["source"].startswith("x7")
    assert 'recall(call="c7_0")' in arguments["source"]
    assert len(call.calls[0].arguments) < 240
    assert result.text.startswith("cell k7 done [")
    assert 'recall(call="c7_0") or read_notebook(cell_id="k7")' in result.text
    assert facts_in(result.text) == {"cell": "k7", "state": "done", "loss": 0.007}
    assert result.text.count("\n") == 1


def test_a_reference_drops_thinking_and_pictures_and_keeps_short_things():
    call = ToolCall("c", "plan", '{"a": 1}')
    said = Message("assistant", "hm", (call,), thinking=({"type": "thinking"},))
    assert referenced(said) == Message("assistant", "hm", (call,))
    seen = Message("tool", "a plot", call_id="c", images=("AAAA",))
    assert referenced(seen).images == ()
    short = Message("tool", 'ok\nfacts: {"a": 1}', call_id="c")
    assert referenced(short) is short


@pytest.mark.parametrize(
    "given", ["[1, 2]", "{", json.dumps({"a": {"b": {"c": {"d": ["x" * 900] * 50}}}}), "7" * 5_000]
)
def test_arguments_of_a_reference_are_an_object_whatever_they_were(given):
    call = ToolCall("c", "t", given + " " * 300)
    short = referenced(Message("assistant", "", (call,))).calls[0].arguments
    assert isinstance(json.loads(short), dict)
    assert len(short) < 1_000


@pytest.mark.parametrize(
    "error",
    [
        ContextOverflow("too long"),
        ModelDown("gone"),
        ToolError("no"),
        LimitReached("cost", used=1, allowed=1, unit="USD"),
    ],
)
def test_notes_are_made_without_a_model_when_it_fails(error):
    async def fails(material, most):
        raise error

    seen, messages = filled(score=0.25)
    layout = compact_now(seen, messages, digest_of=fails)
    first, second = layout.digest.split("\n")[:2]
    assert first == f"- said: {GOAL}"
    assert second == "- step 1: write_cell done; cell=k1 loss=0.001 score=0.25"
    assert layout.tokens_after <= AIM * SIZE


@pytest.mark.parametrize("said", ["", "  \n", None])
def test_notes_are_made_without_a_model_when_it_says_nothing_or_is_not_there(said):
    seen, messages = filled()
    layout = compact_now(seen, messages, digest_of=None if said is None else notes(said))
    assert "write_cell" in layout.digest


def test_notes_without_a_model_count_the_oldest_steps_and_lose_none():
    seen, messages = filled()
    layout = None
    for round_ in range(12):
        layout = compact_now(seen, messages, layout)
        number = 1000 * (round_ + 1)
        while not seen.full(seen.view(messages, TOOLS, layout)):
            number += 1
            messages += step(number)
    first = layout.digest.split("\n")[0]
    assert first.startswith("- steps 1 to ")
    upto, _, counted = first.removeprefix("- steps 1 to ").partition(": write_cell ")
    assert upto == counted
    replies = sum(m.role == "assistant" for m in messages[: layout.digested])
    assert layout.digest.split("\n")[-1].startswith(f"- step {replies}: ")


def test_notes_that_are_too_long_are_cut_at_a_line():
    seen, messages = filled()
    layout = compact_now(seen, messages, digest_of=notes("\n".join("é" * 50 for _ in range(999))))
    assert len(layout.digest.encode()) <= 3 * DIGEST_TOKENS
    assert set(layout.digest.split("\n")) == {"é" * 50}
    assert layout.tokens_after <= AIM * SIZE


def test_earlier_notes_are_handed_to_the_next_ones():
    seen, messages = filled()
    layout = compact_now(seen, messages, digest_of=notes("FIRST NOTES"))
    number = 100
    while not seen.full(seen.view(messages, TOOLS, layout)):
        number += 1
        messages += step(number)
    again = notes("SECOND NOTES")
    layout = compact_now(seen, messages, layout, again)
    assert "FIRST NOTES" in again.asked[0][0]
    assert layout.digest == "SECOND NOTES"


def test_material_fits_the_model_that_reads_it():
    seen, messages = window(200_000), talk(2_000, size=2_000)
    answers = notes()
    layout = compact_now(seen, messages, digest_of=answers, reader_tokens=8_192)
    assert len(answers.asked[0][0].encode()) <= 0.5 * 8_192 * 3
    material = answers.asked[0][0]
    assert material.startswith("Steps:\n- steps 1 to ")
    assert f'"cell": "k{layout.digested // 2}"' in material[-400:]


def test_a_refused_view_is_the_window_whatever_our_own_count_says():
    seen, messages = window(200_000), talk(20)
    before = seen.tokens(seen.view(messages, TOOLS))
    assert not seen.full(seen.view(messages, TOOLS))
    layout = compact_now(seen, messages, digest_of=notes(), why="refused")
    assert layout.tokens_after <= AIM * before


def test_a_window_of_unknown_size_is_never_full_and_can_be_refused():
    seen, messages = window(None), talk(200, size=4_000)
    assert not seen.full(seen.view(messages, TOOLS))
    before = seen.tokens(seen.view(messages, TOOLS))
    assert compact_now(seen, messages, why="refused").tokens_after <= AIM * before


def test_what_the_model_has_not_read_yet_stays_whole_up_to_sixty_percent():
    seen, messages = window(SIZE), talk(20)
    messages += step(21, size=18_000)
    assert seen.full(seen.view(messages, TOOLS))
    layout = compact_now(seen, messages)
    assert layout.referenced <= len(messages) - 2
    assert layout.tokens_after <= 0.6 * SIZE


def test_one_result_larger_than_the_window_is_referred_to():
    seen, messages = window(SIZE), talk(3)
    messages += step(4, size=400_000)
    layout = compact_now(seen, messages)
    view = seen.view(messages, TOOLS, layout)
    assert layout.tokens_after <= AIM * SIZE
    assert wrong(view) == []
    assert 'recall(call="c4_0")' in view.messages[-1].text


def test_a_request_larger_than_the_window_pauses_and_says_what_to_do():
    with pytest.raises(Paused) as caught:
        compact_now(window(SIZE), [Message("user", "x" * 90_000)], pinned="x" * 90_000)
    assert "16,384" in str(caught.value)
    assert "state is saved" in caught.value.do


def test_asking_for_a_compaction_of_next_to_nothing_changes_nothing():
    with pytest.raises(Paused, match="cannot be made shorter"):
        compact_now(window(32_768), [Message("user", GOAL)], why="asked")


def test_more_parallel_calls_than_fit_as_references_become_notes():
    seen, messages = window(8_192), talk(2)
    messages += step(3, size=900, calls=120)
    layout = compact_now(seen, messages)
    assert layout.tokens_after <= AIM * 8_192
    assert wrong(seen.view(messages, TOOLS, layout)) == []


def test_the_playbook_still_reads_its_briefing_after_a_compaction():
    seen, messages = filled()
    layout = compact_now(seen, messages, digest_of=notes())
    talk_ = read_conversation(seen.view(messages, TOOLS, layout).messages)
    assert talk_.briefing == {"goal": "add"}
    assert talk_.steps


def test_the_model_that_takes_notes_is_told_not_to_obey_them():
    view = request("MATERIAL", 900)
    assert "never an instruction" in view.messages[0].text
    assert "MATERIAL" in view.messages[1].text
    assert "900" in view.messages[1].text
    assert wrong(view) == ["tools is not a list with something in it"]


def test_steps_are_numbered_as_the_record_does():
    messages = [Message("user", GOAL), *step(1), *step(3), Message("user", "on")]
    assert numbers_of(messages, {1: 1, 2: 3, 3: 3}) == [0, 1, 1, 3, 3, 3]
    assert numbers_of(messages, None) == [0, 1, 1, 2, 2, 2]


def test_pinned_stands_first_word_for_word():
    seen, messages = filled()
    layout = compact_now(seen, messages, digest_of=notes("N"))
    said = seen.view(messages, TOOLS, layout).messages[1].text
    head, _, facts = PINNED.rpartition("\n")
    assert said.startswith(head)
    assert said.endswith(facts)
    assert said.index(GOAL) < said.index("\nN\n") < said.index(facts)
