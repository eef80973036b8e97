// The runners that are followed: what the server says of them, and where their dots are by now.

import { calm } from './dom.js';
import { changed, lookIn } from './frame.js';
import { link } from './link.js';
import { inMs, keepLately } from './speeds.js';
import { tell } from './status.js';
import { view, worldPx } from './view.js';
import { LATITUDE_MAX, clamp, project, wrap } from './world.js';

const { abs, hypot, max, min, round } = Math;

const GLIDE_MS_MAX = 10_000;
const RETURN_MS = 1000; // of a glide to where a runner turns up who was stale, or whom a reconnect tells of
const WAYPOINTS_MAX = 50;
const TRAIL_POINTS_MAX = 2000; // of one runner
const TRAILS_POINTS_MAX = 20_000; // of all: of a crowd, what is far behind is a tangle, and costs frames
const SEEN_PX = 0.25; // of the screen
const NEWS_MS = 100; // that nobody sees the dot move by may wait so long
const TRAIL_EXACT = 1e-8;
const AHEAD_MS_MAX = 60_000; // of a clock that is believed
const STANDING = 2.5e-8; // about a metre at the equator

export const runners = new Map();
export const everybody = () => [...runners.values()];

export const newRunner = id => ({
  id,
  name: null, // as the server knows it
  color: null, // of the roster
  state: 'unknown',
  isTold: false, // whether the server has said how it is
  isHeard: false, // and has since it was last asked
  told: null, // the state by the server's own word on this connection
  isNamed: true, // whether it is followed by its id, and not only as one of everyone
  refusal: null, // the code with which the server refused to have it followed
  connected: false,
  heardAt: null, // when the server received the last fix, by this page's clock
  fix: null, // the last position as sent
  lately: [], // positions that say how fast it is
  isMappable: false,
  x: 0, y: 0, // the dot
  from: null, // the point that it came through last; `d` is how far along its way, as of `path`
  path: [], // fixes that it has still to reach
  begun: 0,
  glideMs: 0,
  trail: [],
  hue: hue(id),
  row: null,
});

// Neighbouring numbers get hues far apart, and everybody sees the same runner in the same one.
function hue(id) {
  let number = Number(id);
  if (!Number.isSafeInteger(number)) {
    number = [...id].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 1_000_003, 0);
  }
  return round(wrap(number * 137.508, 360));
}

// Whom the server leaves out although all is settled is not live, for all the page knows. A lost
// connection says nothing of anybody.
export const shownState = ({ state, isHeard }) =>
  state === 'live' && link.isOpen && link.unsettled === 0 && !isHeard ? 'stale' : state;
export const isDrawn = ({ isMappable, state }) => isMappable && state !== 'unknown';

function become(runner, state, isTold = runner.isTold) {
  if (isTold && runner.state !== state) tell(runner, state);
  runner.state = state;
  lookIn(NEWS_MS);
}

export function hearPresence(runner, { name = null, color = null, state, connected, age }, now) {
  if (runner.color !== color) changed('trails');
  const { told, isTold } = runner;
  Object.assign(runner, { name, color, connected, isTold: true, told: state });
  // A server that has just started knows nothing of who was seen here before. Who is unknown to one that knew is gone.
  const isForgotten = state === 'unknown' && (told === null || told === 'unknown') && isTold && runner.fix;
  become(runner, isForgotten ? 'stale' : state, isTold);
  if (age !== undefined) runner.heardAt = now - age * 1000;
  if (runner.state === 'unknown') forget(runner);
}

// Nothing is known of where it is any more.
export function forget(runner) {
  become(runner, 'unknown');
  Object.assign(runner, { heardAt: null, fix: null, lately: [], isMappable: false, path: [], trail: [] });
  changed('trails');
}

export function hearPosition(runner, fix, now) {
  const isNews = fix.age === undefined;
  const heardAt = now - (fix.age ?? 0) * 1000;
  // A last known position is told again after each reconnect.
  if (isNews || runner.fix?.lat !== fix.lat || runner.fix?.lng !== fix.lng) moveDot(runner, fix, heardAt, now);
  Object.assign(runner, { fix, heardAt });
  keepLately(runner, fix);
  // Who tells of a place knows of the runner.
  runner.told = isNews ? 'live' : runner.told ?? 'stale';
  if (!isNews) return;
  become(runner, 'live');
}

