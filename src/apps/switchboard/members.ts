// Members: clients that have signed in, with all that the switchboard knows of them.
import { printable } from '../../protocol/errors.ts';
import type { Client } from '../../server/server.ts';
import type { Visitor } from './access.ts';
import type { Party } from './circuits.ts';
import { withoutCode } from './codes.ts';
import type { ClientInfo, LineInfo } from './events.ts';
import type { Grant } from './grants.ts';
import { type Line, lineKey, type Peer, type Provider } from './lines.ts';
import { hostName } from './names.ts';
import type { Quotas } from './quotas.ts';

export interface Member extends Peer, Party {
  readonly grant: Grant;
  /** What it signed in with. */
  readonly visitor: Visitor;
  readonly info: ClientInfo;
  /** Sessions that show the greeting, and hear what happens to the member's lines. */
  readonly greeted: Set<(text: string) => void>;
  /** It has plugged something in once: its names are settled. */
  named: boolean;
  /** Seconds without lines and circuits. */
  idle: number;
}

/** `place`: the process that the client is connected to; empty if there is only one. */
export function member(
  client: Client,
  visitor: Visitor,
  grant: Grant,
  alias: string,
  place: string,
  quotas: Quotas,
): Member {
  const { owner, given, allow, rights, fingerprint: key } = grant;
  const { address, port } = client;
  const id = place === '' ? String(client.id) : `${place}/${client.id}`;
  const name = nameOf(grant);
  const user = printable(withoutCode(grant.user));
  return {
    ...{ id, place, client, owner, name, alias, given, allow, address, grant, visitor, names: given, lines: [] },
    ...{ since: 0, doubted: false, named: false, idle: 0, greeted: new Set() },
    quotas: { ...quotas, ...grant.quotas },
    info: { id, address, port, user, name, alias, key, owner, rights, since: Date.now() },
  };
}

/** The host name: what the file says, or the user name. */
export const nameOf = ({ hostname, user }: Grant): string => hostname ?? hostName(user);

/** What all processes may know of it. */
export function publicly(peer: Peer): Provider {
  const { id, place, owner, name, alias, names, given, allow, address, since, doubted, lines } = peer;
  return { id, place, owner, name, alias, names, given, allow, address, since, doubted, lines: [...lines] };
}

export const lineInfo = ({ id, address, alias, names, doubted, since }: Provider, line: Line): LineInfo => ({
  ...{ provider: id, address, alias, names, doubted, since },
  line: lineKey(line),
});
