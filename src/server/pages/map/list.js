// The list of runners in words, and whom to follow.

import { keepInFragment, writeAddress } from './address.js';
import { keep, keeping, select } from './chosen.js';
import { $, clock, on, write } from './dom.js';
import { changed } from './frame.js';
import { linkedIds, typedIds } from './ids.js';
import { followOver, server } from './link.js';
import { called, isolated } from './names.js';
import { detailsInWords, newRunner, runners, shownState, stateInWords } from './runners.js';
import { note } from './status.js';

// Follows whom the address names.
export function followLinked() {
  const inFragment = linkedIds(location.hash);
  if (inFragment.length > 0) keepInFragment();
  const ids = [...linkedIds(location.search), ...inFragment];
  // One that came without a load of the page shows nobody else.
  if (inFragment.length > 0) {
    for (const runner of runners.values()) if (!ids.includes(runner.id)) drop(runner);
  }
  follow(ids);
}

export function follow(ids) {
  const added = [...new Set(ids)].filter(id => !runners.has(id));
  for (const id of added) {
    const runner = newRunner(id);
    runners.set(id, runner);
    addRow(runner);
  }
  followOver(added);
  followed();
}

function drop({ id, row: { item } }) {
  item.remove();
  runners.delete(id);
  server.unfollow([id]);
  if (keeping.id === id) keep(null);
}

function unfollow(runner) {
  const { item } = runner.row, next = item.nextElementSibling ?? item.previousElementSibling;
  drop(runner);
  (next?.lastElementChild ?? $('ids')).focus();
  followed();
}

function followed() {
  writeAddress();
  $('hint').hidden = runners.size > 0;
  drawList();
  changed('view');
}

function addRow(runner) {
  const item = $('row').content.firstElementChild.cloneNode(true);
  const [toggle, drop] = item.children, [dot, name, age, details] = toggle.children, { id } = runner;
  runner.row = { item, toggle, drop, dot, name, age, details };
  item.dataset.user = id;
  dot.style.setProperty('--hue', runner.hue);
  on(toggle, 'click', () => {
    select(id);
    if (keeping.id === id) keep(null);
    else keep('runner', id);
  });
  on(drop, 'click', () => unfollow(runner));
  $('runners').append(item);
}

function drawName({ id, name, color, row }) {
  const who = called({ id, name });
  if (row.who === who && row.color === color) return;
  Object.assign(row, { who, color });
  row.name.textContent = who;
  row.toggle.title = `Keep in the centre: ${isolated(who)}`;
  row.drop.setAttribute('aria-label', `Unfollow ${isolated(who)}`);
  row.dot.style.setProperty('--color', color ?? '');
}

export function drawList() {
  const now = clock(), counts = { live: 0, stale: 0, unknown: 0 };
  for (const runner of runners.values()) {
    const state = shownState(runner), { item, age, details } = runner.row;
    counts[state] += 1;
    item.dataset.state = state;
    drawName(runner);
    write(age, stateInWords(runner, now));
    write(details, detailsInWords(runner));
  }
  const words = Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`);
  write($('count'), words.join(', ') || 'Nobody followed');
}

on($('follow'), 'submit', event => {
  event.preventDefault();
  const ids = typedIds($('ids').value);
  if (ids.length === 0) return note('Type one or more user ids, with commas between them: 5, 6');
  $('ids').value = '';
  $('note').hidden = true;
  follow(ids);
});
