// The part of the world in view. The world is the unit square of Web Mercator (EPSG:3857), y down.

const { abs, ceil, cos, floor, hypot, log2, log10, max, min, round, PI } = Math;
const LATITUDE_MAX = 85.0511287798; // where the square ends
const EQUATOR_M = 40075016.686;
const TILE_PX = 256;
const ZOOM_MIN = 0;
const ZOOM_MAX = 20;
const FIT_ZOOM_MAX = 16;
const FIT_MARGIN_PX = 90;
const EDGE_PX = 50; // what the buttons and the tags of dots take
const FLIGHT_MS = 250;
const TAP_PX = 4; // a finger is never quite still

const $ = id => document.getElementById(id);
const on = (target, types, act) => types.split(' ').forEach(type => target.addEventListener(type, act));
const clock = () => performance.now();
const clamp = (value, least, most) => min(max(value, least), most);
const wrap = (value, size) => ((value % size) + size) % size;

const map = $('map');
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const view = { x: 0.5, y: 0.36, zoom: 2, width: 0, height: 0 };
// What the view keeps to by itself: everybody in it ('fit'), a runner in its centre, or nothing.
let keeping = { what: 'fit', id: null };
let flight = null;

const pxAt = zoom => TILE_PX * 2 ** zoom; // of the whole world
const worldPx = () => pxAt(view.zoom);
const project = (lat, lng) => ({
  x: lng / 360 + 0.5,
  y: 0.5 - Math.asinh(Math.tan(lat * PI / 180)) / (2 * PI),
});
const latitude = y => Math.atan(Math.sinh((0.5 - y) * 2 * PI)) * 180 / PI;
const longitude = x => (wrap(x, 1) - 0.5) * 360;

// The turns of the world between a point and its copy nearest to the centre.
const turns = x => round(x - view.x);
const screenX = x => view.width / 2 + (x - view.x) * worldPx();
const screenY = y => view.height / 2 + (y - view.y) * worldPx();

function look(x, y, zoom) {
  Object.assign(view, { x: wrap(x, 1), y: clamp(y, 0, 1), zoom: clamp(zoom, ZOOM_MIN, ZOOM_MAX) });
  changed('view');
}

function fly(x, y, zoom) {
  if (calm.matches || document.hidden) return look(x, y, zoom);
  const from = { ...view };
  flight = { from, to: { x: x - round(x - from.x), y, zoom }, begun: clock() };
  changed('view');
}

function flyOn() {
  const { from, to, begun } = flight;
  const part = clamp((clock() - begun) / FLIGHT_MS, 0, 1);
  const between = key => from[key] + (to[key] - from[key]) * part * (2 - part);
  if (part === 1) flight = null;
  look(between('x'), between('y'), between('zoom'));
}

// To where the view is going: at once under a finger, in a short flight otherwise.
function go(x, y, zoom, isSmooth) {
  if (isSmooth) return fly(x, y, zoom);
  flight = null;
  look(x, y, zoom);
}

// Zooms with the point at these pixels where it is; about the centre if a runner is kept there.
function zoomBy(steps, at, isSmooth) {
  const { x, y, zoom } = flight?.to ?? view;
  const to = clamp(zoom + steps, ZOOM_MIN, ZOOM_MAX);
  let dx = 0, dy = 0;
  if (keeping.what !== 'runner') {
    const k = 1 / pxAt(zoom) - 1 / pxAt(to);
    if (at) [dx, dy] = [(at.x - view.width / 2) * k, (at.y - view.height / 2) * k];
    keep(null);
  }
  go(x + dx, y + dy, to, isSmooth);
}

function panBy(dx, dy, isSmooth) {
  const { x, y, zoom } = flight?.to ?? view;
  keep(null);
  go(x + dx / pxAt(zoom), y + dy / pxAt(zoom), zoom, isSmooth);
}

