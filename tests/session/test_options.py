"""The options of `%%intern`, `mlintern run`, `%config` and the file: one table, one way to read."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError
from traitlets.config import Config as Traits

from mlintern_jupyter.config import Config, load_config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import OPTIONS, merged, parse_default, parse_line
from mlintern_magics.intern import DEFAULTS, InternMagics

TOOL = next(option for option in OPTIONS if option.name == "tool")


def _magics(**traits: object) -> InternMagics:
    shell = InteractiveShell(config=Traits({"InternMagics": traits}))
    return InternMagics(shell, kernel_sessions=_never, open_panel=_never)


def _never() -> NoReturn:
    raise AssertionError("defaults are no reason to open a session")


def test_each_role_can_have_a_model_of_its_own() -> None:
    line = "tidy --model a/b --research-model c/d --compaction-model e/f --fallback-model=g/h"
    goal, options = parse_line(line)
    assert goal == "tidy"
    assert options.model == "a/b"
    assert options.research_model == "c/d"
    assert options.compaction_model == "e/f"
    assert options.fallback_model == "g/h"


def test_tools_said_several_times_are_all_kept_in_order() -> None:
    _, options = parse_line("tidy --tool my.tools:one --context 32768 --tool two:of_them")
    assert options.tool == ("my.tools:one", "two:of_them")
    assert options.context == 32768


@pytest.mark.parametrize("path", ["tools", "tools:", ":one", "my tools:one", "a.b:c.d", "a/b:c"])
def test_a_tool_that_is_no_dotted_path_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(UsageError, match=r"must be PKG\.MOD:FUNCTION, e\.g\."):
        parse_line(f"tidy --tool '{path}'")


def test_a_list_is_taken_where_several_may_be_said() -> None:
    assert parse_default(TOOL, ["a:b", "c.d:e"]) == ("a:b", "c.d:e")
    assert parse_default(TOOL, []) == ()
    with pytest.raises(UsageError, match=r"must be PKG\.MOD:FUNCTION"):
        parse_default(TOOL, ["a:b", 7])


def test_the_new_options_have_defaults_in_config_and_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('research_model = "x/small"\ncontext = 8192\ntool = "mine:search"\n')
    file = load_config(path)
    assert not file.problem
    config = _magics(tool=["a.b:c", "d:e"], fallback_model="x/other").configured(file)
    options = merged(parse_line("tidy --context 4096")[1], config.defaults)
    assert options.research_model == "x/small"
    assert options.fallback_model == "x/other"
    assert options.tool == ("a.b:c", "d:e")
    assert options.context == 4096


def test_a_trait_takes_what_the_line_takes() -> None:
    magics = _magics()
    with pytest.raises(TraitError, match=r"must be PKG\.MOD:FUNCTION"):
        magics.tool = ("nonsense",)
    with pytest.raises(TraitError, match="whole number above zero"):
        magics.context = 0
    assert magics.configured(Config()).defaults == {}


def test_toolsets_have_a_default_in_config() -> None:
    magics = _magics(tools=["-research", "-mcp"])
    assert magics.configured(Config()).defaults == {"tools": ("-research", "-mcp")}
    with pytest.raises(TraitError, match="names of toolsets"):
        magics.tools = ("my.tools:one",)


def test_every_default_is_an_option_of_the_line() -> None:
    assert set(DEFAULTS) <= {option.name for option in OPTIONS}
