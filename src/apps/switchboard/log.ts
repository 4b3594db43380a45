// The switchboard's log: lines on stderr, for people on a terminal, JSON for everything else.
import pino from 'pino';
import pretty from 'pino-pretty';
import { faultFields, UNHANDLED } from '../../server/detached.ts';
import type { Logger } from '../../server/server.ts';

export const LEVELS = ['silent', 'error', 'warn', 'info', 'debug'];

/** `format`: "auto" is pretty on a terminal. `worker`, where there are several, stands in each line. */
export function logger(level: string, format: 'auto' | 'json' | 'pretty', worker?: number): pino.Logger {
  const base = worker === undefined ? undefined : { worker };
  if (format === 'pretty' || (format === 'auto' && process.stderr.isTTY)) {
    const colorize = process.stderr.isTTY && !process.env.NO_COLOR;
    return pino({ level, base }, pretty({ destination: 2, sync: true, colorize, ignore: 'pid,hostname' }));
  }
  return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}

/** The last resort: a promise that fails without a catch would end a process that serves others. It is logged with its stack instead. */
export function surviveRejections(log: Logger): void {
  process.on('unhandledRejection', error => log.error(faultFields(error), UNHANDLED));
}
