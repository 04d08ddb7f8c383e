/** Calls that wait for a yes or a no: what each would do, with what, and after reading what. */
import { checkIcon, closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IAskView } from '../../wire';
import { askPrice, effectWords, hostWords, questions, visibilityWord } from '../words';
import { Button, Section, type ISessionScene } from './parts';

/** A click meant for what stood here before must not be a yes. */
const READ_MS = 600;

export function Questions(scene: ISessionScene): React.ReactElement | null {
  const { state, trans } = scene;
  const asks = questions(state);
  if (asks.length === 0) {
    return null;
  }
  return (
    <Section title={trans.__('Questions')} note={String(asks.length)}>
      <ul className="jp-mlintern-List" aria-live="polite">
        {asks.map(ask => (
          <Question key={ask.call} {...scene} ask={ask} />
        ))}
      </ul>
    </Section>
  );
}

function Question(scene: ISessionScene & { ask: IAskView }): React.ReactElement {
  const { ask, trans } = scene;
  const title = ask.agent
    ? trans.__('Sub-agent %1 asks: %2', ask.agent, ask.tool)
    : trans.__('The intern asks: %1', ask.tool);
  return (
    <li>
      <div className="jp-mlintern-Question" tabIndex={-1} role="group" aria-label={title}>
        <strong>{title}</strong>
        <dl className="jp-mlintern-Facts">
          <dt>{trans.__('Would')}</dt>
          <dd>{effectWords(ask.effects, trans)}</dd>
          <dt>{trans.__('Price')}</dt>
          <dd>{askPrice(ask, trans)}</dd>
          <dt>{trans.__('Seen by')}</dt>
          <dd>{visibilityWord(ask.visibility, trans)}</dd>
          {ask.hosts.length === 0 ? null : (
            <>
              <dt>{trans.__('Connects to')}</dt>
              <dd>{hostWords(ask, trans)}</dd>
            </>
          )}
          <dt>{trans.__('Why')}</dt>
          <dd>{ask.why}</dd>
        </dl>
        <pre className="jp-mlintern-Code" role="group" tabIndex={0} aria-label={trans.__('Arguments')}>
          {ask.arguments}
        </pre>
        {ask.sources.length === 0 ? null : (
          <p className="jp-mlintern-Asks">
            {trans.__('It had read text that others wrote: %1', ask.sources.join(', '))}
          </p>
        )}
        <Answers {...scene} />
      </div>
    </li>
  );
}

function Answers({ intern, ask, trans }: ISessionScene & { ask: IAskView }): React.ReactElement {
  const [ready, setReady] = React.useState(false);
  const [sent, setSent] = React.useState(false);
  const [reason, setReason] = React.useState<string | null>(null);
  React.useEffect(() => {
    const timer = setTimeout(() => setReady(true), READ_MS);
    return () => clearTimeout(timer);
  }, []);
  const say = (yes: boolean) => {
    setSent(true);
    // Taken: the question goes away with the next view. Else it may be answered again.
    void intern.answer(ask.call, yes, (reason ?? '').trim()).then(taken => setSent(taken));
  };
  if (reason !== null) {
    return (
      <div className="jp-mlintern-Row jp-mlintern-Reason">
        <input
          type="text"
          autoFocus
          disabled={sent}
          data-lm-suppress-shortcuts="true"
          value={reason}
          aria-label={trans.__('Why is %1 refused?', ask.tool)}
          placeholder={trans.__('Why? (Enter refuses, Escape goes back)')}
          onChange={event => setReason(event.target.value)}
          onKeyDown={event => {
            if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
              event.preventDefault();
              say(false);
            } else if (event.key === 'Escape') {
              event.preventDefault();
              setReason(null);
            }
          }}
        />
        <Button main label={trans.__('Refuse')} disabled={sent} onClick={() => say(false)} />
        <Button label={trans.__('Back')} disabled={sent} onClick={() => setReason(null)} />
      </div>
    );
  }
  return (
    <div className="jp-mlintern-Row">
      <Button
        main
        label={trans.__('Allow once')}
        name={trans.__('Allow once: %1', ask.tool)}
        title={trans.__('Your yes to exactly this call, with these arguments, once.')}
        icon={checkIcon}
        disabled={!ready || sent}
        onClick={() => say(true)}
      />
      <Button
        label={trans.__('Refuse…')}
        name={trans.__('Refuse: %1', ask.tool)}
        title={trans.__('Your no; you may say why, and the intern reads it.')}
        icon={closeIcon}
        disabled={sent}
        onClick={() => setReason('')}
      />
    </div>
  );
}
