// What has happened, in one line for people.
import type { BoardEvent, CircuitInfo, ClientInfo, Stranger } from '../events.ts';
import { bytesText } from '../shell/table.ts';

/** "alice-3k9v0xq2ma signed in from 192.0.2.7". Names in it are the clients' own, and to be shown as text. */
export function sentence(event: BoardEvent): string {
  switch (event.type) {
    case 'signed-in':
      return `${who(event.client)} signed in from ${event.client.address}`;
    case 'signed-out':
      return `${who(event.client)} left: ${event.reason}`;
    case 'sign-in-refused':
      return `${stranger(event.stranger)} was not let in: ${event.reason}`;
    case 'enrolled':
      return `${stranger(event.stranger)} was enrolled${event.invitedBy ? `, invited by ${event.invitedBy}` : ''}`;
    case 'plugged':
      return `${who(event.client)} plugged in ${event.line.line}${event.over ? ', in place of an older connection' : ''}`;
    case 'unplugged':
      return `${who(event.client)} unplugged ${event.line.line}`;
    case 'line-refused':
      return `${who(event.client)} may not plug in ${event.line}: ${event.reason}`;
    case 'opened':
      return `${call(event.circuit)} was put through`;
    case 'closed': {
      const { toProvider, toCaller, since } = event.circuit;
      const seconds = Math.max(0, Math.round((event.at - since) / 1000));
      return `${call(event.circuit)} ended: ${bytesText(toProvider + toCaller)} in ${seconds} s`;
    }
    case 'call-refused':
      return `${who(event.client)} did not get ${event.target}: ${event.reason}`;
    case 'command':
      return `${event.by.user} ${event.what}`;
    case 'draining':
      return 'the switchboard goes down: no new clients, lines and calls';
  }
}

const who = ({ alias, user }: ClientInfo): string => alias || user;

const stranger = ({ user, address, key }: Stranger): string => `${user} from ${address} (${key})`;

const call = ({ caller, target }: CircuitInfo): string => `${who(caller)} → ${target}`;
