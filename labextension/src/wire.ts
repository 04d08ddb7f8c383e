/**
 * The words between the kernel and the page. Generated from mlintern_jupyter/{wire,views,commands,
 * events,cells}.py by `make types`: change those, not this file.
 */

export const VERSION = '0.1.0';
export const WIRE_VERSION = 5;
export const COMM_ID = 'mlintern';
export const CONTROL_REQUEST = 'mlintern_request';
export const CONTROL_REPLY = 'mlintern_reply';
export const PING_TIMEOUT_S = 2.0;
export const LEAD_EXPIRES_S = 10.0;
export const CARD_MIME = 'application/vnd.mlintern.card+json';

export type ToPeer = IPing | IInsertCell | IUpdateCell | IRunCell | IReadCells | IFactSaid | ISignalSaid | ILeads;
export type ToKernel =
  IHello | IBye | ICellsRead | ICellNotRun | ICellRestored | IAskOutputs | IAskStatus | ISendCommand;
export type Reply = IRefused | IHelloReply | IStatusReply | IOutputsReply | IDone;
export type Command =
  | IStartTurn
  | IResumeTurn
  | ISteer
  | IStop
  | IPause
  | IContinue
  | ISetMode
  | IRunKind
  | IAnswer
  | ICompact
  | ISetModel
  | IStartJob
  | ICancelJob;
export type Fact =
  | ISessionStarted
  | ITurnStarted
  | ITurnResumed
  | IReserved
  | IReplied
  | ISettled
  | IEffectIntended
  | IEffectSettled
  | IPlanChanged
  | ICellProposed
  | ICellStarted
  | ICellEnded
  | IDecided
  | ICellReturned
  | IModeChanged
  | IKindAllowed
  | IHoldChanged
  | IOwnCellRan
  | ISteered
  | INudged
  | IRunRecorded
  | IHeldOutRead
  | IAsked
  | IAnswered
  | ICompacted
  | IModelChanged
  | IAgentStarted
  | IAgentEnded
  | ITurnEnded
  | IToolsetsChanged;
export type Signal = ITextDelta | IActivity;
export type Mode = 'review' | 'auto' | 'unattended';
export type ModelRole = 'main' | 'research' | 'compaction' | 'fallback';
export type JobState = 'held' | 'running' | 'completed' | 'failed' | 'cancelled' | 'lost' | 'absent';
export type CellKind = 'plan' | 'literature' | 'dataset' | 'script' | 'run' | 'eval' | 'plot' | 'note' | 'report';
export type CellState = 'proposed' | 'queued' | 'running' | 'done' | 'failed' | 'interrupted' | 'skipped' | 'unknown';
export type CellType = 'code' | 'markdown';
export type Outcome = 'completed' | 'interrupted' | 'limit' | 'paused' | 'failed';

/** Is anybody there? A peer answers with Hello. */
export interface IPing {
  kind: 'ping';
}

/** Put a cell after the last of `anchors` that still exists, else at the end. */
export interface IInsertCell {
  session: string;
  cell: INewCell;
  /** Ids of the session's cells so far, the magic cell first, the newest last. */
  anchors: string[];
  kind: 'insert';
}

/** A cell to be inserted. The kernel chooses its id, so inserting twice is inserting once. */
export interface INewCell {
  id: string;
  cell_type: CellType;
  source: string;
  mark: ICellMark;
  /** The intern's expectation, for a front end that shows it beside the proposal. */
  why: string;
}

/**
 * `cell.metadata.mlintern`: small, written when proposed and when settled, never after.
 *
 * A cache for people and for git; where it and the ledger differ, the ledger wins.
 */
export interface ICellMark {
  session: string;
  call: string;
  kind: CellKind;
  state: CellState;
  model: string;
  proposed_sha256: string;
  run_sha256: string;
  parents: string[];
  sources: string[];
  /** Run again after a kernel restart, before anything else. */
  setup: boolean;
  /** On the magic's own cell: the outcome in one line, for a copy without its ledger. */
  summary: string;
  v: number;
}

