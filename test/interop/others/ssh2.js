// ssh2 (npm) as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import { once as event } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import ssh2 from 'ssh2';

const { env } = process;
let step = 'start';
const done = name => {
  step = name;
  console.log(JSON.stringify({ step, ok: true }));
};
const want = (right, what) => {
  if (!right) throw new Error(`not as expected: ${what}`);
};
const pattern = size => Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31 + (i >> 8)));

async function dial(how) {
  const client = new ssh2.Client();
  const known = readFileSync(env.TARGET_KNOWN, 'utf8');
  const options = {
    host: env.TARGET_HOST,
    port: Number(env.TARGET_PORT),
    username: env.TARGET_USER,
    hostVerifier: key => known.includes(key.toString('base64')),
    ...how,
  };
  client.connect(options);
  await event(client, 'ready');
  return client;
}
const withKey = () => dial({ privateKey: readFileSync(env.TARGET_KEY) });

/** A method with a callback, as a promise. */
const call = (client, method, ...args) =>
  new Promise((resolve, reject) => client[method](...args, (error, value) => (error ? reject(error) : resolve(value))));

/** All that comes from a readable until its end. */
async function all(stream) {
  const parts = [];
  stream.on('data', part => parts.push(part));
  await event(stream, 'end');
  return Buffer.concat(parts);
}

async function runs(client, command, out, err, status, how = {}, sent = undefined) {
  // What one packet brings comes out at once, so all must listen before the callback returns.
  const [said, complained, [code]] = await new Promise((resolve, reject) =>
    client.exec(command, how, (error, stream) => {
      if (error) return reject(error);
      resolve(Promise.all([all(stream), all(stream.stderr), event(stream, 'exit')]));
      if (sent) stream.end(sent);
    }),
  );
  want(said.equals(Buffer.from(out)) && complained.toString() === err && code === status, `${said.length} ${code}`);
}

async function echoes(stream, size) {
  const sent = pattern(size);
  stream.end(sent);
  const got = await all(stream);
  want(got.equals(sent), `${got.length} of ${size} bytes, or others`);
}

const modes = {
  async server() {
    let client = await withKey();
    done('key');
    step = 'exec';
    await runs(client, 'echo hello', 'hello\n', '', 0);
    done('exec');
    step = 'status';
    await runs(client, 'fail 7', '', 'as you wish\n', 7);
    done('status');
    step = 'cat';
    const sent = pattern(2 * 1024 * 1024);
    await runs(client, 'cat', sent, '', 0, {}, sent);
    done('cat');
    step = 'idle';
    await pause(1000 * Number(env.IDLE));
    await runs(client, 'echo again', 'again\n', '', 0);
    client.end();
    done('idle');
    step = 'password';
    client = await dial({ password: env.TARGET_PASSWORD });
    await runs(client, 'echo in', 'in\n', '', 0);
    done('password');
  },
  async consume() {
    const client = await withKey();
    const open = () => call(client, 'forwardOut', '127.0.0.1', 4000, env.PEER, Number(env.LINE));
    step = 'half-close';
    await echoes(await open(), 300_000);
    done('half-close');
    step = 'close';
    const stream = await open();
    stream.write('so long');
    stream.close();
    await echoes(await open(), 300_000);
    done('close');
  },
  async provide() {
    const client = await withKey();
    client.on('tcp connection', (_info, accept) => {
      const stream = accept();
      stream.pipe(stream);
    });
    step = 'plugged';
    await call(client, 'forwardIn', 'localhost', Number(env.LINE));
    done('plugged');
    await event(client, 'close');
  },
  async once() {
    const client = await withKey();
    step = 'pty';
    await runs(client, 'stty size; exit 3', '25 81\r\n', '', 3, { pty: { term: 'xterm', cols: 81, rows: 25 } });
    done('pty');
  },
};

try {
  await modes[process.argv[2]]();
  process.exit(0);
} catch (error) {
  console.log(JSON.stringify({ step, ok: false, error: String(error) }));
  console.error(error);
  process.exit(1);
}
