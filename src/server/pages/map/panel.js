// The panel: whom to follow, the list of runners in words, what there is to say.

const NEWS_AFTER_MS = 1500;
const NAMES_IN_NEWS_MAX = 3;

function isId(id) {
  const { length } = new TextEncoder().encode(id);
  return length > 0 && length <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
}

// Ids stand between commas; between numbers a space will do. What is no id is left out.
const idsFrom = text => text.split(',')
  .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : part.trim())
  .filter(isId);

function address() {
  const ids = [...runners.keys()].map(encodeURIComponent);
  return location.pathname + (ids.length > 0 ? `?follow=${ids}` : '');
}

function follow(ids) {
  const added = [...new Set(ids)].filter(id => !runners.has(id));
  for (const id of added) {
    const runner = newRunner(id);
    runners.set(id, runner);
    addRow(runner);
  }
  sendIds('follow', added);
  followed();
}

function unfollow({ id, row: { item } }) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  runners.delete(id);
  send({ unfollow: [id] });
  if (keeping.id === id) keep(null);
  (next?.lastElementChild ?? $('ids')).focus();
  followed();
}

function followed() {
  history.replaceState(null, '', address());
  $('address').hidden = true;
  $('hint').hidden = runners.size > 0;
  $('copy').hidden = runners.size === 0;
  drawList();
  changed('view');
}

function addRow(runner) {
  const item = $('row').content.firstElementChild.cloneNode(true);
  const [toggle, drop] = item.children, [dot, name, age, details] = toggle.children, { id } = runner;
  runner.row = { item, toggle, age, details };
  item.dataset.user = name.textContent = id;
  dot.style.setProperty('--hue', runner.hue);
  toggle.title = `Keep ${id} in the centre`;
  drop.setAttribute('aria-label', `Unfollow ${id}`);
  on(toggle, 'click', () => {
    select(id);
    if (keeping.id === id) keep(null);
    else keep('runner', id);
  });
  on(drop, 'click', () => unfollow(runner));
  $('runners').append(item);
}

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function drawList() {
  const now = clock(), counts = { live: 0, stale: 0, unknown: 0 };
  for (const runner of runners.values()) {
    const state = shownState(runner), { item, age, details } = runner.row;
    counts[state] += 1;
    item.dataset.state = state;
    write(age, stateInWords(runner, now));
    write(details, detailsInWords(runner));
  }
  const words = Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`);
  write($('count'), words.join(', ') || 'Nobody followed');
}

// Keeps everybody in view ('fit'), a runner in the centre, or lets go.
function keep(what, id = null) {
  if (what === 'fit') fit(everybody().filter(isDrawn), true);
  if (keeping.what === what && keeping.id === id) return;
  keeping = { what, id };
  $('fit').ariaPressed = what === 'fit';
  for (const { row, id } of everybody()) row.toggle.ariaPressed = id === keeping.id;
  const runner = runners.get(id);
  if (runner && isDrawn(runner)) fly(runner.x, runner.y, max(view.zoom, 14));
  changed('dots');
}

function select(id) {
  selected = id;
  for (const runner of runners.values()) runner.row.item.classList.toggle('selected', runner.id === id);
  runners.get(id)?.row.item.scrollIntoView({ block: 'nearest' });
  tags.chosenAt = -Infinity;
  changed('dots');
}

function say(state, words) {
  $('link').dataset.state = state;
  write($('link').firstElementChild, words);
  drawWait();
  drawList();
  changed('dots');
}

function drawWait() {
  const { retryAt, isStopped } = link;
  write($('wait'), retryAt === null ? '' : `, trying again in ${max(ceil((retryAt - clock()) / 1000), 0)} s`);
  $('retry').hidden = retryAt === null && !isStopped;
}

function note(words) {
  $('note').hidden = false;
  $('note').firstElementChild.textContent = words;
}
on($('note').lastElementChild, 'click', () => { $('note').hidden = true; });

// Changes of state are spoken together, so that a field of runners does not chatter.
const news = new Map();
let newsTimer = 0;

function tell(id, state) {
  news.set(id, state);
  newsTimer ||= setTimeout(speak, NEWS_AFTER_MS);
}

function speak() {
  newsTimer = 0;
  $('news').textContent = ['live', 'stale', 'unknown'].map(state => {
    const ids = [...news.keys()].filter(id => news.get(id) === state), { length } = ids;
    const who = length > NAMES_IN_NEWS_MAX ? `${length} runners` : ids.join(', ');
    return length ? `${who} ${length > 1 ? 'are' : 'is'} ${state}. ` : '';
  }).join('');
  news.clear();
}

on($('follow'), 'submit', event => {
  event.preventDefault();
  const ids = idsFrom($('ids').value);
  if (ids.length === 0) return note('Type one or more user ids, with commas between them: 5, 6');
  $('ids').value = '';
  $('note').hidden = true;
  follow(ids);
});

on($('copy'), 'click', async () => {
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
