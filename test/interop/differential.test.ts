// For each place that ends a connection, sshd is asked the same: one list of odd messages, sent to both servers. What
// differs stands in the list, with its reason.
import { readdirSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { MESSAGES } from '../../src/protocol/messages.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { directTcpip, remoteForwarding } from '../../src/server/index.ts';
import { bounded, type Scope } from '../kit/processes.ts';
import { SocketPeer } from '../kit/socket-peer.ts';
import { anyKey, commands, readKey, serve, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';
import { ELSEWHERE, ODDITIES } from './differential/oddities.ts';
import type { Oddity, Stage } from './differential/oddity.ts';

/**
 * What does not tell: UNIMPLEMENTED, which has no effect; what comes of its own accord, or when there is time for it
 * (DEBUG, EXT_INFO, a key exchange, a banner, GLOBAL_REQUEST, WINDOW_ADJUST, and what `cat` says or ends).
 */
const OWN = new Set([3, 4, 7, 20, 21, 31, 53, 80, 93, 94, 95, 96, 97, 98]);
/** How many conversations at once. */
const AT_ONCE = 4;

const nameOf = (number: number) => MESSAGES.find(message => message.number === number)?.name ?? `message ${number}`;

/** Brings a new connection to where the oddity comes. */
async function reach(scope: Scope, port: number, stage: Stage): Promise<SocketPeer> {
  const peer = await SocketPeer.connect(scope, port);
  if (stage === 'ident') return peer;
  peer.text(`${peer.ident}\r\n`);
  if (stage === 'kexinit') return peer;
  if (stage === 'exchange') {
    peer.sendKexInit();
    await peer.hears(20);
    return peer;
  }
  await peer.exchange();
  if (stage === 'userauth') await peer.service();
  if (stage === 'connection' || stage === 'channel' || stage === 'rekey')
    await peer.signIn(userInfo().username, readKey('alice'));
  if (stage === 'channel') await peer.channel('cat');
  if (stage === 'rekey') {
    peer.sendKexInit();
    await peer.hears(20, 2);
  }
  return peer;
}

/** What the probe's tcpip-forward is answered with. */
const granted = (payload: Uint8Array): boolean => payload[0] === 81 && payload.length === 5;
/** The answer to the other probes. */
const PROBES: Partial<Record<Stage, number>> = { ident: 6, kexinit: 6, exchange: 6, keyed: 6, userauth: 60 };

/** Goes on as a client would that has said nothing odd, until an answer shows that the server goes along. */
async function goOn(peer: SocketPeer, { stage, answer }: Oddity): Promise<void> {
  if (answer !== undefined) return void (await peer.hears(answer));
  if (stage === 'ident' || stage === 'kexinit' || stage === 'exchange' || stage === 'rekey') {
    if (!peer.began) peer.sendKexInit();
    const keys = peer.count(21) + 1;
    await peer.hears(20);
    peer.sendInit();
    await peer.hears(21, keys);
    peer.sendNewKeys();
  }
  if (stage === 'userauth') {
    // The answer to a query about a key that is known is like no other.
    const query = new Writer().boolean(false).string('ssh-ed25519').string(readKey('alice').blob).finish();
    peer.request(userInfo().username, 'publickey', query);
    await peer.hears(60);
  } else if (stage === 'connection' || stage === 'channel' || stage === 'rekey') {
    // Global requests are answered in their order, and only this one is granted with a port.
    const request = new Writer().byte(80).string('tcpip-forward').boolean(true).string('127.0.0.1').uint32(0).finish();
    peer.payload(request);
    await peer.until(() => peer.heard.some(granted));
    if (!peer.heard.some(granted)) throw new Error('closed');
  } else {
    peer.payload(new Writer().byte(5).string('ssh-userauth').finish());
    await peer.hears(6);
  }
  if (stage !== 'channel') return;
  const echoed = () => peer.heard.some(payload => payload[0] === 94 && Buffer.from(payload).includes('still there'));
  peer.payload(new Writer().byte(94).uint32(peer.remote).string('still there\n').finish());
  await peer.until(() => echoed() || peer.count(97) > 0, 'the echo, or CLOSE');
  if (peer.over) throw new Error('over');
}

/** What became of one oddity: the answers, and whether channel and connection live. */
async function outcome(scope: Scope, port: number, oddity: Oddity): Promise<{ text: string; goodbye: string }> {
  const { stage } = oddity;
  const peer = await reach(scope, port, stage);
  const before = peer.heard.length;
  let lives = true;
  try {
    await oddity.say(peer);
    await goOn(peer, oddity);
  } catch (error) {
    if (!peer.over) throw error;
    lives = false;
  }
  const last = peer.heard.findLast(payload => payload[0] === 1);
  const goodbye = last === undefined ? '' : Buffer.from(last.subarray(9)).toString('latin1');
  peer.socket.destroy();
  if (!lives) return { text: 'ends', goodbye };
  const closed = stage === 'channel' && peer.count(97) > 0;
  const own = (payload: Uint8Array) =>
    OWN.has(payload[0]) || granted(payload) || (payload[0] === PROBES[stage] && payload[0] !== oddity.answer);
  const said = peer.heard.slice(before).filter(payload => !own(payload));
  const texts = [
    closed ? 'the channel ends' : 'goes on',
    ...said
      .map(payload => payload[0])
      .sort((x, y) => x - y)
      .map(nameOf),
  ];
  return { text: texts.join(', '), goodbye };
}

async function all(scope: Scope, port: number): Promise<Map<Oddity, { text: string; goodbye: string }>> {
  const results = new Map<Oddity, { text: string; goodbye: string }>();
  const queue = [...ODDITIES];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let oddity = queue.shift(); oddity !== undefined; oddity = queue.shift()) {
        try {
          results.set(oddity, await outcome(scope, port, oddity));
        } catch (error) {
          results.set(oddity, { text: `fails: ${error}`, goodbye: '' });
        }
      }
    }),
  );
  return results;
}

