/** What the sections of the sidebar are made of. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IIntern, IState } from '../../tokens';
import type { IKernelView, ISessionView } from '../../wire';
import { pieces } from '../card/inline';
import type { Tone } from '../words';

/** What every section is given. */
export interface IScene {
  intern: IIntern;
  state: IState;
  trans: TranslationBundle;
}

/** Of a section that is drawn only while a kernel with the intern in it has a session open. */
export interface ISessionScene extends IScene {
  view: IKernelView;
  session: ISessionView;
  /** Another page leads: nothing here may run cells. */
  follows: boolean;
}

export function Section(props: {
  title: string;
  note?: string;
  open?: boolean;
  children: React.ReactNode;
}): React.ReactElement {
  return (
    <details className="jp-mlintern-Section" open={props.open ?? true}>
      <summary className="jp-mlintern-SectionTitle">
        <h3>{props.title}</h3>
        {props.note ? <span className="jp-mlintern-Note">{props.note}</span> : null}
      </summary>
      <div className="jp-mlintern-SectionBody">{props.children}</div>
    </details>
  );
}

export function Button(props: {
  label: string;
  /** What goes on and what stops when it is pressed. */
  title?: string;
  icon?: LabIcon;
  main?: boolean;
  disabled?: boolean;
  expanded?: boolean;
  /** Where the label alone would be ambiguous, e.g. several Start buttons. */
  name?: string;
  onClick: () => void;
}): React.ReactElement {
  const Icon = props.icon;
  return (
    <button
      type="button"
      className={`jp-mlintern-Button${props.main ? ' jp-mod-main' : ''}`}
      title={props.title}
      aria-label={props.name}
      aria-expanded={props.expanded}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      {Icon ? <Icon.react tag="span" className="jp-mlintern-ButtonIcon" /> : null}
      {props.label ? <span>{props.label}</span> : null}
    </button>
  );
}

/** A reference to a cell: the text is the button. */
export function CellLink(props: {
  text: string;
  title: string;
  onClick: () => void;
}): React.ReactElement {
  return (
    <button type="button" className="jp-mlintern-Link" title={props.title} onClick={props.onClick}>
      {props.text}
    </button>
  );
}

/** A line with the few marks of the kernel's Markdown; never HTML. */
export function Inline(props: { text: string }): React.ReactElement {
  return (
    <>
      {pieces(props.text).map((piece, i) =>
        piece.style === 'strong' ? (
          <strong key={i}>{piece.text}</strong>
        ) : piece.style === 'code' ? (
          <code key={i}>{piece.text}</code>
        ) : (
          <span key={i}>{piece.text}</span>
        )
      )}
    </>
  );
}

export function Dot(props: { tone: Tone }): React.ReactElement {
  return <span className={`jp-mlintern-Dot jp-mod-${props.tone}`} aria-hidden="true" />;
}

export function Notice(props: {
  tone: Tone;
  title: string;
  text?: string;
  children?: React.ReactNode;
}): React.ReactElement {
  return (
    <div className={`jp-mlintern-Notice jp-mod-${props.tone}`}>
      <strong>{props.title}</strong>
      {props.text ? <p>{props.text}</p> : null}
      {props.children ? <div className="jp-mlintern-Row">{props.children}</div> : null}
    </div>
  );
}

/** A labelled amount, with a bar where there is a limit. */
export function Amount(props: {
  label: string;
  text: string;
  share: number | null;
}): React.ReactElement {
  return (
    <div className="jp-mlintern-Amount">
      <span className="jp-mlintern-AmountLabel">{props.label}</span>
      <span className="jp-mlintern-AmountText">{props.text}</span>
      {props.share === null ? null : (
        <Bar label={props.label} text={props.text} share={props.share} />
      )}
    </div>
  );
}

export function Bar(props: { label: string; text: string; share: number }): React.ReactElement {
  const percent = Math.round(100 * props.share);
  return (
    <div
      className={`jp-mlintern-Bar${percent >= 90 ? ' jp-mod-full' : ''}`}
      role="meter"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={props.text}
    >
      <div style={{ width: `${percent}%` }} />
    </div>
  );
}
