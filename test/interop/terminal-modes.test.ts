// Terminal modes with the real ssh and sshd: what stty has set at the one end arrives at the other, in both directions.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dial } from '../../src/client/index.ts';
import { accelerated } from '../../src/crypto/accelerated.ts';
import { formatTerminalModes, parseTerminalModes, TerminalMode } from '../../src/protocol/index.ts';
import { sessions } from '../../src/server/index.ts';
import { bounded } from '../kit/processes.ts';
import { anyKey, keyFile, serve, sshConfig, sshd } from '../kit/ssh.ts';
import { needs } from '../kit/tools.ts';

const { ECHO, ICRNL, ISIG, OPOST, VERASE, VINTR, OSPEED } = TerminalMode;

needs(
  test,
  'ssh',
  'ssh-keygen',
  'script',
  'stty',
)(
  'our server learns what ssh’s terminal is like',
  bounded(180, async scope => {
    const seen: Map<number, number>[] = [];
    const server = await serve(scope, {
      provider: accelerated,
      authenticators: [anyKey()],
      channels: {
        session: sessions({
          async exec(_command, session) {
            seen.push(parseTerminalModes(session.terminal!.modes));
            await session.exit(0);
          },
        }),
      },
    });
    const config = sshConfig(scope, server, 'alice');
    for (const [settings, expected] of [
      ['echo isig intr ^C erase ^?', { echo: 1, isig: 1, intr: 3, erase: 127 }],
      ['-echo -isig intr ^G erase undef', { echo: 0, isig: 0, intr: 7, erase: 255 }],
    ] as const) {
      const command = `stty ${settings} && ssh -t -F ${config} -p ${server.port} alice@${server.host} x`;
      const { code, stdout } = await scope.run('script', ['-qec', command, '/dev/null']);
      assert.is(code, 0, stdout.toString());
      const modes = seen.pop()!;
      const [echo, isig, intr, erase] = [ECHO, ISIG, VINTR, VERASE].map(mode => modes.get(mode));
      assert.equal({ echo, isig, intr, erase }, expected);
      assert.is(modes.get(OPOST), 1);
      assert.ok(modes.get(OSPEED)! > 0);
    }
  }),
);

needs(
  test,
  'sshd',
  'ssh-keygen',
  'stty',
)(
  'sshd gives its terminal what our client asks for',
  bounded(180, async scope => {
    const { host, port, user } = await sshd(scope, [{ owner: 'alice' }]);
    const keys = [readFileSync(keyFile('alice'), 'utf8')];
    await using client = await dial({ host, port, user, keys, hostKey: () => true });
    const settings = async (...values: [number, number][]) => {
      const { stdout } = await client.exec('stty -a', { pty: { modes: formatTerminalModes(values) } });
      return new TextDecoder().decode(stdout);
    };
    assert.match(await settings([ECHO, 0], [ICRNL, 0], [VINTR, 7]), /intr = \^G;[\s\S]* -icrnl [\s\S]* -echo /);
    assert.match(await settings([ECHO, 1], [ICRNL, 1], [VINTR, 3]), /intr = \^C;[\s\S]* icrnl [\s\S]* echo /);
  }),
);

test.run();
