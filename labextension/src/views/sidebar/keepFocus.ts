/** Keeps the focus of the keyboard in the sidebar when the control that has it goes away. */
import type { IDisposable } from '@lumino/disposable';

/**
 * Where the browser would let the focus fall to the page, it goes to the nearest part that is still
 * there; to the part, not to a control of it: a key that is still held down must not press another.
 */
export class KeepFocus implements IDisposable {
  constructor(private _node: HTMLElement) {
    this._observer = new MutationObserver(() => this._keep());
    this._observer.observe(_node, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ['disabled']
    });
    _node.addEventListener('focusin', this);
    _node.addEventListener('focusout', this);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._observer.disconnect();
    this._node.removeEventListener('focusin', this);
    this._node.removeEventListener('focusout', this);
  }

  handleEvent(event: FocusEvent): void {
    const at = event.target as HTMLElement;
    if (event.type === 'focusin') {
      this._path = [];
      for (let each: HTMLElement | null = at; each; each = each.parentElement) {
        this._path.push(each);
        if (each === this._node) {
          break;
        }
      }
    } else {
      // Told before a removal is done: only then is it known who took the focus away.
      queueMicrotask(() => {
        if (this._path[0] === at && isThere(at) && document.activeElement !== at) {
          this._path = [];
        }
      });
    }
  }

  private _keep(): void {
    const [at, ...around] = this._path;
    if (!at || isThere(at)) {
      return;
    }
    this._path = [];
    const now = document.activeElement;
    const part = around.find(each => each.isConnected);
    if (part && (now === null || now === document.body || now === at)) {
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
    }
  }

  private readonly _observer: MutationObserver;
  private _path: HTMLElement[] = [];
  private _isDisposed = false;
}

function isThere(node: HTMLElement): boolean {
  return node.isConnected && !node.matches(':disabled');
}
