"""What a person, a file or a stranger's data puts in: cases B14 to B25."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from engine_rig import Engine, engine, sent, told
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_world import CANARY, PATHS, tree

from mlintern_jupyter.events import (
    EffectIntended,
    Replied,
    SessionStarted,
    TurnEnded,
    TurnStarted,
)
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.chain import seal
from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer


def test_B14_paths_in_calls_read_and_write_nothing_outside(intern: Engine, outside: Path) -> None:
    before = tree(intern.folder, outside)
    calls = [
        call
        for path in PATHS
        for call in (
            Call("read_notebook", {"cell_id": path}),
            Call("recipe", {"name": path}),
            Call("inspect_object", {"name": path}),
            Call("edit_cell", {"cell_id": path, "source": "1"}),
            Call("wait_cell", {"cell_id": path}),
            Call("manual", {"tool": path}),
        )
    ]
    turns = [Turn(calls=tuple(calls)), Turn("Done.")]
    with ScriptedServer(turns) as server:
        assert intern.run(server).outcome == "completed"
        said = told(server)
    assert len(intern.settled()) == len(calls)
    assert not any(fact.ok for fact in intern.settled())
    assert CANARY not in said
    assert "root:" not in said
    assert tree(intern.folder, outside) == before
    assert (outside / "x").read_text() == CANARY


@pytest.mark.parametrize("cell", ["%%intern", "%%intern\n", "%%intern   \n  \n\t\n", "%%intern \n"])
def test_B15_nothing_said_asks_for_a_goal(intern: Engine, cell: str) -> None:
    with ScriptedServer([]) as server:
        intern.type(f'%config InternMagics.api_base = "{server.base_url}"')
        intern.type('%config InternMagics.model = "openai/scripted"')
        shown = intern.type(cell)
        assert server.requests == []
    assert "what should be improved?" in shown
    assert "%%intern --help" in shown
    assert not (intern.folder / "intern_runs").exists()


def test_B16_ten_megabytes_of_prompt_are_not_sent(intern: Engine) -> None:
    words = "please read this " * 600_000
    with ScriptedServer([], context_tokens=60_000) as server:
        intern.type(
            f"%%intern do it --model openai/scripted --api-base {server.base_url}"
            f" --context 60000\n{words}"
        )
        end = intern.ended()
        assert server.requests == []
    assert end.outcome == "paused"
    assert "window of 60,000 tokens" in end.reason
    assert "shorter request" in end.do
    (started,) = intern.facts(TurnStarted)
    assert started.text.count("please read this") == 600_000, "what was asked is on record"


ODD = [
    "nothing \u202eesrever\u202c here",
    "zero\u200bwidth\u2060joiner\ufeff",
    "🧪👩\u200d🔬 𝕏 \U0010ffff",
    "null \0 byte and \x1b[31mred\x1b[0m",
    "e\u0301 and é, \u2028 line and \u2029 paragraph",
    "tab\tform\x0cfeed and \x85 next line",
]


def round_trips(intern: Engine, text: str) -> None:
    """Words reach record and model unchanged, or escaped so that they can be seen."""
    with ScriptedServer(lambda _: Turn("Heard.")) as server:
        shown = intern.type(
            f"%%intern say it back --again --model openai/scripted --api-base {server.base_url}\n"
            + text
        )
        assert intern.ended().summary == "Heard.", shown
        (started,) = intern.facts(TurnStarted)
        words = text.strip()
        escaped = words.encode("unicode_escape").decode()
        for kept in (started.text, str(sent(server)[1]["content"])):
            assert words in kept or escaped in kept, (words, kept)


@pytest.mark.parametrize("text", ODD)
def test_B17_odd_characters_round_trip(intern: Engine, text: str) -> None:
    round_trips(intern, text)


LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="%!?")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.text(LETTERS, min_size=1, max_size=200).filter(lambda text: bool(text.strip())))
def test_B17_any_text_round_trips(text: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        engine(Path(folder), patch) as intern,
    ):
        round_trips(intern, f"the words {text} end")


LOAD = "from datasets import Dataset, load_dataset\n"
DATA = {
    "missing": ("load_dataset('csv', data_files='nowhere.csv')", "FileNotFoundError"),
    "not there": ("load_dataset('nobody/nothing-at-all')", "Error"),
    "empty": ("d = Dataset.from_list([]); print(len(d), d[0])", "IndexError"),
    "one row": ("print(Dataset.from_list([{'a': 1}])[0])", "{'a': 1}"),
    "wide": ("import pandas; print(pandas.DataFrame([[7] * 10**5]))", "100000 columns"),
    "nested": ("print(Dataset.from_list([{'a': {'b': [{'c': 'deep'}]}}])[0])", "deep"),
    "latin-1": ("load_dataset('csv', data_files='latin.csv')", "DatasetGenerationError"),
}


def test_B19_datasets_that_are_odd_end_in_a_named_error_or_a_sample(intern: Engine) -> None:
    (intern.folder / "latin.csv").write_bytes("name,città\nRené,Forlì\n".encode("latin-1"))
    sources = [LOAD + source for source, _ in DATA.values()]
    turns = [
        Turn(calls=(Call("write_cell", {"kind": "dataset", "source": s, "why": "to see it"}),))
        for s in sources
    ]
    with ScriptedServer([*turns, Turn("Seen.")]) as server:
        intern.start(server)
        for source in sources:
            assert intern.next_cell().endswith(source)
            intern.run_next()
        assert intern.ended().summary == "Seen."
        answers = [str(m["content"]) for m in sent(server) if m["role"] == "tool"]
    assert len(answers) == len(DATA)
    for answer, (name, (_, expected)) in zip(answers, DATA.items(), strict=True):
        assert expected in answer, (name, answer)
        assert len(answer) < 20_000, name


BAD_CONFIGS = {
    "broken": ('mode = "unattended"\nbudget = 500\nmodel = "playbook\n', "line 3"),
    "unknown key": ('mode = "unattended"\nbugdet = 500\n', "bugdet"),
    "wrong value": ('mode = "unattended"\nbudget = "lots"\n', "budget"),
    "json": ('{"mode": "unattended", "budget": 500}', "line 1"),
    "binary": ("\x00\x01", "config.toml"),
}


@pytest.mark.parametrize("what", BAD_CONFIGS)
def test_B21_a_broken_configuration_is_named_and_widens_nothing(
    intern: Engine, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    text, named = BAD_CONFIGS[what]
    path = intern.folder / "config.toml"
    path.write_text(text)
    monkeypatch.setenv("MLINTERN_CONFIG", str(path))
    with ScriptedServer([Turn("Done.")]) as server:
        shown = intern.start(server)
        intern.ended()
    assert named in shown
    assert "was not used" in shown or "cannot be read" in shown
    (started,) = intern.facts(SessionStarted)
    assert (started.mode, started.limits["usd"]) == ("review", None)


def test_B22_an_unknown_benchmark_is_answered_with_those_there_are(intern: Engine) -> None:
    with ScriptedServer([]) as server:
        shown = intern.start(server, words="improve FOO")
        assert server.requests == []
    assert "FOO" in shown
    assert "nano/mcq" in shown
    assert not (intern.folder / "intern_runs").exists()


def test_B24_a_record_of_a_newer_version_is_read_and_not_written(intern: Engine) -> None:
    with ScriptedServer([Turn("Done.")]) as server:
        intern.run(server)
    name = intern.session.state.session
    intern.close()
    path = intern.record / LEDGER_FILE
    last = json.loads(path.read_bytes().splitlines()[-1])
    newer = {"type": "HologramShown", "size": 3}
    line, _ = seal(last["n"] + 1, last["at"], newer, last["hash"], str)
    path.write_bytes(path.read_bytes() + line)
    before = path.read_bytes()
    intern.open()
    with ScriptedServer([]) as server:
        shown = intern.start(server, f"--session {name}", words="something else")
        shown += intern.type(f"%intern resume {name}")
    assert "newer version" in shown
    assert "Done." in intern.type("%intern sessions") + shown
    assert path.read_bytes() == before


def test_B25_a_call_of_a_tool_that_is_gone_is_history(intern: Engine) -> None:
    folder = intern.folder / "intern_runs" / "old-1"
    gone = ToolCall("c1", "launch_rocket", '{"where": "moon"}')
    open_ = ToolCall("c2", "launch_rocket", '{"where": "mars"}')
    with ScriptedServer(lambda _: Turn("Grounded.")) as server:
        options = {"api_base": server.base_url, "price": None, "unmetered": True}
        ledger = Ledger.create(folder, Scrubber.from_environment())
        for fact in (
            SessionStarted(
                "old-1", "fly", "openai/scripted", "review", {}, options, "", str(folder), "0.1.0"
            ),
            TurnStarted(1, "fly to the moon", "%%intern fly"),
            Replied(1, "", (gone, open_), "tool_calls", "openai/scripted"),
            EffectIntended(1, "c1", "launch_rocket", {"where": "moon"}),
            TurnEnded(1, "interrupted", "the kernel died", ""),
        ):
            ledger.commit(fact)
        ledger.close()
        assert "old-1" in intern.type("%intern sessions")
        intern.type("%intern resume old-1")
        assert intern.ended().summary == "Grounded."
        said = told(server)
    assert [f.tool for f in intern.facts(EffectIntended)] == ["launch_rocket"]
    assert {f.call for f in intern.settled("launch_rocket")} >= {"c2"}
    assert "launch_rocket" in said
    assert "write_cell" in said, "it is told which tools there are"
