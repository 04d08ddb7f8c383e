"""Times between the kernel and a real JupyterLab page: benchmarks/lab.md.

One machine, one clock: the kernel takes ``time.time()``, the page ``Date.now()`` (whole
milliseconds). ``python benchmarks/lab.py few`` tries everything once and writes nothing.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import Page

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "doubles"))

from intern_page import LOAD, InternPage, proposes, waits_for  # noqa: E402
from real_lab import BUILT, Lab, chromium, serve  # noqa: E402

from mlintern_jupyter.events import CellEnded  # noqa: E402
from mlintern_jupyter.testing.script import Turn  # noqa: E402
from mlintern_jupyter.testing.scripted_server import ScriptedServer  # noqa: E402

VIEWPORT = {"width": 1280, "height": 900}
ROW = 100
MODEL_S = 0.7
"""How long the model takes for its answer: the page comes to rest between two insertions."""

# In the kernel: when it inserts and when it hears a command.
STAMPS = f"""
import asyncio, json, time
from pathlib import Path
from mlintern_jupyter.commands import Stop
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.session.running.session import Session

SEEN = {{}}
insert, handle = WireHost.insert_cell, Session.handle

def note(what, name, at):
    with Path("stamps.jsonl").open("a") as file:
        file.write(json.dumps([what, name, at]) + "\\n")

async def stamped(self, cell):
    if Path("rest").exists():
        await asyncio.sleep({MODEL_S})
    SEEN.update(host=self, cell=cell, loop=asyncio.get_running_loop())
    at = time.time()
    await insert(self, cell)
    note("insert", cell.id, at)

def heard(self, command, **options):
    note(command.kind, "", time.time())
    # What was heard is left at that, so that it can be said again.
    if not (isinstance(command, Stop) and Path("deaf").exists()):
        handle(self, command, **options)

WireHost.insert_cell, Session.handle = stamped, heard
"""
IN_A_ROW = f"""
from dataclasses import replace
from mlintern_jupyter.events import CellProposed

async def many():
    host = SEEN["host"]
    for n in range({ROW}):
        cell = replace(SEEN["cell"], id=f"row-{{n}}", source=f"print({{n}})")
        host._commit(
            CellProposed(cell.id, "call", "dataset", "code", cell.source, False, (), "one of many")
        )
        await host.insert_cell(cell)

