import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import type { IState } from '../../src/tokens';
import { modes, resumable, spentWord, standing } from '../../src/views/words';
import type { IKernelView, ISessionView } from '../../src/wire';

const trans = nullTranslator.load('mlintern_jupyter');

function spent(usd: number | null, unmetered: boolean, reserved = 0): ISessionView {
  return { unmetered, spent: { usd, reserved_usd: reserved } } as ISessionView;
}

describe('what was spent', () => {
  it('is never a zero where nobody knows it', () => {
    expect(spentWord(spent(null, false), trans)).toBe('cost unknown');
  });
  it('is a word for a model that is not metered', () => {
    expect(spentWord(spent(null, true), trans)).toBe('unmetered');
    expect(spentWord(spent(0, true), trans)).toBe('unmetered');
  });
  it('shows what paid jobs cost beside a model that is not metered', () => {
    expect(spentWord(spent(2, true), trans)).toBe('$2.00');
  });
  it('names what is set aside', () => {
    expect(spentWord(spent(1, false, 0.5), trans)).toBe('$1.00 and $0.50 set aside');
  });
});

describe('how it stands', () => {
  const working = { running: true, held: '', pending: [], outcome: null };
  const word = (session: unknown, connection = 'leads') =>
    standing({ connection, view: { session } } as unknown as IState, trans).word;

  it('says what the page can do where no kernel answers', () => {
    expect(word(null, 'silent')).toBe('Not loaded');
  });
  it('says held before it says waiting', () => {
    expect(word(working)).toBe('Working');
    expect(word({ ...working, pending: [1] })).toBe('Waits for you');
    expect(word({ ...working, pending: [1], held: 'by you' })).toBe('Held');
  });
  it('tells an unfinished session from one that ended', () => {
    expect(word({ ...working, running: false })).toBe('Unfinished');
    expect(word({ ...working, running: false, outcome: { outcome: 'limit' } })).toBe('Limit reached');
  });
});

describe('modes', () => {
  it('above the cap are not allowed', () => {
    expect(modes('auto').map(each => each.allowed)).toEqual([true, true, false]);
  });
});

describe('the open session', () => {
  const view = (session: unknown, records: unknown[]) =>
    ({ session, records }) as unknown as IKernelView;

  it('may be resumed if its record says unfinished and no turn runs', () => {
    const open = { session: 's', running: false, outcome: { outcome: 'paused' } };
    expect(resumable(view(open, [{ session: 's', finished: false }]))).toBe(true);
    expect(resumable(view(open, [{ session: 's', finished: true }]))).toBe(false);
    expect(resumable(view({ ...open, running: true }, [{ session: 's', finished: false }]))).toBe(false);
    expect(resumable(view(null, []))).toBe(false);
  });
});
