// The protocol and the portable cryptography as a browser gets them: one bundle without any node: import, run where there is nothing but JavaScript.
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const src = join(import.meta.dirname, '..', '..', 'src');

const bundle = async (source: string) => {
  const { outputFiles, errors } = await build({
    stdin: { contents: source, resolveDir: src, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    logLevel: 'silent',
  });
  assert.equal(errors, []);
  return outputFiles[0].text;
};

/** A server and a client, glued together; `done` hears what the client's command put out. */
const PROGRAM = `
import { Connection, pack, unpack, EXEC } from './protocol/index.ts';
import { byName, fingerprint, formatPrivateKey, noble, parsePrivateKey, zlib } from './crypto/portable.ts';

const make = () => byName(noble.signatures, 'ssh-ed25519').generate(noble.random, 'made in a browser');
const hostKey = parsePrivateKey(formatPrivateKey(make(), {}, noble.random));
const userKey = make();
const text = new TextDecoder();

const server = new Connection(
  { role: 'server', provider: noble, hostKeys: [hostKey], methods: ['publickey'], compression: [zlib] },
  {
    output() {},
    auth: ({ method }, answer) => answer({ result: method === 'none' ? 'reject' : 'accept' }),
    channelOpen(open) {
      const channel = open.accept({
        request({ type, data }) {
          if (type !== 'exec') return false;
          channel.write(unpack(EXEC, data).command);
          channel.close();
          return true;
        },
      });
    },
  },
);
const client = new Connection(
  { role: 'client', provider: noble, user: 'alice', credentials: [{ method: 'publickey', key: userKey }], compression: [zlib] },
  {
    output() {},
    hostKey: ({ hostKey: blob }, answer) => answer(fingerprint(blob) === fingerprint(hostKey.blob)),
    async ready() {
      let said = '';
      const channel = await client.open('session', undefined, {
        data: bytes => (said += text.decode(bytes)),
        closed: () => done(said, client.transport.negotiated),
      });
      void channel.request('exec', pack(EXEC, { command: new TextEncoder().encode('hello from nowhere') }));
    },
    closed: error => failed(error),
  },
);
server.start();
client.start();
const carry = (from, to) => {
  for (const chunk of from.takeOutput()) to.receive(chunk.slice());
};
const turn = () => {
  carry(client, server);
  carry(server, client);
  again(turn);
};
turn();
`;

test('a browser bundle builds, names no node: module, and does the whole of SSH', async () => {
  const code = await bundle(PROGRAM);
  assert.not.match(code, /["'`]node:|require\(/);
  // Nothing of Node in there: no process, Buffer, require or timers. What a browser has beside the language comes by name.
  let turns = 0;
  const [said, negotiated] = await new Promise<[string, { kex: string; serverToClient: { compression: string } }]>(
    (resolve, reject) => {
      const context = createContext({
        crypto: globalThis.crypto,
        TextEncoder,
        TextDecoder,
        WebAssembly: (globalThis as unknown as { WebAssembly: object }).WebAssembly,
        done: (...found: [string, { kex: string; serverToClient: { compression: string } }]) => resolve(found),
        failed: reject,
        again: (turn: () => void) => {
          if (turns++ < 1000) setImmediate(turn);
          else reject(new Error('nothing happens any more'));
        },
      });
      runInContext(code, context);
    },
  ).finally(() => (turns = 1000));
  assert.is(said, 'hello from nowhere');
  assert.is(negotiated.serverToClient.compression, 'zlib@openssh.com');
  assert.match(negotiated.kex, /25519/);
});

test('the check would notice a node: import', async () => {
  const refused = await bundle(`export { accelerated } from './crypto/index.ts';`).then(
    () => 'it was built',
    error => error.message,
  );
  assert.match(refused, /node:crypto/);
});

test.run();
