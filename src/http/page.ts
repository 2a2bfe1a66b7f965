import { type RequestHandler, Router, urlencoded } from 'express';
import type { Decision, Reading } from '../domain/decision.ts';
import { allowed } from '../domain/permissions.ts';
import type { Auth, Principal } from './auth.ts';
import { problemOf } from './problems.ts';
import type { RolloutView } from './views.ts';

export interface PageDeps {
  readonly auth: Pick<Auth, 'authenticate'>;
  readonly rollouts: (environment: string | null) => Promise<readonly RolloutView[]>;
  readonly decisions: (environment: string | null) => Promise<readonly Decision[]>;
  readonly kill: (
    view: { readonly environment: string; readonly name: string },
    principal: Principal,
    reason: string,
  ) => Promise<void>;
  readonly now: () => number;
}

const cookieName = 'tidegate_session';
const headers = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

/** A cookie's value as it was before it was set; malformed ones are nobody's. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return '';
  }
}

/** The page at `/`: rollouts, readings, decisions, and a kill button. Server-sent; a few lines of script keep it fresh. */
export function page(deps: PageDeps): Router {
  const router = Router();
  const who = (cookie: string | undefined): Principal | null => {
    const sent = new RegExp(`(?:^|; )${cookieName}=([^;]+)`).exec(cookie ?? '')?.[1];
    const token = sent === undefined ? undefined : decoded(sent);
    return token === undefined ? null : deps.auth.authenticate({ headers: { authorization: `Bearer ${token}` } });
  };

  // A cookie travels with any request; only our own page may act with it. The sign-in itself carries its token.
  const ownPage: RequestHandler = (req, res, next) => {
    const site = req.get('sec-fetch-site');
    if (site === undefined || site === 'same-origin' || site === 'none') next();
    else res.status(403).set(headers).type('text/plain').send('This form was sent from another site.');
  };

  router.get('/', (req, res, next) => {
    const principal = who(req.headers.cookie);
    if (principal === null || allowed(principal.role, 'read') === 'no') {
      res
        .status(401)
        .set(headers)
        .type('html')
        .send(shell('Sign in', signIn('')));
      return;
    }
    overview(deps, principal)
      .then((body) => res.set(headers).type('html').send(shell('Rollouts', body)))
      .catch(next);
  });

  router.post('/login', urlencoded({ extended: false, limit: '2kb' }), (req, res) => {
    const token = typeof req.body?.token === 'string' ? req.body.token.trim() : '';
    const principal = deps.auth.authenticate({ headers: { authorization: `Bearer ${token}` } });
    if (principal === null || allowed(principal.role, 'read') === 'no') {
      res
        .status(401)
        .set(headers)
        .type('html')
        .send(shell('Sign in', signIn('That token is not valid here.')));
      return;
    }
    res.set(headers).cookie(cookieName, token, { httpOnly: true, sameSite: 'strict', secure: req.secure, path: '/' });
    res.redirect(303, '/');
  });

  router.post('/logout', ownPage, (_req, res) => {
    res.clearCookie(cookieName, { path: '/' }).redirect(303, '/');
  });

  router.post('/kill', ownPage, urlencoded({ extended: false, limit: '8kb' }), (req, res, next) => {
    const principal = who(req.headers.cookie);
    const { name, environment, reason } = req.body ?? {};
    if (principal === null || allowed(principal.role, 'rollout.lower', 'kill') === 'no') {
      res
        .status(403)
        .set(headers)
        .type('html')
        .send(shell('Refused', '<p>Your token may not kill. <a href="/">Back</a></p>'));
      return;
    }
    if (typeof name !== 'string' || typeof environment !== 'string') {
      res.status(400).set(headers).type('text/plain').send('name and environment are missing');
      return;
    }
    const text = typeof reason === 'string' && reason.trim() !== '' ? reason.trim() : 'killed from the page';
    deps
      .kill({ name, environment }, principal, text)
      .then(() => res.redirect(303, '/'))
      .catch((error: unknown) => {
        const problem = problemOf(error);
        if (problem.status >= 500) return next(error);
        res
          .status(problem.status)
          .set(headers)
          .type('html')
          .send(shell('Refused', `<p>${html(problem.detail)} <a href="/">Back</a></p>`));
      });
  });

  router.get('/page.css', (_req, res) => {
    res.type('css').set('Cache-Control', 'max-age=3600').send(css);
  });
  router.get('/page.js', (_req, res) => {
    res.type('js').set('Cache-Control', 'max-age=3600').send(script);
  });
  return router;
}

