// What of a recorded session may go to another terminal: text and what moves the cursor, colours and clears. All that would make the
// terminal answer, or do more than show, is left out: ECMA-48 and xterm's control sequences, by a list of those that pass.

/** Sequences "CSI … final" that pass with any numbers: cursor, erasing, scrolling, colours. */
const SHOWS = new Set('@ABCDEFGHIJKLMPSTXZ`abdefgmrsu');
/** Those with more than numbers in them: cursor style, soft reset, selective erasing, columns, attributes of a rectangle. */
const SHOWS_MORE = new Set([' q', '!p', '?J', '?K', "'}", "'~", ' @', ' A', '"q', '$r', '$t', '$v', '$x', '$z', '${']);
/** Modes: insertion; and private ones: video, origin, wrapping, cursor, margins, the other screen, synchronized output. */
const MODES = new Set(['4']);
const PRIVATE_MODES = new Set(['5', '6', '7', '12', '25', '45', '47', '69', '1047', '1048', '1049', '2026']);
/** "ESC final": cursor, lines, tabs, character sets. */
const ESCAPES = new Set('6789DEHMcno|}~');
/** "ESC intermediate final": character sets, and size of lines. */
const CHARACTER_SETS = /^[()*+\-./][ -/]?[0-~]$|^#[3-68]$/;
/** Control characters: all but those that a terminal answers (ENQ), stops at (XON, XOFF), or takes for the end of a sequence. */
const CONTROLS = new Set([0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]);
/** C1 that shows (ECMA-48, 8.2): IND, NEL, HTS, RI. */
const C1 = new Set([0x84, 0x85, 0x88, 0x8d]);
/** Those that begin a string: DCS, SOS, OSC, PM, APC. As two characters each is ESC and the one 0x40 below. */
const STRINGS = new Set([0x90, 0x98, 0x9d, 0x9e, 0x9f]);

const BEL = 0x07;
const CAN = 0x18;
const SUB = 0x1a;
const ESC = 0x1b;
const CSI = 0x9b;
const ST = 0x9c;
const OSC = 0x9d;

/** Characters of a sequence; xterm has 30 numbers at most, of five digits. */
const LONGEST = 256;

type State = 'text' | 'escape' | 'sequence' | 'string';

/** Passes on what may be shown, whatever pieces it comes in. For terminals that take UTF-8. */
export class Screen {
  /** Sequences that were left out. */
  left = 0;
  #state: State = 'text';
  /** What has come of a sequence, without its beginning. */
  #sequence = '';
  #isOsc = false;
  /** The bytes of a character that is not whole. */
  #character: number[] = [];
  #wanted = 0;
  #out: number[] = [];

