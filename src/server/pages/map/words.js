// What there is to say of a runner, in its row and below it.

import { ageInWords } from './ages.js';
import { link } from './link.js';
import { shownState } from './runners.js';
import { speedOf } from './speeds.js';
import { speedInWords } from './units.js';

const { round } = Math;

const MEASURED_MAX = 1e7; // what is beyond as many m was never measured on Earth
const REFUSED = {
  not_allowed: 'you may not follow this one',
  too_many_follows: 'not followed: too many already',
  bad_id: 'not followed: this is no id',
};

export const isRefused = ({ isHeard, refusal }) => refusal !== null && !isHeard;

// The speed of who is live. One that nobody told but the positions is only about right.
export function paceInWords(runner) {
  const known = shownState(runner) === 'live' ? speedOf(runner) : null;
  return known && `${known.isTold ? '' : '≈ '}${speedInWords(known.speed)}`;
}

// What stands between the name and the age.
export function statusInWords(runner) {
  if (isRefused(runner)) return REFUSED[runner.refusal];
  if (runner.heardAt === null) return runner.isTold ? 'no position yet' : 'nothing heard yet';
  if (runner.fix && !runner.isMappable) return 'off the map';
  return shownState(runner) === 'live' ? paceInWords(runner) ?? '' : 'last seen';
}

const COMPASS = ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'];

// What is known, by its name; the coordinates last.
export function detailsInWords(runner, now) {
  const { id, name, fix, heardAt, isTold, connected, state, isMappable } = runner, words = [];
  const add = (what, value) => { if (value) words.push([what, value]); };
  // A number stays with its unit.
  const measured = (value, say) => value <= MEASURED_MAX ? say(value).replaceAll(' ', '\u00a0') : null;
  const ago = heardAt !== null && `${ageInWords(runner, now)} ago`;
  if (ago) add('State', `${shownState(runner) === 'live' ? 'live' : 'stale'}, heard ${ago}`);
  else add('State', statusInWords(runner));
  const pace = fix && paceInWords(runner);
  add('Speed', pace && `${pace}${pace.startsWith('≈') ? ', by the last positions' : ''}`);
  add('Heading', measured(fix?.heading, degrees => COMPASS[round(degrees / 45) % 8]));
  add('Altitude', measured(fix?.altitude, metres => `${round(metres)} m`));
  add('Accuracy', measured(fix?.accuracy, metres => `±${round(metres)} m`));
  add('Battery', measured(fix?.battery, part => `${round(part * 100)} %`));
  // That nobody says to be a live runner is no news: a gateway may speak for it.
  if (isTold && link.isOpen && (connected || state !== 'live')) {
    const words = state === 'live' ? 'connected' : 'connected, but sends nothing';
    add('Connection', connected ? words : 'not connected to the server');
  }
  add('Id', name !== null && id);
  if (fix) add('Place', `${isMappable ? '' : 'off the map: '}${placeInWords(fix)}`);
  return words;
}

export const placeInWords = ({ lat, lng }) => `${lat.toFixed(5)}, ${lng.toFixed(5)}`;
