// Records the scenarios anew with the OpenSSH of this machine: `node --import tsx test/replay/record.ts [part of a name]`. Run by hand.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, connect as netConnect, type Socket } from 'node:net';
import { formatPublicKey, publicOf } from '../../src/crypto/keys/index.ts';
import { echoServer, freePort, tcpServer } from '../kit/loopback.ts';
import { eventually, Scope, soon } from '../kit/processes.ts';
import { knownHost, ssh, sshd } from '../kit/ssh.ts';
import { Conversation } from './conversation.ts';
import { directory, headOf, writeRecording } from './recording.ts';
import { keyPath, ourKey, type Scenario, scenarios } from './scenarios.ts';

/** Moves bytes between the core and the socket until both have ended. */
function converse(conversation: Conversation, socket: Socket): Promise<void> {
  socket.setNoDelay(true);
  const send = (bytes: Uint8Array) => {
    if (bytes.length > 0) socket.write(bytes);
    if (conversation.over) socket.end();
  };
  return new Promise(resolve => {
    // What comes after the end was never heard, and is no part of the conversation.
    socket.on('data', chunk => {
      if (!conversation.over) send(conversation.receive(new Uint8Array(chunk)));
    });
    const end = () => {
      if (!conversation.over) send(conversation.end());
    };
    socket.on('end', end);
    socket.on('error', end);
    socket.on('close', () => {
      end();
      resolve();
    });
    send(conversation.start());
  });
}

/** Lines of ssh_config or sshd_config: the only algorithms on offer, and when to exchange keys anew. */
function offer({ kex, hostKey, cipher, mac, peerRekeyBytes }: Scenario): string[] {
  const lines = {
    KexAlgorithms: kex,
    HostKeyAlgorithms: hostKey,
    Ciphers: cipher,
    MACs: mac,
    RekeyLimit: peerRekeyBytes,
  };
  return Object.entries(lines).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
}

const version = spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.split(',')[0].trim();

/** The real ssh comes to our server. */
async function recordServer(scope: Scope, scenario: Scenario): Promise<void> {
  const head = headOf(version);
  const conversation = new Conversation(scenario, head);
  const { promise: done, resolve } = withResolvers();
  const server = createServer({ allowHalfOpen: true }, socket => {
    server.close();
    resolve(converse(conversation, socket));
  });
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  const target = {
    host: '127.0.0.1',
    port,
    known: [knownHost('127.0.0.1', port, formatPublicKey(publicOf(ourKey(scenario.key))))],
  };
  const { task, input } = scenario;
  if (task.do === 'scan') {
    scope.start('ssh-keyscan', ['-t', 'ed25519', '-p', String(port), target.host]);
  } else {
    const args =
      task.do === 'exec'
        ? ['--', task.command]
        : task.do === 'forward'
          ? ['-W', 'service.example:80']
          : ['-R', `7:127.0.0.1:${await sink(scope)}`, '--', 'call'];
    ssh(scope, target, 'alice', args, { keyType: scenario.peerKey, config: offer(scenario), input: input ?? '' });
  }
  await soon(`${scenario.name} to end`, done);
  writeRecording(scenario.name, { head, lines: conversation.lines });
}

/** Our client goes to the real sshd. */
async function recordClient(scope: Scope, scenario: Scenario): Promise<void> {
  const config = [
    ...offer(scenario),
    `AuthorizedKeysFile ${scenario.refuse ? 'none' : `${keyPath(scenario.key)}.pub`}`,
  ];
  const { port, user } = await sshd(scope, [], config);
  const { task } = scenario;
  const service = { forward: () => echoServer(scope), listen: () => freePort(), exec: undefined, scan: undefined };
  const place = await service[task.do]?.();
  const target = place === undefined ? undefined : { host: '127.0.0.1', port: place };
  const head = { ...headOf(version, target), user };
  const conversation = new Conversation(scenario, head);
  const socket = netConnect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const done = converse(conversation, socket);
  if (task.do === 'listen') await call(scope, target!.port);
  await soon(`${scenario.name} to end`, done);
  writeRecording(scenario.name, { head, lines: conversation.lines });
}

/** A port where somebody reads what comes, and ends when the caller has. */
async function sink(scope: Scope): Promise<number> {
  const { port } = await tcpServer(scope, socket => socket.resume().on('end', () => socket.end()));
  return port;
}

/** Calls a port as soon as somebody listens there, once. */
function call(scope: Scope, port: number): Promise<void> {
  return eventually(`sshd to listen on port ${port}`, () => {
    const socket = netConnect({ host: '127.0.0.1', port });
    scope.defer(() => void socket.destroy());
    return new Promise<boolean>(resolve => {
      socket.on('error', () => resolve(false));
      socket.on('connect', () => {
        socket.end('a caller');
        resolve(true);
      });
    });
  });
}

function withResolvers(): { promise: Promise<void>; resolve(value: Promise<void>): void } {
  let resolve!: (value: Promise<void>) => void;
  const promise = new Promise<void>(settle => (resolve = settle));
  return { promise, resolve };
}

const wanted = process.argv[2] ?? '';
if (wanted === '') rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
for (const scenario of scenarios.filter(({ name }) => name.includes(wanted))) {
  const scope = new Scope();
  try {
    await (scenario.role === 'server' ? recordServer : recordClient)(scope, scenario);
    console.log(`recorded ${scenario.name}`);
  } finally {
    await scope.end();
  }
}
