/** What it does now, what it writes now, how the last turn ended, the plan. */
import { checkIcon, circleEmptyIcon, caretRightIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { lastLines } from '../format';
import { Inline, Section, type ISessionScene } from './parts';

const TEXT_LINES = 14;

export function Activity({
  state,
  session,
  trans,
  openText
}: ISessionScene & { openText: boolean }): React.ReactElement {
  const activity = state.activity || session.activity;
  return (
    <>
      {session.running && activity ? (
        <p className="jp-mlintern-Activity" aria-live="polite">
          {activity}
        </p>
      ) : null}
      {session.running && state.text ? (
        <details className="jp-mlintern-Live" open={openText}>
          <summary className="jp-mlintern-SectionTitle">
            <h3>{trans.__('What it writes')}</h3>
          </summary>
          <pre>{lastLines(state.text, TEXT_LINES)}</pre>
        </details>
      ) : null}
      {!session.running && session.outcome ? (
        <div className="jp-mlintern-Outcome">
          {session.outcome.reason ? <p><Inline text={session.outcome.reason} /></p> : null}
          {session.outcome.summary ? <p><Inline text={session.outcome.summary} /></p> : null}
          {session.outcome.do ? (
            <p className="jp-mlintern-Do">
              <Inline text={session.outcome.do} />
            </p>
          ) : null}
        </div>
      ) : null}
    </>
  );
}

export function Plan({ session, trans }: ISessionScene): React.ReactElement | null {
  if (session.plan.length === 0) {
    return null;
  }
  const done = session.plan.filter(item => item.state === 'done').length;
  return (
    <Section title={trans.__('Plan')} note={trans.__('%1 of %2', done, session.plan.length)}>
      <ol className="jp-mlintern-Plan">
        {session.plan.map((item, i) => (
          <li
            key={i}
            className={`jp-mod-${item.state}`}
            aria-current={item.state === 'active' ? 'step' : undefined}
          >
            {item.state === 'done' ? (
              <checkIcon.react tag="span" title={trans.__('done')} />
            ) : item.state === 'active' ? (
              <caretRightIcon.react tag="span" title={trans.__('being done')} />
            ) : (
              <circleEmptyIcon.react tag="span" title={trans.__('to do')} />
            )}
            <span>{item.step}</span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
