/** The renderer of run cards. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IInterns } from '../../tokens';
import { CARD_MIME } from '../../wire';
import { ISidebar } from '../tokens';
import { Card } from './card';

export const cardPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:card',
  description: 'Draws the run card in the output of the cell that started the intern.',
  autoStart: true,
  requires: [IInterns, IRenderMimeRegistry],
  optional: [ISidebar, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    interns: IInterns,
    rendermime: IRenderMimeRegistry,
    sidebar: ISidebar | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [CARD_MIME],
        defaultRank: 20,
        createRenderer: () => new Card(interns, trans, () => sidebar?.focus(false))
      },
      20
    );
  }
};
