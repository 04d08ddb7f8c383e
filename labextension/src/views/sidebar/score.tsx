/** The best score so far beside what it is measured against. */
import * as React from 'react';
import { place } from '../curve';
import { percent } from '../format';
import { Section, type ISessionScene } from './parts';

const WIDTH = 240;

export function Score({ session, trans }: ISessionScene): React.ReactElement | null {
  const best = session.best;
  if (best === null) {
    return null;
  }
  const marks = [best.low, best.high, best.value, best.baseline ?? best.value, best.chance ?? best.value];
  const pad = Math.max(0.02, (Math.max(...marks) - Math.min(...marks)) * 0.1);
  const low = Math.max(0, Math.min(...marks) - pad);
  const high = Math.min(1, Math.max(...marks) + pad);
  const x = (value: number) => Math.round(place(value, low, high) * WIDTH * 10) / 10;
  return (
    <Section title={trans.__('Best score')} note={best.verdict}>
      <p className="jp-mlintern-Best">
        <strong>{percent(best.value)}</strong>{' '}
        <span>
          {trans.__(
            '%1, 95% interval %2 to %3, n = %4',
            best.name,
            percent(best.low),
            percent(best.high),
            best.n
          )}
        </span>
      </p>
      <svg
        className="jp-mlintern-Interval"
        viewBox={`-4 0 ${WIDTH + 8} 18`}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        <line className="jp-mod-axis" x1={0} x2={WIDTH} y1={9} y2={9} />
        <line className="jp-mod-range" x1={x(best.low)} x2={x(best.high)} y1={9} y2={9} />
        <line className="jp-mod-value" x1={x(best.value)} x2={x(best.value)} y1={3} y2={15} />
        {best.baseline === null ? null : (
          <line className="jp-mod-baseline" x1={x(best.baseline)} x2={x(best.baseline)} y1={1} y2={17} />
        )}
        {best.chance === null ? null : (
          <line className="jp-mod-chance" x1={x(best.chance)} x2={x(best.chance)} y1={1} y2={17} />
        )}
      </svg>
      <p className="jp-mlintern-Note">
        {[
          `${best.task} ${best.split}`,
          best.baseline === null
            ? trans.__('no baseline yet')
            : trans.__('baseline %1', percent(best.baseline)),
          best.chance === null ? '' : trans.__('chance %1', percent(best.chance))
        ]
          .filter(Boolean)
          .join(' · ')}
      </p>
    </Section>
  );
}
