// Bans and invitations, for all switchboards that share a directory: each keeps all of them in its own file, tells the others what changes, and catches up when it has been away.
import { reason } from '../../server/runtime/reason.ts';
import type { Logger } from '../../server/server.ts';
import { type Client, note, PAGE, PATIENCE, pages, within } from './redis.ts';
import type { Registry } from './registry.ts';
import { fieldOf, isNewer, isPast, KEEP, type Rule, type Seal } from './rules.ts';

/** A hash: what a rule is about → the rule. */
const RULES = 'cordboard:rules';
/** Is there once somebody uses the invitation. */
const redeemedKey = (hash: string) => `cordboard:redeemed:${hash}`;

export interface SharedRulesOptions {
  readonly commands: Client;
  readonly channel: string;
  readonly registry: Registry;
  readonly seal: Seal;
  readonly log: Logger;
  /** Somebody may have to go: others have made bans. */
  banned(): void;
}

export class SharedRules {
  readonly #options: SharedRulesOptions;

  constructor(options: SharedRulesOptions) {
    this.#options = options;
  }

  /** Tells the others. @throws if the directory is away; they are told when it is back */
  tell(rule: Rule): Promise<void> {
    return this.#write([rule]);
  }

  /** Something that another one has told, or we have. @throws Busy, at once */
  async hear(field: string, sealed: string): Promise<void> {
    const rule = this.#open(field, sealed);
    if (rule === undefined) this.#strange(1);
    else if ((await this.#options.registry.learn([rule])).length > 0 && 'ban' in rule) this.#options.banned();
  }

  /** Learns what others have, and tells them what they do not. @throws if the directory is away, Busy */
  async share(): Promise<void> {
    const { commands, registry, banned } = this.#options;
    const ours = new Map(registry.rules().map(rule => [fieldOf(rule), rule]));
    const learnt: Rule[] = [];
    let strange = 0;
    for await (const page of pages(commands, RULES)) {
      const past: string[] = [];
      const news: Rule[] = [];
      for (const [field, sealed] of page) {
        const rule = this.#open(field, sealed);
        const known = ours.get(field);
        if (rule === undefined) strange++;
        else if (isPast(rule, Date.now())) past.push(field);
        else if (known === undefined || isNewer(rule, known)) news.push(rule);
        if (rule !== undefined && (known === undefined || !isNewer(known, rule))) ours.delete(field);
      }
      learnt.push(...(await registry.learn(news)));
      if (past.length > 0) await within(PATIENCE, commands.hDel(RULES, past));
    }
    if (strange > 0) this.#strange(strange);
    if (learnt.some(rule => 'ban' in rule)) banned();
    const untold = [...ours.values()];
    for (let i = 0; i < untold.length; i += PAGE) await this.#write(untold.slice(i, i + PAGE));
  }

  /** Whether an invitation may be used now: of all switchboards, whoever asks first may. Without the directory nobody may. */
  async redeem(hash: string): Promise<boolean> {
    const { commands, log } = this.#options;
    try {
      const expiration = { type: 'PX', value: KEEP } as const;
      const set = commands.set(redeemedKey(hash), '1', { condition: 'NX', expiration });
      return (await within(PATIENCE, set)) !== null;
    } catch (error) {
      log.warn({ reason: reason(error) }, 'an invitation cannot be used while the directory is away');
      return false;
    }
  }

  /** It was not used after all. While the directory is away nobody can be told: then it stays as it is, which lets nobody in. */
  async giveBack(hash: string): Promise<void> {
    const { commands, log } = this.#options;
    await within(PATIENCE, commands.del(redeemedKey(hash))).catch((error: unknown) =>
      log.warn({ reason: reason(error) }, 'an invitation could not be given back'),
    );
  }

  async #write(rules: readonly Rule[]): Promise<void> {
    const { commands, channel, seal } = this.#options;
    const change = commands.multi();
    for (const rule of rules) {
      const [field, sealed] = [fieldOf(rule), seal.seal(rule)];
      change.hSet(RULES, field, sealed).publish(channel, note({ rule: field, sealed }));
    }
    await within(PATIENCE, change.exec());
  }

  #open(field: string, sealed: string): Rule | undefined {
    return this.#options.seal.open(field, sealed, Date.now());
  }

  #strange(count: number): void {
    const message =
      'bans or invitations in the directory are not from a switchboard with our alias_secret, and not heeded';
    this.#options.log.warn({ count }, message);
  }
}
