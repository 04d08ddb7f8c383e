"""Benchmarks by name: the embedded ones, the public ones, and any folder in the benchmark format.

The public ones (GPQA, GSM8K and others) are descriptions, not copies: one TOML file each under
``bench/real``, saying which items count, how a reply is scored, what counts as contamination and
what a run needs. They hold no item. What a file says is checked when it is read; every field is
explained where it is declared below. Not covered: running them. That is the business of the
evaluation package each file names.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from mlintern_jupyter import reading
from mlintern_jupyter.bench.task import Task, built_in_tasks, open_task
from mlintern_jupyter.config import from_notebook
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.reading import ReadingError

_REAL = Path(__file__).parent / "real"

Kind = Literal["embedded", "folder", "real"]
ScorerKind = Literal["choice", "number", "code", "tool-call", "rubric-judge", "pairwise-judge"]


@dataclass(frozen=True)
class Data:
    """Where the items are."""

    id: str
    """On the Hub, or a web address where ``hub`` is false."""
    config: str
    split: str
    split_note: str
    """What the split's name hides: more than one public test set is called ``train``."""
    revision: str
    """Commit of the data set; empty means that it is pinned at first use and recorded there."""
    revision_note: str
    licence: str
    gated: bool = False
    gate: str = ""
    """Where the terms are accepted."""
    hub: bool = True


@dataclass(frozen=True)
class Prompt:
    """What the model is shown, zero-shot unless ``form`` says otherwise."""

    form: str
    template: str


@dataclass(frozen=True)
class Scorer:
    """How a reply becomes right or wrong."""

    kind: ScorerKind
    rule: str
    judge: str = ""
    """The model that judges, where one does."""


@dataclass(frozen=True)
class Contamination:
    """What training data must not contain."""

    blocked: tuple[str, ...]
    """Data sets, ``id`` or ``id:split``. Known copies are listed; unknown copies exist."""
    rule: str


@dataclass(frozen=True)
class Harness:
    """A package that runs the benchmark, and what it calls it."""

    package: str
    task: str
    note: str = ""


@dataclass(frozen=True)
class Baseline:
    """Scores in percent of a base model, by the interface that ``source`` names."""

    model: str
    zero_shot: float
    few_shot: float
    instruct: float
    """The publisher's own instruction-tuned sibling: a reference, never a starting point."""
    source: str


@dataclass(frozen=True)
class Needs:
    """What a run takes. Numbers are estimates; ``source`` says whose."""

    packages: tuple[str, ...] = (
        "torch",
        "transformers",
        "trl",
        "peft",
        "accelerate",
        "datasets",
        "scipy",
    )
    harness_packages: tuple[str, ...] = ()
    """Import names of the evaluation package."""
    harness_install: str = ""
    gpu_gb: float = 0
    """Memory of one GPU; 0 means that none is needed."""
    disk_gb: float = 1
    hours: tuple[float, float] = (0, 0)
    """Shortest and longest usual run on that GPU."""
    usd: tuple[float, float] = (0, 0)
    """GPU rent and language-model calls together."""
    keys: tuple[str, ...] = ()
    """Environment variables that must be set, for example a judge's key."""
    source: str = ""


@dataclass(frozen=True)
class PublicBenchmark:
    """One public benchmark, as its file under ``bench/real`` describes it."""

    name: str
    title: str
    aliases: tuple[str, ...]
    measures: str
    items: int
    metric: str
    chance: float
    """Score of guessing, between 0 and 1."""
    data: Data
    prompt: Prompt
    scorer: Scorer
    contamination: Contamination
    harness: tuple[Harness, ...]
    baselines: tuple[Baseline, ...]
    traps: tuple[str, ...]
    """Settings that changed scores without changing weights, and other ways to be wrong."""
    needs: Needs


@dataclass(frozen=True)
class Benchmark:
    """What ``improve NAME`` was resolved to: ``task`` or ``real``, never both."""

    name: str
    title: str
    kind: Kind
    needs: Needs
    task: Task | None = None
    real: PublicBenchmark | None = None

    @property
    def chance(self) -> float:
        """Score of guessing, between 0 and 1."""
        return self.real.chance if self.real else cast("Task", self.task).chance

    @property
    def description(self) -> str:
        """The facts the intern is told, as plain text."""
        return _describe_real(self.real) if self.real else _describe(cast("Task", self.task))


