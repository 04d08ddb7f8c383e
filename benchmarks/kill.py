"""SIGKILL of a real kernel at every commit point, before and after fsync: benchmarks/kill.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import get_args

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "doubles"))

import kill_rig as rig  # noqa: E402


def main() -> None:
    """Run every point and write what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        unbroken = rig.run(Path(folder))
    points = rig.count_fsyncs(unbroken)
    bad: list[str] = []
    repeated = 0
    for at in range(1, points + 1):
        for when in get_args(rig.When):
            with tempfile.TemporaryDirectory() as folder:
                ending = rig.run(Path(folder), at, when)
            repeated += (ending.asked - unbroken.asked).total()
            found = rig.complaints(ending, unbroken)
            if not ending.died:
                found.append("the kernel was not killed")
            bad += [f"- commit {at}, {when} its fsync: {text}" for text in found]
            sys.stdout.write(f"{at} {when}: {'; '.join(found) or 'same end'}\n")
            sys.stdout.flush()
    runs = 2 * points
    good = runs - len({line.partition(":")[0] for line in bad})
    lines = [
        "# kill -9 at every commit point",
        "",
        "`make kill`. A scripted run of seven replies, two code cells, two sub-agents side by",
        "side and a compaction; the oracle is the scripted server's own log of requests and a",
        "file every cell writes to.",
        "",
        f"**{good} of {runs} resumes reached the same end** ({points} commit points, before and",
        f"after the fsync of each). {repeated} model calls were made again: a line that was",
        "written but not yet fsynced survives the death of the process, though not of the machine.",
        *bad,
    ]
    (HERE / "kill.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
