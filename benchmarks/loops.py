"""How many calls random looping models waste, and what working ones hear: benchmarks/loops.md."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "doubles"))

from looping_models import Scene, play_looping, play_working  # noqa: E402

LOOPING, WORKING, CALLS = 20_000, 2_000, 60
STEPS = 5_000


def main() -> None:
    """Play the populations and write what came out."""
    looping = [play_looping(seed) for seed in range(LOOPING)]
    working = [play_working(seed, CALLS) for seed in range(WORKING)]
    over = [played.model for played in looping if played.wasted > played.bound]
    endless = [played.model for played in looping if not played.handed_over]
    lines = [
        "# Loops",
        "",
        "`make loops`. Models that repeat a random cycle of one to eight calls, one or many in a",
        "reply, side by side or not, with and without a new plan, and a fallback that does the",
        "same; and models that work and now and then read again what they read.",
        "",
        "| what | measured |",
        "| --- | --- |",
        f"| looping models | {LOOPING:,} |",
        f"| that wasted more than max(6, two periods) calls (0) | {len(over)} |",
        f"| that were not handed over (0) | {len(endless)} |",
        f"| calls wasted, mean and most | {mean(p.wasted for p in looping):.2f},"
        f" {max(p.wasted for p in looping)} |",
        f"| working models, of {CALLS} calls each | {WORKING:,} |",
        f"| that were warned | {sum(bool(s.rules()) for s in working)} |",
        f"| calls of them that were refused | {sum(len(s.refusals) for s in working)} |",
        f"| CPU time of one step of this benchmark | {_microseconds_per_step():.0f} \u00b5s |",
    ]
    text = "\n".join([*lines, *(f"\nFailed: {model}" for model in over + endless)]) + "\n"
    (HERE / "loops.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _microseconds_per_step() -> float:
    scene, took = Scene(), list[float]()
    for number in range(STEPS):
        start = time.thread_time()
        scene.reply(("read", f'{{"n": {number}}}', f"news {number}"))
        took.append(time.thread_time() - start)
    return 1e6 * median(took)


if __name__ == "__main__":
    main()
