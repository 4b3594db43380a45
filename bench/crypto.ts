// Cryptography's part: what sealing and opening a packet costs in CPU time, and one key exchange or signature, by provider.
import type { CryptoProvider, KexAlgorithm, PrivateKey, Random, SignatureAlgorithm } from '../src/crypto/index.ts';
import { table } from '../test/kit/table.ts';
import { type Batch, cpuTime, type Sampling, sample } from './sampling.ts';
import { figure, spread } from './statistics.ts';

/** Payload bytes: a keystroke, a small message, an MTU's worth, a full packet of OpenSSH. */
export const SIZES = [64, 256, 1024, 32768];

/** A cipher and, where it needs one, a MAC. */
export interface Suite {
  readonly cipher: string;
  readonly mac?: string;
}

/** Costs in CPU µs, a value for each sample. */
export interface PacketCost extends Suite {
  readonly provider: string;
  readonly size: number;
  readonly seal: readonly number[];
  readonly open: readonly number[];
}

/** The two halves of one operation: a client's and a server's, or signing and verifying. */
export interface OperationCost {
  readonly name: string;
  readonly provider: string;
  readonly halves: readonly [readonly number[], readonly number[]];
}

export interface CryptoResult {
  readonly packets: readonly PacketCost[];
  readonly kex: readonly OperationCost[];
  readonly signatures: readonly OperationCost[];
}

/** Room before and after a payload, as a packet that arrives has it or that is made to be sent (src/protocol/wire/packet.ts). */
const HEAD_ROOM = 5;
const TAIL_ROOM = 84;
/** Bytes of packets in one batch: beyond the processor's caches, and nothing that the collector would notice. */
const BATCH = 8 * 1024 * 1024;

const PACKETS: Sampling = { samples: 9, target: 20_000, warmUp: 120_000, limit: 2_000_000 };
const OPERATIONS: Sampling = { samples: 9, target: 20_000, warmUp: 60_000, limit: 1_000_000 };

/** What this part uses of the package. */
type Built = Pick<typeof import('../src/crypto/index.ts'), 'accelerated' | 'noble'> &
  Pick<typeof import('../src/protocol/index.ts'), 'Packet'>;

/** Measures what is published, from `dist`, and not what tsx makes of the sources. */
async function built(): Promise<Built> {
  const part = async (name: string) => import(new URL(`../dist/${name}/index.js`, import.meta.url).href);
  return { ...(await part('crypto')), ...(await part('protocol')) };
}

export async function measureCrypto(progress: (text: string) => void): Promise<CryptoResult> {
  const { accelerated, noble, Packet } = await built();
  const providers: readonly CryptoProvider[] = [noble, accelerated];
  const packets = suites(noble).flatMap(suite =>
    providers.flatMap(provider =>
      SIZES.map(size => {
        progress(`${nameOf(suite)}, ${provider.name}, ${size} bytes`);
        return packetCost(Packet, provider, suite, size);
      }),
    ),
  );
  const operation = (name: string, provider: CryptoProvider, batch: Batch): OperationCost => {
    progress(`${name}, ${provider.name}`);
    const [first, second] = sample(batch, OPERATIONS);
    return { name, provider: provider.name, halves: [first, second] };
  };
  const kex = unaliased(noble.kex).flatMap(({ name }) =>
    providers.map(provider => operation(name, provider, exchange(find(provider.kex, name), provider.random))),
  );
  // What OpenSSH has added, certificates and tokens, are the same signatures beneath, and no key of theirs can be generated.
  const signatures = noble.signatures
    .filter(({ name }) => !name.includes('@'))
    .flatMap(({ name }) => {
      // One key for both, made by the faster: a portable RSA key takes seconds.
      const key = find(accelerated.signatures, name).generate(accelerated.random);
      return providers.map(provider =>
        operation(name, provider, signing(find(provider.signatures, name), key, provider.random)),
      );
    });
  return { packets, kex, signatures };
}

/** Every AEAD; every MAC with the first cipher in counter mode, and the others of that kind with the first MAC. */
export function suites({ ciphers, macs }: Pick<CryptoProvider, 'ciphers' | 'macs'>): Suite[] {
  const counter = ciphers.filter(({ aead }) => !aead);
  return [
    ...ciphers.filter(({ aead }) => aead).map(({ name }) => ({ cipher: name })),
    ...counter.flatMap(({ name }, i) =>
      (i === 0 ? macs : macs.slice(0, 1)).map(mac => ({ cipher: name, mac: mac.name })),
    ),
  ];
}

/** Without what is there a second time under its older name, as curve25519-sha256@libssh.org is. */
export function unaliased<T extends { readonly name: string }>(list: readonly T[]): T[] {
  const names = new Set(list.map(({ name }) => name));
  return list.filter(({ name }) => !name.includes('@') || !names.has(name.slice(0, name.indexOf('@'))));
}

const find = <T extends { readonly name: string }>(list: readonly T[], name: string): T =>
  list.find(element => element.name === name)!;

