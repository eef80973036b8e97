// Sharing: this device's own position, as another runner's.

import { $, clock, on } from './dom.js';
import { isId } from './ids.js';
import { server } from './link.js';
import { follow } from './list.js';
import { fixInWords } from './runners.js';
import { note } from './status.js';
import { subject } from './token.js';

const { round } = Math;

const REST_MS = 15_000; // without a word of the device
const MEASURING_MS_MAX = 30_000; // not counting how long the person thinks about it
export const sharing = { id: null, watch: null, lock: null, measuredAt: Infinity };

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

on($('share-form'), 'submit', event => {
  event.preventDefault();
  // A token's id is taken as it is; what people type ends in a space at times.
  const id = subject() ?? $('me').value.trim();
  if (!isId(id)) return note('An id has 1 to 64 bytes and no control characters.');
  sharing.id = id;
  $('sharing-as').textContent = id;
  $('audience').textContent = '';
  $('fix').textContent = 'Waiting for your position. Your browser may ask you for it.';
  showSharing();
  server.hello({ userId: id, audience: true });
  follow([id]);
  measure();
  keepAwake();
  $('stop').focus();
});

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
  server.hello({ userId: null, audience: false });
  showSharing();
  $('me').focus();
}
on($('stop'), 'click', endSharing);

function hearFix({ coords, timestamp }) {
  const { latitude: lat, longitude: lng, accuracy, altitude, altitudeAccuracy, heading, speed } = coords;
  sharing.measuredAt = clock();
  server.send({
    userId: sharing.id, lat, lng, accuracy, altitude, altitudeAccuracy, heading, speed, timestamp: round(timestamp),
  });
  $('fix').textContent = fixInWords({ lat, lng, accuracy });
}

function hearNoFix({ code }) {
  if (code !== GeolocationPositionError.PERMISSION_DENIED) {
    sharing.measuredAt = clock();
    $('fix').textContent = 'Your device does not know where it is. Still trying.';
    return;
  }
  endSharing();
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
