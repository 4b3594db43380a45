// @microsoft/dev-tunnels-ssh as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import {
  CommandRequestMessage,
  type SshChannel,
  type SshClientCredentials,
  type SshClientSession,
  SshSessionConfiguration,
  SshStream,
} from '@microsoft/dev-tunnels-ssh';
import { importKeyFile } from '@microsoft/dev-tunnels-ssh-keys';
import { PortForwardingService, SshClient } from '@microsoft/dev-tunnels-ssh-tcp';

const env = process.env as Readonly<Record<string, string>>;
let step = 'start';
const done = (name: string) => {
  step = name;
  console.log(JSON.stringify({ step, ok: true }));
};
function want(right: boolean, what: string): void {
  if (!right) throw new Error(`not as expected: ${what}`);
}
const pattern = (size: number) => Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31 + (i >> 8)));

async function dial(credentials: SshClientCredentials): Promise<SshClientSession> {
  const configuration = new SshSessionConfiguration();
  configuration.addService(PortForwardingService);
  const session = await new SshClient(configuration).openSession(env.TARGET_HOST, Number(env.TARGET_PORT));
  const known = readFileSync(env.TARGET_KNOWN, 'utf8');
  session.onAuthenticating(event => {
    // It names an RSA key by its signature ("rsa-sha2-512"), which known_hosts does not: the numbers are compared.
    event.authenticationPromise = (async () => {
      const blob = await event.publicKey!.getPublicKeyBytes();
      const numbers = blob!.subarray(4 + blob!.readUInt32BE(0));
      const right = known.split('\n').some(line => Buffer.from(line.split(' ')[2] ?? '', 'base64').includes(numbers));
      return right ? {} : null;
    })();
  });
  want(await session.authenticate({ username: env.TARGET_USER, ...credentials }), 'sign-in');
  return session;
}
const withKey = async () => dial({ publicKeys: [await importKeyFile(env.TARGET_KEY)] });

async function command(session: SshClientSession, line: string) {
  const channel = await session.openChannel();
  const said = { out: '', err: '', status: -1, channel };
  channel.onDataReceived(data => {
    said.out += data.toString();
    channel.adjustWindow(data.length);
  });
  channel.onExtendedDataReceived(event => {
    said.err += event.data.toString();
  });
  const closed = new Promise<void>(resolve =>
    channel.onClosed(event => {
      said.status = event.exitStatus ?? -1;
      resolve();
    }),
  );
  const request = new CommandRequestMessage();
  request.command = line;
  request.wantReply = true;
  want(await channel.request(request), 'exec');
  await closed;
  return said;
}

async function runs(session: SshClientSession, line: string, out: string, err: string, status: number) {
  const said = await command(session, line);
  want(
    said.out === out && said.err === err && said.status === status,
    JSON.stringify([said.out, said.err, said.status]),
  );
}

/** It sends EOF only with CLOSE, so it closes when all has come back. */
async function echoes(channel: SshChannel, size: number): Promise<void> {
  const sent = pattern(size);
  const stream = new SshStream(channel);
  const parts: Buffer[] = [];
  let length = 0;
  const back = new Promise<void>((resolve, reject) => {
    stream.on('error', reject);
    stream.on('end', () => reject(new Error(`closed after ${length} bytes`)));
    stream.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length >= size) resolve();
    });
  });
  stream.write(sent);
  await back;
  want(Buffer.concat(parts).equals(sent), `${length} of ${size} bytes, or others`);
  await channel.close();
}

const modes: Readonly<Record<string, () => Promise<void>>> = {
  async server() {
    let session = await withKey();
    done('key');
    step = 'exec';
    await runs(session, 'echo hello', 'hello\n', '', 0);
    done('exec');
    step = 'status';
    await runs(session, 'fail 7', '', 'as you wish\n', 7);
    done('status');
    step = 'cat';
    const channel = await session.openChannel();
    const request = new CommandRequestMessage();
    request.command = 'cat';
    request.wantReply = true;
    want(await channel.request(request), 'exec');
    await echoes(channel, 2 * 1024 * 1024);
    done('cat');
    step = 'idle';
    await pause(1000 * Number(env.IDLE));
    await runs(session, 'echo again', 'again\n', '', 0);
    session.dispose();
    done('idle');
    step = 'password';
    session = await dial({ password: env.TARGET_PASSWORD });
    await runs(session, 'echo in', 'in\n', '', 0);
    done('password');
  },
  async consume() {
    const session = await withKey();
    const forwarding = session.activateService(PortForwardingService);
    const open = async () => (await forwarding.streamToRemotePort(env.PEER, Number(env.LINE))).channel;
    step = 'echo';
    await echoes(await open(), 300_000);
    done('echo');
    step = 'close';
    const channel = await open();
    await channel.send(Buffer.from('so long'));
    await channel.close();
    await echoes(await open(), 300_000);
    done('close');
  },
  async provide() {
    const session = await withKey();
    step = 'plugged';
    const forwarding = session.activateService(PortForwardingService);
    const line = await forwarding.forwardFromRemotePort('localhost', Number(env.LINE), '127.0.0.1', Number(env.ECHO));
    want(line !== null, 'tcpip-forward');
    done('plugged');
    await new Promise(resolve => session.onClosed(resolve));
  },
  async once() {
    const session = await withKey();
    step = 'run';
    await runs(session, 'echo out; exit 3', 'out\n', '', 3);
    done('run');
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
