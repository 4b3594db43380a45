// One measured transfer: CPU time of everybody involved while bytes flow through one circuit or several, without the set-up.
import { Scope, soon } from '../test/kit/processes.ts';
import { type CircuitOptions, circuit } from './circuits.ts';
import type { Running } from './contenders.ts';
import { type CpuTime, machineTime, minus, sum, treeTime } from './process-cpu.ts';

export interface Measurement {
  /** What the clients took. */
  readonly cipher: string;
  /** Bytes between the two readings, and the seconds they took. */
  readonly bytes: number;
  readonly seconds: number;
  /** CPU seconds of all the server's processes. */
  readonly cpu: CpuTime;
  /** CPU seconds of the ssh clients together. */
  readonly clients?: CpuTime;
  /** How many cores programs had busy that are no part of the measurement. */
  readonly others: number;
}

export interface TransferOptions extends CircuitOptions {
  /** How many circuits, each with two clients of its own. */
  readonly circuits?: number;
  /** It ends after so many bytes or seconds, whichever comes first. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface Source {
  readonly port: number;
  readonly pid: number;
}

/** Bytes that flow in each circuit before the first reading: windows are open and buffers full by then. */
const WARM_UP = 8 * 1024 * 1024;
/** Seconds after which a transfer has failed. */
const LIMIT = 300;

interface Reading {
  readonly at: bigint;
  readonly bytes: number;
  readonly server: CpuTime;
  readonly clients: CpuTime;
  readonly ourselves: CpuTime;
  readonly machine: number;
}

/** Transfers from a source that never ends. */
export async function transfer(
  server: Running,
  source: Source,
  { circuits = 1, bytes: total, seconds, ...options }: TransferOptions,
): Promise<Measurement> {
  const scope = new Scope();
  try {
    const all = await Promise.all(
      Array.from({ length: circuits }, (_, index) => circuit(scope, server, source.port, { ...options, index })),
    );
    const clients = all.flatMap(one => one.clients);
    const pids = clients.map(({ pid }) => pid);
    const read = (bytes: number): Reading => ({
      at: process.hrtime.bigint(),
      bytes,
      server: treeTime(server.child.pid),
      clients: treeTime(...pids),
      ourselves: treeTime(source.pid, process.pid),
      machine: machineTime(),
    });
    let timer: NodeJS.Timeout | undefined;
    scope.defer(() => clearTimeout(timer));
    const readings = new Promise<[Reading, Reading]>((resolve, reject) => {
      let bytes = 0;
      let first: Reading | undefined;
      const warmUp = Math.min(WARM_UP * circuits, total / 4);
      for (const { from } of all) {
        from.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (first === undefined && bytes >= warmUp) {
            first = read(bytes);
            timer = setTimeout(() => resolve([first!, read(bytes)]), seconds * 1000);
          }
          if (first !== undefined && bytes - first.bytes >= total) resolve([first, read(bytes)]);
        });
        from.on('close', () => {
          const reports = [server.child, ...clients].map(({ report }) => report);
          reject(new Error(`the circuit broke after ${bytes} bytes:\n${reports.join('\n')}`));
        });
      }
    });
    const { cipher } = all[0];
    const [first, last] = await soon(`bytes with ${cipher}`, readings, LIMIT);
    return { cipher, ...difference(first, last, clients.length > 0) };
  } finally {
    await scope.end();
  }
}

/** `hasClients`: whether there are any whose time counts. */
function difference(first: Reading, last: Reading, hasClients: boolean): Omit<Measurement, 'cipher'> {
  const seconds = Number(last.at - first.at) / 1e9;
  // Server and clients are children of this process, so its tree holds them already.
  const ours = sum(minus(last.ourselves, first.ourselves));
  return {
    bytes: last.bytes - first.bytes,
    seconds,
    cpu: minus(last.server, first.server),
    clients: hasClients ? minus(last.clients, first.clients) : undefined,
    others: Math.max(0, (last.machine - first.machine - ours) / seconds),
  };
}
