// The start, and what happens twice a second.

const TURN_MS = 500;
const SLEPT_MS = 5000;

// The page's clock stands still while the machine sleeps; the ages that it counts are wrong then.
let clocks = Date.now() - clock();

setInterval(() => {
  const slept = Date.now() - clock() - clocks;
  clocks += slept;
  if (slept > SLEPT_MS && link.isOpen) reconnect();
  checkLife(QUIET_MS);
  checkRest();
  drawList();
  drawWait();
  if (keeping.what === 'fit' && !flight) fit(everybody().filter(isDrawn));
  // The tags of stale runners tell their ages.
  if (everybody().some(runner => shownState(runner) === 'stale')) changed('dots');
}, TURN_MS);

readColours();
showSubject();
follow(new URLSearchParams(location.search).getAll('follow').flatMap(idsFrom));
connect();
