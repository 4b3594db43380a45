// Commands that show something: help, listeners, circuits, whoami, names.
import { printable } from '../../../protocol/index.ts';
import type { CircuitInfo } from '../events.ts';
import { invitation, listed, listing, ssh } from '../greeting.ts';
import { lineKey } from '../lines.ts';
import { momentText } from '../measures.ts';
import { type Command, CommandError, type Context, isAdmin, noWords, Status, seesAll } from './command.ts';
import { bytesText, durationText, table } from './table.ts';

const ago = (since: number) => durationText(Date.now() - since);
const day = (time: number) => momentText(time).slice(0, 10);

export const listeners: Command = {
  usage: '',
  summary: 'who is plugged in (without the right "list": your own lines)',
  run(args, context) {
    noWords(args);
    const { office, member, width } = context;
    // An alias is all that a caller needs, so only keys with the right see those of others.
    const mine = listed(office.board.providers).filter(
      ({ provider }) => seesAll(context) || provider.owner === member.owner,
    );
    const nodes = mine.map(({ provider }) => office.board.nodeOf(provider));
    const json = mine.map(({ provider: { id, alias, names, address, since, doubted, lines }, name }, i) => ({
      ...{ name, alias, names, client: id, address, doubted, since: momentText(since) },
      ...{ lines: lines.map(lineKey), node: nodes[i] },
    }));
    if (width === undefined || mine.length === 0) {
      return { text: listing(mine.map((one, i) => ({ ...one, node: nodes[i] }))), json };
    }
    const rows = mine.map(({ provider: { id, alias, names, address, since, doubted, lines }, name }, i) => [
      ...[name, lines.map(lineKey).join(' '), [alias, ...names.filter(other => other !== name)].join(' '), address],
      ...[doubted ? 'does not answer' : ago(since), id, ...at(nodes, i)],
    ]);
    const headings = ['NAME', 'LINES', 'CALLED AS', 'FROM', 'FOR', 'CLIENT', ...heading(nodes)];
    return { text: table(headings, rows, width), json };
  },
};

export const circuits: Command = {
  usage: '',
  summary: 'calls that are going on (without the right "list": your own)',
  async run(args, context) {
    noWords(args);
    const { office, member, width } = context;
    const { circuits: all, clients, silent = [] } = await office.survey();
    const own = new Set(clients.filter(({ owner }) => owner === member.owner).map(({ id }) => id));
    const mine = all.filter(({ caller, provider }) => seesAll(context) || own.has(caller.id) || own.has(provider.id));
    const json = mine.map(asJson);
    const missing = silent.map(node => `The node ${node} does not answer.\n`).join('');
    if (mine.length === 0) return { text: `No circuits.\n${missing}`, json };
    const nodes = mine.map(({ node }) => node);
    const rows = mine.map(({ id, caller, target, toProvider, toCaller, since }, i) => [
      ...[String(id), caller.name, caller.address, printable(target), bytesText(toProvider), bytesText(toCaller)],
      ...[ago(since), caller.id, ...at(nodes, i)],
    ]);
    const headings = ['CIRCUIT', 'CALLER', 'FROM', 'LINE', 'SENT', 'RECEIVED', 'FOR', 'CLIENT', ...heading(nodes)];
    return { text: table(headings, rows, width) + missing, json };
  },
};

/** A column that is there if anything is with another node. */
type Nodes = readonly (string | undefined)[];
const heading = (nodes: Nodes): string[] => (nodes.some(node => node !== undefined) ? ['NODE'] : []);
const at = (nodes: Nodes, i: number): string[] => heading(nodes).map(() => nodes[i] ?? 'this one');

const asJson = ({ id, caller, provider, target, line, since, toProvider, toCaller, node }: CircuitInfo) => ({
  circuit: id,
  caller: { client: caller.id, name: caller.name, address: caller.address, key: caller.key },
  provider: { client: provider.id, alias: provider.alias, address: provider.address },
  ...{ target, line, since: momentText(since), bytesToProvider: toProvider, bytesToCaller: toCaller, node },
});

/** What there is to say of a host name that a client does not have (yet). */
function standing(owner: string | undefined, own: string): string {
  if (owner === undefined) return ' (nobody’s, until somebody plugs in a line under it)';
  return owner === own ? '' : ' (belongs to another key)';
}

export const whoami: Command = {
  usage: '',
  summary: 'who you are here, and what you may do',
  run(args, { member, registry }) {
    noWords(args);
    const { info, alias, names, grant, name, owner } = member;
    const { user, address, key, rights, id } = info;
    const rows = [
      ['User name', user],
      ['Host name', `${name}${names.includes(name) ? '' : standing(registry.ownerOf(name), owner)}`],
      ['Aliases', [alias, ...names.filter(other => other !== name)].join(',')],
      ['Key', key],
      ...(owner === key ? [] : [['Owner', owner]]),
      ['Permissions', rights.join(',') || 'none'],
      ...(grant.expires === undefined ? [] : [['Until', momentText(grant.expires)]]),
      ['From', address],
      ['Client', id],
    ];
    const text = rows.map(([what, value]) => `${what}: ${value}\n`).join('');
    return { text, json: { ...{ user, name, alias, names, key, owner, rights, address }, client: id } };
  },
};

export const names: Command = {
  usage: '[release NAME]',
  summary: 'names that belong to you (for admins: all), and giving one up',
  async run({ words }, context) {
    const { registry, member, office } = context;
    const mine = registry.names(isAdmin(context) ? undefined : member.owner);
    if (words.length === 2 && words[0] === 'release') {
      const [, name] = words;
      if (!mine.some(claim => claim.name === name))
        throw new CommandError(`${printable(name, 80)} is no name of yours`);
      await office.release(name);
      office.note(member, `released the name ${name}`);
      return { text: `${name} is free for whoever comes first.\n`, json: { released: name } };
    }
    if (words.length > 0) throw new CommandError('names, or names release NAME', Status.USAGE);
    const json = mine.map(({ name, owner, claimed, used }) => ({
      name,
      owner,
      claimed: day(claimed),
      used: day(used),
    }));
    if (mine.length === 0) return { text: 'No names.\n', json };
    const rows = json.map(({ name, owner, claimed, used }) => [name, owner, claimed, used]);
    return { text: table(['NAME', 'OWNER', 'SINCE', 'LAST USED'], rows, context.width), json };
  },
  complete: () => ['release'],
};

/** What help says before the list of commands. */
export const introduction = ({ member, office, hints }: Context): string =>
  member.grant.rights.includes('listen')
    ? invitation(member.name, office.callName(member), hints)
    : `Call a line with\n  ${ssh(hints, '-N -L 8080:NAME:80')}\n`;
