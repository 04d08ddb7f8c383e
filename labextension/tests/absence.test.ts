import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Absence } from '../src/absence';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function watched(...ids: string[]) {
  const told: string[] = [];
  const absence = new Absence({
    missing: id => told.push(`missing ${id}`),
    returned: id => told.push(`returned ${id}`)
  });
  absence.watch(ids);
  return { absence, told };
}

describe('an absent cell', () => {
  it('counts as missing after five seconds', () => {
    const { absence, told } = watched('a', 'b');
    absence.check(new Set(['b']));
    vi.advanceTimersByTime(4999);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual(['missing a']);
    expect(absence.isMissing('a')).toBe(true);
  });

  it('was only moved if it is back in time', () => {
    const { absence, told } = watched('a');
    absence.check(new Set());
    vi.advanceTimersByTime(4000);
    absence.check(new Set(['a']));
    vi.advanceTimersByTime(60_000);
    expect(told).toEqual([]);
  });

  it('has five seconds from when it went, not from the last look', () => {
    const { absence, told } = watched('a');
    absence.check(new Set());
    vi.advanceTimersByTime(3000);
    absence.check(new Set());
    vi.advanceTimersByTime(2000);
    expect(told).toEqual(['missing a']);
  });

  it('is told once, and once that it returned', () => {
    const { absence, told } = watched('a');
    absence.check(new Set());
    vi.advanceTimersByTime(5000);
    absence.check(new Set());
    vi.advanceTimersByTime(5000);
    absence.check(new Set(['a']));
    absence.check(new Set(['a']));
    expect(told).toEqual(['missing a', 'returned a']);
  });

  it('that nobody waits for is nobody’s business', () => {
    const { absence, told } = watched('a', 'b');
    absence.check(new Set());
    absence.clear();
    vi.advanceTimersByTime(5000);
    expect(told).toEqual([]);
  });
});
