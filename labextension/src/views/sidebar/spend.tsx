/** What was used of what may be used. Unknown is a word, never a zero. */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { count, dollars, duration, share } from '../format';
import type { ISessionView } from '../../wire';
import { spentWord } from '../words';
import { Amount, Section, type ISessionScene } from './parts';

export function Spend({ session, trans }: ISessionScene): React.ReactElement {
  const { spent, limits } = session;
  const tokens = spent.usage.input_tokens + spent.usage.output_tokens;
  const limitSeconds = limits.hours === null ? null : limits.hours * 3600;
  const charged = spent.usd === null ? null : spent.usd + spent.reserved_usd;
  return (
    <Section title={trans.__('Used')}>
      <Amount
        label={trans.__('Cost')}
        text={cost(session, trans)}
        share={charged === null ? null : share(charged, limits.usd)}
      />
      <Amount
        label={trans.__('Steps')}
        text={of(count(spent.steps), count(limits.steps), trans)}
        share={share(spent.steps, limits.steps)}
      />
      <Amount
        label={trans.__('Time')}
        text={of(
          duration(spent.seconds),
          limitSeconds === null ? null : duration(limitSeconds),
          trans
        )}
        share={share(spent.seconds, limitSeconds)}
      />
      <Amount
        label={trans.__('Tokens')}
        text={of(count(tokens), limits.tokens === null ? null : count(limits.tokens), trans)}
        share={share(tokens, limits.tokens)}
      />
      {session.context_used === 0 && session.context_tokens === null ? null : (
        <Amount
          label={trans.__('Context')}
          text={
            session.context_assumed && session.context_tokens !== null
              ? trans.__(
                  '%1, window unknown: %2 assumed',
                  count(session.context_used),
                  count(session.context_tokens)
                )
              : session.context_tokens === null
              ? trans.__('%1, window unknown', count(session.context_used))
              : of(count(session.context_used), count(session.context_tokens), trans)
          }
          share={share(session.context_used, session.context_tokens)}
        />
      )}
      {session.compaction === null ? null : (
        <p className="jp-mlintern-Room">
          {trans.__(
            'Room made at step %1: %2 → %3 tokens',
            session.compaction.step,
            count(session.compaction.tokens_before),
            count(session.compaction.tokens_after)
          )}
        </p>
      )}
    </Section>
  );
}

/** What is no sum ("unmetered") is not a part of the limit, which holds for jobs all the same. */
function cost(session: ISessionView, trans: TranslationBundle): string {
  const used = spentWord(session, trans);
  const limit = session.limits.usd === null ? null : dollars(session.limits.usd);
  return limit !== null && !session.spent.usd && session.unmetered
    ? trans.__('%1, limit %2', used, limit)
    : of(used, limit, trans);
}

function of(used: string, limit: string | null, trans: TranslationBundle): string {
  return limit === null ? used : trans.__('%1 of %2', used, limit);
}
