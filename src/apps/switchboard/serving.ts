// A switchboard with all that belongs to it, in one process: the log and audit of what happens, its clock, how it ends, and what may change while it runs.
import type pino from 'pino';
import { accelerated } from '../../crypto/accelerated.ts';
import type { PrivateKey } from '../../crypto/provider.ts';
import { faultsLogged } from '../../server/detached.ts';
import type { Access } from './access.ts';
import { Switchboard } from './app.ts';
import { Audit } from './audit.ts';
import type { Hints } from './greeting.ts';
import { HostNames } from './hostnames.ts';
import { journal } from './journal.ts';
import type { Elsewhere, SwitchboardOptions } from './options.ts';
import type { Registry } from './registry.ts';
import { type Settings, timesFor } from './settings.ts';
import { StateError } from './state.ts';

export interface ServingOptions {
  readonly hostKeys: readonly PrivateKey[];
  readonly aliasSecret: Uint8Array;
  readonly access: Access;
  readonly registry: Registry;
  readonly hints: Hints;
  readonly log: pino.Logger;
  readonly elsewhere?: Elsewhere;
  readonly limits?: SwitchboardOptions['limits'];
}

export class Serving {
  readonly switchboard: Switchboard;
  readonly #options: ServingOptions;
  readonly #audit: Audit | undefined;
  #drain: number;

  /** @throws StateError if the audit cannot be written */
  constructor(settings: Settings, options: ServingOptions) {
    this.#options = options;
    this.#drain = settings.drain;
    const { useDns, publicNames, balance, deadAfter, loginGrace, maxStartups, proxyProtocol: proxies } = settings;
    const names = useDns ? new HostNames() : undefined;
    this.switchboard = new Switchboard({
      ...options,
      limits: { startups: maxStartups, proxies, ...options.limits },
      ...{
        publicNames,
        balance,
        provider: accelerated,
        policy: settings,
        times: { ...timesFor(deadAfter), loginGrace },
      },
      ...(names && { hostNameOf: address => names.of(address) }),
    });
    journal(this.switchboard, options.log);
    if (settings.audit !== undefined) this.#audit = new Audit(settings.audit, this.switchboard, options.log);
    const tick = faultsLogged(() => this.switchboard.tick(), options.log, 'a second could not be counted');
    setInterval(tick, 1000).unref();
  }

  /** Takes up what may change, and sends away whoever would not be let in any more. */
  apply(settings: Settings): void {
    const { access, hints, log } = this.#options;
    log.level = settings.logLevel;
    hints.host = settings.shownHost;
    access.enrols = settings.enrol;
    // Where strangers may come, plain names are not for everybody.
    this.switchboard.board.publicNames = settings.publicNames;
    this.switchboard.policy = settings;
    this.#drain = settings.drain;
    try {
      this.#audit?.reopen();
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      log.error({}, `${error.message}; the old file is still written to`);
    }
    this.switchboard.recheckHere();
  }

  /** `gracefully`: circuits may end first. */
  async stop(gracefully: boolean): Promise<void> {
    await this.switchboard.stop(gracefully ? this.#drain : 0);
    this.#options.registry.close();
  }
}
