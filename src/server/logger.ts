// Where messages for the operator go, and a log that cannot fail whoever writes to it.
import { guarded } from '../protocol/guard.ts';

/** Where messages for the operator go. Fields are for machines; `message` never contains secrets. */
export interface Logger {
  /** Each step: connected, a sign-in step. */
  debug(fields: object, message: string): void;
  /** Who signed in, who was refused and why, who left. */
  info(fields: object, message: string): void;
  /** A peer that broke the protocol, or was turned away. */
  warn(fields: object, message: string): void;
  /** A fault of this program, handlers included. */
  error(fields: object, message: string): void;
}

/** The same log for whoever must go on even if it fails (a disk that is full): there is nobody left to tell. */
export function unfailing(log: Logger | undefined): Logger {
  const write = (level: keyof Logger) => (fields: object, message: string) =>
    guarded(
      () => log?.[level](fields, message),
      () => {},
    );
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
