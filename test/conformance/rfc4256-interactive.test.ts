// RFC 4256: keyboard-interactive, both sides.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Disconnect, DisconnectError } from '../../src/protocol/errors.ts';
import {
  SERVICE_ACCEPT,
  SERVICE_REQUEST,
  UNIMPLEMENTED,
  USERAUTH_FAILURE,
  USERAUTH_INFO_REQUEST,
  USERAUTH_INFO_RESPONSE,
  USERAUTH_REQUEST,
  USERAUTH_SUCCESS,
} from '../../src/protocol/messages.ts';
import type { Credential, Round } from '../../src/protocol/userauth/client.ts';
import type { AuthAnswer, AuthQuestion } from '../../src/protocol/userauth/questions.ts';
import { Reader, Writer } from '../../src/protocol/wire/reader.ts';
import { payloadOf, RawPeer } from '../kit/raw-peer.ts';
import { SignIn } from '../kit/sign-in.ts';

const nothing = new Uint8Array(0);
const reject: AuthAnswer = { result: 'reject' };
const accept: AuthAnswer = { result: 'accept' };
const METHOD = 'keyboard-interactive';
const prompts = [
  { text: 'Password: ', echo: false },
  { text: 'Token: ', echo: true },
];

const ask = (signIn: SignIn, submethods = '') =>
  signIn.request(METHOD, new Writer().string('').string(submethods).finish());

function respond(signIn: SignIn, ...texts: string[]): void {
  const responses = new Writer();
  for (const text of texts) responses.string(text);
  signIn.peer.send(USERAUTH_INFO_RESPONSE, { count: texts.length, responses: responses.finish() });
}

/** What the server asks the user now. */
function asked(signIn: SignIn): { name: string; instruction: string; prompts: [string, boolean][] } {
  const { name, instruction, count, prompts } = signIn.peer.take(USERAUTH_INFO_REQUEST);
  const reader = new Reader(prompts);
  const list = Array.from({ length: count }, (): [string, boolean] => [reader.text(), reader.boolean()]);
  reader.finish();
  return { name, instruction, prompts: list };
}

/** Asks both questions, and lets in who answers "secret" and "42". */
const both = (question: AuthQuestion): AuthAnswer => {
  if (question.method !== METHOD) return reject;
  if (question.responses === undefined) return { result: 'prompt', name: 'n', instruction: 'i', prompts };
  return question.responses.join() === 'secret,42' ? accept : reject;
};

test('RFC 4256 §3.2: the prompts are passed on, with name, instruction and whether to echo', () => {
  const signIn = new SignIn(both);
  ask(signIn);
  assert.equal(asked(signIn), {
    name: 'n',
    instruction: 'i',
    prompts: [
      ['Password: ', false],
      ['Token: ', true],
    ],
  });
  signIn.peer.quiet();
});

test('RFC 4256 §3.4: the right answers let in', () => {
  const signIn = new SignIn(both);
  ask(signIn, 'pam');
  asked(signIn);
  respond(signIn, 'secret', '42');
  signIn.succeeded();
  assert.equal(
    signIn.asked.map(question => question.method === METHOD && question.submethods),
    ['pam', 'pam'],
  );
});

test('RFC 4256 §3.4: wrong answers fail, and the method may be begun anew', () => {
  const signIn = new SignIn(both);
  ask(signIn);
  asked(signIn);
  respond(signIn, 'secret', '43');
  signIn.failed();
  ask(signIn);
  asked(signIn);
  respond(signIn, 'secret', '42');
  signIn.succeeded();
});

test('RFC 4256 §3.4: another number of answers than of prompts fails, and nobody judges them', () => {
  for (const texts of [[], ['secret'], ['secret', '42', 'x']]) {
    const signIn = new SignIn(both);
    ask(signIn);
    asked(signIn);
    respond(signIn, ...texts);
    signIn.failed();
    assert.is(signIn.asked.length, 1);
  }
});

test('RFC 4256 §3.4: a count that lies about the answers is refused', () => {
  for (const responses of [new Writer().string('secret'), new Writer().string('secret').string('42').string('x')]) {
    const signIn = new SignIn(both);
    ask(signIn);
    asked(signIn);
    signIn.peer.send(USERAUTH_INFO_RESPONSE, { count: 2, responses: responses.finish() });
    signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
    assert.is(signIn.asked.length, 1);
  }
});

test('RFC 4256 §3.2: there may be several rounds, and a round without prompts', () => {
  const rounds: AuthAnswer[] = [
    { result: 'prompt', prompts: prompts.slice(0, 1) },
    { result: 'prompt', instruction: 'Look at your phone', prompts: [] },
    { result: 'prompt', prompts: prompts.slice(1) },
    accept,
  ];
  const signIn = new SignIn(() => rounds.shift()!);
  ask(signIn);
  assert.is(asked(signIn).prompts.length, 1);
  respond(signIn, 'a');
  assert.equal(asked(signIn), { name: '', instruction: 'Look at your phone', prompts: [] });
  respond(signIn);
  assert.equal(asked(signIn).prompts, [['Token: ', true]]);
  respond(signIn, 'ü');
  signIn.succeeded();
  assert.equal(
    signIn.asked.map(question => question.method === METHOD && question.responses),
    [undefined, ['a'], [], ['ü']],
  );
});

