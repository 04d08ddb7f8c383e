/** The interns of all open notebooks. */
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';
import { Intern } from './intern';
import type { IIntern, IInterns } from './tokens';

export class Interns implements IInterns {
  /**
   * @param tab the name of this page
   */
  constructor(
    private readonly tracker: INotebookTracker,
    private readonly tab: string,
    private readonly contents: Contents.IManager
  ) {
    tracker.widgetAdded.connect((_, panel) => void this.add(panel));
    tracker.currentChanged.connect(() => this._currentChanged.emit(this.current));
    tracker.forEach(panel => void this.add(panel));
    window.addEventListener('pagehide', () => this._interns.forEach(intern => intern.bye()));
    window.addEventListener('pageshow', event => {
      if (event.persisted) {
        this._interns.forEach(intern => intern.wake());
      }
    });
  }

  get current(): IIntern | null {
    const panel = this.tracker.currentWidget;
    return panel === null ? null : this.of(panel);
  }

  get currentChanged(): ISignal<IInterns, IIntern | null> {
    return this._currentChanged;
  }

  get added(): ISignal<IInterns, IIntern> {
    return this._added;
  }

  of(panel: NotebookPanel): IIntern | null {
    return this._interns.get(panel) ?? null;
  }

  forEach(visit: (intern: IIntern) => void): void {
    this._interns.forEach(visit);
  }

  private async add(panel: NotebookPanel): Promise<void> {
    // Before its file is read a notebook has no cells, which would look as if all were deleted.
    await panel.context.ready;
    if (panel.isDisposed || this._interns.has(panel)) {
      return;
    }
    const intern = new Intern(panel, this.nameOf(panel), this.contents);
    this._interns.set(panel, intern);
    panel.disposed.connect(() => {
      this._interns.delete(panel);
      this._currentChanged.emit(this.current);
    });
    this._added.emit(intern);
    if (panel === this.tracker.currentWidget) {
      this._currentChanged.emit(intern);
    }
  }

  /** Names a view of a notebook: two of one page must not both lead. */
  private nameOf(panel: NotebookPanel): string {
    const name = `${this.tab}/${panel.context.path}`;
    let views = 0;
    this._interns.forEach(intern => {
      views += intern.panel.context === panel.context ? 1 : 0;
    });
    return views === 0 ? name : `${name}#${views + 1}`;
  }

  private _interns = new Map<NotebookPanel, Intern>();
  private _currentChanged = new Signal<IInterns, IIntern | null>(this);
  private _added = new Signal<IInterns, IIntern>(this);
}
