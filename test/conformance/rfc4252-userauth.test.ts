// RFC 4252: user authentication, the server's side, by everything but keyboard-interactive and the details of public keys.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  certifiedKey,
  issueCertificate,
  parseCertificate,
  publicOf,
  STANDARD_EXTENSIONS,
} from '../../src/crypto/keys/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import { byName } from '../../src/crypto/provider.ts';
import { Disconnect, printable } from '../../src/protocol/errors.ts';
import {
  GLOBAL_REQUEST,
  IGNORE,
  REQUEST_FAILURE,
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  UNIMPLEMENTED,
  USERAUTH_BANNER,
  USERAUTH_FAILURE,
  USERAUTH_PASSWD_CHANGEREQ,
  USERAUTH_REQUEST,
} from '../../src/protocol/messages.ts';
import type { AuthAnswer } from '../../src/protocol/userauth/questions.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { insecureKey } from '../kit/insecure.ts';
import { payloadOf, RawPeer } from '../kit/raw-peer.ts';
import { SignIn } from '../kit/sign-in.ts';

const nothing = new Uint8Array(0);
const reject: AuthAnswer = { result: 'reject' };
const accept: AuthAnswer = { result: 'accept' };
const METHODS = ['publickey', 'password', 'keyboard-interactive'];
const key = insecureKey(new Uint8Array(8).fill(1));
const ALGORITHM = 'insecure-signature';
const ed25519 = byName(noble.signatures, 'ssh-ed25519')!;
const [real, one, two] = Array.from({ length: 3 }, () => ed25519.generate(noble.random));
const issued = parseCertificate(
  issueCertificate(
    {
      ...{ key: publicOf(one), kind: 'user', keyId: 'one', principals: ['alice'], serial: 1n },
      ...{ validAfter: 0n, validBefore: 2n ** 40n, extensions: STANDARD_EXTENSIONS },
    },
    real,
    noble,
  ),
);
const serviceRequest = (service: string) => payloadOf(SERVICE_REQUEST, { service });

// Services (RFC 4253 §10).

test('RFC 4253 §10: the service ssh-userauth is accepted by its name', () => {
  const peer = RawPeer.keyed();
  peer.payload(serviceRequest('ssh-userauth'));
  assert.is(peer.take(SERVICE_ACCEPT).service, 'ssh-userauth');
  peer.quiet();
});

test('RFC 4253 §10: any other service ends with SERVICE_NOT_AVAILABLE, ssh-connection before sign-in too', () => {
  for (const service of ['ssh-connection', 'telnet', '', 'ssh-userauth2']) {
    const peer = RawPeer.keyed();
    peer.payload(serviceRequest(service));
    peer.disconnected(Disconnect.SERVICE_NOT_AVAILABLE);
  }
});

test('RFC 4252 §5: a request for a service that we do not have fails like a wrong password, as with sshd', () => {
  for (const service of ['ssh-userauth', 'telnet', '', 'SSH-CONNECTION']) {
    const signIn = new SignIn(() => accept);
    signIn.request('none', nothing, 'alice', service);
    signIn.failed(METHODS);
    for (let i = 0; i < 5; i++) {
      signIn.request('password', new Writer().boolean(false).string('x').finish(), 'alice', service);
      signIn.failed();
    }
    signIn.request('password', new Writer().boolean(false).string('x').finish(), 'alice', service);
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many/);
    assert.equal(signIn.asked, []);
  }
});

test('RFC 4252 §5: a service that changes half-way ends the connection', () => {
  const signIn = new SignIn(() => accept);
  signIn.request('none', nothing, 'alice', 'telnet');
  signIn.failed();
  signIn.request('none', nothing, 'alice', 'ssh-connection');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /service changed/);
});

test('RFC 4252 §4: USERAUTH_REQUEST before the service has been asked for has no effect', () => {
  const peer = RawPeer.keyed();
  peer.send(USERAUTH_REQUEST, { user: 'a', service: 'ssh-connection', method: 'none', data: nothing });
  peer.take(UNIMPLEMENTED);
  peer.quiet();
  assert.is(peer.core.user, undefined);
});

