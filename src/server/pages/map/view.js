// The part of the world in view, and how it gets elsewhere. Knows nobody's reasons to go there.

import { $, calm, clock } from './dom.js';
import { changed } from './frame.js';
import { TILE_PX, clamp, pxAt, wrap } from './world.js';

const { hypot, log2, max, min, round } = Math;

export const ZOOM_MIN = 0;
export const ZOOM_MAX = 20;
const FIT_ZOOM_MAX = 16;
const FIT_MARGIN_PX = 90; // at most; of small screens an eighth
const EDGE_PX = 50; // what the buttons and the tags of dots take
const FLIGHT_MS = 250;
const FRICTION = 0.003; // of a map that was let go: px per ms, lost in each ms
const DRIFT_PX_PER_MS_MAX = 4;

export const map = $('map');
// The list covers some of it from below.
export const view = { x: 0.5, y: 0.36, zoom: 2, width: 0, height: 0, coveredPx: 0, dpr: 1 };
// On its way to where it is going; `null` if it is there.
export let flight = null;

export const worldPx = () => pxAt(view.zoom);
// The turns of the world between a point and its copy nearest to the centre.
export const turns = x => round(x - view.x);
export const screenX = x => view.width / 2 + (x - view.x) * worldPx();
export const screenY = y => view.height / 2 + (y - view.y) * worldPx();

// How far the centre lies below the middle of what is not covered.
export const lift = (zoom = view.zoom) => view.coveredPx / 2 / pxAt(zoom);

export function look(x, y, zoom) {
  Object.assign(view, { x: wrap(x, 1), y: clamp(y, 0, 1), zoom: clamp(zoom, ZOOM_MIN, ZOOM_MAX) });
  changed('view');
}

export function fly(x, y, zoom, ms = FLIGHT_MS) {
  if (calm.matches || document.hidden) return look(x, y, zoom);
  const from = { ...view };
  flight = { from, to: { x: x - round(x - from.x), y, zoom }, begun: clock(), ms };
  changed('view');
}

export function flyOn() {
  const { from, to, begun, ms } = flight;
  const part = clamp((clock() - begun) / ms, 0, 1);
  const between = key => from[key] + (to[key] - from[key]) * part * (2 - part);
  if (part === 1) flight = null;
  look(between('x'), between('y'), between('zoom'));
}

// To where the view is going: at once under a finger, in a short flight otherwise.
export function go(x, y, zoom, isSmooth) {
  if (isSmooth) return fly(x, y, zoom);
  flight = null;
  look(x, y, zoom);
}

// Whether a point can be seen, that far from the edges.
export function isInSight({ x, y }, edgePx) {
  const px = screenX(x - turns(x)), py = screenY(y);
  const isWithin = (at, size) => at > edgePx && at < size - edgePx;
  return isWithin(px, view.width) && isWithin(py, view.height - view.coveredPx);
}

// Goes on at the speed at which it was let go, in px per ms, and slows down.
export function drift(dx, dy) {
  const speed = hypot(dx, dy), kept = min(speed, DRIFT_PX_PER_MS_MAX), ms = kept / FRICTION;
  if (calm.matches || ms < FLIGHT_MS / 4) return;
  // What slows down evenly goes half as far.
  const px = kept / speed * ms / 2 / worldPx();
  fly(view.x + dx * px, clamp(view.y + dy * px, 0, 1), view.zoom, ms);
}

// Stays where it is; whether it was under way.
export function halt() {
  const wasFlying = flight !== null;
  flight = null;
  return wasFlying;
}

// Has all these points in view; unless asked to, only if some are outside or all in a corner.
export function fit(points, isAsked) {
  if (points.length === 0 || view.width === 0) return;
  const xs = points.map(({ x }) => x - round(x - points[0].x)), ys = points.map(({ y }) => y);
  const left = min(...xs), right = max(...xs), top = min(...ys), bottom = max(...ys);
  const height = view.height - view.coveredPx;
  const zoomFor = (px, size) => log2(max(px - 2 * min(FIT_MARGIN_PX, px / 8), 40) / TILE_PX / size);
  const zoom = clamp(
    min(zoomFor(view.width, right - left), zoomFor(height, bottom - top)), ZOOM_MIN, FIT_ZOOM_MAX);
  if (isAsked || zoom > view.zoom + 2 || !points.every(point => isInSight(point, EDGE_PX))) {
    fly((left + right) / 2, (top + bottom) / 2 + lift(zoom), zoom);
  }
}
