// The portable provider: all cryptography in TypeScript (noble, and BigInt for RSA). Runs wherever JavaScript does, imports no node:*.
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { portableAesCtr } from './aes-ctr.ts';
import { portableAesGcm } from './aes-gcm.ts';
import { everySignature } from './certificates.ts';
import { chacha20Poly1305 } from './chacha20poly1305.ts';
import { curve25519Names, portableCurve25519 } from './curve25519.ts';
import { dhGroup14, dhGroup16, dhGroup18, portableDh } from './dh.ts';
import { portableEcdsa } from './ecdsa.ts';
import { portableEd25519 } from './ed25519.ts';
import { portableHmac } from './hmac.ts';
import { mlkem768X25519 } from './mlkem768x25519.ts';
import { nistCurves, portableNistKex } from './nistp.ts';
import { poly1305 } from './poly1305.ts';
import type { CryptoProvider, Random } from './provider.ts';
import { portableRsaSignature } from './rsa.ts';
import { sntrup761Names, sntrup761X25519 } from './sntrup761x25519.ts';

/** Web Crypto gives at most this many bytes per call. */
const STEP = 65536;

const random: Random = into => {
  for (let at = 0; at < into.length; at += STEP) globalThis.crypto.getRandomValues(into.subarray(at, at + STEP));
  return into;
};

/**
 * The portable provider, for browsers and wherever node:crypto is not. RSA and Diffie-Hellman are not constant-time in it: where
 * there is node:crypto, `accelerated` is the better choice. Its `random` throws where the runtime has no Web Crypto.
 */
export const noble: CryptoProvider = {
  name: 'noble',
  random,
  ciphers: [
    chacha20Poly1305({ poly1305 }),
    portableAesGcm('aes128-gcm@openssh.com', 16),
    portableAesGcm('aes256-gcm@openssh.com', 32),
    portableAesCtr('aes128-ctr', 16),
    portableAesCtr('aes192-ctr', 24),
    portableAesCtr('aes256-ctr', 32),
  ],
  macs: [
    portableHmac('hmac-sha2-256-etm@openssh.com', 'sha256'),
    portableHmac('hmac-sha2-512-etm@openssh.com', 'sha512'),
    portableHmac('hmac-sha2-256', 'sha256'),
    portableHmac('hmac-sha2-512', 'sha512'),
  ],
  kex: [
    mlkem768X25519(sha256),
    ...sntrup761Names.map(name => sntrup761X25519(name, sha512)),
    ...curve25519Names.map(name => portableCurve25519(name, sha256)),
    ...nistCurves.map(portableNistKex),
    portableDh(dhGroup16),
    portableDh(dhGroup18),
    portableDh(dhGroup14),
  ],
  signatures: everySignature([
    portableEd25519,
    ...nistCurves.map(portableEcdsa),
    portableRsaSignature('rsa-sha2-512'),
    portableRsaSignature('rsa-sha2-256'),
  ]),
  sha256,
};
