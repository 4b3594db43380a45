// The provider for servers: the runtime's own cryptography (node:crypto), taken algorithm by algorithm where it passes a
// known-answer test at its first use, and the portable implementation where it does not.
import { randomFillSync } from 'node:crypto';
import { everySignature } from './certificates.ts';
import { chacha20Poly1305 } from './chacha20poly1305.ts';
import { curve25519Names } from './curve25519.ts';
import { dhGroup14, dhGroup16, dhGroup18 } from './dh.ts';
import { mlkem768X25519, portableMlkem768 } from './mlkem768x25519.ts';
import { nistCurves } from './nistp.ts';
import { noble } from './noble.ts';
import { nodeAesCtr } from './node/aes-ctr.ts';
import { nodeAesGcm } from './node/aes-gcm.ts';
import { nodeStream } from './node/chacha20poly1305.ts';
import { nodeDh } from './node/dh.ts';
import { nodeHash } from './node/encoding.ts';
import { nodeHmac } from './node/hmac.ts';
import { nodeCurve25519, nodeNistKex, nodeX25519 } from './node/kex.ts';
import { nodeMlkem768 } from './node/mlkem.ts';
import { nodeEcdsa, nodeEd25519, nodeRsaSignature } from './node/signatures.ts';
import { poly1305 } from './poly1305.ts';
import {
  byName,
  type CipherAlgorithm,
  type CryptoProvider,
  type KexAlgorithm,
  type MacAlgorithm,
  type SignatureAlgorithm,
} from './provider.ts';
import { race } from './race.ts';
import { checkCipher, checkHash, checkKem, checkKex, checkMac, checkSignature } from './self-test.ts';
import { sntrup761Names, sntrup761X25519 } from './sntrup761x25519.ts';

/** Where an algorithm's implementation comes from. */
export type Origin = 'node' | 'noble';

/**
 * Which implementation each algorithm of `accelerated` has on this runtime, by its name. Runs the tests that have not
 * run yet, which takes some tens of milliseconds.
 */
export function implementations(): Record<string, Origin> {
  return Object.fromEntries(choices.map(({ name, choose }) => [name, choose().origin]));
}

const choices: { name: string; choose: () => { origin: Origin } }[] = [];

/** A function that says which of two implementations to use. It tests the native one when it is called first. */
function chooser<T>(name: string, native: () => T, portable: T, check: (native: T) => void): () => T {
  let choice: { origin: Origin; implementation: T } | undefined;
  const choose = () => {
    if (choice === undefined) {
      choice = { origin: 'noble', implementation: portable };
      try {
        const implementation = native();
        check(implementation);
        choice = { origin: 'node', implementation };
      } catch {
        // Not there, or not right: that is what the portable one is for.
      }
    }
    return choice;
  };
  choices.push({ name, choose });
  return () => choose().implementation;
}

function cipher(name: string, native: () => CipherAlgorithm): CipherAlgorithm {
  const portable = byName(noble.ciphers, name)!;
  // One MAC of either kind: what is tested is the cipher.
  const macs = [byName(noble.macs, 'hmac-sha2-256-etm@openssh.com')!, byName(noble.macs, 'hmac-sha2-256')!];
  const choose = chooser(name, native, portable, native => checkCipher(native, portable, macs));
  return {
    ...portable,
    opener: (key, iv, mac, macKey) => choose().opener(key, iv, mac, macKey),
    sealer: (key, iv, random, mac, macKey) => choose().sealer(key, iv, random, mac, macKey),
  };
}

function mac(name: string, native: () => MacAlgorithm): MacAlgorithm {
  const portable = byName(noble.macs, name)!;
  const choose = chooser(name, native, portable, native => checkMac(native, portable));
  return { ...portable, create: key => choose().create(key) };
}

function kex(name: string, native: () => KexAlgorithm, check = checkKex): KexAlgorithm {
  const portable = byName(noble.kex, name)!;
  const choose = chooser(name, native, portable, native => check(native, portable));
  return {
    ...portable,
    hash: data => choose().hash(data),
    initiate: random => choose().initiate(random),
    respond: (init, random) => choose().respond(init, random),
  };
}

