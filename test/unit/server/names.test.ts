// Host names of forwarding: what needs no look-up, and that nobody has all look-ups for themselves.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Names } from '../../../src/server/runtime/names.ts';
import { turns } from '../../kit/socket.ts';

/** Look-ups that end when the test says so. */
function held(limit?: number) {
  const asked: string[] = [];
  const answers = new Map<string, (addresses: string[]) => void>();
  let most = 0;
  const names = new Names(host => {
    asked.push(host);
    most = Math.max(most, names.active);
    return new Promise(resolve => answers.set(host, found => resolve(found.map(address => ({ address, family: 4 })))));
  }, limit);
  const answer = async (host: string, ...addresses: string[]) => {
    answers.get(host)!(addresses);
    await turns(3);
  };
  return { names, asked, answer, most: () => most };
}

test('addresses need no look-up, and are made plain: "any" is loopback, IPv4 in IPv6 is IPv4', async () => {
  const { names, asked } = held();
  for (const [host, address] of [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['::ffff:0.0.0.0', '127.0.0.1'],
    ['fe80::1%lo', 'fe80::1%lo'],
  ])
    assert.equal(await names.addresses(host, {}), [address], host);
  assert.equal(asked, []);
});

test('what can be no name is none, and the system is not asked', async () => {
  const { names, asked } = held();
  for (const host of ['', ' ', 'a b', 'a\0.example.org', 'a\n', 'x'.repeat(256)]) {
    const error = await names.addresses(host, {}).catch((thrown: unknown) => thrown);
    assert.is((error as { code?: string }).code, 'ENOTFOUND', JSON.stringify(host));
  }
  assert.equal(asked, []);
});

test('what a name leads to is made plain, too, and each address is there once', async () => {
  const { names, answer } = held();
  const found = names.addresses('h', {});
  await turns(3);
  await answer('h', '0.0.0.0', '::ffff:192.0.2.1', '192.0.2.1');
  assert.equal(await found, ['127.0.0.1', '192.0.2.1']);
});

test('a thousand of one client: one at a time, and another client’s come in turn', async () => {
  const { names, asked, answer, most } = held();
  const [greedy, quiet, third] = [{}, {}, {}];
  const all = Array.from({ length: 1024 }, (_, i) => names.addresses(`g${i}`, greedy));
  await turns(3);
  assert.equal(asked, ['g0']);
  const other = names.addresses('q', quiet);
  const another = names.addresses('t', third);
  await turns(3);
  assert.equal(asked, ['g0', 'q'], 'two at once, and one of each');
  await answer('g0', '192.0.2.1');
  assert.equal(asked, ['g0', 'q', 'g1'], 'in turn');
  await answer('q', '192.0.2.2');
  assert.equal(asked, ['g0', 'q', 'g1', 't'], 'and none of a thousand more before it');
  await answer('t', '192.0.2.3');
  assert.equal([await other, await another], [['192.0.2.2'], ['192.0.2.3']]);
  for (let i = 1; i < 1024; i++) await answer(`g${i}`, '192.0.2.1');
  await Promise.all(all);
  assert.is(most(), 2);
  assert.is(names.active, 0);
});

test('whoever is gone waits no longer, and gives up their place; one that is under way keeps its thread until it ends', async () => {
  const { names, asked, answer } = held(1);
  const end = new AbortController();
  const gone = ['a', 'b', 'c'].map(host => names.addresses(host, end, end.signal).catch((error: unknown) => error));
  const other = names.addresses('d', {});
  await turns(3);
  end.abort(new Error('gone'));
  assert.is(((await gone[1]) as Error).message, 'gone');
  assert.is(((await gone[2]) as Error).message, 'gone');
  assert.equal(asked, ['a']);
  await answer('a', '192.0.2.1');
  assert.equal(asked, ['a', 'd']);
  await answer('d', '192.0.2.4');
  assert.equal(await other, ['192.0.2.4']);
  const late = await names.addresses('e', {}, end.signal).catch((error: unknown) => error);
  assert.is((late as Error).message, 'gone');
  assert.equal(asked, ['a', 'd']);
});

test('one that fails makes room for the next', async () => {
  let count = 0;
  const names = new Names(() => Promise.reject(Object.assign(new Error('none'), { code: `E${++count}` })), 1);
  const codes = await Promise.all(
    ['a', 'b', 'c'].map((host, i) =>
      names.addresses(host, [{}][i] ?? names).catch(({ code }: { code?: string }) => code),
    ),
  );
  assert.equal(codes.sort(), ['E1', 'E2', 'E3']);
});

test('the system’s own way: localhost is loopback', async () => {
  for (const address of await new Names().addresses('localhost', {})) assert.match(address, /^(127\.0\.0\.1|::1)$/);
});

test.run();