Path("rest").unlink()
asyncio.run_coroutine_threadsafe(many(), SEEN["loop"])
"""
TRAIN = """
import torch
from pathlib import Path
net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
optimizer, step = torch.optim.AdamW(net.parameters()), 0
while not Path("enough").exists():
    loss = net(torch.randn(128, 64)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    step += 1
    if step % 200 == 0:
        print(step, loss.item())
"""
NEXT = "print('after the training')"


@dataclass(frozen=True)
class Bench:
    """What a measurement needs."""

    lab: Lab
    page: Page
    times: int

    @contextmanager
    def session(self, name: str, cells: int, turns: list[Turn]) -> Iterator[InternPage]:
        """A notebook of so many cells with the intern at work in its middle."""
        folder = self.lab.root / name
        folder.mkdir()
        with ScriptedServer(turns) as server:
            magic = (
                f"%%intern do it --model openai/scripted --api-base {server.base_url}"
                " --max-steps 400"
            )
            own = [_own(n) for n in range(cells - 3)]
            half = len(own) // 2
            first = [new_code_cell(source) for source in (STAMPS, LOAD, magic)]
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            notebook = new_notebook(
                cells=[*own[:half], *first, *own[half:]], metadata={"kernelspec": kernel}
            )
            path = folder / "n.ipynb"
            nbformat.write(notebook, path)
            at = InternPage(self.lab.open(self.page, path), folder, server)
            self.page.evaluate("path => bench.watch(path)", at.notebook.path)
            for n in range(3):
                at.notebook.run_cell(half + n)
            try:
                yield at
            finally:
                (folder / "enough").touch()
                server.stop()
                self.page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")


def _own(n: int) -> Any:
    """A cell of the person's, of the usual size; every second one has an output."""
    outputs = [new_output("stream", name="stdout", text=f"{n}\n" * 6)] if n % 2 else []
    return new_code_cell(f"value = {n}\nfor _ in range(6):\n    print(value)", outputs=outputs)


def stamps(at: InternPage, what: str) -> dict[str, float]:
    """Milliseconds since the epoch of what the kernel noted, by name; of one name, the last."""
    lines = map(json.loads, (at.folder / "stamps.jsonl").read_text().splitlines())
    return {name: 1000 * when for kind, name, when in lines if kind == what}


def insertions(bench: Bench, cells: int) -> dict[str, list[float]]:
    """Milliseconds from the kernel to the model and to the eye, one by one and in a row."""
    sources = [f"print({n})" for n in range(bench.times + 1)]
    with bench.session(f"cells-{cells}", cells, [proposes(s) for s in sources]) as at:
        (at.folder / "rest").touch()
        for source in sources[:-1]:
            # The next one stands below this one, which is in the middle of the view.
            cell_id = at.proposed(source)
            index = at.notebook.ids().index(cell_id)
            reveal = "([p, i]) => { testing.panel(p).content.scrollToItem(i, 'center'); }"
            bench.page.evaluate(reveal, [at.notebook.path, index])
            bench.page.wait_for_timeout(300)
            at.notebook.command("mlintern:run-cell", cell_id=cell_id)
        last = at.proposed(sources[-1])
        seen = bench.page.evaluate("() => seen")
        at.until(lambda: last in stamps(at, "insert"))
        sent = {i: when for i, when in stamps(at, "insert").items() if i in seen}
        # The first comes while the session begins, and where nobody scrolled to.
        singles = list(sent)[1:]
        found = {what: [seen[i][what] - sent[i] for i in singles] for what in ("model", "visible")}
        bench.page.evaluate(
            "([p, code]) => { testing.kernel(p).requestExecute({ code, silent: true }); }",
            [at.notebook.path, IN_A_ROW],
        )
        end = f"row-{ROW - 1}"
        at.notebook.wait_for(f"window.seen['{end}']?.drawn", "the last of the row")
        seen, sent = bench.page.evaluate("() => seen"), stamps(at, "insert")
        start = sent["row-0"]
        found["said"] = [sent[end] - start]
        found["row model"] = [seen[end]["model"] - start]
        found["row drawn"] = [seen[end]["drawn"] - start]
        at.click("Stop intern")
        at.ended()
        return found


def commands(bench: Bench) -> dict[str, list[float]]:
    """Milliseconds from a click to the kernel, and until a reloaded page is whole again."""
    with bench.session("training", 20, [proposes(TRAIN, kind="run")]) as at:
        training = at.proposed(TRAIN)
        waits = [waits_for(training)] * bench.times
        at.says_then(*waits, proposes(NEXT))
        at.press(training, "Run")
        at.notebook.wait_for(
            f"cells.find(c => c.id === '{training}').outputs.length > 0", "it trains"
        )
        (at.folder / "deaf").touch()
        found: dict[str, list[float]] = {"steer": [], "stop": []}
        box = at.sidebar.get_by_role("textbox", name="Steer the intern")
        for n in range(bench.times):
            box.fill(f"words {n}")
            found["steer"].append(_click(at, "Send", "Steer"))
            at.asked(n + 2)
            found["stop"].append(_click(at, "Stop intern", "Stop"))
            bench.page.wait_for_timeout(300)
        at.steer("and then?")
        reloads = _reloads(bench, at, [training, at.proposed(NEXT)])
        assert not at.facts(CellEnded), "it was to train all the time"
        (at.folder / "deaf").unlink()
        at.click("Stop intern")
        at.ended()
        return found | reloads


def _click(at: InternPage, button: str, what: str) -> float:
    before = stamps(at, what)
    at.click(button)
    at.until(lambda: stamps(at, what) != before, f"{what} is heard")
    clicked = at.notebook.page.evaluate("() => clicks.at(-1)")
    return stamps(at, what)[""] - clicked


def _reloads(bench: Bench, at: InternPage, cells: list[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    page = bench.page
    wanted = json.dumps([at.notebook.path, cells, cells[-1]])
    page.add_init_script(f"bench.awaitAll(...{wanted})")
    for _ in range(max(1, bench.times // 4)):
        page.reload()
        page.wait_for_function("() => window.back.all")
        back = page.evaluate("() => ({ ...back, start: performance.timeOrigin })")
        assert back["ready"]["had"] == 0, "the cells were saved: nothing was to come back"
        ready = back["ready"]["at"]
        for what in ("cells", "bar", "sidebar"):
            found.setdefault(what, []).append(back[what] - ready)
        whole = max(back[what] for what in ("cells", "bar", "sidebar"))
        found.setdefault("whole", []).append(whole - ready)
        found.setdefault("load", []).append(whole - back["start"])
        page.wait_for_timeout(500)
    return found


def sizes(folder: Path) -> dict[str, float]:
    """Seconds of the build; kB of what it made, as it is and as a server sends it."""
    start = time.monotonic()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    quiet: Any = {"check": True, "stdout": subprocess.DEVNULL, "env": env}
    subprocess.run(["npm", "run", "build:prod"], cwd=ROOT / "labextension", **quiet)
    took = time.monotonic() - start
    wheel = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder)]
    subprocess.run(wheel, cwd=ROOT, **quiet)
    files = [file.read_bytes() for file in (BUILT / "static").glob("*.js")]
    return {
        "build": took,
        "bundle": sum(map(len, files)) / 1000,
        "gzip": sum(len(gzip.compress(file)) for file in files) / 1000,
        "wheel": sum(path.stat().st_size for path in folder.glob("*.whl")) / 1000,
    }


def row(what: str, values: list[float]) -> str:
    """A line of a table: median, 95th percentile, the largest."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    numbers = (len(ordered), statistics.median(ordered), high, ordered[-1])
    return " | ".join([f"| {what}", *(f"{number:.0f}" for number in numbers)]) + " |"


def report(cells: dict[int, dict[str, list[float]]], said: dict[str, Any]) -> str:
    """The page of results."""
    head = ("| ms | times | median | p95 | max |", "| --- | --- | --- | --- | --- |")
    lines = [
        "# the page",
        "",
        f"`make bench-lab`. {os.cpu_count()} shared cores; JupyterLab in headless Chromium, its",
        "server and the kernel on the same machine. Milliseconds; goals of the median in brackets.",
        "",
        "From the kernel's call of `insert` to the cell in the notebook's model, and to the cell",
        "before the eye: attached, with a height and an editor, inside the view. The place of",
        f"insertion is scrolled to. The row of {ROW} is inserted without a pause, each cell",
        "recorded (and fsynced) first; its last stands below the view and counts when it is drawn.",
        "",
        *head,
    ]
    for count, found in cells.items():
        lines += [
            row(f"to the model, {count:,} cells (< 50)", found["model"]),
            row(f"to the eye, {count:,} cells (< 150)", found["visible"]),
            row(f"{ROW} in a row, {count:,} cells: the last is said", found["said"]),
            row("… the last is in the model", found["row model"]),
            row("… the last is drawn", found["row drawn"]),
        ]
    lines += [
        "",
        "While a cell trains (torch, in the kernel): from the click to the kernel's hearing of it;",
        "and a reload of the page, with cells that were not saved, until cells, bar and sidebar",
        "are as before. The extension can act from the moment the notebook is read.",
        "",
        *head,
        row("steer (< 250)", said["steer"]),
        row("stop (< 250)", said["stop"]),
        row("reload: the unsaved cells are back", said["cells"]),
        row("… the bar of the one that waits", said["bar"]),
        row("… the sidebar", said["sidebar"]),
        row("… everything, from the notebook read (< 1000)", said["whole"]),
        row(
            "… everything, from the start of the navigation, Lab's own load included", said["load"]
        ),
        "",
        "| what | command | measured |",
        "| --- | --- | --- |",
        f"| build of the extension | `npm run build:prod` | {said['build']:.0f} s |",
        f"| its bundle | `static/*.js` | {said['bundle']:.0f} kB, {said['gzip']:.0f} kB gzipped |",
        f"| the wheel | `python -m build --wheel` | {said['wheel']:.0f} kB |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    few = sys.argv[1:] == ["few"]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home, root, built = (Path(folder) / name for name in ("home", "root", "built"))
        for each in (home, root, built):
            each.mkdir()
        made = sizes(built)
        with serve(root, home) as lab:

            def bench() -> Bench:
                page = browser.new_context(viewport=VIEWPORT).new_page()
                page.add_init_script(path=HERE / "lab.js")
                return Bench(lab, page, 3 if few else 20)

            cells = {count: insertions(bench(), count) for count in (10, 1000)}
            said = commands(bench())
        text = report(cells, said | made)
    if not few:
        (HERE / "lab.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