const html = (text: string) => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const shell = (title: string, body: string) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · tidegate</title><link rel="stylesheet" href="/page.css"><script src="/page.js" defer></script></head>
<body><header><h1><a href="/">tidegate</a></h1></header><main>${body}</main></body></html>`;

const signIn = (message: string) => `<h2>Sign in</h2>
${message === '' ? '' : `<p role="alert">${html(message)}</p>`}
<form method="post" action="/login"><label>Token <input name="token" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form><p>The first admin token was printed once, when the controller first started.</p>`;

async function overview(deps: PageDeps, principal: Principal): Promise<string> {
  const [rollouts, decisions] = await Promise.all([
    deps.rollouts(principal.environment),
    deps.decisions(principal.environment),
  ]);
  const mayKill = allowed(principal.role, 'rollout.lower', 'kill') !== 'no';
  const now = deps.now();
  const list =
    rollouts.length === 0
      ? '<p>No rollouts yet. Write a starter plan with <code>tidegate init</code>, then <code>tidegate apply</code>.</p>'
      : rollouts.map((view) => card(view, mayKill, now)).join('');
  const rows = decisions.map(
    (d) =>
      `<tr><td class="number">${timeOf(d.at)}</td><td>${html(d.name)}</td><td class="${d.action}">${d.action.replace('_', ' ')}</td><td class="number">${percent(d.exposure.from)} → ${percent(d.exposure.to)}</td><td class="text">${html(d.why)}</td></tr>`,
  );
  return `<form method="post" action="/logout" class="who">${html(principal.subject)} (${principal.role}) <button>Sign out</button></form>
<h2>Rollouts</h2>${list}
<h2>Last decisions</h2>${
    rows.length === 0
      ? '<p>None yet.</p>'
      : `<div class="wide"><table><thead><tr><th>When (UTC)</th><th>Rollout</th><th>Decision</th><th>Exposure</th><th>Why</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
  }<p><small>As of ${timeOf(now)} UTC</small></p>`;
}

function card(view: RolloutView, mayKill: boolean, now: number): string {
  const { state } = view;
  const stages = view.stages
    .map((stage, index) =>
      index === state.stage ? `<b aria-current="step">${percent(stage.exposure)}</b>` : percent(stage.exposure),
    )
    .join(' → ');
  const marks = [
    state.heldBy === null ? '' : `held by ${state.heldBy}${state.sticky ? ', until a person resumes it' : ''}`,
    state.watch ? 'watched closely' : '',
    view.frozen ? 'increases are frozen' : '',
    view.latch === null
      ? ''
      : `kill latch set by ${view.latch.by} at ${timeOf(view.latch.setAt)}${view.latch.reason === null ? '' : `: ${view.latch.reason}`}`,
  ].filter((mark) => mark !== '');
  const ended = ['killed', 'cancelled', 'superseded'].includes(state.phase);
  const entered = duration(now - view.stageEnteredAt);
  const lasting = ended ? `for ${entered}` : `in this stage for ${entered}`;
  const since = view.startedAt === null ? 'not started' : lasting;
  return `<section class="rollout ${state.phase}"><h3>${html(view.name)} <small>${html(view.environment)} · ${html(view.policy)}</small></h3>
<p class="state"><strong>${state.phase.replace('_', ' ').toUpperCase()}</strong> <span class="exposure">${percent(view.exposure)}</span> ${stages} · ${since}</p>
${marks.length === 0 ? '' : `<p>${html(marks.join(' · '))}</p>`}
${view.readings.length === 0 ? '' : readings(view.readings)}
${view.waitingFor.length === 0 || ended ? '' : `<p>Waiting for: ${html(view.waitingFor.map((wait) => wait.text).join(' · '))}</p>`}
${view.lastDecision === null ? '' : `<p class="why">${html(view.lastDecision.why)}</p>`}
${mayKill && !ended ? killForm(view) : ''}</section>`;
}