/** Every `new ProtocolError(…)` of the core, as what its text looks like. */
function places(): { place: string; pattern: RegExp }[] {
  const root = join(import.meta.dirname, '..', '..', 'src');
  return ['protocol', 'crypto'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .flatMap(name => {
        const source = readFileSync(join(root, folder, name), 'utf8');
        return [...source.matchAll(/new ProtocolError\(\s*(['"`])((?:(?!\1).)*)\1/gs)].map(([, , text]) => {
          const parts = text.split(/\$\{[^}]*\}/).map(part => part.replace(/[.*+?^$()[\]\\|{}]/g, '\\$&'));
          return {
            place: `${folder}/${name}: ${text.replace(/\$\{[^}]*\}/g, '…')}`,
            pattern: new RegExp(parts.join('.*'), 's'),
          };
        });
      }),
  );
}

/** What our server gave as its reasons, once the list has passed. */
let reasons: string[] | undefined;

needs(
  test,
  'sshd',
  'ssh-keygen',
)(
  'sshd and our server do the same with every odd message, but for what the list names',
  bounded(400, async scope => {
    const seen: string[] = [];
    const note = (fields: object) => void seen.push(Object.values(fields).map(String).join(' '));
    const log = { debug: note, info: note, warn: note, error: note };
    const real = await sshd(scope, [{ owner: 'alice' }]);
    const { port } = await serve(scope, {
      ...{ provider: accelerated, authenticators: [anyKey()], penalties: false, log },
      channels: { session: commands, 'direct-tcpip': directTcpip(() => true) },
      requests: remoteForwarding({ allowed: () => true, gatewayPorts: 'clientspecified' }),
    });
    const [theirs, ours] = [await all(scope, real.port), await all(scope, port)];
    const wrong: string[] = [];
    for (const oddity of ODDITIES) {
      const [a, b] = [theirs.get(oddity)!, ours.get(oddity)!];
      const told = `${oddity.stage}: ${oddity.what}\n    sshd: ${a.text}. ${a.goodbye}\n    ours: ${b.text}. ${b.goodbye}`;
      if (a.text === b.text && oddity.ours) wrong.push(`${told}\n    no difference, but the list names one`);
      if (a.text !== b.text && oddity.ours?.[0] !== b.text) wrong.push(told);
    }
    reasons = seen;
    assert.is(wrong.length, 0, `\n${wrong.join('\n')}`);
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
)('each place that ends a connection is asked for, or is named here, and no other is', () => {
  assert.ok(reasons, 'the list has run');
  const all = places();
  const missed = all.filter(({ pattern }) => !reasons!.some(reason => pattern.test(reason)));
  assert.equal(
    missed.map(({ place }) => place).filter(place => !(place in ELSEWHERE)),
    [],
  );
  assert.equal(
    Object.keys(ELSEWHERE).filter(named => !all.some(({ place }) => place === named)),
    [],
  );
});

test.run();
