// What a user signs in with: in what order it is tried, when somebody is asked, and how often.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Agent } from '../../../src/client/agent.ts';
import { credentialsOf, type SignInOptions } from '../../../src/client/credentials.ts';
import {
  formatCertificate,
  formatPrivateKey,
  issueCertificate,
  parseCertificate,
  publicOf,
} from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { DisconnectError, KeyFormatError, UsageError } from '../../../src/protocol/errors.ts';
import type { RemoteKey } from '../../../src/protocol/userauth/client.ts';
import { type Authenticator, keyboardInteractive, passwords } from '../../../src/server/authenticators.ts';
import { call, closeServers, testServer } from '../../kit/served.ts';

const ed25519 = byName(noble.signatures, 'ssh-ed25519')!;
const [key, other, third, authority] = ['one', 'two', 'three', 'ca'].map(comment =>
  ed25519.generate(noble.random, comment),
);
const certify = (subject: typeof key) =>
  parseCertificate(
    issueCertificate(
      {
        ...{ key: publicOf(subject), kind: 'user', keyId: `the key ${subject.comment}`, principals: ['alice'] },
        ...{ validAfter: 0n, validBefore: 2n ** 40n },
      },
      authority,
      noble,
    ),
  );

/** An agent that holds some keys, and signs with nothing but zeros. */
class PretendedAgent extends Agent {
  readonly #keys: readonly RemoteKey[];
  constructor(...keys: { type: string; blob: Uint8Array }[]) {
    super({ path: '/nowhere' });
    this.#keys = keys.map(({ type, blob }) => ({
      ...{ method: 'publickey', key: { type, blob } },
      sign: (_data, _algorithm, respond) => respond(new Uint8Array(1)),
    }));
  }
  override async credentials(): Promise<RemoteKey[]> {
    return [...this.#keys];
  }
}

const unheard = (error: Error) => {
  throw error;
};

/** What is tried, in order: "publickey one", "password". */
async function order(options: SignInOptions): Promise<string[]> {
  const all = await credentialsOf(options, unheard);
  const plain = new Map([key, other, third].map(each => [Buffer.from(each.blob).toString('hex'), each.comment]));
  return all.map(credential => {
    if (credential.method !== 'publickey') return credential.method;
    const { type, blob } = credential.key;
    const inside = type.includes('-cert-') ? parseCertificate(blob).key.blob : blob;
    const where = credential.sign ? 'agent' : 'local';
    return `${where} ${type === 'ssh-ed25519' ? '' : 'certificate of '}${plain.get(Buffer.from(inside).toString('hex'))}`;
  });
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const value = await promise.catch((error: Error) => error);
  if (value instanceof Error) return value;
  throw new Error('it did not fail');
}

test('the order is ssh’s: own list, certificates, keys, the agent’s others, questions, password', async () => {
  assert.equal(await order({}), []);
  assert.equal(
    await order({
      password: 'x',
      interactive: () => [],
      agent: new PretendedAgent(publicOf(key), publicOf(third)),
      keys: [key, formatPrivateKey(other, {}, noble.random)],
      certificates: [formatCertificate(certify(third)), certify(other)],
      credentials: [{ method: 'password', password: 'first' }],
    }),
    [
      'password',
      ...['agent certificate of three', 'local certificate of two'],
      ...['local one', 'local two'],
      'agent three',
      ...['keyboard-interactive', 'keyboard-interactive', 'keyboard-interactive'],
      ...['password', 'password', 'password'],
    ],
  );
});

test('a certificate whose key is nowhere, a key that is none, an agent that is not there: said at once', async () => {
  const named = /the private key of the certificate "the key one" is not among keys: give it, too/;
  const missing = await failure(order({ certificates: [certify(key)], keys: [other] }));
  assert.instance(missing, UsageError);
  assert.match(missing.message, named);
  const agent = new PretendedAgent(publicOf(other));
  assert.match((await failure(order({ certificates: [certify(key)], agent }))).message, /neither in keys nor in the/);
  assert.instance(await failure(order({ keys: ['-----BEGIN NOTHING-----'] })), KeyFormatError);
  assert.instance(await failure(order({ certificates: ['ssh-ed25519-cert-v01@openssh.com AAAA'] })), KeyFormatError);
  const nowhere = await failure(order({ agent: '/nowhere/agent' }));
  assert.is((nowhere as { code?: string }).code, 'ENOENT');
  const before = process.env.SSH_AUTH_SOCK;
  delete process.env.SSH_AUTH_SOCK;
  assert.match((await failure(order({ agent: true }))).message, /SSH_AUTH_SOCK is not set/);
  if (before !== undefined) process.env.SSH_AUTH_SOCK = before;
});

/** A server that takes one password, and what it was given. */
function guarded(tried: string[], ...also: Authenticator[]) {
  const check = passwords((_user, password) => tried.push(password) > 0 && password === 'right');
  return testServer({ authenticators: [...also, check] });
}

