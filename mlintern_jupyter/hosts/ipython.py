"""Step mode: the peer inside the kernel, where no page shows the notebook.

VS Code, Colab, a terminal, or a Jupyter page without the extension cannot be given cells from a
thread. So what a page would be told is kept here until the person asks (``%intern next``): Markdown
is displayed, and one code cell is offered as the text of the next cell. Its first line says which
proposal it is; running it, edited or not, is the yes, as in a page.

Not covered: the notebook itself cannot be read. ``read_cells`` answers with what was written by the
intern and what the person ran in this kernel.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Any

from mlintern_jupyter.cells import SETTLED, CellView, NewCell
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.capture import Capture
from mlintern_jupyter.hosts.person_cells import addresses_the_intern, first_line
from mlintern_jupyter.hosts.running_cell import awaits
from mlintern_jupyter.wire import (
    CellNotRun,
    CellsRead,
    FactSaid,
    InsertCell,
    ReadCells,
    RunCell,
    ToPeer,
    UpdateCell,
    to_json,
)

NEXT = "`%intern next` goes on"
WAITING = (
    "waiting for the intern, without limit (Ctrl-C, or interrupting the cell, ends the waiting"
    " only)"
)
STOPPED_WAITING = (
    "stopped waiting; the intern goes on. `%intern next` waits again, `%intern stop` ends its turn"
)
_MARKER = re.compile(r"\s*# intern (?P<session>\S+) (?P<cell>[\w-]+)(?= ·|\s|$)[^\n]*(\n|$)")
_WHY_LIMIT = 80
_RECHECK_S = 0.2
"""A turn can end without a word to a peer (a record that cannot be written)."""
_MODE_DECIDES_S = 10.0
"""After its insertion it is said whether a cell runs by itself, on a slow disk after seconds; then
it is the person's."""
_HISTORY = 500


@dataclass(frozen=True)
class _StepCell:
    session: str
    cell: NewCell
    shown: bool = False
    """Markdown that was displayed."""
    requested: bool = False
    """It runs without a person: inside the next ``%intern next``."""
    settled: bool = False
    since: float = 0.0


