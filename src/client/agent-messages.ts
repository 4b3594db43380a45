// Messages of the agent protocol (RFC 9987; draft-ietf-sshm-ssh-agent), as functions of bytes: what a client sends, and what it gets.
import { certificateTypeNames, parseCertificate } from '../crypto/keys/index.ts';
import { keyType, writePrivateFields } from '../crypto/keys/key-types.ts';
import { canonicalRsa } from '../crypto/keys/rsa-numbers.ts';
import type { PrivateKey } from '../crypto/provider.ts';
import { ProtocolError, printable, UsageError } from '../protocol/errors.ts';
import { readUint32, writeUint32 } from '../protocol/wire/packet.ts';
import { concat, decodeProse, Reader, Writer } from '../protocol/wire/reader.ts';

/** One key that an agent holds. */
export interface AgentKey {
  /**
   * Its type, "ssh-rsa" also where its blob has the name of an algorithm for RSA keys; not every agent's key is of one
   * that we know.
   */
  readonly type: string;
  /** Public key blob, or certificate. */
  readonly blob: Uint8Array;
  /** Free text of whoever added it. */
  readonly comment: string;
}

/** What an agent is to heed about a key that it is given. */
export interface KeyConstraints {
  /** Seconds until it forgets the key. */
  readonly lifetime?: number;
  /** It asks its user at each use. */
  readonly confirm?: boolean;
}

/** Longest message in either direction, in bytes: OpenSSH's own limit. */
export const MAX_AGENT_MESSAGE = 256 * 1024;
/** Most keys in one answer: as many as `ssh-add -l` takes. */
const MAX_KEYS = 2048;

/** What OpenSSH takes for a refusal, the last two from agents of its past. */
const FAILURES: readonly number[] = [5, 30, 102];
/** RFC 9987 §6.1 (requests and answers), §6.4 (flags), §6.2 (constraints). */
const SUCCESS = 6;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const ADD_IDENTITY = 17;
const REMOVE_IDENTITY = 18;
const REMOVE_ALL_IDENTITIES = 19;
const ADD_ID_CONSTRAINED = 25;
const RSA_SHA2_256 = 2;
const RSA_SHA2_512 = 4;
const CONSTRAIN_LIFETIME = 1;
const CONSTRAIN_CONFIRM = 2;

/** Requests, without their length field. */
export const agentRequests = {
  list: (): Uint8Array => Uint8Array.of(REQUEST_IDENTITIES),

  /** `algorithm` by its name in the SSH protocol; only RSA keys know more than one. */
  sign(key: Uint8Array, data: Uint8Array, algorithm: string): Uint8Array {
    const flags = algorithm.startsWith('rsa-sha2-256')
      ? RSA_SHA2_256
      : algorithm.startsWith('rsa-sha2-512')
        ? RSA_SHA2_512
        : 0;
    return new Writer(key.length + data.length + 16).byte(SIGN_REQUEST).string(key).string(data).uint32(flags).finish();
  },

  /** The key may carry a certificate (`certifiedKey`). @throws UsageError for keys that lie in a security token, and for constraints out of bounds */
  add(key: PrivateKey, { lifetime, confirm }: KeyConstraints = {}): Uint8Array {
    if (lifetime !== undefined && !(Number.isInteger(lifetime) && lifetime > 0 && lifetime < 2 ** 32))
      throw new UsageError('the lifetime of a key in an agent is a whole number of seconds');
    const constrained = lifetime !== undefined || confirm === true;
    const writer = new Writer(4096).byte(constrained ? ADD_ID_CONSTRAINED : ADD_IDENTITY);
    writeKey(writer, key);
    writer.string(key.comment);
    if (lifetime !== undefined) writer.byte(CONSTRAIN_LIFETIME).uint32(lifetime);
    if (confirm) writer.byte(CONSTRAIN_CONFIRM);
    return writer.finish();
  },

  remove: (key: Uint8Array): Uint8Array => new Writer(512).byte(REMOVE_IDENTITY).string(key).finish(),

  removeAll: (): Uint8Array => Uint8Array.of(REMOVE_ALL_IDENTITIES),
};

