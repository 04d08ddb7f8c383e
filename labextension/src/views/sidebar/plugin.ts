/** The sidebar in the shell of JupyterLab or Notebook 7. */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { NotebookActions } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { type IIntern, IInterns } from '../../tokens';
import { ICellBars, ISidebar } from '../tokens';
import { questions } from '../words';
import { SidebarWidget } from './widget';

const SETTINGS = 'mlintern-jupyter:plugin';
const RANK = 620;

export const sidebarPlugin: JupyterFrontEndPlugin<ISidebar> = {
  id: 'mlintern-jupyter:sidebar',
  description: 'Shows the intern of the notebook in front.',
  autoStart: true,
  provides: ISidebar,
  requires: [IInterns],
  optional: [ICellBars, ITranslator, ILayoutRestorer, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    interns: IInterns,
    bars: ICellBars | null,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    settings: ISettingRegistry | null
  ): ISidebar => {
    const trans = (translator ?? nullTranslator).load('mlintern_jupyter');
    const widget = new SidebarWidget(interns, bars, trans);
    app.shell.add(widget, 'right', { rank: RANK, type: 'Intern' });
    restorer?.add(widget, widget.id);

    const sidebar: ISidebar = {
      show: () => {
        if (!widget.isVisible) {
          app.shell.activateById(widget.id);
        }
      },
      focus: box => {
        app.shell.activateById(widget.id);
        void widget.focus(box);
      },
      focusQuestion: () => {
        app.shell.activateById(widget.id);
        void widget.focusQuestion();
      }
    };

    let opens = true;
    const read = (given: ISettingRegistry.ISettings) => {
      opens = given.get('openSidebar').composite !== false;
      widget.openText = given.get('openText').composite !== false;
    };
    settings
      ?.load(SETTINGS)
      .then(given => {
        read(given);
        given.changed.connect(read);
      })
      .catch((reason: unknown) => {
        console.warn('The settings of the intern were not read; the defaults hold.', reason);
      });

    const ran = new Set<string>();
    NotebookActions.executionScheduled.connect((_, { cell }) => void ran.add(cell.model.id));

    const watch = (intern: IIntern) => {
      let opened = '';
      let before: string | null = null;
      let problem = intern.state.problem;
      const asked = new Set<string>();
      intern.changed.connect((_, state) => {
        const session = state.view?.session;
        // Only at the beginning: whoever closed it, and reloads the page, wants it closed. A page
        // that is far from the kernel, or a quick planner, is past the first step before it looks.
        const begins =
          (session?.step ?? 0) <= 1 ||
          ran.has(session?.magic_cell_id ?? '') ||
          (before !== null && before !== session?.session);
        before = state.view === null ? before : (session?.session ?? '');
        if (session?.running && session.session !== opened && begins) {
          opened = session.session;
          if (opens && interns.current === intern) {
            sidebar.show();
          }
        }
        const fresh = questions(state).filter(ask => !asked.has(ask.call));
        fresh.forEach(ask => asked.add(ask.call));
        if (fresh[0] && !widget.isVisible) {
          Notification.warning(trans.__('The intern asks: %1', fresh[0].tool), {
            autoClose: 8000,
            actions: [{ label: trans.__('Show'), callback: () => sidebar.focusQuestion() }]
          });
        }
        if (state.problem !== problem) {
          problem = state.problem;
          if (problem && !widget.isVisible) {
            Notification.warning(`${problem.what} ${problem.why} ${problem.do}`, { autoClose: 8000 });
          }
        }
      });
    };
    interns.forEach(watch);
    interns.added.connect((_, intern) => watch(intern));
    return sidebar;
  }
};
