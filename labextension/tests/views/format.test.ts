import { describe, expect, it } from 'vitest';
import { curvePath, place } from '../../src/views/curve';
import { count, dollars, duration, lastLines, metric, percent, share } from '../../src/views/format';

describe('dollars', () => {
  it('never shows a sum above zero as zero', () => {
    expect(dollars(0.0004)).toBe('<$0.01');
  });
  it('says zero only for zero', () => {
    expect(dollars(0)).toBe('$0.00');
  });
  it('leaves the cents out of large sums and groups their digits', () => {
    expect([dollars(1.2), dollars(99.5), dollars(12345.6)]).toEqual(['$1.20', '$99.50', '$12,346']);
  });
});

describe('duration', () => {
  it('uses at most two units', () => {
    expect([12, 83, 59 * 60, 3840, 6 * 3600, 200_000].map(duration)).toEqual([
      '12 s',
      '1 min 23 s',
      '59 min',
      '1 h 04 min',
      '6 h',
      '2 d 7 h'
    ]);
  });
  it('carries to the next unit when it rounds', () => {
    expect(duration(59.7)).toBe('1 min 00 s');
  });
});

describe('count', () => {
  it('shortens from ten thousand on', () => {
    expect([9999, 45_210, 300_000, 1_250_000].map(count)).toEqual(['9,999', '45.2k', '300k', '1.3M']);
  });
  it('never says a thousand thousands', () => {
    expect(count(999_980)).toBe('1M');
  });
});

describe('other numbers', () => {
  it('shows fractions as percent', () => {
    expect(percent(0.4125)).toBe('41.3%');
  });
  it('keeps four digits of a metric, and very small ones readable', () => {
    expect([metric(1.23456), metric(0.00002), metric(3), metric(NaN)]).toEqual([
      '1.235',
      '2.0e-5',
      '3',
      'NaN'
    ]);
  });
  it('has no share where there is no limit, and a full one where the limit is nought', () => {
    expect([share(5, null), share(5, 10), share(50, 10), share(0, 0)]).toEqual([null, 0.5, 1, 1]);
  });
  it('keeps the last lines of a growing text', () => {
    expect(lastLines('a\nb\nc\n', 2)).toBe('b\nc');
  });
});

describe('curvePath', () => {
  it('draws high values at the top', () => {
    expect(curvePath([[0, 2], [10, 1]], 100, 40)).toBe('M0 0L100 40');
  });
  it('leaves out what is not a number', () => {
    expect(curvePath([[0, 2], [5, NaN], [10, 1]], 100, 40)).toBe('M0 0L100 40');
  });
  it('draws one point, and equal ones, as a level line in the middle', () => {
    expect(curvePath([[3, 1]], 100, 40)).toBe('M0 20H100');
    expect(curvePath([[0, 1], [4, 1]], 100, 40)).toBe('M0 20L100 20');
  });
  it('is empty without a point', () => {
    expect(curvePath([], 100, 40)).toBe('');
  });
  it('places a value between two others and never outside', () => {
    expect([place(3, 2, 4), place(9, 2, 4), place(1, 1, 1)]).toEqual([0.5, 1, 0.5]);
  });
});
