// How circuits end: whoever dies, the other side hears of it at once, and nobody else notices.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { echoes, readAll, tcpConnect, tcpServer } from '../kit/loopback.ts';
import { bounded, pause, type Scope, soon } from '../kit/processes.ts';
import { shared } from '../kit/shared.ts';
import { consume, provide, type Switchboard, ssh, switchboard } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'ssh', 'ssh-keygen');
const theBoard = shared(test, switchboard);

/**
 * "At once" must not become an assertion about time, but it must be clear that no keepalive, grace time or retry did
 * it: the shortest of those is 15 s.
 */
const AT_ONCE = 10;

/** Two lines of alice and one of carol, called by bob and dave over four connections in all. */
async function crossing(scope: Scope) {
  const board = await theBoard(scope);
  const services = [await service(scope), await service(scope), await service(scope)];
  const [one, two, three] = services.map(({ port }) => `localhost:${port}`);
  const alice = await provide(scope, board, 'alice', [`1:${one}`, `2:${two}`]);
  const carol = await provide(scope, board, 'carol', [`3:${three}`]);
  const targets = [`${alice.alias}:1`, `${alice.alias}:2`, `${carol.alias}:3`];
  const bob = await consume(scope, board, 'bob', targets);
  const dave = await consume(scope, board, 'dave', targets);
  /** A circuit, used once each way. */
  const circuit = async ({ ports }: { ports: number[] }, line: 1 | 2 | 3): Promise<Socket> => {
    const socket = await tcpConnect(scope, ports[line - 1]);
    await echoes(socket, 'hello');
    return socket;
  };
  return { board, services, alice, carol, bob, dave, circuit };
}

/** An echo server that shows its sockets, in the order in which they came. */
async function service(scope: Scope): Promise<{ port: number; accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const { port } = await tcpServer(scope, socket => {
    accepted.push(socket);
    socket.pipe(socket);
  });
  return { port, accepted };
}

/** When a socket's other end is gone in both directions: a stream that has only ended would still take what we write. */
const gone = (what: string, socket: Socket) =>
  soon(
    what,
    (async () => {
      if (!socket.readableEnded && !socket.closed) await readAll(socket);
      while (!socket.closed) {
        if (socket.writable) socket.write('anybody there?');
        await pause(20);
      }
    })(),
    AT_ONCE,
  );

it(
  'the caller’s ssh is killed: the service hears it, other callers of the line and other lines do not',
  bounded(180, async scope => {
    const { services, bob, dave, alice, carol, circuit } = await crossing(scope);
    await circuit(bob, 1);
    await circuit(bob, 3);
    const others = [await circuit(dave, 1), await circuit(dave, 2), await circuit(dave, 3)];
    const [first] = services[0].accepted;
    const [second] = services[2].accepted;
    bob.child.signal('SIGKILL');
    await gone('the service of line 1 to hear it', first);
    await gone('the service of line 3 to hear it', second);
    for (const socket of others) await echoes(socket, 'still here');
    await echoes(await circuit(dave, 1), 'and new calls are put through');
    for (const { child } of [alice, carol, dave]) assert.not.ok(child.over, child.report);
  }),
);

it(
  'the provider’s ssh is killed: its callers hear it, calls to it are refused, other providers’ circuits go on',
  bounded(180, async scope => {
    const { board, alice, carol, bob, dave, circuit } = await crossing(scope);
    const cut = [await circuit(bob, 1), await circuit(bob, 2), await circuit(dave, 2)];
    const others = [await circuit(bob, 3), await circuit(dave, 3)];
    alice.child.signal('SIGKILL');
    for (const socket of cut) await gone('the caller to hear it', socket);
    for (const socket of others) await echoes(socket, 'still here');
    const refused = await ssh(scope, board, 'bob', ['-W', `${alice.alias}:1`], { input: '' }).ended;
    assert.match(refused.stderr, /no line named \S+ is plugged in/);
    await echoes(await circuit(bob, 3), 'the same connection takes new calls');
    for (const { child } of [carol, bob, dave]) assert.not.ok(child.over, child.report);
  }),
);

