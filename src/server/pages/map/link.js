// The connection: says hello, follows, hears, and comes back by itself when it was lost.

const BATCH_IDS = 200; // in one message, far below the server's limit of a message
const RETRY_MS_MAX = 30_000;
const RESTART_MS_MAX = 5000;
const SETTLED_MS = 10_000; // a connection that lasted this long was a good one
const QUIET_MS = 20_000; // after which the server is asked for a sign of life
const ANSWER_MS = 10_000;
const NO_TOKEN = 'This server shows nobody without a token. Open the map with the link that you were given.';

const link = {
  socket: null,
  isOpen: false,
  isStopped: false,
  failures: 0,
  openedAt: 0,
  heardAt: 0,
  askedAt: null,
  retryAt: null,
  timer: 0,
};

let token = readToken();

// A link's `#token=…` goes out of sight at once, and lives as long as this tab: a reload works,
// and neither a bookmark nor a copied address gives it away.
function readToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) history.replaceState(null, '', location.pathname + location.search);
  try {
    if (given) sessionStorage.setItem('token', given);
    return sessionStorage.getItem('token');
  } catch {
    return given; // without storage it lives as long as the page
  }
}

function forgetToken() {
  token = null;
  try { sessionStorage.removeItem('token'); } catch { /* nor was it stored */ }
}

on(window, 'hashchange', () => {
  const renewed = readToken();
  if (!renewed || renewed === token) return;
  const before = subject();
  token = renewed;
  showSubject();
  // A connection stays the same person's. The token may cover more or less than the one before.
  if (!link.isOpen || subject() !== before) return reconnect();
  send({ token });
  sendIds('unfollow', [...runners.keys()]);
  followAll();
});

function send(message) {
  if (link.isOpen) link.socket.send(JSON.stringify(message));
}

function sendIds(key, ids) {
  for (let i = 0; i < ids.length; i += BATCH_IDS) send({ [key]: ids.slice(i, i + BATCH_IDS) });
}

// Until the server speaks of a runner, nothing says that it is still told of it.
function followAll() {
  for (const runner of everybody()) runner.isHeard = false;
  sendIds('follow', [...runners.keys()]);
}

function sendHello() {
  const hello = { initialRequest: true, presence: true };
  if (token) hello.token = token;
  if (sharing.id !== null) Object.assign(hello, { userId: sharing.id, audience: true });
  send(hello);
}

function connect() {
  clearTimeout(link.timer);
  Object.assign(link, { retryAt: null, isStopped: false });
  say('connecting', link.failures ? 'Connecting again' : 'Connecting');
  const socket = link.socket = new WebSocket(location.origin.replace('http', 'ws') + location.pathname);
  // What a socket says that was given up is no longer of interest.
  const listen = (type, act) => on(socket, type, event => { if (socket === link.socket) act(event); });
  listen('open', () => {
    Object.assign(link, { isOpen: true, openedAt: clock(), heardAt: clock(), askedAt: null });
    sendHello();
    followAll();
    sendFix();
    say('open', 'Connected');
  });
  listen('message', ({ data }) => hear(data));
  listen('close', ({ code }) => lost(code));
}

function lost(code) {
  const wasOpen = link.isOpen;
  Object.assign(link, { socket: null, isOpen: false });
  if (wasOpen && clock() - link.openedAt > SETTLED_MS) link.failures = 0;
  $('audience').textContent = 'Not connected: nobody sees you';
  // 4000 to 4099: not to come back unchanged.
  if (code >= 4000 && code < 4100) {
    link.isStopped = true;
    say('stopped', {
      4001: token ? 'The server does not accept the token of this link. Ask for a new one.' : NO_TOKEN,
      4002: 'Your access has ended. Ask for a new link.',
      4003: 'The server takes no connections from pages at this address.',
    }[code] ?? `The server refuses this page (${code}).`);
    if (code < 4003) forgetToken();
    return sharing.id !== null && endSharing();
  }
  const most = min(1000 * 2 ** (link.failures + (code === 1013 ? 3 : 0)), RETRY_MS_MAX);
  const delay = code === 1012 ? Math.random() * RESTART_MS_MAX : most * (0.5 + Math.random() / 2);
  link.failures += 1;
  link.retryAt = clock() + delay;
  link.timer = setTimeout(connect, delay);
  say('waiting', { 1012: 'The server is restarting', 1013: 'The server is full' }[code]
    ?? (wasOpen ? 'Connection lost' : 'No connection'));
}

// Gives up the connection, whatever has become of it, and has the next one at once.
function reconnect() {
  const { socket } = link;
  Object.assign(link, { socket: null, isOpen: false, failures: 0 });
  socket?.close();
  connect();
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
function checkLife(quietMs) {
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

on(window, 'offline', () => {
  const { socket } = link;
  if (!socket) return;
  lost(1006);
  socket.close();
});
on(window, 'online', () => { if (!link.isOpen && !link.isStopped) reconnect(); });
on(document, 'visibilitychange', () => {
  if (document.hidden) return;
  if (link.retryAt !== null) reconnect();
  else checkLife(QUIET_MS / 4);
});
on($('retry'), 'click', reconnect);
