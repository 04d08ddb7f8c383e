/** "2 new cells": a button at the notebook's edge while new cells are out of sight. Only reads. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import type { IIntern } from '../tokens';

export class Pill implements IDisposable {
  constructor(
    private _intern: IIntern,
    private _trans: TranslationBundle
  ) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'jp-mlintern-Pill';
    button.title = _trans.__('Show the first of them');
    // As a click on the bar: the person may be writing elsewhere.
    button.addEventListener('mousedown', event => event.preventDefault());
    button.addEventListener('click', () => this._reveal());
    this._button = button;
    this._observer = new IntersectionObserver(entries => this._looked(entries));
    _intern.changed.connect(this._sync, this);
    this._sync();
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._intern.changed.disconnect(this._sync, this);
      this._observer.disconnect();
      this._button.remove();
    }
  }

  private _sync(): void {
    const unseen = this._intern.state.unseen;
    this._observe(unseen);
    if (unseen.length === 0) {
      this._button.remove();
      return;
    }
    this._button.textContent = this._trans._n(
      '%1 new cell',
      '%1 new cells',
      unseen.length,
      unseen.length
    );
    if (!this._button.isConnected) {
      this._intern.panel.node.append(this._button);
    }
  }

  /** Watch the nodes of the unseen cells; one that is not drawn yet is found at the next change. */
  private _observe(unseen: readonly string[]): void {
    const wanted = new Set(unseen);
    for (const [id, node] of this._watched) {
      if (!wanted.has(id)) {
        this._observer.unobserve(node);
        this._watched.delete(id);
      }
    }
    const missing = unseen.filter(id => !this._watched.has(id));
    if (missing.length === 0) {
      return;
    }
    for (const cell of this._intern.panel.content.widgets) {
      if (missing.includes(cell.model.id)) {
        this._watched.set(cell.model.id, cell.node);
        this._observer.observe(cell.node);
      }
    }
  }

  private _looked(entries: readonly IntersectionObserverEntry[]): void {
    const nodes = new Set(entries.filter(entry => entry.isIntersecting).map(entry => entry.target));
    const ids = [...this._watched].filter(([, node]) => nodes.has(node)).map(([id]) => id);
    if (ids.length > 0 && !this._isDisposed) {
      this._intern.markSeen(ids);
    }
  }

  private _reveal(): void {
    const first = this._intern.panel.content.widgets.find(cell =>
      this._intern.state.unseen.includes(cell.model.id)
    );
    if (first) {
      void this._intern.revealCell(first.model.id);
    } else {
      // They are no longer in the notebook.
      this._intern.markSeen(this._intern.state.unseen);
    }
  }

  private readonly _button: HTMLButtonElement;
  private readonly _observer: IntersectionObserver;
  private readonly _watched = new Map<string, Element>();
  private _isDisposed = false;
}
