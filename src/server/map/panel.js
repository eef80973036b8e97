// The panel: whom to follow, the list of runners in words, what there is to say.

const NEWS_AFTER_MS = 1500;
const NAMES_IN_NEWS_MAX = 3;

const ERRORS = {
  not_allowed: 'Your access does not cover this',
  unauthorized: 'This server asks for a token',
  wrong_user: 'This connection belongs to another user',
  too_many_follows: 'These are too many runners',
  too_fast: 'Positions are sent too often',
};

const encoder = new TextEncoder();

const isId = id => {
  const bytes = encoder.encode(id).length;
  return bytes > 0 && bytes <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
};

// Ids stand between commas; between numbers a space will do. What is no id is left out.
function idsFrom(text, isOne = false) {
  if (isOne) return [text.trim()].filter(isId);
  return text.split(',')
    .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : [part.trim()])
    .filter(isId);
}

function idsFromAddress() {
  return new URLSearchParams(location.search).getAll('follow').flatMap(text => idsFrom(text));
}

function address() {
  const ids = [...runners.keys()].map(encodeURIComponent).join(',');
  return location.pathname + (ids && `?follow=${ids}`);
}

function follow(ids) {
  const added = [...new Set(ids)].filter(id => !runners.has(id));
  for (const id of added) {
    const runner = newRunner(id);
    runners.set(id, runner);
    addRow(runner);
  }
  if (added.length > 0) sendIds('follow', added);
  followed();
}

function unfollow(id) {
  const { row } = runners.get(id);
  const next = row.item.nextElementSibling ?? row.item.previousElementSibling;
  row.item.remove();
  runners.delete(id);
  send({ unfollow: [id] });
  if (keeping.id === id) keep(null);
  (next?.querySelector('.unfollow') ?? $('ids')).focus();
  followed();
}

function followed() {
  history.replaceState(null, '', address());
  $('address').hidden = true;
  $('copy').hidden = $('hint').hidden = runners.size > 0;
  $('copy').hidden = runners.size === 0;
  drawList();
  changed('view');
}

function addRow(runner) {
  const item = $('row').content.firstElementChild.cloneNode(true);
  const [toggle, drop] = item.children;
  const [dot, name, age, details] = toggle.children;
  runner.row = { item, toggle, dot, age, details };
  item.dataset.user = name.textContent = runner.id;
  dot.style.setProperty('--hue', runner.hue);
  toggle.title = `Keep ${runner.id} in the centre`;
  drop.setAttribute('aria-label', `Unfollow ${runner.id}`);
  toggle.addEventListener('click', () => {
    select(runner.id);
    if (keeping.id === runner.id) keep(null);
    else keep('runner', runner.id);
  });
  drop.addEventListener('click', () => unfollow(runner.id));
  $('runners').append(item);
}

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function drawList() {
  const now = performance.now();
  const counts = { live: 0, stale: 0, unknown: 0 };
  for (const runner of runners.values()) {
    const state = shownState(runner);
    counts[state] += 1;
    const { item, age, details } = runner.row;
    if (item.dataset.state !== state) item.dataset.state = state;
    write(age, stateInWords(runner, now));
    write(details, detailsInWords(runner));
  }
  const words = Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`);
  write($('count'), words.join(', ') || 'Nobody followed');
}

// Keeps everybody in view ('fit'), a runner in the centre, or lets go.
function keep(what, id = null) {
  if (keeping.what === what && keeping.id === id && what !== 'fit') return;
  keeping = { what, id };
  $('fit').setAttribute('aria-pressed', what === 'fit');
  for (const runner of runners.values()) runner.row.toggle.setAttribute('aria-pressed', runner.id === id);
  const runner = runners.get(id);
  if (runner && isDrawn(runner)) fly(runner.x, runner.y, Math.max(view.zoom, 14));
  if (what === 'fit') fitAll(true);
  changed('dots');
}

// Looks again at everybody once somebody has left the view.
function fitAll(isAsked = false) {
  const drawn = [...runners.values()].filter(isDrawn);
  if (drawn.length === 0 || view.width === 0) return;
  if (isAsked || !drawn.every(inView)) fit(around(drawn));
}

function select(id) {
  selected = id;
  for (const runner of runners.values()) runner.row.item.classList.toggle('selected', runner.id === id);
  runners.get(id)?.row.item.scrollIntoView({ block: 'nearest' });
  tags.drawnAt = -Infinity;
  changed('dots');
}

function say(state, words) {
  $('link').dataset.state = state;
  write($('link').firstElementChild, words);
  drawWait();
  if (runners.size > 0) drawList();
  changed('dots');
}

function drawWait() {
  const seconds = link.retryAt === null ? 0 : Math.max(Math.ceil((link.retryAt - performance.now()) / 1000), 0);
  write($('wait'), link.retryAt === null ? '' : `, trying again in ${seconds} s`);
  $('retry').hidden = link.retryAt === null && !link.isStopped;
}

function note(words) {
  $('note').hidden = false;
  $('note').firstElementChild.textContent = words;
}

function hearError({ code, message }) {
  note(ERRORS[code] ? `${ERRORS[code]}: ${message}` : `The server says: ${message}`);
}

// Changes of state are spoken together, so that a field of runners does not chatter.
const news = new Map();
let newsTimer = 0;

function tell(runner) {
  news.set(runner.id, runner.state);
  newsTimer ||= setTimeout(speak, NEWS_AFTER_MS);
}

function speak() {
  newsTimer = 0;
  const sentences = [];
  for (const state of ['live', 'stale', 'unknown']) {
    const ids = [...news].filter(([, now]) => now === state).map(([id]) => id);
    if (ids.length > NAMES_IN_NEWS_MAX) sentences.push(`${ids.length} runners are ${state}.`);
    else if (ids.length > 0) sentences.push(`${ids.join(', ')} ${ids.length > 1 ? 'are' : 'is'} ${state}.`);
  }
  news.clear();
  $('news').textContent = sentences.join(' ');
}

$('note').lastElementChild.addEventListener('click', () => { $('note').hidden = true; });

$('follow').addEventListener('submit', event => {
  event.preventDefault();
  const ids = idsFrom($('ids').value);
  if (ids.length === 0) return note('Type one or more user ids, with commas between them: 5, 6');
  $('ids').value = '';
  $('note').hidden = true;
  follow(ids);
});

$('copy').addEventListener('click', async () => {
  const url = location.origin + address();
  try {
    await navigator.clipboard.writeText(url);
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy link'; }, 2000);
  } catch {
    // Outside of a secure context there is no clipboard to write to.
    Object.assign($('address'), { value: url, hidden: false });
    $('address').select();
  }
});
