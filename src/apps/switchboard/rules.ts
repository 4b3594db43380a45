// Rules: bans and invitations, as all switchboards that share a directory are told of them. Of two that are about the same thing one is newer, everywhere the same one.
import { createHmac } from 'node:crypto';
import { equalBytes } from '../../protocol/index.ts';
import { isBetween, isObject, isRight, isText, SKEW } from './fields.ts';
import { isMoment } from './measures.ts';
import { isName, isShown } from './names.ts';
import { parseSubject } from './subjects.ts';

/** Somebody, or some place, that stays out. */
export interface Ban {
  /** A key's fingerprint, an owner, an address or a network. */
  readonly subject: string;
  /** Milliseconds since 1970; undefined is for ever. One that is lifted ended before that: see `over`. */
  readonly until?: number;
  readonly reason: string;
  readonly by: string;
  readonly made: number;
}

/** What an invitation gives to the key that is the first to come with its code. */
export interface Invitation {
  /** The values of `access=`. */
  readonly access: readonly string[];
  /** The value of `hostname=`, if it has one. */
  readonly hostname?: string;
  /** Milliseconds since 1970. One that has been used or withdrawn ended before that: see `over`. */
  readonly expires: number;
  /** Who made it. */
  readonly by: string;
}

/** `hash`: of the code, which nobody keeps. */
export type Rule = { readonly ban: Ban } | { readonly invitation: Invitation & { readonly hash: string } };

/** Milliseconds that what is over is remembered: longer than an invitation may last, so that none comes back once it has been used. */
export const KEEP = 30 * 86_400_000 + 2 * SKEW;
/** When something ends that is to be over now, by every clock. */
export const over = (now: number): number => now - SKEW;
/** Characters of one that somebody else has written. */
const MAX_TEXT = 4096;

/** What it is about. */
export const fieldOf = (rule: Rule): string =>
  'ban' in rule ? `ban ${rule.ban.subject}` : `invitation ${rule.invitation.hash}`;

/** Whether it has been over for so long that it may be forgotten. */
export const isPast = (rule: Rule, now: number): boolean => endOf(rule) <= now - KEEP;

const endOf = (rule: Rule): number =>
  'ban' in rule ? (rule.ban.until ?? Number.POSITIVE_INFINITY) : rule.invitation.expires;

/** A ban is newer by when it was made; an invitation never changes but that it ends. */
export function isNewer(rule: Rule, known: Rule): boolean {
  if (!('ban' in rule && 'ban' in known)) return endOf(rule) < endOf(known);
  const order = rule.ban.made - known.ban.made || compare(endOf(rule), endOf(known));
  // Made in the same millisecond, by two switchboards: whichever, but everywhere the same.
  return (order || compare(wordsOf(rule.ban), wordsOf(known.ban))) > 0;
}

const compare = <T extends number | string>(a: T, b: T): number => Number(a > b) - Number(a < b);
const wordsOf = ({ reason, by }: Ban): string => JSON.stringify([reason, by]);

/**
 * Rules as they lie in the directory: with a proof that a switchboard with our secret has written them, because an invitation lets
 * somebody in.
 */
export class Seal {
  readonly #secret: Uint8Array;

  /** `secret` is that of aliases. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  seal(rule: Rule): string {
    const text = JSON.stringify(rule);
    return `${this.#proof(text).toString('base64')} ${text}`;
  }

  /** Undefined if it makes no sense, or comes from somebody else. */
  open(field: string, sealed: string, now: number): Rule | undefined {
    const at = sealed.indexOf(' ');
    if (sealed.length > MAX_TEXT || at < 0) return undefined;
    const text = sealed.slice(at + 1);
    if (!equalBytes(Buffer.from(sealed.slice(0, at), 'base64'), this.#proof(text))) return undefined;
    const rule: unknown = JSON.parse(text);
    return isRule(rule, now) && fieldOf(rule) === field ? rule : undefined;
  }

  #proof(text: string): Buffer {
    // Nothing else that the secret is used for begins like this.
    return createHmac('sha256', this.#secret).update(`cordboard rule\n${text}`).digest();
  }
}

function isRule(value: unknown, now: number): value is Rule {
  if (!isObject(value)) return false;
  if (isObject(value.ban)) {
    const { subject, until, reason, by, made } = value.ban;
    if (!isText(subject) || parseSubject(subject) !== subject || !isShown(reason) || !isShown(by)) return false;
    return isBetween(made, 0, now + SKEW) && (until === undefined || isMoment(until));
  }
  if (!isObject(value.invitation)) return false;
  const { hash, access, hostname, expires, by } = value.invitation;
  if (!isText(hash) || !/^[0-9a-f]{64}$/.test(hash) || !isShown(by)) return false;
  if (!isMoment(expires) || expires > now + KEEP || !Array.isArray(access)) return false;
  return access.length > 0 && access.every(isRight) && (hostname === undefined || isHostName(hostname));
}

const isHostName = (value: unknown): boolean => isText(value) && isName(value);
