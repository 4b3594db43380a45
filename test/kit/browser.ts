// A real Chromium, driven through playwright-core: Debian's, or the one that CHROMIUM names.
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Scope } from './processes.ts';
import { which } from './tools.ts';

/** The program's name or path: what `needs` asks for. */
export const CHROMIUM = process.env.CHROMIUM ?? 'chromium';

/** Starts it without a window. Nothing of it goes to the network by itself. */
export async function browser(scope: Scope): Promise<Browser> {
  const running = await chromium.launch({
    executablePath: which(CHROMIUM) ?? CHROMIUM,
    headless: true,
    // Those of root's containers have no sandbox of their own.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    timeout: 120_000,
  });
  scope.defer(() => running.close());
  return running;
}

/** What a page has complained of, or asked for, since it was watched. */
export interface Watched {
  /** Errors, and everything on the console but plain messages. */
  readonly complaints: string[];
  /** Addresses of all requests, its own first. */
  readonly requests: string[];
}

export function watched(page: Page): Watched {
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('request', request => requests.push(request.url()));
  return { complaints, requests };
}
