// What tests of certificates share: an authority, certificates for Alice, and a server that takes what authorized_keys lines admit.
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import {
  type Certificate,
  type CertificateRequest,
  formatPublicKey,
  issueCertificate,
  parseAuthorizedKeys,
  parseCertificate,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../src/crypto/keys/index.ts';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import { type Admission, authorizedKeys, type Client, type Logger, sessions } from '../../src/server/index.ts';
import type { Scope } from './processes.ts';
import { type InProcess, readKey, serve } from './ssh.ts';

export const authority = readKey('authority');
/** Now, in seconds since 1970. */
export const now = () => BigInt(Math.floor(Date.now() / 1000));

/** A certificate for Alice, good for an hour; `changes` make it something else. */
export function issue(changes: Partial<CertificateRequest> = {}, by = authority): Certificate {
  const request: CertificateRequest = {
    ...{ key: publicOf(readKey('alice')), kind: 'user', keyId: 'alice of test', principals: ['alice'], serial: 7n },
    ...{ validAfter: now() - 60n, validBefore: now() + 3600n, extensions: STANDARD_EXTENSIONS },
    ...changes,
  };
  return parseCertificate(issueCertificate(request, by, accelerated));
}

/** Log lines, and what was granted. */
export interface Desk {
  readonly server: InProcess;
  readonly log: string[];
  readonly admissions: Admission[];
}

/** A server that takes what `lines` admit, and carries out `command` and the rest. */
export async function desk(
  scope: Scope,
  lines: readonly string[],
  options: {
    provider?: CryptoProvider;
    revoked?: (blob: Uint8Array) => string | undefined;
    hostKeys?: readonly PrivateKey[];
  } = {},
): Promise<Desk> {
  const log: string[] = [];
  const admissions: Admission[] = [];
  const granted = new WeakMap<Client, Admission>();
  const { entries, problems } = parseAuthorizedKeys(lines.join('\n'));
  assert.equal(problems, []);
  const keep = (_fields: object, message: string) => void log.push(message);
  const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep };
  const provider = options.provider ?? accelerated;
  const server = await serve(scope, {
    provider,
    log: logger,
    ...(options.hostKeys && { hostKeys: options.hostKeys }),
    authenticators: [
      authorizedKeys({
        provider,
        enforced: [
          'command',
          'restrict',
          'no-pty',
          'no-port-forwarding',
          'no-agent-forwarding',
          'no-x11-forwarding',
          'no-user-rc',
        ],
        keys: () => entries,
        revoked: options.revoked,
        log: logger,
        admitted(admission, client) {
          admissions.push(admission);
          granted.set(client, admission);
          return true;
        },
      }),
    ],
    channels: {
      session: sessions({
        async exec(asked, session) {
          await session.write(`${granted.get(session.client)!.rules.command ?? asked}\n`);
          await session.exit(0);
        },
      }),
    },
  });
  return { server, log, admissions };
}

/** A line for an authority, with `cert-authority` or more options. */
export const caLine = (options = 'cert-authority', key = authority): string =>
  `${options} ${formatPublicKey(publicOf(key))}`;

/** The message of what signing in is rejected with. */
export const failure = (promise: Promise<{ close(): Promise<void> }>): Promise<string> =>
  promise.then(
    async connection => {
      await connection.close();
      return 'it got in';
    },
    (error: Error) => error.message,
  );
