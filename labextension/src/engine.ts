/** Joins the transport, the store and the bridge of one open notebook. */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents, Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { RunWatch } from './aborted';
import { Absence } from './absence';
import { Bridge } from './bridge';
import { CardKeeper } from './cardKeeper';
import { Carrier } from './carrier';
import { recordsBeside } from './disk';
import { Link } from './link';
import { Store } from './store';
import type { IState } from './tokens';
import type { IKernelView, Said, ToKernel } from './wire';

export class Engine implements IDisposable {
  /**
   * @param tab name of this view of the notebook, for the kernel
   * @param changed takes every new state
   */
  constructor(
    private readonly panel: NotebookPanel,
    tab: string,
    private readonly contents: Contents.IManager,
    changed: (state: IState) => void
  ) {
    this.store = new Store(changed);
    this.bridge = new Bridge(panel, () => {
      this._absence.check(this.bridge.ids);
      this.carrier.check();
    });
    this._absence = new Absence({
      missing: cellId => this.onMissing(cellId),
      returned: cellId => this.onReturned(cellId)
    });
    this.carrier = new Carrier(
      this.bridge,
      this._absence,
      this.store,
      message => this.tell(message),
      async cell_id => {
        const reply = await this.link.request({ kind: 'outputs', cell_id });
        return reply?.ok && 'outputs' in reply ? reply : null;
      }
    );
    this._card = new CardKeeper(this.bridge);
    this._runs = new RunWatch({
      ran: (cellId, code) => this.bridge.ran(cellId, code),
      aborted: cellId => {
        if (this._ours.has(cellId)) {
          this.tell({ kind: 'not_run', cell_id: cellId, state: 'aborted', reason: '' });
        }
      }
    });
    this.link = new Link(tab, () => this.bridge.isMarked);
    this.link.connectionChanged.connect(this.onConnection, this);
    this.link.heard.connect(this.onHeard, this);
    this.link.viewed.connect(this.onViewed, this);
    panel.sessionContext.kernelChanged.connect(this.onKernelChanged, this);
    this.onKernel(panel.sessionContext.session?.kernel ?? null);
  }

  readonly store: Store;
  readonly bridge: Bridge;
  readonly carrier: Carrier;
  readonly link: Link;

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this.link.bye();
    this.panel.sessionContext.kernelChanged.disconnect(this.onKernelChanged, this);
    this._kernel?.anyMessage.disconnect(this.onAnyMessage, this);
    this.link.dispose();
    this.forget();
    this.bridge.dispose();
    this.store.dispose();
  }

  /** Tell the kernel something whose answer does not matter. */
  tell(message: ToKernel): void {
    void this.link.request(message).then(() => this.link.askSoon());
  }

  private onKernelChanged(
    _: ISessionContext,
    change: { newValue: Kernel.IKernelConnection | null }
  ): void {
    this.onKernel(change.newValue);
  }

  private onKernel(kernel: Kernel.IKernelConnection | null): void {
    this._kernel?.anyMessage.disconnect(this.onAnyMessage, this);
    this._kernel = kernel;
    this.forget();
    kernel?.anyMessage.connect(this.onAnyMessage, this);
    this.link.attach(kernel);
  }

  /** What was asked of one kernel means nothing to the next. */
  private forget(): void {
    this._runs.clear();
    this._card.clear();
    this._absence.clear();
    this.carrier.clear();
    this._ours.clear();
  }

  private onAnyMessage(_: unknown, args: Kernel.IAnyMessageArgs): void {
    this._runs.hear(args);
    if (this.link.leads) {
      this._card.hear(args, this.store.state.view?.session ?? null);
    }
  }

  private onConnection(link: Link): void {
    const { connection, refusal } = link;
    this.store.dispatch({ type: 'connection', connection, problem: refusal });
    if (connection === 'lost') {
      this.forget();
    }
    if (connection === 'silent' || connection === 'no-kernel') {
      void this.lookForRecords();
    }
  }

  private onHeard(_: Link, said: Said): void {
    if (said.kind === 'fact') {
      this.store.dispatch({ type: 'fact', fact: said.fact });
    } else if (said.kind === 'signal') {
      this.store.dispatch({ type: 'signal', signal: said.signal });
    } else if (this.link.leads) {
      if (said.kind === 'insert') {
        this._ours.add(said.cell.id);
      }
      this.carrier.carryOut(said);
    }
  }

  private onViewed(_: Link, view: IKernelView): void {
    this.store.dispatch({ type: 'view', view });
    const session = view.session;
    if (session === null) {
      return;
    }
    session.cell_ids.forEach(id => this._ours.add(id));
    if (this.link.leads) {
      this._card.found(session);
    }
    // A cell that was never here is not missing: the kernel may only be about to have it inserted.
    const here = session.cell_ids.filter(id => this.bridge.has(id));
    const magic = session.magic_cell_id ? [session.magic_cell_id] : [];
    this._absence.watch([...magic, ...here]);
    this._absence.check(this.bridge.ids);
    this.showMagicCell();
  }

  private onMissing(cellId: string): void {
    this.carrier.drop(cellId);
    this.showMagicCell();
    if (this.link.leads) {
      this.tell({ kind: 'not_run', cell_id: cellId, state: 'missing', reason: '' });
    }
  }

  private onReturned(cellId: string): void {
    this.showMagicCell();
    if (this.link.leads) {
      this.tell({ kind: 'returned', cell_id: cellId });
    }
  }

  private showMagicCell(): void {
    const id = this.store.state.view?.session?.magic_cell_id ?? '';
    this.store.dispatch({ type: 'magicCell', missing: this._absence.isMissing(id) });
  }

  private async lookForRecords(): Promise<void> {
    const names = await recordsBeside(this.contents, this.panel.context.path);
    if (!this._isDisposed && (names.length > 0 || this.store.state.recordsOnDisk.length > 0)) {
      this.store.dispatch({ type: 'recordsOnDisk', names });
    }
  }

  private _absence: Absence;
  private _card: CardKeeper;
  private _runs: RunWatch;
  private _kernel: Kernel.IKernelConnection | null = null;
  /** Cells of the session that is open in this kernel. */
  private _ours = new Set<string>();
  private _isDisposed = false;
}
