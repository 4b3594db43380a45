// What happens on the switchboard, as plain data: the log, the audit, the console and the metrics all read this and nothing else.

/** Who is signed in. */
export interface ClientInfo {
  /** Of all connections that there ever are; lines and circuits refer to it. */
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** The user name as the client gave it; printable, and without the code of an invitation. */
  readonly user: string;
  /** Its host name, and the alias that others reach its lines by. */
  readonly name: string;
  readonly alias: string;
  /** The fingerprint of its key, and whose name and lines are its own: see `Grant.owner`. */
  readonly key: string;
  readonly owner: string;
  /** listen, initiate, list, admin. */
  readonly rights: readonly string[];
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The address of its node, if that is another one. */
  readonly node?: string;
}

/** A line that is plugged in. */
export interface LineInfo {
  /** The `id` of its provider. */
  readonly provider: string;
  readonly address: string;
  readonly alias: string;
  /** Other names that it is reached by. */
  readonly names: readonly string[];
  /** "6379", or the path of a socket. */
  readonly line: string;
  /** Its provider has not answered since the same key came back from elsewhere. */
  readonly doubted: boolean;
  readonly since: number;
  /** The address of its node, if that is another one. */
  readonly node?: string;
}

/** Who has the line that a call has been put through to. */
export interface CircuitProvider {
  /** As of a client. */
  readonly id: string;
  readonly alias: string;
  readonly address: string;
  /** The number of the worker that it is connected to, if that is another one. */
  readonly worker?: number;
  /** The address of its node, if that is another one. */
  readonly node?: string;
}

/** A call that has been put through. */
export interface CircuitInfo {
  /** Of all circuits of this process. */
  readonly id: number;
  readonly caller: ClientInfo;
  readonly provider: CircuitProvider;
  /** What the caller asked for: "alice-3k9v0xq2ma:6379". */
  readonly target: string;
  /** The line that it got. */
  readonly line: string;
  readonly since: number;
  /** Bytes so far, each way. */
  readonly toProvider: number;
  readonly toCaller: number;
  /** The address of the caller's node, if that is another one. */
  readonly node?: string;
}

/** Somebody who is not signed in. */
export interface Stranger {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** The fingerprint of what he offered. */
  readonly key: string;
}

/** What happened; `at` is in milliseconds since 1970. */
export type BoardEvent = { readonly at: number } & (
  | { readonly type: 'signed-in'; readonly client: ClientInfo }
  /** A proof of a key that may not sign in. */
  | { readonly type: 'sign-in-refused'; readonly stranger: Stranger; readonly reason: string }
  | { readonly type: 'signed-out'; readonly client: ClientInfo; readonly reason: string }
  /** A key has come into the file, by itself or by an invitation. */
  | { readonly type: 'enrolled'; readonly stranger: Stranger; readonly invitedBy?: string }
  /** `over`: the older connection of the same owner that had the line. */
  | { readonly type: 'plugged'; readonly client: ClientInfo; readonly line: LineInfo; readonly over?: string }
  | { readonly type: 'unplugged'; readonly client: ClientInfo; readonly line: LineInfo }
  | { readonly type: 'line-refused'; readonly client: ClientInfo; readonly line: string; readonly reason: string }
  | { readonly type: 'opened'; readonly circuit: CircuitInfo }
  | { readonly type: 'closed'; readonly circuit: CircuitInfo }
  | { readonly type: 'call-refused'; readonly client: ClientInfo; readonly target: string; readonly reason: string }
  /** Somebody with the right has done something: kick, ban, unban, invite, release. */
  | { readonly type: 'command'; readonly by: ClientInfo; readonly what: string }
  | { readonly type: 'draining' }
);

/** What there is at one moment. */
export interface Snapshot {
  readonly clients: readonly ClientInfo[];
  readonly lines: readonly LineInfo[];
  readonly circuits: readonly CircuitInfo[];
  /** Addresses of nodes that were asked, and have not answered. */
  readonly silent?: readonly string[];
}

/** What the console, the metrics and others are given. */
export interface EventSource {
  /** `hear` is called as things happen, and must not throw; ends with the function that is returned. */
  subscribe(hear: (event: BoardEvent) => void): () => void;
  snapshot(): Snapshot;
}

type WithoutTime<E> = E extends unknown ? Omit<E, 'at'> : never;

/** Tells everybody who has subscribed. */
export class Events {
  readonly #listeners = new Set<(event: BoardEvent) => void>();
  readonly #failed: (error: unknown) => void;

  /** `failed` hears what a listener has thrown: what has happened has happened, and the others hear of it all the same. */
  constructor(failed: (error: unknown) => void = () => {}) {
    this.#failed = failed;
  }

  subscribe(hear: (event: BoardEvent) => void): () => void {
    this.#listeners.add(hear);
    return () => void this.#listeners.delete(hear);
  }

  tell(event: WithoutTime<BoardEvent>): void {
    const timed = { at: Date.now(), ...event } as BoardEvent;
    for (const hear of this.#listeners) {
      try {
        hear(timed);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
