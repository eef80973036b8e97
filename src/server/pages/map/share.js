// Sharing: this device's own position, as another runner's.

import { $, clock, on } from './dom.js';
import { isId } from './ids.js';
import { follow, unfollow } from './follows.js';
import { link, server } from './link.js';
import { called, isolated } from './names.js';
import { forget, runners } from './runners.js';
import { note } from './status.js';
import { subject } from './token.js';
import { placeInWords } from './words.js';

const { round } = Math;

const REST_MS = 15_000; // without a word of the device
const MEASURING_MS_MAX = 30_000; // not counting how long the person thinks about it
export const sharing = { id: null, watch: null, lock: null, measuredAt: Infinity, isSeen: false };
// Who the person was that stopped while nobody could be told.
let leaving = null;

export function showSubject() {
  const id = subject();
  $('me').readOnly = id !== null;
  if (id !== null) $('me').value = id;
}

if (!isSecureContext) {
  $('share-hint').textContent =
    'Browsers tell a page where you are only over a secure connection: open this map by https, or on localhost.';
  $('share-hint').className = 'warning';
  for (const control of $('share-form').elements) control.disabled = true;
}

on($('share-form'), 'submit', async event => {
  event.preventDefault();
  // A token's id is taken as it is; what people type ends in a space at times.
  const id = subject() ?? $('me').value.trim();
  if (!isId(id)) return note('An id has 1 to 64 bytes and no control characters.');
  const wasFollowed = runners.has(id);
  await follow([id]);
  if (sharing.id !== null) return;
  if (link.isStopped) return note('Nobody can see you: the server takes no connection from this page.');
  if (await isMine(runners.get(id))) return share(id);
  if (!wasFollowed && runners.has(id)) unfollow(runners.get(id));
  $('me').focus();
});

// Two who share as one runner make its dot jump between them. With a token this connection is itself
// one of its subject's.
async function isMine(runner) {
  if (!runner || runner.state !== 'live' && !(runner.connected && runner.id !== subject())) return true;
  const { id, name } = runner, who = isolated(called(runner));
  $('question').textContent = `${who}${name === null ? '' : ` (${isolated(id)})`} is ${
    runner.state === 'live' ? 'live' : 'connected'} right now. Share as ${isolated(id)} all the same?`;
  $('ask').querySelector('[value=yes]').textContent = `Share as ${isolated(id)}`;
  $('ask').returnValue = '';
  $('ask').showModal();
  await new Promise(done => $('ask').addEventListener('close', done, { once: true }));
  return $('ask').returnValue === 'yes';
}

function share(id) {
  Object.assign(sharing, { id, isSeen: false });
  leaving = null;
  $('sharing-as').textContent = id;
  $('audience').textContent = '';
  $('fix').textContent = 'Waiting for your position. Your browser may ask you for it.';
  showSharing();
  server.hello({ userId: id, audience: true });
  measure();
  keepAwake();
  $('stop').focus();
}

function measure() {
  const { geolocation } = navigator;
  geolocation.clearWatch(sharing.watch);
  const options = { enableHighAccuracy: true, timeout: MEASURING_MS_MAX };
  sharing.watch = geolocation.watchPosition(hearFix, hearNoFix, options);
  // Not again before an answer: the person may be asked first.
  sharing.measuredAt = Infinity;
}

// Browsers may tell of changes alone. Whoever rests is not to look like somebody who is lost.
export function checkRest() {
  if (sharing.id !== null && clock() - sharing.measuredAt > REST_MS) measure();
}

function showSharing() {
  $('share-form').hidden = sharing.id !== null;
  $('sharing').hidden = sharing.id === null;
}

export function endSharing() {
  navigator.geolocation.clearWatch(sharing.watch);
  sharing.lock?.release();
  Object.assign(sharing, { id: null, watch: null, lock: null });
  if (leaving === null) server.hello({ userId: null, audience: false });
  showSharing();
  $('me').focus();
}

// Nobody is to see the last place of who does not share it any more.
function stop() {
  const { id } = sharing;
  leaving = server.goodbye() ? null : id;
  if (leaving === null) forgetOwn(id);
  endSharing();
  if (leaving !== null) note('There is no connection. Others see your last place until this page has one again: leave it open.');
}
on($('stop'), 'click', stop);

// The next connection is not told of it any more: to its server nobody was there.
function forgetOwn(id) {
  const runner = runners.get(id);
  if (runner) forget(runner);
}

// Over a new connection, which still says who this is: what could not be said when the person stopped.
export function sayGoodbye() {
  if (leaving === null) return;
  forgetOwn(leaving);
  leaving = null;
  server.goodbye();
  note('Connected again, and others do not see your last place any more.');
  server.hello({ userId: null, audience: false });
}

function hearFix({ coords, timestamp }) {
  const { latitude: lat, longitude: lng, accuracy, altitude, altitudeAccuracy, heading, speed } = coords;
  Object.assign(sharing, { measuredAt: clock(), isSeen: true });
  server.send({
    userId: sharing.id, lat, lng, accuracy, altitude, altitudeAccuracy, heading, speed, timestamp: round(timestamp),
  });
  $('fix').textContent = `${placeInWords({ lat, lng })} · ±${round(accuracy)} m`;
}

function hearNoFix({ code }) {
  if (code !== GeolocationPositionError.PERMISSION_DENIED) {
    sharing.measuredAt = clock();
    $('fix').textContent = 'Your device does not know where it is. Still trying.';
    return;
  }
  if (sharing.isSeen) stop();
  else endSharing();
  note('Your browser does not let this page see your position. Allow it in the settings of this site, then share again.');
}

export function hearAudience(count) {
  $('audience').textContent = `${count || 'Nobody'} ${count > 1 ? 'are' : 'is'} watching`;
}

export function hearLoss() {
  $('audience').textContent = 'Not connected: nobody sees you';
}

// A phone that goes to sleep stops sharing.
async function keepAwake() {
  let words = 'The screen stays on meanwhile.';
  try {
    const lock = await navigator.wakeLock.request('screen');
    if (sharing.id === null) return lock.release();
    sharing.lock = lock;
  } catch {
    words = 'Keep this page open and the screen on: a sleeping phone shares nothing.';
  }
  $('awake').textContent = words;
}

// The browser takes the lock back when the page is out of sight.
on(document, 'visibilitychange', () => { if (!document.hidden && sharing.id !== null) keepAwake(); });