/** Change a cell's text (only one that was not run), its mark, or both. */
export interface IUpdateCell {
  cell_id: string;
  source: string | null;
  mark: {
    [k: string]: unknown;
  } | null;
  kind: 'update';
}

/** Run a cell as an ordinary execution, with its id in the request's metadata. */
export interface IRunCell {
  cell_id: string;
  kind: 'run';
}

/** Answer with CellsRead that carries the same `request`. */
export interface IReadCells {
  request: string;
  kind: 'read';
}

/** A committed fact of a session, with its ledger number. */
export interface IFactSaid {
  session: string;
  number: number;
  fact: Fact;
  kind: 'fact';
}

/** A droppable signal of a session. */
export interface ISignalSaid {
  session: string;
  signal: Signal;
  kind: 'signal';
}

/** Which page inserts and runs cells from now on. Others show what there is. */
export interface ILeads {
  /** The page's name as it said in Hello; empty: nobody leads, the next Hello will. */
  tab: string;
  kind: 'leads';
}

/**
 * A peer introduces itself; the reply holds messages after `last_seq` of `boot`, paged.
 *
 * One page leads: the one that ran the magic cell, else the first to say hello. The kernel
 * knows which client ran a cell by the header of its request, and which page a client belongs to
 * by the header of its Hello.
 */
export interface IHello {
  /** What it is: `headless` or `lab`. */
  peer: string;
  wire: number;
  last_seq: number;
  /** What numbered the messages this peer knows; numbers of another boot mean nothing. */
  boot: string;
  /** Name of the page that survives its reload; empty for a peer that is always alone. */
  tab: string;
  /** The person said "Follow here". */
  take_lead: boolean;
  /** With everything a page shows (`HelloReply.status`): one question less after a reload. */
  whole: boolean;
  /** Version of the package this peer was built with, to be named if the wires differ. */
  version: string;
  kind: 'hello';
}

/** A page closes the notebook, or goes away: another may lead at once. */
export interface IBye {
  tab: string;
  kind: 'bye';
}

/** The answer to ReadCells. */
export interface ICellsRead {
  request: string;
  cells: ICellView[];
  kind: 'cells';
}

/** A cell as it stands in the notebook now. */
export interface ICellView {
  id: string;
  cell_type: CellType;
  source: string;
  mark: {
    [k: string]: unknown;
  } | null;
}

/**
 * A cell will not run: skipped or deleted by the person, aborted, or not there.
 *
 * `missing` is said when a cell was absent for five seconds, of the magic cell too (the turn is
 * held then).
 */
export interface ICellNotRun {
  cell_id: string;
  state: 'skipped' | 'aborted' | 'missing';
  reason: string;
  kind: 'not_run';
}

/** A cell that was said to be missing is in the notebook again (redo, paste, put back). */
export interface ICellRestored {
  cell_id: string;
  kind: 'returned';
}

/**
 * The reply is what a settled cell of a session showed, from the record.
 *
 * A page that was loaded anew has lost what was not saved, and hears nothing of a cell that runs.
 */
export interface IAskOutputs {
  cell_id: string;
  kind: 'outputs';
}

/** The reply says which sessions are at work here and which cells are wanted. */
export interface IAskStatus {
  /** With everything a page shows (`StatusReply.view`). */
  whole: boolean;
  /** The asking page: hearing from it keeps its lead alive. */
  tab: string;
  kind: 'status';
}

/** A command of `commands.py` for a session, as a JSON object with its `kind`. */
export interface ISendCommand {
  /** Empty for a command that needs none (jobs). */
  session: string;
  command: Command;
  kind: 'command';
}

/** The reply to a request that could not be answered. */
export interface IRefused {
  what: string;
  why: string;
  do: string;
  seq: number;
  boot: string;
  ok: false;
}

