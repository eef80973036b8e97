// What there is to say: how the connection is, notes to the person, and news for who listens to the
// page.

import { $, clock, on, write } from './dom.js';
import { link } from './link.js';
import { called, isolated } from './names.js';

const { ceil, max } = Math;

const NEWS_AFTER_MS = 1500;
const NAMES_IN_NEWS_MAX = 3;

export function showLink(state, words) {
  $('link').dataset.state = state;
  write($('link').firstElementChild, words);
  drawWait();
}

export function drawWait() {
  const { retryAt, isStopped } = link;
  write($('wait'), retryAt === null ? '' : `, trying again in ${max(ceil((retryAt - clock()) / 1000), 0)} s`);
  $('retry').hidden = retryAt === null && !isStopped;
}

export function note(words, quoted = '') {
  $('note').hidden = false;
  const [own, others] = $('note').firstElementChild.children;
  own.textContent = words;
  others.textContent = quoted;
}
on($('note').lastElementChild, 'click', () => { $('note').hidden = true; });

// Changes of state are spoken together, so that a field of runners does not chatter.
const news = new Map();
let newsTimer = 0;

export function tell(runner, state) {
  news.set(runner, state);
  newsTimer ||= setTimeout(speak, NEWS_AFTER_MS);
}

function speak() {
  newsTimer = 0;
  $('news').textContent = ['live', 'stale', 'unknown'].map(state => {
    const those = [...news.keys()].filter(runner => news.get(runner) === state), { length } = those;
    const who = length > NAMES_IN_NEWS_MAX ? `${length} runners` : those.map(called).map(isolated).join(', ');
    return length ? `${who} ${length > 1 ? 'are' : 'is'} ${state}. ` : '';
  }).join('');
  news.clear();
}
