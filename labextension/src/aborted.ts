/** Hears which cells this page's connection runs, and which of those runs the kernel dropped. */
import type { Kernel } from '@jupyterlab/services';

export interface IRunListener {
  /** An execution of the cell was sent, by whatever means. */
  ran(cellId: string, code: string): void;
  /** It was dropped because one before it failed: the cell did not run. */
  aborted(cellId: string): void;
}

export class RunWatch {
  constructor(private readonly listener: IRunListener) {}

  hear(args: Kernel.IAnyMessageArgs): void {
    const { msg, direction } = args;
    if (direction === 'send' && msg.header.msg_type === 'execute_request') {
      const cellId = msg.metadata.cellId;
      if (typeof cellId === 'string') {
        this._sent.set(msg.header.msg_id, cellId);
        this.listener.ran(cellId, (msg.content as { code: string }).code);
      }
    } else if (direction === 'recv' && msg.header.msg_type === 'execute_reply') {
      const parent = 'msg_id' in msg.parent_header ? msg.parent_header.msg_id : '';
      const cellId = this._sent.get(parent);
      this._sent.delete(parent);
      if (cellId !== undefined && (msg.content as { status: string }).status === 'aborted') {
        this.listener.aborted(cellId);
      }
    }
  }

  /** The kernel is gone: nothing that was sent will be answered. */
  clear(): void {
    this._sent.clear();
  }

  private _sent = new Map<string, string>();
}
