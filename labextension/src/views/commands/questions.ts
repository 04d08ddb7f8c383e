/** Commands about the calls that wait for a yes or a no. */
import { checkIcon, closeIcon } from '@jupyterlab/ui-components';
import { CommandIds } from '../commandIds';
import { questions } from '../words';
import type { ICommandContext } from './context';

const CALL = { call: { type: 'string', description: 'Id of the call that asks' } } as const;

export function addQuestionCommands(context: ICommandContext): void {
  const { app, interns, trans, sidebar } = context;
  const asks = () => questions(interns.current?.state);

  app.commands.addCommand(CommandIds.showQuestion, {
    label: trans.__('Go to the Intern’s Question'),
    caption: trans.__('Put the cursor on the first call that waits for your yes or no'),
    describedBy: { args: { type: 'object', properties: {} } },
    isEnabled: () => asks().length > 0 && sidebar !== null,
    execute: () => sidebar?.focusQuestion()
  });
  app.commands.addCommand(CommandIds.approve, {
    label: trans.__('Allow, Once, What the Intern Asks'),
    caption: trans.__('Your yes to one call; without its id the sidebar shows what is asked'),
    icon: checkIcon,
    describedBy: { args: { type: 'object', properties: CALL } },
    isEnabled: () => asks().length > 0,
    execute: async args => {
      if (typeof args.call === 'string') {
        await interns.current?.answer(args.call, true, '');
      } else {
        sidebar?.focusQuestion();
      }
    }
  });
  app.commands.addCommand(CommandIds.refuse, {
    label: trans.__('Refuse What the Intern Asks'),
    caption: trans.__('Your no to one call; without its id the sidebar shows what is asked'),
    icon: closeIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { ...CALL, reason: { type: 'string', description: 'Why, in words' } }
      }
    },
    isEnabled: () => asks().length > 0,
    execute: async args => {
      if (typeof args.call === 'string') {
        await interns.current?.answer(args.call, false, String(args.reason ?? ''));
      } else {
        sidebar?.focusQuestion();
      }
    }
  });
}
