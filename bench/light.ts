// A program: light clients of ours, many in one process, so that clients do not take the machine from the server. A command a line on standard input, an answer a line.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ClientConnection } from '../src/client/index.ts';

/** Signs in so many times, so many at once, and leaves again; ends early after `seconds`. */
export interface SignIns {
  readonly do: 'sign in';
  readonly port: number;
  readonly user: string;
  /** The one key exchange that is offered. */
  readonly kex: string;
  readonly count: number;
  readonly atOnce: number;
  readonly seconds: number;
}
/** Signs in so many times and stays, until `leave`. */
export interface Stay extends Omit<SignIns, 'do' | 'seconds'> {
  readonly do: 'stay';
}
export type Command = SignIns | Stay | { readonly do: 'leave' };
/** How many have signed in, or were still there, and how long it took. */
export type Answer = { readonly count: number; readonly seconds: number } | { readonly error: string };

const built = (name: string) => import(new URL(`../dist/${name}/index.js`, import.meta.url).href);
const { dial } = (await built('client')) as typeof import('../src/client/index.ts');
const { accelerated, parsePrivateKey } = (await built('crypto')) as typeof import('../src/crypto/index.ts');

const key = parsePrivateKey(readFileSync(process.argv[2], 'utf8'));
const staying: ClientConnection[] = [];

function signIn({ port, user, kex }: Pick<SignIns, 'port' | 'user' | 'kex'>): Promise<ClientConnection> {
  return dial({
    port,
    user,
    credentials: [{ method: 'publickey', key }],
    // Nobody else is there, on the loopback of a machine that does nothing else.
    hostKey: () => true,
    provider: { ...accelerated, kex: accelerated.kex.filter(({ name }) => name === kex) },
    times: { keepaliveInterval: 0 },
  });
}

async function carryOut(command: Command): Promise<Answer> {
  if (command.do === 'leave') {
    const all = staying.splice(0);
    const count = all.filter(({ connection }) => !connection.closed).length;
    await Promise.all(all.map(client => client.close()));
    return { count, seconds: 0 };
  }
  const begin = performance.now();
  const end = command.do === 'stay' ? Infinity : begin + command.seconds * 1000;
  let [begun, count] = [0, 0];
  const one = async () => {
    while (begun < command.count && performance.now() < end) {
      begun++;
      const client = await signIn(command);
      count++;
      if (command.do === 'stay') staying.push(client);
      else await client.close();
    }
  };
  await Promise.all(Array.from({ length: command.atOnce }, one));
  return { count, seconds: (performance.now() - begin) / 1000 };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await carryOut(JSON.parse(line)).catch((error: Error): Answer => ({ error: error.message }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
