// One measured transfer through a circuit: CPU time of everybody involved while bytes flow, without the set-up.
import { Scope, soon } from '../test/kit/processes.ts';
import { type CpuTime, machineTime, minus, sum, treeTime } from './process-cpu.ts';
import type { Contender } from './servers.ts';

export interface Measurement {
  readonly server: string;
  /** What the clients were told to take; undefined if nothing. */
  readonly asked?: string;
  /** What they took. */
  readonly cipher: string;
  /** Bytes between the two readings, and the seconds they took. */
  readonly bytes: number;
  readonly seconds: number;
  /** CPU seconds of all the server's processes. */
  readonly cpu: CpuTime;
  /** CPU seconds of the two ssh clients together. */
  readonly clients?: CpuTime;
  /** How many cores programs had busy that are no part of the measurement. */
  readonly others: number;
}

/** Bytes that flow before the first reading: windows are open and buffers full by then. */
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

/** Transfers `total` bytes, which is what the source of process id `source` sends. */
export async function transfer(
  contender: Contender,
  asked: string | undefined,
  total: number,
  source: number,
): Promise<Measurement> {
  const scope = new Scope();
  try {
    const { sink, clients, cipher } = await contender.circuit(scope, asked);
    const pids = clients.map(({ pid }) => pid);
    const read = (bytes: number): Reading => ({
      at: process.hrtime.bigint(),
      bytes,
      server: treeTime(contender.child.pid),
      clients: treeTime(...pids),
      ourselves: treeTime(source, process.pid),
      machine: machineTime(),
    });
    const readings = new Promise<[Reading, Reading]>((resolve, reject) => {
      let bytes = 0;
      let first: Reading | undefined;
      sink.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (first === undefined && bytes >= Math.min(WARM_UP, total / 4)) first = read(bytes);
        if (first !== undefined && bytes >= total) resolve([first, read(bytes)]);
      });
      sink.on('close', () => {
        const reports = [contender.child, ...clients].map(({ report }) => report);
        reject(new Error(`the circuit broke after ${bytes} of ${total} bytes:\n${reports.join('\n')}`));
      });
    });
    const [first, last] = await soon(`${total} bytes through ${contender.name} with ${cipher}`, readings, LIMIT);
    return { server: contender.name, asked, cipher, ...difference(first, last, clients.length > 0) };
  } finally {
    await scope.end();
  }
}

/** `hasClients`: whether there are any whose time counts. */
function difference(first: Reading, last: Reading, hasClients: boolean): Omit<Measurement, 'server' | 'cipher'> {
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
