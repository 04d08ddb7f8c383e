import asyncio
import os
import time
from pathlib import Path

import pytest
from loop_clock import outwaited
from notebook_double import Notebook

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.research import inspect_object


def inspect(name: str):
    return Notebook().call("inspect_object", name=name)


def test_signature_doc_file_and_version_come_from_the_installed_library():
    result = inspect("nbformat.v4.new_code_cell")
    assert "function nbformat.v4.new_code_cell" in result.text
    assert "source" in result.text
    assert "nbbase.py:" in result.text
    assert result.facts["object"]["package"] == "nbformat"
    assert result.facts["object"]["version"][0].isdigit()


def test_parameter_of_a_callable_can_be_asked_for():
    result = inspect("json.dumps.indent")
    assert "parameter json.dumps(indent)" in result.text
    assert "indent=None" in result.text


def test_field_of_a_configuration_class_is_shown_as_its_parameter(library):
    library(
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n"
        '    """How.\n\n    Args:\n        rate (`float`):\n            Peak rate.\n'
        '        other: no\n            not at all\n    """\n    rate: float = 0.5\n'
        "    other: int = 1\n"
    )
    text = inspect("odd_library.Config.rate").text
    assert "parameter odd_library.Config(rate)" in text
    assert "rate: float = 0.5" in text
    assert "Peak rate." in text
    assert "other" not in text
    assert "not at all" not in text


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ToolError, match=r"json has no 'dump_s'") as caught:
        inspect("json.dump_s")
    assert "dumps" in str(caught.value)
    with pytest.raises(ToolError, match="cannot be imported: ModuleNotFoundError"):
        inspect("no_such_library.Thing")


@pytest.mark.parametrize("name", ["", "os; import sys", "a..b", "-h", "a/b", "x" * 201])
def test_what_is_no_dotted_name_is_refused(name):
    with pytest.raises(ToolError, match="not a dotted name"):
        inspect(name)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Writes a library that is found as if it was installed."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(source: str) -> None:
        (tmp_path / "odd_library.py").write_text(source)

    return write


def test_what_a_library_prints_and_how_it_exits_does_no_harm(library):
    library("import os\nprint('noise')\nos.system('echo more')\nX = 1\n")
    assert "value odd_library.X" in inspect("odd_library.X").text
    library("raise SystemExit(3)\n")
    with pytest.raises(ToolError, match="SystemExit: 3"):
        inspect("odd_library.X")
    library("import os\nos._exit(4)\n")
    with pytest.raises(ToolError, match="ended Python"):
        inspect("odd_library.X")


HANGS = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open('{0}.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
    "os.replace('{0}.new', '{0}')\n"
    "time.sleep(600)\n"
)


def test_library_that_hangs_is_killed_with_its_children(library, tmp_path):
    pids = tmp_path / "pids"
    library(HANGS.format(pids))
    with pytest.raises(ToolError, match="was not found within"):
        asyncio.run(
            outwaited(
                inspect_object.describe_name("odd_library.X"),
                [pids.exists],
                inspect_object.TIMEOUT_S + 1,
            )
        )
    gone_soon(pids)


def test_cancelled_look_up_leaves_no_process_behind(library, tmp_path):
    pids = tmp_path / "pids"
    library(HANGS.format(pids))

    async def cancel() -> None:
        task = asyncio.create_task(inspect_object.describe_name("odd_library.X"))
        while not pids.exists():
            assert not task.done()
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    gone_soon(pids)


def gone_soon(pids: Path) -> None:
    me, child = (int(pid) for pid in pids.read_text().split())
    assert not os.path.exists(f"/proc/{me}")  # noqa: PTH110
    # Killed together, but the kernel need not be through with both at once.
    deadline = time.monotonic() + 60
    while not is_gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_helper_has_no_tokens_and_does_not_see_the_current_folder(library, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    library("import os\nSEEN = sorted(k for k in os.environ if 'TOKEN' in k or 'KEY' in k)\n")
    assert inspect("odd_library.SEEN").text.split("\n")[-2] == "['HF_HUB_DISABLE_IMPLICIT_TOKEN']"
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ToolError, match="cannot be imported"):
        inspect("odd_library.SEEN")
