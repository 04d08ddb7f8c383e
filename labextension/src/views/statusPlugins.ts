/** How the intern stands: in the status bar, and in the notebook's toolbar (Notebook 7 has no bar). */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { IInterns } from '../tokens';
import { StatusButton } from './status';
import { ISidebar } from './tokens';

export const statusBarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:status-bar',
  description: 'Says in the status bar how the intern of the notebook in front stands.',
  autoStart: true,
  requires: [IInterns],
  optional: [IStatusBar, ISidebar, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    interns: IInterns,
    statusBar: IStatusBar | null,
    sidebar: ISidebar | null,
    translator: ITranslator | null
  ) => {
    if (statusBar === null) {
      // Notebook 7 has none; its toolbar says how the intern stands.
      return;
    }
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    const item = new StatusButton(trans, () => sidebar?.focus(false));
    const activeStateChanged = new Signal<StatusButton, void>(item);
    interns.currentChanged.connect((_, intern) => {
      item.intern = intern;
      activeStateChanged.emit();
    });
    item.intern = interns.current;
    statusBar.registerStatusItem('mlintern-jupyter:status-bar', {
      item,
      align: 'left',
      rank: 20,
      isActive: () => interns.current !== null,
      activeStateChanged
    });
  }
};

export const toolbarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:toolbar',
  description: 'Says in the toolbar of each notebook how its intern stands.',
  autoStart: true,
  requires: [IInterns, IToolbarWidgetRegistry],
  optional: [ISidebar, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    interns: IInterns,
    toolbar: IToolbarWidgetRegistry,
    sidebar: ISidebar | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    toolbar.addFactory<NotebookPanel>('Notebook', 'mlintern-status', panel => {
      const item = new StatusButton(trans, () => sidebar?.focus(false));
      item.intern = interns.of(panel);
      // The toolbar may be made before the notebook has its intern.
      const onAdded = () => {
        item.intern ??= interns.of(panel);
      };
      interns.added.connect(onAdded);
      item.disposed.connect(() => interns.added.disconnect(onAdded));
      return item;
    });
  }
};
