/** How the intern stands, in a button: for the status bar and for the notebook's toolbar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IIntern } from '../tokens';
import { internIcon } from './icons';
import { Dot } from './sidebar/parts';
import { questions, statusText } from './words';

export class StatusButton extends ReactWidget {
  constructor(
    private _trans: TranslationBundle,
    private _open: () => void
  ) {
    super();
    this.addClass('jp-mlintern-Status');
  }

  get intern(): IIntern | null {
    return this._intern;
  }
  set intern(intern: IIntern | null) {
    this._intern?.changed.disconnect(this.update, this);
    this._intern = intern;
    intern?.changed.connect(this.update, this);
    this.update();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._intern?.changed.disconnect(this.update, this);
      super.dispose();
    }
  }

  protected render(): React.ReactElement {
    const trans = this._trans;
    const intern = this._intern;
    const said = intern && !intern.isDisposed ? statusText(intern.state, trans) : null;
    const session = intern?.state.view?.session ?? null;
    const pending = session?.running ? session.pending.length : 0;
    const asks = questions(intern?.state).length;
    const words = [
      said && session ? said.word : '',
      session ? trans.__('step %1', session.step) : '',
      asks ? trans._n('%1 question', '%1 questions', asks, asks) : '',
      pending ? trans.__('%1 to review', pending) : ''
    ].filter(Boolean);
    return (
      <button
        type="button"
        className="jp-mlintern-StatusButton"
        title={
          said
            ? trans.__('Intern: %1. Open the sidebar', said.word)
            : trans.__('Open the sidebar of the intern')
        }
        aria-label={[trans.__('Intern'), ...(words.length ? words : [said?.word ?? ''])].join(', ')}
        onClick={this._open}
      >
        <internIcon.react tag="span" className="jp-mlintern-ButtonIcon" />
        {said && session ? <Dot tone={said.tone} /> : null}
        <span>{words.join(' · ')}</span>
      </button>
    );
  }

  private _intern: IIntern | null = null;
}
