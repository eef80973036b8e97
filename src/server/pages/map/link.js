// The connection: opens it, and opens it again by itself when it was lost. Knows not what is said
// over it.

import { $, clock, on } from './dom.js';

const { min } = Math;

const BATCH_IDS = 200; // in one message, far below the server's limit of a message
const RETRY_MS_MAX = 30_000;
const RESTART_MS_MAX = 5000;
const SETTLED_MS = 10_000; // a connection that lasted this long was a good one
const OPENING_MS_MAX = 10_000;

export const link = {
  socket: null,
  isOpen: false,
  isStopped: false,
  failures: 0,
  begunAt: 0,
  openedAt: 0,
  heardAt: 0,
  askedAt: null, // for a sign of life, without an answer yet
  asked: 0, // the number of the last ping
  answered: 0, // and of the last one that was answered
  retryAt: null,
  timer: 0,
};

let hearers = null;

// Connects, and stays connected. Who hears of it: `connecting(isAgain)`, `open()`, `message(text)`,
// `waiting(code, wasOpen)` before the next attempt, `refused(code)` when there will be none.
export function begin(acts) {
  hearers = acts;
  connect();
}

export function send(message) {
  if (link.isOpen) link.socket.send(JSON.stringify(message));
}

// Asks for a sign of life. Answers come in order: by this one, all that was sent before is answered.
export function ask() {
  if (!link.isOpen) return;
  link.asked += 1;
  link.askedAt ??= clock();
  send({ ping: link.asked });
}

export function sendFollows(ids) {
  if (ids.length === 0) return;
  for (let i = 0; i < ids.length; i += BATCH_IDS) send({ follow: ids.slice(i, i + BATCH_IDS) });
  ask();
}

function connect() {
  clearTimeout(link.timer);
  Object.assign(link, { retryAt: null, isStopped: false, begunAt: clock() });
  hearers.connecting(link.failures > 0);
  const socket = link.socket = new WebSocket(location.origin.replace('http', 'ws') + location.pathname);
  // What a socket says that was given up is no longer of interest.
  const listen = (type, act) => on(socket, type, event => { if (socket === link.socket) act(event); });
  listen('open', () => {
    Object.assign(link, { isOpen: true, openedAt: clock(), heardAt: clock(), askedAt: null, answered: link.asked });
    hearers.open();
  });
  listen('message', ({ data }) => hearers.message(data));
  listen('close', ({ code }) => lost(code));
}

function lost(code) {
  const wasOpen = link.isOpen;
  Object.assign(link, { socket: null, isOpen: false });
  if (wasOpen && clock() - link.openedAt > SETTLED_MS) link.failures = 0;
  // 4000 to 4099: not to come back unchanged.
  if (code >= 4000 && code < 4100) {
    link.isStopped = true;
    return hearers.refused(code);
  }
  const most = min(1000 * 2 ** (link.failures + (code === 1013 ? 3 : 0)), RETRY_MS_MAX);
  const delay = code === 1012 ? Math.random() * RESTART_MS_MAX : most * (0.5 + Math.random() / 2);
  link.failures += 1;
  link.retryAt = clock() + delay;
  link.timer = setTimeout(connect, delay);
  hearers.waiting(code, wasOpen);
}

// Gives up the connection, whatever has become of it, and has the next one at once.
export function reconnect() {
  const { socket } = link;
  Object.assign(link, { socket: null, isOpen: false, failures: 0 });
  socket?.close();
  connect();
}

// Takes the connection for lost, without waiting until the browser knows.
function giveUp() {
  const { socket } = link;
  lost(1006);
  socket.close();
}

// A connection may be accepted and never answered, and browsers wait for minutes.
export function checkOpening() {
  const { socket, isOpen, begunAt } = link;
  if (socket && !isOpen && clock() - begunAt > OPENING_MS_MAX) giveUp();
}

on(window, 'offline', () => { if (link.socket) giveUp(); });
on(window, 'online', () => { if (!link.isOpen && !link.isStopped) reconnect(); });
on($('retry'), 'click', reconnect);
