// The page: whose it is, the apps, and the test. The fragment stays in the address, so that a reload, a
// bookmark and "open in browser" of a scanner work; it is sent to nobody.

import { $, on } from '../map/dom.js';
import { isId } from '../map/ids.js';
import { readCard } from './card.js';
import { testFor } from './heard.js';
import { apps } from './links.js';

const COPIED_MS = 2000;

function show() {
  const card = readCard(location.hash);
  const hasEnded = card.endsAt <= Date.now();
  const isGood = card.id !== undefined && !hasEnded;
  $('problem').textContent = card.isUnreadable ? 'This link is damaged. Scan the code on your card again, or ask for a new card.'
    : hasEnded ? `This link ended on ${inWords(card.endsAt)}. Ask for a new card.` : '';
  $('problem').hidden = !$('problem').textContent;
  $('whose').hidden = card.id === undefined;
  $('name').textContent = card.name ?? card.id ?? '';
  $('id').textContent = card.id ?? '';
  $('as').hidden = !card.name;
  $('until').textContent = card.token && isGood ? `Good until ${inWords(card.endsAt)}.` : '';
  // Who has a token has an id by it.
  $('id-form').hidden = Boolean(card.token || card.isUnreadable);
  $('card-hint').hidden = isGood;
  $('mine').value = card.id ?? '';
  $('apps').replaceChildren(...isGood ? apps({ origin: location.origin, id: card.id, token: card.token }).map(drawApp) : []);
  for (const section of document.querySelectorAll('.for-runner')) section.hidden = !isGood;
  testFor(isGood ? card : null);
}

const inWords = ms => new Date(ms).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });

function drawApp({ name, phones, site, link, before, after, where, fields }) {
  const app = $('app').content.cloneNode(true).firstElementChild;
  const part = key => app.querySelector(`.${key}`);
  const write = (key, text) => { part(key).textContent = text; part(key).hidden = !text; };
  app.dataset.app = name;
  part('app-name').textContent = name;
  part('phones').textContent = phones;
  part('site').href = site;
  part('open').textContent = `Open ${name}`;
  if (link) part('open').href = link;
  else part('open').hidden = true;
  write('before', before);
  write('after', after);
  write('where', where);
  part('by-hand').hidden = fields.length === 0;
  part('by-hand').open = !link;
  if (!link) app.append(part('after'));
  part('fields').append(...fields.map(drawField));
  return app;
}

function drawField([label, value]) {
  const field = $('field').content.cloneNode(true).firstElementChild;
  const [name, input, copy] = ['span', 'input', 'button'].map(tag => field.querySelector(tag));
  name.textContent = label;
  input.value = value;
  copy.setAttribute('aria-label', `Copy ${label}`);
  on(copy, 'click', async () => {
    try {
      await navigator.clipboard.writeText(value);
      copy.textContent = 'Copied';
      setTimeout(() => { copy.textContent = 'Copy'; }, COPIED_MS);
    } catch {
      // Outside of a secure context there is no clipboard to write to.
      input.select();
    }
  });
  return field;
}

on($('id-form'), 'submit', event => {
  event.preventDefault();
  const id = $('mine').value.trim();
  if (isId(id)) location.hash = new URLSearchParams({ id });
  $('mine').setCustomValidity(isId(id) ? '' : 'An id has 1 to 64 bytes and no control characters.');
  $('mine').reportValidity();
});
on($('mine'), 'input', () => $('mine').setCustomValidity(''));
on(window, 'hashchange', show);
show();
