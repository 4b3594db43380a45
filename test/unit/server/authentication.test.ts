// Which of several authenticators decides, and what none of them may do before all is known that can be.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fingerprint } from '../../../src/crypto/keys/index.ts';
import { UsageError } from '../../../src/protocol/errors.ts';
import type { AuthAnswer } from '../../../src/protocol/userauth/questions.ts';
import { keyboardInteractive, passwords, publicKeys, type ServerOptions } from '../../../src/server/index.ts';
import { insecureKey } from '../../kit/insecure.ts';
import { call, closeServers, provider, testServer } from '../../kit/served.ts';

const key = insecureKey(Uint8Array.of(5));
const signIn = (options: Partial<ServerOptions>, credentials: object) =>
  call(testServer(options), credentials).then(
    async ({ client }) => {
      await client.close();
      return 'in';
    },
    (error: Error) => error.message,
  );

test('authenticators of one method are asked in turn, and the method is told once', async () => {
  const asked: string[] = [];
  const of = (name: string) => passwords((_user, password) => asked.push(name) > 0 && password === name);
  const authenticators = [of('a'), of('b'), of('c')];
  assert.is(await signIn({ authenticators }, { password: 'b' }), 'in');
  assert.equal(asked.splice(0), ['a', 'b']);
  assert.match(await signIn({ authenticators }, { password: 'd' }), /tried password; it accepts password$/);
  assert.equal(asked, ['a', 'b', 'c']);
});

test('of several that ask questions, each hears the answers to its own', async () => {
  const heard: string[] = [];
  const asks = (question: string, right: string) =>
    keyboardInteractive([{ text: question, echo: true }], (_user, [answer]) => {
      heard.push(`${question} ${answer}`);
      return answer === right;
    });
  const authenticators = [asks('one?', 'x'), asks('two?', 'two'), asks('three?', 'three')];
  const interactive = ({ prompts }: { prompts: readonly { text: string }[] }) => [prompts[0].text.replace('?', '')];
  assert.is(await signIn({ authenticators }, { interactive }), 'in');
  assert.equal(heard, ['one? one', 'two? two']);
});

test('one that cannot answer refuses, and the next is asked', async () => {
  const broken = { method: 'password', answer: () => ({}) as AuthAnswer };
  assert.is(await signIn({ authenticators: [broken, passwords(() => true)] }, { password: 'x' }), 'in');
});

test('two factors: neither lets in by itself, and an authenticator’s own "partial" is no way round', async () => {
  const keys = (answer: boolean | AuthAnswer) => publicKeys({ acceptable: () => true, proven: () => answer });
  const both = { keys: [key], password: 'x' };
  const authenticators = [keys(true), passwords(() => true)];
  const require = [['publickey', 'password']];
  assert.is(await signIn({ authenticators, require }, both), 'in');
  assert.match(await signIn({ authenticators, require }, { password: 'x' }), /tried nothing; it accepts publickey$/);
  assert.match(await signIn({ authenticators, require }, { keys: [key] }), /it accepts password$/);
  const partly = [keys({ result: 'partial', methods: ['password'] }), passwords(() => true)];
  const lists = [['publickey'], ['publickey', 'password']];
  assert.is(await signIn({ authenticators: partly, require: lists }, both), 'in');
  assert.match(await signIn({ authenticators: partly, require: lists }, { password: 'x' }), /tried nothing/);
  assert.match(await signIn({ authenticators: partly, require: lists }, { keys: [key] }), /it accepts password$/);
  assert.match(await signIn({ authenticators: partly }, { keys: [key] }), /^the server refused alice/);
});

test('a list that cannot be gone through is a mistake', () => {
  const authenticators = [passwords(() => true)];
  for (const require of [[], [[]], [['password'], ['publickey']], [['password', 'otp']]]) {
    assert.throws(
      () => testServer({ authenticators, require }),
      (error: Error) => error instanceof UsageError,
      JSON.stringify(require),
    );
  }
});

test('without a touch of the token no proof is put to anybody who has not said that it does without', async () => {
  const [plain] = provider.signatures;
  let touched = false;
  const token = { ...plain, presence: () => ({ touched, verified: false, counter: 1 }) };
  const using = { ...provider, signatures: [token] };
  const proven: string[] = [];
  const of = (name: string, answer: boolean | AuthAnswer, proof: boolean | AuthAnswer = answer) =>
    publicKeys({ acceptable: () => answer, proven: () => (proven.push(name) > 0 ? proof : false) });
  const lax: AuthAnswer = { result: 'accept', untouched: true };
  const attempt = (...authenticators: ServerOptions['authenticators']) =>
    signIn(
      { provider: using, hostKeys: [insecureKey(Uint8Array.of(1))], authenticators },
      { keys: [key], provider: using },
    );
  assert.match(await attempt(of('strict', true)), /refused alice/);
  assert.match(await attempt(of('strict', true, lax)), /refused alice/);
  assert.equal(proven, [], 'nothing has been enrolled, counted or granted');
  assert.is(await attempt(of('strict', true), of('lax', lax)), 'in');
  assert.equal(proven.splice(0), ['lax']);
  assert.match(await attempt(of('refuses', lax, false), of('strict', true)), /refused alice/);
  assert.equal(proven.splice(0), ['refuses']);
  touched = true;
  assert.is(await attempt(of('strict', true)), 'in');
  assert.equal(proven, ['strict']);
});

test('a key that is refused leaves one line in the log, with its fingerprint and the reason; passwords leave none of theirs', async () => {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void (/sign-in/.test(message) && lines.push(`${level} ${message} ${JSON.stringify(fields)}`));
  const log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const print = fingerprint(key.blob);
  const refusing = (answer: boolean | AuthAnswer, proof: boolean | AuthAnswer = answer) =>
    publicKeys({ acceptable: () => answer, proven: () => proof });
  const attempt = async (authenticator: ServerOptions['authenticators'][number], credentials: object) => {
    await signIn({ authenticators: [authenticator], log }, credentials);
    return lines.splice(0).filter(line => !line.includes('"method":"none"'));
  };
  const why: AuthAnswer = { result: 'reject', reason: 'the key expired in May' };
  const [line, ...more] = await attempt(refusing(true, why), { keys: [key] });
  assert.ok(line.startsWith('info sign-in refused: the key expired in May {') && line.includes(print), line);
  assert.equal(more, []);
  const [silent, ...others] = await attempt(refusing(false), { keys: [key] });
  assert.ok(silent.startsWith('debug sign-in step') && silent.includes(print), silent);
  assert.equal(others, []);
  const wrong = { ...provider, signatures: [{ ...provider.signatures[0], sign: () => new Uint8Array(8) }] };
  const [forged, ...rest] = await attempt(refusing(true), { keys: [key], provider: wrong });
  assert.match(forged, /^info sign-in refused: the key cannot be used: its signature is wrong/);
  assert.ok(forged.includes(print), forged);
  assert.equal(rest, []);
  for (const said of await attempt(
    passwords(() => false),
    { password: 'hunter2' },
  ))
    assert.not.match(said, /hunter2/);
});

test.after(closeServers);
test.run();
