// Who may sign in and do what: an authorized_keys file, re-read when it changes, enrolment of keys it does not know, and bans.
import {
  fingerprint,
  isCertificate,
  type KeyOption,
  parseAuthorizedKeys,
  parseCertificate,
} from '../../crypto/keys/index.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { KeyFormatError, printable } from '../../protocol/errors.ts';
import type { Eventually } from '../../protocol/index.ts';
import { copied, judgeKey, type KeyPolicy } from '../../server/authorized-keys.ts';
import { faultFields } from '../../server/detached.ts';
import type { Logger } from '../../server/server.ts';
import { TokenCounters } from '../../server/token-counters.ts';
import { hashOf, withoutCode } from './codes.ts';
import { ENROLLED, EnrolmentRate, lineFor, MAX_ENROLLED } from './enrolment.ts';
import { StateError } from './files.ts';
import { denies, type Grant, grantOf, POLICY, prefer } from './grants.ts';
import { KeyFile } from './key-file.ts';
import { parseUser } from './names.ts';
import type { Registry } from './registry.ts';
import type { Invitation } from './rules.ts';
import type { Admitted, Appended, Keeper, Refused, Visitor } from './visitors.ts';

export type { Admitted, Appended, Keeper, Visitor } from './visitors.ts';

export interface AccessOptions {
  /** The authorized_keys file. It need not exist: then it holds no keys. */
  readonly file: string;
  /** Take in keys that the file does not know, with the rights to listen and to call. */
  readonly enrol: boolean;
  /** Let in any key that the file does not know, with the rights to listen, call and list, and note none of them down. */
  readonly anyKey?: boolean;
  /** Invitations and bans. */
  readonly registry?: Registry;
  /** Verifies the signatures of certificates' authorities. */
  readonly provider: CryptoProvider;
  readonly log: Logger;
  /** Another process that keeps for all; by default this one does. */
  readonly keeper?: Keeper;
  /** Hears of each line that is enrolled here, so that the other processes can keep up by `heard`. */
  readonly appended?: (appended: Appended) => void;
  /** Where several switchboards share a directory: whether an invitation, by the hash of its code, may be used here. Asked once it is. */
  readonly redeem?: (hash: string) => Promise<boolean>;
  /** Where they do: it was not used after all. */
  readonly giveBack?: (hash: string) => Promise<void>;
  /** Milliseconds since 1970, for `expiry-time`. */
  readonly now?: () => number;
}

export class Access implements Keeper {
  /** Whether keys that the file does not know are taken in; may change while it runs. */
  enrols: boolean;
  readonly #options: AccessOptions;
  readonly #keeper: Keeper;
  readonly #policy: KeyPolicy;
  readonly #now: () => number;
  readonly #file: KeyFile;
  readonly #rate: EnrolmentRate;
  readonly #counters = new TokenCounters();

  /** @throws StateError if the file is there and cannot be read */
  constructor(options: AccessOptions) {
    this.#options = options;
    this.enrols = options.enrol;
    this.#keeper = options.keeper ?? this;
    this.#policy = { ...POLICY, provider: options.provider, prefer };
    this.#now = options.now ?? Date.now;
    this.#rate = new EnrolmentRate(this.#now);
    this.#file = new KeyFile(options.file, options.log);
  }

  /** Keys that may sign in, from somewhere. */
  get size(): number {
    return this.#file.size;
  }

  /** Whether the file gives the name to some key: then no other can have it. */
  gives(name: string): boolean {
    this.#file.refresh();
    return this.#file.gives(name);
  }

