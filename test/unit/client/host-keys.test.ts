// The client's half of host key rotation (OpenSSH PROTOCOL §2.5): told of all keys of a server once it has proved that it has them, and of none otherwise.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DialOptions, dial } from '../../../src/client/dial.ts';
import type { PublicKey } from '../../../src/crypto/keys/index.ts';
import { noble } from '../../../src/crypto/noble.ts';
import { byName, type CryptoProvider, type PrivateKey, type Random } from '../../../src/crypto/provider.ts';
import type { GlobalReply } from '../../../src/protocol/channels/mux.ts';
import { Connection } from '../../../src/protocol/connection.ts';
import {
  announcedHostKeys,
  HOSTKEYS,
  HOSTKEYS_PROVE,
  hostKeysAnnouncement,
  hostKeysProven,
  hostKeysRequest,
  proofData,
  proveHostKeys,
} from '../../../src/protocol/host-keys.ts';
import type { Negotiated } from '../../../src/protocol/transport/negotiate.ts';
import { Reader, Writer } from '../../../src/protocol/wire/reader.ts';
import { Driver } from '../../../src/server/drive.ts';
import { insecureKey, seeded } from '../../kit/insecure.ts';
import { call, closeServers, provider as plain, testServer } from '../../kit/served.ts';
import { socketPair, turns, until } from '../../kit/socket.ts';

const ed25519 = byName(noble.signatures, 'ssh-ed25519')!;
const ecdsa = byName(noble.signatures, 'ecdsa-sha2-nistp256')!;
/** The motions for everything but signatures. */
const provider: CryptoProvider = { ...plain, signatures: [...plain.signatures, ed25519, ecdsa] };
const random = seeded(3).bytes;
const used = ed25519.generate(random);
const second = ed25519.generate(random);
const third = ecdsa.generate(random);
const known = [used, second, third];

interface Heard {
  keys: PublicKey[];
  host: object;
}

/** A connection, and what it tells of the server's keys; `prefer` makes the server show `used`. */
async function listening(server: ReturnType<typeof testServer>, options: Partial<DialOptions> = {}) {
  const heard: Heard[] = [];
  const hostKeyCheck = Object.assign(() => true, { prefer: () => ['ssh-ed25519', 'insecure-signature'] });
  const { client } = await call(server, {
    ...{ provider, host: 'board', port: 2222, hostKey: hostKeyCheck },
    hostKeys: (keys, host) => void heard.push({ keys: [...keys], host }),
    ...options,
  });
  return { client, heard };
}

test('all of them, once, with the host: the one in use needs no further proof', async () => {
  const server = testServer({ provider, hostKeys: known });
  const { client, heard } = await listening(server);
  await until(() => heard.length > 0);
  assert.equal(heard[0].host, { host: 'board', port: 2222 });
  assert.equal(
    heard[0].keys.map(({ type, blob }) => [type, blob]),
    known.map(({ type, blob }) => [type, blob]),
  );
  server.clients[0].connection.mux.notify(HOSTKEYS, hostKeysAnnouncement(known, provider));
  await client.ping();
  await turns();
  assert.is(heard.length, 1);
  await client.close();

  const alone = await listening(testServer({ provider, hostKeys: [used] }));
  await until(() => alone.heard.length > 0);
  assert.equal(
    alone.heard[0].keys.map(({ blob }) => blob),
    [used.blob],
  );
  await alone.client.close();
});

test('a server that cannot prove to have one of them is not believed about any', async () => {
  // Named second, signed by the first.
  const lying = {
    ...ed25519,
    sign: (key: PrivateKey, ...rest: [Uint8Array, Random]) => ed25519.sign(key === second ? used : key, ...rest),
  };
  const liar = { ...provider, signatures: [plain.signatures[0], lying, ecdsa] };
  const { client, heard } = await listening(testServer({ provider: liar, hostKeys: known }));
  await client.ping();
  await turns();
  assert.is(heard.length, 0);
  assert.not.ok(client.connection.closed);
  await client.close();
});

