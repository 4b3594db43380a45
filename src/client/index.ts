// The client half: what `cordboard/client` exports.
export type { Credential } from '../protocol/userauth/client.ts';
export { ClientConnection, type DialOptions, dial, type Finished } from './dial.ts';
