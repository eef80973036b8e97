// The list beside the map: looking for somebody, its order and its units, and its keys.

import { keep, select, selectAndShow, selected, showWith } from './chosen.js';
import { drawDetails, openDetails, unfollowWith } from './details.js';
import { $, on } from './dom.js';
import { chooseWith, drawHint, follow, unfollow } from './follows.js';
import { typedIds } from './ids.js';
import { remember, remembered } from './memory.js';
import { isolated } from './names.js';
import { drawRows, filterBy, sortBy } from './rows.js';
import { runners } from './runners.js';
import { hideSheet, raiseSheet } from './sheet.js';
import { note } from './status.js';
import { chooseUnit, unit, unitNames } from './units.js';

const NAMED_MAX = 3; // ids on the button that follows them

export function drawList() {
  drawRows();
  drawDetails();
  drawHint();
}

chooseWith(({ id }) => {
  if (selected === id) select(null);
  else selectAndShow(id);
});
unfollowWith(unfollow);
showWith(() => {
  if (selected !== null) raiseSheet();
  openDetails();
});

// What is typed is looked for in names and ids, and whose id it is can be followed.
let found = [];
const strangers = () => typedIds($('ids').value).filter(id => !runners.has(id));

function lookFor() {
  const { value } = $('ids'), ids = strangers();
  found = filterBy(value.split(','));
  $('nobody').hidden = found.length > 0 || value.trim() === '' || runners.size === 0;
  $('follow-typed').hidden = ids.length === 0;
  $('follow-typed').classList.toggle('aside', found.length > 0);
  $('follow-typed').textContent = ids.length > NAMED_MAX ? `Follow ${ids.length} ids` : `Follow ${ids.map(isolated).join(', ')}`;
}
on($('ids'), 'input', lookFor);

function endLooking() {
  $('ids').value = '';
  lookFor();
}

// Enter follows a number or a list, as people type them, and takes a name that is in the list.
on($('follow'), 'submit', event => {
  event.preventDefault();
  const { value } = $('ids'), ids = strangers(), isByButton = event.submitter === document.activeElement;
  const isOfIds = /^[\s\d,]*$/.test(value) || value.includes(',');
  if (ids.length > 0 && (isByButton || isOfIds || found.length === 0)) {
    $('note').hidden = true;
    follow(ids);
    return endLooking();
  }
  if (value.trim() === '') return note('Type a name to find, or one or more user ids to follow: 5, 6');
  const [first] = found;
  if (!first) return note('An id has 1 to 64 bytes and no control characters.');
  selectAndShow(first.id);
  first.row.toggle.focus();
});

for (const name of unitNames) $('units').append(new Option(name, name));
$('units').value = unit;
on($('units'), 'change', () => {
  chooseUnit($('units').value);
  drawList();
});

const orders = [...$('sort').options].map(({ value }) => value);
$('sort').value = remembered('sort', orders);
sortBy($('sort').value);
on($('sort'), 'change', () => {
  remember('sort', $('sort').value);
  sortBy($('sort').value);
});

// One step back: from what is typed, from the details, and then to the map.
on($('panel'), 'keydown', event => {
  if (event.key !== 'Escape') return;
  event.preventDefault();
  if (event.target === $('ids') && $('ids').value !== '') return endLooking();
  if (selected !== null) return select(null);
  hideSheet();
  $('map').focus();
});
