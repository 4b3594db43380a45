// The primary process of a switchboard with several workers: starts them, passes on what they tell each other, does for all what only one may do, serves nobody.
import cluster, { type Worker } from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { detached, faultFields } from '../../server/detached.ts';
import type { Logger } from '../../server/server.ts';
import type { Access, Appended } from './access.ts';
import { Polls } from './console/polls.ts';
import type { Directory } from './directory.ts';
import type { Snapshot } from './events.ts';
import type { Hub } from './hub.ts';
import type { Answer, Question, Setup, ToPrimary, ToWorker } from './ipc.ts';
import type { News, Place } from './lines.ts';
import type { Settings } from './settings.ts';
import { parseNews } from './shapes.ts';
import { StateError, socketDirectory } from './state.ts';
import { Surveys, together } from './surveys.ts';
import { Tally } from './tally.ts';

/** The subcommand that a worker runs. */
export const WORKER_COMMAND = 'switchboard-worker';
/** Milliseconds before a worker that died is started again; doubled each time it dies soon, up to the second. */
const RESTART_AFTER = 100;
const RESTART_AT_MOST = 30_000;
/** A worker that lived for so many milliseconds did not die soon. */
const LIVED = 60_000;
/** Milliseconds for a worker to say goodbye to its clients, of whom each gets five seconds, once circuits have had their time. */
const GOODBYE = 10_000;
/** Messages that a worker may have unread before it is told of no more penalties and rates. It hangs, and memory is not for those. */
const MAX_UNREAD = 1000;

export interface WorkersOptions {
  readonly count: number;
  /** What all workers are told. */
  readonly common: Omit<Setup, 'place' | 'token' | 'workers' | 'news' | 'port'>;
  readonly access: Access;
  readonly hub: Hub;
  /** Shared with other switchboards, if it is. */
  readonly directory?: Directory;
  readonly log: Logger;
}

/** One worker that runs. */
interface Running {
  readonly child: Worker;
  readonly place: Place & { readonly path: string };
  /** Resolves when the worker has taken it, or is gone. */
  send(message: ToWorker): Promise<void>;
  /** The same, for those who do not wait for that. */
  tell(message: ToWorker): void;
  unread: number;
  serves: boolean;
}

