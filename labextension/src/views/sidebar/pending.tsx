/** Proposed cells that wait for the person. */
import { closeIcon, fastForwardIcon, runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { ICellBars } from '../tokens';
import { Button, CellLink, Section, type ISessionScene } from './parts';

export function Pending(
  scene: ISessionScene & { bars: ICellBars | null }
): React.ReactElement | null {
  const { intern, state, session, trans, follows, bars } = scene;
  if (session.pending.length === 0 || !session.running || state.connection === 'lost') {
    return null;
  }
  const kinds = new Set(session.pending.map(cell => cell.kind));
  return (
    <Section title={trans.__('Waits for you')} note={String(session.pending.length)}>
      <ul className="jp-mlintern-List">
        {session.pending.map(cell => (
          <li key={cell.cell_id} className="jp-mlintern-Pending">
            <div className="jp-mlintern-ItemTitle">
              <span className="jp-mlintern-Kind">{cell.kind}</span>
              <CellLink
                text={cell.first_line || trans.__('(empty cell)')}
                title={trans.__('Go to the cell')}
                onClick={() => void intern.revealCell(cell.cell_id)}
              />
            </div>
            {cell.why ? <p>{cell.why}</p> : null}
            {cell.asks ? (
              <p className="jp-mlintern-Asks">{trans.__('Not run unasked: %1', cell.asks)}</p>
            ) : null}
            {cell.cost ? <p>{trans.__('Cost: %1', cell.cost)}</p> : null}
            {follows ? null : (
              <div className="jp-mlintern-Row">
                <Button
                  main
                  label={trans.__('Run')}
                  name={trans.__('Run: %1', cell.first_line)}
                  icon={runIcon}
                  onClick={() => void intern.runCell(cell.cell_id)}
                />
                <Button
                  label={trans.__('Skip…')}
                  name={trans.__('Skip: %1', cell.first_line)}
                  title={trans.__('Refuse the cell; you may say why.')}
                  icon={closeIcon}
                  disabled={bars === null}
                  onClick={() => {
                    void intern
                      .revealCell(cell.cell_id)
                      .then(() => bars?.askReason(intern, cell.cell_id));
                  }}
                />
              </div>
            )}
          </li>
        ))}
      </ul>
      {follows
        ? null
        : [...kinds].map(kind => (
            <Button
              key={kind}
              label={trans.__('Run all “%1” cells', kind)}
              icon={fastForwardIcon}
              title={trans.__(
                'Run the waiting cells of this kind and those to come in this turn. What the guard has something against still waits.'
              )}
              onClick={() => void intern.runKind(kind)}
            />
          ))}
    </Section>
  );
}
