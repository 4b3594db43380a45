// Whether the process has file descriptors left: where it has none, the system closes connections before anybody hears of them.
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';

/**
 * Tries to open one more file. Node and Bun say nothing when accept fails with EMFILE: libuv sheds the connections that wait.
 * @returns EMFILE (this process has none left) or ENFILE (the system); undefined if there are some
 */
export function lacksDescriptors(): 'EMFILE' | 'ENFILE' | undefined {
  try {
    closeSync(openSync(devNull, 'r'));
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? code : undefined;
  }
}
