// Payloads of requests on `session` channels (RFC 4254 §6, RFC 4335).
import type { Fields, Layout } from '../wire/codec.ts';

const layout = <const L extends Layout>(fields: L): L => fields;

/** `pty-req` (RFC 4254 §6.2). */
export const PTY_REQ = layout({
  /** Bytes, as of a variable: it becomes TERM. */
  term: 'string',
  columns: 'uint32',
  rows: 'uint32',
  /** Pixels. */
  width: 'uint32',
  height: 'uint32',
  /** Encoded terminal modes (RFC 4254 §8). */
  modes: 'string',
});
/** `window-change` (RFC 4254 §6.7): the terminal's size in characters, and in pixels. */
export const WINDOW_CHANGE = layout({ columns: 'uint32', rows: 'uint32', width: 'uint32', height: 'uint32' });
/** `env` (RFC 4254 §6.4). Names and values are bytes to the protocol: shells do not ask for UTF-8. */
export const ENV = layout({ name: 'string', value: 'string' });
/** `exec` (RFC 4254 §6.5); the command's bytes are for the user's shell. */
export const EXEC = layout({ command: 'string' });
/** `subsystem` (RFC 4254 §6.5). */
export const SUBSYSTEM = layout({ name: 'name' });
/** `signal` (RFC 4254 §6.9). Signal names are without "SIG": "TERM", "INT". */
export const SIGNAL = layout({ signal: 'name' });
/** `exit-status` (RFC 4254 §6.10); programs of Unix have 0 to 255. */
export const EXIT_STATUS = layout({ status: 'uint32' });
/** `exit-signal` (RFC 4254 §6.10); `language` is a tag of RFC 3066, mostly empty. */
export const EXIT_SIGNAL = layout({ signal: 'name', coreDumped: 'boolean', message: 'prose', language: 'language' });
/** `break` (RFC 4335 §3): how long, in milliseconds; 0 for the device's own default. */
export const BREAK = layout({ length: 'uint32' });

/** The request by which a peer says that it reads no more; without payload, and no reply is wanted (OpenSSH PROTOCOL §2.1). */
export const EOW = 'eow@openssh.com';

/** The payload of `pty-req`. */
export type PtyRequest = Fields<typeof PTY_REQ>;
/** The payload of `window-change`. */
export type WindowChange = Fields<typeof WINDOW_CHANGE>;
