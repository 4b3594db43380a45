// An odd message: when it is said, how, and what it may cost; and short ways to write one down.
import { Writer } from '../../../src/protocol/wire/reader.ts';
import type { SocketPeer } from '../../kit/socket-peer.ts';

/**
 * When the oddity comes, and by what it is seen whether the connection lives: `ident` in place of the identification
 * line, `kexinit` in place of our KEXINIT, `exchange` after it, `keyed` under keys, `userauth` after SERVICE_ACCEPT,
 * `connection` signed in, `channel` with a session that runs `cat`, `rekey` after the KEXINIT of a second exchange.
 */
export type Stage = 'ident' | 'kexinit' | 'exchange' | 'keyed' | 'userauth' | 'connection' | 'channel' | 'rekey';

export interface Oddity {
  readonly what: string;
  readonly stage: Stage;
  say(peer: SocketPeer): void | Promise<void>;
  /** The number of the answer that ends it, where the usual way to go on would be odd in itself. */
  readonly answer?: number;
  /** What becomes of it at our server where sshd does something else, and the invariant (or the reason) for it. */
  readonly ours?: readonly [outcome: string, why: string];
}

export const NO_EFFECT = 'it has no effect, whatever is in it';
export const UNKNOWN = 'what nobody knows is answered with UNIMPLEMENTED (RFC 4253 §11.4)';
export const THAT_ONE = 'the oddity of one channel or request costs that one';
export const GONE =
  "another's circuit: the number goes to the next channel. sshd keeps it until its program has ended, and then ends the connection, too";
export const IN_EXCHANGE =
  'order: nothing may get in between of what changes the keys (RFC 4253 §7.1); newer OpenSSH ends the connection, too';
export const nothing = new Uint8Array(0);
export const w = (number: number) => new Writer().byte(number);
export const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
export const CAFE = latin1('caf\xe9');

/** An entry in short. */
export const odd = (stage: Stage, what: string, say: Oddity['say'], ours?: Oddity['ours']): Oddity => ({
  stage,
  what,
  say,
  ours,
});
/** One payload. */
export const payload = (stage: Stage, what: string, bytes: Uint8Array, ours?: Oddity['ours']): Oddity =>
  odd(stage, what, peer => peer.payload(bytes), ours);
/** One payload, on the channel that is open. */
export const onChannel = (what: string, bytes: (remote: number) => Uint8Array, ours?: Oddity['ours']): Oddity =>
  odd('channel', what, peer => peer.payload(bytes(peer.remote)), ours);
