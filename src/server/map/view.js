// The part of the world in view. The world is the unit square of Web Mercator (EPSG:3857), y down.

const LATITUDE_MAX = 85.0511287798; // where the square ends
const EQUATOR_M = 40075016.686;
const TILE_PX = 256;
const ZOOM_MIN = 1;
const ZOOM_MAX = 20;
const FIT_ZOOM_MAX = 16;
const FLIGHT_MS = 250;

const $ = id => document.getElementById(id);
const map = $('map');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

const view = { x: 0.5, y: 0.36, zoom: 2, width: 0, height: 0 };
// What the view keeps to by itself: 'fit' (everybody in it), a runner's id (in the centre) or null.
let keeping = { what: 'fit', id: null };
let flight = null;

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
const worldPx = () => TILE_PX * 2 ** view.zoom;

function project(lat, lng) {
  return {
    x: lng / 360 + 0.5,
    y: 0.5 - Math.asinh(Math.tan(lat * Math.PI / 180)) / (2 * Math.PI),
  };
}
const latitude = y => Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI)) * 180 / Math.PI;
const longitude = x => (x - Math.floor(x) - 0.5) * 360;

// The turns of the world between a point and its copy nearest to the centre.
const turns = x => Math.round(x - view.x);
const screenX = x => view.width / 2 + (x - view.x) * worldPx();
const screenY = y => view.height / 2 + (y - view.y) * worldPx();

function look(x, y, zoom) {
  view.x = x - Math.floor(x);
  view.y = clamp(y, 0, 1);
  view.zoom = clamp(zoom, ZOOM_MIN, ZOOM_MAX);
  changed('view');
}

function fly(x, y, zoom) {
  zoom = clamp(zoom, ZOOM_MIN, ZOOM_MAX);
  if (calm.matches || document.hidden) return look(x, y, zoom);
  const from = { x: view.x, y: view.y, zoom: view.zoom };
  flight = { from, to: { x: x - Math.round(x - from.x), y, zoom }, begun: performance.now() };
  changed('view');
}

function flyOn(now) {
  const { from, to, begun } = flight;
  const part = clamp((now - begun) / FLIGHT_MS, 0, 1);
  const eased = part * (2 - part);
  const between = key => from[key] + (to[key] - from[key]) * eased;
  if (part === 1) flight = null;
  look(between('x'), between('y'), between('zoom'));
}

// Zooms with the point at these pixels where it is; about the centre if a runner is kept there.
function zoomBy(steps, px = view.width / 2, py = view.height / 2, smooth = false) {
  const base = flight ? flight.to : view;
  const zoom = clamp(base.zoom + steps, ZOOM_MIN, ZOOM_MAX);
  const k = 1 / (TILE_PX * 2 ** base.zoom) - 1 / (TILE_PX * 2 ** zoom);
  const held = keeping.what === 'runner';
  const x = base.x + (held ? 0 : (px - view.width / 2) * k);
  const y = base.y + (held ? 0 : (py - view.height / 2) * k);
  if (!held) keep(null);
  if (smooth) return fly(x, y, zoom);
  flight = null;
  look(x, y, zoom);
}

function panBy(dx, dy, smooth = false) {
  const base = flight ? flight.to : view;
  const px = TILE_PX * 2 ** base.zoom;
  keep(null);
  if (smooth) return fly(base.x + dx / px, base.y + dy / px, base.zoom);
  flight = null;
  look(view.x + dx / px, view.y + dy / px, view.zoom);
}

// The box around points of the world, or undefined if there are none.
function around(points) {
  let box;
  for (const { x, y } of points) {
    box ??= { left: x, right: x, top: y, bottom: y };
    const near = x - Math.round(x - box.left);
    box.left = Math.min(box.left, near);
    box.right = Math.max(box.right, near);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return box;
}

function fit(box) {
  const room = (length, size) => Math.log2(Math.max(length - 120, 40) / TILE_PX / size);
  const zoom = Math.min(
    room(view.width, box.right - box.left), room(view.height, box.bottom - box.top), FIT_ZOOM_MAX);
  fly((box.left + box.right) / 2, (box.top + box.bottom) / 2, zoom);
}

const inView = ({ x, y }) => {
  const px = screenX(x - turns(x)), py = screenY(y);
  return px > 20 && px < view.width - 20 && py > 20 && py < view.height - 20;
};

const metresPerPx = () => EQUATOR_M * Math.cos(latitude(view.y) * Math.PI / 180) / worldPx();

function drawScale() {
  const most = metresPerPx() * 100;
  const power = 10 ** Math.floor(Math.log10(most));
  const metres = [5, 2, 1].find(step => step * power <= most) * power;
  const bar = $('scale').firstElementChild;
  bar.style.width = `${metres / metresPerPx()}px`;
  bar.textContent = metres < 1000 ? `${metres} m` : `${metres / 1000} km`;
}

const fingers = new Map();
let travelled = 0;

const at = event => {
  const box = map.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};
const middle = () => {
  const [a, b = a] = [...fingers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
};
const onGround = event => event.target.closest('button, a') === null;

map.addEventListener('wheel', event => {
  event.preventDefault();
  const lines = event.deltaMode ? 30 : 1;
  const pinch = event.ctrlKey ? 5 : 1;
  const { x, y } = at(event);
  zoomBy(clamp(-event.deltaY * lines * pinch / 300, -1, 1), x, y);
}, { passive: false });

map.addEventListener('pointerdown', event => {
  if (!onGround(event) || event.button > 0) return;
  map.setPointerCapture(event.pointerId);
  if (fingers.size === 0) travelled = 0;
  if (fingers.size < 2) fingers.set(event.pointerId, at(event));
});

map.addEventListener('pointermove', event => {
  if (!fingers.has(event.pointerId)) return;
  const before = middle();
  fingers.set(event.pointerId, at(event));
  const after = middle();
  travelled += Math.hypot(after.x - before.x, after.y - before.y);
  // A finger is never quite still: a tap does not let go of the centred runner.
  if (travelled > 4) panBy(before.x - after.x, before.y - after.y);
  if (fingers.size > 1 && before.apart > 0) {
    travelled += 5;
    zoomBy(Math.log2(after.apart / before.apart), after.x, after.y);
  }
});

for (const end of ['pointerup', 'pointercancel']) {
  map.addEventListener(end, event => {
    if (!fingers.delete(event.pointerId) || fingers.size > 0) return;
    if (end === 'pointerup' && travelled <= 4) tap(at(event));
  });
}

map.addEventListener('dblclick', event => {
  const { x, y } = at(event);
  if (onGround(event)) zoomBy(1, x, y, true);
});

map.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target !== map) return;
  const step = event.shiftKey ? 20 : 100;
  const act = {
    ArrowLeft: () => panBy(-step, 0, true),
    ArrowRight: () => panBy(step, 0, true),
    ArrowUp: () => panBy(0, -step, true),
    ArrowDown: () => panBy(0, step, true),
    '+': () => zoomBy(1, undefined, undefined, true),
    '=': () => zoomBy(1, undefined, undefined, true),
    '-': () => zoomBy(-1, undefined, undefined, true),
    0: () => keep('fit'),
    Escape: () => keep(null),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

$('zoom-in').addEventListener('click', () => zoomBy(1, undefined, undefined, true));
$('zoom-out').addEventListener('click', () => zoomBy(-1, undefined, undefined, true));
$('fit').addEventListener('click', () => keep('fit'));
