/** The run card: what was saved, and how it stands if its session is the open one. */
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, refreshIcon, undoIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import type { IIntern, IInterns } from '../../tokens';
import { CARD_MIME } from '../../wire';
import { internIcon } from '../icons';
import { Button, Dot, Inline } from '../sidebar/parts';
import { resumable, statusText } from '../words';
import { bullet, type ICard, readCard } from './inline';

export class Card extends ReactWidget implements IRenderMime.IRenderer {
  constructor(
    private _interns: IInterns,
    private _trans: TranslationBundle,
    private _openSidebar: () => void
  ) {
    super();
    this.addClass('jp-mlintern-Card');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._card = readCard(model.data[CARD_MIME]);
    this.update();
    return Promise.resolve();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._leave();
      super.dispose();
    }
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._interns.added.connect(this._find, this);
    this._find();
  }

  protected onBeforeDetach(msg: Message): void {
    this._leave();
    super.onBeforeDetach(msg);
  }

  protected render(): React.ReactElement {
    const card = this._card;
    const trans = this._trans;
    if (card === null) {
      return <p>{trans.__('A run card of another version of mlintern-jupyter.')}</p>;
    }
    const intern = this._intern;
    const view = intern?.state.view ?? null;
    const open = view?.session?.session === card.session ? view.session : null;
    const said = intern && open ? statusText(intern.state, trans) : null;
    return (
      <>
        <div className="jp-mlintern-CardHead">
          <internIcon.react tag="span" className="jp-mlintern-ButtonIcon" />
          <strong>{card.goal || card.session}</strong>
          {said ? <Dot tone={said.tone} /> : null}
          <span>{said ? said.word : card.status}</span>
        </div>
        {(open ? open.card.split('\n') : card.lines)
          // The first says what the head says.
          .slice(1)
          .filter(line => line.trim())
          .map((line, i) => (
            <Line key={i} line={line} />
          ))}
        {intern ? (
          <div className="jp-mlintern-Row">
            <Button label={trans.__('Open sidebar')} icon={internIcon} onClick={this._openSidebar} />
            {this._canResume(intern, card) ? (
              <Button
                label={trans.__('Resume')}
                icon={refreshIcon}
                title={trans.__(
                  'Go on with this session. What is done is not repeated; it may spend.'
                )}
                onClick={() => void intern.resumeSession(card.session)}
              />
            ) : null}
            {open && intern.state.magicCellMissing ? (
              <Button
                label={trans.__('Put back')}
                icon={undoIcon}
                title={trans.__('Put the cell of this session back into the notebook.')}
                onClick={() => void intern.putMagicCellBack()}
              />
            ) : null}
          </div>
        ) : null}
      </>
    );
  }

  private _canResume(intern: IIntern, card: ICard): boolean {
    const view = intern.state.view;
    if (view === null) {
      return (
        intern.state.connection === 'silent' && intern.state.recordsOnDisk.includes(card.session)
      );
    }
    if (view.session?.session === card.session) {
      return resumable(view);
    }
    return (
      !view.session?.running &&
      view.records.some(record => record.session === card.session && !record.finished)
    );
  }

  /** The intern of the notebook that this output is in; none in a view of the output alone. */
  private _find(): void {
    let found: IIntern | null = null;
    this._interns.forEach(intern => {
      if (intern.panel.node.contains(this.node)) {
        found = intern;
      }
    });
    this._intern?.changed.disconnect(this.update, this);
    this._intern = found as IIntern | null;
    this._intern?.changed.connect(this.update, this);
    this.update();
  }

  private _leave(): void {
    this._interns.added.disconnect(this._find, this);
    this._intern?.changed.disconnect(this.update, this);
    this._intern = null;
  }

  private _card: ICard | null = null;
  private _intern: IIntern | null = null;
}

function Line({ line }: { line: string }): React.ReactElement {
  const { item, text } = bullet(line);
  return (
    <p className={`jp-mlintern-CardLine${item ? ' jp-mod-item' : ''}`}>
      <Inline text={text} />
    </p>
  );
}
