// The portable provider: noble's primitives, BigInt for RSA, and nothing of any runtime.
import { sha256 } from '@noble/hashes/sha2.js';
import { aesCtr, nobleCtr } from './aes-ctr.ts';
import { aesGcm, nobleGcm } from './aes-gcm.ts';
import { chacha20poly1305, nobleChacha } from './chacha20poly1305.ts';
import { curve25519, nobleX25519 } from './curve25519.ts';
import { ecdsaSha2, nobleEcdsa } from './ecdsa.ts';
import { nobleEd25519, sshEd25519 } from './ed25519.ts';
import { hmacSha2, nobleHmac } from './hmac.ts';
import { ecdhNistp, NISTP256, nobleEcdh } from './nistp.ts';
import type { CryptoProvider, Random } from './provider.ts';
import { bigintRsa, rsaSha2 } from './rsa.ts';

/** getRandomValues gives no more at once. */
const QUOTA = 65536;

const random: Random = into => {
  for (let at = 0; at < into.length; at += QUOTA) crypto.getRandomValues(into.subarray(at, at + QUOTA));
  return into;
};

export const noble: CryptoProvider = {
  name: 'noble',
  random,
  ciphers: [
    chacha20poly1305(nobleChacha),
    aesGcm('aes128-gcm@openssh.com', 16, nobleGcm),
    aesGcm('aes256-gcm@openssh.com', 32, nobleGcm),
    aesCtr('aes128-ctr', 16, nobleCtr),
    aesCtr('aes192-ctr', 24, nobleCtr),
    aesCtr('aes256-ctr', 32, nobleCtr),
  ],
  macs: hmacSha2(nobleHmac),
  kex: [...curve25519(nobleX25519), ecdhNistp(NISTP256, nobleEcdh(NISTP256))],
  signatures: [
    sshEd25519(nobleEd25519),
    ecdsaSha2(NISTP256, nobleEcdsa(NISTP256)),
    ...rsaSha2(bigintRsa),
  ],
  sha256,
};
