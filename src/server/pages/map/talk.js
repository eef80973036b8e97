// What is said over the connection, and what it says to the person.

import { clock, on } from './dom.js';
import { changed } from './frame.js';
import { begin, link, reconnect, send, sendIds } from './link.js';
import { drawList } from './list.js';
import { everybody, hearPosition, hearPresence, runners } from './runners.js';
import { endSharing, hearAudience, hearLoss, sendFix, sendHello, sharing, showSubject } from './share.js';
import { note, showLink } from './status.js';
import { forgetToken, renewToken, subject, token } from './token.js';

export const QUIET_MS = 20_000; // after which the server is asked for a sign of life
const ANSWER_MS = 10_000;
const NO_TOKEN = 'This server shows nobody without a token. Open the map with the link that you were given.';

// Begins to talk, and does not end.
export const converse = () => begin({ connecting, open, message: hear, waiting, refused });

function say(state, words) {
  showLink(state, words);
  drawList();
  changed('dots');
}

function connecting(isAgain) {
  say('connecting', isAgain ? 'Connecting again' : 'Connecting');
}

function open() {
  sendHello();
  followAll();
  sendFix();
  say('open', 'Connected');
}

function waiting(code, wasOpen) {
  hearLoss();
  say('waiting', { 1012: 'The server is restarting', 1013: 'The server is full' }[code]
    ?? (wasOpen ? 'Connection lost' : 'No connection'));
}

function refused(code) {
  hearLoss();
  say('stopped', {
    4001: token ? 'The server does not accept the token of this link. Ask for a new one.' : NO_TOKEN,
    4002: 'Your access has ended. Ask for a new link.',
    4003: 'The server takes no connections from pages at this address.',
  }[code] ?? `The server refuses this page (${code}).`);
  if (code < 4003) forgetToken();
  if (sharing.id !== null) endSharing();
}

on(window, 'hashchange', () => {
  const before = subject();
  if (!renewToken()) return;
  showSubject();
  // A connection stays the same person's. The token may cover more or less than the one before.
  if (!link.isOpen || subject() !== before) return reconnect();
  send({ token });
  sendIds('unfollow', [...runners.keys()]);
  followAll();
});

// Until the server speaks of a runner, nothing says that it is still told of it.
function followAll() {
  for (const runner of everybody()) runner.isHeard = false;
  sendIds('follow', [...runners.keys()]);
}

function hear(text) {
  const now = clock(), isAsked = link.askedAt !== null;
  Object.assign(link, { heardAt: now, askedAt: null });
  const message = JSON.parse(text), { error, audience, presence } = message;
  const { code, message: words } = error ?? {};
  // Who may not send positions shares nothing, whatever the device says.
  if (sharing.id !== null && (code === 'wrong_user' || code === 'not_allowed' && words.includes('positions'))) endSharing();
  if (error) return isAsked || note(code === 'unauthorized' ? NO_TOKEN : `The server says: ${words}`);
  if (audience !== undefined) return hearAudience(audience);
  // An integer id may have more digits than a number can hold.
  const digits = /^\{(?:"presence":\{)?"userId":(-?\d+)[,}]/.exec(text)?.[1];
  const runner = runners.get(digits ?? String((presence ?? message).userId));
  if (!runner) return;
  runner.isHeard = true;
  if (presence) hearPresence(runner, presence, now);
  else hearPosition(runner, message, now);
}

// A dead connection looks like a quiet one. To unfollow and follow somebody brings an answer.
export function checkLife(quietMs) {
  const now = clock();
  const runner = everybody().find(({ isHeard }) => isHeard), id = runner?.id ?? sharing.id;
  if (!link.isOpen || id === null) return;
  if (link.askedAt !== null) {
    if (now - link.askedAt > ANSWER_MS) reconnect();
  } else if (now - link.heardAt > quietMs) {
    link.askedAt = now;
    send({ unfollow: [id] });
    send({ follow: [id] });
    if (!runners.has(id)) send({ unfollow: [id] });
  }
}

on(document, 'visibilitychange', () => {
  if (document.hidden) return;
  if (link.retryAt !== null) reconnect();
  else checkLife(QUIET_MS / 4);
});
