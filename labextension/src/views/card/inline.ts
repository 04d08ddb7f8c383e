/** The few marks of the card's Markdown as plain pieces of text. Nothing here makes HTML. */

export interface IPiece {
  text: string;
  style: 'plain' | 'strong' | 'code';
}

/** A line of the card in pieces; what is not understood stays as it was typed. */
export function pieces(line: string): IPiece[] {
  const found: IPiece[] = [];
  let end = 0;
  for (const match of line.matchAll(/\*\*([^*]+)\*\*|`([^`]+)`/g)) {
    if (match.index > end) {
      found.push({ text: line.slice(end, match.index), style: 'plain' });
    }
    found.push(
      match[1] !== undefined
        ? { text: match[1], style: 'strong' }
        : { text: match[2] ?? '', style: 'code' }
    );
    end = match.index + match[0].length;
  }
  if (end < line.length) {
    found.push({ text: line.slice(end), style: 'plain' });
  }
  return found;
}

/** A list line without its bullet, and whether it was one. */
export function bullet(line: string): { item: boolean; text: string } {
  const match = /^\s*[-*] +(.*)$/.exec(line);
  return match ? { item: true, text: match[1] ?? '' } : { item: false, text: line };
}

/** What a card's mime data holds; `null` if it is none that this version can read. */
export interface ICard {
  session: string;
  status: string;
  goal: string;
  lines: readonly string[];
  record: string;
}

export function readCard(data: unknown): ICard | null {
  if (typeof data !== 'object' || data === null) {
    return null;
  }
  const given = data as Record<string, unknown>;
  if (given.v !== 1 || typeof given.session !== 'string') {
    return null;
  }
  const text = (key: string) => (typeof given[key] === 'string' ? (given[key] as string) : '');
  const lines = Array.isArray(given.lines) ? given.lines : [];
  return {
    session: given.session,
    status: text('status'),
    goal: text('goal'),
    lines: lines.filter((line): line is string => typeof line === 'string'),
    record: text('record')
  };
}
