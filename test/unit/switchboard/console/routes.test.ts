// The console over HTTP: who gets in, what other sites' pages cannot do, and the limits on everything.
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Connections } from '../../../../src/apps/switchboard/console/connections.ts';
import { Console } from '../../../../src/apps/switchboard/console/console.ts';
import type { Exchange } from '../../../../src/apps/switchboard/console/exchange.ts';
import { MAX_VIEWERS } from '../../../../src/apps/switchboard/console/routes.ts';
import { LASTS, SignIns } from '../../../../src/apps/switchboard/console/sign-ins.ts';
import { aClient, FakeExchange } from '../../../kit/exchange.ts';
import { readAll, tcpConnect } from '../../../kit/loopback.ts';
import { bounded, eventually, type Scope, soon } from '../../../kit/processes.ts';
import { notes } from '../../../kit/served.ts';

const TOKEN = 'a token that only this test knows';

async function started(scope: Scope, limits = {}, proxies?: string) {
  const exchange = new FakeExchange();
  const console = new Console({
    exchange: exchange as unknown as Exchange,
    token: TOKEN,
    log: notes(),
    limits,
    proxies,
  });
  const { port } = await console.listen({ host: '127.0.0.1', port: 0 });
  console.ready();
  scope.defer(() => console.close());
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: 'manual' });
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers, redirect: 'manual' });
  const signIn = (token: string, headers: Record<string, string> = {}) =>
    post('/sign-in', new URLSearchParams({ token }).toString(), { 'Content-Type': FORM, ...headers });
  const cookie = async () => (await signIn(TOKEN)).headers.get('Set-Cookie')!.split(';')[0];
  return { exchange, port, get, post, signIn, cookie };
}

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = { 'Content-Type': 'application/json' };

