// What the connection says to the person.

import { loadCourse } from './course.js';
import { $, clock, on } from './dom.js';
import { askForEveryone, endEveryone, followLinked, runnerOf } from './follows.js';
import { changed } from './frame.js';
import { everyone, link, server, settle } from './link.js';
import { drawList } from './list.js';
import { everybody, hearPosition, hearPresence, hearTrail, runners } from './runners.js';
import { endSharing, hearAudience, hearLoss, sayGoodbye, sharing, showSubject } from './share.js';
import { note, showLink } from './status.js';
import { forgetToken, renewToken, subject, token } from './token.js';

const NO_TOKEN = 'This server shows nobody without a token. Open the map with the link that you were given.';
const [UNAUTHORIZED, EXPIRED, FOREIGN] = [4001, 4002, 4003];

function say(state, words) {
  showLink(state, words);
  drawList();
  changed('dots');
}

const STATES = {
  connecting: (code, before) => before === 'waiting' ? say('again', 'Connecting again') : say('connecting', 'Connecting'),
  open() {
    loadCourse();
    expectAll();
    for (const runner of everybody()) runner.told = null;
    if (runners.size > 0 || everyone.isFollowed) settle();
    say('open', 'Connected');
    sayGoodbye();
  },
  waiting(code) {
    hearLoss();
    say('waiting', { 1012: 'The server is restarting', 1013: 'The server is full' }[code] ?? 'No connection');
  },
  ended(code) {
    hearLoss();
    say('stopped', {
      [UNAUTHORIZED]: token ? 'The server does not accept the token of this link. Ask for a new one.' : NO_TOKEN,
      [EXPIRED]: 'Your access has ended. Ask for a new link.',
      [FOREIGN]: 'The server takes no connections from pages at this address.',
    }[code] ?? `The server refuses this page (${code}).`);
    if (code === UNAUTHORIZED || code === EXPIRED) {
      forgetToken();
      server.renew(null);
    }
    if (sharing.id !== null) endSharing();
  },
};

let state = null;
let isTokenMissing = false;
on(server, 'link', ({ detail }) => {
  const before = state, wasOpen = link.isOpen, { retryIn } = detail;
  // The server waits for a token for a while. There is none.
  const code = isTokenMissing && detail.state === 'ended' ? UNAUTHORIZED : detail.code;
  isTokenMissing = false;
  ({ state } = detail);
  Object.assign(link, {
    isOpen: state === 'open', isStopped: state === 'ended', retryAt: retryIn === null ? null : clock() + retryIn,
    // The same again would be refused again.
    mayHelpToTry: ![UNAUTHORIZED, EXPIRED, FOREIGN].includes(code),
  });
  // One that was given up for its silence had been dead for a while.
  if (wasOpen) link.lostAt = state === 'waiting' ? clock() : link.heardAt;
  if (link.isOpen) Object.assign(link, { lostAt: null, heardAt: clock() });
  STATES[state](code, before);
});

on($('retry'), 'click', () => server.reconnect());

function takeToken() {
  const before = subject();
  if (!renewToken()) return;
  showSubject();
  // A connection stays the same person's. The token may cover more or less than the one before.
  if (!link.isOpen || subject() !== before) {
    askForEveryone();
    server.reconnect();
    return server.renew(token);
  }
  // Who is followed already is told of again when presence is, and hears nothing of it.
  server.hello({ presence: false });
  expectAll();
  server.renew(token);
  askForEveryone();
  settle();
  server.hello({ presence: true });
}

on(window, 'hashchange', () => {
  takeToken();
  followLinked();
});

// Until the server speaks of a runner, nothing says that it is still told of it.
function expectAll() {
  for (const runner of everybody()) Object.assign(runner, { isHeard: false, refusal: null });
}

function hearOf(hear, { detail }) {
  const runner = runnerOf(String(detail.userId)), now = clock();
  link.heardAt = now;
  if (!runner) return;
  runner.isHeard = true;
  hear(runner, detail, now);
}
on(server, 'presence', event => hearOf(hearPresence, event));
on(server, 'position', event => hearOf(hearPosition, event));
on(server, 'trail', event => hearOf(hearTrail, event));
on(server, 'audience', ({ detail }) => hearAudience(detail));

// An error names the first of the ids that it is about. Of whom else the server says nothing, it refused for the same.
const FOLLOWS = ['not_allowed', 'too_many_follows', 'bad_id'];
function markRefused(code, message) {
  const first = everybody().find(({ id }) => message.includes(JSON.stringify(id)));
  for (const runner of everybody()) {
    if (!runner.isHeard && (runner === first || runner.refusal === null)) runner.refusal = code;
  }
}

// The code decides; the words are for people.
on(server, 'error', ({ detail: { code, message } }) => {
  const isOfFollow = link.unsettled > 0;
  if (code === 'unauthorized') {
    isTokenMissing = true;
    return server.close();
  }
  // Everyone is asked for before anybody else, and by a list a server says that it does not know how.
  if (everyone.isFollowed && isOfFollow && (code === 'not_allowed' || code === 'bad_message')) {
    const { isSaid } = everyone;
    endEveryone();
    return isSaid ? note('The server says:', message) : undefined;
  }
  if (isOfFollow && FOLLOWS.includes(code)) markRefused(code, message);
  // Who may not send positions shares nothing, whatever the device says. What is not allowed once
  // all follows are carried out is no follow.
  const isOfPosition = code === 'wrong_user' || code === 'not_allowed' && !isOfFollow;
  if (isOfPosition && sharing.id !== null) endSharing();
  note('The server says:', message);
});
