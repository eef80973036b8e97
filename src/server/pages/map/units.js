// Speeds in the unit that the person has chosen. The first one holds until they do.

import { remember, remembered } from './memory.js';

const { floor, round } = Math;

const METRES_A_MILE = 1609.344, METRES_A_NAUTICAL_MILE = 1852;
const REST = 0.5; // m/s, under which a pace says nothing: half an hour for a kilometre

const rate = (metres, unit) => speed => `${(speed * 3600 / metres).toFixed(1)} ${unit}`;
const pace = (metres, unit) => speed => {
  if (speed < REST) return 'at rest';
  const seconds = round(metres / speed);
  return `${floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} ${unit}`;
};

const UNITS = {
  'min/km': pace(1000, '/km'),
  'min/mile': pace(METRES_A_MILE, '/mile'),
  'km/h': rate(1000, 'km/h'),
  mph: rate(METRES_A_MILE, 'mph'),
  knots: rate(METRES_A_NAUTICAL_MILE, 'knots'),
};

export const unitNames = Object.keys(UNITS);
export let unit = remembered('units', unitNames);

export function chooseUnit(name) {
  unit = name;
  remember('units', name);
}

// Of metres a second. A number stays with its unit.
export const speedInWords = speed => UNITS[unit](speed).replace(' ', '\u00a0');
