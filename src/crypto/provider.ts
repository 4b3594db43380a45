// What the protocol asks of cryptography: a provider is a plain value, its arrays ARE the registry, best first.
import type { Packet } from '../protocol/wire/packet.ts';

/** Fills `into` with random bytes of cryptographic quality and returns it. */
export type Random = (into: Uint8Array) => Uint8Array;

/** Bytes to send, in order; sealers append to it. Pushing gives the chunk away. */
export interface Output {
  push(chunk: Uint8Array): void;
}

/**
 * Opens the packets of one direction during one key epoch (RFC 4253 §6). May keep state: the caller calls
 * `frameLength` exactly once a packet, then `open` exactly once, in order.
 */
export interface Opener {
  /** How many bytes of a frame must have come before `frameLength` can answer. */
  readonly headLength: number;
  /**
   * The length in bytes of the whole frame on the wire (length field, padding and tag included) that begins at
   * `bytes[at]`. May decrypt the head in place. `sequence` is the packet's sequence number (uint32).
   * @throws ProtocolError if the length is impossible (under 5 or over MAX_PACKET bytes, or not of whole blocks).
   */
  frameLength(bytes: Uint8Array, at: number, sequence: number): number;
  /**
   * Verifies and then decrypts the frame `bytes[start..end)`, in place where it can; the memory belongs to the
   * opener from now on and the returned packet may lie in it.
   * @throws ProtocolError with MAC_ERROR if the tag is wrong, PROTOCOL_ERROR if the padding is.
   */
  open(bytes: Uint8Array, start: number, end: number, sequence: number): Packet;
}

/** Seals the packets of one direction during one key epoch. */
export interface Sealer {
  /** Pads, encrypts and authenticates `packet` (whose memory it takes over) and appends the frame to `out`. */
  seal(packet: Packet, sequence: number, out: Output): void;
}

/** One message authentication code with its key (RFC 4253 §6.4). */
export interface Mac {
  readonly tagLength: number;
  /** The tag over uint32 sequence ‖ bytes[start..end). */
  compute(sequence: number, bytes: Uint8Array, start: number, end: number): Uint8Array;
}

export interface MacAlgorithm {
  readonly name: string;
  /** Key length in bytes. */
  readonly keyLength: number;
  readonly tagLength: number;
  /** Encrypt-then-MAC: the length field stays in the clear and the tag covers the ciphertext. */
  readonly etm: boolean;
  create(key: Uint8Array): Mac;
}

export interface CipherAlgorithm {
  readonly name: string;
  /** Lengths in bytes. */
  readonly keyLength: number;
  readonly ivLength: number;
  readonly blockLength: number;
  /** True: the cipher authenticates by itself and no MAC is negotiated (RFC 5647, chacha20-poly1305). */
  readonly aead: boolean;
  /** `mac` is given exactly when `aead` is false. */
  opener(key: Uint8Array, iv: Uint8Array, mac?: MacAlgorithm, macKey?: Uint8Array): Opener;
  sealer(key: Uint8Array, iv: Uint8Array, random: Random, mac?: MacAlgorithm, macKey?: Uint8Array): Sealer;
}

/** A compression method that begins after sign-in (RFC 4253 §6.2). Streams keep state from packet to packet, and are made anew with each exchange of keys. */
export interface CompressionAlgorithm {
  readonly name: string;
  /** A function from a packet to one with the compressed payload. */
  compressor(): (packet: Packet) => Packet;
  /** The way back; `limit` is the most that one payload may have, in bytes. @throws ProtocolError with COMPRESSION_ERROR if it has more, or is damaged */
  decompressor(): (packet: Packet, limit: number) => Packet;
}

/** The client's half of one key exchange. */
export interface KexInitiator {
  /** What goes into SSH_MSG_KEX_ECDH_INIT: content of the string (or mpint). */
  readonly init: Uint8Array;
  /** The shared secret K, encoded as it enters the exchange hash (mpint or string, length field included). @throws ProtocolError on a bad reply. */
  finish(reply: Uint8Array): Uint8Array;
}

/** A key exchange of the form init → reply (RFC 4253 §8, RFC 5656 §4, RFC 8731; hybrid post-quantum ones too). */
export interface KexAlgorithm {
  readonly name: string;
  hash(data: Uint8Array): Uint8Array;
  initiate(random: Random): KexInitiator;
  /** The server's half: `secret` is K, encoded as in `KexInitiator.finish`. @throws ProtocolError on a bad `init`. */
  respond(init: Uint8Array, random: Random): { reply: Uint8Array; secret: Uint8Array };
}

/**
 * A private key as plain data. `blob` is its public half (RFC 4253 §6.6 encoding); `fields` are the private fields of
 * openssh-key-v1 for its type, in that order, each the content of the string or mpint:
 * ssh-ed25519: [public(32), private(64)]; ecdsa-sha2-*: [curve name, point, scalar]; ssh-rsa: [n, e, d, iqmp, p, q];
 * sk-ssh-ed25519: [public(32), application, flags(1), key handle, reserved]; sk-ecdsa-sha2-nistp256: the same behind the curve name.
 * With a certificate (`certifiedKey`) `type` is that of the certificate, `blob` the certificate, and the fields stay.
 */
export interface PrivateKey {
  readonly type: string;
  readonly blob: Uint8Array;
  readonly fields: readonly Uint8Array[];
  readonly comment: string;
}

/** What a security token says of the person in front of it (OpenSSH PROTOCOL.u2f). */
export interface Presence {
  /** Somebody touched the token for this signature. */
  readonly touched: boolean;
  /** And proved to be its owner, by PIN or fingerprint. */
  readonly verified: boolean;
  /** Signatures that the token has made, uint32; one that goes back means that there are two of it. */
  readonly counter: number;
}

/** A signature algorithm, by the name under which it is negotiated (RFC 4253 §6.6, RFC 8332). */
export interface SignatureAlgorithm {
  readonly name: string;
  /** The key type it signs with: rsa-sha2-256 works with ssh-rsa keys. */
  readonly keyType: string;
  /** Of an algorithm for certificates: the name of the one that it verifies with, and that stands in its signatures. */
  readonly plain?: string;
  /** Whether `signature` (the whole blob: string name ‖ string value) is by the key `blob` over `data`. A malformed key or signature is false, never an exception. */
  verify(blob: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** The whole signature blob. @throws UsageError if `key` is not of `keyType`, or lies in a security token. */
  sign(key: PrivateKey, data: Uint8Array, random: Random): Uint8Array;
  /** A new key of `keyType`. @throws UsageError for what we cannot make: keys in security tokens, certificates */
  generate(random: Random, comment?: string): PrivateKey;
  /** Of an algorithm for security tokens: what a signature says that `verify` has accepted. Whoever verifies must heed it. */
  presence?(signature: Uint8Array): Presence;
}

export interface CryptoProvider {
  readonly name: string;
  readonly random: Random;
  readonly ciphers: readonly CipherAlgorithm[];
  readonly macs: readonly MacAlgorithm[];
  readonly kex: readonly KexAlgorithm[];
  readonly signatures: readonly SignatureAlgorithm[];
  sha256(data: Uint8Array): Uint8Array;
}

/** The element of a provider's list with that name, or undefined. */
export function byName<T extends { readonly name: string }>(list: readonly T[], name: string): T | undefined {
  return list.find(element => element.name === name);
}
