// Sheets on top of each other: the ground, the course, the trails, the dots with their tags. Each is
// drawn when something on it has changed, and only then.

import { isChosen, keeping, selected } from './chosen.js';
import { palette } from './colours.js';
import { drawCourse } from './course.js';
import { $, clock } from './dom.js';
import { beakOf, drawDot, lookOf } from './dots.js';
import { changed, drawWith, lookIn, takeChanges } from './frame.js';
import { drawGround } from './ground.js';
import { everybody, isDrawn, place, runners, seenPx, stepMs } from './runners.js';
import { drawTags, tagsDueIn, wordsOf } from './tags.js';
import { drawTrailEnds, drawTrails, isDue } from './trails.js';
import { flight, flyOn, lift, look, map, screenX, screenY, turns, view, worldPx } from './view.js';
import { EQUATOR_M, latitude, longitude, roundStep, wrap } from './world.js';

const { abs, cos, max, min, PI } = Math;

const SMOOTH_DOTS_MAX = 100;
const TURN_EVERY_MS = 250; // a heading may wait for company

// Each sheet costs in each frame, also where it is empty; nothing is seen through the ground.
const sheets = Object.fromEntries(
  ['ground', 'course', 'trails', 'dots'].map(id => [id, $(id).getContext('2d', { alpha: id !== 'ground' })]));
$('course').hidden = !map.dataset.course;
let drawn = { spots: [], chosen: '', at: 0 };
let areTrailsNewer = false;

function draw() {
  const now = clock();
  let areMoving = false;
  for (const runner of runners.values()) areMoving = place(runner, now) || areMoving;
  if (flight) flyOn();
  keepCentred();
  const { view: hasMoved, ground, trails, trailEnds, dots } = takeChanges();
  if (hasMoved) {
    drawScale();
    // Where the map is, for programs that read the page.
    const numbers = { lat: latitude(view.y).toFixed(6), lng: longitude(view.x).toFixed(6), zoom: view.zoom.toFixed(4) };
    Object.assign(map.dataset, numbers);
  }
  if (hasMoved || ground) drawGround(sheets.ground);
  if (hasMoved) drawCourse(blank(sheets.course), palette.ink, palette.paper);
  const chosen = `${selected} ${keeping.id}`, spots = spotsAt(now);
  areTrailsNewer ||= trailEnds;
  const areTrailsDue = areTrailsNewer && (isDue(now) || !areMoving);
  const areTrailsDrawn = hasMoved || trails || areTrailsDue || chosen !== drawn.chosen;
  if (areTrailsDrawn) {
    drawTrails(blank(sheets.trails), now);
    areTrailsNewer = false;
  }
  if (areTrailsDrawn || dots || tagsDueIn(now) === 0 || isNews(spots, now)) {
    drawn = { spots, chosen, at: now };
    drawDots(spots, now);
  }
  lookIn(flight ? 0 : min(tagsDueIn(now), turnIn(spots, now), ...spots.map(({ runner }) => stepMs(runner))));
}

function keepCentred() {
  const centred = runners.get(keeping.id);
  if (!centred || !isDrawn(centred) || flight) return;
  const x = wrap(centred.x, 1), y = centred.y + lift();
  if (x !== view.x || y !== view.y) look(x, y, view.zoom);
}

function drawScale() {
  const metresPerPx = EQUATOR_M * cos(latitude(view.y) * PI / 180) / worldPx();
  // Some 70 to 180 px, which has room for the words.
  const metres = roundStep(metresPerPx * 180);
  $('scale').style.width = `${metres / metresPerPx}px`;
  $('scale').textContent = metres < 1000 ? `${metres} m` : `${metres / 1000} km`;
}

function blank(sheet) {
  sheet.clearRect(0, 0, view.width, view.height);
  return sheet;
}

// The dots in view: where they are, what they look like, what their tags say. Who is chosen lies on top.
function spotsAt(now) {
  return everybody().filter(isDrawn)
    .map(runner => ({ runner, px: screenX(runner.x - turns(runner.x)), py: screenY(runner.y) }))
    .filter(({ px, py }) => px > -20 && py > -20 && px < view.width + 20 && py < view.height + 20)
    .map(spot => ({ ...spot, look: lookOf(spot.runner), beak: beakOf(spot.runner), ...wordsOf(spot.runner, now) }))
    .sort((a, b) => isChosen(a.runner) - isChosen(b.runner));
}

// Whether a person could tell these from what is drawn.
function isNews(spots, now) {
  const px = seenPx(), old = drawn.spots, isTurnDue = now - drawn.at >= TURN_EVERY_MS;
  return spots.length !== old.length || spots.some((spot, index) => {
    const { runner, look, beak, name, age, px: x, py: y } = old[index];
    return spot.runner !== runner || spot.look !== look || spot.name !== name || spot.age !== age
      || isTurnDue && spot.beak !== beak || abs(spot.px - x) >= px || abs(spot.py - y) >= px;
  });
}

function turnIn(spots, now) {
  const isTurned = spots.some(({ beak }, index) => beak !== drawn.spots[index].beak);
  return isTurned ? max(drawn.at + TURN_EVERY_MS - now, 0) : Infinity;
}

function drawDots(spots, now) {
  const sheet = blank(sheets.dots);
  // Between two pixels a dot moves more smoothly, and costs twice as much.
  sheet.imageSmoothingEnabled = spots.length <= SMOOTH_DOTS_MAX;
  drawTrailEnds(sheet, spots);
  for (const spot of spots) drawDot(sheet, spot);
  drawTags(sheet, spots, now);
  sheet.globalAlpha = 1;
}

drawWith(draw);

new ResizeObserver(() => {
  const dpr = min(devicePixelRatio, 2);
  Object.assign(view, { width: map.clientWidth, height: map.clientHeight, dpr });
  for (const { canvas } of Object.values(sheets)) {
    canvas.width = view.width * dpr;
    canvas.height = view.height * dpr;
    canvas.getContext('2d').scale(dpr, dpr);
  }
  changed('view');
}).observe(map);
