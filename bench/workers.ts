// `node --import tsx bench/workers.ts`: what the switchboard carries with one worker and with two. Its clients cost next to nothing: what they send is
// encrypted beforehand, and what they get is counted, not decrypted. With stock clients, which do as much as the server, this machine has no core for a second worker.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { Scope, soon } from '../test/kit/processes.ts';
import { table } from '../test/kit/table.ts';
import { machineTime, sum, treeTime } from './process-cpu.ts';

const dist = (path: string) => new URL(`../dist/${path}`, import.meta.url).href;
const { accelerated } = (await import(dist('crypto/index.js'))) as typeof import('../src/crypto/index.ts');
const { Connection, concat, pack, DIRECT_TCPIP, TCPIP_FORWARD } = (await import(
  dist('protocol/index.js')
)) as typeof import('../src/protocol/index.ts');
type Conn = InstanceType<typeof Connection>;

const MIB = 2 ** 20;
const WINDOW = 2 * MIB;
const PIECE = 32 * 1024;
const LINE = 7;

interface Flags {
  mib: string;
  circuits: string;
  rounds: string;
  cipher: string[];
  dist: string;
}

/** One light client: a connection of ours, and its socket. */
class Light {
  readonly socket: Socket;
  readonly connection: Conn;
  readonly ready: Promise<void>;
  /** Takes what comes instead of the connection. */
  instead: ((bytes: Uint8Array) => void) | undefined;
  /** Nothing is sent, but gathered: see `encrypted`. */
  #held = false;

  constructor(port: number, user: string, cipher: string, called?: (light: Light) => void) {
    const provider = {
      ...accelerated,
      ciphers: accelerated.ciphers.filter(({ name }) => name === cipher),
      macs: accelerated.macs.filter(({ name }) => name === 'hmac-sha2-256-etm@openssh.com'),
      kex: accelerated.kex.filter(({ name }) => name === 'curve25519-sha256'),
    };
    const buffer = new Uint8Array(512 * 1024);
    this.socket = connect({
      ...{ host: '127.0.0.1', port, noDelay: true },
      onread: {
        buffer,
        callback: length => {
          const bytes = buffer.subarray(0, length);
          if (this.instead) this.instead(bytes);
          else this.connection.receive(bytes, true);
          return true;
        },
      },
    });
    this.socket.on('error', () => {});
    let ready!: () => void;
    this.ready = new Promise(resolve => (ready = resolve));
    this.connection = new Connection(
      { role: 'client', provider, user, credentials: [{ method: 'publickey', key }] },
      {
        output: () => queueMicrotask(() => this.flush()),
        hostKey: (_question, answer) => answer(true),
        ready,
        channelOpen: open => {
          open.accept({}, WINDOW);
          called?.(this);
        },
      },
    );
    this.connection.start();
  }

  flush(): void {
    if (!this.#held) for (const chunk of this.connection.takeOutput()) this.socket.write(chunk);
  }

  /** So many bytes of data on the only channel, sealed, in messages of full size; nothing else may be sent by the connection until they have left. */
  encrypted(bytes: number): Uint8Array {
    this.flush();
    this.#held = true;
    const [channel] = this.connection.mux.channels;
    const piece = new Uint8Array(PIECE).fill(0x41);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes; at += PIECE) {
      channel.sendData(piece);
      parts.push(concat(...this.connection.takeOutput()));
    }
    return concat(...parts);
  }

  release(): void {
    this.#held = false;
  }
}

const [ed25519] = accelerated.signatures.filter(({ name }) => name === 'ssh-ed25519');
const key = ed25519.generate(accelerated.random);

interface Result {
  readonly mibs: number;
  readonly perGib: number;
  /** Of the busiest process. */
  readonly busiest: number;
  readonly others: number;
}

