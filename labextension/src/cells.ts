/**
 * Writes the intern's cells into the shared notebook, so that the person's undo history stays theirs.
 *
 * How Lab keeps history: every cell tracks its own typing, the notebook tracks its list of cells (or
 * both in one, with document-wide undo). Changes less than half a second apart become one step, so
 * capturing is stopped before and after an insertion; marks and stamps are not tracked at all.
 */
import type { ISharedCell, SharedCell, YNotebook } from '@jupyter/ydoc';
import type { JSONObject } from '@lumino/coreutils';
import { folded, rewrite, unstamped } from './text';
import type { CellType, ICellView, IInsertCell } from './wire';

export const MARK = 'mlintern';

export interface IMark extends JSONObject {
  session: string;
}

export class Cells {
  constructor(private readonly shared: YNotebook) {}

  index(cellId: string): number {
    return this.shared.cells.findIndex(cell => cell.getId() === cellId);
  }

  find(cellId: string): ISharedCell | null {
    return this.shared.cells.find(cell => cell.getId() === cellId) ?? null;
  }

  ids(): Set<string> {
    return new Set(this.shared.cells.map(cell => cell.getId()));
  }

  /** Insert after the last of `anchors` that exists, else at the end. False: it is there already. */
  insert(message: IInsertCell): boolean {
    const { cell, anchors } = message;
    if (!this._put.has(cell.id)) {
      this._put.set(cell.id, cell.source);
    }
    this._marks.set(key(cell.mark as unknown as IMark), cell.id);
    if (this.index(cell.id) !== -1) {
      return false;
    }
    const after = Math.max(...anchors.map(id => this.index(id)), -1);
    const { id, cell_type, source } = cell;
    const metadata = { [MARK]: cell.mark as unknown as IMark };
    const index = after === -1 ? this.shared.cells.length : after + 1;
    this.insertAt(index, [{ id, cell_type, source, metadata }]);
    return true;
  }

  /** Insert as one step of the notebook's history. */
  insertAt(index: number, cells: SharedCell.Cell[]): void {
    if (this.shared.nbformat === 4 && this.shared.nbformat_minor < 5) {
      // Before 4.5 ids are not saved.
      this.shared.nbformat_minor = 5;
    }
    const { undoManager } = this.shared;
    undoManager.stopCapturing();
    this.shared.insertCells(index, cells);
    undoManager.stopCapturing();
  }

  /** Change text, mark, or both. Text that a person changed is left as it is. */
  update(cellId: string, source: string | null, mark: JSONObject | null): void {
    const cell = this.find(cellId);
    if (cell === null) {
      return;
    }
    if (source !== null && this.isOurs(cellId, cell.getSource(), source)) {
      this._put.set(cellId, source);
      rewrite(cell, source);
    }
    if (mark !== null) {
      this._marks.set(key(mark as IMark), cellId);
      cell.transact(() => cell.setMetadata(MARK, mark), false);
    }
  }

  views(): ICellView[] {
    return this.shared.cells.map(cell => ({
      id: cell.getId(),
      cell_type: cell.cell_type as CellType,
      source: cell.getSource(),
      mark: markOf(cell)
    }));
  }

  /** The text that was sent to the kernel for a cell: a stamp may go on from it. */
  ran(cellId: string, code: string): void {
    this._put.set(cellId, code);
  }

  /**
   * Lab gives a pasted Markdown cell a new id, also after a cut. A new cell with the mark of one
   * that is absent is that cell, moved: it gets its id back. Beside the original it is a copy.
   */
  keepMovedIds(added: readonly ISharedCell[]): void {
    const present = this.ids();
    for (const cell of added) {
      const mark = markOf(cell);
      const id = mark && this._marks.get(key(mark));
      if (!id || id === cell.getId() || present.has(id)) {
        continue;
      }
      present.add(id);
      const { ymodel } = cell as YNotebook['cells'][number];
      this.shared.transact(() => ymodel.set('id', id), false);
    }
  }

  private isOurs(cellId: string, text: string, next: string): boolean {
    const put = this._put.get(cellId);
    return (put !== undefined && folded(put) === folded(text)) || unstamped(text) === unstamped(next);
  }

  /** The text we last put into a cell, or saw run. */
  private _put = new Map<string, string>();
  /** The cell of a mark. */
  private _marks = new Map<string, string>();
}

/** The mark of a cell, a copy of it. */
export function markOf(cell: ISharedCell): IMark | null {
  const mark = cell.getMetadata(MARK);
  const isMark = typeof mark === 'object' && mark !== null && 'session' in mark;
  return isMark ? (mark as IMark) : null;
}

function key(mark: IMark): string {
  return JSON.stringify([mark.session, mark.call, mark.kind, mark.proposed_sha256]);
}
