/** Sessions of this folder, and what the kernel here has. */
import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IKernelView } from '../../wire';
import { Button, Section, type IScene } from './parts';

export function Records({
  intern,
  view,
  trans,
  open
}: IScene & { view: IKernelView; open: boolean }): React.ReactElement | null {
  const records = view.records.filter(record => record.session !== view.session?.session);
  if (records.length === 0) {
    return null;
  }
  return (
    <Section title={trans.__('Records of this folder')} note={String(records.length)} open={open}>
      <ul className="jp-mlintern-List">
        {records.map(record => (
          <li key={record.session} className="jp-mlintern-Record">
            <div className="jp-mlintern-ItemTitle">
              <strong>{record.goal}</strong>
              <span className="jp-mlintern-Note">{record.session}</span>
            </div>
            <p>{record.line}</p>
            {record.finished ? null : (
              <div className="jp-mlintern-Row">
                <Button
                  label={trans.__('Resume')}
                  name={trans.__('Resume %1', record.session)}
                  icon={refreshIcon}
                  disabled={view.session?.running}
                  title={
                    view.session?.running
                      ? trans.__('Another session is at work here; stop it first.')
                      : trans.__('Go on with this session. What is done is not repeated; it may spend.')
                  }
                  onClick={() => void intern.resumeSession(record.session)}
                />
              </div>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

export function Kernel({ view, trans, open }: IScene & { view: IKernelView; open: boolean }): React.ReactElement {
  return (
    <Section title={trans.__('This kernel')} note={view.version} open={open}>
      <dl className="jp-mlintern-Facts">
        <dt>{trans.__('Python')}</dt>
        <dd>{view.python}</dd>
        <dt>{trans.__('Records')}</dt>
        <dd>{view.folder}</dd>
        <dt>{trans.__('Model')}</dt>
        <dd>{view.default_model || trans.__('none set: name one with --model')}</dd>
      </dl>
      <h4>{trans.__('Keys')}</h4>
      <ul className="jp-mlintern-List">
        {view.providers.map(provider => (
          <li key={provider.variable} className="jp-mlintern-ItemTitle">
            <span>{provider.name}</span>
            <code>{provider.variable}</code>
            <span className="jp-mlintern-Note">
              {provider.is_set ? trans.__('set') : trans.__('not set')}
            </span>
          </li>
        ))}
      </ul>
      {view.missing.length === 0 ? null : (
        <>
          <h4>{trans.__('Not in this version')}</h4>
          <ul className="jp-mlintern-Words">
            {view.missing.map(line => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </>
      )}
    </Section>
  );
}
