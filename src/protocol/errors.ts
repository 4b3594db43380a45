// The three kinds of error: the peer's fault or will (ProtocolError, DisconnectError, OpenError, RequestError), ours (UsageError), and the network's
// (whatever the socket throws; it never enters this folder). RFC 4253 §11.1, RFC 4254 §5.1.

/** Reason codes of SSH_MSG_DISCONNECT (RFC 4253 §11.1). */
export const Disconnect = {
  HOST_NOT_ALLOWED_TO_CONNECT: 1,
  PROTOCOL_ERROR: 2,
  KEY_EXCHANGE_FAILED: 3,
  MAC_ERROR: 5,
  COMPRESSION_ERROR: 6,
  SERVICE_NOT_AVAILABLE: 7,
  PROTOCOL_VERSION_NOT_SUPPORTED: 8,
  HOST_KEY_NOT_VERIFIABLE: 9,
  CONNECTION_LOST: 10,
  BY_APPLICATION: 11,
  TOO_MANY_CONNECTIONS: 12,
  AUTH_CANCELLED_BY_USER: 13,
  NO_MORE_AUTH_METHODS_AVAILABLE: 14,
  ILLEGAL_USER_NAME: 15,
} as const;
/** One of the codes that we send; a peer's may be any uint32. */
export type DisconnectReason = (typeof Disconnect)[keyof typeof Disconnect];

/** Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 §5.1). */
export const OpenFailure = {
  ADMINISTRATIVELY_PROHIBITED: 1,
  CONNECT_FAILED: 2,
  UNKNOWN_CHANNEL_TYPE: 3,
  RESOURCE_SHORTAGE: 4,
} as const;
/** One of the codes that we send; a peer's may be any uint32. */
export type OpenFailureReason = (typeof OpenFailure)[keyof typeof OpenFailure];

/** Characters of a reason that a peer is told; more than anybody reads, and less than a packet holds. */
export const MAX_DESCRIPTION = 4096;

/** The peer broke the protocol. `reason` is what we tell it in SSH_MSG_DISCONNECT; the connection is over. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  /** What goes into our SSH_MSG_DISCONNECT. */
  readonly reason: DisconnectReason;
  constructor(message: string, reason: DisconnectReason = Disconnect.PROTOCOL_ERROR) {
    super(message);
    this.reason = reason;
  }
}

/** The peer (or our own end) ended the connection; `reason` and text come from SSH_MSG_DISCONNECT where there was one. */
export class DisconnectError extends Error {
  override readonly name = 'DisconnectError';
  /** As in `Disconnect`, or whatever uint32 the peer has sent; CONNECTION_LOST where nobody said goodbye. */
  readonly reason: number;
  constructor(message: string, reason: number = Disconnect.CONNECTION_LOST) {
    super(message);
    this.reason = reason;
  }
}

/** A channel was refused (SSH_MSG_CHANNEL_OPEN_FAILURE); the connection lives on. */
export class OpenError extends Error {
  override readonly name = 'OpenError';
  /** As in `OpenFailure`, or whatever uint32 the peer has sent. */
  readonly reason: number;
  constructor(message: string, reason: number) {
    super(message);
    this.reason = reason;
  }
}

/** A request was refused (RFC 4254 §4 and §5.4; the protocol has no place for a reason); the connection lives on. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

/** A key or a file of keys cannot be read. The message is one sentence that names the offending thing. */
export class KeyFormatError extends Error {
  override readonly name = 'KeyFormatError';
}

/** The caller of this library did something it must not do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Text from a peer made safe to show in a log, a terminal or an error: at most `limit` characters,
 * control characters, line separators and bidirectional overrides replaced by U+FFFD.
 */
export function printable(text: string, limit = 200): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\uFFFD');
  return clean.length > limit ? `${clean.slice(0, limit)}…` : clean;
}
