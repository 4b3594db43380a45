// A worker: one of several processes that serve clients. It takes what it needs from the primary process, which started it, and ends with it.
import cluster from 'node:cluster';
import { rmdirSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { accelerated } from '../../crypto/accelerated.ts';
import { type KeyOption, parsePrivateKey } from '../../crypto/keys/index.ts';
import { detached } from '../../server/detached.ts';
import type { StartupLimits } from '../../server/index.ts';
import { reason } from '../../server/runtime/reason.ts';
import { MAX_CONNECTIONS } from '../../server/server.ts';
import { Access, type Keeper } from './access.ts';
import { answering } from './console/polls.ts';
import type { Snapshot } from './events.ts';
import { certified } from './host-certificates.ts';
import { Outbox } from './hub.ts';
import type { Answer, Question, Setup, ToPrimary, ToWorker } from './ipc.ts';
import { logger, surviveRejections } from './log.ts';
import { nodesFor } from './nodes.ts';
import { OtherNodes } from './other-nodes.ts';
import { Registry } from './registry.ts';
import { Serving } from './serving.ts';
import { stopOnSignals } from './signals.ts';
import { registryFile, StateError } from './state.ts';
import type { Counter, Thing, Wish } from './tally.ts';
import { Trunks } from './trunks.ts';

/** Serves until the primary process says to stop, or is gone. @throws StateError if nobody started it */
export async function work(): Promise<void> {
  if (process.send === undefined) throw new StateError('workers are started by `cordboard switchboard --workers` only');
  // The primary process is gone, and with it whoever could hear of errors.
  process.on('disconnect', () => process.exit());
  cluster.worker?.on('error', () => process.exit());
  process.once('message', (message: ToWorker) => {
    if ('setup' in message) serve(message.setup).catch(cannot);
  });
  say({ ready: true }).catch(cannot);
}

/** What the primary process is to tell the operator. */
async function cannot(error: unknown): Promise<void> {
  await say({ failed: error instanceof StateError ? error.message : `a worker cannot serve: ${reason(error)}` });
  process.exit(1);
}

/** Resolves when it is on its way, and the primary may be told more. */
const say = (message: ToPrimary): Promise<void> =>
  new Promise(resolve => process.send!(message, undefined, undefined, () => resolve()));

async function serve(setup: Setup): Promise<void> {
  // What is said while it opens its files is not lost: that another worker is up is said once.
  const early: ToWorker[] = [];
  let hear = (message: ToWorker): void => void early.push(message);
  process.on('message', (message: ToWorker) => hear(message));
  const { place, news, hints, workers } = setup;
  const { settings } = setup;
  const log = logger(settings.logLevel, settings.logFormat, place.worker);
  surviveRejections(log);
  const token = Buffer.from(setup.token, 'hex');
  const outbox = new Outbox(news => say({ news }), log);
  const tell = (message: ToPrimary) => detached(say(message), log, 'the primary process cannot be told');
  const primary = new Primary(tell);
  const registry = await Registry.open(registryFile(settings.data), Date.now, log);
  if (settings.directory !== undefined) registry.ruled = rule => tell({ rule });
  const { authorizedKeys: file, enrol, anyKey } = settings;
  const access = new Access({ ...{ file, enrol, anyKey, registry, log, keeper: primary }, provider: accelerated });
  const trunks = new Trunks({ path: place.path, token, log, arrive: open => switchboard.arrive(open) });
  const plainKeys = setup.hostKeys.map(text => parsePrivateKey(text));
  const hostKeys = certified(plainKeys, setup.certificates);
  const nodes = nodesFor(settings, hostKeys, log);
  const serving: Serving = new Serving(settings, {
    hostKeys,
    aliasSecret: Buffer.from(setup.aliasSecret, 'hex'),
    ...{ access, registry, hints, log },
    elsewhere: {
      here: place.id,
      counter: primary,
      spent: spent => tell({ spent }),
      changed: provider => outbox.put({ provider }),
      kick: (ids, reason) => tell({ kick: { ids, reason } }),
      recheck: () => tell({ recheck: true }),
      survey: () => primary.survey(),
      async trunk(place) {
        const to = switchboard.board.places.get(place);
        if (to === undefined) throw new Error('it is gone');
        return to.node && nodes ? nodes.to(to.node) : trunks.to(to);
      },
      ...(nodes && {
        nodes: new OtherNodes({ to: address => nodes.to(address), board: () => switchboard.board, log }),
        isNode: offer => nodes.isNode(offer),
        claim: (name, owner) => primary.claim(name, owner),
        async release(name) {
          if (!(await primary.release(name))) throw new Error('the directory is away');
        },
      }),
    },
    limits: {
      startups: shared(settings.maxStartups, workers),
      maxConnections: Math.ceil(MAX_CONNECTIONS / workers),
      penalised: (address, offence) => tell({ penalty: { address, offence } }),
    },
  });
  const { switchboard } = serving;
  for (const item of news) switchboard.board.learn(item);
  const answer = setup.watched ? answering(switchboard, setup.version, place.id, tell, log) : undefined;
  hear = message => {
    if ('news' in message) for (const item of message.news) switchboard.board.learn(item);
    else if ('answer' in message) primary.answered(message.answer, message.value);
    else if ('survey' in message) tell({ surveyed: message.survey, part: switchboard.snapshot() });
    else if ('recheck' in message) switchboard.recheckHere();
    else if ('appended' in message) access.heard(message.appended);
    else if ('penalty' in message) switchboard.server.penalise(message.penalty.address, message.penalty.offence);
    else if ('spent' in message) switchboard.charge(message.spent);
    else if ('kick' in message) switchboard.kickHere(message.kick.ids, message.kick.reason);
    else if ('poll' in message || 'note' in message) answer?.(message);
    else if ('apply' in message) serving.apply(message.apply);
    else if ('stop' in message) stop(message.stop);
  };
  process.on('exit', () => tidy(place.path));
  const stop = stopOnSignals(gracefully => serving.stop(gracefully));
  for (const message of early) hear(message);
  // The primary process says when.
  process.on('SIGHUP', () => {});
  await trunks.listen();
  const listening = await switchboard.listen(settings.host, setup.port, setup.sockets);
  hints.port = listening.port;
  tell({ listening });
}

/** MaxStartups of the whole switchboard, one worker's part: connections go to the workers in turn. */
function shared({ begin, rate, full }: StartupLimits, workers: number): StartupLimits {
  return { begin: Math.ceil(begin / workers), rate, full: Math.ceil(full / workers) };
}

/** The last one out takes the directory with it, in case the primary process could not. */
function tidy(path: string): void {
  try {
    unlinkSync(path);
    rmdirSync(dirname(path));
  } catch {
    // Others are still there, or somebody else has tidied up.
  }
}

/** The primary process as the one who keeps the file and counts. */
class Primary implements Keeper, Counter {
  readonly #tell: (message: ToPrimary) => void;
  readonly #asked = new Map<number, (value: Answer) => void>();
  #count = 0;

  constructor(tell: (message: ToPrimary) => void) {
    this.#tell = tell;
  }

  enrol(key: Uint8Array, user: string, address: string, options?: readonly KeyOption[]): Promise<boolean> {
    return this.#ask({ enrol: { key: Buffer.from(key).toString('base64'), user, address, options } });
  }

  count(key: string, counter: number): Promise<boolean> {
    return this.#ask({ count: { key, counter } });
  }

  async take(take: Thing, wishes: readonly Wish[]): Promise<string | undefined> {
    const full = await this.#ask<true | string>({ take, wishes });
    return full === true ? undefined : full;
  }

  give(give: Thing, owners: readonly string[]): void {
    this.#tell({ give, owners });
  }

  redeem(redeem: string): Promise<boolean> {
    return this.#ask({ redeem });
  }

  async giveBack(giveBack: string): Promise<void> {
    await this.#ask({ giveBack });
  }

  survey(): Promise<Snapshot> {
    return this.#ask({ survey: true });
  }

  claim(name: string, owner: string): Promise<boolean> {
    return this.#ask({ claim: { name, owner } });
  }

  release(name: string): Promise<boolean> {
    return this.#ask({ release: name });
  }

  answered(number: number, value: Answer): void {
    this.#asked.get(number)?.(value);
    this.#asked.delete(number);
  }

  #ask<T extends Answer>(question: Question): Promise<T> {
    const ask = this.#count++;
    this.#tell({ ask, question });
    return new Promise(resolve => this.#asked.set(ask, value => resolve(value as T)));
  }
}