/** The reply to Hello. */
export interface IHelloReply {
  wire: number;
  /** Number of the last message said so far. */
  seq: number;
  boot: string;
  /** Whether the asking page leads. */
  leads: boolean;
  /** Messages of `ToPeer` as they were said, oldest first, at most `PAGE_BYTES` of them. */
  messages: Said[];
  /** Say Hello again from the last of these on. */
  more: boolean;
  /** As of now, later than the messages. */
  status: IStatusReply | null;
  ok: true;
}

/** The reply to AskStatus. */
export interface IStatusReply {
  /** Read before it was computed: a page that saw less has lost a message. */
  seq: number;
  boot: string;
  /** Sessions at work. */
  active: string[];
  /** Cells a step waits for that only a person can run. */
  wanted: string[];
  leads: boolean;
  view: IKernelView | null;
  ok: true;
}

/** What a kernel with the intern in it shows to a page. */
export interface IKernelView {
  version: string;
  python: string;
  /** Where records go. */
  folder: string;
  /** The most permissive mode that is allowed here. */
  mode_cap: Mode;
  /** From the configuration; empty if none. */
  default_model: string;
  /** The session open in this kernel. */
  session: ISessionView | null;
  /** Sessions of this folder, the newest first, at most 50. */
  records: IRecordView[];
  jobs: IJobView[];
  providers: IProviderView[];
  benchmarks: string[];
  /** What this version cannot do yet, in words. */
  missing: string[];
}

/** Everything a page shows of one session. */
export interface ISessionView {
  session: string;
  goal: string;
  /** `working`, or how the last turn ended. */
  status: string;
  /** Whether a turn runs in this kernel now; an unfinished session may be resumed if not. */
  running: boolean;
  /** Why the turn is held; empty if it is not. */
  held: string;
  mode: Mode;
  model: string;
  /** Model of each role that has one of its own; `main` is always there. */
  models: {
    [k: string]: string;
  };
  /** The main model is down, or went in circles, and the fallback does its work. */
  on_fallback: boolean;
  magic_cell_id: string;
  /** Text of the magic cell, to put it back if it was deleted. */
  magic_source: string;
  /** Where the ledger is. */
  record: string;
  turn: number;
  step: number;
  limits: ILimits;
  spent: ISpent;
  unmetered: boolean;
  /** Tokens of the last prompt and reply. */
  context_used: number;
  /** The model's window; `null` before the first turn of this kernel. */
  context_tokens: number | null;
  /** Nobody knows the model's window: that number is a careful guess. */
  context_assumed: boolean;
  compaction: ICompactionView | null;
  /** What is left of the budget is kept for the final evaluation and saving. */
  closing: boolean;
  plan: IPlanItemView[];
  activity: string;
  cells: number;
  /** Every cell of the session, in order; a mark with another id is a copy. */
  cell_ids: string[];
  /** Tool calls that wait for a yes or a no. */
  asks: IAskView[];
  pending: IPendingCellView[];
  /** Sub-agents at work, and the last ones that ended; at most ten. */
  agents: IAgentView[];
  allowed_kinds: string[];
  best: IScoreView | null;
  sources: ISourceView[];
  /** The last ten. */
  own_cells: IOwnCellView[];
  /** Cells of the person that ran without waiting, because they stood in line already. */
  queued_cells: number;
  outcome: IOutcomeView | null;
  /** The run card as it would be drawn now, in a few lines of Markdown. */
  card: string;
}

/** What a session may use. `null` means no limit of that kind was set. */
export interface ILimits {
  usd: number | null;
  hours: number | null;
  steps: number;
  tokens: number | null;
}

