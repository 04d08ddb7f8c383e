/** The plugins that draw. Each may be switched off alone. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { barPlugin, pillPlugin } from './bar/plugin';
import { cardPlugin } from './card/plugin';
import { commandsPlugin } from './commands/plugin';
import { sidebarPlugin } from './sidebar/plugin';
import { statusBarPlugin, toolbarPlugin } from './statusPlugins';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  barPlugin,
  pillPlugin,
  sidebarPlugin,
  commandsPlugin,
  statusBarPlugin,
  toolbarPlugin,
  cardPlugin
];

export default plugins;