function packetCost(Packet: Built['Packet'], provider: CryptoProvider, suite: Suite, size: number): PacketCost {
  const cipher = find(provider.ciphers, suite.cipher);
  const mac = suite.mac === undefined ? undefined : find(provider.macs, suite.mac);
  const [key, iv] = [new Uint8Array(cipher.keyLength).fill(1), new Uint8Array(cipher.ivLength).fill(2)];
  const macKey = mac && new Uint8Array(mac.keyLength).fill(3);
  const sealer = cipher.sealer(key, iv, provider.random, mac, macKey);
  const opener = cipher.opener(key, iv, mac, macKey);
  const step = HEAD_ROOM + size + TAIL_ROOM;
  const most = Math.floor(BATCH / step);
  const rooms = new Uint8Array(most * step);
  const chunk = new Uint8Array(most * step);
  const payload = Uint8Array.from({ length: size }, (_, i) => i);
  let sequence = 0;
  const batch: Batch = count => {
    // Sealing and opening use up what they get, so both get it laid out anew, and that is not timed.
    const packets = Array.from({ length: count }, (_, i) => {
      const start = i * step + HEAD_ROOM;
      rooms.set(payload, start);
      return new Packet(rooms.subarray(i * step, (i + 1) * step), HEAD_ROOM, HEAD_ROOM + size);
    });
    const frames: Uint8Array[] = [];
    const seal = cpuTime(() => {
      for (let i = 0; i < count; i++) sealer.seal(packets[i], (sequence + i) >>> 0, frames);
    });
    let end = 0;
    for (const frame of frames) {
      chunk.set(frame, end);
      end += frame.length;
    }
    let opened = packets[0];
    const open = cpuTime(() => {
      for (let i = 0, at = 0; i < count; i++) {
        const length = opener.frameLength(chunk, at, (sequence + i) >>> 0);
        opened = opener.open(chunk, at, at + length, (sequence + i) >>> 0);
        at += length;
      }
    });
    if (Buffer.compare(opened.payload, payload) !== 0)
      throw new Error(`${nameOf(suite)} of ${provider.name} does not open its own`);
    sequence = (sequence + count) >>> 0;
    return [seal, open];
  };
  const [seal, open] = sample(batch, { ...PACKETS, most });
  return { ...suite, provider: provider.name, size, seal, open };
}

/** Client's half (both its steps), server's half. */
function exchange(kex: KexAlgorithm, random: Random): Batch {
  return count => {
    const each = Array.from({ length: count }, (_, i) => i);
    let initiators: ReturnType<KexAlgorithm['initiate']>[] = [];
    let replies: Uint8Array[] = [];
    const begin = cpuTime(() => (initiators = each.map(() => kex.initiate(random))));
    const server = cpuTime(() => (replies = initiators.map(({ init }) => kex.respond(init, random).reply)));
    const finish = cpuTime(() => initiators.map((initiator, i) => initiator.finish(replies[i])));
    return [begin + finish, server];
  };
}

/** Signing, verifying. */
function signing(algorithm: SignatureAlgorithm, key: PrivateKey, random: Random): Batch {
  const data = new Uint8Array(300).fill(7);
  return count => {
    const signatures: Uint8Array[] = [];
    let right = true;
    const sign = cpuTime(() => {
      for (let i = 0; i < count; i++) signatures.push(algorithm.sign(key, data, random));
    });
    const verify = cpuTime(() => {
      for (const signature of signatures) right &&= algorithm.verify(key.blob, data, signature);
    });
    if (!right) throw new Error(`${algorithm.name} does not verify its own signature`);
    return [sign, verify];
  };
}

const nameOf = ({ cipher, mac }: Suite): string => (mac ? `${cipher} + ${mac}` : cipher);
const sizeOf = (bytes: number): string => (bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`);
const middle = (values: readonly number[]): string => figure(spread(values).median);

/** The tables. */
export function cryptoReport({ packets, kex, signatures }: CryptoResult): string {
  const rows = new Map<string, string[]>();
  for (const cost of packets) {
    const key = `${nameOf(cost)}, ${cost.provider}`;
    const row = rows.get(key) ?? [nameOf(cost), cost.provider];
    row.push(`${middle(cost.seal)} / ${middle(cost.open)}`);
    rows.set(key, row);
  }
  const sizes = [...new Set(packets.map(({ size }) => size))];
  const samples = packets.flatMap(({ seal, open }) => [seal, open]);
  const milliseconds = (costs: readonly OperationCost[]) =>
    costs.map(({ name, provider, halves }) => [
      name,
      provider,
      ...halves.map(half => figure(spread(half).median / 1000)),
    ]);
  return [
    'CPU µs per packet, seal / open, by payload:',
    '',
    table(['cipher', 'provider', ...sizes.map(sizeOf)], [...rows.values()], 2),
    '',
    `Medians of ${samples[0].length} batches; the batches of one cell lie ${figure(100 * spread(samples.map(scatter)).median)} % apart (median of all cells).`,
    '',
    'CPU ms per key exchange:',
    '',
    table(['key exchange', 'provider', 'client', 'server'], milliseconds(kex), 2),
    '',
    'CPU ms per signature:',
    '',
    table(['signature', 'provider', 'sign', 'verify'], milliseconds(signatures), 2),
  ].join('\n');
}

/** How far apart some samples lie, as a part of their median. */
function scatter(values: readonly number[]): number {
  const { median, min, max } = spread(values);
  return median > 0 ? (max - min) / median : 0;
}