// Has all these points in view; unless asked to, only if some are outside or all in a corner.
function fit(points, isAsked) {
  if (points.length === 0 || view.width === 0) return;
  const xs = points.map(({ x }) => x - round(x - points[0].x)), ys = points.map(({ y }) => y);
  const left = min(...xs), right = max(...xs), top = min(...ys), bottom = max(...ys);
  const zoomFor = (px, size) => log2(max(px - 2 * FIT_MARGIN_PX, 40) / TILE_PX / size);
  const zoom = clamp(
    min(zoomFor(view.width, right - left), zoomFor(view.height, bottom - top)), ZOOM_MIN, FIT_ZOOM_MAX);
  const isWithin = (px, size) => px > EDGE_PX && px < size - EDGE_PX;
  const isInside = ({ x, y }) => isWithin(screenX(x - turns(x)), view.width) && isWithin(screenY(y), view.height);
  if (isAsked || zoom > view.zoom + 2 || !points.every(isInside)) {
    fly((left + right) / 2, (top + bottom) / 2, zoom);
  }
}

// The greatest of 1, 2, 5, 10, 20… times a power of ten that is not above this.
function roundStep(most) {
  const power = 10 ** floor(log10(most));
  return [5, 2, 1].find(step => step * power <= most) * power;
}

function drawScale() {
  const metresPerPx = EQUATOR_M * cos(latitude(view.y) * PI / 180) / worldPx();
  const metres = roundStep(metresPerPx * 100);
  $('scale').style.width = `${metres / metresPerPx}px`;
  $('scale').textContent = metres < 1000 ? `${metres} m` : `${metres / 1000} km`;
}

const fingers = new Map();
let travelled = 0;

const onGround = event => !event.target.closest('button, a');
function at(event) {
  const box = map.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
function middle() {
  const [a, b = a] = fingers.values();
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: hypot(a.x - b.x, a.y - b.y) };
}

map.addEventListener('wheel', event => {
  event.preventDefault();
  // Lines instead of pixels, and the pinch of a touchpad, are small numbers.
  const unit = (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
  zoomBy(clamp(-event.deltaY * unit / 300, -1, 1), at(event));
}, { passive: false });

on(map, 'pointerdown', event => {
  if (!onGround(event) || event.button > 0) return;
  map.setPointerCapture(event.pointerId);
  if (fingers.size === 0) travelled = 0;
  if (fingers.size < 2) fingers.set(event.pointerId, at(event));
});

on(map, 'pointermove', event => {
  if (!fingers.has(event.pointerId)) return;
  const before = middle();
  fingers.set(event.pointerId, at(event));
  const after = middle();
  travelled += hypot(after.x - before.x, after.y - before.y) + abs(after.apart - before.apart);
  if (travelled <= TAP_PX) return;
  panBy(before.x - after.x, before.y - after.y);
  if (before.apart > 0) zoomBy(log2(after.apart / before.apart), after);
});

on(map, 'pointerup pointercancel', event => {
  const isLast = fingers.delete(event.pointerId) && fingers.size === 0;
  if (isLast && event.type === 'pointerup' && travelled <= TAP_PX) tap(at(event));
});

on(map, 'dblclick', event => { if (onGround(event)) zoomBy(1, at(event), true); });

const KEYS = {
  ArrowLeft: step => panBy(-step, 0, true),
  ArrowRight: step => panBy(step, 0, true),
  ArrowUp: step => panBy(0, -step, true),
  ArrowDown: step => panBy(0, step, true),
  '+': () => zoomBy(1, null, true),
  '=': () => zoomBy(1, null, true),
  '-': () => zoomBy(-1, null, true),
  0: () => keep('fit'),
  Escape: () => keep(null),
};

on(map, 'keydown', event => {
  const act = KEYS[event.key];
  if (!act || event.target !== map || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event.shiftKey ? 20 : 100);
});

on($('zoom-in'), 'click', KEYS['+']);
on($('zoom-out'), 'click', KEYS['-']);
on($('fit'), 'click', KEYS[0]);
