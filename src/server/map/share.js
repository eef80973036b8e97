// Sharing: this device's own position, as another runner's.

const sharing = { id: null, watch: null, fix: null, lock: null };

function followToken() {
  const subject = tokenSubject();
  $('me').readOnly = subject !== null;
  if (subject !== null) $('me').value = subject;
}

if (!isSecureContext) {
  const hint = $('share-hint');
  hint.textContent = 'Browsers tell a page where you are only over a secure connection: open this map by https, or on localhost.';
  hint.classList.add('warning');
  for (const control of $('share').querySelectorAll('form input, form button')) control.disabled = true;
}

$('share').querySelector('form').addEventListener('submit', event => {
  event.preventDefault();
  const [id] = idsFrom($('me').value, true);
  if (id === undefined) return note('An id has 1 to 64 bytes and no control characters.');
  Object.assign(sharing, { id, fix: null });
  $('sharing-as').textContent = `Sharing as ${id}`;
  $('audience').textContent = '';
  $('fix').textContent = 'Waiting for your position. Your browser may ask you for it.';
  showSharing(true);
  send({ initialRequest: true, userId: id, audience: true });
  follow([id]);
  sharing.watch = navigator.geolocation.watchPosition(hearFix, hearNoFix, { enableHighAccuracy: true });
  keepAwake();
  $('stop').focus();
});

$('stop').addEventListener('click', () => {
  stopSharing();
  // A connection cannot take back who it is.
  reconnect();
  $('me').focus();
});

function showSharing(isOn) {
  $('share').querySelector('form').hidden = isOn;
  $('sharing').hidden = !isOn;
}

function stopSharing() {
  if (sharing.watch !== null) navigator.geolocation.clearWatch(sharing.watch);
  sharing.lock?.release().catch(() => {});
  Object.assign(sharing, { id: null, watch: null, fix: null, lock: null });
  showSharing(false);
}

function hearFix({ coords, timestamp }) {
  const { latitude, longitude, accuracy, altitude, altitudeAccuracy, heading, speed } = coords;
  const fix = { lat: latitude, lng: longitude, accuracy, altitude, altitudeAccuracy, heading, speed };
  sharing.fix = { userId: sharing.id, ...fix, timestamp: Math.round(timestamp) };
  $('fix').textContent = `${latitude.toFixed(5)}, ${longitude.toFixed(5)}, ±${Math.round(accuracy)} m`;
  sendFix();
}

// Of what was measured while there was no connection only the last is worth telling.
function sendFix() {
  if (sharing.fix === null || !link.isOpen) return;
  send(sharing.fix);
  sharing.fix = null;
}

function hearNoFix({ code, PERMISSION_DENIED }) {
  if (code === PERMISSION_DENIED) {
    $('stop').click();
    note('Your browser does not let this page see your position. Allow it in the settings of this site, then share again.');
  } else {
    $('fix').textContent = 'Your device does not know where it is. Still trying.';
  }
}

function hearAudience(count) {
  $('audience').textContent =
    count === 0 ? 'Nobody is watching' : count === 1 ? '1 is watching' : `${count} are watching`;
}

// A phone that goes to sleep stops sharing.
async function keepAwake() {
  try {
    const lock = await navigator.wakeLock.request('screen');
    if (sharing.id === null) return lock.release();
    sharing.lock = lock;
    $('awake').textContent = 'The screen stays on meanwhile.';
  } catch {
    $('awake').textContent = 'Keep this page open and the screen on: a sleeping phone shares nothing.';
  }
}

// The browser takes the lock back when the page is out of sight.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && sharing.id !== null) keepAwake();
});
