/** Bars, edges and the pill, for each notebook that is opened. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { type IIntern, IInterns } from '../../tokens';
import { Pill } from '../pill';
import { ICellBars } from '../tokens';
import { CellBars } from './bars';

export const barPlugin: JupyterFrontEndPlugin<ICellBars> = {
  id: 'mlintern-jupyter:cell-bar',
  description: 'Marks the cells of the intern, with a bar at those that wait.',
  autoStart: true,
  provides: ICellBars,
  requires: [IInterns],
  optional: [ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    interns: IInterns,
    translator: ITranslator | null
  ): ICellBars => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    const bars = new WeakMap<IIntern, CellBars>();
    forEach(interns, intern => {
      const made = new CellBars(intern, trans);
      bars.set(intern, made);
      return made;
    });
    return { askReason: (intern, cellId) => bars.get(intern)?.askReason(cellId) };
  }
};

export const pillPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:pill',
  description: 'Says that cells were inserted out of sight.',
  autoStart: true,
  requires: [IInterns],
  optional: [ITranslator],
  activate: (_app: JupyterFrontEnd, interns: IInterns, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    forEach(interns, intern => new Pill(intern, trans));
  }
};

/** One for each open notebook, and gone with it. */
function forEach(interns: IInterns, make: (intern: IIntern) => IDisposable): void {
  const decoration = (intern: IIntern) => {
    const made = make(intern);
    intern.panel.disposed.connect(() => made.dispose());
  };
  interns.forEach(decoration);
  interns.added.connect((_, intern) => decoration(intern));
}
