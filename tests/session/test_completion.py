"""What a kernel completes on the intern's own lines, and that it leaves all others alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_peer import LOAD, KernelPeer

from mlintern_jupyter.jobs import JOB_OPTIONS

OURS = "--budget"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelPeer]:
    folder = tmp_path_factory.mktemp("completion")
    record = folder / "intern_runs" / "mcq-7f3a"
    record.mkdir(parents=True)
    first = {"session": "mcq-7f3a", "cell_id": "a", "goal": "improve nano/mcq"}
    (record / "ledger.jsonl").write_text(json.dumps(first) + "\n")
    with KernelPeer(folder) as peer:
        peer.run(LOAD)
        yield peer


@pytest.mark.parametrize(
    ("text", "offers"),
    [
        ("%%intern --bu", ["--budget"]),
        ("%%intern improve nano/mcq --max-", ["--max-steps", "--max-tokens"]),
        ("# a note\n%%intern --bu", ["--budget"]),
        ("%%intern improve nano/", ["nano/mcq", "nano/sum"]),
        ("%%intern --budget 3 improve GPQ", ["gpqa-diamond", "gpqa-main"]),
        ("%%intern --model play", ["playbook"]),
        ("%%intern --model=play", ["playbook"]),
        ("%%intern x --model anthropic/", ["anthropic/claude-sonnet-4-5"]),
        ("%%intern x --mode ", ["review", "auto", "unattended"]),
        ("%%intern x --session m", ["mcq-7f3a"]),
        ("%intern st", ["status", "steer", "stop"]),
        ("x = 1\n%intern ne", ["next"]),
        ("%intern mode a", ["auto"]),
        ("%intern resume ", ["mcq-7f3a"]),
        ("%%job sft-1 --", [option.flag for option in JOB_OPTIONS]),
        ("%%job sft-1 --on ", ["local", "kernel"]),
        ("%%job sft-1 --on=k", ["kernel"]),
    ],
)
def test_names_are_offered_where_they_are_meant(
    kernel: KernelPeer, text: str, offers: list[str]
) -> None:
    found = kernel.complete(text)
    assert set(offers) <= set(found)
    if offers != ["nano/mcq", "nano/sum"]:
        assert sorted(found) == sorted(offers)


@pytest.mark.parametrize(
    "text",
    [
        "x = --bu",
        "%%intern improve nano/mcq\n--bu",
        "%%intern improve nano/mcq\nimprove nano/",
        "%%bash\n%intern st",
        "print(1)\n%%intern --bu",
        "%%internal --bu",
        "%intern steer st",
        "%%intern improve nano/mcq --budget re",
    ],
)
def test_nothing_of_ours_is_offered_anywhere_else(kernel: KernelPeer, text: str) -> None:
    ours = {"--budget", "nano/mcq", "nano/sum", "status", "steer", "review"}
    assert ours.isdisjoint(kernel.complete(text))


def test_names_are_loaded_at_the_first_completion_and_not_before(tmp_path: Path) -> None:
    with KernelPeer(tmp_path) as peer:
        peer.run(LOAD)
        probe = "import sys; print('mlintern_jupyter.bench.catalogue' in sys.modules)"
        assert peer.run(probe).text == "False\n"
        assert "nano/mcq" in peer.complete("%%intern improve nano/m")
        assert peer.run(probe).text == "True\n"


def test_unloading_takes_the_names_away(tmp_path: Path) -> None:
    with KernelPeer(tmp_path) as peer:
        peer.run(LOAD)
        assert OURS in peer.complete("%%intern --bu")
        peer.run("%unload_ext mlintern_jupyter")
        assert OURS not in peer.complete("%%intern --bu")
