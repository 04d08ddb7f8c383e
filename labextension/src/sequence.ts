/** Puts the numbered messages of one boot in order, each once, and knows when one is missing. */
import type { Said } from './wire';

/** More than that is asked for again. */
const HELD_MOST = 2000;

export class Sequence {
  /**
   * @param give takes every message once, in order
   */
  constructor(private readonly give: (said: Said) => void) {}

  /** Number of the last message that was given on. */
  get last(): number {
    return this._last;
  }

  /** Whether messages wait for one before them. */
  get isWaiting(): boolean {
    return this._held.size > 0;
  }

  /** Whose numbers these are; empty before anybody said. */
  get boot(): string {
    return this._boot;
  }

  /** Everything is wanted again. */
  restart(): void {
    this._last = 0;
  }

  /**
   * From now on the numbers of this boot count; what waits of another never comes to its turn.
   *
   * @returns whether another one counted so far
   */
  begin(boot: string): boolean {
    const isNew = boot !== this._boot;
    if (isNew) {
      this._boot = boot;
      this._last = 0;
    }
    for (const [number, said] of this._held) {
      if (said.boot !== boot) {
        this._held.delete(number);
      }
    }
    return isNew;
  }

  /** The kernel is gone, and what waits with it. */
  clear(): void {
    this._boot = '';
    this._last = 0;
    this._held.clear();
  }

  /** A message as it arrives, given on if it is the next. False: one before it is missing. */
  live(said: Said): boolean {
    if (said.boot !== this._boot) {
      this.hold(said);
      return false;
    }
    if (said.seq <= this._last) {
      return true;
    }
    if (said.seq === this._last + 1) {
      this.replay(said);
      this.release();
      return true;
    }
    this.hold(said);
    return false;
  }

  /** Keep a message until those before it are here. */
  hold(said: Said): void {
    const isWanted = said.boot !== this._boot || said.seq > this._last;
    if (isWanted && this._held.size < HELD_MOST) {
      this._held.set(said.seq, said);
    }
  }

  /** One of those that were asked for: what is not among them is not wanted any more. */
  replay(said: Said, heeded = true): void {
    if (said.seq > this._last) {
      this._last = said.seq;
      if (heeded) {
        this.give(said);
      }
    }
  }

  /** All up to this number was replayed. */
  upTo(number: number): void {
    this._last = Math.max(this._last, number);
    this.release();
  }

  private release(): void {
    for (let next; (next = this._held.get(this._last + 1)); ) {
      this.replay(next);
    }
    for (const number of this._held.keys()) {
      if (number <= this._last) {
        this._held.delete(number);
      }
    }
  }

  private _boot = '';
  private _last = 0;
  private _held = new Map<number, Said>();
}
