/** The sidebar without a session: what is there, how to begin, what to install where. */
import { addIcon, refreshIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IKernelView } from '../../wire';
import { Jobs } from './jobs';
import { Button, Notice, type IScene } from './parts';
import { Kernel, Records } from './records';

export function NoNotebook({ trans }: { trans: TranslationBundle }): React.ReactElement {
  return (
    <div className="jp-mlintern-Start">
      <h2>{trans.__('Intern')}</h2>
      <p>{trans.__('Open a notebook: this panel shows the intern of the notebook in front.')}</p>
    </div>
  );
}

export function Start(scene: IScene): React.ReactElement {
  const { state, trans } = scene;
  const loaded = state.connection === 'leads' || state.connection === 'follows';
  return (
    <div className="jp-mlintern-Start">
      <h2>{trans.__('Intern')}</h2>
      {state.connection === 'no-kernel' ? (
        <p>{trans.__('This notebook has no kernel. Choose one (Kernel > Change Kernel), then begin.')}</p>
      ) : null}
      {state.connection === 'silent' ? <Silent {...scene} /> : null}
      {state.connection === 'mismatch' ? <Mismatch {...scene} /> : null}
      {state.connection === 'lost' ? (
        <Notice
          tone="bad"
          title={trans.__('The kernel is gone or restarts')}
          text={trans.__('Wait for it, or start it again (Kernel > Restart Kernel).')}
        />
      ) : null}
      {loaded ? <Begin {...scene} /> : null}
      {loaded && state.view ? (
        <>
          <Records {...scene} view={state.view} open />
          <Jobs {...scene} jobs={state.view.jobs} />
          <Kernel {...scene} view={state.view} open />
        </>
      ) : (
        <OnDisk {...scene} />
      )}
    </div>
  );
}

function Silent(scene: IScene): React.ReactElement {
  const { trans } = scene;
  return (
    <>
      <p>{trans.__('The intern is not loaded in the kernel of this notebook. To load it, run:')}</p>
      <Code text="%load_ext mlintern_jupyter" />
      <Begin {...scene} />
      <p>
        {trans.__(
          'If that ends in an ImportError: this page has its part, the environment of the kernel lacks the package. Install it there and restart the kernel:'
        )}
      </p>
      <Code text="%pip install mlintern-jupyter" />
    </>
  );
}

function Mismatch({ trans, state }: IScene): React.ReactElement {
  return (
    <Notice
      tone="bad"
      title={trans.__('This page and the kernel are of different versions')}
      text={
        state.problem
          ? ''
          : trans.__(
              'Install the same version of mlintern-jupyter where the server runs and where the kernel runs, then restart the kernel and reload this page.'
            )
      }
    />
  );
}

function Begin({ intern, state, trans }: IScene): React.ReactElement {
  return (
    <>
      <p>{trans.__('A task is a cell. What it does lands below it, and waits for you:')}</p>
      <Code text={`%%intern improve ${example(state.view)}`} />
      <div className="jp-mlintern-Row">
        <Button
          main
          label={trans.__('Insert the first cells')}
          icon={addIcon}
          title={trans.__('Inserts them into this notebook; nothing runs before you run it.')}
          onClick={() => void intern.begin()}
        />
      </div>
      {state.view && state.view.benchmarks.length > 0 ? (
        <p className="jp-mlintern-Note">
          {trans.__('Known benchmarks: %1', state.view.benchmarks.join(', '))}
        </p>
      ) : null}
    </>
  );
}

function OnDisk({ intern, state, trans }: IScene): React.ReactElement | null {
  if (state.recordsOnDisk.length === 0) {
    return null;
  }
  return (
    <>
      <h3>{trans.__('Records on disk')}</h3>
      <ul className="jp-mlintern-List">
        {state.recordsOnDisk.map(name => (
          <li key={name} className="jp-mlintern-ItemTitle">
            <strong>{name}</strong>
            <Button
              label={trans.__('Resume')}
              name={trans.__('Resume %1', name)}
              title={trans.__(
                'Load the intern in the kernel and go on with this session; a finished one shows its result.'
              )}
              icon={refreshIcon}
              disabled={state.connection === 'no-kernel'}
              onClick={() => void intern.resumeSession(name)}
            />
          </li>
        ))}
      </ul>
    </>
  );
}

function Code({ text }: { text: string }): React.ReactElement {
  return <pre className="jp-mlintern-Code">{text}</pre>;
}

/** The benchmark that needs nothing, if the kernel knows it. */
function example(view: IKernelView | null): string {
  return view?.benchmarks.find(name => name.startsWith('nano/')) ?? view?.benchmarks[0] ?? 'nano/mcq';
}
