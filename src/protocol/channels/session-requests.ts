// Payloads of requests on `session` channels (RFC 4254 §6, RFC 4335).
import type { Fields, Layout } from '../wire/codec.ts';

const layout = <const L extends Layout>(fields: L): L => fields;

export const PTY_REQ = layout({
  term: 'text',
  columns: 'uint32',
  rows: 'uint32',
  /** Pixels. */
  width: 'uint32',
  height: 'uint32',
  /** Encoded terminal modes (RFC 4254 §8). */
  modes: 'string',
});
export const WINDOW_CHANGE = layout({ columns: 'uint32', rows: 'uint32', width: 'uint32', height: 'uint32' });
/** Names and values are bytes to the protocol: shells do not ask for UTF-8. */
export const ENV = layout({ name: 'string', value: 'string' });
export const EXEC = layout({ command: 'string' });
export const SUBSYSTEM = layout({ name: 'name' });
/** Signal names are without "SIG": "TERM", "INT". */
export const SIGNAL = layout({ signal: 'name' });
export const EXIT_STATUS = layout({ status: 'uint32' });
export const EXIT_SIGNAL = layout({ signal: 'name', coreDumped: 'boolean', message: 'text', language: 'string' });
/** `break` (RFC 4335 §3): how long, in milliseconds; 0 for the device's own default. */
export const BREAK = layout({ length: 'uint32' });

/** The request by which a peer says that it reads no more; without payload, and no reply is wanted (OpenSSH PROTOCOL §2.1). */
export const EOW = 'eow@openssh.com';

export type PtyRequest = Fields<typeof PTY_REQ>;
export type WindowChange = Fields<typeof WINDOW_CHANGE>;
