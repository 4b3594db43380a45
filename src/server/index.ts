// The server half: what `cordboard/server` exports.
export { type Authenticator, keyboardInteractive, type OfferedKey, passwords, publicKeys } from './authenticators.ts';
export {
  type Admission,
  type AuthorizedKeysOptions,
  authorizedKeys,
  judgeKey,
  type KeyPolicy,
  type KeyUse,
  lineRules,
  type Refusal,
} from './authorized-keys.ts';
export { Driver, TIMES, type Times } from './drive.ts';
export {
  type DirectTarget,
  directStreamlocal,
  directTcpip,
  type ListenRequest,
  type ListenTarget,
  type RemoteForwardingOptions,
  remoteForwarding,
} from './forwarding.ts';
export { type Offence, PENALTIES, type PenaltyTimes, STARTUPS, type StartupLimits } from './penalties.ts';
export { authorizedKeysFile } from './runtime/authorized-keys-file.ts';
export {
  connect,
  type Listener,
  listen,
  listenEverywhere,
  type Progress,
  type Socket,
  type SocketEvents,
  wrap,
} from './runtime/net.ts';
export {
  type ChannelOpenHandler,
  type Client,
  describe,
  type GlobalRequestHandler,
  type Logger,
  Server,
  type ServerOptions,
} from './server.ts';
export { type Session, type SessionHandlers, sessions, type Terminal } from './session.ts';
export { streamSocket } from './stream-socket.ts';
export { ChannelStream } from './streams.ts';
export { SocketJoin } from './tcp.ts';
export { TokenCounters } from './token-counters.ts';
