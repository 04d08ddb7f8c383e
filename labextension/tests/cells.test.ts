import { YNotebook } from '@jupyter/ydoc';
import { describe, expect, it } from 'vitest';
import { Cells } from '../src/cells';
import type { CellType } from '../src/wire';
import { mark } from './doubles';

function notebook(ids: string[], options = {}) {
  const cells = ids.map(id => ({
    id,
    cell_type: 'code' as const,
    source: `# ${id}`,
    metadata: {},
    outputs: [],
    execution_count: null
  }));
  const shared = YNotebook.create({
    disableDocumentWideUndoRedo: true,
    data: { cells, metadata: {}, nbformat: 4, nbformat_minor: 5 },
    ...options
  });
  shared.undoManager.clear();
  return shared;
}

function insertion(
  id: string,
  anchors: string[] = [],
  source = 'x = 1',
  cell_type: CellType = 'code',
  call = id
) {
  return {
    kind: 'insert' as const,
    session: 's-1',
    cell: { id, cell_type, source, mark: mark({ call }), why: '' },
    anchors
  };
}

const ids = (shared: YNotebook) => shared.cells.map(cell => cell.id);
const type = (shared: YNotebook, index: number, text: string) => {
  const cell = shared.cells[index];
  cell.updateSource(cell.source.length, cell.source.length, text);
};

describe('insertion', () => {
  it('goes after the last anchor that is still there', () => {
    const shared = notebook(['magic', 'one', 'own']);
    new Cells(shared).insert(insertion('two', ['magic', 'one', 'gone']));
    expect(ids(shared)).toEqual(['magic', 'one', 'two', 'own']);
  });

  it('goes to the end when no anchor is left', () => {
    const shared = notebook(['a', 'b']);
    new Cells(shared).insert(insertion('new', ['gone']));
    expect(ids(shared)).toEqual(['a', 'b', 'new']);
  });

  it('happens once for an id, however often it is asked for', () => {
    const shared = notebook(['magic']);
    const cells = new Cells(shared);
    expect(cells.insert(insertion('same', ['magic']))).toBe(true);
    expect(cells.insert(insertion('same', ['magic']))).toBe(false);
    expect(new Cells(shared).insert(insertion('same', ['magic']))).toBe(false);
    expect(ids(shared)).toEqual(['magic', 'same']);
  });

  it('leaves a lone empty cell alone', () => {
    const shared = notebook(['lone']);
    shared.cells[0].setSource('');
    new Cells(shared).insert(insertion('new'));
    expect(ids(shared)).toEqual(['lone', 'new']);
  });

  it('makes ids last in a notebook of an older format', () => {
    const shared = notebook(['a']);
    shared.nbformat_minor = 4;
    new Cells(shared).insert(insertion('kept'));
    expect(shared.toJSON().cells[1].id).toBe('kept');
  });

  it('carries the mark and says nothing of trust', () => {
    const shared = notebook(['a']);
    new Cells(shared).insert(insertion('new'));
    expect(shared.cells[1].metadata).toEqual({ mlintern: mark({ call: 'new' }) });
  });
});

describe.each([
  ['history of each cell', true],
  ['history of the whole document', false]
])('undo with the %s', (_, disableDocumentWideUndoRedo) => {
  const options = { disableDocumentWideUndoRedo };

  it('takes back one insertion at a time', () => {
    const shared = notebook(['magic'], options);
    const cells = new Cells(shared);
    cells.insert(insertion('one', ['magic']));
    cells.insert(insertion('two', ['magic', 'one']));
    shared.undo();
    expect(ids(shared)).toEqual(['magic', 'one']);
    shared.undo();
    expect(ids(shared)).toEqual(['magic']);
    shared.redo();
    shared.redo();
    expect(ids(shared)).toEqual(['magic', 'one', 'two']);
  });

  it('never takes an insertion with the cell a person added just before or after', () => {
    const shared = notebook(['magic'], options);
    const cells = new Cells(shared);
    shared.insertCell(1, { id: 'before', cell_type: 'code' });
    cells.insert(insertion('new', ['magic']));
    shared.insertCell(3, { id: 'after', cell_type: 'code' });
    shared.undo();
    expect(ids(shared)).toEqual(['magic', 'new', 'before']);
    shared.undo();
    expect(ids(shared)).toEqual(['magic', 'before']);
    shared.undo();
    expect(ids(shared)).toEqual(['magic']);
  });

  it('of typing takes back the typing alone, whatever was inserted and marked meanwhile', () => {
    const shared = notebook(['own'], options);
    const cells = new Cells(shared);
    type(shared, 0, 'abc');
    cells.update('own', null, mark({ state: 'done' }));
    type(shared, 0, 'def');
    const own = shared.cells[0];
    own.undo();
    expect(own.source).toBe('# own');
    expect(own.getMetadata('mlintern')).toEqual(mark({ state: 'done' }));
  });

  it('leaves a stamp in place, and a stamp leaves the history in place', () => {
    const shared = notebook(['magic'], options);
    const cells = new Cells(shared);
    const magic = shared.cells[0];
    magic.setSource('%%intern improve x');
    magic.undoManager?.clear();
    type(shared, 0, '\nBe quick.');
    cells.ran('magic', magic.source);
    cells.update('magic', '%%intern improve x --session x-1\nBe quick.', null);
    expect(magic.source).toBe('%%intern improve x --session x-1\nBe quick.');
    magic.undo();
    expect(magic.source).toBe('%%intern improve x --session x-1');
    magic.redo();
    expect(magic.source).toBe('%%intern improve x --session x-1\nBe quick.');
  });

  it('and redo of an insertion bring the cell back with its id and its newest mark', () => {
    const shared = notebook(['magic'], options);
    const cells = new Cells(shared);
    cells.insert(insertion('new', ['magic'], 'print(1)'));
    cells.update('new', null, mark({ state: 'done' }));
    shared.undo();
    expect(ids(shared)).toEqual(['magic']);
    shared.redo();
    expect(ids(shared)).toEqual(['magic', 'new']);
    expect(shared.cells[1].source).toBe('print(1)');
    expect(shared.cells[1].getMetadata('mlintern')).toEqual(mark({ state: 'done' }));
  });
});

