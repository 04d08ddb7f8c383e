/** The intern's states as words in the person's language. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IState } from '../tokens';
import type { IJobView, IKernelView, ISessionView, Mode } from '../wire';
import { dollars } from './format';

/** What a state means for the eye; each is a class of style/base.css. */
export type Tone = 'idle' | 'work' | 'wait' | 'good' | 'bad';

export interface IStanding {
  word: string;
  tone: Tone;
}

/** How it stands, in one or two words. */
export function standing(state: IState, trans: TranslationBundle): IStanding {
  switch (state.connection) {
    case 'no-kernel':
      return { word: trans.__('No kernel'), tone: 'idle' };
    case 'silent':
      return { word: trans.__('Not loaded'), tone: 'idle' };
    case 'mismatch':
      return { word: trans.__('Versions differ'), tone: 'bad' };
    case 'lost':
      return { word: trans.__('Kernel lost'), tone: 'bad' };
    default: {
      const session = state.view?.session ?? null;
      return session === null
        ? { word: trans.__('Ready'), tone: 'idle' }
        : sessionStanding(session, trans);
    }
  }
}

function sessionStanding(session: ISessionView, trans: TranslationBundle): IStanding {
  if (session.running) {
    if (session.held) {
      return { word: trans.__('Held'), tone: 'wait' };
    }
    return session.pending.length > 0
      ? { word: trans.__('Waits for you'), tone: 'wait' }
      : { word: trans.__('Working'), tone: 'work' };
  }
  switch (session.outcome?.outcome) {
    case 'completed':
      return { word: trans.__('Finished'), tone: 'good' };
    case 'interrupted':
      return { word: trans.__('Stopped'), tone: 'idle' };
    case 'limit':
      return { word: trans.__('Limit reached'), tone: 'wait' };
    case 'paused':
      return { word: trans.__('Paused'), tone: 'wait' };
    case 'failed':
      return { word: trans.__('Failed'), tone: 'bad' };
    default:
      return { word: trans.__('Unfinished'), tone: 'wait' };
  }
}

/** Whether the open session may be resumed: unfinished by its record, and no turn of it runs here. */
export function resumable(view: IKernelView): boolean {
  const session = view.session;
  if (session === null || session.running) {
    return false;
  }
  const record = view.records.find(each => each.session === session.session);
  return record ? !record.finished : session.outcome === null;
}

const MODES: readonly Mode[] = ['review', 'auto', 'unattended'];

/** The modes with whether an admin's cap lets them through, the strictest first. */
export function modes(cap: Mode): { mode: Mode; allowed: boolean }[] {
  return MODES.map((mode, i) => ({ mode, allowed: i <= MODES.indexOf(cap) }));
}

export function modeWord(mode: Mode, trans: TranslationBundle): string {
  switch (mode) {
    case 'review':
      return trans.__('Review');
    case 'auto':
      return trans.__('Auto');
    case 'unattended':
      return trans.__('Unattended');
  }
}

export function modeMeaning(mode: Mode, trans: TranslationBundle): string {
  switch (mode) {
    case 'review':
      return trans.__('Every code cell waits for you.');
    case 'auto':
      return trans.__('Cells that stay inside the workspace run by themselves; the others wait.');
    case 'unattended':
      return trans.__('Nobody is asked. Needs a budget; what is unknown is denied.');
  }
}

export function jobWord(job: IJobView, trans: TranslationBundle): IStanding {
  switch (job.state) {
    case 'held':
      return { word: trans.__('held'), tone: 'wait' };
    case 'running':
      return { word: trans.__('running'), tone: 'work' };
    case 'completed':
      return { word: trans.__('completed'), tone: 'good' };
    case 'failed':
      return { word: trans.__('failed'), tone: 'bad' };
    case 'cancelled':
      return { word: trans.__('cancelled'), tone: 'idle' };
    case 'lost':
      return { word: trans.__('lost'), tone: 'bad' };
    case 'absent':
      return { word: trans.__('absent'), tone: 'idle' };
  }
}

/** A cost in USD, or that nobody knows it. */
export function cost(usd: number | null, trans: TranslationBundle): string {
  return usd === null ? trans.__('cost unknown') : dollars(usd);
}

/** What the session spent: unmetered and unknown are words, never a zero. */
export function spentWord(session: ISessionView, trans: TranslationBundle): string {
  const { usd, reserved_usd: reserved } = session.spent;
  if (session.unmetered && !usd) {
    return trans.__('unmetered');
  }
  if (usd === null) {
    return trans.__('cost unknown');
  }
  return reserved > 0
    ? trans.__('%1 and %2 set aside', dollars(usd), dollars(reserved))
    : dollars(usd);
}
