/** Commands and palette. Menu, keys and settings are in schema/plugin.json. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { type IIntern, IInterns } from '../../tokens';
import { CommandIds } from '../commandIds';
import { ICellBars, ISidebar } from '../tokens';
import { addCellCommands } from './cells';
import type { ICommandContext } from './context';
import { addQuestionCommands } from './questions';
import { addTurnCommands } from './turn';

export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:plugin',
  description: 'Commands of the intern.',
  autoStart: true,
  requires: [IInterns],
  optional: [ICellBars, ISidebar, ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    interns: IInterns,
    bars: ICellBars | null,
    sidebar: ISidebar | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    const context: ICommandContext = { app, interns, trans, bars, sidebar };
    addCellCommands(context);
    addTurnCommands(context);
    addQuestionCommands(context);
    const category = trans.__('Intern');
    for (const command of Object.values(CommandIds)) {
      if (command !== CommandIds.setMode) {
        palette?.addItem({ command, category });
      }
    }
    for (const mode of ['review', 'auto', 'unattended']) {
      palette?.addItem({ command: CommandIds.setMode, category, args: { mode } });
    }

    // Menus ask again whether a command is enabled when what is drawn has changed.
    let statusText = '';
    const watch = (intern: IIntern) => {
      intern.changed.connect((_, state) => {
        const { running, held, mode, pending, asks } = state.view?.session ?? {};
        const now = JSON.stringify([
          state.connection,
          running,
          held,
          mode,
          pending?.map(cell => cell.cell_id),
          asks?.map(ask => ask.call)
        ]);
        if (now !== statusText) {
          statusText = now;
          app.commands.notifyCommandChanged();
        }
      });
    };
    interns.forEach(watch);
    interns.added.connect((_, intern) => watch(intern));
  }
};
