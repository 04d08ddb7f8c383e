/** What the views offer each other. */
import { Token } from '@lumino/coreutils';
import type { IIntern } from '../tokens';

/** The bars at the cells that wait. */
export interface ICellBars {
  /** Open the field for a reason at a waiting cell and put the cursor into it. */
  askReason(intern: IIntern, cellId: string): void;
}

export const ICellBars = new Token<ICellBars>(
  'mlintern-jupyter:ICellBars',
  'The bars at the cells that wait for the person.'
);

/** The sidebar. */
export interface ISidebar {
  /** Open it without taking the focus. */
  show(): void;
  /** Open it with the cursor in the box that steers, or on its first control. */
  focus(box: boolean): void;
  /** Open it with the cursor on the first open question, on none of its buttons. */
  focusQuestion(): void;
}

export const ISidebar = new Token<ISidebar>(
  'mlintern-jupyter:ISidebar',
  'The sidebar of the intern.'
);
