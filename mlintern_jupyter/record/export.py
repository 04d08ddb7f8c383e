# pyright: basic
"""The notebook of a session, built from its ledger alone.

Every cell the session proposed is in it, in order, with the text that ran, what it showed and its
mark. A cell the person refused is kept as a raw cell: visible, and out of reach of Run All.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from mlintern_jupyter.cells import CellKind, CellMark, source_sha256
from mlintern_jupyter.record.state import CellRecord, MagicCell, SessionState

_OUTPUT_KEYS = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}


def notebook_from(state: SessionState) -> NotebookNode:
    """A valid nbformat 4.5 notebook of the session."""
    parts: list[MagicCell | CellRecord] = [*state.magics.values(), *state.cells.values()]
    cells: list[NotebookNode] = []
    ran = 0
    for part in sorted(parts, key=lambda p: p.number):
        if isinstance(part, MagicCell):
            cells.append(_magic_cell(state, part))
            continue
        ran += part.ended is not None
        cells.append(_cell(state, part, ran))
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def write_notebook(state: SessionState, path: Path) -> None:
    """Write the notebook of a session to a file."""
    nbformat.write(notebook_from(state), path)


def _magic_cell(state: SessionState, magic: MagicCell) -> NotebookNode:
    settled = state.outcome is not None and state.outcome.outcome == "completed"
    mark = CellMark(
        session=state.session,
        call="",
        kind="note",
        state="done" if settled else "interrupted",
        model=state.model,
        proposed_sha256=source_sha256(magic.source),
        summary=state.summary_line(),
    )
    cell = new_code_cell(magic.source, id=_cell_id(magic.cell_id), metadata=_metadata(mark))
    return cell


def _cell(state: SessionState, record: CellRecord, execution_count: int) -> NotebookNode:
    proposed = record.proposed
    mark = CellMark(
        session=state.session,
        call=proposed.call,
        kind=cast("CellKind", proposed.kind),
        state=state.state_of(proposed.cell_id),
        model=state.model,
        proposed_sha256=source_sha256(proposed.source),
        run_sha256=source_sha256(record.source) if record.started else "",
        sources=proposed.sources,
        setup=proposed.setup,
    )
    common = {"id": _cell_id(proposed.cell_id), "metadata": _metadata(mark)}
    if proposed.cell_type == "markdown":
        return new_markdown_cell(record.source, **common)
    if mark.state == "skipped":
        return new_raw_cell(record.source, **common)
    ended = record.ended
    cell = new_code_cell(
        record.source,
        execution_count=execution_count if ended else None,
        outputs=[_output(o, execution_count) for o in ended.outputs] if ended else [],
        **common,
    )
    return cell


def _output(captured: dict[str, Any], execution_count: int) -> NotebookNode:
    """A captured output with what nbformat allows in it; the kernel's own extras are left out."""
    kind = str(captured.get("output_type", ""))
    output = {key: captured[key] for key in _OUTPUT_KEYS.get(kind, ()) if key in captured}
    if kind == "execute_result":
        output["execution_count"] = execution_count
    if kind in {"execute_result", "display_data"}:
        output.setdefault("metadata", {})
        output.setdefault("data", {})
    return new_output(kind, **output)


def _metadata(mark: CellMark) -> dict[str, Any]:
    fields = asdict(mark)
    return {"mlintern": {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}}


def _cell_id(given: str) -> str:
    """The cell's id, or one made from it where a front end's is not allowed in a file."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", given):
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:16]
