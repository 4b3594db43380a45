// Declared message layouts: one description yields the encoder, the decoder and the TypeScript type (RFC 4251 §5).
import { printable, UsageError } from '../errors.ts';
import { MAX_PACKET } from './framing.ts';
import { Packet } from './packet.ts';
import { Reader, Writer } from './reader.ts';

interface FieldTypes {
  byte: number;
  boolean: boolean;
  uint32: number;
  /** 16 bytes without a length (the cookie of KEXINIT). */
  cookie: Uint8Array;
  string: Uint8Array;
  /** UTF-8 that is looked up, compared or passed on: a message in which it is none does not fit its layout. */
  text: string;
  /** The same where the rest of the message counts in any case: undefined if it is not UTF-8. */
  textOrNot: string | undefined;
  /** Text that only people read: in any encoding, and empty where the message ends before it (`Reader.prose`). */
  prose: string;
  /** The tag behind such text, at the end of a message; it may be missing, and be followed by anything. */
  language: Uint8Array;
  /** To be compared with names that are known; any bytes will do (`Reader.anyName`). */
  name: string;
  /** Such names; empty ones are skipped. */
  nameList: string[];
  /** All that follows, for payloads that depend on an earlier field. */
  rest: Uint8Array;
}
export type FieldType = keyof FieldTypes;
/** The fields of a message by name, in their order. */
export type Layout = { readonly [field: string]: FieldType };
/** The value that a layout describes. */
export type Fields<L extends Layout> = { -readonly [K in keyof L]: FieldTypes[L[K]] };

/** When a message may come: see `allowed` in messages.ts. */
export type Phase = 'transport' | 'kex' | 'service' | 'userauth' | 'connection';

/** One message of the protocol. */
export interface Message<L extends Layout = Layout> {
  /** The RFC's, without "SSH_MSG_". */
  readonly name: string;
  /** Its first byte (RFC 4250 §4.1). */
  readonly number: number;
  /** When it may come. */
  readonly phase: Phase;
  /** What follows the number. */
  readonly layout: L;
}

const COOKIE = 16;

function readField(reader: Reader, type: FieldType): FieldTypes[FieldType] {
  if (type === 'cookie') return reader.raw(COOKIE);
  return type === 'name' ? reader.anyName() : reader[type]();
}

const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);

function writeField(writer: Writer, type: FieldType, value: unknown): void {
  switch (type) {
    case 'byte':
      writer.byte(value as number);
      break;
    case 'boolean':
      writer.boolean(value as boolean);
      break;
    case 'uint32':
      writer.uint32(value as number);
      break;
    case 'name':
      // RFC 4251 §6, and there are readers that take no others and end the connection.
      if (!isAscii(value as string))
        throw new UsageError(`"${printable(value as string, 80)}" is no name: it is not ASCII`);
      writer.string(value as string);
      break;
    case 'string':
    case 'text':
    case 'textOrNot':
    case 'prose':
    case 'language':
      writer.string(value as Uint8Array | string);
      break;
    case 'nameList':
      writer.nameList(value as string[]);
      break;
    case 'cookie':
    case 'rest':
      writer.raw(value as Uint8Array);
      break;
  }
}

/** The fields laid out one after the other. */
export function pack<L extends Layout>(layout: L, fields: Fields<L>, writer = new Writer(64)): Uint8Array {
  for (const field in layout) writeField(writer, layout[field], fields[field]);
  return writer.finish();
}

/** The fields of `bytes`; byte arrays are views. @throws ProtocolError if the bytes do not fit the layout exactly */
export function unpack<L extends Layout>(layout: L, bytes: Uint8Array, from = 0, end = bytes.length): Fields<L> {
  const reader = new Reader(bytes, from, end);
  const fields = read(layout, reader);
  reader.finish();
  return fields;
}

/** The same, whatever follows: for payloads of global requests, of which sshd reads no more either. @throws ProtocolError if they are cut short */
export function unpackHead<L extends Layout>(layout: L, bytes: Uint8Array): Fields<L> {
  return read(layout, new Reader(bytes));
}

function read<L extends Layout>(layout: L, reader: Reader): Fields<L> {
  const fields: Record<string, unknown> = {};
  for (const field in layout) fields[field] = readField(reader, layout[field]);
  return fields as Fields<L>;
}

/** The message as a packet, ready for `Transport.send`. */
export function encode<L extends Layout>(message: Message<L>, fields: Fields<L>): Packet {
  return Packet.from(pack(message.layout, fields, new Writer(64).byte(message.number)));
}

/** Bytes of a message that every cipher's padding, and compression that gains nothing, leave room for in a packet that peers take. */
export const MAX_MESSAGE = MAX_PACKET - 1024;

/** `encode` for what callers of this library give. @throws UsageError if it does not fit into a packet: the peer would end the connection */
export function encodeGiven<L extends Layout>(message: Message<L>, fields: Fields<L>): Packet {
  const packet = encode(message, fields);
  checkSize(`a message ${message.name}`, packet.length);
  return packet;
}

/** @throws UsageError if so many bytes, and what surrounds them, do not fit into a packet */
export function checkSize(what: string, length: number): void {
  if (length > MAX_MESSAGE)
    throw new UsageError(`${what} of ${length} bytes does not fit into a packet, which holds ${MAX_MESSAGE}`);
}

/** The fields of a packet whose number is already known to be the message's. Byte arrays are views. @throws ProtocolError if the packet does not fit the layout exactly */
export function decode<L extends Layout>(message: Message<L>, packet: Packet): Fields<L> {
  return unpack(message.layout, packet.bytes, packet.start + 1, packet.end);
}
