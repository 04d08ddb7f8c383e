/** The intern of one open notebook: joins transport, store and bridge, and answers the clicks. */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents, Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { RunWatch } from './aborted';
import { Absence } from './absence';
import { Bridge } from './bridge';
import { Carrier } from './carrier';
import { recordsBeside } from './disk';
import { Link } from './link';
import { Store } from './store';
import type { IIntern, IProblem, IState } from './tokens';
import type { Command, IKernelView, Mode, Said, ToKernel } from './wire';

const LOAD = '%load_ext mlintern_jupyter';
const FIRST = '%%intern improve nano/mcq --model playbook';

export class Intern implements IIntern, IDisposable {
  constructor(
    readonly panel: NotebookPanel,
    tab: string,
    private readonly contents: Contents.IManager
  ) {
    this._store = new Store(state => this._changed.emit(state));
    this._bridge = new Bridge(panel, () => {
      this._absence.check(this._bridge.ids);
      this._carrier.check();
    });
    this._absence = new Absence({
      missing: cellId => this.told(cellId, true),
      returned: cellId => this.told(cellId, false)
    });
    this._carrier = new Carrier(this._bridge, this._absence, this._store, m => this.tell(m));
    this._runs = new RunWatch({
      ran: (cellId, code) => this._bridge.ran(cellId, code),
      aborted: cellId => {
        if (this._ours.has(cellId)) {
          this.tell({ kind: 'not_run', cell_id: cellId, state: 'aborted', reason: '' });
        }
      }
    });
    this._link = new Link(tab, () => this._bridge.isMarked);
    this._link.standing.connect(this.onStanding, this);
    this._link.heard.connect(this.onHeard, this);
    this._link.viewed.connect(this.onViewed, this);
    panel.sessionContext.kernelChanged.connect(this.onKernelChanged, this);
    panel.disposed.connect(this.dispose, this);
    this.onKernel(panel.sessionContext.session?.kernel ?? null);
  }

  get state(): IState {
    return this._store.state;
  }