/** A switchboard, circuits, and `rounds` measurements. */
async function measure(flags: Flags, cipher: string, workers: number, mode: 'local' | 'across'): Promise<Result[]> {
  const scope = new Scope();
  const lights: Light[] = [];
  const results: Result[] = [];
  try {
    const data = mkdtempSync(join(tmpdir(), 'cordboard-bench-'));
    scope.defer(() => rmSync(data, { recursive: true }));
    const args = ['switchboard', '--port', '0', '--data', data, ...(workers > 1 ? ['--workers', String(workers)] : [])];
    const child = scope.start(process.execPath, [join(flags.dist, 'cli.js'), ...args]);
    const [, portText] = await soon('the switchboard', child.says(/^listening on .*:(\d+)\n/m), 60);
    const port = Number(portText);
    const circuits = Number(flags.circuits);
    const bytes = Number(flags.mib) * MIB;
    /** Connects until the wanted worker has got it; the log says which that was. */
    const placed = async (wanted: number, make: () => Light): Promise<Light> => {
      for (;;) {
        const light = make();
        await light.ready;
        lights.push(light);
        const { localPort } = light.socket;
        const [line] = await child.says(new RegExp(`^.*"port":${localPort},.*"msg":"signed in".*$`, 'm'), 'stderr');
        const { worker = 1 } = JSON.parse(line) as { worker?: number };
        if (worker === wanted) return light;
        light.socket.destroy();
      }
    };
    for (let round = 0; round <= Number(flags.rounds); round++) {
      const senders: Light[] = [];
      const receivers: Light[] = [];
      const sealed: Uint8Array[] = [];
      for (let i = 0; i < circuits; i++) {
        const here = 1 + (i % workers);
        const there = mode === 'local' ? here : 1 + ((i + 1) % workers);
        const user = `p${round}x${i}`;
        let called!: () => void;
        const call = new Promise<void>(resolve => (called = resolve));
        const sender = await placed(here, () => new Light(port, user, cipher, called));
        await sender.connection.request('tcpip-forward', pack(TCPIP_FORWARD, { host: '', port: LINE }));
        const receiver = await placed(there, () => new Light(port, 'caller', cipher));
        const target = { host: user, port: LINE, originHost: '127.0.0.1', originPort: 1 };
        await receiver.connection.open('direct-tcpip', pack(DIRECT_TCPIP, target));
        await call;
        sealed.push(sender.encrypted(bytes));
        senders.push(sender);
        receivers.push(receiver);
      }
      const before = { server: processes(child.pid), machine: machineTime(), own: process.cpuUsage() };
      const began = performance.now();
      await Promise.all(senders.map((sender, i) => flow(sender, receivers[i], sealed[i], bytes)));
      const seconds = (performance.now() - began) / 1000;
      const after = processes(child.pid);
      const own = process.cpuUsage(before.own);
      const used = [...after].map(([pid, time]) => time - (before.server.get(pid) ?? 0));
      const total = used.reduce((a, b) => a + b, 0);
      const gib = (circuits * bytes) / 2 ** 30;
      const others = machineTime() - before.machine - total - (own.user + own.system) / 1e6;
      for (const { socket } of [...senders, ...receivers]) socket.destroy();
      // The first one lets the server be compiled.
      if (round === 0) continue;
      const result = {
        mibs: (gib * 1024) / seconds,
        perGib: total / gib,
        busiest: Math.max(...used) / gib,
        others: others / seconds,
      };
      console.error(cipher, workers, mode, result, 'clients', (own.user + own.system) / 1e6 / gib);
      results.push(result);
    }
  } finally {
    for (const { socket } of lights) socket.destroy();
    await scope.end();
  }
  return results;
}

/** Sends what is sealed as the far window allows, and grants as much as comes. */
function flow(sender: Light, receiver: Light, sealed: Uint8Array, bytes: number): Promise<void> {
  const [from] = sender.connection.mux.channels;
  const [to] = receiver.connection.mux.channels;
  const perMessage = sealed.length / (bytes / PIECE);
  let sent = 0;
  const send = () => {
    const messages = Math.min(Math.floor(from.outbound.size / PIECE), bytes / PIECE - sent);
    if (messages === 0) return;
    from.outbound.spend(messages * PIECE);
    sender.socket.write(sealed.subarray(sent * perMessage, (sent + messages) * perMessage));
    sent += messages;
    if (sent === bytes / PIECE) sender.release();
  };
  from.handler = { writable: send };
  let got = 0;
  let granted = 0;
  return new Promise((resolve, reject) => {
    receiver.socket.on('close', () => reject(new Error(`broke after ${got} of ${bytes} bytes`)));
    receiver.instead = chunk => {
      got += chunk.length;
      if (got - granted > WINDOW / 4 && granted < bytes) {
        const grant = got - granted;
        granted = got;
        to.inbound.size = 0;
        to.credit(grant);
        receiver.flush();
      }
      if (got >= bytes) resolve();
    };
    send();
  });
}

/** CPU seconds of a process and of each child. */
function processes(pid: number): Map<number, number> {
  const all = readdirSync('/proc').filter(name => /^\d+$/.test(name));
  const own = all.filter(name => {
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === pid;
    } catch {
      return false;
    }
  });
  const times = new Map(own.map(name => [Number(name), sum(treeTime(Number(name)))]));
  const children = [...times.values()].reduce((a, b) => a + b, 0);
  return times.set(pid, sum(treeTime(pid)) - children);
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
const spread = (values: number[], digits = 0) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;

const flags = new Command()
  .option('--mib <number>', 'MiB of each circuit', '96')
  .option('--circuits <number>', 'circuits at once', '8')
  .option('--rounds <number>', 'how often each is measured', '3')
  .option('--cipher <names...>', 'ciphers', ['aes128-gcm@openssh.com', 'aes128-ctr'])
  .option('--dist <directory>', 'the build that is measured', join(import.meta.dirname, '..', 'dist'))
  .parse()
  .opts<Flags>();

const rows: string[][] = [];
for (const cipher of flags.cipher) {
  for (const [workers, mode] of [
    [1, 'local'],
    [2, 'local'],
    [2, 'across'],
  ] as const) {
    const results = await measure(flags, cipher, workers, mode);
    rows.push([
      cipher,
      workers === 1 ? '1' : `${workers}, circuits ${mode === 'local' ? 'within one' : 'across'}`,
      spread(results.map(({ mibs }) => mibs)),
      spread(
        results.map(({ perGib }) => perGib),
        2,
      ),
      spread(
        results.map(({ busiest }) => busiest),
        2,
      ),
      spread(
        results.map(({ others }) => others),
        2,
      ),
    ]);
  }
}
console.log(
  table(['cipher', 'workers', 'MiB/s', 'server CPU s/GiB', 'of the busiest process', 'other cores busy'], rows, 2),
);
process.exit(0);