/** What a session has used so far. `usd` is `null` once any part of it is unknown. */
export interface ISpent {
  /** Replies of the intern itself; those of sub-agents are in `usage` and `usd` only. */
  steps: number;
  usage: IUsage;
  usd: number | null;
  /**
   * Wall-clock seconds of model calls and tool calls; time in which a person was waited for is
   * not in it.
   */
  seconds: number;
  /** Reserved by a call that has not been settled (a crash between counts as spent). */
  reserved_usd: number;
  /** The same in tokens. */
  reserved_tokens: number;
}

/** Tokens of one model call, or a sum of such. */
export interface IUsage {
  /** Prompt tokens, the cached ones included. */
  input_tokens: number;
  /** Completion tokens, reasoning included. */
  output_tokens: number;
  /** Prompt tokens the provider served from its cache. */
  cached_tokens: number;
}

/** The last time that room was made in the intern's window. */
export interface ICompactionView {
  step: number;
  /** `full`, `refused` (by the provider) or `asked` (by the person). */
  why: string;
  tokens_before: number;
  tokens_after: number;
}

/** One line of the plan. */
export interface IPlanItemView {
  step: string;
  /** `todo`, `active` or `done`. */
  state: string;
}

/**
 * A tool call that waits for a yes or a no.
 *
 * What a model wrote in it is shown with hidden characters (bidirectional marks, zero width)
 * escaped: what reads harmless must be harmless.
 */
export interface IAskView {
  call: string;
  tool: string;
  /**
   * One a line, the lines of a longer text indented below its name; the middle of a very long
   * one is left out, and said to be.
   */
  arguments: string;
  /** Empty: nobody knows what it would do. */
  effects: string[];
  /** The rule that asks. */
  why: string;
  /** `null`: unknown. */
  price_usd: number | null;
  /** Who can see what it leaves behind: here, private, public or unknown. */
  visibility: string;
  /** Untrusted text that was read since the person spoke last. */
  sources: string[];
  /** Role of the sub-agent that asks; empty: the intern itself. */
  agent: string;
  /** Where it says that it connects to. */
  hosts: string[];
  /** Names of the keys it would be given for these hosts. */
  keys: string[];
}

/** A proposed code cell that waits for the person. */
export interface IPendingCellView {
  cell_id: string;
  kind: string;
  first_line: string;
  why: string;
  /** What the static guard of mode `auto` has against running it unasked; empty if nothing. */
  asks: string;
  /** What running it costs, in words: a job's price or cap; empty for a cell without a job. */
  cost: string;
}

/** A sub-agent of the turn. */
export interface IAgentView {
  agent: string;
  role: string;
  task: string;
  /** `working`, `completed`, or how else it ended; `unfinished` if its turn ended first. */
  state: string;
  steps: number;
  /** Names of the tools it uses right now. */
  doing: string;
  /** Why it could not go on. */
  reason: string;
}

/** The best dev score so far, and the baseline it is seen beside. Fractions, not percent. */
export interface IScoreView {
  name: string;
  task: string;
  split: string;
  value: number;
  low: number;
  /** Ends of the 95% interval. */
  high: number;
  n: number;
  baseline: number | null;
  chance: number | null;
  /** Of the newest comparison: improved, no evidence or worse; empty before it. */
  verdict: string;
}

/** A paper, page or data set that a cell of the session names. */
export interface ISourceView {
  url: string;
  cell_id: string;
  kind: string;
}

/** A cell of the person's own that the intern was told of. */
export interface IOwnCellView {
  cell_id: string;
  first_line: string;
  state: string;
}

/** How the last turn ended. */
export interface IOutcomeView {
  outcome: string;
  reason: string;
  summary: string;
  do: string;
}

/** A session of this folder, open or not. */
export interface IRecordView {
  session: string;
  goal: string;
  /** One line: how it stands, steps, cells, cost, outcome. */
  line: string;
  finished: boolean;
}

