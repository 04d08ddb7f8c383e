"""Functions of modules as tools: in a process of their own, that can be killed."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notebook_double import Notebook, granted

from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.protocols import Tool
from mlintern_jupyter.tools.custom.check import check_custom_tools
from mlintern_jupyter.tools.custom.modules import load_custom_tools

MODULE = '''
import asyncio, os, subprocess, sys, time
from pathlib import Path
from mlintern_jupyter import tool

print("noise")
os.system("echo more noise")


@tool(effects={"read"}, timeout_s=60)
def odd(what: str, times: int = 1) -> object:
    """Do what is said.

    Args:
        what: to do
    """
    print("noise")
    return DO[what]() if what in DO else what * times


async def later(rows: list[int]) -> int:
    await asyncio.sleep(0.01)
    return sum(rows)


@tool(timeout_s=1.5)
def short(): time.sleep(600)


def cyclic():
    value = {}
    value["me"] = [value, value]
    return value


def explosive():
    value = []
    value.extend([value] * 10)
    return value


def raising():
    raise KeyError("gone \\ud800")


def hanging():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path("pids.new").write_text(f"{os.getpid()} {child.pid}")
    os.replace("pids.new", "pids")
    time.sleep(600)


class Unprintable:
    def __str__(self): raise RuntimeError("no")


DO = {
    "cyclic": cyclic,
    "explosive": explosive,
    "raise": raising,
    "hang": hanging,
    "none": lambda: None,
    "bytes": lambda: b"\\xff\\x00ok",
    "half": lambda: "a\\ud800b",
    "big": lambda: "head" + "x" * 5_000_000 + "tail",
    "exit": lambda: os._exit(3),
    "leave": lambda: sys.exit(4),
    "number": lambda: float("nan"),
    "unprintable": Unprintable,
    "environment": lambda: dict(os.environ),
    "where": lambda: os.getcwd(),
    "modules": lambda: [m for m in ("IPython", "litellm", "markdown_it") if m in sys.modules],
    "input": lambda: sys.stdin.read(),
}
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_tools.py").write_text(MODULE)
    return tmp_path


def load(folder: Path, *names: str) -> list[Tool]:
    dotted = [f"my_tools:{name}" for name in names]
    return list(asyncio.run(load_custom_tools(dotted, folder)).tools)


async def called(tool: Tool, folder: Path, **arguments: Any):
    bound = tool.bind(json.dumps(arguments))
    context = replace(Notebook().context("c-1"), workdir=folder)
    return await tool(context, granted(tool.terms(bound), bound), **bound)


def call(tool: Tool, folder: Path, **arguments: Any):
    return asyncio.run(called(tool, folder, **arguments))


def test_a_function_is_described_without_importing_it_into_this_process(folder):
    odd, later = load(folder, "odd", "later")
    assert odd.spec.description == "Do what is said."
    assert odd.spec.parameters["properties"]["what"]["description"] == "to do"
    assert odd.terms({}).effects == {"read"}
    assert odd.resumes
    assert odd.timeout_s is not None
    assert odd.timeout_s >= 60
    # Not decorated: nobody knows what it does, so a call asks, and is not made twice.
    assert later.terms({}).effects == frozenset()
    assert not later.resumes
    assert "my_tools" not in sys.modules


def test_functions_are_called_sync_and_async_in_the_notebooks_folder(folder):
    odd, later = load(folder, "odd", "later")
    result = call(odd, folder, what="ab", times=2)
    assert result.text == "abab\nfacts: {}"
    assert result.sources == ("tool:odd",)
    assert call(later, folder, rows=[1, 2]).text.startswith("3\n")
    assert str(folder.resolve()) in call(odd, folder, what="where").text


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "no value"),
        ("bytes", "ok"),
        ("half", "a?b"),
        ("number", "null"),
        ("cyclic", '"me"'),
        ("explosive", "..."),
        ("unprintable", "cannot be printed"),
        ("modules", "[]"),
        ("input", "\nfacts"),
    ],
)
def test_whatever_a_function_returns_becomes_text(folder, what, said):
    (odd,) = load(folder, "odd")
    result = call(odd, folder, what=what)
    assert result.ok
    assert said in result.text
    result.text.encode()
    assert len(result.text) < 20_000


def test_a_result_of_five_megabytes_keeps_its_ends(folder):
    (odd,) = load(folder, "odd")
    text = call(odd, folder, what="big").text
    assert text.startswith("head")
    assert text.endswith("tail\nfacts: {}")
    assert len(text) < 20_000


def test_an_exception_is_told_with_the_last_lines_of_its_traceback(folder):
    (odd,) = load(folder, "odd")
    result = call(odd, folder, what="raise")
    assert not result.ok
    assert result.sources == ("tool:odd",)
    assert "KeyError: 'gone" in result.text
    assert "my_tools.py" in result.text
    assert "custom/child.py" not in result.text
    assert "SystemExit: 4" in call(odd, folder, what="leave").text
    with pytest.raises(ToolError, match=r"ended its process \(3\)"):
        call(odd, folder, what="exit")


def test_no_token_reaches_a_function(folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@127.0.0.1:9")
    (odd,) = load(folder, "odd")
    text = call(odd, folder, what="environment").text
    assert "HOME" in text
    assert "canary" not in text


def test_a_function_that_takes_too_long_is_stopped(folder):
    (short,) = load(folder, "short")
    with pytest.raises(ToolError, match=r"did not answer within 1.5 s"):
        call(short, folder)


def test_a_cancelled_call_leaves_no_process_behind(folder):
    (odd,) = load(folder, "odd")

    async def cancel() -> None:
        task = asyncio.create_task(called(odd, folder, what="hang"))
        while not (folder / "pids").exists():
            assert not task.done()
            await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(cancel())
    gone_soon(folder)


def test_a_function_ends_when_the_kernel_is_killed(folder):
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from mlintern_jupyter.tools.custom.modules import _ask\n"
        "asyncio.run(_ask('my_tools:odd', {'what': 'hang'}, Path(sys.argv[1]), 600))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)]) as kernel:
        while not (folder / "pids").exists():
            assert kernel.poll() is None
            time.sleep(0.05)
        kernel.kill()
    gone_soon(folder)


def gone_soon(folder: Path) -> None:
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while not all(map(is_gone, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rsplit(")", 1)[1].split()[0] == "Z"


def test_a_call_without_leave_starts_no_process(folder):
    (odd,) = load(folder, "odd")

    async def unasked() -> None:
        bound = odd.bind('{"what": "hang"}')
        other = granted(odd.terms(bound), {"what": "x"})
        await odd(replace(Notebook().context("c-1"), workdir=folder), other, **bound)

    with pytest.raises(ToolError):
        asyncio.run(unasked())
    assert not (folder / "pids").exists()


@pytest.mark.parametrize(
    ("dotted", "said"),
    [
        ("my_tools", "names no function"),
        ("my_tools:", "names no function"),
        ("../my_tools:odd", "names no function"),
        ("your_tools:odd", "there is no module your_tools"),
        ("my_tools.deeper:odd", "there is no module my_tools.deeper"),
        ("my_tools:od", "did you mean odd?"),
        ("json:no_such", "json has no no_such"),
    ],
)
def test_what_names_no_function_is_refused_before_anything_starts(folder, dotted, said):
    with pytest.raises(UsageError) as caught:
        check_custom_tools(["my_tools:odd", dotted], folder)
    assert said in str(caught.value)
    assert "my_tools" not in sys.modules


def test_a_name_that_may_be_bound_is_given_the_benefit_of_the_doubt(folder):
    (folder / "star.py").write_text("from my_tools import *\n")
    (folder / "late.py").write_text("if True:\n    def there(): ...\nfor other in (): ...\n")
    (folder / "broken.py").write_text("def (")
    check_custom_tools(["star:odd", "late:there", "late:other", "broken:x", "os.path:join"], folder)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os\nos._exit(5)", "ended its process (5)"),
        ("x = 1", "not from int"),
        ("def x(a): ...", "parameter a has no type hint"),
        ("def x(a", "SyntaxError"),
        ("from mlintern_jupyter import tool\n@tool\ndef plan(a: int): ...", "tool of the intern"),
    ],
)
def test_a_module_that_cannot_be_used_says_why(tmp_path, source, said):
    (tmp_path / "bad_tools.py").write_text(source)
    with pytest.raises(UsageError) as caught:
        asyncio.run(load_custom_tools(["bad_tools:x"], tmp_path))
    assert said in str(caught.value)
    assert "tool bad_tools:x cannot be used" in str(caught.value)


def test_two_named_tools_of_one_name_are_refused(folder):
    (folder / "others.py").write_text("def later(x: int): ...\n")
    with pytest.raises(UsageError, match="two tools are named later"):
        asyncio.run(load_custom_tools(["my_tools:later", "others:later"], folder))


def test_entry_points_are_tools_and_a_broken_one_stops_nothing(folder, monkeypatch):
    installed = folder / "thing-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[mlintern_jupyter.tools]\nlater = my_tools:later\nbroken = my_tools:nothing\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    found = asyncio.run(load_custom_tools(["my_tools:odd"], folder))
    assert [tool.spec.name for tool in found.tools] == ["odd", "later"]
    (problem,) = found.problems
    assert "tool my_tools:nothing cannot be used: my_tools has no nothing" in problem


def test_a_module_is_read_anew_each_turn(folder):
    assert load(folder, "odd")[0].spec.description == "Do what is said."
    (folder / "my_tools.py").write_text(MODULE.replace("Do what is said.", "Do it better."))
    os.utime(folder / "my_tools.py", (1, 1))
    assert load(folder, "odd")[0].spec.description == "Do it better."
