// What a user signs in with, put into the order in which ssh tries it: keys with certificates, keys, those of an agent, questions, password.
import { type Certificate, certifiedKey, parseCertificateLine, parsePrivateKey } from '../crypto/keys/index.ts';
import type { PrivateKey } from '../crypto/provider.ts';
import type { Eventually } from '../protocol/channels/answers.ts';
import { printable, UsageError } from '../protocol/errors.ts';
import type { Credential, RemoteKey, Round } from '../protocol/userauth/client.ts';
import { equalBytes } from '../protocol/wire/reader.ts';
import { Agent } from './agent.ts';

/** What to sign in with. All that is given is tried, as far as the server takes it, until it lets us in; what is not given is not looked for. */
export interface SignInOptions {
  /** Tried first, in this order, as they are. */
  readonly credentials?: readonly Credential[];
  /** Private keys: as `parsePrivateKey` gives them, or the text of a key file without a passphrase. */
  readonly keys?: readonly (PrivateKey | string)[];
  /** Certificates (the text of -cert.pub files, or parsed) of keys in `keys` or in the agent, which are tried with them first. */
  readonly certificates?: readonly (Certificate | string)[];
  /** An agent's keys, too: an Agent, the path of its socket, or true for the one that SSH_AUTH_SOCK names. */
  readonly agent?: Agent | string | true;
  /**
   * The password, or a function that gives it, and is called only when the server would take one. A function is asked up to
   * three times, with 0, 1, 2, as long as it gives something new; undefined gives up. A server that only asks
   * questions gets the password too, if it asks one whose answer is not to be seen and there is no `interactive`.
   */
  readonly password?: string | ((attempt: number) => Eventually<string | undefined>);
  /**
   * Answers the server's questions (keyboard-interactive, RFC 4256), as many as there are; undefined gives up. After a wrong
   * answer they may come again; `attempt` counts up then to 2.
   */
  readonly interactive?: (round: Round, attempt: number) => Eventually<readonly string[] | undefined>;
}

/** Attempts at passwords and questions, ssh's NumberOfPasswordPrompts. */
const ATTEMPTS = 3;

/**
 * Everything that the options name, best first.
 * @param failed hears what a function of the options throws: nothing more is tried
 * @throws KeyFormatError for keys and certificates that cannot be read; UsageError for a certificate without its key, or
 * without an agent where one is wanted; what `Agent.credentials` throws
 */
export async function credentialsOf(
  options: SignInOptions,
  failed: (error: Error) => void,
): Promise<readonly Credential[]> {
  const keys = (options.keys ?? []).map(key => (typeof key === 'string' ? parsePrivateKey(key) : key));
  const remote = options.agent === undefined ? [] : await agentOf(options.agent).credentials();
  const local = keys.map((key): Credential => ({ method: 'publickey', key }));
  const certified = (options.certificates ?? []).map(certificate => withCertificate(certificate, keys, remote));
  const others = remote.filter(({ key }) => !keys.some(({ blob }) => equalBytes(blob, key.blob)));
  return [
    ...(options.credentials ?? []),
    ...certified,
    ...local,
    ...others,
    ...questions(options, failed),
    ...passwords(options, failed),
  ];
}

function agentOf(agent: Agent | string | true): Agent {
  if (agent instanceof Agent) return agent;
  return new Agent(agent === true ? {} : { path: agent });
}

function withCertificate(
  given: Certificate | string,
  keys: readonly PrivateKey[],
  remote: readonly RemoteKey[],
): Credential {
  const certificate = typeof given === 'string' ? parseCertificateLine(given) : given;
  const { type, blob, key: plain, keyId } = certificate;
  const key = keys.find(candidate => equalBytes(candidate.blob, plain.blob));
  if (key !== undefined) return { method: 'publickey', key: certifiedKey(key, certificate) };
  const held = remote.find(candidate => equalBytes(candidate.key.blob, plain.blob));
  // The agent knows the plain key only; the certificate is for the server.
  if (held !== undefined) return { ...held, key: { type, blob } };
  const where = remote.length > 0 ? 'neither in keys nor in the agent' : 'not among keys';
  throw new UsageError(`the private key of the certificate "${printable(keyId)}" is ${where}: give it, too`);
}

/** Calls `give`, and has its failure heard. */
function asked<T>(give: () => Eventually<T>, use: (given: T) => void, failed: (error: Error) => void): void {
  Promise.resolve()
    .then(give)
    .then(use)
    .catch((error: Error) => failed(error));
}

function questions({ interactive }: SignInOptions, failed: (error: Error) => void): Credential[] {
  if (interactive === undefined) return [];
  let given = true;
  return Array.from({ length: ATTEMPTS }, (_, attempt) => ({
    method: 'keyboard-interactive',
    answer(round, respond) {
      if (!given) return respond(undefined);
      asked(
        () => interactive(round, attempt),
        answers => {
          if (answers !== undefined && answers.length !== round.prompts.length)
            throw new UsageError(`there are ${answers.length} answers to ${round.prompts.length} questions`);
          given = answers !== undefined;
          respond(answers);
        },
        failed,
      );
    },
  }));
}

function passwords({ password, interactive }: SignInOptions, failed: (error: Error) => void): Credential[] {
  if (password === undefined) return [];
  const give = typeof password === 'function' ? password : () => password;
  const refused = new Set<string>();
  let gaveUp = false;
  const ask = (attempt: number, respond: (password: string | undefined) => void) => {
    if (gaveUp) return respond(undefined);
    asked(
      () => give(attempt),
      given => {
        // What has been refused is not tried again: it would only count as one more failure.
        gaveUp = given === undefined || refused.has(given);
        if (given !== undefined) refused.add(given);
        respond(gaveUp ? undefined : given);
      },
      failed,
    );
  };
  const attempts = Array.from(
    { length: ATTEMPTS },
    (_, attempt): Credential => ({ method: 'password', ask: respond => ask(attempt, respond) }),
  );
  if (interactive !== undefined) return attempts;
  const byQuestion: Credential = {
    method: 'keyboard-interactive',
    answer({ prompts }, respond) {
      if (prompts.length === 0) respond([]);
      else if (prompts.length > 1 || prompts[0].echo) respond(undefined);
      else ask(0, given => respond(given === undefined ? undefined : [given]));
    },
  };
  return [...attempts, byQuestion];
}
