/** Text of a cell: what counts as the same, and how it is changed in place. */
import type { ISharedCell } from '@jupyter/ydoc';

/** Line ends and outer blank space do not count (front ends differ there). */
export function folded(source: string): string {
  return source
    .trim()
    .split(/\r\n|\r|\n/)
    .map(line => line.trimEnd())
    .join('\n');
}

/** The magic cell's text without its stamp, which is written after it was run. */
export function unstamped(source: string): string {
  const [first, ...rest] = folded(source).split('\n');
  const bare = first.replace(/\s--session[= ][a-z0-9][a-z0-9-]{0,63}(?=\s|$)/g, '');
  const words = bare.replace(/\s--again(?=\s|$)/g, '').split(/\s+/);
  return [words.join(' ').trim(), ...rest].join('\n');
}

/**
 * Replace only what differs, untracked: the person's cursor and history of the cell stay whole.
 */
export function rewrite(cell: ISharedCell, source: string): void {
  const old = cell.getSource();
  let start = 0;
  const most = Math.min(old.length, source.length);
  while (start < most && old[start] === source[start]) {
    start++;
  }
  let end = 0;
  while (end < most - start && old[old.length - 1 - end] === source[source.length - 1 - end]) {
    end++;
  }
  // Never through the middle of a surrogate pair.
  if (start > 0 && isLow(source, start) && isHigh(source, start - 1)) {
    start--;
  }
  if (end > 0 && isLow(source, source.length - end)) {
    end--;
  }
  cell.transact(
    () => cell.updateSource(start, old.length - end, source.slice(start, source.length - end)),
    false
  );
}

function isHigh(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800;
}

function isLow(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00;
}
