// What the protocol asks of cryptography: a provider is a plain value, its arrays ARE the registry, best first.
import type { Packet } from '../protocol/wire/packet.ts';

/** Fills `into` with random bytes of cryptographic quality and returns it. */
export type Random = (into: Uint8Array) => Uint8Array;

/** Bytes to send, in order; sealers append to it. Pushing gives the chunk away. */
export interface Output {
  /** Appends a chunk, whole frames or parts of one; the caller must not touch it again. */
  push(chunk: Uint8Array): void;
}

/**
 * Opens the packets of one direction during one key epoch (RFC 4253 §6). May keep state: the caller calls
 * `frameLength` exactly once a packet, then `open` exactly once, in order.
 */
export interface Opener {
  /** How many bytes of a frame must have come before `frameLength` can answer. */
  readonly headLength: number;
  /** Frames of at least this many bytes are opened into new memory, which holds nothing else; Infinity if all are opened in place. */
  readonly copiesFrom: number;
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
  /** Length of the tag in bytes. */
  readonly tagLength: number;
  /** The tag over uint32 sequence ‖ bytes[start..end). */
  compute(sequence: number, bytes: Uint8Array, start: number, end: number): Uint8Array;
}

/** A message authentication code by itself, for ciphers that do not authenticate (RFC 4253 §6.4, RFC 6668). */
export interface MacAlgorithm {
  /** The name under which it is negotiated. */
  readonly name: string;
  /** Key length in bytes. */
  readonly keyLength: number;
  /** Length of the tag in bytes. */
  readonly tagLength: number;
  /** Encrypt-then-MAC: the length field stays in the clear and the tag covers the ciphertext. */
  readonly etm: boolean;
  /** With its key, of `keyLength` bytes, for one direction and epoch. */
  create(key: Uint8Array): Mac;
}

/** A cipher for packets (RFC 4253 §6.3), with what it needs to open and seal whole frames. */
export interface CipherAlgorithm {
  /** The name under which it is negotiated. */
  readonly name: string;
  /** Key length in bytes. */
  readonly keyLength: number;
  /** Length of the initial vector in bytes; 0 for a cipher that takes the sequence number. */
  readonly ivLength: number;
  /** Frames are padded to a multiple of so many bytes, 8 at least. */
  readonly blockLength: number;
  /** True: the cipher authenticates by itself and no MAC is negotiated (RFC 5647, chacha20-poly1305). */
  readonly aead: boolean;
  /** For what is received. `mac` is given exactly when `aead` is false; a key of another length is a fault of the caller. */
  opener(key: Uint8Array, iv: Uint8Array, mac?: MacAlgorithm, macKey?: Uint8Array): Opener;
  /** For what is sent; `random` makes the padding, `mac` as in `opener`. */
  sealer(key: Uint8Array, iv: Uint8Array, random: Random, mac?: MacAlgorithm, macKey?: Uint8Array): Sealer;
}

/** A compression method that begins after sign-in (RFC 4253 §6.2). Streams keep state from packet to packet, and are made anew with each exchange of keys. */
export interface CompressionAlgorithm {
  /** The name under which it is negotiated. */
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
  /** The name under which it is negotiated. */
  readonly name: string;
  /**
   * Of one that costs a server far more than a client that computes nothing: how much, in exchanges of diffie-hellman-group14.
   * Servers ration those (see `ConnectionEvents.costly`). Absent for all others, which take 0.1 to 4 ms.
   */
  readonly work?: number;
  /** The hash for the exchange hash H and for the keys (RFC 4253 §7.2, §8). */
  hash(data: Uint8Array): Uint8Array;
  /** The client's half, begun: makes its ephemeral keys. */
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
  /** Its key type, "ssh-ed25519"; with a certificate that of the certificate. */
  readonly type: string;
  /** The public half, or the certificate. */
  readonly blob: Uint8Array;
  /** See above. Secret: for no log, no error message. */
  readonly fields: readonly Uint8Array[];
  /** For people; empty where the file knows none. */
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
  /** The name in KEXINIT, `server-sig-algs` and sign-in requests. */
  readonly name: string;
  /** The key type it signs with: rsa-sha2-256 works with ssh-rsa keys. */
  readonly keyType: string;
  /** Of an algorithm for certificates: the name of the one that it verifies with, and that stands in its signatures. */
  readonly plain?: string;
  /** Of an algorithm for certificates: the blob of the plain key in one; undefined if it is malformed. */
  plainKey?(certificate: Uint8Array): Uint8Array | undefined;
  /**
   * The blob of a key of `keyType` as we write it: some peers give the type of RSA keys another name, and one key must be one key for
   * whoever compares. Signatures are over blobs as they were sent. Absent where there is one form only.
   */
  canonical?(blob: Uint8Array): Uint8Array;
  /** Why `verify` takes no signature by this key (of canonical form), for a log: "an RSA key of 1024 bits is too weak"; undefined if it may. */
  problem?(blob: Uint8Array): string | undefined;
  /** Whether `signature` (the whole blob: string name ‖ string value) is by the key `blob` over `data`. A malformed key or signature is false, never an exception. */
  verify(blob: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** The whole signature blob. @throws UsageError if `key` is not of `keyType`, or lies in a security token. */
  sign(key: PrivateKey, data: Uint8Array, random: Random): Uint8Array;
  /** A new key of `keyType`. @throws UsageError for what we cannot make: keys in security tokens, certificates */
  generate(random: Random, comment?: string): PrivateKey;
  /** Of an algorithm for security tokens: what a signature says that `verify` has accepted. Whoever verifies must heed it. */
  presence?(signature: Uint8Array): Presence;
}

/** All cryptography that a connection uses. To offer less, spread one and filter its lists; their order is the order of preference. */
export interface CryptoProvider {
  /** For people: "noble", "accelerated". */
  readonly name: string;
  /** Where random bytes come from; the runtime's own ML-KEM and ECDSA draw theirs themselves. */
  readonly random: Random;
  /** Best first; both directions are offered the same. */
  readonly ciphers: readonly CipherAlgorithm[];
  /** Best first; for ciphers that do not authenticate. */
  readonly macs: readonly MacAlgorithm[];
  /** Best first. */
  readonly kex: readonly KexAlgorithm[];
  /** Best first: for host keys, for users' keys, and for what authorities sign. */
  readonly signatures: readonly SignatureAlgorithm[];
  /** Ciphers that cost a server so much less than the others that it should offer only these to a client that has one of them; none if absent. */
  readonly preferCiphers?: readonly string[];
  /** SHA-256, for what has no algorithm to negotiate. */
  sha256(data: Uint8Array): Uint8Array;
}

/** The element of a provider's list with that name, or undefined. */
export function byName<T extends { readonly name: string }>(list: readonly T[], name: string): T | undefined {
  return list.find(element => element.name === name);
}
