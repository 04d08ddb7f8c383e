/**
 * The map of the page's side: what a view may know and may ask for.
 *
 * One way only: transport → store (fold) → views; clicks → `IIntern` → transport. `bridge.ts` alone
 * touches notebook models. Views draw `IState` as it is; a session's state is computed in the kernel.
 */
import type { NotebookPanel } from '@jupyterlab/notebook';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';
import type { IKernelView, Mode, ModelRole } from './wire';

/** How the page stands to the kernel. */
export type Connection =
  /** No kernel is running for this notebook. */
  | 'no-kernel'
  /** A kernel runs; nobody answered the control request: the extension is not loaded in it. */
  | 'silent'
  /** The kernel speaks another version of the wire; `problem` names both. */
  | 'mismatch'
  /** This page inserts and runs cells. */
  | 'leads'
  /** Another page does; this one shows what there is. */
  | 'follows'
  /** The kernel died or restarts. */
  | 'lost';

/** An answer that says what happened, why, and what to do. */
export interface IProblem {
  what: string;
  why: string;
  do: string;
}

/** Everything a view draws. Frozen values: a new state is a new object. */
export interface IState {
  readonly connection: Connection;
  readonly problem: IProblem | null;
  /** The kernel's last answer to `status`; kept while the connection is lost. */
  readonly view: IKernelView | null;
  /** What the intern is doing right now, from signals. */
  readonly activity: string;
  /** The reply being written, from signals; emptied when it is complete. */
  readonly text: string;
  /** Cells inserted since the person last looked at them (ids). */
  readonly unseen: readonly string[];
  /** The cells of the session that are absent from the notebook and may be put back. */
  readonly magicCellMissing: boolean;
  /** Folder names under `intern_runs`, read from the server while no kernel answers. */
  readonly recordsOnDisk: readonly string[];
}

/** The intern of one open notebook. Every method that may fail ends in `state.problem`. */
export interface IIntern {
  readonly panel: NotebookPanel;
  readonly state: IState;
  readonly changed: ISignal<IIntern, IState>;
  readonly isDisposed: boolean;

  /** Cells. */
  runCell(cellId: string): Promise<void>;
  skipCell(cellId: string, reason: string): Promise<void>;
  /** Run the waiting code cells of this kind and those to come in this turn. */
  runKind(kind: string): Promise<void>;
  /** Scroll to a cell and select it. */
  revealCell(cellId: string): Promise<void>;
  markSeen(cellIds: readonly string[]): void;

  /** The turn. */
  steer(text: string): Promise<void>;
  pause(): Promise<void>;
  resumeHeld(): Promise<void>;
  /** Stop the intern; `jobs`: cancel its jobs as well. Cells go on. */
  stop(jobs: boolean): Promise<void>;
  /** Interrupt the cell that runs; the intern goes on. */
  interruptCell(): Promise<void>;
  setMode(mode: Mode): Promise<void>;
  /** The word on a call that asked; whether the kernel took it: the first answer counts. */
  answer(call: string, yes: boolean, reason: string): Promise<boolean>;
  /** Make room in the model's window before the next model call. */
  compact(): Promise<void>;
  setModel(model: string, role: ModelRole): Promise<void>;

  /** Jobs. */
  startJob(name: string): Promise<void>;
  cancelJob(name: string): Promise<void>;

  /** Sessions. */
  /** Load the extension if it is not, and go on with an unfinished session. */
  resumeSession(session: string): Promise<void>;
  /** Take the lead from another page. */
  followHere(): Promise<void>;
  putMagicCellBack(): Promise<void>;
  /** Insert `%load_ext` and a first `%%intern` cell, without running them. */
  begin(): Promise<void>;
  dismissProblem(): void;
}

/** The interns of all open notebooks, and the one of the active notebook. */
export interface IInterns {
  readonly current: IIntern | null;
  readonly currentChanged: ISignal<IInterns, IIntern | null>;
  /** A new intern, i.e. a notebook was opened. */
  readonly added: ISignal<IInterns, IIntern>;
  of(panel: NotebookPanel): IIntern | null;
  forEach(visit: (intern: IIntern) => void): void;
}

export const IInterns = new Token<IInterns>(
  'mlintern-jupyter:IInterns',
  'The interns of the open notebooks.'
);
