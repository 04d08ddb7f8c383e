/** Keeps what the person looks at in its place when something above it grows or shrinks. */
import type { Notebook } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';

/**
 * Watches a bar. Lab lets the browser hold on to the active cell alone (`overflow-anchor`); while that
 * cell is out of sight nothing would make up for the height of a bar above the visible cells.
 */
export class Steady implements IDisposable {
  constructor(
    private _notebook: Notebook,
    private _node: HTMLElement
  ) {
    this._observer = new ResizeObserver(() => this._keep(this._node.offsetHeight));
    this._observer.observe(_node);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Call it before the bar is taken away. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._observer.disconnect();
      this._keep(0);
    }
  }

  private _keep(height: number): void {
    const grown = height - this._height;
    this._height = height;
    const scroller = this._notebook.outerNode;
    if (grown === 0 || !this._node.isConnected) {
      return;
    }
    const view = scroller.getBoundingClientRect();
    const active = this._notebook.activeCell?.node.getBoundingClientRect();
    const held = active && active.bottom > view.top && active.top < view.bottom;
    if (!held && this._node.getBoundingClientRect().bottom <= view.top) {
      scroller.scrollTop += grown;
    }
  }

  private readonly _observer: ResizeObserver;
  private _height = 0;
  private _isDisposed = false;
}
