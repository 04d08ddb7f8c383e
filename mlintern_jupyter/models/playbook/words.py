"""Sentences of the playbook. Every number in them comes from facts that a cell established."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlintern_jupyter.models.playbook.history import Result

NOT_A_FOLDER = (
    "The playbook knows one kind of work: improving a model on a benchmark that is a folder on this"
    " machine (task.toml, train.jsonl, dev.jsonl). This request names none that"
    " can be run here, so I changed nothing. For anything else a language model is needed: choose"
    " one with `--model provider/name`."
)


@dataclass(frozen=True)
class Score:
    """One evaluation, as its cell reported it."""

    name: str
    model: str
    accuracy: float
    low: float
    """Ends of the 95% interval."""
    high: float
    n: int
    chance: float
    rates: Mapping[str, Any]

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval lies above guessing."""
        return self.low > self.chance


@dataclass(frozen=True)
class Training:
    """One idea that was trained, and what became of it."""

    recipe: str
    job: str
    steps: int
    """Optimizer steps, those of the model it started from included."""
    seconds: float
    score: Score | None
    kept: bool
    reason: str


def score_of(result: Result) -> Score | None:
    """The evaluation of a result; nothing if its cell did not end well or the score is void."""
    found = result.about("eval")
    if result.state != "done" or not found or found.get("voided"):
        return None
    interval = found.get("ci95") or [0.0, 1.0]
    return Score(
        name=str(found.get("name", "")),
        model=str(found.get("model", "")),
        accuracy=float(found.get("accuracy", 0.0)),
        low=float(interval[0]),
        high=float(interval[1]),
        n=int(found.get("n", 0)),
        chance=float(found.get("chance") or 0.0),
        rates=found.get("rates") or {},
    )


def scored(score: Score) -> str:
    """A score in words: percent, interval, items, and guessing where it matters."""
    text = (
        f"{100 * score.accuracy:.1f}% [{100 * score.low:.1f}, {100 * score.high:.1f}]"
        f" of {score.n} items"
    )
    if score.chance and not score.above_chance:
        text += f", not above guessing ({100 * score.chance:.0f}%)"
    return text


def against(score: Score, bar: Score) -> str:
    """A score beside the one it had to beat."""
    more = score.accuracy > bar.accuracy
    text = f"{'more' if more else 'not more'} than the {100 * bar.accuracy:.1f}% of `{bar.name}`"
    return text if score.above_chance or not score.chance else f"{text}; guessing does as well"


def base_reading(score: Score) -> str:
    """What the untouched model's evaluation shows."""
    text = f"The untouched base model scores {scored(score)} on dev"
    shown = [
        f"{label} in {100 * float(score.rates[key]):.0f}%"
        for key, label in (
            ("stopped", "it stops by itself"),
            ("answer_found", "an answer is found"),
        )
        if isinstance(score.rates.get(key), int | float)
    ]
    return text + (f" ({', '.join(shown)} of them)." if shown else ".")


def audit_reading(audit: Mapping[str, Any]) -> str:
    """What the audit found, in one line."""
    if not audit:
        return "the data was not audited"
    parts = [f"{audit.get('rows', '?')} training rows"]
    bad = audit.get("bad_rows")
    if isinstance(bad, int | float):
        parts.append(f"{100 * bad:.1f}% look wrong" if bad else "none looks wrong")
    if audit.get("end_token_stops") is False:
        parts.append(f"the template's end token {audit.get('end_token', '')} stops nothing")
    return ", ".join(parts)


def idea_line(entry: Mapping[str, Any], sources: Sequence[str]) -> str:
    """A recipe in the literature cell: title, condition, sources."""
    line = f"- **{entry['title']}** (recipe `{entry['name']}`)"
    if entry.get("when"):
        conditions = [f"`{path}` {' and '.join(said)}" for path, said in entry["when"].items()]
        line += f", if {', '.join(conditions)}"
    return f"{line}. Sources: {', '.join(map(_linked, sources)) or 'none named'}"


def _linked(url: str) -> str:
    parts = urlsplit(url)
    short = f"{parts.netloc}{parts.path}".removeprefix("www.").rstrip("/")
    return f"[{short.replace('arxiv.org/abs/', 'arXiv:')}]({url})"


def verdict(comparison: Mapping[str, Any]) -> str:
    """The verdict as ``compare`` printed it."""
    low, high = comparison.get("ci95") or [0.0, 0.0]
    where = {"heldout": "held-out"}.get(str(comparison.get("split")), "dev")
    text = (
        f"**{comparison.get('word', 'no evidence')}**: `{comparison.get('chosen')}` against"
        f" `{comparison.get('baseline')}` on {comparison.get('n')} {where} items:"
        f" {_points(comparison.get('difference'))} points, 95% interval"
        f" [{_points(low)}, {_points(high)}], exact McNemar p = {_p(comparison.get('p'))};"
        f" smallest detectable effect {_points(comparison.get('mde')).lstrip('+')} points"
    )
    reason = comparison.get("reason")
    return f"{text} ({reason})." if reason else f"{text}."


def _points(value: Any) -> str:
    return f"{100 * value:+.1f}" if isinstance(value, int | float) else "?"


def _p(value: Any) -> str:
    if not isinstance(value, int | float):
        return "?"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def cost(trainings: Sequence[Training]) -> str:
    """What the work used, as far as the facts tell."""
    seconds = sum(t.seconds for t in trainings)
    count = len(trainings)
    return (
        f"{count} training{'' if count == 1 else 's'}, {seconds:.0f} s of training in all; no"
        " language model was asked, so no tokens were paid."
    )