// When a position was measured. One without a time, or ahead of it, was when it came, as on the server's trails.
function measuredAt({ timestamp, age = 0 }) {
  const ms = inMs(timestamp);
  return ms <= Date.now() + AHEAD_MS_MAX ? ms : Date.now() - age * 1000;
}

function moveDot(runner, fix, heardAt, now) {
  const { lat, lng, age } = fix, { isMappable } = runner;
  runner.isMappable = abs(lat) <= LATITUDE_MAX && abs(lng) <= 180;
  if (!runner.isMappable) {
    changed('trails');
    return Object.assign(runner, { path: [], trail: [] });
  }
  const to = { ...project(lat, lng), ms: measuredAt(fix) };
  if (!isMappable) {
    // Where the trail comes from, if the server told of that first.
    to.x += round((runner.trail.at(-1)?.x ?? to.x) - to.x);
    Object.assign(runner, { x: to.x, y: to.y });
    changed('time');
    return keepTrail(runner, to);
  }
  place(runner, now);
  // The short way round, past the date line too.
  to.x += round(runner.x - to.x);
  let before = runner.from = { x: runner.x, y: runner.y, d: 0 };
  runner.path = [...runner.path, to].slice(-WAYPOINTS_MAX);
  for (const point of runner.path) {
    point.d = before.d + hypot(point.x - before.x, point.y - before.y);
    before = point;
  }
  runner.begun = now;
  const isGoingOn = runner.state === 'live' && age === undefined;
  runner.glideMs = clamp(heardAt - runner.heardAt, 0, isGoingOn ? GLIDE_MS_MAX : RETURN_MS);
  if (calm.matches) runner.glideMs = 0;
  lookIn(min(stepMs(runner), NEWS_MS));
}

// A step that is shorter is not seen.
export const seenPx = () => SEEN_PX / view.dpr;

// How long its dot takes for one that is.
export const stepMs = ({ path, glideMs }) =>
  path.length > 0 ? seenPx() / worldPx() / path.at(-1).d * glideMs : Infinity;

// Puts the dot where it is by now, never beyond the last fix. `true` while it is under way.
export function place(runner, now) {
  const { path, begun, glideMs } = runner;
  if (path.length === 0) return false;
  const gone = glideMs > 0 ? max(now - begun, 0) / glideMs * path.at(-1).d : Infinity;
  while (path.length > 0 && path[0].d <= gone) {
    runner.from = path.shift();
    keepTrail(runner, runner.from);
  }
  const { from } = runner, [to = from] = path;
  const k = to === from ? 0 : (gone - from.d) / (to.d - from.d);
  runner.x = from.x + (to.x - from.x) * k;
  runner.y = from.y + (to.y - from.y) * k;
  return path.length > 0;
}

// The way that a runner came, as the server knows it. It takes the place of what the page saw itself,
// but for what is older than all of it; what the dot has still to reach comes later.
export function hearTrail(runner, { points }) {
  if (points.length === 0) return;
  const told = points.map(([lng, lat, ms]) => ({ ...project(clamp(lat, -LATITUDE_MAX, LATITUDE_MAX), lng), ms }));
  const isAhead = point => runner.path.some(to => isSamePlace(point, to));
  while (told.length > 0 && isAhead(told.at(-1))) told.pop();
  const trail = [...runner.trail.filter(({ ms }) => ms < points[0][2]), ...told];
  let after = runner.isMappable ? runner : null;
  for (const point of trail.reverse()) {
    if (after) point.x += round(after.x - point.x);
    after = point;
  }
  runner.trail = trail.reverse();
  trim(runner.trail);
  changed('trails');
}

// As exactly as the server keeps a trail: to 10^-6 degrees.
const isSamePlace = (a, b) => abs(a.y - b.y) < TRAIL_EXACT && abs(wrap(a.x - b.x + 0.5, 1) - 0.5) < TRAIL_EXACT;

function trim(trail) {
  const most = clamp(TRAILS_POINTS_MAX / runners.size, 20, TRAIL_POINTS_MAX);
  if (trail.length > most) trail.splice(0, trail.length - most);
}

function keepTrail({ trail }, { x, y, ms }) {
  const last = trail.at(-1);
  if (last && hypot(x - last.x, y - last.y) < STANDING) return;
  trail.push({ x, y, ms });
  trim(trail);
  changed('trailEnds');
}
