import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import type { IState } from '../../src/tokens';
import {
  agentWord,
  askPrice,
  effectWords,
  hostWords,
  modes,
  questions,
  resumable,
  roleModel,
  ROLES,
  spentWord,
  statusText,
  visibilityWord
} from '../../src/views/words';
import type { IAgentView, IAskView, IKernelView, ISessionView } from '../../src/wire';

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
  const working = { running: true, held: '', pending: [], asks: [], outcome: null };
  const word = (session: unknown, connection = 'leads') =>
    statusText({ connection, view: { session } } as unknown as IState, trans).word;

  it('says what the page can do where no kernel answers', () => {
    expect(word(null, 'silent')).toBe('Not loaded');
  });
  it('says held before it says waiting', () => {
    expect(word(working)).toBe('Working');
    expect(word({ ...working, pending: [1] })).toBe('Waits for you');
    expect(word({ ...working, pending: [1], held: 'by you' })).toBe('Held');
  });
  it('waits for the person at a question, too', () => {
    expect(word({ ...working, asks: [{ call: 'c' }] })).toBe('Waits for you');
  });
  it('tells an unfinished session from one that ended', () => {
    expect(word({ ...working, running: false })).toBe('Unfinished');
    expect(word({ ...working, running: false, outcome: { outcome: 'limit' } })).toBe('Limit reached');
  });
});

describe('a question', () => {
  const open = (running: boolean, connection = 'leads') =>
    questions({ connection, view: { session: { running, asks: [{ call: 'c' }] } } } as unknown as IState);

  it('is open in a page that follows, too: the first answer counts', () => {
    expect([open(true), open(true, 'follows')].map(asks => asks.length)).toEqual([1, 1]);
  });
  it('is gone with the turn, and while the kernel is lost', () => {
    expect([open(false), open(true, 'lost'), questions(undefined)]).toEqual([[], [], []]);
  });

  const price = (price_usd: number | null) => askPrice({ price_usd } as IAskView, trans);

  it('has a price, or a word where nobody knows it', () => {
    expect([price(null), price(0), price(0.004), price(2.5)]).toEqual([
      'price unknown',
      'costs nothing',
      '<$0.01',
      '$2.50'
    ]);
  });
  it('says what would be done, also what this page has no word for', () => {
    expect(effectWords(['publish', 'network-write'], trans)).toBe('publish, send to the network');
    expect(effectWords(['teleport'], trans)).toBe('teleport');
  });
  it('says where it would connect to, and with which keys', () => {
    const where = (hosts: string[], keys: string[]) => hostWords({ hosts, keys } as unknown as IAskView, trans);
    expect(where(['a.org', 'b.org'], [])).toBe('a.org, b.org');
    expect(where(['a.org'], ['A_KEY', 'B_KEY'])).toBe('a.org, given A_KEY, B_KEY');
  });
  it('never calls the undeclared harmless', () => {
    expect(effectWords([], trans)).toBe('nobody has said what');
    expect(visibilityWord('', trans)).toBe('nobody knows who');
    expect(visibilityWord('public', trans)).toBe('everybody');
  });
});

describe('a role', () => {
  it('without a model of its own is said to be as main, and no fallback is none', () => {
    const session = { models: { main: 'a/b', research: 'c/d' } } as unknown as ISessionView;
    expect(ROLES.map(role => roleModel(session, role, trans))).toEqual(['a/b', 'c/d', 'as main', 'none']);
  });
});

describe('a sub-agent', () => {
  it('that ended in an unknown way is not called done', () => {
    const word = (state: string) => agentWord({ state } as IAgentView, trans).word;
    expect(['working', 'completed', 'paused', 'unfinished', 'new'].map(word)).toEqual([
      'working',
      'done',
      'paused',
      'unfinished',
      'unfinished'
    ]);
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
