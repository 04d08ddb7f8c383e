/**
 * The name of this page: it survives a reload, and no two living pages share it.
 *
 * A duplicated browser tab starts with a copy of the session storage, so the name alone would be
 * shared; a lock that a page holds for its life tells the copy from the reload.
 */
import { UUID } from '@lumino/coreutils';

const KEY = 'mlintern-jupyter:tab';
/** A reloading page may still be letting go of its lock. */
const RELOAD_MS = 300;

/** Without locks (an insecure context) the stored name is taken as it is. */
export async function tabName(
  storage: Storage = window.sessionStorage,
  locks: LockManager | undefined = navigator.locks
): Promise<string> {
  const stored = read(storage);
  if (stored && (!locks || (await hold(locks, stored)))) {
    return stored;
  }
  const name = UUID.uuid4();
  try {
    storage.setItem(KEY, name);
  } catch {
    // Storage is full or forbidden: the name then lasts until the next reload.
  }
  if (locks) {
    await hold(locks, name);
  }
  return name;
}

function read(storage: Storage): string | null {
  try {
    return storage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Whether the lock of this name is ours now, until the page is gone. */
function hold(locks: LockManager, name: string): Promise<boolean> {
  return new Promise(resolve => {
    locks
      .request(`${KEY}:${name}`, { signal: AbortSignal.timeout(RELOAD_MS) }, () => {
        resolve(true);
        return new Promise<never>(() => undefined);
      })
      .catch(() => resolve(false));
  });
}
