// A switchboard that is one process, for the console.
import type { Switchboard } from '../app.ts';
import type { Processes } from './exchange.ts';
import { Lookout } from './lookout.ts';

export function single(switchboard: Switchboard, version: string): Processes {
  const lookout = new Lookout(switchboard, version);
  return {
    look: async () => [lookout.look()],
    metrics: () => lookout.metrics.registry.metrics(),
    watch: stirred => switchboard.subscribe(stirred),
    kick: (ids, reason) => switchboard.kick(ids, reason),
    recheck: () => switchboard.recheck(),
    note: (by, what) => switchboard.events.tell({ type: 'command', by, what }),
  };
}
