// The latency's part: 64 bytes go through a circuit and come back, one message at a time.
import { tcpServer } from '../test/kit/loopback.ts';
import { type Child, Scope, soon } from '../test/kit/processes.ts';
import { type Circuit, circuit } from './circuits.ts';
import { comparison } from './comparison.ts';
import { ASIDE, type Contender } from './contenders.ts';
import { minus, sum, treeTime } from './process-cpu.ts';
import { interleaved, type Progress, type Series, started } from './rounds.ts';

export interface LatencyOptions {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** One measurement ends after so many round trips or seconds. */
  readonly trips: number;
  readonly seconds: number;
  readonly progress: Progress;
}

export interface Latency {
  readonly cipher: string;
  readonly trips: number;
  /** Of all round trips, in µs. */
  readonly p50: number;
  readonly p99: number;
  /** Of all the server's processes, CPU µs for each round trip. */
  readonly cpu: number;
}

export interface LatencyResult extends Pick<LatencyOptions, 'rounds' | 'trips' | 'seconds'> {
  readonly series: readonly Series<Latency>[];
}

const MESSAGE = Buffer.alloc(64, 'ping ');
/** What stock clients and all the servers have, but for dropbear. */
const CIPHER = 'aes128-gcm@openssh.com';
/** Round trips before anything counts. */
const UNMEASURED = 300;
const LIMIT = 120;

export async function measureLatency(options: LatencyOptions): Promise<LatencyResult> {
  const { contenders, rounds, trips, seconds, progress } = options;
  const scope = new Scope();
  try {
    const { port } = await tcpServer(scope, socket => void socket.pipe(socket));
    const entrants = await started(scope, contenders, port);
    const tasks = entrants.map(({ contender: { name, title, aside }, server }) => ({
      name,
      title,
      rounds: aside ? ASIDE : rounds,
      group: '64 bytes',
      run: async (): Promise<Latency> => {
        const scope = new Scope();
        try {
          const cipher = name === 'dropbear' ? undefined : CIPHER;
          const line = await circuit(scope, server, port, { cipher });
          return { cipher: line.cipher, ...(await pingPong(line, server.child, trips, seconds)) };
        } finally {
          await scope.end();
        }
      },
    }));
    const series = await interleaved(tasks, rounds, tasks, progress);
    return { rounds, trips, seconds, series };
  } finally {
    await scope.end();
  }
}

async function pingPong(
  { from, to }: Circuit,
  server: Child,
  most: number,
  seconds: number,
): Promise<Omit<Latency, 'cipher'>> {
  let missing = 0;
  let arrived = () => {};
  from.on('data', (chunk: Buffer) => {
    missing -= chunk.length;
    if (missing === 0) arrived();
  });
  const broken = new Promise<never>((_resolve, reject) => {
    from.on('close', () => reject(new Error(`the circuit broke:\n${server.report}`)));
  });
  // Whoever ends the circuit has stopped waiting.
  broken.catch(() => {});
  const trip = () =>
    new Promise<void>(resolve => {
      missing = MESSAGE.length;
      arrived = resolve;
      to.write(MESSAGE);
    });
  const times: number[] = [];
  const series = async (count: number) => {
    const end = performance.now() + seconds * 1000;
    times.length = 0;
    for (let i = 0; i < count && performance.now() < end; i++) {
      const before = performance.now();
      await trip();
      times.push((performance.now() - before) * 1000);
    }
  };
  const measured = async () => {
    await series(Math.min(UNMEASURED, most));
    const before = treeTime(server.pid);
    await series(most);
    const cpu = sum(minus(treeTime(server.pid), before));
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
    return { trips: times.length, p50: at(0.5), p99: at(0.99), cpu: (cpu * 1e6) / times.length };
  };
  return soon('64 bytes to come back', Promise.race([measured(), broken]), LIMIT);
}

export function latencyReport({ rounds, trips, seconds, series }: LatencyResult): string {
  const report = comparison(series, {
    head: ['server', 'cipher'],
    labels: ({ title }, [{ cipher }]) => [title, cipher],
    columns: [
      { title: 'p50 µs', value: run => run.p50 },
      { title: 'p99 µs', value: run => run.p99 },
      { title: 'server CPU µs per round trip', value: run => run.cpu },
    ],
    // The floor is not compared.
    ratioOf: run => (run.cipher === 'none' ? undefined : run.p50),
  });
  return `${report}\n\n${rounds} rounds of ${trips} round trips or ${seconds} s each; ratios of p50; median (min–max).`;
}
