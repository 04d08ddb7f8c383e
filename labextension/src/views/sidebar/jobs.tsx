/** Jobs of this folder: state, progress, cost, a small curve of the loss. */
import { closeIcon, runIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IJobView } from '../../wire';
import { curvePath } from '../curve';
import { dollars, duration, metric, share } from '../format';
import { cost, jobWord } from '../words';
import { Bar, Button, Dot, Section, type IScene } from './parts';

const WIDTH = 240;
const HEIGHT = 36;
/** Numbers of the newest row that fit beside the curve. */
const METRICS = 4;

export function Jobs({
  jobs,
  intern,
  trans
}: IScene & { jobs: readonly IJobView[] }): React.ReactElement | null {
  if (jobs.length === 0) {
    return null;
  }
  const running = jobs.filter(job => job.state === 'running').length;
  return (
    <Section
      title={trans.__('Jobs')}
      note={running ? trans.__('%1 running', running) : String(jobs.length)}
    >
      <ul className="jp-mlintern-List">
        {jobs.map(job => (
          <li key={job.key} className="jp-mlintern-Job">
            <JobTitle job={job} trans={trans} />
            {job.reason ? <p>{job.reason}</p> : null}
            {job.state === 'running' && job.step !== null && job.total_steps !== null ? (
              <Bar
                label={trans.__('Progress of %1', job.name)}
                text={steps(job, trans)}
                share={share(job.step, job.total_steps) ?? 0}
              />
            ) : null}
            <Curve job={job} trans={trans} />
            <Numbers job={job} />
            {job.state === 'held' ? (
              <div className="jp-mlintern-Row">
                <Button
                  main
                  label={
                    job.quote_usd === null
                      ? trans.__('Start (cost unknown)')
                      : trans.__('Start, at most %1', dollars(job.quote_usd))
                  }
                  name={trans.__('Start %1, %2', job.name, cost(job.quote_usd, trans))}
                  title={trans.__('Your yes to this price. The job starts at once.')}
                  icon={runIcon}
                  onClick={() => void intern.startJob(job.name)}
                />
                <CancelJob job={job} intern={intern} trans={trans} />
              </div>
            ) : null}
            {job.state === 'running' ? (
              <div className="jp-mlintern-Row">
                <CancelJob job={job} intern={intern} trans={trans} />
              </div>
            ) : null}
          </li>
        ))}
      </ul>
    </Section>
  );
}

function JobTitle({ job, trans }: { job: IJobView; trans: TranslationBundle }): React.ReactElement {
  const { word, tone } = jobWord(job, trans);
  return (
    <div className="jp-mlintern-ItemTitle">
      <Dot tone={tone} />
      <strong title={job.key}>{job.name}</strong>
      <span>{word}</span>
      <span className="jp-mlintern-Note jp-mod-line">
        {[
          job.step === null ? '' : steps(job, trans),
          job.state === 'held' ? '' : duration(job.seconds),
          job.state === 'held' ? '' : cost(job.cost_usd, trans)
        ]
          .filter(Boolean)
          .join(' · ')}
      </span>
    </div>
  );
}

function CancelJob(props: {
  job: IJobView;
  intern: IScene['intern'];
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <Button
      label={props.trans.__('Cancel')}
      name={props.trans.__('Cancel %1', props.job.name)}
      title={props.trans.__('End this job and all of its processes. The intern goes on.')}
      icon={closeIcon}
      onClick={() => void props.intern.cancelJob(props.job.name)}
    />
  );
}

function Curve({
  job,
  trans
}: {
  job: IJobView;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const first = job.curve[0];
  const last = job.curve[job.curve.length - 1];
  const path = curvePath(job.curve, WIDTH, HEIGHT);
  if (!path || !first || !last) {
    return null;
  }
  const told = trans.__(
    'Loss of %1: from %2 to %3 at step %4',
    job.name,
    metric(first[1]),
    metric(last[1]),
    last[0]
  );
  return (
    <svg
      className="jp-mlintern-Curve"
      viewBox={`-1 -2 ${WIDTH + 2} ${HEIGHT + 4}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={told}
    >
      <title>{told}</title>
      <path d={path} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

function Numbers({ job }: { job: IJobView }): React.ReactElement | null {
  // Its step stands in the line above.
  const rows = Object.entries(job.metrics)
    .filter(([name]) => name !== 'step' && name !== 'total_steps')
    .slice(0, METRICS);
  return rows.length === 0 ? null : (
    <p className="jp-mlintern-Numbers">
      {rows.map(([name, value]) => (
        <span key={name}>
          {name} <b>{metric(value)}</b>
        </span>
      ))}
    </p>
  );
}

function steps(job: IJobView, trans: TranslationBundle): string {
  return job.total_steps === null
    ? trans.__('step %1', job.step)
    : trans.__('step %1 of %2', job.step, job.total_steps);
}
