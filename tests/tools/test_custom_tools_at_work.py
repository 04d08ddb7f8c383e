"""Tools of a person's own, called by a model in a whole notebook that runs by itself."""

import asyncio
from pathlib import Path

import nbformat
import pytest

from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.peers.headless import HeadlessNotebook
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

OWN = '''
from mlintern_jupyter import tool

@tool(effects={"read"})
def glossary(term: str) -> str:
    """Say what a term means here."""
    return f"{term}: a word of the group"

@tool
def undeclared(term: str) -> str:
    """Nobody knows what this does."""
    return "done"
'''
MODULE = '''
from mlintern_jupyter import tool

@tool(effects={"read"})
async def look_up(rows: list[int]) -> dict:
    """Add rows."""
    print("noise")
    return {"sum": sum(rows)}
'''
CALLS = (
    Call("glossary", {"term": "eval"}),
    Call("look_up", {"rows": [1, 2]}),
    Call("undeclared", {"term": "x"}),
    Call("glossary", {"word": "eval"}),
)


@pytest.mark.timeout(120)
def test_a_model_calls_functions_of_the_notebook_and_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "my_tools.py").write_text(MODULE)
    with ScriptedServer([Turn(calls=CALLS), Turn("All is known.")]) as server:
        ask = (
            f"%%intern look it up --model openai/scripted --api-base {server.base_url}"
            " --mode unattended --budget 1 --tool my_tools:look_up"
        )
        cells = ["%load_ext mlintern_jupyter", OWN, ask]
        path = tmp_path / "n.ipynb"
        said: list[str] = []
        notebook = HeadlessNotebook(
            path, cells=cells, on_event=lambda _: None, say=said.append, kernel_env={}
        )
        result = asyncio.run(notebook.run())
        assert not result.failed, (result.failed, said)
        offered = [tool["function"]["name"] for tool in server.requests[0].body["tools"]]
    assert offered[-3:] == ["look_up", "glossary", "undeclared"]
    ledger = next((tmp_path / "intern_runs").glob("*/ledger.jsonl"))
    facts = [numbered.fact for numbered in Ledger.view(ledger.parent).facts]
    first, second, third, fourth = (f for f in facts if isinstance(f, EffectSettled))
    assert first.ok
    assert "\neval: a word of the group\n" in first.text
    assert first.sources[0].startswith("cell ")
    assert first.sources[1] == "tool:glossary"
    assert (second.ok, second.sources) == (True, ("tool:look_up",))
    assert '"sum": 3' in second.text
    # Nobody is there to say yes.
    assert not third.ok
    assert "not allowed" in third.text
    assert 'has no parameter "word"' in fourth.text
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    assert "print(glossary(term='eval'))" in sources
