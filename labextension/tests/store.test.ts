import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fold, START, Store } from '../src/store';
import type { Connection } from '../src/tokens';
import type { Fact, Signal } from '../src/wire';
import { view } from './doubles';

const seen = view();
const delta = (text: string) =>
  ({ type: 'signal', signal: { type: 'TextDelta', step: 1, text } }) as const;

describe('the connection', () => {
  const full = { ...START, view: seen, text: 'x', activity: 'y', recordsOnDisk: ['old'] };

  it('keeps the last answer while it is lost', () => {
    const state = fold(full, { type: 'connection', connection: 'lost' });
    expect(state).toMatchObject({ connection: 'lost', view: seen, text: '', activity: '' });
  });

  it.each<Connection>(['no-kernel', 'silent', 'mismatch'])('shows no session while %s', connection => {
    expect(fold(full, { type: 'connection', connection }).view).toBeNull();
  });

  it('needs no records from disk once a kernel answers', () => {
    expect(fold(full, { type: 'connection', connection: 'leads' }).recordsOnDisk).toEqual([]);
  });

  it('names a mismatch, and forgets it when it is gone', () => {
    const problem = { what: 'versions', why: '', do: 'install' };
    const refused = fold(START, { type: 'connection', connection: 'mismatch', problem });
    expect(refused.problem).toBe(problem);
    expect(fold(refused, { type: 'connection', connection: 'leads' }).problem).toBeNull();
  });

  it('does not hide another problem', () => {
    const problem = { what: 'refused', why: '', do: '' };
    const state = { ...START, problem };
    expect(fold(state, { type: 'connection', connection: 'leads' }).problem).toBe(problem);
  });
});

describe('what the intern says', () => {
  it('is drawn while it is written and gone when it is complete', () => {
    const writing = fold(fold(START, delta('I will ')), delta('train.'));
    expect(writing.text).toBe('I will train.');
    const replied = { type: 'fact', fact: { type: 'Replied' } as Fact } as const;
    expect(fold(writing, replied).text).toBe('');
  });

  it('ends with the turn', () => {
    const state = { ...START, text: 'x', activity: 'reading' };
    const ended = { type: 'fact', fact: { type: 'TurnEnded' } as Fact } as const;
    expect(fold(state, ended)).toMatchObject({ text: '', activity: '' });
  });

  it('and any other fact changes nothing here', () => {
    const fact = { type: 'PlanChanged' } as Fact;
    expect(fold(START, { type: 'fact', fact })).toBe(START);
  });

  it('of a kind that this page does not know changes nothing', () => {
    const fact = { type: 'ToMorrow' } as unknown as Fact;
    expect(fold(START, { type: 'fact', fact })).toBe(START);
    const signal = { type: 'Mood' } as unknown as Signal;
    expect(fold(START, { type: 'signal', signal })).toBe(START);
  });

  it('keeps the newest part of a very long reply', () => {
    const state = fold(fold(START, delta('a'.repeat(30_000))), delta('end'));
    expect(state.text).toHaveLength(20_000);
    expect(state.text.endsWith('end')).toBe(true);
  });

  it('names what it does', () => {
    const signal = { type: 'Activity', text: 'reading papers' } as const;
    expect(fold(START, { type: 'signal', signal }).activity).toBe('reading papers');
  });
});

describe('cells out of sight', () => {
  it('count as unseen until somebody looked', () => {
    const one = fold(START, { type: 'inserted', cellId: 'a' });
    const two = fold(fold(one, { type: 'inserted', cellId: 'b' }), { type: 'inserted', cellId: 'a' });
    expect(two.unseen).toEqual(['a', 'b']);
    expect(fold(two, { type: 'seen', cellIds: ['a'] }).unseen).toEqual(['b']);
    expect(fold(two, { type: 'seen', cellIds: ['z'] })).toBe(two);
  });
});

describe('the rest', () => {
  it('is shown as it is told', () => {
    const problem = { what: 'w', why: '', do: '' };
    expect(fold(START, { type: 'problem', problem }).problem).toBe(problem);
    expect(fold(START, { type: 'problem', problem: null })).toBe(START);
    expect(fold(START, { type: 'magicCell', missing: true }).magicCellMissing).toBe(true);
    expect(fold(START, { type: 'magicCell', missing: false })).toBe(START);
    expect(fold(START, { type: 'recordsOnDisk', names: ['a'] }).recordsOnDisk).toEqual(['a']);
    expect(fold(START, { type: 'view', view: seen }).view).toBe(seen);
  });
});

describe('the store', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('draws pieces of text together, and before what came after them', () => {
    const texts: string[] = [];
    const store = new Store(state => texts.push(state.text));
    store.dispatch(delta('a'));
    store.dispatch(delta('b'));
    expect(texts).toEqual([]);
    vi.advanceTimersByTime(50);
    expect(texts).toEqual(['ab']);
    store.dispatch(delta('c'));
    store.dispatch({ type: 'fact', fact: { type: 'Replied' } as Fact });
    vi.advanceTimersByTime(50);
    expect(texts).toEqual(['ab', 'abc', '']);
  });

  it('says nothing when nothing changed, and nothing after its end', () => {
    const changed = vi.fn();
    const store = new Store(changed);
    store.dispatch({ type: 'problem', problem: null });
    store.dispatch(delta('a'));
    store.dispose();
    vi.advanceTimersByTime(50);
    expect(changed).not.toHaveBeenCalled();
  });
});
