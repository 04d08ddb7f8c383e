/** Literature and data sets that cells of the session name; cells of the person it was told of. */
import * as React from 'react';
import { CellLink, Section, type ISessionScene } from './parts';

export function Found({ intern, session, trans }: ISessionScene): React.ReactElement | null {
  if (session.sources.length === 0) {
    return null;
  }
  return (
    <Section
      title={trans.__('Literature and data')}
      note={String(session.sources.length)}
      open={false}
    >
      <ul className="jp-mlintern-List">
        {session.sources.map((source, i) => (
          <li key={i} className="jp-mlintern-ItemTitle">
            <span className="jp-mlintern-Kind">{source.kind}</span>
            {/^https?:\/\//.test(source.url) ? (
              <a
                className="jp-mlintern-Url"
                href={source.url}
                target="_blank"
                rel="noopener noreferrer"
              >
                {source.url.replace(/^https?:\/\//, '')}
              </a>
            ) : (
              <span className="jp-mlintern-Url">{source.url}</span>
            )}
            <CellLink
              text={trans.__('cell')}
              title={trans.__('Go to the cell that names it')}
              onClick={() => void intern.revealCell(source.cell_id)}
            />
          </li>
        ))}
      </ul>
    </Section>
  );
}

export function PersonCells({ intern, session, trans }: ISessionScene): React.ReactElement | null {
  if (session.own_cells.length === 0) {
    return null;
  }
  return (
    <Section
      title={trans.__('Your cells it was told of')}
      note={String(session.own_cells.length)}
      open={false}
    >
      <ul className="jp-mlintern-List">
        {session.own_cells.map((cell, i) => (
          <li key={i} className="jp-mlintern-ItemTitle">
            <CellLink
              text={cell.first_line || trans.__('(empty cell)')}
              title={trans.__('Go to the cell')}
              onClick={() => void intern.revealCell(cell.cell_id)}
            />
            <span className="jp-mlintern-Note">{cell.state}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
