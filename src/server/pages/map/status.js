// What there is to say: how the connection is, notes to the person, and news for who listens to the
// page.

import { ageInWords } from './ages.js';
import { $, clock, on, write } from './dom.js';
import { link } from './link.js';
import { called, isolated } from './names.js';

const { ceil, max } = Math;

const NEWS_AFTER_MS = 1500; // so that what belongs together is told together
const NEWS_APART_MS = 5000;
const NAMES_IN_NEWS_MAX = 3;

let wrong = ''; // as it was spoken

export function showLink(state, words) {
  $('link').dataset.state = state;
  document.documentElement.classList.toggle('lost', !link.isOpen && link.lostAt !== null);
  const isWrong = state === 'waiting' || state === 'stopped';
  // What goes well is worth a word where it did not.
  if (isWrong ? wrong !== words : state === 'open' && wrong !== '') speak(`${words.replace(/\.$/, '')}.`);
  if (isWrong || state === 'open') wrong = isWrong ? words : '';
  write($('link').firstElementChild, words);
  drawWait();
}

export function drawWait() {
  const { retryAt, isStopped, lostAt, mayHelpToTry } = link, now = clock();
  const isOld = lostAt !== null && !link.isOpen && $('runners').childElementCount > 0;
  const age = ageInWords({ heardAt: lostAt }, now);
  const since = !isOld ? '' : isStopped ? ` What you see is from ${age} ago.` : `: what you see is from ${age} ago`;
  write($('wait'), `${since}${retryAt === null ? '' : `, trying again in ${max(ceil((retryAt - now) / 1000), 0)} s`}`);
  $('retry').hidden = retryAt === null && !(isStopped && mayHelpToTry);
}

export function note(words, quoted = '') {
  $('note').hidden = false;
  const [own, others] = $('note').firstElementChild.children;
  own.textContent = words;
  others.textContent = quoted;
  speak(quoted ? `${words} ${isolated(quoted)}` : words);
}
on($('note').lastElementChild, 'click', () => { $('note').hidden = true; });

// All that is spoken goes through one element, and a field of runners does not chatter: changes are
// told together, and nothing follows something else at once.
const changes = new Map();
let sentences = [];
let newsTimer = 0;
let spokeAt = -Infinity;

export function tell(runner, state) {
  changes.set(runner, state);
  speakLater();
}

export function speak(sentence) {
  sentences.push(sentence);
  speakLater();
}

function speakLater() {
  newsTimer ||= setTimeout(speakNow, max(NEWS_AFTER_MS, spokeAt + NEWS_APART_MS - clock()));
}

const SAID = {
  live: ['is live', 'are live'],
  stale: ['is stale', 'went stale'],
  unknown: ['has no position any more', 'have no position any more'],
};

function speakNow() {
  newsTimer = 0;
  spokeAt = clock();
  const told = Object.entries(SAID).map(([state, [one, many]]) => {
    const those = [...changes.keys()].filter(runner => changes.get(runner) === state), { length } = those;
    const who = length > NAMES_IN_NEWS_MAX ? `${length} runners` : those.map(called).map(isolated).join(', ');
    return length > 0 ? `${who} ${length > 1 ? many : one}.` : '';
  });
  $('news').textContent = [...sentences, ...told].filter(Boolean).join(' ');
  sentences = [];
  changes.clear();
}
