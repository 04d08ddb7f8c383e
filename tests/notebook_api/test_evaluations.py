"""``evaluate`` and ``compare``: measured once, kept, and honest about what they do not know."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlintern_jupyter import heldout_watch
from mlintern_jupyter.cells import RECORD_MIME
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.notebook_api import benchmark, evaluate
from mlintern_jupyter.notebook_api import compare as notebook_compare
from mlintern_jupyter.notebook_api import evals as notebook_evals
from mlintern_jupyter.notebook_api.compare import compare
from mlintern_jupyter.record import recall

N = 40
FAKE_SCORER = """
import argparse, hashlib, json, pathlib, time
parser = argparse.ArgumentParser()
for name in ("task", "split", "model", "out", "limit"):
    parser.add_argument(f"--{name}")
args = parser.parse_args()
with open("scorings", "a") as runs:
    runs.write("x")
model = pathlib.Path(args.model)
if (model / "hang").exists():
    time.sleep(600)
if (model / "broken").exists():
    raise SystemExit(f"{model.name} does not load | why: no weights")
right = int((model / "model.safetensors").read_text())
n = int(args.limit) or 40
settings = json.loads((model / "generation_config.json").read_text())
pathlib.Path(args.out).write_text(json.dumps({
    "v": 1, "task": args.task, "split": args.split, "model": args.model,
    "weights_sha256": str(right), "items_sha256": f"{args.split}{n}", "n": n, "k": right,
    "accuracy": right / n, "ci95": [0.1, 0.2], "correct": f"{(1 << right) - 1:010x}",
    "decoding": {"do_sample": False, **settings}, "rates": {"stopped": 0.5, "answer_found": 0.25},
    "errors": {"no answer": n - right}, "samples": [{"id": "1", "output": "?"}], "wall_s": 1.5,
}))
"""


@pytest.fixture
def scorer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A scorer that reads how many items are right from the model's weights; counts its runs."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "counted_scorer.py").write_text(FAKE_SCORER)
    monkeypatch.setenv("PYTHONPATH", f"{modules}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(notebook_evals, "_SCORER", "counted_scorer")
    counted = folder / "scorings"
    return lambda: len(counted.read_text()) if counted.exists() else 0


@pytest.fixture
def model(folder: Path) -> Callable[..., Path]:
    def make(name: str, right: int, **settings: Any) -> Path:
        path = folder / name
        path.mkdir()
        (path / "model.safetensors").write_text(str(right))
        (path / "generation_config.json").write_text(json.dumps(settings))
        return path

    return make


def test_an_evaluation_prints_one_plain_line_and_returns_its_numbers(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model("base", 4)
    result = evaluate("base", task="nano/mcq")
    assert capsys.readouterr().out == (
        "base · nano/mcq dev · 4/40 = 10.0% [10.0, 20.0] · chance 25% · stopped 50% · "
        "answer found 25% · no answer 36\n"
    )
    assert (result.name, result.model, result.task, result.n) == ("base", "base", "nano/mcq", N)
    assert result.samples == ({"id": "1", "output": "?"},)
    assert "samples" not in result.payload()
    assert "10.0%" in repr(result)


def test_the_same_weights_items_and_settings_are_scored_once(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base = model("base", 4)
    first = evaluate(base, task="nano/mcq")
    shutil.copytree(base, "copy")
    second = evaluate("copy", task="nano/mcq", name="again")
    assert scorer() == 1
    assert "measured before" in capsys.readouterr().out
    assert (second.name, second.accuracy, second.samples) == ("again", 0.1, first.samples)


@pytest.mark.parametrize("change", ["weights", "settings", "tokenizer", "split", "limit", "task"])
def test_anything_that_changes_a_score_is_measured_anew(
    scorer: Callable[[], int], model: Callable[..., Path], change: str
) -> None:
    base = model("base", 4)
    evaluate(base, task="nano/mcq")
    more: dict[str, Any] = {}
    if change == "weights":
        (base / "model.safetensors").write_text("5")
    elif change == "settings":
        (base / "generation_config.json").write_text('{"eos_token_id": [2]}')
    elif change == "tokenizer":
        (base / "tokenizer.json").write_text("{}")
    elif change == "split":
        more = {"split": "heldout"}
    elif change == "limit":
        more = {"limit": 10}
    evaluate(base, task="nano/sum" if change == "task" else "nano/mcq", **more)
    assert scorer() == 2


def test_what_training_leaves_beside_the_model_does_not_count(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    base = model("base", 4)
    evaluate(base, task="nano/mcq")
    (base / "trainer_state.json").write_text("{}")
    (base / "training_args.bin").write_text("x")
    (base / "checkpoint-10").mkdir()
    evaluate(base, task="nano/mcq")
    assert scorer() == 1


def test_a_rerun_measures_again_once(
    scorer: Callable[[], int], model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = model("base", 4)
    evaluate(base, task="nano/mcq")
    notebook_evals._measured.clear()
    monkeypatch.setenv("MLINTERN_RERUN", "1")
    evaluate(base, task="nano/mcq")
    evaluate(base, task="nano/mcq")
    assert scorer() == 2


def test_every_real_look_at_held_out_items_is_counted_and_shown(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, better = model("base", 4), model("better", 30)
    assert evaluate(base, task="nano/mcq").looks == 0
    looks = [evaluate(m, task="nano/mcq", split="heldout").looks for m in (base, better, base)]
    assert looks == [1, 2, 1]
    assert "look 2 at the held-out items" in capsys.readouterr().out
    assert len(Path("intern_runs/looks.jsonl").read_text().splitlines()) == 2


def test_the_kernel_never_opens_held_out_items(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    opened: list[str] = []
    heldout_watch.watch(opened.append)
    evaluate(model("base", 4), task="nano/mcq", split="heldout")
    assert opened == []


def test_opened_held_out_items_void_what_was_measured_and_what_is_compared(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, better = model("base", 4), model("better", 30)
    assert evaluate(base, task="nano/mcq").voided == ""
    heldout_watch.write_read(Path("intern_runs"), "/task/heldout.bin", "job peek-12345678")
    first, second = evaluate(base, task="nano/mcq"), evaluate(better, task="nano/mcq")
    assert "job peek-12345678" in first.payload()["voided"]
    verdict = compare(first, second)
    assert (verdict.word, verdict.voided) == ("no evidence", first.voided)
    assert "VOID, no claim stands" in capsys.readouterr().out.splitlines()[-1]


def test_a_model_that_cannot_be_scored_says_why(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    (model("base", 4) / "broken").touch()
    with pytest.raises(InternError, match="base was not scored") as failed:
        evaluate("base", task="nano/mcq")
    assert failed.value.why == "base does not load | why: no weights"
    assert not Path("intern_runs/evals").exists()


def test_an_interrupt_ends_the_scorer_and_records_nothing(
    scorer: Callable[[], int],
    model: Callable[..., Path],
    waiting: threading.Event,
    once: Callable[..., None],
    interrupt: Callable[[], None],
) -> None:
    (model("base", 4) / "hang").touch()
    once(lambda: scorer() and waiting.is_set(), interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate("base", task="nano/mcq")
    commands: list[list[str]] = []
    for child in psutil.Process().children(recursive=True):
        # What ended meanwhile is none of it.
        with contextlib.suppress(psutil.Error):
            commands.append(child.cmdline())
    assert not [c for c in commands if "counted_scorer" in c]
    assert not Path("intern_runs/evals").exists()


def test_a_missing_model_is_an_error_that_says_what_to_do() -> None:
    for missing in ("no/such/model", ""):
        with pytest.raises(UsageError, match="cannot be evaluated") as refused:
            evaluate(missing, task="nano/mcq", name="sft-1")
        assert "job(NAME).result().model" in refused.value.do
    with pytest.raises(UsageError, match="no split train"):
        evaluate("x", task="nano/mcq", split="train")  # type: ignore[arg-type]


def test_the_result_of_a_model_that_is_gone_is_shown_as_recorded(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(evaluate(model("base", 4), task="nano/mcq").model)
    again = evaluate("base", task="nano/mcq")
    assert (again.k, scorer()) == (4, 1)
    assert "recorded result (the model is not here)" in capsys.readouterr().out


def test_a_record_that_travelled_alone_still_has_its_results_and_verdict(
    scorer: Callable[[], int],
    model: Callable[..., Path],
    run_notebook: Callable[..., Any],
    folder: Path,
) -> None:
    model("base", 4)
    model("better", 30)
    fake = "from mlintern_jupyter.notebook_api import evals\nevals._SCORER = 'counted_scorer'"
    cell = (
        "from mlintern_jupyter import compare, evaluate\n"
        "base = evaluate('base', task='nano/mcq')\n"
        "better = evaluate('better', task='nano/mcq')\n"
        "verdict = compare(base, better)"
    )
    first = run_notebook(fake, cell)
    for gone in ("base", "better", "intern_runs"):
        shutil.rmtree(folder / gone)
    recall.forget()
    again = run_notebook(fake, cell)
    records = [
        [output.data[RECORD_MIME] for output in notebook.cells[2].outputs]
        for notebook in (first, again)
    ]
    assert [r["what"] for r in records[0]] == ["eval", "eval", "comparison"]
    assert records[0] == records[1]
    assert records[1][2]["word"] == "improved"
    assert scorer() == 2


def test_without_a_model_or_a_record_a_batch_run_goes_on_unevaluated(
    run_notebook: Callable[..., Any],
) -> None:
    ran = run_notebook(
        "from mlintern_jupyter import compare, evaluate\n"
        "base = evaluate('gone', task='nano/mcq', name='base')\n"
        "verdict = compare(base, base)\n"
        "print(base.n, verdict.word)"
    )
    text = "\n".join(o.get("text") or o.data["text/plain"] for o in ran.cells[1].outputs)
    assert "base · nano/mcq dev · not evaluated: no model at gone" in text
    assert "no evidence (base and base not evaluated)" in text
    assert "0 no evidence" in text


def test_the_verdict_is_printed_with_the_numbers_behind_it(
    scorer: Callable[[], int], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base = evaluate(model("base", 4), task="nano/mcq", split="heldout")
    better = evaluate(model("better", 30), task="nano/mcq", split="heldout")
    capsys.readouterr()
    verdict = compare(base, better)
    assert (verdict.word, verdict.n, verdict.looks) == ("improved", N, 2)
    assert verdict.difference == pytest.approx(0.65)
    assert verdict.p < 0.001 < verdict.mde
    printed = capsys.readouterr().out
    for part in ("better against base", "improved", "+65.0 points [", "p = ", "n = 40", ": 2"):
        assert part in printed
    assert compare(better, base).word == "worse"
    assert compare(base, base).word == "no evidence"


def test_several_tests_make_the_verdict_stricter(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    base = evaluate(model("base", 12), task="nano/mcq")
    better = evaluate(model("better", 19), task="nano/mcq")
    alone, one_of_ten = compare(base, better), compare(base, better, tests=10)
    assert (alone.word, one_of_ten.word) == ("improved", "no evidence")
    assert one_of_ten.p == pytest.approx(10 * alone.p)
    with pytest.raises(UsageError, match="tests is 0"):
        compare(base, better, tests=0)


def test_other_items_are_not_compared(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    base = model("base", 4)
    full = evaluate(base, task="nano/mcq")
    with pytest.raises(UsageError, match="did not answer the same items"):
        compare(full, evaluate(base, task="nano/mcq", limit=10))


def test_a_stop_token_is_the_models_own_affair_but_sampling_is_not(
    scorer: Callable[[], int], model: Callable[..., Path]
) -> None:
    base = evaluate(model("base", 4), task="nano/mcq")
    fixed = evaluate(model("fixed", 30, stop_token_ids=[2], top_k=50), task="nano/mcq")
    sampled = evaluate(model("sampled", 30, do_sample=True), task="nano/mcq")
    assert compare(base, fixed).word == "improved"
    verdict = compare(base, sampled)
    assert (verdict.word, verdict.reason) == ("no evidence", "decoded differently: do_sample")


def test_without_the_training_packages_the_way_to_install_them_is_said(
    scorer: Callable[[], int], model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = evaluate(model("base", 4), task="nano/mcq")
    monkeypatch.setattr(notebook_compare, "_STATISTICS", "not_installed_here")
    with pytest.raises(InternError, match="training packages") as compared:
        compare(base, base)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InternError, match="training packages") as evaluated:
        evaluate(model("other", 5), task="nano/mcq")
    for refused in (compared, evaluated):
        assert "pip install 'mlintern-jupyter[train]'" in refused.value.do


def test_a_benchmark_lands_beside_the_notebook_and_twice_is_once(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    first, second = benchmark("nano/mcq"), benchmark("nano/mcq")
    assert first == second
    assert first.folder == Path("nano-mcq")
    assert (folder / "nano-mcq" / "train.jsonl").exists()
    assert not list((folder / "nano-mcq").rglob("heldout*"))
    assert "train rows" in capsys.readouterr().out
    own = benchmark("nano-mcq")
    assert own.train == folder / "nano-mcq" / "train.jsonl"
    with pytest.raises(UsageError, match="no benchmark named nano/mqc"):
        benchmark("nano/mqc")


@pytest.mark.training
def test_the_real_scorer_scores_the_base_model_of_a_task(folder: Path) -> None:
    files = benchmark("nano/mcq")
    result = evaluate(files.base_model, task="nano/mcq", limit=8)
    assert (result.n, result.chance) == (8, 0.25)
    assert set(result.rates) >= {"stopped", "answer_found"}
    again = evaluate(files.base_model, task="nano/mcq", limit=8)
    assert again == result
