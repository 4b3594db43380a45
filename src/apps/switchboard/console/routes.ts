// What the console answers over HTTP. Whoever is not signed in gets the page to sign in, /healthz, /readyz and /metrics, and nothing else.
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { secureHeaders } from 'hono/secure-headers';
import { streamSSE } from 'hono/streaming';
import type { Exchange } from './exchange.ts';
import type { Feed } from './feed.ts';
import { staticFiles } from './files.ts';
import { LASTS, type SignIns } from './sign-ins.ts';

const COOKIE = 'cordboard-console';
/** Bytes of a request; what there is to say is a name, a time and a reason. */
const MAX_BODY = 4096;
/** Browsers that watch at once. */
export const MAX_VIEWERS = 16;
/** Characters of a reason, as people see them. */
const MAX_REASON = 200;
/** A ban's longest time: ten years, in seconds; beyond that it is for ever. */
const MAX_BAN = 10 * 365 * 86_400;

/** Milliseconds that an answer to Prometheus holds. */
const METRICS_LAST = 1000;

export interface RoutesOptions {
  readonly exchange: Exchange;
  readonly feed: Feed;
  readonly signIns: SignIns;
  /** The address of whoever asks. */
  addressOf(context: Context): string;
  /** Clients are served, and new ones may come. */
  isReady(): boolean;
  /** The connection is not dropped to make room for others; `gone` is called when its answer is over, at once if it is already. */
  keep(context: Context, gone: () => void): void;
  /** Hears of requests that have failed by a fault of ours. */
  failed(error: unknown): void;
}

/** Nothing but our own files runs or shows, nobody frames the page, and no text becomes HTML. */
const HEADERS = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
    baseUri: ["'none'"],
    requireTrustedTypesFor: ["'script'"],
  },
  xFrameOptions: 'DENY',
  // The one who speaks TLS, a proxy in front, decides on that.
  strictTransportSecurity: false,
});

