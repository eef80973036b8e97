// Sheets on top of each other: the ground, the course, the trails, the dots with their tags.

import { ageInWords } from './ages.js';
import { isChosen, keeping, selected } from './chosen.js';
import { drawCourse } from './course.js';
import { $, clock, on } from './dom.js';
import { changed, drawWith, takeChanges } from './frame.js';
import { drawGround } from './ground.js';
import { called } from './names.js';
import { everybody, isDrawn, place, runners, shownState } from './runners.js';
import { flight, flyOn, lift, look, map, screenX, screenY, turns, view, worldPx } from './view.js';
import { EQUATOR_M, latitude, longitude, roundStep, wrap } from './world.js';

const { abs, cos, floor, min, sin, PI } = Math;

const DOT_PX = 7;
const TAG_AWAY_PX = 17;
const TAG_CHARACTERS_MAX = 24;
const TAGS_EVERY_MS = 500;

const sheets = Object.fromEntries(['ground', 'course', 'trails', 'dots'].map(id => [id, $(id).getContext('2d')]));
let tags = { chosenAt: -Infinity, zoom: 0, selected: null, runners: new Set() };
let ink, paper, strength;

function draw() {
  const now = clock();
  let areMoving = false;
  for (const runner of runners.values()) areMoving = place(runner, now) || areMoving;
  if (flight) flyOn();
  const centred = runners.get(keeping.id);
  if (centred && isDrawn(centred) && !flight) {
    const x = wrap(centred.x, 1), y = centred.y + lift();
    if (x !== view.x || y !== view.y) look(x, y, view.zoom);
  }
  const { view: hasMoved, ground, trails } = takeChanges();
  if (hasMoved) {
    drawScale();
    // Where the map is, for programs that read the page.
    const numbers = { lat: latitude(view.y).toFixed(6), lng: longitude(view.x).toFixed(6), zoom: view.zoom.toFixed(4) };
    Object.assign(map.dataset, numbers);
  }
  if (hasMoved || ground) drawGround(sheets.ground);
  if (hasMoved) drawCourse(blank(sheets.course), ink, paper);
  if (hasMoved || trails) drawTrails();
  drawDots(now);
  if (flight || areMoving) changed('dots');
}

function drawScale() {
  const metresPerPx = EQUATOR_M * cos(latitude(view.y) * PI / 180) / worldPx();
  // Some 70 to 180 px, which has room for the words.
  const metres = roundStep(metresPerPx * 180);
  $('scale').style.width = `${metres / metresPerPx}px`;
  $('scale').textContent = metres < 1000 ? `${metres} m` : `${metres / 1000} km`;
}

const colour = ({ color, hue }) => color ?? `hsl(${hue} ${strength})`;

function blank(sheet) {
  sheet.clearRect(0, 0, view.width, view.height);
  sheet.globalAlpha = 0.45;
  sheet.lineWidth = 3;
  sheet.lineJoin = sheet.lineCap = 'round';
  return sheet;
}

function drawTrails() {
  const sheet = blank(sheets.trails), px = worldPx();
  for (const runner of everybody().filter(isDrawn)) {
    const left = screenX(-turns(runner.x)), top = screenY(0);
    let lastX = Infinity, lastY = Infinity;
    sheet.strokeStyle = colour(runner);
    sheet.beginPath();
    for (const { x, y } of runner.trail) {
      const atX = left + x * px, atY = top + y * px;
      if (abs(atX - lastX) + abs(atY - lastY) < 2) continue;
      sheet.lineTo(atX, atY);
      lastX = atX;
      lastY = atY;
    }
    sheet.stroke();
  }
}

function drawDots(now) {
  const sheet = blank(sheets.dots);
  const spots = everybody().filter(isDrawn)
    .map(runner => ({ runner, px: screenX(runner.x - turns(runner.x)), py: screenY(runner.y) }))
    .filter(({ px, py }) => px > -80 && py > -20 && px < view.width + 20 && py < view.height + 20);
  // From the end of each trail to the dot, which is still on its way.
  for (const { runner, px, py } of spots) {
    const last = runner.trail.at(-1);
    sheet.strokeStyle = colour(runner);
    sheet.beginPath();
    sheet.moveTo(screenX(last.x - turns(runner.x)), screenY(last.y));
    sheet.lineTo(px, py);
    sheet.stroke();
  }
  for (const spot of spots) drawDot(sheet, spot);
  const areOld = now - tags.chosenAt > TAGS_EVERY_MS || tags.zoom !== view.zoom || tags.selected !== selected;
  if (areOld) chooseTags(spots, now);
  sheet.font = '600 12px system-ui, sans-serif';
  sheet.textBaseline = 'middle';
  for (const spot of spots) if (tags.runners.has(spot.runner)) drawTag(sheet, spot, now);
}

