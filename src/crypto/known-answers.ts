// Known answers for self-test.ts: the RFCs' own where they have some; keys that serve no other purpose where not.
import { concat, encodeUtf8, Writer } from '../protocol/wire/reader.ts';
import { fromBigInt, modInverse, toBigInt } from './bigint.ts';
import { type DhGroup, dhGroup14, dhGroup16, dhGroup18, prime, toMpint } from './dh.ts';
import { MLKEM768_LENGTHS } from './mlkem768x25519.ts';
import { type NistCurve, nistp256, nistp384, nistp521 } from './nistp.ts';
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
const curve25519: Exchange = {
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

/** RFC 5903 §8.1. */
const ecdhP256 = ecdh(
  nistp256,
  [
    'c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433',
    'c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53',
  ],
  [
    '04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3',
    '04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab',
  ],
  'd6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de',
);

/** RFC 5903 §8.2. */
const ecdhP384 = ecdh(
  nistp384,
  [
    '099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194',
    '41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc',
  ],
  [
    '04667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa9482ed1fc0' +
      'eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c',
    '04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfbec7aac' +
      'f3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c',
  ],
  '11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746',
);

/** RFC 5903 §8.3. */
const ecdhP521 = ecdh(
  nistp521,
  [
    '0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639ba' +
      'b072462f68c27a57382d4a52',
    '0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458a' +
      'a4a4effc311f5cb151685eb9',
  ],
  [
    '040015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d107564941885942a' +
      'f5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a788015ac405d779' +
      '9dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582',
    '0400d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2' +
      'd0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2' +
      'aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a',
  ],
  '01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc' +
    '3151f2bee417996d19f3ddea',
);

/** To be refused are a point off the curve, one of another length, and infinity. */
function ecdh(
  { length }: NistCurve,
  secrets: readonly [string, string],
  publics: readonly [string, string],
  shared: string,
): Exchange {
  const [one, two] = publics.map(hex);
  const off = two.slice();
  off[2 * length] ^= 1;
  return {
    secrets: [hex(secrets[0]), hex(secrets[1])],
    publics: [one, two],
    shared: hex(shared),
    bad: [off, two.subarray(0, 2 * length), Uint8Array.of(0)],
  };
}

/** By the key exchange's name. */
export const exchanges: Readonly<Record<string, Exchange>> = {
  'curve25519-sha256': curve25519,
  'curve25519-sha256@libssh.org': curve25519,
  'ecdh-sha2-nistp256': ecdhP256,
  'ecdh-sha2-nistp384': ecdhP384,
  'ecdh-sha2-nistp521': ecdhP521,
};

/** What is too long to be written out. */
export interface Transcript {
  /** SHA-256 over INIT ‖ REPLY ‖ K, when initiator and responder draw from `pseudo(1)` and `pseudo(2)`. */
  readonly digest: Uint8Array;
  /** Replies that have to be refused. */
  readonly bad: readonly Uint8Array[];
}

/** By the key exchange's name. Functions, because the prime has to be worked out. */
export const transcripts: Readonly<Record<string, () => Transcript>> = {
  'diffie-hellman-group16-sha512': () =>
    dh(dhGroup16, 'c4cb98b65fc70cc0b53a715e8bb57ebae495824a0b4adc1ae1059b77174491d0'),
  'diffie-hellman-group18-sha512': () =>
    dh(dhGroup18, '756b6b6bea037427b0f7b33f95d0b13af29960545db811ccb1440eca28cfb6da'),
  'diffie-hellman-group14-sha256': () =>
    dh(dhGroup14, '5b999bbd6f6e92e27f21f97d10e7d20bcec067565c8a04200b2b019c4e6ee0c9'),
};

/** To be refused are 0, 1, p - 1, p, and a negative number. */
const dh = (group: DhGroup, digest: string): Transcript => ({
  digest: hex(digest),
  bad: [...[0n, 1n, prime(group) - 1n, prime(group)].map(value => toMpint(fromBigInt(value))), Uint8Array.of(0x80)],
});

/** An encapsulation key whose last coefficient is 4095 (FIPS 203 §7.2). */
export function notReduced(key: Uint8Array): Uint8Array {
  const changed = key.slice();
  // Behind the coefficients stands a seed of 32 bytes.
  changed.fill(0xff, MLKEM768_LENGTHS.publicKeyLength - 34, MLKEM768_LENGTHS.publicKeyLength - 32);
  return changed;
}

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

function ecdsa({ name: curve }: NistCurve, point: string, scalar: string, r: string, s: string): Signed {
  const name = `ecdsa-sha2-${curve}`;
  const fields = [encodeUtf8(curve), hex(point), hex(scalar)];
  return {
    key: key(name, new Writer().string(name).string(curve).string(fields[1]), fields),
    signature: signature(name, new Writer().mpint(hex(r)).mpint(hex(s)).finish()),
    deterministic: false,
  };
}

const ecdsaP256 = () =>
  ecdsa(
    nistp256,
    '0479a378f99f22683e7e5d1128db6ab84b2f63c2dccf2e94b8d5f25b1dd9a162fb9d792ab2f28593236162fe42ad2ba3b545' +
      '1245deec03e2d4b900eae39c21162c',
    'fcefe17aab2cea7bdbe1e6aad42002169e3d43a064dc905258dc1640c86419a8',
    'a6b1401b2c38a757f97c151f0c7eabaacfa6b681542746ca53515524e3aa885e',
    '79851fb4bd1c0f944c4017f29ee9ed149be54b2ec13c3edebf5e5b9bd79d9646',
  );

const ecdsaP384 = () =>
  ecdsa(
    nistp384,
    '04e4860ffd55305598d4d65eace10801fac0ff84e949ba225719506c72772f29f91232e4f7daea7771e98ea2e8a6fe213a4a29308a6c' +
      '73e63fa77234bd701bf068ca2ddaac64402a05c5fb341655c082d34aba4f30091abeb6ce13485bb95f113d',
    '1adf7b43f9b03fd113951fbb85e2b695a0ec301a10ad4750c547d922777a8ee673d223140cb2ef7e30a47c4cc90c8fe3',
    '3d8d51c31cc1baabb00b71f7e4c4d30c6486aa0a1e47080e7bc86bcd48e8e37c6cd77619dba7a0a097b254f2c096a2b4',
    'beb1aac96444af26d33e21f2355b07c49438ab6a53643ef6b8d4529decac33c0ae41ed25dbe0f5e79c031d0a69847f64',
  );

const ecdsaP521 = () =>
  ecdsa(
    nistp521,
    '0401a4c94148cd7743dc2da392933877b18cdfd8a36f45b46afae7f1d37356cd558de73691c7427509a6f3fdb7af87ad34b6d6ce889c' +
      'd7968f153e75585a896c750c740064e451d350f4225e5c85f3c3e50d3ac93d9102e224db07279bc73c1092ae05871d7aa14b5674f441' +
      'e191d9c51518c711866e2ebcf4af016f8b9f582ec921bfdf25',
    '01eb7037310831f43830e4fabe0a0dec93d167f8b487df73dbe43d9dcc3a82c14d1f38cf00a0b65d1a7483d969545a26520b17cd899e' +
      '25176080180ceebc1984ca46',
    '017644b58ae3fd9554b5b495f690898ad403fd00413569ec1aba3d04e651ac33f61d01c78264ed9ad128ee49f0590591fa206db31ffa' +
      'd1071f9a7cbcbb365842e087',
    '01990f2eacef4a34ca7bef68d595055c58d4546324a07215e4747c761b52e965044ee02ee28c0963ff66009b2a912ac6be3dbfc23ef8' +
      'fcc5f2be7393ac0dc8240ed7',
  );

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
  'ecdsa-sha2-nistp384': ecdsaP384,
  'ecdsa-sha2-nistp521': ecdsaP521,
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
