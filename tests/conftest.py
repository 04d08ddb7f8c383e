"""Every test runs without a network beyond this machine, without keys, and on one thread each.

What a test needs beside Python becomes its marks: by folder or file (``NEEDS``), by a fixture
(``FIXTURES``), or said at the test where it differs from its file. ``--without kernel,browser``
leaves such tests out, and does not even read a file of which none would be left; ``--dearest 10``
says at the end which files took most of the time.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine that pauses is no defect of a property: neither its examples nor the making of them.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
# Two spinning threads on two shared cores are many times slower than one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
# Else each of some hundred kernels and children compiles the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# jsonschema does without; with it, each process spends a second on a grammar nobody here asks for.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
# A shell lets what it starts in the background ignore interrupts, and so would every kernel here.
signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
MARKS = ("training", "browser", "kernel", "model_server", "processes")
"""What a test may need, the dearest first; described in pyproject.toml."""
NEEDS: dict[str, tuple[str, ...]] = {
    "agent/test_sub_agents_on_the_wire.py": ("model_server",),
    "bench/test_nano_score.py": ("training",),
    "compute": ("processes",),
    "context/test_long_turn.py": ("model_server",),
    "docs/test_event_page.py": ("processes",),
    "docs/test_provider_page.py": ("model_server",),
    "docs/test_tool_page.py": ("processes",),
    "faults": ("model_server",),
    "faults/test_kernel_deaths.py": ("kernel", "model_server"),
    "faults/test_refused_inputs.py": (),
    "faults/test_runaway.py": ("kernel", "model_server"),
    "hosts/test_ipykernel_versions.py": ("kernel",),
    "kill": ("kernel", "model_server"),
    "lab": ("browser", "kernel"),
    "models": ("model_server",),
    "models/test_factory.py": (),
    "models/test_names.py": (),
    "models/test_playbook.py": (),
    "models/test_playbook_decides.py": (),
    "models/test_stream_watch.py": (),
    "notebook_api": ("processes",),
    "peers": ("kernel",),
    "peers/test_refused_files.py": (),
    "policy/test_child_environment.py": ("processes",),
    "record/test_ledger_processes.py": ("processes",),
    "record/test_lock.py": ("processes",),
    "record_run": ("training", "kernel"),
    "session/test_answering.py": ("kernel", "model_server"),
    "session/test_command_line.py": ("kernel", "model_server"),
    "session/test_completion.py": ("kernel",),
    "session/test_magic_cell.py": ("kernel", "model_server"),
    "session/test_open_notebook.py": ("kernel", "model_server"),
    "session/test_panel.py": ("kernel", "model_server"),
    "session/test_remote_command_line.py": ("kernel", "model_server"),
    "session/test_servers_at_work.py": ("kernel", "model_server"),
    "session/test_slow_answers.py": ("kernel", "model_server"),
    "session/test_step_mode.py": ("kernel", "model_server"),
    "session/test_stop_and_resume.py": ("kernel",),
    "session/test_toolsets.py": ("model_server",),
    "tools/test_example_plugin.py": ("kernel", "model_server"),
    "tools/test_inspect_object.py": ("processes",),
    "tools/test_keys_of_tools.py": ("processes",),
    "tools/test_mcp_attacks.py": ("processes",),
    "tools/test_mcp_broken.py": ("processes",),
    "tools/test_mcp_servers.py": ("processes",),
    "tools/test_custom_module_tools.py": ("processes",),
    "tools/test_custom_tools_at_work.py": ("kernel", "model_server"),
}
"""Per folder or file below ``tests``; the longest path that fits a file counts, and it alone."""
FIXTURES = {"peer": "kernel", "run_notebook": "kernel"}
"""Fixtures that only some tests of a folder use, and what they start."""

seconds: Counter[str] = Counter()
"""What each file took so far, in all processes together."""


def needs(path: Path) -> tuple[str, ...]:
    """Marks of a file."""
    inside = os.path.relpath(path, TESTS)
    fitting = [key for key in NEEDS if inside == key or inside.startswith(f"{key}/")]
    return NEEDS[max(fitting, key=len)] if fitting else ()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without", default="", metavar="MARKS", help=f"of {', '.join(MARKS)}")
    parser.addoption("--dearest", type=int, default=0, metavar="N", help="show the N dearest files")


def pytest_configure(config: pytest.Config) -> None:
    if gone := [path for path in NEEDS if not (TESTS / path).exists()]:
        raise pytest.UsageError(f"NEEDS in tests/conftest.py names {gone[0]}, which is not there")
    if unknown := _without(config) - set(MARKS):
        raise pytest.UsageError(f"--without {min(unknown)}: there are {', '.join(MARKS)}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file that is left out: most of a fast run would be what it imports."""
    left_out = collection_path.is_file() and _without(config).intersection(needs(collection_path))
    return bool(left_out) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests, and put the dearest files first: no process works on alone at the end."""
    first: dict[Path, int] = {}
    kept: list[pytest.Item] = []
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        for name in (*needs(item.path), *(FIXTURES[f] for f in fixtures if f in FIXTURES)):
            item.add_marker(name)
        marks = {mark.name for mark in item.iter_markers()}.intersection(MARKS)
        if not marks & _without(config):
            kept.append(item)
            rank = min(map(MARKS.index, marks), default=len(MARKS))
            first[item.path] = min(rank, first.get(item.path, rank))
    config.hook.pytest_deselected(items=[*set(items).difference(kept)])
    items[:] = sorted(kept, key=lambda item: first[item.path])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seconds[report.nodeid.partition("::")[0]] += report.duration


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if count := config.getoption("--dearest"):
        terminalreporter.section(f"the {count} dearest files, of {seconds.total():.0f} s")
        for name, took in seconds.most_common(count):
            terminalreporter.write_line(f"{took:6.0f} s  {name}")


def _without(config: pytest.Config) -> set[str]:
    return set(filter(None, config.getoption("--without").split(",")))


@pytest.fixture(autouse=True)
def no_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's own configuration and keys are not part of a test."""
    empty: Path = tmp_path_factory.getbasetemp() / "no-config.toml"
    monkeypatch.setenv("MLINTERN_CONFIG", str(empty))
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
