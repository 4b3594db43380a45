// Sign-in methods as values: which question reaches which callback, and what an answer becomes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuthQuestion } from '../../../src/protocol/userauth/questions.ts';
import { keyboardInteractive, passwords, publicKeys } from '../../../src/server/authenticators.ts';
import type { Client } from '../../../src/server/server.ts';

const client = { id: 1 } as Client;
const none: AuthQuestion = { user: 'alice', method: 'none' };
const key = Uint8Array.of(1, 2);
const query: AuthQuestion = { user: 'alice', method: 'publickey-query', algorithm: 'a', key };
const proof: AuthQuestion = { user: 'alice', method: 'publickey', algorithm: 'a', key };

test('a key that is only named never reaches the callback that may store or grant', async () => {
  const asked: string[] = [];
  const keys = publicKeys({
    acceptable: offer => {
      asked.push(`acceptable ${offer.user} ${offer.algorithm} ${offer.key}`);
      return true;
    },
    proven: async () => {
      asked.push('proven');
      return { result: 'partial', methods: ['password'] };
    },
  });
  assert.is(keys.method, 'publickey');
  assert.equal(await keys.answer(query, client), { result: 'accept' });
  assert.equal(asked, ['acceptable alice a 1,2']);
  assert.equal(await keys.answer(proof, client), { result: 'partial', methods: ['password'] });
  assert.equal(asked.slice(1), ['proven']);
  assert.equal(await keys.answer(none, client), { result: 'reject' });
});

test('a password and its successor reach the check', async () => {
  const seen: unknown[] = [];
  const method = passwords((user, password, _client, newPassword) => {
    seen.push([user, password, newPassword]);
    return password === 'right';
  });
  assert.is(method.method, 'password');
  assert.equal(await method.answer({ user: 'a', method: 'password', password: 'right' }, client), { result: 'accept' });
  const change: AuthQuestion = { user: 'a', method: 'password', password: 'old', newPassword: 'new' };
  assert.equal(await method.answer(change, client), { result: 'reject' });
  assert.equal(seen, [
    ['a', 'right', undefined],
    ['a', 'old', 'new'],
  ]);
  assert.equal(await method.answer(none, client), { result: 'reject' });
});

test('prompts are asked first; the answers decide', async () => {
  const prompts = [{ text: 'Code: ', echo: true }];
  const method = keyboardInteractive(prompts, (_user, responses) =>
    responses[0] === 'again' ? { result: 'prompt', prompts } : responses[0] === '42',
  );
  const ask = (responses?: string[]) =>
    method.answer({ user: 'a', method: 'keyboard-interactive', submethods: '', responses }, client);
  assert.is(method.method, 'keyboard-interactive');
  assert.equal(await ask(), { result: 'prompt', prompts });
  assert.equal(await ask(['42']), { result: 'accept' });
  assert.equal(await ask(['43']), { result: 'reject' });
  assert.equal(await ask(['again']), { result: 'prompt', prompts });
  assert.equal(await method.answer(none, client), { result: 'reject' });
});

test.run();
