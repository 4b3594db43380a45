// The SSH protocol without I/O: what `cordboard/protocol` exports.
export type { Eventually } from './channels/answers.ts';
export {
  Channel,
  type ChannelHandler,
  type ChannelRequest,
  MAX_DATA,
  STDERR,
  WINDOW,
} from './channels/channel.ts';
export * from './channels/forwarding.ts';
export type { ChannelOpen, GlobalReply, GlobalRequest, Mux } from './channels/mux.ts';
export * from './channels/session-requests.ts';
export { hold, splice } from './channels/splice.ts';
export { formatTerminalModes, parseTerminalModes, TerminalMode } from './channels/terminal-modes.ts';
export { takesEow } from './compat.ts';
export {
  type ClientConnectionOptions,
  Connection,
  type ConnectionEvents,
  type ServerConnectionOptions,
} from './connection.ts';
export {
  Disconnect,
  DisconnectError,
  type DisconnectReason,
  KeyFormatError,
  OpenError,
  OpenFailure,
  type OpenFailureReason,
  ProtocolError,
  printable,
  RequestError,
  UsageError,
} from './errors.ts';
export type { HostKeyQuestion } from './transport/kex.ts';
export { Transport, type TransportEvents, type TransportOptions } from './transport/transport.ts';
export type { AskedPassword, Credential, RemoteKey, Round } from './userauth/client.ts';
export type { AuthAnswer, AuthQuestion, Prompt } from './userauth/questions.ts';
export type { AuthRefusal } from './userauth/server.ts';
export { decode, encode, type Fields, type Layout, type Message, pack, unpack, unpackHead } from './wire/codec.ts';
export { Packet } from './wire/packet.ts';
export { asBytes, concat, decodeLenient, equalBytes, Reader, utf8OrNot, Writer } from './wire/reader.ts';
