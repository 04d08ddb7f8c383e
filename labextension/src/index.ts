/** The plugins of the page's side. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'mlintern-jupyter:plugin',
  autoStart: true,
  activate: (_app: JupyterFrontEnd) => undefined
};

export default plugin;
