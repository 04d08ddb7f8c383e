/** Does in order what the kernel asks for, in the page that leads. */
import type { JSONObject } from '@lumino/coreutils';
import type { Absence } from './absence';
import type { Bridge } from './bridge';
import type { Store } from './store';
import type { IOutputsReply, Said, ToKernel } from './wire';

export type ICarrierBridge = Pick<
  Bridge,
  'has' | 'ids' | 'insert' | 'lacksOutputs' | 'putOutputs' | 'run' | 'update' | 'views'
>;

export class Carrier {
  constructor(
    private readonly bridge: ICarrierBridge,
    private readonly absence: Absence,
    private readonly store: Pick<Store, 'dispatch'>,
    private readonly tell: (message: ToKernel) => void,
    private readonly outputsOf: (cellId: string) => Promise<IOutputsReply | null>
  ) {}

  carryOut(said: Said): void {
    switch (said.kind) {
      case 'insert':
        if (this.bridge.insert(said)) {
          this.store.dispatch({ type: 'inserted', cellId: said.cell.id });
        }
        this.absence.watch([said.cell.id]);
        break;
      case 'update': {
        const mark = said.mark as JSONObject | null;
        const isLost = this.bridge.lacksOutputs(said.cell_id, mark);
        this.bridge.update(said.cell_id, said.source, mark);
        if (isLost) {
          void this.restore(said.cell_id);
        }
        break;
      }
      case 'run':
        this.run(said.cell_id);
        break;
      case 'read':
        this.tell({ kind: 'cells', request: said.request, cells: this.bridge.views() });
        break;
    }
  }

  /** Run a cell; one that is on its way (cut, undone) runs when it is back. */
  run(cellId: string): void {
    if (!this.bridge.has(cellId)) {
      this._waiting.add(cellId);
      this.absence.watch([cellId]);
      this.absence.check(this.bridge.ids);
      return;
    }
    this._waiting.delete(cellId);
    const refused = this.bridge.run(cellId);
    if (refused) {
      this.tell({ kind: 'not_run', cell_id: cellId, ...refused });
    }
  }

  /** The page was loaded while the cell ran, or before what it showed was saved. */
  private async restore(cellId: string): Promise<void> {
    const reply = await this.outputsOf(cellId);
    if (reply !== null) {
      this.bridge.putOutputs(cellId, reply.outputs, reply.execution_count);
    }
  }

  /** The list of cells changed. */
  check(): void {
    for (const cellId of this._waiting) {
      if (this.bridge.has(cellId)) {
        this.run(cellId);
      }
    }
  }

  /** It was told to be missing: the kernel will ask again if it wants it. */
  drop(cellId: string): void {
    this._waiting.delete(cellId);
  }

  clear(): void {
    this._waiting.clear();
  }

  private _waiting = new Set<string>();
}
