/** Edges and bars at the cells of one notebook. Reads its cells, never writes them. */
import { type Cell, type ICellModel, isCodeCellModel } from '@jupyterlab/cells';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import type { PanelLayout } from '@lumino/widgets';
import type { CellList } from '@jupyterlab/notebook';
import type { IIntern, IState } from '../../tokens';
import { CellBar } from './bar';
import { Steady } from './steady';
import { type Edge, type ICell, type IAppearance, type IScope, appearanceOf, scopeOf } from './appearance';

/** What was put on a cell widget. */
interface IDecoration {
  edge: Edge | null;
  node: HTMLElement | null;
  bar: CellBar | null;
}

export class CellBars implements IDisposable {
  constructor(
    private _intern: IIntern,
    private _trans: TranslationBundle
  ) {
    _intern.changed.connect(this._onState, this);
    _intern.panel.content.modelChanged.connect(this._onModel, this);
    this._onModel();
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    cancelAnimationFrame(this._frame);
    this._intern.changed.disconnect(this._onState, this);
    this._intern.panel.content.modelChanged.disconnect(this._onModel, this);
    this._cells?.changed.disconnect(this._plan, this);
    for (const cell of [...this._decorated.keys()]) {
      this._decorate(cell, { edge: null, pending: null });
    }
  }

  /** Open the field for a reason at a waiting cell. */
  askReason(cellId: string): void {
    this._sync();
    for (const [cell, decoration] of this._decorated) {
      if (cell.model.id === cellId) {
        decoration.bar?.askReason();
      }
    }
  }

  private _onModel(): void {
    this._cells?.changed.disconnect(this._plan, this);
    this._cells = this._intern.panel.content.model?.cells ?? null;
    this._cells?.changed.connect(this._plan, this);
    this._plan();
  }

  /** Pieces of text arrive ten times a second and change no cell. */
  private _onState(): void {
    const { view, connection } = this._intern.state;
    if (view !== this._view || connection !== this._connection) {
      this._view = view;
      this._connection = connection;
      this._plan();
    }
  }

  /** Once a frame at most. */
  private _plan(): void {
    if (!this._frame && !this._isDisposed) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._sync();
      });
    }
  }

  private _sync(): void {
    const panel = this._intern.panel;
    if (this._isDisposed || panel.isDisposed) {
      return;
    }
    const scope: IScope = scopeOf(this._intern.state);
    const cells = new Set<Cell>(panel.content.widgets);
    for (const cell of [...this._decorated.keys()]) {
      if (!cells.has(cell)) {
        this._decorated.delete(cell);
      }
    }
    for (const cell of cells) {
      const appearance = appearanceOf(read(cell.model), scope);
      if (appearance.edge !== null || this._decorated.has(cell)) {
        this._decorate(cell, appearance);
      }
    }
  }

  private _decorate(cell: Cell, appearance: IAppearance): void {
    const decoration = this._decorated.get(cell) ?? { edge: null, node: null, bar: null };
    this._decorated.set(cell, decoration);
    if (decoration.edge !== appearance.edge) {
      decoration.node?.remove();
      cell.removeClass('jp-mlintern-Cell');
      decoration.node = appearance.edge && edgeNode(appearance.edge, this._trans);
      if (decoration.node) {
        cell.node.append(decoration.node);
        cell.addClass('jp-mlintern-Cell');
      }
      decoration.edge = appearance.edge;
    }
    if (appearance.pending === null) {
      if (decoration.bar && decoration.bar.node.parentNode === null) {
        // Lab takes the parts of a cell out of it while it is out of sight (windowing mode "full"),
        // and the layout removes only what is there.
        cell.node.append(decoration.bar.node);
      }
      decoration.bar?.dispose();
      decoration.bar = null;
    } else if (decoration.bar) {
      decoration.bar.present(appearance.pending);
    } else if (cell.isPlaceholder()) {
      // Not drawn yet (windowing): its layout gets its own parts first, the bar after them.
      void cell.ready.then(() => this._plan());
    } else {
      const bar = new CellBar(this._intern, appearance.pending, this._trans);
      const steady = new Steady(this._intern.panel.content, bar.node);
      bar.goes.connect(() => steady.dispose());
      (cell.layout as PanelLayout).insertWidget(1, bar);
      decoration.bar = bar;
    }
    if (decoration.edge === null) {
      this._decorated.delete(cell);
    }
  }

  private readonly _decorated = new Map<Cell, IDecoration>();
  private _cells: CellList | null = null;
  private _view: IState['view'] = null;
  private _connection: IState['connection'] | null = null;
  private _frame = 0;
  private _isDisposed = false;
}

function read(model: ICellModel): ICell {
  const mark: unknown = model.getMetadata('mlintern');
  const code = isCodeCellModel(model);
  return {
    id: model.id,
    code,
    mark: isMark(mark) ? { session: mark.session, state: String(mark.state) } : null,
    running: code && model.executionState === 'running'
  };
}

function isMark(mark: unknown): mark is { session: string; state: unknown } {
  return typeof (mark as { session?: unknown } | null)?.session === 'string';
}

function edgeNode(edge: Edge, trans: TranslationBundle): HTMLElement {
  const node = document.createElement('div');
  node.className = `jp-mlintern-Edge jp-mod-${edge}`;
  node.title = edgeTitle(edge, trans);
  node.setAttribute('role', 'img');
  node.setAttribute('aria-label', node.title);
  return node;
}

function edgeTitle(edge: Edge, trans: TranslationBundle): string {
  switch (edge) {
    case 'waiting':
      return trans.__('Proposed by the intern; waits for you');
    case 'running':
      return trans.__('A cell of the intern; runs now');
    case 'queued':
      return trans.__('A cell of the intern; stands in line');
    case 'done':
      return trans.__('A cell of the intern; done');
    case 'failed':
      return trans.__('A cell of the intern; it did not end well, see its output');
    case 'skipped':
      return trans.__('A cell of the intern; skipped');
    case 'foreign':
      return trans.__(
        'A cell of a session that is not open in this kernel. To go on with it, resume the session from the sidebar.'
      );
  }
}
