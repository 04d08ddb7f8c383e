import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Link } from '../src/link';
import { fact, FakeKernel, view } from './doubles';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());
const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

function linked(kernel = new FakeKernel(), isMarked = false) {
  const link = new Link('tab-1', () => isMarked);
  const connections: string[] = [];
  link.connectionChanged.connect(() => connections.push(link.connection));
  link.attach(kernel);
  const questions = () => kernel.asked.filter(message => message.kind === 'status').length;
  return { kernel, link, connections, questions };
}

describe('a notebook', () => {
  it('without a kernel says so', () => {
    const link = new Link('tab-1', () => false);
    link.attach(null);
    expect(link.connection).toBe('no-kernel');
  });

  it('whose kernel has no intern costs one question, ever', async () => {
    const kernel = new FakeKernel();
    kernel.answer = () => null;
    const { link } = linked(kernel);
    await settle(2000);
    expect(link.connection).toBe('silent');
    kernel.become('busy');
    kernel.become('idle');
    await settle(3600_000);
    expect(kernel.asked).toHaveLength(1);
  });

  it('is joined while a cell runs, when its status is unknown', async () => {
    const kernel = new FakeKernel();
    kernel.status = 'unknown';
    kernel.connectionStatus = 'connecting';
    const { link } = linked(kernel);
    expect(kernel.asked).toHaveLength(0);
    kernel.connect('connected');
    await settle();
    expect(link.connection).toBe('leads');
  });

  it('does not let Lab hold back its question to a kernel that tells nothing about itself', async () => {
    const held = Object.assign(new FakeKernel(), { _sendPending: vi.fn() });
    held.answer = () => null;
    linked(held);
    await settle(2000);
    expect(held._sendPending).toHaveBeenCalledOnce();
    const free = Object.assign(new FakeKernel(), { _sendPending: vi.fn() });
    linked(free);
    await settle(2000);
    expect(free._sendPending).not.toHaveBeenCalled();
  });

  it('asks once more when the kernel turns out to be alive after all', async () => {
    const kernel = new FakeKernel();
    kernel.status = 'starting';
    kernel.answer = () => null;
    const { link } = linked(kernel);
    await settle(2000);
    kernel.answer = null;
    kernel.become('idle');
    await settle();
    expect(link.connection).toBe('leads');
  });

  it('with cells of an intern asks again while the kernel is too busy to answer', async () => {
    const kernel = new FakeKernel();
    kernel.status = 'busy';
    kernel.answer = () => null;
    const { link } = linked(kernel, true);
    await settle(3000);
    expect(link.connection).toBe('silent');
    kernel.answer = null;
    await settle(1000);
    expect(link.connection).toBe('leads');
  });

  it('with cells of an intern gives up asking', async () => {
    const kernel = new FakeKernel();
    kernel.answer = () => null;
    linked(kernel, true);
    await settle(3600_000);
    expect(kernel.asked).toHaveLength(6);
  });
});

