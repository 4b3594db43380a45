// sntrup761x25519-sha512 (draft-ietf-sshm-ntruprime-ssh): Streamlined NTRU Prime and X25519 at once.
import { x25519Ephemeral } from './curve25519.ts';
import { type Ephemeral, hybridKex } from './kex.ts';
import type { KexAlgorithm, Random } from './provider.ts';
import { sntrup761 } from './sntrup761.ts';

/** Its name, and the one it had from OpenSSH 8.5 to 9.8. */
export const sntrup761Names = ['sntrup761x25519-sha512', 'sntrup761x25519-sha512@openssh.com'];

export const sntrup761X25519 = (
  name: string,
  sha512: (data: Uint8Array) => Uint8Array,
  x25519: (random: Random) => Ephemeral = x25519Ephemeral,
): KexAlgorithm => hybridKex(name, sha512, sntrup761(sha512), x25519);
