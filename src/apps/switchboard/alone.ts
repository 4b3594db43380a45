// A switchboard in one process that shares a directory with others: it is a place of its own in the hub, and everybody else is another node.
import { randomBytes } from 'node:crypto';
import type { Directory } from './directory.ts';
import type { Hub } from './hub.ts';
import type { Nodes } from './nodes.ts';
import { OtherNodes } from './other-nodes.ts';
import { Serving, type ServingOptions } from './serving.ts';
import type { Settings } from './settings.ts';
import { Tally } from './tally.ts';

/** @throws as `new Serving` */
export function alone(
  settings: Settings,
  options: Omit<ServingOptions, 'elsewhere'>,
  { hub, directory, nodes }: { hub: Hub; directory: Directory; nodes: Nodes },
): Serving {
  const here = randomBytes(8).toString('hex');
  const serving: Serving = new Serving(settings, {
    ...options,
    elsewhere: {
      here,
      counter: new Tally().for(here),
      changed: provider => hub.hear(here, [{ provider }]),
      async trunk(place) {
        const node = serving.switchboard.board.places.get(place)?.node;
        if (node === undefined) throw new Error('it is gone');
        return nodes.to(node);
      },
      // There is no other process; other nodes are told by themselves.
      kick() {},
      recheck() {},
      nodes: new OtherNodes({
        to: address => nodes.to(address),
        board: () => serving.switchboard.board,
        log: options.log,
      }),
      survey: async () => serving.switchboard.snapshot(),
      isNode: offer => nodes.isNode(offer),
      claim: (name, owner) => directory.claim(name, owner),
      release: name => directory.release(name),
    },
  });
  hub.join(here, async news => {
    for (const item of news) serving.switchboard.board.learn(item);
  });
  hub.up({ id: here, worker: 1 });
  return serving;
}
