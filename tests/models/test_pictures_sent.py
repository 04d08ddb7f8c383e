"""Pictures of tool results on the wire: who gets them, and where they stand."""

from __future__ import annotations

import asyncio
import base64
import random
import zlib
from typing import Any

import pytest
from test_anthropic_route import EVENTS, anthropic_server

from mlintern_jupyter.context.window import PICTURES_SENT, Window
from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.events import EffectSettled, Replied
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Message, ToolCall, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.models.playbook.planner import Playbook
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import fold
from mlintern_jupyter.testing.script import Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
TOOL = ToolSpec("plot", "Plot.", {"type": "object", "properties": {}})
SEEING, BLIND = "openai/gpt-4o", "openai/scripted"


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png(grey: int, said: bytes = b"") -> str:
    """A PNG of one pixel, with a comment."""
    head = chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]))
    text = chunk(b"tEXt", b"Comment\0" + said) if said else b""
    data = chunk(b"IDAT", zlib.compress(bytes([0, grey])))
    whole = b"\x89PNG\r\n\x1a\n" + head + text + data + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def conversation(*results: tuple[str, ...]) -> tuple[Message, ...]:
    """One reply that called a tool for each of the results, which held these pictures."""
    calls = tuple(ToolCall(f"c{n}", "plot", "{}") for n in range(len(results)))
    answers = (
        Message("tool", f"cell {n} done\n[image/png 1 kB]", call_id=f"c{n}", images=images)
        for n, images in enumerate(results)
    )
    return (Message("system", "Look."), Message("user", "go"), Message("assistant", "", calls),
            *answers)  # fmt: skip


def ask(name: str, base_url: str, messages: tuple[Message, ...]) -> tuple[LitellmModel, str]:
    plan = resolve(name, api_base=base_url, price=None, env={})
    model = LitellmModel(plan, RetryPolicy(first_wait_s=0.01, restarts=1))
    said: list[str] = []
    asyncio.run(model.complete(View(messages, (TOOL,), 64), said.append))
    return model, "".join(said)


def sent(name: str, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    # `on`: the script's first turn is for a conversation that has begun already.
    with ScriptedServer([Turn("I see.", on="e")]) as server:
        ask(name, server.base_url, messages)
        return server.requests[0].body["messages"]


def urls(message: dict[str, Any]) -> list[str]:
    return [p["image_url"]["url"] for p in message["content"] if p["type"] == "image_url"]


def test_the_pictures_of_a_reply_follow_its_last_result_in_a_message_of_the_user() -> None:
    first, second, third = png(1), png(2), png(3)
    later = Message("user", "The person steered.")
    messages = sent(SEEING, (*conversation((first, second), (), (third,)), later))
    roles = [message["role"] for message in messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "tool", "user"]
    assert [m["content"] for m in messages[3:6]] == [
        f"cell {n} done\n[image/png 1 kB]" for n in range(3)
    ]
    assert urls(messages[6]) == [f"data:image/png;base64,{p}" for p in (first, second, third)]
    assert [p["text"] for p in messages[6]["content"] if p["type"] == "text"] == [
        "[pictures (2) of the result: cell 0 done]",
        "[pictures (1) of the result: cell 2 done]",
        "The person steered.",
    ]


def test_a_model_that_cannot_see_is_sent_the_text_alone() -> None:
    messages = sent(BLIND, conversation((png(1),)))
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool"]
    assert "[image/png 1 kB]" in messages[-1]["content"]


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        (SEEING, True),
        ("anthropic/claude-sonnet-4-5", True),
        ("gemini/gemini-2.5-pro", True),
        ("deepseek/deepseek-chat", False),
        ("ollama/llava", False),
        (BLIND, False),
    ],
)
def test_who_sees_is_read_from_litellms_list_and_the_unknown_do_not(name: str, sees: bool) -> None:
    plan = resolve(name, api_base="http://127.0.0.1:9/v1", price=None, env={})
    assert LitellmModel(plan).sees is sees


def test_the_playbook_does_not_see() -> None:
    assert Playbook().sees is False