it(
  'the provider’s ssh is killed in the middle of a large answer: the caller gets an end, not silence',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { port } = await tcpServer(scope, socket => {
      const more = () => {
        while (socket.write(Buffer.alloc(65_536, 'more')));
      };
      socket.on('drain', more);
      more();
    });
    const alice = await provide(scope, board, 'alice', [`1:localhost:${port}`]);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:1`]);
    const socket = await tcpConnect(scope, bob.ports[0]);
    await once(socket, 'data');
    alice.child.signal('SIGKILL');
    await soon('the end', readAll(socket), AT_ONCE);
    assert.not.ok(bob.child.over, bob.child.report);
  }),
);

it(
  'the service dies: its callers hear it, the line stays plugged in, and its circuits to other services go on',
  bounded(180, async scope => {
    const { services, alice, bob, circuit } = await crossing(scope);
    const cut = await circuit(bob, 1);
    const others = [await circuit(bob, 2), await circuit(bob, 3)];
    // As the kernel does for a process that is killed with bytes unread: a reset.
    services[0].accepted[0].resetAndDestroy();
    await gone('the caller to hear it', cut);
    for (const socket of others) await echoes(socket, 'still here');
    await echoes(await circuit(bob, 1), 'the service is back');
    for (const { child } of [alice, bob]) assert.not.ok(child.over, child.report);
  }),
);

needs(
  test,
  'ssh',
  'nc',
)(
  'the service is a program that is killed',
  bounded(180, async scope => {
    const { board, alice, bob, circuit } = await crossing(scope);
    const program = scope.start('nc', ['-l', '-v', '127.0.0.1', '0']);
    const [, port] = await program.says(/Listening on \S+ (\d+)/, 'stderr');
    const erin = await provide(scope, board, 'erin', [`4:localhost:${port}`]);
    const frank = await consume(scope, board, 'frank', [`${erin.alias}:4`]);
    const other = await circuit(bob, 1);
    const socket = await tcpConnect(scope, frank.ports[0]);
    socket.write('typed here');
    await program.wrote('typed here'.length);
    program.signal('SIGKILL');
    await soon('the caller to hear it', readAll(socket), AT_ONCE);
    await echoes(other, 'still here');
    for (const { child } of [alice, bob, erin, frank]) assert.not.ok(child.over, child.report);
  }),
);

it(
  'the caller’s program dies: the service hears it, and other circuits of the same two connections do not',
  bounded(180, async scope => {
    const { services, alice, bob, circuit } = await crossing(scope);
    const dying = await circuit(bob, 1);
    const others = [await circuit(bob, 1), await circuit(bob, 2)];
    const [served] = services[0].accepted;
    dying.resetAndDestroy();
    await gone('the service to hear it', served);
    for (const socket of others) await echoes(socket, 'still here');
    for (const { child } of [alice, bob]) assert.not.ok(child.over, child.report);
  }),
);

it(
  'a line is taken back: new calls are refused, circuits that are open go on',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const { port } = await service(scope);
    const config = ['ControlMaster yes', `ControlPath ${join(scope.directory(), 'control')}`];
    const alice = await provide(scope, board, 'alice', [`1:localhost:${port}`], { config });
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:1`]);
    const open = await tcpConnect(scope, bob.ports[0]);
    await echoes(open, 'before');
    const cancelled = await ssh(scope, board, 'alice', ['-O', 'cancel', '-R', `1:localhost:${port}`], {
      input: '',
      config: [config[1]],
    }).ended;
    assert.is(cancelled.code, 0, cancelled.stderr);
    await echoes(open, 'after');
    const late = await ssh(scope, board, 'bob', ['-W', `${alice.alias}:1`], { input: '' }).ended;
    assert.match(late.stderr, /no line named \S+ is plugged in/);
    await echoes(open, 'still here');
  }),
);

/** What the line's service says; undefined if there is no line. */
async function call(scope: Scope, board: Switchboard, target: string): Promise<string | undefined> {
  const { code, stdout } = await ssh(scope, board, 'bob', ['-W', target], { input: '' }).ended;
  return code === 0 ? stdout.toString() : undefined;
}

it(
  'of two providers of one name the newer is killed: the older has the name, and its circuits never noticed',
  bounded(180, async scope => {
    const board = await theBoard(scope);
    const [first, second] = [await service(scope), await service(scope)];
    const older = await provide(scope, board, 'alice', [`1:localhost:${first.port}`]);
    const bob = await consume(scope, board, 'bob', [`${older.alias}:1`]);
    const early = await tcpConnect(scope, bob.ports[0]);
    await echoes(early, 'to the older');
    const newer = await provide(scope, board, 'alice', [`1:localhost:${second.port}`]);
    const late = await tcpConnect(scope, bob.ports[0]);
    await echoes(late, 'to the newer');
    assert.is(second.accepted.length, 1);
    newer.child.signal('SIGKILL');
    await gone('the caller of the newer to hear it', late);
    await echoes(early, 'still here');
    await echoes(await tcpConnect(scope, bob.ports[0]), 'to the older again');
    assert.is(first.accepted.length, 2);
    assert.not.ok(older.child.over, older.child.report);
  }),
);

it(
  'the server restarts: both ssh end, and host keys, enrolled keys and aliases are the old ones',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const { port } = await tcpServer(scope, socket => void socket.end('here I am'));
    const alice = await provide(scope, board, 'alice', [`1:localhost:${port}`]);
    assert.is(await call(scope, board, `${alice.alias}:1`), 'here I am');
    board.child.signal('SIGTERM');
    assert.is((await soon('the server to end', board.child.ended)).code, 0);
    await soon('ssh to hear it', alice.child.ended, AT_ONCE);

    // On another port it is another host to known_hosts, so the keys are compared with those that were kept.
    const again = await switchboard(scope, { data: board.data, args: ['--no-enrol'] });
    const key = (line: string) => line.split(' ').slice(1).join(' ');
    assert.equal(again.known.map(key).sort(), board.known.map(key).sort());
    const keys = /^ {2}SHA256:.*$/gm;
    assert.equal(again.greeting.match(keys), board.greeting.match(keys));
    const back = await provide(scope, again, 'alice', [`1:localhost:${port}`]);
    assert.is(back.alias, alice.alias);
    assert.is(await call(scope, again, `${alice.alias}:1`), 'here I am');
  }),
);

it(
  'the server is killed: circuits end on both sides, and it starts again from what it left',
  bounded(180, async scope => {
    const board = await switchboard(scope);
    const { port, accepted } = await service(scope);
    const alice = await provide(scope, board, 'alice', [`1:localhost:${port}`]);
    const bob = await consume(scope, board, 'bob', [`${alice.alias}:1`]);
    const socket = await tcpConnect(scope, bob.ports[0]);
    await echoes(socket, 'before');
    board.child.signal('SIGKILL');
    await gone('the caller to hear it', socket);
    await gone('the service to hear it', accepted[0]);
    const again = await switchboard(scope, { data: board.data });
    assert.is((await provide(scope, again, 'alice', [`1:localhost:${port}`])).alias, alice.alias);
  }),
);

test.run();
