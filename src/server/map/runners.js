// The runners that are followed: what the server says of them, and where their dots are by now.

const GLIDE_MS_MAX = 10_000;
const RETURN_MS = 1000; // of a glide to where a stale runner turns up again
const WAYPOINTS_MAX = 50;
const TRAIL_POINTS_MAX = 2000; // of one runner
const TRAILS_POINTS_MAX = 40_000; // of all
const STANDING = 2.5e-8; // about a metre at the equator

const runners = new Map();

function newRunner(id) {
  return {
    id,
    state: 'unknown',
    connected: false,
    heardAt: null, // when the server received the last fix, by this page's clock
    fix: null, // the last position as sent
    isMappable: false,
    x: 0, y: 0, // the dot
    from: null, // where it came through last; `d` is how far along the way it is, as of `path`
    path: [], // fixes that it has still to reach
    begun: 0,
    glideMs: 0,
    told: false, // whether the server has said how it is
    trail: [],
    hue: hue(id),
    row: null,
  };
}

// Neighbouring numbers get hues far apart, and everybody sees the same runner in the same one.
function hue(id) {
  let number = Number(id);
  if (!Number.isSafeInteger(number)) {
    number = 0;
    for (const c of id) number = (number * 31 + c.codePointAt(0)) % 1_000_003;
  }
  return (((number * 137.508) % 360) + 360) % 360;
}

// While the page is cut off, nothing that it knows is live.
const shownState = runner => runner.state === 'live' && !link.isOpen ? 'stale' : runner.state;
const isDrawn = runner => runner.isMappable && runner.state !== 'unknown';

function hearPresence(runner, { state, connected, age }, now) {
  const was = runner.state;
  runner.state = state;
  runner.connected = connected;
  if (age !== undefined) runner.heardAt = now - age * 1000;
  if (state === 'unknown') {
    Object.assign(runner, { heardAt: null, fix: null, isMappable: false, path: [], trail: [] });
  }
  if (runner.told && was !== state) tell(runner);
  runner.told = true;
  changed('list');
}

function hearPosition(runner, fix, now) {
  const isNews = fix.age === undefined;
  const isSame = runner.fix?.lat === fix.lat && runner.fix?.lng === fix.lng;
  const heardAt = now - (fix.age ?? 0) * 1000;
  // A last known position is told again after each reconnect.
  if (isNews || !isSame) moveDot(runner, fix, heardAt, now);
  runner.heardAt = heardAt;
  runner.fix = fix;
  if (isNews && runner.state !== 'live') {
    runner.state = 'live';
    if (runner.told) tell(runner);
  }
  changed('list');
}

function moveDot(runner, { lat, lng }, heardAt, now) {
  const wasMappable = runner.isMappable;
  runner.isMappable = Math.abs(lat) <= LATITUDE_MAX && Math.abs(lng) <= 180;
  changed('dots');
  if (!runner.isMappable) return Object.assign(runner, { path: [], trail: [] });
  const to = project(lat, lng);
  if (!wasMappable) {
    Object.assign(runner, { x: to.x, y: to.y, path: [], glideMs: 0 });
    keepTrail(runner, to);
    return;
  }
  place(runner, now);
  // The short way round, past the date line too.
  to.x += Math.round(runner.x - to.x);
  const way = [...runner.path, to].slice(-WAYPOINTS_MAX);
  runner.from = { x: runner.x, y: runner.y, d: 0 };
  let before = runner.from;
  for (const point of way) {
    point.d = before.d + Math.hypot(point.x - before.x, point.y - before.y);
    before = point;
  }
  runner.path = way;
  runner.begun = now;
  runner.glideMs = clamp(heardAt - runner.heardAt, 0, runner.state === 'live' ? GLIDE_MS_MAX : RETURN_MS);
  if (calm.matches) runner.glideMs = 0;
}

// Puts the dot where it is by now, never beyond the last fix. `true` while it is under way.
function place(runner, now) {
  const { path } = runner;
  if (path.length === 0) return false;
  const part = runner.glideMs > 0 ? (now - runner.begun) / runner.glideMs : 1;
  const gone = part >= 1 ? Infinity : part * path.at(-1).d;
  while (path.length > 0 && path[0].d <= gone) {
    runner.from = path.shift();
    keepTrail(runner, runner.from);
  }
  const { from } = runner;
  if (path.length === 0) {
    Object.assign(runner, { x: from.x, y: from.y });
    return false;
  }
  const k = (gone - from.d) / (path[0].d - from.d);
  runner.x = from.x + (path[0].x - from.x) * k;
  runner.y = from.y + (path[0].y - from.y) * k;
  return true;
}

function keepTrail({ trail }, { x, y }) {
  const last = trail.at(-1);
  if (last && Math.hypot(x - last.x, y - last.y) < STANDING) return;
  trail.push({ x, y });
  const most = clamp(TRAILS_POINTS_MAX / runners.size, 20, TRAIL_POINTS_MAX);
  if (trail.length > most) trail.splice(0, trail.length - most);
  changed('trails');
}

function ageInWords(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function stateInWords(runner, now) {
  if (runner.heardAt === null) return runner.told ? 'no position yet' : 'asking';
  const age = ageInWords(Math.max(now - runner.heardAt, 0) / 1000);
  if (!link.isOpen) return `not connected, ${age}`;
  return `${shownState(runner)}, ${age}`;
}

function detailsInWords({ fix, isMappable, connected, told }) {
  const words = [];
  if (fix) {
    const place = `${fix.lat.toFixed(5)}, ${fix.lng.toFixed(5)}`;
    words.push(isMappable ? place : `off the map: ${place}`);
    if (fix.speed !== undefined) words.push(`${(fix.speed * 3.6).toFixed(1)} km/h`);
    if (fix.heading !== undefined) words.push(`${compass(fix.heading)} ${Math.round(fix.heading)}°`);
    if (fix.altitude !== undefined) words.push(`${Math.round(fix.altitude)} m high`);
    if (fix.accuracy !== undefined) words.push(`±${Math.round(fix.accuracy)} m`);
    if (fix.battery !== undefined) words.push(`battery ${Math.round(fix.battery * 100)} %`);
  }
  if (told && link.isOpen) words.push(connected ? 'online' : 'offline');
  return words.join(' · ');
}

const compass = heading => ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'][Math.round(heading / 45) % 8];
