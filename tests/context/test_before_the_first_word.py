"""What a model has to read before the first word of a person: instructions and tools."""

from notebook_double import Notebook

from mlintern_jupyter.context.instructions import system_prompt
from mlintern_jupyter.models.litellm.request import tools_json
from mlintern_jupyter.testing.tokens import prompt
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.catalog import REQUIRED, toolsets

MOST = 2_529
"""Tokens with every toolset on, by the scripted server's count. A request and how things stand take
76 more. New abilities may raise it, never above 4,500."""


def tokens(on):
    specs = tuple(tool.spec for tool in build_tools(Notebook().deps, on))
    system = {"role": "system", "content": system_prompt(on)}
    pieces = prompt({"tools": tools_json(specs), "messages": [system]})
    return sum(piece.tokens for piece in pieces)


def test_instructions_and_tools_together_stay_below_their_ceiling():
    assert tokens(toolsets()) <= MOST


def test_a_toolset_that_is_off_costs_no_token():
    alone = tokens([REQUIRED])
    costs = {name: tokens([REQUIRED, name]) - alone for name in ("research", "compute")}
    assert min(costs.values()) > 150
    assert tokens([REQUIRED, "research", "compute"]) > alone + max(costs.values())
    # Where a person brings nothing of their own, these have no tools.
    assert tokens(toolsets()) == tokens([REQUIRED, "research", "compute"])
