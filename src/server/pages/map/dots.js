// A runner's dot: a disc with a beak to where it is heading. Stale it is a faded ring, chosen it has
// a ring around it.

import { isChosen } from './chosen.js';
import { colourOf, palette } from './colours.js';
import { shownState } from './runners.js';
import { sprite, stamp } from './sprites.js';
import { view } from './view.js';

const { acos, cos, max, min, round, sin, PI } = Math;

const DISC_PX = 7;
const BEAK_PX = 17; // from the middle to the tip
const RING_PX = 12;
const LINE_PX = 2.5; // of outlines, outside
const REACH_PX = BEAK_PX + LINE_PX;
const ROOM = { left: -REACH_PX, top: -REACH_PX, width: 2 * REACH_PX, height: 2 * REACH_PX }; // for all of them
const HEADINGS = 32; // all that are told apart by eye
const STALE_ALPHA = 0.7;

const dots = new WeakMap();

// What tells the pictures of dots apart.
export function lookOf(runner) {
  return [palette.version, view.dpr, colourOf(runner), shownState(runner), isChosen(runner)].join();
}

// Where the beak points, in radians from north; `null` without one.
export function beakOf(runner) {
  const { heading } = runner.fix;
  if (heading === undefined || shownState(runner) !== 'live') return null;
  return round(heading / 360 * HEADINGS) % HEADINGS / HEADINGS * 2 * PI;
}

export function drawDot(sheet, { runner, px, py, look, beak }) {
  let dot = dots.get(runner);
  if (dot?.look !== look || dot.beak !== beak) {
    dot = { look, beak, box: boxOf(runner, beak), picture: sprite(ROOM, sheet => paint(sheet, runner, beak), dot?.picture) };
    dots.set(runner, dot);
  }
  sheet.globalAlpha = shownState(runner) === 'live' ? 1 : STALE_ALPHA;
  stamp(sheet, dot.picture, dot.box, px, py);
}

function paint(sheet, runner, beak) {
  const isLive = shownState(runner) === 'live', { ink, paper } = palette, colour = colourOf(runner);
  const line = (width, style, alpha = 1) => {
    Object.assign(sheet, { lineWidth: width, strokeStyle: style, globalAlpha: alpha });
    sheet.stroke();
  };
  sheet.lineJoin = 'round';
  if (isChosen(runner)) {
    sheet.beginPath();
    sheet.arc(0, 0, RING_PX, 0, 7);
    line(5, paper, 0.7);
    line(2.5, ink);
  }
  outline(sheet, beak);
  // Paper parts it from other dots, ink from a ground of its own colour.
  line(5, ink, 0.45);
  line(3.5, paper);
  sheet.fillStyle = isLive ? colour : paper;
  sheet.fill();
  if (!isLive) line(3, colour);
}

// One line around both: the tangents from the tip to the disc.
function outline(sheet, north) {
  sheet.beginPath();
  if (north === null) return sheet.arc(0, 0, DISC_PX, 0, 7);
  const to = north - PI / 2, side = acos(DISC_PX / BEAK_PX);
  sheet.arc(0, 0, DISC_PX, to + side, to - side + 2 * PI);
  sheet.lineTo(sin(north) * BEAK_PX, -cos(north) * BEAK_PX);
  sheet.closePath();
}

// What a dot takes around its middle, with its beak, its ring and their outlines.
function boxOf(runner, beak) {
  const [x, y] = beak === null ? [0, 0] : [sin(beak) * BEAK_PX, -cos(beak) * BEAK_PX];
  const reach = isChosen(runner) ? RING_PX : DISC_PX;
  const left = min(-reach, x) - LINE_PX, top = min(-reach, y) - LINE_PX;
  return { left, top, width: max(reach, x) + LINE_PX - left, height: max(reach, y) + LINE_PX - top };
}

// The rectangle of a dot on the map.
export function dotRectangle({ runner, px, py, beak }) {
  const { left, top, width, height } = boxOf(runner, beak);
  return { left: px + left, top: py + top, width, height };
}
