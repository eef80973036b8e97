// The start, and what happens twice a second.

const LIST_EVERY_MS = 500;
const SLEPT_MS = 5000;

// The page's clock stands still while the machine sleeps; the ages that it counts are wrong then.
let clocks = Date.now() - performance.now();

setInterval(() => {
  const now = performance.now();
  const slept = Date.now() - now - clocks;
  clocks += slept;
  if (slept > SLEPT_MS && link.isOpen) reconnect();
  checkLife(now);
  if (runners.size > 0) drawList();
  if (keeping.what === 'fit' && !flight) fitAll();
  if (link.retryAt !== null) drawWait();
  // Ages stand in the tags of stale runners.
  if (!document.hidden && [...runners.values()].some(runner => shownState(runner) === 'stale')) changed('dots');
}, LIST_EVERY_MS);

readColours();
followToken();
follow(idsFromAddress());
connect();
