// What the person has chosen, for the next time, where the browser lets a page keep something.

const PREFIX = 'spectate.';

// The choice of this name, if it is one that there still is, or else the first.
export function remembered(name, choices) {
  let kept = null;
  try { kept = localStorage.getItem(PREFIX + name); } catch { /* then nothing was kept */ }
  return choices.includes(kept) ? kept : choices[0];
}

export function remember(name, choice) {
  try { localStorage.setItem(PREFIX + name, choice); } catch { /* it holds for this page */ }
}
