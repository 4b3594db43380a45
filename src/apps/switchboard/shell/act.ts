// Commands that change something: kick, ban, unban, invite.
import { printable } from '../../../protocol/index.ts';
import { faultsLogged } from '../../../server/detached.ts';
import type { ClientInfo } from '../events.ts';
import { RIGHTS } from '../grants.ts';
import { ssh } from '../greeting.ts';
import { DURATION, momentText, parseDuration } from '../measures.ts';
import { isName } from '../names.ts';
import { isSubjectOf, parseSubject } from '../subjects.ts';
import {
  type Arguments,
  type Command,
  CommandError,
  type Context,
  isAdmin,
  noWords,
  onlyWord,
  Status,
} from './command.ts';
import { table } from './table.ts';

/** Seconds that an invitation is good for, and may be: a code that lies about for longer is found by somebody else. */
const INVITATION = 86_400;
const LONGEST_INVITATION = 30 * 86_400;

/** Clients by what people call them: id, name, alias, key, address, or alias~1 for an older provider. */
async function clientsNamed(who: string, context: Context): Promise<ClientInfo[]> {
  const { office, member } = context;
  const mine = (await office.survey()).clients.filter(({ owner }) => isAdmin(context) || owner === member.owner);
  const [, alias, index] = /^(.*)~(\d+)$/.exec(who) ?? [];
  const older = office.board.providers.filter(one => one.alias === alias || one.names.includes(alias))[Number(index)];
  return mine.filter(
    ({ id, name, alias: own, key, owner, address }) =>
      id === older?.id || [id, name, own, key, owner, address].includes(who),
  );
}

/** What clients there are to name. */
const someone = async (context: Context): Promise<string[]> => {
  const mine = (await context.office.survey()).clients.filter(
    ({ owner }) => isAdmin(context) || owner === context.member.owner,
  );
  return [...new Set(mine.flatMap(({ id, alias }) => [alias, id]))];
};

export const kick: Command = {
  usage: 'WHO',
  summary: 'end connections: by client, name, alias, key or address (without the right "admin": your own)',
  async run(args, context) {
    const who = onlyWord(args, 'whom to kick');
    const found = await clientsNamed(who, context);
    if (found.length === 0) throw new CommandError(`nobody is connected as ${printable(who, 80)}`);
    const { office, member, log } = context;
    office.note(member, `kicked ${found.map(({ id, alias }) => `${alias} (client ${id})`).join(', ')}`);
    const ids = found.map(({ id }) => id);
    // After the answer has left: it may be oneself.
    setImmediate(
      faultsLogged(() => office.kick(ids, `disconnected by ${member.info.user}`), log, 'nobody was disconnected'),
    );
    const text = found
      .map(({ alias, address, id }) => `Disconnected ${alias} from ${address} (client ${id}).\n`)
      .join('');
    return { text, json: { kicked: ids } };
  },
  complete: someone,
};

/** What a ban is about: an owner, a key, an address or a network. */
async function subjectOf(who: string, context: Context): Promise<string> {
  const { registry } = context;
  const subject = parseSubject(who);
  if (subject !== undefined) return subject;
  if (who.includes('/')) throw new CommandError(`${printable(who, 80)} is no network`, Status.USAGE);
  const owners = new Set((await clientsNamed(who, context)).map(({ owner }) => owner));
  const owner = registry.ownerOf(who);
  if (owner !== undefined) owners.add(owner);
  if (owners.size === 0) throw new CommandError(`nobody is known as ${printable(who, 80)}`);
  if (owners.size > 1) throw new CommandError(`${printable(who, 80)} is not one key; ban by SHA256:… or by client`);
  return [...owners][0];
}

/** Milliseconds since 1970; undefined without the option. */
function end(options: Arguments['options'], name: string): number | undefined {
  const text = options.get(name);
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds === 0)
    throw new CommandError(`--${name} is ${DURATION}, 100 years (36500d) at most`, Status.USAGE);
  return Date.now() + seconds * 1000;
}

