// A program: the list of things that every runtime must be able to do, over real sockets of its own. Prints a JSON line for each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@noble/hashes/sha2.js';
import { type ClientConnection, type DialOptions, dial } from '../../src/client/index.ts';
import { accelerated, implementations } from '../../src/crypto/accelerated.ts';
import { zlib } from '../../src/crypto/index.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import { DIRECT_TCPIP, FORWARDED_TCPIP, OpenFailure, pack, TCPIP_FORWARD, WINDOW } from '../../src/protocol/index.ts';
import { unpack } from '../../src/protocol/wire/codec.ts';
import { Packet, release } from '../../src/protocol/wire/packet.ts';
import { equalBytes } from '../../src/protocol/wire/reader.ts';
import {
  type ChannelStream,
  type Client,
  connect,
  directStreamlocal,
  directTcpip,
  keyboardInteractive,
  passwords,
  publicKeys,
  remoteForwarding,
  Server,
  sessions,
} from '../../src/server/index.ts';
import { enableTransfer } from '../../src/server/runtime/memory.ts';
import { forwardSteps } from './forwards.ts';
import { socketSteps } from './sockets.ts';

const MIB = 1024 * 1024;
const { random } = accelerated;

function check(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}

const generate = (provider: CryptoProvider, keyType: string): PrivateKey =>
  provider.signatures.find(algorithm => algorithm.keyType === keyType)!.generate(random);

/** Bytes that do not repeat, so that a piece in the wrong place is noticed. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) random(bytes.subarray(at, Math.min(length, at + 65536)));
  return bytes;
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const hash: Uint8Array[] = [];
  for await (const chunk of source) hash.push(chunk.slice());
  const all = new Uint8Array(hash.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of hash) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && equalBytes(sha256(a), sha256(b));

const keyTypes = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'];
const hostKeys = keyTypes.map(type => generate(accelerated, type));
const userKeys = keyTypes.map(type => generate(accelerated, type));
const stranger = generate(accelerated, 'ssh-ed25519');

const directory = mkdtempSync(join(tmpdir(), 'cordboard-runtime-'));
const unixPath = join(directory, 'socket');
/** To this program's own port. */
const direct = directTcpip(target => target.port === port);

/** Lines by name: whoever asked for tcpip-forward under it. */
const lines = new Map<string, Client>();

const server = new Server({
  provider: accelerated,
  kex: accelerated.kex.map(({ name }) => name),
  hostKeys,
  compression: [zlib],
  authenticators: [
    publicKeys({
      acceptable: ({ key }) => userKeys.some(({ blob }) => equalBytes(blob, key)),
      proven: ({ key }) => userKeys.some(({ blob }) => equalBytes(blob, key)),
    }),
    passwords((user, password) => user === 'alice' && password === 'open sesame'),
    keyboardInteractive([{ text: 'Word: ', echo: false }], (_user, [word]) => word === 'sesame'),
  ],
  channels: {
    session: sessions({
      async exec(command, session) {
        if (command === 'cat') for await (const bytes of session.stream) await session.stream.write(bytes.slice());
        else await session.write(`${command}\n`);
        await session.exit(command === 'cat' ? 0 : 7);
      },
    }),
    'direct-streamlocal@openssh.com': directStreamlocal(path => path === unixPath),
    'direct-tcpip': (open, client) => {
      const { host, port, originHost, originPort } = unpack(DIRECT_TCPIP, open.data);
      if (host === 'localhost') return direct(open, client);
      const provider = lines.get(host);
      if (provider === undefined) return open.reject(OpenFailure.CONNECT_FAILED, `no line named ${host}`);
      open.forward(
        provider.connection.mux,
        'forwarded-tcpip',
        pack(FORWARDED_TCPIP, { host, port, originHost, originPort }),
      );
    },
  },
  requests: {
    ...remoteForwarding({ allowed: target => target.kind === 'unix' && target.path === unixPath }),
    'tcpip-forward': (request, client) => {
      lines.set(unpack(TCPIP_FORWARD, request.data).host, client);
      return true;
    },
  },
});

