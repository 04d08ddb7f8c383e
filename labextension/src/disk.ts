/** Records beside a notebook, for a page whose kernel says nothing of them. Names only. */
import { PathExt } from '@jupyterlab/coreutils';
import type { Contents } from '@jupyterlab/services';

const FOLDER = 'intern_runs';

/** Names of the session folders, the newest first; none if they cannot be read. */
export async function recordsBeside(
  contents: Contents.IManager,
  notebookPath: string
): Promise<readonly string[]> {
  const drive = contents.driveName(notebookPath);
  const local = PathExt.join(PathExt.dirname(contents.localPath(notebookPath)), FOLDER);
  const path = drive ? `${drive}:${local}` : local;
  try {
    // Asked for first: reading a folder that is not there is an error in the server's log.
    const parent = await contents.get(PathExt.dirname(path), { content: true });
    if (!folders(parent).some(folder => folder.name === FOLDER)) {
      return [];
    }
    const records = folders(await contents.get(path, { content: true }));
    records.sort((a, b) => b.last_modified.localeCompare(a.last_modified));
    return records.map(folder => folder.name);
  } catch {
    // The server or the drive does not show the folder: there is nothing to offer.
    return [];
  }
}

function folders(directory: Contents.IModel): Contents.IModel[] {
  const items = (directory.content ?? []) as Contents.IModel[];
  return items.filter(item => item.type === 'directory');
}
