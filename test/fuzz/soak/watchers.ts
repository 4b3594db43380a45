// Attacks on the console: by somebody with its cookie, and by somebody without.
import { type Attack, type Round, request } from './round.ts';

/** Places of those who watch, as the console has them. */
const PLACES = 16;
/** Connections to the console that say nothing. */
const IDLE = 128;

/** The cookie that the token is worth. */
async function cookie(round: Round): Promise<string> {
  const answer = await round.http(
    'POST /sign-in\nContent-Type: application/x-www-form-urlencoded',
    `token=${encodeURIComponent(round.ground.token)}`,
  );
  const [, found] = /^set-cookie: ([^;]+);/im.exec(answer) ?? [];
  if (found === undefined) throw new Error(`no cookie: ${answer.slice(0, 300)}`);
  return found;
}

export const WATCHERS: readonly Attack[] = [
  {
    name: 'HEAD and other methods for the events',
    every: 4000,
    async run(round) {
      const session = await cookie(round);
      const ask = (method: string, more = '') => round.http(`${method} /api/events\nCookie: ${session}${more}`);
      await Promise.all(Array.from({ length: PLACES + 1 }, () => ask('HEAD')));
      await Promise.all(['OPTIONS', 'PUT', 'PROPFIND'].map(method => ask(method)));
      await ask('HEAD', '\nSec-Fetch-Site: same-site');
      // The place is still there for somebody who means it.
      const viewer = await round.connect(round.ground.console);
      viewer.write(request(`GET /api/events\nCookie: ${session}`));
      const [head] = (
        await new Promise<Buffer>((resolve, reject) => {
          viewer.once('data', resolve);
          viewer.once('close', () => reject(new Error('closed')));
        })
      )
        .toString('latin1')
        .split('\r\n');
      if (!/^HTTP\/1\.1 200 /.test(head)) throw new Error(`nobody may watch any more: ${head}`);
    },
  },
  {
    name: 'those who watch and read nothing, or hang up',
    every: 5000,
    async run(round) {
      const session = await cookie(round);
      for (let i = 0; i < PLACES / 2; i++) {
        const viewer = await round.connect(round.ground.console);
        viewer.write(request(`GET /api/events\nCookie: ${session}`));
        if (i % 2 === 0) setTimeout(() => viewer.resetAndDestroy(), round.dice.below(500));
      }
      await round.pause(2000);
    },
  },
  {
    name: 'requests of the console that are too large, or none',
    every: 1500,
    async run(round) {
      const session = await cookie(round);
      const json = `Content-Type: application/json\nCookie: ${session}`;
      for (const [head, body] of [
        ['POST /sign-in\nContent-Type: application/x-www-form-urlencoded', `token=${'x'.repeat(100_000)}`],
        [`POST /api/ban\n${json}`, '{"subject":"203.0.113.77","seconds":1e300,"reason":"\\u0007"}'],
        [`POST /api/ban\n${json}`, '{"subject":"203.0.113.78","seconds":-1}'],
        [`POST /api/ban\n${json}`, `{"subject":"${'x'.repeat(100_000)}"}`],
        [`POST /api/kick\n${json}`, '[[[[[['],
        [`POST /api/kick\n${json}`, '{"id":{"toString":1}}'],
        [`POST /api/unban\n${json}`, 'null'],
        ['GET /../../etc/passwd', ''],
        [`GET /metrics\nX: ${'x'.repeat(30_000)}`, ''],
      ])
        await round.http(head, body).catch(() => {});
      const socket = await round.connect(round.ground.console);
      socket.write(round.dice.bytes(new Uint8Array(5000)));
      await round.pause(300);
    },
  },
  {
    name: 'connections to the console that say nothing',
    every: 8000,
    async run(round) {
      for (let i = 0; i < IDLE; i++) await round.connect(round.ground.console);
      await round.pause(4000);
    },
  },
];
