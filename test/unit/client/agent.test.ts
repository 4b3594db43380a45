// The agent protocol: messages byte for byte, answers that make no sense, agents that say nothing; and sign-in with a key that signs elsewhere.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentFrame, agentRequests, frame, MAX_AGENT_MESSAGE } from '../../../src/client/agent-messages.ts';
import { Agent, type AgentOptions } from '../../../src/client/index.ts';
import { publicOf } from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName } from '../../../src/crypto/provider.ts';
import { ProtocolError, UsageError } from '../../../src/protocol/errors.ts';
import { Writer } from '../../../src/protocol/wire/reader.ts';

const key = byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random, 'a comment');
const other = byName(noble.signatures, 'ssh-ed25519')!.generate(noble.random);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Runs `body` with an agent that says `answer` to each request, whatever it is. */
async function withAgent(
  answer: (request: Buffer, socket: Socket) => void,
  body: (agent: Agent, path: string) => Promise<void>,
  options: AgentOptions = {},
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'agent-'));
  const path = join(directory, 'socket');
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {}).on('data', request => answer(request, socket));
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  try {
    await body(new Agent({ path, ...options }), path);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
}

/** Asserts that a promise is rejected with a ProtocolError that matches. */
async function refused(promise: Promise<unknown>, sentence: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, ProtocolError, (error as Error).stack);
    assert.match((error as Error).message, sentence);
    return;
  }
  assert.unreachable(`nothing thrown, expected ${sentence}`);
}

const identities = (...keys: { blob: Uint8Array; comment: string }[]) => {
  const writer = new Writer().byte(12).uint32(keys.length);
  for (const { blob, comment } of keys) writer.string(blob).string(comment);
  return writer.finish();
};

test('requests are those of RFC 9987, byte for byte', () => {
  assert.is(hex(agentRequests.list()), '0b');
  assert.is(hex(agentRequests.removeAll()), '13');
  const [k, d] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  assert.is(hex(agentRequests.sign(k, d, 'ssh-ed25519')), '0d 00000002 0102 00000001 03 00000000'.replaceAll(' ', ''));
  for (const suffix of ['', '-cert-v01@openssh.com']) {
    assert.is(hex(agentRequests.sign(k, d, `rsa-sha2-256${suffix}`)).slice(-8), '00000002');
    assert.is(hex(agentRequests.sign(k, d, `rsa-sha2-512${suffix}`)).slice(-8), '00000004');
  }
  assert.is(hex(agentRequests.remove(k)), '12000000020102');
  const added = (writer: Writer) =>
    writer.string('ssh-ed25519').string(key.fields[0]).string(key.fields[1]).string('a comment');
  assert.equal(agentRequests.add(key), added(new Writer().byte(17)).finish());
  assert.equal(
    agentRequests.add(key, { lifetime: 60, confirm: true }),
    added(new Writer().byte(25)).byte(1).uint32(60).byte(2).finish(),
  );
  for (const lifetime of [0, -1, 1.5, 2 ** 32])
    assert.throws(
      () => agentRequests.add(key, { lifetime }),
      (error: Error) => error instanceof UsageError,
    );
});

test('a message is put together from any chunks, and bounded', () => {
  const whole = frame(Uint8Array.of(6, 7));
  const pieces = new AgentFrame();
  for (const byte of whole.subarray(0, -1)) assert.is(pieces.push(Uint8Array.of(byte)), undefined);
  assert.equal(pieces.push(whole.subarray(-1)), Uint8Array.of(6, 7));
  assert.throws(() => new AgentFrame().push(new Uint8Array(4)), /message of 0 bytes/);
  assert.throws(() => new AgentFrame().push(Uint8Array.of(0, 4, 0, 1)), /message of 262145 bytes/);
  assert.equal(new AgentFrame().push(Uint8Array.of(0, 0, 0, 1, 6, 6)), Uint8Array.of(6), 'what follows is nobody’s');
  assert.throws(() => frame(new Uint8Array(MAX_AGENT_MESSAGE + 1)), /too long/);
});

test('keys are listed, also such as we do not know; only the others become credentials', () =>
  withAgent(
    (_, socket) =>
      socket.write(
        frame(
          identities(publicOf(key), { blob: new Writer().string('ssh-new').finish(), comment: 'x\u001b[2J' }, other),
        ),
      ),
    async agent => {
      const keys = await agent.keys();
      assert.equal(
        keys.map(({ type, comment }) => [type, comment]),
        [
          ['ssh-ed25519', 'a comment'],
          ['ssh-new', 'x\ufffd[2J'],
          ['ssh-ed25519', ''],
        ],
      );
      assert.equal(keys[0].blob, key.blob);
      assert.equal(
        (await agent.credentials()).map(({ key }) => key.blob),
        [key.blob, other.blob],
      );
    },
  ));

