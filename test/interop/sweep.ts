// The sweep's two roles: the stock ssh with our server, and our client with the stock sshd; each takes any combination of algorithms.
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { dial, knownHosts } from '../../src/client/index.ts';
import {
  certificateName,
  certifiedKey,
  formatCertificate,
  formatPublicKey,
  parseAuthorizedKeys,
  publicOf,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { byName, type CryptoProvider, type PrivateKey } from '../../src/crypto/provider.ts';
import { type Authenticator, authorizedKeys, type ChannelStream } from '../../src/server/index.ts';
import { authority, caLine, issue } from '../kit/certificates.ts';
import { echoServer } from '../kit/loopback.ts';
import { type Scope, soon } from '../kit/processes.ts';
import { type KeyType, keyFile, knownHost, only, readKey, serve, ssh, sshd } from '../kit/ssh.ts';
import { plugged, Token } from '../kit/token.ts';
import { tokenAgent } from '../kit/token-agent.ts';

/** Seconds for one step of one connection; what takes longer hangs. */
const LIMIT = 60;
/** What is sent if nothing else is wanted. */
const HELLO: Load = { bytes: Buffer.from('hello'), rekey: 2 ** 30 };

/** All that one connection negotiates is named, so that it cannot be anything else. */
export interface Algorithms {
  readonly kex: string;
  readonly cipher: string;
  /** Not with an AEAD cipher. */
  readonly mac?: string;
  readonly hostKey: string;
  readonly userKey: string;
}

/** What is sent there and back. */
export interface Load {
  readonly bytes: Uint8Array;
  /** Bytes after which keys are exchanged again. */
  readonly rekey: number;
}

/** Makes a connection, has `load` sent there and back, and says how often keys were exchanged. @throws unless all is as it was wanted */
export type Connect = (wanted: Algorithms, load?: Load) => Promise<number>;

// Keys

const TOKENS = [new Token('ed25519'), new Token('ecdsa')];
const FILES: Readonly<Record<string, KeyType>> = {
  ...{ 'ssh-ed25519': 'ed25519', 'ssh-rsa': 'rsa' },
  ...{ 'ecdsa-sha2-nistp256': 'ecdsa', 'ecdsa-sha2-nistp384': 'ecdsa384', 'ecdsa-sha2-nistp521': 'ecdsa521' },
};
/** The types of plain key. */
const TYPES = [...Object.keys(FILES), ...TOKENS.map(({ type }) => type)];

/** Whose key of which type; in all types that tokens hold, everybody has the same. */
const keyOf = (owner: string, type: string): PrivateKey =>
  TOKENS.find(token => token.type === type)?.privateKey ?? readKey(owner, FILES[type]);

const hostCertificate = (key: PrivateKey) =>
  issue({ key: publicOf(key), kind: 'host', principals: ['127.0.0.1'], extensions: {} });

/** The type of plain key that an algorithm signs with, and whether it wants a certificate for it. */
function keyFor(algorithm: string): { type: string; certified: boolean } {
  const { keyType, plain } = byName(noble.signatures, algorithm)!;
  const type = TYPES.find(type => type === keyType || certificateName(type) === keyType)!;
  return { type, certified: plain !== undefined };
}

const lineOf = (key: PrivateKey) => formatPublicKey(publicOf(key));

// The two roles

/** The stock ssh with our server. */
export async function toOurServer(scope: Scope, provider: CryptoProvider): Promise<Connect> {
  /** What each user's last signature was made with. */
  const proven = new Map<string, string>();
  const { entries } = parseAuthorizedKeys([caLine(), ...TYPES.map(type => lineOf(keyOf('alice', type)))].join('\n'));
  const judge = authorizedKeys({ provider, keys: () => entries, admitted: () => true });
  const listening: Authenticator = {
    method: 'publickey',
    answer(question, client) {
      if (question.method === 'publickey') proven.set(question.user, question.algorithm);
      return judge.answer(question, client);
    },
  };
  const plain = TYPES.map(type => keyOf('host', type));
  const hostKeys = plain.flatMap(key => [key, certifiedKey(key, hostCertificate(key))]);
  // All of them, named: group18 is not offered otherwise.
  const kex = provider.kex.map(({ name }) => name);
  const server = await serve(scope, {
    provider: plugged(provider, TOKENS),
    kex,
    authenticators: [listening],
    hostKeys,
  });
  let users = 0;

  return async ({ kex, cipher, mac, hostKey, userKey }, load = HELLO) => {
    const user = `user${users++}`;
    const host = keyFor(hostKey);
    const own = keyFor(userKey);
    const known = host.certified
      ? [`@cert-authority * ${lineOf(authority)}`]
      : [knownHost(server.host, server.port, lineOf(keyOf('host', host.type)))];
    const key = keyOf('alice', own.type);
    const certificate = issue({ key: publicOf(key), principals: [user] });
    const file = join(scope.directory(), 'cert.pub');
    writeFileSync(file, `${formatCertificate(certificate)}\n`);
    const token = TOKENS.find(({ type }) => type === own.type);
    const agent = token && (await tokenAgent(scope, token, own.certified ? { certificate: certificate.blob } : {}));
    const config = [
      `KexAlgorithms ${kex}`,
      `Ciphers ${cipher}`,
      ...(mac ? [`MACs ${mac}`] : []),
      `HostKeyAlgorithms ${hostKey}`,
      // ssh signs with the plain key that a certificate is for only if it may use that, too.
      `PubkeyAcceptedAlgorithms ${userKey}${own.certified ? `,${byName(noble.signatures, userKey)!.plain}` : ''}`,
      ...(agent ? [`IdentityAgent ${agent}`, 'IdentitiesOnly no', 'IdentityFile none'] : []),
      ...(own.certified && !agent ? [`CertificateFile ${file}`] : []),
      `RekeyLimit ${load.rekey}`,
    ];
    const child = ssh(scope, { ...server, known }, user, ['-v', '--', 'cat'], {
      ...{ key: 'alice', keyType: FILES[own.type] ?? 'ed25519', config, input: load.bytes },
    });
    try {
      const { code, stdout, stderr } = await soon('ssh to end', child.ended, LIMIT);
      assert.is(code, 0, stderr.replace(/^(?:debug1: |OpenSSH_)[^\n]*\n/gm, '').trim());
      check(stdout, load.bytes);
      assert.is(proven.get(user), userKey);
      // ssh's own word on what was agreed on.
      for (const line of [
        `kex: algorithm: ${kex}`,
        `kex: host key algorithm: ${hostKey}`,
        `kex: server->client cipher: ${cipher} MAC: ${mac ?? '<implicit>'} compression: none`,
        `kex: client->server cipher: ${cipher} MAC: ${mac ?? '<implicit>'} compression: none`,
      ]) {
        assert.ok(stderr.includes(`${line}\r\n`), `ssh did not say "${line}"`);
      }
      return [...stderr.matchAll(/SSH2_MSG_NEWKEYS received/g)].length;
    } finally {
      await child.stop();
    }
  };
}

/** Our client with the stock sshd, which is told to take all of our algorithms that it has. */
export async function toSshd(
  scope: Scope,
  provider: CryptoProvider,
  theirs: (name: string) => boolean,
): Promise<Connect> {
  const directory = scope.directory();
  const path = (name: string, text: string) => {
    const file = join(directory, name);
    // sshd takes a host key's .pub file for a private key first, and complains of one that all may read.
    writeFileSync(file, `${text}\n`, { mode: 0o600 });
    return file;
  };
  const common = (list: readonly { name: string }[]) =>
    list
      .map(({ name }) => name)
      .filter(theirs)
      .join(',');
  const hostKeys = TYPES.flatMap((type, i) => {
    const file = join(directory, `host${i}`);
    const key = keyOf('sshd', type);
    if (type in FILES) {
      copyFileSync(keyFile('sshd', FILES[type]), file);
      chmodSync(file, 0o600);
    }
    path(`host${i}.pub`, lineOf(key));
    const certificate = path(`host${i}-cert.pub`, formatCertificate(hostCertificate(key)));
    return [`HostKey ${type in FILES ? file : `${file}.pub`}`, `HostCertificate ${certificate}`];
  });
  const server = await sshd(
    scope,
    [],
    [
      ...hostKeys,
      `HostKeyAgent ${await tokenAgent(scope, TOKENS)}`,
      `TrustedUserCAKeys ${path('authority.pub', lineOf(authority))}`,
      `KexAlgorithms ${common(provider.kex)}`,
      `Ciphers ${common(provider.ciphers)}`,
      `MACs ${common(provider.macs)}`,
      `HostKeyAlgorithms ${common(provider.signatures)}`,
      `PubkeyAcceptedAlgorithms ${common(provider.signatures)}`,
    ],
  );
  const { host, port, user } = server;
  // Not a command: a shell takes longer than all the rest.
  const echo = await echoServer(scope);
  writeFileSync(server.authorizedKeys, TYPES.map(type => `${lineOf(keyOf('alice', type))}\n`).join(''));
  const plain = TYPES.map(type => knownHost(host, port, lineOf(keyOf('sshd', type))));
  const known = knownHosts({
    files: [path('known_hosts', [`@cert-authority * ${lineOf(authority)}`, ...plain].join('\n'))],
  });

  return async ({ kex, cipher, mac, hostKey, userKey }, load = HELLO) => {
    const { type, certified } = keyFor(userKey);
    const plain = keyOf('alice', type);
    const key = certified ? certifiedKey(plain, issue({ key: publicOf(plain), principals: [user] })) : plain;
    const connected = dial({
      ...{ host, port, user, keys: [key] },
      provider: only(plugged(provider, TOKENS), { kex, cipher, mac, signatures: [hostKey, userKey] }),
      hostKey: Object.assign(((...args) => known(...args)) as typeof known, { prefer: () => [hostKey] }),
      rekeyBytes: load.rekey,
    });
    try {
      const client = await soon('sign-in', connected, LIMIT);
      const circuit = await soon('a circuit', client.forward('127.0.0.1', echo), LIMIT);
      const [answer] = await soon('the echo', Promise.all([collect(circuit), send(circuit, load.bytes)]), LIMIT);
      check(answer, load.bytes);
      const { negotiated, exchanges } = client.connection.transport;
      assert.equal([negotiated!.kex, negotiated!.hostKey], [kex, hostKey]);
      for (const way of [negotiated!.clientToServer, negotiated!.serverToClient])
        assert.equal([way.cipher, way.mac], [cipher, mac]);
      return exchanges;
    } finally {
      void connected.then(client => client.close()).catch(() => {});
    }
  };
}

async function send(stream: ChannelStream, bytes: Uint8Array): Promise<void> {
  await stream.write(bytes);
  await stream.end();
}

async function collect(stream: ChannelStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

function check(got: Uint8Array, sent: Uint8Array): void {
  const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  assert.is(sum(got), sum(sent), `${got.length} bytes came back of ${sent.length}`);
}
