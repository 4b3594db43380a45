// What of a recorded session reaches the terminal of whoever plays it: what shows something, and nothing that makes it answer or act.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Screen } from '../../../src/apps/once/screen.ts';
import { seeded } from '../../kit/insecure.ts';

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
const shown = (bytes: Uint8Array, screen = new Screen()) => Buffer.from(screen.pass(bytes)).toString('latin1');

/** Each by itself does more than show. */
const DROPPED: Readonly<Record<string, string>> = {
  'OSC 52, the clipboard': '\x1b]52;c;aGVsbG8=\x07',
  'OSC 52 with ST': '\x1b]52;c;aGVsbG8=\x1b\\',
  'OSC 52 with ST of 8 bits': '\x1b]52;c;aGVsbG8=\x9c',
  'OSC of 8 bits': '\x9d52;c;aGVsbG8=\x07',
  'OSC as a character of UTF-8': '\xc2\x9d52;c;aGVsbG8=\xc2\x9c',
  'OSC 0, the title': '\x1b]0;rm -rf /\x07',
  'OSC 0 with a character that has the byte of ST': '\x1b]0;\xe6\x9c\x9c 52;c;x\x07',
  'OSC 4, 10, 11: what colours there are': '\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x1b\\',
  'OSC 8, a link': '\x1b]8;;file:///etc/passwd\x1b\\\x1b]8;;\x1b\\',
  'OSC 1337, a file': '\x1b]1337;File=inline=0:AAAA\x07',
  'DCS: DECRQSS': '\x1bP$qm\x1b\\',
  'DCS: XTGETTCAP': '\x1bP+q544e\x1b\\',
  'DCS of 8 bits': '\x90$qm\x9c',
  'DCS with BEL, which does not end it': '\x1bP$q\x07m\x1b\\',
  'APC, PM, SOS': '\x1b_Gi=31,a=q;AAAA\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\',
  'APC, PM, SOS of 8 bits': '\x9fGi=31\x9c\x9ex\x9c\x98x\x9c',
  'DA 1, 2, 3': '\x1b[c\x1b[0c\x1b[>c\x1b[=c',
  'DA with CSI of 8 bits, and as a character': '\x9bc\xc2\x9bc',
  DECID: '\x1bZ',
  DSR: '\x1b[5n\x1b[6n\x1b[?6n\x1b[?15n\x1b[?996n',
  'a control character in the middle': '\x1b[6\x00n',
  DECREQTPARM: '\x1b[x\x1b[1x',
  XTVERSION: '\x1b[>q\x1b[>0q',
  'window reports and sizes': '\x1b[21t\x1b[14t\x1b[18t\x1b[8;10;10t\x1b[22;0t',
  DECRQM: '\x1b[?2004$p\x1b[4$p',
  'checksums of the screen': '\x1b[1;1;1;1;1;1*y',
  'keyboard: kitty, modifyOtherKeys': '\x1b[?u\x1b[>1u\x1b[=1u\x1b[>4;2m\x1b[?4m',
  'keypad and cursor keys': '\x1b=\x1b>\x1b[?1h',
  mouse: '\x1b[?9h\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h\x1b[?1016h',
  'focus, paste, colours and sizes that are told': '\x1b[?1004h\x1b[?2004h\x1b[?2031h\x1b[?2048h',
  'a locked keyboard, and local echo': '\x1b[2h\x1b[12l\x1b[20h',
  locator: "\x1b[1;1'z\x1b['|",
  printer: '\x1b[i\x1b[5i\x1b[?5i',
  'answerback, XON, XOFF': '\x05\x11\x13',
  'other encodings': '\x1b%@\x1b G\x1b F',
  VT52: '\x1b[?2l',
  'longer than any': `\x1b[${'1;'.repeat(500)}m`,
};

