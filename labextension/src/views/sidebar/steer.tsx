/** The box to steer the intern in words. */
import { launchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { Button, type ISessionScene } from './parts';

export function Steer({
  intern,
  session,
  trans,
  drafts
}: ISessionScene & { drafts: WeakMap<object, string> }): React.ReactElement {
  // The draft belongs to the notebook: switching to another and back keeps it.
  const [text, setText] = React.useState(drafts.get(intern) ?? '');
  const write = (words: string) => {
    drafts.set(intern, words);
    setText(words);
  };
  const send = () => {
    const words = text.trim();
    if (words && session.running) {
      write('');
      void intern.steer(words);
    }
  };
  return (
    <div className="jp-mlintern-Steer">
      <textarea
        className="jp-mlintern-SteerBox"
        rows={2}
        value={text}
        disabled={!session.running}
        aria-label={trans.__('Steer the intern')}
        placeholder={trans.__('Tell the intern…')}
        onChange={event => write(event.target.value)}
        onKeyDown={event => {
          // Enter that ends the composition of a character is not a wish to send.
          if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            send();
          }
        }}
      />
      <div className="jp-mlintern-SteerFoot">
        <span className="jp-mlintern-Note" title={trans.__('Shift+Enter: new line')}>
          {session.running
            ? trans.__('Enter sends')
            : trans.__('No turn is running. To ask for more, change the %1 cell and run it.', '%%intern')}
        </span>
        <Button
          label={trans.__('Send')}
          icon={launchIcon}
          title={trans.__('The intern reads it before its next step.')}
          disabled={!session.running || !text.trim()}
          onClick={send}
        />
      </div>
    </div>
  );
}
