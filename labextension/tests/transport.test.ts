import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Transport } from '../src/transport';
import type { Said } from '../src/wire';
import { fact, FakeKernel } from './doubles';

function connected(kernel = new FakeKernel()) {
  const transport = new Transport(kernel, 'tab-1');
  const heard: number[] = [];
  const said: Said[] = [];
  transport.heard.connect((_, message) => {
    heard.push(message.seq);
    said.push(message);
  });
  return { kernel, transport, heard, said };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());
const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

describe('a kernel without the intern', () => {
  it('is silent after two seconds, and is asked nothing more', async () => {
    const { kernel, transport } = connected();
    kernel.answer = () => null;
    void transport.hello();
    await settle(1999);
    expect(transport.role).toBe('unknown');
    await settle(1);
    expect(transport.role).toBe('silent');
    kernel.send({ whatever: 1 }, 'another comm');
    await settle(60_000);
    expect(kernel.asked).toHaveLength(1);
  });

  it('is greeted again when it says its first word', async () => {
    const { kernel, transport, heard } = connected();
    kernel.answer = () => null;
    void transport.hello();
    await settle(2000);
    kernel.answer = null;
    kernel.drop({ kind: 'ping' });
    await settle();
    expect(transport.role).toBe('leads');
    kernel.say(fact());
    expect(heard).toEqual([1]);
  });

  it('that dies while asked ends the question at once', async () => {
    const { kernel, transport } = connected();
    kernel.sendControlMessage = () => {
      throw new Error('Kernel is dead');
    };
    await transport.hello();
    expect(transport.role).toBe('silent');
  });
});