  /**
   * Whether a signature by this key (or certificate) would be taken; undefined if a fault of ours keeps that from being known.
   * Changes nothing: whoever asks need not own the key.
   */
  acceptable(visitor: Visitor): boolean | undefined {
    return this.#orElse(visitor, undefined, () => {
      const verdict = this.#admissible(visitor);
      if (verdict === undefined) return this.#mayEnrol(visitor);
      return 'grant' in verdict || (verdict.fault ? undefined : false);
    });
  }

  /** Whether a line lets the key in without a touch of the security token that it is in. Changes nothing, as `acceptable`. */
  untouched(visitor: Visitor): boolean {
    return this.#orElse(visitor, false, () => {
      const verdict = this.#admissible(visitor);
      return verdict !== undefined && 'grant' in verdict && this.#known(visitor.key) && verdict.grant.untouched;
    });
  }

  /** The rights of a key whose owner has proved to be one, who is enrolled if that is on; or why he stays out. */
  async admit(visitor: Visitor): Promise<Admitted | Refused> {
    try {
      return await this.#admit(visitor);
    } catch (error) {
      this.#failed(visitor, error);
      return { refused: 'something failed here; it is in the log', fault: true };
    }
  }

  async #admit(visitor: Visitor): Promise<Admitted | Refused> {
    let verdict = this.#admissible(visitor);
    let enrolled: Admitted['enrolled'];
    if (verdict === undefined) {
      enrolled = await this.#letIn(visitor);
      if (enrolled !== undefined) verdict = this.#admissible(visitor);
    }
    if (verdict === undefined) return { refused: 'the key is not known' };
    if ('refused' in verdict) return verdict;
    const { grant } = verdict;
    const { presence } = visitor;
    if (presence === undefined || (await this.#keeper.count(grant.fingerprint, presence.counter))) {
      return { grant, enrolled };
    }
    const refused = copied('the key', presence);
    this.#options.log.warn(this.#fields(visitor), `sign-in refused: ${refused}`);
    return { refused };
  }

  /** Whether somebody who is in would still be let in: with the key, the name, the address and the host name that he came with. */
  stillGood(visitor: Visitor): boolean {
    return this.#orElse(visitor, true, () => {
      if (!this.#file.refresh()) return true; // who is in stays in, as long as nobody knows better
      const verdict = this.#admissible(visitor);
      return verdict !== undefined && 'grant' in verdict;
    });
  }

  /**
   * Whether somebody may be in, by the file and the bans as they are now: the one answer for who asks, who signs in, and who is in
   * already when something has changed. Undefined for a key that is not known.
   */
  #admissible(visitor: Visitor): { readonly grant: Grant } | Refused | undefined {
    if (!this.#file.refresh()) return { refused: 'the file of keys cannot be read', fault: true };
    if (this.#known(visitor.key)) return this.#judge(visitor);
    const banned = this.#banned(visitor);
    if (banned !== undefined) {
      this.#options.log.info(this.#fields(visitor), `sign-in refused: ${banned}`);
      return { refused: banned };
    }
    return this.#options.anyKey ? { grant: this.#anybody(visitor) } : undefined;
  }

  /** What fails here is for the log, and neither ends a sign-in with an exception nor lets anybody in. */
  #orElse<T>(visitor: Visitor, otherwise: T, body: () => T): T {
    try {
      return body();
    } catch (error) {
      this.#failed(visitor, error);
      return otherwise;
    }
  }

  #failed(visitor: Visitor, error: unknown): void {
    this.#options.log.error({ ...this.#fields(visitor), ...faultFields(error) }, 'a sign-in could not be judged');
  }

  enrol(key: Uint8Array, user: string, address: string, options?: readonly KeyOption[]): boolean {
    if (!this.#file.refresh()) return false;
    if (this.#known(key)) return true;
    if (options === undefined && !this.#mayEnrol({ key, user, address })) return false;
    if (this.#file.size >= MAX_ENROLLED) return false;
    try {
      const appended = this.#file.append(key, options ?? ENROLLED, user, address);
      this.#options.appended?.(appended);
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#options.log.error({ file: this.#options.file }, `a key cannot be enrolled: ${error.message}`);
      return false;
    }
    if (options === undefined) this.#rate.count(address);
    return true;
  }

  count(key: string, counter: number): boolean {
    return this.#counters.note(key, counter);
  }

  redeem(hash: string): Eventually<boolean> {
    return this.#options.redeem?.(hash) ?? true;
  }

  giveBack(hash: string): Eventually<void> {
    return this.#options.giveBack?.(hash);
  }

  /** Takes in a key that nobody knows: by the invitation that he brings, or because everybody may come. */
  async #letIn({ key, user: given, address }: Visitor): Promise<Admitted['enrolled']> {
    const { user, code } = parseUser(given);
    const by =
      code === undefined
        ? undefined
        : await this.#invited(code, options => this.#keeper.enrol(key, user, address, options));
    if (by !== undefined) return { by };
    return this.enrols && (await this.#keeper.enrol(key, user, address)) ? {} : undefined;
  }

  /**
   * Uses an invitation; of all who try at once, on whatever switchboard, one gets it. If the key could not be stored it is as good
   * as before. Returns who has invited.
   */
  async #invited(
    code: string,
    store: (options: readonly KeyOption[]) => Eventually<boolean>,
  ): Promise<string | undefined> {
    const { registry } = this.#options;
    if (registry?.invitation(code) === undefined || !(await this.#keeper.redeem(hashOf(code)))) return undefined;
    const giveBack = () => this.#keeper.giveBack(hashOf(code));
    let invitation: Invitation | undefined;
    try {
      invitation = await registry.redeem(code);
    } catch (error) {
      await giveBack();
      throw error;
    }
    if (invitation === undefined) return undefined;
    let stored = false;
    try {
      stored = await store(optionsOf(invitation));
    } finally {
      if (!stored) {
        await registry.giveBack(code, invitation);
        await giveBack();
      }
    }
    if (!stored) throw new StateError('the key of an invited guest could not be stored');
    registry.spent(code);
    return invitation.by;
  }

  #mayEnrol({ user, address }: Pick<Visitor, 'user' | 'address' | 'key'>): boolean {
    if (this.#file.size >= MAX_ENROLLED) return false;
    const { code } = parseUser(user);
    if (code !== undefined && this.#options.registry?.invitation(code) !== undefined) return true;
    return this.enrols && this.#rate.allows(address);
  }

  /** Any key, where all may come. */
  #anybody({ key, user, address }: Visitor): Grant {
    const { entries } = parseAuthorizedKeys(lineFor(key, [...ENROLLED, { name: 'access', value: 'list' }], ''));
    const verdict = judgeKey(entries, { key, user: parseUser(user).user, address, now: this.#now() }, this.#policy);
    if ('refused' in verdict) throw new Error(verdict.refused);
    return grantOf(verdict);
  }

  /** Certificates count as known: it is their authority that a line knows, and they are not enrolled. */
  #known(key: Uint8Array): boolean {
    return isCertificate(key) || this.#file.knows(fingerprint(key));
  }

  /** By the best line that lets the key in from there now; a line that denies it, or that cannot be used, wins over all. */
  #judge(visitor: Visitor): { readonly grant: Grant } | Refused {
    const { key, address, hostName, presence } = visitor;
    const { user } = parseUser(visitor.user);
    const ids = keysOf(key).map(fingerprint);
    const lines = [...new Set(ids)].flatMap(id => this.#file.entries(id));
    const verdict = ids.some(id => this.#file.refuses(id))
      ? { refused: 'the line of the key cannot be used' }
      : lines.some(denies)
        ? { refused: 'the key is denied' }
        : judgeKey(lines, { key, user, address, hostName, presence, now: this.#now() }, this.#policy);
    const grant = 'refused' in verdict ? undefined : grantOf(verdict);
    const refused =
      this.#banned(visitor, grant && [grant.owner]) ?? ('refused' in verdict ? verdict.refused : undefined);
    if (refused === undefined) return { grant: grant! };
    this.#options.log.info(this.#fields(visitor), `sign-in refused: ${refused}`);
    return { refused };
  }

  /** Why somebody is banned, if he is: by his key, by a network that he comes from, or as one of the `owners`. */
  #banned({ key, address }: Pick<Visitor, 'key' | 'address'>, owners: readonly string[] = []): string | undefined {
    const ban = this.#options.registry?.banned([...keysOf(key).map(fingerprint), ...owners], address);
    return ban && `${ban.subject} is banned by ${ban.by}${ban.reason === '' ? '' : `: ${ban.reason}`}`;
  }

  #fields({ key, user, address }: Visitor): object {
    return { user: printable(withoutCode(user)), address, key: fingerprint(key) };
  }

  /** See `KeyFile.heard`. */
  heard(appended: Appended): boolean {
    return this.#file.heard(appended);
  }
}

/** What an invitation gives, as options of a line. */
const optionsOf = ({ access, hostname }: Invitation): KeyOption[] => [
  ...access.map(value => ({ name: 'access', value })),
  ...(hostname === undefined ? [] : [{ name: 'hostname', value: hostname }]),
];

/** The keys that lines may be about: the key, or that in a certificate and its authority's. */
function keysOf(key: Uint8Array): Uint8Array[] {
  if (!isCertificate(key)) return [key];
  try {
    const certificate = parseCertificate(key);
    return [certificate.key.blob, certificate.signatureKey.blob];
  } catch (error) {
    if (error instanceof KeyFormatError) return [];
    throw error;
  }
}
