/** What stands in the way, each with what to do about it. */
import { closeIcon, refreshIcon, runIcon, undoIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { stopInternIcon } from '../icons';
import { resumable } from '../words';
import { Button, Notice, type IScene } from './parts';

export function Notices({ intern, state, trans }: IScene): React.ReactElement {
  const session = state.view?.session ?? null;
  return (
    <>
      {state.problem ? (
        <Notice tone="bad" title={state.problem.what} text={state.problem.why}>
          <p>{state.problem.do}</p>
          <Button
            label={trans.__('Dismiss')}
            icon={closeIcon}
            onClick={() => intern.dismissProblem()}
          />
        </Notice>
      ) : null}
      {state.connection === 'lost' && state.view && session ? (
        <Notice
          tone="bad"
          title={trans.__('The kernel of this session is gone')}
          text={trans.__(
            'The record and the jobs are safe; names in the kernel’s memory are lost. Resume starts a kernel where none runs, and goes on with an unfinished session.'
          )}
        >
          {session.running || resumable(state.view) ? (
            <Button
              main
              label={trans.__('Resume')}
              icon={refreshIcon}
              onClick={() => void intern.resumeSession(session.session)}
            />
          ) : null}
        </Notice>
      ) : null}
      {state.connection === 'follows' ? (
        <Notice
          tone="idle"
          title={trans.__('Another page leads')}
          text={trans.__(
            'It inserts and runs the cells of this kernel. Here you see how it stands and may steer, pause and stop.'
          )}
        >
          <Button
            label={trans.__('Follow here')}
            title={trans.__('Let this page insert and run the cells from now on.')}
            onClick={() => void intern.followHere()}
          />
        </Notice>
      ) : null}
      {state.magicCellMissing && session ? (
        <Notice
          tone="wait"
          title={trans.__('The cell of this session was deleted')}
          text={trans.__('The intern is held. Put the cell back to go on, or stop the intern.')}
        >
          <Button
            main
            label={trans.__('Put back')}
            icon={undoIcon}
            onClick={() => void intern.putMagicCellBack()}
          />
          <Button
            label={trans.__('Stop intern')}
            icon={stopInternIcon}
            onClick={() => void intern.stop(false)}
          />
        </Notice>
      ) : null}
      {session?.held && !state.magicCellMissing ? (
        <Notice tone="wait" title={trans.__('Held')} text={session.held}>
          <Button
            label={trans.__('Continue')}
            icon={runIcon}
            name={trans.__('Continue the held turn')}
            onClick={() => void intern.resumeHeld()}
          />
        </Notice>
      ) : null}
      {session?.running && session.on_fallback ? (
        <Notice
          tone="wait"
          title={trans.__('The fallback model works now')}
          text={trans.__(
            '%1 took over: the main model is down, or went in circles. Under Models another can be named.',
            session.model
          )}
        />
      ) : null}
      {session?.running && session.closing ? (
        <Notice
          tone="wait"
          title={trans.__('The budget is nearly used')}
          text={trans.__('What is left is kept for the final evaluation and for saving.')}
        />
      ) : null}
      {session && session.queued_cells > 0 ? (
        <Notice
          tone="idle"
          title={trans._n(
            '%1 cell below did not wait',
            '%1 cells below did not wait',
            session.queued_cells,
            session.queued_cells
          )}
          text={trans.__(
            'What stands in line already when the intern begins (Run All) runs before the cells of the intern. Run it again when the intern is done.'
          )}
        />
      ) : null}
    </>
  );
}