test('a password is asked for only where the server would take one, up to three times', async () => {
  const tried: string[] = [];
  const attempts: number[] = [];
  const giving =
    (...given: (string | undefined)[]) =>
    async (attempt: number) => {
      attempts.push(attempt);
      return given.shift();
    };
  const { client } = await call(guarded(tried), { password: giving('wrong', 'wronger', 'right') });
  await client.close();
  assert.equal(
    [tried, attempts],
    [
      ['wrong', 'wronger', 'right'],
      [0, 1, 2],
    ],
  );

  // Not three times the same; and undefined is the end of it.
  for (const [password, expected] of [
    ['wrong', ['wrong']],
    [() => 'wrong', ['wrong']],
    [giving('wrong', undefined, 'right'), ['wrong']],
    [giving(undefined, 'right'), []],
    [giving('1', '2', '3', 'right'), ['1', '2', '3']],
  ] as const) {
    tried.length = 0;
    const error = await failure(call(guarded(tried), { password }));
    assert.instance(error, DisconnectError);
    assert.match(error.message, /refused alice: tried .*it accepts password/);
    assert.equal(tried, expected);
  }

  attempts.length = 0;
  await (await call(testServer(), { password: giving('x') })).client.close();
  assert.equal(attempts, [], 'it lets us in without');
});

test('what a function of the options throws, dial throws, and tells the server nothing of it', async () => {
  const fault = new Error('no terminal');
  const throwing = () => {
    throw fault;
  };
  const asking = keyboardInteractive([{ text: 'Code: ', echo: true }], () => true);
  for (const options of [
    { password: throwing },
    { password: () => Promise.reject(fault) },
    { interactive: throwing },
    { interactive: () => Promise.reject(fault) },
  ]) {
    const server = guarded([], asking);
    assert.is(await failure(call(server, options)), fault);
  }
});

test('questions are answered, round by round; after wrong answers they come again', async () => {
  const rounds: [string, number][] = [];
  const prompts = [
    { text: 'Name: ', echo: true },
    { text: 'Code: ', echo: false },
  ];
  let wrong = 1;
  const server = testServer({
    authenticators: [
      keyboardInteractive(prompts, (_user, answers) => {
        if (answers.join() === 'alice,first') {
          return { result: 'prompt', name: 'Second', instruction: 'Now', prompts: [] };
        }
        return answers.length === 0 && wrong-- === 0;
      }),
    ],
  });
  const { client } = await call(server, {
    interactive: async ({ name, prompts: asked }, attempt) => {
      rounds.push([`${name} ${asked.map(({ text, echo }) => text + echo)}`, attempt]);
      return asked.length === 0 ? [] : ['alice', 'first'];
    },
  });
  const questions = ' Name: true,Code: false';
  assert.equal(rounds, [
    [questions, 0],
    ['Second ', 0],
    [questions, 1],
    ['Second ', 1],
  ]);
  await client.close();
});

test('no answer gives up; too few or too many answers are a mistake of the program', async () => {
  let checks = 0;
  const server = () =>
    testServer({ authenticators: [keyboardInteractive([{ text: 'Code: ', echo: true }], () => ++checks < 0)] });
  let asked = 0;
  const silent = () => void asked++;
  const error = await failure(call(server(), { interactive: silent as () => undefined }));
  assert.match(error.message, /refused alice: tried keyboard-interactive, .*it accepts keyboard-interactive/);
  assert.is(asked, 1, 'who gives up is not asked again');
  for (const answers of [[], ['a', 'b']]) {
    const mistaken = await failure(call(server(), { interactive: () => answers }));
    assert.instance(mistaken, UsageError);
    assert.match(mistaken.message, new RegExp(`${answers.length} answers to 1 questions`));
  }
  assert.is(checks, 0);
});

test('a server that only asks questions gets the password for one whose answer is hidden, and for no other', async () => {
  const asking = (echo: boolean, ...more: { text: string; echo: boolean }[]) => {
    const got: string[] = [];
    const check = (_user: string, answers: readonly string[]) => got.push(...answers) > 0 && answers[0] === 'right';
    const prompts = [{ text: 'Password: ', echo }, ...more];
    return { got, server: testServer({ authenticators: [keyboardInteractive(prompts, check)] }) };
  };
  const hidden = asking(false);
  await (await call(hidden.server, { password: 'right' })).client.close();
  assert.equal(hidden.got, ['right']);
  for (const shown of [asking(true), asking(false, { text: 'Code: ', echo: false })]) {
    await failure(call(shown.server, { password: 'right' }));
    assert.equal(shown.got, []);
  }
  // With a function for questions it is that one's business.
  const mine = asking(false);
  await failure(call(mine.server, { password: 'right', interactive: () => undefined }));
  assert.equal(mine.got, []);
});

test.after(closeServers);
test.run();
