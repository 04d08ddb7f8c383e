"""The public benchmarks by name: what their files say, and how they are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlintern_jupyter.bench import catalogue
from mlintern_jupyter.errors import UsageError

REAL = sorted((Path(catalogue.__file__).parent / "real").glob("*.toml"))
GPQA = Path(catalogue.__file__).parent / "real" / "gpqa-main.toml"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("GPQA", "gpqa-main"),
        ("gpqa", "gpqa-main"),
        ("gpqa_main", "gpqa-main"),
        ("GPQA-Diamond", "gpqa-diamond"),
        ("GSM8K", "gsm8k"),
        ("AIME 2025", "aime-2025"),
        ("HumanEval", "humaneval"),
        ("BFCL", "bfcl"),
        ("HealthBench", "healthbench"),
        ("Arena-Hard", "arena-hard"),
        ("Nano/MCQ", "nano/mcq"),
    ],
)
def test_a_benchmark_is_found_by_any_of_its_names_in_any_case(said: str, name: str) -> None:
    assert catalogue.find(said).name == name


def test_no_alias_leads_to_two_benchmarks() -> None:
    owner: dict[str, str] = {}
    for path in REAL:
        real = catalogue.read(path)
        for word in (real.name, *real.aliases):
            assert catalogue.find(word).name == real.name
            assert owner.setdefault(word, path.stem) == path.stem


def test_an_unknown_name_is_refused_with_the_nearest_one_first() -> None:
    with pytest.raises(UsageError) as refused:
        catalogue.find("gpka-diamond")
    assert refused.value.do.startswith("did you mean gpqa-diamond?")
    for name in catalogue.names():
        assert name in refused.value.do


def test_a_folder_in_the_benchmark_format_is_a_benchmark(tmp_path: Path) -> None:
    folder = tmp_path / "my-task"
    folder.mkdir()
    source = Path(catalogue.__file__).parent / "nano" / "sum" / "task.toml"
    described = source.read_text().replace('"nano/sum"', '"my/sum"')
    (folder / "task.toml").write_text(described)
    found = catalogue.find(str(folder))
    assert found.kind == "folder"
    assert found.task is not None
    assert found.task.folder == folder.resolve()
    assert found.real is None


def test_a_path_without_a_benchmark_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no benchmark named"):
        catalogue.find(tmp_path / "nothing")


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_every_shipped_description_is_complete(path: Path) -> None:
    real = catalogue.read(path)
    assert real.name == path.stem
    assert real.items > 0
    assert 0 <= real.chance <= 1
    assert real.contamination.blocked
    assert real.harness
    assert real.traps
    assert real.data.revision or "pin at first use" in real.data.revision_note
    assert not real.data.gated or real.data.gate.startswith("https://")
    assert real.needs.gpu_gb > 0
    assert real.needs.hours[0] < real.needs.hours[1]
    assert real.needs.usd[0] < real.needs.usd[1]
    assert real.needs.source
    assert "judge" not in real.scorer.kind or (real.scorer.judge and real.needs.keys)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_the_benchmarks_own_data_set_is_on_its_block_list(path: Path) -> None:
    real = catalogue.read(path)
    assert {real.data.id, f"{real.data.id}:{real.data.split}"} & set(real.contamination.blocked)


@pytest.mark.parametrize("name", ["gpqa-main", "gpqa-diamond", "bfcl"])
def test_a_train_split_that_is_the_test_set_is_said_to_be_one(name: str) -> None:
    found = catalogue.find(name)
    assert found.real is not None
    assert found.real.data.split == "train"
    assert "set" in found.real.data.split_note
    assert found.real.data.split_note in found.description


def test_the_description_told_to_the_intern_holds_scorer_rule_and_block_list() -> None:
    told = catalogue.find("gpqa").description
    assert "ANSWER: $LETTER" in told
    assert "never train on: Idavidrein/gpqa" in told
    assert "zero-shot 14.1, few-shot 26, official instruct 35.5" in told
    assert "not pinned yet" in told


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("items = 448", "", "items: missing"),
        ("items = 448", 'items = "448"', "items: expected a whole number"),
        ("items = 448", "items = true", "items: expected a whole number"),
        ("items = 448", "items = 448\ncolour = 1", "colour: unknown"),
        ("gated = true", "gated = 1", "data.gated: expected true or false"),
        ('kind = "choice"', 'kind = "vibes"', "scorer.kind: expected one of"),
        ("hours = [3, 10]", "hours = [3]", "needs.hours: expected 2 entries, not 1"),
        ("few_shot = 26.0", "", r"baselines\[0\].few_shot: missing"),
        ("items = 448", "items = ", "Invalid value"),
    ],
)
def test_a_broken_description_is_refused_by_the_name_of_its_field(
    before: str, after: str, complaint: str, tmp_path: Path
) -> None:
    text = GPQA.read_text()
    assert before in text
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace(before, after, 1))
    with pytest.raises(UsageError, match=complaint):
        catalogue.read(broken)