for (const number of [80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 192]) {
  test(`RFC 4252 §6: message ${number} before sign-in has no effect, and comes 16 times at most`, () => {
    for (const asked of [false, true]) {
      const peer = RawPeer.keyed({ events: { auth: (_question, answer) => answer(accept) } });
      if (asked) peer.askService();
      for (let i = 0; i < 16; i++) {
        peer.payload(Uint8Array.of(number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        assert.is(peer.take(UNIMPLEMENTED).sequence, peer.sendSequence - 1);
      }
      peer.quiet();
      peer.payload(Uint8Array.of(number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
      peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many unknown/);
    }
  });
}

for (const number of [6, 51, 52, 53, 60, 61, 63, 79]) {
  test(`RFC 4252: message ${number} has no effect on a server that did not ask for it, before and after sign-in`, () => {
    const signIn = new SignIn(() => accept);
    signIn.peer.payload(Uint8Array.of(number, 0, 0, 0, 0, 0, 0, 0, 0));
    signIn.peer.take(UNIMPLEMENTED);
    assert.not(signIn.peer.core.stage === 'connection');
    signIn.none();
    signIn.succeeded();
    signIn.peer.payload(Uint8Array.of(number, 0, 0, 0, 0, 0, 0, 0, 0));
    if (number !== 61) signIn.peer.take(UNIMPLEMENTED);
    signIn.peer.quiet();
  });
}

test('RFC 4253 §10: a service asked for after sign-in is not begun, as with sshd', () => {
  for (const service of ['ssh-userauth', 'ssh-connection', 'telnet']) {
    const signIn = new SignIn(() => accept);
    signIn.none();
    signIn.succeeded();
    signIn.peer.payload(serviceRequest(service));
    signIn.peer.take(UNIMPLEMENTED);
    signIn.peer.quiet();
  }
});

test('RFC 4252 §6: a request right behind the one that succeeds is heeded', () => {
  const signIn = new SignIn(() => accept);
  const { peer } = signIn;
  peer.burst(
    payloadOf(USERAUTH_REQUEST, { user: 'a', service: 'ssh-connection', method: 'none', data: nothing }),
    payloadOf(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing }),
  );
  signIn.succeeded();
  peer.take(REQUEST_FAILURE);
  peer.quiet();
});

// none (§5.2) and methods that can continue (§5.1).

test('RFC 4252 §5.2: none lists the methods, and is not listed itself', () => {
  const signIn = new SignIn(() => reject);
  signIn.none();
  signIn.failed(METHODS);
  signIn.peer.quiet();
});

test('RFC 4252 §5.2: none may be let in', () => {
  const signIn = new SignIn(() => accept);
  signIn.none();
  signIn.succeeded();
  assert.equal(signIn.asked, [{ user: 'alice', method: 'none' }]);
  assert.is(signIn.peer.core.user, 'alice');
});

test('RFC 4252 §5.1: a method that is not offered fails, and nobody is asked', () => {
  const signIn = new SignIn(() => accept, { core: { methods: ['publickey'] } });
  signIn.password('secret');
  signIn.failed(['publickey']);
  for (const method of [
    'hostbased',
    'gssapi-with-mic',
    'x@example.com',
    '',
    'publickey-query',
    'toString',
    '__proto__',
  ]) {
    if (signIn.peer.core.closed) break;
    signIn.request(method, Uint8Array.of(1, 2, 3));
    if (signIn.peer.core.closed) break;
    signIn.failed(['publickey']);
  }
  assert.equal(signIn.asked, []);
});

test('RFC 4252 §5.1: with nobody to decide, nobody gets in', () => {
  const peer = RawPeer.keyed({ core: { methods: METHODS }, events: { auth: undefined } });
  peer.askService();
  peer.send(USERAUTH_REQUEST, { user: 'a', service: 'ssh-connection', method: 'none', data: nothing });
  peer.take(USERAUTH_FAILURE);
  peer.quiet();
});

test('RFC 4252 §5.1: partial success is told, with the methods that must follow, and only they count from then on', () => {
  const signIn = new SignIn(
    question => {
      if (question.method === 'password') return { result: 'partial', methods: ['keyboard-interactive'] };
      return question.method === 'keyboard-interactive' ? accept : reject;
    },
    { core: { methods: METHODS, require: [['password', 'keyboard-interactive'], ['password']] } },
  );
  signIn.password('right');
  signIn.failed(['keyboard-interactive'], true);
  signIn.password('right');
  signIn.failed(['keyboard-interactive'], false);
  signIn.request('keyboard-interactive', new Writer().string('').string('').finish());
  signIn.succeeded();
  assert.equal(signIn.methods, ['password', 'keyboard-interactive'], 'the second password was not even asked about');
});

test('RFC 4252 §5.1: partial success alone lets nobody in', () => {
  const signIn = new SignIn(
    question => (question.method === 'password' ? { result: 'partial', methods: METHODS } : reject),
    { core: { methods: METHODS, require: METHODS.map(method => ['password', method]) } },
  );
  signIn.password('right');
  signIn.failed(METHODS, true);
  assert.not(signIn.peer.core.stage === 'connection');
  signIn.peer.send(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
  signIn.peer.take(UNIMPLEMENTED);
  signIn.peer.quiet();
});

// Several steps (AuthenticationMethods of sshd_config(5)).

/** Everybody is let in by everything; the lists decide. */
const steps = (...require: string[][]) =>
  new SignIn(() => accept, { provider: noble, hostKey: real, core: { methods: METHODS, require } });

test('sshd_config(5): only what comes next in some list may be tried, and is told', () => {
  const signIn = steps(['publickey', 'password'], ['publickey', 'keyboard-interactive']);
  signIn.none();
  signIn.failed(['publickey']);
  signIn.password('right');
  signIn.failed(['publickey']);
  assert.equal(signIn.methods, [], 'nobody has been asked');
  signIn.signed({ key: one });
  signIn.failed(['password', 'keyboard-interactive'], true);
  signIn.password('right');
  signIn.succeeded();
  assert.equal(signIn.methods, ['publickey', 'password']);
});

test('sshd_config(5): lists that do not begin with what has succeeded stay as they are', () => {
  const signIn = steps(['password', 'publickey'], ['publickey', 'password']);
  signIn.password('right');
  signIn.failed(['publickey'], true);
  signIn.signed({ key: one });
  signIn.succeeded();
});

test('sshd_config(5): publickey,publickey wants two keys, with a certificate or without, and none of them twice', () => {
  const signIn = steps(['publickey', 'publickey']);
  const certified = certifiedKey(one, issued);
  signIn.signed({ key: one });
  signIn.failed(['publickey'], true);
  signIn.signed({ key: one });
  signIn.failed(['publickey']);
  signIn.probe(one, one.type);
  signIn.failed(['publickey']);
  signIn.signed({ key: certified });
  signIn.failed(['publickey']);
  assert.equal(signIn.methods, ['publickey'], 'nobody has been asked about it');
  signIn.signed({ key: two });
  signIn.succeeded();
});

test('none is a way in only where a list says so', () => {
  const signIn = steps(['publickey']);
  signIn.none();
  signIn.failed(['publickey']);
  assert.equal(signIn.methods, []);
  const open = steps(['none'], ['publickey']);
  open.none();
  open.succeeded();
});

test('a step that wants another one is refused where no list goes on with that: what follows would let in by itself', () => {
  const faults: string[] = [];
  const signIn = new SignIn(
    ({ method }) => (method === 'publickey' ? { result: 'partial', methods: ['password'] } : accept),
    { provider: noble, hostKey: real, events: { fault: error => faults.push(String(error)) } },
  );
  signIn.signed({ key: one });
  signIn.failed(METHODS);
  assert.equal(faults, ['UsageError: no list in "require" has publickey and then password']);
});

test('what steps have to say is shown when all have succeeded', () => {
  const signIn = new SignIn(({ method }) => ({ result: 'accept', banner: `by ${method}\n` }), {
    core: { methods: METHODS, require: [['password', 'keyboard-interactive']] },
  });
  signIn.password('right');
  signIn.failed(['keyboard-interactive'], true);
  signIn.request('keyboard-interactive', new Writer().string('').string('').finish());
  assert.is(signIn.peer.take(USERAUTH_BANNER).message, 'by password\r\nby keyboard-interactive\r\n');
  signIn.succeeded();
});

test('RFC 4252 §5.1: after success further requests are ignored in silence', () => {
  const signIn = new SignIn(() => accept);
  signIn.password('right');
  signIn.succeeded();
  const { length } = signIn.asked;
  signIn.password('wrong');
  signIn.none();
  signIn.none('bob');
  signIn.probe(key, ALGORITHM);
  signIn.signed({ key });
  signIn.peer.quiet();
  assert.is(signIn.asked.length, length);
  assert.is(signIn.peer.core.user, 'alice');
  signIn.peer.send(GLOBAL_REQUEST, { type: 'x', wantReply: true, data: nothing });
  signIn.peer.take(REQUEST_FAILURE);
});

test('RFC 4252 §5.3: SUCCESS is sent once', () => {
  const signIn = new SignIn(() => accept);
  signIn.none();
  signIn.none();
  signIn.succeeded();
  signIn.peer.quiet();
});

// Who (§5).

test('RFC 4252 §5: a user name that changes half-way ends the connection, and nobody is asked', () => {
  for (const again of [
    (signIn: SignIn) => signIn.none('bob'),
    (signIn: SignIn) => signIn.password('x', undefined, 'bob'),
    (signIn: SignIn) => signIn.probe(key, ALGORITHM, 'bob'),
  ]) {
    const signIn = new SignIn(() => reject);
    signIn.none('alice');
    signIn.failed();
    again(signIn);
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /user name/);
    assert.is(signIn.asked.length, 1);
  }
});

test('RFC 4252 §5: so does one that changes after partial success', () => {
  const signIn = new SignIn(() => accept, { core: { methods: METHODS, require: [['password', 'password']] } });
  signIn.password('right');
  signIn.failed(['password'], true);
  signIn.password('right', undefined, 'root');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /user name/);
});

test('RFC 4252 §5: names are UTF-8 and are compared byte by byte', () => {
  const signIn = new SignIn(() => reject);
  signIn.none('zoë');
  signIn.failed();
  assert.is(signIn.asked[0].user, 'zoë');
  signIn.none('zoe\u0308');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /user name/);
});

