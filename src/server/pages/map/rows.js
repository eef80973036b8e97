// The rows of the list, one for each runner: their order, and their words as far as somebody sees
// them.

import { ageInWords } from './ages.js';
import { selected } from './chosen.js';
import { colourOf } from './colours.js';
import { $, clock, on, write } from './dom.js';
import { everyone, link } from './link.js';
import { called } from './names.js';
import { everybody, runners, shownState } from './runners.js';
import { speedOf } from './speeds.js';
import { isRefused, statusInWords } from './words.js';

const SORT_MS = 1000; // at least from one time to the next, for who came and new names
const SORT_AGAIN_MS = 3000; // for what changes all the time
const HELD_MS = 3000; // since a finger or a mouse was on it
const OUT_OF_SIGHT_A_TURN = 100; // rows that are drawn although nobody sees them
const HEARD_TOGETHER_MS = 10_000; // who was heard of within it, is heard of last

const list = $('runners');
const names = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const plain = text => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

let order = 'name';
let wanted = []; // what is looked for, in any of these
let isUnsorted = false;
let sortedAt = -Infinity;
let heldAt = -Infinity;
let isUnderMouse = false;
let nextOutOfSight = 0;

const inSight = new Set();
const sight = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const runner = runners.get(target.dataset.user);
    if (!runner || !isIntersecting) inSight.delete(runner);
    else inSight.add(runner);
  }
  drawRows();
}, { root: $('content'), rootMargin: '200px 0px' });

export function addRow(runner, act) {
  const item = $('row').content.firstElementChild.cloneNode(true);
  const [toggle] = item.children, [dot, name, status, age] = toggle.children;
  runner.row = { item, toggle, dot, name, status, age };
  item.dataset.user = runner.id;
  on(toggle, 'click', act);
  list.append(item);
  sight.observe(item);
  drawRow(runner, clock());
}

export function removeRow(runner) {
  sight.unobserve(runner.row.item);
  inSight.delete(runner);
  runner.row.item.remove();
}

function drawRow(runner, now) {
  const { row, heardAt } = runner, who = called(runner), state = shownState(runner), colour = colourOf(runner);
  if (row.state !== state) row.item.dataset.state = row.state = state;
  if (row.isHeardOf !== (heardAt !== null)) {
    isUnsorted = true;
    row.isHeardOf = heardAt !== null;
  }
  if (row.who !== who) {
    isUnsorted = true;
    Object.assign(row, { who, plain: plain(`${who} ${runner.id}`) });
    row.name.textContent = who;
  }
  if (row.colour !== colour) {
    row.colour = colour;
    row.dot.style.setProperty('--own', colour);
  }
  row.item.hidden = !isWanted(runner);
  row.item.classList.toggle('selected', runner.id === selected);
  row.item.classList.toggle('refused', isRefused(runner));
  write(row.status, statusInWords(runner));
  write(row.age, heardAt === null ? '' : ageInWords(runner, now));
}

const isWanted = ({ row }) => wanted.length === 0 || wanted.some(part => row.plain.includes(part));

// Draws the rows that are in sight or have changed, and of the others some: whoever reads them out
// does not hear of a state that is long gone.
export function drawRows() {
  const now = clock(), all = everybody(), counts = { live: 0, stale: 0, unknown: 0 };
  const end = nextOutOfSight + OUT_OF_SIGHT_A_TURN;
  for (const [index, runner] of all.entries()) {
    const state = shownState(runner), { row } = runner;
    counts[state] += 1;
    const isDue = index >= nextOutOfSight && index < end;
    const hasChanged = row.state !== state || row.isHeardOf !== (runner.heardAt !== null) || row.who !== called(runner);
    if (isDue || hasChanged || inSight.has(runner)) drawRow(runner, now);
  }
  nextOutOfSight = end < all.length ? end : 0;
  drawCount(counts);
  sortIfDue(now);
}

const COUNTED = { live: 'live', stale: 'stale', unknown: 'not seen' };

function drawCount(counts) {
  const words = Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${COUNTED[state]}`);
  write($('count'), words.join(', ') || (link.isStopped ? '' : everyone.isFollowed ? 'Nobody yet' : 'Nobody followed'));
}

// The runners whose names or ids hold one of these parts, and how many they are.
export function filterBy(parts) {
  wanted = parts.map(plain).filter(Boolean);
  const found = everybody().filter(isWanted);
  for (const { row } of runners.values()) row.item.hidden = !isWanted({ row });
  return found;
}

// Sorts by 'name', 'speed' or when they were 'heard' of.
export function sortBy(key) {
  order = key;
  sort();
}

// Who has no position is last, and who may not be followed at the very end.
const rank = runner => isRefused(runner) ? 2 : runner.heardAt === null ? 1 : 0;
const KEYS = {
  name: () => 0,
  speed: runner => -(shownState(runner) === 'live' && speedOf(runner)?.speed || 0),
  heard: ({ heardAt }, now) => Math.floor((now - heardAt) / HEARD_TOGETHER_MS),
};

function sort() {
  const now = sortedAt = clock(), { activeElement } = document;
  isUnsorted = false;
  const keyed = everybody().map(runner => ({ runner, rank: rank(runner), key: KEYS[order](runner, now) }));
  keyed.sort((a, b) => a.rank - b.rank || a.key - b.key || names.compare(a.runner.row.who, b.runner.row.who));
  let next = list.firstElementChild;
  for (const { runner: { row: { item } } } of keyed) {
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
  }
  // What is moved loses the focus.
  if (activeElement !== document.activeElement) activeElement.focus({ preventScroll: true });
}

function sortIfDue(now) {
  const isDue = isUnsorted ? now - sortedAt > SORT_MS : order !== 'name' && now - sortedAt > SORT_AGAIN_MS;
  if (isDue && !isHeld(now)) sort();
}

// Nothing moves away under who is about to take it: while a mouse is on the list, a finger was just
// now, or the keyboard is in it.
const isHeld = now => isUnderMouse || now - heldAt < HELD_MS || list.querySelector(':focus-visible') !== null;

on(list, 'pointerenter pointerleave', ({ type, pointerType }) => {
  isUnderMouse = type === 'pointerenter' && pointerType === 'mouse';
});

on(list, 'pointerdown pointermove pointerup touchmove wheel', () => { heldAt = clock(); });
on($('content'), 'scroll', () => { heldAt = clock(); });
