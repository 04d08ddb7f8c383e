/** What a cell is to the session that is open, from values alone. Pure. */
import type { IState } from '../../tokens';
import type { IPendingCellView } from '../../wire';

/** The edge of a cell; each is a class of style/base.css. */
export type Edge = 'waiting' | 'running' | 'queued' | 'done' | 'failed' | 'skipped' | 'foreign';

export interface IAppearance {
  edge: Edge | null;
  /** Of a cell that waits: what the bar shows. */
  pending: IPendingCellView | null;
}

/** What is read of a cell; nothing of it is ever written here. */
export interface ICell {
  id: string;
  code: boolean;
  /** `session` and `state` of the mark in its metadata. */
  mark: { session: string; state: string } | null;
  /** Whether the kernel runs it now. */
  running: boolean;
}

const NOTHING: IAppearance = { edge: null, pending: null };

/** The sets that `appearanceOf` asks for each cell, made once per state. */
export interface IScope {
  session: string;
  cells: ReadonlySet<string>;
  pending: ReadonlyMap<string, IPendingCellView>;
  magic: string;
}

export function scopeOf(state: IState): IScope {
  const session = state.view?.session ?? null;
  const waits = session?.running && state.connection !== 'lost' ? session.pending : [];
  return {
    session: session?.session ?? '',
    cells: new Set(session?.cell_ids ?? []),
    pending: new Map(waits.map(cell => [cell.cell_id, cell])),
    magic: session?.magic_cell_id ?? ''
  };
}

export function appearanceOf(cell: ICell, scope: IScope): IAppearance {
  const pending = scope.pending.get(cell.id);
  if (pending) {
    return cell.running ? { edge: 'running', pending: null } : { edge: 'waiting', pending };
  }
  if (cell.mark === null || cell.id === scope.magic) {
    return NOTHING;
  }
  if (cell.mark.session !== scope.session) {
    return { edge: 'foreign', pending: null };
  }
  // The mark with another id is a copy: the person's own cell.
  return scope.cells.has(cell.id) ? { edge: stateEdge(cell), pending: null } : NOTHING;
}

function stateEdge(cell: ICell): Edge {
  if (cell.running) {
    return 'running';
  }
  switch (cell.mark?.state) {
    case 'proposed':
    case 'queued':
    case 'running':
      // Decided, and neither settled nor at work: it stands in line. Markdown is done when it is there.
      return cell.code ? 'queued' : 'done';
    case 'failed':
    case 'interrupted':
    case 'unknown':
      return 'failed';
    case 'skipped':
      return 'skipped';
    default:
      return 'done';
  }
}