class StepPeer:
    """Hears what a page would hear, and acts on the main thread when the person asks.

    Args:
        ip: the shell.
        bridge: answers go back through it.
    """

    def __init__(self, ip: Any, bridge: Bridge) -> None:
        self._ip = ip
        self._bridge = bridge
        # No condition: an interrupt inside one leaves its lock held, or lets it go twice.
        self._lock = threading.RLock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._cells: dict[str, _StepCell] = {}
        self._stepping = False
        bridge.local = self
        ip.events.register("post_run_cell", self._after_cell)

    def close(self) -> None:
        """Undo everything; a second time does nothing."""
        if self._bridge.local is self:
            self._bridge.local = None
            self._ip.events.unregister("post_run_cell", self._after_cell)

    # bridge.LocalPeer -------------------------------------------------------------------------

    def hear(self, message: ToPeer) -> None:
        """Keep what a page would do; from any thread, and nothing is shown here."""
        with self._lock:
            self._keep(message)
        if self._stepping:
            self._news.put(None)
        if isinstance(message, ReadCells) and self._bridge.peer is None:
            self._bridge.hear(to_json(CellsRead(message.request, self._views())))

    def claims(self, source: str) -> tuple[str, str] | None:
        """Id of the proposal whose marker this text begins with, and the text without it."""
        marker = _MARKER.match(source)
        return None if marker is None else (marker["cell"], source[marker.end() :])

    def ended(self, cell_id: str) -> None:
        """A cell ran: it is not offered again, whenever its facts are heard."""
        with self._lock:
            self._settle(cell_id)

    def shown(self, result: Any, capture: Capture) -> None:
        """What a shell without a kernel showed: text and displays, by IPython's own history."""
        for kind, content in _shown_by(self._ip, result):
            capture.see(kind, content)

    # the main thread --------------------------------------------------------------------------

    def turn_begins(self) -> None:
        """What an earlier turn left open is proposed again, or not at all."""
        with self._lock:
            self._cells = {i: c for i, c in self._cells.items() if not _waits(c)}

    def step(self, ended: Callable[[], bool], is_paused: Callable[[], bool]) -> str:
        """Wait for the intern, show what it wrote, and offer or run what it proposes next.

        Returns one line for the person; empty when the turn ended or is held, so that nothing
        comes by itself.
        """
        self._stepping = True
        said = False
        try:
            while True:
                said = self._wait(ended, is_paused, said=said)
                for cell in self._take_markdown():
                    self._show(cell.cell.source)
                if ended():
                    return ""
                mine = self._first(lambda c: c.requested and not self._awaits(c))
                if mine is not None:
                    if not self._run(mine):
                        return STOPPED_WAITING
                    continue
                offered = self._first(self._is_the_persons)
                if offered is not None:
                    self._ip.set_next_input(marked(offered))
                    return (
                        f"{offered.cell.mark.kind} is proposed in the next cell: run it, edited or"
                        " not, or `%intern skip [reason]`; then `%intern next` again"
                    )
                if is_paused():
                    return ""
        except KeyboardInterrupt:
            return STOPPED_WAITING
        finally:
            self._stepping = False

    def skip(self, reason: str) -> str:
        """Refuse the code cell that waits. Raises UsageError when none does."""
        cell = self._first(lambda c: not c.requested or self._awaits(c))
        if cell is None:
            raise UsageError(
                "no proposed cell waits",
                do="`%intern next` shows what does; `%intern status` says where the intern stands",
            )
        not_run = CellNotRun(cell.cell.id, "skipped", reason)
        self._bridge.hear(to_json(not_run))
        with self._lock:
            self._settle(cell.cell.id)
        return f"skipped: {cell.cell.mark.kind} `{first_line(cell.cell.source)}`; {NEXT}"

    def _wait(
        self, ended: Callable[[], bool], is_paused: Callable[[], bool], *, said: bool
    ) -> bool:
        """Wait for something to do; whether the person was told of it, which once is enough."""
        while True:
            with self._lock:
                if self._something() or ended() or is_paused():
                    return said
            if not said:
                said = True
                print(WAITING, flush=True)  # noqa: T201
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=_RECHECK_S)

    def _take_markdown(self) -> list[_StepCell]:
        with self._lock:
            found = [c for c in self._cells.values() if _to_show(c)]
            for cell in found:
                self._cells[cell.cell.id] = replace(cell, shown=True)
        return found

    def _first(self, fits: Callable[[_StepCell], bool]) -> _StepCell | None:
        with self._lock:
            return next((c for c in self._cells.values() if _waits(c) and fits(c)), None)

    def _something(self) -> bool:
        return any(
            _to_show(c) or (_waits(c) and (c.requested or self._is_the_persons(c)))
            for c in self._cells.values()
        )

    def _is_the_persons(self, cell: _StepCell) -> bool:
        """Whether only a person will run it, or it waited long enough to be theirs."""
        if cell.requested:
            return self._awaits(cell)
        old = monotonic() - cell.since > _MODE_DECIDES_S
        return old or cell.cell.id in self._bridge.wanted()

    def _awaits(self, cell: _StepCell) -> bool:
        """Code with ``await`` cannot run inside another cell of a kernel: it is offered."""
        return awaits(self._ip, cell.cell.source)

    def _run(self, cell: _StepCell) -> bool:
        """Run a cell that needs nobody, here; whether the person let it."""
        fence = "`" * max(
            3, 1 + max((len(t) for t in re.findall(r"`+", cell.cell.source)), default=0)
        )
        self._show(f"{_title(cell)}\n\n{fence}python\n{cell.cell.source}\n{fence}")
        result = self._ip.run_cell(marked(cell), store_history=True)
        with self._lock:
            # Also where its start could not be recorded: it is not tried again and again.
            self._settle(cell.cell.id)
        return not isinstance(result.error_in_exec, KeyboardInterrupt)

    def _show(self, text: str) -> None:
        self._ip.display_pub.publish({"text/markdown": text, "text/plain": text})

    def _after_cell(self, result: Any) -> None:
        if self._stepping or result is None:
            return
        claimed = self.claims(result.info.raw_cell)
        if claimed is not None and claimed[0] in self._cells:
            print(NEXT)  # noqa: T201

    # what was heard ---------------------------------------------------------------------------

    def _keep(self, message: ToPeer) -> None:
        if isinstance(message, InsertCell):
            new = _StepCell(message.session, message.cell, since=monotonic())
            self._cells.setdefault(message.cell.id, new)
        elif isinstance(message, UpdateCell) and message.cell_id in self._cells:
            self._update(message)
        elif isinstance(message, RunCell) and message.cell_id in self._cells:
            self._cells[message.cell_id] = replace(self._cells[message.cell_id], requested=True)
        elif isinstance(message, FactSaid):
            fact = message.fact
            if fact["type"] == "Decided" and not fact["run"]:
                self._settle(fact["cell_id"])

    def _update(self, message: UpdateCell) -> None:
        known = self._cells[message.cell_id]
        if message.source is not None:
            changed = replace(known.cell, source=message.source)
            known = replace(known, cell=changed, shown=False)
        if message.mark is not None and message.mark["state"] in SETTLED:
            known = replace(known, settled=known.cell.cell_type == "code")
        self._cells[message.cell_id] = known

    def _settle(self, cell_id: str) -> None:
        if cell_id in self._cells:
            self._cells[cell_id] = replace(self._cells[cell_id], settled=True)

    def _views(self) -> tuple[CellView, ...]:
        """The intern's cells, and what the person ran here, in the order in which it ran last."""
        with self._lock:
            mine = {c.cell.id: c.cell for c in self._cells.values()}
        views: dict[str, CellView] = {}
        history: list[str] = list(self._ip.history_manager.input_hist_raw)
        # The same text again is the same cell run again, as far as can be known here.
        last_runs = {source: number for number, source in enumerate(history)}
        for source, number in sorted(last_runs.items(), key=lambda run: run[1])[-_HISTORY:]:
            claimed = self.claims(source)
            if claimed is not None and claimed[0] in mine:
                cell = mine[claimed[0]]
                views[cell.id] = replace(_view(cell), source=claimed[1])
            elif source.strip() and not addresses_the_intern(source):
                views[f"in-{number}"] = CellView(f"in-{number}", "code", source)
        rest = (_view(cell) for cell in mine.values() if cell.id not in views)
        return (*views.values(), *rest)


