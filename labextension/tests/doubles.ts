/** A kernel connection that answers as told, for tests of the wire. */
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import type { ILinkKernel } from '../src/link';
import {
  COMM_ID,
  WIRE_VERSION,
  type IHelloReply,
  type IKernelView,
  type ISessionView,
  type IStatusReply,
  type Reply,
  type Said,
  type ToKernel
} from '../src/wire';

export type Answer = (message: ToKernel) => Partial<Reply> | null;

/** Answers every Hello as the leader's, until told otherwise. */
export class FakeKernel implements ILinkKernel {
  readonly clientId = 'client';
  readonly username = 'person';
  status: Kernel.Status = 'idle';
  connectionStatus: Kernel.ConnectionStatus = 'connected';
  readonly iopubMessage = new Signal<Kernel.IKernelConnection, KernelMessage.IIOPubMessage>(
    this as never
  );
  readonly statusChanged = new Signal<Kernel.IKernelConnection, Kernel.Status>(this as never);
  readonly connectionStatusChanged = new Signal<Kernel.IKernelConnection, Kernel.ConnectionStatus>(
    this as never
  );
  /** What the page asked. */
  readonly asked: ToKernel[] = [];
  /** Everything numbered that was said, also what got lost on the way. */
  readonly said: Said[] = [];
  pageSize = Infinity;
  boot = 'boot-1';
  leads = true;
  view: IKernelView | null = null;
  answer: Answer | null = null;
  /** So long its answers are on their way. */
  latencyMs = 0;

  sendControlMessage = ((message: { content: ToKernel }) => {
    this.asked.push(message.content);
    const future = { onReply: (_: unknown) => undefined, dispose: () => undefined, done: never };
    const reply = this.answer ? this.answer(message.content) : this.reply(message.content);
    if (reply !== null) {
      const content = { ok: true, seq: this.last, boot: this.boot, ...reply };
      const arrive = () => future.onReply({ content });
      if (this.latencyMs > 0) {
        setTimeout(arrive, this.latencyMs);
      } else {
        void Promise.resolve().then(arrive);
      }
    }
    return future;
  }) as unknown as Kernel.IKernelConnection['sendControlMessage'];

  get last(): number {
    return this.said.length;
  }

  hellos(): Extract<ToKernel, { kind: 'hello' }>[] {
    return this.asked.filter(message => message.kind === 'hello');
  }

  reply(message: ToKernel): Partial<Reply> {
    if (message.kind === 'hello') {
      const seen = message.boot === this.boot ? message.last_seq : 0;
      const rest = this.said.filter(said => said.seq > seen);
      const messages = rest.slice(0, this.pageSize);
      const more = rest.length > messages.length;
      const status = message.whole ? this.statusReply() : null;
      return { wire: WIRE_VERSION, leads: this.leads, messages, more, status } as IHelloReply;
    }
    if (message.kind === 'status') {
      return this.statusReply();
    }
    return {};
  }

  private statusReply(): IStatusReply {
    return {
      ok: true,
      seq: this.last,
      boot: this.boot,
      active: [],
      wanted: [],
      leads: this.leads,
      view: this.view
    };
  }

  /** Number a message; `lost` keeps it from arriving. */
  say(message: Record<string, unknown> & { kind: string }, lost = false): Said {
    const said = { ...message, seq: this.last + 1, boot: this.boot } as unknown as Said;
    this.said.push(said);
    if (!lost) {
      this.send(said);
    }
    return said;
  }

  /** A message without a number. */
  drop(message: Record<string, unknown> & { kind: string }): void {
    this.send({ ...message, seq: 0, boot: this.boot } as unknown as Said);
  }

  /** Another kernel, or the extension loaded anew: its numbers begin again. */
  bootAnew(): void {
    this.said.length = 0;
    this.boot += '+';
  }

  send(data: unknown, comm_id = COMM_ID): void {
    const message = { header: { msg_type: 'comm_msg' }, content: { comm_id, data } };
    this.iopubMessage.emit(message as unknown as KernelMessage.IIOPubMessage);
  }

  become(status: Kernel.Status): void {
    this.status = status;
    this.statusChanged.emit(status);
  }

  connect(status: Kernel.ConnectionStatus): void {
    this.connectionStatus = status;
    this.connectionStatusChanged.emit(status);
  }
}

const never = new Promise<never>(() => undefined);

export function fact(type = 'PlanChanged') {
  return { kind: 'fact', session: 's-1', number: 1, fact: { type } };
}

export function mark(overrides = {}) {
  return {
    session: 's-1',
    call: 'call-1',
    kind: 'script' as const,
    state: 'proposed' as const,
    model: 'm',
    proposed_sha256: 'abc',
    run_sha256: '',
    parents: [],
    sources: [],
    setup: false,
    summary: '',
    v: 1,
    ...overrides
  };
}

export function view(session: Partial<ISessionView> | null = null): IKernelView {
  return {
    version: '0',
    python: '3',
    folder: '',
    mode_cap: 'unattended',
    default_model: '',
    session: session as ISessionView | null,
    records: [],
    jobs: [],
    providers: [],
    benchmarks: [],
    missing: []
  };
}