test('an RSA key is one, whatever its blob is named: the server gets it as ssh-rsa, the agent is asked as it has it', async () => {
  const rest = new Writer()
    .mpint(Uint8Array.of(1, 0, 1))
    .mpint(new Uint8Array(256).fill(0xff))
    .finish();
  for (const name of ['rsa-sha2-256', 'rsa-sha2-512']) {
    const odd = { blob: new Writer().string(name).raw(rest).finish(), comment: '' };
    const signature = new Writer().string('rsa-sha2-512').string('value').finish();
    const asked: Buffer[] = [];
    await withAgent(
      (request, socket) => {
        if (request[4] === 11) return void socket.write(frame(identities(odd)));
        asked.push(request);
        socket.write(frame(new Writer().byte(14).string(signature).finish()));
      },
      async agent => {
        const [{ key, sign }] = await agent.credentials();
        assert.is(key.type, 'ssh-rsa');
        assert.equal(key.blob, new Writer().string('ssh-rsa').raw(rest).finish());
        const signed = await new Promise(resolve => sign(Uint8Array.of(3), 'rsa-sha2-512', resolve));
        assert.equal(signed, signature);
        assert.equal(
          new Uint8Array(asked[0].subarray(4)),
          agentRequests.sign(odd.blob, Uint8Array.of(3), 'rsa-sha2-512'),
        );
      },
    );
  }
});

const nonsense: [string, Uint8Array, RegExp][] = [
  ['a refusal', Uint8Array.of(5), /refuses to list its keys/],
  ['another answer', Uint8Array.of(6), /answers with message 6, expected 12/],
  ['an answer cut off', identities(publicOf(key)).subarray(0, -1), /runs past the end/],
  ['a refusal of the past', Uint8Array.of(102), /refuses to list its keys/],
  ['more keys than make sense', new Writer().byte(12).uint32(2049).finish(), /claims to have 2049 keys/],
  ['fewer keys than it says', new Writer().byte(12).uint32(2).finish(), /runs past the end/],
];
for (const [what, message, sentence] of nonsense)
  test(`list: ${what}`, () =>
    withAgent(
      (_, socket) => socket.write(frame(message)),
      agent => refused(agent.keys(), sentence),
    ));

test('list: a key that cannot be read, a Latin-1 comment, and more behind them, do not hide the other keys', () =>
  withAgent(
    (_, socket) => {
      const odd = { blob: Uint8Array.of(0, 0, 0, 9, 1), comment: '' };
      const writer = new Writer().byte(12).uint32(2).string(odd.blob).string(Uint8Array.of(0xe9)).string(key.blob);
      socket.write(frame(writer.string('x').string('more').finish()));
    },
    async agent =>
      assert.equal(
        (await agent.keys()).map(({ type, comment }) => [type, comment]),
        [
          ['', 'é'],
          ['ssh-ed25519', 'x'],
        ],
      ),
  ));

test('an agent that closes, one that says nothing, one that is not there', async () => {
  await withAgent(
    (_, socket) => socket.end(),
    agent => refused(agent.keys(), /closed the connection without an answer/),
  );
  await withAgent(
    () => {},
    agent => refused(agent.keys(), /gave no answer in 0.05 s/),
    { timeout: 0.05 },
  );
  try {
    await new Agent({ path: '/nonexistent/agent' }).keys();
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, 'ENOENT');
  }
  const before = process.env.SSH_AUTH_SOCK;
  delete process.env.SSH_AUTH_SOCK;
  assert.throws(() => new Agent(), /SSH_AUTH_SOCK is not set/);
  if (before !== undefined) process.env.SSH_AUTH_SOCK = before;
});

test('a signature under another algorithm than the one asked for is refused', () =>
  withAgent(
    (_, socket) => {
      const signature = new Writer().string('ssh-rsa').string('value').finish();
      socket.write(frame(new Writer().byte(14).string(signature).finish()));
    },
    agent => refused(agent.sign(key.blob, new Uint8Array(3), 'rsa-sha2-512'), /signs with ssh-rsa, and rsa-sha2-512/),
  ));

test('a credential whose agent fails responds with nothing, and says why', () => {
  const problems: string[] = [];
  return withAgent(
    (request, socket) => socket.write(frame(request[4] === 11 ? identities(publicOf(key)) : Uint8Array.of(5))),
    async agent => {
      const [credential] = await agent.credentials();
      const signature = await new Promise(resolve => credential.sign(new Uint8Array(1), 'ssh-ed25519', resolve));
      assert.is(signature, undefined);
      assert.match(problems.join(), /^SHA256:\S+ \(a comment\) does not sign: the agent refuses to sign$/);
    },
    { problem: message => problems.push(message) },
  );
});

test.run();
