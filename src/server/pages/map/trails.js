// The ways that runners came: strong of the chosen one, light of all others. What is new lies beside
// the dots at first and is moved to the trails' own sheet now and then, which is not drawn in every frame.

import { isChosen } from './chosen.js';
import { colourOf } from './colours.js';
import { everybody, isDrawn } from './runners.js';
import { screenX, screenY, turns, worldPx } from './view.js';

const { abs, hypot, max } = Math;

const SETTLE_EVERY_MS = 3000;
const STEP_PX = 2; // what is shorter is not seen
const COVERED_PX = 6; // around the middle of a dot
const LIGHT = { globalAlpha: 0.4, lineWidth: 3 };
const STRONG = { globalAlpha: 0.85, lineWidth: 5 };

let settledAt = -Infinity;
const settled = new WeakMap(); // the last point of each that is on the sheet

// Whether there is enough that is new for all trails to be drawn again.
export const isDue = now => now - settledAt > SETTLE_EVERY_MS;

const inOrder = runners => runners.sort((a, b) => isChosen(a) - isChosen(b));

// All of them, as far as the dots have come through.
export function drawTrails(sheet, now) {
  settledAt = now;
  sheet.lineJoin = sheet.lineCap = 'round';
  for (const runner of inOrder(everybody().filter(isDrawn))) {
    settled.set(runner, runner.trail.at(-1));
    stroke(sheet, runner, runner.trail);
  }
}

// From where the trails on their sheet end to the dots, which are still on their way; but for what a
// dot covers.
export function drawTrailEnds(sheet, spots) {
  const covered = COVERED_PX / worldPx();
  sheet.lineCap = 'butt'; // under the dot at one end, and where a line goes on at the other
  for (const { runner } of spots) {
    const { trail, x, y } = runner, first = max(trail.lastIndexOf(settled.get(runner)), 0);
    const end = trail.slice(first);
    if (end.some(point => hypot(point.x - x, point.y - y) > covered)) stroke(sheet, runner, [...end, { x, y }], 0);
  }
}

function stroke(sheet, runner, points, step = STEP_PX) {
  const px = worldPx(), left = screenX(-turns(runner.x)), top = screenY(0), last = points.length - 1;
  let lastX = Infinity, lastY = Infinity;
  Object.assign(sheet, isChosen(runner) ? STRONG : LIGHT);
  sheet.strokeStyle = colourOf(runner);
  sheet.beginPath();
  for (const [index, { x, y }] of points.entries()) {
    const atX = left + x * px, atY = top + y * px;
    if (abs(atX - lastX) + abs(atY - lastY) < step && index < last) continue;
    sheet.lineTo(atX, atY);
    lastX = atX;
    lastY = atY;
  }
  sheet.stroke();
}
