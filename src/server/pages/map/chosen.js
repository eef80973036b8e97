// Whom the person has chosen: who is selected, and what the view keeps to by itself.

import { courseCorners } from './course.js';
import { $ } from './dom.js';
import { changed } from './frame.js';
import { everybody, isDrawn, runners } from './runners.js';
import { fit, fly, view } from './view.js';

const { max } = Math;

// Everybody in view ('fit'), a runner in its centre ('runner'), or nothing.
export const keeping = { what: 'fit', id: null };
export let selected = null;

export const isChosen = ({ id }) => id === selected || id === keeping.id;

// What 'fit' keeps in view: everybody, or while nobody is there the course.
export function worthSeeing() {
  const drawn = everybody().filter(isDrawn);
  return drawn.length > 0 ? drawn : courseCorners();
}

// Keeps everybody in view ('fit'), a runner in the centre, or lets go.
export function keep(what, id = null) {
  if (what === 'fit') fit(worthSeeing(), true);
  if (keeping.what === what && keeping.id === id) return;
  Object.assign(keeping, { what, id });
  $('fit').ariaPressed = what === 'fit';
  for (const { row, id } of everybody()) row.toggle.ariaPressed = id === keeping.id;
  const runner = runners.get(id);
  if (runner && isDrawn(runner)) fly(runner.x, runner.y, max(view.zoom, 14));
  changed('dots');
}

export function select(id) {
  selected = id;
  for (const runner of runners.values()) runner.row.item.classList.toggle('selected', runner.id === id);
  runners.get(id)?.row.item.scrollIntoView({ block: 'nearest' });
  changed('dots');
}