describe('messages', () => {
  it('are given on in their order and once, those from before first', async () => {
    const { kernel, transport, heard } = connected();
    kernel.say(fact(), true);
    kernel.say(fact(), true);
    await transport.hello();
    const third = kernel.say(fact());
    kernel.send(third);
    expect(heard).toEqual([1, 2, 3]);
  });

  it('wait until it is known who leads', async () => {
    const { kernel, transport, heard } = connected();
    kernel.say(fact());
    expect(heard).toEqual([]);
    await settle();
    expect(transport.role).toBe('leads');
    expect(heard).toEqual([1]);
  });

  it('that got lost are asked for', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    kernel.say(fact(), true);
    kernel.say(fact());
    expect(heard).toEqual([1]);
    await settle();
    expect(heard).toEqual([1, 2, 3]);
    expect(kernel.hellos().map(hello => hello.last_seq)).toEqual([0, 1]);
  });

  it('that arrive while others are asked for keep their place', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact(), true);
    kernel.say(fact());
    kernel.say(fact());
    kernel.say(fact());
    await settle();
    expect(heard).toEqual([1, 2, 3, 4]);
  });

  it('come in pages until there are no more', async () => {
    const { kernel, transport, heard } = connected();
    kernel.pageSize = 2;
    for (let i = 0; i < 5; i++) {
      kernel.say(fact(), true);
    }
    await transport.hello();
    expect(heard).toEqual([1, 2, 3, 4, 5]);
    expect(kernel.hellos().map(hello => hello.last_seq)).toEqual([0, 2, 4]);
  });

  it('the kernel has forgotten are not waited for', async () => {
    const { kernel, transport, heard } = connected();
    kernel.answer = message =>
      message.kind === 'hello'
        ? ({ seq: 9, leads: true, more: false, messages: [{ ...fact(), seq: 7, boot: kernel.boot }] } as never)
        : {};
    await transport.hello();
    kernel.send({ ...fact(), seq: 10, boot: kernel.boot });
    expect(heard).toEqual([7, 10]);
    expect(kernel.hellos()).toHaveLength(1);
  });

  it('that only a reply knows of are asked for, but not while they may be on their way', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    const late = kernel.say(fact(), true);
    await transport.request({ kind: 'status', whole: true, tab: 'tab-1' });
    await settle(100);
    kernel.send(late);
    await settle(1000);
    expect(kernel.hellos()).toHaveLength(1);
    kernel.say(fact(), true);
    await transport.request({ kind: 'status', whole: true, tab: 'tab-1' });
    await settle(1000);
    expect(heard).toEqual([1, 2]);
  });

  it('without a number are given on at once', async () => {
    const { kernel, transport, said } = connected();
    await transport.hello();
    kernel.drop({ kind: 'signal', signal: { type: 'Activity', text: 'reading' } });
    expect(said).toMatchObject([{ kind: 'signal' }]);
  });

  it('of a restarted kernel begin at one again', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    kernel.say(fact());
    kernel.bootAnew();
    transport.reset();
    await transport.hello();
    kernel.say(fact());
    expect(heard).toEqual([1, 2, 1]);
  });

  it('of a restarted kernel are heard even if nobody noticed the restart', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    kernel.say(fact());
    kernel.bootAnew();
    kernel.drop({ kind: 'ping' });
    await settle();
    kernel.say(fact());
    expect(heard).toEqual([1, 2, 1]);
  });

  it('of another kernel are all heard, also if it has said more than the one before', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    kernel.bootAnew();
    kernel.say(fact(), true);
    kernel.say(fact(), true);
    const stood: string[] = [];
    transport.roleChanged.connect(() => stood.push(transport.role));
    await transport.hello();
    kernel.say(fact());
    expect(heard).toEqual([1, 1, 2, 3]);
    expect(stood).toEqual(['unknown', 'leads']);
  });

  it('of a dead kernel that arrive late are never taken for those of the next', async () => {
    const { kernel, said } = connected();
    const late = [2, 3].map(seq => ({ ...fact('Late'), seq, boot: kernel.boot }));
    kernel.bootAnew();
    kernel.say(fact('New'), true);
    late.forEach(message => kernel.send(message));
    await settle();
    kernel.send({ ...late[1], seq: 9 });
    kernel.say(fact('New'));
    kernel.say(fact('New'));
    await settle();
    expect(said.map(message => 'fact' in message && message.fact.type)).toEqual(['New', 'New', 'New']);
    expect(kernel.hellos().length).toBeLessThanOrEqual(3);
  });

  it('of an extension that was loaded anew begin at one again, and this page leads', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    kernel.say(fact());
    kernel.bootAnew();
    const stood: string[] = [];
    transport.roleChanged.connect(() => stood.push(transport.role));
    const reply = await transport.request({ kind: 'status', whole: true, tab: 'tab-1' });
    // The new one knows no page yet.
    transport.setLeads(false);
    expect(reply?.seq).toBe(0);
    await settle();
    expect(kernel.hellos()).toHaveLength(2);
    expect(kernel.hellos()[1]).toMatchObject({ last_seq: 0, boot: '' });
    kernel.say(fact());
    expect(heard).toEqual([1, 2, 1]);
    expect(stood).toEqual(['unknown', 'leads']);
  });

  it('go on when an answer comes after messages that are newer', async () => {
    const { kernel, transport, heard } = connected();
    await transport.hello();
    kernel.say(fact());
    const reply = transport.request({ kind: 'status', whole: true, tab: 'tab-1' });
    kernel.say(fact());
    kernel.say(fact());
    expect((await reply)?.seq).toBe(1);
    await settle(1000);
    kernel.say(fact());
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(kernel.hellos()).toHaveLength(1);
  });
});

describe('a kernel that answers late', () => {
  it('was taken for silent and is joined by the answer that comes all the same', async () => {
    const { kernel, transport, heard } = connected();
    kernel.latencyMs = 5000;
    kernel.pageSize = 1;
    kernel.say(fact(), true);
    kernel.say(fact(), true);
    const stood: string[] = [];
    transport.roleChanged.connect(() => stood.push(transport.role));
    void transport.hello();
    await settle(20_000);
    expect(stood).toEqual(['silent', 'unknown', 'leads']);
    expect(heard).toEqual([1, 2]);
  });

  it('is not silent once it has answered, however long a question waits', async () => {
    const { kernel, transport } = connected();
    await transport.hello();
    kernel.latencyMs = 9000;
    const reply = transport.request({ kind: 'status', whole: true, tab: 'tab-1' });
    await settle(9000);
    expect(await reply).toMatchObject({ ok: true, leads: true });
  });

  it('says its version all the same', async () => {
    const { kernel, transport } = connected();
    kernel.latencyMs = 3000;
    kernel.answer = () => ({ what: 'wire 1 and 2', why: '', do: 'install', ok: false as const });
    void transport.hello();
    await settle(2500);
    expect(transport.role).toBe('silent');
    await settle(1000);
    expect(transport.role).toBe('mismatch');
    expect(transport.refusal).toMatchObject({ what: 'wire 1 and 2' });
  });
});