/** A job of this folder. */
export interface IJobView {
  name: string;
  key: string;
  state: JobState;
  seconds: number;
  step: number | null;
  total_steps: number | null;
  /** At most 60 points (global_step, loss), oldest first. */
  curve: [number, number][];
  /** Numbers of the newest row. */
  metrics: {
    [k: string]: number;
  };
  /** So far; `null` where no price is known. A job on this machine costs 0. */
  cost_usd: number | null;
  /** The most it may cost; of a held job the sum that Start says yes to. */
  quote_usd: number | null;
  reason: string;
}

/** A provider of language models, and whether its key is set where the kernel runs. */
export interface IProviderView {
  name: string;
  /** Name of the environment variable; never its value. */
  variable: string;
  is_set: boolean;
}

/** The reply to AskOutputs. */
export interface IOutputsReply {
  seq: number;
  boot: string;
  /** As nbformat holds them, bounded as in the record. */
  outputs: {
    [k: string]: unknown;
  }[];
  execution_count: number | null;
  ok: true;
}

/** The reply to everything else. */
export interface IDone {
  seq: number;
  boot: string;
  ok: true;
}

/** Begin a turn from a request of the person. */
export interface IStartTurn {
  text: string;
  cell_id: string;
  /** The magic cell's whole text, to show the difference when it is run again changed. */
  source: string;
  /** What the intern is told beside the request: task facts, limits, what is not available. */
  briefing: string;
  kind: 'StartTurn';
}

/** Go on with the unfinished turn of this session. */
export interface IResumeTurn {
  /** What the intern is told: names that are gone, effects whose end is unknown. */
  note: string;
  kind: 'ResumeTurn';
}

/** Words of the person for the running turn. */
export interface ISteer {
  text: string;
  kind: 'Steer';
}

/** End the running turn; jobs and the person's cells go on, unless jobs are to end too. */
export interface IStop {
  /** Cancel the running jobs of this folder as well. */
  jobs: boolean;
  kind: 'Stop';
}

/** Hold the turn before its next model call; what runs goes on. */
export interface IPause {
  kind: 'Pause';
}

/** Let a held turn go on. */
export interface IContinue {
  kind: 'Continue';
}

/** Switch the mode; it holds for proposals that wait already, too. */
export interface ISetMode {
  mode: Mode;
  kind: 'SetMode';
}

/**
 * Run the waiting cells of a kind and those to come in this turn.
 *
 * The static guard of mode `auto` still judges each of them.
 */
export interface IRunKind {
  cell_kind: string;
  kind: 'RunKind';
}

/** The person's word on a tool call that waits for a yes (`events.Asked`). */
export interface IAnswer {
  call: string;
  yes: boolean;
  reason: string;
  kind: 'Answer';
}

/** Make room in the model's window before the next model call. */
export interface ICompact {
  kind: 'Compact';
}

/** Give a role to another model, from the next model call on. */
export interface ISetModel {
  /** As after `--model`. */
  model: string;
  role: ModelRole;
  kind: 'SetModel';
}

/** Start a held job: the yes to its price. No session is needed for it. */
export interface IStartJob {
  name: string;
  kind: 'StartJob';
}

/** End a job and every child of it. No session is needed for it. */
export interface ICancelJob {
  name: string;
  kind: 'CancelJob';
}

/** The first line of every ledger. */
export interface ISessionStarted {
  type: 'SessionStarted';
  session: string;
  goal: string;
  model: string;
  mode: string;
  limits: {
    [k: string]: unknown;
  };
  options: {
    [k: string]: unknown;
  };
  cell_id: string;
  workdir: string;
  /** Version of this package that wrote the ledger. */
  package: string;
}

/** A request of the person, verbatim. */
export interface ITurnStarted {
  type: 'TurnStarted';
  turn: number;
  text: string;
  source: string;
  /** What the session added to the request: task facts, limits, what is not available. */
  briefing: string;
  cell_id: string;
}

/** An unfinished turn goes on in a new process. */
export interface ITurnResumed {
  type: 'TurnResumed';
  turn: number;
  /** What the intern is told: names that are gone, effects whose end is unknown. */
  note: string;
}

