/**
 * Tells a deleted cell from one that is on its way: only an absence of five seconds counts.
 *
 * Moving, cutting and pasting, splitting and undoing take a cell out for a moment or bring it back.
 */

const ABSENT_MS = 5000;

export interface IAbsenceListener {
  missing(cellId: string): void;
  returned(cellId: string): void;
}

export class Absence {
  constructor(private readonly listener: IAbsenceListener) {}

  /** Cells whose absence matters from now on. */
  watch(cellIds: Iterable<string>): void {
    for (const id of cellIds) {
      this._watched.add(id);
    }
  }

  /** Compare with the notebook; call it whenever its list of cells changed. */
  check(present: ReadonlySet<string>): void {
    for (const id of this._watched) {
      if (!present.has(id)) {
        this.absent(id);
        continue;
      }
      clearTimeout(this._timers.get(id));
      this._timers.delete(id);
      if (this._missing.delete(id)) {
        this.listener.returned(id);
      }
    }
  }

  /** Whether it was said to be missing and has not returned. */
  isMissing(cellId: string): boolean {
    return this._missing.has(cellId);
  }

  /** Another kernel knows nothing of these cells. */
  clear(): void {
    this._timers.forEach(timer => clearTimeout(timer));
    this._timers.clear();
    this._watched.clear();
    this._missing.clear();
  }

  private absent(id: string): void {
    if (this._timers.has(id) || this._missing.has(id)) {
      return;
    }
    const timer = setTimeout(() => {
      this._timers.delete(id);
      this._missing.add(id);
      this.listener.missing(id);
    }, ABSENT_MS);
    this._timers.set(id, timer);
  }

  private _watched = new Set<string>();
  private _missing = new Set<string>();
  private _timers = new Map<string, ReturnType<typeof setTimeout>>();
}
