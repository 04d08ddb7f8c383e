/** Sub-agents of the turn: who reads what for the intern. */
import * as React from 'react';
import { agentWord } from '../words';
import { Dot, Section, type ISessionScene } from './parts';

export function Agents({ session, trans }: ISessionScene): React.ReactElement | null {
  const { agents } = session;
  if (agents.length === 0) {
    return null;
  }
  const working = agents.filter(agent => agent.state === 'working').length;
  return (
    <Section
      title={trans.__('Sub-agents')}
      note={working ? trans.__('%1 working', working) : String(agents.length)}
    >
      <ul className="jp-mlintern-List">
        {agents.map(agent => {
          const { word, tone } = agentWord(agent, trans);
          return (
            <li key={agent.agent} className="jp-mlintern-Agent">
              <div className="jp-mlintern-ItemTitle">
                <Dot tone={tone} />
                <strong title={agent.agent}>{agent.role}</strong>
                <span>{word}</span>
                <span className="jp-mlintern-Note">{trans.__('step %1', agent.steps)}</span>
              </div>
              <p>{agent.task}</p>
              {agent.doing ? <p>{trans.__('Now: %1', agent.doing)}</p> : null}
              {agent.reason ? <p>{agent.reason}</p> : null}
            </li>
          );
        })}
      </ul>
    </Section>
  );
}
