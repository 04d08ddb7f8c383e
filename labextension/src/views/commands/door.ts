/** What commands act on: the intern of the notebook in front, and the cell that is selected. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { IIntern, IInterns } from '../../tokens';
import type { IPendingCellView, ISessionView } from '../../wire';
import type { ICellBars, ISidebar } from '../tokens';

export interface IDoor {
  app: JupyterFrontEnd;
  interns: IInterns;
  trans: TranslationBundle;
  bars: ICellBars | null;
  sidebar: ISidebar | null;
}

/** Arguments of a command. */
export type Args = ReadonlyPartialJSONObject;

export function session({ interns }: IDoor): ISessionView | null {
  return interns.current?.state.view?.session ?? null;
}

export function works(door: IDoor): boolean {
  return session(door)?.running ?? false;
}

/** Whether this page may run cells of a session that is at work. */
export function leads(door: IDoor): boolean {
  return works(door) && door.interns.current?.state.connection === 'leads';
}

/** The waiting cell that is named, else the one that is selected. */
export function waiting(door: IDoor, args: Args): IPendingCellView | null {
  const id = args.cell_id ?? door.interns.current?.panel.content.activeCell?.model.id;
  return session(door)?.pending.find(cell => cell.cell_id === id) ?? null;
}

/** The next waiting cell below the selected one, from the top again after the last. */
export function nextWaiting(door: IDoor): string | null {
  const intern = door.interns.current;
  if (!intern) {
    return null;
  }
  const { widgets, activeCellIndex } = intern.panel.content;
  const ids = new Set(session(door)?.pending.map(cell => cell.cell_id));
  const found = widgets.map((cell, i) => ({ id: cell.model.id, i })).filter(({ id }) => ids.has(id));
  return (found.find(({ i }) => i > activeCellIndex) ?? found[0])?.id ?? null;
}

/** Bring the notebook to the front with the cursor on the cell, in command mode. */
export async function goTo(door: IDoor, intern: IIntern, cellId: string): Promise<void> {
  door.app.shell.activateById(intern.panel.id);
  await intern.revealCell(cellId);
  // After it: keys go to the cell that has the focus, which is not yet the one that was selected.
  focusNotebook(door, intern);
}

export function focusNotebook(door: IDoor, intern: IIntern): void {
  door.app.shell.activateById(intern.panel.id);
  const notebook = intern.panel.content;
  notebook.mode = 'command';
  (notebook.activeCell?.node ?? notebook.node).focus({ preventScroll: true });
}
