/** Commands about the turn, the jobs and the session. */
import {
  editIcon,
  pauseIcon,
  refreshIcon,
  runIcon,
  stopIcon,
  undoIcon
} from '@jupyterlab/ui-components';
import { InputDialog } from '@jupyterlab/apputils';
import type { Mode } from '../../wire';
import { CommandIds } from '../commandIds';
import { stopInternIcon } from '../icons';
import { modes, modeWord, resumable, ROLES } from '../words';
import { type Args, type ICommandContext, session, works } from './context';

const NONE = { args: { type: 'object', properties: {} } } as const;
const NAMED = {
  args: {
    type: 'object',
    properties: { name: { type: 'string', description: 'Name of the job' } },
    required: ['name']
  }
} as const;

export function addTurnCommands(context: ICommandContext): void {
  const { app, interns, trans, sidebar } = context;

  app.commands.addCommand(CommandIds.steer, {
    label: trans.__('Steer the Intern…'),
    caption: trans.__('Tell the intern something; it reads it before its next step'),
    icon: editIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          text: { type: 'string', description: 'The words; without them the box is opened' }
        }
      }
    },
    isEnabled: () => works(context),
    execute: async args => {
      if (typeof args.text === 'string') {
        await interns.current?.steer(args.text);
      } else {
        sidebar?.focus(true);
      }
    }
  });
  app.commands.addCommand(CommandIds.pause, {
    label: trans.__('Pause the Intern'),
    caption: trans.__('Hold it before its next model call; cells and jobs that run go on'),
    icon: pauseIcon,
    describedBy: NONE,
    isEnabled: () => works(context) && !session(context)?.held,
    execute: () => interns.current?.pause()
  });
  app.commands.addCommand(CommandIds.continue, {
    label: trans.__('Let the Intern Continue'),
    caption: trans.__('Let the intern go on from where it was held'),
    icon: runIcon,
    describedBy: NONE,
    isEnabled: () => works(context) && Boolean(session(context)?.held),
    execute: () => interns.current?.resumeHeld()
  });
  app.commands.addCommand(CommandIds.stop, {
    label: trans.__('Stop the Intern'),
    caption: trans.__('End the turn; the cell that runs and all jobs go on'),
    icon: stopInternIcon,
    describedBy: NONE,
    isEnabled: () => works(context),
    execute: () => interns.current?.stop(false)
  });
  app.commands.addCommand(CommandIds.stopAndCancelJobs, {
    label: trans.__('Stop the Intern and Cancel Jobs'),
    caption: trans.__('End the turn and every running job of this folder; the cell that runs goes on'),
    icon: stopInternIcon,
    describedBy: NONE,
    isEnabled: () => works(context),
    execute: () => interns.current?.stop(true)
  });
  app.commands.addCommand(CommandIds.interruptCell, {
    label: trans.__('Interrupt the Cell, Not the Intern'),
    caption: trans.__('Interrupt the cell that runs in the kernel; the intern and all jobs go on'),
    icon: stopIcon,
    describedBy: NONE,
    isEnabled: () => session(context) !== null,
    execute: () => interns.current?.interruptCell()
  });
  app.commands.addCommand(CommandIds.setMode, {
    label: args => {
      const mode = modeOf(args);
      return mode === null
        ? trans.__('Set the Mode of the Intern')
        : trans.__('Set the Mode of the Intern: %1', modeWord(mode, trans));
    },
    caption: trans.__('Who is asked before a cell runs'),
    describedBy: {
      args: {
        type: 'object',
        properties: { mode: { type: 'string', enum: ['review', 'auto', 'unattended'] } },
        required: ['mode']
      }
    },
    isEnabled: args => allowed(context, modeOf(args)),
    isToggled: args => modeOf(args) !== null && session(context)?.mode === modeOf(args),
    execute: async args => {
      const mode = modeOf(args);
      if (mode !== null) {
        await interns.current?.setMode(mode);
      }
    }
  });
  app.commands.addCommand(CommandIds.setModel, {
    label: trans.__('Switch the Model of the Intern…'),
    caption: trans.__('Give a role to another model, from the next model call on'),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          model: { type: 'string', description: 'As after --model; asked for if it is not given' },
          role: { type: 'string', enum: [...ROLES] }
        }
      }
    },
    isEnabled: () => session(context) !== null,
    execute: async args => {
      const role = ROLES.find(each => each === args.role) ?? 'main';
      const model =
        typeof args.model === 'string'
          ? args.model
          : (
              await InputDialog.getText({
                title: trans.__('Switch the Model of the Intern'),
                label: trans.__('Name of the model'),
                text: session(context)?.models[role] ?? ''
              })
            ).value;
      if (model?.trim()) {
        await interns.current?.setModel(model.trim(), role);
      }
    }
  });
  app.commands.addCommand(CommandIds.compact, {
    label: trans.__('Make Room in the Intern’s Window'),
    caption: trans.__('Show old steps shorter from the next model call on; the record keeps all'),
    describedBy: NONE,
    isEnabled: () => works(context),
    execute: () => interns.current?.compact()
  });
  app.commands.addCommand(CommandIds.startJob, {
    label: trans.__('Start a Held Job'),
    caption: trans.__('Say yes to its price; the sidebar shows the quote'),
    icon: runIcon,
    describedBy: NAMED,
    isEnabled: () => jobs(context).includes('held'),
    execute: async args => {
      if (typeof args.name === 'string') {
        await interns.current?.startJob(args.name);
      } else {
        sidebar?.focus(false);
      }
    }
  });
  app.commands.addCommand(CommandIds.cancelJob, {
    label: trans.__('Cancel a Job'),
    caption: trans.__('End a job and all of its processes; the intern goes on'),
    describedBy: NAMED,
    isEnabled: () => jobs(context).some(state => state === 'running' || state === 'held'),
    execute: async args => {
      if (typeof args.name === 'string') {
        await interns.current?.cancelJob(args.name);
      } else {
        sidebar?.focus(false);
      }
    }
  });
  app.commands.addCommand(CommandIds.resumeSession, {
    label: trans.__('Resume the Unfinished Session'),
    caption: trans.__('Go on; what is done is not repeated; it may spend'),
    icon: refreshIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          session: { type: 'string', description: 'Name of the session; default: the newest unfinished' }
        }
      }
    },
    isEnabled: args => toResume(context, args) !== null,
    execute: async args => {
      const name = toResume(context, args);
      if (name !== null) {
        await interns.current?.resumeSession(name);
      }
    }
  });
  app.commands.addCommand(CommandIds.followHere, {
    label: trans.__('Follow the Intern Here'),
    caption: trans.__('Let this page, not the other one, insert and run the cells'),
    describedBy: NONE,
    isEnabled: () => interns.current?.state.connection === 'follows',
    execute: () => interns.current?.followHere()
  });
  app.commands.addCommand(CommandIds.putBack, {
    label: trans.__('Put the Cell of the Session Back'),
    caption: trans.__('The cell of this session was deleted; put it back and let the intern go on'),
    icon: undoIcon,
    describedBy: NONE,
    isEnabled: () => interns.current?.state.magicCellMissing ?? false,
    execute: () => interns.current?.putMagicCellBack()
  });
}

function modeOf(args: Args): Mode | null {
  const { mode } = args;
  return mode === 'review' || mode === 'auto' || mode === 'unattended' ? mode : null;
}

function allowed(context: ICommandContext, mode: Mode | null): boolean {
  const view = context.interns.current?.state.view ?? null;
  return (
    view !== null &&
    view.session !== null &&
    modes(view.mode_cap).some(each => each.mode === mode && each.allowed)
  );
}

function jobs(context: ICommandContext): string[] {
  return context.interns.current?.state.view?.jobs.map(job => job.state) ?? [];
}

/** The session that is named, else the open one if it is unfinished, else the newest such record. */
function toResume(context: ICommandContext, args: Args): string | null {
  const state = context.interns.current?.state;
  if (typeof args.session === 'string') {
    return state ? args.session : null;
  }
  const view = state?.view ?? null;
  if (view === null || view.session?.running) {
    return null;
  }
  return view.session && resumable(view)
    ? view.session.session
    : (view.records.find(record => !record.finished)?.session ?? null);
}
