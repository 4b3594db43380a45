// A whole relay over a seeded network: callers and providers, circuits between them, mishaps; the invariants are checked after every step.
import { accelerated } from '../../src/crypto/accelerated.ts';
import { noble } from '../../src/crypto/noble.ts';
import type { CryptoProvider, PrivateKey } from '../../src/crypto/provider.ts';
import { type Channel, WINDOW } from '../../src/protocol/channels/channel.ts';
import type { ChannelOpen, GlobalReply } from '../../src/protocol/channels/mux.ts';
import { Connection } from '../../src/protocol/connection.ts';
import { type OpenError, OpenFailure } from '../../src/protocol/errors.ts';
import { readUint32 } from '../../src/protocol/wire/packet.ts';
import { Writer } from '../../src/protocol/wire/reader.ts';
import { insecure, insecureKey, seeded } from '../kit/insecure.ts';
import { type Dice, type Link, Network } from '../kit/network.ts';
import { Endpoint, type Plan } from './endpoint.ts';
import { checkCircuit, checkMemory, checkRoom, type Meter, meter } from './invariants.ts';

/** A client of the relay: the connection at the relay's end of its link, and the one at its own. */
export interface Member {
  name: string;
  link: Link;
  relay: Connection;
  own: Connection;
  ready: boolean;
  /** Why each end is over; a member that the world has not doomed must have none. */
  relayEnd: Error | undefined;
  ownEnd: Error | undefined;
  /** What the world has done to it. */
  doom: string | undefined;
  meter: Meter;
  /** The relay's socket to it was full after the last step. */
  wasFull: boolean;
  /** Global requests it has made and the replies that came. */
  asked: number;
  replies: number;
}

export interface Circuit {
  id: number;
  from: Member;
  to: Member;
  caller: Endpoint;
  callee: Endpoint;
  /** How the relay and the provider answer the open. */
  relayMood: 'at once' | 'late' | 'refuse';
  calleeMood: 'at once' | 'late' | 'refuse' | 'never';
  state: 'planned' | 'opening' | 'open' | 'refused';
  near: Channel | undefined;
  far: Channel | undefined;
  /** Credit that the relay had given to each of the two after the last step. */
  credit: Map<Channel, number>;
}

export class World {
  readonly seed: number;
  readonly dice: Dice;
  readonly network: Network;
  readonly members: Member[] = [];
  readonly circuits: Circuit[] = [];
  /** Answers that come late: each is given at a random step. */
  readonly later: { member: Member; act: () => void }[] = [];
  /** Opens that nobody has answered, for the end of the world. */
  readonly unanswered: ChannelOpen[] = [];
  /** From now on everybody answers. */
  ending = false;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #provider: CryptoProvider;
  readonly #hostKey: PrivateKey;
  readonly #userKey: PrivateKey;
  readonly #mishaps: { at: number; act: () => void }[] = [];
  /** Failures noticed inside callbacks, where an exception would only end a connection. */
  readonly failures: string[] = [];
  /** One seed in forty moves megabytes, to reach the marks of the real constants. */
  readonly #large: boolean;
  /** Bytes: key exchanges so small that they happen all the time. */
  readonly #small: boolean;
  /** Little room for circuits. */
  readonly #tight: boolean;
  now = 0;

