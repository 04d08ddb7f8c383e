/** Which model has which role, and a line to name another. */
import * as React from 'react';
import type { ModelRole } from '../../wire';
import { roleModel, ROLES, roleWord } from '../words';
import { Button, type ISessionScene } from './parts';

export function Models({ intern, state, session, trans }: ISessionScene): React.ReactElement {
  const [role, setRole] = React.useState<ModelRole>('main');
  const [name, setName] = React.useState('');
  const send = () => {
    const model = name.trim();
    if (model) {
      setName('');
      void intern.setModel(model, role);
    }
  };
  return (
    <details className="jp-mlintern-Models">
      <summary className="jp-mlintern-Note" title={trans.__('Models of the session')}>
        {trans.__('Model: %1', session.model)}
      </summary>
      <dl className="jp-mlintern-Facts">
        {ROLES.map(each => (
          <React.Fragment key={each}>
            <dt>{roleWord(each, trans)}</dt>
            <dd>{roleModel(session, each, trans)}</dd>
          </React.Fragment>
        ))}
      </dl>
      {state.connection === 'lost' ? null : (
        <div className="jp-mlintern-Row jp-mlintern-Reason">
          <select
            aria-label={trans.__('Role of the model')}
            value={role}
            onChange={event => setRole(event.target.value as ModelRole)}
          >
            {ROLES.map(each => (
              <option key={each} value={each}>
                {roleWord(each, trans)}
              </option>
            ))}
          </select>
          <input
            type="text"
            data-lm-suppress-shortcuts="true"
            value={name}
            aria-label={trans.__('Name of the model')}
            placeholder={trans.__('provider/model')}
            onChange={event => setName(event.target.value)}
            onKeyDown={event => {
              if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
                event.preventDefault();
                send();
              }
            }}
          />
          <Button
            label={trans.__('Switch')}
            title={trans.__('From the next model call on.')}
            disabled={!name.trim()}
            onClick={send}
          />
        </div>
      )}
    </details>
  );
}