  /** What of these bytes may be shown, together with what came before. */
  pass(bytes: Uint8Array): Uint8Array {
    this.#out = [];
    for (const byte of bytes) this.#take(byte);
    return Uint8Array.from(this.#out);
  }

  /** The bytes of a character whose rest has not come. */
  end(): Uint8Array {
    this.#out = [];
    this.#apart();
    return Uint8Array.from(this.#out);
  }

  /** Puts characters together (RFC 3629), so that no byte of one passes for a control character, nor the other way round. */
  #take(byte: number): void {
    if (this.#wanted > 0) {
      if ((byte & 0xc0) === 0x80) {
        this.#character.push(byte);
        if (--this.#wanted === 0) this.#whole();
        return;
      }
      // Cut short: bytes by themselves.
      this.#apart();
    }
    if (byte < 0x80) return this.#control(byte, [byte]);
    if (byte < 0xc2 || byte > 0xf4) return this.#control(byte, [byte]);
    this.#character = [byte];
    this.#wanted = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  }

  #whole(): void {
    const bytes = this.#character;
    const text = Buffer.from(bytes).toString('utf8');
    // Of what is no character after all (surrogates, longer than need be) a decoder makes several.
    if (text.length > 2 || text.startsWith('\ufffd')) return this.#apart();
    this.#character = [];
    this.#control(text.codePointAt(0)!, bytes);
  }

  #apart(): void {
    const bytes = this.#character;
    this.#character = [];
    this.#wanted = 0;
    for (const each of bytes) this.#control(each, [each]);
  }

  /** @param code a character, or a byte that is none */
  #control(code: number, bytes: readonly number[]): void {
    if (code === ESC || code === CAN || code === SUB) {
      this.#giveUp();
      this.#begin(code === ESC ? 'escape' : 'text');
    } else if (code >= 0x80 && code < 0xa0) this.#c1(code, bytes);
    else if (this.#state === 'string') {
      if (code === BEL && this.#isOsc) this.#state = 'text';
    } else if (code < 0x20 || code === 0x7f) {
      // In the middle of a sequence they have their effect, too.
      if (CONTROLS.has(code)) this.#show(bytes);
    } else if (this.#state === 'text') this.#show(bytes);
    else if (code > 0x7f) {
      this.#giveUp();
      this.#begin('text');
      this.#show(bytes);
    } else this.#next(String.fromCharCode(code), code);
  }

  /** C1 control characters of eight bits, or as one character. */
  #c1(code: number, bytes: readonly number[]): void {
    const was = this.#state;
    if (code !== ST || was !== 'string') this.#giveUp();
    this.#begin('text');
    if (code === CSI) this.#begin('sequence');
    else if (STRINGS.has(code)) this.#string(code);
    else if (C1.has(code)) this.#show(bytes);
  }

  /** One more character of an escape sequence. */
  #next(character: string, code: number): void {
    if (this.#state === 'sequence') {
      if (this.#sequence.length < LONGEST) this.#sequence += character;
      if (code < 0x40) return;
      const shown = this.#sequence.length < LONGEST ? shownOf(this.#sequence) : undefined;
      if (shown === undefined) this.left++;
      else this.#show(Buffer.from(`\x1b[${shown}`));
      return this.#begin('text');
    }
    if (this.#sequence === '') {
      if (character === '[') return this.#begin('sequence');
      if (STRINGS.has(code + 0x40)) return this.#string(code + 0x40);
      // The end of a string that has been left out.
      if (character === '\\') return this.#begin('text');
    }
    if (this.#sequence.length < LONGEST) this.#sequence += character;
    if (code < 0x30) return;
    const whole = this.#sequence;
    this.#begin('text');
    if (whole.length === 1 ? ESCAPES.has(whole) : CHARACTER_SETS.test(whole)) this.#show(Buffer.from(`\x1b${whole}`));
    else this.left++;
  }

  /** Left out to its end; counted now, because it may have none. */
  #string(code: number): void {
    this.left++;
    this.#isOsc = code === OSC;
    this.#begin('string');
  }

  /** A sequence that does not come to its end. */
  #giveUp(): void {
    if (this.#state === 'escape' || this.#state === 'sequence') this.left++;
  }

  #begin(state: State): void {
    this.#state = state;
    this.#sequence = '';
  }

  #show(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#out.push(byte);
  }
}

/** Of "numbers, more, final" what may be shown; undefined if nothing. */
function shownOf(sequence: string): string | undefined {
  const parts = /^([<-?]?)([0-9:;]*)([ -/]*)([@-~])$/.exec(sequence);
  if (parts === null) return undefined;
  const [, prefix, numbers, more, final] = parts;
  if ((final === 'h' || final === 'l') && more === '' && (prefix === '' || prefix === '?')) {
    const known = prefix === '' ? MODES : PRIVATE_MODES;
    const kept = numbers.split(';').filter(number => known.has(number.replace(/^0+(?=\d)/, '')));
    return kept.length > 0 ? `${prefix}${kept.join(';')}${final}` : undefined;
  }
  const shows = prefix + more === '' ? SHOWS.has(final) : SHOWS_MORE.has(prefix + more + final);
  return shows ? sequence : undefined;
}