def test_pictures_go_through_anthropics_dialect_behind_the_results() -> None:
    picture = png(1)
    with anthropic_server(len(EVENTS)) as (base_url, seen):
        ask("anthropic/claude-sonnet-4-5", base_url, conversation((picture,), ()))
    answer = seen[0]["messages"][-1]
    assert answer["role"] == "user"
    assert [part["type"] for part in answer["content"]] == [
        "tool_result",
        "tool_result",
        "text",
        "image",
    ]
    source = answer["content"][-1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": picture}
    assert answer["content"][-1]["cache_control"] == {"type": "ephemeral"}


def test_a_server_that_refuses_the_pictures_is_asked_without_them_from_then_on() -> None:
    refusal = Fault(status=400, body='{"error": {"message": "image input is not supported"}}')
    with ScriptedServer([Turn("Fine.", faults=(refusal,), on="e")]) as server:
        model, said = ask(SEEING, server.base_url, conversation((png(1),)))
        bodies = [request.body["messages"] for request in server.requests]
    assert [m[-1]["role"] for m in bodies] == ["user", "tool"]
    assert "without them" in said
    assert model.sees is False


def test_a_refusal_of_a_request_without_pictures_stays_one() -> None:
    refusal = Fault(status=400, body='{"error": {"message": "no"}}')
    with ScriptedServer([Turn("later", faults=(refusal,), on="e")]) as server:
        with pytest.raises(ModelFailed, match="refused"):
            ask(SEEING, server.base_url, conversation(()))
        assert len(server.requests) == 1
        ask(SEEING, server.base_url, conversation(()))


def test_only_the_newest_pictures_of_the_conversation_are_kept_in_view() -> None:
    window = Window("Look.", None)
    messages = conversation((png(1), png(2)), (png(3),), (png(4), png(5)), (png(6),))[1:]
    shown = [m.images for m in window.view(messages, ()).messages if m.role == "tool"]
    assert shown == [(), (png(3),), (png(4), png(5)), (png(6),)]
    assert sum(map(len, shown)) == PICTURES_SENT
    shown = [m.images for m in window.view((*messages, *messages[-1:]), ()).messages]
    assert shown[-5:] == [(), (), (png(4), png(5)), (png(6),), (png(6),)]


def test_a_picture_counts_as_so_many_tokens_however_long_its_spelling() -> None:
    def tokens(*results: tuple[str, ...]) -> int:
        window = Window("Look.", None)
        return window.tokens(window.view(conversation(*results)[1:], ()))

    long = "A" * 900_000
    assert tokens((long, png(1))) - tokens(()) == 2 * TOKENS_PER_PICTURE
    window, many = Window("Look.", None), conversation((long,) * 2, (long,) * 2, (long,) * 2)[1:]
    for size in range(2, len(many) + 1):
        counted = window.tokens(window.view(many[:size], ()))
        assert counted == Window("Look.", None).tokens(window.view(many[:size], ()))


def test_a_picture_that_spells_a_secret_is_broken_by_the_scrub_and_then_not_sent() -> None:
    token = "hf_" + "Ab3" * 12
    leaking, harmless = png(1, token.encode()), png(2)
    scrubbed = Scrubber({"HF_TOKEN": token}).data({"images": (leaking, harmless)})["images"]
    assert scrubbed[0] != leaking
    assert scrubbed[1] == harmless
    assert urls(sent(SEEING, conversation(scrubbed))[-1]) == [f"data:image/png;base64,{harmless}"]
    assert sent(SEEING, conversation(scrubbed[:1]))[-1]["role"] == "tool"


def test_the_scrub_leaves_other_pictures_as_they_are() -> None:
    noise = zlib.compress(bytes(range(256)) * 4000, 0)
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + noise).decode()
    environ = {"OPENAI_API_KEY": "sk-" + "Ab3" * 12, "HF_TOKEN": "hf_" + "Ab3" * 12}
    assert Scrubber(environ).data((picture,)) == (picture,)


def test_a_picture_passes_through_the_record_to_the_message_that_answers_the_call(tmp_path) -> None:
    noise = random.Random(0).randbytes(90_000)
    picture = base64.b64encode(base64.b64decode(png(1)) + noise).decode()
    ledger = Ledger.create(tmp_path / "run", Scrubber({}))
    ledger.commit(Replied(1, "", (ToolCall("c1", "plot", "{}"),), "tool_calls", "m"))
    ledger.commit(EffectSettled(1, "c1", "plot", True, "cell done", images=(picture,)))
    ledger.close()
    assert (tmp_path / "run" / "ledger.jsonl").stat().st_size < 10_000
    answer = fold(Ledger.view(tmp_path / "run").facts).messages[-1]
    assert (answer.text, answer.images) == ("cell done", (picture,))