describe('a kernel of another version', () => {
  it('says which, and its messages are not heard', async () => {
    const { kernel, transport, heard } = connected();
    const refusal = { what: 'wire 1 and 2', why: '', do: 'install', ok: false as const };
    kernel.answer = () => refusal;
    await transport.hello();
    kernel.send({ ...fact(), seq: 1 });
    await settle();
    expect(transport.role).toBe('mismatch');
    expect(transport.refusal).toMatchObject({ what: 'wire 1 and 2' });
    expect(heard).toEqual([]);
    expect(kernel.asked).toHaveLength(1);
  });
});

describe('two pages', () => {
  it('only one is told to lead', async () => {
    const { kernel, transport } = connected();
    kernel.leads = false;
    await transport.hello();
    expect(transport.role).toBe('follows');
  });

  it('a page that takes over is told everything again', async () => {
    const { kernel, transport, heard } = connected();
    kernel.leads = false;
    kernel.say(fact(), true);
    await transport.hello();
    kernel.leads = true;
    await transport.hello(true);
    expect(transport.role).toBe('leads');
    expect(kernel.hellos()[1]).toMatchObject({ take_lead: true, last_seq: 0 });
    expect(heard).toEqual([1, 1]);
  });

  it('a page that is given the lead is told everything again', async () => {
    const { kernel, transport, heard } = connected();
    kernel.leads = false;
    kernel.say(fact(), true);
    await transport.hello();
    kernel.leads = true;
    kernel.say({ kind: 'leads', tab: 'tab-1' });
    await settle();
    expect(transport.role).toBe('leads');
    expect(heard).toEqual([1, 2, 1]);
  });

  it('a page that offers itself and hears that it leads before the answer is told everything', async () => {
    const { kernel, transport, heard } = connected();
    kernel.leads = false;
    kernel.say(fact(), true);
    await transport.hello();
    kernel.leads = true;
    void transport.hello();
    kernel.drop({ kind: 'leads', tab: 'tab-1' });
    await settle();
    expect(transport.role).toBe('leads');
    expect(heard).toEqual([1, 0, 1]);
  });

  it('a page that leads by the answer alone is told everything again', async () => {
    const { kernel, transport, heard } = connected();
    kernel.leads = false;
    kernel.say(fact(), true);
    await transport.hello();
    kernel.leads = true;
    await transport.hello();
    expect(heard).toEqual([1, 1]);
  });

  it('who led once, among old messages, changes nothing', async () => {
    const { kernel, transport } = connected();
    kernel.say({ kind: 'leads', tab: 'tab-1' }, true);
    kernel.say({ kind: 'leads', tab: 'tab-2' }, true);
    await transport.hello();
    await settle(10_000);
    expect(transport.role).toBe('leads');
    expect(kernel.hellos()).toHaveLength(1);
  });

  it('loses the lead when another page takes it', async () => {
    const { kernel, transport } = connected();
    await transport.hello();
    kernel.leads = false;
    kernel.say({ kind: 'leads', tab: 'tab-2' });
    await settle();
    expect(transport.role).toBe('follows');
  });

  it('a follower offers itself when the leader has gone and not come back', async () => {
    const { kernel, transport } = connected();
    kernel.leads = false;
    await transport.hello();
    kernel.say({ kind: 'leads', tab: '' });
    await settle(4000);
    expect(kernel.hellos()).toHaveLength(1);
    await settle(1000);
    expect(kernel.hellos()).toHaveLength(2);
  });
});
