// What is said over the connection, and what it says to the person.

import { clock, on } from './dom.js';
import { changed } from './frame.js';
import { ask, begin, link, reconnect, send, sendFollows } from './link.js';
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
  // Who is followed already is told of again when presence is, and hears nothing of it.
  send({ initialRequest: true, token, presence: false });
  followAll();
  sendHello();
});

// Until the server speaks of a runner, nothing says that it is still told of it.
function followAll() {
  for (const runner of everybody()) runner.isHeard = false;
  sendFollows([...runners.keys()]);
}

function hear(text) {
  const now = clock();
  Object.assign(link, { heardAt: now, askedAt: null });
  const message = JSON.parse(text), { error, audience, presence, pong } = message;
  if (error) return hearError(error);
  if (pong !== undefined) return link.answered = pong;
  if (audience !== undefined) return hearAudience(audience);
  // A server may say more than this page knows of.
  if (!presence && message.lat === undefined) return;
  // An integer id may have more digits than a number can hold.
  const digits = /^\{(?:"presence":\{)?"userId":(-?\d+)[,}]/.exec(text)?.[1];
  const runner = runners.get(digits ?? String((presence ?? message).userId));
  if (!runner) return;
  runner.isHeard = true;
  if (presence) hearPresence(runner, presence, now);
  else hearPosition(runner, message, now);
}

// The code decides; the words are for people.
function hearError({ code, message }) {
  const isUnanswered = link.answered < link.asked;
  // So does a server answer that is older than the page and knows no ping.
  if (code === 'bad_message' && isUnanswered) return link.answered += 1;
  // Who may not send positions shares nothing, whatever the device says. Behind all follows goes a
  // ping: what is not allowed once it is answered is no follow.
  const isOfPosition = code === 'wrong_user' || code === 'not_allowed' && !isUnanswered;
  if (isOfPosition && sharing.id !== null) endSharing();
  if (code === 'unauthorized') note(NO_TOKEN);
  else note('The server says:', message);
}

// A dead connection looks like a quiet one.
export function checkLife(quietMs) {
  const now = clock();
  if (!link.isOpen) return;
  if (link.askedAt === null) {
    if (now - link.heardAt > quietMs) ask();
  } else if (now - link.askedAt > ANSWER_MS) {
    reconnect();
  }
}

on(document, 'visibilitychange', () => {
  if (document.hidden) return;
  if (link.retryAt !== null) reconnect();
  else checkLife(QUIET_MS / 4);
});
