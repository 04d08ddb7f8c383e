/**
 * Carries out in one notebook what the kernel asks for. The only module that touches its models.
 *
 * Nothing here changes the mode, the selection, the active cell, the focus or the scroll position,
 * except `reveal`, which a person asked for.
 */
import type { ISharedCell, NotebookChange, YNotebook } from '@jupyter/ydoc';
import { CodeCell, isCodeCellModel } from '@jupyterlab/cells';
import type { IOutput } from '@jupyterlab/nbformat';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { type IOutputAreaModel, OutputArea } from '@jupyterlab/outputarea';
import { JSONExt, type JSONObject, type PartialJSONObject } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { Cells, markOf } from './cells';
import { CARD_MIME, type ICellNotRun, type ICellView, type IInsertCell } from './wire';

/** States of a mark after a run. */
const RAN: ReadonlySet<string> = new Set(['done', 'failed', 'interrupted']);

export class Bridge implements IDisposable {
  /**
   * @param cellsChanged called after the list of cells changed
   */
  constructor(
    private readonly panel: NotebookPanel,
    private readonly cellsChanged: () => void
  ) {
    this.shared.changed.connect(this.onChanged, this);
    this._cells = new Cells(this.shared);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.shared.changed.disconnect(this.onChanged, this);
    }
  }

  get ids(): Set<string> {
    return this._cells.ids();
  }

  has(cellId: string): boolean {
    return this._cells.index(cellId) !== -1;
  }

  /** Whether any cell carries a mark of an intern. */
  get isMarked(): boolean {
    return this.shared.cells.some(cell => markOf(cell) !== null);
  }

  /** False: it is there already. */
  insert(message: IInsertCell): boolean {
    return this._cells.insert(message);
  }

  update(cellId: string, source: string | null, mark: JSONObject | null): void {
    this._cells.update(cellId, source, mark);
  }

  views(): ICellView[] {
    return this._cells.views();
  }

  ran(cellId: string, code: string): void {
    this._cells.ran(cellId, code);
  }

  /**
   * Run a code cell as if the person had. The outcome is heard in the kernel; what comes back is
   * why there was nothing to run.
   */
  run(cellId: string): Pick<ICellNotRun, 'state' | 'reason'> | null {
    const cell = this.widget(cellId);
    if (cell === null) {
      return { state: 'missing', reason: 'it is not in the notebook' };
    }
    if (!(cell instanceof CodeCell)) {
      return { state: 'skipped', reason: 'it is no code cell any more' };
    }
    const tags = cell.model.getMetadata('tags') as unknown;
    const isSkipped = Array.isArray(tags) && tags.includes('skip-execution');
    if (isSkipped || !cell.model.sharedModel.getSource().trim()) {
      return { state: 'skipped', reason: 'it is empty or tagged skip-execution' };
    }
    if (cell.model.executionState === 'running') {
      // A second click, or the kernel's wish behind the person's: it would run twice.
      return null;
    }
    const { model } = cell;
    CodeCell.execute(cell, this.panel.sessionContext)
      .then(reply => {
        // Lab leaves it as if it ran for ever, which hides its bar.
        if (reply?.content.status === 'aborted' && !model.isDisposed) {
          model.executionState = 'idle';
        }
      })
      // Rejects when the code raises or the kernel ends: both are heard of elsewhere.
      .catch(() => undefined);
    return null;
  }

  /**
   * Run code that is no cell's, its outputs shown below a cell; without that cell, hidden.
   *
   * @returns the error, where nothing shows it
   */
  async runBeside(code: string, cellId: string | null): Promise<string> {
    const cell = cellId === null ? null : this.widget(cellId);
    const context = this.panel.sessionContext;
    if (cell instanceof CodeCell) {
      await OutputArea.execute(code, cell.outputArea, context, { cellId });
      return '';
    }
    const reply = await context.session?.kernel?.requestExecute({ code, store_history: false }).done;
    const content = reply?.content;
    return content?.status === 'error' ? `${content.ename}: ${content.evalue}` : '';
  }

  /** Whether a mark tells this page of the end of a run that it has seen nothing of. */
  lacksOutputs(cellId: string, mark: JSONObject | null): boolean {
    const cell = this.widget(cellId);
    const ended = mark !== null && RAN.has(String(mark.state));
    return (
      ended &&
      cell instanceof CodeCell &&
      cell.model.executionCount === null &&
      !RAN.has(String(markOf(cell.model.sharedModel)?.state))
    );
  }

  putOutputs(cellId: string, outputs: readonly object[], count: number | null): void {
    const cell = this.widget(cellId);
    if (cell instanceof CodeCell && cell.model.executionCount === null) {
      cell.model.outputs.fromJSON(outputs as IOutput[]);
      cell.model.executionCount = count;
    }
  }

  card(cellId: string, session: string): PartialJSONObject | undefined {
    const outputs = this.outputs(cellId);
    const at = outputs === null ? -1 : cardIndex(outputs, session);
    return at === -1 ? undefined : (outputs?.get(at).data[CARD_MIME] as PartialJSONObject);
  }

  putCard(cellId: string, session: string, bundle: PartialJSONObject): void {
    const outputs = this.outputs(cellId);
    if (outputs === null) {
      return;
    }
    const at = cardIndex(outputs, session);
    const output = { output_type: 'display_data', data: bundle, metadata: {} };
    if (at === -1) {
      outputs.add(output);
    } else if (!JSONExt.deepEqual(outputs.get(at).data as PartialJSONObject, bundle)) {
      outputs.set(at, output);
    }
  }

  /** Scroll to a cell and select it. False: it is not in the notebook. */
  async reveal(cellId: string): Promise<boolean> {
    const index = this._cells.index(cellId);
    if (index === -1) {
      return false;
    }
    const { content } = this.panel;
    content.mode = 'command';
    content.activeCellIndex = index;
    content.deselectAll();
    await content.scrollToItem(index, 'center');
    return true;
  }

  /** The cell that a session was begun in, by its mark or the stamp in its text. */
  magicCell(session: string): string | null {
    const stamp = new RegExp(`^\\s*%%intern\\b.*--session[= ]${session}(\\s|$)`, 'm');
    const found = this.shared.cells.find(cell => stamp.test(cell.getSource()));
    return found?.getId() ?? null;
  }

  /** Put the magic cell back above the first cell of its session, else at the end. */
  putBack(cellId: string, source: string, sessionCells: readonly string[]): void {
    if (this.has(cellId)) {
      return;
    }
    const places = sessionCells.map(id => this._cells.index(id)).filter(index => index !== -1);
    const index = Math.min(...places, this.shared.cells.length);
    this._cells.insertAt(index, [{ id: cellId, cell_type: 'code', source }]);
  }

  /** Insert cells of the person's own below the active one, and select the first. */
  async addBelow(sources: readonly string[]): Promise<void> {
    const { content } = this.panel;
    const index = content.activeCellIndex + 1;
    const cells = sources.map(source => ({ cell_type: 'code' as const, source }));
    this._cells.insertAt(index, cells);
    await this.reveal(this.shared.cells[index].getId());
  }

  private get shared(): YNotebook {
    // The interface leaves out the undo manager, which Lab itself reaches in this way.
    return this.panel.context.model.sharedModel as YNotebook;
  }

  /** Of a code cell that does not run now. */
  private outputs(cellId: string): IOutputAreaModel | null {
    const model = this.widget(cellId)?.model;
    const isStill = model && isCodeCellModel(model) && model.executionState === 'idle';
    return isStill ? model.outputs : null;
  }

  private widget(cellId: string) {
    return this.panel.content.widgets.find(cell => cell.model.id === cellId) ?? null;
  }

  private onChanged(_: unknown, change: NotebookChange): void {
    if (!change.cellsChange) {
      return;
    }
    const added = change.cellsChange.flatMap(delta => (delta.insert as ISharedCell[]) ?? []);
    this._cells.keepMovedIds(added);
    this.cellsChanged();
  }

  private _cells: Cells;
  private _isDisposed = false;
}

/** Place of the newest card of a session among the outputs; -1: there is none. */
function cardIndex(outputs: IOutputAreaModel, session: string): number {
  for (let i = outputs.length - 1; i >= 0; i--) {
    const card = outputs.get(i).data[CARD_MIME] as PartialJSONObject | undefined;
    if (card?.session === session) {
      return i;
    }
  }
  return -1;
}