/** Part of the budget is set aside for one model call. A crash before Settled counts it. */
export interface IReserved {
  type: 'Reserved';
  step: number;
  tokens: number;
  usd: number | null;
  agent: string;
  kind: 'main' | 'research' | 'compaction';
}

/** A complete model reply, committed before any of its calls runs. */
export interface IReplied {
  type: 'Replied';
  step: number;
  text: string;
  calls: IToolCall[];
  stop: string;
  model: string;
  /** What the provider wants back untouched with the calls of this reply. */
  thinking: {
    [k: string]: unknown;
  }[];
  agent: string;
}

/** One call the model asks for. `arguments` is the raw JSON text as it came. */
export interface IToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** What the model call of a step really used. */
export interface ISettled {
  type: 'Settled';
  step: number;
  usage: IUsage;
  usd: number | null;
  seconds: number;
  /** False: it gave no answer that could be used. */
  replied: boolean;
  agent: string;
  kind: 'main' | 'research' | 'compaction';
}

/** A validated, approved tool call is about to be carried out. */
export interface IEffectIntended {
  type: 'EffectIntended';
  step: number;
  call: string;
  tool: string;
  arguments: {
    [k: string]: unknown;
  };
  /** sha256 of what was allowed: tool, exact arguments, effects, price and visibility. */
  grant: string;
  /** Untrusted text the model had read when it made the call, by where it came from. */
  sources: string[];
  agent: string;
}

/** The result of a tool call, as the model reads it. */
export interface IEffectSettled {
  type: 'EffectSettled';
  step: number;
  call: string;
  tool: string;
  ok: boolean;
  text: string;
  facts: {
    [k: string]: unknown;
  };
  /** Working time: a person was not waited for in it. */
  seconds: number;
  /** PNG in base64; empty for a model that cannot see. */
  images: string[];
  /** Where untrusted text in the result came from; empty: from us and the person. */
  sources: string[];
  /** The result before it was cut for the model; empty where nothing was cut. */
  whole: string;
  agent: string;
}

/** The intern's plan, whole. */
export interface IPlanChanged {
  type: 'PlanChanged';
  items: {
    [k: string]: string;
  }[];
}

/** A cell was put into the notebook (or is about to be: its id makes that idempotent). */
export interface ICellProposed {
  type: 'CellProposed';
  cell_id: string;
  call: string;
  kind: string;
  cell_type: string;
  source: string;
  setup: boolean;
  sources: string[];
  /** The intern's expectation, shown beside the proposal. */
  why: string;
}

/** A cell of this session began to run; committed before its code does. */
export interface ICellStarted {
  type: 'CellStarted';
  cell_id: string;
  sha256: string;
  source: string;
}

/** A cell of this session ended: its outcome but for the source, which `CellStarted` has. */
export interface ICellEnded {
  type: 'CellEnded';
  cell_id: string;
  state: string;
  error: string;
  seconds: number;
  outputs: {
    [k: string]: unknown;
  }[];
  records: {
    [k: string]: unknown;
  }[];
  execution_count: number | null;
}

/** A person (or the mode) said yes or no to a proposed cell. */
export interface IDecided {
  type: 'Decided';
  cell_id: string;
  run: boolean;
  /** `person` or `mode`. */
  by: string;
  reason: string;
}

/** A cell whose absence was taken for a refusal is back: it is proposed again. */
export interface ICellReturned {
  type: 'CellReturned';
  cell_id: string;
}

/** The person switched the mode while the session was open. */
export interface IModeChanged {
  type: 'ModeChanged';
  mode: string;
}

/** Until the turn ends, code cells of this kind run by themselves, as in mode `auto`. */
export interface IKindAllowed {
  type: 'KindAllowed';
  kind: string;
}

/** The turn is held before its next model call, or goes on. No clock runs meanwhile. */
export interface IHoldChanged {
  type: 'HoldChanged';
  held: boolean;
  why: string;
}

