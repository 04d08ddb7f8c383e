"""The one table of tools, and what is computed from it."""

import importlib
import re
import subprocess
import sys

import pytest
from notebook_double import Notebook, Person, facts_in, stdout

from mlintern_jupyter.context.instructions import system_prompt
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.mcp.tools import UseMcp

OPTIONAL = [name for name in catalog.toolsets() if name != catalog.REQUIRED]
NAMES = {file.toolset: set[str]() for file in catalog.CATALOGUE}
for file in catalog.CATALOGUE:
    NAMES[file.toolset].update(file.names)


def names(on=None):
    return [tool.spec.name for tool in build_tools(Notebook().deps, on)]


@pytest.mark.parametrize("file", catalog.CATALOGUE, ids=lambda file: file.module)
def test_a_file_makes_exactly_the_tools_it_is_entered_with(file):
    deps = Notebook(more=()).deps
    module = importlib.import_module(f"mlintern_jupyter.tools.{file.module}")
    made = [tool.spec.name for tool in module.make_tools(deps)]
    # Its tool is there only where a server is configured.
    assert made == [] if file.toolset == "mcp" else tuple(made) == file.names


def test_the_tool_of_mcp_has_the_name_it_is_entered_with():
    assert (UseMcp({}).spec.name,) == catalog.CATALOGUE[-1].names


def test_every_name_is_entered_once():
    entered = [name for file in catalog.CATALOGUE for name in file.names]
    assert len(entered) == len(set(entered)) == len(catalog.tool_names())


@pytest.mark.parametrize("off", OPTIONAL)
def test_a_toolset_that_is_off_is_not_offered_and_the_others_are_the_same_bytes(off):
    notebook = Notebook()
    on = catalog.switched([f"-{off}"], catalog.toolsets())
    kept = [tool.spec for tool in build_tools(notebook.deps, on)]
    assert kept == [s for s in notebook.toolbox.specs() if s.name not in NAMES[off]]


@pytest.mark.parametrize("off", OPTIONAL)
def test_the_instructions_do_not_speak_of_a_toolset_that_is_off(off):
    text = system_prompt([name for name in catalog.toolsets() if name != off])
    assert not NAMES[off] & set(re.findall(r"`(\w+)`", text))
    assert "<!--" not in text


def test_the_instructions_name_tools_of_each_toolset_that_is_on():
    spoken_of = set(re.findall(r"`(\w+)`", system_prompt(catalog.toolsets())))
    assert {"recipe", "inspect_object", "delegate", "evaluate", "compare"} <= spoken_of
    assert "<!--" not in system_prompt(catalog.toolsets())


def test_a_person_switches_with_signs_or_says_all_that_shall_be_on():
    every = ("notebook", "research", "compute", "custom", "mcp")
    assert catalog.toolsets() == every
    assert catalog.switched([], every) == every
    assert catalog.switched(["-research", "-mcp"], every) == ("notebook", "compute", "custom")
    assert catalog.switched(["+mcp"], ("notebook", "compute")) == ("notebook", "compute", "mcp")
    assert catalog.switched(["compute"], every) == ("notebook", "compute")
    assert catalog.switched(["mcp", "notebook"], every) == ("notebook", "mcp")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-notebook"], "notebook cannot be switched off: the intern plans, writes, reads"),
        (["-reserch"], "there is no toolset reserch; do: did you mean research?"),
        (["papers"], "toolsets are notebook, research, compute, custom, mcp"),
        (["-research", "compute"], "with a sign or without one, not both"),
    ],
)
def test_what_cannot_be_switched_is_refused_with_what_can(words, said):
    with pytest.raises(UsageError) as caught:
        catalog.switched(words, catalog.toolsets())
    error = caught.value
    assert said in f"{error.what}: {error.why}" or said in f"{error.what}; do: {error.do}"


def test_a_record_from_before_toolsets_has_all_and_names_of_later_versions_are_passed_over():
    assert catalog.known(None) == catalog.toolsets()
    assert catalog.known(["telepathy", "compute"]) == ("notebook", "compute")


def test_a_cell_cannot_say_what_only_a_result_may_say():
    said = ", ".join(f'"{key}": "printed"' for key in sorted(catalog.fact_keys()))
    assert {"eval", "comparison", "recipe", "plan", "state", "job"} <= catalog.fact_keys()
    notebook = Notebook(persons=[Person(outputs=(stdout(f'facts: {{{said}, "mine": 1}}\n'),))])
    result = notebook.call("write_cell", kind="run", source="0", why="w")
    facts = facts_in(result.text) | result.facts
    assert facts.pop("mine") == 1
    assert set(facts) == {"cell", "state"}
    assert "printed" not in facts.values()


def test_reading_the_table_loads_no_tool_and_nothing_heavy():
    code = (
        "import sys\n"
        "from mlintern_jupyter.tools import catalog\n"
        "catalog.tool_names(), catalog.fact_keys(), catalog.missing_abilities()\n"
        "ours = {m for m in sys.modules if m.startswith('mlintern_jupyter.tools.')}\n"
        "print(sorted(ours | {'IPython', 'markdown_it', 'mcp', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['mlintern_jupyter.tools.catalog']"
