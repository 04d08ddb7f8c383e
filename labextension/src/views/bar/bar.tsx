/** The bar at a cell that waits for the person. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, fastForwardIcon, ReactWidget, runIcon } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import * as React from 'react';
import type { IIntern } from '../../tokens';
import type { IPendingCellView } from '../../wire';
import { Button } from '../sidebar/parts';

export class CellBar extends ReactWidget {
  constructor(
    private _intern: IIntern,
    private _cell: IPendingCellView,
    private _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-mlintern-CellBar');
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', _trans.__('The intern proposes this cell'));
    // A click must not take the focus from where the person writes, nor change the active cell:
    // the notebook leaves clicks alone that are prevented. The field for the reason wants its focus.
    this.node.addEventListener('mousedown', event => {
      if (event.target instanceof HTMLInputElement) {
        event.stopPropagation();
      } else {
        event.preventDefault();
      }
    });
  }

  /** Before it is taken away for good. */
  readonly goes = new Signal<this, void>(this);

  dispose(): void {
    if (!this.isDisposed) {
      this.goes.emit();
      // Before it is detached: Lumino lets go of the focus then, and it would fall to the page.
      this._giveFocusBack();
      super.dispose();
    }
  }

  /** Draw again if what the bar shows has changed. */
  present(cell: IPendingCellView): void {
    this._cell = cell;
    const shown = JSON.stringify([cell, this._intern.state.connection]);
    if (shown !== this._shown) {
      this._shown = shown;
      this.update();
    }
  }

  /** Open the field for a reason, with the cursor in it. */
  askReason(): void {
    this._asking = true;
    this._focusWanted = true;
    this.update();
  }

  protected render(): React.ReactElement {
    const cell = this._cell;
    const trans = this._trans;
    const intern = this._intern;
    const follows = intern.state.connection !== 'leads';
    return (
      <>
        <div className="jp-mlintern-CellBarText">
          <span className="jp-mlintern-Kind">{cell.kind}</span>
          <span>{cell.why || trans.__('Waits for you: run it, change it and run it, or skip it.')}</span>
          {cell.asks || cell.cost ? (
            <div>
              {cell.asks ? (
                <span className="jp-mlintern-Asks">
                  {trans.__('Not run unasked: %1', cell.asks)}
                </span>
              ) : null}
              {cell.cost ? <span>{trans.__('Cost: %1', cell.cost)}</span> : null}
            </div>
          ) : null}
        </div>
        {follows ? this._follower() : this._asking ? this._reason() : this._buttons()}
      </>
    );
  }

  private _buttons(): React.ReactElement {
    const { _cell: cell, _trans: trans, _intern: intern } = this;
    return (
      <div className="jp-mlintern-Row">
        <Button
          main
          label={trans.__('Run')}
          icon={runIcon}
          title={trans.__('Run this cell as it stands, with your changes (Shift+Enter does it, too).')}
          onClick={() => {
            this._giveFocusBack();
            void intern.runCell(cell.cell_id);
          }}
        />
        <Button
          label={trans.__('Skip…')}
          icon={closeIcon}
          title={trans.__('Refuse this cell; you may say why.')}
          onClick={() => this.askReason()}
        />
        <Button
          label={trans.__('Run all “%1”', cell.kind)}
          icon={fastForwardIcon}
          title={trans.__(
            'Run the waiting cells of kind “%1” and those to come in this turn. What the guard has something against still waits.',
            cell.kind
          )}
          onClick={() => {
            this._giveFocusBack();
            void intern.runKind(cell.kind);
          }}
        />
      </div>
    );
  }

  private _reason(): React.ReactElement {
    const trans = this._trans;
    const close = () => {
      this._asking = false;
      this._giveFocusBack();
      this.update();
    };
    const skip = () => {
      close();
      const reason = this._reasonText.trim();
      this._reasonText = '';
      void this._intern.skipCell(this._cell.cell_id, reason);
    };
    return (
      <div className="jp-mlintern-Row jp-mlintern-Reason">
        <input
          type="text"
          ref={input => {
            if (input && this._focusWanted) {
              this._focusWanted = false;
              input.focus({ preventScroll: true });
            }
          }}
          data-lm-suppress-shortcuts="true"
          aria-label={trans.__('Why is this cell skipped?')}
          placeholder={trans.__('Why? (Enter skips, Escape goes back)')}
          defaultValue={this._reasonText}
          onChange={event => (this._reasonText = event.target.value)}
          onKeyDown={event => {
            event.stopPropagation();
            if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
              event.preventDefault();
              skip();
            } else if (event.key === 'Escape') {
              event.preventDefault();
              close();
            }
          }}
        />
        <Button main label={trans.__('Skip')} icon={closeIcon} onClick={skip} />
        <Button label={trans.__('Back')} onClick={close} />
      </div>
    );
  }

  private _follower(): React.ReactElement {
    const trans = this._trans;
    return (
      <div className="jp-mlintern-Row">
        <span className="jp-mlintern-Note">{trans.__('Another page leads')}</span>
        <Button
          label={trans.__('Follow here')}
          title={trans.__('Let this page insert and run the cells from now on.')}
          onClick={() => void this._intern.followHere()}
        />
      </div>
    );
  }

  /** Where the focus is in the bar, it goes to the cell: the bar, or part of it, goes away. */
  private _giveFocusBack(): void {
    if (this.node.contains(document.activeElement)) {
      this.node.closest<HTMLElement>('.jp-Cell')?.focus({ preventScroll: true });
    }
  }

  private _shown = '';
  private _asking = false;
  private _focusWanted = false;
  private _reasonText = '';
}
