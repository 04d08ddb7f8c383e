/** The intern's states as words in the person's language. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IState } from '../tokens';
import type { IAgentView, IAskView, IJobView, IKernelView, ISessionView, Mode, ModelRole } from '../wire';
import { dollars } from './format';

/** What a state means for the eye; each is a class of style/base.css. */
export type Tone = 'idle' | 'work' | 'wait' | 'good' | 'bad';

export interface IStatusText {
  word: string;
  tone: Tone;
}

/** How it stands, in one or two words. */
export function statusText(state: IState, trans: TranslationBundle): IStatusText {
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

function sessionStanding(session: ISessionView, trans: TranslationBundle): IStatusText {
  if (session.running) {
    if (session.held) {
      return { word: trans.__('Held'), tone: 'wait' };
    }
    return session.pending.length > 0 || session.asks.length > 0
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

export function jobWord(job: IJobView, trans: TranslationBundle): IStatusText {
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

/** How a sub-agent stands. */
export function agentWord(agent: IAgentView, trans: TranslationBundle): IStatusText {
  switch (agent.state) {
    case 'working':
      return { word: trans.__('working'), tone: 'work' };
    case 'completed':
      return { word: trans.__('done'), tone: 'good' };
    case 'interrupted':
      return { word: trans.__('stopped'), tone: 'idle' };
    case 'limit':
      return { word: trans.__('limit reached'), tone: 'wait' };
    case 'paused':
      return { word: trans.__('paused'), tone: 'wait' };
    case 'failed':
      return { word: trans.__('failed'), tone: 'bad' };
    default:
      return { word: trans.__('unfinished'), tone: 'idle' };
  }
}

/** The calls that wait for an answer; none without a turn, or a kernel to answer. */
export function questions(state: IState | undefined): readonly IAskView[] {
  const session = state?.view?.session;
  return session?.running && state?.connection !== 'lost' ? session.asks : [];
}

/** What a call would do, in the person's words; undeclared is said to be unknown. */
export function effectWords(effects: readonly string[], trans: TranslationBundle): string {
  const words: Record<string, string> = {
    read: trans.__('read'),
    notebook: trans.__('write cells'),
    'local-write': trans.__('write files here'),
    execute: trans.__('run code here'),
    'network-write': trans.__('send to the network'),
    spend: trans.__('spend money'),
    publish: trans.__('publish'),
    delete: trans.__('delete')
  };
  return effects.length === 0
    ? trans.__('nobody has said what')
    : effects.map(effect => words[effect] ?? effect).join(', ');
}

/** Where a call connects to, and the names of the keys it is given for that. */
export function hostWords(ask: IAskView, trans: TranslationBundle): string {
  const hosts = ask.hosts.join(', ');
  return ask.keys.length === 0 ? hosts : trans.__('%1, given %2', hosts, ask.keys.join(', '));
}

/** What a call costs; unknown is a word, never a zero. */
export function askPrice(ask: IAskView, trans: TranslationBundle): string {
  if (ask.price_usd === null) {
    return trans.__('price unknown');
  }
  return ask.price_usd === 0 ? trans.__('costs nothing') : dollars(ask.price_usd);
}

/** Who can see what a call leaves behind. */
export function visibilityWord(visibility: string, trans: TranslationBundle): string {
  switch (visibility) {
    case 'here':
      return trans.__('only you');
    case 'private':
      return trans.__('whoever may see your private things there');
    case 'public':
      return trans.__('everybody');
    default:
      return trans.__('nobody knows who');
  }
}

export const ROLES: readonly ModelRole[] = ['main', 'research', 'compaction', 'fallback'];

export function roleWord(role: ModelRole, trans: TranslationBundle): string {
  switch (role) {
    case 'main':
      return trans.__('Main');
    case 'research':
      return trans.__('Sub-agents');
    case 'compaction':
      return trans.__('Digests');
    case 'fallback':
      return trans.__('Fallback');
  }
}

/** The model of a role, or who does its work. */
export function roleModel(session: ISessionView, role: ModelRole, trans: TranslationBundle): string {
  const own = session.models[role];
  if (own) {
    return own;
  }
  return role === 'fallback' ? trans.__('none') : trans.__('as main');
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
