"""One table of options: an option is a field of ``JobSpec``, and everything else follows."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.completer import CompletionContext
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.errors import InternError
from mlintern_jupyter.jobs import (
    JOB_OPTIONS,
    JobOption,
    JobSpec,
    JobTerms,
    _option,
    job_of_cell,
    job_usage,
    parse_job_line,
)
from mlintern_jupyter.policy.autorun import may_run_unreviewed
from mlintern_magics.completion import intern_matcher
from mlintern_magics.jobs import JobMagics

README = Path(__file__).parents[2] / "README.md"
OF_THE_JOB = [option for option in JOB_OPTIONS if option.sets]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", fullmatch=True),
    "script": st.text(),
    "on": st.sampled_from(["local", "kernel", "hf:a10g-large", "slurm:gpu,long", "example"]),
    "timeout_s": st.none() | st.floats(1e-3, 1e9) | st.integers(1, 10**6).map(float),
    "max_steps": st.none() | st.integers(1, 10**9),
    "max_usd": st.none() | st.integers(1, 10**9 - 1).map(lambda cents: cents / 100),
}
"""What the fields of a job may hold. A field that is missing here fails the tests below."""
OTHER = {"on": "kernel", "timeout_s": 5400.0, "max_usd": 4.8, "max_steps": 5}
SPECS = st.builds(JobSpec, **VALUES)


def test_every_field_of_a_job_is_drawn() -> None:
    assert [each.name for each in fields(JobSpec)] == list(VALUES)
    assert set(OTHER) == {each.name for each in fields(JobSpec) if each.default is not MISSING}


@given(SPECS)
def test_a_job_survives_json(spec: JobSpec) -> None:
    data = json.loads(json.dumps(spec.to_json()))
    assert JobSpec.from_json(data, spec.script) == spec


@given(SPECS)
def test_a_job_survives_its_line(spec: JobSpec) -> None:
    line = spec.line().removeprefix("%%job ")
    asked = parse_job_line(line, spec.script, spec.max_steps)
    assert (asked.spec, asked.again) == (spec, False)
    assert f"--on {spec.on}" in spec.line()


@given(spec=SPECS)
def test_a_job_survives_its_folder(tmp_path_factory: pytest.TempPathFactory, spec: JobSpec) -> None:
    root = tmp_path_factory.mktemp("jobs")
    folder = job_folder.create(root, spec, root, JobTerms())
    assert folder is not None
    assert job_folder.read_spec(folder) == spec


def test_a_held_job_whose_folder_says_another_thing_is_not_started(tmp_path: Path) -> None:
    spec = JobSpec("sft", "print(1)")
    folder = job_folder.create(tmp_path, spec, tmp_path, JobTerms())
    assert folder is not None
    (folder / "script.py").write_text("print(2)")
    with pytest.raises(InternError, match="another thing than its name"):
        job_folder.read_spec(folder)


@pytest.mark.parametrize("option", JOB_OPTIONS, ids=lambda option: option.flag)
def test_an_option_is_in_the_usage_the_help_the_readme_and_the_completion(
    option: JobOption, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"[{f'{option.flag} {option.value}'.strip()}]" in job_usage()
    page = inspect.getdoc(JobMagics(InteractiveShell()).job) or ""
    assert option.flag in page
    assert option.help in page
    assert job_usage() in page
    assert job_usage() in README.read_text(encoding="utf-8")
    context = CompletionContext(
        token="--", full_text="%%job a --", cursor_position=10, cursor_line=0, limit=None
    )
    offered = [completion.text for completion in intern_matcher(context)["completions"]]
    assert option.flag in offered


@pytest.mark.parametrize("option", JOB_OPTIONS, ids=lambda option: option.flag)
def test_a_cell_with_an_option_runs_by_itself_only_where_the_table_says_so(
    option: JobOption,
) -> None:
    value = option.write(_value(option)) if option.value else ""
    reason = may_run_unreviewed(f"%%job a {option.flag} {value}\nprint(1)")
    assert (reason == "") == option.runs_unasked
    if reason:
        assert option.flag in reason


@pytest.mark.parametrize("option", OF_THE_JOB, ids=lambda option: option.flag)
def test_an_option_is_read_from_its_cell_and_written_to_json(option: JobOption) -> None:
    value = OTHER[option.sets]
    source = f"%%job a {option.flag}={option.write(value)}\nprint(1)"
    asked = job_of_cell(source)
    assert asked is not None
    assert asked.said == (option.flag,)
    assert getattr(asked.spec, option.sets) == value
    assert asked.spec.to_json()[option.sets] == value
    assert f"{option.flag} {option.write(value)}" in asked.spec.line()


@pytest.mark.parametrize(
    "source",
    ["print('%%job a')", "%%jobs a\nx", "%%job\nx", "%%job a --gpu\nx", "# %%job a", ""],
)
def test_a_cell_that_submits_nothing_is_no_job(source: str) -> None:
    assert job_of_cell(source) is None


@dataclass(frozen=True)
class _Wider(JobSpec):
    """The next version: a field more."""

    gpus: int = _option("--gpus", "1|2", "GPUs of it", default=0, parse=int)
    nice: int = _option("--nice", "N", "when others wait", default=0, parse=int, identity=False)


def test_an_invented_option_at_its_default_changes_no_key_and_else_makes_another_job() -> None:
    before, after = JobSpec("a", "x = 1", max_steps=3), _Wider("a", "x = 1", max_steps=3)
    assert after.key == before.key
    assert _Wider("a", "x = 1", max_steps=3, gpus=2).key != before.key
    assert _Wider("a", "x = 1", max_steps=3, nice=5).key == before.key


def test_an_invented_option_survives_json_and_is_at_its_default_in_an_older_file() -> None:
    wider = _Wider("a", "x = 1", gpus=2, nice=5)
    assert _Wider.from_json(wider.to_json(), "x = 1") == wider
    assert _Wider.from_json(JobSpec("a", "x = 1").to_json(), "x = 1") == _Wider("a", "x = 1")


def _value(option: JobOption) -> Any:
    """One that a cell of mode ``auto`` may have: a job goes to no other place by itself."""
    return "local" if option.sets == "on" else OTHER[option.sets]
