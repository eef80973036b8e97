// When to draw: once in a frame at most, and no more than what has changed since the last one.

const nothing = { view: false, ground: false, trails: false, dots: false };
const dirty = { ...nothing };
let draw = null;
let frame = 0;

// Has this draw, whenever something has changed.
export function drawWith(act) {
  draw = act;
}

// Something of this kind has changed: 'view', 'ground', 'trails' or 'dots'.
export function changed(what) {
  dirty[what] = true;
  frame ||= requestAnimationFrame(drawFrame);
}

function drawFrame() {
  frame = 0;
  draw();
}

// What has changed since this was asked last.
export function takeChanges() {
  const changes = { ...dirty };
  Object.assign(dirty, nothing);
  return changes;
}
