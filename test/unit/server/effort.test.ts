// What strangers may have a server compute, counted, with seconds of the test's own.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../../src/client/dial.ts';
import { accelerated } from '../../../src/crypto/accelerated.ts';
import { noble } from '../../../src/crypto/noble.ts';
import type { CryptoProvider } from '../../../src/crypto/provider.ts';
import { Effort, WORK_PER_SECOND } from '../../../src/server/effort.ts';
import type { Server } from '../../../src/server/server.ts';
import { Pair } from '../../kit/pair.ts';
import { call, closeServers, hostKey, provider, testServer } from '../../kit/served.ts';
import { socketPair, turns } from '../../kit/socket.ts';

/** Exchanges of the server's half so far. */
let computed = 0;
const [cheap] = provider.kex;
const dear = {
  ...cheap,
  ...{ name: 'dear-kex', work: 6 },
  respond: (...args: Parameters<typeof cheap.respond>) => {
    computed++;
    return cheap.respond(...args);
  },
};
const both: CryptoProvider = { ...provider, kex: [cheap, dear] };
const old: CryptoProvider = { ...provider, kex: [dear] };

/** A client that has nothing but the dear exchange. */
function knock(server: Server, address: string): Promise<unknown> {
  const [near, far] = socketPair(address);
  server.serve(near);
  return dial({ socket: far, provider: old, user: 'a', credentials: [], hostKey: () => true }).then(
    client => client,
    () => undefined,
  );
}

test('exchanges that cost much are computed so many a second, whoever asks; others are never kept waiting', async () => {
  const server = testServer({ provider: both, startups: { begin: 1000, rate: 100, full: 1000 } });
  computed = 0;
  for (let i = 0; i < 40; i++) void knock(server, '192.0.2.66');
  await turns(40);
  const each = Math.floor(WORK_PER_SECOND / dear.work);
  assert.is(computed, each);
  // One with curve25519, as it were, notices nothing.
  await (await call(server, { provider: both })).client.close();
  assert.is(computed, each);
  // One that needs the dear exchange has its turn in the next second, not behind those 35.
  let served = false;
  void knock(server, '192.0.2.7').then(client => (served = client !== undefined));
  await turns(40);
  assert.not.ok(served);
  server.tick();
  await turns(40);
  assert.ok(served);
  assert.is(computed, 2 * each);
});

test('those that have gone meanwhile cost nothing', async () => {
  const effort = new Effort();
  const done: string[] = [];
  const ask = (name: string, gone = () => false) => effort.ask(name, WORK_PER_SECOND, () => done.push(name), gone);
  for (const name of ['a', 'b', 'c']) ask(name, () => name === 'b');
  assert.equal(done, ['a']);
  effort.tick();
  assert.equal(done, ['a', 'c']);
  ask('d');
  ask('too much');
  effort.tick();
  effort.tick();
  assert.equal(done, ['a', 'c', 'd', 'too much']);
});

test('of those that have gone nothing is kept, wherever they wait, and whatever waits before them', () => {
  const effort = new Effort();
  for (let source = 0; source < 50; source++) {
    effort.ask(
      `${source}`,
      WORK_PER_SECOND,
      () => {},
      () => false,
    );
    for (let i = 0; i < 10; i++)
      effort.ask(
        `${source}`,
        WORK_PER_SECOND,
        () => {},
        () => true,
      );
  }
  assert.is(effort.waiting, 50 * 11 - 1);
  effort.tick();
  // One has had its turn at once, and one in this second.
  assert.is(effort.waiting, 48);
});

test('a re-exchange after sign-in is counted, too', async () => {
  const server = testServer({ provider: both });
  const { client } = await call(server, { provider: old });
  computed = 0;
  for (let i = 0; i < 20; i++) {
    client.connection.rekey();
    await turns(10);
  }
  assert.is(computed, Math.floor(WORK_PER_SECOND / dear.work) - 1);
  server.tick();
  await turns(20);
  await client.close();
});

test('a server offers group18 if it is named, or if there is nothing else; a client always does', () => {
  const offered = (side: 'server' | 'client', options: object, from = accelerated) => {
    const pair = new Pair({ provider: from, hostKey, [side]: options });
    pair.server.start();
    pair.client.start();
    return Buffer.concat(pair[side].takeOutput()).toString('latin1');
  };
  const name = 'diffie-hellman-group18-sha512';
  for (const from of [accelerated, noble]) {
    assert.not.match(offered('server', {}, from), name);
    assert.match(offered('server', {}, from), 'diffie-hellman-group16-sha512');
    assert.match(offered('client', {}, from), name);
    assert.match(offered('server', { kex: [name, 'curve25519-sha256'] }, from), `${name},curve25519-sha256`);
    const alone = { ...from, kex: from.kex.filter(kex => kex.name === name) };
    assert.match(offered('server', {}, alone), name);
    for (const { work, name } of from.kex) assert.is(work !== undefined, /group/.test(name), name);
  }
});

test.after(closeServers);
test.run();