def marked(cell: _StepCell) -> str:
    """A proposal's text below the line that says which proposal it is."""
    why = cell.cell.why.partition("\n")[0][:_WHY_LIMIT]
    about = f"{cell.cell.mark.kind}: {why}" if why else cell.cell.mark.kind
    return f"# intern {cell.session} {cell.cell.id} · {about}\n{cell.cell.source}"


def _title(cell: _StepCell) -> str:
    why = cell.cell.why.partition("\n")[0]
    return f"**intern** runs · {cell.cell.mark.kind}" + (f": {why}" if why else "")


def _to_show(cell: _StepCell) -> bool:
    return cell.cell.cell_type == "markdown" and not cell.shown


def _waits(cell: _StepCell) -> bool:
    return cell.cell.cell_type == "code" and not cell.settled


def _view(cell: NewCell) -> CellView:
    return CellView(cell.id, cell.cell_type, cell.source, asdict(cell.mark))


def _shown_by(ip: Any, result: Any) -> list[tuple[str, dict[str, Any]]]:
    """Outputs of an execution as a kernel would publish them; figures on screen are not among them.

    IPython keeps them from version 9 on; before it, only the error is known.
    """
    kept: dict[int, list[Any]] = getattr(ip.history_manager, "outputs", {})
    said: list[tuple[str, dict[str, Any]]] = []
    for output in kept.get(getattr(result, "execution_count", None) or 0, ()):
        bundle = output.bundle
        if output.output_type in {"out_stream", "err_stream"}:
            name = "stdout" if output.output_type == "out_stream" else "stderr"
            said.append(("stream", {"name": name, "text": "".join(bundle["stream"])}))
        else:
            said.append((output.output_type, {"data": dict(bundle), "metadata": {}}))
    error = None if result is None else result.error_before_exec or result.error_in_exec
    if error is not None:
        name = type(error).__name__
        said.append(("error", {"ename": name, "evalue": str(error), "traceback": list[str]()}))
    return said
