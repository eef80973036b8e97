// The connection: says hello, follows, hears, and comes back by itself when it was lost.

const BATCH_IDS = 200; // in one message, far below the server's limit of a message
const RETRY_MS_MAX = 30_000;
const RESTART_MS_MAX = 5000;
const SETTLED_MS = 10_000; // a connection that lasted this long was a good one
const QUIET_MS = 20_000; // after which the server is asked for a sign of life
const ANSWER_MS = 10_000;

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
  try {
    if (given) sessionStorage.setItem('token', given);
    else return sessionStorage.getItem('token');
  } catch { /* without storage it lives as long as the page */ }
  if (given) history.replaceState(null, '', location.pathname + location.search);
  return given;
}

function forgetToken() {
  token = null;
  try { sessionStorage.removeItem('token'); } catch { /* it was never there */ }
}

// Who the token says we are; the server alone judges it.
function tokenSubject() {
  try {
    const claims = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(claims), c => c.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub);
  } catch {
    return null;
  }
}

addEventListener('hashchange', () => {
  const renewed = readToken();
  if (renewed === null || renewed === token) return;
  token = renewed;
  followToken();
  if (link.isOpen) send({ token });
  else reconnect();
});

function send(message) {
  if (link.isOpen) link.socket.send(JSON.stringify(message));
}

function sendIds(key, ids, rest = {}) {
  for (let at = 0; at < Math.max(ids.length, 1); at += BATCH_IDS) {
    send({ ...rest, [key]: ids.slice(at, at + BATCH_IDS) });
    rest = {};
    key = 'follow';
  }
}

function connect() {
  clearTimeout(link.timer);
  link.retryAt = null;
  link.isStopped = false;
  say('connecting', link.failures ? 'Connecting again' : 'Connecting');
  const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + location.pathname);
  link.socket = socket;
  socket.onopen = () => {
    if (socket !== link.socket) return;
    Object.assign(link, { isOpen: true, openedAt: performance.now(), askedAt: null });
    link.heardAt = link.openedAt;
    const hello = { initialRequest: true, presence: true };
    if (token) hello.token = token;
    if (sharing.id !== null) Object.assign(hello, { userId: sharing.id, audience: true });
    sendIds('following', [...runners.keys()], hello);
    sendFix();
    say('open', 'Connected');
  };
  socket.onmessage = ({ data }) => { if (socket === link.socket) hear(data); };
  socket.onclose = ({ code }) => { if (socket === link.socket) lost(code); };
}

function lost(code) {
  const wasOpen = link.isOpen;
  Object.assign(link, { socket: null, isOpen: false });
  if (wasOpen && performance.now() - link.openedAt > SETTLED_MS) link.failures = 0;
  if (code >= 4000 && code <= 4099) {
    link.isStopped = true;
    say('stopped', refusalInWords(code));
    if (code === 4001 || code === 4002) forgetToken();
    return;
  }
  const most = Math.min(1000 * 2 ** (link.failures + (code === 1013 ? 3 : 0)), RETRY_MS_MAX);
  let delay = most * (0.5 + Math.random() / 2);
  if (code === 1012) delay = Math.random() * RESTART_MS_MAX;
  link.failures += 1;
  const words = { 1012: 'The server is restarting', 1013: 'The server is full' };
  say('waiting', words[code] ?? (wasOpen ? 'Connection lost' : 'No connection'));
  link.retryAt = performance.now() + delay;
  link.timer = setTimeout(connect, delay);
  drawWait();
}

function refusalInWords(code) {
  switch (code) {
    case 4001:
      return token
        ? 'The server does not accept this link’s token. Ask for a new link.'
        : 'This server shows nobody without a token. Open the map with the link that you were given.';
    case 4002: return 'Your access has ended. Ask for a new link.';
    case 4003: return 'The server takes no connections from pages at this address.';
    default: return `The server refuses this page (${code}).`;
  }
}

// Drops the connection, whatever has become of it, and has the next one at once.
function reconnect() {
  const { socket } = link;
  link.socket = null;
  if (socket) socket.close();
  Object.assign(link, { isOpen: false, failures: 0 });
  connect();
}

function hear(text) {
  const now = performance.now();
  Object.assign(link, { heardAt: now, askedAt: null });
  let message;
  try { message = JSON.parse(text); } catch { return; }
  if (message.error) return hearError(message.error);
  if (message.audience !== undefined) return hearAudience(message.audience);
  // An integer id may have more digits than a number can hold.
  const digits = /^\{(?:"presence":\{)?"userId":(-?\d+)[,}]/.exec(text)?.[1];
  const about = message.presence ?? message;
  const runner = runners.get(digits ?? String(about.userId));
  if (!runner) return;
  if (message.presence) hearPresence(runner, about, now);
  else hearPosition(runner, about, now);
}

// A dead connection looks like a quiet one. To unfollow and follow somebody brings an answer.
function checkLife(now, quietMs = QUIET_MS) {
  if (!link.isOpen || runners.size === 0) return;
  if (link.askedAt !== null) {
    if (now - link.askedAt > ANSWER_MS) reconnect();
  } else if (now - link.heardAt > quietMs) {
    link.askedAt = now;
    const [id] = runners.keys();
    send({ unfollow: [id] });
    send({ follow: [id] });
  }
}

addEventListener('offline', () => {
  if (link.isOpen) { const { socket } = link; lost(1006); socket.close(); }
});
addEventListener('online', () => { if (!link.isOpen && !link.isStopped) reconnect(); });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  if (link.retryAt !== null) reconnect();
  else checkLife(performance.now(), QUIET_MS / 4);
});
$('retry').addEventListener('click', reconnect);
