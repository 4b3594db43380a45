// Odd bytes before the first keys, said to our server and to the real sshd: both go on, or both end the connection.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { KEX_ECDH_INIT, KEX_ECDH_REPLY, KEXINIT } from '../../src/protocol/messages.ts';
import { concat, encodeUtf8 } from '../../src/protocol/wire/reader.ts';
import { tcpConnect } from '../kit/loopback.ts';
import { bounded, type Scope, soon } from '../kit/processes.ts';
import { clearFrame, type Init, initOf, payloadOf } from '../kit/raw-peer.ts';
import { anyKey, serve, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const it = needs(test, 'sshd', 'ssh-keygen');
const CIPHER = 'aes128-ctr';
const ident = (text: string) => new Uint8Array(Buffer.from(`${text}\r\n`, 'latin1'));

/** What a client says before its point on the curve: whose exchange is answered, by each of the two. */
interface Case {
  readonly says: string;
  readonly ident?: Uint8Array;
  /** Payloads before KEXINIT. */
  readonly before?: readonly Uint8Array[];
  readonly init?: Partial<Init>;
  readonly theirs: boolean;
  readonly ours: boolean;
  /** Why they differ. */
  readonly because?: string;
}

const ciphers = (...names: string[]) => ({ cipherClientToServer: names });
const both = (answered: boolean) => ({ theirs: answered, ours: answered });
const CASES: readonly Case[] = [
  { says: 'nothing odd', ...both(true) },
  { says: 'a list that ends in a comma', init: ciphers(CIPHER, ''), ...both(true) },
  { says: 'two commas behind the name that counts', init: ciphers(CIPHER, '', 'x'), ...both(true) },
  {
    says: 'a comma in front of the name that counts',
    init: ciphers('', CIPHER),
    ...{ theirs: false, ours: true, because: 'sshd reads to the first empty name; who offers more means it' },
  },
  { says: 'a name in Latin-1 (as UTF-8 here: bytes beyond ASCII)', init: ciphers('é', CIPHER), ...both(true) },
  { says: 'a name with an escape sequence', init: ciphers('\x1b[2J', CIPHER), ...both(true) },
  { says: 'nothing but such names', init: ciphers('é', ''), ...both(false) },
  { says: 'a NUL at the end of a list', init: ciphers(`${CIPHER}\0`), ...both(true) },
  {
    says: 'a NUL within a list',
    init: ciphers('a\0b', CIPHER),
    ...{ theirs: false, ours: true, because: 'sshd reads strings of C; to us it is a name that nobody knows' },
  },
  { says: 'odd languages', init: { languageClientToServer: ['', 'é'], languageServerToClient: [''] }, ...both(true) },
  { says: 'an identification in Latin-1', ident: ident('SSH-2.0-räw \x1b'), ...both(true) },
  { says: 'an identification with a NUL', ident: ident('SSH-2.0-r\0w'), ...both(false) },
  { says: 'SERVICE_REQUEST before KEXINIT', before: [Uint8Array.of(5, 0, 0, 0, 0)], ...both(true) },
  { says: 'EXT_INFO before KEXINIT', before: [Uint8Array.of(7, 0, 0, 0, 0)], ...both(true) },
  { says: 'KEX_ECDH_INIT before KEXINIT', before: [Uint8Array.of(30, 0, 0, 0, 0)], ...both(true) },
  { says: 'NEWKEYS before KEXINIT', before: [Uint8Array.of(21)], ...both(true) },
  { says: 'USERAUTH_REQUEST before KEXINIT', before: [Uint8Array.of(50, 0)], ...both(false) },
  {
    says: 'IGNORE and DEBUG that are nonsense',
    before: [Uint8Array.of(2, 9), Uint8Array.of(3, 0, 0, 0, 0)],
    ...both(true),
  },
];

/** Whether a server answers the exchange with its host key. */
async function answered(scope: Scope, port: number, { ident: line, before = [], init }: Case): Promise<boolean> {
  const socket = await tcpConnect(scope, port);
  const fields = initOf(accelerated, undefined, { kex: ['curve25519-sha256'], ...init });
  const point = accelerated.kex.find(({ name }) => name === 'curve25519-sha256')!.initiate(accelerated.random).init;
  const payloads = [...before, payloadOf(KEXINIT, fields), payloadOf(KEX_ECDH_INIT, { init: point })];
  socket.write(concat(line ?? encodeUtf8('SSH-2.0-raw\r\n'), ...payloads.map(payload => clearFrame(payload))));
  let said = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      said = Buffer.concat([said, chunk as Buffer]);
      for (let at = said.indexOf('\n') + 1; at > 0 && at + 5 < said.length; at += 4 + said.readUInt32BE(at))
        if (said[at + 5] === KEX_ECDH_REPLY.number) return true;
    }
  } catch (error) {
    // It leaves unread what it does not want.
    if ((error as { code?: string }).code !== 'ECONNRESET') throw error;
  }
  return false;
}

it(
  'names, identifications and messages before the first keys are taken as sshd takes them, or there is a reason',
  bounded(180, async scope => {
    const theirs = await sshd(scope, []);
    const ours = await serve(scope, { provider: accelerated, authenticators: [anyKey()], penalties: false });
    const wrong: string[] = [];
    for (const one of CASES) {
      const found = [
        await soon(`sshd, ${one.says}`, answered(scope, theirs.port, one)),
        await soon(`ours, ${one.says}`, answered(scope, ours.port, one)),
      ];
      if (found.join() !== [one.theirs, one.ours].join()) wrong.push(`${one.says}: sshd ${found[0]}, ours ${found[1]}`);
      assert.is(one.theirs === one.ours, one.because === undefined, one.says);
    }
    assert.equal(wrong, []);
  }),
);

test.run();
