// What the processes of a switchboard with several workers say to each other, as JSON over Node's own channel between parent and child.
import type { KeyOption } from '../../crypto/keys/index.ts';
import type { Offence } from '../../server/index.ts';
import type { Appended } from './access.ts';
import type { Spent } from './circuits.ts';
import type { PollPrimary, PollWorker } from './console/polls.ts';
import type { Snapshot } from './events.ts';
import type { Hints } from './greeting.ts';
import type { News, Place } from './lines.ts';
import type { Address } from './options.ts';
import type { Rule } from './rules.ts';
import type { Settings } from './settings.ts';
import type { Thing, Wish } from './tally.ts';

/** All that a worker needs, so that it opens no file but the keys that may sign in, and no worker differs from another that started earlier. */
export interface Setup {
  /** What it is among the others; it listens on the Unix socket for calls from them, who know the token (hexadecimal). */
  readonly place: Place & { readonly path: string };
  readonly token: string;
  readonly workers: number;
  readonly settings: Settings;
  /** Of the program. */
  readonly version: string;
  /** Listening sockets that the primary process was given, in place of host and port; numbers are its own. */
  readonly sockets: readonly number[];
  /** There is a console that will ask. */
  readonly watched: boolean;
  /** In place of the one in the settings, if that is 0. */
  readonly port: number;
  /** Private keys in OpenSSH's format. */
  readonly hostKeys: readonly string[];
  /** Of some of them; lines of `.pub` files. */
  readonly certificates: readonly string[];
  /** Hexadecimal. */
  readonly aliasSecret: string;
  readonly hints: Hints;
  /** What there is to know of the others. */
  readonly news: readonly News[];
}

/** What only the primary process may do; the answer has the same number. Keys are in base64. */
export type Question =
  | {
      readonly enrol: {
        readonly key: string;
        readonly user: string;
        readonly address: string;
        readonly options?: readonly KeyOption[];
      };
    }
  | { readonly count: { readonly key: string; readonly counter: number } }
  /** What there is in all workers: the answer is a Snapshot. */
  | { readonly survey: true }
  /** See `Counter`: the answer is who has too many, or true. */
  | { readonly take: Thing; readonly wishes: readonly Wish[] }
  | { readonly claim: { readonly name: string; readonly owner: string } }
  | { readonly release: string }
  | { readonly redeem: string }
  | { readonly giveBack: string };

export interface Penalty {
  readonly address: string;
  readonly offence: Offence;
}

/** Connections that are to end, wherever they are. */
export interface Kick {
  readonly ids: readonly string[];
  readonly reason: string;
}

/** What the primary process answers. */
export type Answer = boolean | string | Snapshot;

export type ToWorker =
  | { readonly setup: Setup }
  | { readonly news: readonly News[] }
  | { readonly answer: number; readonly value: Answer }
  | { readonly survey: number }
  /** Connections of those who would not be let in any more are to end. */
  | { readonly recheck: true }
  | { readonly appended: Appended }
  | { readonly penalty: Penalty }
  | { readonly spent: readonly Spent[] }
  | { readonly kick: Kick }
  | PollWorker
  | { readonly apply: Settings }
  /** `stop`: gracefully, or not. */
  | { readonly stop: boolean };

export type ToPrimary =
  /** It listens to what it is told: a message that comes earlier is lost to whatever was loaded before the program. */
  | { readonly ready: true }
  /** It serves. */
  | { readonly listening: Address }
  /** It cannot, for this reason. */
  | { readonly failed: string }
  | { readonly news: readonly News[] }
  | { readonly ask: number; readonly question: Question }
  | { readonly surveyed: number; readonly part: Snapshot }
  | { readonly recheck: true }
  | { readonly penalty: Penalty }
  | { readonly give: Thing; readonly owners: readonly string[] }
  | { readonly spent: readonly Spent[] }
  | { readonly kick: Kick }
  /** A ban or an invitation is made, or over. */
  | { readonly rule: Rule }
  | PollPrimary;
