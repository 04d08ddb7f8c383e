"""Whatever the conversation is: a view is one that a strict server takes, and fits."""

from dataclasses import replace

import pytest
from context_worlds import GOAL, PINNED, TOOLS, compact_now, conversations, notes, window, wrong
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlintern_jupyter.context.compaction import AIM, UNREAD
from mlintern_jupyter.errors import Paused

SIZES = st.sampled_from([4_096, 8_192, 32_768, 200_000])
relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def parts(messages):
    """Every place at which no call is open: what a view can be asked for."""
    open_calls, found = set(), []
    for at, message in enumerate(messages):
        open_calls |= {call.id for call in message.calls}
        open_calls.discard(message.call_id)
        if not open_calls:
            found.append(at + 1)
    return found


@relaxed
@given(conversations())
def test_every_view_without_compaction_is_valid_where_the_model_is_to_answer(messages):
    seen = window(None)
    for end in parts(messages):
        view = seen.view(messages[:end], TOOLS, None, "12 steps left")
        assert wrong(view) == []
        assert view.messages[-1].passing


@relaxed
@given(conversations(), SIZES, st.sampled_from(["full", "refused", "asked"]))
def test_a_compacted_view_is_valid_smaller_and_keeps_the_goal(messages, size, why):
    seen = window(size)
    before = seen.tokens(seen.view(messages, TOOLS))
    try:
        layout = compact_now(seen, messages, digest_of=notes(), why=why)
    except Paused:
        return
    view = seen.view(messages, TOOLS, layout, "left: 3")
    assert wrong(view) == []
    assert GOAL in view.messages[1].text
    assert view.messages[1].text.endswith(PINNED.rpartition("\n")[2])
    assert seen.tokens(seen.view(messages, TOOLS, layout)) == layout.tokens_after < before
    assert layout.tokens_before == before
    assert layout.digested <= layout.referenced <= len(messages)
    assert {0, layout.digested, layout.referenced} <= {0, *parts(messages)}


@relaxed
@given(conversations(), SIZES)
def test_a_full_window_is_brought_down_to_its_share_or_the_turn_pauses(messages, size):
    seen = window(size)
    try:
        layout = compact_now(seen, messages, digest_of=notes())
    except Paused:
        return
    fixed = seen.tokens(seen.view((), TOOLS, layout))
    replies = [at for at, m in enumerate(messages) if m.role == "assistant"]
    unread = replies[-1] if replies else len(messages)
    most = UNREAD if layout.referenced <= unread < len(messages) else AIM
    # Where instructions, tools and pinned alone take more, a twentieth is left for the rest.
    assert layout.tokens_after <= max(most * size, fixed + 0.05 * size + 2)
    assert not seen.full(seen.view(messages, TOOLS, layout)) or layout.tokens_after > AIM * size


@relaxed
@given(conversations(), conversations(most=10), SIZES, st.booleans())
def test_two_compactions_in_a_row_only_move_forward(first, second, size, by_model):
    seen = window(size)
    answers = notes() if by_model else None
    second = list(rename(second))
    try:
        one = compact_now(seen, first, digest_of=answers, why="asked")
        both = [*first, *second]
        two = compact_now(seen, both, one, digest_of=answers, why="asked")
    except Paused:
        return
    assert two.digested >= one.digested
    assert two.referenced >= one.referenced
    assert wrong(seen.view(both, TOOLS, two)) == []
    assert GOAL in seen.view(both, TOOLS, two).messages[1].text
    if two.digested:
        assert two.digest


def rename(messages):
    for message in messages:
        calls = tuple(replace(call, id=f"second_{call.id}") for call in message.calls)
        answered = message.call_id and f"second_{message.call_id}"
        yield replace(message, calls=calls, call_id=answered)


@relaxed
@given(conversations(), SIZES)
def test_the_prefix_stays_the_same_from_step_to_step(messages, size):
    seen = window(size)
    try:
        layout = compact_now(seen, messages, digest_of=notes(), why="asked")
    except Paused:
        layout = None
    start = layout.referenced if layout else 0
    previous = ()
    for end in [end for end in parts(messages) if end >= start]:
        view = seen.view(messages[:end], TOOLS, layout, f"at {end}")
        steady = view.messages[:-1]
        assert steady[: len(previous)] == previous
        previous = steady


@pytest.mark.parametrize("context_tokens", [None, 4_096, 32_768])
def test_the_answer_always_has_room(context_tokens):
    view = window(context_tokens).view((), TOOLS)
    assert view.max_output_tokens == min(8192, (context_tokens or 10**9) // 5)