export class Workers {
  /** How the console sees them. */
  readonly polls = new Polls(() => this.#serving());
  readonly #options: WorkersOptions;
  #settings: Settings;
  readonly #surveys = new Surveys<Snapshot>();
  readonly #tally = new Tally();
  readonly #running = new Map<number, Running>();
  readonly #token = randomBytes(32).toString('hex');
  /** For their Unix sockets; only this user may enter it. */
  readonly #directory = socketDirectory();
  /** Where they listen, once the first of them does. */
  #address: { host: string; port: number } | undefined;
  #stopping = false;
  #started!: () => void;
  #failed!: (error: Error) => void;
  readonly #starting = new Promise<void>((resolve, reject) => {
    this.#started = resolve;
    this.#failed = reject;
  });

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#settings = options.common.settings;
    process.on('exit', () => rmSync(this.#directory, { recursive: true, force: true }));
  }

  /** Resolves to where they listen, when all of them do. @throws StateError if one cannot */
  async start(): Promise<{ host: string; port: number }> {
    cluster.setupPrimary({ args: [WORKER_COMMAND] });
    for (let worker = 1; worker <= this.#options.count; worker++) this.#fork(worker, 0);
    await this.#starting;
    return this.#address!;
  }

  /** Tells them to say goodbye to their clients; resolves when all have ended. */
  async stop(gracefully: boolean): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      Array.from(this.#running.values(), ({ child, tell }) => {
        tell({ stop: gracefully });
        const patience = GOODBYE + (gracefully ? this.#settings.drain * 1000 : 0);
        const timer = setTimeout(() => child.process.kill('SIGKILL'), patience);
        return new Promise<void>(resolve =>
          child.once('exit', () => {
            clearTimeout(timer);
            resolve();
          }),
        );
      }),
    );
  }

  /** What may change while they run. */
  apply(settings: Settings): void {
    this.#settings = settings;
    for (const { tell } of this.#running.values()) tell({ apply: settings });
  }

  /** Connections of those who would not be let in any more are to end. */
  recheck(): void {
    for (const { tell } of this.#running.values()) tell({ recheck: true });
  }

  /** A line of the authorized_keys file that all must know. */
  appended(appended: Appended): void {
    for (const { tell } of this.#running.values()) tell({ appended });
  }

  /** `deaths`: how often in a row it has died soon. */
  #fork(worker: number, deaths: number): void {
    const id = randomBytes(8).toString('hex');
    const place = { id, worker, path: join(this.#directory, id) };
    const child = cluster.fork();
    const running: Running = {
      child,
      place,
      unread: 0,
      serves: false,
      send: message => {
        running.unread++;
        return new Promise(resolve =>
          child.send(message, undefined, () => {
            running.unread--;
            resolve();
          }),
        );
      },
      tell: message => detached(running.send(message), this.#options.log, 'a worker cannot be told', { worker }),
    };
    this.#running.set(worker, running);
    child.on('message', (message: ToPrimary) => this.#hear(running, message));
    child.on('error', error => this.#options.log.error({ worker, error: String(error) }, 'a worker cannot be told'));
    const began = performance.now();
    child.once('exit', (code, signal) => {
      this.#options.hub.down(id);
      this.#surveys.gone(id);
      this.#tally.gone(id);
      this.#running.delete(worker);
      this.polls.gone(id);
      if (this.#stopping) return;
      const how = signal ? `by ${signal}` : `with status ${code}`;
      this.#failed(new StateError(`worker ${worker} ended ${how} before all could serve`));
      const soon = performance.now() - began < LIVED;
      const after = soon ? Math.min(RESTART_AT_MOST, RESTART_AFTER * 2 ** deaths) : RESTART_AFTER;
      this.#options.log.error({ worker, code, signal, after }, `worker ${worker} ended ${how}; another one starts`);
      setTimeout(() => this.#stopping || this.#fork(worker, soon ? deaths + 1 : 0), after);
    });
  }

  #setUp({ place, send, tell }: Running): void {
    const { common, count: workers } = this.#options;
    const news = this.#options.hub.join(place.id, news => send({ news }));
    // Port 0 is the same port for all that share it; when all have died, it would be another one.
    const nobody = [...this.#running.values()].every(({ serves }) => !serves);
    const { port: wanted } = this.#settings;
    const port = nobody ? (this.#address?.port ?? wanted) : wanted;
    tell({ setup: { ...common, settings: this.#settings, place, token: this.#token, workers, port, news } });
  }

  #hear(running: Running, message: ToPrimary): void {
    const { place } = running;
    const { count, log } = this.#options;
    // The last words of one that has died would leave something behind that nobody takes away.
    if (this.#running.get(place.worker) !== running) return;
    if ('ready' in message) this.#setUp(running);
    else if ('news' in message) this.#options.hub.hear(place.id, checked(message.news));
    else if ('ask' in message) this.#answer(running, message.ask, message.question);
    else if ('surveyed' in message) this.#surveys.hear(place.id, message.surveyed, message.part);
    else if ('recheck' in message) this.#others(running, { recheck: true });
    else if ('rule' in message) this.#options.directory?.rule(message.rule);
    else if ('kick' in message) this.#others(running, { kick: message.kick });
    else if ('penalty' in message || 'spent' in message) this.#mention(running, message);
    else if ('give' in message) this.#tally.give(place.id, message.give, message.owners);
    else if ('polled' in message || 'stirred' in message) this.polls.hear(place.id, message);
    else if ('failed' in message) {
      log.error({ worker: place.worker }, message.failed);
      this.#failed(new StateError(message.failed));
    } else {
      running.serves = true;
      this.#address ??= message.listening;
      this.#options.hub.up(place);
      log.info({ worker: place.worker, pid: running.child.process.pid }, `worker ${place.worker} serves`);
      const all = [...this.#running.values()];
      if (all.length === count && all.every(({ serves }) => serves)) this.#started();
    }
  }

  /** What fails is answered with "no". */
  #answer({ place, tell }: Running, answer: number, question: Question): void {
    const failed = (error: unknown) => {
      this.#options.log.error(faultFields(error), 'the primary process cannot answer a worker');
      tell({ answer, value: false });
    };
    this.#reply(place, question).then(value => tell({ answer, value }), failed);
  }

  async #reply(place: Place, question: Question): Promise<Answer> {
    if ('survey' in question) return this.#survey();
    if ('take' in question) return this.#tally.take(place.id, question.take, question.wishes) ?? true;
    return this.#decide(question);
  }

  async #survey(): Promise<Snapshot> {
    const asked = this.#serving().map(({ id, tell }) => ({ id, ask: (survey: number) => tell({ survey }) }));
    return together([...(await this.#surveys.take(asked)).values()]);
  }

  async #decide(question: Exclude<Question, { survey: true } | { take: unknown }>): Promise<boolean> {
    const { access, directory } = this.#options;
    if ('count' in question) return access.count(question.count.key, question.count.counter);
    if ('claim' in question) return directory?.claim(question.claim.name, question.claim.owner) ?? false;
    if ('redeem' in question) return access.redeem(question.redeem);
    if ('giveBack' in question) {
      await access.giveBack(question.giveBack);
      return true;
    }
    if ('release' in question) {
      await directory?.release(question.release);
      return true;
    }
    const { key, user, address, options } = question.enrol;
    return access.enrol(Buffer.from(key, 'base64'), user, address, options);
  }

  #serving() {
    const all = [...this.#running.values()].filter(({ serves }) => serves);
    return all.map(({ place: { id }, tell }) => ({ id, tell }));
  }

  #others(from: Running, message: ToWorker): void {
    for (const running of this.#running.values()) if (running !== from) running.tell(message);
  }

  /** What others need not know. */
  #mention(from: Running, message: ToWorker): void {
    for (const running of this.#running.values()) {
      if (running !== from && running.unread < MAX_UNREAD) running.tell(message);
    }
  }
}

/** What a worker says goes to all others, and to other nodes: what would not be taken there is not passed on. */
const checked = (news: readonly News[]): News[] => {
  const now = Date.now();
  return news.flatMap(item => parseNews(item, now) ?? []);
};
