// An authorized_keys file, read and parsed once for each version of it, however many keys are asked about.
import { readFile, stat } from 'node:fs/promises';
import { type AuthorizedKey, parseAuthorizedKeys } from '../../crypto/keys/index.ts';
import { type Logger, unfailing } from '../logger.ts';

/**
 * A function for `AuthorizedKeysOptions.keys`: the lines of the file, as they are now. Every stranger may ask about keys, and
 * reading ten thousand lines takes a third of a second, so the file is read again only when the system says that it has changed
 * (times, size or inode). One that is not there holds no keys.
 * @param log hears of lines that are ignored, once for each version
 * @returns throws the system's error if the file is there and cannot be read: then nobody gets in
 */
export function authorizedKeysFile(path: string, log?: Logger): () => Promise<readonly AuthorizedKey[]> {
  const { warn } = unfailing(log);
  let known: { readonly version: string; readonly entries: Promise<readonly AuthorizedKey[]> } | undefined;
  const read = async (): Promise<readonly AuthorizedKey[]> => {
    const { entries, problems } = parseAuthorizedKeys(await readFile(path, 'utf8'));
    for (const { line, message } of problems)
      warn({ file: path, line }, `line ${line} of ${path} is ignored: ${message}`);
    return entries;
  };
  return async () => {
    // Before it is read: what is written meanwhile has a version of its own.
    const version = await versionOf(path);
    if (version === undefined) return [];
    if (known?.version !== version) {
      const entries = read();
      known = { version, entries };
      // Who could not read it tries again.
      entries.catch(() => {
        if (known?.entries === entries) known = undefined;
      });
    }
    return known!.entries;
  };
}

/** What changes when somebody has written to the file; undefined if there is none. @throws the system's error */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { mtimeNs, ctimeNs, size, ino } = await stat(path, { bigint: true });
    return `${mtimeNs} ${ctimeNs} ${size} ${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
