// The table of messages: numbers as the RFCs assign them, and when each may come (RFC 4250 §4.1).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allowed, MESSAGES, phaseOf, type Stage } from '../../../src/protocol/messages.ts';

/** RFC 4250 §4.1.2, RFC 5656 §7.1, RFC 8308 §2.3, RFC 4256 §5; OpenSSH PROTOCOL §1.9. */
const ASSIGNED: Record<string, number> = {
  DISCONNECT: 1,
  IGNORE: 2,
  UNIMPLEMENTED: 3,
  DEBUG: 4,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  EXT_INFO: 7,
  KEXINIT: 20,
  NEWKEYS: 21,
  KEX_ECDH_INIT: 30,
  KEX_ECDH_REPLY: 31,
  USERAUTH_REQUEST: 50,
  USERAUTH_FAILURE: 51,
  USERAUTH_SUCCESS: 52,
  USERAUTH_BANNER: 53,
  USERAUTH_PK_OK: 60,
  USERAUTH_PASSWD_CHANGEREQ: 60,
  USERAUTH_INFO_REQUEST: 60,
  USERAUTH_INFO_RESPONSE: 61,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_OPEN_FAILURE: 92,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EXTENDED_DATA: 95,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
  CHANNEL_REQUEST: 98,
  CHANNEL_SUCCESS: 99,
  CHANNEL_FAILURE: 100,
  PING: 192,
  PONG: 193,
};
const stages: readonly Stage[] = ['keying', 'keyed', 'userauth', 'connection'];

test('every message of the RFCs is in the table under its number', () => {
  const table = Object.fromEntries(MESSAGES.map(({ name, number }) => [name, number]));
  for (const [name, number] of Object.entries(ASSIGNED)) assert.is(table[name], number, name);
});

test('names are there once, and a number that is there twice has one phase', () => {
  assert.is(new Set(MESSAGES.map(({ name }) => name)).size, MESSAGES.length);
  for (const { name, number, phase } of MESSAGES) assert.is(phaseOf(number), phase, name);
});

test('the phase of a message follows from its range (RFC 4250 §4.1.1)', () => {
  for (const { name, number, phase } of MESSAGES) {
    if (number >= 128) continue;
    const range =
      number < 5
        ? 'transport'
        : number < 20
          ? 'service'
          : number < 50
            ? 'kex'
            : number < 80
              ? 'userauth'
              : 'connection';
    assert.is(phase, range, name);
  }
});

test('"rest" stands at the end of a layout only', () => {
  for (const { name, layout } of MESSAGES) {
    const types = Object.values(layout);
    const at = types.indexOf('rest');
    assert.ok(at === -1 || at === types.length - 1, name);
  }
});

test('RFC 4252 §6: no message from 80 up may come before sign-in, all may after it', () => {
  for (const { name, number } of MESSAGES) {
    if (number < 80 || number > 127) continue;
    for (const stage of stages) assert.is(allowed(number, stage), stage === 'connection', `${name} at ${stage}`);
  }
});

test('RFC 4252 §4: user authentication needs its service; late requests may still come', () => {
  for (let number = 50; number < 80; number++) {
    if (phaseOf(number) === undefined) continue;
    assert.equal(
      stages.map(stage => allowed(number, stage)),
      [false, false, true, true],
      `${number}`,
    );
  }
});

test('RFC 4253 §10: services are asked for under keys; messages 1 to 4 and key exchange may come at any time', () => {
  for (const stage of stages) {
    for (const number of [1, 2, 3, 4, 20, 21, 30, 31]) assert.ok(allowed(number, stage), `${number} at ${stage}`);
    for (const number of [5, 6, 7]) assert.is(allowed(number, stage), stage !== 'keying', `${number} at ${stage}`);
  }
});

test('an unknown number has no phase and is allowed nowhere', () => {
  const known = new Set(MESSAGES.map(({ number }) => number));
  for (let number = 0; number < 256; number++) {
    if (known.has(number)) continue;
    assert.is(phaseOf(number), undefined, `${number}`);
    for (const stage of stages) assert.not(allowed(number, stage), `${number}`);
  }
});

test.run();
