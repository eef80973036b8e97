// Whom the person has chosen: who is selected, and what the view keeps to by itself.

import { courseCorners } from './course.js';
import { $ } from './dom.js';
import { changed } from './frame.js';
import { everybody, isDrawn, runners } from './runners.js';
import { fit, flight, fly, isInSight, lift, view } from './view.js';

const { max } = Math;

const CLOSE_ZOOM = 14;
const EDGE_PX = 40;

// Everybody in view ('fit'), a runner in its centre ('runner'), or nothing.
export const keeping = { what: 'fit', id: null };
export let selected = null;
let showSelected = null;

export const isChosen = ({ id }) => id === selected || id === keeping.id;

// Has this show who is selected, or that nobody is any more, whenever that changes.
export function showWith(act) {
  showSelected = act;
}

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
  const runner = runners.get(id);
  if (runner) flyTo(runner, max(view.zoom, CLOSE_ZOOM));
  showSelected();
  changed('dots');
}

function flyTo(runner, zoom) {
  if (isDrawn(runner)) fly(runner.x, runner.y + lift(zoom), zoom);
}

export function select(id) {
  if (selected === id) return;
  selected = id;
  showSelected();
  changed('dots');
}

// Selects who may be out of sight. A flight to everybody comes there by itself.
export function selectAndShow(id) {
  const runner = runners.get(id);
  const isComing = keeping.id === id || keeping.what === 'fit' && flight;
  if (!isComing && isDrawn(runner) && !isInSight(runner, EDGE_PX)) {
    const { zoom } = flight?.to ?? view;
    keep(null);
    flyTo(runner, zoom);
  }
  select(id);
}