describe('a change of text', () => {
  it('is made where the text is what we put there', () => {
    const shared = notebook([]);
    const cells = new Cells(shared);
    cells.insert(insertion('new', [], 'a = 1\nb = 2'));
    cells.update('new', 'a = 1\nb = 3', null);
    cells.update('new', 'a = 0\nb = 3', null);
    expect(shared.cells[0].source).toBe('a = 0\nb = 3');
  });

  it('is not made over what a person typed', () => {
    const shared = notebook([]);
    const cells = new Cells(shared);
    cells.insert(insertion('new', [], 'a = 1'));
    type(shared, 0, ' # mine');
    cells.update('new', 'a = 2', mark({ state: 'done' }));
    expect(shared.cells[0].source).toBe('a = 1 # mine');
    expect(shared.cells[0].getMetadata('mlintern')).toEqual(mark({ state: 'done' }));
  });

  it('is not made over an edit from before a reload, when everything is said again', () => {
    const shared = notebook(['new', 'magic']);
    shared.cells[0].setSource('a = 1 # mine');
    shared.cells[1].setSource('%%intern improve x, but slowly');
    const cells = new Cells(shared);
    cells.insert(insertion('new', [], 'a = 1'));
    cells.update('new', 'a = 2', null);
    cells.update('magic', '%%intern improve x --session x-1', null);
    expect(shared.cells.map(cell => cell.source)).toEqual([
      'a = 1 # mine',
      '%%intern improve x, but slowly'
    ]);
  });

  it('stamps a magic cell that nobody saw run here', () => {
    const shared = notebook(['magic']);
    shared.cells[0].setSource('%%intern improve x --again\nfast');
    new Cells(shared).update('magic', '%%intern improve x --session x-1\nfast', null);
    expect(shared.cells[0].source).toBe('%%intern improve x --session x-1\nfast');
  });

  it('never cuts a character in two', () => {
    const shared = notebook([]);
    const cells = new Cells(shared);
    cells.insert(insertion('new', [], 'x = "😀"'));
    cells.update('new', 'x = "😁"', null);
    expect(shared.cells[0].source).toBe('x = "😁"');
    cells.update('new', 'x = "🨁"', null);
    expect(shared.cells[0].source).toBe('x = "🨁"');
  });
});

describe('cut and paste', () => {
  function pasted(shared: YNotebook, cells: Cells, index: number, cell: object) {
    shared.changed.connect((_, change) => {
      const added = change.cellsChange?.flatMap(delta => (delta.insert as never[]) ?? []);
      cells.keepMovedIds(added ?? []);
    });
    shared.insertCell(index, { ...cell, id: undefined } as never);
  }

  it('of a Markdown cell keeps its id, though Lab gives it a new one', () => {
    const shared = notebook(['magic', 'own']);
    const cells = new Cells(shared);
    cells.insert(insertion('note', ['magic'], '# Note', 'markdown'));
    const cut = shared.cells[1].toJSON();
    shared.deleteCell(1);
    pasted(shared, cells, 2, cut);
    expect(ids(shared)).toEqual(['magic', 'own', 'note']);
    expect(shared.toJSON().cells[2].id).toBe('note');
  });

  it('of a copy makes a cell of the person, with another id', () => {
    const shared = notebook(['magic']);
    const cells = new Cells(shared);
    cells.insert(insertion('note', ['magic'], '# Note', 'markdown'));
    pasted(shared, cells, 2, shared.cells[1].toJSON());
    expect(ids(shared).slice(0, 2)).toEqual(['magic', 'note']);
    expect(shared.cells[2].id).not.toBe('note');
  });
});

describe('what the intern reads', () => {
  it('is every cell as it stands, with its mark', () => {
    const shared = notebook(['own']);
    const cells = new Cells(shared);
    cells.insert(insertion('note', [], '# Note', 'markdown'));
    expect(cells.views()).toEqual([
      { id: 'own', cell_type: 'code', source: '# own', mark: null },
      { id: 'note', cell_type: 'markdown', source: '# Note', mark: mark({ call: 'note' }) }
    ]);
  });
});
