/** What commands act on: the intern of the notebook in front, and the cell that is selected. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { IIntern, IInterns } from '../../tokens';
import type { IPendingCellView, ISessionView } from '../../wire';
import type { ICellBars, ISidebar } from '../tokens';

export interface ICommandContext {
  app: JupyterFrontEnd;
  interns: IInterns;
  trans: TranslationBundle;
  bars: ICellBars | null;
  sidebar: ISidebar | null;
}

/** Arguments of a command. */
export type Args = ReadonlyPartialJSONObject;

export function session({ interns }: ICommandContext): ISessionView | null {
  return interns.current?.state.view?.session ?? null;
}

export function works(context: ICommandContext): boolean {
  return session(context)?.running ?? false;
}

/** Whether this page may run cells of a session that is at work. */
export function leads(context: ICommandContext): boolean {
  return works(context) && context.interns.current?.state.connection === 'leads';
}

/** The waiting cell that is named, else the one that is selected. */
export function waiting(context: ICommandContext, args: Args): IPendingCellView | null {
  const id = args.cell_id ?? context.interns.current?.panel.content.activeCell?.model.id;
  return session(context)?.pending.find(cell => cell.cell_id === id) ?? null;
}

/** The next waiting cell below the selected one, from the top again after the last. */
export function nextWaiting(context: ICommandContext): string | null {
  const intern = context.interns.current;
  if (!intern) {
    return null;
  }
  const { widgets, activeCellIndex } = intern.panel.content;
  const ids = new Set(session(context)?.pending.map(cell => cell.cell_id));
  const found = widgets.map((cell, i) => ({ id: cell.model.id, i })).filter(({ id }) => ids.has(id));
  return (found.find(({ i }) => i > activeCellIndex) ?? found[0])?.id ?? null;
}

/** Bring the notebook to the front with the cursor on the cell, in command mode. */
export async function goTo(context: ICommandContext, intern: IIntern, cellId: string): Promise<void> {
  context.app.shell.activateById(intern.panel.id);
  await intern.revealCell(cellId);
  // After it: keys go to the cell that has the focus, which is not yet the one that was selected.
  focusNotebook(context, intern);
}

export function focusNotebook(context: ICommandContext, intern: IIntern): void {
  context.app.shell.activateById(intern.panel.id);
  const notebook = intern.panel.content;
  notebook.mode = 'command';
  (notebook.activeCell?.node ?? notebook.node).focus({ preventScroll: true });
}