let port = 0;
const signIn = (options: Partial<DialOptions> = {}): Promise<ClientConnection> =>
  dial({
    port,
    user: 'alice',
    credentials: [{ method: 'publickey', key: userKeys[0] }],
    hostKey: blob => hostKeys.some(key => equalBytes(key.blob, blob)),
    ...options,
  });

/** Opens a line that sends back what it gets, and a circuit to it. */
async function circuit(name: string, serve: (stream: ChannelStream) => void | Promise<void>) {
  const provider = await signIn();
  await provider.listen(name, 7, ({ stream }) => void serve(stream));
  const caller = await signIn();
  return { provider, caller, stream: await caller.forward(name, 7) };
}

const list: Record<string, () => Promise<void>> = {
  ...socketSteps,

  async listen() {
    ({ port } = await server.listen(0));
    check(port > 0, 'no port');
  },

  async connect() {
    const socket = await connect('127.0.0.1', port);
    const greeting = await new Promise<Uint8Array>(resolve =>
      socket.start({ data: resolve, end() {}, drain() {}, close() {} }),
    );
    check(new TextDecoder().decode(greeting).startsWith('SSH-2.0-'), 'no identification line');
    socket.destroy();
  },

  async authenticate() {
    for (const key of userKeys) await (await signIn({ credentials: [{ method: 'publickey', key }] })).close();
    await (await signIn({ credentials: [{ method: 'password', password: 'open sesame' }] })).close();
    const answers = {
      method: 'keyboard-interactive',
      answer: (_: unknown, respond: (a: string[]) => void) => respond(['sesame']),
    } as const;
    await (await signIn({ credentials: [answers] })).close();
    const refused = await signIn({ credentials: [{ method: 'publickey', key: stranger }] }).then(
      () => 'nothing',
      error => error.message,
    );
    check(/refused alice/.test(refused), `a strange key: ${refused}`);
    const wrongHost = await signIn({ hostKey: () => false }).then(
      () => 'nothing',
      error => error.message,
    );
    check(/host key/.test(wrongHost), `a strange host key: ${wrongHost}`);
  },

  async exec() {
    const client = await signIn();
    const { stdout, status } = await client.exec('hello');
    check(new TextDecoder().decode(stdout) === 'hello\n' && status === 7, 'wrong output or status');
    await client.close();
  },

  async algorithms() {
    const parts = (provider: CryptoProvider): Partial<CryptoProvider>[] => [
      ...provider.kex.map(kex => ({ kex: [kex] })),
      ...provider.ciphers.map(cipher => ({ ciphers: [cipher] })),
      ...provider.macs.map(mac => ({ macs: [mac], ciphers: provider.ciphers.filter(({ aead }) => !aead).slice(0, 1) })),
    ];
    for (const provider of [accelerated, noble]) {
      for (const part of parts(provider)) {
        const client = await signIn({ provider: { ...provider, ...part } });
        const input = noise(100_000);
        const { stdout } = await client.exec('cat', { stdin: input });
        check(same(stdout, input), `other bytes with ${JSON.stringify(client.connection.transport.negotiated)}`);
        await client.close();
      }
    }
  },

  async 'memory given back'() {
    enableTransfer();
    for (const { name, aead, keyLength, ivLength, sealer, opener } of accelerated.ciphers) {
      // The portable ones work in place.
      if (!aead || implementations()[name] !== 'node') continue;
      const [key, iv] = [noise(keyLength), noise(ivLength)];
      const chunks: Uint8Array[] = [];
      sealer(key, iv, random).seal(Packet.alloc(32 * 1024), 0, { push: chunk => chunks.push(chunk) });
      const frame = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
      chunks.reduce((at, chunk) => {
        frame.set(chunk, at);
        return at + chunk.length;
      }, 0);
      const opens = opener(key, iv);
      opens.frameLength(frame, 0, 0);
      const { bytes } = opens.open(frame, 0, frame.length, 0);
      for (const large of [bytes, ...chunks].filter(({ length }) => length > 4096)) {
        release(large);
        check(large.length === 0, `${name} keeps ${large.length} bytes, of ${large.buffer.byteLength}`);
      }
    }
  },

  async 'echo 10 MiB'() {
    const input = noise(10 * MIB);
    for (const options of [{}, { compression: [zlib] }, { rekeyBytes: MIB }]) {
      const client = await signIn(options);
      const { stdout, status } = await client.exec('cat', { stdin: input });
      check(same(stdout, input) && status === 0, `other bytes with ${Object.keys(options)}`);
      await client.close();
    }
  },

  async 'relay 10 MiB'() {
    const { provider, caller, stream } = await circuit('echo', async stream => {
      for await (const bytes of stream) await stream.write(bytes.slice());
      await stream.end();
    });
    const input = noise(10 * MIB);
    const [output] = await Promise.all([collect(stream), stream.write(input).then(() => stream.end())]);
    check(same(output, input), 'other bytes');
    await caller.close();
    await provider.close();
  },

  async 'jump host'() {
    const outer = await signIn();
    const inner = await signIn({ via: outer, host: 'localhost' });
    const input = noise(MIB);
    const { stdout } = await inner.exec('cat', { stdin: input });
    check(same(stdout, input), 'other bytes');
    const nowhere = await signIn({ via: outer, host: 'nowhere' }).then(
      () => 'nothing',
      error => error.message,
    );
    check(/no line named nowhere/.test(nowhere), `a way that there is not: ${nowhere}`);
    await inner.close();
    await outer.close();
  },

  async 'Unix sockets'() {
    const provider = await signIn();
    const listener = await provider.listenPath(unixPath, async ({ stream }) => {
      for await (const bytes of stream) await stream.write(bytes.slice());
      await stream.end();
    });
    const caller = await signIn();
    const stream = await caller.forwardPath(unixPath);
    const input = noise(MIB);
    const [output] = await Promise.all([collect(stream), stream.write(input).then(() => stream.end())]);
    check(same(output, input), 'other bytes');
    await listener.close();
    const gone = await caller.forwardPath(unixPath).then(
      () => 'nothing',
      error => error.message,
    );
    check(gone !== 'nothing', 'the listener is still there');
    await caller.close();
    await provider.close();
  },

  async 'many circuits'() {
    const input = noise(2 * MIB);
    const all = Array.from({ length: 16 }, async (_, index) => {
      const { provider, caller, stream } = await circuit(`echo ${index}`, async stream => {
        for await (const bytes of stream) await stream.write(bytes.slice());
        await stream.end();
      });
      const own = input.subarray(index * 1000);
      const [output] = await Promise.all([collect(stream), stream.write(own).then(() => stream.end())]);
      check(same(output, own), `other bytes in circuit ${index}`);
      await caller.close();
      await provider.close();
    });
    await Promise.all(all);
  },

  async stall() {
    const input = noise(16 * MIB);
    let sent = 0;
    const { provider, caller, stream } = await circuit('source', async stream => {
      for (; sent < input.length; sent += 65536) await stream.write(input.subarray(sent, sent + 65536));
      await stream.end();
    });
    // Nobody reads: what can be under way is what two windows and the sockets' buffers hold, and no more comes.
    for (let before = -1; before !== sent; ) {
      before = sent;
      await new Promise(resolve => setTimeout(resolve, 300));
    }
    check(sent <= 2 * WINDOW, `${sent} bytes were taken from a writer whose reader stalls`);
    const output = await collect(stream);
    check(same(output, input), 'other bytes after the stall');
    await caller.close();
    await provider.close();
  },

  ...forwardSteps,

  async close() {
    const client = await signIn();
    await server.close();
    await client.closed;
    check(
      server.clients.every(({ connection }) => connection.closed),
      'a client is still connected',
    );
  },
};

for (const [name, run] of Object.entries(list)) {
  let error: string | undefined;
  try {
    await run();
  } catch (caught) {
    error = caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
  }
  console.log(JSON.stringify({ name, ok: error === undefined, error }));
}
rmSync(directory, { recursive: true });
console.log(JSON.stringify({ implementations: implementations() }));
// What still lingers in sockets is no reason to wait.
setTimeout(() => (globalThis as unknown as { process: { exit(code: number): void } }).process.exit(0), 100);
