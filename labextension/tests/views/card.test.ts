import { describe, expect, it } from 'vitest';
import { bullet, pieces, readCard } from '../../src/views/card/inline';

describe('the lines of a run card', () => {
  it('are cut into plain, strong and code pieces', () => {
    expect(pieces('**Status** working in `gpqa-7f3a` now')).toEqual([
      { text: 'Status', style: 'strong' },
      { text: ' working in ', style: 'plain' },
      { text: 'gpqa-7f3a', style: 'code' },
      { text: ' now', style: 'plain' }
    ]);
  });
  it('keep HTML as the text that it is', () => {
    const html = '<img src=x onerror=alert(1)>';
    expect(pieces(html)).toEqual([{ text: html, style: 'plain' }]);
  });
  it('keep a mark that is never closed', () => {
    expect(pieces('2 ** 3')).toEqual([{ text: '2 ** 3', style: 'plain' }]);
  });
  it('lose their bullets', () => {
    expect(bullet('- one')).toEqual({ item: true, text: 'one' });
    expect(bullet('-1 is no list')).toEqual({ item: false, text: '-1 is no list' });
  });
});

describe('the data of a run card', () => {
  it('is read with only the lines that are text', () => {
    expect(readCard({ v: 1, session: 's', lines: ['a', 3], goal: 7 })).toEqual({
      session: 's',
      status: '',
      goal: '',
      lines: ['a'],
      record: ''
    });
  });
  it('is refused in another version or form', () => {
    expect([readCard({ v: 2, session: 's' }), readCard('x'), readCard(null), readCard({ v: 1 })]).toEqual(
      [null, null, null, null]
    );
  });
});
