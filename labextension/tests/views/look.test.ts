import { describe, expect, it } from 'vitest';
import type { IState } from '../../src/tokens';
import { type ICell, appearanceOf, scopeOf } from '../../src/views/bar/appearance';

const WAITS = { cell_id: 'b', kind: 'script', first_line: 'x', why: '', asks: '', cost: '' };

function state(connection: IState['connection'], running = true): IState {
  const session = {
    session: 's',
    running,
    pending: [WAITS],
    cell_ids: ['magic', 'a', 'b'],
    magic_cell_id: 'magic'
  };
  return { connection, view: { session } } as unknown as IState;
}

function cell(id: string, more: Partial<ICell> = {}): ICell {
  return { id, code: true, mark: { session: 's', state: 'done' }, running: false, ...more };
}

const scope = scopeOf(state('leads'));

describe('a cell', () => {
  it('that waits has an edge and a bar', () => {
    expect(appearanceOf(cell('b'), scope)).toEqual({ edge: 'waiting', pending: WAITS });
  });
  it('that waits has its bar in a page that follows, too', () => {
    expect(appearanceOf(cell('b'), scopeOf(state('follows'))).pending).toBe(WAITS);
  });
  it('loses its bar as soon as it runs, before the kernel says so', () => {
    expect(appearanceOf(cell('b', { running: true }), scope)).toEqual({ edge: 'running', pending: null });
  });
  it('has no bar once the turn has ended or the kernel is lost', () => {
    expect(appearanceOf(cell('b'), scopeOf(state('leads', false))).pending).toBeNull();
    expect(appearanceOf(cell('b'), scopeOf(state('lost'))).pending).toBeNull();
  });
  it('that is settled keeps a quiet edge', () => {
    const edges = ['done', 'failed', 'interrupted', 'skipped', 'unknown', 'queued'].map(
      settled => appearanceOf(cell('a', { mark: { session: 's', state: settled } }), scope).edge
    );
    expect(edges).toEqual(['done', 'failed', 'failed', 'skipped', 'failed', 'queued']);
  });
  it('with the mark of the session under another id is a copy: the person’s own', () => {
    expect(appearanceOf(cell('copy'), scope)).toEqual({ edge: null, pending: null });
  });
  it('of a session that is not open is said to be one', () => {
    expect(appearanceOf(cell('a', { mark: { session: 'other', state: 'done' } }), scope).edge).toBe('foreign');
  });
  it('of the person has nothing, nor has the magic cell', () => {
    expect(appearanceOf(cell('mine', { mark: null }), scope).edge).toBeNull();
    expect(appearanceOf(cell('magic'), scope).edge).toBeNull();
  });
});
