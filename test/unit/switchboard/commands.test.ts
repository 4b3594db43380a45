// Commands that fail by a fault of ours: by `ssh board COMMAND`, line by line, and at the prompt. Each is answered and logged, and ends nothing.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Snapshot } from '../../../src/apps/switchboard/events.ts';
import { Board } from '../../../src/apps/switchboard/lines.ts';
import { type Member, member } from '../../../src/apps/switchboard/members.ts';
import { QUOTAS } from '../../../src/apps/switchboard/quotas.ts';
import { Registry } from '../../../src/apps/switchboard/registry.ts';
import { Desk } from '../../../src/apps/switchboard/shell/desk.ts';
import type { ClientConnection } from '../../../src/client/client.ts';
import type { Client } from '../../../src/server/server.ts';
import { sessions } from '../../../src/server/session.ts';
import { aClient } from '../../kit/exchange.ts';
import { eventually, soon } from '../../kit/processes.ts';
import { call, closeServers, notes, testServer } from '../../kit/served.ts';
import { turns } from '../../kit/socket.ts';

const lost: unknown[] = [];
process.on('unhandledRejection', error => lost.push(error));
process.on('uncaughtException', error => lost.push(error));
test.after(closeServers);
test.after.each(() => {
  office.survey = gone;
  assert.equal(lost.splice(0), []);
});

const log = notes();
const registry = await Registry.open(':memory:');
test.after(() => registry.close());

const gone = (): Promise<Snapshot> => Promise.reject(new Error('the table is gone'));
/** Some office in which nobody can be asked, and nobody sent away. */
const office = {
  board: new Board({ publicNames: false, balance: false }),
  policy: { shell: true },
  survey: gone,
  kick() {
    throw new Error('nobody can be sent away');
  },
  recheck() {},
  async release() {},
  callName: () => 'alice',
  note() {},
};
const desk = new Desk(office, { host: 'board', port: 22 }, registry, log);

const grant = {
  ...{ key: new Uint8Array(0), fingerprint: 'SHA256:x', owner: 'SHA256:x', seed: new Uint8Array(0), user: 'root' },
  ...{
    untouched: false,
    rights: ['admin', 'listen', 'initiate', 'list'],
    given: [],
    principals: [],
    pty: true,
    quotas: {},
  },
  ...{ mayListen: () => true, mayOpen: () => true },
} as unknown as Member['grant'];
const members = new WeakMap<Client, Member>();
function of(client: Client): Member {
  const visitor = {} as Member['visitor'];
  const it = members.get(client) ?? member(client, visitor, grant, 'root-0123456789', '', QUOTAS);
  members.set(client, it);
  return it;
}

async function connected(): Promise<ClientConnection> {
  const server = testServer({
    log,
    channels: {
      session: sessions({
        exec: (command, session) => desk.exec(command, session, of(session.client)),
        shell: session => desk.shell(session, of(session.client)),
      }),
    },
  });
  return (await call(server)).client;
}

const errors = () => log.lines.splice(0).filter(line => line.startsWith('error'));

test('ssh board COMMAND: the answer is "internal error", the status 1', async () => {
  const client = await connected();
  const { stderr, status } = await client.exec('circuits');
  assert.equal([new TextDecoder().decode(stderr), status], ['circuits: internal error\n', 1]);
  assert.equal(errors(), ['error the command circuits failed: Error: the table is gone']);
  assert.is((await client.exec('whoami')).status, 0, 'nothing else has ended');
});

test('without a terminal: the line is answered, and the next one is carried out', async () => {
  const client = await connected();
  const shell = await client.shell({ pty: false });
  const heard = Promise.all([all(shell.stdout), all(shell.stderr)]);
  await shell.write('circuits\nwhoami\ncircuits\n');
  await shell.end();
  const [stdout, stderr] = await heard;
  assert.match(stdout, 'User name: root');
  assert.is(stderr, 'circuits: internal error\n'.repeat(2));
  assert.is((await shell.exit).status, 1);
  assert.equal(errors(), Array(2).fill('error the command circuits failed: Error: the table is gone'));
});

test('at the prompt: the line is answered, a completion that fails completes nothing, and the prompt is there', async () => {
  const client = await connected();
  const shell = await client.shell({ columns: 80, rows: 24 });
  let text = '';
  const heard = all(shell.stdout, piece => (text += piece));
  await shell.write('circuits\r');
  await eventually('the answer', () => text.includes('circuits: internal error\r\n'));
  await shell.write('kick \t');
  await eventually('the failure', () => log.lines.some(line => line.includes('a prompt failed')));
  await shell.write('\x15');
  await shell.write('names\r');
  await eventually('the next one', () => text.includes('No names.'));
  await shell.write('quit\r');
  assert.is((await shell.exit).status, 0);
  await heard;
  assert.not.match(text, 'the table is gone', 'nobody else is told why');
  assert.equal(errors(), [
    'error the command circuits failed: Error: the table is gone',
    'error a prompt failed: Error: the table is gone',
  ]);
});

test('what a command leaves for later, and that fails, is logged', async () => {
  office.survey = async () => ({ clients: [aClient('1')], lines: [], circuits: [] });
  const client = await connected();
  assert.is((await client.exec('kick 1')).status, 0);
  await eventually('the line', () => log.lines.some(line => line.includes('nobody was disconnected')));
  assert.equal(errors(), ['error nobody was disconnected: Error: nobody can be sent away']);
});

test('a session that is cut off while a command works is no fault of ours', async () => {
  for (const how of [{ columns: 80, rows: 24 }, { pty: false }] as const) {
    const asked = new Promise<(answer: Snapshot) => void>(hear => {
      office.survey = () => new Promise(resolve => hear(resolve));
    });
    const client = await connected();
    const shell = await client.shell(how);
    await shell.write('circuits\nwhoami\n');
    const answer = await soon('the command', asked);
    await client.close();
    await turns(10);
    answer({ clients: [], lines: [], circuits: [] });
    await turns(10);
    assert.equal(errors(), []);
  }
});

test.run();

/** All that a stream says, as text. */
async function all(stream: AsyncIterable<Uint8Array>, hear: (piece: string) => void = () => {}): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of stream) {
    const piece = decoder.decode(bytes, { stream: true });
    text += piece;
    hear(piece);
  }
  return text;
}
