/**
 * The page's end of the wire: one per kernel connection.
 *
 * Kernel → page: `comm_msg` with a fixed comm id, numbered, given on in order and once each. Page →
 * kernel: requests on the control channel, which is answered while a cell runs; a kernel that does
 * not know the request says nothing, so silence after two seconds means "not loaded", until an
 * answer comes all the same.
 */
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { Sequence } from './sequence';
import type { IProblem } from './tokens';
import {
  COMM_ID,
  CONTROL_REQUEST,
  PING_TIMEOUT_S,
  VERSION,
  WIRE_VERSION,
  type IHelloReply,
  type IStatusReply,
  type Reply,
  type Said,
  type ToKernel
} from './wire';

/** What the wire needs of a kernel connection. */
export type IWireKernel = Pick<
  Kernel.IKernelConnection,
  'clientId' | 'username' | 'iopubMessage' | 'sendControlMessage'
>;

/** How the kernel answered the last Hello; `unknown` before the first answer. */
export type Role = 'unknown' | 'silent' | 'mismatch' | 'leads' | 'follows';

/** A kernel that answered before is there; something in it may let nothing else run for a while. */
const HELD_UP_MS = 10_000;
/** Replies and numbered messages travel on two channels; a reply may be first. */
const LOSS_MS = 250;
/** A leading page that reloads says goodbye, too: it is given the time to come back. */
const VACANT_MS = 5000;

export class Transport implements IDisposable {
  constructor(
    private readonly kernel: IWireKernel,
    private readonly tab: string
  ) {
    kernel.iopubMessage.connect(this.onIopub, this);
  }

  /** Messages in their order, without repetition, whoever leads. */
  get heard(): ISignal<this, Said> {
    return this._heard;
  }

  /** How all stands, once to each who is greeted anew; later messages may be here before it. */
  get told(): ISignal<this, IStatusReply> {
    return this._told;
  }

  get roleChanged(): ISignal<this, Role> {
    return this._roleChanged;
  }

  get role(): Role {
    return this._role;
  }

  /** Number of the last message that was given on. */
  get last(): number {
    return this._sequence.last;
  }

  /** Why the kernel refused the last Hello. */
  get refusal(): IProblem | null {
    return this._refusal;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this.kernel.iopubMessage.disconnect(this.onIopub, this);
    clearTimeout(this._lossTimer);
    clearTimeout(this._vacantTimer);
    Signal.clearData(this);
  }

  /** Say hello and take in what was missed; ends with the role known. */
  hello(takeLead = false): Promise<void> {
    this._takeLead ||= takeLead;
    this._again = true;
    this._greeting ??= this.greet().finally(() => {
      this._greeting = null;
    });
    return this._greeting;
  }

  /** The numbers of what spoke before mean nothing to what speaks now. */
  reset(): void {
    this._sequence.clear();
    this.setRole('unknown');
  }

  /** Somebody says who leads now. A page that takes over asks for everything again. */
  setLeads(leads: boolean): void {
    if (leads === (this._role === 'leads') || !this.answered) {
      return;
    }
    if (leads) {
      this._anew = true;
      void this.hello();
    } else {
      this.setRole('follows');
    }
  }

  /** The kernel's answer; `null` when there is none. */
  request(message: ToKernel): Promise<Reply | null> {
    let future: ReturnType<IWireKernel['sendControlMessage']>;
    try {
      future = this.kernel.sendControlMessage(this.envelope(message), true);
    } catch {
      // The kernel is dead or the connection is gone.
      return Promise.resolve(null);
    }
    return new Promise(resolve => {
      let isOver = false;
      const end = (reply: Reply | null) => {
        isOver = true;
        clearTimeout(timer);
        resolve(reply);
        if (reply !== null && message.kind !== 'hello' && this.answered) {
          this.compare(reply);
        }
      };
      const isKnown = this._sequence.boot !== '';
      const timer = setTimeout(() => end(null), isKnown ? HELD_UP_MS : PING_TIMEOUT_S * 1000);
      future.onReply = answer => {
        const reply = answer.content as unknown as Reply;
        future.dispose();
        if (!isOver) {
          end(reply);
        } else if (this._role === 'silent' && this._greeting === null && !this._isDisposed) {
          this.late(message, reply);
        }
      };
      // A restart disposes every future.
      future.done.then(undefined, () => end(null));
    });
  }

  /** Whether a reply is of the kernel this page knows, and knows of messages that it lacks. */
  private compare(reply: Reply): void {
    if (reply.boot !== this._sequence.boot) {
      // Another kernel, or the intern was loaded anew in the same one: its numbers and its
      // pages begin again.
      this.reset();
      void this.hello();
    } else {
      this.watchForLoss(reply.seq);
    }
  }

  /** It was taken for silent and is there: far away, or held up by what lets nothing else run. */
  private late(message: ToKernel, reply: Reply): void {
    if (message.kind === 'hello') {
      this.take(reply);
    }
    if (message.kind !== 'hello' || this._again) {
      void this.hello();
    }
  }

