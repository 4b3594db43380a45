// Algorithm negotiation (RFC 4253 §7.1), with the markers that ride in the kex list: ext-info (RFC 8308) and strict kex.
import { byName, type CryptoProvider } from '../../crypto/provider.ts';
import { Disconnect, ProtocolError, printable } from '../errors.ts';
import type { KEXINIT } from '../messages.ts';
import type { Fields } from '../wire/codec.ts';

export type KexInit = Fields<typeof KEXINIT.layout>;
export type Role = 'client' | 'server';

/** Names in the kex list that are no key exchanges. */
export const EXT_INFO_C = 'ext-info-c';
export const EXT_INFO_S = 'ext-info-s';
/** OpenSSH PROTOCOL §1.10: closes the Terrapin attack (CVE-2023-48795). Counts in the first KEXINIT of a connection only. */
export const STRICT_C = 'kex-strict-c-v00@openssh.com';
export const STRICT_S = 'kex-strict-s-v00@openssh.com';

/** An exchange that costs a server more is offered only if it is named, or if there is no other: diffie-hellman-group18 is 31. */
const MAX_WORK = 10;

/** Names of the key exchanges that `role` offers by default, best first. */
function exchanges({ kex }: CryptoProvider, role: Role): string[] {
  const some = role === 'client' ? kex : kex.filter(({ work = 0 }) => work <= MAX_WORK);
  return (some.length > 0 ? some : kex).map(({ name }) => name);
}

/** What was agreed for one direction; `mac` is undefined for AEAD ciphers. */
export interface Direction {
  cipher: string;
  mac: string | undefined;
  compression: string;
}
export interface Negotiated {
  kex: string;
  hostKey: string;
  clientToServer: Direction;
  serverToClient: Direction;
}

/** Our offer. `hostKeys` are the host key algorithms that we can use, `compression` the methods, best first. */
export function kexInit(
  provider: CryptoProvider,
  role: Role,
  hostKeys: readonly string[],
  compression: readonly string[],
  first: boolean,
  ciphers: readonly string[] = provider.ciphers.map(({ name }) => name),
  methods: readonly string[] = exchanges(provider, role),
): KexInit {
  const kex = [...methods];
  // The markers go last, so that no peer takes one for our preferred method, and into the first KEXINIT only: OpenSSH 7 sends EXT_INFO again for each EXT_INFO_C.
  if (first) kex.push(...(role === 'client' ? [EXT_INFO_C, STRICT_C] : [STRICT_S]));
  const macs = provider.macs.map(algorithm => algorithm.name);
  return {
    cookie: provider.random(new Uint8Array(16)),
    kex,
    hostKey: [...hostKeys],
    cipherClientToServer: [...ciphers],
    cipherServerToClient: [...ciphers],
    macClientToServer: macs,
    macServerToClient: macs,
    compressionClientToServer: [...compression],
    compressionServerToClient: [...compression],
    languageClientToServer: [],
    languageServerToClient: [],
    firstKexPacketFollows: false,
    reserved: 0,
  };
}

/**
 * The ciphers that a server offers a client whose own offer it has seen: those of `preferred`, if the client has one of
 * them for each direction, so that none is left to choose but those; all of the provider's if not.
 */
export function steer(provider: CryptoProvider, client: KexInit, preferred: readonly string[]): string[] {
  const all = provider.ciphers.map(({ name }) => name);
  const some = all.filter(name => preferred.includes(name));
  const has = (list: readonly string[]) => some.some(name => list.includes(name));
  return has(client.cipherClientToServer) && has(client.cipherServerToClient) ? some : all;
}

/** Takes the client's first choice that the server has, for each list. @throws ProtocolError KEY_EXCHANGE_FAILED that names the list without a common element. */
export function negotiate(provider: CryptoProvider, client: KexInit, server: KexInit): Negotiated {
  const direction = (way: 'ClientToServer' | 'ServerToClient'): Direction => {
    const cipher = pick('cipher', client[`cipher${way}`], server[`cipher${way}`]);
    const aead = provider.ciphers.find(algorithm => algorithm.name === cipher)?.aead;
    return {
      cipher,
      mac: aead ? undefined : pick('MAC', client[`mac${way}`], server[`mac${way}`]),
      compression: pick('compression', client[`compression${way}`], server[`compression${way}`]),
    };
  };
  return {
    // One side's marker in the other's list is no method in common (RFC 8308 §2.2).
    kex: pick('key exchange method', client.kex, server.kex, name => byName(provider.kex, name) !== undefined),
    hostKey: pick('host key algorithm', client.hostKey, server.hostKey),
    clientToServer: direction('ClientToServer'),
    serverToClient: direction('ServerToClient'),
  };
}

function pick(
  what: string,
  client: readonly string[],
  server: readonly string[],
  counts = (_name: string) => true,
): string {
  const name = client.find(candidate => server.includes(candidate) && counts(candidate));
  if (name !== undefined) return name;
  // Nothing can be agreed on.
  throw new ProtocolError(
    `no common ${what}: the client offers ${list(client)}, the server ${list(server)}`,
    Disconnect.KEY_EXCHANGE_FAILED,
  );
}

const list = (names: readonly string[]) => (names.length === 0 ? 'none' : printable(names.join(','), 400));

/** Whether the packet that follows `init` (firstKexPacketFollows) was built on a wrong guess and is to be ignored (RFC 4253 §7). */
export function guessedWrong(init: KexInit, other: KexInit): boolean {
  return init.firstKexPacketFollows && (init.kex[0] !== other.kex[0] || init.hostKey[0] !== other.hostKey[0]);
}
