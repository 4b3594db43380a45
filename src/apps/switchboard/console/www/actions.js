// What an operator may do: each asks once before it is done, in a dialog that the keyboard reaches.
/** @import { ClientInfo } from '../../events.ts' */
import { byId, el, say } from './dom.js';
import { state } from './state.js';

const dialog = /** @type {HTMLDialogElement} */ (byId('ask'));
const said = byId('said');
/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;

/** Says for a while how something went. @param {string} text */
function tell(text) {
  say(said, text);
  said.classList.add('shown');
  clearTimeout(silence);
  silence = setTimeout(() => said.classList.remove('shown'), 6000);
}

/** @param {string} path @param {object} data @param {string} done what to say when it has been done */
async function post(path, data, done) {
  try {
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(data) });
    if (response.status === 401) return location.assign('sign-in');
    tell(response.ok ? done : `Not done: ${(await response.json()).error}`);
  } catch {
    tell('Not done: the switchboard cannot be reached');
  }
}

/**
 * Resolves to whether it shall be done.
 * @param {string} title @param {string} text @param {string} verb @param {...Node} fields
 * @returns {Promise<boolean>}
 */
function ask(title, text, verb, ...fields) {
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', { id: 'ask-title' }, title),
    el('p', { id: 'ask-text' }, text),
    ...fields,
    el(
      'p',
      { class: 'buttons' },
      el('button', { class: 'quiet', value: '', autofocus: true }, 'Cancel'),
      el('button', { class: 'danger', value: 'yes' }, verb),
    ),
  );
  dialog.replaceChildren(form);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise(resolve =>
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }),
  );
}

/** "2 lines and 1 circuit" @param {string} id */
function burden(id) {
  const lines = [...state.lines.values()].filter(({ provider }) => provider === id).length;
  const circuits = [...state.circuits.values()].filter(
    ({ caller, provider }) => caller.id === id || provider.id === id,
  ).length;
  const count = (/** @type {number} */ n, /** @type {string} */ what) => `${n} ${what}${n === 1 ? '' : 's'}`;
  return `${count(lines, 'line')} and ${count(circuits, 'circuit')}`;
}

/** @param {{ id: string, user: string, alias: string }} client */
export async function kick({ id, user, alias }) {
  const text = `Its connection ends, with ${burden(id)}. It may come back at once.`;
  if (await ask(`Kick ${alias || user}?`, text, 'Kick')) await post('api/kick', { id }, `${alias || user} was kicked.`);
}

/** @param {ClientInfo} client */
export async function ban({ id, user, alias, key, address }) {
  const subject = el(
    'select',
    { id: 'ban-subject' },
    el('option', { value: key }, `its key, ${key}`),
    el('option', { value: address }, `everybody from ${address}`),
  );
  const times = /** @type {const} */ ([
    ['an hour', 3600],
    ['a day', 86_400],
    ['a week', 604_800],
    ['ever', 0],
  ]);
  const time = el(
    'select',
    { id: 'ban-time' },
    ...times.map(([text, seconds]) => el('option', { value: seconds }, text)),
  );
  const reason = el('input', { id: 'ban-reason', maxlength: 200, autocomplete: 'off' });
  const fields = [
    el('label', { for: 'ban-subject' }, 'Keep out'),
    subject,
    el('label', { for: 'ban-time' }, 'for'),
    time,
    el('label', { for: 'ban-reason' }, 'because'),
    reason,
  ];
  if (
    !(await ask(
      `Ban ${alias || user}?`,
      `Its connection ends, with ${burden(id)}, and it cannot come back.`,
      'Ban',
      ...fields,
    ))
  )
    return;
  const seconds = Number(time.value) || undefined;
  await post('api/ban', { subject: subject.value, seconds, reason: reason.value }, `${alias || user} was banned.`);
}

/** @param {string} subject */
export async function unban(subject) {
  if (await ask('Let in again?', `${subject} may come back.`, 'Let in'))
    await post('api/unban', { subject }, `${subject} may come back.`);
}

/** What may be done about a client. @param {ClientInfo} client @returns {HTMLElement} */
export const buttons = client =>
  el(
    'span',
    { class: 'buttons' },
    el(
      'button',
      { class: 'small', 'aria-label': `Kick ${client.alias || client.user}`, click: () => kick(client) },
      'Kick',
    ),
    el(
      'button',
      { class: 'small danger', 'aria-label': `Ban ${client.alias || client.user}`, click: () => ban(client) },
      'Ban',
    ),
  );
