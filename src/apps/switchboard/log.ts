// The switchboard's log: lines on stderr, for people on a terminal, JSON for everything else.
import pino from 'pino';
import pretty from 'pino-pretty';

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
