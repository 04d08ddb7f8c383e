/**
 * Keeps a notebook in touch with its kernel: says hello when it must, asks for the status, follows
 * restarts. In a kernel that never loads the intern it says hello once and nothing more.
 */
import type { Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { Transport } from './transport';
import type { Connection, IProblem } from './tokens';
import type { IKernelView, IStatusReply, Reply, Said, ToKernel } from './wire';

export type ILinkKernel = Pick<
  Kernel.IKernelConnection,
  | 'clientId'
  | 'username'
  | 'iopubMessage'
  | 'sendControlMessage'
  | 'status'
  | 'statusChanged'
  | 'connectionStatus'
  | 'connectionStatusChanged'
>;

const SOON_MS = 150;
const AT_WORK_MS = 2000;
const AT_REST_MS = 10_000;
/** So many questions unanswered: ask who is there. */
const UNANSWERED = 3;
/** A kernel that holds everything up cannot answer; marked cells say that asking again is worth it. */
const RETRY_MS = [2000, 4000, 8000, 16_000, 30_000];
/** A kernel that is idle has told about itself by then. */
const HELD_UP_MS = 50;
const GONE: ReadonlySet<Kernel.Status> = new Set(['restarting', 'autorestarting', 'dead']);

export class Link implements IDisposable {
  /**
   * @param isMarked whether the notebook holds an intern's cells
   */
  constructor(
    private readonly tab: string,
    private readonly isMarked: () => boolean
  ) {}

  /** The connection changed. */
  get connectionChanged(): ISignal<this, void> {
    return this._connectionSignal;
  }

  get heard(): ISignal<this, Said> {
    return this._heard;
  }

  get viewed(): ISignal<this, IKernelView> {
    return this._viewed;
  }

  get connection(): Connection {
    return this._connection;
  }

  get refusal(): IProblem | null {
    return this._connection === 'mismatch' ? (this._transport?.refusal ?? null) : null;
  }

  get leads(): boolean {
    return this._connection === 'leads';
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.detach();
      Signal.clearData(this);
    }
  }

  attach(kernel: ILinkKernel | null): void {
    this.detach();
    if (kernel === null) {
      this.setConnection('no-kernel');
      return;
    }
    this._kernel = kernel;
    this._transport = new Transport(kernel, this.tab);
    this._transport.heard.connect(this.onHeard, this);
    this._transport.told.connect(this.onTold, this);
    this._transport.roleChanged.connect(this.onRole, this);
    kernel.statusChanged.connect(this.onStatus, this);
    kernel.connectionStatusChanged.connect(this.onConnectionStatus, this);
    this._isGreeted = false;
    this._retries = 0;
    this.greetIfNeeded();
  }

  async hello(takeLead = false): Promise<void> {
    await this._transport?.hello(takeLead);
    this.askSoon();
  }

  request(message: ToKernel): Promise<Reply | null> {
    return this._transport?.request(message) ?? Promise.resolve(null);
  }

  bye(): void {
    if (this.isAnswered) {
      void this.request({ kind: 'bye', tab: this.tab });
    }
  }

  wake(): void {
    if (this.isAnswered) {
      void this.hello();
    }
  }

  /** Ask for the status when what happens now is over. */
  askSoon(): void {
    if (this._soon === undefined && this.isAnswered) {
      this._soon = setTimeout(() => void this.ask(), SOON_MS);
    }
  }

  private async ask(): Promise<void> {
    this.calm();
    const transport = this._transport;
    if (!this.isAnswered || transport === null) {
      return;
    }
    const reply = await transport.request({ kind: 'status', whole: true, tab: this.tab });
    if (transport !== this._transport || !this.isAnswered) {
      return;
    }
    if (reply?.ok && 'active' in reply) {
      this.onTold(transport, reply);
      return;
    }
    if (reply === null && ++this._unanswered >= UNANSWERED) {
      this._unanswered = 0;
      await transport.hello();
    }
    this.askLater(AT_WORK_MS);
  }

  private onTold(transport: Transport, status: IStatusReply): void {
    this._unanswered = 0;
    transport.setLeads(status.leads);
    let isAtWork = status.active.length > 0;
    if (status.view) {
      isAtWork ||= works(status.view);
      this._viewed.emit(status.view);
    }
    if (transport.last <= status.seq) {
      // It tells of everything that asked for it.
      clearTimeout(this._soon);
      this._soon = undefined;
    }
    this.askLater(isAtWork ? AT_WORK_MS : AT_REST_MS);
  }

  private askLater(ms: number): void {
    clearTimeout(this._later);
    if (this.isAnswered) {
      this._later = setTimeout(() => void this.ask(), ms);
    }
  }

  private calm(): void {
    clearTimeout(this._soon);
    clearTimeout(this._later);
    this._soon = this._later = undefined;
  }

  private detach(): void {
    this.calm();
    clearTimeout(this._retry);
    this._kernel?.statusChanged.disconnect(this.onStatus, this);
    this._kernel?.connectionStatusChanged.disconnect(this.onConnectionStatus, this);
    this._transport?.dispose();
    this._kernel = null;
    this._transport = null;
  }

  private onStatus(_: unknown, status: Kernel.Status): void {
    if (GONE.has(status)) {
      this._isGreeted = false;
      this._transport?.reset();
    } else {
      this.greetIfNeeded();
    }
  }

  private onConnectionStatus(_: unknown, status: Kernel.ConnectionStatus): void {
    if (status !== 'connected') {
      // Messages of the meantime are gone; the kernel may be another one, too.
      this._isGreeted = false;
    }
    this.greetIfNeeded();
  }

  private greetIfNeeded(): void {
    const kernel = this._kernel;
    if (this._isGreeted || kernel?.connectionStatus !== 'connected' || GONE.has(kernel.status)) {
      return;
    }
    this._isGreeted = true;
    void this.greet(kernel);
  }

  private async greet(kernel: ILinkKernel): Promise<void> {
    // After a reload while a cell runs the status stays unknown until it ends.
    const isSure = kernel.status === 'idle' || kernel.status === 'busy';
    const hurry = setTimeout(() => sendWaiting(kernel), HELD_UP_MS);
    await this._transport?.hello();
    clearTimeout(hurry);
    if (kernel !== this._kernel || this._transport?.role !== 'silent') {
      return;
    }
    if (!isSure) {
      this._isGreeted = false;
    }
    if (this.isMarked() && this._retries < RETRY_MS.length) {
      clearTimeout(this._retry);
      this._retry = setTimeout(() => {
        this._isGreeted = false;
        this.greetIfNeeded();
      }, RETRY_MS[this._retries++]);
    }
  }

  private onRole(transport: Transport): void {
    if (transport.role === 'unknown') {
      if (this.isAnswered) {
        this.calm();
        this.setConnection('lost');
      }
      return;
    }
    this.setConnection(transport.role);
    if (this.isAnswered) {
      this._retries = 0;
      this.askSoon();
    } else {
      this.calm();
    }
  }

  private onHeard(_: Transport, said: Said): void {
    this._heard.emit(said);
    if (said.kind !== 'signal') {
      this.askSoon();
    }
  }

  private get isAnswered(): boolean {
    return this._connection === 'leads' || this._connection === 'follows';
  }

  private setConnection(connection: Connection): void {
    this._connection = connection;
    this._connectionSignal.emit();
  }

  private _connectionSignal = new Signal<this, void>(this);
  private _heard = new Signal<this, Said>(this);
  private _viewed = new Signal<this, IKernelView>(this);
  private _connection: Connection = 'no-kernel';
  private _kernel: ILinkKernel | null = null;
  private _transport: Transport | null = null;
  private _isGreeted = false;
  private _unanswered = 0;
  private _retries = 0;
  private _soon: ReturnType<typeof setTimeout> | undefined;
  private _later: ReturnType<typeof setTimeout> | undefined;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _isDisposed = false;
}

/**
 * Lab holds back what is to be sent to a kernel until that has told about itself, which a busy one
 * does not, for three seconds. Nothing public ends that for one connection; where this is not there
 * either, the three seconds are waited for.
 */
function sendWaiting(kernel: ILinkKernel): void {
  (kernel as { _sendPending?: () => void })._sendPending?.();
}

function works(view: IKernelView): boolean {
  const session = view.session;
  const isOpen = session !== null && (session.running || session.pending.length > 0);
  return isOpen || view.jobs.some(job => job.state === 'running' || job.state === 'held');
}
