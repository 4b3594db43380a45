// The page of `once view`: one HTML file with player and recording inside, which loads nothing. What is recorded may be hostile: in
// the markup it is only as escaped text and base64, and the page's policy runs no script but its own two.
import { createHash } from 'node:crypto';

/** What goes into the page. All text is escaped here. */
export interface Page {
  readonly title: string;
  readonly verdict: { readonly state: keyof typeof VERDICTS; readonly text: string };
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** Those with a time are markers of the recording, in their order. */
  readonly moments: readonly { readonly time: string; readonly label: string; readonly marker?: number }[];
  /** Gzip of the JSON that the script takes. */
  readonly recording: Uint8Array;
  /** The player: its script and its style, and which it is. */
  readonly player: { readonly script: string; readonly style: string; readonly version: string };
  /** Where the page comes from. */
  readonly made: string;
}

const VERDICTS = {
  whole: 'Whole and unchanged',
  anonymous: 'Whole, but by whom is not known',
  unfinished: 'Unchanged, but unfinished',
  changed: 'CHANGED',
};

export function html({ title, verdict, facts, moments, recording, player, made }: Page): string {
  const scripts = [inScript(player.script), SCRIPT];
  const style = `${player.style}\n${STYLE}`;
  const policy = [
    "default-src 'none'",
    // Its terminal is WebAssembly.
    `script-src ${scripts.map(hash).join(' ')} 'wasm-unsafe-eval'`,
    `style-src ${hash(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ];
  const rows = facts.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`);
  const items = moments.map(({ time, label, marker }) =>
    marker === undefined
      ? `<li><span>${escaped(time)}</span> ${escaped(label)}</li>`
      : `<li><button type="button" data-marker="${marker}">${escaped(time)}</button> ${escaped(label)}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p id="verdict" class="${verdict.state}"><strong>${VERDICTS[verdict.state]}</strong> ${escaped(verdict.text)}</p>
<div id="player"></div>
<p class="controls"><label><input id="pauses" type="checkbox"> skip pauses longer than two seconds</label></p>
<noscript><p>This page needs JavaScript to play; what it plays is inside.</p></noscript>
<p id="failure" role="alert"></p>
<dl>${rows.join('\n')}</dl>
<h2>Moments</h2>
<ol>${items.join('\n')}</ol>
<footer>
<p>${escaped(made)}</p>
<p>Played by asciinema-player ${escaped(player.version)}, Copyright Marcin Kulik, under the Apache License 2.0
(http://www.apache.org/licenses/LICENSE-2.0), which is inside unchanged.</p>
</footer>
<script type="application/octet-stream" id="recording">${Buffer.from(recording).toString('base64')}</script>
<script>${scripts[0]}</script>
<script>${scripts[1]}</script>
</body>
</html>
`;
}

const SPECIAL: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** As text of an element or value of an attribute. Characters that are not seen or turn lines around are shown as boxes. */
const escaped = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\uFFFD').replace(/[&<>"']/g, found => SPECIAL[found]);

/** Nothing in a script may end its element, or begin what HTML takes for a comment. */
const inScript = (script: string): string => script.replace(/<(?=\/?script|!--)/gi, '\\x3c');

const hash = (content: string): string => `'sha256-${createHash('sha256').update(content).digest('base64')}'`;

/** Takes the recording out of the page and gives it to the player. */
const SCRIPT = `
const element = id => document.getElementById(id);
const failed = error => { element('failure').textContent = 'This recording cannot be played: ' + error.message; };
async function recording() {
  const base64 = element('recording').textContent;
  const bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(unpacked).json();
}
recording().then(({ columns, rows, events }) => {
  let player;
  const show = () => {
    if (player !== undefined) player.dispose();
    const source = { data: [], parser: () => ({ cols: columns, rows, events }) };
    player = window.player = AsciinemaPlayer.create(source, element('player'), {
      preload: true,
      controls: true,
      fit: 'width',
      idleTimeLimit: element('pauses').checked ? 2 : undefined,
    });
  };
  show();
  element('pauses').addEventListener('change', show);
  for (const button of document.querySelectorAll('button[data-marker]')) {
    button.addEventListener('click', () => player.seek({ marker: Number(button.dataset.marker) }).catch(failed));
  }
}).catch(failed);
`;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1f24; --quiet: #5c6470; --paper: #fbfaf7; --line: #d9d6cc; --good: #1a7f4b; --open: #8f6400; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --quiet: #a09f9a; --paper: #16181c; --line: #353941; --good: #4cc38a; --open: #e0b040; --bad: #ff7b72; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1.1rem; }
#verdict { margin: 0 0 1rem; padding: .5rem .8rem; border-left: .35rem solid; overflow-wrap: anywhere; }
#verdict strong { display: block; }
.whole { color: var(--good); } .anonymous, .unfinished { color: var(--open); } .changed { color: var(--bad); }
.controls { margin: .6rem 0; color: var(--quiet); font-size: .9rem; }
#failure:empty { display: none; } #failure { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 1rem 0; }
dt, footer { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9rem; white-space: pre-wrap; }
ol { list-style: none; margin: 0; padding: 0; max-height: 24rem; overflow: auto; }
li { padding: .15rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
li span, li button { display: inline-block; min-width: 6rem; margin-right: .4rem; text-align: right; }
li span { color: var(--quiet); }
li button { padding: 0; border: 0; background: none; color: inherit; font: inherit; font-variant-numeric: tabular-nums; text-decoration: underline; cursor: pointer; }
footer { margin-top: 2rem; font-size: .85rem; overflow-wrap: anywhere; }
`;
