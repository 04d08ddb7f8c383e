import json
from dataclasses import asdict

import pytest
from notebook_double import Notebook, facts_in

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.tools.base.answer import FACTS_LIMIT, TEXT_LIMIT, finished

CHARACTERS_PER_TOKEN = 4.4
"""Of such JSON with cl100k_base, measured."""


def test_every_tool_says_what_it_does_in_one_paragraph():
    for spec in Notebook().toolbox.specs():
        assert 20 <= len(spec.description) <= 150, spec


def test_each_tool_costs_at_most_150_tokens():
    sizes = {
        spec.name: len(json.dumps(asdict(spec), separators=(",", ":"))) / CHARACTERS_PER_TOKEN
        for spec in Notebook().toolbox.specs()
    }
    assert {name: size for name, size in sizes.items() if size > 150} == {}


def test_specs_are_the_same_bytes_each_time():
    first = json.dumps([s.parameters for s in Notebook().toolbox.specs()])
    assert first == json.dumps([s.parameters for s in Notebook().toolbox.specs()])


def test_unknown_tool_is_answered_with_the_nearest_and_the_list():
    with pytest.raises(ToolError) as caught:
        Notebook().toolbox.find("write_cel\ud800")
    assert "did you mean write_cell?" in str(caught.value)
    assert "experiments" in str(caught.value)
    str(caught.value).encode()


def test_manual_of_a_tool_says_more_than_the_model_is_always_told():
    result = Notebook().call("manual", tool="write_cell")
    assert "edit stands" in result.text
    assert facts_in(result.text) == {}
    with pytest.raises(ToolError, match="there is no tool"):
        Notebook().call("manual", tool="nothing")


def test_a_result_of_five_megabytes_keeps_its_head_and_tail():
    done = finished(ToolResult("head " + "x" * 5_000_000 + " tail", {"a": 1}))
    assert len(done.text) < TEXT_LIMIT + 200
    assert done.text.startswith("head ")
    assert done.text.endswith(' tail\nfacts: {"a": 1}')


def test_facts_that_are_too_large_are_left_out_and_named():
    done = finished(ToolResult("", {"big": "x" * FACTS_LIMIT, "small": 1}))
    assert facts_in(done.text) == {"small": 1, "left_out": ["big"]}
    assert done.facts == {"small": 1, "left_out": ["big"]}


def test_facts_become_plain_json_whatever_they_hold():
    cycle: dict = {}
    cycle["me"] = cycle
    facts = {
        "nan": float("nan"),
        "b": b"x",
        "half": "\ud800",
        3: (1, 2),
        "big": 10**5000,
        "c": cycle,
    }
    done = finished(ToolResult("half \ud800 \u2028", facts))
    found = facts_in(done.text)
    assert found["nan"] is None
    assert found["b"] == "[bytes]"
    assert found["half"] == "?"
    assert found["3"] == [1, 2]
    assert found["big"] == "[large integer]"
    assert "facts:" in done.text.splitlines()[-1]
    done.text.encode()
