// What a person does to the map with a pointer, a wheel or keys.

import { keep, keeping, select } from './chosen.js';
import { $, clock, on } from './dom.js';
import { everybody, isDrawn } from './runners.js';
import { ZOOM_MAX, ZOOM_MIN, drift, flight, go, halt, map, screenX, screenY, turns, view } from './view.js';
import { clamp, pxAt } from './world.js';

const { abs, hypot, log2 } = Math;

const TAP_PX = 4; // a finger is never quite still
const TAP_AWAY_PX = 22;
const THROW_MS = 100; // the last of a drag, which says how fast it was

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

// Selects the dot at these pixels, or nobody.
function tap({ x, y }) {
  let best = { id: null, away: TAP_AWAY_PX };
  for (const runner of everybody().filter(isDrawn)) {
    const away = hypot(screenX(runner.x - turns(runner.x)) - x, screenY(runner.y) - y);
    if (away < best.away) best = { id: runner.id, away };
  }
  select(best.id);
}

const fingers = new Map();
let travelled = 0;
let steps = []; // of the last drag by one finger: how far, and when

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
  halt();
  // Lines instead of pixels, and the pinch of a touchpad, are small numbers.
  const unit = (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
  zoomBy(clamp(-event.deltaY * unit / 300, -1, 1), at(event));
}, { passive: false });

on(map, 'pointerdown', event => {
  if (!onGround(event) || event.button > 0) return;
  map.setPointerCapture(event.pointerId);
  steps = [];
  // Who stops a map means nobody on it.
  const wasFlying = halt();
  if (fingers.size === 0) travelled = wasFlying ? Infinity : 0;
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
  if (fingers.size === 1) steps.push({ dx: before.x - after.x, dy: before.y - after.y, at: clock() });
  if (before.apart > 0 && after.apart > 0) zoomBy(log2(after.apart / before.apart), after);
});

on(map, 'pointerup pointercancel', event => {
  const isLast = fingers.delete(event.pointerId) && fingers.size === 0;
  if (!isLast || event.type === 'pointercancel') return;
  if (travelled <= TAP_PX) tap(at(event));
  else throwMap();
});

// Lets go of the map at the speed of the finger.
function throwMap() {
  const now = clock(), last = steps.filter(step => now - step.at < THROW_MS);
  const sum = key => last.reduce((total, step) => total + step[key], 0);
  drift(sum('dx') / THROW_MS, sum('dy') / THROW_MS);
  steps = [];
}

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
