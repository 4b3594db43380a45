// Guests: other switchboards, which have signed in to this one. They make calls and ask, and nobody else does either.
import { type ChannelOpen, OpenFailure } from '../../protocol/index.ts';
import type { ChannelOpenHandler, Client } from '../../server/server.ts';
import type { Calls } from './calls.ts';
import type { Elsewhere } from './options.ts';
import { ASK_CHANNEL, answer, type NodeQuestion } from './other-nodes.ts';
import { CALL_CHANNEL } from './trunks.ts';

export class Guests {
  readonly #nodes = new WeakSet<Client>();

  /** It has proved to be one. */
  admit(client: Client): void {
    this.#nodes.add(client);
  }

  /** What they may open, by type. */
  channels(
    here: { kickHere(ids: readonly string[], reason: string): void },
    calls: Calls,
    elsewhere: Elsewhere,
  ): { [type: string]: ChannelOpenHandler } {
    /** About this node alone: whoever asks asks the others by himself. */
    const reply = (question: NodeQuestion) => {
      if ('survey' in question) return elsewhere.survey();
      const { ids, reason } = question.kick;
      const ours = ids.filter(id => elsewhere.nodes?.isOurs(id));
      here.kickHere(ours, reason);
      elsewhere.kick(ours, reason);
      return {};
    };
    return {
      [CALL_CHANNEL]: this.#only(open => calls.arrive(open, 'node')),
      [ASK_CHANNEL]: this.#only(open => answer(open, reply)),
    };
  }

  #only(serve: (open: ChannelOpen) => void | Promise<void>): ChannelOpenHandler {
    return (open, client) => {
      if (this.#nodes.has(client)) return serve(open);
      open.reject(OpenFailure.UNKNOWN_CHANNEL_TYPE, 'channels of this type are not served here');
    };
  }
}