export const ban: Command = {
  usage: '[WHO [--for TIME] [--reason TEXT]]',
  summary: 'keep a key, name, address or network out, and end its connections; alone: who is banned',
  admin: true,
  options: ['for', 'reason'],
  async run(args, context) {
    const { registry, office, member, width } = context;
    if (args.words.length === 0 && args.options.size === 0) {
      const bans = registry.bans();
      const date = (time: number | undefined) => (time === undefined ? 'ever' : momentText(time).slice(0, 16));
      const rows = bans.map(({ subject, until, by, reason }) => [subject, date(until), by, printable(reason)]);
      return {
        text: rows.length === 0 ? 'Nobody.\n' : table(['WHO', 'UNTIL', 'BY', 'REASON'], rows, width),
        json: bans,
      };
    }
    const subject = await subjectOf(onlyWord(args, 'whom to ban'), context);
    const until = end(args.options, 'for');
    const reason = printable(args.options.get('reason') ?? '', 200);
    const found = (await office.survey()).clients.filter(client => isSubjectOf(client, subject));
    // Who locks himself out cannot unlock the door again.
    if (found.some(({ id }) => id === member.id)) throw new CommandError('that would be yourself');
    if (!(await registry.ban({ subject, until, reason, by: member.info.user })))
      throw new CommandError('there are too many bans');
    office.note(member, `banned ${subject}${until === undefined ? '' : ` until ${momentText(until)}`}`);
    office.kick(
      found.map(({ id }) => id),
      'you are banned',
    );
    // Somebody may have signed in while it was asked who is there.
    office.recheck();
    return {
      text: `Banned ${subject}; ${found.length} ${found.length === 1 ? 'connection' : 'connections'} ended.\n`,
      json: { banned: subject, until, kicked: found.map(({ id }) => id) },
    };
  },
  complete: someone,
};

export const unban: Command = {
  usage: 'WHO',
  summary: 'let a key, address or network in again',
  admin: true,
  async run(args, { registry, office, member }) {
    const who = onlyWord(args, 'whom to let in again');
    const owner = registry.ownerOf(who);
    const subject = (await registry.unban(who)) ? who : owner && (await registry.unban(owner)) ? owner : undefined;
    if (subject === undefined) throw new CommandError(`${printable(who, 80)} is not banned`);
    office.note(member, `let ${subject} in again`);
    return { text: `${subject} may come again.\n`, json: { unbanned: subject } };
  },
  complete: ({ registry }) => registry.bans().map(({ subject }) => subject),
};

export const invite: Command = {
  usage: '[--access RIGHT,…] [--hostname NAME] [--for TIME] | list | revoke ID',
  summary: 'make a code that lets one new key in, once',
  admin: true,
  options: ['access', 'hostname', 'for'],
  async run(args, context) {
    const { registry, office, member, hints, width } = context;
    const [word, id] = args.words;
    if (word === 'list' && id === undefined) {
      const all = registry.invitations().map(one => ({ ...one, expires: momentText(one.expires) }));
      const rows = all.map(one => [one.id, one.access.join(','), one.hostname ?? '', one.expires.slice(0, 16), one.by]);
      const text = rows.length === 0 ? 'None.\n' : table(['ID', 'RIGHTS', 'NAME', 'UNTIL', 'BY'], rows, width);
      return { text, json: all };
    }
    if (word === 'revoke' && id !== undefined) {
      if (!(await registry.withdraw(id))) throw new CommandError(`there is no invitation ${printable(id, 80)}`);
      office.note(member, `revoked the invitation ${id}`);
      return { text: 'It cannot be used any more.\n', json: { revoked: id } };
    }
    noWords(args);
    const access = (args.options.get('access') ?? 'listen,initiate').split(',');
    const wrong = access.find(right => !RIGHTS.includes(right as never));
    if (wrong !== undefined)
      throw new CommandError(`"${printable(wrong, 40)}" is not one of ${RIGHTS.join(', ')}`, Status.USAGE);
    const hostname = args.options.get('hostname')?.toLowerCase();
    if (hostname !== undefined && !isName(hostname)) throw new CommandError('that cannot be a name', Status.USAGE);
    const expires = end(args.options, 'for') ?? Date.now() + INVITATION * 1000;
    if (expires > Date.now() + LONGEST_INVITATION * 1000) throw new CommandError('that is too long', Status.USAGE);
    const code = await registry.invite({ access, hostname, expires, by: member.info.user });
    if (code === undefined) throw new CommandError('there are too many invitations');
    const user = `${hostname ?? 'NAME'}+${code}`;
    const command = ssh(hints, '', `${user}@`).replace('  ', ' ');
    const until = momentText(expires);
    office.note(member, `made an invitation with ${access.join(',')}, good until ${until}`);
    return {
      text: `Good for one new key, until ${until}:\n  ${command}\n`,
      json: { code, user, access, hostname, expires: until, command },
    };
  },
  complete: () => ['list', 'revoke', '--access', '--hostname', '--for'],
};