// Live: solid. Stale: a faded ring.
function drawDot(sheet, { runner, px, py }) {
  const isLive = shownState(runner) === 'live', { heading } = runner.fix;
  sheet.globalAlpha = isLive ? 1 : 0.7;
  sheet.fillStyle = colour(runner);
  sheet.strokeStyle = paper;
  sheet.lineWidth = 2;
  if (isLive && heading !== undefined) {
    const north = heading * PI / 180;
    sheet.beginPath();
    for (const [turn, far] of [[0, 16], [0.6, 9], [-0.6, 9]]) {
      sheet.lineTo(px + sin(north + turn) * far, py - cos(north + turn) * far);
    }
    sheet.closePath();
    sheet.stroke();
    sheet.fill();
  }
  const ring = radius => { sheet.beginPath(); sheet.arc(px, py, radius, 0, 7); };
  ring(DOT_PX);
  if (!isLive) {
    sheet.fillStyle = paper;
    sheet.strokeStyle = colour(runner);
    sheet.lineWidth = 3;
  }
  sheet.fill();
  sheet.stroke();
  if (isChosen(runner)) {
    ring(DOT_PX + 5);
    sheet.globalAlpha = 1;
    sheet.lineWidth = 2;
    sheet.strokeStyle = ink;
    sheet.stroke();
  }
}

// Tags that would lie on each other are left out, first those of live runners that had none.
function chooseTags(spots, now) {
  const had = tags.runners, taken = new Set();
  tags = { chosenAt: now, zoom: view.zoom, selected, runners: new Set() };
  const rank = ({ runner }) =>
    isChosen(runner) ? 0 : shownState(runner) === 'stale' ? 1 : had.has(runner) ? 2 : 3;
  for (const { runner, px, py } of [...spots].sort((a, b) => rank(a) - rank(b))) {
    const cells = [0, 1, 2].map(right => `${floor(px / 40) + right} ${floor(py / 20)}`);
    if (cells.some(cell => taken.has(cell))) continue;
    for (const cell of cells) taken.add(cell);
    tags.runners.add(runner);
  }
}

// Name and age are texts of their own: no mark of direction in a name reaches beyond it.
function drawTag(sheet, { runner, px, py }, now) {
  const isLive = shownState(runner) === 'live', characters = [...called(runner)];
  const isLong = characters.length > TAG_CHARACTERS_MAX;
  const name = isLong ? `${characters.slice(0, TAG_CHARACTERS_MAX).join('')}…` : called(runner);
  const age = isLive ? '' : ` · ${ageInWords(runner, now)}`;
  const widthOf = words => sheet.measureText(words).width;
  if (runner.tag?.age !== age || runner.tag.name !== name) runner.tag = { name, age, nameWidth: widthOf(name), ageWidth: widthOf(age) };
  const { nameWidth, ageWidth } = runner.tag, left = px + TAG_AWAY_PX;
  sheet.globalAlpha = 0.8;
  sheet.fillStyle = paper;
  sheet.fillRect(left, py - 9, nameWidth + ageWidth + 8, 18);
  sheet.globalAlpha = isLive ? 1 : 0.8;
  sheet.fillStyle = ink;
  sheet.fillText(name, left + 4, py + 1);
  sheet.fillText(age, left + 4 + nameWidth, py + 1);
}

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  [ink, paper, strength] = ['--ink', '--paper', '--strength'].map(name => style.getPropertyValue(name));
  changed('view');
}
on(matchMedia('(prefers-color-scheme: dark)'), 'change', readColours);

drawWith(draw);

new ResizeObserver(() => {
  const dpr = min(devicePixelRatio, 2);
  Object.assign(view, { width: map.clientWidth, height: map.clientHeight });
  for (const { canvas } of Object.values(sheets)) {
    canvas.width = view.width * dpr;
    canvas.height = view.height * dpr;
    canvas.getContext('2d').scale(dpr, dpr);
  }
  changed('view');
}).observe(map);
