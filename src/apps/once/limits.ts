// All limits of `once` in one place, each with its reason. What can be set by an option says so.

/** Seconds from listening to a sign-in (`--timeout`): what the specification says. 0 is for ever. */
export const TIMEOUT = 600;
/** Seconds from connecting to a sign-in, for one client; sshd's LoginGraceTime. */
export const LOGIN_GRACE = 120;
/**
 * Connections that are not signed in (MaxStartups): ten times sshd's, because here nobody who has the key may be kept out by
 * those who have not. An idle one costs some 30 KiB.
 */
export const WAITING = { begin: 100, rate: 30, full: 1000 };
/** Failed tries of one connection after which it is closed; sshd's MaxAuthTries. */
export const TRIES = 6;
/**
 * Failed tries of all connections together after which the program gives up (`--max-failures`). More than one address alone
 * gets in ten minutes, some 700, because it is refused for a while after every 18.
 */
export const FAILURES = 1000;
/** Seconds from the sign-in until there is a session: who signs in has used up the one chance, and `ssh -N` asks for nothing. */
export const SESSION_START = 60;
/** Seconds that a program gets to end after SIGHUP, then once more when its terminal has been taken away, before SIGKILL. */
export const HANGUP_GRACE = 3;
/** Seconds that a client gets to be told why its session ends before its time. */
export const LAST_WORDS = 2;
/** Seconds that a client gets to leave by itself, when all has been said. */
export const FAREWELL = 5;
/** Characters of the announce command's standard error that are quoted, and of its output that are passed on. */
export const ANNOUNCE_OUTPUT = 8 * 1024;
/** Bytes of one entry of output in the transcript: what has come meanwhile goes into one, with one seal. */
export const ENTRY = 64 * 1024;
/**
 * Bytes of a transcript (`--max-transcript`), after which the session ends: two hundred thousand screens full, or ten seconds of `yes`.
 * Its beginning and its end, with the reason, are written in any case; they have a few MiB at most.
 */
export const MAX_TRANSCRIPT = 1024 * 1024 * 1024;
/** A file has no more than one part in so many of what is free on its disk when it begins: what else writes there shall go on. */
export const FREE_PART = 2;
/** The least that `--max-transcript` may be, and that there has to be room for. */
export const LEAST_TRANSCRIPT = 64 * 1024;
/** Notes that are kept until the transcript begins (failed tries, mostly); further ones are counted. */
export const EARLY_NOTES = 1000;
/** Requests of a session that are refused with a word on standard error; the transcript has all, and ends the session when it is full. */
export const REFUSALS = 100;
/** Characters of the last line of output that are looked at for a password prompt. */
export const PROMPT = 200;
/**
 * Bytes of a line of a transcript that is read. The longest that is written is an entry of ENTRY bytes, or a command (256 KiB, as long as
 * a packet is), of which each byte has become six.
 */
export const LINE = 4 * 1024 * 1024;
/** Bytes of a signature or a public key, which are read into memory whole. Ours have some 300. */
export const SMALL_FILE = 64 * 1024;
/** Characters of a switchboard's banner; its greeting has some 1000. */
export const BANNER = 64 * 1024;
/** Bytes of a session that a page shows: browsers keep all of it in memory, several times. */
export const SHOWN = 64 * 1024 * 1024;
/** What an event that has no bytes of its own counts for. */
export const SHOWN_EVENT = 64;
/** Moments that a page lists, and notes of what came before, and characters of one. */
export const SHOWN_MOMENTS = 1000;
export const SHOWN_LABEL = 2000;
/** Columns and rows of a page's screen; larger ones would let a transcript that was changed use up the browser's memory. */
export const SHOWN_SIDE = 1024;
