// The start, and what happens twice a second.

import { keeping } from './chosen.js';
import { clock } from './dom.js';
import { readColours } from './draw.js';
import { changed } from './frame.js';
import './gestures.js';
import { linkedIds } from './ids.js';
import { checkOpening, link, reconnect } from './link.js';
import { drawList, follow } from './list.js';
import { everybody, isDrawn, shownState } from './runners.js';
import { checkRest, showSubject } from './share.js';
import { drawWait } from './status.js';
import { QUIET_MS, checkLife, converse } from './talk.js';
import { fit, flight } from './view.js';

const TURN_MS = 500;
const SLEPT_MS = 5000;

// The page's clock stands still while the machine sleeps; the ages that it counts are wrong then.
let clocks = Date.now() - clock();

setInterval(() => {
  const slept = Date.now() - clock() - clocks;
  clocks += slept;
  if (slept > SLEPT_MS && link.isOpen) reconnect();
  checkOpening();
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
follow(new URLSearchParams(location.search).getAll('follow').flatMap(linkedIds));
converse();
