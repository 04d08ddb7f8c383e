/** Goal, how it stands, and the buttons that act on the turn. */
import {
  caretDownIcon,
  pauseIcon,
  refreshIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { stopInternIcon } from '../icons';
import { modeMeaning, modes, modeWord, resumable, statusText } from '../words';
import { Models } from './models';
import { Button, Dot, type ISessionScene } from './parts';

export function Head(scene: ISessionScene): React.ReactElement {
  const { state, session, trans } = scene;
  const { word, tone } = statusText(state, trans);
  return (
    <div className="jp-mlintern-Head">
      <h2 className="jp-mlintern-Goal" title={session.goal}>
        {session.goal}
      </h2>
      <p className="jp-mlintern-Standing">
        <span role="status" aria-live="polite">
          <Dot tone={tone} />
          <strong>{word}</strong>
        </span>
        <span className="jp-mlintern-Note">
          {trans.__('turn %1, step %2', session.turn, session.step)}
        </span>
        <span className="jp-mlintern-Note" title={trans.__('Record: %1', session.record)}>
          {session.session}
        </span>
      </p>
      {state.connection === 'lost' ? null : (
        <>
          <Controls {...scene} />
          <ModeSwitch {...scene} />
        </>
      )}
      <Models {...scene} />
    </div>
  );
}

function Controls(scene: ISessionScene): React.ReactElement {
  const { intern, view, session, trans } = scene;
  const [more, setMore] = React.useState(false);
  const jobs = view.jobs.filter(job => job.state === 'running').length;
  return (
    <div className="jp-mlintern-Row" role="group" aria-label={trans.__('The turn')}>
      {session.running && !session.held ? (
        <Button
          label={trans.__('Pause')}
          icon={pauseIcon}
          title={trans.__(
            'Hold the intern before its next model call. Cells and jobs that run go on; no limit of time runs.'
          )}
          onClick={() => void intern.pause()}
        />
      ) : null}
      {session.running && session.held ? (
        <Button
          main
          label={trans.__('Continue')}
          icon={runIcon}
          title={trans.__('Let the intern go on from where it was held.')}
          onClick={() => void intern.resumeHeld()}
        />
      ) : null}
      {resumable(view) ? (
        <Button
          main
          label={trans.__('Resume')}
          icon={refreshIcon}
          title={trans.__(
            'Go on with this unfinished session. What is done is not repeated; it may spend.'
          )}
          onClick={() => void intern.resumeSession(session.session)}
        />
      ) : null}
      {session.running ? (
        <span className="jp-mlintern-Split">
          <Button
            label={trans.__('Stop intern')}
            icon={stopInternIcon}
            title={trans.__('End the turn. The cell that runs and all jobs go on.')}
            onClick={() => void intern.stop(false)}
          />
          <Button
            label=""
            name={trans.__('More ways to stop')}
            title={trans.__('More ways to stop')}
            icon={caretDownIcon}
            expanded={more}
            onClick={() => setMore(!more)}
          />
        </span>
      ) : null}
      <Button
        label={trans.__('Interrupt cell')}
        icon={stopIcon}
        title={trans.__('Interrupt the cell that runs in the kernel. The intern and all jobs go on.')}
        onClick={() => void intern.interruptCell()}
      />
      {session.running && more ? (
        <Button
          label={trans._n(
            'Stop and cancel %1 job',
            'Stop and cancel %1 jobs',
            jobs,
            jobs
          )}
          icon={stopInternIcon}
          disabled={jobs === 0}
          title={trans.__(
            'End the turn and every running job of this folder. The cell that runs goes on.'
          )}
          onClick={() => {
            setMore(false);
            void intern.stop(true);
          }}
        />
      ) : null}
    </div>
  );
}

function ModeSwitch(scene: ISessionScene): React.ReactElement {
  const { intern, view, session, trans } = scene;
  const name = `jp-mlintern-mode-${intern.panel.id}`;
  return (
    <fieldset className="jp-mlintern-Modes">
      <legend>{trans.__('Mode')}</legend>
      {modes(view.mode_cap).map(({ mode, allowed }) => (
        <label
          key={mode}
          title={
            allowed
              ? modeMeaning(mode, trans)
              : trans.__(
                  'Not allowed here: the configuration caps the mode at “%1”.',
                  modeWord(view.mode_cap, trans)
                )
          }
        >
          <input
            type="radio"
            name={name}
            value={mode}
            checked={session.mode === mode}
            disabled={!allowed}
            onChange={() => void intern.setMode(mode)}
          />
          <span>{modeWord(mode, trans)}</span>
        </label>
      ))}
    </fieldset>
  );
}