  get changed(): ISignal<IIntern, IState> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this.bye();
    this.panel.sessionContext.kernelChanged.disconnect(this.onKernelChanged, this);
    this.panel.disposed.disconnect(this.dispose, this);
    this._kernel?.anyMessage.disconnect(this.onAnyMessage, this);
    this._link.dispose();
    this._absence.clear();
    this._bridge.dispose();
    this._store.dispose();
    Signal.clearData(this);
  }

  /** The page goes away: another may lead at once. */
  bye(): void {
    this._link.bye();
  }

  /** The page is seen again, or came back from the browser's cache. */
  wake(): void {
    this._link.wake();
  }

  // Cells ----------------------------------------------------------------------------------

  async runCell(cellId: string): Promise<void> {
    if (!this.mayWrite()) {
      return;
    }
    if (!this._bridge.has(cellId)) {
      this.gone();
      return;
    }
    this._carrier.run(cellId);
  }

  async skipCell(cellId: string, reason: string): Promise<void> {
    await this.ask({ kind: 'not_run', cell_id: cellId, state: 'skipped', reason });
  }

  runKind(kind: string): Promise<void> {
    return this.command({ kind: 'RunKind', cell_kind: kind });
  }

  async revealCell(cellId: string): Promise<void> {
    if (await this._bridge.reveal(cellId)) {
      this.markSeen([cellId]);
    } else {
      this.gone();
    }
  }

  markSeen(cellIds: readonly string[]): void {
    this._store.dispatch({ type: 'seen', cellIds });
  }

  // The turn -------------------------------------------------------------------------------

  steer(text: string): Promise<void> {
    return this.command({ kind: 'Steer', text });
  }

  pause(): Promise<void> {
    return this.command({ kind: 'Pause' });
  }

  resumeHeld(): Promise<void> {
    return this.command({ kind: 'Continue' });
  }

  stop(jobs: boolean): Promise<void> {
    return this.command({ kind: 'Stop', jobs });
  }

  async interruptCell(): Promise<void> {
    const kernel = this.panel.sessionContext.session?.kernel;
    try {
      await kernel?.interrupt();
    } catch (error) {
      this.problem('The cell could not be interrupted.', String(error), 'Restart the kernel.');
    }
  }

  setMode(mode: Mode): Promise<void> {
    return this.command({ kind: 'SetMode', mode });
  }

  // Jobs -----------------------------------------------------------------------------------

  startJob(name: string): Promise<void> {
    return this.command({ kind: 'StartJob', name }, '');
  }

  cancelJob(name: string): Promise<void> {
    return this.command({ kind: 'CancelJob', name }, '');
  }

  // Sessions -------------------------------------------------------------------------------

  async resumeSession(session: string): Promise<void> {
    const open = this.state.view?.session;
    const cellId = open?.session === session ? open.magic_cell_id : null;
    try {
      const context = this.panel.sessionContext;
      if (context.session?.kernel?.status === 'dead') {
        await context.restartKernel();
      } else if (!context.session?.kernel) {
        await context.initialize();
      }
      if (!context.session?.kernel) {
        this.problem('No kernel is running.', '', 'Choose a kernel, then resume again.');
        return;
      }
      const below = cellId ?? this._bridge.magicCell(session);
      await this._bridge.runHidden(`${LOAD}\n%intern resume ${session}`, below);
    } catch (error) {
      this.problem('The session was not resumed.', String(error), 'Restart the kernel and try again.');
    }
  }

  async followHere(): Promise<void> {
    await this._link.hello(true);
  }

  async putMagicCellBack(): Promise<void> {
    const session = this.state.view?.session;
    if (session && this.mayWrite()) {
      this._bridge.putBack(session.magic_cell_id, session.magic_source, session.cell_ids);
    }
  }

  begin(): Promise<void> {
    return this._bridge.addBelow([LOAD, FIRST]);
  }

  dismissProblem(): void {
    this._store.dispatch({ type: 'problem', problem: null });
  }

  // What happens ---------------------------------------------------------------------------

  private onKernelChanged(
    _: ISessionContext,
    change: ISessionContext['kernelChanged'] extends ISignal<ISessionContext, infer T> ? T : never
  ): void {
    this.onKernel(change.newValue);
  }

  private onKernel(kernel: Kernel.IKernelConnection | null): void {
    this._kernel?.anyMessage.disconnect(this.onAnyMessage, this);
    this._kernel = kernel;
    this._runs.clear();
    this._absence.clear();
    this._carrier.clear();
    this._ours.clear();
    kernel?.anyMessage.connect(this.onAnyMessage, this);
    this._link.attach(kernel);
  }

  private onAnyMessage(_: unknown, args: Kernel.IAnyMessageArgs): void {
    this._runs.hear(args);
  }

  private onStanding(link: Link): void {
    const { connection, refusal } = link;
    this._store.dispatch({ type: 'connection', connection, problem: refusal });
    if (connection === 'lost') {
      this._runs.clear();
      this._absence.clear();
      this._carrier.clear();
    }
    if (connection === 'silent' || connection === 'no-kernel') {
      void this.lookForRecords();
    }
  }

  private onHeard(_: Link, said: Said): void {
    if (said.kind === 'fact') {
      this._store.dispatch({ type: 'fact', fact: said.fact });
    } else if (said.kind === 'signal') {
      this._store.dispatch({ type: 'signal', signal: said.signal });
    } else if (said.kind === 'highlight') {
      this._store.dispatch({ type: 'inserted', cellId: said.cell_id });
      this._bridge.flash(said.cell_id);
    } else if (this._link.leads) {
      if (said.kind === 'insert') {
        this._ours.add(said.cell.id);
      }
      this._carrier.carryOut(said);
    }
  }

  private onViewed(_: Link, view: IKernelView): void {
    this._store.dispatch({ type: 'view', view });
    const session = view.session;
    if (session === null) {
      return;
    }
    session.cell_ids.forEach(id => this._ours.add(id));
    const wanted = session.pending.map(cell => cell.cell_id);
    const here = session.cell_ids.filter(id => this._bridge.has(id));
    const magic = session.magic_cell_id ? [session.magic_cell_id] : [];
    this._absence.watch([...magic, ...wanted, ...here]);
    this._absence.check(this._bridge.ids);
    this.markMagic();
  }

  private told(cellId: string, missing: boolean): void {
    this.markMagic();
    if (missing) {
      this._carrier.drop(cellId);
    }
    if (!this._link.leads) {
      return;
    }
    this.tell(
      missing
        ? { kind: 'not_run', cell_id: cellId, state: 'missing', reason: '' }
        : { kind: 'returned', cell_id: cellId }
    );
  }

  private markMagic(): void {
    const id = this.state.view?.session?.magic_cell_id ?? '';
    this._store.dispatch({ type: 'magicCell', missing: this._absence.isMissing(id) });
  }

  private async lookForRecords(): Promise<void> {
    const names = await recordsBeside(this.contents, this.panel.context.path);
    if (!this._isDisposed && (names.length > 0 || this.state.recordsOnDisk.length > 0)) {
      this._store.dispatch({ type: 'recordsOnDisk', names });
    }
  }

  // What is asked --------------------------------------------------------------------------

  private command(command: Command, session?: string): Promise<void> {
    const open = this.state.view?.session?.session;
    if (session === undefined && open === undefined) {
      this.problem('No session is open.', '', 'Run a cell that begins with %%intern.');
      return Promise.resolve();
    }
    return this.ask({ kind: 'command', session: session ?? open ?? '', command });
  }

  /** Tell the kernel, and show what it has against it. */
  private async ask(message: ToKernel): Promise<void> {
    const reply = await this._link.request(message);
    if (reply === null) {
      this.problem(
        'The kernel did not answer.',
        'It may be restarting, or doing something that lets nothing else run.',
        'Try again in a moment.'
      );
    } else if (!reply.ok) {
      this.problem(reply.what, reply.why, reply.do);
    }
    this._link.askSoon();
  }

  /** Tell the kernel something it may ignore. */
  private tell(message: ToKernel): void {
    void this._link.request(message).then(() => this._link.askSoon());
  }

  private mayWrite(): boolean {
    if (this._link.leads) {
      return true;
    }
    this.problem(
      'This page only shows the session.',
      'Another page of this notebook inserts and runs its cells.',
      'Choose "Follow here" first.'
    );
    return false;
  }

  private gone(): void {
    this.problem('The cell is not in the notebook.', 'It was deleted.', 'Undo its deletion.');
  }

  private problem(what: string, why: string, todo: string): void {
    const problem: IProblem = { what, why, do: todo };
    this._store.dispatch({ type: 'problem', problem });
  }

  private _changed = new Signal<IIntern, IState>(this);
  private _store: Store;
  private _bridge: Bridge;
  private _absence: Absence;
  private _carrier: Carrier;
  private _runs: RunWatch;
  private _link: Link;
  private _kernel: Kernel.IKernelConnection | null = null;
  /** Cells of the session that is open in this kernel. */
  private _ours = new Set<string>();
  private _isDisposed = false;
}