/** Two deliberate steps: open, then press. */
const killForm = (view: RolloutView) => `<details><summary>Kill…</summary><form method="post" action="/kill">
<input type="hidden" name="name" value="${html(view.name)}"><input type="hidden" name="environment" value="${html(view.environment)}">
<label>Reason <input name="reason" maxlength="500"></label> <button class="kill">Kill ${html(view.name)} now</button>
<small>Everybody is served control at once, and it stays so until somebody rearms it.</small></form></details>`;

function readings(all: readonly Reading[]): string {
  const rows = all.map(
    (r) =>
      `<tr><td>${html(r.gate)}</td><td>${r.tier}</td><td class="number" data-label="units">${units(r)}</td><td class="number" data-label="reliability">${r.reliability.toFixed(2)}</td><td class="${r.verdict}">${r.verdict.replace('_', ' ')}</td><td class="text">${html(r.text)}</td></tr>`,
  );
  return `<div class="wide"><table><thead><tr><th>Gate</th><th>Tier</th><th>Units, treatment / control</th><th>Reliability</th><th>Reading</th><th>What it says</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

/** Some checks of the comparison count no units. */
const units = ({ gate, treatment, control }: Reading) =>
  gate.startsWith('health.') && treatment.n + control.n === 0 ? '–' : `${count(treatment.n)} / ${count(control.n)}`;

const percent = (exposure: number) => `${exposure} %`;
const count = (n: number) => n.toLocaleString('en');
const timeOf = (at: number) => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1_000))} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

const css = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;--faint:color-mix(in srgb,currentColor 25%,transparent);--bad:light-dark(#ad1457,#ff80ab);--warn:light-dark(#8a5000,#ffb74d)}
body{max-width:70rem;margin:0 auto;padding:1rem}h1 a{color:inherit;text-decoration:none}header{border-bottom:2px solid}.who{float:right}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--faint)}
.number{white-space:nowrap}.wide{overflow-x:auto}.rollout{border:1px solid var(--faint);border-left-width:.5rem;padding:.2rem 1rem .8rem;margin:1rem 0}
.rollout.killed{border-left-color:#c2185b}.rollout.held{border-left-color:#b26a00}.rollout.ramping,.rollout.soaking,.rollout.completed{border-left-color:#2e7d32}
.exposure{font-size:1.5rem;font-weight:700;margin:0 .5rem}button,input{font:inherit;padding:.4rem .8rem}button.kill{color:#fff;background:#ad1457;border:0}
td.kill,td.hold,td.step_back{font-weight:700;text-transform:uppercase}td.kill{color:var(--bad)}td.hold,td.step_back,td.watch{color:var(--warn)}
summary{display:inline-block;cursor:pointer;border:1px solid;border-radius:3px;padding:.4rem .8rem}details form{margin-top:.8rem}details small{display:block}
@media(max-width:46rem){.who{float:none;text-align:right}button,summary{min-height:1.9rem}input{width:100%;box-sizing:border-box;margin-bottom:.5rem}
thead{position:absolute;clip-path:inset(50%)}tbody,table{display:block}tr{display:flex;flex-wrap:wrap;column-gap:.8rem;border-bottom:1px solid var(--faint);padding:.4rem 0}
td{border:0;padding:0}td:first-child{font-weight:700}td.text{flex-basis:100%}td[data-label]::before{content:attr(data-label) ' ';opacity:.75}}`;

/** Refreshes the page in place, unless somebody is about to kill something or is typing. */
const script = `setInterval(async()=>{
  if(document.hidden||document.querySelector('details[open]')||document.activeElement?.tagName==='INPUT')return;
  try{const r=await fetch('/');if(!r.ok)return;const next=new DOMParser().parseFromString(await r.text(),'text/html');
  if(!document.querySelector('details[open]'))document.querySelector('main').replaceWith(next.querySelector('main'))}catch{}
},2000)`;