  private envelope(content: ToKernel): KernelMessage.IControlMessage {
    const message = {
      channel: 'control',
      header: {
        msg_id: UUID.uuid4(),
        msg_type: CONTROL_REQUEST,
        session: this.kernel.clientId,
        username: this.kernel.username,
        date: new Date().toISOString(),
        version: '5.3'
      },
      parent_header: {},
      metadata: {},
      content,
      buffers: []
    };
    // The types know Jupyter's own message types only.
    return message as unknown as KernelMessage.IControlMessage;
  }

  private async greet(): Promise<void> {
    while (this._again && !this._isDisposed) {
      this._again = false;
      const takeLead = this._takeLead;
      this._takeLead = false;
      if (this._anew || (takeLead && this._role !== 'leads')) {
        this._anew = false;
        this._sequence.restart();
      }
      const reply = await this.request({
        kind: 'hello',
        peer: 'lab',
        wire: WIRE_VERSION,
        last_seq: this._sequence.last,
        boot: this._sequence.boot,
        tab: this.tab,
        take_lead: takeLead,
        whole: !this.answered,
        version: VERSION
      });
      if (this._isDisposed) {
        return;
      }
      if (reply === null) {
        this._refusal = null;
        this.setRole('silent');
      } else {
        this.take(reply);
      }
    }
  }

  private take(reply: Reply): void {
    this._refusal = reply.ok ? null : reply;
    if (!reply.ok) {
      this.setRole('mismatch');
      return;
    }
    const { status } = reply as IHelloReply;
    this.welcome(reply as IHelloReply);
    if (status) {
      this._told.emit(status);
    }
  }

  private welcome(reply: IHelloReply): void {
    const sequence = this._sequence;
    if (sequence.begin(reply.boot)) {
      this.setRole('unknown');
    }
    if (this._role === 'follows' && reply.leads && sequence.last > 0) {
      this._anew = true;
    }
    this.setRole(reply.leads ? 'leads' : 'follows');
    if (this._anew) {
      this._again = true;
      return;
    }
    for (const said of reply.messages) {
      // Who led at the time is old news: the reply itself says who does.
      sequence.replay(said, said.kind !== 'leads');
    }
    if (reply.more && reply.messages.length > 0) {
      this._again = true;
      return;
    }
    sequence.upTo(reply.seq);
    this._again ||= sequence.isWaiting;
  }

  private onIopub(_: unknown, message: KernelMessage.IIOPubMessage): void {
    if (message.header.msg_type !== 'comm_msg') {
      return;
    }
    const { comm_id, data } = (message as KernelMessage.ICommMsgMsg).content;
    if (comm_id !== COMM_ID) {
      return;
    }
    const said = data as unknown as Said;
    if (said.kind === 'ping') {
      void this.hello();
    } else if (said.seq === 0) {
      this.unnumbered(said);
    } else {
      this.numbered(said);
    }
  }

  private unnumbered(said: Said): void {
    if (this.answered) {
      this.emit(said);
    } else if (this._role !== 'mismatch' && this._greeting === null) {
      void this.hello();
    }
  }

  private numbered(said: Said): void {
    if (this._role === 'mismatch') {
      return;
    }
    if (!this.answered) {
      // Nobody knows yet who leads.
      this._sequence.hold(said);
    } else if (this._sequence.live(said)) {
      return;
    }
    // The end of a greeting sees what waits, and asks again.
    if (this._greeting === null) {
      void this.hello();
    }
  }

  private emit(said: Said): void {
    if (said.kind === 'leads') {
      this.setLeads(said.tab === this.tab);
      clearTimeout(this._vacantTimer);
      if (said.tab === '') {
        this._vacantTimer = setTimeout(() => void this.hello(), VACANT_MS);
      }
    }
    this._heard.emit(said);
  }

  private watchForLoss(number: number): void {
    if (number <= this._sequence.last || this._greeting !== null) {
      return;
    }
    clearTimeout(this._lossTimer);
    this._lossTimer = setTimeout(() => {
      if (number > this._sequence.last) {
        void this.hello();
      }
    }, LOSS_MS);
  }

  private get answered(): boolean {
    return this._role === 'leads' || this._role === 'follows';
  }

  private setRole(role: Role): void {
    if (role !== this._role) {
      this._role = role;
      this._roleChanged.emit(role);
    }
  }

  private _heard = new Signal<this, Said>(this);
  private _told = new Signal<this, IStatusReply>(this);
  private _roleChanged = new Signal<this, Role>(this);
  private _role: Role = 'unknown';
  private _refusal: IProblem | null = null;
  private _isDisposed = false;
  private _sequence = new Sequence(said => this.emit(said));
  private _greeting: Promise<void> | null = null;
  private _again = false;
  /** It leads from now on: what it only watched so far was not carried out here. */
  private _anew = false;
  private _takeLead = false;
  private _lossTimer: ReturnType<typeof setTimeout> | undefined;
  private _vacantTimer: ReturnType<typeof setTimeout> | undefined;
}