test('RFC 4251 §9.2: nobody signs in with a user name that has control characters, is not UTF-8, or endless', () => {
  for (const user of ['a\nb', 'a\x1b[31m', '\0', 'a\u2028b', 'a\u202eb', 'x'.repeat(256), Uint8Array.of(0xe9, 0xfe)]) {
    const refused: string[] = [];
    const events = { authRefused: ({ reason }: { reason: string }) => void refused.push(reason) };
    const signIn = new SignIn(() => accept, { events });
    const request = (method: string, data: Uint8Array = nothing, name: Uint8Array | string = user) =>
      signIn.peer.payload(
        new Writer()
          .byte(USERAUTH_REQUEST.number)
          .string(name)
          .string('ssh-connection')
          .string(method)
          .raw(data)
          .finish(),
      );
    request('none');
    signIn.failed(METHODS);
    request('password', new Writer().boolean(false).string('x').finish());
    signIn.failed();
    request('publickey', new Writer().boolean(false).string(ALGORITHM).string(key.blob).finish());
    signIn.failed();
    request('keyboard-interactive', new Writer().string('').string('').finish());
    signIn.failed();
    signIn.peer.quiet();
    assert.equal(signIn.asked, []);
    assert.is(printable(signIn.peer.core.user!, 300), signIn.peer.core.user, 'what logs say of them is printable');
    assert.ok(refused.length === 1 && /user name/.test(refused[0]), 'the key has left a line');
    request('none', nothing, Uint8Array.of(0xe9, 0xff));
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /user name/);
  }
});

