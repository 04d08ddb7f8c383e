/** Commands about cells, sidebar and notebook. */
import { addIcon, closeIcon, fastForwardIcon, runIcon } from '@jupyterlab/ui-components';
import { CommandIds } from '../commandIds';
import { internIcon } from '../icons';
import { focusNotebook, goTo, type ICommandContext, leads, nextWaiting, session, waiting } from './context';

const CELL = { cell_id: { type: 'string', description: 'Id of the cell; default: the selected one' } };

export function addCellCommands(context: ICommandContext): void {
  const { app, interns, trans, bars, sidebar } = context;
  const changed = () => app.commands.notifyCommandChanged();
  interns.currentChanged.connect(changed);

  app.commands.addCommand(CommandIds.openSidebar, {
    label: trans.__('Open the Intern’s Sidebar'),
    caption: trans.__('Show how the intern of this notebook stands'),
    icon: internIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => sidebar !== null,
    execute: () => sidebar?.focus(false)
  });
  app.commands.addCommand(CommandIds.focusNotebook, {
    label: trans.__('Back to the Notebook'),
    caption: trans.__('Put the cursor on the selected cell of the notebook'),
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => interns.current !== null,
    execute: () => {
      if (interns.current) {
        focusNotebook(context, interns.current);
      }
    }
  });
  app.commands.addCommand(CommandIds.begin, {
    label: trans.__('Insert the First Cells of the Intern'),
    caption: trans.__('Insert cells that load and start the intern, without running them'),
    icon: addIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => interns.current !== null && session(context) === null,
    execute: () => interns.current?.begin()
  });
  app.commands.addCommand(CommandIds.nextPending, {
    label: trans.__('Go to the Next Waiting Cell'),
    caption: trans.__('Select the next cell that the intern proposes'),
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => nextWaiting(context) !== null,
    execute: async () => {
      const id = nextWaiting(context);
      if (id !== null && interns.current) {
        await goTo(context, interns.current, id);
      }
    }
  });
  app.commands.addCommand(CommandIds.runCell, {
    label: trans.__('Run the Waiting Cell'),
    caption: trans.__('Run the selected cell that the intern proposes'),
    icon: runIcon,
    describedBy: { args: { type: 'object', properties: CELL } },
    isEnabled: args => leads(context) && waiting(context, args) !== null,
    execute: async args => {
      const cell = waiting(context, args);
      if (cell) {
        await interns.current?.runCell(cell.cell_id);
      }
    }
  });
  app.commands.addCommand(CommandIds.skipCell, {
    label: trans.__('Skip the Waiting Cell…'),
    caption: trans.__('Refuse the selected cell that the intern proposes; asks for a reason'),
    icon: closeIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          ...CELL,
          reason: { type: 'string', description: 'Why, in words; asked for if it is not given' }
        }
      }
    },
    isEnabled: args => leads(context) && waiting(context, args) !== null,
    execute: async args => {
      const cell = waiting(context, args);
      if (!cell || !interns.current) {
        return;
      }
      if (typeof args.reason === 'string' || bars === null) {
        await interns.current.skipCell(cell.cell_id, String(args.reason ?? ''));
      } else {
        await interns.current.revealCell(cell.cell_id);
        bars.askReason(interns.current, cell.cell_id);
      }
    }
  });
  app.commands.addCommand(CommandIds.runKind, {
    label: trans.__('Run All Waiting Cells of This Kind'),
    caption: trans.__('And those to come in this turn; what the guard has something against still waits'),
    icon: fastForwardIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { ...CELL, kind: { type: 'string', description: 'Kind of the cells, e.g. script' } }
      }
    },
    isEnabled: args =>
      leads(context) && (typeof args.kind === 'string' || waiting(context, args) !== null),
    execute: async args => {
      const kind = typeof args.kind === 'string' ? args.kind : waiting(context, args)?.kind;
      if (kind) {
        await interns.current?.runKind(kind);
      }
    }
  });
}
