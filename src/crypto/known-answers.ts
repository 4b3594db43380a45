// Known answers for self-test.ts: the RFCs' own where they have some; keys that serve no other purpose where not.
import { concat, encodeUtf8, Writer } from '../protocol/wire/reader.ts';
import { fromBigInt, modInverse, toBigInt } from './bigint.ts';
import type { PrivateKey } from './provider.ts';

export interface Exchange {
  /** The bytes either side draws for its private key. */
  readonly secrets: readonly [Uint8Array, Uint8Array];
  readonly publics: readonly [Uint8Array, Uint8Array];
  readonly shared: Uint8Array;
  /** Public keys that have to be refused. */
  readonly bad: readonly Uint8Array[];
}

/** RFC 7748 §6.1, and points of low order (0, 1, p - 1). */
export const curve25519: Exchange = {
  secrets: [
    hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'),
    hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
  ],
  publics: [
    hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
    hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
  ],
  shared: hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'),
  bad: [
    new Uint8Array(32),
    hex('0100000000000000000000000000000000000000000000000000000000000000'),
    hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
    new Uint8Array(31),
  ],
};

/** RFC 5903 §8.1, and a point off the curve. */
export const ecdhP256: Exchange = {
  secrets: [
    hex('c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433'),
    hex('c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53'),
  ],
  publics: [
    hex(
      '04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3',
    ),
    hex(
      '04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab',
    ),
  ],
  shared: hex('d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de'),
  bad: [
    hex(
      '04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872aa',
    ),
    Uint8Array.of(0),
  ],
};

/** What `signed` are signatures of. */
export const signedData = encodeUtf8('cordboard');

export interface Signed {
  readonly key: PrivateKey;
  /** The whole signature blob over `data`; of a scheme that is not deterministic, one of the possible ones. */
  readonly signature: Uint8Array;
  readonly deterministic: boolean;
}

/** The key of RFC 8032 §7.1, test 1. */
function ed25519(): Signed {
  const seed = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
  const publicKey = hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  return {
    key: key('ssh-ed25519', new Writer().string('ssh-ed25519').string(publicKey), [publicKey, concat(seed, publicKey)]),
    signature: signature(
      'ssh-ed25519',
      hex(
        '2586532b78a1e54b7db0a9c8d28c29f59eabbc4e1bc5ebafefa636cfde06c708040531167dc4b4e4979a4de0cf59a88370b1' +
          '45cf541ef19c0700107a1a8a000c',
      ),
    ),
    deterministic: true,
  };
}

function ecdsaP256(): Signed {
  const name = 'ecdsa-sha2-nistp256';
  const point = hex(
    '0479a378f99f22683e7e5d1128db6ab84b2f63c2dccf2e94b8d5f25b1dd9a162fb9d792ab2f28593236162fe42ad2ba3b545' +
      '1245deec03e2d4b900eae39c21162c',
  );
  const scalar = hex('fcefe17aab2cea7bdbe1e6aad42002169e3d43a064dc905258dc1640c86419a8');
  const r = hex('a6b1401b2c38a757f97c151f0c7eabaacfa6b681542746ca53515524e3aa885e');
  const s = hex('79851fb4bd1c0f944c4017f29ee9ed149be54b2ec13c3edebf5e5b9bd79d9646');
  return {
    key: key(name, new Writer().string(name).string('nistp256').string(point), [encodeUtf8('nistp256'), point, scalar]),
    signature: signature(name, new Writer().mpint(r).mpint(s).finish()),
    deterministic: false,
  };
}

/** A key of 2048 bits, from its primes. */
function rsa(name: string, value: Uint8Array): Signed {
  const e = 65537n;
  const [p, q] = primes.map(toBigInt);
  const n = fromBigInt(p * q);
  const d = modInverse(e, (p - 1n) * (q - 1n))!;
  const fields = [n, fromBigInt(e), fromBigInt(d), fromBigInt(modInverse(q, p)!), ...primes];
  return {
    key: key('ssh-rsa', new Writer(512).string('ssh-rsa').mpint(fromBigInt(e)).mpint(n), fields),
    signature: signature(name, value),
    deterministic: true,
  };
}

