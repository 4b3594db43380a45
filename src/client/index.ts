// The client half: what `cordboard/client` exports.
export type { AskedPassword, Credential, RemoteKey, Round } from '../protocol/userauth/client.ts';
export type { Prompt } from '../protocol/userauth/questions.ts';
export { streamSocket } from '../server/stream-socket.ts';
export { ChannelStream } from '../server/streams.ts';
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
export type { Endpoint, LocalListener } from './forwards.ts';
export {
  addKnownHost,
  type HostKeyCheck,
  type KnownHostsOptions,
  knownHosts,
  type NewHost,
  readKnownHosts,
} from './known-hosts.ts';
export { type RemoteCall, RemoteListener } from './remote-listeners.ts';
