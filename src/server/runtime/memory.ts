// Gives Node 20 what later versions have: ArrayBuffer.prototype.transfer, by which `release` returns memory at once.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * For programs, not for libraries: it changes a global. Where the function is missing its engine has it behind a flag, which
 * only realms heed that are made later; taken from one of those, it works on every ArrayBuffer. It costs a third of a
 * relay's CPU time not to have it.
 */
export function enableTransfer(): void {
  const { prototype } = ArrayBuffer as { prototype: ArrayBuffer & { transfer?: unknown } };
  if (prototype.transfer !== undefined) return;
  try {
    setFlagsFromString('--harmony-rab-gsab-transfer');
    const value: unknown = runInNewContext('ArrayBuffer.prototype.transfer');
    if (typeof value === 'function')
      Object.defineProperty(prototype, 'transfer', { value, configurable: true, writable: true });
  } catch {
    // An engine without it: memory is then found by the collector.
  }
}