describe('the status', () => {
  it('comes with the greeting, and is asked for at rest every ten seconds', async () => {
    const { kernel, questions } = linked();
    await settle();
    expect(kernel.hellos().map(hello => hello.whole)).toEqual([true]);
    await settle(9999);
    expect(questions()).toBe(0);
    await settle(1);
    expect(questions()).toBe(1);
    expect(kernel.hellos()).toHaveLength(1);
  });

  it('that came with the greeting is told after the cells it speaks of', async () => {
    const kernel = new FakeKernel();
    kernel.say({ kind: 'insert', cell: { id: 'a' } }, true);
    kernel.view = view({ cell_ids: ['a'], pending: [] });
    const { link, questions } = linked(kernel);
    const order: string[] = [];
    link.heard.connect((_, said) => order.push(said.kind));
    link.viewed.connect(() => order.push('view'));
    await settle(1000);
    expect(order).toEqual(['insert', 'view']);
    // What was replayed is in it.
    expect(questions()).toBe(0);
  });

  it('that is older than a fact is asked for again', async () => {
    const kernel = new FakeKernel();
    const { questions } = linked(kernel);
    await settle(10_000);
    expect(questions()).toBe(1);
    kernel.answer = message => {
      const reply = { ...kernel.reply(message), seq: kernel.last };
      if (questions() === 2) {
        // The fact is here before the reply that does not know it.
        kernel.say(fact());
      }
      return reply;
    };
    await settle(10_000);
    expect(questions()).toBe(2);
    await settle(150);
    expect(questions()).toBe(3);
  });

  it('is asked for every two seconds while something is at work or waits', async () => {
    const kernel = new FakeKernel();
    kernel.view = view({ running: true, pending: [] });
    const { questions } = linked(kernel);
    await settle(150 + 4000);
    expect(questions()).toBe(2);
    kernel.view = view({ running: false, pending: [{ cell_id: 'a' } as never] });
    await settle(4000);
    expect(questions()).toBe(4);
  });

  it('follows a burst of facts with one question, and does not wait for its end', async () => {
    const { kernel, questions } = linked();
    await settle(150);
    for (let i = 0; i < 30; i++) {
      kernel.say(fact());
      await settle(10);
    }
    await settle(150);
    expect(questions()).toBeGreaterThanOrEqual(2);
    expect(questions()).toBeLessThanOrEqual(4);
  });

  it('is given on', async () => {
    const { kernel, link } = linked();
    const seen: unknown[] = [];
    link.viewed.connect((_, view) => seen.push(view));
    await settle();
    kernel.view = view();
    kernel.say(fact());
    await settle(150);
    expect(seen).toEqual([view()]);
  });

  it('tells a page that it leads now', async () => {
    const kernel = new FakeKernel();
    kernel.leads = false;
    const { link, connections } = linked(kernel);
    await settle(150);
    kernel.leads = true;
    await settle(10_000);
    expect(link.leads).toBe(true);
    expect(connections).toEqual(['follows', 'leads']);
  });

  it('that is never answered ends in silence: the extension was unloaded', async () => {
    const kernel = new FakeKernel();
    const { link } = linked(kernel);
    await settle(150);
    kernel.answer = () => null;
    await settle(60_000);
    expect(link.connection).toBe('silent');
  });
});

describe('a kernel that ends', () => {
  it('is lost, and greeted when it runs again, from its first message on', async () => {
    const { kernel, link, connections } = linked();
    await settle();
    kernel.say(fact());
    kernel.become('restarting');
    expect(link.connection).toBe('lost');
    kernel.said.length = 0;
    kernel.become('idle');
    await settle();
    expect(connections).toEqual(['leads', 'lost', 'leads']);
    expect(kernel.hellos()[1].last_seq).toBe(0);
  });

  it('is not asked anything while it is gone', async () => {
    const { kernel } = linked();
    await settle(150);
    kernel.become('dead');
    const asked = kernel.asked.length;
    await settle(60_000);
    expect(kernel.asked).toHaveLength(asked);
  });

  it('is not missed where no intern was', async () => {
    const kernel = new FakeKernel();
    kernel.answer = () => null;
    const { kernel: same, connections } = linked(kernel);
    await settle(2000);
    same.become('restarting');
    expect(connections).toEqual(['silent']);
  });

  it('is greeted again after the connection was down', async () => {
    const { kernel } = linked();
    await settle();
    kernel.say(fact());
    kernel.connect('connecting');
    kernel.say(fact(), true);
    kernel.connect('connected');
    await settle();
    expect(kernel.hellos().map(hello => hello.last_seq)).toEqual([0, 1]);
  });
});

describe('the end of a page', () => {
  it('says goodbye where somebody listens', async () => {
    const { kernel, link } = linked();
    await settle();
    link.bye();
    expect(kernel.asked.pop()).toEqual({ kind: 'bye', tab: 'tab-1' });
  });

  it('leaves nothing behind', async () => {
    const { kernel, link } = linked();
    await settle();
    link.dispose();
    const asked = kernel.asked.length;
    kernel.say(fact());
    kernel.become('idle');
    kernel.connect('connected');
    await settle(60_000);
    expect(kernel.asked).toHaveLength(asked);
  });
});
