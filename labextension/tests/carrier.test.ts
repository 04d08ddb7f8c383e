import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Absence } from '../src/absence';
import { Carrier, type ICarrierBridge } from '../src/carrier';
import type { StoreEvent } from '../src/store';
import type { ICellView, Said, ToKernel } from '../src/wire';
import { mark } from './doubles';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

class FakeBridge implements ICarrierBridge {
  ids = new Set<string>();
  refusal: ReturnType<ICarrierBridge['run']> = null;
  readonly done: string[] = [];
  has = (id: string) => this.ids.has(id);
  insert = ({ cell }: { cell: { id: string } }) => {
    const isNew = !this.ids.has(cell.id);
    this.ids.add(cell.id);
    return isNew;
  };
  isLost = false;
  shown: unknown = null;
  lacksOutputs = () => this.isLost;
  putOutputs = (id: string, outputs: readonly object[], count: number | null) => {
    this.shown = [id, outputs, count];
  };
  run = (id: string) => {
    this.done.push(`run ${id}`);
    return this.refusal;
  };
  update = (id: string) => void this.done.push(`update ${id}`);
  views = (): ICellView[] => [{ id: 'own', cell_type: 'code', source: 'x', mark: null }];
}

function carrying() {
  const bridge = new FakeBridge();
  const told: ToKernel[] = [];
  const events: StoreEvent[] = [];
  const gone: string[] = [];
  const absence = new Absence({ missing: id => gone.push(id), returned: () => undefined });
  const carrier = new Carrier(
    bridge,
    absence,
    { dispatch: event => void events.push(event) },
    message => told.push(message),
    () => {
      const outputs = [{ output_type: 'stream' }];
      return Promise.resolve({ ok: true, seq: 1, boot: '', outputs, execution_count: 4 });
    }
  );
  const ask = (message: object) => carrier.carryOut({ seq: 1, ...message } as unknown as Said);
  const cell = { id: 'new', cell_type: 'code', source: 'x', mark: mark() };
  const insert = () => ask({ kind: 'insert', session: 's-1', cell, anchors: [] });
  return { bridge, carrier, absence, told, events, gone, ask, insert };
}

describe('what the kernel asks for', () => {
  it('is inserted once, and unseen until somebody looks', () => {
    const { events, insert } = carrying();
    insert();
    insert();
    expect(events).toEqual([{ type: 'inserted', cellId: 'new' }]);
  });

  it('brings back what a cell showed whose run this page has not seen', async () => {
    const { bridge, ask, insert } = carrying();
    insert();
    ask({ kind: 'update', cell_id: 'new', source: null, mark: mark() });
    await Promise.resolve();
    expect(bridge.shown).toBeNull();
    bridge.isLost = true;
    ask({ kind: 'update', cell_id: 'new', source: null, mark: mark() });
    await Promise.resolve();
    expect(bridge.shown).toEqual(['new', [{ output_type: 'stream' }], 4]);
  });

  it('is run, and why there was nothing to run is told', () => {
    const { bridge, told, ask, insert } = carrying();
    insert();
    ask({ kind: 'run', cell_id: 'new' });
    expect(bridge.done).toEqual(['run new']);
    expect(told).toEqual([]);
    bridge.refusal = { state: 'skipped', reason: 'it is empty' };
    ask({ kind: 'run', cell_id: 'new' });
    expect(told).toEqual([
      { kind: 'not_run', cell_id: 'new', state: 'skipped', reason: 'it is empty' }
    ]);
  });

  it('is run when a cell that was cut is pasted', () => {
    const { bridge, carrier, ask, insert } = carrying();
    insert();
    bridge.ids.clear();
    ask({ kind: 'run', cell_id: 'new' });
    carrier.check();
    expect(bridge.done).toEqual([]);
    bridge.ids.add('new');
    carrier.check();
    carrier.check();
    expect(bridge.done).toEqual(['run new']);
  });

  it('of a cell that nobody has is missing after five seconds', () => {
    const { gone, ask } = carrying();
    ask({ kind: 'run', cell_id: 'nowhere' });
    vi.advanceTimersByTime(5000);
    expect(gone).toEqual(['nowhere']);
  });

  it('is answered with every cell', () => {
    const { bridge, told, ask } = carrying();
    ask({ kind: 'read', request: 'r-1' });
    expect(told).toEqual([{ kind: 'cells', request: 'r-1', cells: bridge.views() }]);
  });
});
