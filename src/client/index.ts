// The client half: what `cordboard/client` exports.
export type { Credential, RemoteKey } from '../protocol/userauth/client.ts';
export { Agent, type AgentOptions } from './agent.ts';
export type { AgentKey, KeyConstraints } from './agent-messages.ts';
export { ClientConnection, type DialOptions, dial, type Finished } from './dial.ts';
export {
  addKnownHost,
  type HostKeyCheck,
  type KnownHostsOptions,
  knownHosts,
  type NewHost,
  readKnownHosts,
} from './known-hosts.ts';
