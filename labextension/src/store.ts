/** What the page shows of a notebook, folded from what happened. Pure, but for the timer of text. */
import type { Connection, IProblem, IState } from './tokens';
import type { Fact, IKernelView, Signal } from './wire';

export type StoreEvent =
  | { type: 'connection'; connection: Connection; problem?: IProblem | null }
  | { type: 'view'; view: IKernelView }
  | { type: 'fact'; fact: Fact }
  | { type: 'signal'; signal: Signal }
  | { type: 'problem'; problem: IProblem | null }
  | { type: 'inserted'; cellId: string }
  | { type: 'seen'; cellIds: readonly string[] }
  | { type: 'magicCell'; missing: boolean }
  | { type: 'recordsOnDisk'; names: readonly string[] };

export const START: IState = Object.freeze({
  connection: 'no-kernel',
  problem: null,
  view: null,
  activity: '',
  text: '',
  unseen: [],
  magicCellMissing: false,
  recordsOnDisk: []
});

/** The newest part of a long reply is what one looks at. */
const TEXT_MOST = 20_000;

/** The state after an event; the same object if nothing changed. */
export function fold(state: IState, event: StoreEvent): IState {
  switch (event.type) {
    case 'connection':
      return connected(state, event.connection, event.problem ?? null);
    case 'view':
      return { ...state, view: event.view, activity: event.view.session?.activity || state.activity };
    case 'fact':
      return told(state, event.fact);
    case 'signal':
      return signalled(state, event.signal);
    case 'problem':
      return event.problem === state.problem ? state : { ...state, problem: event.problem };
    case 'inserted':
      return state.unseen.includes(event.cellId)
        ? state
        : { ...state, unseen: [...state.unseen, event.cellId] };
    case 'seen': {
      const unseen = state.unseen.filter(id => !event.cellIds.includes(id));
      return unseen.length === state.unseen.length ? state : { ...state, unseen };
    }
    case 'magicCell':
      return event.missing === state.magicCellMissing
        ? state
        : { ...state, magicCellMissing: event.missing };
    case 'recordsOnDisk':
      return { ...state, recordsOnDisk: event.names };
  }
}

function connected(state: IState, connection: Connection, problem: IProblem | null): IState {
  const answers = connection === 'leads' || connection === 'follows';
  const next = {
    ...state,
    connection,
    // A refusal of the old connection says nothing about the new one.
    problem: problem ?? (state.connection === 'mismatch' ? null : state.problem)
  };
  if (answers) {
    return { ...next, recordsOnDisk: [] };
  }
  if (connection === 'lost') {
    return { ...next, activity: '', text: '' };
  }
  return { ...next, view: null, activity: '', text: '', magicCellMissing: false };
}

function told(state: IState, fact: Fact): IState {
  switch (fact.type) {
    case 'Replied':
    case 'TurnStarted':
      return state.text ? { ...state, text: '' } : state;
    case 'TurnEnded':
      return { ...state, text: '', activity: '' };
    default:
      return state;
  }
}

function signalled(state: IState, signal: Signal): IState {
  switch (signal.type) {
    case 'TextDelta':
      return { ...state, text: (state.text + signal.text).slice(-TEXT_MOST) };
    case 'Activity':
      return { ...state, activity: signal.text };
    default:
      // Of a kernel that knows more signals than this page.
      return state;
  }
}

/** Longest time that pieces of text are collected before they are drawn. */
const TEXT_MS = 50;

/** Holds the state and tells about a new one. */
export class Store {
  constructor(private readonly changed: (state: IState) => void) {}

  get state(): IState {
    return this._state;
  }

  dispatch(event: StoreEvent): void {
    if (event.type === 'signal' && event.signal.type === 'TextDelta') {
      this._text += event.signal.text;
      this._timer ??= setTimeout(() => this.flush(), TEXT_MS);
      return;
    }
    this.flush();
    this.apply(event);
  }

  dispose(): void {
    clearTimeout(this._timer);
    this._timer = undefined;
    this._text = '';
  }

  private flush(): void {
    clearTimeout(this._timer);
    this._timer = undefined;
    const text = this._text;
    this._text = '';
    if (text) {
      this.apply({ type: 'signal', signal: { type: 'TextDelta', step: 0, text } });
    }
  }

  private apply(event: StoreEvent): void {
    const state = fold(this._state, event);
    if (state !== this._state) {
      this._state = Object.freeze(state);
      this.changed(state);
    }
  }

  private _state: IState = START;
  private _text = '';
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