test('RFC 4252 §5: an empty user name is a name', () => {
  const signIn = new SignIn(() => reject);
  signIn.none('');
  signIn.failed();
  assert.is(signIn.asked[0].user, '');
});

// How often (§4).

test('RFC 4252 §4: six failures end the connection; the first none does not count', () => {
  const signIn = new SignIn(() => reject);
  signIn.none();
  signIn.failed();
  for (let i = 1; i < 6; i++) {
    signIn.password('wrong');
    signIn.failed(METHODS);
  }
  signIn.password('wrong');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many authentication failures/);
});

test('RFC 4252 §4: further nones, queries of unknown keys, wrong signatures and unknown methods count', () => {
  const tries: ((signIn: SignIn) => void)[] = [
    signIn => signIn.none(),
    signIn => signIn.probe(key, ALGORITHM),
    signIn => signIn.probe(key, 'unheard-of'),
    signIn => signIn.signed({ key, change: signature => signature.map((byte, i) => (i === 30 ? byte ^ 1 : byte)) }),
    signIn => signIn.request('hostbased'),
  ];
  for (const attempt of tries) {
    const signIn = new SignIn(() => reject);
    signIn.none();
    for (let n = 0; n < 6; n++) attempt(signIn);
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many authentication failures/);
  }
});

