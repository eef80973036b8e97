// Whom the page follows, as the link says and the person has it, and who turns up where everyone is
// followed.

import { isBare, keepInFragment, writeAddress } from './address.js';
import { keep, keeping, select, selected } from './chosen.js';
import { $ } from './dom.js';
import { changed } from './frame.js';
import { linked } from './ids.js';
import { everyone, followOver, link, server, settle } from './link.js';
import { addRow, drawRows, removeRow } from './rows.js';
import { newRunner, runners } from './runners.js';

let choose = null;

// Has this be done with a runner whose row is taken.
export function chooseWith(act) {
  choose = act;
}

function add(id, isNamed) {
  const runner = { ...newRunner(id), isNamed };
  runners.set(id, runner);
  addRow(runner, () => choose(runner));
  return runner;
}

function drop(runner) {
  removeRow(runner);
  runners.delete(runner.id);
  if (keeping.id === runner.id) keep(null);
  if (selected === runner.id) select(null);
}

// Follows whom the address names, or everyone.
export function followLinked() {
  const query = linked(location.search), fragment = linked(location.hash);
  if (fragment.isThere) keepInFragment();
  const ids = [...query.ids, ...fragment.ids], isSaid = query.isEveryone || fragment.isEveryone;
  // One that came without a load of the page shows nobody else.
  if (fragment.isThere) leaveAllBut(ids, isSaid);
  Object.assign(everyone, { isSaid, isWished: isSaid || !query.isThere && !fragment.isThere });
  askForEveryone();
  follow(ids);
}

function leaveAllBut(ids, areOthersToo) {
  if (everyone.isFollowed && !areOthersToo) endEveryone();
  if (areOthersToo) return;
  for (const runner of [...runners.values()]) {
    if (ids.includes(runner.id)) continue;
    server.unfollow([runner.id]);
    drop(runner);
  }
}

// As the link means it, and is not done yet.
export function askForEveryone() {
  if (!everyone.isWished || everyone.isFollowed) return;
  everyone.isFollowed = true;
  server.follow('*');
  settle();
}

// Everyone may not be followed: who is named still is.
export function endEveryone() {
  everyone.isFollowed = false;
  const named = [...runners.values()].filter(({ isNamed }) => isNamed).map(({ id }) => id);
  if (named.length > 0 && !everyone.isSaid) everyone.isWished = false;
  server.unfollow('*');
  followOver(named);
  followed();
}

// Done once the server has said how they are.
export function follow(ids) {
  const added = [...new Set(ids)].filter(id => !runners.get(id)?.isNamed);
  for (const id of added) (runners.get(id) ?? add(id, true)).isNamed = true;
  if (added.length > 0 && !everyone.isFollowed && !everyone.isSaid) everyone.isWished = false;
  const isDone = followOver(added);
  followed();
  return isDone;
}

export function unfollow(runner) {
  const { item } = runner.row, next = item.nextElementSibling ?? item.previousElementSibling;
  server.unfollow([runner.id]);
  drop(runner);
  (next?.firstElementChild ?? $('ids')).focus();
  // A link without anybody would show everyone.
  if (!everyone.isFollowed) everyone.isWished = everyone.isSaid;
  followed();
}

function followed() {
  writeAddress();
  drawRows();
  drawHint();
  changed('view');
}

// Who is heard of, if the page follows them.
export function runnerOf(id) {
  const known = runners.get(id);
  if (known || !everyone.isFollowed) return known;
  changed('view');
  return add(id, false);
}

export function drawHint() {
  const isAsking = everyone.isFollowed && !(link.isOpen && link.unsettled === 0);
  $('hint').hidden = runners.size > 0 || isAsking;
  if ($('hint').hidden) return;
  $('hint').textContent = everyone.isFollowed ? 'Nobody is here yet. Who starts appears by itself.'
    : isBare ? 'Nobody is followed.'
    : 'Nobody is followed yet. Type the id of a runner into the list, or open a link that names some.';
}
