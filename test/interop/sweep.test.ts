// Every algorithm with the real OpenSSH in both roles: its ssh with our server, our client with its sshd. Prints a table.
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { needs } from '../kit/tools.ts';
import { type Algorithms, type Connect, type Load, toOurServer, toSshd } from './sweep.ts';

const it = needs(test, 'ssh', 'sshd', 'ssh-keygen');
/** Connections at once: enough to keep two cores busy, and few enough for any MaxStartups. */
const AT_ONCE = 4;
/** Failures after which a sweep gives up. */
const ENOUGH = 4;

/** A connection, and the rows of the table that it counts for: kind and name. */
interface Case extends Algorithms {
  readonly rows: readonly (readonly [kind: string, name: string])[];
  readonly load?: Load;
  /** Exchanges of keys that there must be under this load. */
  readonly exchanges?: number;
}

/** What is not the subject: quick, and in every OpenSSH. */
const USUAL: Algorithms = {
  ...{ kex: 'curve25519-sha256', cipher: 'aes128-gcm@openssh.com' },
  ...{ hostKey: 'ssh-ed25519', userKey: 'ssh-ed25519' },
};
const MIB = 1024 * 1024;
const bytes = randomBytes(8 * MIB);
/** Once with new keys in between; with a limit of half a MiB ssh would exchange them for every packet. */
const WITH_EACH_KEX = [
  { cipher: 'chacha20-poly1305@openssh.com' },
  {
    ...{ cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com' },
    ...{ load: { bytes: bytes.subarray(0, 1.25 * MIB), rekey: MIB }, exchanges: 2 },
  },
];

const kexes = noble.kex.flatMap(({ name }) =>
  WITH_EACH_KEX.map((suite): Case => ({ ...USUAL, ...suite, rows: [['key exchange', name]], kex: name })),
);

const suites = noble.ciphers.flatMap(({ name, aead }): Case[] => {
  const row = ['cipher', name] as const;
  if (aead) return [{ ...USUAL, rows: [row], cipher: name }];
  return noble.macs.map(mac => ({ ...USUAL, rows: [row, ['MAC', mac.name]], cipher: name, mac: mac.name }));
});

/** Without those by browsers, which no program signs in with (but see security-tokens.test.ts). */
const keys = noble.signatures
  .filter(({ name }) => !name.startsWith('webauthn-'))
  .flatMap(({ name, plain }): Case[] => {
    const [what, label] = plain === undefined ? ['key', name] : ['certificate', plain];
    return [
      { ...USUAL, rows: [[`host ${what}`, label]], hostKey: name },
      { ...USUAL, rows: [[`user ${what}`, label]], userKey: name },
    ];
  });

const LOADED = '8 MiB with new keys every MiB';
const loads = noble.ciphers.map(({ name, aead }): Case => {
  const mac = aead ? {} : { mac: noble.macs[0].name };
  return { ...USUAL, rows: [[LOADED, name]], cipher: name, ...mac, load: { bytes, rekey: MIB }, exchanges: 8 };
});

const ROLES = ['ssh → our server', 'our client → sshd'] as const;
type Role = (typeof ROLES)[number];

/** What became of each row in each role: kind, name, role. */
const cells = new Map<string, Map<string, Map<Role, string>>>();

function note(provider: CryptoProvider, { rows }: Case, role: Role, result: string): void {
  for (const [what, name] of rows) {
    const kind = provider === noble ? `${what}, noble` : what;
    if (!cells.has(kind)) cells.set(kind, new Map());
    const names = cells.get(kind)!;
    if (!names.has(name)) names.set(name, new Map());
    const row = names.get(name)!;
    // What goes well does not make good for what did not.
    if (['', 'ok'].includes(row.get(role) ?? '')) row.set(role, result);
  }
}

/** Lines of names for which it went the same way. */
function printTable(): void {
  const lines: string[][] = [[...ROLES, `with ${version}`]];
  for (const [kind, names] of cells) {
    const alike = new Map<string, string[]>();
    for (const [name, row] of names) {
      const results = ROLES.map(role => row.get(role) ?? '').join('\t');
      alike.set(results, [...(alike.get(results) ?? []), name]);
    }
    for (const [results, of] of alike) lines.push([...results.split('\t'), `${kind}: ${of.join(', ')}`]);
  }
  const widths = ROLES.map((_, column) => Math.max(...lines.map(line => line[column].length)));
  const text = lines.map(line => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
  console.log(`\n${text.map(line => `note: ${line.trimEnd()}`).join('\n')}`);
}

const known = new Set<string>();
let version = '';
const theirs = (name: string) => known.has(name);

/** What the installed OpenSSH has. */
async function ask(scope: Scope): Promise<void> {
  if (version) return;
  version = /^OpenSSH_[^ ,]+/.exec((await scope.run('ssh', ['-V'])).stderr)![0];
  for (const what of ['kex', 'cipher', 'mac', 'HostKeyAlgorithms'])
    for (const name of (await scope.run('ssh', ['-Q', what])).stdout.toString().trim().split('\n')) known.add(name);
  // Or else it was the question that was not understood, and nothing would be tried.
  for (const name of Object.values(USUAL)) assert.ok(theirs(name), `${version} does not name ${name}`);
}

/** Makes all connections, some at a time, and reports all that fail. */
async function sweep(provider: CryptoProvider, role: Role, cases: readonly Case[], connect: Connect): Promise<void> {
  const failures: string[] = [];
  const queue = [...cases];
  // In this order, whichever is done first.
  for (const each of cases) note(provider, each, role, '');
  const work = async () => {
    for (let wanted = queue.shift(); wanted !== undefined; wanted = queue.shift()) {
      const { kex, cipher, mac, hostKey, userKey } = wanted;
      const names = [kex, cipher, mac, hostKey, userKey].filter(name => name !== undefined);
      if (!names.every(theirs)) {
        note(provider, wanted, role, `not in ${version}`);
        continue;
      }
      try {
        const exchanges = await connect(wanted, wanted.load);
        if (exchanges < (wanted.exchanges ?? 1)) throw new Error(`keys were exchanged ${exchanges} times only`);
        note(provider, wanted, role, 'ok');
      } catch (error) {
        note(provider, wanted, role, 'FAILED');
        failures.push(`${names.join(' ')}: ${(error as Error).message}`);
        if (failures.length >= ENOUGH) queue.length = 0;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

for (const [provider, cases] of [
  [accelerated, [...kexes, ...suites, ...keys, ...loads]],
  [noble, [...kexes, ...suites]],
] as const) {
  it(
    `${ROLES[0]} (${provider.name})`,
    bounded(300, async scope => {
      await ask(scope);
      await sweep(provider, ROLES[0], cases, await toOurServer(scope, provider));
    }),
  );

  it(
    `${ROLES[1]} (${provider.name})`,
    bounded(300, async scope => {
      await ask(scope);
      await sweep(provider, ROLES[1], cases, await toSshd(scope, provider, theirs));
    }),
  );
}

test.after(printTable);

test.run();