test('RFC 4256 §3.1: another request abandons the prompts; what is answered after that is refused', () => {
  const signIn = new SignIn(both);
  ask(signIn);
  asked(signIn);
  signIn.password('x');
  signIn.failed();
  respond(signIn, 'secret', '42');
  signIn.peer.take(UNIMPLEMENTED);
  assert.not(signIn.peer.core.stage === 'connection');
});

test('RFC 4256 §3.1: the same method begun again asks again', () => {
  const signIn = new SignIn(both);
  ask(signIn);
  asked(signIn);
  ask(signIn);
  asked(signIn);
  respond(signIn, 'secret', '42');
  signIn.succeeded();
});

test('RFC 4256 §3.4: answers that nobody asked for, or a second time, have no effect', () => {
  const unasked = new SignIn(both);
  respond(unasked, 'secret', '42');
  unasked.peer.take(UNIMPLEMENTED);
  assert.equal(unasked.asked, []);
  const twice = new SignIn(both);
  ask(twice);
  asked(twice);
  respond(twice, 'a', 'b');
  twice.failed();
  respond(twice, 'secret', '42');
  twice.peer.take(UNIMPLEMENTED);
  twice.peer.quiet();
});

test('RFC 4256 §3.4: an answer that is no UTF-8 is a wrong one', () => {
  const signIn = new SignIn(both);
  ask(signIn);
  asked(signIn);
  const answers = new Writer().byte(61).uint32(2).string(Uint8Array.of(0xe9)).string('42');
  signIn.peer.payload(answers.finish());
  signIn.failed();
  signIn.peer.quiet();
});

test('RFC 4252 §5.1: answers that come after success are ignored', () => {
  const signIn = new SignIn(() => accept);
  signIn.none();
  signIn.succeeded();
  respond(signIn, 'secret', '42');
  signIn.peer.quiet();
});

test('rounds without end are refused', () => {
  const signIn = new SignIn(() => ({ result: 'prompt', prompts: [] }));
  ask(signIn);
  let rounds = 0;
  for (; rounds < 1000 && !signIn.peer.core.closed; rounds++) respond(signIn);
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR);
  assert.ok(rounds < 200);
});

test('wrong answers count as failures', () => {
  const signIn = new SignIn(both);
  for (let i = 0; i < 6; i++) {
    ask(signIn);
    respond(signIn, 'wrong', i % 2 ? 'count' : '');
  }
  signIn.peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many authentication failures/);
});

// The client's side.

type Interactive = Credential & { method: 'keyboard-interactive' };

/** Our client, about to be asked. */
function client(answer: Interactive['answer'], ...more: Credential[]): RawPeer {
  const peer = RawPeer.keyed({ role: 'server', core: { credentials: [{ method: METHOD, answer }, ...more] } });
  peer.take(SERVICE_REQUEST);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  assert.is(peer.take(USERAUTH_REQUEST).method, 'none');
  peer.send(USERAUTH_FAILURE, { methods: ['publickey', METHOD], partialSuccess: false });
  const { method, data, user } = peer.take(USERAUTH_REQUEST);
  assert.is(method, METHOD);
  assert.is(user, 'alice');
  assert.equal(data, new Uint8Array(8), 'empty language tag and submethods');
  return peer;
}

function infoRequest(...list: [string, boolean][]): Uint8Array {
  const writer = new Writer();
  for (const [text, echo] of list) writer.string(text).boolean(echo);
  return payloadOf(USERAUTH_INFO_REQUEST, {
    name: 'n',
    instruction: 'i',
    language: nothing,
    count: list.length,
    prompts: writer.finish(),
  });
}

test('RFC 4256 §3.3, client: what is asked reaches the user, what he says the server', () => {
  const seen: unknown[] = [];
  const peer = client((round, answer) => {
    seen.push(round);
    answer(round.prompts.map(({ text }) => text.toUpperCase()));
  });
  peer.payload(infoRequest(['a', true], ['b', false]));
  const { count, responses } = peer.take(USERAUTH_INFO_RESPONSE);
  assert.is(count, 2);
  assert.equal(responses, new Writer().string('A').string('B').finish());
  assert.equal(seen, [
    {
      name: 'n',
      instruction: 'i',
      prompts: [
        { text: 'a', echo: true },
        { text: 'b', echo: false },
      ],
    },
  ]);
  peer.payload(infoRequest());
  assert.is(peer.take(USERAUTH_INFO_RESPONSE).count, 0);
  peer.send(USERAUTH_SUCCESS, {});
  assert.is(peer.core.stage, 'connection');
});