export function routes({ exchange, feed, signIns, addressOf, isReady, keep, failed }: RoutesOptions): Hono {
  const app = new Hono();
  const files = staticFiles();
  let viewers = 0;
  let measured = { at: Number.NEGATIVE_INFINITY, text: Promise.resolve('') };

  const session = (c: Context) => getCookie(c, COOKIE);
  const isIn = (c: Context) => signIns.has(session(c));

  const file = (c: Context, name: string) => {
    const found = files.get(name);
    if (found === undefined) return c.notFound();
    // "no-cache" is: ask each time whether it is still the same one.
    c.header('Cache-Control', 'no-cache');
    c.header('ETag', found.etag);
    if (c.req.header('If-None-Match') === found.etag) return c.body(null, 304);
    c.header('Content-Type', found.type);
    return c.body(found.body);
  };

  app.use(HEADERS);
  app.use(async (c, next) => {
    c.header('Cache-Control', 'no-store');
    // Browsers say where a request comes from: no other site's page may send one in the operator's name. What is read is
    // theirs to link to, but nothing of /api: another page on this host would come with our cookie.
    const reads = c.req.method === 'GET' || c.req.method === 'HEAD';
    if ((!reads || c.req.path.startsWith('/api/')) && !sameOrigin(c)) return c.text('cross-site request\n', 403);
    await next();
  });
  app.onError((error, c) => {
    failed(error);
    return c.text('internal error\n', 500);
  });
  app.use(bodyLimit({ maxSize: MAX_BODY, onError: c => c.text('the request is too large\n', 413) }));

  app.get('/healthz', c => c.text('ok\n'));
  app.get('/readyz', c => (isReady() ? c.text('ok\n') : c.text(feed.draining ? 'draining\n' : 'starting\n', 503)));
  app.get('/metrics', async c => {
    // Whoever asks again and again gets the same answer for a second: it costs some milliseconds to make one.
    const now = performance.now();
    if (now - measured.at >= METRICS_LAST) measured = { at: now, text: exchange.metrics() };
    return c.text(await measured.text, 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
  });

  app.get('/sign-in', c => (isIn(c) ? c.redirect('/', 303) : file(c, 'sign-in.html')));
  app.post('/sign-in', async c => {
    const { token } = await c.req.parseBody();
    const result = await signIns.signIn(typeof token === 'string' ? token.trim() : '');
    if (typeof result === 'string') return c.redirect(`/sign-in#${result}`, 303);
    setCookie(c, COOKIE, result.session, {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: LASTS / 1000,
      // Behind a proxy that speaks TLS it must never go out in the clear.
      secure: c.req.header('X-Forwarded-Proto') === 'https',
    });
    return c.redirect('/', 303);
  });
  app.post('/sign-out', c => {
    signIns.signOut(session(c));
    deleteCookie(c, COOKIE, { path: '/' });
    return c.redirect('/sign-in', 303);
  });

  app.get('/', c => (isIn(c) ? file(c, 'index.html') : c.redirect('/sign-in', 303)));

  app.use('/api/*', async (c, next) => (isIn(c) ? next() : c.json({ error: 'sign in first' }, 401)));
  /** A route of /api with one method. HEAD is no GET here: an answer without its body would be begun, and never ended. */
  const api = (method: 'GET' | 'POST', path: string, handler: (c: Context) => Response | Promise<Response>) => {
    app.use(path, async (c, next) => {
      if (c.req.method === method) return next();
      return c.json({ error: `this takes ${method} only` }, 405, { Allow: method });
    });
    app.on(method, path, handler);
  };

  api('GET', '/api/session', c => c.body(null, 204));
  api('GET', '/api/events', c => {
    if (viewers >= MAX_VIEWERS) return c.json({ error: 'too many browsers watch' }, 503);
    // nginx would keep events back until its buffer is full.
    c.header('X-Accel-Buffering', 'no');
    return streamSSE(c, async stream => {
      const undo: (() => void)[] = [];
      viewers++;
      try {
        // However it ends: the browser goes, perhaps before it has begun, its session is over, or it cannot be written to.
        const ended = new Promise<void>(resolve => {
          stream.onAbort(resolve);
          keep(c, resolve);
        });
        undo.push(feed.view(message => stream.writeSSE(message)));
        undo.push(signIns.onEnd(session(c), () => stream.abort()));
        await ended;
      } catch (error) {
        failed(error);
      } finally {
        viewers--;
        for (const end of undo) end();
      }
    });
  });
  api('POST', '/api/kick', async c => {
    const { id } = await body(c);
    if (typeof id !== 'string') return c.json({ error: 'which client?' }, 400);
    if (await exchange.kick(addressOf(c), id)) return c.json({});
    return c.json({ error: 'it is gone already' }, 404);
  });
  api('POST', '/api/ban', async c => {
    const { subject, seconds, reason } = await body(c);
    if (typeof subject !== 'string' || subject === '') return c.json({ error: 'whom?' }, 400);
    const limited = typeof seconds === 'number' && seconds > 0 && seconds <= MAX_BAN;
    const why = typeof reason === 'string' ? reason.slice(0, MAX_REASON) : '';
    if (await exchange.ban(addressOf(c), subject, limited ? Math.ceil(seconds) : undefined, why)) return c.json({});
    return c.json({ error: 'it is neither a key nor an address, or there are too many bans' }, 400);
  });
  api('POST', '/api/unban', async c => {
    const { subject } = await body(c);
    if (typeof subject !== 'string') return c.json({ error: 'whom?' }, 400);
    if (await exchange.unban(addressOf(c), subject)) return c.json({});
    return c.json({ error: 'it is not banned' }, 404);
  });

  // Last: what has no other meaning is a file; none of them is a secret.
  app.get('/:name', c => file(c, c.req.param('name')));
  return app;
}

/** What a browser says, or, if it says nothing, that there is no browser: curl needs the cookie all the same. */
function sameOrigin(c: Context): boolean {
  const site = c.req.header('Sec-Fetch-Site');
  if (site !== undefined) return site === 'same-origin';
  const origin = c.req.header('Origin');
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === c.req.header('Host'));
}

/** JSON only, which no form of another site can send. */
async function body(c: Context): Promise<Record<string, unknown>> {
  if (!c.req.header('Content-Type')?.startsWith('application/json')) return {};
  const value: unknown = await c.req.json().catch(() => ({}));
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
