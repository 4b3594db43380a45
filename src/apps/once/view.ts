// Makes a page of a transcript that plays in a browser, and says whether the transcript is as it was written.
import { closeSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fingerprint, parsePublicKey } from '../../crypto/keys/index.ts';
import { packaged } from '../../server/runtime/packaged.ts';
import { reason } from '../../server/runtime/reason.ts';
import { OnceError } from './failure.ts';
import { newFile } from './log-file.ts';
import { print, say } from './output.ts';
import { html, type Page } from './page.ts';
import { type Recording, recordingOf, type Stated } from './recording.ts';
import { report, STATUS } from './verify.ts';

export interface ViewOptions {
  /** Where to; by default the transcript's name with ".html" behind it. "-" is standard output. */
  readonly output?: string;
  /** As for `report`. */
  readonly key?: string;
}

const STATES = new Map(Object.entries(STATUS).map(([state, status]) => [status, state as keyof typeof STATUS]));

/** @returns the exit code, that of `verify` @throws OnceError */
export function view(file: string, { output = `${file}.html`, key }: ViewOptions): number {
  if (output !== '-' && !output.endsWith('.html'))
    throw new OnceError(`--output ${output} does not end in .html: a transcript could be written over`, 2);
  const { status, text } = report(file, key);
  say(text);
  const page = html({
    title: basename(file),
    verdict: { state: STATES.get(status)!, text },
    ...contents(read(file)),
    player: player(),
    made: made(file),
  });
  if (output === '-') print(page);
  else {
    write(output, page);
    print(`${output}\n`);
  }
  return status;
}

function write(output: string, page: string): void {
  try {
    // In the place of an older one, not into it: it may be a link, or somebody else's.
    rmSync(output, { force: true });
    const fd = newFile(output);
    writeFileSync(fd, page);
    closeSync(fd);
  } catch (error) {
    throw new OnceError(`Could not write ${output}: ${reason(error)}`);
  }
}

function read(file: string): Recording {
  try {
    return recordingOf(file);
  } catch (error) {
    if (error instanceof OnceError) throw error;
    throw new OnceError(`${file}: cannot be read: ${reason(error)}`);
  }
}

function contents({
  stated,
  columns,
  rows,
  events,
  moments,
  status,
}: Recording): Omit<Page, 'title' | 'verdict' | 'player' | 'made'> {
  const before = stated.notes.map(note => ({ time: 'before', label: note }));
  const during = moments.map(({ milliseconds, label }, marker) => ({ time: clock(milliseconds), label, marker }));
  return {
    facts: [
      ['Ran', stated.command],
      ['Began', stated.began],
      ['Lasted', clock(moments.at(-1)?.milliseconds ?? 0)],
      ['Ended', status === undefined ? 'not in this transcript' : `with status ${status}`],
      ['Terminal', stated.terminal],
      ['Host key', keyIn(stated)],
    ].filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
    moments: [...before, ...during],
    recording: gzipSync(JSON.stringify({ columns, rows, events })),
  };
}

function keyIn({ key }: Stated): string | undefined {
  try {
    return key && fingerprint(parsePublicKey(key).blob);
  } catch {
    return 'none that can be read';
  }
}

/** "1:02:03.4" */
function clock(milliseconds: number): string {
  const seconds = (milliseconds / 1000) % 60;
  const minutes = Math.floor(milliseconds / 60_000);
  const short = `${String(minutes % 60).padStart(2, '0')}:${seconds.toFixed(1).padStart(4, '0')}`;
  return minutes < 60 ? short : `${Math.floor(minutes / 60)}:${short}`;
}

function player(): Page['player'] {
  const { optionalDependencies } = JSON.parse(packaged('cordboard/package.json')) as {
    optionalDependencies: Record<string, string>;
  };
  try {
    return {
      script: packaged('asciinema-player/dist/bundle/asciinema-player.min.js'),
      style: packaged('asciinema-player/dist/bundle/asciinema-player.css'),
      version: optionalDependencies['asciinema-player'],
    };
  } catch (error) {
    throw new OnceError(`once view needs the optional package asciinema-player: ${(error as Error).message}`);
  }
}

const made = (file: string): string =>
  `Made by cordboard once view on ${new Date().toISOString()}. Whoever has this page can change it: what counts is the transcript, \
and "cordboard once verify ${basename(file)}".`;
