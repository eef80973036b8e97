// What the connection says to the person.

import { loadCourse } from './course.js';
import { $, clock, on } from './dom.js';
import { changed } from './frame.js';
import { link, server, settle } from './link.js';
import { drawList, followLinked } from './list.js';
import { everybody, hearPosition, hearPresence, hearTrail, runners } from './runners.js';
import { endSharing, hearAudience, hearLoss, sayGoodbye, sharing, showSubject } from './share.js';
import { note, showLink } from './status.js';
import { forgetToken, renewToken, subject, token } from './token.js';

const NO_TOKEN = 'This server shows nobody without a token. Open the map with the link that you were given.';

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
    if (runners.size > 0) settle();
    say('open', 'Connected');
    sayGoodbye();
  },
  waiting(code, before) {
    hearLoss();
    say('waiting', { 1012: 'The server is restarting', 1013: 'The server is full' }[code]
      ?? (before === 'open' ? 'Connection lost' : 'No connection'));
  },
  ended(code) {
    hearLoss();
    say('stopped', {
      4001: token ? 'The server does not accept the token of this link. Ask for a new one.' : NO_TOKEN,
      4002: 'Your access has ended. Ask for a new link.',
      4003: 'The server takes no connections from pages at this address.',
    }[code] ?? `The server refuses this page (${code}).`);
    if (code === 4001 || code === 4002) {
      forgetToken();
      server.renew(null);
    }
    if (sharing.id !== null) endSharing();
  },
};

let state = null;
on(server, 'link', ({ detail }) => {
  const before = state, { code, retryIn } = detail;
  ({ state } = detail);
  Object.assign(link, {
    isOpen: state === 'open', isStopped: state === 'ended', retryAt: retryIn === null ? null : clock() + retryIn,
  });
  STATES[state](code, before);
});

on($('retry'), 'click', () => server.reconnect());

function takeToken() {
  const before = subject();
  if (!renewToken()) return;
  showSubject();
  // A connection stays the same person's. The token may cover more or less than the one before.
  if (!link.isOpen || subject() !== before) {
    server.reconnect();
    return server.renew(token);
  }
  // Who is followed already is told of again when presence is, and hears nothing of it.
  server.hello({ presence: false });
  expectAll();
  server.renew(token);
  settle();
  server.hello({ presence: true });
}

on(window, 'hashchange', () => {
  takeToken();
  followLinked();
});

// Until the server speaks of a runner, nothing says that it is still told of it.
function expectAll() {
  for (const runner of everybody()) runner.isHeard = false;
}

function hearOf(hear, { detail }) {
  const runner = runners.get(String(detail.userId));
  if (!runner) return;
  runner.isHeard = true;
  hear(runner, detail, clock());
}
on(server, 'presence', event => hearOf(hearPresence, event));
on(server, 'position', event => hearOf(hearPosition, event));
on(server, 'trail', event => hearOf(hearTrail, event));
on(server, 'audience', ({ detail }) => hearAudience(detail));

// The code decides; the words are for people.
on(server, 'error', ({ detail: { code, message } }) => {
  // Who may not send positions shares nothing, whatever the device says. What is not allowed once
  // all follows are carried out is no follow.
  const isOfPosition = code === 'wrong_user' || code === 'not_allowed' && link.unsettled === 0;
  if (isOfPosition && sharing.id !== null) endSharing();
  if (code === 'unauthorized') note(NO_TOKEN);
  else note('The server says:', message);
});
