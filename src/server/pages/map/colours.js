// The colours of the sheets, out of the style sheet: whatever the person prefers is in it already.

import { on } from './dom.js';
import { changed } from './frame.js';

const { max, min, round } = Math;

const CONTRAST_MIN = 2.5; // of a runner to the ground; less is hard to find

// Ink and paper are plain rgb() colours, forced ones too, which have the runners told apart by shape alone.
export const palette = { ink: '', paper: '', accent: '', strength: '', isDark: false, isForced: false, version: 0 };

const own = new Map(); // what the roster says, by what is drawn

export const colourOf = ({ color, hue }) =>
  palette.isForced ? palette.ink : color ? readable(color) : `hsl(${hue} ${palette.strength})`;

// A colour of the roster, which knows nothing of dark maps, as near as it can be read.
function readable(color) {
  if (!own.has(color)) own.set(color, towardsInk(channels(color)));
  return own.get(color);
}

function towardsInk(from) {
  const ink = numbers(palette.ink), ground = luminance(numbers(palette.paper));
  for (let part = 0; ; part += 0.1) {
    const mixed = from.map((channel, index) => round(channel + (ink[index] - channel) * min(part, 1)));
    const other = luminance(mixed);
    const contrast = (max(other, ground) + 0.05) / (min(other, ground) + 0.05);
    if (contrast >= CONTRAST_MIN || part >= 1) return `rgb(${mixed.join(', ')})`;
  }
}

const channels = color => [1, 3, 5].map(at => parseInt(color.slice(at, at + 2), 16));
const numbers = rgb => rgb.match(/[\d.]+/g).slice(0, 3).map(Number);

// Relative luminance (Web Content Accessibility Guidelines 2.2).
function luminance(rgb) {
  const [r, g, b] = rgb.map(channel => channel / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const dark = matchMedia('(prefers-color-scheme: dark)');
const forced = matchMedia('(forced-colors: active)');

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  Object.assign(palette, {
    ink: style.color, paper: style.backgroundColor, isDark: dark.matches, isForced: forced.matches,
    version: palette.version + 1, accent: style.accentColor, strength: style.getPropertyValue('--strength'),
  });
  own.clear();
  changed('view');
}
on(dark, 'change', readColours);
on(forced, 'change', readColours);
