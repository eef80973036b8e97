// The way of the race, where the server has one: a line under the runners with its start, its finish
// and its kilometres.

import { changed } from './frame.js';
import { isOver } from './labels.js';
import { map, screenX, screenY, turns, view, worldPx } from './view.js';
import { EQUATOR_M, LATITUDE_MAX, clamp, latitude, project } from './world.js';

const { abs, cos, hypot, max, min, round, PI } = Math;

const KILOMETRES_MAX = 5000;
const MARK_EVERY_PX = 80; // along a straight way, at least
const ENDS_APART_PX = 44; // or a word tells of both
const MARK_PX = 3.5; // on the line
const AWAY_PX = 14; // from there to its words, which a dot on the line does not reach
const WORDS_PX = 16; // high
const STEPS_KM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

// Its points in the world, each with the metres to there and whether a new piece begins with it; its
// kilometres, each with the points between which it lies; two corners that all of it lies between.
let course = { points: [], kilometres: [], corners: [] };
let isAsked = false;
let marks = []; // the places of words, as drawn last

export const courseCorners = () => course.corners;
export const courseMarks = () => marks;

// Asks for it, unless there is none or that was done.
export async function loadCourse() {
  const url = map.dataset.course;
  if (!url || isAsked) return;
  isAsked = true;
  try {
    course = read(await (await fetch(url)).json());
    changed('view');
  } catch {
    isAsked = false; // the next connection is another chance
  }
}

function read({ geometry, properties: { length, gaps } }) {
  const begins = new Set(gaps), points = [];
  let before = null, metres = 0;
  for (const [index, [lng, lat]] of geometry.coordinates.entries()) {
    const at = project(clamp(lat, -LATITUDE_MAX, LATITUDE_MAX), lng);
    // The short way round, past the date line too.
    if (before) at.x += round(before.x - at.x);
    at.isBegin = !before || begins.has(index);
    if (!at.isBegin) metres += hypot(at.x - before.x, at.y - before.y) * metresAt((at.y + before.y) / 2);
    at.metres = metres;
    points.push(at);
    before = at;
  }
  // The server measures better than a flat map.
  for (const point of points) point.metres *= length / metres;
  const xs = points.map(({ x }) => x), ys = points.map(({ y }) => y);
  const least = values => values.reduce((a, b) => min(a, b)), most = values => values.reduce((a, b) => max(a, b));
  const corners = [{ x: least(xs), y: least(ys) }, { x: most(xs), y: most(ys) }];
  return { points, kilometres: kilometresOf(points), corners };
}

const metresAt = y => EQUATOR_M * cos(latitude(y) * PI / 180);

function kilometresOf(points) {
  const kilometres = [];
  let before = points[0];
  for (const point of points) {
    while (!point.isBegin && (kilometres.length + 1) * 1000 <= point.metres && kilometres.length < KILOMETRES_MAX) {
      const km = kilometres.length + 1, k = (km * 1000 - before.metres) / (point.metres - before.metres);
      kilometres.push({ km, before, point, x: before.x + (point.x - before.x) * k, y: before.y + (point.y - before.y) * k });
    }
    before = point;
  }
  return kilometres;
}

export function drawCourse(sheet, ink, paper) {
  marks = [];
  const { points, kilometres, corners } = course;
  if (points.length === 0) return;
  const turned = turns((corners[0].x + corners[1].x) / 2);
  const spotOf = ({ x, y }) => ({ px: screenX(x - turned), py: screenY(y) });
  drawLine(sheet, points.map(point => ({ ...spotOf(point), isBegin: point.isBegin })), ink, paper);
  const begin = spotOf(points[0]), end = spotOf(points.at(-1)), isRound = isNear(begin, end);
  drawMark(sheet, begin, rightOf(points[0], points[1]), isRound ? 'Start, finish' : 'Start', paper, ink);
  if (!isRound) drawMark(sheet, end, rightOf(points.at(-2), points.at(-1)), 'Finish', paper, ink);
  const middle = latitude((corners[0].y + corners[1].y) / 2) * PI / 180;
  const pxOfKm = 1000 / (EQUATOR_M * cos(middle)) * worldPx();
  const step = STEPS_KM.find(km => km * pxOfKm >= MARK_EVERY_PX) ?? Infinity;
  for (const mark of kilometres) {
    if (mark.km % step !== 0) continue;
    drawMark(sheet, spotOf(mark), rightOf(mark.before, mark.point), `${mark.km} km`, ink, paper);
  }
}

const isNear = (a, b) => abs(a.px - b.px) < ENDS_APART_PX && abs(a.py - b.py) < ENDS_APART_PX / 2;

// To the right of who goes this way.
function rightOf(from, to) {
  const x = from.y - to.y, y = to.x - from.x, length = hypot(x, y) || 1;
  return { x: x / length, y: y / length };
}

function drawLine(sheet, spots, ink, paper) {
  sheet.lineJoin = sheet.lineCap = 'round';
  sheet.beginPath();
  let last = null;
  for (const [index, { px, py, isBegin }] of spots.entries()) {
    const isEnd = spots[index + 1]?.isBegin ?? true;
    if (isBegin) sheet.moveTo(px, py);
    else if (!isEnd && abs(px - last.px) + abs(py - last.py) < 2) continue;
    else sheet.lineTo(px, py);
    last = { px, py };
  }
  for (const [width, style, alpha] of [[7, paper, 0.7], [3, ink, 0.6]]) {
    Object.assign(sheet, { lineWidth: width, strokeStyle: style, globalAlpha: alpha });
    sheet.stroke();
  }
}

// A mark on the line, and beside it its words on a ground of their own, unless others are there.
function drawMark(sheet, { px, py }, aside, words, ink, paper) {
  if (px < 0 || py < 0 || px > view.width || py > view.height) return;
  Object.assign(sheet, { font: '600 11px system-ui, sans-serif', textAlign: 'center', textBaseline: 'middle' });
  const width = sheet.measureText(words).width + 10, height = WORDS_PX;
  const left = clamp(px + aside.x * (AWAY_PX + width / 2) - width / 2, 2, max(view.width - width - 2, 2));
  const top = clamp(py + aside.y * (AWAY_PX + height / 2) - height / 2, 2, max(view.height - height - 2, 2));
  const place = { left, top, width, height };
  if (marks.some(other => isOver(place, other))) return;
  marks.push(place);
  Object.assign(sheet, { globalAlpha: 1, fillStyle: paper, strokeStyle: ink, lineWidth: 1 });
  sheet.beginPath();
  sheet.arc(px, py, MARK_PX, 0, 7);
  sheet.fill();
  sheet.stroke();
  sheet.globalAlpha = 0.9;
  sheet.beginPath();
  sheet.roundRect(left, top, width, height, height / 2);
  sheet.fill();
  sheet.stroke();
  Object.assign(sheet, { globalAlpha: 1, fillStyle: ink });
  sheet.fillText(words, left + width / 2, top + height / 2 + 0.5);
}