/** The key type, and its private fields (§3.2); with a certificate, that and only the secret ones. */
function writeKey(writer: Writer, key: PrivateKey): void {
  const certified = certificateTypeNames.includes(key.type);
  const plain = keyType(certified ? parseCertificate(key.blob).key.type : key.type);
  if (plain.token) throw new UsageError(`a ${printable(key.type, 80)} key lies in a security token`);
  writer.string(key.type);
  if (!certified) return writePrivateFields(writer, plain, key.fields);
  writer.string(key.blob);
  // Ed25519 repeats its public key; RSA leaves n and e out, ECDSA curve and point.
  const from = plain.name === 'ssh-ed25519' ? 0 : 2;
  const layout = plain.privateLayout.slice(from);
  writePrivateFields(writer, { ...plain, privateLayout: layout }, key.fields.slice(from));
}

/** The keys in the answer to `list`. @throws ProtocolError if the agent refuses or its answer makes no sense */
export function readKeys(message: Uint8Array): AgentKey[] {
  const reader = answer(message, IDENTITIES_ANSWER, 'to list its keys');
  const count = reader.uint32();
  // Memory.
  if (count > MAX_KEYS) throw new ProtocolError(`the agent claims to have ${count} keys`);
  return Array.from({ length: count }, () => {
    const blob = reader.string().slice();
    return { type: typeOf(blob), blob, comment: printable(decodeProse(reader.string()), 1024) };
  });
}

/** Empty where a blob has none: such a key is nothing to us, and the others are there. */
function typeOf(blob: Uint8Array): string {
  try {
    return new Reader(canonicalRsa(blob)).anyName();
  } catch {
    return '';
  }
}

/** The signature blob in the answer to `sign`. @throws ProtocolError as above */
export function readAgentSignature(message: Uint8Array): Uint8Array {
  return answer(message, SIGN_RESPONSE, 'to sign').string().slice();
}

/** Whether a request was carried out. @throws ProtocolError if it was not; `what` says what it was: "to add the key" */
export function readDone(message: Uint8Array, what: string): void {
  answer(message, SUCCESS, what);
}

/**
 * The body of an answer; what follows it is not looked at, as in OpenSSH. It throws because that is the agent's word, or because another
 * answer would pass for the one that was wanted.
 */
function answer(message: Uint8Array, expected: number, what: string): Reader {
  const reader = new Reader(message);
  const number = reader.byte();
  if (FAILURES.includes(number)) throw new ProtocolError(`the agent refuses ${what}`);
  if (number !== expected) throw new ProtocolError(`the agent answers with message ${number}, expected ${expected}`);
  return reader;
}

/** A message with its length in front. @throws UsageError if it is too long for an agent */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > MAX_AGENT_MESSAGE) throw new UsageError('the message is too long for an agent');
  const length = new Uint8Array(4);
  writeUint32(length, 0, message.length);
  return concat(length, message);
}

/** Puts one message together from chunks. */
export class AgentFrame {
  #bytes: Uint8Array = new Uint8Array(0);

  /** The message without its length, as soon as it is whole; what follows is nobody's. @throws ProtocolError if it is empty or too long */
  push(chunk: Uint8Array): Uint8Array | undefined {
    this.#bytes = concat(this.#bytes, chunk);
    if (this.#bytes.length < 4) return undefined;
    const length = readUint32(this.#bytes, 0);
    // Memory; and without a number it is no message.
    if (length === 0 || length > MAX_AGENT_MESSAGE)
      throw new ProtocolError(`the agent sends a message of ${length} bytes`);
    if (this.#bytes.length < 4 + length) return undefined;
    return this.#bytes.subarray(4, 4 + length);
  }
}
