import { describe, expect, it } from 'vitest';
import type { Kernel } from '@jupyterlab/services';
import { RunWatch } from '../src/aborted';

function watch() {
  const told: string[] = [];
  const runs = new RunWatch({
    ran: (id, code) => told.push(`ran ${id}: ${code}`),
    aborted: id => told.push(`aborted ${id}`)
  });
  const send = (msg_id: string, cellId?: string, msg_type = 'execute_request') =>
    runs.hear({
      direction: 'send',
      msg: { header: { msg_id, msg_type }, metadata: { cellId }, content: { code: 'x' } }
    } as unknown as Kernel.IAnyMessageArgs);
  const reply = (msg_id: string, status: string) =>
    runs.hear({
      direction: 'recv',
      msg: { header: { msg_type: 'execute_reply' }, parent_header: { msg_id }, content: { status } }
    } as unknown as Kernel.IAnyMessageArgs);
  return { runs, told, send, reply };
}

describe('a run', () => {
  it('is known by the cell it is of, and told of if it was aborted', () => {
    const { told, send, reply } = watch();
    send('1', 'a');
    send('2', 'b');
    reply('1', 'error');
    reply('2', 'aborted');
    reply('2', 'aborted');
    expect(told).toEqual(['ran a: x', 'ran b: x', 'aborted b']);
  });

  it('of no cell, or of another page, is not told of', () => {
    const { told, send, reply } = watch();
    send('1');
    send('2', 'a', 'complete_request');
    reply('1', 'aborted');
    reply('elsewhere', 'aborted');
    expect(told).toEqual([]);
  });

  it('of a kernel that is gone is forgotten', () => {
    const { runs, told, send, reply } = watch();
    send('1', 'a');
    runs.clear();
    reply('1', 'aborted');
    expect(told).toEqual(['ran a: x']);
  });
});