for (const [whose, header] of [
  ['192.0.2.1', ''],
  ['127.0.0.1', 'PROXY TCP4 203.0.113.9 127.0.0.1 5 80\r\n'],
]) {
  test(
    `with balancers at ${whose}: a request that does not go on is ended, and so are all connections at the end`,
    bounded(60, async scope => {
      const { port } = await started(scope, { header: 300 }, whose);
      const slow = await tcpConnect(scope, port);
      slow.write(`${header}GET / HTTP/1.1\r\nHost: x\r\n`);
      const answer = (await soon('the slow one to be closed', readAll(slow))).toString();
      // Bun's server tells nothing to those whose time is over.
      if (process.versions.bun === undefined) assert.match(answer, /^HTTP\/1.1 408/);
      const kept = await tcpConnect(scope, port);
      kept.write(`${header}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
      await soon('the answer', new Promise(resolve => kept.once('data', resolve)));
    }),
  );
}

test(
  'without a session there is the door, health, metrics and files that are no secret, and nothing else',
  bounded(180, async scope => {
    const { get, post, exchange } = await started(scope);
    const front = await get('/');
    assert.is(front.status, 303);
    assert.is(front.headers.get('Location'), '/sign-in');
    for (const path of ['/api/events', '/api/session', '/api/nothing']) assert.is((await get(path)).status, 401, path);
    for (const path of ['/api/kick', '/api/ban', '/api/unban'])
      assert.is((await post(path, '{"id":"1","subject":"192.0.2.1"}', JSON_TYPE)).status, 401, path);
    assert.equal(exchange.done, []);
    const door = await get('/sign-in');
    assert.is(door.status, 200);
    assert.match(
      door.headers.get('Content-Security-Policy')!,
      /default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    assert.not.match(door.headers.get('Content-Security-Policy')!, /unsafe|\*|data:/);
    assert.is(door.headers.get('X-Frame-Options'), 'DENY');
    assert.is(await (await get('/healthz')).text(), 'ok\n');
    assert.is((await get('/style.css')).headers.get('Content-Type'), 'text/css; charset=utf-8');
    for (const path of ['/console.ts', '/../routes.ts', '/..%2froutes.ts', '/%2e%2e/routes.ts', '/tsconfig.json'])
      assert.is((await get(path)).status, 404, path);
  }),
);

test(
  'a page that is still the same is not sent again',
  bounded(180, async scope => {
    const { get } = await started(scope);
    const etag = (await get('/main.js')).headers.get('ETag')!;
    assert.is((await get('/main.js', { 'If-None-Match': etag })).status, 304);
    assert.is((await get('/main.js', { 'If-None-Match': '"other"' })).status, 200);
  }),
);

test(
  'the token opens a session; its cookie is for this page only, and worth nothing after signing out',
  bounded(180, async scope => {
    const { get, post, signIn } = await started(scope);
    const wrong = await signIn(`${TOKEN}x`);
    assert.is(wrong.headers.get('Location'), '/sign-in#wrong');
    assert.is(wrong.headers.get('Set-Cookie'), null);
    const right = await signIn(` ${TOKEN}\n`);
    assert.is(right.headers.get('Location'), '/');
    assert.match(
      right.headers.get('Set-Cookie')!,
      /^cordboard-console=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    assert.match((await signIn(TOKEN, { 'X-Forwarded-Proto': 'https' })).headers.get('Set-Cookie')!, /; Secure/);
    const Cookie = right.headers.get('Set-Cookie')!.split(';')[0];
    assert.is((await get('/', { Cookie })).status, 200);
    assert.is((await get('/api/session', { Cookie: `${Cookie}x` })).status, 401);
    assert.is((await get('/api/session', { Cookie })).status, 204);
    await post('/sign-out', '', { Cookie });
    assert.is((await get('/api/session', { Cookie })).status, 401);
  }),
);

test(
  'guesses are few, and keep nobody out who knows the token',
  bounded(180, async scope => {
    const { signIn } = await started(scope);
    let last = '';
    const guesses = Array.from({ length: 20 }, async (_, i) => {
      const where = (await signIn(`guess ${i}, as long as a token`)).headers.get('Location')!;
      last = where;
      return where;
    });
    assert.is((await signIn(TOKEN)).headers.get('Location'), '/');
    const answers = await Promise.all(guesses);
    assert.is(answers.filter(where => where === '/sign-in#wrong').length, 8);
    assert.is(answers.filter(where => where === '/sign-in#busy').length, 12);
    assert.is(last, '/sign-in#wrong', 'a wrong token is answered late');
  }),
);

test(
  'what another site sends in the operator’s name is refused, and so is what a form can send',
  bounded(180, async scope => {
    const { post, port, cookie, exchange, signIn } = await started(scope);
    const Cookie = await cookie();
    const kick = (headers: Record<string, string>) =>
      post('/api/kick', '{"id":"1"}', { Cookie, ...JSON_TYPE, ...headers });
    for (const site of ['cross-site', 'same-site', 'none'])
      assert.is((await kick({ 'Sec-Fetch-Site': site })).status, 403, site);
    for (const Origin of ['http://evil.example', 'null', `https://127.0.0.1:${port}.evil.example`])
      assert.is((await kick({ Origin })).status, 403, Origin);
    assert.is((await signIn(TOKEN, { Origin: 'http://evil.example' })).status, 403);
    assert.is((await kick({ 'Content-Type': 'text/plain' })).status, 400);
    assert.is((await kick({ 'Content-Type': FORM })).status, 400);
    assert.equal(exchange.done, []);
    await kick({ 'Sec-Fetch-Site': 'same-origin' });
    await kick({ Origin: `http://127.0.0.1:${port}` });
    assert.equal(exchange.done, ['kick 1', 'kick 1']);
  }),
);

test(
  'kick, ban and unban do what they are told, and say so if they cannot',
  bounded(180, async scope => {
    const { post, cookie, exchange } = await started(scope);
    const Cookie = await cookie();
    exchange.there.clients = [aClient('7')];
    const act = async (path: string, what: unknown) => {
      const answer = await post(`/api/${path}`, JSON.stringify(what), { Cookie, ...JSON_TYPE });
      return { status: answer.status, ...((await answer.json()) as { error?: string }) };
    };
    assert.equal(await act('kick', { id: '7' }), { status: 200 });
    assert.equal(await act('kick', { id: '8' }), { status: 404, error: 'it is gone already' });
    assert.is((await act('kick', { id: 7 })).status, 400);
    for (const nothing of [null, [], 'x', 1]) assert.is((await act('kick', nothing)).status, 400);
    assert.equal(await act('ban', { subject: '192.0.2.1', seconds: 3600, reason: 'loud' }), { status: 200 });
    assert.equal(await act('ban', { subject: '192.0.2.1', seconds: -1, reason: 'x'.repeat(500) }), { status: 200 });
    assert.is((await act('ban', { subject: 'nonsense' })).status, 400);
    assert.is((await act('ban', { subject: '' })).status, 400);
    assert.equal(await act('unban', { subject: '192.0.2.1' }), { status: 200 });
    assert.is((await act('unban', { subject: 'nobody' })).status, 404);
    assert.equal(exchange.done.slice(2), [
      'ban 192.0.2.1 3600 loud',
      `ban 192.0.2.1  ${'x'.repeat(200)}`,
      'ban nonsense  ',
      'unban 192.0.2.1',
      'unban nobody',
    ]);
  }),
);

test(
  'events come as they happen, to so many browsers and no more, until the session ends',
  bounded(180, async scope => {
    const { get, post, cookie, exchange } = await started(scope);
    const Cookie = await cookie();
    exchange.there.clients = [aClient('7', 'alice')];
    const streams = await Promise.all(Array.from({ length: MAX_VIEWERS }, () => get('/api/events', { Cookie })));
    assert.ok(streams.every(({ status }) => status === 200));
    assert.is((await get('/api/events', { Cookie })).status, 503);
    const text = streams.map(stream => stream.text());
    for (const stirred of exchange.watchers) stirred();
    // One leaves, and another may come in its place.
    const gone = new AbortController();
    scope.defer(() => gone.abort());
    await post('/sign-out', '', { Cookie });
    for (const one of await soon('the streams to end', Promise.all(text)))
      assert.match(one, /^event: state\ndata: \{.*"totals"/);
    const again = await cookie();
    await eventually('room for others', async () => {
      const stream = await fetchOnce(get, again);
      return stream === 200;
    });
  }),
);

/** The status of one more stream, which is left at once. */
async function fetchOnce(get: (path: string, headers: Record<string, string>) => Promise<Response>, Cookie: string) {
  const stream = await get('/api/events', { Cookie });
  await stream.body?.cancel();
  return stream.status;
}

test(
  'metrics are made once a second, however often they are asked for; who drains is not ready, but healthy',
  bounded(180, async scope => {
    const { get, exchange } = await started(scope);
    const all = await Promise.all(Array.from({ length: 20 }, async () => (await get('/metrics')).text()));
    assert.ok(exchange.measured < 20, `${exchange.measured} times`);
    assert.match(all[0], /^measured 1\n$/);
    assert.is((await get('/readyz')).status, 200);
    exchange.there.draining = true;
    for (const stirred of exchange.watchers) stirred();
    await eventually('not to be ready', async () => (await get('/readyz')).status === 503);
    assert.is((await get('/healthz')).status, 200);
  }),
);

test(
  'requests have limits: their body, their header, the time for it; and connections are counted',
  bounded(180, async scope => {
    const { post, get, port, cookie } = await started(scope, { header: 300, connections: 5 });
    const Cookie = await cookie();
    const large = JSON.stringify({ id: 'x'.repeat(5000) });
    assert.is((await post('/api/kick', large, { Cookie, ...JSON_TYPE })).status, 413);
    assert.is((await get('/healthz', { 'X-Long': 'x'.repeat(9000) })).status, 431);
    const slow = await tcpConnect(scope, port);
    slow.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    assert.match((await soon('the slow one to be closed', readAll(slow))).toString(), /^HTTP\/1.1 408/);
    const many = Array.from({ length: 12 }, () => connect({ host: '127.0.0.1', port }));
    scope.defer(() => {
      for (const socket of many) socket.destroy();
    });
    const ends = many.map(
      socket =>
        new Promise(resolve =>
          socket
            .on('close', resolve)
            .on('error', () => {})
            .resume(),
        ),
    );
    await soon('those that are too many to be closed', Promise.race(ends));
  }),
);

test(
  'each route of /api takes its own method only; HEAD is none of them, and costs no place',
  bounded(180, async scope => {
    const { port, cookie, exchange, get } = await started(scope);
    const Cookie = await cookie();
    const routes = { session: 'GET', events: 'GET', kick: 'POST', ban: 'POST', unban: 'POST' };
    for (let round = 0; round < 4; round++) {
      for (const [name, right] of Object.entries(routes)) {
        for (const method of ['HEAD', 'GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
          if (method === right) continue;
          const answer = await fetch(`http://127.0.0.1:${port}/api/${name}`, {
            method,
            headers: { Cookie, ...JSON_TYPE },
          });
          assert.is(answer.status, 405, `${method} ${name}`);
          assert.is(answer.headers.get('Allow'), right);
          await answer.arrayBuffer();
        }
      }
    }
    assert.equal(exchange.done, []);
    const streams = await Promise.all(Array.from({ length: MAX_VIEWERS }, () => get('/api/events', { Cookie })));
    assert.equal(new Set(streams.map(({ status }) => status)), new Set([200]), 'all places are free');
    for (const stream of streams) await stream.body?.cancel();
  }),
);

test(
  'nothing of /api is read by another page, be it on this host; nor by one whose browser says nothing but its origin',
  bounded(180, async scope => {
    const { get, port, cookie } = await started(scope);
    const Cookie = await cookie();
    for (const path of ['/api/session', '/api/events', '/api/nothing']) {
      for (const site of ['cross-site', 'same-site', 'none'])
        assert.is((await get(path, { Cookie, 'Sec-Fetch-Site': site })).status, 403, `${path} ${site}`);
      for (const Origin of [`http://127.0.0.1:${port + 1}`, 'null', 'http://evil.example'])
        assert.is((await get(path, { Cookie, Origin })).status, 403, `${path} ${Origin}`);
    }
    assert.is((await get('/api/session', { Cookie, 'Sec-Fetch-Site': 'same-origin' })).status, 204);
    assert.is((await get('/healthz', { 'Sec-Fetch-Site': 'cross-site' })).status, 200);
  }),
);

test(
  'a place among those who watch is given back, however a stream ends: unread, half read, reset, or gone before it began',
  bounded(180, async scope => {
    const { port, cookie, get } = await started(scope);
    const Cookie = await cookie();
    const request = `GET /api/events HTTP/1.1\r\nHost: x\r\nCookie: ${Cookie}\r\n\r\n`;
    const leave: ((socket: Socket) => unknown)[] = [
      socket => socket.destroy(),
      socket => socket.end(),
      socket => socket.resetAndDestroy(),
      socket => socket.once('data', () => socket.destroy()),
      socket => socket.once('data', () => socket.resetAndDestroy()),
      socket => setImmediate(() => socket.destroy()),
      // A second request behind the first one, which is never answered.
      socket => socket.write(request, () => socket.destroy()),
    ];
    for (let round = 0; round < 3 * MAX_VIEWERS; round++) {
      const socket = await tcpConnect(scope, port);
      socket.on('error', () => {});
      const closed = new Promise(resolve => socket.once('close', resolve));
      socket.resume();
      socket.write(request);
      leave[round % leave.length](socket);
      await soon('the socket to be closed', Promise.race([closed, eventually('it', () => socket.destroyed)]));
    }
    await eventually('all places to be free', async () => {
      const streams = await Promise.all(Array.from({ length: MAX_VIEWERS }, () => get('/api/events', { Cookie })));
      for (const stream of streams) await stream.body?.cancel();
      return streams.every(({ status }) => status === 200);
    });
  }),
);

test(
  'connections that say nothing, little or much too slowly keep nobody out, and those who watch stay',
  bounded(180, async scope => {
    const { port, cookie, get, post } = await started(scope, { connections: 20 });
    const Cookie = await cookie();
    const watching = await get('/api/events', { Cookie });
    const reader = watching.body!.getReader();
    await reader.read();
    const many: Socket[] = [];
    const over = new Set<Socket>();
    scope.defer(() => {
      for (const socket of many) socket.destroy();
    });
    for (const said of [
      '',
      'GET /healthz HTTP/1.1\r\n',
      'POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx',
    ]) {
      for (let i = 0; i < 30; i++) {
        const socket = await tcpConnect(scope, port);
        for (const end of ['error', 'end', 'close']) socket.on(end, () => over.add(socket));
        socket.resume();
        if (said !== '') socket.write(said);
        many.push(socket);
        // Whoever is new gets in: each on a connection of its own.
        if (i % 5 === 0) assert.is((await get('/healthz', { Connection: 'close' })).status, 200, `${i} after ${said}`);
      }
      assert.is((await post('/api/kick', '{"id":"1"}', { Cookie, ...JSON_TYPE, Connection: 'close' })).status, 404);
    }
    await eventually('the oldest to be gone', () => over.has(many[0]) && over.has(many[40]));
    assert.ok(many.length - over.size <= 20);
    await post('/sign-out', '', { Cookie, Connection: 'close' });
    let last = await reader.read();
    while (!last.done) last = await reader.read();
  }),
);

/** Gives a server that is none connections without a network; `gone` are the names of those that have been ended. */
const connecting = (server: Server, gone: string[]) => (remoteAddress: string, name: string) => {
  const socket = Object.assign(new EventEmitter(), {
    ...{ remoteAddress, destroyed: false },
    destroy() {
      socket.destroyed = true;
      gone.push(name);
      socket.emit('close');
    },
  });
  server.emit('connection', socket as unknown as Socket);
  return socket;
};

test('the busiest address makes room, not the one that has waited the longest; where nobody may go, the newcomer does', async () => {
  const server = new EventEmitter() as unknown as Server;
  const open = new Connections(server, { most: 4, header: 1000, request: 1000, idle: 1000, interval: 1000 });
  const gone: string[] = [];
  const connect = connecting(server, gone);
  const quiet = connect('192.0.2.1', 'quiet');
  for (let i = 0; i < 5; i++) connect('192.0.2.2', `busy ${i}`);
  assert.equal(gone, ['busy 0', 'busy 1']);
  const second = connect('192.0.2.1', 'second');
  assert.equal(gone.splice(0), ['busy 0', 'busy 1', 'busy 2']);
  const kept = (socket: object) =>
    Object.assign(new EventEmitter(), { socket, destroyed: false, writableFinished: false });
  const answers = [quiet, second].map(kept);
  let over = 0;
  for (const answer of answers) open.keep(answer as unknown as ServerResponse, () => over++);
  connect('192.0.2.1', 'third');
  assert.equal(gone.splice(0), ['busy 3']);
  connect('192.0.2.1', 'fourth');
  assert.equal(gone.splice(0), ['third'], 'they watch');
  answers[0].emit('close');
  assert.is(over, 1);
  connect('192.0.2.1', 'fifth');
  assert.equal(gone.splice(0), ['quiet']);
  quiet.destroyed = true;
  open.keep(kept(quiet) as unknown as ServerResponse, () => over++);
  assert.is(over, 2, 'one that is over already');
});

test('header, body and the next request have their time; an answer takes what it takes', async () => {
  const server = new EventEmitter() as unknown as Server;
  const open = new Connections(server, { most: 9, header: 20, request: 20, idle: 20, interval: 20 });
  const gone: string[] = [];
  const connect = connecting(server, gone);
  const ask = (name: string, complete: boolean, socket = connect('192.0.2.1', name)) => {
    const response = new EventEmitter();
    server.emit('request', { socket, complete } as IncomingMessage, response as ServerResponse);
    return { socket, response };
  };
  connect('192.0.2.1', 'says nothing');
  const slow = ask('slow body', false);
  const busy = ask('busy', true);
  await eventually('two to be gone', () => gone.length === 2);
  assert.equal(gone.splice(0).sort(), ['says nothing', 'slow body']);
  slow.response.emit('close');
  const next = ask('busy', true, busy.socket);
  next.response.emit('close');
  await new Promise(resolve => setTimeout(resolve, 100));
  assert.equal(gone, []);
  busy.response.emit('close');
  await eventually('the idle one to be gone', () => gone.length === 1);
  assert.equal(gone.splice(0), ['busy']);
  connect('192.0.2.1', 'the last');
  open.end();
  assert.equal(gone, ['the last']);
});

test('a session lasts a working day; of too many the oldest ends, with what hangs on it', async () => {
  let now = 0;
  const signIns = new SignIns(TOKEN, () => now);
  const open = async () => ((await signIns.signIn(TOKEN)) as { session: string }).session;
  const first = await open();
  const ended: string[] = [];
  signIns.onEnd(first, () => ended.push('first'));
  assert.ok(signIns.has(first));
  now = LASTS;
  assert.not(signIns.has(first));
  assert.equal(ended, ['first']);
  const sessions = [];
  for (let i = 0; i < 65; i++) sessions.push(await open());
  assert.equal(sessions.map(session => signIns.has(session)).filter(has => !has).length, 1);
  assert.not(signIns.has(sessions[0]));
  assert.not(signIns.has(undefined));
  signIns.onEnd('unknown', () => ended.push('unknown'));
  assert.equal(ended, ['first', 'unknown']);
});

test.run();
