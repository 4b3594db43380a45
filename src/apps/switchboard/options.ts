// What a switchboard is made with: keys, files and rules, and the way to other processes where there are several.
import type { CryptoProvider, PrivateKey } from '../../crypto/provider.ts';
import type { Mux } from '../../protocol/index.ts';
import type { OfferedKey } from '../../server/authenticators.ts';
import type { Times } from '../../server/drive.ts';
import type { Logger, ServerOptions } from '../../server/server.ts';
import type { Access } from './access.ts';
import type { Spent } from './circuits.ts';
import type { Snapshot } from './events.ts';
import type { Hints } from './greeting.ts';
import type { Provider } from './lines.ts';
import type { OtherNodes } from './other-nodes.ts';
import type { Quotas } from './quotas.ts';
import type { Registry } from './registry.ts';
import type { Counter } from './tally.ts';

/** The other processes of a switchboard that has several. */
export interface Elsewhere {
  /** The name of this one among all: the `id` of its Place. */
  readonly here: string;
  /** Tells the others what a provider's lines are now. */
  changed(provider: Provider): void;
  /** The way to another place. @throws if there is none any more */
  trunk(place: string): Promise<Mux>;
  /** Ends connections of others. */
  kick(ids: readonly string[], reason: string): void;
  /** Ends connections of others that would not be let in any more. */
  recheck(): void;
  /** What there is in all of them, this one included. */
  survey(): Promise<Snapshot>;
  /** Where several switchboards share a directory: the others. */
  readonly nodes?: OtherNodes;
  /** Who counts for all of them. */
  readonly counter: Counter;
  /** Tells the others what owners with a rate have had here; what those say is for `Switchboard.charge`. */
  spent?(spent: readonly Spent[]): void;
  /** Where several switchboards share a directory: whether a name that may be claimed is the owner's there. */
  claim?(name: string, owner: string): Promise<boolean>;
  /** Where they do: makes a name nobody's. @throws if that cannot be done now */
  release?(name: string): Promise<void>;
  /** Where they do: whether it is one of them that wants to sign in. */
  isNode?(offer: OfferedKey): boolean;
}

/** Where a switchboard listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What may change while it runs. */
export interface Policy {
  readonly quotas: Quotas;
  /** Whether there is a prompt, and whether there are terminals. */
  readonly shell: boolean;
  readonly pty: boolean;
}

export interface SwitchboardOptions {
  readonly provider: CryptoProvider;
  readonly hostKeys: readonly PrivateKey[];
  /** Aliases are derived with it; 32 bytes. */
  readonly aliasSecret: Uint8Array;
  readonly access: Access;
  readonly registry: Registry;
  /** What printed commands say: the server's name and port as clients reach it. */
  readonly hints: Hints;
  readonly log: Logger;
  readonly policy: Policy;
  /** See BoardOptions; the first of them follows from whether keys are enrolled, and may change with that. */
  readonly publicNames: boolean;
  readonly balance: boolean;
  /** The verified host name of an address, for `from=`; without it there is none. */
  hostNameOf?(address: string): Promise<string | undefined>;
  /** Without it this is the only process. */
  readonly elsewhere?: Elsewhere;
  /** What else the server is to keep to. */
  readonly limits?: Pick<ServerOptions, 'startups' | 'maxConnections' | 'penalised' | 'proxies'>;
  readonly times?: Partial<Times>;
  readonly rekeyBytes?: number;
}
