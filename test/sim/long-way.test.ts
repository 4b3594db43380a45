// A long way to one client or to both, in virtual time: what windows and round trips allow, nothing else costs time here.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Channel, MAX_DATA, WINDOW } from '../../src/protocol/channels/channel.ts';
import { MAX_AHEAD } from '../../src/protocol/channels/splice.ts';
import { Connection } from '../../src/protocol/connection.ts';
import { concat } from '../../src/protocol/wire/reader.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';

const MIB = 1024 * 1024;
/** OpenSSH gives credit when more than three packets of its window have been read. */
const OPENSSH_STEP = 3 * MAX_DATA + 1;
const provider = insecure(seeded(1).bytes);

/** A sender and a receiver, each at the end of a way of its own to the relay. */
class Course {
  now = 0;
  received = 0;
  /** The most that has waited in the relay. */
  waited = 0;
  #events: { at: number; act: () => void }[] = [];
  readonly #sides: { connection: Connection; to: Connection; delay: number }[] = [];
  #far: Channel | undefined;

  /** Milliseconds there and back; `stalls`: the receiver gives no credit. */
  constructor(senderTrip: number, receiverTrip: number, stalls = false) {
    const callee = this.#client(receiverTrip, {
      channelOpen: open => {
        let unread = 0;
        const channel: Channel = open.accept({
          data: bytes => {
            this.received += bytes.length;
            unread += bytes.length;
            if (stalls || unread < OPENSSH_STEP) return;
            channel.credit(unread);
            unread = 0;
          },
        });
      },
    });
    const caller = this.#client(senderTrip, {}, open => {
      open.forward(callee.server.mux, 'far', new Uint8Array(0), (_near, far) => (this.#far = far));
    });
    this.run(2000);
    const piece = new Uint8Array(MAX_DATA);
    let channel: Channel | undefined;
    const write = () => {
      while (channel !== undefined && channel.write(piece) === piece.length);
    };
    const opened = (it: Channel) => {
      channel = it;
      write();
    };
    caller.client.mux.open('near', new Uint8Array(0), { writable: write }, opened, assert.unreachable);
  }

  #client(
    trip: number,
    events: Partial<ConstructorParameters<typeof Connection>[1]>,
    channelOpen?: NonNullable<ConstructorParameters<typeof Connection>[1]['channelOpen']>,
  ): { client: Connection; server: Connection } {
    const output = () => {};
    const server = new Connection(
      { role: 'server', provider, hostKeys: [insecureKey(new Uint8Array([1]))], methods: ['publickey'] },
      { output, auth: (_question, answer) => answer({ result: 'accept' }), channelOpen },
    );
    const client = new Connection(
      { role: 'client', provider, user: 'u', credentials: [] },
      { output, hostKey: (_question, answer) => answer(true), ...events },
    );
    server.roundTrip = trip;
    this.#sides.push({ connection: server, to: client, delay: trip / 2 });
    this.#sides.push({ connection: client, to: server, delay: trip / 2 });
    server.start();
    client.start();
    return { client, server };
  }

  /** Lets so many milliseconds pass; returns the MiB received in each second. */
  run(milliseconds: number): number {
    const before = this.received;
    const end = this.now + milliseconds;
    for (;;) {
      for (const { connection, to, delay } of this.#sides) {
        const bytes = concat(...connection.takeOutput());
        connection.setSocketFull(false);
        if (bytes.length > 0) this.#events.push({ at: this.now + delay, act: () => to.receive(bytes) });
      }
      this.waited = Math.max(this.waited, this.#far?.backlog?.length ?? 0);
      this.#events.sort((a, b) => a.at - b.at);
      const next = this.#events[0];
      if (next === undefined || next.at > end) break;
      this.#events.shift();
      this.now = next.at;
      next.act();
    }
    this.now = end;
    return ((this.received - before) / MIB / milliseconds) * 1000;
  }
}

/** What sshd's windows of 2 MiB allow on a way of 100 ms, give or take the step in which credit is given. */
const SSHD = (WINDOW / MIB) * 10 * 0.93;

test('a receiver far away gets what its own window allows, as through sshd', () => {
  const course = new Course(0, 100);
  course.run(1000);
  const rate = course.run(2000);
  assert.ok(rate >= SSHD, `${rate} MiB/s`);
  assert.is(course.waited, 0);
});

test('a sender far away sends more than sshd’s window would let it', () => {
  const course = new Course(100, 0);
  course.run(1000);
  const rate = course.run(2000);
  assert.ok(rate >= 1.5 * SSHD, `${rate} MiB/s`);
  assert.ok(course.waited <= WINDOW / 2, 'it is the way that holds most of it');
});

test('with both far away, the two ways do not add up', () => {
  const course = new Course(100, 100);
  course.run(1000);
  const rate = course.run(2000);
  assert.ok(rate >= SSHD, `${rate} MiB/s`);
});

test('a receiver that stalls leaves the stated bound waiting, and no more', () => {
  const course = new Course(200, 100, true);
  course.run(20_000);
  assert.is(course.received, WINDOW);
  assert.ok(course.waited > MAX_AHEAD - MAX_DATA && course.waited <= MAX_AHEAD, `${course.waited} bytes`);
});

test('on a short way nobody is ahead of the receiver’s window', () => {
  const course = new Course(1, 1, true);
  course.run(5000);
  assert.is(course.received, WINDOW);
  assert.is(course.waited, 0);
});

test.run();
