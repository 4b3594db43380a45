// The switchboard's log: lines on stderr, for people on a terminal, JSON for everything else.
import pino from 'pino';
import pretty from 'pino-pretty';

export const LEVELS = ['silent', 'error', 'warn', 'info', 'debug'];

/** `worker`, where there are several, stands in each line. */
export function logger(level: string, worker?: number): pino.Logger {
  const base = worker === undefined ? undefined : { worker };
  if (process.stderr.isTTY) {
    return pino(
      { level, base },
      pretty({ destination: 2, sync: true, colorize: !process.env.NO_COLOR, ignore: 'pid,hostname' }),
    );
  }
  return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
