// What a program on Node tells the engine about memory: three settings that a library must not touch.
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

/**
 * For programs: the engine's nursery stays as small as it begins. It would grow while many sign in at once, by megabytes that are
 * never given back: 36 KiB for each of a thousand idle clients instead of 20 (64 instead of 26 on Node 24). A relay makes next to
 * no garbage in there, and takes no longer.
 */
export function keepNurserySmall(): void {
  try {
    setFlagsFromString('--semi-space-growth-factor=1');
  } catch {
    // Another engine.
  }
}

/**
 * For programs: the engine looks for garbage when the heap has grown by as much as lives in it. Left to itself it waits until there is
 * four times as much, and does not know what else goes with the garbage (sockets, cipher contexts): with many that come and go a
 * switchboard of 70 MiB took 640.
 */
export function collectSoon(): void {
  try {
    setFlagsFromString('--heap-growing-percent=100');
  } catch {
    // Another engine.
  }
}
