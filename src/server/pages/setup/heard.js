// The test: asks the server for the runner's last known position, again and again while somebody
// looks, and says how long ago it came.

import { $, clock, on, write } from '../map/dom.js';

const ASK_MS = 3000;
const ANSWER_MS_MAX = 10_000;
const { floor, max } = Math;

let runner = null;
let heardAt = null; // by this page's clock
let words = ''; // instead of an age
let isAsking = false;

// Tests for this runner from now on; for `null` for nobody.
export function testFor(card) {
  runner = card;
  heardAt = null;
  words = 'Asking the server';
  show();
  ask();
}

async function ask() {
  if (!runner || document.hidden || isAsking) return;
  isAsking = true;
  const asked = runner;
  const headers = asked.token ? { Authorization: `Bearer ${asked.token}` } : {};
  try {
    const options = { headers, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS_MAX) };
    const answer = await fetch(`/positions?ids=${encodeURIComponent(asked.id)}`, options);
    const known = answer.ok ? await answer.json() : null;
    if (asked === runner) hear(answer.status, known);
  } catch {
    if (asked === runner) words = 'No answer from the server. Trying again.';
  }
  isAsking = false;
  show();
}

function hear(status, known) {
  const age = known?.features?.[0]?.properties?.age;
  if (known) heardAt = age === undefined ? null : clock() - age * 1000;
  words = {
    200: 'Nothing came from you yet. Start tracking in the app, under an open sky.',
    401: runner.token
      ? 'The server does not accept your token. Ask for a new card.'
      : 'This server asks for a token. Scan the code on your card.',
  }[status] ?? `The server cannot say (${status}). Trying again.`;
  if (known && heardAt !== null) words = '';
}

function show() {
  $('heard').dataset.state = words ? 'waiting' : 'heard';
  write($('heard').firstElementChild, words || 'Your last position came');
  write($('age'), words ? '' : ` ${ageInWords((clock() - heardAt) / 1000)} ago`);
}

function ageInWords(seconds) {
  const whole = max(floor(seconds), 0);
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${floor(whole / 60)} min` : `${floor(whole / 3600)} h ${floor(whole / 60) % 60} min`;
}

setInterval(ask, ASK_MS);
setInterval(() => { if (runner) show(); }, 500);
on(document, 'visibilitychange', ask);
