// The names beside the dots, and the ages of stale runners: which are shown, where, and how they come
// and go.

import { ageInWords } from './ages.js';
import { isChosen, selected } from './chosen.js';
import { palette } from './colours.js';
import { courseMarks } from './course.js';
import { $, calm } from './dom.js';
import { dotRectangle } from './dots.js';
import { placeLabels, rectangle } from './labels.js';
import { called } from './names.js';
import { shownState } from './runners.js';
import { sharp, sprite, stamp } from './sprites.js';
import { map, view } from './view.js';

const { max, min } = Math;

const CHARACTERS_MAX = 24;
const CHOOSE_EVERY_MS = 250;
const FADE_MS = 200;
const HEIGHT_PX = 20;
const FONT = '600 12px system-ui, sans-serif';

// Characters as people see them, of which a flag is one; browsers before 2024 may not know.
const segmenter = Intl.Segmenter && new Intl.Segmenter();
const ruler = document.createElement('canvas').getContext('2d');
const tags = new WeakMap();
let shown = new Map(); // by runner: at which side, and since when
let leaving = []; // the same, and of whom
let chosen = { at: -Infinity, zoom: 0, selected: null, isNewer: true };

// What a tag says. Name and age are texts of their own: no mark of direction in a name reaches beyond it.
export const wordsOf = (runner, now) => ({
  name: called(runner), age: shownState(runner) === 'live' ? '' : ` · ${ageInWords(runner, now)}`,
});

function cut(name) {
  const characters = segmenter ? Array.from(segmenter.segment(name), ({ segment }) => segment) : [...name];
  return characters.length > CHARACTERS_MAX ? `${characters.slice(0, CHARACTERS_MAX).join('')}…` : name;
}

function tagOf({ runner, name, age, look }) {
  const known = tags.get(runner);
  if (known?.name === name && known.age === age && known.look === look) return known;
  ruler.font = FONT;
  const shortName = cut(name), [nameWidth, ageWidth] = [shortName, age].map(words => ruler.measureText(words).width);
  // A gap of a pixel on all sides belongs to it.
  const tag = { name, shortName, age, look, nameWidth, width: nameWidth + ageWidth + 10, height: HEIGHT_PX, picture: null };
  tags.set(runner, tag);
  return tag;
}

function pictureOf(tag) {
  const { shortName, age, nameWidth, width, height } = tag;
  return tag.picture ??= sprite({ left: 0, top: 0, width, height }, sheet => {
    Object.assign(sheet, { font: FONT, textBaseline: 'middle', fillStyle: palette.paper, globalAlpha: 0.85 });
    sheet.beginPath();
    sheet.roundRect(1, 1, width - 2, height - 2, 4);
    sheet.fill();
    Object.assign(sheet, { fillStyle: palette.ink, globalAlpha: age === '' ? 1 : 0.8 });
    sheet.fillText(shortName, 5, height / 2 + 1);
    sheet.fillText(age, 5 + nameWidth, height / 2 + 1);
  });
}

// In how many milliseconds there is something to draw, whatever the dots do.
export function tagsDueIn(now) {
  if (leaving.length > 0 || [...shown.values()].some(({ since }) => now - since < FADE_MS)) return 0;
  return chosen.isNewer ? max(chosen.at + CHOOSE_EVERY_MS - now, 0) : Infinity;
}

export function drawTags(sheet, spots, now) {
  chosen.isNewer = true;
  const isAsked = chosen.zoom !== view.zoom || chosen.selected !== selected;
  if (isAsked || now - chosen.at >= CHOOSE_EVERY_MS) choose(spots, now);
  leaving = leaving.filter(({ since }) => now - since < FADE_MS);
  const bySpot = new Map(spots.map(spot => [spot.runner, spot]));
  const show = (runner, side, alpha) => {
    const spot = bySpot.get(runner);
    if (!spot) return;
    const tag = tagOf(spot), { left, top } = rectangle({ ...spot, ...tag }, side, view);
    sheet.globalAlpha = alpha;
    const picture = pictureOf(tag);
    stamp(sheet, picture, picture, sharp(left), sharp(top));
  };
  const part = since => calm.matches ? 1 : min(max(now - since, 0) / FADE_MS, 1);
  for (const { runner, side, since } of leaving) show(runner, side, 1 - part(since));
  for (const [runner, { side, since }] of shown) show(runner, side, part(since));
}

function choose(spots, now) {
  chosen = { at: now, zoom: view.zoom, selected, isNewer: false };
  const rank = ({ runner, side }) => isChosen(runner) ? 0 : side ? 1 : shownState(runner) === 'stale' ? 2 : 3;
  const wanted = spots.map(spot => ({
    ...spot, ...tagOf(spot), side: shown.get(spot.runner)?.side, isNeeded: isChosen(spot.runner),
  })).sort((a, b) => rank(a) - rank(b));
  const before = shown;
  shown = new Map();
  for (const [{ runner }, side] of placeLabels(wanted, [...spots.map(dotRectangle), ...corners(), ...courseMarks()], view)) {
    const had = before.get(runner);
    shown.set(runner, had?.side === side ? had : { side, since: now });
  }
  for (const [runner, { side }] of before) {
    if (shown.get(runner)?.side !== side && !calm.matches) leaving.push({ runner, side, since: now });
  }
}

// What stands on the map and is no sheet of it.
function corners() {
  const box = map.getBoundingClientRect();
  const others = [...map.querySelectorAll(':scope > :not(canvas)'), $('panel')];
  return others.map(element => element.getBoundingClientRect()).filter(({ width }) => width > 0)
    .map(({ left, top, width, height }) => ({ left: left - box.left, top: top - box.top, width, height }));
}
