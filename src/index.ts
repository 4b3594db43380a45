// The paved path: a server, a client, keys, and the provider to give them.
export { ClientConnection, type DialOptions, dial, type Finished } from './client/dial.ts';
export { accelerated } from './crypto/accelerated.ts';
export { fingerprint, formatPrivateKey, type PublicKey, parsePrivateKey, parsePublicKey } from './crypto/keys/index.ts';
export { noble } from './crypto/noble.ts';
export type { CryptoProvider, PrivateKey } from './crypto/provider.ts';
export { DisconnectError, KeyFormatError, OpenError, ProtocolError, UsageError } from './protocol/errors.ts';
export type { Credential } from './protocol/userauth/client.ts';
export {
  type Authenticator,
  keyboardInteractive,
  type OfferedKey,
  passwords,
  publicKeys,
} from './server/authenticators.ts';
export { type Admission, authorizedKeys } from './server/authorized-keys.ts';
export { type Client, type Logger, Server, type ServerOptions } from './server/server.ts';
export { type Session, sessions } from './server/session.ts';
export { ChannelStream } from './server/streams.ts';
export { directTcpip } from './server/tcp.ts';
