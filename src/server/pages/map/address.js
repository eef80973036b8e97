// The link to this map, and how it gets to others.

import { $, on } from './dom.js';
import { writtenId } from './ids.js';
import { everyone } from './link.js';
import { everybody } from './runners.js';
import { note } from './status.js';

const QUERY_CHARACTERS_MAX = 8000; // of ids, in a request's head with room for the rest of it
const CODE_CHARACTERS_MAX = 1000; // of a link whose code a phone can read, for the server

// Whether the page is the map alone, for a frame.
export const isBare = new URLSearchParams(location.search).get('panel') === 'none';
// Who stood in the fragment stays there, and so do more than a request would hold.
let areInFragment = false;

export function keepInFragment() {
  areInFragment = true;
}

// Who is only one of everyone is not named.
function follows() {
  const ids = everybody().filter(({ isNamed }) => isNamed).map(({ id }) => writtenId(id));
  const { isWished, isSaid, isFollowed } = everyone;
  if (isSaid || isFollowed && ids.length > 0) ids.unshift('*');
  // Without any a link means everyone.
  return ids.length > 0 || !isWished ? `follow=${ids}` : '';
}

function address() {
  const follow = follows(), isFragment = areInFragment || follow.length > QUERY_CHARACTERS_MAX;
  const query = [isFragment ? '' : follow, isBare ? 'panel=none' : ''].filter(Boolean).join('&');
  return location.pathname + (query && `?${query}`) + (isFragment && follow ? `#${follow}` : '');
}

// A token is no part of it.
const link = () => location.origin + address();

// Has the address say whom the page follows.
export function writeAddress() {
  history.replaceState(null, '', address());
  $('address').hidden = true;
  $('send').hidden = !navigator.share;
  showCode(false);
}

on($('copy'), 'click', async () => {
  const url = link();
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

on($('send'), 'click', async () => {
  try {
    await navigator.share({ title: document.title, url: link() });
  } catch ({ name }) {
    if (name !== 'AbortError') note('Your browser does not share this link. Copy it instead.');
  }
});

function showCode(isShown) {
  $('code').hidden = !isShown;
  $('show-code').ariaExpanded = isShown;
}

on($('show-code'), 'click', async () => {
  if (!$('code').hidden) return showCode(false);
  const url = link();
  if (url.length > CODE_CHARACTERS_MAX) return note('This link is too long for a code. Copy it instead.');
  const image = $('code').firstElementChild;
  try {
    const answer = await fetch(`qr?text=${encodeURIComponent(url)}`);
    if (!answer.ok) throw new Error(answer.statusText);
    image.src = `data:image/svg+xml,${encodeURIComponent(await answer.text())}`;
    await image.decode();
  } catch {
    return note('There is no code for this link. Copy it instead.');
  }
  // Meanwhile somebody else may be followed.
  showCode(url === link());
  if (url === link()) $('code').scrollIntoView({ block: 'nearest' });
});
