// The latency's part: 64 bytes go through a circuit and come back, one message at a time.
import { closeSync, openSync, writeSync } from 'node:fs';
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

/** What the processors do while nobody has anything for them: waking up one that sleeps can take longer than all of a relay's work. */
export const SLEEPS = 'sleep between';
export const AWAKE = 'stay awake';

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
    const tasksWith = (group: typeof SLEEPS | typeof AWAKE) =>
      entrants.map(({ contender: { name, title, aside }, server }) => ({
        name,
        title,
        rounds: aside ? ASIDE : rounds,
        group,
        run: async (): Promise<Latency> => {
          const scope = new Scope();
          try {
            if (group === AWAKE) scope.defer(stayAwake());
            const cipher = name === 'dropbear' ? undefined : CIPHER;
            const line = await circuit(scope, server, port, { cipher });
            return { cipher: line.cipher, ...(await pingPong(line, server.child, trips, seconds)) };
          } finally {
            await scope.end();
          }
        },
      }));
    const [asleep, awake] = [tasksWith(SLEEPS), mayStayAwake() ? tasksWith(AWAKE) : []];
    const series = await interleaved([...awake, ...asleep], rounds, asleep, progress);
    return { rounds, trips, seconds, series };
  } finally {
    await scope.end();
  }
}

/** As long as this file is open and has a zero in it, no processor sleeps (Documentation/power/pm_qos_interface). */
const LATENCY = '/dev/cpu_dma_latency';

/** @returns what ends it @throws the system's error for those who may not ask for that, root aside */
function stayAwake(): () => void {
  const file = openSync(LATENCY, 'w');
  writeSync(file, new Uint8Array(4));
  return () => closeSync(file);
}

function mayStayAwake(): boolean {
  try {
    stayAwake()();
    return true;
  } catch {
    return false;
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
    head: ['processors', 'server', 'cipher'],
    labels: ({ group, title }, [{ cipher }]) => [group, title, cipher],
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
