// What is recorded: which side we are, what OpenSSH offers, and what the client asks for.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePrivateKey } from '../../src/crypto/keys/index.ts';
import type { PrivateKey } from '../../src/crypto/provider.ts';
import type { KeyType } from '../kit/ssh.ts';

/** A key of test-vectors/keys. */
export type KeyName = 'ed25519' | 'ecdsa256' | 'rsa3072';

/** What the client asks for once it is signed in; the server's application serves all of them. */
export type Task =
  /** Runs a command. */
  | { readonly do: 'exec'; readonly command: string }
  /** `ssh -W`, with a service that echoes at the other end. */
  | { readonly do: 'forward' }
  /** `ssh -R`, and one caller; the server's side has it come when a command is asked for. */
  | { readonly do: 'listen' }
  /** `ssh-keyscan`: goes when it has seen the key. */
  | { readonly do: 'scan' };

export interface Scenario {
  /** Of the recording's file, too. */
  readonly name: string;
  /** Our side. */
  readonly role: 'server' | 'client';
  /** Where our randomness begins. */
  readonly seed: number;
  /** All that OpenSSH offers; by default what it offers by itself. We always offer all we have. */
  readonly kex?: string;
  readonly hostKey?: string;
  readonly cipher?: string;
  readonly mac?: string;
  /** Our key: the host's if we are the server, the user's if we are the client. */
  readonly key: KeyName;
  /** OpenSSH's key: the user's if we are the server. */
  readonly peerKey?: KeyType;
  /** Whether the user's key is let in. */
  readonly refuse?: boolean;
  /** Bytes after which we exchange keys anew, or OpenSSH does. */
  readonly rekeyBytes?: number;
  readonly peerRekeyBytes?: number;
  readonly task: Task;
  /** What the client sends. */
  readonly input?: string;
}

const hello: Task = { do: 'exec', command: 'echo hello' };
const cat: Task = { do: 'exec', command: 'cat' };

const kexes = ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'];
const hostKeyAlgorithms: [string, KeyName][] = [
  ['ssh-ed25519', 'ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa256'],
  ['rsa-sha2-512', 'rsa3072'],
  ['rsa-sha2-256', 'rsa3072'],
];
/** Each cipher and each MAC at least once among the combinations above. */
const ciphers: [string, string | undefined][] = [
  ['chacha20-poly1305@openssh.com', undefined],
  ['aes128-gcm@openssh.com', undefined],
  ['aes256-gcm@openssh.com', undefined],
  ['aes128-ctr', 'hmac-sha2-256-etm@openssh.com'],
  ['aes192-ctr', 'hmac-sha2-512-etm@openssh.com'],
  ['aes256-ctr', 'hmac-sha2-256'],
  ['aes256-ctr', 'hmac-sha2-512'],
];

function algorithms(role: Scenario['role']): Scenario[] {
  return kexes.flatMap((kex, i) =>
    hostKeyAlgorithms.map(([hostKey, name], j) => {
      const number = i * hostKeyAlgorithms.length + j;
      const [cipher, mac] = ciphers[number % ciphers.length];
      const key = role === 'server' ? name : 'ed25519';
      const file = `${role}-${kex}-${hostKey}`;
      return {
        name: file,
        role,
        seed: (role === 'server' ? 1 : 21) + number,
        kex,
        hostKey,
        cipher,
        mac,
        key,
        task: hello,
      };
    }),
  );
}

/** The rest goes by one set of algorithms, which keeps the recordings short. */
const short = {
  kex: 'curve25519-sha256',
  hostKey: 'ssh-ed25519',
  cipher: 'aes128-gcm@openssh.com',
  key: 'ed25519',
} as const;
const server = { ...short, role: 'server' } as const;
const client = { ...short, role: 'client' } as const;
/** Enough for some exchanges of keys at `REKEY` bytes. */
const text = 'The quick brown fox jumps over the lazy dog.\n'.repeat(60);
const REKEY = 1500;

export const scenarios: readonly Scenario[] = [
  ...algorithms('server'),
  { name: 'server-all-algorithms', role: 'server', seed: 101, key: 'ed25519', task: hello },
  { ...server, name: 'server-user-ed25519', seed: 102, peerKey: 'ed25519', task: hello },
  { ...server, name: 'server-user-ecdsa', seed: 103, peerKey: 'ecdsa', task: hello },
  { ...server, name: 'server-user-rsa', seed: 104, peerKey: 'rsa', task: hello },
  { ...server, name: 'server-user-refused', seed: 105, refuse: true, task: hello },
  { ...server, name: 'server-exec-input', seed: 106, task: cat, input: 'one\ntwo\n' },
  { ...server, name: 'server-exec-status', seed: 107, task: { do: 'exec', command: 'fail 3' } },
  { ...server, name: 'server-exec-refused', seed: 108, task: { do: 'exec', command: 'sing' } },
  { ...server, name: 'server-forward', seed: 109, task: { do: 'forward' }, input: 'through the tunnel' },
  { ...server, name: 'server-listen', seed: 110, task: { do: 'listen' } },
  { ...server, name: 'server-rekey-peer', seed: 111, task: cat, input: text, peerRekeyBytes: REKEY },
  { ...server, name: 'server-rekey-ours', seed: 112, task: cat, input: text, rekeyBytes: REKEY },
  { ...server, name: 'server-keyscan', seed: 113, task: { do: 'scan' } },

  ...algorithms('client'),
  { name: 'client-all-algorithms', role: 'client', seed: 201, key: 'ed25519', task: hello },
  { ...client, name: 'client-user-ecdsa', seed: 203, key: 'ecdsa256', task: hello },
  { ...client, name: 'client-user-rsa', seed: 204, key: 'rsa3072', task: hello },
  { ...client, name: 'client-user-refused', seed: 205, refuse: true, task: hello },
  { ...client, name: 'client-exec-input', seed: 206, task: cat, input: 'one\ntwo\n' },
  { ...client, name: 'client-exec-status', seed: 207, task: { do: 'exec', command: 'echo no >&2; exit 3' } },
  { ...client, name: 'client-forward', seed: 209, task: { do: 'forward' }, input: 'through the tunnel' },
  { ...client, name: 'client-listen', seed: 210, task: { do: 'listen' } },
  { ...client, name: 'client-rekey-peer', seed: 211, task: cat, input: text, peerRekeyBytes: REKEY },
  { ...client, name: 'client-rekey-ours', seed: 212, task: cat, input: text, rekeyBytes: REKEY },
];

/** Where a key of `Scenario.key` lies. */
export const keyPath = (name: KeyName): string => join(import.meta.dirname, '..', '..', 'test-vectors', 'keys', name);

export const ourKey = (name: KeyName): PrivateKey => parsePrivateKey(readFileSync(keyPath(name), 'utf8'));
