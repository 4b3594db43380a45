// Attacks by somebody who may write into the directory: places and messages that make no sense, or too much of it.
import { createClient } from '@redis/client';
import type { Attack } from './round.ts';

const PLACE = 'soak-poison';
/** Milliseconds after which nothing of it is there any more. */
const LASTS = 1500;

const provider = (changes: object) => ({
  ...{
    id: `${PLACE}/1`,
    place: PLACE,
    owner: 'SHA256:poison',
    name: 'poison',
    alias: 'poison-0000000000',
    names: ['poison'],
  },
  ...{ given: [], address: '192.0.2.1', since: 1, doubted: false, lines: [{ kind: 'tcp', host: '', port: 80 }] },
  ...changes,
});
const PROVIDERS = [
  ...[1e300, -1e300, 2 ** 53, 8.64e15 + 1, 0.5].map(since => provider({ since })),
  ...['-oProxyCommand=x', '\u001b]52;c;x\u0007', 'x'.repeat(1000), '', '..', '__proto__'].map(alias =>
    provider({ alias }),
  ),
  ...['-oProxyCommand=x', '\u202e', '[::1'].map(address => provider({ address })),
  provider({ names: Array.from({ length: 5000 }, (_, i) => `n${i}`) }),
  provider({ lines: Array.from({ length: 5000 }, (_, i) => ({ kind: 'tcp', host: `h${i}`, port: i })) }),
  provider({ lines: [{ kind: 'unix', path: '/x/../..' }] }),
];
const NODE = { host: '127.0.0.1', port: 1 };
const NOTES = [
  { node: PLACE, beat: [[PLACE, Number.MAX_SAFE_INTEGER]] },
  { node: '__proto__', beat: [['__proto__', 1]] },
  { claimed: '-oProxyCommand=x', owner: 'SHA256:poison' },
  { claimed: 'alice', owner: 'SHA256:poison' },
  { released: 'carol' },
  { rule: 'x', sealed: 'x'.repeat(100_000) },
  { gone: '__proto__' },
];

export const POISON: readonly Attack[] = [
  {
    name: 'poison in the directory',
    every: 2000,
    async run(round) {
      const { ground, scope, dice } = round;
      const client = createClient({ url: ground.directory });
      client.on('error', () => {});
      await client.connect();
      scope.defer(() => client.destroy());
      const tell = (note: object | string) =>
        client.publish('cordboard:news', typeof note === 'string' ? note : JSON.stringify(note));
      const key = `cordboard:place:${PLACE}`;
      for (const [i, one] of PROVIDERS.entries()) {
        const version = String(dice.below(2) === 0 ? i + 1 : '9'.repeat(15));
        const place = JSON.stringify({
          id: PLACE,
          worker: dice.below(2) === 0 ? 1 : Number.MAX_SAFE_INTEGER,
          node: NODE,
        });
        await client.hSet(key, { place, version, [one.id]: JSON.stringify(one) });
        await client.pExpire(key, LASTS);
        await client.sAdd('cordboard:places', PLACE);
        await tell({ place: PLACE, version: i + 1, news: [{ provider: one }] });
      }
      for (const note of NOTES) await tell(note);
      await tell('[[[[');
      await tell('x'.repeat(1_000_000));
      await round.pause(500);
      await client.sRem('cordboard:places', PLACE);
    },
  },
];
