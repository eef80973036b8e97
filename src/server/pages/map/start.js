// The start, and what happens twice a second.

import { isBare } from './address.js';
import { keeping, worthSeeing } from './chosen.js';
import { readColours } from './colours.js';
import { loadCourse } from './course.js';
import './draw.js';
import { followLinked } from './follows.js';
import { changed } from './frame.js';
import './gestures.js';
import { drawList } from './list.js';
import { everybody, shownState } from './runners.js';
import { checkRest, showSubject } from './share.js';
import { drawWait } from './status.js';
import './talk.js';
import { fit, flight } from './view.js';

const TURN_MS = 500;

setInterval(() => {
  checkRest();
  drawList();
  drawWait();
  if (keeping.what === 'fit' && !flight) fit(worthSeeing());
  // The tags of stale runners tell their ages.
  if (everybody().some(runner => shownState(runner) === 'stale')) changed('time');
}, TURN_MS);

if (isBare) document.documentElement.dataset.panel = 'none';
readColours();
showSubject();
followLinked();
loadCourse();