def names() -> tuple[str, ...]:
    """Every name that can be improved, the embedded ones first."""
    return (*built_in_tasks(), *sorted(_files()))


def find(name: str | Path) -> Benchmark:
    """Look a benchmark up: a name in any case, an alias, or the folder of one.

    Raises:
        UsageError: There is none of that name; names the nearest one first. Or its description
            is broken; says which field of which file.
    """
    text = str(name).strip()
    embedded = {entry.casefold(): entry for entry in built_in_tasks()}
    if text.casefold() in embedded:
        return _from_task(open_task(embedded[text.casefold()]), "embedded")
    wanted = _folded(text)
    for path in _files().values():
        real = read(path)
        if wanted in {_folded(word) for word in (real.name, *real.aliases)}:
            return Benchmark(real.name, real.title, "real", real.needs, real=real)
    folder = from_notebook(text)
    if "/" in text or (folder / "task.toml").is_file():
        return _from_task(open_task(folder), "folder")
    raise _unknown(text)


def read(path: Path) -> PublicBenchmark:
    """Read and check one description.

    Raises:
        UsageError: The file is not TOML, or a field is missing, unknown or of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error)) from error
    try:
        return reading.read(PublicBenchmark, table)
    except ReadingError as error:
        raise UsageError(
            f"{path} does not describe a benchmark",
            why=str(error),
            do="compare it with gpqa-main.toml",
        ) from None


def _files() -> dict[str, Path]:
    return {path.stem: path for path in _REAL.glob("*.toml")}


def _from_task(task: Task, kind: Kind) -> Benchmark:
    return Benchmark(task.name, task.title, kind, Needs(source="the package itself"), task=task)


def _folded(word: str) -> str:
    return word.casefold().replace("_", "-").replace(" ", "-")


def _unknown(text: str) -> UsageError:
    known = {_folded(name): name for name in names()}
    for path in _files().values():
        known |= {_folded(alias): path.stem for alias in read(path).aliases}
    near = difflib.get_close_matches(_folded(text), known, n=3, cutoff=0.5)
    first = list(dict.fromkeys(known[word] for word in near))
    listed = [*first, *(name for name in names() if name not in first)]
    hint = f"did you mean {first[0]}? " if first else ""
    return UsageError(
        f"there is no benchmark named {text}",
        do=f"{hint}the names are {', '.join(listed)}, or the path of a benchmark folder",
    )


def _describe(task: Task) -> str:
    return (
        f"{task.name}: {task.title}. {task.description.strip()}\n"
        f"metric {task.metric}, scorer {task.scorer}, guessing scores {task.chance:g}\n"
        f"contamination: {task.contamination}"
    )


def _describe_real(real: PublicBenchmark) -> str:
    data = real.data
    revision = data.revision or f"not pinned yet ({data.revision_note})"
    lines = [
        f"{real.name}: {real.title}. {real.measures}",
        f"items: {real.items} of {data.id} {data.config} split {data.split!r} ({data.split_note})",
        f"revision: {revision}",
        f"licence: {data.licence}" + (f"; gated: {data.gate}" if data.gated else ""),
        f"metric: {real.metric}; guessing scores {real.chance:g}",
        f"prompt ({real.prompt.form}):\n{real.prompt.template.strip()}",
        f"scorer ({real.scorer.kind}): {real.scorer.rule}",
        f"contamination: {real.contamination.rule}",
        f"never train on: {', '.join(real.contamination.blocked)}",
        *(f"run it with {h.package}: {h.task}. {h.note}".rstrip() for h in real.harness),
        *(
            f"known for {b.model}: zero-shot {b.zero_shot:g}, few-shot {b.few_shot:g}, "
            f"official instruct {b.instruct:g} percent ({b.source})"
            for b in real.baselines
        ),
        *(f"trap: {trap}" for trap in real.traps),
    ]
    return "\n".join(lines)
