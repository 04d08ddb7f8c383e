"""The class and the entry of ``docs/extend/provider.md`` are asked as any other model is."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
from pages import block

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models import names
from mlintern_jupyter.models.factory import make_model
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

PAGE = "provider.md"
VIEW = View((Message("system", "Be brief."), Message("user", "what is said")), (), 64)
KEY = {"EXAMPLE_API_KEY": "example-key-1"}


def test_the_class_is_made_from_its_name_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my_models.py").write_text(block(PAGE, "my_models.py"))
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = names.resolve("my_models:Parrot", api_base=None, price=None, env={})
    model = make_model(plan, env={})
    said: list[str] = []
    asyncio.run(model.probe())
    reply = asyncio.run(model.complete(VIEW, said.append))
    assert (reply.text, reply.stop, said) == ("what is said", "stop", ["what is said"])
    assert model.price is not None
    assert model.price.cost_usd(reply.usage) == pytest.approx(3 * 2.0 / 1_000_000)


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**names.providers(), **tomllib.loads(block(PAGE, "providers.toml"))}
    monkeypatch.setattr(names, "providers", lambda: table)


@pytest.mark.usefixtures("entered")
def test_the_entry_gives_name_address_and_key_or_says_what_to_set():
    plan = names.resolve("example/small-1", api_base=None, price=None, env=KEY)
    assert (plan.api_base, plan.route) == ("https://api.example.org/v1", "openai/small-1")
    assert names.is_planned_host(plan, "https://api.example.org/v1/chat/completions")
    with pytest.raises(UsageError) as caught:
        names.resolve("example/small-1", api_base=None, price=None, env={})
    assert "EXAMPLE_API_KEY is not set" in str(caught.value)
    assert "https://example.org/keys" in str(caught.value)


@pytest.mark.usefixtures("entered")
def test_the_entry_is_asked_on_the_wire():
    with ScriptedServer([Turn("A whole reply.")]) as server:
        env = {"EXAMPLE_API_BASE": server.base_url}
        plan = names.resolve("example/small-1", api_base=None, price=None, env=env)
        reply = asyncio.run(make_model(plan, env=env).complete(VIEW, lambda _: None))
        assert server.requests[0].body["model"] == "small-1"
    assert reply.text == "A whole reply."