test('RFC 4252 §4: the number of tries can be chosen', () => {
  const signIn = new SignIn(() => reject, { core: { maxTries: 2 } });
  signIn.password('wrong');
  signIn.failed();
  signIn.password('wrong');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many/);
});

test('RFC 4252 §4: nobody is let in by the try that is one too many', () => {
  let tries = 0;
  const signIn = new SignIn(() => (++tries > 6 ? accept : reject));
  for (let i = 0; i < 10; i++) if (!signIn.peer.core.closed) signIn.password('x');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
  assert.is(tries, 6);
});

test('requests without end are refused even if none of them fails', () => {
  const signIn = new SignIn(() => accept);
  let sent = 0;
  for (; sent < 1000 && !signIn.peer.core.closed; sent++) signIn.probe(key, ALGORITHM);
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many/);
  assert.ok(sent > 20 && sent < 200);
});

test('partial successes without end are refused', () => {
  const require = [Array.from({ length: 1000 }, () => 'password')];
  const signIn = new SignIn(() => accept, { core: { methods: METHODS, require } });
  let sent = 0;
  for (; sent < 1000 && !signIn.peer.core.closed; sent++) signIn.password('right');
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
});

// Banner (§5.4).

test('RFC 4252 §5.4: the banner comes once, before the first answer, with CR LF', () => {
  const signIn = new SignIn(() => reject, { core: { methods: METHODS, banner: 'Hello\nthere\r\nyou' } });
  signIn.peer.quiet();
  signIn.none();
  assert.is(signIn.peer.take(USERAUTH_BANNER).message, 'Hello\r\nthere\r\nyou');
  signIn.failed();
  signIn.password('x');
  signIn.failed();
  signIn.peer.quiet();
});

test('RFC 4252 §5.4: a banner that comes with success is sent before SUCCESS', () => {
  const signIn = new SignIn(() => ({ result: 'accept', banner: 'Your line is 7\n' }), {
    core: { methods: METHODS, banner: 'Hello' },
  });
  signIn.none();
  assert.is(signIn.peer.take(USERAUTH_BANNER).message, 'Hello');
  assert.is(signIn.peer.take(USERAUTH_BANNER).message, 'Your line is 7\r\n');
  signIn.succeeded();
  signIn.peer.quiet();
});

test('RFC 4252 §5.4: without a banner none is sent', () => {
  const signIn = new SignIn(() => accept);
  signIn.none();
  signIn.succeeded();
  signIn.peer.quiet();
});

// Password (§8).

test('RFC 4252 §8: a password is judged by whoever owns the server', () => {
  const signIn = new SignIn(question =>
    question.method === 'password' && question.password === 'sécret' ? accept : reject,
  );
  signIn.password('wrong');
  signIn.failed(METHODS);
  signIn.password('');
  signIn.failed(METHODS);
  signIn.password('sécret');
  signIn.succeeded();
});

test('RFC 4252 §8: a password that has expired is answered with PASSWD_CHANGEREQ, and the new one is judged', () => {
  const signIn = new SignIn(question => {
    if (question.method !== 'password') return reject;
    if (question.newPassword === undefined) return { result: 'change-password', prompt: 'Yours is old' };
    return question.newPassword === 'better' ? accept : { result: 'change-password', prompt: 'Not that one' };
  });
  signIn.password('old');
  assert.is(signIn.peer.take(USERAUTH_PASSWD_CHANGEREQ).prompt, 'Yours is old');
  signIn.password('old', 'bad');
  assert.is(signIn.peer.take(USERAUTH_PASSWD_CHANGEREQ).prompt, 'Not that one');
  signIn.password('old', 'better');
  signIn.succeeded();
  assert.equal(
    signIn.asked.map(question => question.method === 'password' && [question.password, question.newPassword]),
    [
      ['old', undefined],
      ['old', 'bad'],
      ['old', 'better'],
    ],
  );
});

