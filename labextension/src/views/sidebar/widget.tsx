/** The sidebar: the intern of the notebook in front. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IIntern, IInterns, IState } from '../../tokens';
import { internIcon } from '../icons';
import type { ICellBars } from '../tokens';
import { Activity, Plan } from './activity';
import { Agents } from './agents';
import { Found, PersonCells } from './found';
import { Head } from './head';
import { Jobs } from './jobs';
import { KeepFocus } from './keepFocus';
import { Notices } from './notices';
import type { IScene, ISessionScene } from './parts';
import { Pending } from './pending';
import { Questions } from './questions';
import { Kernel, Records } from './records';
import { Score } from './score';
import { Spend } from './spend';
import { NoNotebook, Start } from './start';
import { Steer } from './steer';

export class SidebarWidget extends ReactWidget {
  constructor(
    private _interns: IInterns,
    private _bars: ICellBars | null,
    private _trans: TranslationBundle
  ) {
    super();
    this.id = 'jp-mlintern-sidebar';
    this.title.icon = internIcon;
    this.title.caption = _trans.__('Intern');
    this.addClass('jp-mlintern-Sidebar');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('Intern'));
    this._keepFocus = new KeepFocus(this.node);
    _interns.currentChanged.connect(this._follow, this);
    this._follow();
  }

  /** Whether the reply being written is open from the start (settings). */
  set openText(open: boolean) {
    this._openText = open;
    this.update();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._interns.currentChanged.disconnect(this._follow, this);
      this._intern?.changed.disconnect(this.update, this);
      this._keepFocus.dispose();
      super.dispose();
    }
  }

  /** Put the cursor into the box that steers; else on the first control. */
  async focus(box: boolean): Promise<void> {
    this.update();
    await this.renderPromise;
    const steer = this.node.querySelector<HTMLElement>('.jp-mlintern-SteerBox:not(:disabled)');
    const first = this.node.querySelector<HTMLElement>('button:not(:disabled), summary, a');
    (box ? (steer ?? first) : first)?.focus();
  }

  /** Put the cursor on the first open question: a key that is held down must not answer it. */
  async focusQuestion(): Promise<void> {
    this.update();
    await this.renderPromise;
    this.node.querySelector<HTMLElement>('.jp-mlintern-Question')?.focus();
  }

  protected render(): React.ReactElement {
    const intern = this._intern;
    const trans = this._trans;
    if (intern === null || intern.isDisposed) {
      return <NoNotebook trans={trans} />;
    }
    const state: IState = intern.state;
    const scene: IScene = { intern, state, trans };
    const view = state.view;
    if (view === null || view.session === null || state.connection === 'silent') {
      return (
        <div className="jp-mlintern-Scroll" tabIndex={-1}>
          <Notices {...scene} />
          <Start {...scene} />
        </div>
      );
    }
    const open: ISessionScene = {
      ...scene,
      view,
      session: view.session,
      follows: state.connection !== 'leads'
    };
    return (
      <>
        <div className="jp-mlintern-Scroll">
          <Head {...open} />
          <Notices {...scene} />
          <Activity {...open} openText={this._openText} />
          <Questions {...open} />
          <Pending {...open} bars={this._bars} />
          <Plan {...open} />
          <Agents {...open} />
          <Score {...open} />
          <Jobs {...scene} jobs={view.jobs} />
          <Spend {...open} />
          <Found {...open} />
          <PersonCells {...open} />
          <Records {...scene} view={view} open={false} />
          <Kernel {...scene} view={view} open={false} />
        </div>
        <Steer key={intern.panel.id} {...open} drafts={this._drafts} />
      </>
    );
  }

  private _follow(): void {
    this._intern?.changed.disconnect(this.update, this);
    this._intern = this._interns.current;
    this._intern?.changed.connect(this.update, this);
    this.update();
  }

  private readonly _keepFocus: KeepFocus;
  private _intern: IIntern | null = null;
  private _openText = true;
  private readonly _drafts = new WeakMap<object, string>();
}
