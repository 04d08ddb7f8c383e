/** The plugins of the page's side. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { Interns } from './interns';
import { tabName } from './tab';
import { IInterns } from './tokens';
import views from './views';
import { CONTROL_REQUEST } from './wire';

const interns: JupyterFrontEndPlugin<IInterns> = {
  id: 'mlintern-jupyter:interns',
  description: 'Joins every open notebook to the intern in its kernel.',
  autoStart: true,
  requires: [INotebookTracker],
  provides: IInterns,
  activate: async (app: JupyterFrontEnd, tracker: INotebookTracker) => {
    hideRequestsFromStatus();
    return new Interns(tracker, await tabName(), app.serviceManager.contents);
  }
};

/**
 * A kernel says busy and idle around each request on the control channel. Lab would take that for
 * the kernel's status: idle, while a cell trains.
 */
function hideRequestsFromStatus(): void {
  const option = 'untracked_message_types';
  const types = JSON.parse(PageConfig.getOption(option) || '[]') as string[];
  PageConfig.setOption(option, JSON.stringify([...types, CONTROL_REQUEST]));
}

export default [interns, ...views];
