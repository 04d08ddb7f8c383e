"""Every fault and every bad input, one case each, put before a whole intern: benchmarks/faults.md.

Runs tests/faults, with all kills in place of a sample; a case passes if every test and every input
of it does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests" / "faults"
CASES = {
    **{f"L{n:02}": "fault" for n in range(1, 29)},
    **{f"B{n:02}": "bad input" for n in range(1, 26)},
    **{f"E{n:02}": "fault" for n in range(1, 11)},
    **{f"K{n:02}": "fault" for n in (*range(1, 6), *range(12, 19))},
}
ALL_KILLS_S = 3600
_CASE = re.compile(r"test_([LBEK]\d\d)_")


def main() -> int:
    """Run every case, write what came of it; 0 if all passed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", str(TESTS), "-q", f"--junitxml={report}"]
        command += ["-p", "no:cacheprovider", f"--timeout={ALL_KILLS_S}", *sys.argv[1:]]
        sample = "--sample" in command
        command = [word for word in command if word != "--sample"]
        env = os.environ | ({} if sample else {"MLINTERN_ALL_KILLS": "1"})
        subprocess.run(command, env=env, cwd=HERE.parent, check=False)
        tests = read(report)
    text = page(tests, sample=sample)
    (HERE / "faults.md").write_text(text, encoding="utf-8")
    sys.stdout.write("\n".join(figures(tests)) + "\n")
    return 0 if not failed(tests) else 1


def read(report: Path) -> dict[str, list[tuple[str, bool]]]:
    """Tests of each case: name and whether it passed. One that was skipped did not."""
    tests: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for test in ElementTree.parse(report).iter("testcase"):
        name = test.get("name", "")
        bad = any(test.find(kind) is not None for kind in ("failure", "error", "skipped"))
        if found := _CASE.match(name):
            tests[found[1]].append((name, not bad))
    return tests


def failed(tests: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """Cases with a test that failed, or without a test."""
    return [case for case in CASES if not tests.get(case) or not all(ok for _, ok in tests[case])]


def figures(tests: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """The numbers."""
    bad = set(failed(tests))
    lines: list[str] = []
    for kind, words in (("fault", "faults survived"), ("bad input", "bad inputs handled")):
        cases = [case for case in CASES if CASES[case] == kind]
        lines.append(f"{words}: {len(cases) - len(bad & set(cases))}/{len(cases)}")
    return lines


def page(tests: dict[str, list[tuple[str, bool]]], *, sample: bool) -> str:
    """The page that is written."""
    kills = "a sample of the kills" if sample else "every commit point and 100 random times"
    return "\n".join(
        [
            "# Faults and bad inputs",
            "",
            "`make faults`. Each case is put before a whole intern: magic, session, ledger, loop,",
            "gate and litellm, against a strict model server on loopback whose own log is the",
            f"oracle; K01 to K05 in real kernels ({kills}). A case passes if",
            "every input of it does.",
            "",
            *(f"**{figure}**  " for figure in figures(tests)),
            "For comparison: ml-intern's loop (commit d9283ec) survived 16 of 32 such faults,",
            "measured on 2026-11-21 with the faults the cases L01 to L26 and B01 to B11 come from.",
            "",
            "| Case | What | Tests | Result |",
            "| --- | --- | --- | --- |",
            *(row(case, tests.get(case, [])) for case in CASES),
            "",
        ]
    )


def row(case: str, tests: list[tuple[str, bool]]) -> str:
    """One line of the table."""
    names = list(dict.fromkeys(what(name) for name, _ in tests))
    wrong = [name for name, ok in tests if not ok]
    result = "passed" if tests and not wrong else f"failed: {len(wrong)} of {len(tests)}"
    return f"| {case} | {'; '.join(names)} | {len(tests)} | {result if tests else 'no test'} |"


def what(name: str) -> str:
    """A test's name as words."""
    return re.sub(r"^test_[LBEK]\d\d_", "", name.partition("[")[0]).replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
