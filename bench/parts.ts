// The bench's parts, in the order in which they are measured, and what each brings.
import type { CryptoResult } from './crypto.ts';
import type { HandshakeResult } from './handshake.ts';
import type { HotCost } from './hot.ts';
import type { IdleResult } from './idle.ts';
import type { LatencyResult } from './latency.ts';
import type { LongResult } from './long.ts';
import type { Profile } from './profile.ts';
import type { RelayResult } from './relay.ts';

export const PARTS = ['relay', 'latency', 'handshake', 'idle', 'long', 'hot', 'crypto', 'profile'] as const;
export type Part = (typeof PARTS)[number];

export interface Results {
  relay?: RelayResult;
  latency?: LatencyResult;
  handshake?: HandshakeResult;
  idle?: IdleResult;
  long?: LongResult;
  hot?: readonly HotCost[];
  crypto?: CryptoResult;
  profile?: Profile;
}
