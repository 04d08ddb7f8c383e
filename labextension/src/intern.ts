/** The intern of one open notebook, as the views know it: what they draw, and what a click does. */
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { Engine } from './engine';
import type { IIntern, IState } from './tokens';
import type { Command, Mode, ModelRole, ToKernel } from './wire';

const LOAD = '%load_ext mlintern_jupyter';
const FIRST = '%%intern improve nano/mcq --model playbook';

export class Intern implements IIntern, IDisposable {
  /**
   * @param tab name of this view of the notebook, for the kernel
   */
  constructor(
    readonly panel: NotebookPanel,
    tab: string,
    contents: Contents.IManager
  ) {
    this._engine = new Engine(panel, tab, contents, state => this._changed.emit(state));
    // The session goes first when a notebook is closed, and with it the way to say goodbye.
    panel.sessionContext.disposed.connect(this.dispose, this);
    panel.disposed.connect(this.dispose, this);
  }

  get state(): IState {
    return this._engine.store.state;
  }

  get changed(): ISignal<IIntern, IState> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.panel.sessionContext.disposed.disconnect(this.dispose, this);
      this.panel.disposed.disconnect(this.dispose, this);
      this._engine.dispose();
      Signal.clearData(this);
    }
  }

  /** The page goes away: another may lead at once. */
  bye(): void {
    this._engine.link.bye();
  }

  /** The page came back from the browser's cache. */
  wake(): void {
    this._engine.link.wake();
  }

  // Cells ----------------------------------------------------------------------------------

  async runCell(cellId: string): Promise<void> {
    if (!this.mayWrite()) {
      return;
    }
    if (!this._engine.bridge.has(cellId)) {
      this.gone();
      return;
    }
    this._engine.carrier.run(cellId);
  }

  async skipCell(cellId: string, reason: string): Promise<void> {
    await this.ask({ kind: 'not_run', cell_id: cellId, state: 'skipped', reason });
  }

  runKind(kind: string): Promise<void> {
    return this.command({ kind: 'RunKind', cell_kind: kind });
  }

  async revealCell(cellId: string): Promise<void> {
    if (await this._engine.bridge.reveal(cellId)) {
      this.markSeen([cellId]);
    } else {
      this.gone();
    }
  }

  markSeen(cellIds: readonly string[]): void {
    this._engine.store.dispatch({ type: 'seen', cellIds });
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

  answer(call: string, yes: boolean, reason: string): Promise<boolean> {
    const session = this.state.view?.session?.session ?? '';
    return this.ask({ kind: 'command', session, command: { kind: 'Answer', call, yes, reason } });
  }

  compact(): Promise<void> {
    return this.command({ kind: 'Compact' });
  }

  setModel(model: string, role: ModelRole): Promise<void> {
    return this.command({ kind: 'SetModel', model, role });
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
      const below = cellId ?? this._engine.bridge.magicCell(session);
      const code = `${LOAD}\n%intern resume ${session}`;
      const error = await this._engine.bridge.runBeside(code, below);
      if (error) {
        this.problem('The session was not resumed.', error, '');
      }
    } catch (error) {
      this.problem('The session was not resumed.', String(error), 'Restart the kernel and try again.');
    }
  }

  async followHere(): Promise<void> {
    await this._engine.link.hello(true);
  }

  async putMagicCellBack(): Promise<void> {
    const session = this.state.view?.session;
    if (session && this.mayWrite()) {
      this._engine.bridge.putBack(session.magic_cell_id, session.magic_source, session.cell_ids);
    }
  }

  begin(): Promise<void> {
    return this._engine.bridge.addBelow([LOAD, FIRST]);
  }

  dismissProblem(): void {
    this._engine.store.dispatch({ type: 'problem', problem: null });
  }

  // What is asked --------------------------------------------------------------------------

  private async command(command: Command, session?: string): Promise<void> {
    const open = this.state.view?.session?.session;
    if (session === undefined && open === undefined) {
      this.problem('No session is open.', '', 'Run a cell that begins with %%intern.');
      return;
    }
    await this.ask({ kind: 'command', session: session ?? open ?? '', command });
  }

  /** Tell the kernel, and show what it has against it; whether it has nothing. */
  private async ask(message: ToKernel): Promise<boolean> {
    const reply = await this._engine.link.request(message);
    if (reply === null) {
      this.problem(
        'The kernel did not answer.',
        'It may be restarting, or doing something that lets nothing else run.',
        'Try again in a moment.'
      );
    } else if (!reply.ok) {
      this.problem(reply.what, reply.why, reply.do);
    }
    this._engine.link.askSoon();
    return reply?.ok ?? false;
  }

  private mayWrite(): boolean {
    if (this._engine.link.leads) {
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
    this._engine.store.dispatch({ type: 'problem', problem: { what, why, do: todo } });
  }

  private _engine: Engine;
  private _changed = new Signal<IIntern, IState>(this);
  private _isDisposed = false;
}
