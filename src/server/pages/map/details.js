// What is known of the runner who is selected, under its row, and what can be done about it.

import { keep, keeping, selected } from './chosen.js';
import { $, clock, on, write } from './dom.js';
import { called, isolated } from './names.js';
import { runners } from './runners.js';
import { detailsInWords } from './words.js';

const box = $('more').content.firstElementChild.cloneNode(true);
const words = box.querySelector('dl');
const [centre, unfollow] = box.querySelectorAll('button');
let shown = null; // whose details they are

// Has the button do this with the runner.
export function unfollowWith(act) {
  on(unfollow, 'click', () => act(shown));
}

on(centre, 'click', () => {
  if (keeping.id === shown.id) keep(null);
  else keep('runner', shown.id);
});

// Opens the details of who is selected, and closes all others.
export function openDetails() {
  const before = shown;
  shown = runners.get(selected) ?? null;
  if (before !== shown) {
    const hadFocus = box.contains(document.activeElement);
    for (const runner of [before, shown]) {
      runner?.row.item.classList.toggle('selected', runner === shown);
      if (runner) runner.row.toggle.ariaExpanded = runner === shown;
    }
    if (shown) shown.row.item.append(box);
    else box.remove();
    if (hadFocus) (before ?? shown)?.row.toggle.focus({ preventScroll: true });
  }
  drawDetails();
  if (before !== shown) shown?.row.item.scrollIntoView({ block: 'nearest' });
}

export function drawDetails() {
  if (!shown) return;
  const lines = detailsInWords(shown, clock());
  const labels = [...words.querySelectorAll('dt')].map(label => label.textContent);
  // Whoever selects a number to copy it keeps it selected.
  if (labels.join() !== lines.map(([label]) => label).join()) {
    words.replaceChildren(...lines.flatMap(([label]) => [['dt', label], ['dd', '']]).map(([tag, text]) => {
      const element = document.createElement(tag);
      element.textContent = text;
      element.dir = 'auto';
      return element;
    }));
  }
  const values = words.querySelectorAll('dd');
  for (const [index, [, value]] of lines.entries()) write(values[index], value);
  const who = isolated(called(shown)), isCentred = keeping.id === shown.id;
  centre.ariaPressed = isCentred;
  centre.ariaLabel = `Keep in the centre: ${who}`;
  unfollow.ariaLabel = `Unfollow ${who}`;
}
