// The page's elements, events and clock, in short words.

export const $ = id => document.getElementById(id);
export const on = (target, types, act) => types.split(' ').forEach(type => target.addEventListener(type, act));
export const clock = () => performance.now();
// Writes text, if it is not what stands there.
export const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// Whether the person wants nothing to move by itself.
export const calm = matchMedia('(prefers-reduced-motion: reduce)');