const KEPT: Readonly<Record<string, string>> = {
  text: 'h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80\r\n\t\b\x07',
  colours: '\x1b[0;1;38;5;200m\x1b[38:2::1:2:3mx\x1b[m',
  cursor: '\x1b[H\x1b[2;3H\x1b[A\x1b[10B\x1b[C\x1b[D\x1b[5G\x1b[3d\x1b[s\x1b[u\x1b7\x1b8',
  erasing: '\x1b[2J\x1b[K\x1b[?J\x1b[1X\x1b[P\x1b[@\x1b[L\x1b[M',
  scrolling: '\x1b[1;20r\x1b[S\x1b[T\x1bD\x1bM\x1bE',
  'the other screen': '\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l',
  'cursor style, reset': '\x1b[2 q\x1b[!p\x1bc',
  'character sets': '\x1b(0lqk\x1b(B\x0e\x0f\x1b#8',
  'no UTF-8': '\xff\xe9x',
};

for (const [name, sequence] of Object.entries(DROPPED))
  test(`left out: ${name}`, () => {
    const whole = latin1(`a${sequence}b`);
    for (let cut = 0; cut <= whole.length; cut++) {
      const screen = new Screen();
      const pieces = [whole.subarray(0, cut), whole.subarray(cut)];
      assert.is(pieces.map(piece => shown(piece, screen)).join(''), 'ab', `cut at ${cut}`);
    }
    const screen = new Screen();
    assert.is([...whole].map(byte => shown(Uint8Array.of(byte), screen)).join(''), 'ab');
  });

for (const [name, sequence] of Object.entries(KEPT))
  test(`kept: ${name}`, () => {
    const screen = new Screen();
    assert.is(shown(latin1(sequence), screen), sequence);
    assert.is([...latin1(sequence)].map(byte => shown(Uint8Array.of(byte), screen)).join(''), sequence);
    assert.is(screen.left, 0);
  });

test('of several modes those that may be are set', () => {
  assert.is(shown(latin1('\x1b[?1049;2004;25h\x1b[?1000;1006l\x1b[4;20h')), '\x1b[?1049;25h\x1b[4h');
});

test('what is cut short, or begun within another, is neither completed nor passed on', () => {
  const cases: [string, string][] = [
    ['\x1b[3\x1b[1mx', '\x1b[1mx'],
    ['\x1b]0;t\x1b[1mx', '\x1b[1mx'],
    ['\x1b]0;t\x18x', 'x'],
    ['\x1b[\x1ac', 'c'],
    ['\x1b[6\xc3\xa9n', '\xc3\xa9n'],
    ['\x1b[1\r\nm', '\r\n\x1b[1m'],
    // ST of 8 bits within a sequence begins none.
    ['\x1b[6\x9cn', 'n'],
    // A character that is none; its last byte is CSI.
    ['\xc3\x9b6n', '\xc3\x9b6n'],
    ['\xe0\x9b6n', '\xe0'],
    ['\xc2\x1b[c\x9bcx', '\xc2x'],
  ];
  for (const [given, wanted] of cases) assert.is(shown(latin1(given)), wanted, JSON.stringify(given));
});

test('whatever comes, in whatever pieces, only sequences of the list leave', () => {
  const { bytes: random } = seeded(23);
  const parts = [
    ...Object.values(DROPPED),
    ...Object.values(KEPT),
    '\x1b',
    '\x1b[',
    '\x9b',
    '\xc2',
    '\x1b]',
    '\x1bP',
    '\x07',
    '6n',
  ];
  const allowed = /^\x1b(?:\[\??[0-9:;]*(?:[ -/]*[@-~])|[()*+\-./#][0-~]|[6-9DEHMcno|}~])/;
  for (let round = 0; round < 2000; round++) {
    const picks = random(new Uint8Array(12));
    let text = '';
    for (const pick of picks) text += pick < 200 ? parts[pick % parts.length] : String.fromCharCode(pick);
    const screen = new Screen();
    const whole = latin1(text);
    const cut = picks[0] % whole.length;
    const out = `${shown(whole.subarray(0, cut), screen)}${shown(whole.subarray(cut), screen)}|`;
    assert.not.match(
      out,
      /\x1b[\]PX^_Z\\]|\x1b\[[>=<]|\x1b\[[^@-~]*[cnxtyi]|\x1b\[\?[\d;]*\b(?:100\d|2004)\b|[\x00\x05\x18\x1a]/,
    );
    for (const each of out.matchAll(/\x1b[^\x1b]*/g)) assert.match(each[0], allowed);
    // What has been let through is let through again, the same.
    assert.is(shown(latin1(out)), out);
  }
});

test.run();
