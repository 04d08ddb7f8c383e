"""Write the three nano tasks: training pools, dev items and the packed held-out items.

``python -m mlintern_jupyter.bench.nano.tasks --out DIR`` draws train and dev from the world's
public seed and the held-out items from a seed that is drawn once and written down nowhere. No fact,
sum or errand is in two splits.
"""

import argparse
import json
import random
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.bench import heldout
from mlintern_jupyter.bench.nano.world import (
    ERRANDS,
    LETTERS,
    WORLD_SEED,
    Split,
    make_word,
    make_world,
    options_for,
    work_out,
)

ITEMS = 300
"""Items of each of dev and held-out."""
TRAIN_ROWS = 2_000
"""Rows of each pool offered for training."""
OLD_SCHEMA_SHARE = 0.6
"""Share of the tool pool in the schema of an earlier format: the trap of ``nano/tool``."""

Row = dict[str, Any]
Draw = Callable[[random.Random, Split], tuple[Row, str]]
"""Draws one row and its identity, the text by which two rows count as the same item."""


def _draw_sum(rng: random.Random, split: Split) -> tuple[Row, str]:
    left, right = rng.randint(100, 999), rng.randint(100, 999)
    question = {"question": f"What is {left} + {right}?"}
    steps, _, total = work_out(left, right).rpartition(", ")
    worked = {"steps": steps} if split == "train" else {}
    return {**question, **worked, "answer": total}, f"{min(left, right)}+{max(left, right)}"


def _draw_mcq(rng: random.Random, split: Split) -> tuple[Row, str]:
    fact = rng.choice(make_world().of(split))
    options = options_for(fact, rng)
    row = {
        "question": f"What is the {fact.attribute} of {fact.name}?",
        "options": options,
        "answer": LETTERS[options.index(fact.value)],
    }
    return row, f"{fact.name} {fact.attribute} {options}"


def _draw_tool(rng: random.Random, split: Split) -> tuple[Row, str]:
    errand, other = rng.sample(ERRANDS, 2)
    words = (make_word(rng), make_word(rng))
    wording = rng.choice(("{}.", "please {}.", "{} please."))
    request = wording.format(errand.sentence.format(*words)).capitalize()
    offered = [errand, other]
    rng.shuffle(offered)
    tools = {tool.verb: list(tool.arguments) for tool in offered}
    arguments = dict(zip(errand.arguments, words, strict=True))
    call: Row = {"name": errand.verb, "arguments": arguments}
    if split == "train" and rng.random() < OLD_SCHEMA_SHARE:
        call = {"function": errand.verb, "parameters": arguments}
    row = {"request": request, "tools": json.dumps(tools), "call": json.dumps(call)}
    return row, f"{errand.verb} {' '.join(words)}"


TASKS: dict[str, Draw] = {"sum": _draw_sum, "mcq": _draw_mcq, "tool": _draw_tool}


def make_rows(
    task: str, split: Split, count: int, rng: random.Random, taken: set[str]
) -> list[Row]:
    """Draw rows whose identity is not in ``taken`` yet, and add theirs to it.

    Args:
        task: key of ``TASKS``.
        split: which pool; dev and held-out rows get an ``id``.
        count: number of rows.
        rng: where chance comes from.
        taken: identities already used by other splits; changed in place.
    """
    rows: list[Row] = []
    while len(rows) < count:
        row, identity = TASKS[task](rng, split)
        if identity in taken:
            continue
        taken.add(identity)
        rows.append(row if split == "train" else {"id": f"{split}-{len(rows):03d}", **row})
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Write the data of all tasks; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlintern_jupyter.bench.nano.tasks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--heldout-seed", type=int, default=None, help="default: a new secret one")
    args = parser.parse_args(argv)
    for task in TASKS:
        folder: Path = args.out / task
        folder.mkdir(parents=True, exist_ok=True)
        public = random.Random(f"{WORLD_SEED} {task}")
        hidden = random.Random(
            args.heldout_seed if args.heldout_seed is not None else secrets.randbits(128)
        )
        taken: set[str] = set()
        for split, count in (("train", TRAIN_ROWS), ("dev", ITEMS)):
            rows = make_rows(task, cast("Split", split), count, public, taken)
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        packed = heldout.encode(make_rows(task, "heldout", ITEMS, hidden, taken), f"nano/{task}")
        (folder / "heldout.bin").write_bytes(packed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
