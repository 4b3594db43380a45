// Promises that nobody waits for, and timers: what they fail with is logged with its stack, and ends nothing else.
import { guarded } from '../protocol/guard.ts';
import type { Logger } from './logger.ts';

/** What a program's log says of a promise that nobody has caught. The test kit looks for it: it is always a fault of ours. */
export const UNHANDLED = 'unhandled rejection: a promise failed that nobody catches';

/** What logs say of a fault of this program: the error, and where it was thrown. */
export const faultFields = (error: unknown): { error: string; stack?: string } => ({
  error: String(error),
  ...(error instanceof Error && error.stack !== undefined && { stack: error.stack }),
});

/**
 * Lets a promise go on by itself. One that fails without anybody to catch it would end the process.
 * @param what the log line, if it fails
 * @param fields of that line
 */
export function detached(promise: Promise<unknown>, log: Logger | undefined, what: string, fields: object = {}): void {
  promise.catch((error: unknown) => log?.error({ ...fields, ...faultFields(error) }, what));
}

/** `body` for a timer or an event, where whatever it throws would end the process. @param what the log line, if it throws */
export const faultsLogged = (body: () => void, log: Logger | undefined, what: string) => (): void =>
  guarded(body, error => log?.error(faultFields(error), what));
