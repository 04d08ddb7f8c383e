import type { Kernel } from '@jupyterlab/services';
import type { PartialJSONObject } from '@lumino/coreutils';
import { describe, expect, it } from 'vitest';
import { CardKeeper } from '../src/cardKeeper';
import { CARD_MIME, type ISessionView } from '../src/wire';

const session = {
  session: 's-1',
  card: '**intern**',
  magic_cell_id: 'magic',
  status: 'working',
  goal: 'do it',
  outcome: null
} as ISessionView;

function keeper(saved?: PartialJSONObject) {
  const put: { cellId: string; card: PartialJSONObject }[] = [];
  const cards = new CardKeeper({
    card: () => saved,
    putCard: (cellId, _, bundle) =>
      put.push({ cellId, card: bundle[CARD_MIME] as PartialJSONObject })
  });
  const update = (name: string) =>
    cards.hear(
      {
        direction: 'recv',
        msg: {
          header: { msg_type: 'update_display_data' },
          content: { data: { [CARD_MIME]: { session: name, status: 'completed' } } }
        }
      } as unknown as Kernel.IAnyMessageArgs,
      session
    );
  return { cards, put, update };
}

describe('the card of a page that came later', () => {
  it('is put where there is none, and only once', () => {
    const { cards, put } = keeper();
    cards.found(session);
    cards.found(session);
    expect(put).toMatchObject([{ cellId: 'magic', card: { session: 's-1', status: 'working' } }]);
  });

  it('is left alone where it says how it stands', () => {
    const { cards, put } = keeper({ session: 's-1', status: 'working' });
    cards.found(session);
    expect(put).toEqual([]);
  });

  it('tells the end that was missed', () => {
    const { cards, put } = keeper({ session: 's-1', status: 'working' });
    cards.found({ ...session, status: 'completed', card: '**intern**\n\nIt improved.' });
    expect(put[0]?.card.lines).toContain('It improved.');
  });

  it('follows what the kernel says of its session', () => {
    const { put, update } = keeper();
    update('another');
    expect(put).toEqual([]);
    update('s-1');
    expect(put).toMatchObject([{ cellId: 'magic', card: { status: 'completed' } }]);
  });
});
