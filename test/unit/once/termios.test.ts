// Terminal modes of a `pty-req` in the system's structure: compared with what stty says of a real terminal.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startInTerminal } from '../../../src/apps/once/pty.ts';
import { applyModes, readEcho, TERMIOS_BYTES } from '../../../src/apps/once/termios.ts';
import { formatTerminalModes, TerminalMode } from '../../../src/protocol/channels/terminal-modes.ts';
import { bounded } from '../../kit/processes.ts';
import { needs } from '../../kit/tools.ts';

const linux = process.platform === 'linux' ? needs(test, 'stty') : test.skip;

/** Names of stty for names of RFC 4254, where they are not the same in lower case. */
const NAMES: Readonly<Record<string, string>> = {
  ...{ VINTR: 'intr', VQUIT: 'quit', VERASE: 'erase', VKILL: 'kill', VEOF: 'eof', VEOL: 'eol', VEOL2: 'eol2' },
  ...{ VSTART: 'start', VSTOP: 'stop', VSUSP: 'susp', VREPRINT: 'rprnt', VWERASE: 'werase', VLNEXT: 'lnext' },
  ...{ VDISCARD: 'discard', VSWTCH: 'swtch', CS7: '', CS8: '', ISPEED: '', OSPEED: '', VSTATUS: '', VDSUSP: '' },
  ...{ VFLUSH: '', PENDIN: '' },
};

async function stty(modes: [number, number][]): Promise<string> {
  const env = { PATH: process.env.PATH ?? '' };
  const command = { file: '/bin/sh', argv: ['sh', '-c', 'stty -a'], env };
  const program = await startInTerminal(command, { columns: 77, rows: 11 }, formatTerminalModes(modes));
  let said = '';
  for await (const bytes of program.stdout) said += Buffer.from(bytes).toString();
  assert.equal(await program.ended, { status: 0 });
  return ` ${said.replaceAll(/[\r\n;]+/g, ' ').replaceAll(/\s+/g, ' ')} `;
}

linux(
  'every mode that the system has, on and off; every key, changed and taken away',
  bounded(120, async () => {
    const switches = Object.entries(TerminalMode).filter(([, code]) => code >= 30 && code < 93);
    const keys = Object.entries(TerminalMode).filter(([, code]) => code < 30);
    // Upper case and parity marks would spoil what stty says itself.
    const harmless = switches.filter(([name]) => !['OLCUC', 'PARENB', 'OPOST'].includes(name));
    for (const on of [1, 0]) {
      const said = await stty([
        ...harmless.map(([, code]): [number, number] => [code, on]),
        ...keys.map(([, code], i): [number, number] => [code, on ? 0x81 + i : 255]),
      ]);
      for (const [name] of harmless) {
        const known = NAMES[name] ?? name.toLowerCase();
        if (known !== '')
          assert.ok(said.includes(on ? ` ${known} ` : ` -${known} `), `${on ? '' : '-'}${known} in${said}`);
      }
      for (const [index, [name]] of keys.entries()) {
        const key = on ? `M-^${String.fromCharCode(0x41 + index)}` : '<undef>';
        if (NAMES[name] !== '')
          assert.ok(said.includes(` ${NAMES[name]} = ${key} `), `${NAMES[name]} = ${key} in${said}`);
      }
      assert.ok(said.includes(' rows 11 columns 77 '), said);
    }
  }),
);

test('echo and gathering are read where they are written', () => {
  for (const echo of [0, 1])
    for (const canonical of [0, 1]) {
      const termios = new Uint8Array(TERMIOS_BYTES);
      applyModes(
        termios,
        formatTerminalModes([
          [TerminalMode.ECHO, echo],
          [TerminalMode.ICANON, canonical],
        ]),
      );
      assert.equal(readEcho(termios), { echo: echo === 1, canonical: canonical === 1 });
    }
});

test.run();