test('RFC 4252 §8: a password that is not UTF-8 is a wrong one', () => {
  for (const data of [
    new Writer().boolean(false).string(Uint8Array.of(0xc3)),
    new Writer().boolean(true).string('old').string(Uint8Array.of(0xc3)),
  ]) {
    const signIn = new SignIn(() => accept);
    signIn.request('password', data.finish());
    signIn.failed();
    signIn.peer.quiet();
    assert.equal(signIn.asked, []);
  }
});

test('RFC 4252 §8: passwords that are cut off, or have bytes behind them, are refused', () => {
  for (const data of [
    new Writer().boolean(false).string('a').byte(0).finish(),
    new Writer().boolean(true).string('a').finish(),
    new Writer().boolean(false).string('a').string('b').finish(),
  ]) {
    const signIn = new SignIn(() => accept);
    signIn.request('password', data);
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
    assert.equal(signIn.asked, []);
  }
});

test('a password is not repeated in what we say of a failure', () => {
  const signIn = new SignIn(() => reject, { core: { methods: METHODS, maxTries: 1 } });
  signIn.password('hunter2');
  assert.not.match(Buffer.from(signIn.peer.heard.at(-1)!.payload).toString('latin1'), /hunter2/);
  assert.not.match(signIn.peer.core.error!.message, /hunter2/);
});

// Late decisions.

test('while a decision is open nothing is read; then everything is answered in order', () => {
  let decide: (answer: AuthAnswer) => void = () => {};
  const signIn = new SignIn((_question, later) => void (decide = later));
  signIn.password('one');
  assert.ok(signIn.peer.core.paused);
  signIn.password('two');
  signIn.peer.payload(Uint8Array.of(200));
  signIn.peer.quiet();
  assert.is(signIn.asked.length, 1);
  decide(reject);
  signIn.failed();
  assert.is(signIn.asked.length, 2);
  signIn.peer.quiet();
  decide(accept);
  signIn.succeeded();
  signIn.peer.take(UNIMPLEMENTED);
  assert.not(signIn.peer.core.paused);
  signIn.peer.quiet();
});

test('an answer given twice, or after the end, has no effect', () => {
  let decide: (answer: AuthAnswer) => void = () => {};
  const twice = new SignIn((_question, later) => void (decide = later));
  twice.password('x');
  const first = decide;
  first(reject);
  first(accept);
  twice.failed();
  twice.peer.quiet();
  assert.not(twice.peer.core.stage === 'connection');
  twice.password('y');
  first(accept);
  twice.peer.quiet();
  assert.not(twice.peer.core.stage === 'connection');

  const late = new SignIn((_question, later) => void (decide = later));
  late.password('x');
  late.peer.core.receiveEnd();
  decide(accept);
  assert.equal(late.peer.heard, []);
  assert.not(late.peer.core.stage === 'connection');
});

test('a question whose answer throws is a failure, and nobody but the owner hears why', () => {
  const faults: string[] = [];
  const broken = (): AuthAnswer => {
    throw new Error('the database is at 10.0.0.7');
  };
  const signIn = new SignIn(broken, { events: { fault: error => faults.push(String(error)), auth: broken } });
  signIn.password('x');
  const last = signIn.peer.heard.at(-1)!;
  assert.not.match(Buffer.from(last.payload).toString('latin1'), /10\.0\.0\.7/);
  signIn.failed(METHODS);
  assert.equal(faults, ['Error: the database is at 10.0.0.7']);
  assert.not.ok(signIn.peer.core.closed);
});

test('IGNORE between requests changes nothing', () => {
  const signIn = new SignIn(() => reject);
  signIn.peer.send(IGNORE, { data: nothing });
  signIn.none();
  signIn.peer.send(IGNORE, { data: nothing });
  signIn.failed(METHODS);
  signIn.peer.quiet();
});

test.run();