  constructor(seed: number, trace?: (line: string) => void) {
    this.seed = seed;
    this.#trace = trace;
    this.dice = seeded(seed * 2 + 1);
    this.network = new Network(seeded(seed * 2));
    this.#large = seed % 40 === 7;
    this.#small = this.dice.below(3) === 0;
    this.#tight = this.dice.below(3) === 0;
    ({ provider: this.#provider, hostKey: this.#hostKey, userKey: this.#userKey } = this.#cryptography());
    const members = 2 + this.dice.below(4);
    for (let i = 0; i < members; i++) this.#member(`m${i}`);
    const circuits = 1 + this.dice.below(this.#large ? 3 : 7);
    for (let i = 0; i < circuits; i++) this.#circuit(i);
    if (this.dice.below(3) === 0) this.#mishap();
    if (this.dice.below(12) === 0) this.#mishap();
  }

  /** Real ciphers in one seed of five, real key exchanges and signatures in one of a hundred. */
  #cryptography(): { provider: CryptoProvider; hostKey: PrivateKey; userKey: PrivateKey } {
    const { bytes } = seeded(this.seed ^ 0x5eed);
    const motions = insecure(bytes);
    const real = this.seed % 10 === 3 ? accelerated : this.seed % 10 === 8 && !this.#large ? noble : undefined;
    if (real === undefined || this.#large) {
      return {
        provider: motions,
        hostKey: insecureKey(new Uint8Array([1])),
        userKey: insecureKey(new Uint8Array([2])),
      };
    }
    const rotate = <T>(list: readonly T[]): T[] => {
      const at = this.dice.below(list.length);
      return [...list.slice(at), ...list.slice(0, at)];
    };
    const ciphers = { ciphers: rotate(real.ciphers), macs: rotate(real.macs), random: bytes };
    if (this.seed % 100 !== 3 && this.seed % 200 !== 8) {
      return { ...this.#keys(motions), provider: { ...motions, ...ciphers } };
    }
    const signatures = real.signatures.slice(0, 1);
    const provider = { ...real, ...ciphers, kex: real.kex.slice(0, 1), signatures };
    return { ...this.#keys(provider), provider };
  }

  #keys(provider: CryptoProvider): { hostKey: PrivateKey; userKey: PrivateKey } {
    const [signature] = provider.signatures;
    return { hostKey: signature.generate(provider.random), userKey: signature.generate(provider.random) };
  }

  #member(name: string): void {
    const { dice } = this;
    const link = this.network.link({
      capacity: this.#large ? 64 * 1024 : 64 << dice.below(11),
      mark: this.#large ? 1024 * 1024 : 16 << dice.below(12),
      chunk: this.#large ? 64 * 1024 : 16 << dice.below(12),
    });
    const rekey = () => ({
      rekeyBytes: !this.#small || dice.below(2) === 0 ? undefined : 3000 << dice.below(5),
      rekeyPackets: !this.#small || dice.below(3) > 0 ? undefined : 20 + dice.below(200),
    });
    const provider = this.#provider;
    const member = { name, link, ready: false, wasFull: false, asked: 0, replies: 0 } as unknown as Member;
    member.relay = new Connection(
      { role: 'server', provider, hostKeys: [this.#hostKey], methods: ['publickey'], ...rekey() },
      {
        output: link.a.wake,
        auth: (_question, answer) => this.#sometimesLater(member, () => answer({ result: 'accept' })),
        channelOpen: open => this.#forward(member, open),
        globalRequest: request => this.#answer(member, request.data),
        closed: error => {
          if (member.relayEnd) this.failures.push(`${name}: the relay's end ended twice`);
          member.relayEnd = error;
          link.a.wake();
        },
        fault: error => this.failures.push(`${name}: fault at the relay: ${error}`),
      },
    );
    member.own = new Connection(
      { role: 'client', provider, user: 'u', credentials: [{ method: 'publickey', key: this.#userKey }], ...rekey() },
      {
        output: link.b.wake,
        hostKey: (_question, answer) => this.#sometimesLater(member, () => answer(true)),
        ready: () => {
          member.ready = true;
        },
        channelOpen: open => this.#called(open),
        closed: error => {
          if (member.ownEnd) this.failures.push(`${name}: its own end ended twice`);
          member.ownEnd = error;
          link.b.wake();
        },
        fault: error => this.failures.push(`${name}: fault: ${error}`),
      },
    );
    member.meter = meter(member.relay);
    // One way in three is long, as far as its relay knows: from a few bytes to much more than the windows.
    if (dice.below(3) === 0) member.relay.roundTrip = this.#large ? 2 + dice.below(200) : 2 + dice.below(3);
    // What circuits get whose ends both wait to write, so that the limit is met.
    member.relay.mux.room.crossed = this.#large ? dice.below(WINDOW) : 1 + dice.below(5000);
    // In one relay of three many circuits have little room.
    if (this.#tight) {
      member.relay.mux.room.total = dice.below(this.#large ? 3 * WINDOW : 20_000);
      member.relay.mux.room.least = 1 + dice.below(200);
    }
    this.members.push(member);
    link.start(member.relay, member.own);
  }

  #plan(): Plan {
    const { dice } = this;
    const windows = [1, 2, 100, 1 + dice.below(64), 1 + dice.below(4000), 4096, 65536];
    const window = this.#large ? (dice.below(2) ? WINDOW : 300_000 + dice.below(WINDOW)) : windows[dice.below(7)];
    const maxPacket = this.#large || dice.below(2) ? 32768 : [1, 7, 100, 1 + dice.below(3000)][dice.below(4)];
    const most = this.#large ? 3 * 1024 * 1024 : Math.min(30_000, 60 * Math.min(window, maxPacket));
    const stall = [0, 0, 0, dice.below(1000), Infinity][dice.below(5)];
    const ending = dice.below(8);
    return {
      window,
      maxPacket,
      total: dice.below(6) === 0 ? 0 : dice.below(most),
      piece: this.#large ? 32768 : 1 << dice.below(14),
      readsFrom: stall,
      slow: dice.below(2) === 0,
      writesFirst: dice.below(3) === 0,
      closes: ending === 0 ? { after: dice.below(most + 1) } : ending === 1 ? 'without eof' : 'after eof',
      requests: dice.below(5) === 0 ? 1 + dice.below(3) : 0,
    };
  }

  #circuit(id: number): void {
    const { dice, members } = this;
    const [callerPlan, calleePlan] = [this.#plan(), this.#plan()];
    if (!this.#large) {
      // A writer of much into a window of one byte would need its steps for that alone.
      const fit = (writer: Plan, reader: Plan) => {
        writer.total = Math.min(writer.total, 60 * Math.min(reader.window, reader.maxPacket));
      };
      fit(callerPlan, calleePlan);
      fit(calleePlan, callerPlan);
    }
    const caller = new Endpoint(`c${id}.caller`, callerPlan, dice);
    const callee = new Endpoint(`c${id}.callee`, calleePlan, dice);
    caller.partner = callee;
    callee.partner = caller;
    const mood = dice.below(10);
    this.circuits.push({
      id,
      from: members[dice.below(members.length)],
      // Now and then a client calls itself.
      to: members[dice.below(members.length)],
      caller,
      callee,
      relayMood: mood === 0 ? 'refuse' : mood < 4 ? 'late' : 'at once',
      calleeMood: (['refuse', 'never', 'late', 'late'] as const)[dice.below(12)] ?? 'at once',
      state: 'planned',
      near: undefined,
      far: undefined,
      credit: new Map(),
    });
  }

  /** Something bad, to one member, at some step or byte: it says goodbye, is thrown out, is cut off, or sends junk. */
  #mishap(): void {
    const { dice } = this;
    const member = this.members[dice.below(this.members.length)];
    const at = dice.below(1500);
    // Junk is noticed only where packets are authenticated.
    const kind = dice.below(this.#provider.name === 'insecure' && this.#provider.macs.length === 0 ? 4 : 6);
    const byte = dice.below(dice.below(2) ? 2000 : 30_000);
    const pipe = dice.below(2) ? member.link.toA : member.link.toB;
    const doom = (what: string, act: () => void) =>
      this.#mishaps.push({
        at,
        act: () => {
          this.log(`${member.name} ${what}`);
          member.doom ??= what;
          act();
        },
      });
    if (kind === 0) doom('leaves', () => member.own.disconnect());
    else if (kind === 1) doom('is thrown out', () => member.relay.disconnect());
    else if (kind === 2) doom('loses its link', () => member.link.cut());
    else {
      member.doom = kind === 3 ? `is cut off at byte ${byte}` : `sends junk at byte ${byte}`;
      if (kind === 3) pipe.faults.cutAt = byte;
      else pipe.faults.flipAt = byte;
    }
  }

  log(line: string): void {
    this.#trace?.(`${this.now}: ${line}`);
  }

  #sometimesLater(member: Member, act: () => void): void {
    if (this.dice.below(3) > 0) act();
    else this.later.push({ member, act });
  }

  // The relay

  #forward(from: Member, open: ChannelOpen): void {
    const circuit = this.circuits[readUint32(open.data, 0)];
    if (circuit?.from !== from) {
      this.failures.push(`${from.name}: a channel was opened with the wrong data`);
      return open.reject(OpenFailure.CONNECT_FAILED, 'whose?');
    }
    const forward = () =>
      open.forward(circuit.to.relay.mux, 'far', open.data, (near, far) => {
        circuit.near = near;
        circuit.far = far;
        this.log(`c${circuit.id} is joined`);
      });
    if (circuit.relayMood === 'at once') forward();
    else if (circuit.relayMood === 'late') this.later.push({ member: from, act: forward });
    else open.reject(OpenFailure.ADMINISTRATIVELY_PROHIBITED, 'the relay refuses');
  }

  /** Echoes the request's number, grants plainly or refuses, at once or late. */
  #answer(member: Member, data: Uint8Array): GlobalReply | Promise<GlobalReply> {
    const reply = [data, true, false][readUint32(data, 0) % 3];
    if (this.dice.below(2) === 0) return reply;
    return new Promise(resolve => this.later.push({ member, act: () => resolve(reply) }));
  }

  // The ends

  #called(open: ChannelOpen): void {
    const circuit = this.circuits[readUint32(open.data, 0)];
    const { callee, calleeMood } = circuit;
    const accept = () => {
      if (open.gone) return;
      callee.channel = open.accept(callee.handler, callee.plan.window, callee.plan.maxPacket);
      this.log(`c${circuit.id} is accepted`);
    };
    if (calleeMood === 'at once') accept();
    else if (calleeMood === 'late') this.later.push({ member: circuit.to, act: accept });
    else if (calleeMood === 'never' && !this.ending) this.unanswered.push(open);
    else open.reject(OpenFailure.CONNECT_FAILED, 'nobody there');
  }

  #open(circuit: Circuit): void {
    const { caller, from } = circuit;
    circuit.state = 'opening';
    const once = (state: Circuit['state']) => {
      if (circuit.state !== 'opening') this.failures.push(`c${circuit.id}: its open was answered twice`);
      circuit.state = state;
      this.log(`c${circuit.id} is ${state}`);
    };
    from.own.mux.open(
      'near',
      new Writer().uint32(circuit.id).finish(),
      caller.handler,
      channel => {
        once('open');
        caller.channel = channel;
      },
      (_error: OpenError) => once('refused'),
      { window: caller.plan.window, maxInbound: caller.plan.maxPacket },
    );
  }

