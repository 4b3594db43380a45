// The paved path: a server, a client, keys, and the provider to give them.
export { Agent } from './client/agent.ts';
export { ClientConnection } from './client/client.ts';
export type { CommandOptions, ExecOptions, Exit, Finished, RemoteCommand, ShellOptions } from './client/command.ts';
export { type DialOptions, dial } from './client/dial.ts';
export type { Endpoint, LocalListener } from './client/forwards.ts';
export { addKnownHost, knownHosts } from './client/known-hosts.ts';
export type { RemoteCall, RemoteListener } from './client/remote-listeners.ts';
export { accelerated } from './crypto/accelerated.ts';
export { fingerprint, formatPrivateKey, type PublicKey, parsePrivateKey, parsePublicKey } from './crypto/keys/index.ts';
export { noble } from './crypto/noble.ts';
export type { CryptoProvider, PrivateKey } from './crypto/provider.ts';
export {
  DisconnectError,
  KeyFormatError,
  OpenError,
  ProtocolError,
  RequestError,
  UsageError,
} from './protocol/errors.ts';
export type { Credential } from './protocol/userauth/client.ts';
export {
  type Authenticator,
  keyboardInteractive,
  type OfferedKey,
  passwords,
  publicKeys,
} from './server/authenticators.ts';
export { type Admission, authorizedKeys } from './server/authorized-keys.ts';
export { directStreamlocal, directTcpip, remoteForwarding } from './server/forwarding.ts';
export { authorizedKeysFile } from './server/runtime/authorized-keys-file.ts';
export { type Client, type Logger, Server, type ServerOptions } from './server/server.ts';
export { type Session, sessions } from './server/session.ts';
export { streamSocket } from './server/stream-socket.ts';
export { ChannelStream } from './server/streams.ts';
