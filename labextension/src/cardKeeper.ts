/**
 * Keeps the run card in the magic cell up to date. Lab gives changes of an output only to the page
 * that ran the cell, and only until it is loaded again; what was not saved is lost with the page.
 */
import type { Kernel } from '@jupyterlab/services';
import type { PartialJSONObject } from '@lumino/coreutils';
import { CARD_MIME, type ISessionView } from './wire';

export interface ICardPlace {
  /** The card of a session in a cell; `undefined`: the cell shows none. */
  card(cellId: string, session: string): PartialJSONObject | undefined;
  /** Show a card in a cell, in place of the one of its session. */
  putCard(cellId: string, session: string, bundle: PartialJSONObject): void;
}

export class CardKeeper {
  constructor(private readonly place: ICardPlace) {}

  /** An output of the kernel changes: a card in it is the newest. */
  hear(args: Kernel.IAnyMessageArgs, session: ISessionView | null): void {
    const { msg, direction } = args;
    if (direction !== 'recv' || msg.header.msg_type !== 'update_display_data') {
      return;
    }
    const { data } = msg.content as { data: PartialJSONObject };
    const card = data[CARD_MIME] as PartialJSONObject | undefined;
    if (session !== null && card?.session === session.session) {
      this.place.putCard(session.magic_cell_id, session.session, data);
    }
  }

  /** How it stands, as a page that comes to it finds it: the card may be missing or old. */
  found(session: ISessionView): void {
    if (this._looked) {
      return;
    }
    this._looked = true;
    const card = this.place.card(session.magic_cell_id, session.session);
    if (card?.status !== session.status) {
      this.place.putCard(session.magic_cell_id, session.session, bundleOf(session));
    }
  }

  /** Another kernel. */
  clear(): void {
    this._looked = false;
  }

  private _looked = false;
}

/** What the kernel shows, as it is at this moment. */
function bundleOf(session: ISessionView): PartialJSONObject {
  const { status, goal, card: text } = session;
  const lines = text.split('\n');
  const card = { v: 1, session: session.session, status, goal, lines, record: session.record };
  return { [CARD_MIME]: card, 'text/markdown': text, 'text/plain': text };
}
