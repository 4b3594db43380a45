// All the I/O there is: moves bytes between a Connection and a socket, one write per tick, and keeps its clock.
import { answersAtOnce, takesNewKeys } from '../protocol/compat.ts';
import type { Connection } from '../protocol/connection.ts';
import { Disconnect } from '../protocol/errors.ts';
import type { Progress, Socket } from './runtime/net.ts';

/** Bytes that may wait in a socket before what feeds it counts as congested: a megabyte keeps a fast path busy between two turns of the loop. */
export const SOCKET_MARK = 1024 * 1024;
/** Bytes that are worth a write of their own while the socket has something yet; less is gathered until that has gone. */
const WORTH = 64 * 1024;
/** Seconds that a peer gets to read our last words. */
const LINGER = 5;

/** Milliseconds that a client has to make its offer before we make ours (see `Transport.waitsToOffer`): stock clients send it at once. */
const OFFER_AFTER = 300;

/**
 * What has been sent again or asked so often by the system, in a row, is not under way: the peer is not there. Once may be a
 * packet that was lost, or a probe that has just left.
 */
const DEAF = 2;

/** Times in seconds; 0 switches one off. */
export interface Times {
  /** From connecting to being signed in (OpenSSH's LoginGraceTime). */
  readonly loginGrace: number;
  /** Silence after which the peer is asked whether it lives. */
  readonly keepaliveInterval: number;
  /**
   * Unanswered questions after which it counts as dead. One that has never answered any is judged by its system instead, which
   * acknowledges what it is sent, and is dead when that has not been so for as long.
   */
  readonly keepaliveCount: number;
  /** Age of the keys at which new ones are exchanged (RFC 4253 §9). */
  readonly rekeyAfter: number;
  /** How long a key re-exchange may take: everything waits for it, so a peer that leaves it unfinished is of no use. */
  readonly exchange: number;
}

/** What holds unless something else is said. */
export const TIMES: Times = {
  loginGrace: 120,
  keepaliveInterval: 15,
  keepaliveCount: 3,
  rekeyAfter: 3600,
  exchange: 60,
};

/** One connection's I/O. Whoever owns it calls `tick` each second, until that is true. */
export class Driver {
  /** Its socket; nobody else may read or write it. */
  readonly socket: Socket;
  /** The peer took longer to sign in than it may. */
  graceOver = false;
  /** Resolves when the socket is closed, and the connection has heard of it. */
  readonly closed: Promise<void>;
  readonly #times: Times;
  #connection!: Connection;
  #scheduled = false;
  #reading = true;
  /** Something came since the last tick. */
  #heard = false;
  /** Seconds: since the start, of silence, since the last exchange of keys, since the end. */
  #age = 0;
  #quiet = 0;
  #keyAge = 0;
  /** Seconds that the key exchange under way has taken. */
  #exchanging = 0;
  #exchanges = 0;
  #lingered = 0;
  /** Intervals of silence without any sign of life. */
  #unanswered = 0;
  /** Questions of ours that are not answered, however long ago they were asked; `keepaliveCount` at most. */
  #questions = 0;
  /** It answers questions, so silence means something. */
  #answers = false;
  /** It has let all our questions go by, and lives: it is asked no more. */
  #mute = false;
  /** When it was last asked whether it lives. */
  #progress: Progress | undefined;
  #destroyed = false;
  /** When the last words of the sign-in left that want an answer, in milliseconds; 0 if none do. */
  #asked = 0;
  readonly #flush = () => this.flush();
  #over!: () => void;