test('RFC 4256 §3.3, client: the user may think; what came meanwhile is heeded when he has answered', () => {
  let answer: (texts: string[]) => void = () => {};
  const peer = client((_round, later) => void (answer = later));
  peer.burst(infoRequest(['a', true]), Uint8Array.of(200));
  peer.quiet();
  answer(['x']);
  peer.pull();
  assert.is(peer.take(USERAUTH_INFO_RESPONSE).count, 1);
  peer.take(UNIMPLEMENTED);
  answer(['y']);
  peer.pull();
  peer.quiet();
});

test('RFC 4256 §3.2, client: prompts that lie about their number, or are endless, are refused', () => {
  for (const count of [0, 2, 1_000_000]) {
    const peer = client(() => {});
    peer.send(USERAUTH_INFO_REQUEST, {
      name: '',
      instruction: '',
      language: nothing,
      count,
      prompts: new Writer().string('a').boolean(true).finish(),
    });
    peer.disconnected(Disconnect.PROTOCOL_ERROR);
  }
  const peer = client((round, answer) => answer(round.prompts.map(() => '')));
  for (let i = 0; i < 1000 && !peer.core.closed; i++) peer.payload(infoRequest(['a', true]));
  peer.disconnected(Disconnect.PROTOCOL_ERROR, /too many/);
});

test('RFC 4252 §5.1, client: when nothing is left to try it says goodbye and tells its user what was tried', () => {
  const peer = client(() => {});
  peer.send(USERAUTH_FAILURE, { methods: ['publickey', METHOD], partialSuccess: false });
  assert.is(peer.heard.at(-1)!.number, 1);
  assert.instance(peer.core.error, DisconnectError);
  assert.match(peer.core.error!.message, /alice.*keyboard-interactive/);
});

test('as ssh, client: names, instructions and prompts in Latin-1 are shown, and empty names of methods are skipped', () => {
  const rounds: Round[] = [];
  const answer = (round: Round, respond: (answers: readonly string[]) => void) => {
    rounds.push(round);
    respond(['ü']);
  };
  const peer = client(answer, { method: 'password', password: 'p' });
  const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
  const request = new Writer().byte(60).string(latin1('Prüfung')).string(latin1('é')).string('').uint32(1);
  peer.payload(request.string(latin1('Wählen: ')).boolean(false).finish());
  assert.equal(rounds, [{ name: 'Prüfung', instruction: 'é', prompts: [{ text: 'Wählen: ', echo: false }] }]);
  assert.equal(peer.take(USERAUTH_INFO_RESPONSE).responses, new Writer().string('ü').finish());
  peer.payload(new Writer().byte(51).string(',password,').boolean(false).finish());
  assert.is(peer.take(USERAUTH_REQUEST).method, 'password');
});

test('as ssh, client: a banner in Latin-1, or without its language tag, is shown', () => {
  const shown: string[] = [];
  const peer = RawPeer.keyed({ role: 'server', events: { banner: message => void shown.push(message) } });
  peer.take(SERVICE_REQUEST);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.take(USERAUTH_REQUEST);
  const banner = new Uint8Array(Buffer.from('Zugriff nur für Berechtigte\r\n', 'latin1'));
  for (const more of [[0, 0, 0, 0], [], [0, 0, 0, 2, 0x64, 0x65, 7]])
    peer.payload(Uint8Array.of(53, ...new Writer().string(banner).finish(), ...more));
  assert.equal(shown, Array(3).fill('Zugriff nur für Berechtigte\r\n'));
  peer.quiet();
});

test('RFC 4252 §5.1, client: after partial success it goes on with what the server wants', () => {
  const peer = client(() => {}, { method: 'password', password: 'p' });
  peer.send(USERAUTH_FAILURE, { methods: ['password'], partialSuccess: true });
  const { method, data } = peer.take(USERAUTH_REQUEST);
  assert.is(method, 'password');
  assert.equal(data, new Writer().boolean(false).string('p').finish());
});

test('RFC 4252, client: message 60 that answers nothing, and messages only a client sends, are refused', () => {
  for (const payload of [Uint8Array.of(50, 0), Uint8Array.of(61, 0), Uint8Array.of(5, 0), Uint8Array.of(80, 0)]) {
    const peer = client(() => {});
    peer.payload(payload);
    peer.disconnected(Disconnect.PROTOCOL_ERROR);
  }
  const peer = RawPeer.keyed({ role: 'server' });
  peer.take(SERVICE_REQUEST);
  peer.send(SERVICE_ACCEPT, { service: 'ssh-userauth' });
  peer.payload(infoRequest());
  peer.disconnected(Disconnect.PROTOCOL_ERROR);
});

test('RFC 4252, client: SUCCESS before a service was accepted is refused', () => {
  const peer = RawPeer.keyed({ role: 'server' });
  peer.send(USERAUTH_SUCCESS, {});
  peer.disconnected(Disconnect.PROTOCOL_ERROR);
});

test.run();
