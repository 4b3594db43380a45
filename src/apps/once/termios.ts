// struct termios of Linux, which x64 and arm64 have in common, and how the terminal modes of a `pty-req` (RFC 4254 §8) go into it.
import { parseTerminalModes, TerminalMode } from '../../protocol/channels/terminal-modes.ts';

/** Bytes that hold the structure, of 60, with room to spare. */
export const TERMIOS_BYTES = 128;

/** Places of the four words of flags, uint32 in the machine's order, and of the characters. */
const IFLAG = 0;
const OFLAG = 4;
const CFLAG = 8;
const LFLAG = 12;
const CHARACTERS = 17;

const ICANON = 0o2;
const ECHO = 0o10;
const CSIZE = 0o60;

/** Names of RFC 4254 with their bit. */
const FLAGS: readonly (readonly [word: number, bits: Readonly<Record<string, number>>])[] = [
  [
    IFLAG,
    {
      ...{ IGNPAR: 0o4, PARMRK: 0o10, INPCK: 0o20, ISTRIP: 0o40, INLCR: 0o100, IGNCR: 0o200, ICRNL: 0o400 },
      ...{ IUCLC: 0o1000, IXON: 0o2000, IXANY: 0o4000, IXOFF: 0o10000, IMAXBEL: 0o20000, IUTF8: 0o40000 },
    },
  ],
  [OFLAG, { OPOST: 0o1, OLCUC: 0o2, ONLCR: 0o4, OCRNL: 0o10, ONOCR: 0o20, ONLRET: 0o40 }],
  [CFLAG, { PARENB: 0o400, PARODD: 0o1000 }],
  [
    LFLAG,
    {
      ...{ ISIG: 0o1, ICANON, XCASE: 0o4, ECHO, ECHOE: 0o20, ECHOK: 0o40, ECHONL: 0o100, NOFLSH: 0o200 },
      ...{ TOSTOP: 0o400, ECHOCTL: 0o1000, ECHOKE: 0o4000, PENDIN: 0o40000, IEXTEN: 0o100000 },
    },
  ],
];

/** Names of RFC 4254 with their index in c_cc; the system has no VDSUSP, VFLUSH and VSTATUS. */
const KEYS: Readonly<Record<string, number>> = {
  ...{ VINTR: 0, VQUIT: 1, VERASE: 2, VKILL: 3, VEOF: 4, VSWTCH: 7, VSTART: 8, VSTOP: 9, VSUSP: 10, VEOL: 11 },
  ...{ VREPRINT: 12, VDISCARD: 13, VWERASE: 14, VLNEXT: 15, VEOL2: 16 },
};

/** A character that is switched off: 255 on the wire, 0 here. */
const NONE = 255;

/** Writes the modes into the structure. Speeds are left alone: a pseudo-terminal has none. @throws ProtocolError if they are cut short */
export function applyModes(termios: Uint8Array, encoded: Uint8Array): void {
  const words = new DataView(termios.buffer, termios.byteOffset);
  const modes = parseTerminalModes(encoded);
  const wanted = (name: string) => modes.get(TerminalMode[name as keyof typeof TerminalMode]);
  for (const [word, bits] of FLAGS) {
    let flags = words.getUint32(word, true);
    for (const [name, bit] of Object.entries(bits)) {
      const value = wanted(name);
      if (value !== undefined) flags = value ? flags | bit : flags & ~bit;
    }
    words.setUint32(word, flags, true);
  }
  // CS7 and CS8 are two values of one field.
  const size = wanted('CS8') ? 0o60 : wanted('CS7') ? 0o40 : undefined;
  if (size !== undefined) words.setUint32(CFLAG, (words.getUint32(CFLAG, true) & ~CSIZE) | size, true);
  for (const [name, index] of Object.entries(KEYS)) {
    const value = wanted(name);
    if (value !== undefined) termios[CHARACTERS + index] = value === NONE ? 0 : value;
  }
}

/** What the terminal does with what is typed. */
export interface Echo {
  /** It shows it. */
  readonly echo: boolean;
  /** It gathers lines, which can be edited; otherwise programs get each character as it comes, and draw for themselves. */
  readonly canonical: boolean;
}

/** ECHO and ICANON. */
export function readEcho(termios: Uint8Array): Echo {
  const flags = new DataView(termios.buffer, termios.byteOffset).getUint32(LFLAG, true);
  return { echo: (flags & ECHO) !== 0, canonical: (flags & ICANON) !== 0 };
}
