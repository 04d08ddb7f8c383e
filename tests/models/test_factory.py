"""A model of one's own is made from its dotted path, or the error says what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.models.factory import make_model
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.models.playbook.planner import Playbook
from mlintern_jupyter.protocols import Model
from mlintern_jupyter.usage import Price

OWN = """
import no_such_dependency_of_mine
"""
FITTING = """
from mlintern_jupyter.usage import Price

class Echo:
    unmetered = False
    context_tokens = None
    sees = False
    price = Price(1, 2, "my own")

    def __init__(self, plan):
        self.name = plan.name

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        raise NotImplementedError

class Half:
    name = "half"

    def __init__(self, plan):
        pass

class Broken(Echo):
    def __init__(self, plan):
        raise ZeroDivisionError("of mine")
"""


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_models.py").write_text(FITTING)
    (tmp_path / "own_needy.py").write_text(OWN)
    (tmp_path / "own_wrong.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(tmp_path)


def made(name: str, price: Price | None = None, context: int | None = None) -> Model:
    return make_model(resolve(name, api_base=None, price=price, env={}, context=context))


def test_a_class_of_ones_own_is_called_with_the_plan_alone() -> None:
    model = made("own_models:Echo")
    assert type(model).__name__ == "Echo"
    assert model.name == "own_models:Echo"
    assert model.price == Price(1, 2, "my own")


def test_a_price_and_a_window_that_were_said_come_before_the_classs_own() -> None:
    said = Price(5, 6, "--price")
    model = made("own_models:Echo", said, 9_000)
    assert (model.price, model.context_tokens) == (said, 9_000)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("own_nowhere:Echo", "there is no module 'own_nowhere'"),
        ("own_nowhere.deep:Echo", "there is no module 'own_nowhere'"),
        ("own_models:Nothing", "has no Nothing"),
        ("own_models:Half", "it has no price, unmetered, context_tokens, sees, probe, complete"),
        ("own_models:Broken", "ZeroDivisionError: of mine"),
        ("own_needy:Echo", "needs the module no_such_dependency_of_mine"),
        ("own_wrong:Echo", "cannot be imported"),
    ],
)
def test_what_a_dotted_path_lacks_is_said(name: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(name)
    assert what in str(caught.value)
    assert caught.value.do


@pytest.mark.model_server
def test_every_other_model_is_made_as_well_and_keys_come_from_where_they_are_said() -> None:
    assert isinstance(made("playbook:3"), Playbook)
    env = {"OPENAI_API_KEY": "x"}
    plan = resolve("openai/gpt-5.1", api_base=None, price=None, env=env)
    assert type(make_model(plan, env=env)).__name__ == "LitellmModel"


def test_naming_a_model_of_ones_own_imports_nothing() -> None:
    code = (
        "import sys, mlintern_jupyter.models.factory, mlintern_jupyter.models.names as n\n"
        "n.resolve('json.tool:Model', api_base=None, price=None, env={})\n"
        "heavy = {'litellm', 'openai', 'httpx', 'json.tool'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