const primes = [
  hex(
    'e79aa9d605cc03bac1996d0ccf57ac0111a8b93cd7a663e2b26131aa53e19c5f0e6932a06890eb71883b22f47983e7c9b453' +
      '5f6b7e401f9a63001622c910e25649e85cd58911ec679ce97de2ea9c93ca399b1e00f26ab13a8a1d5c4a0b6d6b4d529e7ea7' +
      '37478b52154bd7561048b9a346676072cf0aae7d7666aaa7a88e06e5',
  ),
  hex(
    'd0c8d74a09e57b63970cb32c619cade7bf0b0b00331ff3381708cb4830d1bd0c9a9f422bde1df217939b46607af3a991fb0a' +
      '3841b3ba5d27095e69d51557c1098f4426728cba800a066128ed511080e92f66cc8668bf46a67f1aff4e3934c6d3658573fc' +
      '34ec660b0d1830fc2c21a71208236a7d05cdbe241c304a2cae8c7c83',
  ),
];

const rsaSha256 = hex(
  '8f18ede4ea743a164b7e5b43049193985d3487976fa1ce1fcfcdec6eaddbcc005b56850d39beb921f5e6d2b4c699b0bc2e9b' +
    'b9995108b5ea7e7684479044940954958dd8c9b8045b6ee5a7fc2cb6d4c7716002d03e8d408b852c49e6261bbde81ad9523e' +
    '25079704230ef81321bd8d55cc1bc07c2f52484cf743a574689f4a63e2befc9528563e0fc26434b40038c957261c27b5ada6' +
    '9e27c870fcab25cb266a8b1781d8a33c6869956826ee28bc8d796edc56a9ea9cc09e2c86b81080bd98e81b70459c46e84dd1' +
    'b942d79a508eff30053ff589569c3d44294b5dc0dc0f7f8a6a9acdb992062a05e2344ded8f7f5fa144ebafaa9376511229be' +
    'e8c9953e0a0c',
);

const rsaSha512 = hex(
  '51872c4fe5cc10ed647cf3daec4f8b44b2ce9c06d589d0b4c0869c44b6a28f1934c39a1d3cbf717fa1a494b07d87e0f3fd28' +
    '0b45f549bd9dca5dee56b0cdf4ea71368dde5ef0ef9ab6fa4a3970dce0734a7fec5cc4767099c996cbe62b3affb3d81c6ffc' +
    'f1aec0089e1145297bba74a3140a8788a30e00aa0c2886768d175f618efbc17de20865bb4f15a7f10e288a1dcb7905b6db7f' +
    '8c367b32d6250302b756399a33ab0136736d77ee5f9495deac5e3455035e9561a10931c1b7f3adf8152b99a0ddf69bdb0269' +
    '6f06d571d36e4843bfd0e5aa7210e84657100428f94e6b31902bd264a063be1a99dcbe243a7a50491d31233853d3d3abfe58' +
    '04d6c07d3917',
);

/** By the algorithm's name. Functions, because hardly a process needs all of them. */
export const signed: Readonly<Record<string, () => Signed>> = {
  'ssh-ed25519': ed25519,
  'ecdsa-sha2-nistp256': ecdsaP256,
  'rsa-sha2-512': () => rsa('rsa-sha2-512', rsaSha512),
  'rsa-sha2-256': () => rsa('rsa-sha2-256', rsaSha256),
};

const key = (type: string, blob: Writer, fields: readonly Uint8Array[]): PrivateKey => ({
  type,
  blob: blob.finish(),
  fields,
  comment: '',
});

const signature = (name: string, value: Uint8Array): Uint8Array => new Writer(512).string(name).string(value).finish();

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g)!, byte => Number.parseInt(byte, 16));
}