  #ask(member: Member): void {
    const number = member.asked++;
    void member.own.mux.request('echo', new Writer().uint32(number).finish()).then(reply => {
      if (member.ownEnd) return;
      const right = [
        reply instanceof Uint8Array && readUint32(reply, 0) === number,
        reply instanceof Uint8Array,
        reply === false,
      ];
      if (member.replies !== number || !right[number % 3]) {
        this.failures.push(`${member.name}: reply ${member.replies} to request ${number} is wrong`);
      }
      member.replies++;
    });
  }

  /** Everything that some application may do now. */
  #wishes(): (() => void)[] {
    const wishes: (() => void)[] = [];
    for (const circuit of this.circuits) {
      const { state, from, to } = circuit;
      if (state === 'planned' && from.ready && to.relay.stage === 'connection') wishes.push(() => this.#open(circuit));
      for (const end of [circuit.caller, circuit.callee]) {
        const wish = end.wish(this.now);
        if (wish) wishes.push(wish);
      }
    }
    return wishes;
  }

  /** One step of anybody; false if nothing can happen any more. */
  step(): boolean {
    const { dice } = this;
    this.now++;
    const due = this.#mishaps.findIndex(({ at }) => at <= this.now);
    if (due >= 0) {
      this.#mishaps.splice(due, 1)[0].act();
    } else if (dice.below(100) < 60 && this.network.step()) {
      // Done.
    } else if (this.later.length > 0 && dice.below(10) === 0) {
      this.later.splice(dice.below(this.later.length), 1)[0].act();
    } else if (dice.below(100) === 0) {
      this.#disturb();
    } else {
      const wishes = this.#wishes();
      if (wishes.length > 0) wishes[dice.below(wishes.length)]();
      else if (this.later.length > 0) this.later.splice(dice.below(this.later.length), 1)[0].act();
      else if (!this.network.step()) return false;
    }
    this.check();
    return true;
  }

  /** A stall, a re-exchange, a global request. */
  #disturb(): void {
    const { dice } = this;
    const member = this.members[dice.below(this.members.length)];
    const kind = dice.below(6);
    if (kind < 3) {
      const pipe = dice.below(2) ? member.link.toA : member.link.toB;
      pipe.stalledUntil = this.network.now + dice.below(dice.below(4) ? 100 : 2000);
    } else if (kind === 3) (dice.below(2) ? member.own : member.relay).rekey();
    else if (member.ready && !member.ownEnd) this.#ask(member);
  }

  /** What must hold after every step. */
  check(): void {
    if (this.failures.length > 0) throw new Error(this.failures[0]);
    for (const member of this.members) {
      if (member.doom === undefined && (member.relayEnd ?? member.ownEnd) !== undefined) {
        throw new Error(
          `${member.name} was cut though nothing happened to it: ${(member.relayEnd ?? member.ownEnd)?.stack}`,
        );
      }
    }
    for (const circuit of this.circuits) checkCircuit(circuit);
    if (this.now % 8 === 0) for (const member of this.members) checkRoom(member, this.members, this.circuits);
    for (const member of this.members) checkMemory(member, this.circuits);
  }
}