/** The person ran a cell of their own: one line about it. */
export interface IOwnCellRan {
  type: 'OwnCellRan';
  cell_id: string;
  first_line: string;
  state: string;
  names: string[];
  /** It stood in line when the intern was started (Run All), so it did not wait for it. */
  queued: boolean;
}

/** Words of the person during a turn. */
export interface ISteered {
  type: 'Steered';
  text: string;
}

/** The session put one sentence of its own into the conversation. */
export interface INudged {
  type: 'Nudged';
  step: number;
  rule: string;
  text: string;
  agent: string;
}

/** A training or an evaluation with its numbers, as the cell that made it showed them. */
export interface IRunRecorded {
  type: 'RunRecorded';
  record: {
    [k: string]: unknown;
  };
  cell_id: string;
}

/** Held-out items were opened by something other than the scorer: no claim stands. */
export interface IHeldOutRead {
  type: 'HeldOutRead';
  path: string;
  by: string;
}

/** A tool call waits for a yes that running a cell cannot give. */
export interface IAsked {
  type: 'Asked';
  step: number;
  call: string;
  tool: string;
  arguments: {
    [k: string]: unknown;
  };
  effects: string[];
  /** The rule that asks. */
  why: string;
  /** `null`: unknown. */
  price_usd: number | null;
  visibility: string;
  /** sha256 of exactly what a yes allows, once. */
  grant: string;
  /** Untrusted text the model had read since the person spoke last. */
  sources: string[];
  agent: string;
  hosts: string[];
  /** Names of the keys it would be given for these hosts. */
  keys: string[];
}

/** The person's word on a call that was asked about. */
export interface IAnswered {
  type: 'Answered';
  call: string;
  yes: boolean;
  reason: string;
}

/**
 * Older parts of a conversation are shown shorter from here on; the ledger keeps all of it.
 *
 * Messages are counted from the beginning of the agent's whole conversation.
 */
export interface ICompacted {
  type: 'Compacted';
  step: number;
  /** `full`, `refused` (the provider said it does not fit) or `asked` (by the person). */
  why: string;
  /** Messages before this one are in the digest. */
  digested: number;
  /**
   * Messages from `digested` up to this one are shown as call and reference, later ones
   * whole.
   */
  referenced: number;
  pinned: string;
  digest: string;
  tokens_before: number;
  tokens_after: number;
  agent: string;
}

/** From here on another model has this role. */
export interface IModelChanged {
  type: 'ModelChanged';
  /** `main`, `research`, `compaction` or `fallback`. */
  role: string;
  model: string;
  /** `the person`, or why the session did it by itself. */
  why: string;
}

/** A sub-agent was given a task by a call of the intern; the call names it on a resume. */
export interface IAgentStarted {
  type: 'AgentStarted';
  agent: string;
  role: string;
  task: string;
  call: string;
  model: string;
}

/** A sub-agent is done, or cannot go on; its text is the answer to the call. */
export interface IAgentEnded {
  type: 'AgentEnded';
  agent: string;
  outcome: Outcome;
  text: string;
  reason: string;
}

/** A turn always ends with one of these. */
export interface ITurnEnded {
  type: 'TurnEnded';
  turn: number;
  outcome: Outcome;
  reason: string;
  summary: string;
  do: string;
}

/** From the next turn on these toolsets are on, and no others. */
export interface IToolsetsChanged {
  type: 'ToolsetsChanged';
  toolsets: string[];
}

/** A piece of the reply being written. */
export interface ITextDelta {
  type: 'TextDelta';
  step: number;
  text: string;
}

/** What the intern is doing right now, in a few words. */
export interface IActivity {
  type: 'Activity';
  text: string;
}

/**
 * A message as the kernel says it. `seq` numbers it within its `boot`, from when the extension was
 * loaded; 0: it may be dropped and is not repeated.
 */
export type Said = ToPeer & { seq: number; boot: string };
