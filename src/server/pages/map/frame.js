// When to draw: once in a frame at most, and no more than what has changed since the last one.

import { clock } from './dom.js';

const nothing = { view: false, ground: false, trails: false, trailEnds: false, dots: false, time: false };
const dirty = { ...nothing };
const FRAME_MS = 16;
let draw = null;
let frame = 0;
let timer = 0;
let dueAt = Infinity;

// Has this draw, whenever something has changed.
export function drawWith(act) {
  draw = act;
}

// Something of this kind has changed: 'view', 'ground', 'trails', 'trailEnds' or 'dots'; or 'time' has
// passed, and it is to be seen whether that shows.
export function changed(what) {
  dirty[what] = true;
  frame ||= requestAnimationFrame(drawFrame);
}

// In so many milliseconds there may be something to see.
export function lookIn(ms) {
  const at = clock() + ms;
  if (ms < FRAME_MS) changed('time');
  else if (at < dueAt) {
    clearTimeout(timer);
    timer = setTimeout(changed, ms, 'time');
    dueAt = at;
  }
}

function drawFrame() {
  frame = 0;
  clearTimeout(timer);
  dueAt = Infinity;
  draw();
}

// What has changed since this was asked last.
export function takeChanges() {
  const changes = { ...dirty };
  Object.assign(dirty, nothing);
  return changes;
}
