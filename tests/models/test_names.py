from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.models import names
from mlintern_jupyter.models.names import (
    ModelPlan,
    is_planned_host,
    is_private,
    key_of,
    litellm_problem,
    resolve,
)
from mlintern_jupyter.usage import Price

KEYS = {key: "k" for provider in names.providers().values() for key in provider["keys"] if key} | {
    "AZURE_API_BASE": "https://mine.openai.azure.com"
}


def plan_for(name: str, api_base: str | None = None, **env: str) -> ModelPlan:
    return resolve(name, api_base=api_base, price=None, env=env)


def test_importing_names_does_not_import_litellm() -> None:
    code = (
        "import sys, mlintern_jupyter.models.names as n\n"
        "n.resolve('playbook', api_base=None, price=None, env={})\n"
        "heavy = {'litellm', 'openai', 'httpx', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["playbook", "playbook:7"])
def test_the_playbook_needs_nothing_and_is_unmetered(name: str) -> None:
    plan = plan_for(name)
    assert plan.name == name
    assert plan.load == "mlintern_jupyter.models.playbook.planner:Playbook"
    assert plan.unmetered


def test_every_provider_in_the_table_resolves_with_its_example() -> None:
    for prefix, provider in names.providers().items():
        plan = resolve(f"{prefix}/some/model", api_base=None, price=None, env=KEYS)
        assert plan.route.endswith("/some/model"), prefix
        assert plan.load.endswith(":LitellmModel")
        assert plan.key_present
        assert provider["example"].startswith(f"{prefix}/")
        assert plan.unmetered == plan.local


@pytest.mark.parametrize(
    ("typed", "route", "asked"),
    [
        ("openai/responses/my/model:8b", "openai/my/model:8b", True),
        ("azure/responses/deployment", "openai/deployment", True),
        ("openai/responses", "openai/responses", False),
        ("openai/responses-model", "openai/responses-model", False),
        ("huggingface/responses/model", "openai/responses/model", False),
    ],
)
def test_a_word_before_the_model_asks_for_the_responses_api(
    typed: str, route: str, asked: bool
) -> None:
    plan = resolve(typed, api_base=None, price=None, env=KEYS)
    assert (plan.name, plan.route, plan.responses) == (typed, route, asked)


def test_a_missing_key_names_the_variable_and_where_to_get_one() -> None:
    with pytest.raises(UsageError) as caught:
        plan_for("anthropic/claude-sonnet-4-5")
    assert "ANTHROPIC_API_KEY" in caught.value.what
    assert "console.anthropic.com" in caught.value.do


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("playbok", "did you mean playbook?"),
        ("antropic/claude-x", "did you mean anthropic/claude-x?"),
        ("claude-sonnet-4-5", "did you mean anthropic/claude-sonnet-4-5?"),
        ("gpt-5.1", "did you mean openai/gpt-5.1?"),
        ("openai", "name a model after the prefix"),
        ("openai/", "name a model after the prefix"),
        ("openai/responses/", "name a model after the prefix"),
        ("zzz/model", "Providers: anthropic"),
        ("", "provider/model"),
    ],
)
def test_an_unknown_name_lists_what_there_is(typed: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(typed, api_base=None, price=None, env=KEYS)
    assert hint in caught.value.do


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1:1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://192.168.0.7:80", True),
        ("http://8.8.8.8/v1", False),
        ("https://api.openai.com/v1", False),
        ("https://localhost.example.com", False),
        ("https://10.0.0.1.example.com", False),
    ],
)
def test_private_addresses_are_known_by_their_spelling(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_a_private_address_needs_no_key_and_never_gets_a_public_providers() -> None:
    plan = plan_for("openai/m", "http://localhost:8000", OPENAI_API_KEY="sk-real")
    assert plan.unmetered
    assert plan.key_variable is None
    assert key_of(plan, {"OPENAI_API_KEY": "sk-real"}) is None
    mine = plan_for("vllm/m", "http://10.0.0.1:8000", HOSTED_VLLM_API_KEY="mine")
    assert key_of(mine, {"HOSTED_VLLM_API_KEY": "mine"}) == "mine"


def test_a_price_that_was_said_makes_a_private_address_metered() -> None:
    price = Price(1, 2, "--price")
    plan = resolve("openai/m", api_base="http://10.0.0.1", price=price, env={})
    assert not plan.unmetered
    assert plan.price == price


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("openai/m", "http://localhost:8000", "http://localhost:8000/v1"),
        ("openai/m", "http://localhost:8000/", "http://localhost:8000/v1"),
        ("openai/m", "http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("openai/m", "http://localhost:8000/api/v3", "http://localhost:8000/api/v3"),
        ("anthropic/m", "http://localhost:8000/v1", "http://localhost:8000"),
        ("ollama/m", None, "http://localhost:11434/v1"),
        ("azure/m", None, "https://mine.openai.azure.com/openai/v1"),
        ("openai/m", "http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ("openai/m", "http://localhost:8000/v1/responses", "http://localhost:8000/v1"),
        ("anthropic/m", "http://localhost:8000/v1/messages", "http://localhost:8000"),
        ("gemini/m", None, "https://generativelanguage.googleapis.com/v1beta"),
        ("gemini/m", "http://localhost:8000/", "http://localhost:8000/v1beta"),
        ("bedrock/m", None, None),
    ],
)
def test_addresses_are_taken_with_or_without_v1(
    name: str, given: str | None, used: str | None
) -> None:
    assert resolve(name, api_base=given, price=None, env=KEYS).api_base == used


@pytest.mark.parametrize("bad", ["localhost:8000", "ftp://x", "http://", "http://h:99999/v1"])
def test_a_bad_address_is_named(bad: str) -> None:
    with pytest.raises(UsageError, match="not the address of a server"):
        plan_for("openai/m", bad)


def test_a_hub_login_will_do_as_the_key(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_abc\n")
    env = {"HF_HOME": str(tmp_path)}
    plan = resolve("huggingface/org/m", api_base=None, price=None, env=env)
    assert plan.key_present
    assert key_of(plan, env) == "hf_abc"
    assert "hf_abc" not in repr(plan)


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_a_malicious_litellm_is_never_imported(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    assert "malicious" in litellm_problem()


@pytest.mark.parametrize(
    ("name", "base", "url", "allowed"),
    [
        ("openai/m", None, "https://api.openai.com/v1/chat/completions", True),
        ("openai/m", None, "https://api.openai.com:443/v1/models", True),
        ("openai/m", None, "http://api.openai.com/v1/chat/completions", False),
        ("openai/m", None, "https://api.openai.com.example.org/v1", False),
        ("openai/m", None, "https://user@example.org/api.openai.com", False),
        ("vllm/m", "http://localhost:8000", "http://localhost:8000/v1/x", True),
        ("vllm/m", "http://localhost:8000", "http://localhost:8001/v1/x", False),
        ("bedrock/m", None, "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m", True),
        ("bedrock/m", None, "http://bedrock-runtime.eu-west-1.amazonaws.com/model/m", False),
        ("bedrock/m", None, "https://bedrock-runtime.amazonaws.com.example.org/", False),
    ],
)
def test_only_the_server_of_the_plan_may_be_asked(
    name: str, base: str | None, url: str, allowed: bool
) -> None:
    assert is_planned_host(resolve(name, api_base=base, price=None, env=KEYS), url) is allowed


def test_every_provider_has_an_address_of_its_own_to_be_kept_to() -> None:
    for prefix in names.providers():
        plan = resolve(f"{prefix}/some/model", api_base=None, price=None, env=KEYS)
        assert plan.api_base or plan.hosts, prefix
        assert not is_planned_host(plan, "https://example.org/v1/chat/completions")


def test_a_model_of_ones_own_is_named_by_its_dotted_path_without_importing_it() -> None:
    price = Price(1, 2, "--price")
    plan = resolve("no.such_module:Model", api_base=None, price=price, env={}, context=9000)
    assert (plan.load, plan.price, plan.context_tokens) == ("no.such_module:Model", price, 9000)
    assert not plan.unmetered
    assert plan.key_variable is None


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("qwen3:latest", "ollama/qwen3:latest"), ("openai:gpt", "provider/model")],
)
def test_a_tag_of_a_model_is_not_taken_for_a_dotted_path(typed: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_for(typed)
    assert hint in caught.value.do


def test_the_window_that_the_person_said_comes_first() -> None:
    plan = resolve("openai/m", api_base="http://10.0.0.1", price=None, env={}, context=8192)
    assert plan.context_tokens == 8192