const session = { sessionId: Uint8Array.of(1, 2, 3), negotiated: { hostKey: 'ssh-ed25519' } as Negotiated };
const blobs = [second.blob, third.blob];

test('a proof holds for these keys, in this order, over this session, and no more than that', () => {
  const proof = (keys: PrivateKey[], over = session) =>
    proveHostKeys(hostKeysRequest(keys.map(({ blob }) => blob)), known, provider, {
      ...over,
      hostKey: used.blob,
    }) as Uint8Array;
  const proven = (answer: Uint8Array, asked = blobs) =>
    hostKeysProven(answer, asked, provider, { ...session, hostKey: used.blob });
  assert.ok(proven(proof([second, third])));
  assert.not.ok(proven(proof([third, second])));
  assert.not.ok(proven(proof([second, third], { ...session, sessionId: Uint8Array.of(1, 2, 4) })));
  assert.not.ok(proven(proof([second, third, used])), 'a signature too many');
  assert.throws(() => proven(proof([second])), /past the end/);
  const forged = new Writer().string(ed25519.sign(used, proofData(session.sessionId, second.blob), random)).finish();
  assert.not.ok(proven(forged, [second.blob]));
  const unknown = new Writer().string(new Writer().string('ssh-new').string('x').finish()).finish();
  assert.not.ok(proven(unknown, [second.blob]));
});

/** Dials a server of the test's own making, which names and proves what the test says. */
async function dialled(announcement: Uint8Array, proof: GlobalReply) {
  const [near, far] = socketPair();
  const driver = new Driver(near);
  const connection: Connection = new Connection(
    { role: 'server', provider, hostKeys: [used], methods: [] },
    {
      output: () => driver.wake(),
      auth: (_question, answer) => answer({ result: 'accept' }),
      ready: () => connection.mux.notify(HOSTKEYS, announcement),
      globalRequest: ({ type }) => type === HOSTKEYS_PROVE && proof,
    },
  );
  driver.start(connection);
  const heard: unknown[] = [];
  const client = await dial({
    ...{ socket: far, provider, user: 'alice', hostKey: () => true },
    hostKeys: keys => void heard.push(keys),
  });
  return { client, heard };
}

test('a list or a proof that is malformed is none, and the connection lives on', async () => {
  const broken = Uint8Array.of(0, 0, 0, 9, 1);
  const list = hostKeysRequest(blobs);
  for (const [announcement, proof] of [
    [broken, false],
    [list, broken],
    [list, true],
  ] as const) {
    const { client, heard } = await dialled(announcement, proof);
    await client.ping();
    await turns();
    assert.is(heard.length, 0);
    await client.close();
  }
  // To refuse is its right.
  const { client, heard } = await dialled(list, false);
  await client.ping();
  assert.is(heard.length, 0);
  await client.close();
});

test('what the callback throws is told, and the connection lives on', async () => {
  const mine = new Error('the disk is full');
  const throwing = () => {
    throw mine;
  };
  for (const hostKeys of [() => Promise.reject(mine), throwing]) {
    const told: unknown[] = [];
    const fault = (error: unknown) => told.push(error);
    const { client } = await listening(testServer({ provider, hostKeys: known }), { hostKeys, fault });
    await until(() => told.length > 0);
    assert.equal(told, [mine]);
    await client.close();
  }
});

test('what is announced: of types that are known, each once, 32 at most', () => {
  const announcement = new Writer();
  for (let i = 0; i < 40; i++) {
    announcement.string(new Writer().string('ssh-new').string('x').finish());
    for (let twice = 0; twice < 2; twice++) announcement.string(insecureKey(Uint8Array.of(i)).blob);
  }
  const blobs = announcedHostKeys(announcement.finish(), provider);
  assert.is(blobs.length, 32);
  assert.equal(blobs[1], insecureKey(Uint8Array.of(1)).blob);
  assert.is(new Reader(blobs[31]).name(), 'insecure-signature');
});

test.after(closeServers);
test.run();
