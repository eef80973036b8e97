// On a phone the list is a sheet over the map, which is drawn up from below: a line of it, half of
// the screen, or almost all.

import { keep, keeping } from './chosen.js';
import { $, on } from './dom.js';
import { changed } from './frame.js';
import { view } from './view.js';

const { abs, max, min } = Math;

const FULL_LEAVES_PX = 60; // of the map
const TAP_PX = 6; // a finger is never quite still
const FLICK_PX = 40; // moves it to the next stop
const STOPS = ['peek', 'half', 'full'];

const isPhone = matchMedia('(max-width: 640px), (max-height: 440px)');
const root = document.documentElement;
const isOn = () => isPhone.matches && root.dataset.panel !== 'none';
let stop = 'peek';
let drag = null;
let wasDragged = false;

function heightAt(name) {
  const peek = $('grip').offsetHeight;
  return { peek, half: max(peek, innerHeight / 2), full: innerHeight - FULL_LEAVES_PX }[name];
}

function show(px) {
  root.style.setProperty('--sheet', `${px}px`);
}

// What the sheet covers of the map at its stop; all of it is too much to fit anybody into the rest.
function cover() {
  const px = isOn() ? min(heightAt(stop), heightAt('half')) : 0;
  if (px === view.coveredPx) return;
  view.coveredPx = px;
  root.style.setProperty('--covered', `${px}px`);
  changed('view');
  if (keeping.what === 'fit') keep('fit');
}

function moveTo(name) {
  stop = name;
  root.dataset.sheet = isOn() ? name : 'none';
  $('handle').ariaExpanded = !isOn() || name !== 'peek';
  show(heightAt(name));
  cover();
}

// So that what is to be seen in it is.
export function raiseSheet() {
  if (isOn() && stop === 'peek') moveTo('half');
}

// What is to be shared needs more room than half of the screen.
on($('share'), 'toggle', () => {
  if (isOn() && $('share').open) moveTo('full');
});

export function hideSheet() {
  if (isOn()) moveTo('peek');
}

const next = by => STOPS[min(max(STOPS.indexOf(stop) + by, 0), STOPS.length - 1)];

on($('grip'), 'click', ({ target }) => {
  // A mouse that has drawn it lets go of it there.
  if (isOn() && !wasDragged && !target.closest('#retry')) moveTo(stop === 'full' ? 'peek' : next(1));
});
on($('handle'), 'keydown', event => {
  wasDragged = false;
  const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  moveTo(next(by));
});

on($('grip'), 'pointerdown', event => {
  if (!isOn() || event.target.closest('#retry')) return;
  wasDragged = false;
  drag = { y: event.clientY, px: heightAt(stop), isMoving: false };
});
on(window, 'pointermove', event => {
  if (!drag) return;
  const up = drag.y - event.clientY;
  if (!drag.isMoving && abs(up) > TAP_PX) {
    drag.isMoving = wasDragged = true;
    root.classList.add('dragging');
  }
  if (drag.isMoving) show(min(max(drag.px + up, heightAt('peek')), heightAt('full')));
});
on(window, 'pointerup pointercancel', event => {
  const { y, px, isMoving } = drag ?? {};
  drag = null;
  root.classList.remove('dragging');
  if (!isMoving) return;
  const up = y - event.clientY;
  const away = name => abs(heightAt(name) - (px + up));
  const nearest = [...STOPS].sort((a, b) => away(a) - away(b))[0];
  moveTo(nearest === stop && abs(up) > FLICK_PX ? next(up > 0 ? 1 : -1) : nearest);
});

const again = () => moveTo(stop);
on(isPhone, 'change', again);
on(window, 'resize', again);
new ResizeObserver(again).observe($('grip'));
