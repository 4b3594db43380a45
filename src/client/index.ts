// The client half: what `cordboard/client` exports.
export type { AskedPassword, Credential, RemoteKey, Round } from '../protocol/userauth/client.ts';
export type { Prompt } from '../protocol/userauth/server.ts';
export { ChannelStream, streamSocket } from '../server/streams.ts';
export { Agent, type AgentOptions } from './agent.ts';
export type { AgentKey, KeyConstraints } from './agent-messages.ts';
export { ClientConnection } from './client.ts';
export {
  type CommandOptions,
  type ExecOptions,
  type Exit,
  type Finished,
  type PtyOptions,
  RemoteCommand,
  type ShellOptions,
} from './command.ts';
export type { SignInOptions } from './credentials.ts';
export { DIAL_TIMES, type DialOptions, type DialTimes, dial } from './dial.ts';
export { type Endpoint, type LocalListener, type RemoteCall, RemoteListener } from './forwards.ts';
export {
  addKnownHost,
  type HostKeyCheck,
  type KnownHostsOptions,
  knownHosts,
  type NewHost,
  readKnownHosts,
} from './known-hosts.ts';