function signature(name: string, native: () => SignatureAlgorithm): SignatureAlgorithm {
  const portable = byName(noble.signatures, name)!;
  const choose = chooser(name, native, portable, checkSignature);
  return {
    name,
    keyType: portable.keyType,
    ...(portable.canonical && { canonical: portable.canonical }),
    ...(portable.problem && { problem: portable.problem }),
    verify: (blob, data, signature) => choose().verify(blob, data, signature),
    sign: (key, data, random) => choose().sign(key, data, random),
    generate: (random, comment) => choose().generate(random, comment),
  };
}

/** Of hybrids only X25519 and the hash are the runtime's (and ML-KEM, below); how they are put together is the same for all. */
function checkHybrid(native: KexAlgorithm, portable: KexAlgorithm): void {
  checkHash(native.hash, portable.hash);
  const [name] = curve25519Names;
  checkKex(nodeCurve25519(name), byName(noble.kex, name)!);
}

/** Chosen by itself: X25519 is the runtime's even where ML-KEM is not. */
const mlkem768 = chooser('mlkem768', nodeMlkem768, portableMlkem768, native => checkKem(native, portableMlkem768));

const sha256 = chooser(
  'sha256',
  () => nodeHash('sha256'),
  noble.sha256,
  native => checkHash(native, noble.sha256),
);

let preferred: readonly string[] | undefined;

/**
 * The provider for programs with node:crypto: each algorithm is the runtime's own where that passes a known-answer test, at its first
 * use, and `noble`'s elsewhere (`implementations` tells which).
 */
export const accelerated: CryptoProvider = {
  name: 'accelerated',
  /** GCM where it is much cheaper than chacha20-poly1305, which stock clients take otherwise. Measured once, which takes some milliseconds. */
  get preferCiphers() {
    const [chacha, ...gcm] = this.ciphers.filter(({ aead }) => aead);
    preferred ??= race(gcm, chacha, this.random, () => performance.now());
    return preferred;
  },
  random: randomFillSync,
  ciphers: [
    cipher('chacha20-poly1305@openssh.com', () => chacha20Poly1305({ poly1305, stream: nodeStream })),
    cipher('aes128-gcm@openssh.com', () => nodeAesGcm('aes128-gcm@openssh.com', 16)),
    cipher('aes256-gcm@openssh.com', () => nodeAesGcm('aes256-gcm@openssh.com', 32)),
    cipher('aes128-ctr', () => nodeAesCtr('aes128-ctr', 16)),
    cipher('aes192-ctr', () => nodeAesCtr('aes192-ctr', 24)),
    cipher('aes256-ctr', () => nodeAesCtr('aes256-ctr', 32)),
  ],
  macs: [
    mac('hmac-sha2-256-etm@openssh.com', () => nodeHmac('hmac-sha2-256-etm@openssh.com', 'sha256')),
    mac('hmac-sha2-512-etm@openssh.com', () => nodeHmac('hmac-sha2-512-etm@openssh.com', 'sha512')),
    mac('hmac-sha2-256', () => nodeHmac('hmac-sha2-256', 'sha256')),
    mac('hmac-sha2-512', () => nodeHmac('hmac-sha2-512', 'sha512')),
  ],
  kex: [
    kex('mlkem768x25519-sha256', () => mlkem768X25519(nodeHash('sha256'), mlkem768(), nodeX25519), checkHybrid),
    ...sntrup761Names.map(name => kex(name, () => sntrup761X25519(name, nodeHash('sha512'), nodeX25519), checkHybrid)),
    ...curve25519Names.map(name => kex(name, () => nodeCurve25519(name))),
    ...nistCurves.map(curve => kex(`ecdh-sha2-${curve.name}`, () => nodeNistKex(curve))),
    ...[dhGroup16, dhGroup18, dhGroup14].map(group => kex(group.name, () => nodeDh(group))),
  ],
  signatures: everySignature([
    signature('ssh-ed25519', () => nodeEd25519),
    ...nistCurves.map(curve => signature(`ecdsa-sha2-${curve.name}`, () => nodeEcdsa(curve))),
    signature('rsa-sha2-512', () => nodeRsaSignature('rsa-sha2-512')),
    signature('rsa-sha2-256', () => nodeRsaSignature('rsa-sha2-256')),
  ]),
  sha256: data => sha256()(data),
};
