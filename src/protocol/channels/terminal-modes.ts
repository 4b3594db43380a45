// Encoded terminal modes (RFC 4254 §8, RFC 8160): what a `pty-req` says of the terminal at the client's end.
import { UsageError } from '../errors.ts';
import { Reader, Writer } from '../wire/reader.ts';

/**
 * The opcodes by their names in termios(3). Values are 0 or 1 for the switches from IGNPAR to PARODD, a character's code for the keys
 * from VINTR to VDISCARD (255: none), and bits per second for the two speeds.
 */
export const TerminalMode = {
  ...{
    VINTR: 1,
    VQUIT: 2,
    VERASE: 3,
    VKILL: 4,
    VEOF: 5,
    VEOL: 6,
    VEOL2: 7,
    VSTART: 8,
    VSTOP: 9,
    VSUSP: 10,
    VDSUSP: 11,
  },
  ...{ VREPRINT: 12, VWERASE: 13, VLNEXT: 14, VFLUSH: 15, VSWTCH: 16, VSTATUS: 17, VDISCARD: 18 },
  ...{ IGNPAR: 30, PARMRK: 31, INPCK: 32, ISTRIP: 33, INLCR: 34, IGNCR: 35, ICRNL: 36, IUCLC: 37, IXON: 38, IXANY: 39 },
  ...{ IXOFF: 40, IMAXBEL: 41, IUTF8: 42 },
  ...{
    ISIG: 50,
    ICANON: 51,
    XCASE: 52,
    ECHO: 53,
    ECHOE: 54,
    ECHOK: 55,
    ECHONL: 56,
    NOFLSH: 57,
    TOSTOP: 58,
    IEXTEN: 59,
  },
  ...{ ECHOCTL: 60, ECHOKE: 61, PENDIN: 62 },
  ...{ OPOST: 70, OLCUC: 71, ONLCR: 72, OCRNL: 73, ONOCR: 74, ONLRET: 75 },
  ...{ CS7: 90, CS8: 91, PARENB: 92, PARODD: 93 },
  ...{ ISPEED: 128, OSPEED: 129 },
} as const;

const END = 0;
/** From here on opcodes have no defined argument, and end what can be read. */
const UNDEFINED = 160;

/** Opcode → value, uint32, of what `Session.terminal.modes` holds; opcodes without a name here too. @throws ProtocolError if one is cut short */
export function parseTerminalModes(modes: Uint8Array): Map<number, number> {
  const reader = new Reader(modes);
  const values = new Map<number, number>();
  while (reader.remaining > 0) {
    const opcode = reader.byte();
    if (opcode === END || opcode >= UNDEFINED) break;
    values.set(opcode, reader.uint32());
  }
  return values;
}

/** Opcodes with their values, for `PtyOptions.modes`. @throws UsageError for an opcode that has no defined argument */
export function formatTerminalModes(values: Iterable<readonly [opcode: number, value: number]>): Uint8Array {
  const writer = new Writer(64);
  for (const [opcode, value] of values) {
    if (!(opcode > END && opcode < UNDEFINED)) throw new UsageError(`there is no terminal mode ${opcode}`);
    writer.byte(opcode).uint32(value);
  }
  return writer.byte(END).finish();
}