  constructor(socket: Socket, times: Times = TIMES) {
    this.socket = socket;
    this.#times = times;
    this.closed = new Promise(resolve => (this.#over = resolve));
  }

  /** Connects the two; from now on the socket's life is the connection's. */
  start(connection: Connection): void {
    this.#connection = connection;
    this.socket.start({
      borrows: true,
      // hot
      data: (chunk, lent) => {
        this.#heard = true;
        if (this.#asked > 0) this.#measure();
        connection.receive(chunk, lent);
        // Once it is over everything is read, and dropped: see `flush`.
        if (connection.paused && !connection.closed) this.#read(false);
      },
      end: () => connection.receiveEnd(),
      drain: this.#flush,
      close: error => {
        this.#destroyed = true;
        connection.receiveEnd(error);
        this.#over();
      },
    });
    connection.start();
    if (connection.transport.waitsToOffer) setTimeout(() => connection.offer(), OFFER_AFTER).unref();
  }

  /** The connection has output: it leaves at the end of this tick, together with what else comes up. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  /** // hot — Writes what there is, in one go, and tells the connection how the socket does. */
  flush(): void {
    this.#scheduled = false;
    const connection = this.#connection;
    const { pending } = this.socket;
    // In a socket each chunk costs some hundred bytes more than it has; in the connection small ones are gathered, and counted.
    const chunks = connection.takeOutput(
      pending === 0 || connection.closed ? 0 : pending > SOCKET_MARK ? Infinity : WORTH,
    );
    // Behind what waits already, a small frame would keep alive the chunk that it came in with, 64 KiB and more.
    if (pending > 0) compact(chunks);
    if (chunks.length > 0) {
      this.socket.write(chunks);
      if (connection.stage === 'userauth') this.#asked = performance.now();
    }
    if (connection.closed) {
      this.socket.end();
      // What is still on its way to us is read and dropped: closing on unread data would reset the connection and lose our last words.
      this.#read(true);
      return;
    }
    const left = this.socket.pending;
    connection.setSocketFull(left > SOCKET_MARK, left);
    this.#read(!connection.paused);
  }

  /** Sign-in is question and answer (RFC 4252), so the quickest answer tells how long the way is. */
  #measure(): void {
    const connection = this.#connection;
    const took = performance.now() - this.#asked;
    this.#asked = 0;
    connection.roundTrip = connection.roundTrip === 0 ? took : Math.min(connection.roundTrip, took);
  }

  /**
   * It reads nothing now, and lives as far as can be known: an exchange of keys waits until it says something, because one that is
   * not finished ends the connection. Where the system tells nothing of it, that is how the last of the dead are found.
   */
  get #sleeps(): boolean {
    return this.#mute && !this.#heard && (this.socket.progress === undefined || this.#progress !== undefined);
  }

  #read(on: boolean): void {
    if (on === this.#reading) return;
    this.#reading = on;
    if (on) this.socket.resume();
    else this.socket.pause();
  }

  /** One second has passed. True when there is nothing left to do. */
  tick(): boolean {
    if (this.#destroyed) return true;
    const connection = this.#connection;
    if (connection.closed) {
      if (++this.#lingered >= LINGER) this.socket.destroy();
      return this.#destroyed;
    }
    const { loginGrace, keepaliveInterval, rekeyAfter, exchange } = this.#times;
    this.#age++;
    if (connection.stage !== 'connection') {
      if (loginGrace > 0 && this.#age >= loginGrace) {
        this.graceOver = true;
        connection.disconnect(Disconnect.BY_APPLICATION, `not signed in within ${loginGrace} seconds`);
      }
      return false;
    }
    if (connection.transport.exchanges !== this.#exchanges) {
      this.#exchanges = connection.transport.exchanges;
      this.#keyAge = 0;
    } else if (rekeyAfter > 0 && ++this.#keyAge >= rekeyAfter && !this.#sleeps) {
      this.#keyAge = 0;
      if (takesNewKeys(connection.transport.peerIdent)) connection.rekey();
    }
    this.#exchanging = connection.transport.exchanging ? this.#exchanging + 1 : 0;
    if (exchange > 0 && this.#exchanging >= exchange) {
      connection.disconnect(Disconnect.KEY_EXCHANGE_FAILED, `no new keys within ${exchange} seconds`);
      return false;
    }
    if (this.#heard) {
      this.#heard = false;
      this.#quiet = 0;
      this.#unanswered = 0;
      this.#progress = undefined;
    } else if (keepaliveInterval > 0 && ++this.#quiet >= keepaliveInterval) {
      this.#quiet = 0;
      const progress = this.#questions > 0 ? this.socket.progress?.() : undefined;
      if (progress === undefined) this.#silent(undefined);
      else progress.then(now => this.#silent(now)).catch(error => connection.fault(error));
    }
    return false;
  }

  /** It has said nothing for an interval; `now` is how far our words have come, where that is known. */
  #silent(now: Progress | undefined): void {
    const connection = this.#connection;
    if (this.#heard || connection.closed || this.#destroyed) return;
    const { keepaliveInterval, keepaliveCount } = this.#times;
    const before = this.#progress;
    this.#progress = now;
    // It takes what waited for it when this was last asked: our question may be behind that yet, on a slow way.
    const takes = now !== undefined && before !== undefined && before.waiting > 0 && now.taken > before.taken;
    this.#answers ||= answersAtOnce(connection.transport.peerIdent);
    if (this.#answers) {
      if (takes && this.#unanswered >= keepaliveCount) return;
    } else if (this.#questions > 0 && (takes || now === undefined || now.tries < DEAF)) {
      // It reads nothing, and its system acknowledges: that of libraries which read only while they are called. Where nothing is
      // known of that, the system has the word, or the connection that carries this one.
      this.#unanswered = 0;
      if (this.#questions >= keepaliveCount) return this.#probe();
    }
    if (++this.#unanswered > keepaliveCount) {
      connection.disconnect(Disconnect.CONNECTION_LOST, `silent for ${keepaliveInterval * this.#unanswered} seconds`);
      // It has not answered for that long: it will not read this either.
      this.socket.destroy();
    } else if (this.#questions < keepaliveCount) this.#ask();
  }

  /** Any answer will do, and that there is none shows by itself. */
  #ask(): void {
    this.#questions++;
    const answered = () => {
      this.#questions--;
      // One that answers late does so whenever it happens to read: that says nothing about the next time.
      if (!this.#mute) this.#answers = true;
    };
    this.#connection.mux.request('keepalive@openssh.com', new Uint8Array(0)).then(answered, answered);
  }

  /** More questions would only fill what its system takes in for it. From now on the system asks that of the peer. */
  #probe(): void {
    if (this.#mute) return;
    this.#mute = true;
    this.socket.probe?.(this.#times.keepaliveInterval);
  }
}

/** Copies those chunks out that are a small part of their memory. */
function compact(chunks: Uint8Array[]): void {
  for (let i = 0; i < chunks.length; i++) {
    if (chunks[i].length * 4 < chunks[i].buffer.byteLength) chunks[i] = chunks[i].slice();
  }
}
